"""Frameworks of Java, Kotlin and Scala: rows are found by dependency, by plugin of the build, by what sources import.

``packages`` are ``group:artifact``; ``group`` alone means all of it, ``group.*`` the groups beneath as well, and an
artifact may end with ``*``. Identifiers of Gradle plugins have no colon and stand in ``plugins``.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.detect.frameworks.model import Framework


@dataclass(frozen=True, slots=True)
class JvmFramework(Framework):
    """A row with what only builds of the JVM have."""

    plugins: tuple[str, ...] = ()  # plugins of the build: Gradle's ids, Maven's and sbt's group:artifact
    imports: tuple[str, ...] = ()  # packages, with their last dot
    named: bool = True  # whether it is an answer; the others only keep a lesser row from being one


def _jvm(
    name: str,
    *packages: str,
    weight: int,
    port: int = 8080,
    plugins: tuple[str, ...] = (),
    imports: tuple[str, ...] = (),
    supersedes: tuple[str, ...] = (),
    named: bool = True,
) -> JvmFramework:
    return JvmFramework(
        name,
        "java",
        packages,
        supersedes=supersedes,
        port=port,
        weight=weight,
        plugins=plugins,
        imports=imports,
        named=named,
    )


_BENEATH = ("spring", "vert.x", "jakarta-ee", "akka-http", "pekko-http")  # what others are built of

JVM: tuple[JvmFramework, ...] = (
    _jvm(
        "quarkus",
        "io.quarkus",
        "io.quarkus.platform:quarkus-bom",
        weight=62,
        plugins=(
            "io.quarkus",
            "io.quarkus:quarkus-maven-plugin",
            "io.quarkus.platform:quarkus-maven-plugin",
            "com.redhat.quarkus.platform:quarkus-maven-plugin",
        ),
        imports=("io.quarkus.",),
        supersedes=(*_BENEATH, "spring-boot"),
    ),
    _jvm(
        "micronaut",
        "io.micronaut.*",
        weight=61,
        plugins=(
            *("io.micronaut.application", "io.micronaut.minimal.application", "io.micronaut.library"),
            *("io.micronaut.build:micronaut-maven-plugin", "io.micronaut.maven:micronaut-maven-plugin"),
        ),
        imports=("io.micronaut.",),
        supersedes=_BENEATH,
    ),
    _jvm(
        "spring-boot",
        *("org.springframework.boot", "org.springframework.cloud"),
        weight=60,
        plugins=("org.springframework.boot", "org.springframework.boot:spring-boot-maven-plugin", "spring-boot"),
        imports=("org.springframework.boot.",),
        supersedes=_BENEATH,
    ),
    _jvm(
        "helidon",
        "io.helidon.*",
        weight=55,
        plugins=("io.helidon.build-tools:helidon-maven-plugin",),
        imports=("io.helidon.",),
        supersedes=_BENEATH,
    ),
    _jvm(
        "dropwizard",
        *("io.dropwizard", "com.yammer.dropwizard:dropwizard-core"),
        weight=50,
        imports=("io.dropwizard.",),
        supersedes=("spring", "jakarta-ee"),
    ),
    _jvm(
        "play",
        *("org.playframework:play", "org.playframework:play-server", "org.playframework:play-guice"),
        *(
            "org.playframework:play-java",
            "org.playframework:play-filters-helpers",
            "org.playframework:play-netty-server",
        ),
        *("org.playframework:play-pekko-http-server", "com.typesafe.play:play", "com.typesafe.play:play-server"),
        *("com.typesafe.play:play-guice", "com.typesafe.play:play-netty-server", "com.typesafe.play:play-java"),
        *("com.typesafe.play:play-akka-http-server", "com.typesafe.play:filters-helpers"),
        weight=50,
        port=9000,
        plugins=(
            *("org.playframework:sbt-plugin", "com.typesafe.play:sbt-plugin", "play", "org.gradle.playframework"),
            *("com.google.code.play2-maven-plugin:play2-maven-plugin", "PlayScala", "PlayJava", "PlayService"),
        ),
        imports=("play.api.mvc.", "play.mvc."),
        supersedes=_BENEATH,
    ),
    _jvm(
        "ktor",
        "io.ktor:ktor-server-*",
        "io.ktor:ktor-server",
        weight=45,
        plugins=("io.ktor.plugin",),
        imports=("io.ktor.server.",),
        supersedes=("jakarta-ee",),
    ),
    _jvm("http4k", "org.http4k", weight=44, imports=("org.http4k.",), supersedes=("ktor", "jakarta-ee")),
    _jvm("javalin", "io.javalin", weight=44, imports=("io.javalin.",), supersedes=("jakarta-ee",)),
    _jvm(
        "zio-http",
        *("dev.zio:zio-http", "io.d11:zhttp"),
        weight=42,
        imports=("zio.http.", "zhttp."),
    ),
    _jvm(
        "http4s",
        *("org.http4s:http4s-ember-server", "org.http4s:http4s-blaze-server"),
        *("org.http4s:http4s-dsl", "org.http4s:http4s-server", "org.http4s:http4s-netty-server"),
        *("org.http4s:http4s-jetty-server", "com.softwaremill.sttp.tapir:tapir-http4s-server"),
        *("org.http4s:http4s-armeria-server", "com.softwaremill.sttp.tapir:tapir-http4s-server-zio"),
        weight=42,
        imports=("org.http4s.server.", "org.http4s.ember.server.", "org.http4s.blaze.server.", "org.http4s.dsl."),
    ),
    _jvm(
        "pekko-http",
        *("org.apache.pekko:pekko-http", "org.apache.pekko:pekko-http-core"),
        *("com.softwaremill.sttp.tapir:tapir-pekko-http-server",),
        weight=41,
        imports=("org.apache.pekko.http.scaladsl.server.", "org.apache.pekko.http.javadsl.server."),
        supersedes=("akka-http",),
    ),
    _jvm(
        "akka-http",
        *("com.typesafe.akka:akka-http", "com.typesafe.akka:akka-http-core"),
        *("com.softwaremill.sttp.tapir:tapir-akka-http-server",),
        weight=40,
        imports=("akka.http.scaladsl.server.", "akka.http.javadsl.server."),
    ),
    _jvm(
        "vert.x",
        *("io.vertx:vertx-core", "io.vertx:vertx-web", "io.vertx:vertx-web-openapi", "io.vertx:vertx-launcher*"),
        *("io.vertx:vertx-lang-kotlin*", "io.vertx:vertx-rx-java*", "io.vertx:vertx-stack-depchain"),
        weight=38,
        plugins=("io.vertx.vertx-plugin", "io.reactiverse:vertx-maven-plugin"),
        imports=("io.vertx.",),
        supersedes=("jakarta-ee",),
    ),
    _jvm(
        "spring",
        *("org.springframework:spring-webmvc", "org.springframework:spring-web", "org.springframework:spring-webflux"),
        *("org.springframework:spring-context", "org.springframework:spring-core", "org.springframework:spring-orm"),
        *("org.springframework:spring-beans", "org.springframework:spring-jdbc", "org.springframework:spring-tx"),
        weight=20,
        imports=("org.springframework.",),
        supersedes=("jakarta-ee",),
    ),
    _jvm(
        "jakarta-ee",
        *("jakarta.platform", "javax:javaee-api", "javax:javaee-web-api", "org.eclipse.microprofile"),
        *("jakarta.servlet:jakarta.servlet-api", "javax.servlet:javax.servlet-api", "javax.servlet:servlet-api"),
        *("jakarta.ws.rs:jakarta.ws.rs-api", "javax.ws.rs:javax.ws.rs-api", "jakarta.enterprise", "javax.enterprise"),
        *("jakarta.faces", "javax.faces", "org.glassfish:jakarta.faces", "org.glassfish:javax.faces", "jakarta.ejb"),
        *("org.apache.tomee", "org.jboss.spec.*", "jakarta.platform:jakarta.jakartaee-core-api"),
        weight=10,
        imports=("jakarta.ws.rs.", "javax.ws.rs.", "jakarta.servlet.", "javax.servlet.", "jakarta.ejb.", "javax.ejb."),
    ),
    # no answers of ours: with these, what is beneath them is not the framework either
    _jvm(
        "grails",
        "org.grails",
        "org.apache.grails",
        weight=70,
        plugins=("org.grails.grails-web",),
        named=False,
        supersedes=("spring-boot", "micronaut", *_BENEATH),
    ),
    _jvm("struts", "org.apache.struts", "struts:struts", weight=15, named=False, supersedes=("jakarta-ee",)),
    _jvm("wicket", "org.apache.wicket", weight=15, named=False, supersedes=("jakarta-ee",)),
    _jvm("vaadin", "com.vaadin", weight=15, named=False, supersedes=("jakarta-ee",)),
    _jvm("tapestry", "org.apache.tapestry", weight=15, named=False, supersedes=("jakarta-ee",)),
    _jvm("jooby", "io.jooby", "org.jooby", weight=45, named=False, supersedes=("jakarta-ee",)),
    _jvm("ratpack", "io.ratpack", weight=45, plugins=("io.ratpack.ratpack-java",), named=False),
    _jvm(
        "spark",
        "com.sparkjava",
        weight=30,
        port=4567,
        imports=("spark.Spark",),
        named=False,
        supersedes=("jakarta-ee",),
    ),
    _jvm("armeria", "com.linecorp.armeria", weight=30, imports=("com.linecorp.armeria.server.",), named=False),
    _jvm("scalatra", "org.scalatra", weight=30, named=False, supersedes=("jakarta-ee",)),
    _jvm("finatra", "com.twitter:finatra-*", "com.twitter:finagle-http", weight=30, named=False),
    _jvm("cask", "com.lihaoyi:cask", weight=30, imports=("cask.",), named=False),
)
