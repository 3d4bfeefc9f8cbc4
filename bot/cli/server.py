"""``berth serve``, and a server started in the background for ``berth deploy``."""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.cli import FAILED, UsageError
from bot.cli.client import Client, connect, running
from bot.errors import BerthError

if TYPE_CHECKING:
    from bot.config import Config

_MOST_FILES = 65_536  # open at the same time: each log stream is one
_GRACE = 10  # seconds that open requests (log streams, pushes) have at the end
_START_TIMEOUT = 60.0  # seconds until a server in the background must answer
_OTHER_TIMEOUT = 3.0  # seconds that one of somebody else's may need to the end of its start


def serve() -> None:
    """Run the server, until Ctrl-C.

    It is configured by BERTH_* variables; `berth doctor` checks them and the machine.
    """
    from bot.config import load_config

    try:
        config = load_config()
        _run(config)
    except BerthError as error:
        raise UsageError(error.reason, error.fix) from error


def _run(config: Config) -> None:
    listener = _listen(config)  # before anything slow is loaded
    _allow_many_connections()
    import uvicorn

    from bot.app import create_app
    from bot.web.http import end_streams
    from bot.web.log_stream import close_streams

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            # what is loaded stays: a full collection would look at all of it again, and answer nobody for 0.1 s
            gc.freeze()
            gc.set_threshold(10_000, 20, 20)
            if self.started:
                print(f"Berth runs: {config.effective_public_url} (data in {config.data_dir})", flush=True)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            end_streams()
            await close_streams()
            await super().shutdown(sockets)

    guarded = _StartErrors(create_app(config))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(lambda _record: guarded.error is None)
    server = Server(
        uvicorn.Config(
            guarded,
            loop="asyncio",  # starts a process in 2 ms; uvloop, which forks all of this one, needs 10 to 30
            http="httptools",
            lifespan="on",
            ws_max_size=65_536,
            ws_max_queue=32,
            ws_per_message_deflate=False,  # of each reader of a log apart: a thousand times the same work
            timeout_graceful_shutdown=_GRACE,
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
        )
    )
    # uvicorn repeats the signal that ended it, when all is closed
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    try:
        with listener, suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    except SystemExit:
        if server.started:
            raise
    if guarded.error is not None:
        raise guarded.error
    if not server.started:  # uvicorn has logged why
        raise SystemExit(FAILED)


def _allow_many_connections() -> None:
    """Up to the limit of open files that the system allows: what shells and systemd begin with is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _StartErrors:
    """Passes everything to the application; keeps the BerthError with which its start failed, to tell it in a line."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.error: BerthError | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        failed: Any = None

        async def told(message: Any) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.failed":
                failed = message  # Starlette says it with a traceback, and before it raises
            else:
                await send(message)

        try:
            await self._app(scope, receive, told)
        except BaseException as error:
            if isinstance(error, BerthError):
                self.error = error
            if failed is not None:
                await send(failed)
            raise


def _listen(config: Config) -> socket.socket:
    """Our port, bound before anything else starts. Raises BerthError when somebody has it."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # asyncio switches Nagle's algorithm off, which costs 40 ms a request, only where the protocol is named
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        other = running(config.data_dir)
        if other is not None:
            raise BerthError(
                f"A server already runs on {config.data_dir}, at {other.url}.", "Use it, or stop it first."
            ) from error
        raise BerthError(
            f"Berth cannot listen on {config.host}:{config.port}: {error.strerror or error}.",
            "Stop what listens there, or set BERTH_PORT (or BERTH_HOST).",
        ) from error
    listener.set_inheritable(False)
    return listener


def connect_or_start() -> Client:
    """The server in use, or a new one in the background, which is named on stderr. Raises BerthError without either."""
    if os.environ.get("BERTH_URL"):
        return connect()
    from bot.config import load_config

    config = load_config()
    client = running(config.data_dir)
    if client is not None:
        return client
    return _start(config.data_dir)


def _start(folder: Path) -> Client:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / "serve.log"
    with log.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        client = running(folder)
        if client is not None:
            if _pid(folder) == process.pid:
                print(f"Started a Berth server: {client.url} (process {process.pid}, log {log}).", file=sys.stderr)
            return client
        if process.poll() is not None:
            # somebody else may be starting one at the same time, and have the folder already
            deadline = min(deadline, time.monotonic() + _OTHER_TIMEOUT)
        time.sleep(0.05)
    if process.poll() is not None:
        raise BerthError(f"A server could not be started: {_last_line(log, start)}", f"Its log: {log}")
    process.terminate()
    raise BerthError(f"The server did not answer within {int(_START_TIMEOUT)} s of its start.", f"Its log: {log}")


def _pid(folder: Path) -> int:
    try:
        return int(json.loads((folder / "server.json").read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read(65_536).decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("berth: ") if lines else "it ended without a word."
