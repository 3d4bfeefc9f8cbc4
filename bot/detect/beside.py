"""Which services run beside an application, and by which variables it finds them.

A database is started where two things come together: a dependency that speaks to it, and a variable (or a framework's
convention) by which the application is told where it is. The repository's own compose file counts for either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from bot.detect import connections
from bot.detect.connections import Connection, connection_of
from bot.detect.model import Beside, Detection, Evidence
from bot.detect.needs import COMPOSE_FILES
from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan, table, text_of
from bot.detect.service_versions import BY_NAME, KINDS, TITLES, choose_image, parse_services, postgres_version

_SQL = ("postgresql", "mysql")
_CODE = (
    *(".py", ".js", ".mjs", ".cjs", ".ts", ".mts", ".rb", ".ru", ".php", ".go", ".rs", ".java", ".kt", ".scala", ".cs"),
    *(".ex", ".exs", ".properties", ".yml", ".yaml", ".toml", ".prisma", ".erb", ".conf"),
)
_APART = re.compile(
    r"(^|/)(tests?|specs?|__tests__|fixtures|examples?|docs?|vendor|node_modules|\.[^/]+)(/|$)|\.(test|spec)\.\w+$"
    r"|(^|/)(docker-)?compose[^/]*$|_test\.go$"
)
_LIKELY = re.compile(r"(settings|config|env|database|db|data|app|main|server|index|schema|application|runtime|prisma)")
MAX_LISTED = 20_000
MAX_FILES = 150
MAX_BYTES = 60_000  # of one file
MOST_NAMED = 500  # names in one file that are looked at
_READ = re.compile(
    rf"[\"'](?P<quoted>{connections.NAMES})[\"']|\benv\.(?P<dotted>{connections.NAMES})\b"
    rf"|\$\{{(?P<filled>{connections.NAMES})[:}}]"
)
_UNPACKED = re.compile(r"\{([^{}\n]{1,2000})\}\s{0,20}=\s{0,20}process\.env\b")  # const { DATABASE_URL } = process.env
_LISTED = re.compile(rf"\b(?:{connections.NAMES})\b")
_ADO = re.compile(r"\bGetConnectionString\s*\(\s*\"(\w+)\"\s*\)")  # of .NET
_FIELD = re.compile(rf"^[ \t]+(?P<field>{connections.NAMES})\s*:", re.MULTILINE | re.IGNORECASE)
_COMMENT = re.compile(r"\s*(#|//|\*|<!--|--)")
_NEAR = 160  # characters behind a name in which its default value stands
_VALUE = re.compile(
    r"(?:jdbc:)?[a-z][a-z0-9]*(?:\+[a-z0-9_]+)?(?:\+srv)?://[^\s\"'`}]*|[\w.]+:[^\s\"'`@]*@tcp\([^)]*\)[^\s\"'`]*"
)

# frameworks that read certain variables by themselves, whatever the code says: service -> names
_BY_ITSELF: dict[str, dict[str, tuple[str, ...]]] = {
    "rails": {"postgresql": ("DATABASE_URL",), "mysql": ("DATABASE_URL",)},
    "spring-boot": {
        "postgresql": ("SPRING_DATASOURCE_URL", "SPRING_DATASOURCE_USERNAME", "SPRING_DATASOURCE_PASSWORD"),
        "mysql": ("SPRING_DATASOURCE_URL", "SPRING_DATASOURCE_USERNAME", "SPRING_DATASOURCE_PASSWORD"),
        "mongodb": ("SPRING_DATA_MONGODB_URI",),
        "redis": ("SPRING_DATA_REDIS_HOST", "SPRING_DATA_REDIS_PORT"),
    },
    "quarkus": {
        "postgresql": ("QUARKUS_DATASOURCE_JDBC_URL", "QUARKUS_DATASOURCE_USERNAME", "QUARKUS_DATASOURCE_PASSWORD"),
        "mysql": ("QUARKUS_DATASOURCE_JDBC_URL", "QUARKUS_DATASOURCE_USERNAME", "QUARKUS_DATASOURCE_PASSWORD"),
    },
    "wordpress": {
        "mysql": ("WORDPRESS_DB_HOST", "WORDPRESS_DB_USER", "WORDPRESS_DB_PASSWORD", "WORDPRESS_DB_NAME"),
    },
}
_LARAVEL = ("DB_CONNECTION", "DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USERNAME", "DB_PASSWORD")
# what else a framework reads for a database once it is there
_ALSO: dict[str, dict[str, tuple[str, ...]]] = {
    "laravel": {"postgresql": _LARAVEL, "mysql": _LARAVEL, "redis": ("REDIS_HOST", "REDIS_PORT")},
    "lumen": {"postgresql": _LARAVEL, "mysql": _LARAVEL, "redis": ("REDIS_HOST", "REDIS_PORT")},
}
# frameworks that bring the drivers of every database with them: the variable alone decides
_BRINGS_DRIVERS = frozenset({"laravel", "lumen", "wordpress", "symfony", "codeigniter", "cakephp", "yii", "drupal"})
_CANONICAL = {"postgresql": "DATABASE_URL", "mysql": "DATABASE_URL", "mongodb": "MONGODB_URI", "redis": "REDIS_URL"}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that the code or an example file names. ``value``: the one that stands there, "" for none."""

    name: str
    value: str
    connection: Connection
    evidence: Evidence


