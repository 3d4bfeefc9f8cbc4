"""Nothing blinks: streams, tunnels, idle connections and constant load on one application, through whatever is done to
it and to others on the same edge."""

from __future__ import annotations

import abc
import http.client
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import PREFIX, Asker, Server, Work, clone, get, running, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

DRAIN = 20  # seconds; longer than the streams that begin before a deployment of their own application

TALKING = {
    "Dockerfile": f"""\
        FROM {PREFIX}python:3.11-slim
        COPY app.py /
        EXPOSE 8080
        USER 1000
        CMD ["python", "-u", "/app.py"]
        """,
    "app.py": '''\
        """Answers at once, streams for some seconds, or echoes lines through a tunnel."""
        import signal, sys, time
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        VERSION = "one"
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.headers.get("Upgrade"):
                    return self.tunnel()
                path, _, seconds = self.path.partition("?")
                if path != "/stream":
                    return self.answer(VERSION.encode())
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for number in range(int(seconds) * 10):
                    self.chunk(f"{VERSION} {number}\\n".encode())
                    time.sleep(0.1)
                self.chunk(b"")

            def chunk(self, data):
                self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))

            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def tunnel(self):
                self.send_response(101)
                self.send_header("Connection", "Upgrade")
                self.send_header("Upgrade", "echo")
                self.end_headers()
                self.close_connection = True
                while line := self.rfile.readline():
                    self.wfile.write(VERSION.encode() + b" " + line)

            def log_message(self, *_):
                pass

        ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
        ''',
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("steady"), BERTH_DRAIN_SECONDS=str(DRAIN)) as started:
        yield started


class Client(abc.ABC):
    """Something that uses an application in a thread, and notes what went wrong."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)
        self.failures: list[str] = []
        self.done = 0  # requests, lines, pieces
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self.use()
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.failures.append(f"{type(self).__name__} after {self.done}: {error!r}")

    @abc.abstractmethod
    def use(self) -> None:
        """What it does until it is told to end."""

    def go_on(self, pause: float) -> bool:
        return not self._stop.wait(pause)

    def end(self) -> None:
        """Stops it, and raises when something went wrong."""
        self._stop.set()
        self.wait(30)

    def wait(self, seconds: float) -> None:
        """Waits until it has ended by itself, and raises when something went wrong."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"{type(self).__name__} goes on"
        assert self.failures == []


class KeepsAlive(Client):
    """One connection for request after request; a new one only when the answer says that this one ends."""

    pause = 0.02

    def use(self) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=15)
        while self.go_on(self.pause):
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (answer.status, body)
            self.done += 1
            if answer.will_close:
                connection.close()
        connection.close()


class Idle(KeepsAlive):
    """The same with long silences, in which the edge reloads."""

    pause = 4.0


class Stream(Client):
    """Reads an answer that takes so many seconds, to its end."""

    def __init__(self, url: str, seconds: int) -> None:
        self.seconds = seconds
        self.text = ""
        super().__init__(url)

    def use(self) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=15)
        connection.request("GET", f"/stream?{self.seconds}")
        answer = connection.getresponse()
        while piece := answer.read1(1000):
            self.text += piece.decode()
            self.done += 1
        numbers = [int(line.split()[1]) for line in self.text.splitlines()]
        assert numbers == list(range(self.seconds * 10)), f"it ended after {len(numbers)} lines"

    @property
    def versions(self) -> set[str]:
        return {line.split()[0] for line in self.text.splitlines()}


