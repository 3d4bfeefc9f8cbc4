"""Elixir: Phoenix, Plug and other applications by mix.exs, umbrellas too, and scripts without one."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace

from bot.detect.facts import ElixirFacts, NodeFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import Framework, remaining
from bot.detect.frameworks.elixir import ELIXIR
from bot.detect.model import Evidence
from bot.detect.scan import Scan, text_of
from bot.detect.stacks.elixir_details import find_health, find_needs, find_port, find_version
from bot.detect.stacks.elixir_mix import Dependency, Mix, read_mix
from bot.detect.stacks.node_assets import find_assets

# files that may mean an application in their folder
MANIFESTS = ("mix.exs",)

_SCRIPTS = ("server.exs", "app.exs", "main.exs", "run.exs", "web.exs")
_NOT_SCRIPTS = {"mix.exs", ".formatter.exs", ".credo.exs", ".iex.exs", "coveralls.exs", "test_helper.exs"}
_SERVES = re.compile(r"\b(Bandit|Plug\.Cowboy|Phoenix\.Endpoint|:gen_tcp\.listen|:inets|:httpd|Plug\.Router|:cowboy)\b")
_COMMENT = re.compile(r"""(?P<text>"(?:\\.|[^"\\])*+"|'(?:\\.|[^'\\])*+'|\?.)|\#(?!\{)[^\n]*""")
_RELEASE_MODULE = re.compile(r"^\s*defmodule\s+([\w.]+\.Release)\s+do\b", re.MULTILINE)
_RUN_TIME: dict[str, tuple[str, ...]] = {"mogrify": ("imagemagick",), "chromic_pdf": ("chromium", "ghostscript")}
MOST_FILES = 60


@dataclass(slots=True)
class App:
    """Everything that was seen of one application."""

    scan: Scan
    mix: Mix | None
    children: dict[str, Mix] = field(default_factory=dict)  # of an umbrella, by folder
    web: str = ""  # folder of the child that serves
    script: str | None = None
    framework: Framework | None = None
    reason: Dependency | None = None

    @property
    def dependencies(self) -> dict[str, Dependency]:
        found: dict[str, Dependency] = {}
        for mix in ([self.mix] if self.mix else []) + list(self.children.values()):
            for name, one in mix.dependencies.items():
                found.setdefault(name, one)
        return found

    @property
    def serving(self) -> Mix | None:
        """The project whose aliases and assets count."""
        return self.children.get(self.web) or self.mix


def find(scan: Scan) -> Finding | None:
    """A mix.exs, or a script that is no part of one."""
    if not scan.has("mix.exs"):
        return _find_script(scan)
    app = App(scan, read_mix(scan, "mix.exs"))
    assert app.mix is not None
    if app.mix.apps_path:
        for path in scan.repository.files:
            folder, _, name = path.rpartition("/")
            if name == "mix.exs" and posixpath.dirname(folder) == app.mix.apps_path and len(app.children) < 60:
                app.children[folder] = read_mix(scan, path)
    _frame(app)
    code = _code(app)
    served = next((path for path, text in code.items() if _SERVES.search(text)), None)
    finding = Finding(
        "elixir",
        app.framework.name if app.framework else None,
        bool(app.framework or served),
        lambda given: _answer(app, given),
    )
    says = "an umbrella of Mix projects" if app.mix.apps_path else f"a Mix project: {app.mix.app or 'without a name'}"
    finding.add(60, scan.seen("mix.exs", "", says, 1))
    if app.framework and app.reason:
        finding.add(25, scan.seen(app.reason.path, app.reason.text, f"asks for {app.reason.name}", app.reason.line))
    if served:
        match = _SERVES.search(code[served])
        finding.add(10, scan.seen(served, match[0] if match else "", "answers HTTP"))
    web = scan.procfile.get("web")
    if web and re.search(r"\b(mix|elixir|iex|_build)\b", web[0]):
        finding.add(15, scan.seen("Procfile", web[0], "the Procfile starts it", web[1]))
    sources = any(
        path.endswith((".ex", ".exs", ".heex", ".eex")) and path != "mix.exs" for path in scan.repository.files
    )
    if not sources and (scan.has("rebar.config") or scan.has("gleam.toml")):
        finding.limit = 20  # of Erlang or Gleam, and published for Mix as well
    return finding


def _find_script(scan: Scan) -> Finding | None:
    names = [path for path in scan.repository.inside("") if path.endswith(".exs") and path not in _NOT_SCRIPTS]
    names = [name for name in names if not name.endswith("_test.exs")]
    names.sort(key=lambda name: (name not in _SCRIPTS, _SERVES.search(scan.text(name)) is None, name))
    if not names or any(path.endswith("/mix.exs") for path in scan.repository.files if path.count("/") < 3):
        return None
    app = App(scan, None, script=names[0])
    text = _without_comments(scan.text(names[0]))
    for row in ELIXIR:
        if any(re.search(rf"\{{:{package}\b", text) for package in row.packages):
            app.framework = row
            break
    finding = Finding(
        "elixir",
        app.framework.name if app.framework else None,
        bool(_SERVES.search(text)),
        lambda given: _answer(app, given),
    )
    finding.add(45, scan.seen(names[0], "Mix.install" if "Mix.install" in text else "", "a script of Elixir", None))
    if match := _SERVES.search(text):
        finding.add(20, scan.seen(names[0], match[0], "answers HTTP"))
    return finding


