"""Python: web frameworks with the server that runs them, Django, and plain scripts that serve by themselves."""

from __future__ import annotations

import re
from dataclasses import replace as changed

from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import BY_NAME, Framework
from bot.detect.model import Evidence
from bot.detect.needs import SERVICE_NAMES, find_required, find_services
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan, text_of
from bot.detect.stacks import python_packages, python_settings, python_start
from bot.detect.stacks.python_app import App, look
from bot.detect.stacks.python_commands import no_start, start_command
from bot.detect.stacks.python_facts import inline_requirements, make_facts
from bot.detect.stacks.python_requirements import Manifests
from bot.detect.stacks.python_source import Sources
from bot.detect.stacks.python_start import Command
from bot.detect.stacks.python_version import find_version

# files that may mean an application in their folder
MANIFESTS = (
    *("requirements.txt", "pyproject.toml", "Pipfile", "manage.py", "setup.py", "environment.yml", "environment.yaml"),
    *("app.py", "main.py", "server.py", "wsgi.py", "asgi.py", "streamlit_app.py", "bot.py"),
)


def find(scan: Scan) -> Finding | None:
    """What manifests and sources say together."""
    manifests = python_packages.read_manifests(scan)
    has_source = any(path.endswith(".py") for path in scan.repository.files if path.count("/") <= 2)
    if manifests is None and not has_source:
        return None
    app = App(scan, Sources(scan), manifests)
    look(app)
    lone = [path for path in scan.repository.inside("") if path.endswith(".py") and path != "setup.py"]
    if manifests is None and not (app.object or app.django or app.script or lone):
        return None
    serves_http = bool(app.object or app.django or app.framework or app.script_serves)
    finding = Finding("python", app.name, serves_http, lambda overrides: _answer(app, overrides))
    _weigh(app, finding, lone)
    return finding


def _weigh(app: App, finding: Finding, lone: list[str]) -> None:
    scan, manifests = app.scan, app.manifests
    if manifests and manifests.evidence:
        finding.add(10 if manifests.weak else 30, manifests.evidence)
    if app.framework and manifests:
        wanted = next((manifests.names[name] for name in app.framework.packages if name in manifests.names), None)
        if wanted:
            says = f"depends on {wanted.name}: {app.framework.name}"
            finding.add(30, Evidence(scan.repository.full(wanted.path), wanted.line, wanted.text, says))
    if app.object and app.framework:
        what = "factory" if app.object.factory else "application object"
        says = f"{app.framework.name} {what} {app.object.name}"
        finding.add(35, scan.seen(app.object.path, app.object.name, says, app.object.line))
    elif app.framework and not app.django and app.framework.name in app.used:
        path = app.used[app.framework.name]
        finding.add(25, scan.seen(path, app.framework.packages[0].rpartition("-")[2], f"uses {app.framework.name}"))
    if app.django:
        finding.add(40, app.django.evidence)
    elif app.script and not app.object:
        says = "listens for requests" if app.script_serves else "a script to run"
        finding.add(
            30 if app.script_serves or not manifests else 15, scan.seen(app.script, "", says, app.script_serves)
        )
    elif lone and not app.object and not manifests:
        finding.add(30, scan.seen(lone[0], "", "Python, without anything that says how it starts"))
    web = scan.procfile.get("web")
    if web and _is_python(web[0]):
        finding.add(30, scan.seen("Procfile", web[0], "the Procfile starts Python", web[1]))


def _is_python(command: str) -> bool:
    parts = shell_parts(command)
    return bool(parts) and parts[-1][0].split("/")[-1] in python_start.PROGRAMS


