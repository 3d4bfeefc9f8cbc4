"""How a program of the JVM is packed and started: which goal or task makes what, and the words that run it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bot.detect.stacks.jvm_build import Build, Module, fits
from bot.detect.stacks.jvm_config import Configuration

if TYPE_CHECKING:
    from bot.detect.stacks.jvm import App, Part

Kind = Literal["boot", "quarkus", "jar", "war", "classpath", "dist", "stage", "sources"]
JAVA = "java -XX:MaxRAMPercentage=75.0"
_SHADOW = ("com.github.johnrengelman.shadow", "com.gradleup.shadow", "io.github.goooler.shadow")
_APPLICATION = (
    *("application", "io.ktor.plugin", "io.micronaut.application", "io.micronaut.minimal.application"),
    *("io.vertx.vertx-plugin",),
)
_FAT = (
    *("org.apache.maven.plugins:maven-shade-plugin", "org.apache.maven.plugins:maven-assembly-plugin"),
    *("io.reactiverse:vertx-maven-plugin", "io.micronaut.maven:micronaut-maven-plugin"),
    *("io.micronaut.build:micronaut-maven-plugin", "com.jolira:onejar-maven-plugin"),
)
_GIT = ("pl.project13.maven:git-commit-id-plugin", "io.github.git-commit-id:git-commit-id-maven-plugin")
_ASSEMBLY, _PACKAGER = ("com.eed3si9n:sbt-assembly",), ("sbt-native-packager",)
_FULL = ("jakarta.platform:jakarta.jakartaee-api", "javax:javaee-api")
_WEB = ("jakarta.platform:jakarta.jakartaee-web-api", "javax:javaee-web-api", "jakarta.enterprise", "javax.enterprise")
_REST = ("jakarta.ws.rs", "javax.ws.rs", "jakarta.ejb", "javax.ejb")


@dataclass(frozen=True, slots=True)
class Packing:
    """What the build makes, the command that makes it, and what starts it."""

    kind: Kind
    command: str
    layers: str = ""
    server: str = ""
    main_class: str = ""


def pack(app: App, part: Part, configuration: Configuration) -> Packing:
    """The way that fits the build's plugins best."""
    if not app.build.tool:
        return Packing("sources", "", main_class=_main(part))
    if app.build.tool == "maven":
        return _maven(app, part, configuration)
    if app.build.tool == "gradle":
        return _gradle(app, part)
    return _sbt(app, part)


def _main(part: Part) -> str:
    return part.module.main_class or (part.sources.starts[0].name if part.sources.starts else "")


def boot_version(build: Build, module: Module) -> tuple[int, ...]:
    """The version of Spring Boot that a build names; () where it is not to be seen."""
    known = [module.plugins.get("org.springframework.boot:spring-boot-maven-plugin")]
    known += [module.plugins.get("org.springframework.boot")]
    listed = [used for used in known if used]
    listed += [
        used
        for one in build.closure(module)
        for used in one.dependencies
        if fits("org.springframework.boot", used.name)
    ]
    for one in build.modules:  # applied without a version where the root names it
        listed += [used for name, used in one.plugins.items() if name.startswith("org.springframework.boot")]
        listed += [used for used in one.dependencies if used.name.startswith("org.springframework.boot:")]
    for used in listed:
        found = re.match(r"(\d+)\.(\d+)", used.version)
        if found:
            return int(found[1]), int(found[2])
    return ()


def _layers(app: App, part: Part) -> str:
    """https://docs.spring.io/spring-boot/reference/packaging/container-images/dockerfiles.html"""
    version = boot_version(app.build, part.module)
    if not version or version < (2, 4) or not part.module.layered or part.module.packaging == "war":
        return ""
    return "tools" if version >= (3, 3) else "layertools" if version >= (2, 4) else ""


def _maven(app: App, part: Part, configuration: Configuration) -> Packing:
    module, framework = part.module, part.framework.name if part.framework else ""
    goals = "package"
    kind: Kind = "jar"
    layers = server = ""
    packaged = configuration.text("quarkus.package.jar.type", "quarkus.package.type")
    if framework == "quarkus":
        kind = "jar" if packaged in ("uber-jar", "legacy-jar") else "quarkus"
    elif "org.springframework.boot:spring-boot-maven-plugin" in module.plugins:
        kind, layers = "boot", _layers(app, part)
    elif module.packaging == "war":
        kind, server = "war", server_for(app, part)
    elif framework not in ("micronaut", "helidon") and not any(name in module.plugins for name in _FAT) and _main(part):
        kind = "classpath"
        goals = "package dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=/out/lib"
    options = ["mvn", "--batch-mode", "--no-transfer-progress", goals, "-DskipTests"]
    if any(name in one.plugins for one in app.build.modules for name in _GIT):
        options.append("-Dmaven.gitcommitid.skip=true")  # there is no history in the build
    if module.folder:
        options += ["--projects", shlex.quote(module.folder), "--also-make"]
    return Packing(kind, " ".join(options), layers, server, _main(part))


