"""What people do at the wrong moment, several things at once, and what others do to our containers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Asker, Server, Work, docker, get, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Make = Callable[[str], Work]


def runs(command: str) -> dict[str, str]:
    shell = json.dumps(["sh", "-c", command])
    return {"Dockerfile": f"FROM berth.test/busybox:1\nEXPOSE 8080\nUSER 1000\nCMD {shell}\n"}


def deployed(work: Work, files: dict[str, str]) -> dict[str, Any]:
    work.commit(files)
    output = work.push()
    environment = work.server.settled(work.name)
    assert environment["state"] == "live", output
    return environment


def builds_slowly(work: Work) -> subprocess.Popen[bytes]:
    """A push whose build is under way."""
    slow = PLAIN["Dockerfile"].replace("EXPOSE", f"RUN sleep 20 # {work.name}\n        EXPOSE")
    work.commit({"Dockerfile": slow})
    push = work.push_in_background()
    until(lambda: work.server.phase(work.name) == "build", "it builds", 30)
    time.sleep(0.5)
    return push


def test_stopped_and_removed_in_the_middle_of_a_build(server: Server, work: Make) -> None:
    shop = work("hasty")
    environment = deployed(shop, PLAIN)
    push = builds_slowly(shop)
    server.berth("stop", shop.name)
    push.wait(20)
    stopped = server.settled(shop.name)
    assert (stopped["state"], stopped["latest"]["state"]) == ("stopped", "cancelled")
    assert "asked to stop it" in stopped["latest"]["reason"]
    server.berth("start", shop.name)
    assert get(environment["url"]).body == "one\n"
    push = builds_slowly(shop)
    server.berth("rm", shop.name, "--yes")
    push.wait(20)
    assert server.environment_of(shop.name) is None
    label = f"label=berth.environment={environment['id']}"
    assert docker("ps", "-aq", "--filter", label, "--filter", f"label=berth.instance={server.instance}") == ""


def test_many_branches_in_one_push(server: Server, work: Make) -> None:
    shop = work("wide")
    deployed(shop, PLAIN)
    names = [f"branch-{number}" for number in range(6)]
    for name in names:
        shop.commit({"index.html": f"{name}\n"})
        shop.git("branch", name)
    done = shop.try_push(*names)
    assert done.returncode == 0, done.stderr
    for name in names:
        assert f"{name} is live at" in done.stderr
        assert get(server.settled(shop.name, f"preview/{name}")["url"]).body == f"{name}\n"
    done = shop.try_push(*(f":{name}" for name in names))
    assert done.returncode == 0, done.stderr

    def left() -> list[str]:
        return [one["ref"] for one in server.api("GET", "/api/environments") if one["repository"] == shop.name]

    until(lambda: left() == ["main"], "the previews are removed", 60)


def test_several_wishes_at_once(server: Server, work: Make) -> None:
    shop = work("wishes")
    environment = deployed(shop, PLAIN)
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "bot.cli", command, shop.name],
            env=server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in ("restart", "stop", "restart", "start", "redeploy")
    ]
    for command in commands:
        output = command.communicate(timeout=120)[0]
        assert "Traceback" not in output
        assert "mistake" not in output
    server.berth("start", shop.name)
    found = server.settled(shop.name)
    assert found["state"] == "live"
    assert get(environment["url"]).body == "one\n"
    server.container(environment["id"])  # just one is left
    server.is_well()


def test_containers_that_others_stop_and_remove(server: Server, work: Make) -> None:
    shop = work("handled")
    environment = deployed(shop, PLAIN)
    url, container = environment["url"], server.container(environment["id"])["Id"]
    docker("kill", container)
    until(lambda: get(url).status == 200, "it is started again", 30)
    docker("stop", "-t", "0", container)
    until(lambda: get(url).status == 200, "it is started again", 30)
    docker("rm", "-f", container)
    until(lambda: get(url).status == 200, "there is another one", 60)
    docker("rm", "-f", server.container(environment["id"])["Id"], f"berth-{server.instance}-edge")
    until(lambda: get(url).status == 200, "the edge and the application are back", 60)
    assert server.settled(shop.name)["live"]["id"] == environment["live"]["id"]
    # in the middle of its deployment
    shop.commit(runs("sleep 600"))
    push = shop.push_in_background()
    until(lambda: server.phase(shop.name) == "verify", "it is asked", 30)
    time.sleep(0.5)
    label = f"label=berth.environment={environment['id']}"
    ids = docker("ps", "-q", "--filter", label, "--filter", f"label=berth.instance={server.instance}").split()
    docker("rm", "-f", ids[0])  # the newest
    push.wait(60)
    # it is first killed and then removed: what is met depends on the moment
    assert server.failed(shop.name)["reason"] in {
        "The container was removed while it started.",
        "The application was ended by signal 9 (exit code 137).",
    }
    assert get(url).body == "one\n"


def test_an_application_that_does_not_speak_http(server: Server, work: Make) -> None:
    shop = work("lines")
    shop.commit(runs("while :; do echo hello | nc -l -p 8080; done"))
    server.berth("set", shop.name, "protocol=tcp")
    output = shop.push()
    environment = server.settled(shop.name)
    port = environment["services"][0]["port"]
    assert environment["url"] == f"tcp://127.0.0.1:{port}"
    assert environment["url"] in output

    def heard() -> bytes:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            return connection.recv(100)

    assert until(heard, "it speaks", 10) == b"hello\n"
    # and one that does, on the same port
    server.berth("set", shop.name, "protocol=")
    assert deployed(shop, PLAIN)["url"] == f"http://127.0.0.1:{port}"
    with Asker(f"http://127.0.0.1:{port}") as asker:
        server.berth("restart", shop.name)
    assert asker.failures == []
    assert asker.bodies == ["one\n"]
