"""The start command of a Python application, by what was found of it."""

from __future__ import annotations

import re

from bot.detect.frameworks import Framework
from bot.detect.parse import parse_toml
from bot.detect.scan import table
from bot.detect.stacks import python_start
from bot.detect.stacks.python_app import App
from bot.detect.stacks.python_source import module_of, serves
from bot.detect.stacks.python_start import Command

_STREAMLIT = ("streamlit_app.py", "app.py", "main.py", "Home.py", "home.py", "dashboard.py", "Hello.py", "index.py")
_SERVE_SCRIPTS = frozenset({"start", "serve", "server", "web", "app", "run", "prod", "main", "api"})


def start_command(app: App, framework: Framework | None, names: set[str]) -> tuple[Command, int | None]:
    """The command that serves the application on ``PORT`` and all addresses, and the port where it is fixed."""
    scan = app.scan
    if app.django and (framework is None or framework.name == "django"):
        return python_start.django_command(scan, app.django, names), None
    if framework and framework.name in ("streamlit", "gradio"):
        return _own_server(app, framework)
    if framework and framework.name == "pyramid" and (found := python_start.pyramid_command(scan)):
        return found
    if app.object and (command := python_start.object_command(app.sources, app.object, framework, names)):
        return command, None
    if command := _console_script(app, framework, app.script if app.script_serves else None):
        return command, None
    if app.script and app.script_serves:
        if framework and framework.name == "bottle" and _only_on_this_machine(app):
            place = module_of(app.sources, app.script)
            if place:
                server = "--server gunicorn " if "gunicorn" in names else ""
                return Command(f"python -m bottle {server}--bind 0.0.0.0:${{PORT}} {place[1]}", place[0]), None
        _warn_of_address(app)
        return python_start.file_command(app.sources, app.script), None
    if app.object and framework and framework.name == "aiohttp" and (place := module_of(app.sources, app.object.path)):
        worker = "gunicorn --bind 0.0.0.0:${PORT} --worker-class aiohttp.GunicornWebWorker"
        return Command(f"{worker} {place[1]}:{app.object.name}", place[0]), None
    if "chainlit" in names and app.script:
        return Command(
            f"chainlit run {python_start.quoted(app.script)} --host 0.0.0.0 --port ${{PORT}} --headless"
        ), 8000
    script = app.object.path if app.object else app.script
    if script:
        return python_start.file_command(app.sources, script), None
    return _worker(app, names), None


def _own_server(app: App, framework: Framework) -> tuple[Command, int | None]:
    scan = app.scan
    used = [path for path in app.sources.candidates() if re.search(rf"\b{framework.name}\b", scan.text(path))]
    used = [path for path in used if "/pages/" not in f"/{path}"]
    usual = [f"{folder}{name}" for folder in ("", "src/", "app/") for name in _STREAMLIT]
    script = next((path for path in usual if path in used), None) or next(iter(used), None) or app.script
    port = None
    if framework.name == "streamlit" and scan.has(".streamlit/config.toml"):
        data, _ = parse_toml(scan.text(".streamlit/config.toml"))
        wanted = table(data.get("server")).get("port")
        port = wanted if isinstance(wanted, int) and 0 < wanted < 65536 else None
    if script and script not in app.files:
        app.files.insert(0, script)
    return (python_start.own_server_command(framework, script) if script else Command(None)), port


def _only_on_this_machine(app: App) -> bool:
    """Whether a script listens on the loopback address, or where it listens by default, and can be imported instead."""
    text = app.scan.text(app.script or "")
    return "0.0.0.0" not in text and "__name__" in text  # noqa: S104 - looked for, not listened on


def _warn_of_address(app: App) -> None:
    text = app.scan.text(app.script or "")
    found = re.search(
        r"host\s*=\s*[\"'](localhost|127\.0\.0\.1)[\"']|\(\s*[\"'](localhost|127\.0\.0\.1)[\"']\s*,", text
    )
    if found:
        path = app.scan.repository.full(app.script or "")
        app.scan.warn(
            f"{path} listens on {found[1] or found[2]} only, where nothing reaches it from outside of its container:"
            " let it listen on 0.0.0.0"
        )


def _console_script(app: App, framework: Framework | None, serving: str | None) -> Command | None:
    """A command of the project that serves: that of the file which listens, or the likely one of a framework."""
    scripts = app.manifests.scripts if app.manifests else {}
    likely = []
    for name, target in scripts.items():
        base = target.split(":")[0].strip().replace(".", "/")
        path = app.scan.repository.first(
            f"{folder}{base}{ending}" for folder in ("", "src/") for ending in (".py", "/__init__.py", "/__main__.py")
        )
        module = app.sources.module(path) if path else None
        if module and serves(module) and (serving is None or path == serving):
            return Command(name, install=True, script=True)
        likely += [name] if framework and not serving and (len(scripts) == 1 or name in _SERVE_SCRIPTS) else []
    return Command(likely[0], install=True, script=True) if likely else None


def _worker(app: App, names: set[str]) -> Command:
    """A worker of Celery without any web server beside it."""
    if "celery" not in names:
        return Command(None)
    for path in app.sources.candidates():
        place = module_of(app.sources, path) if re.search(r"=\s*Celery\(", app.scan.text(path)) else None
        if place:
            return Command(f"celery --app {place[1]} worker --loglevel info", place[0])
    return Command(None)


def no_start(app: App) -> str:
    """What was looked at, and the exact line to add."""
    looked = ", ".join(app.sources.candidates()[:6])
    notebooks = [path for path in app.scan.repository.files if path.endswith(".ipynb")]
    if not looked and notebooks:
        return (
            f"no start command: only notebooks ({', '.join(notebooks[:3])}), which do not serve by themselves."
            " Add a program that does, or a Procfile with `web: voila --port=${PORT} --Voila.ip=0.0.0.0 X.ipynb`"
        )
    scripts = app.manifests.scripts if app.manifests else {}
    commands = f" Its command line programs ({', '.join(list(scripts)[:4])}) are not known to serve." if scripts else ""
    return (
        "no start command: no application object such as app = Flask(__name__) was found"
        f" (looked at {looked or 'no Python file'}).{commands}"
        " Add a Procfile with `web: gunicorn module:app`, or set start_command"
    )
