"""Work other than a deployment: stop, start, restart, remove. Each can be repeated from its beginning."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from bot.deploy import states
from bot.deploy.lifecycle import get_environment, repository_of
from bot.deploy.platform import Platform
from bot.deploy.queue import Lease
from bot.deploy.release import Release, release_of
from bot.deploy.rollout import Candidate, Rollout
from bot.deploy.variables import Snapshot
from bot.engine.docker import EngineUnavailable
from bot.engine.wire import to_the_end
from bot.errors import BerthError
from bot.store.database import Row, Transaction
from bot.store.tables import deployments, environments, instances, services

log = structlog.get_logger()

STOP_DRAIN_SECONDS = 5.0  # requests under way may end; new ones get the edge's page


@dataclass
class Operations:
    platform: Platform
    rollout: Rollout

    async def run(self, lease: Lease) -> None:
        """Carries out a work that is no deployment. Raises BerthError when it failed."""
        environment_id = lease.row["environment_id"]
        arguments = json.loads(lease.row["arguments_json"])
        match lease.row["kind"]:
            case "stop":
                await self.stop(lease, environment_id)
            case "start" | "restart":
                await self.bring_up(lease, environment_id)
            case "remove":
                await self.remove(lease, environment_id, volumes=bool(arguments.get("volumes")))
            case kind:
                raise BerthError(f"There is no work of kind {kind!r}.")

    async def stop(self, lease: Lease, environment_id: int) -> None:
        """Takes the environment off the edge and ends its instances; the deployment, port and volumes stay."""
        rows = await self._take_off(lease, environment_id, "stopped", STOP_DRAIN_SECONDS)
        await self.rollout.drainer.settle([row["id"] for row in rows])
        await self.rollout.databases.let_go(environment_id)  # last: requests under way may need them

    async def bring_up(self, lease: Lease, environment_id: int) -> None:
        """New instances of the live deployment beside the old ones, if any: probed, switched to; the old ones drain."""
        release = await self._live_release(environment_id)
        writer = await self.platform.logs.open_deployment(release.deployment["id"], release.masker)

        def say(text: str) -> None:
            writer.write(text, source="berth", phase=lease.row["kind"])

        candidates: list[Candidate] = []
        try:
            say(f"{lease.row['kind']} asked for")
            release = await self.rollout.prepare(release, say)
            await self.rollout.databases.bring_up(release, say)
            candidates += await self.rollout.start(release, say)
            await self.rollout.verify(release, candidates, say)
            candidates += await self.rollout.start_workers(release, say)

            async def commit(tx: Transaction) -> None:
                await lease.commit(tx)
                await states.report(tx, release.deployment["id"])

            await self.rollout.switch(release, candidates, commit)
            say("live again")
        except BaseException as error:
            if not lease.committed:
                await to_the_end(self._undo(environment_id, candidates))
                if isinstance(error, BerthError) and not isinstance(error, EngineUnavailable):
                    await self._admit(environment_id, error)
            raise
        finally:
            await writer.close()

    async def _undo(self, environment_id: int, candidates: list[Candidate]) -> None:
        await self.rollout.discard(candidates)
        await self.rollout.restore(environment_id)

    async def _admit(self, environment_id: int, error: BerthError) -> None:
        """An environment that says it is live, and of which nothing runs, says so. Reconciliation tries again."""
        ours = sa.select(services.c.id).where(
            services.c.environment_id == environment_id, services.c.role != "database"
        )
        runs = sa.select(instances.c.id).where(instances.c.service_id.in_(ours), instances.c.state == "live")
        async with self.platform.store.begin() as tx:
            changed = await tx.changed(
                sa.update(environments)
                .where(environments.c.id == environment_id, environments.c.state == "live", ~runs.exists())
                .values(state="crash_looping", reason=error.reason)
                .returning(environments.c.id)
            )
            if changed:
                await states.report_environment(tx, environment_id, "failure", error.reason)
        self.platform.wake_outbox()

    async def remove(self, lease: Lease, environment_id: int, *, volumes: bool) -> None:
        """Ends all of an environment: instances, network, port, and its volumes when asked; its history stays."""
        platform = self.platform
        await self._take_off(lease, environment_id, "removed", 0.0)
        containers = [
            container
            for container in await platform.engine.list_containers()
            if container.labels.get("berth.environment") == str(environment_id)
        ]
        rows = await self._instances(environment_id, ("starting", "live", "draining"))
        await self.rollout.drainer.settle([row["id"] for row in rows if row["state"] == "draining"])
        for row in rows:
            if row["state"] != "draining":
                await self.rollout.drainer.remove(row)
        for container in containers:
            await platform.engine.remove(container.id)
        for service in await platform.store.all(
            sa.select(services.c.id).where(services.c.environment_id == environment_id)
        ):
            await platform.ports.release(service["id"])
        await self.rollout.apply_edge()
        await platform.networks.remove(environment_id)
        if volumes:
            for volume in await platform.engine.list_volumes():
                if volume.labels.get("berth.environment") == str(environment_id):
                    await platform.engine.remove_volume(volume.name)
        async with platform.store.begin() as tx:
            if volumes:
                await self.rollout.databases.forget(tx, environment_id)
            await tx.run(
                sa.update(environments)
                .where(environments.c.id == environment_id)
                .values(subnet=None, network_id=None, live_deployment_id=None)
            )

    async def _take_off(self, lease: Lease, environment_id: int, state: str, drain: float) -> list[Row]:
        """The commit point of a stop or removal: nothing leads to the instances any more, and they begin to drain."""
        platform = self.platform
        now = time.time()
        async with platform.store.begin() as tx:
            await lease.commit(tx)
            environment = await get_environment(tx, environment_id)
            values: dict[str, object] = {"state": state, "reason": ""}
            if state == "removed":
                values["removed_at"] = now
                if environment["live_deployment_id"]:
                    await states.change(tx, environment["live_deployment_id"], "retired")
            elif environment["state"] == "empty":
                values["state"] = "empty"
            await tx.run(sa.update(environments).where(environments.c.id == environment_id).values(**values))
            served = (services.c.environment_id == environment_id, services.c.role != "database")
            await tx.run(sa.update(services).where(*served).values(live_slot=None))
            ours = sa.select(services.c.id).where(*served)
            rows = await tx.all(
                sa.update(instances)
                .where(instances.c.service_id.in_(ours), instances.c.state.in_(("live", "draining")))
                .values(state="draining", drain_until=now + drain)
                .returning(*instances.c)
            )
            await states.report_end(tx, environment_id)
        await self.rollout.after_switch([], rows)
        platform.wake_outbox()
        return rows

    async def _instances(self, environment_id: int, wanted: tuple[str, ...]) -> list[Row]:
        return await self.platform.store.all(
            sa.select(instances)
            .join(services, services.c.id == instances.c.service_id)
            .where(services.c.environment_id == environment_id, instances.c.state.in_(wanted))
        )

    async def _live_release(self, environment_id: int) -> Release:
        store = self.platform.store
        environment = await get_environment(store, environment_id)
        deployment = await store.one(
            sa.select(deployments).where(deployments.c.id == environment["live_deployment_id"])
        )
        if deployment is None or environment["state"] == "removed":
            raise BerthError("Nothing is live in this environment, so there is nothing to start.", "Deploy first.")
        snapshot = Snapshot.from_json(self.platform.vault.decrypt(deployment["snapshot_enc"]))
        return release_of(deployment, environment, await repository_of(store, environment_id), snapshot)
