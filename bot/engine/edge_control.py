"""Speaking with a running HAProxy, over the socket of its master process.

The master knows its workers: the current one and former ones that finish what they had when a reload came. Commands go
to one of them (``@!PID …``), because the workers' own socket reaches only the current one.

Commands: https://docs.haproxy.org/2.6/management.html (sections 9.3 and 9.4)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from bot.engine.edge_answers import (
    Processes,
    Running,
    Server,
    commands_to_close,
    commands_to_open,
    commands_to_tell,
    is_open,
    parse_processes,
    parse_servers,
    parse_stat,
)
from bot.engine.edge_config import Route
from bot.errors import BerthError

PATIENCE = 5.0
"""Seconds that a silent HAProxy is given: a reload takes a tenth, a restart of its container about one."""

_ANSWER_SECONDS = 10.0
_RELOAD_SECONDS = 20.0
_SEE_LOG = "Look at the log of its container."
_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes


class EdgeSilentError(BerthError):
    """HAProxy's master socket is not there or does not answer; it may be starting."""


class WorkerGoneError(EdgeSilentError):
    """The worker that was asked has ended."""


class Control:
    """The master socket at ``path``. Every call has a deadline; calls may run at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gate = asyncio.Semaphore(4)  # the master takes few connections at a time

    async def ask(self, command: str, *, patience: float | None = None) -> str:
        """The answer to one command, without the empty line that ends it.

        While a reload goes on, the master drops connections: the command is then repeated for ``patience`` (default
        ``PATIENCE``) seconds, so it must be one that may be. Raises EdgeSilentError, and WorkerGoneError when the
        worker that was addressed is not there any more.
        """
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while True:
            try:
                answer = await self._exchange(command)
                if "Can't find the target PID" in answer:
                    raise WorkerGoneError("The HAProxy process that was asked has ended.")
                if answer == "\n" or answer.endswith("\n\n"):
                    break
                problem = "it broke off in the middle of an answer"
            except (OSError, TimeoutError) as error:
                problem = str(error) or "it does not answer"
            if time.monotonic() >= deadline:
                raise EdgeSilentError(f"HAProxy cannot be reached at {self._path}: {problem}.", "See `berth doctor`.")
            await asyncio.sleep(0.05)
        return answer.rstrip("\n")

    async def reload(self) -> str | None:
        """Make HAProxy read its file again, and wait for its new worker.

        None if there is one; otherwise why not, as far as HAProxy says so here (before 2.7 only in its log). The former
        worker then goes on. Raises EdgeSilentError.
        """
        before = await self.processes()
        said = await self._ask_for_reload()
        deadline = time.monotonic() + _RELOAD_SECONDS
        while time.monotonic() < deadline:
            now = await self.processes()
            if now.failed > before.failed or "Success=0" in said:
                return said.partition("\n--\n")[2].strip()
            if now.workers and now.workers[0].pid not in before.pids:
                return None
            await asyncio.sleep(0.02)
        return f"it has made no new worker for {_RELOAD_SECONDS:.0f} s; restarting its container would help"

    async def _ask_for_reload(self) -> str:
        try:
            return (await self._exchange("reload")).strip()
        except ConnectionResetError:
            return ""  # the master starts itself anew, and may do it before the connection is closed in good order
        except (OSError, TimeoutError) as error:
            raise EdgeSilentError(
                f"HAProxy cannot be reached at {self._path}: {error}.", "See `berth doctor`."
            ) from error

    async def _exchange(self, command: str) -> str:
        async with self._gate, asyncio.timeout(_ANSWER_SECONDS), _connected(self._path) as (reader, writer):
            writer.write(command.encode() + b"\n")
            writer.write_eof()
            return (await reader.read()).decode(errors="replace")

    async def processes(self, *, patience: float | None = None) -> Processes:
        return parse_processes(await self.ask("show proc", patience=patience))

    async def running(self, *, patience: float | None = None) -> Running:
        """The current worker and what it was started with. Raises EdgeSilentError if there is none."""
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while True:
            pid = await self.current(patience=patience)
            try:
                mark = (await self.info(pid)).get("description", "")
                rows = await self.stat(pid, 1)
                return Running(pid, mark, frozenset(row["pxname"] for row in rows if row.get("status") == "OPEN"))
            except WorkerGoneError:
                if time.monotonic() >= deadline:
                    raise EdgeSilentError("HAProxy's worker process ended.", _SEE_LOG) from None
            await asyncio.sleep(0.05)

    async def current(self, *, patience: float | None = None) -> int:
        """Process id of the current worker. Raises EdgeSilentError if there is none."""
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while not (workers := (await self.processes(patience=patience)).workers):
            if time.monotonic() >= deadline:
                raise EdgeSilentError("HAProxy has no worker process.", _SEE_LOG)
            await asyncio.sleep(0.05)
        return workers[0].pid

    async def info(self, pid: int) -> dict[str, str]:
        """``show info`` of a worker: names to values."""
        lines = (await self.ask(f"@!{pid} show info")).splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def servers(self, pid: int, backend: str = "") -> dict[tuple[str, str], Server]:
        """The servers of one backend, or of all: (backend, server) to its state. Empty if there is no such backend."""
        return parse_servers(await self.ask(f"@!{pid} show servers state {backend}".rstrip()))

    async def stat(self, pid: int, kinds: int, backend: str = "-1") -> list[dict[str, str]]:
        """Rows of ``show stat``. ``kinds``: sum of 1 (frontends), 2 (backends), 4 (servers)."""
        return list(parse_stat(await self.ask(f"@!{pid} show stat {backend} {kinds} -1")))

    async def lead(self, pid: int, routes: Collection[Route], states: str) -> None:
        """Make a worker do as ``routes`` say, whose backends it has. ``states``: its name of the map file.

        In this order: live servers are made ready, then the notices for visitors are right, then the other servers
        drain; so nobody finds no server. One that is in maintenance stays there. Raises BerthError in HAProxy's words.
        """
        only = next(iter(routes)).backend if len(routes) == 1 else ""
        servers = await self.servers(pid, only)
        commands = commands_to_open(routes, servers)
        said = await self._run(pid, commands)
        if commands:
            servers = await self.servers(pid, only)
        wrong = [route.backend for route in routes if not is_open(route, servers)]
        if wrong:
            reason = said or "no reason given"
            raise BerthError(f"HAProxy does not lead {', '.join(wrong)} to the live slot: {reason}.")
        notices = {} if only else await self._notices(pid, states)
        said = await self._run(pid, commands_to_tell(routes, notices, states))
        if said:
            raise BerthError(f"HAProxy does not take the notices for visitors: {said}.")
        await self._run(pid, commands_to_close(routes, servers))

    async def _notices(self, pid: int, states: str) -> dict[str, str]:
        lines = (await self.ask(f"@!{pid} show map {states}")).splitlines()
        return {row[1]: row[2] for line in lines if len(row := line.split(" ", 2)) == 3}

    async def end_sessions(self, pid: int, backend: str, server: str) -> None:
        """Cut every connection that a worker has to a server, also a former one (whose proxies take no commands)."""
        listed = await self.ask(f"@!{pid} show sess")
        for line in listed.splitlines():
            if f" be={backend} " in line and f" srv={server} " in line:
                await self.ask(f"@!{pid} shutdown session {line.partition(':')[0]}")

    async def _run(self, pid: int, commands: list[str]) -> str:
        """Run commands on a worker, one after the other; what it said that was not empty."""
        said = [await self.ask(f"@!{pid} {command}") for command in commands]
        return "; ".join(dict.fromkeys(text for text in said if text))


@contextlib.asynccontextmanager
async def _connected(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a Unix socket, also to one whose path is too long for the kernel."""
    folder: int | None = None
    name = str(path)
    if len(os.fsencode(name)) > _LONGEST_SOCKET_PATH:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        name = f"/proc/self/fd/{folder}/{path.name}"
    try:
        reader, writer = await asyncio.open_unix_connection(name)
        try:
            yield reader, writer
        finally:
            writer.close()
    finally:
        if folder is not None:
            os.close(folder)
