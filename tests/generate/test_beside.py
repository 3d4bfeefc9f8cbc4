"""The compose file's other services: databases, workers, a release command."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bot.detect import Repository, detect
from bot.generate import Generated, generate
from bot.project import Project, Service, Template, from_yaml
from tests.compose import as_read
from tests.detect.jvm_files import BOOT_POM
from tests.generate.stacks_jvm import BOOT_MAIN

CODE = 'import os\nfrom flask import Flask\napp = Flask(__name__)\nos.environ["DATABASE_URL"]\n'
SHOP = {
    "requirements.txt": "flask\npsycopg\nredis\n",
    "app.py": CODE,
    ".env.example": "REDIS_HOST=\n",
    "Procfile": "web: gunicorn app:app\nworker: python worker.py\nrelease: python migrate.py && echo done\n",
}
DJANGO = {
    "requirements.txt": "django\npsycopg\n",
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n",
    "site1/settings.py": "import os\nDATABASES = parse(os.environ['DATABASE_URL'])\nROOT_URLCONF = 'site1.urls'\n",
    "site1/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
}


def made(files: Mapping[str, str], variables: tuple[str, ...] = (), prefix: str = "", **settings: object) -> Generated:
    found = detect(Repository.from_files(files), settings)
    generated = generate(found, image_prefix=prefix, variables=frozenset(variables))
    assert generated
    text = generated.files["docker-compose.yml"]
    assert from_yaml(text) == as_read(generated.project)
    return generated


def project(files: Mapping[str, str], variables: tuple[str, ...] = (), **settings: object) -> Project:
    return made(files, variables, **settings).project


def test_databases_come_first_then_the_release_then_web_and_workers() -> None:
    services = project(SHOP).services
    assert {name: service.role for name, service in services.items()} == {
        "web": "web", "release": "release", "worker": "worker", "postgres": "database", "redis": "database",
    }  # fmt: skip
    healthy = {"postgres": "service_healthy", "redis": "service_healthy"}
    assert services["release"].depends_on == healthy
    for name in ("web", "worker"):
        assert services[name].depends_on == healthy | {"release": "service_completed_successfully"}
    assert services["release"].command == ("/bin/sh", "-c", "python migrate.py && exec echo done")
    assert services["worker"].ports == services["postgres"].ports == ()
    assert project(SHOP).volumes == ("postgres-data", "redis-data")


def test_the_password_has_one_place_and_is_no_secret() -> None:
    generated = made(SHOP, prefix="berth.local/")
    services = generated.project.services
    url = "postgresql://app:${POSTGRES_PASSWORD:-throw-away}@postgres:5432/app"
    assert {services[name].environment["DATABASE_URL"] for name in ("web", "worker", "release")} == {Template(url)}
    assert services["postgres"].environment["POSTGRES_PASSWORD"] == Template("${POSTGRES_PASSWORD:-throw-away}")
    assert services["postgres"].image == "berth.local/postgres:17"
    read = from_yaml(generated.files["docker-compose.yml"], {"POSTGRES_PASSWORD": "s3cret"})
    assert read.services["postgres"].environment["POSTGRES_PASSWORD"] == "s3cret"
    assert read.services["web"].environment["DATABASE_URL"] == "postgresql://app:s3cret@postgres:5432/app"
    assert read.services["postgres"].password == "POSTGRES_PASSWORD"


def test_a_variable_that_has_a_value_needs_no_service() -> None:
    generated = made(SHOP, ("DATABASE_URL",))
    assert "postgres" not in generated.project.services
    assert "redis" in generated.project.services
    assert "no PostgreSQL is started: DATABASE_URL has a value already" in generated.explanation
    assert generated.project.services["web"].environment["DATABASE_URL"] is None


def test_a_setting_asks_all_the_same() -> None:
    assert "postgres" in project(SHOP, ("DATABASE_URL",), services="postgresql").services
    assert set(project(SHOP, services="none").services) == {"web", "release", "worker"}


@pytest.mark.parametrize(
    ("setting", "name", "check", "data"),
    [
        ("postgresql:18", "postgres", "pg_isready", "/var/lib/postgresql"),
        ("postgresql:16", "postgres", "pg_isready", "/var/lib/postgresql/data"),
        ("mysql", "mysql", "mysqladmin", "/var/lib/mysql"),
        ("mariadb", "mariadb", "mariadb-admin", "/var/lib/mysql"),
        ("mongodb", "mongo", "mongosh", "/data/db"),
        ("redis", "redis", "redis-cli", "/data"),
    ],
)
def test_each_kind(setting: str, name: str, check: str, data: str) -> None:
    generated = made(SHOP, services=setting)
    service = generated.project.services[name]
    assert service.healthcheck
    assert check in " ".join(service.healthcheck.test)
    (volume,) = service.volumes
    assert (volume.source, volume.target) == (f"{name}-data", data)
    if name != "redis":
        assert any(isinstance(value, Template) for value in service.environment.values())
    assert any(name in line and "the setting services asks for it" in line for line in generated.explanation)


def test_postgresql_with_extensions_is_used_like_postgresql() -> None:
    compose = "services:\n  db:\n    image: pgvector/pgvector:pg18\n"
    service = project(SHOP | {"compose.yaml": compose}).services["postgres"]
    assert service.image == "pgvector/pgvector:pg18"
    assert [volume.target for volume in service.volumes] == ["/var/lib/postgresql"]
    assert set(service.environment) == {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}


def test_django_makes_its_tables_before_it_starts() -> None:
    assert "release" not in project(DJANGO).services, "its own start command does so"
    given = DJANGO | {"Procfile": "web: gunicorn site1.wsgi\n"}
    assert _release(project(given)) == "exec python manage.py migrate --noinput"
    own = DJANGO | {"Procfile": "web: gunicorn site1.wsgi\nrelease: python manage.py migrate && python seed.py\n"}
    assert _release(project(own)) == "python manage.py migrate && exec python seed.py"
    assert "release" not in project(given, services="none").services


def _release(model: Project) -> str:
    service: Service = model.services["release"]
    assert service.command
    return service.command[-1]


GO_MAIN = 'package main\n\nimport "net/http"\n\nfunc main() { http.ListenAndServe(":8080", nil) }\n'
GO_SHOP = {
    "go.mod": "module example.com/shop\n\ngo 1.26\n",
    "cmd/server/main.go": GO_MAIN,
    "cmd/worker/main.go": GO_MAIN,
    "cmd/migrate/main.go": GO_MAIN,
    "cmd/unused/main.go": GO_MAIN,
}


def commands(files: dict[str, str]) -> dict[str, tuple[str, ...] | None]:
    return {name: service.command for name, service in project(files).services.items() if name != "web"}


def test_what_the_image_cannot_run_is_not_started_and_said() -> None:
    files = GO_SHOP | {"Procfile": "web: bin/server\nworker: bin/other\nclock: bin/worker && python clock.py\n"}
    generated = made(files)
    assert set(generated.project.services) == {"web"}
    assert any("not started, though the Procfile has them: worker, clock" in line for line in generated.explanation)


def test_programs_of_go_that_the_procfile_starts_are_compiled_as_well() -> None:
    files = GO_SHOP | {"Procfile": "web: bin/server serve\nworker: bin/worker -queue mail\nrelease: ./bin/migrate up\n"}
    generated = made(files)
    assert commands(files) == {
        "release": ("/app/migrate", "up"),
        "worker": ("/app/worker", "-queue", "mail"),
    }, "in exec form, as there is no shell"
    text = generated.files["Dockerfile"]
    assert "FROM scratch" in text
    assert 'CMD ["/app/server", "serve"]' in text
    for name in ("server", "worker", "migrate"):
        assert f"-o /out/app/{name} ./cmd/{name}" in text
    assert "unused" not in text
    assert "`/app/migrate up` runs once before each new version starts (Procfile)" in generated.explanation


def test_a_process_of_go_that_needs_a_shell_gets_one() -> None:
    files = GO_SHOP | {"Procfile": "web: bin/server\nworker: DEBUG=1 bin/worker -queue $QUEUE\n"}
    assert commands(files) == {"worker": ("/bin/sh", "-c", "exec env DEBUG=1 /app/worker -queue $QUEUE")}
    assert "FROM scratch" not in made(files).files["Dockerfile"]


def test_programs_of_rust_that_the_procfile_starts_are_compiled_as_well() -> None:
    files = {
        "Cargo.toml": '[package]\nname = "shop"\nversion = "1.0.0"\n\n[dependencies]\naxum = "0.7"\n',
        "src/main.rs": "fn main() {}\n",
        "src/bin/worker.rs": "fn main() {}\n",
        "src/bin/unused.rs": "fn main() {}\n",
        "Procfile": "web: ./target/release/shop --port $PORT\nworker: target/release/worker\n"
        "release: ./target/release/shop migrate && ./target/release/shop seed\n",
    }
    assert commands(files) == {
        "release": ("/bin/sh", "-c", "/app/shop migrate && exec /app/shop seed"),
        "worker": ("/bin/sh", "-c", "exec /app/worker"),
    }
    text = made(files).files["Dockerfile"]
    assert "cargo build --release --bin shop --bin worker " in text
    assert "install -D -t /out target/release/shop target/release/worker" in text
    assert "exec /app/shop --port $PORT" in text


def test_a_front_end_that_a_program_of_rust_hands_out() -> None:
    files = {
        "Cargo.toml": '[package]\nname = "shop"\nversion = "1.0.0"\n\n[dependencies]\naxum = "0.7"\n',
        "src/main.rs": 'fn main() { ServeDir::new("web/build"); }\n',
        "web/package.json": '{"name": "web", "scripts": {"build": "vite build"}, "devDependencies": {"vite": "5"}}',
        "web/package-lock.json": "{}",
    }
    lines = made(files).files["Dockerfile"].split("\n")
    first = lines.index("WORKDIR /src/web")
    assert lines[first + 1] == "COPY web/package.json web/package-lock.json ./"
    assert lines.index("COPY --from=assets /src ./") > first
    assert "COPY --from=build /src/web/build ./web/build/" in lines


def test_a_jar_that_the_procfile_starts_again() -> None:
    files = {
        "pom.xml": BOOT_POM,
        "src/main/java/shop/ShopApplication.java": BOOT_MAIN,
        "Procfile": "web: java -jar target/shop-1.0.jar\nworker: java $JAVA_OPTS -jar target/shop-1.0.jar --worker\n"
        "release: ./mvnw flyway:migrate\nother: java -jar other/target/other.jar\nnode: node server.js\n",
    }
    assert commands(files) == {"worker": ("/bin/sh", "-c", "exec java $JAVA_OPTS -jar app.jar --worker")}


def test_names_of_processes_never_collide() -> None:
    files = SHOP | {"Procfile": "web: gunicorn app:app\npostgres: python a.py\nMail_er: python b.py\nconsole: python\n"}
    assert set(project(files).services) == {"web", "postgres", "redis", "postgres-2", "mail-er"}


def test_what_the_services_are_told_is_explained_in_the_file() -> None:
    text = made(SHOP).files["docker-compose.yml"]
    assert (
        "  # psycopg speaks to postgresql (requirements.txt, line 2), and DATABASE_URL is read (app.py, line 4)\n"
        in text
    )
    assert "  # its throw-away password is for your own machine: Berth makes one of its own\n  postgres:\n" in text
    assert "  # `python worker.py` runs beside it as worker (Procfile)\n  worker:\n" in text
