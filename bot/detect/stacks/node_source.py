"""JavaScript and TypeScript sources: the entry file, what it reaches and imports, whether it serves HTTP."""

from __future__ import annotations

import posixpath
import re

from bot.detect.parse import js_imports, package_of
from bot.detect.scan import Scan

_EXTENSIONS = ("", ".js", ".ts", ".mjs", ".cjs", ".mts", ".cts", ".tsx", ".jsx", "/index.js", "/index.ts")
_STEMS = ("index", "server", "app", "main")
_FOLDERS = ("", "src/", "server/", "app/", "api/", "backend/", "lib/")
ENTRIES = (
    *(
        f"{folder}{stem}{end}"
        for folder in _FOLDERS
        for stem in _STEMS
        for end in (".js", ".mjs", ".cjs", ".ts", ".mts")
    ),
    "bin/www",
    "bin/www.js",
    "bin/server.js",
)
_LOCAL_ONLY = re.compile(
    r"""\.listen\([^()\n]{0,120}["'`](localhost|127\.0\.0\.1)["'`]|\bhost\s*:\s*["'`](localhost|127\.0\.0\.1)["'`]"""
)
_LISTENS = re.compile(
    r"\.listen\s*\(\s*(?:[\"'`]?\d|\{|process\b|Number\b|parseInt\b|\+|(?:[\w.]{0,60}\.)?\w{0,40}"
    r"(?:port|env|config|opt|server)|app\.get)"
    r"|\bBun\.serve\s*\(|\bDeno\.serve\s*\(|\bstartStandaloneServer\s*\(|\bnew\s+WebSocketServer\s*\(",
    re.IGNORECASE,
)
_MODULES = frozenset({"http", "https", "http2", "net", "node:http", "node:https", "node:http2", "node:net"})
_CODE = (".js", ".ts", ".mjs", ".cjs", ".mts", ".cts", ".jsx", ".tsx")
_NO_SOURCE = re.compile(
    r"(^|/)(__tests__|__mocks__|tests?|spec|e2e|cypress|mocks?|examples?|fixtures|docs?|dist|build|out|coverage|public"
    r"|static|vendor|scripts|tools|storybook|\.[^/]+)/|\.(test|spec|stories|d|config|conf|min)\.|(^|/)(gulpfile|Gruntfile)\."
)


def resolve_file(scan: Scan, path: str) -> str | None:
    """The file that Node would load for a path, also without its ending."""
    clean = posixpath.normpath(path)
    return None if clean.startswith(("..", "/")) else scan.repository.first(clean + end for end in _EXTENSIONS)


def reachable(scan: Scan, entry: str, most: int = 12) -> list[str]:
    """The entry file and the local files that it imports, directly or by one more step."""
    found, queue = [entry], [entry]
    for _ in range(2):
        following: list[str] = []
        for path in queue:
            for module in js_imports(scan.code(path)):
                if not module.startswith("."):
                    continue
                target = resolve_file(scan, posixpath.join(posixpath.dirname(path), module))
                # TypeScript sources name the file that the compiler will write
                target = target or resolve_file(
                    scan, posixpath.join(posixpath.dirname(path), re.sub(r"\.[mc]?js$", "", module))
                )
                if target and target not in found and target.endswith(("js", "ts", "tsx", "jsx")):
                    found.append(target)
                    following.append(target)
                if len(found) >= most:
                    return found
        queue = following
    return found


def serves_http(scan: Scan, path: str) -> bool:
    """Whether a file starts a server."""
    code = scan.code(path)
    if _LISTENS.search(code):
        return True
    modules = js_imports(code)
    if "createServer" in code and _MODULES & modules.keys():
        return True
    return "@hono/node-server" in modules and re.search(r"\bserve\s*\(", code) is not None


def packages_of(scan: Scan, path: str) -> set[str]:
    """The packages that a file imports."""
    return {name for module in js_imports(scan.code(path)) if (name := package_of(module))}


def sources(scan: Scan, folder: str, most: int = 60) -> list[str]:
    """Source files of the package in a folder, the shallow ones first; none of tests, examples or packages inside."""
    if "sources" not in scan.kept:
        scan.kept["sources"] = _by_package(scan)
    found: list[str] = scan.kept["sources"].get(folder, [])
    return found[:most]


def owner(scan: Scan, path: str) -> str:
    """The folder of the package that a file belongs to."""
    folders = scan.kept.get("packages")
    if folders is None:
        folders = scan.kept["packages"] = _package_folders(scan)
    folder = posixpath.dirname(path)
    while folder not in folders:
        folder = posixpath.dirname(folder)
    return folder


def _package_folders(scan: Scan) -> set[str]:
    marks = ("package.json", "package.json5", "package.yaml", "project.json")
    return {posixpath.dirname(path) for name in marks for path in scan.repository.named(name, 6)} | {""}


def _by_package(scan: Scan) -> dict[str, list[str]]:
    packages = _package_folders(scan)
    nearest: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for path in scan.repository.files:
        if not path.endswith(_CODE):
            continue
        above = folder = posixpath.dirname(path)
        if folder not in nearest:
            while above not in packages:
                above = posixpath.dirname(above)
            nearest[folder] = above
        package = nearest[folder]
        inner = path[len(package) + 1 :] if package else path
        if len(found.setdefault(package, [])) < 60 and not _NO_SOURCE.search(inner):
            found[package].append(path)
    return found


def warn_local_only(scan: Scan, files: list[str]) -> None:
    """Say so where the server binds the loopback address, which nothing outside of its container reaches."""
    for path in files:
        code = scan.code(path)
        match = _LOCAL_ONLY.search(code)
        if match:
            line = code.count("\n", 0, match.start()) + 1
            scan.warn(f"{scan.repository.full(path)}:{line} binds {match[1] or match[2]}; bind 0.0.0.0 to be reached")
            return
