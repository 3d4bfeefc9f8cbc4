"""Django: where manage.py and the settings are, which server modules there are, whether static files are collected."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from bot.detect.model import Evidence
from bot.detect.scan import Scan
from bot.detect.stacks.python_source import Module, Sources, assignments, dotted, strings_in, text_in

_KEY = "DJANGO_SETTINGS_MODULE"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,8}")
_FOR_DEVELOPMENT = frozenset({"local", "dev", "develop", "development", "debug"})
_FOR_PRODUCTION = ("production", "prod", "live", "deploy", "heroku")


@dataclass(frozen=True, slots=True)
class Django:
    """A Django project; paths are relative to the root, ``folder`` is where modules are imported from."""

    manage: str
    folder: str
    settings: str  # the module that is used
    production: str  # set as DJANGO_SETTINGS_MODULE, where what the code names is not the one for production
    wsgi: str | None  # "site.wsgi:application"
    asgi: str | None
    asgi_declared: bool
    collect_static: bool
    serves_static: bool  # something in Django or outside of it hands static files out
    has_database: bool
    spatial: bool
    files: tuple[str, ...]  # settings
    urls: tuple[str, ...]
    evidence: Evidence


_APART = re.compile(r"(^|/)(tests?|fixtures|testdata|examples?|samples?)/", re.IGNORECASE)


def _named(scan: Scan, name: str) -> list[str]:
    """Files of a name that belong to the application: not those that only test it or show how it is done."""
    return [path for path in scan.repository.named(name, 3) if not _APART.search(path)]


def find_django(scan: Scan, sources: Sources, *, has_dependency: bool) -> Django | None:
    """A manage.py that runs Django's commands; the name of the file alone is not enough."""
    for manage in _named(scan, "manage.py"):
        module = sources.module(manage)
        found = _settings_of(module) if module else None
        runs = module is not None and any(name.startswith("django.core.management") for name in module.known.values())
        if not found and not runs:
            continue
        folder = manage.rpartition("/")[0]
        name, line = found or ("", 1)
        if not _module_file(scan, folder, name):
            name = _guessed_settings(scan, folder) or name
        if name:
            seen = scan.seen(manage, f"{_KEY} = {name}", "manage.py of Django", line)
            return _project(scan, sources, manage, name, seen)
    if not has_dependency:
        return None
    for file in ("wsgi.py", "asgi.py"):
        for path in _named(scan, file):
            module = sources.module(path)
            found = _settings_of(module) if module else None
            if found:
                folder = "/".join(path.split("/")[: -1 - found[0].count(".")])
                manage = f"{folder}/manage.py".lstrip("/")
                seen = scan.seen(path, found[0], "settings of Django", found[1])
                return _project(scan, sources, manage, found[0], seen)
    return None


def _settings_of(module: Module) -> tuple[str, int] | None:
    """The module in ``os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site.settings")`` and the like, and the line."""
    for node in module.nodes:
        value: ast.expr | None = None
        if isinstance(node, ast.Call) and len(node.args) > 1 and text_in(node.args[0]) == _KEY:
            value = node.args[1]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            value = node.value if text_in(node.targets[0].slice) == _KEY else None
        if value is not None:
            # a default may be in a call of its own: config("DJANGO_SETTINGS_MODULE", default="site.settings")
            texts = [text for text in strings_in(value) if _MODULE.fullmatch(text) and text != _KEY and "." in text]
            texts = texts or [text for text in strings_in(value) if _MODULE.fullmatch(text) and text != _KEY]
            if texts:
                return texts[0], getattr(node, "lineno", 1)
    return None


def _guessed_settings(scan: Scan, folder: str) -> str | None:
    """A settings module below the folder of manage.py that reads the name of its own from the environment."""
    prefix = f"{folder}/" if folder else ""
    for name in ("settings.py", "__init__.py"):
        for path in scan.repository.named(name, 4):
            inner = path.removeprefix(prefix) if path.startswith(prefix) else ""
            parts = inner.removesuffix(".py").split("/")
            if inner.endswith("settings/__init__.py"):
                return ".".join(parts[:-1])
            if inner.endswith("settings.py") and len(parts) <= 3:
                return ".".join(parts)
    return None


