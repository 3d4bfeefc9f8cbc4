"""The installation among others on its machine: neighbours, strangers on ports, Docker going away, a full disk."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Asker, Relay, Server, Work, clone, docker, free_port, get, running, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def deployed(server: Server, folder: Path, name: str) -> tuple[Work, dict[str, Any]]:
    """A small application that is live, and its environment."""
    work = clone(server, folder, f"{name}-{uuid.uuid4().hex[:6]}")
    work.commit(PLAIN)
    output = work.push()
    environment = server.settled(work.name)
    assert environment["state"] == "live", output
    return work, environment


def environment_of(server: Server, work: Work) -> dict[str, Any]:
    found = server.environment_of(work.name)
    assert found is not None
    return found


def belongings(instance: str) -> dict[str, Any]:
    """Everything of an installation on the engine, with what would change if somebody touched it."""
    mine = f"label=berth.instance={instance}"
    ids = docker("ps", "-aq", "--no-trunc", "--filter", mine).split()
    found = json.loads(docker("inspect", *ids)) if ids else []
    return {
        "containers": {
            one["Name"]: (one["Id"], one["State"]["StartedAt"], one["State"]["Status"], one["RestartCount"])
            for one in found
        },
        "networks": sorted(docker("network", "ls", "-q", "--no-trunc", "--filter", mine).split()),
        "images": sorted(docker("images", "-q", "--no-trunc", "--filter", mine).split()),
    }


def serve_refused(server: Server, **variables: str) -> str:
    """The one line with which ``berth serve`` refuses to start."""
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "serve"],
        env=server.environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("berth: ")
    return lines[0]


# ------------------------------------------------------------------------------------------------- neighbours


def test_two_installations_one_of_them_wiped(server: Server, tmp_path: Path) -> None:
    _, mine = deployed(server, tmp_path, "mine")
    with running(tmp_path / "neighbour") as neighbour:
        _, other = deployed(neighbour, tmp_path, "other")
        assert other["url"] != mine["url"]
        assert neighbour.instance != server.instance
        theirs = neighbour.instance
        before = belongings(server.instance)
        with Asker(mine["url"]) as asker:
            neighbour.kill()
            neighbour.wipe(theirs)
            shutil.rmtree(neighbour.data_dir)
            time.sleep(6)  # longer than the time between two of our reconciliations
            assert belongings(server.instance) == before
        assert belongings(theirs) == {"containers": {}, "networks": [], "images": []}
        assert asker.failures == []
        assert asker.asked > 100
        # the wiped one begins anew, and leaves us alone as well
        neighbour.start()
        assert neighbour.instance != theirs
        with Asker(mine["url"]) as asker:
            _, again = deployed(neighbour, tmp_path, "again")
            assert get(again["url"]).body == "one\n"
        assert asker.failures == []
        assert belongings(server.instance) == before


def test_a_second_server_on_the_same_data_folder(server: Server, tmp_path: Path) -> None:
    _, environment = deployed(server, tmp_path, "first")
    before = belongings(server.instance)
    assert server.process is not None
    line = serve_refused(server, BERTH_PORT=str(free_port()))
    assert f"process {server.process.pid}" in line
    assert str(server.data_dir) in line
    assert "already runs" in serve_refused(server)  # on the same port too
    assert belongings(server.instance) == before
    assert get(environment["url"]).body == "one\n"
    assert server.berth("ps").returncode == 0


def test_tokens(server: Server, tmp_path: Path) -> None:
    work, environment = deployed(server, tmp_path, "tokens")
    path = f"/api/environments/{environment['id']}"
    for token in ("", "wrong", server.token + "x", server.token[:-1], "é"):
        for method, where in (("GET", path), ("POST", f"{path}/stop"), ("DELETE", path), ("GET", "/api/system")):
            assert status_with(server, token, method, where) == 401, (token, method, where)
    refused = subprocess.run(
        [sys.executable, "-m", "bot.cli", "ps"],
        env=server.environment | {"BERTH_TOKEN": "wrong"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "does not accept the token" in refused.stderr
    # git: each repository has a token of its own, and nothing is said about which ones exist
    other, _ = deployed(server, tmp_path, "tokens-other")
    good = work.git("remote", "get-url", "berth").strip()
    stranger = other.git("remote", "get-url", "berth").strip()
    password = stranger.partition("@")[0].rpartition(":")[2]
    for url in (
        good.replace(good.partition("@")[0].rpartition(":")[2], password),
        good.partition("//")[0] + "//" + good.partition("@")[2],
        good.replace(work.name, "nothing"),
    ):
        work.git("remote", "set-url", "berth", url)
        done = work.try_push("HEAD:refs/heads/stolen")
        assert done.returncode != 0
        assert "uthentication failed" in done.stderr or "could not read Username" in done.stderr, done.stderr
    assert server.environment_of(work.name, "preview/stolen") is None
    assert get(environment["url"]).body == "one\n"


def status_with(server: Server, token: str, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest(method, path)
    if token:
        connection.putheader("Authorization", f"Bearer {token}".encode())
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


# -------------------------------------------------------------------------------------------- keys and folders


def test_the_encryption_key(tmp_path: Path) -> None:
    with running(tmp_path / "keys") as server:
        work, environment = deployed(server, tmp_path, "keys")
        server.berth("env", "set", work.name, "--secret", "SECRET=correct horse")
        assert server.stop() == 0
        key = (server.data_dir / "secret.key").read_text().strip()
        new = Fernet.generate_key().decode()
        for wrong in (new, f"{new},{Fernet.generate_key().decode()}"):
            assert "The encryption key is not the one" in serve_refused(server, BERTH_SECRET_KEYS=wrong)
        assert "not a Fernet key" in serve_refused(server, BERTH_SECRET_KEYS="secret")
        (server.data_dir / "secret.key").write_text(new + "\n")
        assert "The encryption key is not the one" in serve_refused(server)
        assert get(environment["url"]).body == "one\n"  # the edge and the application do not need the server
        # the old key put back beside a new one: all is there
        server.variables["BERTH_SECRET_KEYS"] = f"{new},{key}"
        server.start()
        work.commit({"index.html": "two\n"})
        work.push()
        assert get(environment["url"]).body == "two\n"
        container = server.container(environment["id"])
        assert "SECRET=correct horse" in container["Config"]["Env"]


def test_a_data_folder_and_variables_that_cannot_be(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for variables, words in (
        ({"BERTH_DATA_DIR": str(file)}, "cannot be used"),
        ({"BERTH_DATA_DIR": "/proc/berth"}, "cannot be used"),
        ({"BERTH_PORT": "http"}, "BERTH_PORT"),
        ({"BERTH_PORT": "70000"}, "BERTH_PORT"),
        ({"BERTH_PORT_MIN": "30000", "BERTH_PORT_MAX": "20000"}, "BERTH_PORT_MIN"),
        ({"BERTH_NETWORK_POOL": "8.8.8.0/24"}, "BERTH_NETWORK_POOL"),
        ({"BERTH_EDGE_BIND": "localhost"}, "BERTH_EDGE_BIND"),
        ({"BERTH_DOCKER_HOST": "nonsense"}, "BERTH_DOCKER_HOST"),
        ({"BERTH_DATABASE_URL": "nonsense://x"}, "BERTH_DATABASE_URL"),
        ({"BERTH_HOST": "203.0.113.7"}, "203.0.113.7"),
    ):
        fresh = {"BERTH_DATA_DIR": str(tmp_path / uuid.uuid4().hex), "BERTH_PORT": str(free_port())}
        assert words in serve_refused(server, **(fresh | variables)), variables


# ------------------------------------------------------------------------------------------------- Docker away


@pytest.fixture
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    folder = tmp_path_factory.mktemp("r")
    relay = Relay(folder / "d.sock")
    yield relay
    with contextlib.suppress(AssertionError):
        relay.stop()


def test_docker_comes_and_goes(relay: Relay, tmp_path: Path) -> None:
    server = Server(tmp_path / "away", {"BERTH_DOCKER_HOST": relay.host}).start(ready=False)
    instance = server.instance
    try:
        until(lambda: server.api("GET", "/api/system")["problem"].startswith("The Docker Engine"), "it is noticed", 20)
        system = server.api("GET", "/api/system")
        assert system["engine"]["ok"] is False
        assert relay.host in system["problem"]
        assert "BERTH_DOCKER_HOST" in system["problem"]
        assert server.log.count("nothing can be deployed now") == 1
        doctor = server.berth("doctor", check=False)
        assert doctor.returncode == 1
        assert str(relay.path) in doctor.stdout + doctor.stderr

        # a push is stored; whoever pushes is told what it waits for
        work = clone(server, tmp_path, "patient")
        sha = work.commit(PLAIN)
        command = ["git", "-C", str(work.path), "push", "berth", "HEAD:refs/heads/main"]
        with (tmp_path / "push.log").open("w") as log:
            push = subprocess.Popen(command, stderr=log)
        until(lambda: "cannot be reached" in (tmp_path / "push.log").read_text(), "the pusher is told", 20)
        assert environment_of(server, work)["latest"]["state"] == "queued"
        server.kill()  # not even this loses it
        push.wait(30)
        server.start(ready=False)
        assert environment_of(server, work)["latest"]["sha"] == sha

        relay.start()
        until(lambda: environment_of(server, work)["state"] == "live", "it is deployed when Docker is there", 60)
        environment = environment_of(server, work)
        assert get(environment["url"]).body == "one\n"

        # Docker goes in the middle of a build
        slow = PLAIN["Dockerfile"].replace("EXPOSE", f"RUN sleep 5 # {instance}\n        EXPOSE")
        work.commit({"Dockerfile": slow, "index.html": "two\n"})
        with Asker(environment["url"]) as asker:
            push = work.push_in_background()
            until(lambda: server.phase(work.name) == "build", "it builds", 30)
            time.sleep(1)
            relay.stop()
            until(lambda: environment_of(server, work)["latest"]["step"] == "waiting for the Docker Engine", "it waits")
            assert environment_of(server, work)["latest"]["state"] == "running"
            # meanwhile people may ask and push as always
            work.commit({"index.html": "three\n"})
            again = work.push_in_background()
            time.sleep(2)
            assert server.berth("ps").returncode == 0
            relay.start()
            for process in (push, again):
                process.wait(120)
            until(lambda: get(environment["url"]).body == "three\n", "the newest is live", 60)
        assert asker.failures == []
        history = server.api("GET", f"/api/environments/{environment['id']}/deployments")
        # what waits for Docker is not under way, so the newer commit takes its place, in production too
        assert [one["state"] for one in history] == ["live", "superseded", "retired"]
        until(lambda: len([one for one in server.containers() if one["State"]["Running"]]) == 1, "one instance is left")

        # and while nothing happens: noticed, and mended by itself; what was asked for meanwhile is done
        relay.stop()
        until(lambda: server.api("GET", "/api/system")["problem"], "it is noticed", 20)
        asked = server.api("POST", f"/api/environments/{environment['id']}/restart")
        time.sleep(2)
        relay.start()
        until(lambda: not server.api("GET", "/api/system")["problem"], "it is noticed", 20)
        done = until(
            lambda: (one := server.api("GET", f"/api/work/{asked['work_id']}"))["state"] == "done" and one,
            "the restart is done",
            60,
        )
        assert done["outcome"] == ""
        assert get(environment["url"]).body == "three\n"
        server.is_well()
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        server.wipe(instance)


# --------------------------------------------------------------------------------------------------- strangers


class Stranger:
    """Another program on a port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until(lambda: self._bind(port), f"port {port} is free", 20, 0.02)
        self._socket.listen()

    def _bind(self, port: int) -> bool:
        self._socket.bind(("127.0.0.1", port))
        return True

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@pytest.mark.parametrize("down", [True, False], ids=["while the server is down", "while it runs"])
def test_a_stranger_takes_a_port(server: Server, tmp_path: Path, down: bool) -> None:
    """As after a reboot at which another program was quicker."""
    _, first = deployed(server, tmp_path, "taken")
    second_work, second = deployed(server, tmp_path, "spared")
    port = first["services"][0]["port"]
    edge = f"berth-{server.instance}-edge"
    if down:
        server.stop()
    docker("kill", edge)
    with Stranger(port):
        if down:
            server.start()

        def conflict() -> bool:
            return bool(environment_of_id(server, first["id"])["state"] == "port_conflict")

        until(conflict, "the environment says port_conflict", 60)
        until(lambda: get(second["url"]).body == "one\n", "the other one answers", 30)
        found = environment_of_id(server, first["id"])
        assert f"port {port}" in found["reason"]
        assert "port_conflict" in server.berth("ps").stdout
        others = [one["state"] for one in server.api("GET", "/api/environments") if one["id"] != first["id"]]
        assert "port_conflict" not in others
        with Asker(second["url"]) as asker:
            second_work.commit({"index.html": "two\n"})
            second_work.push()
            _, third = deployed(server, tmp_path, "third")
            assert get(third["url"]).body == "one\n"
        assert asker.failures == []
        assert port not in server.api("GET", "/api/system")["edge"]["ports"]
    until(lambda: environment_of_id(server, first["id"])["state"] == "live", "the environment recovers", 60)
    until(lambda: get(first["url"]).body == "one\n", "its port answers again", 20)


