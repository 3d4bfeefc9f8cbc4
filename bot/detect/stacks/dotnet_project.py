"""What project and solution files of .NET say. https://learn.microsoft.com/dotnet/core/project-sdk/overview"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from bot.detect.scan import Scan, table, text_of, texts
from bot.detect.xml import Element, read_xml

PROJECTS = (".csproj", ".fsproj", ".vbproj")
SOLUTIONS = (".sln", ".slnx", ".slnf")
DEPTH = 4  # folders below the root in which projects are looked for
MOST_PROJECTS = 200
_BUILD_FILES = ("Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props")
_TEST_PACKAGES = frozenset(
    {"microsoft.net.test.sdk", "xunit", "xunit.v3", "nunit", "mstest", "mstest.testframework", "tunit", "bunit"}
)
_TEST_NAME = re.compile(r"(^|[._-])(unit|integration|functional|e2e|acceptance|architecture)?(tests?|specs?)$", re.I)
_ASIDE = re.compile(
    r"(^|/)(tests?|samples?|examples?|docs?|demos?|benchmarks?|perf|templates?|tools?|build|eng|scripts?|fixtures"
    r"|artifacts|packages|sandbox|playground|bin|obj|\.[^/]+)(/|$)",
    re.IGNORECASE,
)
_PROPERTY = re.compile(r"\$\((\w+)\)")
_SLN_PROJECT = re.compile(r'^\s*Project\("[^"]*"\)\s*=\s*"([^"]*)"\s*,\s*"([^"]*)"', re.MULTILINE)
_WEB_APPLICATION = "349c5851-65df-11da-9384-00065b846f21"  # a project type of Visual Studio


@dataclass(frozen=True, slots=True)
class Value:
    """Something that a file says, and where."""

    text: str
    path: str
    line: int


@dataclass(slots=True)
class Project:
    """One project; names of properties, SDKs and packages in lower case, as they are compared without it."""

    path: str
    sdks: dict[str, Value] = field(default_factory=dict)
    properties: dict[str, Value] = field(default_factory=dict)
    packages: dict[str, Value] = field(default_factory=dict)
    frameworks: dict[str, Value] = field(default_factory=dict)
    references: list[str] = field(default_factory=list)  # paths of other projects
    imports: list[str] = field(default_factory=list)  # files of the repository that it reads as well
    commands: list[str] = field(default_factory=list)  # that its build runs
    type_guids: str = ""

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    @property
    def name(self) -> str:
        return posixpath.splitext(posixpath.basename(self.path))[0]

    @property
    def csharp(self) -> bool:
        return self.path.endswith(".csproj")

    def value(self, name: str) -> str:
        """A property with the properties in it filled in; "" where it is not set."""
        found = self.properties.get(name.lower())
        return self.expand(found.text) if found else ""

    def expand(self, text: str) -> str:
        """The text with ``$(Name)`` replaced, as often as a sane file needs it."""
        for _ in range(5):
            if "$(" not in text or len(text) > 1000:
                break
            text = _PROPERTY.sub(lambda match: self._known(match[1]), text)
        return text.strip()

    def _known(self, name: str) -> str:
        if name.lower() == "msbuildprojectname":
            return self.name
        found = self.properties.get(name.lower())
        return found.text if found else ""

    def true(self, name: str) -> bool:
        return self.value(name).lower() == "true"

    def has(self, *packages: str) -> bool:
        return any(name in self.packages for name in packages)

    @property
    def old(self) -> bool:
        """Made for .NET Framework, which runs on Windows alone."""
        if not self.sdks:
            return bool({"targetframeworkversion", "toolsversion"} & self.properties.keys())
        return bool(self.targets) and all(re.fullmatch(r"net[1-4]\d{1,2}", one) for one in self.targets)

    @property
    def targets(self) -> list[str]:
        """What it is compiled for: ``net8.0``."""
        listed = self.value("TargetFrameworks") or self.value("TargetFramework")
        return [part.strip().lower() for part in listed.split(";") if part.strip()]

    @property
    def kind(self) -> str:
        """web, wasm, worker, console, desktop, test, host (Aspire's), tool or library."""
        output = self.value("OutputType").lower()
        if self._tests:
            return "test"
        if "aspire.apphost.sdk" in self.sdks or self.true("IsAspireHost") or self.has("aspire.hosting.apphost"):
            return "host"
        if self.has("nuke.common", "cake.frosting", "benchmarkdotnet", "bullseye"):
            return "tool"
        if self._desktop(output):
            return "desktop"
        if self.old:
            web = _WEB_APPLICATION in self.type_guids or self.has("microsoft.aspnet.mvc", "microsoft.aspnet.webapi")
            return "web" if web else "console" if output == "exe" else "library"
        if "microsoft.net.sdk.blazorwebassembly" in self.sdks or self._old_wasm:
            return "wasm"
        if "microsoft.net.sdk.web" in self.sdks:
            return "library" if output == "library" else "web"
        if output == "exe" and (
            "microsoft.aspnetcore.app" in self.frameworks
            or self.has("microsoft.aspnetcore.app", "microsoft.aspnetcore")
        ):
            return "web"
        if "microsoft.net.sdk.worker" in self.sdks:
            return "worker"
        if output == "exe" or "azurefunctionsversion" in self.properties:
            return "console"
        return "library"

    @property
    def _tests(self) -> bool:
        named = self.value("IsTestProject").lower()
        if named:
            return named == "true"
        return (
            bool(_TEST_PACKAGES & self.packages.keys())
            or any(name.startswith("mstest.sdk") for name in self.sdks)
            or self.tests_by_name
        )

    @property
    def tests_by_name(self) -> bool:
        return _TEST_NAME.search(self.name) is not None

    def _desktop(self, output: str) -> bool:
        return (
            output == "winexe"
            or any(self.true(name) for name in ("UseWPF", "UseWindowsForms", "UseMaui", "UseWinUI"))
            or (bool(self.targets) and all(re.search(r"-(windows|android|ios|mac)", one) for one in self.targets))
        )

    @property
    def _old_wasm(self) -> bool:
        return self.has("microsoft.aspnetcore.components.webassembly") and not self.has(
            "microsoft.aspnetcore.components.webassembly.server"
        )

    @property
    def aside(self) -> bool:
        """In a folder of samples, tools or the like."""
        return _ASIDE.search(self.folder) is not None

    @property
    def assembly(self) -> str:
        """The name of the file that is compiled."""
        name = self.value("AssemblyName")
        return name if re.fullmatch(r"[\w][\w .+-]{0,120}", name) else self.name


@dataclass(slots=True)
class Solution:
    """A list of projects."""

    path: str
    projects: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Workspace:
    """All projects and solutions of a folder."""

    solutions: list[Solution] = field(default_factory=list)
    projects: dict[str, Project] = field(default_factory=dict)

    @property
    def listed(self) -> set[str]:
        return {path for one in self.solutions for path in one.projects}

    def closure(self, project: Project) -> list[Project]:
        """A project with everything that it refers to, sorted by path."""
        found = {project.path: project}
        waiting = [project]
        while waiting:
            for path in waiting.pop().references:
                other = self.projects.get(path)
                if other is not None and path not in found:
                    found[path] = other
                    waiting.append(other)
        return [found[path] for path in sorted(found)]


def files_of(scan: Scan) -> tuple[list[str], list[str]]:
    """Solutions and projects that are not too deep, the shallow ones first."""
    solutions: list[str] = []
    projects: list[str] = []
    for path in scan.repository.files:
        if path.count("/") > DEPTH:
            break
        if path.endswith(PROJECTS):
            projects.append(path)
        elif path.endswith(SOLUTIONS):
            solutions.append(path)
    return solutions, projects


def read_workspace(scan: Scan) -> Workspace:
    """Every solution, and every project with what applies to it."""
    solutions, projects = files_of(scan)
    if len(projects) > MOST_PROJECTS:
        scan.warn(f"there are {len(projects)} projects; the first {MOST_PROJECTS} were looked at")
    workspace = Workspace([read_solution(scan, path) for path in solutions[:20]])
    shared: dict[str, list[Element]] = {}
    for path in projects[:MOST_PROJECTS]:
        workspace.projects[path] = read_project(scan, path, shared)
    return workspace


def read_solution(scan: Scan, path: str) -> Solution:
    """Projects of a .sln (lines), .slnx (XML) or .slnf (JSON)."""
    folder = posixpath.dirname(path)
    if path.endswith(".slnx"):
        elements = _elements(scan, path, {})
        listed = [one.attributes.get("Path", "") for one in elements if one.name == "Project"]
    elif path.endswith(".slnf"):
        data = table((scan.json(path) or {}).get("solution"))
        folder = posixpath.dirname(place(folder, text_of(data.get("path"))) or path)
        listed = texts(data.get("projects"))
    else:
        listed = [match[2] for match in _SLN_PROJECT.finditer(scan.text(path))]
    found = [place(folder, one) for one in listed if one.lower().endswith(PROJECTS)]
    return Solution(path, list(dict.fromkeys(one for one in found if one)))


def place(folder: str, relative: str) -> str | None:
    """A path that a file of the folder names, with either kind of slash; None where it leads out of the repository."""
    if not relative or "\0" in relative:
        return None
    clean = posixpath.normpath(posixpath.join(folder, relative.replace("\\", "/")))
    return None if clean.startswith(("../", "/")) or clean in ("..", ".") else clean


def read_project(scan: Scan, path: str, shared: dict[str, list[Element]]) -> Project:
    """A project file, after the Directory.Build.props above it and before what it imports."""
    project = Project(path)
    for folder in folders_above(project.folder):
        for name in _BUILD_FILES[:2]:
            file = posixpath.join(folder, name)
            if scan.has(file):
                _take(scan, project, file, _elements(scan, file, shared))
    own = _elements(scan, path, {})
    _take(scan, project, path, own)
    for imported in list(dict.fromkeys(project.imports))[:10]:
        # what the project itself says comes last, so it wins
        _take(scan, project, imported, _elements(scan, imported, shared))
        _take(scan, project, path, own)
    project.references = list(dict.fromkeys(project.references))
    project.imports = sorted(set(project.imports))
    packages = posixpath.join(project.folder, "packages.config")
    if scan.has(packages):
        for one in _elements(scan, packages, shared):
            if one.name == "package" and one.attributes.get("id"):
                name = one.attributes["id"]
                project.packages.setdefault(name.lower(), Value(name, packages, one.line))
    return project


def folders_above(folder: str) -> list[str]:
    """The root, then each folder on the way down to this one."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:length]) for length in range(len(parts) + 1)]


def _elements(scan: Scan, path: str, known: dict[str, list[Element]]) -> list[Element]:
    if path not in known:
        root, problem = read_xml(scan.text(path))
        known[path] = list(root.walk()) if root else []
        if problem:
            scan.warn(f"{scan.repository.full(path)} is not valid XML: {problem}")
    return known[path]


def _take(scan: Scan, project: Project, path: str, elements: list[Element]) -> None:
    for one in elements:
        get = one.attributes.get
        if one.name == "Project" and not one.above:
            for sdk in (get("Sdk") or "").split(";"):
                _sdk(project, sdk, path, one.line)
            if get("ToolsVersion"):
                project.properties.setdefault("toolsversion", Value(get("ToolsVersion") or "", path, one.line))
        elif one.name == "Sdk":
            _sdk(project, get("Name") or "", path, one.line)
        elif one.name == "Import":
            _sdk(project, get("Sdk") or "", path, one.line)
            imported = place(posixpath.dirname(path), project.expand(get("Project") or ""))
            if imported and scan.has(imported) and imported != project.path:
                project.imports.append(imported)
        elif one.name == "Exec" and get("Command"):
            project.commands.append(project.expand(get("Command") or ""))
        elif one.above[-1:] == ("PropertyGroup",):
            _property(project, one, path)
        elif one.above[-1:] == ("ItemGroup",):
            _item(project, one, path)


def _sdk(project: Project, text: str, path: str, line: int) -> None:
    name = text.strip().partition("/")[0]
    if name:
        project.sdks.setdefault(name.lower(), Value(name, path, line))


def _property(project: Project, one: Element, path: str) -> None:
    name = one.name.lower()
    if name == "projecttypeguids":
        project.type_guids = one.text.lower()
    # what holds only under a condition gives way to what always holds
    if "Condition" not in one.attributes or name not in project.properties:
        project.properties[name] = Value(one.text.strip(), path, one.line)


def _item(project: Project, one: Element, path: str) -> None:
    for include in (one.attributes.get("Include") or "").split(";"):
        name = project.expand(include)
        if not name:
            continue
        if one.name == "PackageReference":
            project.packages.setdefault(name.lower(), Value(name, path, one.line))
        elif one.name == "FrameworkReference":
            project.frameworks.setdefault(name.lower(), Value(name, path, one.line))
        elif one.name == "ProjectReference":
            # `$(MSBuildThisFileDirectory)` and the like are empty here: the folder of the file itself
            target = place(posixpath.dirname(path), name)
            if target:
                project.references.append(target)
