"""Rust: a crate or a workspace with a program."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from bot.detect import procfile, versions
from bot.detect.config_port import find_config_port
from bot.detect.facts import RustFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import Framework, remaining
from bot.detect.frameworks.rust import RUST
from bot.detect.model import Application, Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.node_assets import find_front_end
from bot.detect.stacks.rust_build import assets, manifests, packages, placeholders
from bot.detect.stacks.rust_crates import Binary, Crate, read_crates, used_by

# files that may mean an application in their folder
MANIFESTS = ("Cargo.toml",)

_PREFERRED = ("server", "api", "web", "app", "service", "backend")
_PORTS = (
    re.compile(r'"(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::1?\])?:(\d{2,5})"'),
    re.compile(
        r'\(\s*\(?\s*(?:"(?:0\.0\.0\.0|127\.0\.0\.1|localhost)"|\[(?:\d+,\s*){3}\d+\]|\w+::UNSPECIFIED)\s*,\s*(\d{2,5})\s*\)'
    ),
    re.compile(r'"PORT"[^;]{0,120}?unwrap_or(?:_else)?\(\s*(?:\|_\|\s*)?"?(\d{2,5})"?'),
    re.compile(r"(?i)\bport\b[^=;\n]{0,40}=\s*(\d{4,5})\b"),
)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
_LOCAL = re.compile(r'"(?:127\.0\.0\.1|localhost)(?::\d+)?"|\[127,\s*0,\s*0,\s*1\]')
_REQUIRED = re.compile(r'\benv::var\(\s*"(\w+)"\s*\)\s*(?:\.expect\(|\.unwrap\(\)|\?)')


@dataclass(slots=True)
class App:
    """Everything that was seen of one crate or workspace."""

    scan: Scan
    crates: list[Crate]
    crate: Crate | None = None
    binary: Binary | None = None
    framework: Framework | None = None
    asking: Crate | None = None  # the crate that depends on the framework: the program's, or one that it is made of
    named: tuple[str, int] | None = None


def find(scan: Scan) -> Finding | None:
    """A Cargo.toml with a package or a workspace; a program without one is named, but not built."""
    if not scan.has("Cargo.toml"):
        return _lone(scan)
    app = App(scan, read_crates(scan))
    _choose(app)
    for crate in used_by(app.crate, app.crates) if app.crate else ():
        rows = remaining(_frameworks(crate), RUST)
        if rows:
            code = "\n".join(_code(scan, [crate]).values()) if len(rows) > 1 else ""
            # several that are asked for: the one that the code speaks of most
            app.framework = max(rows, key=lambda row: len(re.findall(rf"\b{row.name.replace('-', '_')}::", code)))
            app.asking = crate
            break
    finding = Finding(
        "rust", app.framework.name if app.framework else None, app.framework is not None, lambda o: _answer(app, o)
    )
    _weigh(app, finding)
    return finding


def _lone(scan: Scan) -> Finding | None:
    lone = next((path for path in ("src/main.rs", "main.rs") if scan.has(path)), None)
    found = re.search(r"^\s*(?:pub )?(?:async )?fn main\b", scan.text(lone), re.MULTILINE) if lone else None
    if lone is None or found is None:
        return None

    def answer(_: Overrides) -> Answer:
        scan.warn(f"{scan.repository.full(lone)} has no Cargo.toml: add one, it says what the program is built from")
        return Answer(None, package_manager="cargo")

    finding = Finding("rust", None, False, answer)
    finding.add(40, scan.seen(lone, found[0].strip(), "a program in Rust"))
    return finding


def _browser_only(app: App) -> Evidence | None:
    """What says that Trunk makes WebAssembly for a page out of the program. https://trunkrs.dev"""
    scan, page = app.scan, app.scan.text("index.html") if app.scan.has("index.html") else ""
    built = scan.has("Trunk.toml") or re.search(r"\bdata-trunk\b", page)
    where = "Trunk.toml" if scan.has("Trunk.toml") else "index.html"
    return scan.seen(where, "", "Trunk builds it for browsers") if built and app.framework is None else None


def _frameworks(crate: Crate) -> set[str]:
    return {row.name for row in RUST if row.name in crate.dependencies}


