"""Builds and applications that misbehave: what is said about them, and that nobody else notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Server, Slowest, Work, clone, get, running, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Make = Callable[[str], Work]
LOG_BYTES = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"BERTH_VERIFY_TIMEOUT": "3", "BERTH_LOG_MAX_BYTES": str(LOG_BYTES)}
    with running(tmp_path_factory.mktemp("limited"), **limits) as started:
        yield started


@pytest.fixture(autouse=True)
def still_well(server: Server) -> Iterator[None]:
    mark = len(server.log)
    yield
    server.is_well(mark)


def commands() -> list[str]:
    """The command lines of all processes of this machine."""
    found = []
    for process in psutil.process_iter():
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_a_build_that_never_ends(tmp_path: Path) -> None:
    seconds = str(100_000 + int(time.time()) % 100_000)
    with running(tmp_path / "hasty", BERTH_BUILD_TIMEOUT="5") as hasty:
        shop = clone(hasty, tmp_path, "endless")
        shop.commit(
            {**PLAIN, "Dockerfile": PLAIN["Dockerfile"].replace("EXPOSE", f"RUN sleep {seconds}\n        EXPOSE")}
        )
        began = time.monotonic()
        push = shop.push_in_background()
        until(lambda: any(f"sleep {seconds}" in command for command in commands()), "the step runs", 20)
        push.wait(60)
        assert time.monotonic() - began < 25
        latest = hasty.failed(shop.name)
        assert latest["phase"] == "build"
        assert latest["reason"] == "The build took longer than 5 s and was ended."
        assert not any(f"sleep {seconds}" in command for command in commands())
        # the next build has its place
        shop.commit(PLAIN)
        shop.push()
        assert get(hasty.settled(shop.name)["url"]).body == "one\n"


def runs(command: str, expose: int = 8080) -> dict[str, str]:
    return {
        "Dockerfile": f"""\
            FROM berth.test/busybox:1
            COPY index.html /www/
            COPY run /
            EXPOSE {expose}
            USER 1000
            CMD ["sh", "/run"]
            """,
        "index.html": "one\n",
        "run": command + "\n",
    }


NOT_ANSWERING = {
    "never listens": ("exec sleep 600", ("Nothing listens on port 8080 after 3 s", "no port at all")),
    "another port": ("exec busybox httpd -f -p 9123 -h /www", ("listens on port 9123, not on 8080",)),
    "this host only": ("exec busybox httpd -f -p 127.0.0.1:8080 -h /www", ("listens on 127.0.0.1:8080 only",)),
    "both": ("exec busybox httpd -f -p 127.0.0.1:9124 -h /www", ("127.0.0.1:9124 only", "not on port 8080")),
    "crashes": ("echo last words of it >&2; exit 9", ("exit code 9",)),
    "ends": ("echo done", ("exit code 0",)),
    "no program": ("exec nothing-of-this-name", ("exit code 127",)),
    "not HTTP": ("while :; do echo hello | nc -l -p 8080; done", ("8080",)),
    "a signal": ("kill -SEGV $$", ("signal 11",)),
    "errors": (
        "while :; do printf 'HTTP/1.1 503 Busy\\r\\nContent-Length: 0\\r\\n\\r\\n' | nc -l -p 8080; done",
        ("answered 503 on /",),
    ),
}


def test_applications_that_do_not_answer(server: Server, work: Make) -> None:
    shop = work("silent")
    shop.commit(runs("exec busybox httpd -f -p 8080 -h /www"))
    shop.push()
    live = server.settled(shop.name)
    for name, (command, words) in NOT_ANSWERING.items():
        shop.commit(runs(command), name)
        output = shop.push()
        latest = server.failed(shop.name)
        assert latest["phase"] == "verify", (name, latest)
        for word in words:
            assert word in latest["reason"], (name, latest["reason"])
        assert latest["reason"] in output, name
        if name == "crashes":
            assert "last words of it" in output
        assert get(live["url"]).body == "one\n", name
        assert server.container(live["id"])["State"]["Running"], name  # and the candidate is gone


EATS = "exec dd if=/dev/zero of=/dev/null bs=300M"


def test_killed_for_memory(server: Server, work: Make) -> None:
    shop = work("memory")
    shop.commit(runs(EATS))
    server.berth("set", shop.name, "memory=16m", check=False)
    shop.push()
    server.berth("set", shop.name, "memory=16m")
    server.berth("redeploy", shop.name, check=False)
    latest = server.failed(shop.name)
    assert "memory" in latest["reason"]
    assert "16" in latest["reason"] + latest["fix"], latest
    instance = server.api("GET", f"/api/deployments/{latest['id']}")["instances"][-1]
    assert (instance["oom_killed"], instance["exit_code"]) == (True, 137)

    # one that is live first: it is restarted, and when that does not help, said
    shop.commit(runs(f"test -e /tmp/again && {EATS}; touch /tmp/again; busybox httpd -p 8080 -h /www; sleep 4; {EATS}"))
    output = shop.push()
    assert server.settled(shop.name)["latest"]["state"] == "live", output

    def looping() -> dict[str, Any] | None:
        found = server.environment_of(shop.name)
        return found if found and found["state"] == "crash_looping" else None

    environment = until(looping, "the environment says that it is crash looping", 60)
    assert "killed for its memory use" in environment["reason"]
    assert server.environment_of(shop.name)["live"]["id"] == environment["live"]["id"]  # type: ignore[index]
    shop.commit(runs("exec busybox httpd -f -p 8080 -h /www"))
    output = shop.push()
    mended = server.settled(shop.name)
    assert (mended["state"], mended["latest"]["state"]) == ("live", "live"), output
    assert get(mended["url"]).body == "one\n"


def test_a_flood_of_log_lines(server: Server, work: Make) -> None:
    shop = work("flood")
    shop.commit(runs("busybox httpd -p 8080 -h /www; exec yes 'the same line again and again, as fast as it can'"))
    shop.push()
    environment = server.settled(shop.name)
    assert environment["state"] == "live"
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    slowest = Slowest(server)
    until_then = time.monotonic() + 8
    while time.monotonic() < until_then:
        slowest.ask()
        assert get(environment["url"]).body == "one\n"
        time.sleep(0.1)
    server.berth("stop", shop.name)
    assert slowest.seconds < 3
    assert process.memory_info().rss - before < 60_000_000
    folder = server.data_dir / "logs"
    sizes = [sum(file.stat().st_size for file in one.rglob("*") if file.is_file()) for one in folder.iterdir()]
    assert max(sizes) < 2 * LOG_BYTES  # a deployment's own log and that of its instance
    assert "the same line" in server.berth("logs", shop.name, "--tail", "5").stdout
