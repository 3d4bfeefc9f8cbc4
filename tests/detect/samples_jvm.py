"""Java, Kotlin and Scala repositories, traps included."""

from __future__ import annotations

from tests.detect.jvm_files import (
    ACTUATOR,
    APP,
    BOOT_HEAD,
    BOOT_MAIN,
    BOOT_PLUGIN,
    BOOT_POM,
    HTTP_SERVER,
    JAVA_MAIN,
    KOTLIN_BOOT,
    KTOR_MAIN,
    MAIN,
    WEB,
    WRAPPER,
    modules,
    pom,
)
from tests.detect.samples_basic import Sample, package

MAVEN: dict[str, Sample] = {
    "java: spring boot": Sample(
        {
            "pom.xml": pom(
                WEB,
                ACTUATOR,
                "org.postgresql:postgresql:runtime",
                "org.springframework.boot:spring-boot-starter-data-redis",
                head=BOOT_HEAD,
                properties="<java.version>21</java.version>",
                plugins=BOOT_PLUGIN,
            ),
            APP: BOOT_MAIN,
            "src/main/resources/application.properties": "server.port=8081\nspring.datasource.url=${DB_URL}\n",
        },
        {
            "stack": "java",
            "framework": "spring-boot",
            "package_manager": "maven",
            "language_version": "21",
            "port": 8081,
            "health_path": "/actuator/health",
            "services": ("postgresql", "redis"),
            "required_env": ("DB_URL",),
            "start_command": "SERVER_PORT=$PORT java -XX:MaxRAMPercentage=75.0 -jar app.jar",
            "build_command": "mvn --batch-mode --no-transfer-progress package -DskipTests",
        },
    ),
    "java: spring boot that follows PORT": Sample(
        {
            "pom.xml": BOOT_POM,
            APP: BOOT_MAIN,
            "src/main/resources/application.yml": "server:\n  port: ${PORT:8090}\n  servlet:\n    context-path: /shop\n"
            "spring:\n  application:\n    name: '@project.artifactId@'\n---\nspring:\n  config:\n    activate:\n"
            "      on-profile: dev\nserver:\n  port: 1\n",
        },
        {
            "port": 8090,
            "start_command": "java -XX:MaxRAMPercentage=75.0 -jar app.jar",
            "health_path": "/shop/",
        },
    ),
    "java: the production profile's port": Sample(
        {
            "pom.xml": BOOT_POM,
            APP: BOOT_MAIN,
            "src/main/resources/application.yml": "server:\n  port: 8080\n",
            "src/main/resources/application-prod.yml": "server:\n  port: 8443\n",
            "src/main/resources/application-dev.yml": "server:\n  port: 1234\n",
        },
        {"port": 8443},
    ),
    "java: spring boot by a parent in the repository": Sample(
        {
            "pom.xml": pom(
                WEB,
                artifact="parent",
                head=BOOT_HEAD,
                properties="<java.version>17</java.version>",
                more="<packaging>pom</packaging>" + modules("core", "web"),
            ),
            "core/pom.xml": pom(artifact="core", head="<parent><artifactId>parent</artifactId></parent>"),
            "core/src/main/java/shop/Core.java": "package shop;\nclass Core {}\n",
            "web/pom.xml": pom(
                "com.example:core",
                artifact="web",
                head="<parent><artifactId>parent</artifactId></parent>",
                plugins=BOOT_PLUGIN,
            ),
            "web/" + APP: BOOT_MAIN,
        },
        {
            "framework": "spring-boot",
            "language_version": "17",
            "build_command": "mvn --batch-mode --no-transfer-progress package -DskipTests --projects web --also-make",
        },
    ),
    "java: the framework comes with a module": Sample(
        {
            "pom.xml": pom(artifact="parent", more="<packaging>pom</packaging>" + modules("base", "app")),
            "base/pom.xml": pom("io.javalin:javalin", artifact="base"),
            "app/pom.xml": pom("${project.groupId}:base", artifact="app"),
            "app/" + MAIN: JAVA_MAIN % "    new Server().start(8082);\n",
        },
        {"framework": "javalin", "port": 8082},
    ),
    "java: several applications": Sample(
        {
            "pom.xml": pom(artifact="parent", head=BOOT_HEAD, more="<packaging>pom</packaging>" + modules("a", "b")),
            "a/pom.xml": pom(WEB, artifact="a", plugins=BOOT_PLUGIN),
            "a/" + APP: BOOT_MAIN,
            "b/pom.xml": pom(WEB, artifact="b", plugins=BOOT_PLUGIN),
            "b/" + APP: BOOT_MAIN,
        },
        {"stack": "java", "framework": "spring-boot"},
    ),
    "java: another of several applications": Sample(
        {
            "pom.xml": pom(artifact="parent", head=BOOT_HEAD, more="<packaging>pom</packaging>" + modules("a", "b")),
            "a/pom.xml": pom(WEB, artifact="a", plugins=BOOT_PLUGIN),
            "a/" + APP: BOOT_MAIN,
            "b/pom.xml": pom(WEB, artifact="b", plugins=BOOT_PLUGIN),
            "b/" + APP: BOOT_MAIN,
        },
        {"build_command": "mvn --batch-mode --no-transfer-progress package -DskipTests --projects b --also-make"},
        {"start_command": "b"},
    ),
    "java: only a BOM names it": Sample(
        {
            "pom.xml": pom(
                more="<dependencyManagement><dependencies><dependency><groupId>org.springframework.boot</groupId>"
                "<artifactId>spring-boot-dependencies</artifactId><version>3.1.0</version><scope>import</scope>"
                "</dependency></dependencies></dependencyManagement>"
            ),
            MAIN: JAVA_MAIN % "",
        },
        {"framework": "spring-boot"},
    ),
    "java: coordinates by properties": Sample(
        {
            "pom.xml": pom(
                "${web.group}:${web.artifact}",
                properties="<web.group>io.javalin</web.group><web.artifact>javalin</web.artifact>"
                "<maven.compiler.release>${jdk}</maven.compiler.release><jdk>11</jdk>",
            ),
            MAIN: JAVA_MAIN % "    Javalin.create().start(7070);\n",
        },
        {
            "framework": "javalin",
            "port": 7070,
            "language_version": "11",
            "start_command": "java -XX:MaxRAMPercentage=75.0 -cp 'classes:lib/*' shop.Main",
        },
    ),
    "java: quarkus with names of Spring": Sample(
        {
            "pom.xml": pom(
                "io.quarkus:quarkus-spring-web",
                "io.quarkus:quarkus-smallrye-health",
                "io.quarkus:quarkus-jdbc-postgresql",
                plugins="io.quarkus.platform:quarkus-maven-plugin",
            ),
            "src/main/java/shop/Shop.java": "package shop;\nimport org.springframework.web.bind.annotation.*;\n",
            "src/main/resources/application.properties": "quarkus.http.port=8084\n%dev.quarkus.http.port=1\n",
        },
        {
            "stack": "java",
            "framework": "quarkus",
            "port": 8084,
            "health_path": "/q/health",
            "services": ("postgresql",),
            "start_command": "QUARKUS_HTTP_PORT=$PORT java -XX:MaxRAMPercentage=75.0 -jar quarkus-run.jar",
        },
    ),
    "java: micronaut": Sample(
        {
            "pom.xml": pom(
                "io.micronaut:micronaut-http-server-netty",
                "io.micronaut:micronaut-management",
                plugins="io.micronaut.maven:micronaut-maven-plugin",
            ),
            "src/main/java/shop/Application.java": JAVA_MAIN % "    Micronaut.run(Application.class);\n",
            "src/main/resources/application.yml": "micronaut:\n  server:\n    port: ${MICRONAUT_PORT:8085}\n",
        },
        {"framework": "micronaut", "port": 8085, "health_path": "/health"},
    ),
    "java: helidon": Sample(
        {
            "pom.xml": pom(
                "io.helidon.webserver:helidon-webserver",
                head="<parent><groupId>io.helidon.applications</groupId><artifactId>helidon-se</artifactId></parent>",
                properties="<mainClass>shop.Main</mainClass>",
            ),
            MAIN: JAVA_MAIN % "",
            "src/main/resources/application.yaml": "server:\n  port: 8086\n",
        },
        {"framework": "helidon", "port": 8086},
    ),
    "java: dropwizard": Sample(
        {
            "pom.xml": pom("io.dropwizard:dropwizard-core", plugins="org.apache.maven.plugins:maven-shade-plugin"),
            MAIN: JAVA_MAIN % "",
            "config.yml": "server:\n  applicationConnectors:\n    - type: http\n      port: ${PORT:-8087}\n",
        },
        {
            "framework": "dropwizard",
            "start_command": "java -XX:MaxRAMPercentage=75.0 -jar app.jar server config.yml",
        },
    ),
    "java: vert.x": Sample(
        {
            "pom.xml": pom("io.vertx:vertx-web", plugins="org.apache.maven.plugins:maven-shade-plugin"),
            "src/main/java/shop/MainVerticle.java": "package shop;\nimport io.vertx.core.AbstractVerticle;\n"
            "public class MainVerticle extends AbstractVerticle {\n  public void start() {\n"
            '    vertx.createHttpServer().requestHandler(r -> r.response().end("one")).listen(8888);\n  }\n}\n',
        },
        {"framework": "vert.x", "port": 8888},
    ),
    "java: a war of Spring": Sample(
        {
            "pom.xml": pom(
                "org.springframework:spring-webmvc",
                "javax.servlet:javax.servlet-api:provided",
                more="<packaging>war</packaging>",
                properties="<java.version>1.8</java.version>",
            ),
            "src/main/java/shop/Controller.java": "package shop;\nimport javax.servlet.http.HttpServletRequest;\n",
            "src/main/webapp/index.html": "<p>one</p>",
            "src/main/webapp/WEB-INF/web.xml": "<web-app/>",
        },
        {"stack": "java", "framework": "spring", "port": 8080, "language_version": "8"},
    ),
    "java: a war of Jakarta EE": Sample(
        {
            "pom.xml": pom("jakarta.platform:jakarta.jakartaee-api:provided:10.0.0", more="<packaging>war</packaging>"),
            "src/main/java/shop/Api.java": "package shop;\nimport jakarta.ws.rs.Path;\n",
        },
        {"stack": "java", "framework": "jakarta-ee"},
    ),
    "java: a war of servlets": Sample(
        {
            "pom.xml": pom("jakarta.servlet:jakarta.servlet-api:provided:6.1.0", more="<packaging>war</packaging>"),
            "src/main/java/shop/Shop.java": "package shop;\nimport jakarta.servlet.http.HttpServlet;\n",
        },
        {"framework": "jakarta-ee"},
    ),
    "java: the servlet interface in a program is no framework": Sample(
        {
            "pom.xml": pom("org.eclipse.jetty:jetty-server", "jakarta.servlet:jakarta.servlet-api"),
            MAIN: "package shop;\nimport org.eclipse.jetty.server.Server;\nimport jakarta.servlet.Servlet;\n"
            + (JAVA_MAIN % "    new Server(8089).start();\n").partition("\n")[2],
        },
        {"framework": None, "port": 8089},
    ),
    "java: a look-alike, and a test's dependency": Sample(
        {
            "pom.xml": pom("com.example:spring-boot-starter-web", "io.javalin:javalin-testtools:test"),
            MAIN: JAVA_MAIN % "",
        },
        {"stack": "java", "framework": None},
    ),
    "java: a commented dependency": Sample(
        {
            "pom.xml": pom("com.example:x", more=f"<!-- {BOOT_HEAD} {WEB} -->"),
            MAIN: JAVA_MAIN % "",
        },
        {"framework": None},
    ),
    "java: imports decide where a parent is elsewhere": Sample(
        {
            "pom.xml": pom(head="<parent><groupId>corp</groupId><artifactId>base</artifactId></parent>"),
            APP: BOOT_MAIN,
        },
        {"framework": "spring-boot"},
    ),
    "java: struts is none of ours": Sample(
        {
            "pom.xml": pom(
                "org.apache.struts:struts2-core",
                "javax.servlet:javax.servlet-api:provided",
                more="<packaging>war</packaging>",
            ),
            "src/main/java/shop/Action.java": "package shop;\nclass Action {}\n",
        },
        {"stack": "java", "framework": None},
    ),
    "java: a pom in YAML": Sample(
        {
            "pom.yml": "modelVersion: 4.0.0\nartifactId: shop\ndependencies:\n"
            "  - {groupId: io.javalin, artifactId: javalin}\n",
            MAIN: JAVA_MAIN % "",
        },
        {"package_manager": "maven", "framework": "javalin"},
    ),
    "java: entities are refused": Sample(
        {
            "pom.xml": '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n'
            "<project><artifactId>&b;</artifactId></project>",
            APP: BOOT_MAIN,
        },
        {"stack": "java", "framework": "spring-boot", "package_manager": "maven"},
    ),
    "java: a broken pom": Sample(
        {"pom.xml": "<project><dependencies>", APP: BOOT_MAIN},
        {"stack": "java", "framework": "spring-boot", "package_manager": "maven"},
    ),
    "java: UTF-16 and CRLF": Sample(
        {
            "pom.xml": BOOT_POM.replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16"),
            APP: BOOT_MAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        },
        {"stack": "java", "framework": "spring-boot", "language_version": "21"},
    ),
    "java: modules that lead out, to themselves, nowhere": Sample(
        {
            "pom.xml": pom(WEB, head=BOOT_HEAD, plugins=BOOT_PLUGIN, more=modules("..", ".", "none", "../../etc")),
            APP: BOOT_MAIN,
        },
        {"framework": "spring-boot"},
    ),
    "java: a front end at the root": Sample(
        {
            "pom.xml": BOOT_POM,
            APP: BOOT_MAIN,
            "package.json": package(
                {"@angular/core": "18", "react": "18"},
                scripts={"start": "ng serve", "build": "ng build"},
            ),
            "index.html": "",
        },
        {"stack": "java", "framework": "spring-boot"},
    ),
    "java: a front end in a folder": Sample(
        {
            "pom.xml": BOOT_POM,
            APP: BOOT_MAIN,
            "frontend/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
            "frontend/index.html": "",
        },
        {"stack": "java", "framework": "spring-boot", "root": "."},
    ),
    "java: a back end in a folder": Sample(
        {
            "backend/pom.xml": BOOT_POM,
            "backend/" + APP: BOOT_MAIN,
            "frontend/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
        },
        {"stack": "java", "framework": "spring-boot", "root": "backend"},
    ),
    "java: the Procfile's command": Sample(
        {
            "pom.xml": pom("com.sparkjava:spark-core", plugins="org.apache.maven.plugins:maven-shade-plugin"),
            MAIN: JAVA_MAIN % "    port(4567);\n",
            "Procfile": "web: java $JAVA_OPTS -Dserver.port=$PORT -jar target/shop-1.0.jar\n",
            "system.properties": "java.runtime.version=17\n",
        },
        {
            "framework": None,
            "language_version": "17",
            "start_command": "java $JAVA_OPTS -Dserver.port=$PORT -jar app.jar",
        },
    ),
    "java: the Procfile's class path": Sample(
        {
            "pom.xml": pom("com.sparkjava:spark-core"),
            MAIN: JAVA_MAIN % "    port(4567);\n",
            "Procfile": "web: java -cp target/classes:target/dependency/* shop.Main\n",
        },
        {"start_command": "java -cp 'classes:lib/*' shop.Main"},
    ),
    "java: the Procfile's own script of a build": Sample(
        {
            "pom.xml": pom("com.sparkjava:spark-core"),
            MAIN: JAVA_MAIN % "    port(4567);\n",
            "Procfile": "web: target/start shop.Main\n",
        },
        {"start_command": "java -XX:MaxRAMPercentage=75.0 -cp 'classes:lib/*' shop.Main"},
    ),
    "java: the Procfile's class path, quoted": Sample(
        {
            "pom.xml": pom("com.sparkjava:spark-core"),
            MAIN: JAVA_MAIN % "    port(4567);\n",
            "Procfile": 'web: java -Xmx300m -cp "target/classes:target/dependency/*" shop.Main --port $PORT\n',
        },
        {"start_command": "java -Xmx300m -cp 'classes:lib/*' shop.Main --port $PORT"},
    ),
    "java: versions of files": Sample(
        {"pom.xml": pom("io.javalin:javalin"), MAIN: JAVA_MAIN % "", ".sdkmanrc": "# x\njava=17.0.9-tem\n"},
        {"language_version": "17"},
    ),
    "java: a version between two": Sample(
        {
            "pom.xml": pom("io.javalin:javalin", properties="<maven.compiler.source>18</maven.compiler.source>"),
            MAIN: JAVA_MAIN % "",
        },
        {"language_version": "21"},
    ),
    "kotlin: spring boot by Maven": Sample(
        {
            "pom.xml": pom(WEB, head=BOOT_HEAD, plugins=f"{BOOT_PLUGIN} org.jetbrains.kotlin:kotlin-maven-plugin"),
            "src/main/kotlin/shop/Shop.kt": KOTLIN_BOOT,
        },
        {"stack": "kotlin", "framework": "spring-boot", "package_manager": "maven"},
    ),
    "scala: http4s by Maven": Sample(
        {
            "pom.xml": pom(
                "org.http4s:http4s-ember-server_2.13",
                "org.http4s:http4s-dsl_2.13",
                plugins="net.alchim31.maven:scala-maven-plugin",
            ),
            "src/main/scala/shop/Main.scala": "package shop\nimport cats.effect._\n"
            'object Main extends IOApp.Simple {\n  val port = port"8091"\n}\n',
        },
        {"stack": "scala", "framework": "http4s", "package_manager": "maven", "port": 8091},
    ),
}

