"""Environment variables that a Node application cannot do without, and the databases that its configuration names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.detect.model import Evidence
from bot.detect.parse import strip_js_strings
from bot.detect.scan import Scan
from bot.detect.stacks import node_source as source
from bot.detect.stacks.node_package import Package

MOST_FILES = 40
_KEY = r"(?:process\.env|import\.meta\.env)(?:\.|\[[\"'])([A-Z][A-Z0-9_]{1,80})(?:[\"']\])?"
# used so that nothing works without a value
_DEMANDED = (
    re.compile(
        rf"!\s*{_KEY}\s*(?:\|\|[^)\n]{{0,200}})?\)\s*\{{?\s*(?:throw\b|(?:[\w.]+\([^;\n]{{0,200}}\)\s*;?\s*)?process\.exit\b)"
    ),
    re.compile(rf"{_KEY}\s*\?\?\s*(?:\(\s*\(\)\s*=>\s*\{{\s*)?throw\b"),
    re.compile(rf"\b(?:assert|invariant|required?|assertEnv)(?:\.ok)?\(\s*{_KEY}"),
    re.compile(rf"{_KEY}!(?!=)"),
    re.compile(
        r"\b(?:getOrThrow(?:<\w+>)?|requireEnv|mustGetEnv|getRequiredEnv|requiredEnv)\(\s*[\"'`]([A-Z][A-Z0-9_]{1,80})[\"'`]"
    ),
)
_SCHEMA = re.compile(r"\b(?:z\.object|cleanEnv|createEnv|envsafe|Joi\.object|joi\.object|Env\.create|envSchema|type)\b")
_ROW = re.compile(
    r"^[ \t]*([A-Z][A-Z0-9_]{1,80})[ \t]*:[ \t]*"
    r"((?:z|Joi|joi|v|t|Env\.schema|envsafe)\.|(?:str|num|url|email|bool|port|host|json)\()(.*)$",
    re.MULTILINE,
)
_OPTIONAL = re.compile(r"\.(?:default|optional|nullish|nullable|catch)\(|\bdefault\s*:|devDefault|allowEmpty")
_SCHEMA_FILES = (
    "env.ts",
    "env.js",
    "env.mjs",
    "src/env.ts",
    "src/env.js",
    "src/env.mjs",
    "start/env.ts",
    "src/config/env.ts",
)
_KINDS = {
    **dict.fromkeys(("postgresql", "postgres", "pg", "cockroachdb", "pg-promise"), "postgresql"),
    **dict.fromkeys(("mysql", "mysql2", "mariadb", "singlestore"), "mysql"),
    **dict.fromkeys(("mongodb", "mongo"), "mongodb"),
}
_CONFIGURATIONS = (
    *(
        "knexfile.js",
        "knexfile.ts",
        "ormconfig.json",
        "ormconfig.js",
        "ormconfig.ts",
        "drizzle.config.ts",
        "config/database.ts",
    ),
    *(
        "drizzle.config.js",
        "src/data-source.ts",
        "data-source.ts",
        "config/database.js",
        "config/config.json",
        "db/knexfile.js",
    ),
    *("mikro-orm.config.ts", "src/mikro-orm.config.ts", "src/app.module.ts", "config/datastores.js", "src/db/index.ts"),
    *("src/ormconfig.ts", "src/config/database.ts", "src/database.ts", "config/config.js", "src/payload.config.ts"),
)
_NAMED_KIND = re.compile(
    r"\b(?:type|client|dialect|provider|driver|adapter)[\"']?\s*[:=]\s*[\"'`]([a-z0-9_-]{2,20})[\"'`]"
)


def demanded(scan: Scan, package: Package, files: list[str]) -> Iterator[tuple[str, Evidence]]:
    """Variables that the code insists on: thrown about, asserted, or rows of a schema without a default."""
    looked = dict.fromkeys([*files, *map(package.in_folder, _SCHEMA_FILES), *source.sources(scan, package.folder)])
    for path in [path for path in looked if scan.has(path)][:MOST_FILES]:
        code = scan.code(path)
        for pattern in _DEMANDED if "env" in code.lower() else ():
            for match in pattern.finditer(code):
                line = code.count("\n", 0, match.start(1)) + 1
                yield match[1], scan.seen(path, match[1], f"{match[1]} is read without a default", line)
        if _SCHEMA.search(code) and "env" in (path + code).lower():
            yield from _of_schema(scan, path, code)
    yield from _of_prisma(scan, package)


def _of_schema(scan: Scan, path: str, code: str) -> Iterator[tuple[str, Evidence]]:
    for match in _ROW.finditer(code):
        following = code[match.end() : match.end() + 300]
        rest = match[3] + re.split(r"\n[ \t]*(?:[A-Za-z_][\w]*[ \t]*:|\}|//)", following, maxsplit=1)[0]
        if not _OPTIONAL.search(strip_js_strings(rest)):
            line = code.count("\n", 0, match.start(1)) + 1
            yield match[1], scan.seen(path, match[1], f"{match[1]} is demanded by a schema", line)


def _prisma_schema(scan: Scan, package: Package) -> str:
    places = ("prisma/schema.prisma", "schema.prisma", "src/prisma/schema.prisma", "prisma/schema/schema.prisma")
    own = scan.repository.first(package.in_folder(place) for place in places)
    return own or next(iter(scan.repository.named("schema.prisma", 4)), "")


def _of_prisma(scan: Scan, package: Package) -> Iterator[tuple[str, Evidence]]:
    if path := _prisma_schema(scan, package) if "@prisma/client" in package.all or "prisma" in package.all else "":
        for match in re.finditer(r"^\s*(?:url|directUrl)\s*=\s*env\(\"(\w{1,80})\"\)", scan.text(path), re.MULTILINE):
            yield match[1], scan.seen(path, match[1], f"{match[1]} is where Prisma finds its database")


def databases(scan: Scan, package: Package) -> list[tuple[str, Evidence]]:
    """Databases that the configuration of an ORM names."""
    found: dict[str, Evidence] = {}
    path = _prisma_schema(scan, package) if "@prisma/client" in package.all or "prisma" in package.all else ""
    block = re.search(r"^datasource\s+\w+\s*\{([^}]*)\}", scan.text(path), re.MULTILINE) if path else None
    for match in _NAMED_KIND.finditer(block[1]) if block else ():
        if kind := _KINDS.get(match[1]):
            found.setdefault(kind, scan.seen(path, match[0], f"Prisma's provider is {match[1]}"))
    for name in _CONFIGURATIONS:
        path = package.in_folder(name)
        for match in _NAMED_KIND.finditer(scan.code(path)) if scan.has(path) else ():
            if kind := _KINDS.get(match[1]):
                found.setdefault(kind, scan.seen(path, match[0], f"the database is {match[1]}"))
    return list(found.items())