@dataclass(slots=True)
class Composed:
    """A service of the repository's own compose file that is one of ours."""

    service: str
    image: str
    version: str
    evidence: Evidence


_Wanted = tuple[str, str, str, Evidence | None]  # service, name, version, and the evidence for it


@dataclass(slots=True)
class _Seen:
    variables: list[Variable] = field(default_factory=list)
    composed: dict[str, Composed] = field(default_factory=dict)


def find_beside(scan: Scan, detection: Detection, asked: str, evidence: list[Evidence]) -> tuple[Beside, ...]:
    """The services to run beside the application; what they were concluded from is added to ``evidence``.

    ``asked`` is the setting: it decides alone, where it says something.
    """
    pages = detection.stack == "static" or getattr(detection.facts, "serve", "") == "static"
    if detection.stack == "none" or (pages and not asked):
        return ()  # files speak to no database
    seen = _look(scan, detection, bool(asked))
    if asked:
        wanted: list[_Wanted] = [(service, name, version, None) for service, name, version in parse_services(asked)]
    else:
        wanted = list(_concluded(scan, detection, seen))
    services = [service for service, *_ in wanted]
    found = []
    for service, name, version, reason in wanted:
        composed = seen.composed.get(service)
        if composed and not version:
            evidence.append(composed.evidence)
            chosen = choose_image(service, name or composed.image, composed.version, scan.images)
        else:
            chosen = choose_image(service, name, version, scan.images)
        if chosen.warning:
            scan.warn(chosen.warning)
        mine = [one for one in seen.variables if _owner(one.connection, services) == service]
        if reason:
            evidence.extend([reason, *(one.evidence for one in mine[:3])])
        found.append(
            Beside(
                service=service,
                image=chosen.tag,
                variables=tuple(_values(scan, detection, service, mine)),
                reason=_words(reason, mine) if reason else "the setting services asks for it",
                asked=bool(asked),
            )
        )
    return tuple(found)


def possible(services: str) -> bool:
    """Whether the setting can be read."""
    try:
        parse_services(services)
    except ValueError:
        return False
    return True


def _concluded(scan: Scan, detection: Detection, seen: _Seen) -> Iterator[_Wanted]:
    """Service, name, version and evidence of each that has both a dependency and a variable."""
    speaks = _speaks(scan, detection, seen)
    for kind in KINDS:
        service = kind.service
        if service not in speaks:
            continue
        told = any(_owner(one.connection, list(speaks)) == service for one in seen.variables)
        itself = service in _BY_ITSELF.get(detection.framework or "", {})
        if told or itself:
            yield service, "", "", speaks[service]
    rivals = [service for service in _SQL if service in speaks]
    if len(rivals) > 1:
        first, second = (TITLES[service] for service in rivals)
        scan.warn(
            f"it speaks to both {first} and {second}: DATABASE_URL leads to {first}. Set services if that is wrong"
        )


def _speaks(scan: Scan, detection: Detection, seen: _Seen) -> dict[str, Evidence]:
    """The services that some dependency speaks to, or that the compose file runs beside the application."""
    speaks = dict(scan.speaks)
    for service, composed in seen.composed.items():
        speaks.setdefault(service, composed.evidence)
    if detection.framework in _BRINGS_DRIVERS:
        for service in _SQL:
            if any(_names(one, service) for one in seen.variables):
                speaks.setdefault(service, next(one.evidence for one in seen.variables if _names(one, service)))
        if detection.framework == "wordpress":
            speaks.setdefault("mysql", Evidence(detection.root, None, "wordpress", "WordPress keeps all in MySQL"))
    rivals = [service for service in _SQL if service in speaks]
    if len(rivals) > 1:  # what is written down for the one database decides
        named = [service for service in rivals if any(_names(one, service) for one in seen.variables)]
        if len(named) == 1:
            speaks = {service: found for service, found in speaks.items() if service not in _SQL or service in named}
    return speaks


