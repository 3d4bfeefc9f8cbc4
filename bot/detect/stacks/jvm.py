"""Java, Kotlin and Scala: a build by Maven, Gradle or sbt, or sources without one."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass, field

from bot.detect.finding import Finding
from bot.detect.frameworks.jvm import JVM, JvmFramework
from bot.detect.model import Evidence
from bot.detect.scan import Scan
from bot.detect.stacks import jvm_answer, jvm_gradle, jvm_maven, jvm_sbt, jvm_source
from bot.detect.stacks.jvm_build import APART, Build, Module, Used, fits
from bot.detect.stacks.jvm_source import Sources

# files that may mean an application in their folder
MANIFESTS = (*jvm_maven.POMS[:3], *jvm_gradle.SETTINGS, *jvm_gradle.SCRIPTS, "build.sbt", "Main.java", "Main.kt")

_PREFERRED = (
    *("app", "application", "server", "web", "webapp", "api", "backend", "main", "service", "boot", "bootstrap"),
    *("starter", "rest", "http", "launcher", "distribution", "start", "admin"),
)
# plugins that make a program of a module
_APPLYING = frozenset(
    {"application", "org.springframework.boot", "io.quarkus", "io.ktor.plugin", "io.micronaut.application", "war"}
    | {"io.micronaut.minimal.application", "com.github.johnrengelman.shadow", "com.gradleup.shadow", "play"}
    | {"com.google.cloud.tools.jib", "native-packager", "PlayScala", "PlayJava", "PlayService", "io.vertx.vertx-plugin"}
    | {"org.springframework.boot:spring-boot-maven-plugin", "io.quarkus:quarkus-maven-plugin", "org.gretty"}
    | {
        "io.quarkus.platform:quarkus-maven-plugin",
        "io.micronaut.maven:micronaut-maven-plugin",
        "org.gradle.playframework",
    }
    | {"io.micronaut.build:micronaut-maven-plugin", "com.google.cloud.tools:jib-maven-plugin"}
    | {"io.reactiverse:vertx-maven-plugin", "org.codehaus.mojo:exec-maven-plugin"}
    | {"org.apache.maven.plugins:maven-shade-plugin", "io.helidon.build-tools:helidon-maven-plugin"}
)
_ANDROID = ("com.android.application", "com.android.library", "com.android.dynamic-feature", "android")
_ENTERPRISE = ("jakarta.platform", "org.eclipse.microprofile", "javax:javaee-api", "javax:javaee-web-api")
_SERVERS = ("org.wildfly.plugins", "io.openliberty.tools", "fish.payara.maven.plugins", "org.apache.tomee.maven")
# of tools that no Dockerfile is written for: Ant, Ivy, Bazel, Mill, Eclipse
_OTHER_BUILDS = (
    *("build.xml", "ivy.xml", "BUILD.bazel", "MODULE.bazel", "build.mill", "build.sc", "project.scala", ".classpath"),
)
_MANY = 3  # modules; of more, only the likeliest sources are read before one is chosen


@dataclass(slots=True)
class Part:
    """A module with its sources and its framework."""

    module: Module
    sources: Sources
    rows: list[tuple[JvmFramework, Used | None]] = field(default_factory=list)

    @property
    def framework(self) -> JvmFramework | None:
        """The framework that is an answer."""
        return self.rows[0][0] if self.rows and self.rows[0][0].named else None

    @property
    def serves(self) -> bool:
        """Whether it answers HTTP."""
        return bool(self.rows) or self.sources.serves or self.module.packaging == "war"

    @property
    def runs(self) -> bool:
        """Whether it can be started."""
        return bool(self.sources.starts) or self.module.packaging == "war" or bool(self.module.main_class)


@dataclass(slots=True)
class App:
    """Everything that was seen of the build. ``parts`` are the modules that are programs, the chosen one first."""

    scan: Scan
    build: Build
    sources: dict[str, str]
    parts: list[Part]
    language: str = "java"
    android: bool = False

    @property
    def part(self) -> Part:
        """The program that is built."""
        return self.parts[0]


def find(scan: Scan) -> Finding | None:
    """A build at the root, or sources that start something."""
    build = jvm_maven.read(scan) or jvm_gradle.read(scan) or jvm_sbt.read(scan)
    sources = jvm_source.all_sources(scan)
    if build is None:
        return _without_build(scan, sources)
    android = _is_android(build)
    app = App(scan, build, sources, _parts(scan, build, sources), android=android)
    app.language = _language(app)
    return _finding(app)


def _finding(app: App) -> Finding:
    framework = app.part.framework
    finding = Finding(
        app.language,
        framework.name if framework else None,
        app.part.serves and not app.android,
        lambda given: jvm_answer.answer(app, given),
    )
    _weigh(app, finding)
    return finding


def _is_android(build: Build) -> bool:
    return any(name in module.plugins for module in build.modules for name in _ANDROID[:1]) and not any(
        name in module.plugins for module in build.modules for name in _APPLYING
    )


def _without_build(scan: Scan, sources: dict[str, str]) -> Finding | None:
    """Sources alone, or with a build by another tool; not what belongs to a build in a folder."""
    if not sources or any(scan.repository.named(name, 4) for name in MANIFESTS if not name.startswith("Main.")):
        return None
    module = Module("", next(iter(sources)))
    part = Part(module, jvm_source.read(scan, sources, list(sources)))
    part.rows = _rows(Build("", module.path, [module]), part)
    mark = scan.repository.first(_OTHER_BUILDS) or next(iter(scan.repository.named("web.xml", 4)), None)
    near = [path for path in sources if path.count("/") < 2 or path.startswith("src/")]
    if not part.sources.starts and not mark and not near:
        return None
    if mark and mark.endswith("/WEB-INF/web.xml"):
        module.packaging = "war"
    first = part.sources.starts[0].path if part.sources.starts else (near or list(sources))[0]
    app = App(scan, Build("", first, [module]), sources, [part])
    app.language = _language(app)
    finding = _finding(app)
    if mark:
        finding.add(30, scan.seen(mark, "", f"sources in {app.language.title()} that another tool builds"))
    elif not part.sources.starts:
        finding.add(10, scan.seen(first, "", "a source without a build"))
    return finding


def _parts(scan: Scan, build: Build, sources: dict[str, str]) -> list[Part]:
    """The modules that are programs, the likeliest first; where nothing says so, the root or the only one with code."""
    owned = jvm_source.by_module(sources, build.modules)
    many = len(build.modules) > _MANY
    parts = []
    for module in build.modules:
        if any(name in module.plugins for name in _ANDROID) and len(build.modules) > 1:
            continue
        parts.append(Part(module, jvm_source.read(scan, sources, owned.get(module.folder, []), few=many)))
    for part in parts:
        part.rows = _rows(build, part)
    programs = [part for part in parts if part.module.packaging != "pom" and (part.runs or _applied(part))]
    programs = [part for part in programs if part.runs] or programs
    apart = [part for part in programs if not APART.search(part.module.folder)]
    programs = apart or programs
    serving = [part for part in programs if part.serves]
    chosen = serving or programs
    if not chosen:
        with_code = [part for part in parts if part.sources.files]
        chosen = [part for part in parts if not part.module.folder and part.sources.files] or with_code[:1] or parts[:1]
    chosen = sorted(chosen, key=lambda part: _order(scan, part))
    if many and chosen:
        best = chosen[0]
        best.sources = jvm_source.read(scan, sources, owned.get(best.module.folder, []))
        best.rows = _rows(build, best)
    return chosen or [Part(build.modules[0], Sources())]


def _applied(part: Part) -> bool:
    return any(name in part.module.plugins for name in _APPLYING)


def _order(scan: Scan, part: Part) -> tuple[object, ...]:
    """What the Procfile names, the root, what applies a plugin itself, a usual name, what lies higher."""
    module = part.module
    web = scan.procfile.get("web", ("", 0))[0]
    named = bool(module.folder) and re.search(rf"(^|[\s/=:]){re.escape(module.folder)}/", web) is not None
    words = re.split(r"[-_.]", posixpath.basename(module.folder or module.name).lower())
    usual = min((_PREFERRED.index(word) for word in words if word in _PREFERRED), default=len(_PREFERRED))
    own = any(name in _APPLYING and used.path == module.path for name, used in module.plugins.items())
    return (
        *(not named, bool(module.folder), not own, not part.framework, not part.sources.starts, usual),
        *(module.folder.count("/"), module.folder),
    )


def _rows(build: Build, part: Part) -> list[tuple[JvmFramework, Used | None]]:
    """The frameworks of a module: by dependency and plugin; else by what it imports; else by its parent and BOMs."""
    closure = build.closure(part.module)
    used = [one for module in closure for one in module.dependencies]
    plugins = {**(build.modules[0].plugins if build.tool == "sbt" else {}), **part.module.plugins}
    known: dict[str, Used] = {}
    for one in used:
        if one.scope not in ("bom", "parent"):
            known.setdefault(one.name, one)
    found: dict[str, Used | None] = {}
    for row in JVM:
        plugin = next((plugins[name] for name in row.plugins if name in plugins), None)
        dependency = next((one for one in known.values() if any(fits(name, one.name) for name in row.packages)), None)
        if dependency or plugin:
            found[row.name] = dependency or plugin
    if not any(_counts(row, build, part) for row in JVM if row.name in found):
        found = {row.name: None for row in JVM if _imported(row, part)}
    if not any(_counts(row, build, part) for row in JVM if row.name in found):
        above = [one for one in used if one.scope in ("bom", "parent")]
        for row in JVM:
            named = next((one for one in above if any(fits(name, one.name) for name in row.packages)), None)
            if named:
                found[row.name] = named
    rows = [row for row in JVM if row.name in found and _counts(row, build, part)]
    beneath = {name for row in rows for name in row.supersedes}
    rows = [row for row in rows if row.name not in beneath]
    rows.sort(key=lambda row: (not _imported(row, part) and len(rows) > 1, -row.weight, row.name))
    return [(row, found[row.name]) for row in rows]


def _imported(row: JvmFramework, part: Part) -> bool:
    return bool(row.imports) and any(name.startswith(row.imports) for name in part.sources.imports)


def _counts(row: JvmFramework, build: Build, part: Part) -> bool:
    """A servlet's interface in a program with a server of its own makes no application of Jakarta EE."""
    if row.name != "jakarta-ee" or part.module.packaging in ("war", "ear"):
        return True
    used = [one.name for module in build.closure(part.module) for one in module.dependencies]
    if any(name.startswith(_SERVERS) for name in part.module.plugins):
        return True
    return any(fits(pattern, name) for name in used for pattern in _ENTERPRISE)


