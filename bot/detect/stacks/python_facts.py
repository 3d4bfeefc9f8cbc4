"""What generation is told of a Python application."""

from __future__ import annotations

import re
import shlex

from bot.detect.facts import NodeFacts, PythonFacts
from bot.detect.finding import Answer
from bot.detect.parse import shell_parts
from bot.detect.scan import texts
from bot.detect.stacks import python_start
from bot.detect.stacks.node_assets import find_assets, find_front_end
from bot.detect.stacks.python_app import App
from bot.detect.stacks.python_imports import KNOWN, imported_packages
from bot.detect.stacks.python_native import native_packages
from bot.detect.stacks.python_requirements import Manifests, inline_metadata
from bot.detect.stacks.python_start import Command

_PLACEHOLDERS = (
    (re.compile(r"_?(URL|URI|HOST|ENDPOINT|ORIGIN|DOMAIN)S?$"), "http://localhost"),
    (re.compile(r"(^|_)(PORT|TIMEOUT|SIZE|COUNT|LIMIT|TTL|SECONDS|MINUTES|HOURS|DAYS|ID|NUM|MAX|MIN|AGE|DB)$"), "1"),
    (re.compile(r"(^|_)(DEBUG|ENABLED?|DISABLED?|USE|SSL|TLS|SECURE)(_|$)"), "0"),
)


# frameworks that hand out pages and files, too
_HANDS_OUT = ("django", "flask", "pyramid", "fastapi", "starlette", "litestar", "bottle", "tornado", "sanic", "aiohttp")


def make_facts(app: App, answer: Answer, version: str, inline: tuple[str, ...], command: Command) -> PythonFacts:
    scan, manifests, start = app.scan, app.manifests or Manifests(), answer.start_command or ""
    build, run = native_packages(manifests.found, git=manifests.git, spatial=bool(app.django and app.django.spatial))
    apt = [line.strip() for line in scan.text("packages.txt").split("\n")] if scan.has("packages.txt") else []
    if answer.framework in ("streamlit", "gradio"):  # as their own hosts read it
        run = tuple(sorted({*run, *(name for name in apt[:50] if re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name))}))
    assets, assets_folder = _assets(app, answer)
    names = python_start.named(manifests.found) | {re.split(r"[\[~=]", text)[0] for text in inline}
    return PythonFacts(
        version=version,
        manager=manifests.manager,
        lockfile=manifests.lockfile,
        manifests=tuple(manifests.files),
        requirements=manifests.requirements,
        listed=manifests.listed,
        local=manifests.local and not manifests.needs_source,
        install_project=_install_project(app, command, start),
        install_needs_source=manifests.needs_source,
        has_dependencies=bool(manifests.files),
        workspace=bool(manifests.members),
        member=_member(app),
        groups=tuple(manifests.groups),
        hashes=not manifests.git and not manifests.needs_source,
        inline=inline,
        add=python_start.missing_servers(start, names),
        start=start or None,
        collect_static=bool(app.django and app.django.collect_static),
        placeholders=_placeholders(answer.required_env) if app.django else (),
        manage=app.django.manage if app.django else "manage.py",
        import_folder=command.import_folder,
        environment=command.environment,
        build_environment=_versions() if manifests.versioned_by_git else (),
        packages=run,
        build_packages=build,
        browsers="playwright" in manifests.names,
        assets=assets,
        assets_folder=assets_folder,
    )


def _install_project(app: App, command: Command, start: str) -> bool:
    """Whether the project itself has to be there as a package: for a command, an entry point, its own version."""
    manifests = app.manifests
    if manifests is None or not manifests.project:
        return False
    if manifests.manager == "uv":
        return True
    programs = {part[0] for part in shell_parts(start)}
    asks = any(
        re.search(r"importlib\.metadata|pkg_resources", app.scan.text(path)) for path in app.sources.candidates()[:30]
    )
    return command.install or bool(programs & manifests.scripts.keys()) or asks


def _member(app: App) -> str:
    """The workspace's member that holds the application."""
    place = app.object.path if app.object else app.script or ""
    members = app.manifests.members if app.manifests else {}
    return next((name for folder, name in sorted(members.items()) if place.startswith(folder + "/")), "")


