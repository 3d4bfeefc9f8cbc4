"""The server is killed in the middle of each phase and started again: the deployment goes on, nobody notices."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Asker, Server, clone, docker, get, processes, running, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

# a build, a start and an answer that take long enough to be hit
SLOW = """\
    FROM berth.test/busybox:1
    RUN sleep 2
    COPY . /www
    EXPOSE 8080
    CMD ["sh", "-c", "sleep 2; exec busybox httpd -f -p 8080 -h /www"]
    """


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("killed")) as started:
        yield started


def wait_for_phase(server: Server, phase: str, after: int) -> None:
    """Reads the database itself, as fast as possible, until a deployment newer than ``after`` is in ``phase``."""
    deadline = time.monotonic() + 60
    with sqlite3.connect(f"file:{server.data_dir / 'berth.db'}?mode=ro", uri=True) as database:
        while time.monotonic() < deadline:
            row = database.execute("select phase, state from deployments where id > ?", (after,)).fetchone()
            if row and (row[0] == phase or (phase == "queued" and row[1] == "queued")):
                return
    raise AssertionError(f"never in phase {phase}")


def newest(server: Server) -> int:
    with sqlite3.connect(f"file:{server.data_dir / 'berth.db'}?mode=ro", uri=True) as database:
        return int(database.execute("select coalesce(max(id), 0) from deployments").fetchone()[0])


@pytest.mark.parametrize("phase", ["queued", "fetch", "detect", "generate", "build", "start", "verify", "switch"])
def test_killed_in(server: Server, phase: str, tmp_path: Path) -> None:
    shop = clone(server, tmp_path, f"kill-{phase}")
    shop.commit({**PLAIN, "index.html": "one\n"})
    shop.push()
    environment = server.settled(shop.name)
    before = newest(server)
    shop.commit({"Dockerfile": SLOW, "index.html": "two\n"})
    with Asker(environment["url"]) as asker:
        push = shop.push_in_background()
        wait_for_phase(server, phase, before)
        server.kill()
        push.wait(60)
        assert get(environment["url"]).status == 200
        server.start()
        after = server.settled(shop.name)
        until(lambda: get(environment["url"]).body == "two\n", "the new version answers", 60)
        time.sleep(0.3)
    assert asker.failures == []
    assert (after["state"], after["latest"]["state"]) == ("live", "live")
    assert after["live"]["sha"] == shop.git("rev-parse", "HEAD").strip()
    label = f"label=berth.environment={environment['id']}"
    ours = f"label=berth.instance={server.instance}"

    def one_instance() -> bool:
        return len(docker("ps", "-aq", "--filter", label, "--filter", ours).split()) == 1

    until(one_instance, "one instance is left", 30)
    assert list((server.data_dir / "tmp").iterdir()) == []
    server.berth("rm", shop.name, "--yes")


def test_a_clean_stop_in_the_middle_of_a_build_gives_it_back(server: Server, tmp_path: Path) -> None:
    shop = clone(server, tmp_path, "clean")
    before = newest(server)
    shop.commit({**PLAIN, "Dockerfile": SLOW.replace("sleep 2\n", "sleep 6.25\n")})
    push = shop.push_in_background()
    wait_for_phase(server, "build", before)
    time.sleep(1)
    assert server.stop() == 0
    push.wait(30)
    assert processes("sleep 6.25") == []
    server.start()
    url = server.settled(shop.name)["url"]
    # the commit point is in the database; the edge follows it a moment later
    until(lambda: get(url).body == "one\n", "the edge leads to it", 10)


def test_instances_outlive_the_server_and_are_found_again(server: Server, tmp_path: Path) -> None:
    shop = clone(server, tmp_path, "outlives")
    shop.commit(PLAIN)
    shop.push()
    environment = server.settled(shop.name)
    with Asker(environment["url"]) as asker:
        assert server.stop() == 0
        server.start()
        time.sleep(1)
    assert asker.failures == []
    # what should run runs: a container that somebody removed comes back, a stranger with our label goes
    label = f"label=berth.environment={environment['id']}"
    container = docker("ps", "-q", "--filter", label, "--filter", f"label=berth.instance={server.instance}").strip()
    docker("rm", "-f", container)
    stranger = docker(
        *(
            "run",
            "-d",
            "--label",
            f"berth.instance={server.instance}",
            "--label",
            "berth.made=true",
            "--label",
            "berth.environment=999",
        ),
        *("berth.test/busybox:1", "sleep", "600"),
    ).strip()
    until(lambda: get(environment["url"]).status == 200, "the instance is back", 60)
    until(lambda: stranger[:12] not in docker("ps", "-aq"), "the stranger is gone", 60)