class Tunnel(Client):
    """A connection that was upgraded, with a line there and back now and then."""

    def use(self) -> None:
        with socket.create_connection((self.host, self.port), timeout=15) as connection:
            connection.sendall(b"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            with connection.makefile("rb") as lines:
                assert lines.readline().startswith(b"HTTP/1.1 101")
                while lines.readline().strip():
                    pass
                while self.go_on(0.2):
                    said = f"{self.done}\n".encode()
                    connection.sendall(said)
                    heard = lines.readline()
                    assert heard.endswith(said), (said, heard)
                    self.done += 1


def deploy(server: Server, folder: Path, name: str, files: dict[str, str]) -> tuple[Work, dict[str, Any]]:
    work = clone(server, folder, f"{name}-{uuid.uuid4().hex[:6]}")
    work.commit(files)
    output = work.push()
    environment = server.settled(work.name)
    assert environment["state"] == "live", output
    return work, environment


def change(work: Work, version: str) -> None:
    work.commit({"app.py": TALKING["app.py"].replace('VERSION = "one"', f'VERSION = "{version}"')})
    output = work.push()
    assert "is live at" in output, output


def test_deployments_of_this_and_of_others(server: Server, tmp_path: Path) -> None:
    ours, environment = deploy(server, tmp_path, "ours", TALKING)
    url = environment["url"]
    load: list[Client] = [KeepsAlive(url), Idle(url), Idle(url)]
    tunnel, long = Tunnel(url), Stream(url, 15)
    with Asker(url) as asker:
        # others come, change and go: each first deployment and each removal is a reload of the edge
        other, theirs = deploy(server, tmp_path, "other", PLAIN)
        with Asker(theirs["url"]) as other_asker:
            other.commit({"index.html": "two\n"})
            other.push()
            server.berth("restart", other.name)
            third, _ = deploy(server, tmp_path, "third", PLAIN)
            server.berth("rm", third.name, "--yes")
            long.wait(30)
            assert long.versions == {"one"}
            tunnel.end()
            assert tunnel.done > 20

            # this one changes while a stream of it is under way: the old instance finishes it
            stream = Stream(url, 8)
            until(lambda: stream.done > 5, "the stream flows", 10)
            change(ours, "two")
            assert get(url).body == "two"
            assert stream.versions == {"one"}
            assert stream.done < 80, "the stream was over before the switch, so nothing was shown"
            second = Stream(url, 8)
            tunnel = Tunnel(url)
            # a port comes while two workers and two instances are busy
            fourth, _ = deploy(server, tmp_path, "fourth", PLAIN)
            stream.wait(20)
            second.wait(20)
            assert second.versions == {"two"}
            server.berth("rm", fourth.name, "--yes")
            assert tunnel.done > 5
            tunnel.end()

            # and every other way to replace an instance
            stream = Stream(url, 5)
            until(lambda: stream.done > 2, "the stream flows", 10)
            server.berth("restart", ours.name)
            stream.wait(20)
            server.berth("rollback", ours.name)
            assert get(url).body == "one"
            time.sleep(1)
    for client in load:
        client.end()
    assert asker.failures == []
    assert other_asker.failures == []
    assert asker.bodies == ["one", "two"]
    assert min(client.done for client in load) >= 5
    assert load[0].done > 300


def test_a_tunnel_is_told_to_end_when_its_own_application_is_replaced(server: Server, tmp_path: Path) -> None:
    """At the end of the drain, not before; the next one then need not wait for it."""
    ours, environment = deploy(server, tmp_path, "drained", TALKING)
    server.berth("set", ours.name, "drain_seconds=5")
    change(ours, "two")
    tunnel = Tunnel(environment["url"])
    until(lambda: tunnel.done > 2, "the tunnel works", 10)
    change(ours, "three")
    at_the_switch, began = tunnel.done, time.monotonic()
    until(lambda: tunnel.failures, "the tunnel ends", 30)
    assert tunnel.done > at_the_switch + 10  # about five a second
    assert 4 < time.monotonic() - began < 15
    assert get(environment["url"]).body == "three"


def listening(port: int, version: str, really: int | None = None) -> dict[str, str]:
    """The small application on another port (``really``: and not where its Dockerfile says)."""
    text = PLAIN["Dockerfile"].replace("8080", str(port))
    return {"Dockerfile": text.replace(f'"{port}"', f'"{really or port}"'), "index.html": f"{version}\n"}


def test_a_deployment_that_listens_on_another_port(server: Server, tmp_path: Path) -> None:
    """What is live is asked on its port until the switch, and goes on there when the deployment fails."""
    ours, environment = deploy(server, tmp_path, "moves", listening(8080, "one"))
    url = environment["url"]
    server.berth("set", ours.name, "verify_seconds=3", "drain_seconds=2")
    with Asker(url) as asker:
        ours.commit(listening(9090, "two"))
        ours.push()
        assert get(url).body == "two\n"
        ours.commit(listening(7070, "three", really=6060))
        assert "listens on port 6060, not on 7070" in ours.push()
        time.sleep(6)  # a reconciliation changes nothing
        assert get(url).body == "two\n"
        found = server.environment_of(ours.name)
        assert found is not None
        assert found["services"][0]["container_port"] == 9090
        server.berth("rollback", ours.name)
        assert get(url).body == "one\n"
        time.sleep(1)
    assert asker.failures == []
    assert asker.bodies == ["one\n", "two\n"]


def test_a_restart_of_the_server(server: Server, tmp_path: Path) -> None:
    """Neither a clean one nor a kill is an event for anybody."""
    _, environment = deploy(server, tmp_path, "kept", TALKING)
    url = environment["url"]
    load: list[Client] = [KeepsAlive(url), Idle(url), Tunnel(url), Stream(url, 10)]
    with Asker(url) as asker:
        server.stop()
        server.start()
        server.kill()
        server.start()
        load[-1].wait(20)
    for client in load:
        client.end()
    assert asker.failures == []
