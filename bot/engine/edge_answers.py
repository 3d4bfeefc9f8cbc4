"""What HAProxy's commands answer, as data; and the commands that lead its servers where routes say. All pure.

The formats: https://docs.haproxy.org/2.6/management.html (9.1 for the statistics, 9.3 and 9.4 for the commands).
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bot.engine.edge_config import SERVERS, Route, parse_frontend

_MAINTENANCE = 0x01 | 0x02  # bits of srv_admin_state: set by hand, or inherited from a tracked server
_DRAIN = 0x08 | 0x10


@dataclass(frozen=True)
class Worker:
    pid: int
    reloads: int  # how many reloads it has outlived


@dataclass(frozen=True)
class Processes:
    """``failed``: how many reloads in a row have failed. ``workers``: the current one first, then former ones."""

    version: str
    failed: int
    workers: tuple[Worker, ...]

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(worker.pid for worker in self.workers)


@dataclass(frozen=True)
class Server:
    """One server of a backend as a worker sees it."""

    address: str
    port: int
    up: bool
    maintenance: bool
    drain: bool

    @property
    def ready(self) -> bool:
        return self.up and not self.maintenance and not self.drain

    def is_at(self, address: str, port: int) -> bool:
        if self.address == address:
            return self.port == port
        with contextlib.suppress(ValueError):  # the same in another notation
            return ipaddress.ip_address(self.address) == ipaddress.ip_address(address) and self.port == port
        return False


@dataclass(frozen=True)
class Running:
    """The current worker: the mark of its file (see ``edge_config.mark_of``), and the frontends that listen."""

    pid: int
    mark: str
    frontends: frozenset[str]

    @property
    def ports(self) -> frozenset[int]:
        return frozenset(parsed[2] for name in self.frontends if (parsed := parse_frontend(name)))


def parse_processes(text: str) -> Processes:
    """The answer to ``show proc``."""
    version, failed, workers = "", 0, []
    for line in text.splitlines():
        words = line.replace("[failed: ", "").replace("]", "").split()
        if len(words) < 5 or not words[0].isdigit():
            continue
        if words[1] == "master":
            failed, version = int(words[3]), words[-1]
        elif words[1] == "worker":
            workers.append(Worker(pid=int(words[0]), reloads=int(words[2])))
    return Processes(version, failed, tuple(sorted(workers, key=lambda worker: worker.reloads)))


def parse_servers(text: str) -> dict[tuple[str, str], Server]:
    """The answer to ``show servers state``: a format version, a line of column names, a line for each server."""
    _, header, *lines = [*text.splitlines(), "", ""]
    found = {}
    for row in _rows(header.removeprefix("# ").split(" "), lines, " "):
        admin = int(row["srv_admin_state"])
        found[row["be_name"], row["srv_name"]] = Server(
            address=row["srv_addr"],
            port=int(row["srv_port"]),
            up=row["srv_op_state"] == "2",
            maintenance=bool(admin & _MAINTENANCE),
            drain=bool(admin & _DRAIN),
        )
    return found


def parse_stat(text: str) -> Iterator[dict[str, str]]:
    """The answer to ``show stat``: CSV without quotes in the columns that we use."""
    header, *lines = text.splitlines() or [""]
    return _rows(header.removeprefix("# ").split(","), lines, ",")


def _rows(names: list[str], lines: list[str], separator: str) -> Iterator[dict[str, str]]:
    return (dict(zip(names, line.split(separator), strict=False)) for line in lines if line)


def number(row: Mapping[str, str], name: str) -> int:
    """A figure of a row of ``show stat``; 0 where the field is empty or not there."""
    return int(row.get(name) or 0)


def commands_to_open(routes: Iterable[Route], servers: Mapping[tuple[str, str], Server]) -> list[str]:
    """What makes every server have its address, and the live ones take requests, given how they are now."""
    commands = []
    for route in routes:
        for slot, name in enumerate(SERVERS):
            found = servers.get((route.backend, name))
            # one that still takes requests answers where it is: it is not live, and closed right after this
            replaced = found and found.ready and slot != route.live_slot
            if found and not replaced and not found.is_at(route.addresses[slot], route.container_port):
                where = f"{route.addresses[slot]} port {route.container_port}"
                commands.append(f"set server {route.backend}/{name} addr {where}")
            if found and slot == route.live_slot and not found.ready:
                commands.append(f"set server {route.backend}/{name} state ready")
    return commands


def commands_to_tell(routes: Iterable[Route], notices: Mapping[str, str], states: str) -> list[str]:
    """What makes the map ``states`` (its name for HAProxy) say what ``routes`` say, given what it says now."""
    return [
        f"set map {states} {route.backend} {route.notice.replace(' ', chr(92) + ' ')}"
        for route in routes
        if notices.get(route.backend) != route.notice
    ]


def is_open(route: Route, servers: Mapping[tuple[str, str], Server]) -> bool:
    """Whether requests reach the live slot; also if there is none."""
    if route.live_slot is None:
        return True
    found = servers.get((route.backend, SERVERS[route.live_slot]))
    return bool(found and found.ready and found.is_at(route.addresses[route.live_slot], route.container_port))


def commands_to_close(routes: Iterable[Route], servers: Mapping[tuple[str, str], Server]) -> list[str]:
    """What keeps new requests from servers that are not live; those under way end there."""
    return [
        f"set server {route.backend}/{name} state drain"
        for route in routes
        for slot, name in enumerate(SERVERS)
        if slot != route.live_slot and (found := servers.get((route.backend, name))) and found.ready
    ]
