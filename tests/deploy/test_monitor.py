"""What is said about instances that keep dying."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import sqlalchemy as sa

from bot.deploy.monitor import LOOP_DEATHS, Monitor
from bot.deploy.platform import Platform
from bot.engine.docker import ContainerEvent
from bot.store.database import Store
from bot.store.tables import environments, instances, services
from tests.deploy.conftest import World

pytestmark = pytest.mark.anyio


@dataclass
class Parts:
    """The parts of a platform that the monitor uses; every container is gone when it is asked for."""

    store: Store
    engine: Any = field(init=False)
    woken: int = 0
    events_told: list[Any] = field(default_factory=list)  # lists of events, or what is raised

    def __post_init__(self) -> None:
        self.engine = self

    async def inspect(self, _container_id: str) -> None:
        return None

    async def events(self, _since: float) -> AsyncIterator[ContainerEvent]:
        told = self.events_told.pop(0) if self.events_told else []
        if isinstance(told, Exception):
            raise told
        for event in told:
            yield event

    def wake_outbox(self) -> None:
        return None

    def wake_keeper(self) -> None:
        self.woken += 1


class Watched:
    """An environment, and the instances that run in it one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.parts = Parts(world.store)
        self.monitor = Monitor(cast("Platform", self.parts))

    async def deploy(self, sha: str) -> str:
        """The container of a new deployment, which replaces the one before."""
        world = self.world
        deployment_id = await world.push(sha * 40)
        await world.set_live(deployment_id)
        environment_id = (await world.deployment(deployment_id))["environment_id"]
        async with world.store.begin() as tx:
            found = await tx.one(sa.select(services.c.id))
            service = found["id"] if found else await tx.insert(
                services.insert()
                .values(
                    environment_id=environment_id, name="web", role="web", strategy="blue_green", position=0,
                    protocol="http", container_port=8080, live_slot=0,
                )
                .returning(services.c.id)
            )  # fmt: skip
            await tx.run(sa.update(instances).values(state="draining"))
            values = {"slot": 0, "address": "10.0.0.2", "state": "live", "created_at": time.time()}
            await tx.run(
                instances.insert().values(
                    deployment_id=deployment_id, service_id=service, container_id=f"container {sha}", **values
                )
            )
        return f"container {sha}"

    async def die(self, container_id: str, times: int = LOOP_DEATHS) -> None:
        for _ in range(times):
            await self.monitor._heed(ContainerEvent(time.time(), "die", container_id, {}, 3))

    async def state(self) -> str:
        row = await self.world.store.one(sa.select(environments))
        assert row is not None
        return str(row["state"])


@pytest.fixture
def watched(world: World) -> Watched:
    return Watched(world)


async def test_an_instance_that_keeps_dying(watched: Watched) -> None:
    container = await watched.deploy("a")
    await watched.die(container, LOOP_DEATHS - 1)
    assert await watched.state() == "live"
    await watched.die(container, 1)
    assert await watched.state() == "crash_looping"
    await watched.monitor.sweep()
    assert await watched.state() == "crash_looping"


async def test_what_an_earlier_deployment_did_does_not_count(watched: Watched) -> None:
    await watched.die(await watched.deploy("a"))
    mended = await watched.deploy("b")
    assert await watched.state() == "live"
    await watched.die(mended, LOOP_DEATHS - 1)
    assert await watched.state() == "live"


async def test_a_death_that_is_heard_of_after_the_switch(watched: Watched) -> None:
    container = await watched.deploy("a")
    row = await watched.world.store.one(
        sa.select(instances, services.c.environment_id, services.c.name.label("service"))
        .join(services, services.c.id == instances.c.service_id)
        .where(instances.c.container_id == container)
    )
    assert row is not None
    await watched.deploy("b")
    await watched.monitor._crash_looping(row, 3, oom_killed=False)
    assert await watched.state() == "live"


async def test_an_instance_that_is_stopped_to_be_replaced_does_not_count(watched: Watched) -> None:
    container = await watched.deploy("a")
    async with watched.world.store.begin() as tx:  # strategy recreate takes it off the edge first
        await tx.run(sa.update(services).values(live_slot=None))
    await watched.die(container)
    assert await watched.state() == "live"


async def test_a_death_that_is_told_again_counts_once(watched: Watched) -> None:
    event = ContainerEvent(time.time(), "die", await watched.deploy("a"), {}, 3)
    for _ in range(LOOP_DEATHS):
        await watched.monitor._heed(event)
    assert await watched.state() == "live"


async def test_nothing_running_is_not_calm(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    await watched.deploy("a")
    async with watched.world.store.begin() as tx:
        await tx.run(sa.update(environments).values(state="crash_looping"))
    await watched.monitor.sweep()
    assert await watched.state() == "crash_looping", "the server has only just begun to look"
    watched.monitor._began -= 3600
    async with watched.world.store.begin() as tx:
        await tx.run(sa.update(instances).values(state="gone"))
    await watched.monitor.sweep()
    assert await watched.state() == "crash_looping", "there is no instance"
    async with watched.world.store.begin() as tx:
        await tx.run(sa.update(instances).values(state="live"))
    await watched.monitor.sweep()
    assert await watched.state() == "live"


async def test_what_somebody_removed_is_looked_after_at_once(watched: Watched) -> None:
    container = await watched.deploy("a")
    await watched.monitor._heed(ContainerEvent(time.time(), "destroy", "an old one", {}, None))
    assert watched.parts.woken == 0
    await watched.monitor._heed(ContainerEvent(time.time(), "destroy", container, {}, None))
    assert watched.parts.woken == 1
    await watched.monitor._heed(ContainerEvent(time.time(), "die", "edge", {"berth.role": "edge"}, 137))
    assert watched.parts.woken == 2


async def test_a_fault_does_not_end_the_watch(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.sleep
    monkeypatch.setattr("bot.deploy.monitor.asyncio.sleep", lambda _seconds: real(0.01))
    container = await watched.deploy("a")
    deaths = [ContainerEvent(time.time() + number, "die", container, {}, 3) for number in range(LOOP_DEATHS)]
    watched.parts.events_told = [ValueError("no JSON"), deaths]
    following = asyncio.create_task(watched.monitor.run())
    async with asyncio.timeout(5):
        while await watched.state() != "crash_looping":
            await real(0.01)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


async def test_killed_for_memory_is_said_although_the_engine_forgets_it(watched: Watched) -> None:
    """The engine starts the container again at once, and with that its flag is gone; its events keep the truth."""
    container = await watched.deploy("a")
    for _ in range(LOOP_DEATHS):
        await watched.monitor._heed(ContainerEvent(time.time(), "oom", container, {}, None))
        await watched.die(container, 1)
    row = await watched.world.store.one(sa.select(environments))
    assert row is not None
    assert "killed for its memory use" in row["reason"]
    instance = await watched.world.store.one(sa.select(instances))
    assert instance is not None
    assert instance["oom_killed"]


async def test_a_death_long_after_a_child_was_killed_for_memory_is_not_due_to_it(watched: Watched) -> None:
    container = await watched.deploy("a")
    await watched.monitor._heed(ContainerEvent(time.time() - 60, "oom", container, {}, None))
    await watched.die(container)
    row = await watched.world.store.one(sa.select(environments))
    assert row is not None
    assert "exit code 3" in row["reason"]
