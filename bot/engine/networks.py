"""One bridge network per environment, with a subnet and addresses that we choose.

A subnet is a /26: ``.0`` network, ``.1`` gateway, ``.2`` to ``.31`` the slots of up to 15 services (two each), and the
upper /27 is the network's ``ip_range``, from which the engine gives everything else its address. So the engine never
gives away the address of a slot whose container is stopped. Subnets are given explicitly, because Docker's own address
pools end after about 30 networks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import structlog

from bot.engine.docker import ENVIRONMENT, INSTANCE, Engine, EngineRefused
from bot.errors import BerthError

log = structlog.get_logger()

PREFIX = 26
POSITIONS = 15
_ATTEMPTS = 200


@dataclass(frozen=True)
class Network:
    id: str
    name: str
    subnet: str
    environment_id: int


def slot_address(subnet: str, position: int, slot: int) -> str:
    """The fixed address of slot 0 or 1 of the service at ``position`` (0 to 14)."""
    if not 0 <= position < POSITIONS:
        raise BerthError(
            f"An environment holds at most {POSITIONS} services; this would be number {position + 1}.",
            "Remove services or split the application.",
        )
    if slot not in {0, 1}:
        raise ValueError(f"slot {slot}")
    return str(IPv4Network(subnet).network_address + 2 + 2 * position + slot)


def free_subnets(pool: IPv4Network, blocked: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """The /26 networks of ``pool`` that overlap none of ``blocked``, lowest first."""
    size = 1 << (32 - PREFIX)
    taken = sorted((int(network.network_address), int(network.broadcast_address)) for network in blocked)
    index, base, last = 0, int(pool.network_address), int(pool.broadcast_address)
    while base + size - 1 <= last:
        while index < len(taken) and taken[index][1] < base:
            index += 1
        # Ranges may contain each other, so a later one may reach further than the one at index.
        reach = max((end for start, end in _until(taken, index, base + size - 1) if end >= base), default=-1)
        if reach < 0:
            yield IPv4Network((base, PREFIX))
            base += size
        else:
            base = (reach // size + 1) * size


def _until(ranges: list[tuple[int, int]], index: int, last: int) -> Iterator[tuple[int, int]]:
    while index < len(ranges) and ranges[index][0] <= last:
        yield ranges[index]
        index += 1


def host_routes(table: str) -> list[IPv4Network]:
    """The destinations in the text of ``/proc/net/route``, without default routes."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        address, mask = (int.from_bytes(bytes.fromhex(fields[column])[::-1], "big") for column in (1, 7))
        if mask:
            found.append(IPv4Network((address & mask, mask.bit_count())))
    return found


class Networks:
    """The networks of one installation, cut from ``pool`` (for example ``10.192.0.0/12``)."""

    def __init__(self, engine: Engine, pool: str) -> None:
        self._engine = engine
        self._pool = IPv4Network(pool)
        self._one_at_a_time = asyncio.Lock()

    async def ensure(self, environment_id: int, taken: Collection[str] = ()) -> Network:
        """The network of an environment, made if it is not there.

        ``taken`` are subnets that belong to other environments, whether their networks exist at the moment or not.
        Raises BerthError when the pool has no room left.
        """
        async with self._one_at_a_time:
            for network in await self.list():
                if network.environment_id == environment_id:
                    return network
            blocked = [IPv4Network(subnet) for subnet in taken]
            blocked += await self._existing()
            blocked += host_routes(await asyncio.to_thread(_read_routes))
            for attempt, subnet in enumerate(free_subnets(self._pool, blocked)):
                made = await self._create(environment_id, subnet)
                if made is not None:
                    return made
                log.info("subnet overlaps a network that Docker knows", subnet=str(subnet))
                if attempt == _ATTEMPTS:
                    break
        raise BerthError(
            f"All of {self._pool} is in use by environments, other Docker networks or routes of this host.",
            "Remove environments that nobody needs, or set BERTH_NETWORK_POOL to another or larger private network.",
        )

    async def remove(self, environment_id: int) -> None:
        """Remove an environment's network; one that is gone is fine. Raises BerthError while containers are in it."""
        for network in await self.list():
            if network.environment_id == environment_id:
                try:
                    await self._engine.call("DELETE", f"networks/{network.id}")
                except EngineRefused as error:
                    if error.status == 403:
                        raise BerthError(
                            f"The network {network.name} still has containers in it.", "Remove them first."
                        ) from error
                    if error.status != 404:
                        raise

    async def list(self) -> list[Network]:
        """The networks of this installation's environments."""
        found = []
        for row in await self._rows():
            labels = row.get("Labels") or {}
            number = labels.get(ENVIRONMENT, "")
            subnets = list(_subnets(row))
            if labels.get(INSTANCE) == self._engine.instance and number.isdecimal() and subnets:
                found.append(Network(row["Id"], row["Name"], str(subnets[0]), int(number)))
        return sorted(found, key=lambda network: network.environment_id)

    async def _rows(self) -> Sequence[dict[str, Any]]:
        rows: Sequence[dict[str, Any]] = await self._engine.call("GET", "networks")
        return rows

    async def _existing(self) -> Sequence[IPv4Network]:
        return [subnet for row in await self._rows() for subnet in _subnets(row)]

    async def _create(self, environment_id: int, subnet: IPv4Network) -> Network | None:
        """Make it; None if the engine says that the subnet overlaps something."""
        name = f"berth-{self._engine.instance}-{environment_id}"
        upper = list(subnet.subnets(new_prefix=PREFIX + 1))[1]
        body = {
            "Name": name,
            "CheckDuplicate": True,  # without it, engines before 25 make a second network of the same name
            "Driver": "bridge",
            "IPAM": {
                "Driver": "default",
                "Config": [
                    {"Subnet": str(subnet), "IPRange": str(upper), "Gateway": str(subnet.network_address + 1)},
                ],
            },
            "Labels": {INSTANCE: self._engine.instance, ENVIRONMENT: str(environment_id)},
        }
        try:
            made = await self._engine.call("POST", "networks/create", body=body)
        except EngineRefused as error:
            if "overlap" in error.message.lower():
                return None
            raise
        return Network(made["Id"], name, str(subnet), environment_id)


def _subnets(row: dict[str, Any]) -> Iterator[IPv4Network]:
    for config in (row.get("IPAM") or {}).get("Config") or []:
        try:
            yield IPv4Network(config.get("Subnet") or "", strict=False)
        except ValueError:  # IPv6
            continue


def _read_routes() -> str:
    try:
        return Path("/proc/net/route").read_text("ascii")
    except OSError:
        return ""
