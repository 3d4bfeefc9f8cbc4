"""Go: a module with a program, or sources without one. The program is compiled to one static binary where it can be."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from bot.detect import procfile, releases, versions
from bot.detect.config_port import find_config_port
from bot.detect.facts import GoFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import Framework, remaining
from bot.detect.frameworks.go import GO
from bot.detect.model import Application, Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan, text_of
from bot.detect.stacks.go_module import APART, MOST_FILES, Module, Program, find_programs, imports_of, read_module
from bot.detect.stacks.node_assets import FrontEnd, find_front_end

# files that may mean an application in their folder
MANIFESTS = ("go.mod", "main.go")

_PREFERRED = ("server", "api", "web", "app", "http", "service", "main")
_SERVING = ("net/http", *(module for row in GO for module in row.packages))
_PORTS = (
    # http.ListenAndServe(":8080", …), r.Run(":8080"), e.Start(":1323"), app.Listen(":3000"), Addr: ":8080"
    re.compile(r'(?:ListenAndServe(?:TLS)?|\.Run|\.Start|\.Listen|Addr:)\s*\(?\s*"[\w.\-\[\]]*:(\d{2,5})"'),
    # flag.String("addr", ":4000", …), net.Listen("tcp", ":5151")
    re.compile(r'"(?:[\w.]+[-_.])?(?:addr|address|listen|bind|tcp4?)"\s*,\s*"[\w.\-\[\]]*:(\d{2,5})"'),
    # port := getenv("PORT", "8080"), viper.SetDefault("port", 8080), default:"8080"
    re.compile(r'(?i)"(?:\w+_)?port"\s*,\s*"?:?(\d{2,5})"?'),
    re.compile(r'(?i)env(?:Default|-default)?:"(?:\w+_)?port"[^`\n]*?[dD]efault:"(\d{2,5})"'),
    re.compile(r'(?i)\bport\s*:?=\s*"?:?(\d{2,5})"?'),
)
_REQUIRED = re.compile(r'`[^`\n]*\benv:"(\w+),(?:required|notEmpty)[^"]*"|envconfig:"(\w+)"[^`\n]*required:"true"')
# folders that programs read while they run
_ASSETS = ("templates", "template", "views", "static", "public", "assets", "web", "www", "ui", "migrations", "locales")
_ASSET_FOLDERS = (*_ASSETS, "config", "configs", "conf", "db/migrations", "data", "resources")
_PATH = re.compile(r'"(?:\./)?([A-Za-z0-9_-][\w.-]*(?:/[\w.-]+)+/?)"')
MOST_ASSETS = 20
MOST_IMPORTING = 150  # files that are read where several frameworks are required
_CGO = {"github.com/mattn/go-sqlite3", "github.com/confluentinc/confluent-kafka-go", "gorm.io/driver/sqlite"}


@dataclass(slots=True)
class App:
    """Everything that was seen of one Go module."""

    scan: Scan
    module: Module | None
    programs: list[Program]
    program: Program | None = None
    framework: Framework | None = None
    named: tuple[str, int] | None = None  # the Procfile's line that names the program
    evidence: list[Evidence] = field(default_factory=list)


def find(scan: Scan) -> Finding | None:
    """A go.mod or go.work, or Go sources with a main function."""
    repository = scan.repository
    has_module = scan.has("go.mod")
    if not has_module and not scan.has("go.work") and not any(path.endswith(".go") for path in repository.files):
        return None
    app = App(scan, read_module(scan) if has_module else None, find_programs(scan))
    if not has_module and not scan.has("go.work") and not any(_near(one) for one in app.programs):
        return None
    _choose(app)
    _frame(app)
    serves = app.framework is not None or bool(app.program and "net/http" in app.program.imports)
    finding = Finding("go", app.framework.name if app.framework else None, serves, lambda given: _answer(app, given))
    _weigh(app, finding)
    return finding


def _near(program: Program) -> bool:
    """A program without a module may lie at the root or one folder down; deeper ones belong to something else."""
    return program.folder.count("/") == 0 or program.folder.startswith("cmd/")


def _choose(app: App) -> None:
    """The Procfile's, the root's, the only one, one with a usual name, the only one that serves HTTP."""
    programs = {one.folder: one for one in app.programs}
    web = app.scan.procfile.get("web")
    if web:
        parts = shell_parts(web[0])
        name = posixpath.basename(parts[-1][0]) if parts else ""
        fitting = [one for one in app.programs if posixpath.basename(one.folder) == name]
        if fitting:
            app.program, app.named = fitting[0], web
            return
    if "" in programs:
        app.program = programs[""]
        return
    commands = [one for one in app.programs if one.folder.startswith("cmd/")] or app.programs
    own = posixpath.basename(app.module.name) if app.module else ""
    serving = [one for one in commands if one.imports.intersection(_SERVING)]
    daemons = [one for one in commands if own and posixpath.basename(one.folder) == f"{own}d"]
    usual = [name for name in _PREFERRED if any(posixpath.basename(one.folder) == name for one in commands)]
    if len(commands) == 1:
        app.program = commands[0]
    elif usual:
        app.program = next(one for one in commands if posixpath.basename(one.folder) == usual[0])
    elif daemons:
        app.program = daemons[0]
    elif len(serving) == 1:
        app.program = serving[0]
    elif commands:
        app.program = next((one for one in commands if posixpath.basename(one.folder) == own), (serving or commands)[0])
    if app.program and len(commands) > 1:
        others = ", ".join(one.folder for one in commands if one is not app.program)
        app.scan.warn(
            f"several programs: {app.program.folder} is built, not {others}. Set start_command to another's name"
        )


def _frame(app: App) -> None:
    requirements = app.module.requirements if app.module else {}
    required = {path for path, one in requirements.items() if not one.indirect}
    imported = app.program.imports if app.program else frozenset()
    known = [row for row in GO if any(_is_of(path, row) for path in (*required, *imported))]
    if not known and (hidden := [row for row in GO if any(_is_of(path, row) for path in requirements)]):
        counted = _imported(app.scan)  # "// indirect" stays where nobody tidied: what the packages import counts
        known = [row for row in hidden if any(_is_of(path, row) for path in counted)]
    used = [row for row in known if any(_is_of(path, row) for path in imported)]
    rows = remaining({row.name for row in known}, GO)
    # several that are required: the program itself may say which one it is, or its packages
    app.framework = next((row for row in rows if row in used), None)
    if app.framework is None and rows:
        counted = _imported(app.scan) if len(rows) > 1 else []
        app.framework = max(rows, key=lambda row: sum(_is_of(path, row) for path in counted))


def _imported(scan: Scan) -> list[str]:
    """What the packages of the module import, tests apart; a path for each file that does."""
    files = [path for path in scan.repository.files if path.endswith(".go") and not path.endswith("_test.go")]
    kept = [path for path in files if not APART.search(path.rpartition("/")[0])][:MOST_IMPORTING]
    return [imported for path in kept for imported in imports_of(scan.text(path))]


def _is_of(path: str, row: Framework) -> bool:
    return any(path == module or path.startswith(module + "/") for module in row.packages)


def _weigh(app: App, finding: Finding) -> None:
    scan = app.scan
    if app.module is not None:
        finding.add(45, scan.seen("go.mod", app.module.name, "a Go module", None if app.module.name else 1))
        if not any(path.endswith(".go") for path in scan.repository.files):
            finding.limit = 25  # it lists modules of something else: themes of Hugo, tools
    elif scan.has("go.work"):
        finding.add(40, scan.seen("go.work", "", "a workspace of Go modules"))
    if app.program:
        finding.add(30, scan.seen(app.program.path, "func main()", "the program's main function", app.program.line))
    if app.framework and app.module:
        row = app.framework
        for requirement in sorted(app.module.requirements.values(), key=lambda one: (one.indirect, one.line)):
            if _is_of(requirement.path, row):
                seen = scan.seen("go.mod", requirement.text, f"requires {row.name}", requirement.line)
                finding.add(25, seen)
                break
    elif app.program and "net/http" in app.program.imports:
        finding.add(20, scan.seen(app.program.path, '"net/http"', "answers HTTP"))
    if app.named:
        finding.add(15, scan.seen("Procfile", app.named[0], "the Procfile starts it", app.named[1]))


def _answer(app: App, given: Overrides) -> Answer:
    scan, program = app.scan, app.program
    evidence: list[Evidence] = []
    version = _version(app, evidence)
    name = _binary(app, program)
    packages = {_binary(app, one): _package(one) for one in reversed(app.programs)}
    if program:
        packages[name] = _package(program)
    asked = procfile.compiled(scan, packages, name)
    front = _front_end(scan)
    evidence += front.evidence if front else ()
    if program is None:
        scan.warn("no main package was found: nothing can be started. Add `package main` with a func main()")
    text = _texts(app)
    required = app.module.requirements if app.module else {}
    cgo = sorted(_CGO & required.keys()) or ["C"] * any(re.search(r'^import "C"', code, re.M) for code in text.values())
    port = _port(app, text, evidence)
    dependencies = {
        path: scan.seen("go.mod", one.text, path, one.line) for path, one in required.items() if not one.indirect
    }
    services = find_services(scan, dependencies)
    evidence += [item for _, item in services]
    keys = find_required(scan, _required(scan, text))
    evidence += [item for _, item in keys]
    start = text_of(given.get("start_command")) or asked.start or procfile.PLACE + name
    facts = GoFacts(
        version=version,
        package=packages.get(name, "."),
        binary=name,
        has_module=app.module is not None or scan.has("go.work"),
        manifests=tuple(_manifests(scan)),
        vendored=scan.has("vendor/modules.txt"),
        sums_missing=bool(required) and not scan.has("go.sum") and not scan.has("go.work"),
        cgo=bool(cgo),
        build=text_of(given.get("build_command")) or None,
        start=start,
        others=tuple((other, packages[other]) for other in sorted(asked.programs - {name})),
        processes=asked.processes,
        assets=tuple(_assets(scan, text)) + tuple(_handed_out(front, scan, text)),
        front_end=front.facts if front else None,
        front_end_folder=front.folder if front else "",
    )
    if facts.sums_missing and not facts.vendored:
        scan.warn("go.mod requires modules, but there is no go.sum: commit it, so that builds are repeatable")
    if cgo:
        evidence.append(scan.seen("go.mod", cgo[0], "needs a C compiler to build", None))
    return Answer(
        facts if program else None,
        framework=app.framework.name if app.framework else None,
        package_manager="go",
        language_version=version,
        start_command=start,
        build_command=text_of(given.get("build_command")) or f"go build -o /out/{name} {facts.package}",
        port=port,
        required_env=[key for key, _ in keys],
        services=[service for service, _ in services],
        evidence=evidence,
        applications=[
            Application(one.folder or ".", posixpath.basename(one.folder) or name, "go", None)
            for one in app.programs
            if len(app.programs) > 1
        ],
    )


def _version(app: App, evidence: list[Evidence]) -> str:
    """``toolchain`` goes before ``go``, which goes before .go-version. Newer compilers build older modules."""
    scan = app.scan
    asked = list(app.module.versions) if app.module else []
    for path in (".go-version", ".tool-versions"):
        for number, line in enumerate(scan.text(path).split("\n"), 1) if scan.has(path) else ():
            word = line.partition("#")[0].removeprefix("golang").strip()
            if re.match(r"(go)?\d", word):
                asked.append((path, number, word))
                break
    if not asked:
        return releases.GO_DEFAULT
    path, number, word = asked[0]
    resolved = versions.resolve_go(word, scan.images)
    if resolved.warning:
        scan.warn(f"{scan.repository.full(path)}: {resolved.warning}")
    evidence.append(scan.seen(path, word, f"asks for Go {word.removeprefix('go')}: {resolved.tag} is used", number))
    return resolved.tag


def _package(program: Program) -> str:
    return f"./{program.folder}" if program.folder else "."


def _binary(app: App, program: Program | None) -> str:
    folder = program.folder if program else ""
    name = posixpath.basename(folder) or (posixpath.basename(app.module.name) if app.module else "")
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", name) else "app"


def _texts(app: App) -> dict[str, str]:
    """The program's own files, and those of usual names that configure it."""
    if app.program is None:
        return {}
    files = [path for path in app.scan.repository.inside(app.program.folder) if path.endswith(".go")]
    files += [
        path
        for path in app.scan.repository.files
        if path.endswith(".go")
        and path not in files
        and re.search(r"(^|/)(config|configs|server|settings|http|router|routes|app|api)[^/]*(\.go|/[^/]+\.go)$", path)
    ]
    kept = [path for path in files if not path.endswith("_test.go")][:MOST_FILES]
    return {path: app.scan.text(path) for path in kept}


