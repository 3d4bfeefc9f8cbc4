"""Health after deployment: instances that die are counted, and one that keeps dying makes its environment say so."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from contextlib import aclosing
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog

from bot.deploy import states
from bot.deploy.platform import Platform
from bot.engine.docker import ContainerEvent
from bot.engine.edge_container import ROLE
from bot.errors import BerthError
from bot.store.database import Row
from bot.store.tables import environments, instances, services

log = structlog.get_logger()

LOOP_DEATHS = 4  # so many deaths …
LOOP_SECONDS = 600.0  # … within so many seconds are a crash loop
CALM_SECONDS = 120.0  # without a death for so long it is over
OOM_SECONDS = 5.0  # a death so soon after the kernel took memory back is due to that


@dataclass
class Monitor:
    """Follows the engine's events; reconnects by itself."""

    platform: Platform
    _began: float = field(default_factory=time.time)  # what died before that is not known
    # by deployment: what an earlier commit did says nothing about this one
    _deaths: dict[int, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=LOOP_DEATHS)))
    # by container: when the kernel last killed one of its processes for memory. The engine forgets that in its state as
    # soon as it has started the container again, which it does at once
    _ooms: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled."""
        since = time.time()
        while True:
            try:
                async with aclosing(self.platform.engine.events(since)) as events:
                    async for event in events:
                        since = max(since, event.at)
                        await self._heed(event)
            except BerthError as error:
                log.warning("the engine's events are not to be had", reason=str(error))
            except Exception:
                log.exception("following the engine's events stumbled and goes on")
            await asyncio.sleep(2)

    async def _heed(self, event: ContainerEvent) -> None:
        """Deaths are counted; what somebody removed, and an edge that ended, is made anew at once."""
        if event.labels.get(ROLE) == "edge":
            if event.action in {"die", "destroy"}:
                self.platform.wake_keeper()
        elif event.action == "oom":
            self._ooms[event.container_id] = event.at
        elif event.action == "die":
            await self._died(event)
        elif event.action == "destroy":
            self._ooms.pop(event.container_id, None)
            if await self._live(event.container_id) is not None:
                self.platform.wake_keeper()

    async def _live(self, container_id: str) -> Row | None:
        """The instance of a container, if it should run: not one that is stopped first to be replaced."""
        return await self.platform.store.one(
            sa.select(instances, services.c.environment_id, services.c.name.label("service"))
            .add_columns(
                # a database outlives the deployment that made it
                sa.case(
                    (services.c.role == "database", environments.c.live_deployment_id),
                    else_=instances.c.deployment_id,
                ).label("counted_for")
            )
            .join(services, services.c.id == instances.c.service_id)
            .join(environments, environments.c.id == services.c.environment_id)
            .where(
                instances.c.container_id == container_id,
                instances.c.state == "live",
                services.c.live_slot == instances.c.slot,
            )
        )

    async def sweep(self) -> None:
        """Environments whose instances have been calm are no longer crash looping."""
        rows = await self.platform.store.all(
            sa.select(environments.c.id, environments.c.live_deployment_id).where(
                environments.c.state == "crash_looping"
            )
        )
        for old in [key for key, deaths in self._deaths.items() if time.time() - deaths[-1] > LOOP_SECONDS]:
            del self._deaths[old]
        for row in rows:
            deaths = self._deaths.get(row["live_deployment_id"])
            last = deaths[-1] if deaths else self._began
            if time.time() - last < CALM_SECONDS or not await self._runs(row["id"]):
                continue
            async with self.platform.store.begin() as tx:
                await tx.run(
                    sa.update(environments)
                    .where(environments.c.id == row["id"], environments.c.state == "crash_looping")
                    .values(state="live", reason="")
                )
                await states.report_environment(tx, row["id"], "success", "live again")
            self.platform.wake_outbox()

    async def _runs(self, environment_id: int) -> bool:
        """Whether the environment has an instance at all: there is none where a new one could not be started."""
        query = sa.select(instances.c.id).join(services, services.c.id == instances.c.service_id)
        where = (
            services.c.environment_id == environment_id,
            services.c.role != "database",
            instances.c.state == "live",
        )
        return await self.platform.store.one(query.where(*where).limit(1)) is not None

    async def _died(self, event: ContainerEvent) -> None:
        row = await self._live(event.container_id)
        if row is None or event.at in self._deaths.get(row["counted_for"], ()):  # told again after a reconnection
            return
        state = await self.platform.engine.inspect(event.container_id)
        oom_killed = bool(state and state.oom_killed) or self._short_of_memory(event.container_id, event.at)
        async with self.platform.store.begin() as tx:
            await tx.run(
                sa.update(instances)
                .where(instances.c.id == row["id"])
                .values(restarts=instances.c.restarts + 1, exit_code=event.exit_code, oom_killed=oom_killed)
            )
        log.warning("an instance died", environment=row["environment_id"], exit_code=event.exit_code, oom=oom_killed)
        deaths = self._deaths[row["counted_for"]]
        deaths.append(event.at)
        if len(deaths) == LOOP_DEATHS and deaths[-1] - deaths[0] < LOOP_SECONDS:
            # the kernel's word can come after that of the death: any of these deaths tells what they are due to
            oom_killed = oom_killed or self._short_of_memory(event.container_id, deaths[0])
            await self._crash_looping(row, event.exit_code, oom_killed)

    def _short_of_memory(self, container_id: str, since: float) -> bool:
        """Whether the kernel killed one of its processes for memory at that time or later."""
        return self._ooms.get(container_id, 0.0) > since - OOM_SECONDS

    async def _crash_looping(self, row: Row, exit_code: int | None, oom_killed: bool) -> None:
        how = "was killed for its memory use" if oom_killed else f"ended with exit code {exit_code}"
        reason = f"{row['service']} {how}, {LOOP_DEATHS} times within {LOOP_SECONDS / 60:.0f} minutes."
        async with self.platform.store.begin() as tx:
            # a deployment may have replaced the instance since it died
            still_live = sa.select(instances.c.id).where(instances.c.id == row["id"], instances.c.state == "live")
            changed = await tx.changed(
                sa.update(environments)
                .where(environments.c.id == row["environment_id"], environments.c.state == "live", still_live.exists())
                .values(state="crash_looping", reason=reason)
                .returning(environments.c.id)
            )
            if changed:
                await states.report_environment(tx, row["environment_id"], "failure", reason)
        self.platform.wake_outbox()