def _names(one: Variable, service: str) -> bool:
    """Whether a variable is written down for this service: by its own name, or by the value beside it."""
    scheme = connections.scheme_of(one.value)
    if one.connection.part == "driver" and not one.connection.owner:
        return connections.service_named(one.value) == service
    return one.connection.owner == service or connections.service_of_scheme(scheme) == service


def _owner(connection: Connection, services: Iterable[str]) -> str:
    """The service that a variable belongs to; the general names belong to the one database."""
    if connection.owner:
        return connection.owner
    return next((one for one in (*_SQL, "mongodb") if one in services), "")


def _words(reason: Evidence, mine: list[Variable]) -> str:
    """Why it is there, for people."""
    where = f"{reason.path}, line {reason.line}" if reason.line else reason.path
    text = f"{reason.says} ({where})"
    if mine:
        first = mine[0].evidence
        text += f", and {mine[0].name} is read ({first.path}{f', line {first.line}' if first.line else ''})"
    return text


# ------------------------------------------------------------------------------------------------------------ looking


def _look(scan: Scan, detection: Detection, anyway: bool) -> _Seen:
    seen = _Seen(composed=_composed(scan))
    if not (anyway or scan.speaks or seen.composed or detection.framework in _BRINGS_DRIVERS):
        return seen  # most repositories: no file has to be read
    found: dict[str, Variable] = {}
    for name, value, path, line in scan.env_examples:
        if connection := connection_of(name):
            found.setdefault(name, Variable(name, value, connection, scan.seen(path, name, f"{name} is named", line)))
    for one in (*_from_compose(scan), *_from_code(scan)):
        known = found.get(one.name)
        if known is None:
            found[one.name] = one
        elif not known.value and one.value:
            found[one.name] = Variable(known.name, one.value, known.connection, known.evidence)
    seen.variables = list(found.values())
    return seen


def _from_code(scan: Scan) -> Iterator[Variable]:
    near = scan.repository.files[:MAX_LISTED]  # the shallow ones come first
    files = [path for path in near if path.endswith(_CODE) and not _APART.search(path)]
    files.sort(key=lambda path: (not _LIKELY.search(path.rpartition("/")[2].lower()), path.count("/"), path))
    for path in files[:MAX_FILES]:
        text = scan.repository.read_text(path) or ""
        if len(text) > MAX_BYTES:
            continue
        if path.endswith(".cs"):
            yield from _connection_strings(scan, path, text)
        told: dict[str, bool] = {}  # name -> whether a value stood beside it
        for name, start, end in islice(_named(text), MOST_NAMED):
            connection = connection_of(name)
            value = _VALUE.search(text, end, end + _NEAR) if connection else None
            if connection is None or told.get(name, False) or (name in told and not value):
                continue
            if _COMMENT.match(text, text.rfind("\n", 0, start) + 1, start + 1):
                continue
            told[name] = value is not None
            line = text.count("\n", 0, start) + 1
            yield Variable(name, value[0] if value else "", connection, scan.seen(path, name, f"{name} is read", line))


def _named(text: str) -> Iterator[tuple[str, int, int]]:
    """Names of variables that a source reads, with their places."""
    for match in _READ.finditer(text):
        yield next(group for group in match.groups() if group), match.start(), match.end()
    for unpacked in _UNPACKED.finditer(text):
        for match in _LISTED.finditer(unpacked[1]):
            yield match[0], unpacked.start(1) + match.start(), unpacked.end()
    if "BaseSettings" in text:
        for match in _FIELD.finditer(text):
            yield match["field"].upper(), match.start(), match.end()


def _connection_strings(scan: Scan, path: str, text: str) -> Iterator[Variable]:
    """https://learn.microsoft.com/aspnet/core/fundamentals/configuration/#connection-string-prefixes"""
    for match in _ADO.finditer(text):
        name, line = f"ConnectionStrings__{match[1]}", text.count("\n", 0, match.start()) + 1
        connection = Connection(connections.service_named(match[1]), "ado")
        yield Variable(name, "", connection, scan.seen(path, match[0], f"{name} is read", line))


def _services_of(scan: Scan) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Path, name and content of the services in the repository's own compose file."""
    for path in COMPOSE_FILES:
        if scan.has(path):
            data, _ = parse_yaml(scan.text(path))
            for name, service in sorted(table(table(data).get("services")).items()):
                yield path, name, table(service)
            return


