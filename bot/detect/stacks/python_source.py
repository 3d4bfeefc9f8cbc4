"""What Python sources say, read with ``ast``: application objects, factories, and files that serve by themselves."""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from bot.detect.frameworks.python import USES
from bot.detect.scan import Scan

MAX_FILES = 60
MAX_FILE = 200_000  # characters; an entry module is never larger
MAX_PARSED = 250_000  # characters of all files together: parsing is what takes time
_NAMES = (
    *("app", "main", "wsgi", "asgi", "server", "application", "run", "api", "index", "web", "__init__"),
    *("start", "bot", "__main__"),
)
_PREFERRED = ("", "src", "app", "api", "backend", "server", "web")
_SKIPPED = re.compile(
    r"(^|/)(tests?|docs?|examples?|migrations|fixtures|scripts|vendor|benchmarks?|build|dist|alembic|tutorials?|samples?"
    r"|cookiecutter\S*|\{\{\S*|packages\.d|\.[^/]+)/|(^|/)(test_|conftest|setup\.py$|noxfile|fabfile)|_test\.py$"
)
_USES = {name: re.compile(pattern, re.MULTILINE) for name, pattern in USES.items()}
# what listens for HTTP until it is stopped
_SERVES = frozenset(
    {
        *("aiohttp.web.run_app", "uvicorn.run", "waitress.serve", "hypercorn.asyncio.serve", "hypercorn.run"),
        *("bottle.run", "http.server.HTTPServer", "http.server.ThreadingHTTPServer", "socketserver.TCPServer"),
        *("socketserver.ThreadingTCPServer", "wsgiref.simple_server.make_server", "gevent.pywsgi.WSGIServer"),
        *(
            "eventlet.wsgi.server",
            "cherrypy.quickstart",
            "nicegui.ui.run",
            "fasthtml.common.serve",
            "asyncio.start_server",
        ),
        *("tornado.httpserver.HTTPServer", "websockets.serve", "cheroot.wsgi.Server", "werkzeug.serving.run_simple"),
    }
)
_SERVES_HINT = re.compile(
    r"run_app|uvicorn|\.run\(|\brun\(|\bserve\(|HTTPServer|TCPServer|WSGIServer|make_server|\.listen\(|\.launch\(|quickstart"
    r"|start_server|run_simple"
)


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file; walked once."""

    path: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]
    known: dict[str, str]  # local names to what they stand for


class Sources:
    """Parsed Python files of one folder."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self._modules: dict[str, Module | None] = {}
        self._left = MAX_PARSED
        self._candidates: list[str] | None = None

    def module(self, path: str) -> Module | None:
        """The parsed file; None when it is missing, too large, no Python 3, or enough has been parsed."""
        if path not in self._modules:
            text = self.scan.text(path) if self.scan.has(path) else ""
            fits = 0 < len(text) <= min(MAX_FILE, self._left)
            tree = _parse(text) if fits else None
            self._left -= len(text) if fits else 0
            nodes = tuple(ast.walk(tree)) if tree else ()
            self._modules[path] = Module(path, tree, nodes, _imports(nodes)) if tree else None
        return self._modules[path]

    def tree(self, path: str) -> ast.Module | None:
        """The parsed file alone."""
        module = self.module(path)
        return module.tree if module else None

    def candidates(self) -> list[str]:
        """The files that may hold an application object, likely ones first."""
        if self._candidates is None:
            files = [path for path in self.scan.repository.files if path.endswith(".py") and path.count("/") <= 4]
            kept = [path for path in files if not _SKIPPED.search(path)]
            kept.sort(key=lambda path: (rank_of(path), path))
            self._candidates = kept[:MAX_FILES]
        return self._candidates

    def used(self) -> dict[str, str]:
        """Frameworks that a file uses, each with the first such file."""
        found: dict[str, str] = {}
        for path in self.candidates():
            text = self.scan.text(path)
            for name, pattern in _USES.items():
                if name not in found and name in text and pattern.search(text):
                    found[name] = path
        return found


def serving(sources: Sources) -> list[tuple[str, int]]:
    """Files that listen by themselves when they are run, the likeliest first, with the line that does."""
    hinted = (path for path in sources.candidates() if _SERVES_HINT.search(sources.scan.text(path)))
    modules = (module for path in hinted if (module := sources.module(path)))
    return [(module.path, line) for module in modules if (line := serves(module))]


