"""Application objects and factories in Python sources: what a server for WSGI or ASGI loads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bot.detect.frameworks import PYTHON, Framework
from bot.detect.frameworks.python import UNNAMED
from bot.detect.stacks.python_source import Module, Sources, assigned, dotted, rank_of, statements

_CONSTRUCTORS = {name: row for row in (*PYTHON, *UNNAMED) for name in row.constructor}
_CLASSES = sorted({name.rsplit(".", 1)[-1] for name in _CONSTRUCTORS})
_FACTORIES = (
    *("create_app", "make_app", "get_app", "build_app", "init_app", "create_application", "app_factory"),
    *("get_application", "make_application", "build_application", "create_asgi_app", "create_api"),
)
_HINT = re.compile(rf"\b(?:{'|'.join((*_CLASSES, *_FACTORIES))})\b")  # a cheap look before a file is parsed
_ASGI = frozenset({"falcon.asgi.App", "connexion.AsyncApp"})
_WRAPPERS = frozenset({"socketio.ASGIApp", "socketio.WSGIApp", "engineio.ASGIApp"})


@dataclass(frozen=True, slots=True)
class AppObject:
    """Where an application object is made, and how a server finds it: ``module:name`` below ``import_folder``."""

    framework: Framework | None  # None: a factory of another file, which was not read
    path: str
    line: int
    name: str
    factory: bool
    rank: tuple[int, ...]
    server: str = ""  # wsgi | asgi | own


def app_objects(sources: Sources) -> list[AppObject]:
    """Application objects and factories, the likeliest first."""
    found: list[AppObject] = []
    for path in sources.candidates():
        if _HINT.search(sources.scan.text(path)):
            module = sources.module(path)
            if module:
                found.extend(_objects(module))
    found.sort(key=lambda one: (one.rank, one.path))
    # what a factory of another file gives is of that factory's kind
    factory = next((one for one in found if one.factory), None)
    if factory is None:
        return found
    return [one if one.framework else replace(one, framework=factory.framework, server=factory.server) for one in found]


def _framework_of(call: ast.expr | None, module: Module, local: dict[str, Framework]) -> tuple[Framework, str] | None:
    """The framework whose application object a call makes, and its full name."""
    if not isinstance(call, ast.Call):
        return None
    name = dotted(call.func, module.known)
    if name in _CONSTRUCTORS:
        return _CONSTRUCTORS[name], name
    if name in local:
        return local[name], name
    # `from fasthtml.common import *` names nothing
    for star in (value[:-1] for value in module.known.values() if value.endswith(".*")):
        if star + name in _CONSTRUCTORS:
            return _CONSTRUCTORS[star + name], star + name
    return None


def _subclasses(module: Module) -> dict[str, Framework]:
    """Classes of the file that extend an application class, such as ``class App(tornado.web.Application)``."""
    found: dict[str, Framework] = {}
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                row = _CONSTRUCTORS.get(dotted(base, module.known)) or found.get(dotted(base, module.known))
                if row:
                    found[node.name] = row
    return found


def _objects(module: Module) -> Iterator[AppObject]:
    """The objects of one file; factories only where it makes no object itself."""
    local = _subclasses(module)
    factories: dict[str, tuple[AppObject, ast.FunctionDef]] = {}
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef) and (made := _made_by(node, module, local)):
            factories[node.name] = (_made(module, made, node.name, node.lineno, factory=True), node)
    direct: dict[str, AppObject] = {}
    for statement in statements(module.tree.body):
        for name, value in assigned(statement):
            one = _object(module, local, direct, (name, value))
            called = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
            if called in factories:
                one = factories[called][0]
            if one:
                rank = (*rank_of(module.path), min(one.rank[-1], _name_rank(name)))
                direct[name] = replace(one, name=name, line=statement.lineno, factory=False, rank=rank)
    yield from direct.values()
    if not any(one.framework for one in direct.values()):
        for name, (one, _) in factories.items():
            if name in _FACTORIES or name.startswith(("create_", "make_", "build_", "get_app")):
                yield one


def _made(module: Module, made: tuple[Framework, str], name: str, line: int, *, factory: bool = False) -> AppObject:
    row, constructor = made
    depth, *rest = rank_of(module.path)
    rank = (depth + factory, *rest, _name_rank(name))
    return AppObject(row, module.path, line, name, factory, rank, "asgi" if constructor in _ASGI else row.server)


def _object(
    module: Module, local: dict[str, Framework], direct: dict[str, AppObject], pair: tuple[str, ast.expr | None]
) -> AppObject | None:
    """What one assignment makes: an object, what wraps one, or what a factory of another file gives."""
    name, value = pair
    if not isinstance(value, ast.Call):
        return _attribute(direct, value)
    called = dotted(value.func, module.known)
    inner = next((direct[one.id] for one in value.args if isinstance(one, ast.Name) and one.id in direct), None)
    if called in _WRAPPERS and inner:
        return replace(inner, server="asgi", rank=(*inner.rank[:-1], -1))
    if found := _framework_of(value, module, local):
        return _made(module, found, name, value.lineno)
    if called.rsplit(".", 1)[-1] in _FACTORIES and "." in called:
        return AppObject(None, module.path, value.lineno, name, False, (*rank_of(module.path), _name_rank(name)))
    return None


def _attribute(direct: dict[str, AppObject], value: ast.expr | None) -> AppObject | None:
    """``server = app.server``: what a server can load of a Dash application."""
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.attr == "server":
        inner = direct.get(value.value.id)
        return replace(inner, rank=(*inner.rank[:-1], -1)) if inner else None
    return None


def _made_by(function: ast.FunctionDef, module: Module, local: dict[str, Framework]) -> tuple[Framework, str] | None:
    """The framework of a function that makes an application object and gives it back."""
    required = len(function.args.args) - len(function.args.defaults)
    if required > 0 or any(default is None for default in function.args.kw_defaults):
        return None
    made: dict[str, tuple[Framework, str]] = {}
    for node in ast.walk(function):
        for name, value in assigned(node):
            if row := _framework_of(value, module, local):
                made[name] = row
        if isinstance(node, ast.Return):
            if row := _framework_of(node.value, module, local):
                return row
            if isinstance(node.value, ast.Name) and node.value.id in made:
                return made[node.value.id]
    return None


def _name_rank(name: str) -> int:
    order = ("app", "application", "api", "server")
    return order.index(name) if name in order else len(order)
