"""How long ``berth --help`` and ``berth serve`` (until /healthz answers) take: ``python -m tests.bench.startup``.

Goals: 0.3 s and 2 s. Beside them what a bare Python and a bare Starlette on uvicorn need on the same machine.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HELP_GOAL, SERVE_GOAL = 0.3, 2.0  # seconds
_BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
app = Starlette(routes=[Route("/healthz", lambda request: PlainTextResponse("ok"))])
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


def command_seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def server_seconds(command: list[str], port: int, environment: dict[str, str]) -> float:
    """From the start of the process to the first 200 of /healthz."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        while time.perf_counter() - start < 60:
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended: {process.stderr.read() if process.stderr else ''}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
                    return time.perf_counter() - start
            except (urllib.error.URLError, OSError):
                time.sleep(0.01)
        raise SystemExit(f"{' '.join(command)} did not answer within 60 s")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve_seconds(folder: Path) -> float:
    port = free_port()
    apart = {
        "BERTH_DOCKER_HOST": f"unix://{folder}/none.sock",  # /healthz does not wait for it, and its edge would stay
        "BERTH_DATA_DIR": str(folder),
        "BERTH_PORT": str(port),
        "BERTH_PORT_MIN": "61000",
        "BERTH_PORT_MAX": "61099",
    }
    return server_seconds([sys.executable, "-m", "bot.cli", "serve"], port, apart)


def bare_seconds() -> float:
    port = free_port()
    return server_seconds([sys.executable, "-c", _BARE, str(port)], port, {})


def row(name: str, seconds: list[float], goal: float | None = None) -> None:
    median = statistics.median(seconds)
    verdict = "" if goal is None else f"  goal {goal:.1f} s: {'met' if median <= goal else 'MISSED'}"
    print(f"{name:<42} {median:6.3f} s  (best {min(seconds):.3f}, worst {max(seconds):.3f}){verdict}")


def main(runs: int = 5) -> None:
    berth = [sys.executable, "-m", "bot.cli"]
    command_seconds(*berth, "--help")  # byte code is written once
    row("python -c pass", [command_seconds(sys.executable, "-c", "pass") for _ in range(runs)])
    row("berth --help", [command_seconds(*berth, "--help") for _ in range(runs)], HELP_GOAL)
    row("bare Starlette until /healthz answers", [bare_seconds() for _ in range(runs)])
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        row("berth serve, new data folder", [serve_seconds(Path(folder, "data"))], SERVE_GOAL)
        row("berth serve", [serve_seconds(Path(folder, "data")) for _ in range(runs)], SERVE_GOAL)


if __name__ == "__main__":
    main()
