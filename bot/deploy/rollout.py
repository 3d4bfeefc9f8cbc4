"""Putting a release in front of people: a candidate beside the running instance, a probe, the switch, the drain.

Used by a deployment, a rollback, a start and a restart alike. The commit point is a transaction of the caller's; what
follows it (edge, restart policy, drain) can be repeated, and reconciliation does so after a crash.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from bot.deploy.databases import Databases
from bot.deploy.drain import Drainer
from bot.deploy.platform import Platform
from bot.deploy.release import Release, container_name, container_spec
from bot.deploy.routes import load_routes
from bot.engine.docker import EngineUnavailable
from bot.engine.health import Unhealthy, ended, probe
from bot.engine.networks import POSITIONS, slot_address
from bot.engine.records import ContainerState
from bot.errors import BerthError
from bot.project import Role, Service
from bot.store.database import Row, Transaction
from bot.store.tables import environments, instances, services

log = structlog.get_logger()

Say = Callable[[str], None]
TAIL_LINES = 30
WORKER_SECONDS = 2.0  # a worker that runs for so long has started
WITHOUT_SLOTS = 1000  # the first position of services that have none: databases and release commands
SERVED = ("role", "strategy", "container_port", "protocol")  # columns of a service that a release decides


def _silent(_text: str) -> None:
    pass


@dataclass(frozen=True)
class Candidate:
    """An instance on its way to being live. ``service``: its row, with what the release makes of it."""

    service: Row
    instance_id: int
    slot: int
    address: str
    container_id: str


@dataclass
class Rollout:
    platform: Platform
    drainer: Drainer
    databases: Databases

    async def prepare(self, release: Release, say: Say = _silent) -> Release:
        """Network, service rows, stable ports and edge of the release; what exists is kept.

        Returns the release as it is to run: with the passwords of its databases.
        """
        platform, environment = self.platform, release.environment
        taken = await platform.store.all(
            sa.select(environments.c.subnet).where(
                environments.c.subnet.is_not(None), environments.c.id != environment["id"]
            )
        )
        network = await platform.networks.ensure(environment["id"], {row["subnet"] for row in taken})
        async with platform.store.begin() as tx:
            await tx.run(
                sa.update(environments)
                .where(environments.c.id == environment["id"])
                .values(subnet=network.subnet, network_id=network.id)
            )
            for service in release.project.services.values():
                await self._upsert_service(tx, release, service)
            await self.databases.register(tx, release)
        for row in await self._services(release, "web"):
            await platform.ports.allocate(row["id"], release.repository["id"], release.repository["name"])
        await self.apply_edge()
        await self.databases.fetch_images(release, say)
        return release.with_passwords(await self.databases.passwords(environment["id"]))

    async def apply_edge(self) -> set[int]:
        """Makes the edge agree with the database; returns the ports that strangers hold."""
        return await self.platform.edge.apply(lambda: load_routes(self.platform.store))

    async def start(self, release: Release, say: Say, role: Role = "web") -> list[Candidate]:
        """Starts one candidate per service of that role, each in the slot that is not live."""
        environment = await self.platform.store.one(
            sa.select(environments).where(environments.c.id == release.environment["id"])
        )
        assert environment is not None
        started: list[Candidate] = []
        try:
            for service in await self._services(release, role):
                started.append(await self._start_one(release, environment, service, say))  # noqa: PERF401
        except BaseException:
            await self.discard(started)
            raise
        return started

    async def start_workers(self, release: Release, say: Say) -> list[Candidate]:
        """Starts the workers, once the web service answers; for a moment they run beside the old ones.

        Raises BerthError when one ends at once.
        """
        started = await self.start(release, say, "worker")
        try:
            deadline = time.monotonic() + WORKER_SECONDS
            while started and time.monotonic() < deadline:
                await asyncio.sleep(WORKER_SECONDS / 10)
                await self._still_run(release, started)
        except BaseException:
            await self.discard(started)
            raise
        return started

    async def _still_run(self, release: Release, candidates: list[Candidate]) -> None:
        for candidate in candidates:
            state = await self.platform.engine.inspect(candidate.container_id)
            if state is None:
                raise BerthError("The container was removed before it went live.", "Deploy again.")
            if not state.running:
                raise await self._explain(release, candidate, ended(state))

    async def verify(self, release: Release, candidates: list[Candidate], say: Say) -> None:
        """Returns when every candidate answers. Raises BerthError with the reason, and where possible the fix."""
        timeout = release.snapshot.settings.get("verify_seconds", self.platform.config.verify_timeout)
        for candidate in candidates:
            service = release.project.services[candidate.service["name"]]

            async def state(container_id: str = candidate.container_id) -> ContainerState | None:
                return await self.platform.engine.inspect(container_id)

            try:
                result = await probe(
                    candidate.address,
                    candidate.service["container_port"],
                    service.health_path or "/",
                    candidate.service["protocol"],
                    timeout,
                    state,
                    say,
                    execute=self.platform.engine.execute,
                )
            except Unhealthy as error:
                raise await self._explain(release, candidate, error) from error
            answer = f"{result.status}" if result.status else "a connection"
            say(f"answered {answer} after {result.seconds:.1f} s")

    async def switch(
        self,
        release: Release,
        candidates: list[Candidate],
        commit: Callable[[Transaction], Awaitable[None]],
    ) -> None:
        """The commit point, then the edge. ``commit`` runs in the transaction that makes the candidates live.

        Raises BerthError when a candidate has ended since it answered.
        """
        await self._still_run(release, candidates)
        drain = release.snapshot.settings.get("drain_seconds", self.platform.config.drain_seconds)
        now = time.time()
        async with self.platform.store.begin() as tx:
            await commit(tx)
            replaced: list[Row] = []
            # a worker has no requests to finish; databases stay
            for role, until in (("web", now + drain), ("worker", now)):
                replaced += await tx.all(
                    sa.update(instances)
                    .where(
                        instances.c.service_id.in_(
                            sa.select(services.c.id).where(
                                services.c.environment_id == release.environment["id"], services.c.role == role
                            )
                        ),
                        instances.c.state == "live",
                    )
                    .values(state="draining", drain_until=until)
                    .returning(*instances.c)
                )
            for candidate in candidates:
                await tx.run(sa.update(instances).where(instances.c.id == candidate.instance_id).values(state="live"))
                values = {key: candidate.service[key] for key in SERVED}
                await tx.run(
                    sa.update(services)
                    .where(services.c.id == candidate.service["id"])
                    .values(live_slot=candidate.slot, **values)
                )
            await tx.run(
                sa.update(environments)
                .where(environments.c.id == release.environment["id"])
                .values(state="live", reason="", live_deployment_id=release.deployment["id"])
            )
        await self.after_switch([candidate.container_id for candidate in candidates], replaced)
        kept = {service.name for service in release.project.services.values() if service.role == "database"}
        await self._repeatable(self.databases.let_go(release.environment["id"], kept))

    async def after_switch(self, container_ids: list[str], replaced: list[Row]) -> None:
        """What follows the commit point; a failure here is mended by reconciliation, not by undoing."""
        await self._repeatable(self.apply_edge())
        for container_id in container_ids:
            await self._repeatable(self._keep_up(container_id))
        for row in replaced:
            if row["container_id"]:
                await self._repeatable(self.platform.engine.set_restart_policy(row["container_id"], "no"))
            self.drainer.watch(row)

    async def _repeatable(self, step: Awaitable[object]) -> None:
        try:
            await step
        except BerthError as error:
            log.warning("the switch is not complete and will be repeated", reason=str(error))
            self.platform.wake_keeper()
        except Exception:  # a full disk, for example
            log.exception("the switch is not complete and will be repeated")
            self.platform.wake_keeper()

    async def _keep_up(self, container_id: str) -> None:
        """From now on the engine starts it again; it does not do that for one that ended just before, so we do."""
        await self.platform.engine.set_restart_policy(container_id, "unless-stopped")
        await self.platform.engine.start(container_id)

    async def discard(self, candidates: list[Candidate]) -> None:
        """Candidates that will not be live: stopped, removed, their log kept."""
        for candidate in candidates:
            await self.drainer.remove(
                {"id": candidate.instance_id, "container_id": candidate.container_id}, grace=min(2.0, self._grace)
            )

    async def tail(self, deployment_id: int, instance_id: int, lines: int = TAIL_LINES) -> list[str]:
        """The last lines that an instance printed, masked as they were stored."""
        page = await self.platform.logs.read(deployment_id, instance_id, tail=lines)
        return [line.text for line in page.lines]

    @property
    def _grace(self) -> float:
        return self.platform.config.stop_grace

    async def _services(self, release: Release, role: Role) -> list[Row]:
        """The rows of the release's services of that role, in the order of the project, as it will be live."""
        rows = await self.platform.store.all(
            sa.select(services).where(services.c.environment_id == release.environment["id"])
        )
        by_name = {row["name"]: row for row in rows}
        return [
            by_name[name] | _served(release, service)
            for name, service in release.project.services.items()
            if service.role == role
        ]

    async def _upsert_service(self, tx: Transaction, release: Release, service: Service) -> None:
        environment_id, values = release.environment["id"], _served(release, service)
        where = (services.c.environment_id == environment_id, services.c.name == service.name)
        if row := await tx.one(sa.select(services.c.id).where(*where)):
            # the edge leads to a live instance by these: they change at the commit point
            live = sa.select(instances.c.id).where(instances.c.service_id == row["id"], instances.c.state == "live")
            if await tx.one(live) is None:
                await tx.run(sa.update(services).where(*where).values(**values))
            return
        used = await tx.all(sa.select(services.c.position).where(services.c.environment_id == environment_id))
        slotted = service.role in {"web", "worker"}
        first = 0 if slotted else WITHOUT_SLOTS
        position = next(
            number for number in range(first, first + 256) if number not in {row["position"] for row in used}
        )
        if slotted and position >= POSITIONS:  # its address would lie outside, and nobody's edge could be written
            raise BerthError(f"An environment holds at most {POSITIONS} services.", "Remove services.")
        await tx.run(
            services.insert().values(environment_id=environment_id, name=service.name, position=position, **values)
        )

    async def _start_one(self, release: Release, environment: Row, service: Row, say: Say) -> Candidate:
        platform = self.platform
        slot = await self._free_slot(service)
        if service["strategy"] == "recreate":
            await self._stop_live(service, say)
        await self.drainer.free(service["id"], slot, say)
        address = slot_address(environment["subnet"], service["position"], slot)
        async with platform.store.begin() as tx:
            instance_id = await tx.insert(
                instances.insert()
                .values(
                    deployment_id=release.deployment["id"],
                    service_id=service["id"],
                    slot=slot,
                    address=address,
                    state="starting",
                    created_at=time.time(),
                )
                .returning(instances.c.id)
            )
            # its name stands for its id until that is known, so that it is found whatever happens in between
            name = container_name(platform, environment["id"], instance_id)
            await tx.run(sa.update(instances).where(instances.c.id == instance_id).values(container_id=name))
        try:
            spec = await container_spec(
                platform, release, service, network=environment["network_id"], address=address, instance_id=instance_id
            )
            container_id = await platform.engine.create_and_start(spec)
        except EngineUnavailable:
            raise  # nobody knows whether there is a container now: the row stays, and the next attempt removes both
        except BaseException:
            await self.drainer.forget(instance_id)
            raise
        candidate = Candidate(service, instance_id, slot, address, container_id)
        try:
            async with platform.store.begin() as tx:
                await tx.run(
                    sa.update(instances).where(instances.c.id == instance_id).values(container_id=container_id)
                )
            await platform.container_logs.attach(instance_id, release.deployment["id"], container_id, release.masker)
        except BaseException:
            await self.discard([candidate])
            raise
        say(f"{service['name']} started in slot {'green' if slot else 'blue'}")
        return candidate

    async def _free_slot(self, service: Row) -> int:
        """The slot that is not live. One that is taken off the edge while it is replaced still has its slot."""
        if service["live_slot"] is not None:
            return 1 - int(service["live_slot"])
        row = await self.platform.store.one(
            sa.select(instances.c.slot).where(instances.c.service_id == service["id"], instances.c.state == "live")
        )
        return 0 if row is None else 1 - int(row["slot"])

    async def _stop_live(self, service: Row, say: Say) -> None:
        """For a service that must not run twice: its instance ends before the next one starts. This is an outage."""
        rows = await self.platform.store.all(
            sa.select(instances).where(instances.c.service_id == service["id"], instances.c.state == "live")
        )
        if not rows:
            return
        say(f"{service['name']} is stopped first (strategy recreate)")
        await self._lead(service["id"], None)
        for row in rows:
            await self.platform.engine.set_restart_policy(row["container_id"], "no")
            await self.platform.engine.stop(row["container_id"], self._grace)

    async def restore(self, environment_id: int) -> None:
        """After a candidate of strategy recreate failed: what was live before it runs again."""
        rows = await self.platform.store.all(
            sa.select(instances)
            .join(services, services.c.id == instances.c.service_id)
            .where(
                services.c.environment_id == environment_id,
                services.c.live_slot.is_(None),
                instances.c.state == "live",
            )
        )
        for row in rows:
            await self.platform.engine.start(row["container_id"])
            await self.platform.engine.set_restart_policy(row["container_id"], "unless-stopped")
            await self._lead(row["service_id"], row["slot"])

    async def _lead(self, service_id: int, slot: int | None) -> None:
        """Where the edge leads for a service, outside of a switch."""
        async with self.platform.store.begin() as tx:
            await tx.run(sa.update(services).where(services.c.id == service_id).values(live_slot=slot))
        await self.apply_edge()

    async def _explain(self, release: Release, candidate: Candidate, error: Unhealthy) -> BerthError:
        """Why a candidate failed, with exit code and memory kill where that is the reason; both are kept."""
        state = await self.platform.engine.inspect(candidate.container_id)
        if state is None or state.running:
            return BerthError(error.reason, error.fix)
        async with self.platform.store.begin() as tx:
            await tx.run(
                sa.update(instances)
                .where(instances.c.id == candidate.instance_id)
                .values(exit_code=state.exit_code, oom_killed=state.oom_killed)
            )
        if state.oom_killed:
            limit = release.snapshot.settings.get("memory", self.platform.config.memory)
            return BerthError(
                "The application was killed because it used more memory than its limit of "
                f"{limit / 1024 / 1024:.0f} MB.",
                "Raise the setting `memory`, or let it use less.",
            )
        why = ended(state, error.last_status)
        return BerthError(why.reason, why.fix)


def _served(release: Release, service: Service) -> Row:
    """How the release serves one of its services: the columns SERVED."""
    told = release.snapshot.settings
    port = told.get("port") if service.role == "web" else None
    return {
        "role": service.role,
        "strategy": told.get("strategy") or service.strategy,
        "container_port": port or service.port,
        "protocol": told.get("protocol") or service.protocol,
    }