GRADLE: dict[str, Sample] = {
    "java: spring boot by Gradle": Sample(
        {
            "build.gradle": "plugins {\n  id 'java'\n  id 'org.springframework.boot' version '3.3.0'\n}\n\n"
            "java { toolchain { languageVersion = JavaLanguageVersion.of(17) } }\n\ndependencies {\n"
            "  implementation 'org.springframework.boot:spring-boot-starter-web'\n"
            "  testImplementation 'io.javalin:javalin:6.0.0'\n  // implementation 'io.quarkus:quarkus-rest'\n}\n",
            "settings.gradle": "rootProject.name = 'shop'\n",
            APP: BOOT_MAIN,
        },
        {
            "stack": "java",
            "framework": "spring-boot",
            "package_manager": "gradle",
            "language_version": "17",
            "build_command": "gradle --no-daemon bootJar",
        },
    ),
    "java: the Kotlin notation is not Kotlin": Sample(
        {
            "build.gradle.kts": 'plugins {\n  java\n  id("org.springframework.boot") version "3.3.0"\n}\n'
            'dependencies { implementation("org.springframework.boot:spring-boot-starter-web") }\n',
            "settings.gradle.kts": "",
            APP: BOOT_MAIN,
            "gradlew": "#!/bin/sh\n",
            "gradle/wrapper/gradle-wrapper.jar": b"\0PK",
            "gradle/wrapper/gradle-wrapper.properties": WRAPPER,
        },
        {"stack": "java", "framework": "spring-boot", "build_command": "./gradlew --no-daemon bootJar"},
    ),
    "java: a wrapper without its jar": Sample(
        {
            "build.gradle": "plugins { id 'application' }\napplication { mainClass = 'shop.Main' }\n",
            MAIN: JAVA_MAIN % "",
            "gradlew": "#!/bin/sh\n",
            "gradle/wrapper/gradle-wrapper.properties": WRAPPER,
        },
        {"build_command": "gradle --no-daemon installDist"},
    ),
    "java: an old Gradle, no version": Sample(
        {
            "build.gradle": "plugins { id 'application' }\n",
            MAIN: JAVA_MAIN % "",
            "gradlew": "#!/bin/sh\n",
            "gradle/wrapper/gradle-wrapper.jar": b"\0PK",
            "gradle/wrapper/gradle-wrapper.properties": WRAPPER.replace("8.10.2", "7.4"),
        },
        {"language_version": "17"},
    ),
    "java: the old way to apply a plugin": Sample(
        {
            "build.gradle": "buildscript {\n  ext { bootVersion = '2.1.0.RELEASE' }\n  dependencies {\n"
            '    classpath("org.springframework.boot:spring-boot-gradle-plugin:${bootVersion}")\n  }\n}\n'
            "apply plugin: 'java'\napply plugin: 'org.springframework.boot'\nsourceCompatibility = 1.8\n"
            "dependencies {\n  compile('org.springframework.boot:spring-boot-starter-web') {\n"
            "    exclude module: 'spring-boot-starter-tomcat'\n  }\n}\n",
            APP: BOOT_MAIN,
        },
        {"framework": "spring-boot", "language_version": "8"},
    ),
    "kotlin: ktor by a catalog": Sample(
        {
            "settings.gradle.kts": 'rootProject.name = "shop"\n',
            "build.gradle.kts": "plugins {\n  alias(libs.plugins.kotlin.jvm)\n  alias(libs.plugins.ktor)\n}\n"
            'application { mainClass.set("shop.ApplicationKt") }\nkotlin { jvmToolchain(21) }\n'
            "dependencies {\n  implementation(libs.bundles.ktor.server)\n}\n",
            "gradle/libs.versions.toml": '[versions]\nktor = "3.0.0"\n[libraries]\n'
            'ktor-server-core = { module = "io.ktor:ktor-server-core", version.ref = "ktor" }\n'
            'ktor_server_netty = { group = "io.ktor", name = "ktor-server-netty", version.ref = "ktor" }\n'
            '[bundles]\nktor-server = ["ktor-server-core", "ktor_server_netty"]\n[plugins]\n'
            'ktor = { id = "io.ktor.plugin", version.ref = "ktor" }\n'
            'kotlin-jvm = { id = "org.jetbrains.kotlin.jvm", version = "2.0.0" }\n',
            "src/main/kotlin/shop/Application.kt": KTOR_MAIN,
        },
        {
            "stack": "kotlin",
            "framework": "ktor",
            "package_manager": "gradle",
            "port": 8081,
            "health_path": "/health",
            "start_command": "JAVA_OPTS=-XX:MaxRAMPercentage=75.0 ./bin/app",
        },
    ),
    "kotlin: ktor by its configuration": Sample(
        {
            "build.gradle.kts": 'plugins { kotlin("jvm") version "2.0.0"; application }\n'
            'val ktor_version: String by project\napplication { mainClass = "io.ktor.server.netty.EngineMain" }\n'
            'dependencies { implementation("io.ktor:ktor-server-netty-jvm:$ktor_version") }\n',
            "gradle.properties": "ktor_version=3.0.0\n",
            "src/main/kotlin/Application.kt": "import io.ktor.server.application.Application\n"
            "fun main(args: Array<String>) = io.ktor.server.netty.EngineMain.main(args)\n",
            "src/main/resources/application.conf": "ktor {\n  deployment {\n    port = 8092\n    port = ${?PORT}\n  }\n"
            "  secret = ${JWT_SECRET}\n}\n",
        },
        {
            "framework": "ktor",
            "port": 8092,
            "required_env": ("JWT_SECRET",),
            "start_command": "JAVA_OPTS=-XX:MaxRAMPercentage=75.0 ./bin/app",
        },
    ),
    "kotlin: a client of ktor is no server": Sample(
        {
            "build.gradle.kts": 'plugins { kotlin("jvm") }\ndependencies {\n'
            '  implementation("io.ktor:ktor-client-core:3.0.0")\n  implementation("io.javalin:javalin:6.3.0")\n}\n',
            "src/main/kotlin/Main.kt": "import io.javalin.Javalin\nfun main() {\n    Javalin.create().start(7000)\n}\n",
        },
        {"stack": "kotlin", "framework": "javalin", "port": 7000},
    ),
    "kotlin: http4k": Sample(
        {
            "build.gradle": "plugins { id 'org.jetbrains.kotlin.jvm' version '2.0.0'; id 'application' }\n"
            'dependencies {\n  implementation platform("org.http4k:http4k-bom:5.0.0.0")\n'
            '  implementation "org.http4k:http4k-core"\n  implementation "org.http4k:http4k-server-undertow"\n}\n',
            "src/main/kotlin/shop/Main.kt": "package shop\nimport org.http4k.server.asServer\nfun main() {\n"
            "    app.asServer(Undertow(9001)).start()\n}\n",
        },
        {"stack": "kotlin", "framework": "http4k", "port": 9001},
    ),
    "kotlin: beside a class of Java": Sample(
        {
            "build.gradle.kts": 'plugins { id("org.springframework.boot") version "3.3.0"; kotlin("jvm") }\n',
            "src/main/kotlin/shop/Shop.kt": KOTLIN_BOOT,
            "src/main/java/shop/Old.java": "package shop;\nclass Old {}\n",
        },
        {"stack": "kotlin", "framework": "spring-boot"},
    ),
    "java: beside a class of Kotlin": Sample(
        {
            "build.gradle.kts": 'plugins { id("org.springframework.boot") version "3.3.0"; kotlin("jvm") }\n',
            APP: BOOT_MAIN,
            "src/main/kotlin/shop/New.kt": "package shop\ndata class New(val x: Int)\n",
        },
        {"stack": "java", "framework": "spring-boot"},
    ),
    "java: tests in Kotlin": Sample(
        {
            "build.gradle.kts": 'plugins { id("org.springframework.boot") version "3.3.0"; kotlin("jvm") }\n',
            APP: BOOT_MAIN,
            "src/test/kotlin/shop/ShopTest.kt": KOTLIN_BOOT,
        },
        {"stack": "java"},
    ),
    "java: subprojects, a convention plugin, a type-safe name": Sample(
        {
            "settings.gradle.kts": 'include("core", ":services:orders")\n',
            "build.gradle.kts": 'subprojects {\n  apply(plugin = "java")\n}\n',
            "buildSrc/build.gradle.kts": "plugins { `kotlin-dsl` }\n",
            "buildSrc/src/main/kotlin/shop.service.gradle.kts": 'plugins { java; id("org.springframework.boot") }\n'
            'dependencies { implementation("org.springframework.boot:spring-boot-starter-web:3.3.0") }\n',
            "core/build.gradle.kts": 'plugins { `java-library` }\ndependencies { api("com.example:x:1") }\n',
            "core/src/main/java/shop/Core.java": "package shop;\nclass Core {}\n",
            "services/orders/build.gradle.kts": 'plugins { id("shop.service") }\n'
            "dependencies { implementation(projects.core) }\n",
            "services/orders/" + APP: BOOT_MAIN,
        },
        {"framework": "spring-boot", "build_command": "gradle --no-daemon :services:orders:bootJar"},
    ),
    "java: dependencies of all subprojects": Sample(
        {
            "settings.gradle": "include 'api', 'app'\nproject(':app').projectDir = file('server/app')\n",
            "build.gradle": "subprojects {\n  apply plugin: 'java'\n  dependencies {\n"
            "    implementation group: 'io.javalin', name: 'javalin', version: '6.3.0'\n  }\n}\n"
            "project(':app') { apply plugin: 'application' }\n",
            "api/src/main/java/shop/Api.java": "package shop;\ninterface Api {}\n",
            "server/app/" + MAIN: JAVA_MAIN % "    Javalin.create().start(7071);\n",
        },
        {"framework": "javalin", "port": 7071, "build_command": "gradle --no-daemon :server:app:installDist"},
    ),
    "java: settings alone": Sample(
        {
            "settings.gradle": "include 'app'\n",
            "app/build.gradle": "plugins { id 'io.quarkus' }\ndependencies {\n"
            '  implementation enforcedPlatform("io.quarkus.platform:quarkus-bom:3.15.1")\n'
            "  implementation 'io.quarkus:quarkus-rest'\n}\n",
            "app/src/main/java/shop/Shop.java": "package shop;\nimport jakarta.ws.rs.Path;\nclass Shop {}\n",
        },
        {"framework": "quarkus", "build_command": "gradle --no-daemon :app:quarkusBuild"},
    ),
    "java: micronaut by Gradle": Sample(
        {
            "build.gradle": 'plugins {\n  id("io.micronaut.application") version "4.4.0"\n}\n'
            'application { mainClass = "shop.Main" }\nmicronaut { runtime("netty") }\n',
            MAIN: JAVA_MAIN % "",
        },
        {
            "framework": "micronaut",
            "start_command": "JAVA_OPTS=-XX:MaxRAMPercentage=75.0 MICRONAUT_SERVER_PORT=$PORT ./bin/app",
        },
    ),
    "java: a war by Gradle": Sample(
        {
            "build.gradle": "apply plugin: 'war'\ndependencies {\n"
            "  providedCompile 'jakarta.servlet:jakarta.servlet-api:6.0.0'\n}\n",
            "src/main/java/shop/Shop.java": "package shop;\nimport jakarta.servlet.http.HttpServlet;\n",
        },
        {"framework": "jakarta-ee", "build_command": "gradle --no-daemon war"},
    ),
    "java: grails is none of ours": Sample(
        {
            "build.gradle": "plugins { id 'org.grails.grails-web' }\ndependencies {\n"
            "  implementation 'org.springframework.boot:spring-boot-starter-tomcat'\n"
            "  implementation 'org.grails:grails-core'\n}\n",
            "grails-app/init/shop/Application.groovy": "package shop\nclass Application {\n"
            "  static void main(String[] args) { }\n}\n",
        },
        {"stack": "java", "framework": None, "package_manager": "gradle"},
    ),
    "kotlin: an application for Android": Sample(
        {
            "build.gradle.kts": "plugins { alias(libs.plugins.android.application) apply false }\n",
            "settings.gradle.kts": 'include(":app")\n',
            "gradle/libs.versions.toml": '[plugins]\nandroid-application = "com.android.application:8.1"\n',
            "app/build.gradle.kts": "plugins { alias(libs.plugins.android.application) }\n",
            "app/src/main/kotlin/shop/MainActivity.kt": "package shop\nclass MainActivity\n",
        },
        {"stack": "kotlin", "framework": None, "package_manager": "gradle"},
    ),
    "java: Gradle's wrapper alone": Sample(
        {"gradlew": "#!/bin/sh\n", "app/build.gradle": "plugins { id 'application' }\n", "app/" + MAIN: JAVA_MAIN % ""},
        {"stack": "java", "package_manager": "gradle", "build_command": "gradle --no-daemon :app:installDist"},
    ),
    "kotlin: a version from the catalog": Sample(
        {
            "build.gradle.kts": 'plugins { kotlin("jvm"); application }\n'
            "kotlin { jvmToolchain(libs.versions.java.toolchain.get().toInt()) }\n",
            "gradle/libs.versions.toml": '[versions]\njava-toolchain = "17"\n',
            "src/main/kotlin/Main.kt": "fun main() = println(1)\n",
        },
        {"stack": "kotlin", "language_version": "17"},
    ),
    "scala: JSON of play is not play": Sample(
        {
            "build.sbt": 'libraryDependencies += "org.playframework" %% "play-json" % "3.0.4"\n',
            "src/main/scala/Main.scala": "import play.api.libs.json.Json\nobject Main extends App {}\n",
        },
        {"stack": "scala", "framework": None},
    ),
    "java: metrics of dropwizard are not dropwizard": Sample(
        {"pom.xml": pom("io.dropwizard.metrics:metrics-core", "io.vertx:vertx-web"), MAIN: JAVA_MAIN % ""},
        {"framework": "vert.x"},
    ),
    "java: a script that does not close": Sample(
        {
            "build.gradle": "plugins { id 'org.springframework.boot'\ndependencies { implementation(\"io.javalin:",
            APP: BOOT_MAIN,
        },
        {"stack": "java", "framework": "spring-boot"},
    ),
}

