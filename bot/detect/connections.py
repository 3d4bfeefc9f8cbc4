"""Names of environment variables that say how to reach a database, and what they are to hold.

``DATABASE_URL``, ``PGHOST``, ``REDIS_PORT``: an owner and a part. Values are templates with ``{user}``, ``{password}``,
``{host}``, ``{port}`` and ``{name}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OWNERS = {
    "postgresql": "POSTGRESQL|POSTGRES|PSQL|PG",
    "mysql": "MYSQL|MARIADB",
    "mongodb": "MONGODB|MONGO",
    "redis": "REDIS",
    "": "DATABASE|DATASOURCE|SQL|DB",
}
_PARTS = {
    "url": "CONNECTION_STRING|CONNECTION_URL|CONNECTION_URI|URL|URI|DSN",
    "host": "HOSTNAME|HOST|SERVER",
    "port": "PORT",
    "user": "USERNAME|USER",
    "password": "PASSWORD|PASSWD|PASS|PWD",
    "name": "DATABASE_NAME|DB_NAME|DBNAME|DATABASE|NAME|DB",
    "driver": "CONNECTION|DRIVER|ENGINE|DIALECT|CLIENT|TYPE|ADAPTER",
    "address": "ADDRESS|ADDR",
}
# names that do not follow the pattern: their owner and part
_SPECIAL = {
    "SQLALCHEMY_DATABASE_URI": ("", "url"),
    "SQLALCHEMY_DATABASE_URL": ("", "url"),
    "JDBC_DATABASE_URL": ("", "url"),
    "JDBC_DATABASE_USERNAME": ("", "user"),
    "JDBC_DATABASE_PASSWORD": ("", "password"),
    "SPRING_DATASOURCE_URL": ("", "url"),
    "SPRING_DATASOURCE_USERNAME": ("", "user"),
    "SPRING_DATASOURCE_PASSWORD": ("", "password"),
    "QUARKUS_DATASOURCE_JDBC_URL": ("", "url"),
    "QUARKUS_DATASOURCE_USERNAME": ("", "user"),
    "QUARKUS_DATASOURCE_PASSWORD": ("", "password"),
    "WORDPRESS_DB_HOST": ("mysql", "address"),
    "WORDPRESS_DB_USER": ("mysql", "user"),
    "WORDPRESS_DB_PASSWORD": ("mysql", "password"),
    "WORDPRESS_DB_NAME": ("mysql", "name"),
    "SPRING_DATA_MONGODB_URI": ("mongodb", "url"),
    "SPRING_DATA_REDIS_URL": ("redis", "url"),
    "SPRING_DATA_REDIS_HOST": ("redis", "host"),
    "SPRING_DATA_REDIS_PORT": ("redis", "port"),
    "CELERY_BROKER_URL": ("redis", "url"),
    "CELERY_RESULT_BACKEND": ("redis", "url"),
}
_GRAMMAR = [
    (owner, part, rf"(?:{prefixes})_?(?:(?:DATABASE|DB)_)?(?:{suffixes})")
    for owner, prefixes in _OWNERS.items()
    for part, suffixes in _PARTS.items()
]
# an expression for every name that there is: for looking through code
NAMES = (
    "|".join(sorted(_SPECIAL, key=len, reverse=True))
    + f"|(?:{'|'.join(_OWNERS.values())})_?(?:(?:DATABASE|DB)_)?(?:{'|'.join(_PARTS.values())})"
)
_PATTERNS = [(owner, part, re.compile(pattern)) for owner, part, pattern in _GRAMMAR]
_ODD = frozenset({"DBNAME", "SQLSERVER", "PGNAME", "SQLNAME", "DBTYPE", "SQLTYPE", "SQL_SERVER", "SQLCLIENT"})

SCHEMES = {
    "postgresql": ("postgresql", "postgres", "postgis", "pgsql", "ecto", "jdbc:postgresql"),
    "mysql": ("mysql", "mysql2", "mariadb", "trilogy", "ecto", "jdbc:mysql", "jdbc:mariadb"),
    "mongodb": ("mongodb",),
    "redis": ("redis",),
}
PORTS = {"postgresql": 5432, "mysql": 3306, "mongodb": 27017, "redis": 6379}
_USUAL = {
    "postgresql": "postgresql://{user}:{password}@{host}:{port}/{name}",
    "mysql": "mysql://{user}:{password}@{host}:{port}/{name}",
    "mongodb": "mongodb://{user}:{password}@{host}:{port}/{name}?authSource=admin",
    "redis": "redis://{host}:{port}/0",
}
GO_MYSQL = "{user}:{password}@tcp({host}:{port})/{name}?parseTime=true"
_PLAIN = {"host": "{host}", "port": "{port}", "user": "{user}", "password": "{password}", "name": "{name}"}


@dataclass(frozen=True, slots=True)
class Connection:
    """What a variable is about. ``owner``: the service, "" for whatever database the application has."""

    owner: str
    part: str  # url | host | port | user | password | name | driver | address | ado


def connection_of(name: str) -> Connection | None:
    """What a variable's name says, None for one that speaks of no connection."""
    if name in _SPECIAL:
        return Connection(*_SPECIAL[name])
    if name in _ODD:
        return None
    for owner, part, pattern in _PATTERNS:
        if pattern.fullmatch(name):
            return Connection(owner, part)
    return None


