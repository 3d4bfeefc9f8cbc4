"""A Docker Engine that answers: used where one runs, installed and started where that is possible.

``python -m bot.demo.docker_engine`` (``make docker``) does this and nothing else.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import BerthError

SOCKET = "unix:///var/run/docker.sock"
LOG = Path("/var/log/dockerd.log")
_PACKAGES = ("docker.io", "iptables", "ca-certificates")
_CONTAINERD_PID = Path("/var/run/docker/containerd/containerd.pid")
_START_SECONDS = 60.0

Say = Callable[[str], None]


def ensure_engine(say: Say) -> str:
    """The address of a Docker Engine that answers; it is installed and started where it is missing and we are root.

    Raises BerthError that says exactly what to do otherwise. ``say`` gets a line for each thing that takes time.
    """
    host = os.environ.get("BERTH_DOCKER_HOST") or os.environ.get("DOCKER_HOST") or SOCKET
    problem = _problem(host)
    if problem is None:
        return host
    if host != SOCKET:
        raise BerthError(f"No Docker Engine answers at {host}: {problem}.", "Start it, or unset DOCKER_HOST.")
    if isinstance(problem, PermissionError):
        raise BerthError(
            "A Docker Engine runs, but this user may not use it.",
            'Run `sudo usermod -aG docker "$USER"`, sign in again and try again.',
        )
    if os.geteuid() != 0:
        raise BerthError("No Docker Engine runs here, and only root can change that.", _advice())
    if not shutil.which("dockerd"):
        _install(say)
    _start(say)
    return host


def _advice() -> str:
    if not shutil.which("dockerd"):
        return 'Run `sudo apt-get install docker.io`, then `sudo usermod -aG docker "$USER"`, and sign in again.'
    return "Run `sudo systemctl start docker`." if _systemd() else "Run `sudo dockerd &`."


def _problem(host: str) -> OSError | None:
    """Why the engine does not answer, None when it does."""
    parts = urlsplit(host)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 2375, timeout=5)
    try:
        if parts.scheme == "unix":
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(5)
            connection.sock.connect(parts.path)
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
        return None if status == 200 else OSError(f"it answers with status {status}")
    except http.client.HTTPException as error:
        return OSError(f"no proper answer ({type(error).__name__})")
    except OSError as error:
        return error
    finally:
        connection.close()


def _install(say: Say) -> None:
    if not shutil.which("apt-get"):
        raise BerthError("Docker is not installed.", "Install the Docker Engine with this system's package manager.")
    packages = [*_PACKAGES, *([] if _systemd() else ["cgroupfs-mount"])]
    say(f"Installing {packages[0]} with apt (about 70 MB)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *command],
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise BerthError(
                f"apt-get {command[0]} failed: {' / '.join(done.stdout.strip().splitlines()[-3:])}",
                f"Mend that, or try by hand: apt-get install {' '.join(packages)}",
            )


def _start(say: Say) -> None:
    if _systemd():
        say("Starting Docker")
        subprocess.run(["systemctl", "start", "docker"], check=False, stdin=subprocess.DEVNULL)
        _wait(None, "See `journalctl -u docker`.")
        return
    say(f"Starting dockerd in the background (log: {LOG})")
    _end_leftover_containerd()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("ab") as log:
        daemon = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    _wait(daemon, f"Its log is {LOG}.")


def _wait(daemon: subprocess.Popen[bytes] | None, fix: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while problem := _problem(SOCKET):
        if daemon is not None and daemon.poll() is not None:
            lines = LOG.read_text(errors="replace").strip().splitlines()
            raise BerthError(f"dockerd ended at once: {lines[-1][-300:] if lines else 'without a word'}", fix)
        if time.monotonic() > deadline:
            raise BerthError(f"Docker does not answer {_START_SECONDS:.0f} s after its start: {problem}.", fix)
        time.sleep(0.1)


def _end_leftover_containerd() -> None:
    """A killed dockerd leaves its containerd behind, for which the next one waits 15 s and then gives up."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(_CONTAINERD_PID.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "containerd":
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 5
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.1)


def _systemd() -> bool:
    """Whether systemd runs this machine (sd_booted(3)); in containers it mostly does not."""
    return Path("/run/systemd/system").is_dir()


def main() -> int:
    try:
        ensure_engine(lambda line: print(line, file=sys.stderr))  # noqa: T201
    except BerthError as error:
        print(f"{error.reason}\n{error.fix}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
