"""The edge: one HAProxy container that listens on all stable ports and leads each to the live slot of its service.

The container runs on the host network and outlives Berth. Which ports it listens on is changed by a reload, which slot
is live by a command at run time; the file always says the same as the commands, so that a reload or a restart agrees.
What is running is asked from HAProxy each time, never remembered: no matter who stopped, restarted or killed it.

A reload leaves a former worker behind that finishes what it has; an instance has drained when no worker leads to it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import structlog

from bot.engine import edge_config, edge_files
from bot.engine.docker import Engine
from bot.engine.edge_answers import Running, number
from bot.engine.edge_config import KEEP_ALIVE_SECONDS, SERVERS, Route, check_routes, render
from bot.engine.edge_container import EdgeContainer
from bot.engine.edge_control import Control, EdgeSilentError, WorkerGoneError
from bot.engine.edge_stats import RouteStats, Tally
from bot.engine.wire import to_the_end
from bot.errors import BerthError

log = structlog.get_logger()

RouteSource: TypeAlias = Sequence[Route] | Callable[[], Awaitable[Sequence[Route]]]

_START_SECONDS = 20.0
_ATTEMPTS = 3  # a stranger may take a port between our probe and HAProxy
_STATES = f"{edge_config.BASE}/{edge_config.STATES_FILE}"


@dataclass(frozen=True)
class EdgeStatus:
    """``problem``: empty, or why it does not answer. ``workers``: 1, and one more for each former one still busy."""

    running: bool
    version: str = ""
    workers: int = 0
    ports: frozenset[int] = frozenset()
    blocked: frozenset[int] = frozenset()
    connections: int = 0
    max_connections: int = 0
    problem: str = ""


class Edge:
    """HAProxy for the installation ``instance``: listens on the IP address ``bind``, shares ``folder`` with Berth.

    ``image`` has ``haproxy`` (2.6 or newer) on its PATH. ``cookie``: the name of Berth's own session cookie, which is
    kept from applications. Methods that change something run one after the other, and to their end even when cancelled.
    """

    def __init__(
        self, *, folder: Path, bind: str, image: str, engine: Engine, instance: str, cookie: str = "berth_session"
    ) -> None:
        try:
            edge_config.bind_address(bind)
        except ValueError as error:
            raise BerthError(
                f"The edge cannot listen on {bind!r}: it is not an IP address.",
                "Set BERTH_EDGE_BIND, for example to 127.0.0.1 or 0.0.0.0.",
            ) from error
        self.folder = folder
        self.name = f"berth-{instance}-edge"
        self._container = EdgeContainer(engine, name=self.name, image=image, folder=folder, bind=bind)
        self.blocked: frozenset[int] = frozenset()
        self._bind, self._cookie = bind, cookie
        self._threads = min(4, os.cpu_count() or 1)
        self._control = Control(folder / edge_config.MASTER_SOCKET)
        self._tally, self._counting = Tally(), asyncio.Lock()
        self._lock = asyncio.Lock()
        self._routes: dict[int, Route] = {}
        self._wanted: RouteSource = ()
        self._started = False  # before that, a switch would write a file with one route
        self._asked = self._done = 0

    # ------------------------------------------------------------------------------------------------ routes

    async def start(self, routes: RouteSource) -> set[int]:
        """Make sure that HAProxy runs and agrees with ``routes``; the ports that strangers hold, which are left out.

        One that runs already is kept if its container is made as it would be now. Raises BerthError, EngineUnavailable.
        """
        async with self._lock:
            await to_the_end(self._start(routes))
            return set(self.blocked)

    async def apply(self, routes: RouteSource) -> set[int]:
        """Make the edge agree with ``routes``; the ports that strangers hold, which are left out.

        ``routes`` may be a function that reads them: it is called when it is this call's turn, so that a switch that
        came meanwhile is not undone by an older list. Calls that come while one runs are done together, with the newest
        of their lists. Only ports that come or go cost a reload. Raises BerthError in HAProxy's words; then it goes on
        as before.
        """
        self._asked += 1
        self._wanted, ticket = routes, self._asked
        async with self._lock:
            if self._done < ticket:
                newest = self._asked
                await to_the_end(self._apply(self._wanted))
                self._done = newest
            return set(self.blocked)

    async def switch(self, service_id: int, to_slot: int, route: Route | None = None) -> None:
        """Lead a service's port to ``to_slot``: new requests go there at once, those under way end where they are.

        ``route`` replaces what is known of the service. Raises BerthError; the file says the new slot even then.
        """
        async with self._lock:
            await to_the_end(self._switch(service_id, to_slot, route))

    async def release(self, service_id: int, slot: int) -> None:
        """Cut what still goes to a slot that is not live, in every worker, before its container is stopped.

        If a switch away from the slot was not completed, that is done first. Raises BerthError, and ValueError for the
        live slot.
        """
        async with self._lock:
            route = self._routes.get(service_id)
            if route is not None and route.live_slot == slot:
                raise ValueError(f"slot {slot} of service {service_id} is live")
            await to_the_end(self._release(f"svc{service_id}", SERVERS[slot], route))

    # ----------------------------------------------------------------------------------------------- figures

    async def sessions(self, service_id: int, slot: int) -> int:
        """Requests and tunnels that go to a slot now, over all workers. Raises EdgeSilentError."""
        rows = await self._rows(f"svc{service_id}")
        return sum(number(row, "scur") for found in rows.values() for row in found if row["svname"] == SERVERS[slot])

    async def workers(self) -> int:
        """The current worker, and former ones that still have something to finish. Raises EdgeSilentError."""
        return len((await self._control.processes()).workers)

    async def drained(self, service_id: int, slot: int, since: float) -> bool:
        """Whether nothing goes to a slot any more, nor will: it is not live ``since`` that time (seconds since 1970).

        An idle connection that a former worker holds may still bring one request to the slot, within the keep-alive
        time.
        """
        backend, server = f"svc{service_id}", SERVERS[slot]
        alone = await self.workers() == 1
        found = (await self._control.servers(await self._control.current(), backend)).get((backend, server))
        if (found and found.ready) or await self.sessions(service_id, slot):
            return False
        return alone or time.time() - since > KEEP_ALIVE_SECONDS + 1

    async def stats(self) -> dict[int, RouteStats]:
        """Traffic by service id. Raises EdgeSilentError."""
        async with self._counting:
            return self._tally.update(await self._rows(), time.time())

    async def check(self) -> EdgeStatus:
        """How the edge is, for ``berth doctor`` and readiness. Raises nothing of its own."""
        try:
            processes = await self._control.processes(patience=1)
            running = await self._control.running(patience=1)
            info = await self._control.info(running.pid)
        except EdgeSilentError as error:
            return EdgeStatus(running=False, blocked=self.blocked, problem=str(error))
        return EdgeStatus(
            running=True,
            version=info.get("Version", ""),
            workers=len(processes.workers),
            ports=running.ports,
            blocked=self.blocked,
            connections=int(info.get("CurrConns", 0)),
            max_connections=int(info.get("Maxconn", 0)),
        )

    async def stop(self, remove: bool = True) -> None:
        """Stop HAProxy at once, and remove its container. Fine if there is none."""
        async with self._lock:
            await to_the_end(self._container.remove() if remove else self._container.stop())

    # ------------------------------------------------------------------------------------------------- steps

    async def _start(self, source: RouteSource, *, silent: bool = False) -> None:
        """``silent``: a container that runs has been asked already and does not answer."""
        self._routes, self._started = await _read(source), True
        await asyncio.to_thread(edge_files.prepare, self.folder)
        container = None if silent else await self._container.find()
        if container is not None:
            try:
                await self._bring(await self._control.running())
                await self._container.keep(container)
                return
            except EdgeSilentError as error:
                log.warning("edge is silent and is made anew", reason=error.reason)
        await self._container.remove()
        await self._create()

    async def _create(self) -> None:
        """Make the container. One taken port would keep HAProxy from starting, so they are left out beforehand."""
        words = ""
        for _ in range(_ATTEMPTS):
            before = self.blocked
            await self._find_blocked(route.port for route in self._routes.values())
            if words and self.blocked == before:
                break
            routes = self._open_routes()
            mark = await self._write(routes)
            container = await self._container.create()
            words = await self._wait_for(container, mark)
            if not words:
                await self._container.keep(container)
                await self._prove(routes)
                log.info("edge started", ports=len(routes), blocked=sorted(self.blocked))
                return
            await self._container.remove()
        raise BerthError(f"HAProxy does not start: {words}.", f"Its configuration is in {self.folder}.")

    async def _wait_for(self, container: str, mark: str) -> str:
        """Wait until a new container's HAProxy answers; empty, or why it does not."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                if (await self._control.running(patience=0)).mark == mark:
                    return ""
            except EdgeSilentError:
                if not await self._container.runs(container):
                    return await self._container.last_words() or "it ended at once"
            await asyncio.sleep(0.05)
        return await self._container.last_words() or f"it is silent for {_START_SECONDS:.0f} s"

    async def _apply(self, source: RouteSource) -> None:
        try:
            running = await self._control.running()
        except EdgeSilentError:
            await self._start(source, silent=True)
            return
        self._routes, self._started = await _read(source), True
        await self._bring(running)

    async def _bring(self, running: Running) -> None:
        """Make a running HAProxy agree with ``self._routes``: by commands, or by a reload if ports come or go."""
        former = await asyncio.to_thread(edge_files.read, self.folder)
        words, ours = "", running.ports
        for _ in range(_ATTEMPTS):
            before = self.blocked
            await self._find_blocked(route.port for route in self._routes.values() if route.port not in ours)
            if words and self.blocked == before:
                break
            routes = self._open_routes()
            mark = await self._write(routes)
            if running.mark == mark and running.frontends == {route.frontend for route in routes}:
                await self._control.lead(running.pid, routes, _STATES)
                return
            with edge_files.held(self._bind, {route.port for route in routes} - ours, self.folder):
                words = await self._reload(mark)
            if not words:
                await self._prove([route for route in routes if route.port not in ours])
                log.info("edge reloaded", ports=len(routes), blocked=sorted(self.blocked))
                return
        await asyncio.to_thread(edge_files.write, self.folder, former)
        raise BerthError(f"HAProxy refused its new configuration and goes on with the former one: {words}.")

    async def _reload(self, mark: str) -> str:
        """Reload what was written; empty if it runs, otherwise why not."""
        await self.stats()  # a worker that ends takes its counters with it
        asked_at = time.time()
        refusal = await self._control.reload()
        if refusal is not None:
            return refusal or await self._container.last_words(asked_at) or "no reason given"
        return "" if (await self._control.running()).mark == mark else "its new worker runs another file"

    async def _switch(self, service_id: int, to_slot: int, route: Route | None) -> None:
        known = route or self._routes.get(service_id)
        if known is None or not self._started:
            raise BerthError(f"The edge knows no route of service {service_id}.", "The next reconciliation mends that.")
        self._routes[service_id] = known = dataclasses.replace(known, live_slot=to_slot, state="live")
        await self._write(self._open_routes())
        if known.port in self.blocked:
            return
        try:
            pid = await self._control.current()
            if route is None and await self._control.servers(pid, known.backend):
                await self._control.lead(pid, [known], _STATES)
            else:
                await self._bring(await self._control.running())
        except EdgeSilentError:
            await self._start(tuple(self._routes.values()), silent=True)

    async def _release(self, backend: str, server: str, route: Route | None) -> None:
        pid = await self._control.current()
        if await self._control.servers(pid, backend):
            if route is not None:
                await self._control.lead(pid, [route], _STATES)
            await self._control.ask(f"@!{pid} set server {backend}/{server} state maint")
        for worker in (await self._control.processes()).workers:
            try:
                await self._control.end_sessions(worker.pid, backend, server)
            except WorkerGoneError:
                continue

    # ----------------------------------------------------------------------------------------------- details

    async def _rows(self, backend: str = "-1") -> dict[int, list[dict[str, str]]]:
        """Rows of servers, by worker."""
        rows = {}
        for worker in (await self._control.processes()).workers:
            try:
                rows[worker.pid] = await self._control.stat(worker.pid, 4, backend)
            except WorkerGoneError:
                continue
        return rows

    def _open_routes(self) -> list[Route]:
        return [route for route in self._routes.values() if route.port not in self.blocked]

    async def _write(self, routes: Collection[Route]) -> str:
        """Write what HAProxy reads; the mark of it."""
        config = render(list(routes), bind=self._bind, threads=self._threads, cookie=self._cookie)
        await asyncio.to_thread(edge_files.write, self.folder, edge_files.contents(config, routes))
        return edge_config.mark_of(config)

    async def _find_blocked(self, ports: Iterable[int]) -> None:
        taken = frozenset(await asyncio.to_thread(edge_files.find_taken, self._bind, set(ports)))
        if taken != self.blocked:
            log.warning("ports of the edge taken by others", ports=sorted(taken), before=sorted(self.blocked))
        self.blocked = taken

    async def _prove(self, routes: Iterable[Route]) -> None:
        """Connect to a port that HAProxy says it listens on. Raises BerthError if that is not this host's."""
        port = next((route.port for route in routes if route.protocol == "http"), None)
        if port is not None and not await edge_files.answers(self._bind, port):
            raise BerthError(
                f"HAProxy listens on port {port}, but nothing answers there on this host.",
                "Its container needs the host's own network: Docker Desktop and rootless Docker do not give it.",
            )


async def _read(source: RouteSource) -> dict[int, Route]:
    return check_routes(await source() if callable(source) else source)
