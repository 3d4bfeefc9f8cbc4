"""What Python code says about its surroundings: port, health route, environment keys, databases."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from bot.detect.model import Evidence
from bot.detect.stacks.python_source import Module, Sources, assigned, dotted, text_in

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,80}")
# of the machine or of the platform, not of the application
_SYSTEM = frozenset({"HOME", "PATH", "USER", "PWD", "SHELL", "LANG", "TMPDIR", "TEMP", "APPDATA", "VIRTUAL_ENV", "CI"})
_READS = re.compile(r"environ\s*\[|BaseSettings|\bdecouple\b|\benviron\b|\benvirons\b|starlette\.config")
_SERVING = ("run", "listen", "run_app", "launch", "serve", "create_server", "bind", "run_simple", "start_server")
_PAIRS = ("HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "WSGIServer", "listen", "bind")


def find_port(sources: Sources, paths: list[str]) -> tuple[int, Evidence] | None:
    """``app.run(port=5000)``, ``uvicorn.run(app, port=…)``, ``os.environ.get("PORT", 8000)``, also by a constant."""
    for path in paths:
        module = sources.module(path)
        if module is None:
            continue
        constants = _constants(module)
        for node in module.nodes:
            if isinstance(node, ast.Call) and (number := _port(node, module, constants)):
                shown = ast.unparse(node)[:120]
                return number, sources.scan.seen(path, shown, f"the code names port {number}", node.lineno)
    return None


def _constants(module: Module) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for node in module.nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found.setdefault(node.target.id, node.value)
    return found


def _port(node: ast.Call, module: Module, constants: dict[str, ast.expr]) -> int | None:
    name = dotted(node.func, module.known)
    last = name.rsplit(".", 1)[-1]
    if last in ("get", "getenv", "config", "env", "int") and len(node.args) > 1 and text_in(node.args[0]) == "PORT":
        return _number(node.args[1], constants)
    if last == "define" and node.args and text_in(node.args[0]) == "port":  # of Tornado
        return next((_number(one.value, constants) for one in node.keywords if one.arg == "default"), None)
    if last not in (*_SERVING, *_PAIRS, "make_server", "config"):
        return None
    for keyword in node.keywords:
        if keyword.arg in ("port", "server_port", "http_port"):
            return _number(keyword.value, constants)
        if keyword.arg == "listen" and (match := re.search(r":(\d{2,5})$", text_in(keyword.value))):
            return int(match[1])
    for place, value in enumerate(node.args[:3]):
        pair = isinstance(value, ast.Tuple) and len(value.elts) == 2
        if pair and isinstance(value, ast.Tuple):
            return _number(value.elts[1], constants)
        if (last in ("listen", "bind") and place == 0) or (last in ("run", "make_server", "run_simple") and place == 1):
            number = _number(value, constants)
            if number:
                return number
    return None


def _number(node: ast.expr, constants: dict[str, ast.expr], depth: int = 0) -> int | None:
    if isinstance(node, ast.Constant):
        text = str(node.value)
        return int(text) if text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536 else None
    if depth > 4:
        return None
    if isinstance(node, ast.Name) and node.id in constants:
        return _number(constants[node.id], constants, depth + 1)
    if isinstance(node, ast.Call):
        name = dotted(node.func, {})
        if name in ("int", "str") and node.args:
            return _number(node.args[0], constants, depth + 1)
        if name.endswith(("environ.get", "getenv", "config", "env.int", "env")) and len(node.args) > 1:
            return _number(node.args[1], constants, depth + 1)
        defaults = [one.value for one in node.keywords if one.arg == "default"]
        return _number(defaults[0], constants, depth + 1) if defaults else None
    if isinstance(node, ast.BoolOp):
        return next((number for one in node.values if (number := _number(one, constants, depth + 1))), None)
    if isinstance(node, ast.IfExp):
        return _number(node.orelse, constants, depth + 1) or _number(node.body, constants, depth + 1)
    return None


_HEALTH = re.compile(r"/(?:api/)?(?:v\d/)?(?:healthz?|livez|readyz|health[-_]?check|alive|ping)/?")
_ROUTES = (
    *("route", "get", "api_route", "add_url_rule", "path", "re_path", "add_get", "add_route", "Route", "head"),
    *("HttpResponse", "url", "handler", "view_config"),
)


def find_health_path(sources: Sources, paths: list[str]) -> tuple[str, Evidence] | None:
    """A route that is made for asking whether the application is well, from a decorator, a call or a list of routes."""
    for path in paths:
        module = sources.module(path)
        for node in module.nodes if module else ():
            if isinstance(node, ast.Call) and node.args:
                called = dotted(node.func, {}).rsplit(".", 1)[-1]
                routes = [text_in(one) for one in node.args[:2]] if called in _ROUTES else []
                if called in ("path", "re_path") and not routes[0].startswith("/"):
                    routes = ["/" + routes[0].removeprefix("^").removesuffix("$")]
            elif isinstance(node, ast.Tuple) and len(node.elts) >= 2:  # of Tornado
                routes = [text_in(node.elts[0]).removesuffix("$")]
            else:
                continue
            route = next((one for one in routes if _HEALTH.fullmatch(one)), None)
            if route:
                return route, sources.scan.seen(path, route, f"{route} is a health route", node.lineno)
    return None


def settings_files(sources: Sources, first: list[str]) -> list[str]:
    """Files that read the environment: those of the application, then others that name a reader of it."""
    others = [path for path in sources.candidates() if _READS.search(sources.scan.text(path))]
    return list(dict.fromkeys([*first, *others]))[:25]


def required_keys(sources: Sources, paths: list[str]) -> Iterator[tuple[str, Evidence]]:
    """Keys that are read without a default, so that the application cannot even be imported when they are missing."""
    modules = [module for path in paths if (module := sources.module(path))]
    optional = {key for module in modules for key in _optional(module)}
    for module in modules:
        readers = _readers(module)
        for node in module.nodes:
            for key in _keys(node, module, readers):
                if _KEY.fullmatch(key) and key not in optional and key not in _SYSTEM:
                    line = getattr(node, "lineno", None)
                    yield key, sources.scan.seen(module.path, key, f"{key} is read without a default", line)


def _keys(node: ast.AST, module: Module, readers: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        if dotted(node.value, module.known) == "os.environ":
            yield text_in(node.slice)
    elif isinstance(node, ast.Call) and node.args:
        name = dotted(node.func, module.known)
        reader = name if name in readers else name.rpartition(".")[0]
        kind = readers.get(reader)
        typed = name == reader or (kind == "env" and name.rpartition(".")[2] in _TYPED)
        given = {keyword.arg for keyword in node.keywords}
        if kind and typed and len(node.args) == 1 and "default" not in given and not given & {"missing"}:
            yield text_in(node.args[0])
    elif isinstance(node, ast.ClassDef) and any(dotted(base, module.known) in _SETTINGS for base in node.bases):
        yield from _fields(node)


_TYPED = frozenset(
    {
        "str",
        "int",
        "bool",
        "float",
        "list",
        "dict",
        "json",
        "url",
        "db",
        "db_url",
        "cache",
        "cache_url",
        "path",
        "get_value",
    }
)
_SETTINGS = frozenset(
    {"pydantic_settings.BaseSettings", "pydantic.BaseSettings", "pydantic_settings.main.BaseSettings"}
)


def _readers(module: Module) -> dict[str, str]:
    """Names that read the environment: django-environ's and environs' ``Env()``, decouple's and Starlette's config."""
    found = {"decouple.config": "config", "decouple.AutoConfig": ""}
    for node in module.nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            made = dotted(node.value.func, module.known)
            if made in ("environ.Env", "environs.Env", "environ.FileAwareEnv"):
                found[node.targets[0].id] = "env"
            elif made in ("starlette.config.Config", "decouple.Config", "decouple.AutoConfig"):
                found[node.targets[0].id] = "config"
    return {name: kind for name, kind in found.items() if kind}


def _optional(module: Module) -> Iterator[str]:
    """Keys that some code provides for: asked for before, given a default, set by the program itself."""
    for node in module.nodes:
        if isinstance(node, ast.Compare) and any(isinstance(one, ast.In | ast.NotIn) for one in node.ops):
            if any(dotted(one, module.known) == "os.environ" for one in node.comparators):
                yield text_in(node.left)
        elif isinstance(node, ast.Call):
            name = dotted(node.func, module.known)
            if name == "os.environ.setdefault" and node.args:
                yield text_in(node.args[0])
            elif name in ("environ.Env", "environ.FileAwareEnv"):  # the scheme holds defaults
                yield from (keyword.arg or "" for keyword in node.keywords if isinstance(keyword.value, ast.Tuple))
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            if dotted(node.value, module.known) == "os.environ":
                yield text_in(node.slice)
        elif isinstance(node, ast.Try) and any("KeyError" in ast.dump(one.type) for one in node.handlers if one.type):
            for inner in (one for statement in node.body for one in ast.walk(statement)):
                if isinstance(inner, ast.Subscript) and dotted(inner.value, module.known) == "os.environ":
                    yield text_in(inner.slice)


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """Environment keys of the fields of a settings class that have no default."""
    prefix = ""
    for item in ast.walk(node):
        if isinstance(item, ast.Dict):
            pairs: list[tuple[str, ast.expr | None]] = [
                (text_in(key), value) for key, value in zip(item.keys, item.values, strict=True)
            ]
        else:
            pairs = [(item.arg or "", item.value)] if isinstance(item, ast.keyword) else list(assigned(item))
        prefix = next((text_in(value) for name, value in pairs if name == "env_prefix"), prefix)
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if field.target.id.startswith("_") or field.target.id == "model_config" or _is_open(field.annotation):
            continue
        if field.value is None:
            yield (prefix + field.target.id).upper()
        elif isinstance(field.value, ast.Call) and dotted(field.value.func, {}).rsplit(".", 1)[-1] == "Field":
            given = {keyword.arg: keyword.value for keyword in field.value.keywords}
            first = field.value.args[0] if field.value.args else None
            open_ = first is None and not {"default", "default_factory"} & given.keys()
            if open_ or (isinstance(first, ast.Constant) and first.value is Ellipsis):
                alias = next((text_in(given[key]) for key in ("validation_alias", "alias", "env") if key in given), "")
                yield (alias or prefix + field.target.id).upper()


def _is_open(annotation: ast.expr) -> bool:
    """A class variable, or a nested group of settings, which has keys of its own."""
    text = ast.unparse(annotation)
    return text.startswith(("ClassVar", "typing.ClassVar")) or text.endswith("Settings")


_ENGINES = {
    "postgresql": re.compile(
        r"django\.(?:contrib\.gis\.)?db\.backends\.(?:postgresql\w*|postgis)|postgres(?:ql)?(?:\+\w+)?://\S*"
    ),
    "mysql": re.compile(r"django\.(?:contrib\.gis\.)?db\.backends\.mysql|(?:mysql|mariadb)(?:\+\w+)?://\S*"),
    "mongodb": re.compile(r"djongo|django_mongodb_backend|mongodb(?:\+srv)?://\S*"),
    "redis": re.compile(
        r"rediss?://\S*|django_redis\.\S*|django\.core\.cache\.backends\.redis\.\S*|channels_redis\.\S*"
    ),
}
_NAMES_ONE = re.compile(r"postgres|mysql|mariadb|mongo|djongo|redis")


def services_in_code(sources: Sources, paths: list[str]) -> Iterator[tuple[str, Evidence]]:
    """Databases that settings name: Django's engines, addresses with the scheme of one."""
    for path in paths:
        if not _NAMES_ONE.search(sources.scan.text(path)):
            continue
        module = sources.module(path)
        for node in module.nodes if module else ():
            text = text_in(node) if isinstance(node, ast.Constant) else ""
            for service, pattern in _ENGINES.items() if 4 < len(text) < 300 else ():
                if pattern.fullmatch(text):
                    shown = re.sub(r"//[^@/]*@", "//…@", text)  # never a password in what is shown
                    line = getattr(node, "lineno", None)
                    yield (
                        service,
                        Evidence(sources.scan.repository.full(path), line, shown[:80], f"the code names {service}"),
                    )