def _port(app: App, text: dict[str, str], evidence: list[Evidence]) -> int | None:
    for pattern in _PORTS:
        for path, code in text.items():
            for match in pattern.finditer(code):
                number = int(match[1])
                if 80 <= number < 65536 and number not in (3306, 5432, 6379, 27017, 5672, 9092, 9200):
                    line = code.count("\n", 0, match.start()) + 1
                    evidence.append(app.scan.seen(path, match[0], f"listens on port {number}", line))
                    return number
    if found := find_config_port(app.scan):
        evidence.append(found[1])
        return found[0]
    return app.framework.port if app.framework else 8080


def _required(scan: Scan, text: dict[str, str]) -> list[tuple[str, Evidence]]:
    found = []
    for path, code in text.items():
        for match in _REQUIRED.finditer(code):
            name = match[1] or match[2]
            line = code.count("\n", 0, match.start()) + 1
            found.append((name, scan.seen(path, match[0], f"{name} is required", line)))
    return found


def _manifests(scan: Scan) -> list[str]:
    found = [path for path in ("go.mod", "go.sum", "go.work", "go.work.sum") if scan.has(path)]
    if scan.has("go.work"):
        found += [
            path
            for path in scan.repository.files
            if path.count("/") in (1, 2) and path.endswith(("/go.mod", "/go.sum"))
        ]
    return found