def _frame(app: App) -> None:
    found: dict[str, Dependency] = {}
    for one in app.dependencies.values():
        if one.at_run_time and not one.optional:
            for row in ELIXIR:
                if one.name in row.packages:
                    found.setdefault(row.name, one)
    rows = remaining(set(found), ELIXIR)
    app.framework = rows[0] if rows else None
    app.reason = found[rows[0].name] if rows else None
    if app.reason and app.children:
        holders = [folder for folder, mix in app.children.items() if app.reason.name in mix.dependencies]
        holders.sort(key=lambda folder: (not app.children[folder].starts, not folder.endswith("_web"), folder))
        app.web = holders[0] if holders else ""


def _without_comments(text: str) -> str:
    return _COMMENT.sub(lambda match: match[0] if match["text"] else "", text)


def _code(app: App) -> dict[str, str]:
    """Settings for production, and sources of telling names, without comments."""
    scan = app.scan
    files = [
        f"config/{name}.exs" for name in ("runtime", "prod", "releases", "config") if scan.has(f"config/{name}.exs")
    ]
    for path in scan.repository.files:
        if len(files) >= MOST_FILES or path.count("/") > 6:
            break
        if path.endswith(".ex") and re.search(r"(^|/)lib/", path) and not re.search(r"(^|/)(deps|_build|test)/", path):
            telling = re.search(r"(application|endpoint|router|server|release|http|web|plug|supervisor)\w*\.ex$", path)
            if telling or path.count("/") <= 1:
                files.append(path)
    if app.script:
        files.append(app.script)
    return {path: _without_comments(scan.text(path)) for path in files}


def _answer(app: App, given: Overrides) -> Answer:
    scan = app.scan
    code = _code(app)
    evidence: list[Evidence] = []
    version = find_version(app, evidence)
    port = find_port(app, code, evidence)
    required, services = find_needs(app, code, evidence)
    health = find_health(app, code, evidence)
    name = app.framework.name if app.framework else None
    command = text_of(given.get("start_command"))
    build = text_of(given.get("build_command"))
    if app.script or app.mix is None:
        facts = ElixirFacts(
            version=version,
            script=app.script or "",
            has_dependencies="Mix.install" in code.get(app.script or "", ""),
            start=command or f"elixir {_word(app.script or '')}",
            build=build or None,
        )
        if facts.has_dependencies:
            scan.warn(f"{app.script} fetches its packages when it starts: a Mix project has them in the image")
        shown = facts.start
    else:
        facts = _release(app, code, version, evidence)
        shown = command or facts.start
        facts = replace(facts, start=shown, build=build or None, prepare="" if command else facts.prepare)
        if not app.mix.starts and not any(one.starts for one in app.children.values()):
            scan.warn("mix.exs names no `mod` that is started: nothing will run, and nothing will answer HTTP")
        if facts.has_dependencies and not scan.has("mix.lock"):
            scan.warn("there is no mix.lock: commit it, so that builds are repeatable")
    return Answer(
        facts,
        framework=name,
        package_manager="mix",
        language_version=version.partition("-")[0],
        start_command=shown,
        build_command=build or (None if app.script else "mix release"),
        port=port,
        health_path=health,
        required_env=required,
        services=services,
        evidence=evidence,
    )


