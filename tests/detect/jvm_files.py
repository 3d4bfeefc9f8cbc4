"""Sources and build files of Java, Kotlin and Scala, for samples and for builds."""

from __future__ import annotations

JAVA_MAIN = "package shop;\n\npublic class Main {\n  public static void main(String[] args) {\n%s  }\n}\n"
BOOT_MAIN = """\
package shop;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

@SpringBootApplication
public class ShopApplication {
    public static void main(String[] args) {
        SpringApplication.run(ShopApplication.class, args);
    }
}
"""
KOTLIN_BOOT = (
    "package shop\n\nimport org.springframework.boot.autoconfigure.SpringBootApplication\n"
    "import org.springframework.boot.runApplication\n\n@SpringBootApplication\nclass Shop\n\n"
    "fun main(args: Array<String>) {\n    runApplication<Shop>(*args)\n}\n"
)
HTTP_SERVER = """\
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Main {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "9090"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, 3);
            exchange.getResponseBody().write("one".getBytes());
            exchange.close();
        });
        server.start();
    }
}
"""
KTOR_MAIN = """\
package shop

import io.ktor.server.engine.embeddedServer
import io.ktor.server.netty.Netty
import io.ktor.server.response.respondText
import io.ktor.server.routing.get
import io.ktor.server.routing.routing

fun main() {
    embeddedServer(Netty, port = 8081, host = "0.0.0.0") {
        routing {
            get("/") { call.respondText("one") }
            get("/health") { call.respondText("ok") }
        }
    }.start(wait = true)
}
"""
WRAPPER = "distributionUrl=https\\://services.gradle.org/distributions/gradle-8.10.2-bin.zip\n"
BOOT_PARENT = (
    "<parent><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId>"
    "<version>{version}</version><relativePath/></parent>"
)


def pom(
    *dependencies: str, artifact: str = "shop", head: str = "", properties: str = "", plugins: str = "", more: str = ""
) -> str:
    """A pom.xml; dependencies are ``group:artifact``, with ``:scope`` or ``:scope:version`` after it."""
    listed = ""
    for one in dependencies:
        group, name, scope, version, *_ = (*one.split(":"), "", "")
        listed += f"    <dependency>\n      <groupId>{group}</groupId>\n      <artifactId>{name}</artifactId>\n"
        listed += f"      <version>{version}</version>\n" if version else ""
        listed += f"      <scope>{scope}</scope>\n" if scope else ""
        listed += "    </dependency>\n"
    built = ""
    for one in plugins.split():
        group, name, *_ = one.split(":")
        built += f"      <plugin><groupId>{group}</groupId><artifactId>{name}</artifactId></plugin>\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n  <modelVersion>4.0.0</modelVersion>\n'
        f"  {head}\n  <groupId>com.example</groupId>\n  <artifactId>{artifact}</artifactId>\n  <version>1.0</version>\n"
        f"  <properties>{properties}</properties>\n  <dependencies>\n{listed}  </dependencies>\n"
        f"  <build><plugins>\n{built}  </plugins></build>\n  {more}\n</project>\n"
    )


BOOT_PLUGIN = "org.springframework.boot:spring-boot-maven-plugin"
WEB = "org.springframework.boot:spring-boot-starter-web"
ACTUATOR = "org.springframework.boot:spring-boot-starter-actuator"
BOOT_HEAD = BOOT_PARENT.format(version="3.4.1")
BOOT_POM = pom(WEB, head=BOOT_HEAD, properties="<java.version>21</java.version>", plugins=BOOT_PLUGIN)
APP = "src/main/java/shop/ShopApplication.java"
MAIN = "src/main/java/shop/Main.java"


def modules(*names: str) -> str:
    return "<modules>" + "".join(f"<module>{name}</module>" for name in names) + "</modules>"