def serves(module: Module) -> int | None:
    """The line of a call that listens for requests."""
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func, module.known)
        last = name.rsplit(".", 1)[-1]
        named = {keyword.arg for keyword in node.keywords}
        star = name == "run" and "bottle.*" in module.known.values()
        if (
            name in _SERVES
            or star
            or (last == "run" and "." in name and named & {"host", "port", "debug"})
            or (last == "launch" and any(value.split(".")[0] == "gradio" for value in module.known.values()))
            or (last == "listen" and any(value.split(".")[0] == "tornado" for value in module.known.values()))
            or (last == "run" and any(value.split(".")[0] in ("flask", "sanic") for value in module.known.values()))
        ):
            return node.lineno
    return None


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in somebody's strings
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def rank_of(path: str) -> tuple[int, ...]:
    """How likely a file is to hold the application; the smaller the better."""
    folder, _, name = path.rpartition("/")
    stem = name[:-3]
    known = _NAMES.index(stem) if stem in _NAMES else len(_NAMES)
    place = _PREFERRED.index(folder) if folder in _PREFERRED else len(_PREFERRED)
    return (path.count("/") + (known == len(_NAMES)) * 2, known, place)


def _imports(nodes: tuple[ast.AST, ...]) -> dict[str, str]:
    """Local names to what they stand for: ``from flask import Flask as F`` gives ``{"F": "flask.Flask"}``."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                name = f"{module}.{alias.name}" if module.strip(".") else f"{module}{alias.name}"
                # two stars must not hide each other
                found[f"{module}.*" if alias.name == "*" else alias.asname or alias.name] = name
    return found


def dotted(node: ast.expr, known: dict[str, str]) -> str:
    """``flask.Flask`` for a name or attribute, "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([known.get(node.id, node.id), *reversed(parts)])


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also below ``if`` and ``try`` (but not below ``if __name__ == "__main__"``)."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and not _is_main(node):
            yield from statements(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            yield from statements(node.body + [item for handler in node.handlers for item in handler.body])
        elif isinstance(node, ast.With):
            yield from statements(node.body)


def _is_main(node: ast.If) -> bool:
    test = node.test
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that a statement gives a value, with the value."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple) and target.elts and isinstance(target.elts[0], ast.Name):
                yield target.elts[0].id, node.value  # `app, rt = fast_app()`
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id, node.value


def text_in(node: ast.expr | None) -> str:
    """A text constant, otherwise ""."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def assignments(tree: ast.Module) -> dict[str, ast.expr]:
    """Values of the top-level names of a module, such as Django's settings."""
    pairs = (pair for node in statements(tree.body) for pair in assigned(node))
    return {name: value for name, value in pairs if value is not None}


def strings_in(node: ast.expr | None) -> list[str]:
    """All texts inside of an expression."""
    return [text for item in ast.walk(node) if isinstance(item, ast.expr) and (text := text_in(item))] if node else []


def default_settings_module(tree: ast.Module) -> tuple[str, int] | None:
    """The module in ``os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site.settings")``, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) > 1 and text_in(node.args[0]) == "DJANGO_SETTINGS_MODULE":
            module = text_in(node.args[1])
            if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,8}", module):
                return module, node.lineno
    return None


def module_of(sources: Sources, path: str) -> tuple[str, str] | None:
    """Folder to import from and dotted module for a file; None when its path cannot be a module."""
    folder, _, name = path.rpartition("/")
    stem = name[:-3]
    parts = folder.split("/") if folder else []
    above = parts[: _import_depth(sources, path, parts)]
    words = [*parts[len(above) :], *([] if stem == "__init__" else [stem])]
    if not words or not all(re.fullmatch(r"[A-Za-z_]\w*", word) for word in words):
        return None
    return posixpath.join("", *above), ".".join(words)


def _import_depth(sources: Sources, path: str, parts: list[str]) -> int:
    """How many of a file's folders are above the one that its modules are imported from.

    ``folder.module`` in its imports says it; else its files import each other by their bare names, or the outermost
    ``__init__.py`` tells.
    """
    scan = sources.scan
    folder = "/".join(parts)
    module = sources.module(path)
    values = module.known.values() if module else ()
    tops = {name.split(".")[0] for name in values if not name.startswith(".")}
    for depth, part in enumerate(parts):
        if part in tops and part not in USES:
            return depth
    relative = any(name.startswith(".") for name in values)
    beside = any(scan.has(f"{folder}/{name}.py") or scan.has(f"{folder}/{name}/__init__.py") for name in tops if name)
    if beside and not relative and not path.endswith("/__init__.py"):
        return len(parts)
    top = len(parts)
    while top and scan.has("/".join(parts[:top]) + "/__init__.py"):
        top -= 1
    if top < len(parts):
        return top
    if parts and parts[-1] != "src" and (relative or len(parts) == 1):
        return len(parts) - 1
    return len(parts)
