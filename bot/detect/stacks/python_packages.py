"""Which package manager a Python project has, and what its manifests say."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from bot.detect.scan import Scan, table, text_of, texts
from bot.detect.stacks import python_requirements as lists
from bot.detect.stacks.python_requirements import Manifests

CONDA = tuple(
    f"{folder}{name}.{ending}"
    for folder in ("", "binder/", ".binder/")
    for name in ("environment", "conda", "env", "conda-env", "conda_env")
    for ending in ("yml", "yaml")
)
_LOCKS = (("uv", "uv.lock"), ("poetry", "poetry.lock"), ("pdm", "pdm.lock"), ("pipenv", "Pipfile.lock"))
_FOR_DEVELOPMENT = re.compile(r"(?i)dev|test|doc|lint|typ|format|ci|check|debug|release|jupyter|notebook|bench")
_BY_GIT = re.compile(r"(?i)setuptools[-_]scm|hatch-vcs|versioningit|dynamic-versioning|versioneer|dunamai")


class Project:
    """pyproject.toml, read tolerantly."""

    def __init__(self, scan: Scan) -> None:
        data = scan.toml("pyproject.toml") if scan.has("pyproject.toml") else {}
        self.tool = table(data.get("tool"))
        self.project = table(data.get("project"))
        self.system = table(data.get("build-system"))
        self.backend = text_of(self.system.get("build-backend"))
        self.builds = "build-system" in data
        self.dynamic = "dependencies" in texts(self.project.get("dynamic"))

    def declared(self) -> Iterator[str]:
        """Managers that the file is written for, whether or not there is a lock."""
        if "uv" in self.tool or self.backend == "uv_build":
            yield "uv"
        poetry = table(self.tool.get("poetry"))
        if {"dependencies", "name", "package-mode", "group"} & poetry.keys() or self.backend.startswith("poetry"):
            yield "poetry"
        if self.project and table(self.tool.get("pdm")).keys() - {"version", "build"}:
            yield "pdm"


def read_manifests(scan: Scan) -> Manifests | None:
    """Lock files go first, then what pyproject.toml is written for, Pipfile, requirements, setup files, conda."""
    project = Project(scan)
    choices = _choices(scan, project)
    if not choices:
        weak = scan.has("pyproject.toml")
        return Manifests(weak=True, evidence=scan.seen("pyproject.toml", "", "configures tools only")) if weak else None
    manager, file = choices[0]
    others = sorted({name for name, _ in choices[1:]} - {manager})
    if others:
        scan.warn(f"there are also manifests of {', '.join(others)}; {manager} is used: {scan.repository.full(file)}")
    lock = dict(_LOCKS).get(manager, "")
    found = Manifests(manager, lockfile=lock if lock and scan.has(lock) else None)
    found.evidence = scan.seen(file, "", f"packages by {manager}")
    _collect(scan, found, file, project)
    return found


def _choices(scan: Scan, project: Project) -> list[tuple[str, str]]:
    """Managers with the file that speaks for them, the one to use first."""
    choices = [(manager, lock) for manager, lock in _LOCKS if scan.has(lock)]
    choices += [(manager, "pyproject.toml") for manager in project.declared()]
    choices += [("pipenv", "Pipfile")] if scan.has("Pipfile") else []
    listed = lists.find_requirements(scan)
    if listed:
        choices.append(("pip", listed))
    elif not choices and (project.project or scan.has("setup.py") or scan.has("setup.cfg")):
        file = "pyproject.toml" if project.project else scan.repository.first(("setup.py", "setup.cfg"))
        if file != "setup.cfg" or "[metadata]" in scan.text(file) or "[options]" in scan.text(file):
            choices.append(("pip", file or ""))
    choices += [("conda", path) for path in CONDA if scan.has(path) and "dependencies" in scan.text(path)][:1]
    return choices


def _collect(scan: Scan, found: Manifests, file: str, project: Project) -> None:
    _scripts(found, project)
    found.project = project.builds or scan.has("setup.py") or (not project.project and scan.has("setup.cfg"))
    found.versioned_by_git = any(_BY_GIT.search(text) for text in texts(project.system.get("requires")))
    _sources(scan, found, project)
    if found.manager == "conda":
        lists.read_conda(scan, found, file)
    elif found.manager == "pipenv":
        _pipfile(scan, found)
    elif found.manager == "pip" and file.endswith((".txt", ".in", ".pip", ".text", ".tx", ".list")):
        found.requirements = file
        lists.read_requirements(scan, found, file)
        _beside(scan, found, project)
    else:
        _pyproject(scan, found, file, project)


def _scripts(found: Manifests, project: Project) -> None:
    scripts = table(project.project.get("scripts")) or table(table(project.tool.get("poetry")).get("scripts"))
    for name, target in scripts.items():
        if isinstance(target, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            found.scripts[name] = target


def _beside(scan: Scan, found: Manifests, project: Project) -> None:
    """What [project] depends on and requirements.txt does not name is installed as well."""
    more = [item for item in lists.project_dependencies(scan) if item.name not in found.names]
    if more and not found.local:
        found.found += more
        found.listed = True
        found.files.append("pyproject.toml")
        missing = ", ".join(item.name for item in more[:5])
        scan.warn(f"{found.requirements} lacks {missing}, which pyproject.toml depends on: both are installed")
    if not found.requirements or found.local:
        found.project = found.project or bool(project.project)


def _pipfile(scan: Scan, found: Manifests) -> None:
    packages = table(scan.toml("Pipfile").get("packages"))
    found.files = [name for name in ("Pipfile", "Pipfile.lock") if scan.has(name)]
    found.found = lists.keyed(scan, "Pipfile", packages)
    for value in packages.values():
        _source(scan, found, "Pipfile", table(value))
    sources = scan.toml("Pipfile").get("source")
    for source in sources if isinstance(sources, list) else []:
        lists.check_index(scan, "Pipfile", text_of(table(source).get("url")))


def _pyproject(scan: Scan, found: Manifests, file: str, project: Project) -> None:
    found.files = [
        name for name in ("pyproject.toml", found.lockfile, "setup.py", "setup.cfg") if name and scan.has(name)
    ]
    found.found = lists.project_dependencies(scan)
    poetry = table(project.tool.get("poetry"))
    found.found += lists.keyed(scan, "pyproject.toml", table(poetry.get("dependencies")))
    for name, group in table(poetry.get("group")).items():
        if not table(group).get("optional") and not _FOR_DEVELOPMENT.search(name):
            found.groups.append(name)
            found.found += lists.keyed(scan, "pyproject.toml", table(table(group).get("dependencies")))
    if found.manager != "pip":
        return
    found.listed = bool(project.project) and not project.dynamic and file == "pyproject.toml"
    found.needs_source = not found.listed
    if found.needs_source:
        found.found += lists.setup_dependencies(scan)
        found.project = True
    if project.dynamic:
        _dynamic(scan, found, project)


def _dynamic(scan: Scan, found: Manifests, project: Project) -> None:
    """``dynamic = ["dependencies"]`` whose list is in requirements files, as setuptools reads them."""
    where = table(table(table(project.tool.get("setuptools")).get("dynamic")).get("dependencies")).get("file")
    files = [where] if isinstance(where, str) else texts(where)
    hatch = texts(table(table(table(project.tool.get("hatch")).get("metadata")).get("hooks")).get("files"))
    for path in [*files, *hatch]:
        if scan.has(posixpath.normpath(path)):
            lists.read_requirements(scan, found, posixpath.normpath(path))


def _sources(scan: Scan, found: Manifests, project: Project) -> None:
    """Packages that come from elsewhere: from folders of the repository, from git, from other indexes."""
    uv, poetry = table(project.tool.get("uv")), table(project.tool.get("poetry"))
    _members(scan, found, table(uv.get("workspace")))
    if uv.get("package") is True:
        found.project = True
    if uv.get("package") is False or poetry.get("package-mode") is False:
        found.project = False
    for value in (*table(uv.get("sources")).values(), *table(poetry.get("dependencies")).values()):
        _source(scan, found, "pyproject.toml", table(value))
    for tables in (uv.get("index"), poetry.get("source"), table(project.tool.get("pdm")).get("source")):
        for source in tables if isinstance(tables, list) else []:
            lists.check_index(scan, "pyproject.toml", text_of(table(source).get("url")))
    if any("git+" in text for text in texts(project.project.get("dependencies"))):
        lists.check_git(scan, found, "pyproject.toml", " ".join(texts(project.project.get("dependencies"))))


def _source(scan: Scan, found: Manifests, path: str, value: dict[str, object]) -> None:
    if "git" in value:
        lists.check_git(scan, found, path, text_of(value.get("git")))
    if {"path", "file"} & value.keys():
        found.needs_source = True


def _members(scan: Scan, found: Manifests, workspace: dict[str, object]) -> None:
    """Folders of a uv workspace with the names of their packages."""
    patterns = [re.escape(text.strip("/")).replace(r"\*", "[^/]*") for text in texts(workspace.get("members"))]
    for path in scan.repository.named("pyproject.toml", 4)[:60] if patterns else ():
        folder = posixpath.dirname(path)
        if folder and any(re.fullmatch(pattern, folder) for pattern in patterns):
            project = table(scan.toml(path).get("project"))
            found.members[folder] = text_of(project.get("name"))
            found.found += lists.listed(scan, path, texts(project.get("dependencies")))
