"""What go.mod, go.work and the sources of a Go module say. https://go.dev/ref/mod"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.detect.parse import strip_js_comments
from bot.detect.scan import Scan

APART = re.compile(r"(^|/)(vendor|testdata|_\w*|\.\w+|tests?|examples?|docs?|tools?|hack|scripts?|internal/tools)(/|$)")
_MAJOR = re.compile(r"/v\d+$|\.v\d+$")
_PACKAGE = re.compile(r"^package[ \t]+(\w+)", re.MULTILINE)
_MAIN = re.compile(r"^func[ \t]+main[ \t]*\([ \t]*\)", re.MULTILINE)
_IGNORED = re.compile(r"^//go:build[ \t]+(ignore|tools?|never)\b|^// \+build[ \t]+(ignore|tools?)\b", re.MULTILINE)
_IMPORTS = re.compile(r"^import[ \t]*(?:\((?P<block>[^)]*)\)|(?P<one>[^\n]*))", re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]{1,300})"')
MOST_FOLDERS = 200  # in which a main package is looked for
MOST_FILES = 60  # of the chosen program that are read


@dataclass(frozen=True, slots=True)
class Requirement:
    """A module in go.mod, without its major version."""

    path: str
    line: int
    text: str
    indirect: bool


@dataclass(slots=True)
class Module:
    """go.mod, read. ``versions``: what asks for a version of Go, the strongest first, as (path, line, text)."""

    name: str = ""
    requirements: dict[str, Requirement] = field(default_factory=dict)
    versions: list[tuple[str, int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Program:
    """A main package: its folder ("" is the module's own), the file and line of its main function, what it imports."""

    folder: str
    path: str
    line: int
    imports: frozenset[str]


_WORKSPACE = "/Godeps/_workspace/src/"  # where godep kept copies, under other import paths


def without_major(path: str) -> str:
    """``github.com/labstack/echo/v4`` and ``gopkg.in/yaml.v3`` without the version."""
    return _MAJOR.sub("", path)


def read_module(scan: Scan, path: str = "go.mod") -> Module:
    """https://go.dev/ref/mod#go-mod-file; lines that make no sense are passed over."""
    module = Module()
    block = ""
    toolchain: list[tuple[str, int, str]] = []
    for number, raw in enumerate(scan.text(path).split("\n"), 1):
        line = raw.partition("//")[0].strip()
        words = line.split()
        if not words:
            continue
        if block:
            if words[0] == ")":
                block = ""
            elif block == "require":
                _require(module, words, number, raw)
            continue
        if words[-1] == "(":
            block = words[0]
        elif words[0] == "module" and len(words) > 1:
            module.name = words[1].strip('"')
        elif words[0] == "go" and len(words) > 1:
            module.versions.append((path, number, words[1]))
        elif words[0] == "toolchain" and len(words) > 1:
            toolchain.append((path, number, words[1]))
        elif words[0] == "require":
            _require(module, words[1:], number, raw)
    module.versions = toolchain + module.versions
    return module


def _require(module: Module, words: list[str], line: int, raw: str) -> None:
    if len(words) >= 2:
        path = without_major(words[0].strip('"'))
        found = Requirement(path, line, raw.strip(), "// indirect" in raw)
        module.requirements.setdefault(path, found)


def find_programs(scan: Scan) -> list[Program]:
    """Every main package that is no test, tool or example, shallow ones first."""
    repository = scan.repository
    nested = tuple(path[: -len("go.mod")] for path in repository.named("go.mod") if "/" in path)
    folders: dict[str, list[str]] = {}
    for path in repository.files:
        if path.endswith(".go") and not path.endswith("_test.go"):
            folder = path.rpartition("/")[0]
            if not APART.search(folder) and not (nested and not scan.has("go.work") and path.startswith(nested)):
                folders.setdefault(folder, []).append(path)
    found = []
    for folder, files in list(folders.items())[:MOST_FOLDERS]:
        program = _program(scan, folder, files)
        if program:
            found.append(program)
    return found


def _program(scan: Scan, folder: str, files: list[str]) -> Program | None:
    imports: set[str] = set()
    main: tuple[str, int] | None = None
    for path in sorted(files, key=lambda name: (not name.endswith("main.go"), name))[:MOST_FILES]:
        text = scan.text(path)
        package = _PACKAGE.search(text)
        if package is None or _IGNORED.search(text[: package.start()]):
            continue
        if package[1] != "main":
            return None
        found = _MAIN.search(text)
        if found and main is None:
            main = path, text.count("\n", 0, found.start()) + 1
        imports |= imports_of(text)
    return Program(folder, main[0], main[1], frozenset(imports)) if main else None


def imports_of(text: str) -> set[str]:
    """Paths of the packages that a Go file imports, without their major version."""
    found: set[str] = set()
    code = strip_js_comments(text) if "/*" in text else text
    for match in _IMPORTS.finditer(code):
        paths = _QUOTED.findall(match["block"] or match["one"] or "")
        found |= {without_major(path.rpartition(_WORKSPACE)[2]) for path in paths}
    return found
