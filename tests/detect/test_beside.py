"""Which services run beside an application: both a dependency and a variable, or a setting."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from bot.detect import Detection, Repository, detect
from bot.detect.connections import Connection, connection_of, url_template
from bot.detect.service_versions import KINDS, Chosen, choose_image, parse_services, postgres_version
from tests.detect.samples_basic import package

Files = Mapping[str, str]
FLASK = "from flask import Flask\nimport os\napp = Flask(__name__)\n"
READ = FLASK + 'url = os.environ["DATABASE_URL"]\n'


def beside(files: Files, **settings: object) -> dict[str, tuple[str, dict[str, str]]]:
    """Service -> image and variables."""
    return {one.service: (one.image, dict(one.variables)) for one in found(files, **settings).beside}


def found(files: Files, **settings: object) -> Detection:
    return detect(Repository.from_files(files), settings)


def python(requirements: str, code: str = READ, **more: str) -> dict[str, str]:
    return {"requirements.txt": requirements, "app.py": code, **more}


def test_both_a_dependency_and_a_variable_are_needed() -> None:
    assert beside(python("flask\npsycopg\n", FLASK)) == {}
    assert beside(python("flask\n")) == {}
    assert beside(python("flask\npsycopg\n")) == {
        "postgresql": ("postgres:17", {"DATABASE_URL": "postgresql://{user}:{password}@{host}:{port}/{name}"})
    }


def test_the_evidence_names_both() -> None:
    (one,) = found(python("flask\npsycopg\n")).beside
    assert one.reason == (
        "psycopg speaks to postgresql (requirements.txt, line 2), and DATABASE_URL is read (app.py, line 4)"
    )
    says = [item.says for item in found(python("flask\npsycopg\n")).evidence]
    assert "DATABASE_URL is read" in says


@pytest.mark.parametrize(
    "code",
    [
        FLASK + '# url = os.environ["DATABASE_URL"]\n',
        FLASK + "DATABASE_URLS = 1\n",
        FLASK + 'print("MY_DATABASE_URL_OLD")\n',
    ],
)
def test_what_only_looks_like_a_variable(code: str) -> None:
    assert beside(python("flask\npsycopg\n", code)) == {}


def test_the_code_may_lie_deeper() -> None:
    files = python("flask\npsycopg\n", FLASK) | {"shop/config/settings.py": 'import os\nos.environ["DATABASE_URL"]\n'}
    (one,) = found(files).beside
    assert one.reason.endswith("DATABASE_URL is read (shop/config/settings.py, line 2)")


def test_tests_and_examples_do_not_count() -> None:
    files = python("flask\npsycopg\n", FLASK) | {"tests/test_app.py": READ, "docs/conf.py": READ}
    assert beside(files) == {}


@pytest.mark.parametrize(
    ("requirements", "code", "scheme"),
    [
        ("flask\nsqlalchemy\npsycopg2-binary\n", READ, "postgresql"),
        ("flask\nsqlalchemy\npsycopg[binary]\n", READ, "postgresql+psycopg"),
        ("flask\nsqlalchemy\nasyncpg\n", READ, "postgresql+asyncpg"),
        ("flask\nFlask-SQLAlchemy\npsycopg\n", READ, "postgresql+psycopg"),
        ("flask\nasyncpg\n", READ, "postgresql"),
        ("flask\npsycopg2\n", FLASK + 'os.getenv("DATABASE_URL", "postgres://localhost/x")\n', "postgresql"),
        ("flask\nasyncpg\n", FLASK + 'os.getenv("DATABASE_URL", "postgresql+asyncpg://u@h/x")\n', "postgresql+asyncpg"),
        ("flask\npsycopg2\n", FLASK + 'os.getenv("DATABASE_URL", "sqlite:///x.db")\n', "postgresql"),
    ],
)
def test_the_scheme_is_the_one_that_the_code_wants(requirements: str, code: str, scheme: str) -> None:
    _, variables = beside(python(requirements, code))["postgresql"]
    assert variables["DATABASE_URL"] == scheme + "://{user}:{password}@{host}:{port}/{name}"


def test_the_variables_are_those_that_example_and_code_name() -> None:
    files = python("flask\npsycopg\nredis\n", FLASK + 'os.environ["PGHOST"]; os.getenv("REDIS_PORT")\n')
    files[".env.example"] = "POSTGRES_USER=me\nPOSTGRES_PASSWORD=\nPOSTGRES_DB=shop\nREDIS_HOST=localhost\n"
    files[".env.example"] += "POSTGRES_MAX_CONNECTIONS=3\nREDIS_PASSWORD=\n"
    answer = beside(files)
    assert answer["postgresql"][1] == {
        "POSTGRES_USER": "{user}",
        "POSTGRES_PASSWORD": "{password}",
        "POSTGRES_DB": "{name}",
        "PGHOST": "{host}",
        "DATABASE_URL": "postgresql://{user}:{password}@{host}:{port}/{name}",
    }
    assert answer["redis"][1] == {
        "REDIS_HOST": "{host}", "REDIS_PORT": "{port}", "REDIS_URL": "redis://{host}:{port}/0",
    }  # fmt: skip


def test_fields_of_pydantic_settings_are_variables() -> None:
    code = FLASK + "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    database_url: str\n"
    assert "postgresql" in beside(python("flask\npydantic-settings\npsycopg\n", code))
    assert beside(python("flask\npsycopg\n", FLASK + "class Row:\n    database_url: str\n")) == {}


def node(dependencies: str, code: str, **more: str) -> dict[str, str]:
    return {"package.json": f'{{"name": "shop", "dependencies": {{{dependencies}}}}}', "server.js": code, **more}


@pytest.mark.parametrize(
    ("dependency", "code", "service", "name"),
    [
        ('"pg": "8"', "new Pool({connectionString: process.env.DATABASE_URL})", "postgresql", "DATABASE_URL"),
        ('"pg": "8"', "const { DB_HOST } = process.env", "postgresql", "DB_HOST"),
        ('"mysql2": "3"', "connect(process.env.MYSQL_HOST)", "mysql", "MYSQL_HOST"),
        ('"mongoose": "8"', "connect(process.env.MONGO_URL)", "mongodb", "MONGO_URL"),
        ('"mongoose": "8"', "connect(process.env.DATABASE_URL)", "mongodb", "DATABASE_URL"),
        ('"ioredis": "5"', "new Redis(process.env.REDIS_URL)", "redis", "REDIS_URL"),
    ],
)
def test_node_reads_variables_in_its_own_ways(dependency: str, code: str, service: str, name: str) -> None:
    server = f"const app = require('express')();\n{code};\napp.listen(process.env.PORT)\n"
    answer = beside(node(f'"express": "4", {dependency}', server))
    assert list(answer) == [service]
    assert name in answer[service][1]


def test_a_front_end_needs_no_database() -> None:
    files = {
        "package.json": '{"dependencies": {"react": "18", "pg": "8"}, "devDependencies": {"vite": "5"},'
        ' "scripts": {"build": "vite build"}}',
        "index.html": "<div id=root></div>",
        "src/main.jsx": "console.log(process.env.DATABASE_URL)",
    }
    assert beside(files) == {}


LARAVEL = {
    "composer.json": '{"require": {"laravel/framework": "^11.0", "php": "^8.2"}}',
    "artisan": "#!/usr/bin/env php\n",
    "public/index.php": "<?php\n",
}


@pytest.mark.parametrize(
    ("connection", "service", "driver"), [("pgsql", "postgresql", "pgsql"), ("mysql", "mysql", "mysql")]
)
def test_laravel_brings_its_drivers(connection: str, service: str, driver: str) -> None:
    answer = beside(LARAVEL | {".env.example": f"APP_KEY=\nDB_CONNECTION={connection}\n"})
    assert list(answer) == [service]
    assert answer[service][1]["DB_CONNECTION"] == driver
    assert answer[service][1]["DB_USERNAME"] == "{user}"
    assert answer[service][1]["DB_DATABASE"] == "{name}"


def test_laravel_on_sqlite_needs_none() -> None:
    assert beside(LARAVEL | {".env.example": "APP_KEY=\nDB_CONNECTION=sqlite\n"}) == {}


def test_wordpress_is_told_in_its_own_words() -> None:
    answer = beside({"style.css": "/*\nTheme Name: Shop\n*/\n", "functions.php": "<?php\nwp_enqueue_style('shop');\n"})
    assert answer["mysql"][1] == {
        "WORDPRESS_DB_HOST": "{host}:{port}",
        "WORDPRESS_DB_USER": "{user}",
        "WORDPRESS_DB_PASSWORD": "{password}",
        "WORDPRESS_DB_NAME": "{name}",
        "DATABASE_URL": "mysql://{user}:{password}@{host}:{port}/{name}",
    }


def test_spring_and_dotnet_have_words_of_their_own() -> None:
    pom = "<project><artifactId>shop</artifactId><parent><groupId>org.springframework.boot</groupId>"
    pom += "<artifactId>spring-boot-starter-parent</artifactId><version>3.4.0</version></parent><dependencies>"
    for group, name in (("org.springframework.boot", "spring-boot-starter-web"), ("org.postgresql", "postgresql")):
        pom += f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId></dependency>"
    java = "@SpringBootApplication\npublic class App { public static void main(String[] a) {} }\n"
    spring = beside({"pom.xml": pom + "</dependencies></project>", "src/main/java/App.java": java})
    assert spring["postgresql"][1]["SPRING_DATASOURCE_URL"] == "jdbc:postgresql://{host}:{port}/{name}"
    project = '<Project Sdk="Microsoft.NET.Sdk.Web"><PropertyGroup><TargetFramework>net9.0</TargetFramework>'
    project += '</PropertyGroup><ItemGroup><PackageReference Include="Npgsql" Version="9.0.0" /></ItemGroup></Project>'
    code = (
        'var b = WebApplication.CreateBuilder(args);\nb.Configuration.GetConnectionString("Shop");\nb.Build().Run();\n'
    )
    dotnet = beside({"shop.csproj": project, "Program.cs": code})
    assert dotnet["postgresql"][1]["ConnectionStrings__Shop"] == (
        "Host={host};Port={port};Database={name};Username={user};Password={password}"
    )


def test_prisma_names_its_database_in_its_schema() -> None:
    schema = 'datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n'
    files = node('"express": "4", "@prisma/client": "5"', "require('express')().listen(3000)\n")
    assert list(beside(files | {"prisma/schema.prisma": schema})) == ["postgresql"]


def test_rails_reads_its_url_by_itself() -> None:
    files = {
        "Gemfile": 'source "https://rubygems.org"\ngem "rails", "~> 7.1"\ngem "pg"\ngem "puma"\n',
        "config.ru": 'require_relative "config/environment"\nrun Rails.application\n',
        "config/application.rb": 'require "rails/all"\n',
        "bin/rails": "#!/usr/bin/env ruby\n",
    }
    assert beside(files)["postgresql"][1] == {"DATABASE_URL": "postgresql://{user}:{password}@{host}:{port}/{name}"}


COMPOSE = """\
services:
  web:
    build: .
    environment:
      - DATABASE_URL=postgres://me:secret@db/shop
  db:
    image: postgres:15.4-alpine