def _project(scan: Scan, sources: Sources, manage: str, settings: str, evidence: Evidence) -> Django:
    folder = manage.rpartition("/")[0]
    used, production = _for_production(scan, sources, folder, settings)
    files = _settings_files(scan, sources, folder, used)
    values: dict[str, ast.expr] = {}
    texts: list[str] = []
    for path in reversed(files):
        module = sources.module(path)
        values |= assignments(module.tree) if module else {}
        texts += [text_in(node) for node in module.nodes if isinstance(node, ast.Constant)] if module else []
    package = settings.split(".", maxsplit=1)[0]
    names = (package, ".".join(settings.split(".")[:2]), "config", "project", "core")
    wsgi = _server_module(scan, folder, values, "WSGI_APPLICATION", [f"{name}.wsgi" for name in names] + ["wsgi"])
    asgi = _server_module(scan, folder, values, "ASGI_APPLICATION", [f"{name}.asgi" for name in names] + ["asgi"])
    urls = strings_in(values.get("ROOT_URLCONF"))[:1]
    url_files = [_module_file(scan, folder, module) for module in urls]
    whole = " ".join(texts)
    return Django(
        manage=manage,
        folder=folder,
        settings=used,
        production=production,
        wsgi=wsgi,
        asgi=asgi,
        asgi_declared="ASGI_APPLICATION" in values,
        collect_static="django.contrib.staticfiles" in texts and "STATIC_ROOT" in values,
        serves_static="whitenoise" in whole or "storages" in whole,
        has_database=_has_database(values.get("DATABASES")),
        spatial="django.contrib.gis" in texts,
        files=tuple(files),
        urls=tuple(path for path in url_files if path),
        evidence=evidence,
    )


def _for_production(scan: Scan, sources: Sources, folder: str, settings: str) -> tuple[str, str]:
    """The settings to use, and the value of the variable that says so, "" where the code says it by itself.

    manage.py usually names those for development; what the servers load, or a file beside them, is for production.
    """
    package, _, last = settings.rpartition(".")
    for name in ("wsgi.py", "asgi.py"):
        for path in scan.repository.named(name, 4):
            module = sources.module(path) if path.startswith(folder) else None
            found = _settings_of(module) if module else None
            if found and found[0] != settings and _module_file(scan, folder, found[0]):
                ending = found[0].rpartition(".")[2]
                if ending not in _FOR_DEVELOPMENT:
                    return found[0], found[0]
    if last in _FOR_DEVELOPMENT:
        for name in _FOR_PRODUCTION:
            if package and _module_file(scan, folder, f"{package}.{name}"):
                return f"{package}.{name}", f"{package}.{name}"
    return settings, ""


def _has_database(value: ast.expr | None) -> bool:
    """Whether DATABASES holds anything: a literal with a key, or what a function such as dj_database_url gives."""
    return bool(value.keys) if isinstance(value, ast.Dict) else value is not None


def _settings_files(scan: Scan, sources: Sources, folder: str, settings: str) -> list[str]:
    """The settings module and those that it takes everything from (``from .base import *``)."""
    first = _module_file(scan, folder, settings)
    found = [first] if first else []
    for path in found:
        tree = sources.tree(path)
        for node in tree.body if tree else ():
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                parts = path.removesuffix(".py").split("/")
                above = parts[: len(parts) - node.level] if node.level else folder.split("/") if folder else []
                base = "/".join([*above, *(node.module or "").split(".")]).strip("/")
                target = scan.repository.first((f"{base}.py", f"{base}/__init__.py"))
                if target and target not in found and len(found) < 6:
                    found.append(target)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                found += _split_settings(scan, path, node.value, found)
    return found


def _split_settings(scan: Scan, path: str, call: ast.Call, found: list[str]) -> list[str]:
    """Files that ``include("components/*.py")`` of django-split-settings takes in."""
    if dotted(call.func, {}) != "include":
        return []
    folder = path.rpartition("/")[0]
    more = []
    for text in strings_in(call)[:10]:
        pattern = re.escape(f"{folder}/{text}").replace(r"\*", "[^/]*")
        more += [one for one in scan.repository.files if re.fullmatch(pattern, one) and one not in found][:8]
    return more[:12]


def _module_file(scan: Scan, folder: str, module: str) -> str | None:
    base = "/".join([*([folder] if folder else []), *module.split(".")])
    return scan.repository.first((base + ".py", base + "/__init__.py", base + "/base.py", base + "/production.py"))


def _server_module(scan: Scan, folder: str, values: dict[str, ast.expr], key: str, usual: list[str]) -> str | None:
    named = strings_in(values.get(key))
    if named and all(part.isidentifier() for part in named[0].split(".")) and "." in named[0]:
        module, _, attribute = named[0].rpartition(".")
        if _module_file(scan, folder, module):
            return f"{module}:{attribute}"
    found = next((name for name in usual if _module_file(scan, folder, name)), None)
    return f"{found}:application" if found else None
