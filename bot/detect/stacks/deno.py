"""Deno: a deno.json, or sources that only Deno can run."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from bot.detect import versions
from bot.detect.facts import DenoFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import NODE, Framework, remaining
from bot.detect.frameworks.deno import DENO, SAME
from bot.detect.model import Application, Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.parse import js_imports
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks import deno_config as configuration
from bot.detect.stacks import node_port, node_source
from bot.detect.stacks.deno_config import Config
from bot.detect.stacks.deno_start import Start, choose_start, find_port, permissions_of, reads_port
from bot.detect.stacks.node_package import Package, first_line, tool_version
from bot.detect.stacks.site_versions import asked_version

# files that may mean an application in their folder
MANIFESTS = ("deno.json", "deno.jsonc", "main.ts", "server.ts")
MOST_FILES = 12
MOST_SOURCES = 60
# tests, and scripts that browsers load
_ELSEWHERE = re.compile(r"[._]test\.|\.d\.ts$|(^|/)(tests?|static|public|assets|www)/")
_REMOTE = re.compile(r"(?:npm|jsr|https):")
_PLAIN_MODULE = re.compile(r"(?:npm|jsr|https):[A-Za-z0-9@/._~^-]+")


@dataclass(slots=True)
class App:
    """Everything that was seen of one application of Deno."""

    scan: Scan
    config: Config  # of the application's folder
    root: Config
    folder: str = ""
    entry: str | None = None
    files: list[str] = field(default_factory=list)
    packages: dict[str, Evidence] = field(default_factory=dict)  # "npm:hono", "jsr:@oak/oak", "x:fresh"
    framework: Framework | None = None
    choices: list[str] = field(default_factory=list)


def find(scan: Scan) -> Finding | None:
    """What the configuration, the lock and the sources say."""
    if not configuration.claims(scan):
        return None
    root = configuration.read_config(scan)
    app = App(scan, root, root, entry=configuration.find_entry(scan))
    _enter_member(app)
    if app.entry:
        app.files = node_source.reachable(scan, app.entry, MOST_FILES)
    _collect(app)
    _frame(app)
    start = _start(app)
    served = bool(app.entry and configuration.serves(scan.code(app.entry)))
    serves = served or app.framework is not None or start is not None
    name = app.framework.name if app.framework else None
    finding = Finding("deno", name, serves, lambda given: _answer(app, given))
    _weigh(app, finding, served=served)
    return finding


def _enter_member(app: App) -> None:
    """In a workspace whose root starts nothing, the member that serves."""
    scan = app.scan
    if app.entry or any(name in app.root.tasks for name in configuration.STARTS):
        return
    for folder in configuration.members(app.root):
        entry = configuration.find_entry(scan, folder)
        if entry and configuration.serves(scan.code(entry)):
            app.choices.append(folder)
            if not app.folder:
                app.folder, app.entry = folder, entry
                app.config = configuration.read_config(scan, folder)
    if len(app.choices) > 1:
        names = ", ".join(app.choices)
        scan.warn(f"several members of the workspace serve: {names}. Set root to one of them; {app.folder} is used")


def _collect(app: App) -> None:
    """Packages of the import map, of package.json, and of the sources."""
    scan = app.scan
    for config in (app.config, app.root):
        for alias, specifier in config.imports.items():
            name = configuration.package_name(specifier)
            if name and name not in app.packages:
                app.packages[name] = scan.seen(config.path, specifier, f"{alias} is {name}")
    package = scan.json("package.json") or {}
    for key in ("dependencies", "devDependencies"):
        for name in table(package.get(key)):
            app.packages.setdefault(f"npm:{name}", scan.seen("package.json", f'"{name}"', f"depends on {name}"))
    extra = [path for path in ("deps.ts", "src/deps.ts") if scan.has(path) and path not in app.files]
    for path in (*app.files, *extra):
        for module, line in js_imports(scan.code(path)).items():
            name = configuration.package_name(module)
            if name:
                app.packages.setdefault(name, scan.seen(path, module, f"imports {name}", line))


def _frame(app: App) -> None:
    scan = app.scan
    own = {row.name for row in DENO if any(name in app.packages for name in row.packages)}
    if scan.has(posixpath.join(app.folder, "fresh.gen.ts")) or scan.has(posixpath.join(app.folder, "fresh.config.ts")):
        own.add("fresh")
    shared = {SAME.get(name, name.removeprefix("npm:")) for name in app.packages if not name.startswith("jsr:@std/")}
    built = bool(shared & {"vite", "astro", "next", "nuxt", "@sveltejs/kit"})
    known = {row.name for row in NODE if (row.serves or built) and any(package in shared for package in row.packages)}
    rows = remaining(own | known, (*DENO, *NODE))
    app.framework = rows[0] if rows else None


def _start(app: App) -> Start | None:
    foreign = any(name.startswith("npm:") and name != "npm:hono" for name in app.packages)
    fresh = app.framework is not None and app.framework.name == "fresh"
    permissions = permissions_of(app.scan, app.files, foreign=foreign, everything=fresh)
    if lone := _import_map(app):
        permissions += f" --import-map={lone}"
    return choose_start(app.scan, app.config, app.entry, app.folder, permissions)


def _import_map(app: App) -> str:
    """An import map that no configuration names has to be named by each command."""
    return "" if posixpath.basename(app.config.path) in ("", *configuration.CONFIGS) else app.config.path


def _weigh(app: App, finding: Finding, *, served: bool) -> None:
    scan = app.scan
    if app.root.path:
        says = "an import map" if _import_map(app) else "configures Deno"
        finding.add(45, scan.seen(app.root.path, "", says))
    if scan.has("deno.lock"):
        finding.add(20, scan.seen("deno.lock", "", "locked by Deno"))
    named = next((name for name in configuration.STARTS if configuration.runs_deno(app.config.tasks.get(name, ""))), "")
    if named:
        finding.add(20, scan.seen(app.config.path, f'"{named}"', f"task {named}: {app.config.tasks[named]}"))
    if app.entry:
        match = configuration.USES_DENO.search(scan.code(app.entry))
        says = "serves by Deno" if served else "only Deno can run it"
        finding.add(40 if served else 30, scan.seen(app.entry, match[0] if match else "", says))
        if not app.root.path:
            finding.add(20, scan.seen(app.entry, "", "there is no other manifest"))
    if app.framework:
        seen = next((item for name, item in app.packages.items() if _is_of(name, app.framework)), None)
        finding.add(25, seen or scan.seen(app.entry or app.root.path, "", f"an application of {app.framework.name}"))
    web = scan.procfile.get("web")
    if web and configuration.runs_deno(web[0]):
        finding.add(30, scan.seen("Procfile", web[0], "the Procfile starts Deno", web[1]))


def _is_of(name: str, row: Framework) -> bool:
    return name in row.packages or SAME.get(name, name.removeprefix("npm:")) in row.packages


def _answer(app: App, given: Overrides) -> Answer:
    scan, config = app.scan, app.config
    evidence: list[Evidence] = []
    version = _version(scan, evidence)
    build = config.tasks.get("build", "")
    command = text_of(given.get("build_command")) or ("deno task build" if build else "")
    if build:
        evidence.append(scan.seen(config.path, '"build"', f"task build: {build}"))
    start = _start(app)
    output = _output(app, start is not None) if build else None
    chosen = text_of(given.get("start_command")) or (start.text if start else "")
    if text_of(given.get("start_command")):
        output = None
    if start and start.seen:
        evidence.append(start.seen)
    own = app.framework.port if app.framework and app.framework.stack == "deno" else None
    told = bool(app.entry and re.search(r"\bDeno\.serve\b", scan.code(app.entry)))
    usual = own or (app.framework.port if app.framework and not told else None) or 8000
    port = find_port(scan, config, app.files, evidence) or usual
    names = {SAME.get(name, name.partition(":")[2]): item for name, item in app.packages.items()}
    services, required = find_services(scan, names), find_required(scan)
    evidence += [item for _, item in (*services, *required)]
    health = node_port.find_health_path(scan, Package("package.json", {}), app.files)
    if health:
        evidence.append(health[1])
    node_source.warn_local_only(scan, app.files)
    fetch, known = _fetched(app)
    lines = scan.text("deno.lock")[:200] if scan.has("deno.lock") else ""
    newest = re.search(r'"version":\s*"([5-9]|\d\d+)"', lines) is not None
    facts = DenoFacts(
        version=version,
        entry=posixpath.relpath(start.entry, app.folder or ".") if start and start.entry else "",
        folder=app.folder,
        manifests=tuple(_manifests(app)),
        has_dependencies=bool(app.packages) or bool(config.imports) or bool(configuration.members(app.root)),
        locked=newest,
        build=command or None,
        output=output,
        start=chosen,
        import_map=_import_map(app),
        fetch=fetch,
        known=known and not build and not _import_map(app),
        address=not text_of(given.get("start_command")) and not reads_port(scan, app.files, chosen),
    )
    if not chosen and not output:
        scan.warn(
            "no start command was found: add a task `start` to deno.json, or a main.ts that calls Deno.serve,"
            " or set start_command"
        )
    return Answer(
        facts if chosen or output else None,
        framework=app.framework.name if app.framework else None,
        package_manager="deno",
        language_version=version,
        start_command=None if output else chosen or None,
        build_command=command or None,
        output_dir=output,
        spa_fallback=bool(output and app.framework and app.framework.spa),
        port=8080 if output else port,
        health_path=health[0] if health else None,
        required_env=[name for name, _ in required],
        services=[name for name, _ in services],
        evidence=evidence,
        applications=[Application(one, one, "deno", None) for one in app.choices if len(app.choices) > 1],
    )


def _output(app: App, starts: bool) -> str | None:
    """The folder of pages that a task builds, where nothing is started: Lume's, or a bundler's."""
    if starts or (app.entry and configuration.serves(app.scan.code(app.entry))):
        return None
    if "x:lume" in app.packages or "jsr:@lume/lume" in app.packages:
        return "_site"
    if app.framework and not app.framework.serves:
        return app.framework.output[0] if app.framework.output else "dist"
    return "dist" if "npm:vite" in app.packages else None


def _fetched(app: App) -> tuple[tuple[str, ...], bool]:
    """What sources import by registry or URL, and whether that is all that has to be fetched beside the manifests."""
    scan = app.scan
    files = [
        path
        for path in scan.repository.files
        if path.endswith((".ts", ".tsx", ".js", ".jsx", ".mjs")) and not _ELSEWHERE.search(path)
    ]
    found = {name for path in files[:MOST_SOURCES] for name in js_imports(scan.code(path)) if _REMOTE.match(name)}
    local = scan.has("package.json") or any(key in app.root.data for key in ("nodeModulesDir", "vendor"))
    mapped = any(text.startswith("https:") for text in (*app.config.imports.values(), *app.root.imports.values()))
    plain = all(_PLAIN_MODULE.fullmatch(name) for name in found)
    known = len(files) <= MOST_SOURCES and plain and not local and not mapped
    return tuple(sorted(found)) if known else (), known


def _manifests(app: App) -> list[str]:
    """The files that an install reads."""
    scan = app.scan
    found = [*app.root.reads, *(path for path in ("deno.lock", "package.json") if scan.has(path))]
    for folder in configuration.members(app.root):
        found += [
            path for name in (*configuration.CONFIGS, "package.json") if scan.has(path := posixpath.join(folder, name))
        ]
    return list(dict.fromkeys(found))


def _version(scan: Scan, evidence: list[Evidence]) -> str:
    """Version files go before workflows; otherwise the usual release."""
    asked: tuple[str, Evidence] | None = None
    for file in (".dvmrc", ".deno-version"):
        line = first_line(scan.text(file)) if scan.has(file) else ""
        if line:
            asked = line, scan.seen(file, line, f"asks for Deno {line.removeprefix('v')}")
            break
    asked = asked or tool_version(scan, "deno") or asked_version(scan, "deno", "DENO_VERSION", "deno-version")
    resolved = versions.resolve_deno(asked[0] if asked else "", scan.images)
    if asked:
        evidence.append(asked[1])
        if resolved.warning:
            scan.warn(f"{asked[1].path}: {resolved.warning}")
    return resolved.tag