def scheme_of(text: str) -> str:
    """The scheme of a URL, with ``jdbc:`` and the driver behind a ``+``; "" for what is none."""
    match = re.match(r"((?:jdbc:)?[a-z][a-z0-9]*(?:\+[a-z0-9_]+)?)(?:\+srv)?://", text.strip())
    return match[1] if match else ""


def service_of_scheme(scheme: str) -> str:
    """The service that URLs of this scheme lead to, "" for another."""
    plain = scheme.partition("+")[0]
    return next((service for service, known in SCHEMES.items() if plain in known and plain != "ecto"), "")


def url_template(service: str, scheme: str = "", example: str = "") -> str:
    """A URL in the scheme that the code wants; the usual one for a scheme that is unknown or would be wrong.

    ``example`` is a value that somebody wrote down: for the shape of Go's and .NET's connection strings.
    """
    if service == "mysql" and "@tcp(" in example:
        return GO_MYSQL
    if service == "postgresql" and re.match(r"(?:[a-z_]+=\S*\s+)+", example) and "host=" in example:
        return "host={host} port={port} user={user} password={password} dbname={name} sslmode=disable"
    if re.match(r"(?i)(?:host|server|data source)=[^;]*;", example):
        return dotnet_template(service)
    if scheme.startswith("jdbc:"):
        return f"{scheme}://{{host}}:{{port}}/{{name}}" if scheme.partition("+")[0] in SCHEMES[service] else ""
    if scheme.partition("+")[0] not in SCHEMES[service] or scheme == "postgres":
        scheme = ""  # `postgres://` is refused by SQLAlchemy, and everybody else takes `postgresql://` too
    usual = _USUAL[service]
    return usual if not scheme else scheme + usual[usual.index("://") :]


def dotnet_template(service: str) -> str:
    """A connection string of ADO.NET: https://www.npgsql.org/doc/connection-string-parameters.html"""
    if service == "postgresql":
        return "Host={host};Port={port};Database={name};Username={user};Password={password}"
    if service == "mysql":
        return "Server={host};Port={port};Database={name};User={user};Password={password}"
    return "{host}:{port}" if service == "redis" else _USUAL[service]


def driver(service: str, framework: str | None, example: str) -> str:
    """What ``DB_CONNECTION``, ``DB_ENGINE`` and the like call the database."""
    if example and not re.search(r"sqlite|://", example) and service_named(example) == service:
        return example
    short = {"postgresql": "postgres", "mongodb": "mongodb"}.get(service, service)
    if framework in ("laravel", "lumen") and service == "postgresql":
        return "pgsql"
    if framework == "django" and service in ("postgresql", "mysql"):
        return f"django.db.backends.{service}"
    return short


def service_named(word: str) -> str:
    """The service that a driver's word means, "" for another."""
    if re.search(r"p(ost)?g(re)?s?(ql)?", word, re.IGNORECASE) and re.search(r"pg|postgres", word, re.IGNORECASE):
        return "postgresql"
    return (
        next((name for name in ("mysql", "mariadb", "mongo", "redis") if name in word.lower()), "")
        .replace("mariadb", "mysql")
        .replace("mongo", "mongodb")
    )


def part_template(part: str) -> str:
    """The template of a part that is the same for every service."""
    return "{host}:{port}" if part == "address" else _PLAIN[part]
