"""Databases, workers and release commands beside an application: made, kept, stopped and removed with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.engine import base_images
from tests.end_to_end.harness import PREFIX, Server, Work, clone, docker, free_port, get, running, until
from tests.end_to_end.test_kill import wait_for_phase

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SHOP = {
    ".python-version": "3.11\n",
    "requirements.txt": "flask==3.1.0\npsycopg[binary]==3.2.9\nredis==5.2.1\n",
    "Procfile": "web: gunicorn app:app\nrelease: python migrate.py\nworker: python -u worker.py\n",
    "app.py": """\
        import os
        import psycopg
        import redis
        from flask import Flask

        app = Flask(__name__)
        VERSION = "one"

        @app.get("/")
        def index():
            with psycopg.connect(os.environ["DATABASE_URL"]) as database:
                rows = database.execute("select name from visits order by id").fetchall()
            return VERSION + " " + " ".join(name for name, in rows)

        @app.get("/jobs/<name>")
        def add(name):
            redis.Redis.from_url(os.environ["REDIS_URL"]).rpush("jobs", name)
            return "queued"
        """,
    "migrate.py": """\
        import os
        import psycopg

        print("migrating")
        with psycopg.connect(os.environ["DATABASE_URL"]) as database:
            database.execute("create table if not exists visits (id serial, name text)")
            database.execute("insert into visits (name) values (%s)", (os.environ.get("BERTH_SHA", "by-hand")[:7],))
        """,
    "worker.py": """\
        import os
        import redis

        queue = redis.Redis.from_url(os.environ["REDIS_URL"])
        print("worker one is ready")
        while True:
            job = queue.blpop("jobs", 1)
            if job:
                print("worker one did " + job[1].decode())
        """,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("services")) as started:
        if PREFIX == base_images.PREFIX:
            started.berth("base-images", "build", "postgres:15", "redis:7")
        yield started


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """It is live in production, with its first commit."""
    work = clone(server, tmp_path_factory.mktemp("work"), "shop")
    work.commit(SHOP)
    progress = work.push()
    assert "migrating" in progress
    assert server.settled(work.name)["state"] == "live", progress
    return work


def answer(server: Server, work: Work, label: str = "production") -> str:
    found = server.environment_of(work.name, label)
    assert found
    return str(get(found["url"]).body)


def beside(server: Server, work: Work, label: str = "production") -> dict[str, str]:
    """The services of an environment and their states."""
    found = server.environment_of(work.name, label)
    assert found
    return {service["name"]: service["state"] for service in found["services"]}


def container_of(server: Server, work: Work, service: str, label: str = "production") -> dict[str, Any] | None:
    """The one container that answers to a service's name in an environment's network."""
    environment = server.environment_of(work.name, label)
    assert environment

    def fits(one: dict[str, Any]) -> bool:
        (network,) = one["NetworkSettings"]["Networks"].values()
        ours = one["Config"]["Labels"]["berth.environment"] == str(environment["id"])
        return ours and service in (network["Aliases"] or []) and bool(one["State"]["Running"])

    found = [one for one in server.containers() if fits(one)]
    assert len(found) < 2
    return found[0] if found else None


def volumes(server: Server) -> set[str]:
    return set(docker("volume", "ls", "-q", "--filter", f"label=berth.instance={server.instance}").split())


def test_deployments_and_a_rollback_share_the_database(server: Server, shop: Work) -> None:
    first = answer(server, shop).split()[1]
    assert beside(server, shop) == {
        "web": "live", "worker": "live", "release": "done", "postgres": "live", "redis": "live",
    }  # fmt: skip
    database, worker = container_of(server, shop, "postgres"), container_of(server, shop, "worker")
    assert database
    assert worker
    assert database["HostConfig"]["PortBindings"] in (None, {})
    assert database["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert (database["HostConfig"]["PidsLimit"], database["HostConfig"]["CapDrop"]) == (512, ["ALL"])

    environment = server.environment_of(shop.name)
    assert environment
    assert get(environment["url"] + "/jobs/red").body == "queued"
    until(
        lambda: "worker one did red" in server.berth("logs", shop.name, "--service", "worker").stdout,
        "the worker's log shows its work",
        20,
    )
    assert "database system is ready" in server.berth("logs", shop.name, "--service", "postgres").stdout

    second = shop.commit(
        {
            "app.py": SHOP["app.py"].replace('"one"', '"two"'),
            "worker.py": SHOP["worker.py"].replace("worker one", "worker two"),
        }
    )
    shop.push()
    assert server.settled(shop.name)["state"] == "live"
    assert answer(server, shop) == f"two {first} {second[:7]}"
    same = container_of(server, shop, "postgres")
    assert same
    assert (same["Id"], same["State"]["StartedAt"]) == (database["Id"], database["State"]["StartedAt"])
    until(lambda: worker["Id"] not in docker("ps", "-q", "--no-trunc"), "the worker before it has ended", 20)
    replaced = container_of(server, shop, "worker")
    assert replaced
    assert replaced["Id"] != worker["Id"]
    assert "worker two is ready" in server.berth("logs", shop.name, "--service", "worker").stdout

    server.berth("rollback", shop.name)
    assert answer(server, shop) == f"one {first} {second[:7]}", "the release command has not run again"
    until(lambda: "worker one" in server.berth("logs", shop.name, "--service", "worker").stdout, "so is its worker", 20)


def test_nobody_sees_the_password(server: Server, shop: Work) -> None:
    database = container_of(server, shop, "postgres")
    assert database
    password = next(one for one in database["Config"]["Env"] if one.startswith("POSTGRES_PASSWORD=")).partition("=")[2]
    assert len(password) == 48
    listed = server.berth("env", "list", shop.name).stdout
    assert "postgresql://app:••••••@postgres:5432/app" in listed
    assert "by postgres" in listed
    environment = server.environment_of(shop.name)
    assert environment
    files = server.api("GET", f"/api/deployments/{environment['live']['id']}/files")["files"]
    assert "${POSTGRES_PASSWORD:-throw-away}" in files["docker-compose.yml"]
    shown = [listed, json.dumps(files), json.dumps(server.api("GET", "/api/environments")), server.log]
    shown += [path.read_text() for path in (server.data_dir / "logs").rglob("*") if path.is_file()]
    assert not any(password in text for text in shown)


def test_a_release_that_fails_changes_nothing(server: Server, shop: Work) -> None:
    before = answer(server, shop)
    shop.commit({"migrate.py": 'print("no such column: size", flush=True)\nraise SystemExit(3)\n'})
    shop.push()
    latest = server.failed(shop.name)
    assert latest["phase"] == "start"
    assert latest["reason"] == "The release command ended with exit code 3: python migrate.py."
    assert any(line["source"] == "release" and "no such column" in line["text"] for line in server.lines(latest["id"]))
    assert answer(server, shop) == before
    assert beside(server, shop)["release"] == "failed"
    assert beside(server, shop)["worker"] == "live"
    shop.commit({"migrate.py": SHOP["migrate.py"]})


def test_stop_and_start_keep_the_data(server: Server, shop: Work) -> None:
    before, kept = answer(server, shop), volumes(server)
    server.berth("stop", shop.name)
    assert server.containers() == []
    assert set(beside(server, shop).values()) <= {"stopped", "failed", "done"}
    server.berth("start", shop.name)
    assert answer(server, shop) == before
    assert volumes(server) == kept
    assert beside(server, shop)["worker"] == "live"


def test_a_database_whose_container_was_removed_comes_back_with_its_data(server: Server, shop: Work) -> None:
    before = answer(server, shop)
    database = container_of(server, shop, "postgres")
    assert database
    docker("rm", "-f", database["Id"])
    until(lambda: answer(server, shop) == before, "it answers with the same data", 40)
    again = container_of(server, shop, "postgres")
    assert again
    assert again["Id"] != database["Id"]


def test_a_preview_has_a_database_of_its_own_also_after_a_kill(server: Server, shop: Work) -> None:
    before, production = answer(server, shop), volumes(server)
    latest = server.environment_of(shop.name)
    assert latest
    shop.commit({"app.py": SHOP["app.py"].replace('"one"', '"topic"')})
    push = shop.push_in_background("topic")
    wait_for_phase(server, "start", latest["latest"]["id"])
    until(lambda: len(volumes(server)) > len(production), "its database has a volume", 30, 0.02)
    server.kill()  # while the database makes its files, most likely
    push.wait(60)
    server.start()
    environment = server.settled(shop.name, "preview/topic")
    assert environment["state"] == "live", environment
    sha = shop.git("rev-parse", "HEAD").strip()
    until(lambda: answer(server, shop, "preview/topic") == f"topic {sha[:7]}", "it has data of its own only", 30)
    assert answer(server, shop) == before
    assert len(volumes(server)) == 2 * len(production)
    assert {one["State"]["Status"] for one in server.containers()} == {"running"}
    shop.git("push", "-q", "berth", ":topic")
    until(lambda: volumes(server) == production, "the preview's data goes with it", 60)
    until(lambda: len(server.containers()) == 4, "and its containers", 30)


def test_the_compose_file_by_hand_gives_the_same(server: Server, shop: Work, tmp_path: Path) -> None:
    if not shutil.which("docker-compose"):
        pytest.skip("Debian's docker-compose is not installed")
    environment = server.environment_of(shop.name)
    assert environment
    files = server.api("GET", f"/api/deployments/{environment['live']['id']}/files")["files"]
    by_hand = tmp_path / "by-hand"
    shutil.copytree(shop.path, by_hand, ignore=shutil.ignore_patterns(".git"))
    for name, text in files.items():
        (by_hand / name).write_text(text)
    port = free_port()
    variables = {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PORT": str(port), "HOME": str(tmp_path),
        "COMPOSE_DOCKER_CLI_BUILD": "1", "DOCKER_BUILDKIT": "1", "COMPOSE_PROJECT_NAME": f"services{port}",
    }  # fmt: skip

    def compose(*arguments: str) -> str:
        done = subprocess.run(
            ["docker-compose", *arguments], cwd=by_hand, env=variables, capture_output=True, text=True, timeout=200,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        compose("up", "-d", "--build")
        until(lambda: get(f"http://127.0.0.1:{port}/").body == "topic by-hand", "the same application answers", 60)
        assert get(f"http://127.0.0.1:{port}/jobs/by-hand").body == "queued"
        until(lambda: "did by-hand" in compose("logs", "worker"), "its worker works", 20)
    finally:
        compose("down", "-v", "--rmi", "local")


def test_a_setting_turns_services_off_and_names_them(server: Server, shop: Work) -> None:
    rows = {one["key"]: one for one in settings_of(server, shop)}
    assert (rows["services"]["value"], rows["services"]["source"]) == ("postgresql:15,redis:7", "detected")
    refused = server.berth("set", shop.name, "services=oracle", check=False)
    assert refused.returncode != 0
    assert "postgresql" in refused.stderr
    server.berth("set", shop.name, "services=postgresql")
    kept = volumes(server)
    shop.commit({"worker.py": "import time\n\nwhile True:\n    time.sleep(1)\n"})
    shop.push()
    latest = server.settled(shop.name)["latest"]
    assert latest["state"] == "live", latest["reason"]
    assert answer(server, shop)
    until(lambda: beside(server, shop)["redis"] == "stopped", "Redis is not needed any more", 20)
    assert volumes(server) == kept, "what it kept stays"
    server.berth("set", shop.name, "services=")


def settings_of(server: Server, work: Work) -> list[dict[str, Any]]:
    (application,) = [one for one in server.api("GET", "/api/applications") if one["repository"] == work.name]
    found: list[dict[str, Any]] = server.api("GET", f"/api/applications/{application['id']}/settings")
    return found


@pytest.mark.parametrize(
    ("image", "name"), [("postgres:15", "POSTGRES_PASSWORD"), ("mariadb:10.11", "MARIADB_ROOT_PASSWORD")]
)
def test_stand_ins_refuse_to_start_without_a_password(server: Server, image: str, name: str) -> None:
    if PREFIX != base_images.PREFIX:
        pytest.skip("official images are used")
    server.berth("base-images", "build", image)
    done = subprocess.run(
        ["docker", "run", "--rm", PREFIX + image], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert name in done.stderr


def test_what_production_keeps_goes_only_when_asked(server: Server, shop: Work) -> None:
    before, kept = answer(server, shop), volumes(server)
    server.berth("rm", shop.name, "--yes")
    assert server.containers() == []
    assert volumes(server) == kept
    shop.commit()
    shop.push()
    assert server.settled(shop.name)["state"] == "live"
    assert answer(server, shop).split()[1:3] == before.split()[1:3]
    server.berth("rm", shop.name, "--yes", "--volumes")
    assert volumes(server) == set()