def _word(text: str) -> str:
    return text if re.fullmatch(r"[\w./+-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def _release(app: App, code: dict[str, str], version: str, evidence: list[Evidence]) -> ElixirFacts:
    scan, mix = app.scan, app.mix
    assert mix is not None
    dependencies = app.dependencies
    fetched = {name: one for name, one in dependencies.items() if one.at_run_time}
    name, folder = _release_name(app)
    local = [one.local for one in fetched.values() if one.local]
    if any(posixpath.normpath(path).startswith("..") for path in local) and not app.children:
        scan.warn("mix.exs names packages outside of this folder, which the build does not see. Set root above both")
    serving = app.serving
    assert serving is not None
    assets, assets_folder, deploy = _assets(app, serving, evidence)
    environment: list[tuple[str, str]] = []
    if app.framework and app.framework.name == "phoenix":
        environment.append(("PHX_SERVER", "true"))
        if any('"PHX_HOST"' in text for text in code.values()):
            environment.append(("PHX_HOST", "localhost"))
        production = [text for path, text in code.items() if path.startswith("config/")]
        if not any("PHX_SERVER" in text or re.search(r"\bserver:\s*true\b", text) for text in production):
            scan.warn("no setting starts the endpoint in a release: add `server: true` to it in config/runtime.exs")
    children = sorted(child.path for child in app.children.values())
    umbrella = {child.app for child in app.children.values()}
    kept = ("dev.exs", "test.exs", "runtime.exs", "releases.exs")
    settings = [path for path in scan.repository.inside("config") if path.endswith(".exs") and not path.endswith(kept)]
    for path in settings:
        for imported in re.findall(
            r'^\s*import_config\s*\(?"([\w./-]+\.secret\.exs)"', code.get(path, ""), re.MULTILINE
        ):
            if not scan.has(f"config/{imported}"):
                scan.warn(f"{path} imports {imported}, which is not there: move its settings to config/runtime.exs")
    read = re.findall(r'\bFile\.read!?\(\s*"([\w./-]+)"', scan.text("mix.exs"))
    return ElixirFacts(
        version=version,
        manifests=tuple(path for path in dict.fromkeys(("mix.exs", "mix.lock", *read, *children)) if scan.has(path)),
        settings=tuple(settings),
        has_dependencies=bool(fetched.keys() - umbrella),
        install_needs_source=any(not posixpath.normpath(path).startswith("..") for path in local),
        release=name if name in serving.releases + mix.releases else "",
        release_folder=folder,
        setup="mix assets.setup" if "assets.setup" in serving.aliases and not assets else None,
        deploy=deploy,
        assets=assets,
        assets_folder=assets_folder,
        start=f"bin/{name} start",
        prepare=_prepare(app, code, name),
        environment=tuple(environment),
        packages=tuple(sorted({one for key in fetched for one in _RUN_TIME.get(key, ())})),
    )


def _release_name(app: App) -> tuple[str, str]:
    """The release, and the folder in which it is made: an umbrella has none unless it says so."""
    mix = app.mix
    assert mix is not None
    names = [name for name in mix.releases if re.fullmatch(r"[a-z][a-z0-9_]*", name)]
    if names:
        serving = app.serving
        own = [serving.app, serving.app.removesuffix("_web")] if serving else []
        usual = [mix.default_release, mix.app, *own]
        name = next((one for one in usual if one in names), names[0])
        if len(names) > 1:
            others = ", ".join(one for one in names if one != name)
            app.scan.warn(f"several releases: {name} is built, not {others}. Set default_release in mix.exs")
        return name, ""
    if app.children:
        folder = app.web or next((one for one in sorted(app.children) if app.children[one].starts), "")
        folder = folder or min(app.children, default="")
        child = app.children[folder]
        app.scan.warn(f"the umbrella names no release: the application in {folder} is built with what it needs")
        return _plain([*child.releases, child.app, posixpath.basename(folder)]), folder
    return _plain([mix.app]), ""


def _plain(names: list[str]) -> str:
    """The first that Mix takes for a name."""
    return next((name for name in names if re.fullmatch(r"[a-z][a-z0-9_]*", name)), "app")


def _assets(
    app: App, serving: Mix, evidence: list[Evidence]
) -> tuple[NodeFacts | None, str, tuple[tuple[str, str], ...]]:
    """Packages of Node.js for the assets, their folder, and the commands that make them."""
    scan = app.scan
    folder = posixpath.join(posixpath.dirname(serving.path), "assets")
    above = posixpath.dirname(folder)
    facts = None
    alias = "assets.deploy" in serving.aliases
    deploy = [(above, "mix assets.deploy")] if alias else []
    if scan.has(f"{folder}/package.json"):
        inner = Scan(scan.repository.at("/".join(part for part in (scan.repository.root, folder) if part)))
        found = find_assets(inner, "../priv/static", scripts=() if alias else ("deploy", "build"))
        if found:
            facts = found[0]
            evidence.append(found[1])
            if not alias:
                deploy = [(folder, facts.build or ""), (above, "mix phx.digest")]
    if alias:
        evidence.append(scan.seen(serving.path, "assets.deploy", "assets are made by the alias assets.deploy"))
    return facts, folder, tuple(deploy)


def _prepare(app: App, code: dict[str, str], name: str) -> str:
    """What is done at each start: keys are made there, because a layer of an image is no place for them."""
    steps = []
    if any('"SECRET_KEY_BASE"' in text for text in code.values()):
        steps.append(
            '{ [ -n "$SECRET_KEY_BASE" ]'
            ' || { SECRET_KEY_BASE="$(head -c 48 /dev/urandom | base64 -w 0)" && export SECRET_KEY_BASE; }; }'
        )
    migrate = None
    if app.scan.has("rel/overlays/bin/migrate"):
        migrate = "sh bin/migrate"
    elif "ecto_sql" in app.dependencies:
        for text in code.values():
            module = _RELEASE_MODULE.search(text)
            if module and re.search(r"^\s*def\s+migrate\b", text, re.MULTILINE):
                migrate = f"bin/{name} eval {module[1]}.migrate"
                break
    if migrate:
        steps.append(f'{{ [ -z "$DATABASE_URL" ] || {migrate}; }}')
    return " && ".join(steps)
