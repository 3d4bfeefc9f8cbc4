"""What Python projects require: requirements files, setup files, conda environments, metadata inside a script."""

from __future__ import annotations

import ast
import posixpath
import re
from dataclasses import dataclass, field

from bot.detect.model import Evidence
from bot.detect.parse import Requirement, parse_toml, parse_yaml, requirement
from bot.detect.scan import Scan, names, table, texts

REQUIREMENTS = (
    "requirements.txt",
    "requirements/prod.txt",
    "requirements/production.txt",
    "requirements/base.txt",
    "requirements/common.txt",
    "requirements/main.txt",
    "requirements/requirements.txt",
    "requirements/default.txt",
    "requirements/app.txt",
    "requirements-prod.txt",
    "requirements_prod.txt",
    "requirements-production.txt",
    "requirements.prod.txt",
    "requirements-base.txt",
)
_DEVELOPMENT = re.compile(
    r"(?i)(?<![a-z])(dev|devel|develop|development|tests?|testing|docs?|lint|ci|local|constraints?)(?![a-z])"
)
_MISSPELT = re.compile(
    r"(?i)(req\w{0,8}m[ea]?n?t?s?|reqs?|requires?|pip[-_]?requirements|dependenc(y|ies)|pip)\.(txt|text|tx|pip|list)"
)
_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)(?:[ =]\s*|(?=\S))(\S+)")
_EDITABLE = re.compile(r"(?:-e|--editable)[ =]\s*")
_HERE = re.compile(r"(?:file:)?\./?(?:\[[^\]]*\])?\s*(?:[;#].*)?$")
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url)[ =]\s*(\S+)")
_PUBLIC_INDEX = ("pypi.org", "pythonhosted.org", "pytorch.org", "pypi.python.org", "nvidia.com", "aliyun.com")


@dataclass(slots=True)
class Manifests:
    """What the manifests say together."""

    manager: str = "pip"
    lockfile: str | None = None
    requirements: str | None = None  # the file for pip
    listed: bool = False  # pyproject.toml lists dependencies, which can be had without building the project
    files: list[str] = field(default_factory=list)  # what an install reads
    found: list[Requirement] = field(default_factory=list)
    evidence: Evidence | None = None
    project: bool = False  # pyproject.toml or setup.py describes a package that can be installed
    needs_source: bool = False
    local: bool = False  # the requirements file names this project itself, as `-e .` does
    git: bool = False
    groups: list[str] = field(default_factory=list)  # Poetry's, beside the main one
    scripts: dict[str, str] = field(default_factory=dict)  # console script -> module:function
    members: dict[str, str] = field(default_factory=dict)  # folder of a workspace's member -> name
    versioned_by_git: bool = False
    inline: list[str] = field(default_factory=list)  # from `# /// script`
    weak: bool = False  # a pyproject.toml that only configures tools

    @property
    def names(self) -> dict[str, Requirement]:
        """The first requirement of each name."""
        return names(self.found)


def find_requirements(scan: Scan) -> str | None:
    """The file for ``pip install -r``: usual names, then others that are not for development, then misspelt ones."""
    usual = scan.repository.first(REQUIREMENTS)
    if usual:
        return usual
    below = [path for path in scan.repository.inside("requirements") if path.endswith((".txt", ".pip"))]
    beside = [path for path in scan.repository.inside("") if re.fullmatch(r"(?i).*requirements.*\.(txt|pip)", path)]
    kept = [path for path in (*beside, *below) if not _DEVELOPMENT.search(path)]
    if kept:
        return kept[0]
    source = scan.repository.first(("requirements.in", "requirements/base.in", "requirements/prod.in"))
    if source:
        scan.warn(
            f"{scan.repository.full(source)} is not locked: add the requirements.txt that pip-compile makes of it"
        )
        return source
    for path in scan.repository.inside(""):
        if _MISSPELT.fullmatch(path) and any(requirement(line, path, 1) for line in scan.text(path).split("\n")[:50]):
            scan.warn(
                f"{scan.repository.full(path)} is taken for requirements.txt; rename it, so that other tools find it"
            )
            return path
    return (*beside, *below)[0] if beside or below else None


def read_requirements(scan: Scan, found: Manifests, path: str, depth: int = 0, *, constraints: bool = False) -> None:
    """A requirements file and those that it includes (https://pip.pypa.io/en/stable/reference/requirements-file-format/)."""
    if path in found.files or depth > 5 or len(found.files) > 20:
        return
    found.files.append(path)
    text = re.sub(r"\\\n", " ", scan.text(path))
    for number, line in enumerate(text.split("\n")[:5000], 1):
        body = line.strip()
        include = _INCLUDE.match(body)
        if include:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), include[2]))
            if scan.has(target):
                bound = constraints or include[1] in ("-c", "--constraint")
                read_requirements(scan, found, target, depth + 1, constraints=bound)
            elif not include[2].startswith(("http:", "https:")):
                scan.warn(f"{scan.repository.full(path)} includes {include[2]}, which is not there")
        elif index := _INDEX.match(body):
            check_index(scan, path, index[1])
        elif not constraints:
            found.needs_source = found.needs_source or (depth > 0 and bool(_HERE.match(_EDITABLE.sub("", body))))
            _line(scan, found, (path, number), body)