def _answer(app: App, overrides: Overrides) -> Answer:
    scan = app.scan
    manifests = app.manifests or Manifests()
    chosen = BY_NAME.get(text_of(overrides.get("framework")))
    framework = chosen if chosen and chosen.stack == "python" else app.framework
    version, evidence = find_version(scan, app.manifests, app.script)
    answer = Answer(
        None, framework.name if framework and framework.name in BY_NAME else None, manifests.manager, version
    )
    answer.evidence += [evidence] if evidence else []
    names = python_start.named(manifests.found)
    inline = inline_requirements(app, answer)
    command, port = start_command(app, framework, names)
    web = scan.procfile.get("web")
    start = text_of(overrides.get("start_command")) or (web[0] if web else None) or command.text
    answer.start_command = start
    answer.evidence += [command.evidence] if command.evidence and start == command.text else []
    _port(app, framework, answer, port or python_start.port_in(start or ""))
    _health(app, framework, answer)
    _needs(app, answer)
    answer.facts = make_facts(app, answer, version, inline, command if start == command.text else _beside(app, command))
    if app.django and app.django.collect_static and not app.django.serves_static:
        scan.warn("nothing hands out Django's static files in production: add whitenoise, also to MIDDLEWARE")
    if not start:
        answer.facts = None
        scan.warn(no_start(app))
    elif not framework and not app.object and not app.script_serves and not web and not overrides.get("start_command"):
        scan.warn(f"{start}: nothing in the code was seen to listen for HTTP requests, which a deployment waits for")
    return answer


def _beside(app: App, command: Command) -> Command:
    """What a start command of somebody else keeps of ours: its variables, and where modules are."""
    return changed(command, install=bool(app.manifests and app.manifests.scripts), script=False)


def _port(app: App, framework: Framework | None, answer: Answer, fixed: int | None) -> None:
    configuration = [
        path for path in ("gunicorn.conf.py", "gunicorn_config.py", "gunicorn_conf.py") if app.scan.has(path)
    ]
    if fixed:
        answer.port = fixed
        return
    bind = next(
        (
            match
            for path in configuration
            if (match := re.search(r"^bind\s*=.*?:(\d{2,5})[\"']", app.scan.text(path), re.M))
        ),
        None,
    )
    if bind and int(bind[1]) < 65536:
        answer.port = int(bind[1])
        answer.evidence.append(app.scan.seen(configuration[0], bind[0], f"gunicorn listens on {bind[1]}"))
        return
    entries = [app.script] if app.script and app.script_serves else []
    port = python_settings.find_port(app.sources, list(dict.fromkeys([*entries, *app.files])))
    told = next((one for one in app.scan.env_examples if one[0] == "PORT" and one[1].isdecimal()), None)
    if port:
        answer.port = port[0]
        answer.evidence.append(port[1])
    elif told and 0 < int(told[1][:6]) < 65536:
        answer.port = int(told[1])
        answer.evidence.append(app.scan.seen(told[2], told[0], f"PORT is {told[1]} in the example", told[3]))
    else:
        answer.port = framework.port if framework and framework.port else 8000


def _health(app: App, framework: Framework | None, answer: Answer) -> None:
    if framework and framework.health_path != "/":
        answer.health_path = framework.health_path
        return
    files = [*app.files, *(app.django.urls if app.django else ())]
    routes = [
        path
        for path in app.sources.candidates()
        if re.search(r"[\"'^/](healthz?|livez|readyz|ping)\b", app.scan.text(path))
    ]
    health = python_settings.find_health_path(
        app.sources, [*files, *(path for path in routes if "health" in path or path in files)]
    )
    if health:
        answer.health_path = health[0]
        answer.evidence.append(health[1])


def _needs(app: App, answer: Answer) -> None:
    scan = app.scan
    dependencies: dict[str, Evidence] = {}
    for item in app.manifests.found if app.manifests else []:
        seen = Evidence(scan.repository.full(item.path), item.line, item.text, f"depends on {item.name}")
        dependencies.setdefault(item.name, seen)
        for extra in item.extras:  # celery[redis], sqlalchemy[asyncpg]
            dependencies.setdefault(extra, seen)
    files = python_settings.settings_files(app.sources, app.files)
    found = dict(find_services(scan, dependencies))
    for service, evidence in python_settings.services_in_code(app.sources, files):
        found.setdefault(service, evidence)
        scan.speaks.setdefault(service, evidence)
    for service, evidence in sorted(found.items(), key=lambda one: SERVICE_NAMES.index(one[0])):
        answer.services.append(service)
        answer.evidence.append(evidence)
    for name, evidence in find_required(scan, python_settings.required_keys(app.sources, files)):
        answer.required_env.append(name)
        answer.evidence.append(evidence)
