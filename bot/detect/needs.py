"""What an application asks of its surroundings: environment keys, databases, the port that its compose file names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from bot.detect.model import Evidence
from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan, table, text_of

# a service, the packages that speak to it, the environment keys that name it, the schemes of its URLs
_SERVICES: tuple[tuple[str, frozenset[str], re.Pattern[str], tuple[str, ...]], ...] = (
    (
        "postgresql",
        frozenset(
            {
                "pg",
                "postgres",
                "pg-promise",
                "pg-native",
                "pg-boss",
                "slonik",
                "@fastify/postgres",
                "@mikro-orm/postgresql",
                "@prisma/adapter-pg",
                "@payloadcms/db-postgres",
                "psycopg",
                "psycopg2",
                "psycopg2-binary",
                "psycopg-binary",
                "psycopg2cffi",
                "django-heroku",
                "asyncpg",
                "pg8000",
                "aiopg",
                "github.com/lib/pq",
                "github.com/jackc/pgx",
                "gorm.io/driver/postgres",
                "github.com/go-pg/pg",
                "github.com/uptrace/bun/driver/pgdriver",
                "tokio-postgres",
                "deadpool-postgres",
                "bb8-postgres",
                "mobc-postgres",
                "r2d2_postgres",
                "sqlx[postgres]",
                "diesel[postgres]",
                "diesel-async[postgres]",
                "sea-orm[sqlx-postgres]",
                "org.postgresql:postgresql",
                "org.postgresql:r2dbc-postgresql",
                "io.r2dbc:r2dbc-postgresql",
                "io.quarkus:quarkus-jdbc-postgresql",
                "io.quarkus:quarkus-reactive-pg-client",
                "io.vertx:vertx-pg-client",
                "org.tpolecat:doobie-postgres",
                "org.tpolecat:skunk-core",
                "ext-pgsql",
                "ext-pdo_pgsql",
                "npgsql",
                "npgsql.entityframeworkcore.postgresql",
                "npgsql.dependencyinjection",
                "aspire.npgsql",
                "aspire.npgsql.entityframeworkcore.postgresql",
                "marten",
                "postgrex",
            }
        ),
        re.compile(r"(POSTGRES|PG)(_\w+|HOST|USER|DATABASE|PASSWORD|PORT)"),
        ("postgres://", "postgresql://", "postgresql+"),
    ),
    (
        "mysql",
        frozenset(
            {
                "mysql",
                "mysql2",
                "mariadb",
                "@fastify/mysql",
                "@mikro-orm/mysql",
                "mysqlclient",
                "pymysql",
                "aiomysql",
                "mysql-connector-python",
                "asyncmy",
                "github.com/go-sql-driver/mysql",
                "gorm.io/driver/mysql",
                "mysql_async",
                "r2d2_mysql",
                "sqlx[mysql]",
                "diesel[mysql]",
                "diesel-async[mysql]",
                "sea-orm[sqlx-mysql]",
                "mysql:mysql-connector-java",
                "com.mysql:mysql-connector-j",
                "org.mariadb.jdbc:mariadb-java-client",
                "org.mariadb:r2dbc-mariadb",
                "io.asyncer:r2dbc-mysql",
                "io.quarkus:quarkus-jdbc-mysql",
                "io.quarkus:quarkus-jdbc-mariadb",
                "io.quarkus:quarkus-reactive-mysql-client",
                "io.vertx:vertx-mysql-client",
                "ext-mysqli",
                "ext-pdo_mysql",
                "trilogy",
                "pomelo.entityframeworkcore.mysql",
                "mysql.data",
                "mysql.entityframeworkcore",
                "mysqlconnector",
                "myxql",
            }
        ),
        re.compile(r"(MYSQL|MARIADB)_\w+"),
        ("mysql://", "mysql2://", "mysql+", "mariadb://"),
    ),
    (
        "mongodb",
        frozenset(
            {
                "mongodb",
                "mongoose",
                "connect-mongo",
                "@fastify/mongodb",
                "@mikro-orm/mongodb",
                "@payloadcms/db-mongodb",
                "agenda",
                "pymongo",
                "motor",
                "mongoengine",
                "beanie",
                "flask-pymongo",
                "go.mongodb.org/mongo-driver",
                "gopkg.in/mgo",
                "github.com/globalsign/mgo",
                "org.springframework.boot:spring-boot-starter-data-mongodb",
                "org.springframework.boot:spring-boot-starter-data-mongodb-reactive",
                "org.mongodb:mongodb-driver-sync",
                "org.mongodb:mongodb-driver-reactivestreams",
                "org.mongodb:mongodb-driver-kotlin-coroutine",
                "org.mongodb:mongo-java-driver",
                "org.mongodb.scala:mongo-scala-driver",
                "org.litote.kmongo:kmongo",
                "io.quarkus:quarkus-mongodb-client",
                "io.quarkus:quarkus-mongodb-panache",
                "io.vertx:vertx-mongo-client",
                "io.micronaut.mongodb:micronaut-mongo-sync",
                "io.micronaut.mongodb:micronaut-mongo-reactive",
                "ext-mongodb",
                "mongodb/mongodb",
                "mongo",
                "mongoid",
                "mongodb/laravel-mongodb",
                "jenssegers/mongodb",
                "mongodb.driver",
                "mongodb.entityframeworkcore",
                "aspire.mongodb.driver",
                "mongodb_driver",
            }
        ),
        re.compile(r"MONGO(DB)?_\w+"),
        ("mongodb://", "mongodb+srv://"),
    ),
    (
        "redis",
        frozenset(
            {
                "redis",
                "ioredis",
                "bullmq",
                "bull",
                "connect-redis",
                "@fastify/redis",
                "@keyv/redis",
                "@socket.io/redis-adapter",
                "bee-queue",
                "rate-limit-redis",
                "aioredis",
                "django-redis",
                "django-rq",
                "channels-redis",
                "arq",
                "rq",
                "flask-redis",
                "github.com/redis/go-redis",
                "org.springframework.boot:spring-boot-starter-data-redis",
                "org.springframework.boot:spring-boot-starter-data-redis-reactive",
                "org.springframework.session:spring-session-data-redis",
                "io.lettuce:lettuce-core",
                "redis.clients:jedis",
                "org.redisson:redisson",
                "org.redisson:redisson-spring-boot-starter",
                "io.quarkus:quarkus-redis-client",
                "io.vertx:vertx-redis-client",
                "io.micronaut.redis:micronaut-redis-lettuce",
                "dev.profunktor:redis4cats-effects",
                "github.com/go-redis/redis",
                "github.com/gomodule/redigo",
                "github.com/hibiken/asynq",
                "deadpool-redis",
                "bb8-redis",
                "mobc-redis",
                "r2d2_redis",
                "fred",
                "ext-redis",
                "predis/predis",
                "sidekiq",
                "resque",
                "stackexchange.redis",
                "microsoft.extensions.caching.stackexchangeredis",
                "aspire.stackexchange.redis",
                "aspire.stackexchange.redis.distributedcaching",
                "redix",
            }
        ),
        re.compile(r"REDIS_\w+"),
        ("redis://", "rediss://"),
    ),
    (
        "s3",
        frozenset(
            {
                "@aws-sdk/client-s3",
                "multer-s3",
                "minio",
                "django-storages",
                "github.com/minio/minio-go",
                "software.amazon.awssdk:s3",
                "com.amazonaws:aws-java-sdk-s3",
                "io.minio:minio",
                "io.awspring.cloud:spring-cloud-aws-starter-s3",
                "io.quarkiverse.amazonservices:quarkus-amazon-s3",
                "github.com/aws/aws-sdk-go-v2/service/s3",
                "aws/aws-sdk-php",
                "aws-sdk-s3",
                "league/flysystem-aws-s3-v3",
                "awssdk.s3",
                "ex_aws_s3",
            }
        ),
        re.compile(r"(AWS_)?(S3|STORAGE)_BUCKET(_NAME)?|AWS_STORAGE_BUCKET_NAME|MINIO_\w+"),
        ("s3://",),
    ),
)
_OURS = frozenset({"PORT", "HOST", "NODE_ENV", "HOSTNAME", "PYTHONUNBUFFERED", "DEBUG", "LOG_LEVEL", "TZ"})
_PLACEHOLDER = re.compile(
    r"|change[-_ ]?me.*|your[-_ ].*|<.*>|\[.*\]|\{.*\}|x{3,}.*|\.{3,}|todo|secret|replace.*|insert.*"
    r"|(my|a|some)[-_ ].*(key|secret|token).*|.*(your|change[-_]?me|replace[-_]?me|placeholder).*",
    re.IGNORECASE,
)
MAX_KEYS = 60
SERVICE_NAMES = tuple(name for name, *_ in _SERVICES)
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def find_services(scan: Scan, dependencies: Mapping[str, Evidence]) -> list[tuple[str, Evidence]]:
    """The services that the code asks for, by dependency and by environment key, each with its first evidence."""
    found: dict[str, Evidence] = {}
    scan.packages = frozenset(dependencies)
    for service, packages, keys, schemes in _SERVICES:
        for name in sorted(packages & dependencies.keys()):
            seen = dependencies[name]
            found.setdefault(service, Evidence(seen.path, seen.line, seen.seen, f"{name} speaks to {service}"))
            scan.speaks.setdefault(service, found[service])
        for name, value, path, line in scan.env_examples:
            if value.lower().startswith(schemes) or keys.fullmatch(name):
                found.setdefault(service, scan.seen(path, name, f"{name} names {service}", line))
    return list(found.items())


def find_required(scan: Scan, from_code: Iterable[tuple[str, Evidence]] = ()) -> list[tuple[str, Evidence]]:
    """Environment keys without which it will not work: left open in an example file, or read without a default."""
    found: dict[str, Evidence] = {}
    for name, evidence in from_code:
        if name not in _OURS:
            found.setdefault(name, evidence)
    for name, value, path, line in scan.env_examples:
        if name not in _OURS and _PLACEHOLDER.fullmatch(value):
            found.setdefault(name, scan.seen(path, name, f"{name} has no value of its own", line))
    return list(found.items())[:MAX_KEYS]


def compose_port(scan: Scan) -> tuple[int, Evidence] | None:
    """The container port of the service that the repository's own compose file builds from this folder."""
    for path in COMPOSE_FILES:
        if not scan.has(path):
            continue
        data, problem = parse_yaml(scan.text(path))
        if problem:
            scan.warn(f"{scan.repository.full(path)} was not understood: {problem}")
        for name, service in sorted(table(table(data).get("services")).items()):
            build = table(service).get("build")
            context = text_of(build) or text_of(table(build).get("context"))
            if not context or posixpath.normpath(context) != ".":
                continue
            ports = table(service).get("ports")
            for port in ports if isinstance(ports, list) else []:
                number = _container_port(port)
                if number:
                    return number, scan.seen(path, str(port), f"the service {name} listens on {number}")
    return None


def _container_port(port: object) -> int | None:
    text = str(table(port).get("target", "")) if isinstance(port, dict) else str(port)
    match = re.search(r"(?:^|:)(\d{1,5})$", text.split("/")[0]) if not text.endswith("/udp") else None
    number = int(match[1]) if match else 0
    return number if 0 < number < 65536 else None
