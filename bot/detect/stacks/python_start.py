"""What starts a Python application: the server for its kind on ``PORT`` and all addresses, and what has to be added."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass

from bot.detect.frameworks import Framework
from bot.detect.model import Evidence
from bot.detect.parse import Requirement, parse_dotenv, shell_parts
from bot.detect.scan import Scan
from bot.detect.stacks.python_django import Django
from bot.detect.stacks.python_objects import AppObject
from bot.detect.stacks.python_source import Sources, module_of

# servers that the image adds where the repository names none; the newest that were tested
SERVERS: dict[str, str] = {
    "gunicorn": "gunicorn==23.0.0",
    "uvicorn": "uvicorn[standard]==0.38.0",
    "hypercorn": "hypercorn==0.17.3",
    "daphne": "daphne==4.2.1",
    "granian": "granian==2.5.7",
    "waitress-serve": "waitress==3.0.2",
    "pserve": "pyramid==2.0.2",
    "fastapi": "fastapi-cli[standard]==0.0.14",
    "uwsgi": "uwsgi==2.0.31",
    "celery": "celery==5.5.3",
}
_PROGRAM_OF = {"waitress-serve": "waitress", "pserve": "pyramid", "fastapi": "fastapi-cli"}
_WORKERS = {"gevent": "gevent==25.9.1", "eventlet": "eventlet==0.40.3"}
# what brings a server along, by itself or by an extra
_BRINGS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "fastapi": (frozenset({"standard", "all", "standard-no-fastapi-cloud-cli"}), frozenset({"uvicorn", "fastapi-cli"})),
    "litestar": (frozenset({"standard"}), frozenset({"uvicorn"})),
    "channels": (frozenset({"daphne"}), frozenset({"daphne"})),
    "fastapi-cli": (frozenset(), frozenset({"uvicorn"})),
    "python-fasthtml": (frozenset(), frozenset({"uvicorn"})),
    "gradio": (frozenset(), frozenset({"uvicorn"})),
    "quart": (frozenset(), frozenset({"hypercorn"})),
    "nicegui": (frozenset(), frozenset({"uvicorn"})),
    "chainlit": (frozenset(), frozenset({"uvicorn"})),
    "uvicorn-worker": (frozenset(), frozenset({"uvicorn", "gunicorn"})),
    "pyramid": (frozenset(), frozenset({"pserve"})),
}
PROGRAMS = frozenset(
    {
        *("gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "uwsgi", "pserve", "celery"),
        *("python", "python3", "flask", "streamlit", "fastapi", "uv", "poetry", "pipenv", "pdm", "sanic", "litestar"),
        *("chainlit", "gradio", "django-admin", "honcho"),
    }
)
_CONFIGURATIONS = ("gunicorn_config.py", "gunicorn_conf.py", "gunicorn.config.py", "gunicorn-cfg.py")


@dataclass(frozen=True, slots=True)
class Command:
    """What starts the application, and what it needs around it."""

    text: str | None
    import_folder: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    script: bool = False  # the application listens by itself: on the port that the code says
    install: bool = False  # it is a command of the project itself, which has to be installed
    evidence: Evidence | None = None


def named(found: list[Requirement]) -> set[str]:
    """The names of all requirements, with the servers that some of them bring along."""
    names = {item.name for item in found}
    for item in found:
        extras, brought = _BRINGS.get(item.name, (frozenset({""}), frozenset()))
        if not extras or extras & set(item.extras):
            names |= brought
    return names


def missing_servers(start: str, names: set[str]) -> tuple[str, ...]:
    """The server of a start command, where no manifest brings it."""
    programs = {part[0].split("/")[-1] for part in shell_parts(start)}
    missing = [
        requirement
        for program, requirement in SERVERS.items()
        if program in programs and not names & {program, _PROGRAM_OF.get(program, program)}
    ]
    if ("uvicorn.workers" in start or "uvicorn_worker" in start) and not names & {"uvicorn"}:
        missing.append(SERVERS["uvicorn"])
    if "uvicorn_worker" in start and "uvicorn-worker" not in names:
        missing.append("uvicorn-worker==0.4.0")
    workers = re.findall(r"(?:-k|--worker-class)[ =](gevent|eventlet)\b", start)
    missing += [_WORKERS[name] for name in workers if name not in names]
    return tuple(dict.fromkeys(missing))


def quoted(path: str) -> str:
    """A path as a word of a shell command."""
    if re.fullmatch(r"[\w./-]+", path) and not path.startswith("-"):
        return path
    return "./'" + path.replace("'", "'\\''") + "'"


def serve(scan: Scan, kind: str, target: str, names: set[str], *, factory: bool = False) -> str:
    """The server for WSGI or ASGI that the project has, otherwise gunicorn or uvicorn."""
    if kind == "asgi":
        if "uvicorn" not in names:
            if "hypercorn" in names:
                return f"hypercorn --bind 0.0.0.0:${{PORT}} {_called(target, factory)}"
            if "granian" in names:
                flag = "--factory " if factory else ""
                return f"granian --interface asgi --host 0.0.0.0 --port ${{PORT}} {flag}{target}"
            if "daphne" in names and not factory:
                return f"daphne --bind 0.0.0.0 --port ${{PORT}} {target}"
        return f"uvicorn --host 0.0.0.0 --port ${{PORT}} {'--factory ' if factory else ''}{target}"
    if "gunicorn" not in names:
        if "waitress" in names:
            return f"waitress-serve --host=0.0.0.0 --port=${{PORT}} {'--call ' if factory else ''}{target}"
        if "granian" in names:
            flag = "--factory " if factory else ""
            return f"granian --interface wsgi --host 0.0.0.0 --port ${{PORT}} {flag}{target}"
    return f"gunicorn {_gunicorn(scan, names)} {_called(target, factory)}"


def _called(target: str, factory: bool) -> str:
    return f"'{target}()'" if factory else target


def _gunicorn(scan: Scan, names: set[str]) -> str:
    """Options: the project's own configuration decides on workers and threads, never on the address."""
    if scan.has("gunicorn.conf.py"):  # gunicorn reads it by itself
        return "--bind 0.0.0.0:${PORT}"
    own = scan.repository.first(_CONFIGURATIONS)
    if own:
        return f"--config {own} --bind 0.0.0.0:${{PORT}}"
    if "flask-socketio" in names:
        # one worker: clients of socket.io have to come back to the process that knows them
        if "eventlet" in names:
            return "--bind 0.0.0.0:${PORT} --worker-class eventlet --workers 1"
        if {"gevent", "gevent-websocket"} <= names:
            worker = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
            return f"--bind 0.0.0.0:${{PORT}} --worker-class {worker} --workers 1"
        return "--bind 0.0.0.0:${PORT} --workers 1 --threads 100"
    return "--bind 0.0.0.0:${PORT} --threads 4"