def _versions() -> tuple[tuple[str, str], ...]:
    """Versions are taken from git's history, which is not part of a build."""
    names = ("SETUPTOOLS_SCM_PRETEND_VERSION", "POETRY_DYNAMIC_VERSIONING_BYPASS", "UV_DYNAMIC_VERSIONING_BYPASS")
    return tuple((name, "0.0.0") for name in names)


def _placeholders(keys: list[str]) -> tuple[tuple[str, str], ...]:
    """Values that settings can be loaded with, for a moment and by nobody but collectstatic."""
    chosen = {"SECRET_KEY": "only-for-collectstatic", "DJANGO_SECRET_KEY": "only-for-collectstatic"}
    for key in keys:
        if key not in ("DATABASE_URL", "REDIS_URL"):
            usual = next((value for pattern, value in _PLACEHOLDERS if pattern.search(key)), "only-for-collectstatic")
            chosen.setdefault(key, usual)
    return tuple(chosen.items())


def _assets(app: App, answer: Answer) -> tuple[NodeFacts | None, str]:
    """A front end beside a server that renders pages: Node.js builds it into the source, and is gone afterwards."""
    if answer.framework not in _HANDS_OUT:
        return None, ""
    found = find_assets(app.scan, "")
    if found is not None:
        answer.evidence.append(found[1])
        answer.build_command = found[0].build
        return found[0], ""
    if any(path.endswith("/package.json") for path in app.scan.repository.files):
        front = find_front_end(app.scan, {path: app.scan.text(path) for path in app.sources.candidates()})
        if front is not None:
            answer.evidence.extend(front.evidence)
            answer.build_command = f"cd {shlex.quote(front.folder)} && {front.facts.build}"
            return front.facts, front.folder
    return None, ""


def inline_requirements(app: App, answer: Answer) -> tuple[str, ...]:
    """Requirements of a program without a manifest: its own metadata, otherwise what it imports."""
    scan, manifests = app.scan, app.manifests
    entries = [path for path in app.files if path.endswith(".py")]
    entries += list(app.django.urls) if app.django else []
    if manifests and (manifests.files or manifests.lockfile):
        return _undeclared(app, manifests)
    for path in entries:
        wanted = texts(inline_metadata(scan.text(path)).get("dependencies"))
        if "# /// script" in scan.text(path):
            scan_seen = scan.seen(path, "# /// script", f"its own metadata asks for {', '.join(wanted) or 'nothing'}")
            answer.evidence.append(scan_seen)
            if re.match(r"#!.*\buv\b", scan.text(path)) or scan.has(f"{path}.lock"):
                answer.package_manager = "uv"
            return tuple(text for text in wanted if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._\[\],<>=!~*+-]*", text))
    wanted_by_import, unknown = imported_packages(app.sources, entries)
    if wanted_by_import:
        listed = ", ".join(wanted_by_import.values())
        scan.warn(f"there is no requirements.txt; installed, because the code imports them: {listed}. Add the file")
    if unknown:
        listed = ", ".join(unknown[:8])
        scan.warn(f"the code imports {listed}, and no manifest says which packages these are: add a requirements.txt")
    return tuple(wanted_by_import.values())


def _undeclared(app: App, manifests: Manifests) -> tuple[str, ...]:
    """The framework itself, where the code uses it and no manifest names it, nor anything that brings it."""
    name = app.name
    if not name or name not in app.used or any(name in one.replace("-", "") for one in manifests.names):
        return ()
    if manifests.manager not in ("pip", "conda") or manifests.needs_source:
        return ()
    wanted = KNOWN[name]
    match = re.search(r"^sdk_version:\s*[\"']?(\d[\d.]*)", app.scan.text("README.md"), re.MULTILINE)
    if match and re.search(rf"^sdk:\s*{name}\b", app.scan.text("README.md"), re.MULTILINE):
        wanted = f"{name}=={match[1]}"
    app.scan.warn(f"no manifest names {name}, which the code uses: {wanted} is installed. Add it")
    return (wanted,)
