"""What is answered about a program of the JVM: version, commands, port, health, keys, services."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from bot.detect import versions
from bot.detect.facts import JvmFacts
from bot.detect.finding import Answer, Overrides
from bot.detect.frameworks.jvm import JVM
from bot.detect.model import Application, Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.scan import Scan, text_of
from bot.detect.stacks import jvm_config, jvm_packing, jvm_serving
from bot.detect.stacks.jvm_build import Build
from bot.detect.stacks.jvm_packing import Packing
from bot.detect.stacks.jvm_serving import Look
from bot.detect.stacks.jvm_source import Start

if TYPE_CHECKING:
    from bot.detect.stacks.jvm import App, Part

_SECRET = "export APPLICATION_SECRET=\"${APPLICATION_SECRET:-$(head -c 48 /dev/urandom | base64 | tr -d '\\n')}\""
_NEWEST = (
    ((8, 14), 24),
    ((8, 10), 23),
    ((8, 8), 22),
    ((8, 5), 21),
    ((8, 3), 20),
    ((7, 6), 19),
    ((7, 3), 17),
    ((7, 0), 16),
)


def answer(app: App, given: Overrides) -> Answer:
    """Everything about the chosen program."""
    part = _asked_for(app, text_of(given.get("start_command")))
    if len(app.parts) > 1:
        _ask(app, part)
    scan, module = app.scan, part.module
    evidence: list[Evidence] = []
    named = next((row for row in JVM if row.named and row.name == given.get("framework")), None)
    framework = named.name if named else part.framework.name if part.framework else None
    version = _version(app, part, evidence)
    folders = [one.folder for one in app.build.closure(module)]
    configuration = jvm_config.read(scan, folders)
    packing = jvm_packing.pack(app, part, configuration)
    look = Look(app, part, framework, configuration, packing, evidence)
    port, before, after = jvm_serving.find_port(look)
    start = jvm_serving.with_procfile(look, jvm_serving.start(look, before, after))
    if text_of(given.get("start_command")) and part is app.part:
        start = text_of(given.get("start_command"))
    dependencies = {
        used.name: scan.seen(used.path, used.text, used.name, used.line)
        for one in app.build.closure(module)
        for used in one.dependencies
        if used.scope in ("compile", "runtime")
    }
    services = dict(find_services(scan, dependencies))
    for service, seen in jvm_config.find_services(scan, configuration):
        services.setdefault(service, seen)
    keys = find_required(scan, jvm_config.find_required(scan, configuration))
    keys = [one for one in keys if not (framework == "play" and one[0] in ("APPLICATION_SECRET", "PLAY_SECRET"))]
    evidence += [*services.values(), *(item for _, item in keys)]
    first = part.sources.starts[0] if part.sources.starts else None
    build = text_of(given.get("build_command")) or None
    facts = JvmFacts(
        version=version,
        tool=app.build.tool,
        tool_version=app.build.tool_version,
        wrapper=bool(app.build.wrapper),
        manifests=tuple(app.build.manifests),
        folder=module.folder,
        packing=packing.kind,
        war=module.packaging == "war",
        layers=packing.layers,
        server=packing.server,
        main_class=packing.main_class,
        command=packing.command,
        source=first.path if first and not app.build.tool else "",
        source_root=_source_root(first) if first and not app.build.tool else "",
        build=build,
        start=start,
        prepare=_SECRET if framework == "play" else "",
        processes=jvm_serving.processes(look),
        environment=jvm_serving.HOSTS.get(framework or "", ()),
        assets=tuple(jvm_serving.find_assets(look)),
    )
    return Answer(
        facts if _can_run(app, part, packing) else None,
        framework=framework,
        package_manager=app.build.tool or None,
        language_version=version,
        start_command=start,
        build_command=build or packing.command or None,
        port=port,
        health_path=jvm_serving.find_health(look),
        required_env=[key for key, _ in keys],
        services=list(services),
        evidence=evidence,
        applications=[
            Application(
                one.module.folder or ".",
                posixpath.basename(one.module.folder) or one.module.name or "app",
                one.sources.language or app.language,
                one.framework.name if one.framework else None,
            )
            for one in app.parts
            if len(app.parts) > 1
        ],
    )


def _source_root(start: Start) -> str:
    """The folder that the package of a source starts from."""
    folders = posixpath.dirname(start.path).split("/")
    depth = start.name.count(".")
    return "/".join(folders[: len(folders) - depth]) if depth else posixpath.dirname(start.path)


def _asked_for(app: App, start: str) -> Part:
    """The program whose module a person named as start command, else the likeliest."""
    names = ((one, (one.module.folder, one.module.name, posixpath.basename(one.module.folder))) for one in app.parts)
    return next((one for one, known in names if start and start in known), app.part)


def _ask(app: App, part: Part) -> None:
    others = ", ".join(one.module.folder or one.module.name or "." for one in app.parts if one is not part)
    chosen = part.module.folder or part.module.name or "the root"
    app.scan.warn(
        f"several modules are applications: {chosen} is built, not {others}."
        " Which one is meant? Set start_command to another's folder"
    )


def _can_run(app: App, part: Part, packing: Packing) -> bool:
    scan = app.scan
    if app.android:
        scan.warn("this is an application for Android, which no server runs")
        return False
    if packing.kind == "sources" and app.language != "java":
        scan.warn(f"sources in {app.language.title()} without a build: add one by Gradle, Maven or sbt")
        return False
    if packing.kind == "sources" and part.module.packaging == "war":
        scan.warn("servlets without a build by Maven or Gradle: add one, so that a war can be made")
        return False
    if packing.kind == "sources" and part.rows and not any(path.startswith("lib/") for path in scan.repository.files):
        scan.warn(f"{part.rows[0][0].name} has to come from somewhere: add a build by Maven or Gradle")
        return False
    if packing.kind in ("classpath", "sources") and not packing.main_class:
        scan.warn("no class with a main method was found: nothing can be started")
        return False
    if not part.runs and not part.rows:
        scan.warn("nothing was found that starts: no main method, no framework. Is it a library?")
    return True


def _version(app: App, part: Part, evidence: list[Evidence]) -> str:
    """What the build says goes before .java-version, .sdkmanrc, .tool-versions and system.properties."""
    scan = app.scan
    root = next((one for one in app.build.modules if not one.folder), None)
    asked = list(part.module.asked) or (list(root.asked) if root else [])
    asked = asked or [entry for one in app.build.closure(part.module) for entry in one.asked] or _version_files(scan)
    if not asked:
        newest = _newest(app.build)
        return versions.resolve_java("", scan.images, newest=newest).tag
    path, line, text = asked[0]
    resolved = versions.resolve_java(text, scan.images)
    if resolved.warning:
        scan.warn(f"{scan.repository.full(path)}: {resolved.warning}")
    evidence.append(scan.seen(path, text, f"asks for Java {text}: {resolved.tag} is used", line))
    return resolved.tag


_FILES = (
    (".java-version", re.compile(r"^\s*(?:[a-z]+-)?(\d[\w.+-]*)", re.IGNORECASE)),
    (".sdkmanrc", re.compile(r"^\s*java\s*=\s*(\d[\w.+-]*)")),
    (".tool-versions", re.compile(r"^\s*java\s+(?:[a-z]+-(?:[a-z]+-)*)?(\d[\w.+-]*)", re.IGNORECASE)),
    ("system.properties", re.compile(r"^\s*java\.runtime\.version\s*=\s*(\d[\w.+-]*)")),
)


def _version_files(scan: Scan) -> list[tuple[str, int, str]]:
    found = []
    for path, pattern in _FILES:
        for number, line in enumerate(scan.text(path).split("\n"), 1) if scan.has(path) else ():
            match = pattern.match(line)
            if match:
                found.append((path, number, match[1]))
                break
    return found


def _newest(build: Build) -> int:
    """The newest Java that the wrapper's Gradle, or sbt, runs on."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", build.wrapper or build.tool_version)[:2])
    if build.tool == "gradle" and numbers and numbers != (0,):
        return next((java for least, java in _NEWEST if numbers >= least), 11 if numbers >= (5, 0) else 8)
    if build.tool == "sbt" and numbers:
        return 21 if numbers >= (1, 9) else 17 if numbers >= (1, 6) else 11
    return 99
