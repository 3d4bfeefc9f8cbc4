"""A real server in a process of its own, driven with real git, the real command line and HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = os.environ.get("BERTH_TEST_BASE_IMAGE_PREFIX", "berth.local/")
GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
}


def free_port() -> int:
    """A port below those of the applications and of outgoing connections."""
    for port in random.sample(range(10_000, 20_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0, pause: float = 0.1) -> Any:
    """The first true result of ``condition``; fails with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
        except (OSError, http.client.HTTPException) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s: {what}; last seen: {last!r}")


def processes(command: str) -> list[str]:
    """Command lines on this machine, those in containers and build steps among them, that hold ``command``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if command in line:
                found.append(line)
    return found


@dataclass
class Reply:
    status: int
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def get(url: str, timeout: float = 10.0) -> Reply:
    """A plain GET; error statuses are replies too."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return Reply(answer.status, answer.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read().decode(errors="replace"))


class Asker:
    """Asks an address all the time, each time on a new connection, and counts what did not succeed."""

    def __init__(self, url: str) -> None:
        self.url, self.asked = url, 0
        self.failures: list[str] = []
        self.bodies: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Asker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.asked += 1
            try:
                reply = get(self.url, 10)
                if reply.status != 200:
                    self.failures.append(f"{reply.status} {reply.body[:80]}")
                elif reply.body not in self.bodies:
                    self.bodies.append(reply.body)
            except OSError as error:
                self.failures.append(repr(error))
            time.sleep(0.01)


class Relay:
    """A socket that leads to the machine's Docker Engine, while it is started: to the server, Docker goes and comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """As when the daemon is killed: nobody listens any more, and what is open breaks."""
        assert self._listener is not None
        self.path.unlink()
        with self._lock:
            ends = [self._listener, *self._open]
            self._listener = None
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was stopped
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect("/var/run/docker.sock")
                with self._lock:
                    self._open |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                target.sendall(piece)
        for end in (source, target):  # an engine's answer ends with its connection
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            with self._lock:
                self._open.discard(end)


@dataclass
class Server:
    """``berth serve`` with a data folder of its own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "BERTH_DATA_DIR": str(self.data_dir),
            "BERTH_PORT": str(self.port),
            "BERTH_PUBLIC_URL": f"http://localhost:{self.port}",
            "BERTH_BASE_IMAGE_PREFIX": PREFIX,
            "BERTH_DRAIN_SECONDS": "3",
            "BERTH_STOP_GRACE": "3",
            "BERTH_VERIFY_TIMEOUT": "30",
            "BERTH_PORT_QUARANTINE": "1",
            "BERTH_RECONCILE_SECONDS": "5",
            **self.variables,
        }

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text() if (self.folder / "serve.log").exists() else ""

    def start(self, *, ready: bool = True) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bot.cli", "serve"], env=self.environment, stdout=log, stderr=log
            )
        until(self._answers, f"the server answers; log: {self.log[-3000:]}", 90)
        if ready:
            until(lambda: "ready to deploy" in self.log[self._mark :], "the engine and the edge are ready", 90)
        return self

    _mark: int = 0

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.log[-3000:]}"
        return get(f"{self.url}/healthz").status == 200

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._mark = len(self.log)

    def stop(self) -> int:
        """A clean stop; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            code = self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the server did not stop within 40 s; log: {self.log[-3000:]}") from None
        self._mark = len(self.log)
        return code

    @property
    def instance(self) -> str:
        return str(self.api("GET", "/api/system")["instance"])

    @property
    def token(self) -> str:
        return (self.data_dir / "operator-token").read_text().strip()

    def api(self, method: str, path: str, body: Any = None, *, timeout: float = 60.0) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def berth(self, *arguments: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """The command line against this server."""
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **more,
        )
        assert not check or done.returncode == 0, f"berth {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def environment_of(self, name: str, label: str = "production") -> dict[str, Any] | None:
        found = self.api("GET", "/api/environments")
        return next((one for one in found if one["repository"] == name and one["label"] == label), None)

    def phase(self, name: str, label: str = "production") -> str | None:
        """What the newest deployment is doing."""
        found = self.environment_of(name, label)
        return found["latest"]["phase"] if found and found["latest"] else None

    def settled(self, name: str, label: str = "production", seconds: float = 180.0) -> dict[str, Any]:
        """The environment, once its newest deployment has ended."""

        def ended() -> dict[str, Any] | None:
            found = self.environment_of(name, label)
            done = {"live", "retired", "failed", "cancelled", "superseded"}
            return found if found and found["latest"] and found["latest"]["state"] in done else None

        until(ended, f"{name} {label} has settled; log: {self.log[-2000:]}", seconds, 0.2)
        # what is live and what is newest are two looks, between which the switch may have come: now it has
        result: dict[str, Any] | None = ended()
        assert result is not None
        return result

    def failed(self, name: str) -> dict[str, Any]:
        """The newest deployment, which failed with a reason and a fix."""
        latest: dict[str, Any] = self.settled(name)["latest"]
        assert latest["state"] == "failed", latest
        assert latest["reason"].endswith("."), latest
        assert latest["fix"], latest
        return latest

    def is_well(self, mark: int = 0) -> None:
        """It answers, found no mistake of its own since the log was ``mark`` long, and left no half-made files."""
        assert get(f"{self.url}/healthz").body == "ok"
        told = self.log[mark:]
        assert "Traceback" not in told, told
        assert "fault of our own" not in told, told
        assert list((self.data_dir / "tmp").iterdir()) == []

    def containers(self) -> list[dict[str, Any]]:
        """Containers of this installation, the edge left out."""
        ids = docker("ps", "-aq", "--filter", f"label=berth.instance={self.instance}").split()
        # of those that are gone by now it says nothing but an error
        found = json.loads(docker("inspect", *ids, check=False)) if ids else []
        return [one for one in found if not one["Name"].endswith("-edge")]

    def container(self, environment_id: int) -> dict[str, Any]:
        """What Docker says about the one container of an environment, once those before it are gone."""
        label = str(environment_id)

        def only() -> dict[str, Any] | None:
            found = [one for one in self.containers() if one["Config"]["Labels"]["berth.environment"] == label]
            return found[0] if len(found) == 1 else None

        alone: dict[str, Any] = until(only, "one container is left", 30)
        return alone

    def lines(self, deployment_id: int, tail: int = 1000) -> list[dict[str, Any]]:
        """The last lines of a deployment's own log."""
        found: list[dict[str, Any]] = self.api("GET", f"/api/deployments/{deployment_id}/logs?tail={tail}")["lines"]
        return found

    def wipe(self, instance: str) -> None:
        """Removes everything that this installation made on the engine."""
        mine = ("--filter", f"label=berth.instance={instance}")
        for listing, removal in (
            (("ps", "-aq"), ("rm", "-fv")),
            (("network", "ls", "-q"), ("network", "rm")),
            (("volume", "ls", "-q"), ("volume", "rm", "-f")),
            (("images", "-q"), ("rmi", "-f")),
        ):
            ids = sorted(set(docker(*listing, *mine).split()))
            if ids:
                docker(*removal, *ids, check=False)


