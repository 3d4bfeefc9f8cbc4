"""Everything about the chosen project of .NET: versions, port, needs, front end."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from bot.detect import releases, versions
from bot.detect.facts import DotnetFacts, NodeFacts
from bot.detect.finding import Answer, Overrides
from bot.detect.model import Application, Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.dotnet_choice import App, choose, frame, framework_of
from bot.detect.stacks.dotnet_project import (
    PROJECTS,
    Project,
    folders_above,
    place,
)
from bot.detect.stacks.dotnet_source import Settings, Sources, port_of, read_settings, read_sources
from bot.detect.stacks.node_assets import find_assets

SHARED = ("Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props")
FEEDS = ("nuget.config", "NuGet.Config", "NuGet.config")
_ASSET_FOLDERS = ("ClientApp", "clientapp", "client", "frontend", "wwwroot-src", "")


def answer(app: App, given: Overrides) -> Answer:
    scan = app.scan
    command = text_of(given.get("start_command"))
    if command:
        before = app.project
        app.project = None
        app.why_framework = []
        choose(app, scan.procfile.get("web"), command)
        if app.project is not before:
            frame(app)
    project, sources = app.project, app.sources
    assert project is not None
    assert sources is not None
    evidence = list(app.why_framework) if command else []
    sdk, runtime = _versions(app, evidence)
    _tell(app, project)
    site = project.kind == "wasm" and not command
    parts = app.workspace.closure(project)
    settings = read_settings(scan, project.folder)
    listens, port = _port(app, settings, runtime, evidence)
    required, services = _needs(app, parts, sources, settings, evidence)
    health = sources.health()
    if health:
        evidence.append(health[1])
    assets, assets_folder, script = _assets(app, project, parts, evidence)
    start = None if site else command or f"dotnet {word(project.assembly + '.dll')}"
    build = text_of(given.get("build_command"))
    spa = sources.spa_folder()
    runnable = not project.old and project.kind not in ("library", "desktop")
    facts = DotnetFacts(
        version=runtime,
        sdk=sdk,
        project=project.path,
        assembly=project.assembly,
        framework=_target(project, runtime) if len(project.targets) > 1 else "",
        web=project.kind in ("web", "wasm"),
        site=site,
        manifests=tuple(_manifests(scan, parts)),
        locked=scan.has(posixpath.join(project.folder, "packages.lock.json")),
        switches=tuple(_switches(scan, project, evidence)),
        assets=assets,
        assets_folder=assets_folder,
        assets_script=script,
        pages=spa if script and spa and spa != "wwwroot" and not site else "",
        listens=listens,
        build=build or None,
        start=start or "",
    )
    return Answer(
        facts if runnable else None,
        framework=app.framework,
        package_manager="nuget",
        language_version=runtime,
        start_command=start if runnable else None,
        build_command=build or f"dotnet publish {word(project.path)} -c Release -o /out",
        output_dir="wwwroot" if site else None,
        spa_fallback=site,
        port=8080 if site else port,
        health_path=health[0] if health and not site else None,
        required_env=required,
        services=services,
        evidence=evidence,
        applications=_applications(app),
    )


def word(text: str) -> str:
    return text if re.fullmatch(r"[\w./+-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def _tell(app: App, project: Project) -> None:
    """What a person should know about the choice."""
    scan = app.scan
    if project.old:
        scan.warn(
            f"{scan.repository.full(project.path)} is made for .NET Framework, which needs Windows:"
            " move it to .NET 8 or newer, or add a Dockerfile of your own"
        )
    elif project.kind == "desktop":
        scan.warn(f"{scan.repository.full(project.path)} is an application for desktops or phones: nothing to serve")
    elif project.kind == "library":
        scan.warn("only libraries were found: nothing can be started. Add a project that uses Microsoft.NET.Sdk.Web")
    elif project.kind in ("worker", "console"):
        scan.warn(f"{project.name} is no web application: whatever answers HTTP has to listen on PORT by itself")
    if len(app.choices) > 1:
        others = [one for one in app.choices if one is not project]
        names = ", ".join(f"{one.name} ({one.folder or '.'})" for one in others[:8])
        scan.warn(
            f"several applications: {project.name} is built, not {names}."
            f" Set start_command to `dotnet {others[0].assembly}.dll` for another one"
        )
    host = next((one for one in app.workspace.projects.values() if one.kind == "host"), None)
    if host:
        scan.warn(
            f"{scan.repository.full(host.path)} starts the parts of this application with Aspire while it is developed;"
            " here each of them is deployed by itself"
        )
    for path in sorted({path for one in app.workspace.closure(project) for path in one.references}):
        if path.endswith(PROJECTS) and path not in app.workspace.projects and not scan.has(path):
            scan.warn(f"{scan.repository.full(project.path)} refers to {path}, which is not there")


def _applications(app: App) -> list[Application]:
    if len(app.choices) < 2:
        return []
    return [
        Application(
            app.scan.repository.full(one.folder) if one.folder else app.scan.repository.root or ".",
            one.name,
            "csharp",
            framework_of(app, one, [], read_sources(app.scan, one.folder)),
        )
        for one in app.choices[:20]
    ]


def _target(project: Project, runtime: str) -> str:
    return next((one for one in project.targets if re.fullmatch(rf"net(coreapp)?{re.escape(runtime)}", one)), "")


def _versions(app: App, evidence: list[Evidence]) -> tuple[str, str]:
    """The tags of the SDK's image and of the runtime's: global.json pins the one, the target framework the other."""
    scan, project = app.scan, app.project
    assert project is not None
    runtime = ""
    found = project.properties.get("targetframeworks") or project.properties.get("targetframework")
    numbers = [match[1] for one in project.targets if (match := re.match(r"net(?:coreapp)?(\d+\.\d+)$", one))]
    if numbers:
        newest = max(numbers, key=lambda text: tuple(int(part) for part in text.split(".")))
        resolved = versions.resolve_dotnet(newest, scan.images)
        runtime = resolved.tag
        if resolved.warning and found:
            scan.warn(f"{scan.repository.full(found.path)}: {resolved.warning}")
        if found:
            evidence.append(scan.seen(found.path, found.text, f"targets .NET {newest}: {runtime} is used", found.line))
    sdk = _sdk(scan, runtime, evidence)
    return sdk or runtime or releases.DOTNET_DEFAULT, runtime or (sdk and _line(sdk)) or releases.DOTNET_DEFAULT


def _line(tag: str) -> str:
    return ".".join(tag.split(".")[:2])


def _sdk(scan: Scan, runtime: str, evidence: list[Evidence]) -> str:
    """What global.json asks for. A newer SDK compiles for older frameworks, unless the file forbids it.

    https://learn.microsoft.com/dotnet/core/tools/global-json#rollforward
    """
    path = "global.json"
    wanted = table((scan.json(path) or {}).get("sdk")) if scan.has(path) else {}
    version = text_of(wanted.get("version"))
    match = re.match(r"(\d+)\.(\d+)\.(\d{3})", version)
    if not match:
        return ""
    line = f"{match[1]}.{match[2]}"
    resolved = versions.resolve_dotnet(line, scan.images)
    forward = text_of(wanted.get("rollForward")) or "latestPatch"
    exact = forward.lower() in ("patch", "latestpatch", "disable")
    if exact and runtime and _number(runtime) > _number(line):
        scan.warn(
            f"{scan.repository.full(path)} asks for the SDK {version}, which cannot compile for .NET {runtime}:"
            " raise its version, or delete it"
        )
    tag = match[0] if exact and resolved.tag == line else max(resolved.tag, runtime or resolved.tag, key=_number)
    evidence.append(scan.seen(path, version, f"asks for the SDK {version} (rollForward: {forward}): {tag} is used"))
    return tag


def _number(tag: str) -> tuple[int, ...]:
    return tuple(int(part) for part in tag.split("."))


def _port(app: App, settings: Settings, runtime: str, evidence: list[Evidence]) -> tuple[tuple[str, ...], int]:
    """The variables that carry the address to the application, and its port."""
    scan, project, sources = app.scan, app.project, app.sources
    assert project is not None
    assert sources is not None
    if project.kind not in ("web", "wasm"):
        own = sources.port_variable()
        fixed = sources.fixed_port()
        evidence += [found[1] for found in (own, fixed) if found]
        return (), (own[0] if own and own[0] else None) or (fixed[0] if fixed else None) or 8080
    launch = posixpath.join(project.folder, "Properties/launchSettings.json")
    if scan.has(launch):
        match = re.search(r'"applicationUrl"\s*:\s*"([^"]*)"', scan.text(launch))
        if match:
            evidence.append(scan.seen(launch, match[1], "the address while it is developed; not used in an image"))
    own = sources.port_variable()
    if own:
        evidence.append(own[1])
        return (), own[0] or 8080
    variables = ["ASPNETCORE_HTTP_PORTS" if _number(runtime) >= (8, 0) else "ASPNETCORE_URLS"]
    port = None
    if settings.urls:
        evidence.append(settings.urls[1])
        port = port_of(settings.urls[0])
        variables.append("URLS")
    for key, (url, seen) in settings.endpoints.items():
        evidence.append(seen)
        if url.lower().startswith("http://") and re.fullmatch(r"\w+", key):
            port = port or port_of(url)
            if not any(name.startswith("Kestrel") for name in variables):
                variables.append(f"Kestrel__Endpoints__{key}__Url")
        elif url.lower().startswith("https://"):
            scan.warn(f"{seen.path}: the endpoint {key} needs a certificate, which the image does not hold")
    fixed = sources.fixed_port()
    if fixed:
        evidence.append(fixed[1])
        scan.warn(
            f"{fixed[1].path}, line {fixed[1].line}: the port {fixed[0]} is fixed in the code, whatever PORT says."
            " Leave the address to the configuration"
        )
        return (), fixed[0]
    return tuple(variables), port or 8080


def _needs(
    app: App, parts: list[Project], sources: Sources, settings: Settings, evidence: list[Evidence]
) -> tuple[list[str], list[str]]:
    scan = app.scan
    packages: dict[str, Evidence] = {}
    for part in parts:
        for name, value in part.packages.items():
            packages.setdefault(name, scan.seen(value.path, value.text, value.text, value.line))
    services = find_services(scan, packages)
    required = find_required(scan, [*sources.required(), *settings.required])
    evidence += [item for _, item in (*services, *required)]
    mssql = next((packages[name] for name in _MSSQL if name in packages), None)
    if mssql:
        evidence.append(Evidence(mssql.path, mssql.line, mssql.seen, "speaks to SQL Server"))
        scan.warn("it speaks to SQL Server, which is not started for it: set its connection string")
    return [name for name, _ in required], [name for name, _ in services]


_MSSQL = ("microsoft.entityframeworkcore.sqlserver", "microsoft.data.sqlclient", "system.data.sqlclient")
_SWITCHES = {
    "PublishAot": "compiled ahead of time by its own settings; here it runs on the shared runtime",
    "PublishSingleFile": "published as one file by its own settings; here it runs on the shared runtime",
    "PublishTrimmed": "trimmed by its own settings; here it runs on the shared runtime",
    "SelfContained": "brings a runtime by its own settings; here it runs on the shared one",
    "RunAOTCompilation": "compiled ahead of time by its own settings, which needs more than the SDK's image has",
}


def _switches(scan: Scan, project: Project, evidence: list[Evidence]) -> Iterator[str]:
    """Settings of a project that make no sense where the runtime is part of the image."""
    for name, says in _SWITCHES.items():
        if project.true(name):
            value = project.properties[name.lower()]
            evidence.append(scan.seen(value.path, name, says, value.line))
            yield f"{name}=false"
    if project.value("RuntimeIdentifier") and not project.true("SelfContained"):
        yield "SelfContained=false"  # a platform alone means a runtime of its own to older SDKs


def _manifests(scan: Scan, parts: list[Project]) -> list[str]:
    """What a restore reads: projects, what they import, and the files above them; sorted by folder."""
    found: dict[str, None] = {}
    for path in ("global.json", *FEEDS):
        if scan.has(path):
            found[path] = None
    for part in parts:
        for folder in folders_above(part.folder):
            for name in (*SHARED, *FEEDS):
                path = posixpath.join(folder, name)
                if scan.has(path):
                    found[path] = None
        for path in (part.path, posixpath.join(part.folder, "packages.lock.json"), *part.imports):
            if scan.has(path):
                found[path] = None
        for path in part.references:
            if path.endswith((".esproj", ".shproj", ".sqlproj")) and scan.has(path):
                found[path] = None
    return sorted(found, key=lambda path: (posixpath.dirname(path), path))


def _assets(
    app: App, project: Project, parts: list[Project], evidence: list[Evidence]
) -> tuple[NodeFacts | None, str, str | None]:
    """The front end that Node.js builds: by the project's own build, or by a script of its package.json."""
    scan = app.scan
    if project.kind not in ("web", "wasm"):
        return None, "", None
    root = place(project.folder, project.value("SpaRoot"))
    modules = [posixpath.dirname(path) for path in project.references if path.endswith(".esproj")]
    runs_npm = bool(modules) or any(
        re.search(r"\b(npm|yarn|pnpm|npx|node)\b", command) for part in parts for command in part.commands
    )
    folders = [root] if root else []
    folders += modules
    folders += [posixpath.join(project.folder, name).rstrip("/") for name in _ASSET_FOLDERS]
    for folder in dict.fromkeys(folders):
        package = posixpath.join(folder, "package.json")
        if not scan.has(package):
            continue
        inner = Scan(scan.repository.at("/".join(part for part in (scan.repository.root, folder) if part)))
        found = find_assets(inner, "dist")
        if found is None:
            continue
        says = "a front end, built with the project" if runs_npm else found[1].says
        evidence.append(Evidence(found[1].path, found[1].line, found[1].seen, says))
        return found[0], folder, None if runs_npm else found[0].build
    return None, "", None
