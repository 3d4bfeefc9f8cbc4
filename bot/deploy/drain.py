"""Old instances finish what they have, then end. One task per draining instance; the rows survive a crash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploy.logs import ContainerLogs
from bot.engine.docker import Engine
from bot.engine.edge import Edge
from bot.engine.edge_config import KEEP_ALIVE_SECONDS
from bot.errors import BerthError
from bot.store.database import Row, Store
from bot.store.tables import instances, services

log = structlog.get_logger()

POLL_SECONDS = 0.5
RETRY_SECONDS = 10.0
EDGE_SILENT_SECONDS = 60.0  # beyond the drain's own end
SETTLE_SECONDS = 300.0


class Drainer:
    """Watches draining instances until nobody uses them or their time is over, then removes them."""

    def __init__(self, store: Store, engine: Engine, edge: Edge, container_logs: ContainerLogs, grace: float) -> None:
        self._store = store
        self._engine = engine
        self._edge = edge
        self._container_logs = container_logs
        self._grace = grace
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._until: dict[int, float] = {}

    def watch(self, instance: Row) -> None:
        """Begins (or goes on) to drain an instance whose row says ``draining``."""
        if instance["id"] not in self._tasks:
            self._until[instance["id"]] = instance["drain_until"] or time.time()
            task = asyncio.create_task(self._drain(instance), name=f"drain {instance['id']}")
            self._tasks[instance["id"]] = task
            task.add_done_callback(lambda _task: self._tasks.pop(instance["id"], None))

    async def free(self, service_id: int, slot: int, say: Callable[[str], None]) -> None:
        """Returns when nothing is in that slot any more; waiting here shortens the drain to the keep-alive time."""
        rows = await self._store.all(
            sa.select(instances).where(
                instances.c.service_id == service_id,
                instances.c.slot == slot,
                instances.c.state.in_(("starting", "draining", "live")),
            )
        )
        for row in rows:
            if row["state"] == "draining":
                self.watch(row)
                self._until[row["id"]] = min(self._until[row["id"]], time.time() + KEEP_ALIVE_SECONDS)
                say("waiting for the instance before the last to finish its requests")
                await self.settle([row["id"]])
            else:  # left by an attempt that did not end
                await self.remove(row, grace=1.0)

    async def settle(self, instance_ids: list[int], seconds: float = SETTLE_SECONDS) -> None:
        """Waits until the given instances have drained. Raises BerthError when they have not after ``seconds``."""
        tasks = [self._tasks[instance_id] for instance_id in instance_ids if instance_id in self._tasks]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=seconds)
        if late:
            raise BerthError(
                f"{len(late)} of the old instances have not ended after {seconds:.0f} s; Berth goes on trying.",
                "Look at `docker ps` and at the engine's log.",
            )

    async def close(self) -> None:
        """Stops watching; the rows say where the next start goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def remove(self, instance: Mapping[str, Any], grace: float | None = None) -> None:
        """Ends an instance: stop signal, grace, kill; its log is read to the end, its container removed."""
        container_id = instance["container_id"]
        if container_id:
            await self._engine.stop(container_id, self._grace if grace is None else grace)
            state = await self._engine.inspect(container_id)
            await self._container_logs.detach(instance["id"])
            await self._engine.remove(container_id)
            if state is not None:
                await self._record(instance["id"], state.exit_code, state.oom_killed)
        await self.forget(instance["id"])

    async def forget(self, instance_id: int) -> None:
        """Marks an instance as gone."""
        async with self._store.begin() as tx:
            await tx.run(
                sa.update(instances).where(instances.c.id == instance_id).values(state="gone", ended_at=time.time())
            )

    async def _record(self, instance_id: int, exit_code: int | None, oom_killed: bool) -> None:
        async with self._store.begin() as tx:
            await tx.run(
                sa.update(instances)
                .where(instances.c.id == instance_id)
                .values(exit_code=exit_code, oom_killed=oom_killed)
            )

    async def _drain(self, instance: Row) -> None:
        await self._wait_unused(instance)
        while True:
            try:
                await self.remove(instance)
                return
            except BerthError as error:
                log.warning("an old instance could not be removed yet", instance=instance["id"], reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _wait_unused(self, instance: Row) -> None:
        """Until nobody uses the instance, or its time is over, or the edge has been silent for too long."""
        since = time.time()
        service_id, slot = instance["service_id"], instance["slot"]
        service = await self._store.one(sa.select(services.c.role).where(services.c.id == service_id))
        if service is not None and service["role"] != "web":
            return  # the edge knows nothing of it
        while True:
            try:
                while time.time() < self._until[instance["id"]]:
                    if await self._edge.drained(service_id, slot, since):
                        break
                    await asyncio.sleep(POLL_SECONDS)
                await self._edge.release(service_id, slot)
                return
            except BerthError as error:
                # the edge may still lead here: the switch is repeated by reconciliation
                if time.time() > self._until[instance["id"]] + EDGE_SILENT_SECONDS:
                    log.warning("an instance is removed without the edge", instance=instance["id"], reason=str(error))
                    return
                await asyncio.sleep(POLL_SECONDS)