def environment_of_id(server: Server, identifier: int) -> dict[str, Any]:
    found: dict[str, Any] = server.api("GET", f"/api/environments/{identifier}")
    return found


# ---------------------------------------------------------------------------------------------------- no space


def test_too_little_space_for_a_build(tmp_path: Path) -> None:
    with running(tmp_path / "full", BERTH_DISK_MIN_FREE=str(10**15)) as server:
        work = clone(server, tmp_path, "no-space")
        work.commit(PLAIN)
        output = work.push()
        latest = server.failed(work.name)
        assert latest["phase"] == "build"
        assert "GB are free" in latest["reason"]
        assert latest["reason"] in output
        assert docker("images", "-q", "--filter", f"label=berth.instance={server.instance}") == ""
        doctor = server.berth("doctor", check=False)
        assert doctor.returncode == 1
        assert "GB free; builds need 1000000.0 GB" in doctor.stdout
        server.is_well()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "berth-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user cannot mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_the_disk_of_the_data_folder_is_full(small_disk: Path, tmp_path: Path) -> None:
    with running(small_disk) as server:
        work, environment = deployed(server, tmp_path, "small")
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(bytes(free - 3_000_000))
        # a checkout that does not fit
        (work.path / "large").write_text(uuid.uuid4().hex * 250_000)  # 8 MB that travel as a few KB
        work.commit()
        output = work.push()
        latest = server.failed(work.name)
        assert "no space left" in latest["reason"].lower(), latest
        assert latest["reason"] in output
        assert get(environment["url"]).body == "one\n"
        # nothing at all fits: a push is refused, the server lives and says what is wrong
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        (work.path / "more").write_bytes(uuid.uuid4().bytes * 1000)
        work.commit()
        done = work.try_push("HEAD:refs/heads/main")
        assert done.returncode != 0
        assert "No space left on device" in done.stderr
        # the database's log may have room left for a few
        settings = (server.berth("env", "set", work.name, f"A{n}=" + "1" * 30_000, check=False) for n in range(100))
        refused = [next(done for done in settings if done.returncode), server.berth("remote", "another", check=False)]
        for command in refused:
            assert (command.returncode, command.stderr.count("\n")) == (1, 1), command
            assert "disk is full" in command.stderr or "No space left on device" in command.stderr
        assert server.berth("ps").returncode == 0
        assert get(environment["url"]).body == "one\n"
        assert get(f"{server.url}/healthz").body == "ok"
        # space again: all goes on, without a restart
        filler.unlink()
        (work.path / "large").unlink()
        work.commit({"index.html": "after\n"})
        until(lambda: work.try_push("HEAD:refs/heads/main").returncode == 0, "a push is taken", 30)
        until(lambda: get(environment["url"]).body == "after\n", "it is live", 60)
        assert get(f"{server.url}/healthz").body == "ok"