def _front_end(scan: Scan) -> FrontEnd | None:
    """Pages that Node.js builds, and that the program embeds or reads."""
    if not any(path.endswith("/package.json") for path in scan.repository.files):
        return None
    files = [path for path in scan.repository.files if path.endswith(".go") and not path.endswith("_test.go")]
    return find_front_end(scan, {path: scan.text(path) for path in files[:MOST_IMPORTING]})


def _handed_out(front: FrontEnd | None, scan: Scan, text: dict[str, str]) -> list[str]:
    """The front end's output, where the program reads it while it runs; what it embeds is in it."""
    if front is None or front.embedded:
        return []
    place = f"{front.folder}/{front.output}"
    return [] if any(place.startswith(f"{folder}/") for folder in _assets(scan, text)) else [place]


def _assets(scan: Scan, text: dict[str, str]) -> list[str]:
    """Folders at the root that the code names, and does not embed."""
    code = "\n".join(text.values())
    embedded = "\n".join(re.findall(r"^//go:embed[ \t]+(.+)$", code, re.MULTILINE))
    found = []
    for folder in _ASSET_FOLDERS:
        if folder in scan.repository.folders and re.search(rf'"(?:\./|file://)?{re.escape(folder)}(?:/|")', code):
            holds_more = any(
                path.startswith(folder + "/") and not path.endswith(".go") for path in scan.repository.files
            )
            if holds_more and not re.search(rf"(^|\s){re.escape(folder)}(/|\s|$)", embedded):
                found.append(folder)
    for match in _PATH.finditer(code):  # deeper ones: "./client/build/client.js"
        path = match[1].rstrip("/")
        folder = path if path in scan.repository.folders else posixpath.dirname(path) if scan.has(path) else ""
        inside = any(folder == one or folder.startswith(f"{one}/") for one in found)
        if folder and not inside and not path.endswith(".go") and folder not in embedded and len(found) < MOST_ASSETS:
            found.append(folder)
    return found
