"""The port manager: which stable port belongs to which service.

The table ``ports`` is the truth: a row is a port that is leased, reserved or resting (quarantined), no row is a free
one, and its primary key keeps any number of processes from handing out a port twice. What is kept in memory is only
a guess at the free ports, so that an allocation is one insert and no search.

Ports below 32768 go first, because Linux takes the local ports of outgoing connections from 32768 on
(https://docs.kernel.org/networking/ip-sysctl.html, ``ip_local_port_range``).
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import ipaddress
import socket
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from bot.errors import BerthError
from bot.store.database import Row, Store
from bot.store.tables import ports

T = TypeVar("T")
EPHEMERAL = 32768
_LOST = 8  # so many ports in a row that others had already: the guess at the free ones is old
_INSERT = sa.text(
    "INSERT INTO ports (port, state, service_id, repository_id, note, since)"
    " VALUES (:port, 'leased', :service, :repository, :note, :now) ON CONFLICT DO NOTHING RETURNING port"
)

log = structlog.get_logger()


@dataclass(frozen=True)
class PortInfo:
    """A port that is not free. ``state``: leased | reserved | quarantined. Times are seconds since 1970."""

    port: int
    state: str
    service_id: int | None
    repository_id: int | None
    note: str
    since: float
    until: float | None  # when a quarantined port is free again


Ports = list[PortInfo]


class PortManager:
    """Hands out the ports ``first`` to ``last``. Belongs to the event loop it is made on; threads use ``…_sync``.

    ``bind``: the IP address that the edge listens on. ``quarantine``: how many seconds a released port rests, so that a
    bookmark or a client that retries does not reach the next owner. ``start``: where to begin looking (default
    ``first``); installations on one host that begin apart do not give out the same port before their edges listen.
    """

    def __init__(
        self,
        store: Store,
        *,
        first: int = 20_000,
        last: int = 40_000,
        bind: str = "127.0.0.1",
        quarantine: float = 60.0,
        start: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._first, self._last = first, last
        self._quarantine = quarantine
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._addresses = _probe_addresses(bind)
        self._order = _preference(first, last, first if start is None else start)
        self._rank = {port: rank for rank, port in enumerate(self._order)}
        self._free: list[int] = []  # a heap of ranks
        self._tried: set[int] = set()  # ranks that allocations under way took from the heap
        self._reading = asyncio.Lock()
        self._readings = 0

    async def allocate(self, service_id: int, repository_id: int, note: str = "") -> int:
        """The port of the service: the one that it has, or a new one on which nobody listens.

        Raises BerthError when there is none left, which says what has taken them.
        """
        read, lost = False, 0
        while True:
            rank = heapq.heappop(self._free) if self._free else None
            if rank is None:
                if read:
                    raise await self._exhausted()
                await self._read_free()
                read = True
                continue
            if not self.is_bindable(self._order[rank]):
                log.info("port is taken by another program", port=self._order[rank])
                continue
            given = await self._try(rank, service_id, repository_id, note)
            if given is not None:
                return given
            lost += 1
            if lost % _LOST == 0:
                await self._read_free()

    async def _try(self, rank: int, service_id: int, repository_id: int, note: str) -> int | None:
        """:meth:`_lease` for the port of this rank, which goes back to the free ones unless it is taken."""
        self._tried.add(rank)
        try:
            given = await self._lease(self._order[rank], service_id, repository_id, note)
        except BaseException:
            heapq.heappush(self._free, rank)
            raise
        finally:
            self._tried.discard(rank)
        if given not in {self._order[rank], None}:
            heapq.heappush(self._free, rank)
        return given

    async def _lease(self, port: int, service_id: int, repository_id: int, note: str) -> int | None:
        """``port``, or the one that the service has already, or None when ``port`` is somebody else's."""
        values = {"port": port, "service": service_id, "repository": repository_id, "note": note, "now": self._clock()}
        async with self._store.begin() as transaction:
            if await transaction.changed(_INSERT.bindparams(**values)):
                return port
            row = await transaction.one(sa.select(ports.c.port).where(ports.c.service_id == service_id))
            return int(row["port"]) if row else None

    async def release(self, service_id: int) -> None:
        """The port of the service rests, then it is free. Does nothing for a service without one."""
        now = self._clock()
        change = ports.update().where(ports.c.service_id == service_id)
        change = change.values(
            state="quarantined", service_id=None, repository_id=None, since=now, until=now + self._quarantine
        )
        async with self._store.begin() as transaction:
            await transaction.run(change)

    async def reserve(self, port: int, note: str) -> None:
        """Never hand out this port. Raises BerthError when it is leased or not one of ours."""
        if port not in self._rank:
            raise BerthError(
                f"Port {port} is not between {self._first} and {self._last}, so it is never given to an application.",
                "Nothing needs to be reserved.",
            )
        values: Row = {"state": "reserved", "note": note, "since": self._clock(), "until": None}
        change = ports.update().where(ports.c.port == port, ports.c.state != "leased").values(**values)
        insert = sa.text(
            "INSERT INTO ports (port, state, note, since) VALUES (:port, 'reserved', :note, :now)"
            " ON CONFLICT DO NOTHING RETURNING port"
        ).bindparams(port=port, note=note, now=self._clock())
        async with self._store.begin() as transaction:
            if await transaction.changed(insert) or await transaction.changed(change.returning(ports.c.port)):
                return
        raise BerthError(f"Port {port} belongs to a running service.", "Remove its environment first.")

    async def unreserve(self, port: int) -> bool:
        """Whether the port was reserved; it is free now."""
        change = ports.delete().where(ports.c.port == port, ports.c.state == "reserved").returning(ports.c.port)
        async with self._store.begin() as transaction:
            freed = await transaction.changed(change)
        if freed:
            heapq.heappush(self._free, self._rank[port])
        return freed

    async def query(self, port: int) -> PortInfo | None:
        """Who has the port; None for a free one."""
        row = await self._store.one(sa.select(ports).where(ports.c.port == port))
        return PortInfo(**row) if row else None

    async def reconcile(self, listening: Collection[int]) -> Ports:
        """End the quarantines that are over, and find the leased ports on which a stranger listens.

        ``listening``: the ports on which our edge listens now. A leased port that is not among them and cannot be bound
        is in somebody else's hands: these are returned. Their leases stay, since only their environments are affected.
        """
        await self._read_free()
        leased = [info for info in await self.list() if info.state == "leased"]
        conflicts = []
        for count, info in enumerate(leased):
            if info.port not in listening and not self.is_bindable(info.port):
                conflicts.append(info)
            if count % 500 == 499:
                await asyncio.sleep(0)
        return conflicts

    def is_bindable(self, port: int) -> bool:
        """Whether the edge could listen on the port now. Two system calls that never wait.

        With SO_REUSEADDR, as every server sets it: connections of a former listener in TIME_WAIT do not count, a socket
        that listens does, on whichever address of this host (man 7 socket). Raises BerthError when the edge's own
        address is not one of this host.
        """
        for family, address in self._addresses:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        return False
                    raise BerthError(
                        f"No port can be opened on {address}: {error.strerror}.",
                        "Set BERTH_EDGE_BIND to an address of this machine.",
                    ) from error
        return True

    async def _read_free(self) -> None:
        """Guess anew which ports are free: all but those with a row, once the quarantines that are over are deleted."""
        seen = self._readings
        async with self._reading:
            if self._readings > seen:
                return  # another reading began after we asked
            self._readings += 1
            now = self._clock()
            # a row from the future means that the clock was set back: do not keep the port until then
            over = sa.or_(ports.c.until <= now, ports.c.since > now)
            async with self._store.begin() as transaction:
                await transaction.run(ports.delete().where(ports.c.state == "quarantined", over))
                rows = await transaction.all(sa.select(ports.c.port))
            taken = {row["port"] for row in rows}
            self._free = [rank for rank, port in enumerate(self._order) if not (port in taken or rank in self._tried)]

    async def _exhausted(self) -> BerthError:
        count = sa.select(ports.c.state, sa.func.count().label("count")).group_by(ports.c.state)
        rows = await self._store.all(count.where(ports.c.port.between(self._first, self._last)))
        counts = {row["state"]: row["count"] for row in rows}
        foreign = len(self._order) - sum(counts.values())
        states = ", ".join(f"{counts.get(state, 0)} {state}" for state in ("leased", "reserved", "quarantined"))
        wait = f", wait {self._quarantine:.0f} s for the quarantined ones" if counts.get("quarantined") else ""
        return BerthError(
            f"No port between {self._first} and {self._last} is free: {states}, {foreign} held by other programs.",
            f"Remove environments that are no longer needed{wait}, or widen BERTH_PORT_MIN and BERTH_PORT_MAX.",
        )

    def allocate_sync(self, service_id: int, repository_id: int, note: str = "", *, timeout: float = 30.0) -> int:
        """:meth:`allocate` for threads. This and the following raise TimeoutError after ``timeout`` seconds."""
        return self._wait(self.allocate(service_id, repository_id, note), timeout)

    def release_sync(self, service_id: int, *, timeout: float = 30.0) -> None:
        self._wait(self.release(service_id), timeout)

    def reserve_sync(self, port: int, note: str, *, timeout: float = 30.0) -> None:
        self._wait(self.reserve(port, note), timeout)

    def unreserve_sync(self, port: int, *, timeout: float = 30.0) -> bool:
        return self._wait(self.unreserve(port), timeout)

    def query_sync(self, port: int, *, timeout: float = 30.0) -> PortInfo | None:
        return self._wait(self.query(port), timeout)

    def list_sync(self, repository_id: int | None = None, *, timeout: float = 30.0) -> Ports:
        return self._wait(self.list(repository_id), timeout)

    def _wait(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None or self._loop.is_closed():
            work.close()
            raise RuntimeError("the …_sync methods are for threads, while the event loop of the port manager runs")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    async def list(self, repository_id: int | None = None) -> Ports:
        """The ports that are not free, in order; with ``repository_id`` those leased to its services."""
        query = sa.select(ports).order_by(ports.c.port)
        if repository_id is not None:
            query = query.where(ports.c.repository_id == repository_id)
        return [PortInfo(**row) for row in await self._store.all(query)]


def _preference(first: int, last: int, start: int) -> list[int]:
    """All ports in the order in which they are given out: from ``start`` round the lower ones, then the upper ones."""
    lower, upper = range(first, min(last + 1, EPHEMERAL)), range(max(first, EPHEMERAL), last + 1)
    return [port for part in (lower, upper) for port in sorted(part, key=lambda port: (port < start, port))]


def _probe_addresses(bind: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        address = ipaddress.ip_address(bind)
    except ValueError as error:
        raise BerthError(f"{bind} is not an IP address.", "Set BERTH_EDGE_BIND, for example to 127.0.0.1.") from error
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return list(dict.fromkeys([(socket.AF_INET, "0.0.0.0"), (family, str(address))]))  # noqa: S104


_manager: PortManager | None = None


def set_port_manager(manager: PortManager | None) -> None:
    """Make ``manager`` the one of this process; None when it ends."""
    global _manager  # noqa: PLW0603
    _manager = manager


def get_port_manager() -> PortManager:
    """The one of this process. Raises RuntimeError before it was set."""
    if _manager is None:
        raise RuntimeError("the port manager was not set up")
    return _manager