class Slowest:
    """How long the server took at most to answer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.seconds = 0.0

    def ask(self) -> None:
        began = time.monotonic()
        self._server.api("GET", "/api/environments")
        self.seconds = max(self.seconds, time.monotonic() - began)


@dataclass
class Work:
    """A working copy that is pushed to the server."""

    server: Server
    path: Path
    name: str

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text))

    def commit(self, files: dict[str, str] | None = None, message: str = "a change") -> str:
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def push(self, branch: str = "main", *options: str) -> str:
        """Pushes HEAD and returns what git printed, the server's progress among it."""
        done = subprocess.run(
            ["git", "-C", str(self.path), "push", *options, "berth", f"HEAD:refs/heads/{branch}"],
            env={**os.environ, **GIT_IDENTITY},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def try_push(self, *refspecs: str) -> subprocess.CompletedProcess[str]:
        """A push that may be refused."""
        return subprocess.run(
            ["git", "-C", str(self.path), "push", "berth", *refspecs],
            env={**os.environ, **GIT_IDENTITY},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=400,
            check=False,
        )

    def push_in_background(self, branch: str = "main") -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["git", "-C", str(self.path), "push", "-q", "berth", f"HEAD:refs/heads/{branch}"],
            env={**os.environ, **GIT_IDENTITY},
            stderr=subprocess.DEVNULL,
        )

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env={**os.environ, **GIT_IDENTITY},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def clone(server: Server, folder: Path, name: str) -> Work:
    """A new repository on the local forge, with a working copy."""
    url = server.berth("remote", name, "--url-only").stdout.strip()
    path = folder / name
    path.mkdir(parents=True)
    work = Work(server, path, name)
    work.git("init", "-q", "-b", "main")
    work.git("remote", "add", "berth", url)
    return work


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def running(folder: Path, **variables: str) -> Iterator[Server]:
    """A server that is stopped at the end, with everything that it made."""
    server = Server(folder, variables).start()
    instances = {server.instance}
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            instances.add(server.instance)  # another one, if its data folder was removed meanwhile
            server.stop()
        for instance in instances:
            server.wipe(instance)
