"""C# on .NET: projects and solutions, at the root or below, programs of one file, sources without a project."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from bot.detect.finding import Finding
from bot.detect.repository import Repository
from bot.detect.scan import Scan
from bot.detect.stacks.dotnet_answer import FEEDS, SHARED, answer
from bot.detect.stacks.dotnet_choice import App, choose, frame
from bot.detect.stacks.dotnet_file import find_file
from bot.detect.stacks.dotnet_project import (
    Project,
    Workspace,
    files_of,
    read_workspace,
)

# files of fixed names that may mean an application in their folder; projects have any name: see `places`
MANIFESTS = ("Program.cs",)

_OTHERS = {".fsproj": "F#", ".vbproj": "Visual Basic"}


def find(scan: Scan) -> Finding | None:
    """Projects of C#, or programs of one file."""
    solutions, projects = files_of(scan)
    if not any(path.endswith(".csproj") for path in projects):
        return None if projects else find_file(scan)
    app = App(scan, read_workspace(scan))
    choose(app, scan.procfile.get("web"), "")
    if app.project is None:
        return None
    frame(app)
    below = not _is_here(scan, app, solutions, projects)
    serves = app.project.kind in ("web", "wasm") and not app.project.old
    finding = Finding("csharp", app.framework, serves, lambda given: answer(app, given), below=below)
    _weigh(app, finding)
    return finding


def _is_here(scan: Scan, app: App, solutions: list[str], projects: list[str]) -> bool:
    """Whether this folder is the one to build in: something of .NET lies in it, or projects that need each other."""
    if any("/" not in path for path in (*solutions, *projects)) or any(scan.has(path) for path in (*SHARED, *FEEDS)):
        return True
    return app.project is not None and _common(app.workspace, app.project) == ""


def _common(workspace: Workspace, project: Project) -> str:
    """The innermost folder that holds a project and everything that it refers to."""
    folders = [one.folder for one in workspace.closure(project)]
    return posixpath.commonpath(folders) if all(folders) else ""


def places(repository: Repository) -> Iterator[str]:
    """Folders below that may hold an application: those of solutions, and of projects that need each other."""
    scan = Scan(repository)
    solutions, projects = files_of(scan)
    if not any(path.endswith(".csproj") for path in projects):
        return
    held = {posixpath.dirname(path) for path in solutions}
    yield from held
    if len(projects) > 60:
        yield from (posixpath.dirname(path) for path in projects[:60])
        return
    workspace = read_workspace(scan)
    for project in workspace.projects.values():
        if not any(project.path.startswith(folder + "/") for folder in held if folder):
            yield _common(workspace, project)


def other_language(repository: Repository) -> tuple[str, str] | None:
    """A project of F# or Visual Basic in a repository that has none of C#."""
    _, projects = files_of(Scan(repository))
    if any(path.endswith(".csproj") and not Project(path).tests_by_name for path in projects):
        return None
    others = [path for path in projects if not path.endswith(".csproj")]
    return next(((path, _OTHERS[posixpath.splitext(path)[1]]) for path in others), None)


def _weigh(app: App, finding: Finding) -> None:
    scan, project = app.scan, app.project
    assert project is not None
    if app.workspace.solutions:
        solution = app.workspace.solutions[0]
        finding.add(30, scan.seen(solution.path, "", f"a solution of {len(solution.projects)} projects", 1))
    sdk = next(iter(project.sdks.values()), None)
    says = {
        "web": "a web application",
        "wasm": "an application of Blazor for the browser",
        "worker": "a worker",
        "console": "a program",
        "desktop": "an application for desktops or phones",
        "library": "a library",
    }[project.kind]
    weight = 60 if "/" not in project.path else 50
    if sdk and sdk.path == project.path:
        finding.add(weight, scan.seen(project.path, sdk.text, f"a project of .NET: {says}", sdk.line))
    else:
        finding.add(weight, scan.seen(project.path, "", f"a project of .NET: {says}", 1))
    if finding.serves:
        for item in app.why_framework or [scan.seen(project.path, "", f"built with {app.framework}", None)]:
            finding.add(50, item)
        hosted = app.sources.serves() if app.sources else None
        if hosted:
            finding.add(10, hosted)
    if app.named:
        finding.add(15, scan.seen("Procfile", app.named[0], "the Procfile starts it", app.named[1]))