def _language(app: App) -> str:
    """That of the program; of all sources where it has none; of the build's plugins where there are none at all."""
    own = app.part.sources.language
    kinds = Counter(app.sources.values())
    if own == "java" and kinds["scala"] > kinds["java"]:
        return "scala"  # a launcher in Java before a program in Scala
    if own:
        return own
    for language in ("java", "scala", "kotlin"):
        if language in kinds:
            return language
    names = {name for module in app.build.modules for name in module.plugins}
    if app.build.tool == "sbt" or any("scala" in name for name in names):
        return "scala"
    return "kotlin" if any("kotlin" in name for name in names) else "java"


def _weigh(app: App, finding: Finding) -> None:
    scan, part = app.scan, app.part
    if app.build.tool:
        says = {"maven": "a build by Maven", "gradle": "a build by Gradle", "sbt": "a build by sbt"}[app.build.tool]
        finding.add(55, scan.seen(app.build.path, "", says, 1))
    files = part.sources.files.get(app.language) or [path for path, one in app.sources.items() if one == app.language]
    if files:
        finding.add(10 if app.build.tool else 20, scan.seen(files[0], "", f"a source in {app.language.title()}"))
    if part.sources.starts:
        start = part.sources.starts[0]
        line = scan.text(start.path).split("\n")[start.line - 1].strip()
        finding.add(15, Evidence(scan.repository.full(start.path), start.line, line[:160], f"starts {start.name}"))
    if part.rows:
        row, used = part.rows[0]
        if used:
            finding.add(20, scan.seen(used.path, used.text, f"uses {used.name}: {row.name}", used.line))
        else:
            name = next(name for name in part.sources.imports if name.startswith(row.imports))
            path, line_number = part.sources.imports[name]
            finding.add(20, scan.seen(path, name, f"imports {name}: {row.name}", line_number))
    elif part.sources.serves and not part.rows:
        name, (path, line_number) = next(
            (item for item in part.sources.imports.items() if item[0].startswith(jvm_source.SERVING)), ("", ("", 0))
        )
        if name:
            finding.add(20, scan.seen(path, name, "answers HTTP", line_number))