SBT: dict[str, Sample] = {
    "scala: play": Sample(
        {
            "build.sbt": 'name := "shop"\nlazy val root = (project in file(".")).enablePlugins(PlayScala)\n'
            'scalaVersion := "2.13.14"\nlibraryDependencies += guice\n',
            "project/plugins.sbt": 'addSbtPlugin("org.playframework" % "sbt-plugin" % "3.0.5")\n',
            "project/build.properties": "sbt.version=1.10.1\n",
            "app/controllers/Home.scala": "package controllers\nimport play.api.mvc._\nclass Home {}\n",
            "conf/application.conf": 'play.http.secret.key = "x"\nplay.http.secret.key = ${?APPLICATION_SECRET}\n',
        },
        {
            "stack": "scala",
            "framework": "play",
            "package_manager": "sbt",
            "port": 9000,
            "build_command": "sbt stage",
            "start_command": "JAVA_OPTS=-XX:MaxRAMPercentage=75.0 ./bin/app -Dhttp.port=$PORT"
            ' -Dpidfile.path=/dev/null -Dplay.http.secret.key="$APPLICATION_SECRET"',
        },
    ),
    "java: play in Java": Sample(
        {
            "build.sbt": 'lazy val root = project.in(file(".")).enablePlugins(PlayJava)\n',
            "project/plugins.sbt": 'addSbtPlugin("com.typesafe.play" % "sbt-plugin" % "2.8.20")\n',
            "app/controllers/Home.java": "package controllers;\nimport play.mvc.Controller;\n"
            "public class Home extends Controller {}\n",
        },
        {"stack": "java", "framework": "play", "package_manager": "sbt"},
    ),
    "scala: http4s, versions elsewhere": Sample(
        {
            "build.sbt": 'val Http4sVersion = "0.23.30"\nlazy val root = (project in file("."))\n  .settings(\n'
            '    libraryDependencies ++= Seq(\n      "org.http4s" %% "http4s-ember-server" % Http4sVersion,\n'
            '      "org.http4s" %% "http4s-dsl" % Http4sVersion,\n      "dev.zio" %% "zio-http" % "3.0.0" % Test\n'
            "    )\n  )\n",
            "project/plugins.sbt": 'addSbtPlugin("com.eed3si9n" % "sbt-assembly" % "2.3.0")\n',
            "src/main/scala/shop/Main.scala": "package shop\nimport cats.effect.IOApp\nimport com.comcast.ip4s._\n"
            'object Main extends IOApp.Simple {\n  val where = (ipv4"0.0.0.0", port"8093")\n}\n',
        },
        {"stack": "scala", "framework": "http4s", "port": 8093, "build_command": "sbt assembly"},
    ),
    "scala: zio-http": Sample(
        {
            "build.sbt": 'libraryDependencies += "dev.zio" %% "zio-http" % "3.0.1"\n',
            "src/main/scala/Main.scala": "import zio._\nimport zio.http._\nobject Main extends ZIOAppDefault {\n"
            "  val run = Server.serve(routes).provide(Server.defaultWithPort(8094))\n}\n",
        },
        {
            "stack": "scala",
            "framework": "zio-http",
            "port": 8094,
            "start_command": "java -XX:MaxRAMPercentage=75.0 -cp 'classes:lib/*' Main",
        },
    ),
    "scala: akka-http from Dependencies.scala": Sample(
        {
            "build.sbt": 'import Dependencies._\nlazy val root = (project in file(".")).settings(\n'
            "  libraryDependencies ++= backend\n).enablePlugins(JavaAppPackaging)\n",
            "project/Dependencies.scala": "import sbt._\nobject Dependencies {\n"
            '  val akkaHttp = "com.typesafe.akka" %% "akka-http" % "10.2.10"\n'
            '  val other = "com.typesafe.akka" %% "akka-stream" % "2.6.20"\n  val backend = Seq(akkaHttp, other)\n}\n',
            "project/plugins.sbt": 'addSbtPlugin("com.github.sbt" % "sbt-native-packager" % "1.10.4")\n',
            "src/main/scala/shop/Boot.scala": "package shop\nobject Boot extends App {\n"
            '  Http().newServerAt("0.0.0.0", 8095).bind(route)\n}\n',
        },
        {"stack": "scala", "framework": "akka-http", "port": 8095, "build_command": "sbt stage"},
    ),
    "scala: pekko-http in one of several projects": Sample(
        {
            "build.sbt": 'lazy val core = project\nlazy val server = (project in file("server"))\n  .dependsOn(core)\n'
            '  .settings(libraryDependencies += "org.apache.pekko" %% "pekko-http" % "1.1.0")\n',
            "core/src/main/scala/shop/Core.scala": "package shop\nclass Core\n",
            "server/src/main/scala/shop/Main.scala": "package shop\n@main def serve(): Unit = println(1)\n",
        },
        {
            "stack": "scala",
            "framework": "pekko-http",
            "start_command": "java -XX:MaxRAMPercentage=75.0 -cp 'classes:lib/*' shop.serve",
        },
    ),
    "scala: pekko-http by Gradle": Sample(
        {
            "build.gradle": "plugins { id 'scala'; id 'application' }\ndependencies {\n"
            "  implementation 'org.apache.pekko:pekko-http_3:1.1.0'\n}\n",
            "src/main/scala/Main.scala": "object Main extends App {}\n",
        },
        {"stack": "scala", "framework": "pekko-http", "package_manager": "gradle"},
    ),
}