def django_command(scan: Scan, django: Django, names: set[str]) -> Command:
    """WSGI, or ASGI where the project is made for it; migrations first where there is a database."""
    kind = "asgi" if django.asgi and not django.wsgi else "wsgi"
    asynchronous = names & {"channels", "daphne", "uvicorn", "hypercorn"}
    if django.asgi and (("channels" in names and django.asgi_declared) or (asynchronous and "gunicorn" not in names)):
        kind = "asgi"
    target = django.asgi if kind == "asgi" else django.wsgi
    environment = (("DJANGO_SETTINGS_MODULE", django.production),) if django.production else ()
    if not target:
        return Command(
            f"python {quoted(django.manage)} runserver --noreload 0.0.0.0:${{PORT}}", django.folder, environment
        )
    if kind == "asgi" and "daphne" in names and "uvicorn" not in names:
        text = f"daphne --bind 0.0.0.0 --port ${{PORT}} {target}"
    else:
        text = serve(scan, kind, target, names)
    if django.has_database:
        text = f"python {quoted(django.manage)} migrate --noinput && {text}"
    return Command(text, django.folder, environment)


def object_command(sources: Sources, one: AppObject, framework: Framework | None, names: set[str]) -> Command | None:
    """The server that loads an application object, or the file itself where the framework brings its own server."""
    place = module_of(sources, one.path)
    server = one.server or (framework.server if framework else "")
    if server in ("wsgi", "asgi") and place:
        target = f"{place[1]}:{one.name}"
        if framework and framework.name == "dash":
            target = f"{place[1]}:{one.name}.server" if one.name != "server" else target
        return Command(serve(sources.scan, server, target, names, factory=one.factory), place[0])
    if framework and framework.name == "sanic" and place:
        called = " --factory" if one.factory else ""
        return Command(f"sanic {place[1]}:{one.name}{called} --host=0.0.0.0 --port=${{PORT}}", place[0])
    return None


