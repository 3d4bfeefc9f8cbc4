"""Programs in Java, Kotlin and Scala that are really built."""

from __future__ import annotations

from tests.detect.jvm_files import ACTUATOR, BOOT_PARENT, BOOT_PLUGIN, HTTP_SERVER, KTOR_MAIN, WEB, modules, pom
from tests.generate.stacks import Application, Applications, Files

JRE = "eclipse-temurin:17-jre"
MAVEN = ("maven:3-eclipse-temurin-17", JRE)
JDK = ("eclipse-temurin:17-jdk", JRE)
GRADLE = ("gradle:8-jdk17", JRE)
# both, because Debian's Maven brings a compiler plugin that does not know `release`
RELEASE = "<maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target>"
BOOT_MAIN = """\
package shop;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class ShopApplication {
    public static void main(String[] args) {
        SpringApplication.run(ShopApplication.class, args);
    }

    @GetMapping("/")
    String index() {
        return "one";
    }
}
"""


def boot(version: str) -> Files:
    """Spring Boot in two modules: the program, and what it uses, with a parent that holds what they share."""
    parent = "<parent><groupId>com.example</groupId><artifactId>shop</artifactId><version>1.0</version></parent>"
    return {
        "pom.xml": pom(
            head=BOOT_PARENT.format(version=version),
            properties="<java.version>17</java.version>",
            more="<packaging>pom</packaging>" + modules("words", "web"),
        ),
        "words/pom.xml": pom(artifact="words", head=parent),
        "words/src/main/java/shop/Words.java": "package shop;\n\npublic class Words {\n"
        '    public static String first() {\n        return "one";\n    }\n}\n',
        "web/pom.xml": pom(WEB, ACTUATOR, "com.example:words::1.0", artifact="web", head=parent, plugins=BOOT_PLUGIN),
        "web/src/main/java/shop/ShopApplication.java": BOOT_MAIN.replace('"one"', "Words.first()"),
        "web/src/main/resources/application.properties": "server.port=8081\n",
    }


QUARKUS_PLUGIN = """\
<plugin><groupId>io.quarkus.platform</groupId><artifactId>quarkus-maven-plugin</artifactId><version>3.15.1</version>
<extensions>true</extensions><executions><execution><goals><goal>build</goal></goals></execution></executions></plugin>
"""
QUARKUS_BOM = (
    "<dependencyManagement><dependencies><dependency><groupId>io.quarkus.platform</groupId>"
    "<artifactId>quarkus-bom</artifactId><version>3.15.1</version><type>pom</type><scope>import</scope>"
    "</dependency></dependencies></dependencyManagement>"
)
QUARKUS_MAIN = """\
package shop;

import jakarta.ws.rs.GET;
import jakarta.ws.rs.Path;

@Path("/")
public class Shop {
    @GET
    public String index() {
        return "one";
    }
}
"""
JAVALIN_MAIN = """\
package shop;

import io.javalin.Javalin;

public class Main {
    public static void main(String[] args) {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "7070"));
        Javalin.create().get("/", context -> context.result("one")).start(port);
    }
}
"""
KOTLIN_PLUGIN = """\
<plugin><groupId>org.jetbrains.kotlin</groupId><artifactId>kotlin-maven-plugin</artifactId><version>2.0.21</version>
<executions><execution><id>compile</id><goals><goal>compile</goal></goals></execution></executions>
<configuration><jvmTarget>17</jvmTarget></configuration></plugin>
"""
SHADE_PLUGIN = """\
<plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-shade-plugin</artifactId><version>3.6.0</version>
<executions><execution><phase>package</phase><goals><goal>shade</goal></goals><configuration><transformers>
<transformer implementation="org.apache.maven.plugins.shade.resource.ManifestResourceTransformer">
<mainClass>shop.ApplicationKt</mainClass></transformer>
<transformer implementation="org.apache.maven.plugins.shade.resource.ServicesResourceTransformer"/>
</transformers></configuration></execution></executions></plugin>
"""
SCALA_PLUGIN = """\
<plugin><groupId>net.alchim31.maven</groupId><artifactId>scala-maven-plugin</artifactId><version>4.9.2</version>
<executions><execution><goals><goal>compile</goal></goals></execution></executions></plugin>
"""
PEKKO_MAIN = """\
package shop

import org.apache.pekko.actor.ActorSystem
import org.apache.pekko.http.scaladsl.Http
import org.apache.pekko.http.scaladsl.server.Directives._

object Main {
  def main(args: Array[String]): Unit = {
    implicit val system: ActorSystem = ActorSystem("shop")
    val port = sys.env.getOrElse("PORT", "8080").toInt
    Http().newServerAt("0.0.0.0", port).bind(path("") { complete("one") } ~ pathSingleSlash { complete("one") })
  }
}
"""
HTTP4S_MAIN = """\
package shop

import cats.effect.{IO, IOApp}
import com.comcast.ip4s._
import org.http4s.HttpRoutes
import org.http4s.dsl.io._
import org.http4s.ember.server.EmberServerBuilder

object Main extends IOApp.Simple {
  private val routes = HttpRoutes.of[IO] { case GET -> Root => Ok("one") }
  private val port = sys.env.get("PORT").flatMap(Port.fromString).getOrElse(port"8080")

  def run: IO[Unit] =
    EmberServerBuilder.default[IO].withHost(ipv4"0.0.0.0").withPort(port).withHttpApp(routes.orNotFound).build.useForever
}
"""


