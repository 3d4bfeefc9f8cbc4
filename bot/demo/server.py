"""``berth serve`` as a child of the demo, and the ``berth`` command as a user would run it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.demo.asker import ask
from bot.errors import BerthError

_READY_SECONDS = 60.0
_END_SECONDS = 30.0
_PORTS = range(8420, 8520)  # below those of the applications


class Server:
    """A running ``berth serve`` with the data folder ``data``."""

    def __init__(self, data: Path, port: int, environment: Mapping[str, str]) -> None:
        self.url = f"http://localhost:{port}"
        self.log = data / "serve.log"
        self.token_file = data / "operator-token"
        self._environment = environment

    def berth(self, *arguments: str) -> str:
        """What a ``berth`` command prints. Raises BerthError with its own words where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=dict(self._environment),
        )
        if done.returncode:
            raise BerthError(done.stderr.strip().removeprefix("berth: ") or f"berth {arguments[0]} failed.")
        return done.stdout.strip()

    def environment_of(self, name: str) -> dict[str, Any]:
        """Production of the application ``name`` as ``berth ps --json`` tells of it."""
        for line in self.berth("ps", "--json").splitlines():
            environment: dict[str, Any] = json.loads(line)
            if environment["repository"] == name and environment["kind"] == "production":
                return environment
        raise BerthError(f"`berth ps` knows nothing of {name}.")


@contextlib.contextmanager
def serving(data: Path, engine: str, base_image_prefix: str) -> Iterator[Server]:
    """Run ``berth serve`` until the block is left. Raises BerthError with its words where it does not start."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = _free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")} | {
        "BERTH_DATA_DIR": str(data),
        "BERTH_PORT": str(port),
        "BERTH_DOCKER_HOST": engine,
        "BERTH_BASE_IMAGE_PREFIX": base_image_prefix,
    }
    server = Server(data, port, environment)
    with server.log.open("ab") as log:  # another server may be writing there
        start = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the demo, which ends the server in its own time
        )
    try:
        _await(server, process, start)
        yield server
    finally:
        process.terminate()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
        finally:  # too slow, or somebody does not want to wait
            process.kill()
            process.wait()


def _await(server: Server, process: subprocess.Popen[bytes], start: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = server.log.read_bytes()[start:].decode(errors="replace").split("\n")
            words = [line.removeprefix("berth: ") for line in lines if line.startswith("berth: ")]
            reason = words[-1] if words else f"it ended with exit code {process.returncode}."
            raise BerthError(f"berth serve did not start: {reason}", f"Its log: {server.log}")
        try:
            ask(f"{server.url}/healthz", timeout=2)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BerthError(f"berth serve does not answer after {_READY_SECONDS:.0f} s.", f"Its log: {server.log}")


def _free_port() -> int:
    for port in _PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BerthError(f"All ports from {_PORTS.start} to {_PORTS.stop - 1} are taken.")