def file_command(sources: Sources, path: str) -> Command:
    """``python file``, or ``python -m package.module`` for a file that is part of a package."""
    place = module_of(sources, path)
    module = sources.module(path)
    if place and "." in place[1] and module:
        top = place[1].split(".")[0]
        inside = any(name.startswith(".") or name.split(".")[0] == top for name in module.known.values())
        if inside or path.endswith("/__main__.py"):
            return Command(f"python -m {place[1].removesuffix('.__main__')}", place[0], script=True)
    return Command(f"python {quoted(path)}", script=True)


def own_server_command(framework: Framework, script: str) -> Command:
    """Streamlit and Gradio, told the address and the port."""
    if framework.name == "streamlit":
        options = "--server.port ${PORT} --server.address 0.0.0.0 --server.headless true"
        return Command(f"streamlit run {quoted(script)} {options}")
    return Command(f"GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=${{PORT}} python {quoted(script)}")


def pyramid_command(scan: Scan) -> tuple[Command, int | None] | None:
    """``pserve`` with the .ini for production; through gunicorn where that file listens on this machine only."""
    files = [path for path in scan.repository.inside("") if path.endswith(".ini")]
    kept = [path for path in files if re.search(r"^\[app:|^use\s*=\s*egg:", scan.text(path), re.MULTILINE)]
    kept.sort(key=lambda path: ("prod" not in path, "dev" in path, "test" in path, path))
    if not kept:
        return None
    settings = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        settings.read_string(scan.text(kept[0]))
    except configparser.Error as error:
        scan.warn(f"{scan.repository.full(kept[0])} was not understood: {str(error).splitlines()[0][:100]}")
    server = settings["server:main"] if settings.has_section("server:main") else {}
    listen = str(server.get("listen") or f"{server.get('host') or '127.0.0.1'}:{server.get('port') or 6543}")
    match = re.search(r"^(\S*):(\d{2,5})", listen)
    seen = scan.seen(kept[0], listen if match else "", "settings of Pyramid")
    port = int(match[2]) if match and int(match[2]) < 65536 else None
    if "%(" in listen:
        return Command(f"pserve {quoted(kept[0])} http_port=${{PORT}}", install=True, evidence=seen), port
    if match and match[1] in ("*", "0.0.0.0", "[::]"):  # noqa: S104 - compared only
        return Command(f"pserve {quoted(kept[0])}", install=True, script=True, evidence=seen), port
    command = f"gunicorn --paste {quoted(kept[0])} --bind 0.0.0.0:${{PORT}} --threads 4"
    return Command(command, install=True, evidence=seen), port


def flask_app(scan: Scan) -> tuple[str, str, Evidence] | None:
    """Module and name that FLASK_APP names in .flaskenv or .env; the name is "" where it says none."""
    for file in (".flaskenv", ".env"):
        for key, value, line in parse_dotenv(scan.text(file)) if scan.has(file) else ():
            match = re.fullmatch(r"([\w./]+?)(?:\.py)?(?::(\w+)(\(.*\))?)?", value) if key == "FLASK_APP" else None
            if match:
                module = match[1].removeprefix("./").replace("/", ".")
                return module, match[2] or "", scan.seen(file, value, f"FLASK_APP names {value}", line)
    return None


_PORT_WORD = re.compile(
    r"(?:--?(?:port|p|http-port|server\.port|server_port)[ =]|(?:-b|--bind|--listen|--http)[ =]\S*?:"
    r"|(?<=0\.0\.0\.0):|\[::\]:)(\d{2,5})(?!\S)"
)


def port_in(command: str) -> int | None:
    """The port that a start command fixes by a number."""
    match = _PORT_WORD.search(command)
    return int(match[1]) if match and 0 < int(match[1]) < 65536 else None