"""


def test_the_compose_file_of_the_repository_is_evidence() -> None:
    files = python("flask\n", FLASK) | {"compose.yaml": COMPOSE}
    (one,) = found(files).beside
    assert one.image == "postgres:15"
    assert one.reason.startswith("the compose file runs PostgreSQL as db (compose.yaml, line 7)")
    assert beside(python("flask\n", FLASK) | {"compose.yaml": COMPOSE.replace("DATABASE_URL", "OTHER")}) == {}
    assert beside(python("flask\npsycopg\n") | {"compose.yaml": COMPOSE})["postgresql"][0] == "postgres:15"


@pytest.mark.parametrize(
    ("image", "here", "taken", "version"),
    [
        ("postgis/postgis:16-3.4", (), "postgis/postgis:16-3.4", "16"),
        ("docker.io/pgvector/pgvector:pg17", (), "pgvector/pgvector:pg17", "17"),
        ("pgvector/pgvector:0.8.0-pg16", (), "pgvector/pgvector:0.8.0-pg16", "16"),
        ("timescale/timescaledb:latest-pg15", (), "timescale/timescaledb:latest-pg15", "15"),
        ("pgvector/pgvector:pg16", ("postgres:15", "postgres:16"), "postgres:16", "16"),
        ("bitnami/postgresql:16.2.0", (), "postgres:16", "16"),
        ("postgis/postgis", (), "postgres:17", "17"),  # no tag: any version, any day
        ("other/pgvector:pg16", (), "postgres:17", "17"),
        ("pgvector/pgvector:pg16;rm", (), "postgres:17", "17"),
    ],
)
def test_postgresql_with_extensions_stays_what_the_compose_file_has(
    image: str, here: tuple[str, ...], taken: str, version: str
) -> None:
    files = python("flask\npsycopg\n", FLASK) | {"compose.yaml": COMPOSE.replace("postgres:15.4-alpine", image)}
    answer = detect(Repository.from_files(files), images=here)
    (one,) = answer.beside
    assert one.image == taken
    assert postgres_version(one.image) == version
    assert any("without its extensions" in warning for warning in answer.warnings) == bool(here)


@pytest.mark.parametrize(
    ("setting", "images"),
    [
        ("none", []),
        ("redis", ["redis:8"]),
        ("postgres:16,redis:7", ["postgres:16", "redis:7"]),
        ("mariadb", ["mariadb:11.4"]),
        ("mysql:8", ["mysql:8.4"]),
        ("mongo:7", ["mongo:7.0"]),
    ],
)
def test_a_setting_goes_before_everything(setting: str, images: list[str]) -> None:
    answer = found(python("flask\npsycopg\n"), services=setting)
    assert [one.image for one in answer.beside] == images
    assert all(one.asked for one in answer.beside)


@pytest.mark.parametrize(
    "text", ["oracle", "postgresql:nine", "postgresql:42", "redis,redis:7", "postgres:16;redis", ","]
)
def test_a_setting_that_is_not_possible(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|names|but there is"):
        parse_services(text)
    assert any("services" in warning for warning in found(python("flask\n"), services=text).warnings)


@pytest.mark.parametrize(
    ("name", "connection"),
    [
        ("DATABASE_URL", Connection("", "url")),
        ("DB_DATABASE", Connection("", "name")),
        ("PGPASSWORD", Connection("postgresql", "password")),
        ("POSTGRES_DATABASE_URL", Connection("postgresql", "url")),
        ("MONGODB_URI", Connection("mongodb", "url")),
        ("REDIS_ADDR", Connection("redis", "address")),
        ("SPRING_DATASOURCE_USERNAME", Connection("", "user")),
        ("DATABASE", None),
        ("DB_POOL_SIZE", None),
        ("MYSQL_ROOT_PASSWORD", None),
        ("HOST", None),
    ],
)
def test_names_say_what_they_are_about(name: str, connection: Connection | None) -> None:
    assert connection_of(name) == connection


def test_urls_of_other_worlds() -> None:
    assert url_template("mysql", "", "root:secret@tcp(localhost:3306)/shop") == (
        "{user}:{password}@tcp({host}:{port})/{name}?parseTime=true"
    )
    assert url_template("postgresql", "ecto") == "ecto://{user}:{password}@{host}:{port}/{name}"
    assert url_template("postgresql", "jdbc:postgresql") == "jdbc:postgresql://{host}:{port}/{name}"
    assert url_template("postgresql", "", "Host=localhost;Database=shop;Username=me").startswith("Host={host};")
    assert url_template("postgresql", "mysql").startswith("postgresql://")


def test_versions_that_can_be_had_are_chosen() -> None:
    assert choose_image("postgresql", "", "", ["postgres:15"]) == Chosen("postgres:15")
    assert choose_image("postgresql", "", "16", ["postgres:15"]).tag == "postgres:15"
    assert "no image" in (choose_image("postgresql", "", "16", ["postgres:15"]).warning or "")
    assert choose_image("mysql", "mysql", "", ["mariadb:10.11"]).tag == "mariadb:10.11"
    assert choose_image("postgresql", "", "13").warning == "PostgreSQL 13 has had no fixes since 2025-11-13"


def test_the_usual_versions_exist_and_are_supported() -> None:
    for kind in KINDS:
        for image in kind.images:
            assert [release.tag for release in image.releases if release.tag == image.usual]
            assert choose_image(kind.service, image.name, image.usual).warning is None


@pytest.mark.parametrize("piece", ["PGHOST ", "'PGHOST', ", "{ PGHOST, ", "const { PGHOST } = process.env; "])
def test_a_line_full_of_names_takes_time_by_its_length(piece: str) -> None:
    def seconds(length: int) -> float:
        code = (piece * (length // len(piece) + 1))[:length]
        files = {"package.json": package({"express": "4", "pg": "8"}), **{f"config/{n}.js": code for n in range(10)}}
        began = time.process_time()
        detect(Repository.from_files(files))
        return time.process_time() - began

    quarter, whole = seconds(14_000), seconds(56_000)
    assert whole < 1 or whole < 9 * quarter
