"""The database is the truth; the engine and the edge are brought into line with it.

Runs at start, after the engine came back, and every few minutes. It only touches what carries this installation's
label, and leaves alone what a piece of work is busy with.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploy import states
from bot.deploy.images import ImageStore
from bot.deploy.masking import Masker
from bot.deploy.platform import Platform
from bot.deploy.queue import Queue
from bot.deploy.rollout import Rollout
from bot.deploy.variables import Snapshot
from bot.engine.docker import ContainerState, EngineRefused, EngineUnavailable
from bot.errors import BerthError
from bot.store.database import Row
from bot.store.tables import deployments, environments, instances, outbox, ports, services, work

log = structlog.get_logger()

YOUNG_SECONDS = 120.0  # a container younger than this may belong to work whose row is just being written


@dataclass
class Reconciler:
    platform: Platform
    rollout: Rollout
    images: ImageStore
    queue: Queue

    async def at_start(self) -> None:
        """Before the queue starts: nothing of an earlier process is running, so every half-made thing goes."""
        tmp = self.platform.config.data_dir / "tmp"
        await asyncio.to_thread(shutil.rmtree, tmp, ignore_errors=True)
        await asyncio.to_thread(tmp.mkdir, parents=True, exist_ok=True)

    async def sweep(self) -> None:
        """One comparison of everything. Raises BerthError (EngineUnavailable) when the engine does not answer."""
        containers = {container.id: container for container in await self.platform.engine.list_containers()}
        await self._instances(containers)
        await self._missing()
        await self._strangers(containers)
        await self._edge()
        await self._networks()
        await self._removed()
        await self.images.collect()
        await self.platform.logs.sweep(time.time())
        await self._history()

    @contextmanager
    def _going_on(self, event: str, **facts: object) -> Iterator[None]:
        """What cannot be mended does not keep the rest from it; an engine that is away does."""
        try:
            yield
        except EngineUnavailable:
            raise
        except BerthError as error:
            log.warning(event, reason=str(error), **facts)
        except Exception:
            log.exception(event, **facts)

    async def _instances(self, containers: dict[str, ContainerState]) -> None:
        """What should run runs; what should not is removed."""
        query = (
            sa.select(
                instances,
                services.c.environment_id,
                services.c.role,
                environments.c.state.label("environment_state"),
                deployments.c.snapshot_enc,
            )
            .join_from(instances, services)
            .join(environments, environments.c.id == services.c.environment_id)
            .join(deployments, deployments.c.id == instances.c.deployment_id)
            .where(instances.c.state.in_(("starting", "live", "draining")))
        )
        rows = await self.platform.store.all(query)
        lost: set[int] = set()
        for listed in rows:
            with self._going_on("an instance could not be brought into line", instance=listed["id"]):
                row = await self._untouched(query, listed)
                if row is not None and await self._instance(row, containers.get(row["container_id"] or "")):
                    lost.add(row["environment_id"])
        for environment_id in lost:
            await self._restart(environment_id)
        for environment_id in {row["environment_id"] for row in rows if row["environment_state"] == "live"}:
            if not self.queue.is_running(environment_id):
                with self._going_on("an environment could not be brought into line", environment=environment_id):
                    await self.rollout.restore(environment_id)

    async def _untouched(self, query: sa.Select[Any], listed: Row) -> Row | None:
        """The instance as it is now; None while work is busy with its environment.

        Work may have begun and ended since the rows were read: what was a candidate then is perhaps live now.
        """
        if self.queue.is_running(listed["environment_id"]):
            return None
        row = await self.platform.store.one(query.where(instances.c.id == listed["id"]))
        return None if self.queue.is_running(listed["environment_id"]) else row

    async def _instance(self, row: Row, container: ContainerState | None) -> bool:
        """Brings one instance into line; returns whether its environment needs a new one."""
        stopped = row["environment_state"] in {"stopped", "removed"}
        if row["state"] == "starting" or (row["state"] == "live" and stopped):
            await self._follow(row, container)  # so that its last lines are kept
            await self.rollout.drainer.remove(row, grace=None if row["role"] == "database" else 1.0)
        elif row["state"] == "draining":
            await self._follow(row, container)
            self.rollout.drainer.watch(row)
        elif container is None:
            if row["container_id"] and await self.platform.engine.inspect(row["container_id"]) is not None:
                return False  # it was made after the list: the next comparison looks after it
            log.warning("an instance is gone", instance=row["id"], environment=row["environment_id"])
            await self.rollout.drainer.forget(row["id"])
            return await self._lost(row)
        elif not await self._keep_running(row, container):
            return await self._lost(row)
        return False

    async def _lost(self, row: Row) -> bool:
        """A database comes back by itself, with its volume; whatever else is lost needs a restart."""
        if row["role"] != "database":
            return True
        await self.rollout.databases.mend(row["service_id"], row["deployment_id"])
        return False

    async def _keep_running(self, row: Row, container: ContainerState) -> bool:
        """A live instance runs (after a restart of the daemon it may not), is restarted by the engine, and followed.

        Returns False when it cannot be started again: then it has been removed.
        """
        engine = self.platform.engine
        if not container.running and container.status != "restarting":
            log.info("a stopped instance is started", instance=row["id"])
            try:
                await engine.start(container.id)
            except EngineRefused as error:
                log.warning("it does not start, so it is replaced", instance=row["id"], reason=str(error))
                await self.rollout.drainer.remove(row, grace=0)
                return False
        await engine.set_restart_policy(container.id, "unless-stopped")
        await self._follow(row, container)
        return True

    async def _follow(self, row: Row, container: ContainerState | None) -> None:
        if container is not None and not self.platform.container_logs.follows(row["id"], container.id):
            snapshot = Snapshot.from_json(self.platform.vault.decrypt(row["snapshot_enc"]))
            passwords = await self.rollout.databases.passwords(row["environment_id"])
            masker = Masker([*snapshot.secrets(), *passwords.values()])
            await self.platform.container_logs.attach(row["id"], row["deployment_id"], container.id, masker)

    async def _missing(self) -> None:
        """Environments that should answer and have no instance, because a new one could not be started: once more."""
        has = sa.select(instances.c.id).join(services, services.c.id == instances.c.service_id)
        has = has.where(services.c.environment_id == environments.c.id, services.c.role != "database")
        rows = await self.platform.store.all(
            sa.select(environments.c.id).where(
                environments.c.state.in_(("live", "crash_looping", "port_conflict")),
                has.where(instances.c.deployment_id == environments.c.live_deployment_id).exists(),
                ~has.where(instances.c.state == "live").exists(),
            )
        )
        for row in rows:
            if not self.queue.is_running(row["id"]):
                await self._restart(row["id"])

    async def _restart(self, environment_id: int) -> None:
        """The live deployment's instances are gone: new ones, unless something else is queued already."""
        store = self.platform.store
        async with store.begin() as tx:
            queued = await tx.one(
                sa.select(work.c.id).where(work.c.environment_id == environment_id, work.c.state != "done")
            )
            if queued is None:
                await tx.run(
                    work.insert().values(
                        environment_id=environment_id,
                        kind="restart",
                        state="queued",
                        arguments_json="{}",
                        created_at=time.time(),
                    )
                )
        self.queue.wake()

    async def _strangers(self, containers: dict[str, ContainerState]) -> None:
        """Containers with our label that no row speaks of."""
        rows = await self.platform.store.all(sa.select(instances.c.container_id).where(instances.c.state != "gone"))
        known = {row["container_id"] for row in rows}
        for container in containers.values():
            environment = container.labels.get("berth.environment")
            if environment is None or container.id in known or self.queue.is_running(int(environment)):
                continue
            log.info("a container that no row speaks of is removed", container=container.name)
            await self.platform.engine.remove(container.id)

    async def _edge(self) -> None:
        """The edge leads where the database says; environments whose port a stranger holds say so."""
        blocked = await self.rollout.apply_edge()
        leased = (
            sa.select(environments.c.id, environments.c.state, ports.c.port)
            .join_from(environments, services)
            .join(ports, ports.c.service_id == services.c.id)
            .where(environments.c.state.in_(("live", "crash_looping", "port_conflict")))
        )
        async with self.platform.store.begin() as tx:
            for row in await tx.all(leased):
                where = environments.c.id == row["id"]
                if row["port"] in blocked and row["state"] != "port_conflict":
                    reason = f"Another program listens on port {row['port']}."
                    await tx.run(sa.update(environments).where(where).values(state="port_conflict", reason=reason))
                    await states.report_comments(tx, row["id"])
                elif row["port"] not in blocked and row["state"] == "port_conflict":
                    await tx.run(sa.update(environments).where(where).values(state="live", reason=""))
                    await states.report_comments(tx, row["id"])

    async def _networks(self) -> None:
        """Networks of environments that are gone."""
        networks = await self.platform.networks.list()  # first: one that is made meanwhile is in neither list
        rows = await self.platform.store.all(sa.select(environments.c.id).where(environments.c.network_id.is_not(None)))
        known = {row["id"] for row in rows}
        for network in networks:
            if network.environment_id not in known and not self.queue.is_running(network.environment_id):
                with self._going_on("a network could not be removed", network=network.name):
                    await self.platform.networks.remove(network.environment_id)

    async def _removed(self) -> None:
        """Removals that did not come to their end, because the engine refused something, are repeated."""
        left = sa.or_(
            environments.c.network_id.is_not(None),
            sa.select(ports.c.port)
            .join(services, services.c.id == ports.c.service_id)
            .where(services.c.environment_id == environments.c.id)
            .exists(),
        )
        query = sa.select(environments.c.id).where(environments.c.state == "removed", left)
        for environment in await self.platform.store.all(query):
            if self.queue.is_running(environment["id"]):
                continue
            former = sa.select(work).where(work.c.environment_id == environment["id"])
            async with self.platform.store.begin() as tx:
                if await tx.one(former.where(work.c.state != "done").limit(1)) is None:
                    last = await tx.one(former.where(work.c.kind == "remove").order_by(work.c.id.desc()).limit(1))
                    await tx.run(
                        work.insert().values(
                            environment_id=environment["id"],
                            kind="remove",
                            state="queued",
                            arguments_json=last["arguments_json"] if last else "{}",
                            created_at=time.time(),
                        )
                    )
        self.queue.wake()

    async def _history(self) -> None:
        """Old deployments go with their logs, but the newest of each environment; so does work that is long done."""
        keep = self.platform.config.keep_deployments
        for environment in await self.platform.store.all(sa.select(environments.c.id)):
            rows = await self.platform.store.all(
                sa.select(deployments.c.id, deployments.c.state)
                .where(
                    deployments.c.environment_id == environment["id"],
                    deployments.c.state.in_(("retired", "failed", "cancelled", "superseded")),
                    ~_in_use(),
                )
                .order_by(deployments.c.id.desc())
                .offset(keep)
            )
            for row in rows:
                await self.platform.logs.remove_deployment(row["id"])
                async with self.platform.store.begin() as tx:
                    await tx.run(sa.delete(deployments).where(deployments.c.id == row["id"]))
        before = time.time() - self.platform.config.log_keep_days * 86_400
        async with self.platform.store.begin() as tx:
            await tx.run(sa.delete(work).where(work.c.state == "done", work.c.finished_at < before))
            await tx.run(sa.delete(outbox).where(outbox.c.sent_at < before))


def _in_use() -> sa.ColumnElement[bool]:
    """Whether a deployment has an instance: that of a database keeps its log with the deployment that made it."""
    return (
        sa.select(instances.c.id)
        .where(instances.c.deployment_id == deployments.c.id, instances.c.state != "gone")
        .correlate(deployments)
        .exists()
    )