def _choose(app: App) -> None:
    """The Procfile's program, ``default-run``, the only one, one of a crate with a framework, one of a usual name."""
    every = [(crate, binary) for crate in app.crates for binary in crate.binaries]
    web = app.scan.procfile.get("web")
    parts = shell_parts(web[0]) if web else []
    wanted = posixpath.basename(parts[-1][0]) if parts else ""
    defaults = {text_of(table(crate.data.get("package")).get("default-run")) for crate in app.crates}
    serving = [one for one in every if _frameworks(one[0])] or [
        one for one in every if any(_frameworks(crate) for crate in used_by(one[0], app.crates))
    ]
    own = [one for one in (serving or every) if one[1].name == one[0].name]
    usual = [one for name in _PREFERRED for one in (serving or every) if one[1].name == name]
    chosen = next(
        (
            group[0]
            for group in (
                [one for one in every if one[1].name == wanted],
                [one for one in every if one[1].name in defaults],
                every if len(every) == 1 else [],
                serving if len(serving) == 1 else [],
                usual,
                own,
                serving,
                every,
            )
            if group
        ),
        None,
    )
    if chosen is None:
        return
    app.crate, app.binary = chosen
    if web and app.binary.name == wanted:
        app.named = web
    others = [binary.name for _, binary in (serving or every) if binary is not app.binary]
    if others and app.named is None and app.binary.name not in defaults:
        app.scan.warn(f"several programs: {app.binary.name} is built, not {', '.join(others[:8])}")


def _weigh(app: App, finding: Finding) -> None:
    scan, crate = app.scan, app.crate
    says = "a workspace of crates" if "workspace" in scan.toml("Cargo.toml") else "a Rust crate"
    finding.add(45, scan.seen("Cargo.toml", "[workspace]" if "workspace" in says else "[package]", says))
    if app.binary and crate:
        finding.add(30, scan.seen(app.binary.path, "fn main", f"the program {app.binary.name}"))
        if app.framework and app.asking:
            name = app.framework.name
            line = app.asking.dependencies[name]
            finding.add(25, scan.seen(app.asking.manifest, name, f"depends on {name}", line))
    if app.named:
        finding.add(15, scan.seen("Procfile", app.named[0], "the Procfile starts it", app.named[1]))


def _answer(app: App, given: Overrides) -> Answer:
    scan, crate, binary = app.scan, app.crate, app.binary
    evidence: list[Evidence] = []
    version = _version(app, evidence)
    if crate is None or binary is None:
        scan.warn("no program was found, only libraries: nothing can be started. Add src/main.rs or a [[bin]]")
        return Answer(None, package_manager="cargo", language_version=version, evidence=evidence)
    page = _browser_only(app)
    if page:
        scan.warn("the program runs in browsers, built by Trunk, for which no Dockerfile is written yet. Add one")
        return Answer(None, package_manager="cargo", language_version=version, evidence=[*evidence, page])
    code = _code(scan, used_by(crate, app.crates))
    seen = {
        name: scan.seen(one.manifest, name.partition("[")[0], name, line)
        for one in reversed(used_by(crate, app.crates))  # the nearest one's evidence stays
        for name, line in (one.dependencies | one.features).items()
    }
    services = find_services(scan, seen)
    keys = find_required(scan, _required(scan, code))
    evidence += [item for _, item in (*services, *keys)]
    name = binary.name if _PLAIN.fullmatch(binary.name) else "app"
    programs = {one.name for each in app.crates for one in each.binaries if _PLAIN.fullmatch(one.name)} | {name}
    asked = procfile.compiled(scan, programs, name)
    start = text_of(given.get("start_command")) or asked.start or procfile.PLACE + name
    build, run = packages(app.crates)
    port = _port(app, code, evidence)
    rocket = app.framework is not None and app.framework.name == "rocket"  # which knows no PORT
    own_port = rocket and not given.get("start_command") and "ROCKET_PORT" not in start
    locked = scan.has("Cargo.lock")
    if not locked:
        scan.warn("there is no Cargo.lock: commit it, so that builds are repeatable")
    command = f"cargo build --release{' --locked' if locked else ''} --bin {name}"
    front = (
        find_front_end(scan, code) if any(path.endswith("/package.json") for path in scan.repository.files) else None
    )
    evidence += front.evidence if front else ()
    facts = RustFacts(
        version=version,
        binary=name,
        locked=locked,
        manifests=tuple(manifests(scan, app.crates)),
        placeholders=tuple(placeholders(app.crates)),
        build=text_of(given.get("build_command")) or None,
        start=f"ROCKET_PORT=${{PORT}} {start}" if own_port else start,
        others=tuple(sorted(asked.programs - {name})),
        processes=asked.processes,
        assets=(*assets(scan, code), *((f"{front.folder}/{front.output}",) if front else ())),
        front_end=front.facts if front else None,
        front_end_folder=front.folder if front else "",
        environment=(("ROCKET_ADDRESS", "0.0.0.0"),) if rocket else (),  # noqa: S104 - inside a container
        packages=run,
        build_packages=build,
    )
    return Answer(
        facts,
        framework=app.framework.name if app.framework else None,
        package_manager="cargo",
        language_version=version,
        start_command=start,
        build_command=text_of(given.get("build_command")) or command,
        port=port,
        required_env=[key for key, _ in keys],
        services=[service for service, _ in services],
        evidence=evidence,
        applications=_applications(app),
    )