def plugged(text: str, plugin: str, sources: str = "src/main/java") -> str:
    """A pom.xml with a plugin that has a configuration, and the folder of its sources."""
    head = f"<build><sourceDirectory>{sources}</sourceDirectory><plugins>\n"
    assert "<build><plugins>" in text
    return text.replace("<build><plugins>", f"{head}{plugin}", 1)


APPLICATIONS: Applications = {
    "spring boot by Maven, in modules": (MAVEN, boot("3.4.1")),
    "spring boot by Maven, of the time before its tools": (
        MAVEN,
        {
            "pom.xml": pom(
                WEB,
                head=BOOT_PARENT.format(version="2.7.18"),
                properties="<java.version>17</java.version>",
                plugins=BOOT_PLUGIN,
            ),
            "src/main/java/shop/ShopApplication.java": BOOT_MAIN,
        },
    ),
    "quarkus": (
        MAVEN,
        {
            "pom.xml": plugged(pom("io.quarkus:quarkus-rest", properties=RELEASE, more=QUARKUS_BOM), QUARKUS_PLUGIN),
            "src/main/java/shop/Shop.java": QUARKUS_MAIN,
        },
    ),
    "javalin by Maven": (
        MAVEN,
        {
            "pom.xml": pom("io.javalin:javalin::6.3.0", "org.slf4j:slf4j-simple::2.0.16", properties=RELEASE),
            "src/main/java/shop/Main.java": JAVALIN_MAIN,
        },
    ),
    "ktor by Maven": (
        MAVEN,
        {
            "pom.xml": plugged(
                pom("io.ktor:ktor-server-netty-jvm::3.0.1", properties=RELEASE),
                KOTLIN_PLUGIN + SHADE_PLUGIN,
                sources="src/main/kotlin",
            ),
            "src/main/kotlin/shop/Application.kt": KTOR_MAIN.replace(
                "port = 8081", 'port = System.getenv("PORT")?.toInt() ?: 8081'
            ),
        },
    ),
    "pekko-http by Maven": (
        MAVEN,
        {
            "pom.xml": plugged(
                pom(
                    "org.scala-lang:scala-library::2.13.15",
                    "org.apache.pekko:pekko-http_2.13::1.1.0",
                    "org.apache.pekko:pekko-stream_2.13::1.1.2",
                    properties=RELEASE,
                ),
                SCALA_PLUGIN,
                sources="src/main/scala",
            ),
            "src/main/scala/shop/Main.scala": PEKKO_MAIN,
        },
    ),
    "http4s by sbt": (
        JDK,
        {
            ".java-version": "17\n",
            "build.sbt": 'scalaVersion := "3.3.4"\n\nlibraryDependencies ++= Seq(\n'
            '  "org.http4s" %% "http4s-ember-server" % "0.23.30",\n  "org.http4s" %% "http4s-dsl" % "0.23.30"\n)\n',
            "project/build.properties": "sbt.version=1.10.7\n",
            "src/main/scala/shop/Main.scala": HTTP4S_MAIN,
        },
    ),
    "java by Gradle": (
        GRADLE,
        {
            ".java-version": "17\n",
            "settings.gradle": "rootProject.name = 'shop'\ninclude 'web'\n",
            "web/build.gradle": "apply plugin: 'java'\napply plugin: 'application'\n\nmainClassName = 'Main'\n",
            "web/src/main/java/Main.java": HTTP_SERVER,
        },
    ),
    "java, a file alone": (JDK, {".java-version": "17\n", "Main.java": HTTP_SERVER}),
    "spring boot by Gradle": Application(
        (),
        {
            "settings.gradle.kts": 'rootProject.name = "shop"\n',
            "build.gradle.kts": 'plugins {\n    java\n    id("org.springframework.boot") version "3.4.1"\n'
            '    id("io.spring.dependency-management") version "1.1.7"\n}\n\n'
            "java { toolchain { languageVersion = JavaLanguageVersion.of(17) } }\n\nrepositories { mavenCentral() }\n\n"
            'dependencies { implementation("org.springframework.boot:spring-boot-starter-web") }\n',
            "src/main/java/shop/ShopApplication.java": BOOT_MAIN,
        },
        not_built="Spring Boot's plugin wants a newer Gradle than Debian has",
    ),
    "a war on Tomcat": Application(
        (),
        {
            "pom.xml": pom(
                "jakarta.servlet:jakarta.servlet-api:provided:6.0.0",
                properties=RELEASE,
                more="<packaging>war</packaging>",
            ),
            "src/main/java/shop/Shop.java": "package shop;\n\nimport jakarta.servlet.annotation.WebServlet;\n"
            'import jakarta.servlet.http.HttpServlet;\n\n@WebServlet("/")\npublic class Shop extends HttpServlet {}\n',
            "src/main/webapp/about.html": "one",
        },
        not_built="there is no stand-in for Tomcat's image",
    ),
    "play by sbt": Application(
        (),
        {
            "build.sbt": 'lazy val root = (project in file(".")).enablePlugins(PlayScala)\nscalaVersion := "2.13.15"\n',
            "project/plugins.sbt": 'addSbtPlugin("org.playframework" % "sbt-plugin" % "3.0.6")\n',
            "project/build.properties": "sbt.version=1.10.7\n",
            "conf/routes": "GET / controllers.Home.index\n",
            "app/controllers/Home.scala": "package controllers\n\nimport play.api.mvc._\n\n// one\nclass Home {}\n",
        },
        not_built="it takes minutes; its plugin and packing are those of every build with sbt-native-packager",
    ),
}