def _composed(scan: Scan) -> dict[str, Composed]:
    found: dict[str, Composed] = {}
    for path, name, service in _services_of(scan):
        image = text_of(service.get("image"))
        whole = image.partition("@")[0].removeprefix("docker.io/")
        plain, _, tag = whole.rpartition("/")[2].partition(":")
        extended = "/" in whole and postgres_version(whole)
        kind = BY_NAME.get("postgres" if extended else plain)
        plain = whole.rpartition(":")[0] if extended else plain
        if kind is None:
            continue
        where = scan.seen(path, image, f"the compose file runs {TITLES[kind.service]} as {name}")
        found.setdefault(kind.service, Composed(kind.service, plain, tag, where))
    return found


def _from_compose(scan: Scan) -> Iterator[Variable]:
    """What the application's own service in the compose file is told."""
    for path, _, service in _services_of(scan):
        if "build" not in service:
            continue
        told = service.get("environment")
        pairs = list(table(told).items()) if isinstance(told, dict) else []
        if isinstance(told, list):
            pairs = [(name, value) for item in told for name, _, value in [text_of(item).partition("=")]]
        for name, value in pairs:
            if connection := connection_of(name):
                yield Variable(name, text_of(value), connection, scan.seen(path, name, f"{name} is set for it"))


# ------------------------------------------------------------------------------------------------------------- values


def _values(scan: Scan, detection: Detection, service: str, mine: list[Variable]) -> Iterator[tuple[str, str]]:
    """Names and templates of what the application is told: what it reads, then what everybody understands."""
    given: dict[str, str] = {}
    framework = detection.framework or ""
    names = {one.name: one for one in mine}
    by_convention = [name for known in (_BY_ITSELF, _ALSO) for name in known.get(framework, {}).get(service, ())]
    for name in by_convention:
        connection = connection_of(name)
        if connection and name not in names:
            names[name] = Variable(name, "", connection, Evidence("", None, name, ""))
    scheme = next((found for one in mine if (found := connections.scheme_of(one.value))), "")
    scheme = scheme or _scheme(scan, detection, service)
    for name, one in names.items():
        template = _value(detection, service, one, scheme)
        if template:
            given.setdefault(name, template)
    canonical = _CANONICAL[service]
    given.setdefault(canonical, connections.url_template(service, "" if scheme.startswith("jdbc:") else scheme))
    yield from given.items()


def _value(detection: Detection, service: str, one: Variable, scheme: str) -> str:
    part = one.connection.part
    if part == "url":
        if "JDBC" in one.name or one.name == "SPRING_DATASOURCE_URL":
            named = connections.scheme_of(one.value)
            return connections.url_template(service, named if named.startswith("jdbc:") else f"jdbc:{service}")
        return connections.url_template(service, connections.scheme_of(one.value) or scheme, one.value)
    if part == "ado":
        return connections.dotnet_template(service)
    if part == "driver":
        return connections.driver(service, detection.framework, one.value)
    if service == "redis" and part in ("user", "password", "name"):
        return ""  # nobody else reaches it, so it has no password
    return connections.part_template(part)


def _scheme(scan: Scan, detection: Detection, service: str) -> str:
    """The scheme by which SQLAlchemy, ActiveRecord and others choose their driver, where the usual one is another's."""
    have = scan.packages
    if service == "postgresql" and "sqlalchemy" in {name.lower() for name in have} | _with_sqlalchemy(have):
        if have & {"psycopg2", "psycopg2-binary"}:
            return ""
        return "postgresql+psycopg" if "psycopg" in have else "postgresql+asyncpg" if "asyncpg" in have else ""
    if service == "mysql":
        if "sqlalchemy" in {name.lower() for name in have} | _with_sqlalchemy(have) and "mysqlclient" not in have:
            known = ("pymysql", "asyncmy", "aiomysql", "mysql-connector-python")
            name = next((one for one in known if one in have), "")
            return f"mysql+{'mysqlconnector' if name.endswith('-python') else name}" if name else ""
        if detection.stack == "ruby":
            return "trilogy" if "trilogy" in have else "mysql2" if "mysql2" in have else ""
    return ""


def _with_sqlalchemy(have: Iterable[str]) -> set[str]:
    """``sqlalchemy`` where a package brings it along."""
    return {"sqlalchemy"} if set(have) & {"flask-sqlalchemy", "sqlmodel", "flask-migrate"} else set()
