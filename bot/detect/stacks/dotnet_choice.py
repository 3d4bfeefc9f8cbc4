"""Which of many projects of .NET is the application, and what it is built with."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from bot.detect.model import Evidence
from bot.detect.scan import Scan
from bot.detect.stacks.dotnet_project import (
    Project,
    Workspace,
)
from bot.detect.stacks.dotnet_source import Sources, read_sources

KINDS = ("web", "wasm", "worker", "console", "desktop", "library")
# last parts of usual names, the likeliest first
_NAMES = "web webapp server api webapi host website site mvc app backend ui portal".split()  # noqa: SIM905


@dataclass(slots=True)
class App:
    """Everything that was seen of one .NET application."""

    scan: Scan
    workspace: Workspace
    project: Project | None = None
    file: str | None = None  # a program without a project
    choices: list[Project] = field(default_factory=list)  # what else could be started
    named: tuple[str, int] | None = None
    framework: str = ".net"
    why_framework: list[Evidence] = field(default_factory=list)
    sources: Sources | None = None


def choose(app: App, web: tuple[str, int] | None, command: str) -> None:
    """The program to build: the one that is named, else the only web project, else the likeliest."""
    workspace = app.workspace
    kept = [one for one in workspace.projects.values() if one.kind in KINDS]
    if not any(one.csharp for one in workspace.projects.values() if one.kind not in ("test", "tool")):
        kept = []
    referred = {
        other.path
        for one in kept
        if one.kind != "library" and not one.aside
        for other in workspace.closure(one)
        if other is not one
    }
    # the browser's part of a server is not an application of its own
    hosted = {one.path for one in kept if one.kind == "wasm" and one.path in referred}
    usable = [one for one in kept if one.path not in hosted]
    for text, line in ((command, 0), *((web,) if web else ())):
        name = re.search(r"([\w.+-]+)\.dll\b|--project[ =]\S*?([\w.+-]+?)(?:\.csproj)?(?:\s|$)", text)
        wanted = next((one for one in usable if name and (name[1] or name[2]) in (one.assembly, one.name)), None)
        if wanted:
            app.project = wanted
            if line:
                app.named = text, line
            break
    listed = workspace.listed
    names = {posixpath.splitext(posixpath.basename(one.path))[0].lower() for one in workspace.solutions}

    def rank(one: Project) -> tuple[object, ...]:
        last = re.split(r"[._-]", one.name.lower())[-1]
        return (
            one.old,
            one.aside,
            KINDS.index(one.kind),
            bool(listed) and one.path not in listed,
            one.path in referred,
            not one.csharp,
            one.name.lower() not in names and last not in _NAMES,
            _NAMES.index(last) if last in _NAMES else len(_NAMES),
            one.path.count("/"),
            one.path,
        )

    usable.sort(key=rank)
    if app.project is None and usable:
        app.project = usable[0]
    best = app.project
    if best is not None and best.kind != "library":
        served = ("web", "wasm") if best.kind in ("web", "wasm") else (best.kind,)
        app.choices = [one for one in usable if one.kind in served and one.aside == best.aside and one.old == best.old]


def frame(app: App) -> None:
    project, scan = app.project, app.scan
    assert project is not None
    app.sources = read_sources(scan, project.folder)
    app.framework = framework_of(app, project, app.why_framework, app.sources)


def framework_of(app: App, project: Project, why: list[Evidence], sources: Sources) -> str:
    """blazor, asp.net-core or .net."""
    scan = app.scan
    if project.old or project.kind not in ("web", "wasm"):
        return ".net"
    if project.kind == "wasm":
        sdk = project.sdks.get("microsoft.net.sdk.blazorwebassembly")
        seen = sdk or project.packages.get("microsoft.aspnetcore.components.webassembly")
        if seen:
            why.append(scan.seen(seen.path, seen.text, "Blazor in the browser", seen.line))
        return "blazor"
    for path in project.references:
        other = app.workspace.projects.get(path)
        if other is not None and other.kind == "wasm":
            why.append(scan.seen(path, "", "Blazor in the browser, served by this application"))
            return "blazor"
    package = project.packages.get("microsoft.aspnetcore.components.webassembly.server")
    if package:
        why.append(scan.seen(package.path, package.text, "serves Blazor in the browser", package.line))
        return "blazor"
    seen_in_code = sources.blazor()
    if seen_in_code:
        why.append(seen_in_code)
        return "blazor"
    prefix = project.folder + "/" if project.folder else ""
    razor = next(
        (path for path in scan.repository.files if path.startswith(prefix) and path.endswith("/App.razor")), None
    )
    if razor or scan.has(prefix + "App.razor"):
        why.append(scan.seen(razor or prefix + "App.razor", "", "the root component of Blazor"))
        return "blazor"
    return "asp.net-core"