def _applications(app: App) -> list[Application]:
    found = [
        Application(crate.folder or ".", binary.name, "rust", None) for crate in app.crates for binary in crate.binaries
    ]
    return found if len(found) > 1 else []


def _version(app: App, evidence: list[Evidence]) -> str:
    """A pinned toolchain goes before ``rust-version``, which is only the oldest that will do."""
    scan = app.scan
    pinned = ""
    where = "rust-toolchain.toml"
    if scan.has(where):
        pinned = text_of(table(scan.toml(where).get("toolchain")).get("channel"))
    elif scan.has("rust-toolchain"):
        where = "rust-toolchain"
        text = scan.text(where).strip()
        channel = re.search(r'channel\s*=\s*"([^"]+)"', text)
        pinned = channel[1] if channel else text.split("\n", 1)[0].strip()
    least = text_of(table(app.crate.data.get("package")).get("rust-version")) if app.crate else ""
    resolved = versions.resolve_rust(pinned, least, scan.images)
    if resolved.warning:
        scan.warn(f"{scan.repository.full(where if pinned else 'Cargo.toml')}: {resolved.warning}")
    if pinned:
        evidence.append(scan.seen(where, pinned, f"asks for Rust {pinned}: {resolved.tag} is used"))
    elif least and app.crate:
        evidence.append(scan.seen(app.crate.manifest, least, f"needs Rust {least} at least: {resolved.tag} is used"))
    return resolved.tag


def _code(scan: Scan, crates: list[Crate]) -> dict[str, str]:
    """The program's own sources first, then those of the crates that it is made of."""
    files: list[str] = []
    for crate in crates:
        prefix = posixpath.join(crate.folder, "src/")
        own = [path for path in scan.repository.files if path.startswith(prefix) and path.endswith(".rs")]
        files += sorted(own, key=lambda path: (not path.endswith("main.rs"), path.count("/"), path))
    return {path: scan.text(path) for path in files[:60]}


def _port(app: App, code: dict[str, str], evidence: list[Evidence]) -> int:
    scan = app.scan
    for path, text in code.items():
        local = _LOCAL.search(text)
        if local and "0.0.0.0" not in text:  # noqa: S104 - looked for in a repository
            scan.warn(f"{scan.repository.full(path)} listens on {local[0]} only: use 0.0.0.0, or nobody can reach it")
            break
    if app.framework and app.framework.name == "rocket":
        default = table(scan.toml("Rocket.toml").get("default")).get("port")
        if isinstance(default, int) and 0 < default < 65536:
            evidence.append(scan.seen("Rocket.toml", str(default), f"listens on port {default}"))
            return default
        return app.framework.port or 8000
    for pattern in _PORTS:
        for path, text in code.items():
            for match in pattern.finditer(text):
                number = int(match[1])
                if 80 <= number < 65536 and number not in (3306, 5432, 6379, 27017, 5672, 9092):
                    line = text.count("\n", 0, match.start()) + 1
                    evidence.append(scan.seen(path, match[0], f"listens on port {number}", line))
                    return number
    if found := find_config_port(scan):
        evidence.append(found[1])
        return found[0]
    return (app.framework.port if app.framework else None) or 8080


def _required(scan: Scan, code: dict[str, str]) -> list[tuple[str, Evidence]]:
    found = []
    for path, text in code.items():
        for match in _REQUIRED.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append((match[1], scan.seen(path, match[0], f"{match[1]} is read without a default", line)))
    return found
