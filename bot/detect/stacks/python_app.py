"""One Python application: what its manifests and sources say together."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.detect.frameworks import BY_NAME, PYTHON, Framework, remaining
from bot.detect.frameworks.python import NEED_USE
from bot.detect.scan import Scan
from bot.detect.stacks import python_start
from bot.detect.stacks.python_django import Django, find_django
from bot.detect.stacks.python_objects import AppObject, app_objects
from bot.detect.stacks.python_requirements import Manifests
from bot.detect.stacks.python_source import Sources, module_of, serving

_SCRIPTS = (
    *("main.py", "app.py", "server.py", "run.py", "start.py", "bot.py", "hello.py", "index.py", "wsgi.py", "api.py"),
    *("web.py", "application.py", "demo.py", "__main__.py"),
)


@dataclass(slots=True)
class App:
    """Everything that was seen of one Python application."""

    scan: Scan
    sources: Sources
    manifests: Manifests | None
    framework: Framework | None = None  # also one without a name of ours, such as Quart
    object: AppObject | None = None
    django: Django | None = None
    script: str | None = None
    script_serves: int | None = None  # the line that does
    used: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def name(self) -> str | None:
        """The framework, where it has a name of ours."""
        return self.framework.name if self.framework and self.framework.name in BY_NAME else None


def look(app: App) -> None:
    """Fill in the framework, the object that a server loads, and the script."""
    scan = app.scan
    bare = app.manifests is None or not app.manifests.found
    named = app.manifests.names if app.manifests else {}
    app.used = app.sources.used()
    app.django = find_django(scan, app.sources, has_dependency="django" in named or (bare and "django" in app.used))
    objects = app_objects(app.sources)
    if app.manifests is None:
        # what has a manifest of its own below is another application
        objects = [one for one in objects if not has_own_manifest(scan, one.path)]
        app.django = None if app.django and has_own_manifest(scan, app.django.manage) else app.django
        app.used = {name: path for name, path in app.used.items() if not has_own_manifest(scan, path)}
    found = {row.name for row in PYTHON if any(name in named for name in row.packages)}
    found = {name for name in found if name not in NEED_USE or name in app.used}
    found |= app.used.keys() if bare or not found else set()
    rows = remaining(found, PYTHON)
    _choose(app, rows, _preferred(app, objects, rows))
    _find_script(app)
    files = [app.object.path if app.object else None, app.script, *(app.django.files if app.django else ())]
    app.files = list(dict.fromkeys(path for path in files if path))


def _preferred(app: App, objects: list[AppObject], rows: list[Framework]) -> list[AppObject]:
    """The objects of frameworks that are depended on, or all; first the one that FLASK_APP names."""
    wanted = {row.name for row in rows}
    made = [one for one in objects if one.framework is None or one.framework.name in wanted]
    if not any(one.framework for one in made):
        made = [*(one for one in objects if one.framework), *(one for one in made if wanted)]
    flask = python_start.flask_app(app.scan) if made else None
    for one in made if flask else ():
        place = module_of(app.sources, one.path)
        if flask and place and place[1] == flask[0] and flask[1] in ("", one.name):
            return [one, *(other for other in made if other is not one)]
    return made


def _choose(app: App, rows: list[Framework], made: list[AppObject]) -> None:
    """The framework, and the object that a server loads."""
    first = rows[0] if rows else None
    if app.django:
        app.framework = BY_NAME["django"]
        return
    if first and first.server == "own" and first.weight >= 40:  # they have no object that a server loads
        mounted = first.name == "gradio" and any(
            "mount_gradio_app" in app.scan.text(one.path) for one in made if one.framework
        )
        above = any(one.framework and one.path.count("/") < app.used[first.name].count("/") for one in made)
        if not (made and (mounted or above)):
            app.framework = first
            return
    if made:
        app.object = made[0]
        server_row = next((row for row in rows if row.server in ("wsgi", "asgi") and row.name != "django"), None)
        app.framework = made[0].framework or server_row
        if app.framework is None:
            app.object = None
        return
    app.framework = first


def _find_script(app: App) -> None:
    """The file to run: one that listens, one with a usual name, the only one, the only one that is made to be run."""
    scan = app.scan
    for path, line in serving(app.sources):
        if app.manifests is not None or not has_own_manifest(scan, path):
            app.script, app.script_serves = path, line
            return
    folders = ("", "src/", "app/")
    usual = scan.repository.first(f"{folder}{name}" for folder in folders for name in _SCRIPTS)
    if usual and (app.manifests is not None or not has_own_manifest(scan, usual)):
        app.script = usual
        return
    lone = [path for path in scan.repository.inside("") if path.endswith(".py") and path != "setup.py"]
    runs = [path for path in lone if "__main__" in scan.text(path)]
    packages = [path for path in scan.repository.named("__main__.py", 2) if not path.startswith(("test", "doc"))]
    one = next((group for group in (lone, runs, packages) if len(group) == 1), None)
    app.script = one[0] if one else None


def has_own_manifest(scan: Scan, path: str) -> bool:
    """Whether a file belongs to an application in a folder of its own."""
    folders = path.split("/")[:-1]
    return any(
        scan.has("/".join([*folders[: depth + 1], name]))
        for depth in range(len(folders))
        for name in ("requirements.txt", "pyproject.toml", "Pipfile", "setup.py", "package.json", "Dockerfile")
    )