def _gradle(app: App, part: Part) -> Packing:
    module, plugins = part.module, part.module.plugins
    prefix = ":" + module.folder.replace("/", ":") + ":" if module.folder else ""
    server = layers = ""
    kind: Kind
    if "io.quarkus" in plugins:
        kind, task = "quarkus", "quarkusBuild"
    elif "org.springframework.boot" in plugins or "spring-boot" in plugins:
        kind, task, layers = "boot", "bootWar" if "war" in plugins else "bootJar", _layers(app, part)
    elif "war" in plugins:
        kind, task, server = "war", "war", server_for(app, part)
    elif any(name in plugins for name in _APPLICATION):
        kind, task = "dist", "installDist"
    elif any(name in plugins for name in _SHADOW):
        kind, task = "jar", "shadowJar"
    else:
        kind, task = "jar", "assemble"
    tool = "./gradlew" if app.build.wrapper else "gradle"
    options = [tool, "--no-daemon", shlex.quote(prefix + task)]
    if any("git-properties" in name for name in plugins):
        options.append("--exclude-task generateGitProperties")  # there is no history in the build
    return Packing(kind, " ".join(options), layers, server, _main(part))


def _sbt(app: App, part: Part) -> Packing:
    names = [*app.build.modules[0].plugins, *part.module.plugins]
    project = f"{part.module.name}/" if part.module.folder else ""
    if not re.fullmatch(r"[\w-]*/?", project):
        project = ""
    play = part.framework is not None and part.framework.name == "play"
    if play or "native-packager" in names:
        return Packing("stage", f"sbt {project}stage", main_class=_main(part))
    if any(name in _ASSEMBLY for name in names):
        return Packing("jar", f"sbt {project}assembly", main_class=_main(part))
    command = f'sbt "export {project}Runtime/fullClasspathAsJars"'
    return Packing("classpath", command, main_class=_main(part))


def server_for(app: App, part: Part) -> str:
    """Tomcat for servlets; TomEE where the container has to bring more of Jakarta EE. 9 and 8 are of the javax days."""
    used = [one for module in app.build.closure(part.module) for one in module.dependencies]
    provided = [one for one in used if one.scope in ("provided", "compile")]
    javax = _javax(part, [one.name for one in provided])
    spring = part.framework is not None and part.framework.name == "spring"

    def any_of(patterns: tuple[str, ...]) -> bool:
        return not spring and any(fits(pattern, one.name) for one in provided for pattern in patterns)

    own_rest = any(fits("org.glassfish.jersey.*", one.name) or fits("org.jboss.resteasy", one.name) for one in used)
    if any_of(("org.eclipse.microprofile",)):
        return "tomee:8-microprofile" if javax else "tomee:10-microprofile"
    if any_of(_FULL):
        return "tomee:8-plus" if javax else "tomee:10-plus"
    if any_of(_WEB) or (any_of(_REST) and not own_rest):
        return "tomee:8-webprofile" if javax else "tomee:10-webprofile"
    newest = any(
        fits("jakarta.servlet:jakarta.servlet-api", one.name) and re.match(r"6\.[1-9]", one.version) for one in used
    )
    return "tomcat:9" if javax else "tomcat:11" if newest else "tomcat:10.1"


def _javax(part: Part, names: list[str]) -> bool:
    """Whether it is written for the packages of before Jakarta EE 9."""
    imports = part.sources.imports
    if any(name.startswith(("jakarta.servlet.", "jakarta.ws.", "jakarta.faces.", "jakarta.ejb.")) for name in imports):
        return False
    if any(
        name.startswith(("javax.servlet.", "javax.ws.", "javax.faces.", "javax.ejb.", "javax.inject."))
        for name in imports
    ):
        return True
    if any(name.startswith(("jakarta.servlet:", "jakarta.platform:")) for name in names):
        return False
    return any(name.startswith("javax") for name in names)


_TARGET = r"(?:[\w.${}*-]+/)*(?:target|build|out)/[\w./${}*-]*"


def built(command: str) -> list[str]:
    """The paths in a command that a build makes."""
    return re.findall(rf"(?<![^\s:=]){_TARGET}", command)


def from_procfile(command: str, packing: Packing) -> str:
    """A command of the Procfile as it is inside of the image; "" where it does not fit what is there."""
    if packing.kind in ("boot", "jar", "sources"):
        command = re.sub(rf"{_TARGET}\.(?:jar|war)", "app.jar", command)
    elif packing.kind == "quarkus":
        command = re.sub(rf"{_TARGET}\.jar", "quarkus-run.jar", command)
    elif packing.kind == "classpath" and re.search(r"\bjava\s", command):
        command = re.sub(rf"""(["']?)(?:{_TARGET}:?)+\1""", "'classes:lib/*'", command)
    elif packing.kind in ("dist", "stage"):
        command = re.sub(rf"(?:\./)?{_TARGET}/bin/[\w.-]+", "./bin/app", command)
    return "" if re.search(r"(^|[\s:=/])(target|build)/|mvnw?\b|gradlew?\b|\bsbt\b|webapp-runner", command) else command


def start(packing: Packing) -> str:
    """The words that start what was packed, inside of its folder."""
    if packing.kind == "quarkus":
        return f"{JAVA} -jar quarkus-run.jar"
    if packing.kind == "boot" and packing.layers == "layertools":
        return f"{JAVA} org.springframework.boot.loader.{{launcher}}"
    if packing.kind in ("boot", "jar"):
        return f"{JAVA} -jar app.jar"
    if packing.kind in ("classpath", "sources"):  # sbt gives jars alone: a folder that is not there does no harm
        return f"{JAVA} -cp 'classes:lib/*' {packing.main_class}"
    if packing.kind == "war":
        return "catalina.sh run"
    return "./bin/app"