def _line(scan: Scan, found: Manifests, place: tuple[str, int], body: str) -> None:
    path, number = place
    editable = _EDITABLE.match(body)
    what = body[editable.end() :] if editable else body
    remote = "://" in what.split("#", maxsplit=1)[0] or what.startswith("git+")
    if _HERE.match(what):
        found.local = True
        found.found += project_dependencies(scan)
    elif not remote and (editable or re.match(r"(\.{0,2}/|file:|[^\s@;#]+\.whl\b)", what)):
        found.needs_source = True
    if "git+" in what or (editable and remote):
        check_git(scan, found, path, what)
    if parsed := requirement(what, path, number):
        found.found.append(parsed)


def check_git(scan: Scan, found: Manifests, path: str, what: str) -> None:
    """Packages from git need git while building, and a key where the address wants one."""
    found.git = True
    if "git+ssh:" in what or "git@" in what:
        scan.warn(f"{scan.repository.full(path)} fetches packages by SSH, which has no key while building: use https")


def check_index(scan: Scan, path: str, address: str) -> None:
    """A private package index needs credentials, which a build gets as secrets and never from a file."""
    host = re.sub(r"^\w+://([^/@]*@)?", "", address).split("/")[0].split(":")[0]
    if not host or host.endswith(_PUBLIC_INDEX):
        return
    keys = re.findall(r"\$\{(\w+)\}", address)
    needs = f"set {', '.join(keys)} as build secret" if keys else "it has to answer without a password, or by ${KEYS}"
    scan.warn(f"{scan.repository.full(path)} takes packages from {host[:80]}: {needs}")


def project_dependencies(scan: Scan) -> list[Requirement]:
    """What ``[project]`` of pyproject.toml depends on."""
    project = table(scan.toml("pyproject.toml").get("project")) if scan.has("pyproject.toml") else {}
    return listed(scan, "pyproject.toml", texts(project.get("dependencies")))


def listed(scan: Scan, path: str, wanted: list[str]) -> list[Requirement]:
    """Requirements of a list, each with the line where it stands."""
    found = []
    for text in wanted[:500]:
        parsed = requirement(text, path, scan.seen(path, text, "").line or 1)
        found += [parsed] if parsed else []
    return found


def keyed(scan: Scan, path: str, wanted: dict[str, object]) -> list[Requirement]:
    """Requirements of a table whose keys are names, as Poetry and Pipenv have them."""
    found = []
    for name, value in list(wanted.items())[:500]:
        version = value if isinstance(value, str) else table(value).get("version")
        extras = ",".join(texts(table(value).get("extras")))
        text = f"{name}[{extras}]" if extras else name
        parsed = requirement(text, path, 0)
        if parsed and parsed.name != "python":
            line = scan.seen(path, name, "").line or 1
            shown = f"{text} {version}" if isinstance(version, str) and version != "*" else text
            found.append(Requirement(parsed.name, parsed.extras, line, path, shown))
    return found


def setup_dependencies(scan: Scan) -> list[Requirement]:
    """``install_requires`` of setup.py, read as far as it is literal, and of setup.cfg."""
    found: list[Requirement] = []
    if scan.has("setup.py"):
        found += listed(scan, "setup.py", _setup_lists(scan.text("setup.py")))
    if scan.has("setup.cfg"):
        section = re.search(
            r"^install_requires\s*=(.*(?:\n[ \t]+.*|\n(?=[ \t]*\n))*)", scan.text("setup.cfg"), re.MULTILINE
        )
        found += listed(scan, "setup.cfg", section[1].split("\n") if section else [])
    return found


def _setup_lists(text: str) -> list[str]:
    try:
        tree = ast.parse(text[:100_000])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lists = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            value = lists.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
            return [
                item.value for item in ast.walk(value) if isinstance(item, ast.Constant) and isinstance(item.value, str)
            ]
    return []


def read_conda(scan: Scan, found: Manifests, file: str) -> None:
    """A conda environment: its own packages, and those of pip below them."""
    found.files = [file]
    wanted = table(conda_environment(scan, file)).get("dependencies")
    for item in wanted if isinstance(wanted, list) else []:
        if isinstance(item, str):
            name = re.split(r"[\s=<>!\[]", item.rsplit("::", 1)[-1].strip())[0]
            found.found += [one for one in listed(scan, file, [name]) if one.name not in ("python", "pip")]
        for text in texts(table(item).get("pip")):
            if include := _INCLUDE.match(text):
                if scan.has(include[2]):
                    read_requirements(scan, found, include[2])
            elif _HERE.match(_EDITABLE.sub("", text)):
                found.needs_source = True
            else:
                found.git = found.git or "git+" in text
                found.found += listed(scan, file, [text])


def conda_environment(scan: Scan, file: str) -> object:
    """The parsed file; a warning where it is broken."""
    data, problem = parse_yaml(scan.text(file))
    if problem:
        scan.warn(f"{scan.repository.full(file)} was not understood: {problem}")
    return data


_SCRIPT = re.compile(r"^# /// script[ \t]*$\n((?:^#(?:| .*)$\n)+?)^# ///[ \t]*$", re.MULTILINE)


def inline_metadata(text: str) -> dict[str, object]:
    """Metadata inside of a script (https://packaging.python.org/en/latest/specifications/inline-script-metadata/)."""
    match = _SCRIPT.search(text[:20_000] + "\n")
    if not match:
        return {}
    return parse_toml("\n".join(line[2:] for line in match[1].split("\n")))[0]