SOURCES: dict[str, Sample] = {
    "java: a file alone": Sample(
        {"Main.java": HTTP_SERVER},
        {
            "stack": "java",
            "framework": None,
            "package_manager": None,
            "port": 9090,
            "start_command": "java -XX:MaxRAMPercentage=75.0 -cp 'classes:lib/*' Main",
        },
    ),
    "java: sources in packages alone": Sample(
        {
            "src/shop/web/Server.java": "package shop.web;\n" + HTTP_SERVER.replace("class Main", "class Server"),
            "src/shop/Data.java": "package shop;\npublic class Data {}\n",
            "README.md": "",
        },
        {
            "stack": "java",
            "start_command": "java -XX:MaxRAMPercentage=75.0 -cp 'classes:lib/*' shop.web.Server",
        },
    ),
    "java: by Ant": Sample(
        {
            "build.xml": "<project/>\n",
            "src/shop/Shop.java": "package shop;\nimport javax.servlet.http.HttpServlet;\npublic class Shop {}\n",
            "WebContent/WEB-INF/web.xml": "<web-app/>",
            "WebContent/index.html": "",
        },
        {"stack": "java", "package_manager": None, "facts": None},
    ),
    "java: a script of JBang": Sample(
        {
            "shop.java": "//DEPS io.javalin:javalin:6.3.0\nimport io.javalin.Javalin;\n" + JAVA_MAIN % "",
        },
        {"stack": "java", "framework": "javalin", "facts": None},
    ),
    "java: a library's sources": Sample(
        {"src/shop/Data.java": "package shop;\npublic class Data {}\n", "README.md": ""},
        {"stack": "java", "framework": None, "facts": None},
    ),
    "kotlin: a module called demo, and an example": Sample(
        {
            "settings.gradle.kts": 'include("demo")\n',
            "demo/build.gradle.kts": 'plugins { id("org.springframework.boot"); kotlin("jvm") }\n',
            "demo/src/main/kotlin/shop/Shop.kt": KOTLIN_BOOT,
            "examples/Main.java": HTTP_SERVER,
        },
        {"stack": "kotlin", "framework": "spring-boot", "build_command": "gradle --no-daemon :demo:bootJar"},
    ),
    "java: the only folder is called demo": Sample(
        {"README.md": "", "demo/pom.xml": BOOT_POM, "demo/" + APP: BOOT_MAIN},
        {"stack": "java", "framework": "spring-boot", "root": "demo"},
    ),
    "kotlin: sources alone": Sample(
        {"Main.kt": 'fun main() {\n    println("one")\n}\n'}, {"stack": "kotlin", "package_manager": None}
    ),
    "java: a mobile front end has a build of its own": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "server.js": "require('express')().listen(3000)\n",
            "android/build.gradle": "apply plugin: 'com.android.application'\n",
            "android/app/src/main/java/shop/MainActivity.java": "package shop;\nclass MainActivity {}\n",
        },
        {"stack": "node", "framework": "express"},
    ),
}

JVM: dict[str, Sample] = {**MAVEN, **GRADLE, **SBT, **SOURCES}
