"""Databases beside applications: made once per environment, then as their rows say, whatever is deployed.

A row keeps the password, the image with its major version, and the service as the compose file had it at first. So no
later detection, setting or table of versions alters what a volume was made with. A database has no slots: one container
with the environment's volume, reachable in the environment's network by its service's name.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog

from bot.deploy.drain import Drainer
from bot.deploy.masking import Masker
from bot.deploy.platform import Platform
from bot.deploy.release import Release, container_name, mounts_of, volume_name
from bot.engine import base_images
from bot.engine.docker import ContainerSpec, EngineRefused, EngineUnavailable
from bot.engine.records import DATABASE_CAPABILITIES, ContainerState
from bot.errors import BerthError
from bot.project import Service, from_yaml
from bot.store.database import Row, Transaction
from bot.store.tables import databases, environments, instances, services

log = structlog.get_logger()

Say = Callable[[str], None]
POLL_SECONDS = 0.2
_PASSWORD_BYTES = 24
_TAIL_LINES = 20


@dataclass
class Databases:
    platform: Platform
    drainer: Drainer
    # a deployment and a comparison with the engine may look after the same one at the same time
    _locks: dict[int, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def register(self, tx: Transaction, release: Release) -> None:
        """Rows for the databases of a release that have none yet, each with a password of its own."""
        for service in _databases_of(release):
            environment_id = release.environment["id"]
            where = (services.c.environment_id == environment_id, services.c.name == service.name)
            row = await tx.one(sa.select(services.c.id).where(*where))
            assert row is not None
            if await tx.one(sa.select(databases.c.id).where(databases.c.service_id == row["id"])) is not None:
                continue
            await tx.run(
                databases.insert().values(
                    service_id=row["id"],
                    image=service.image or "",
                    definition=release.compose,
                    password_name=service.password or "",
                    password_enc=self.platform.vault.encrypt(secrets.token_hex(_PASSWORD_BYTES)),
                    created_at=time.time(),
                )
            )

    async def passwords(self, environment_id: int) -> dict[str, str]:
        """The passwords of an environment's databases, by the variables of the compose file that stand for them."""
        rows = await self._rows(environment_id)
        return {row["password_name"]: self._password(row) for row in rows if row["password_name"]}

    async def fetch_images(self, release: Release, say: Say) -> None:
        """The images of the release's databases are there afterwards. Raises BerthError in words."""
        for row in await self._wanted(release):
            await self._image(row, say)

    async def bring_up(self, release: Release, say: Say) -> None:
        """Every database of the release runs and is healthy. Raises BerthError with the reason where one is not."""
        for row in await self._wanted(release):
            if row["image"] != (wanted := release.project.services[row["name"]].image):
                say(f"{row['name']} stays at {row['image']}, which made its data (asked for: {wanted})")
            await self._ensure(row, release.deployment["id"], say)

    async def mend(self, service_id: int, deployment_id: int) -> None:
        """Brings back a database whose container is gone, with the same volume."""
        row = next(iter(await self._rows(None, services.c.id == service_id)), None)
        if row is not None:
            await self._ensure(row, deployment_id, lambda text: log.info(text, service=service_id))

    async def let_go(self, environment_id: int, keep: Collection[str] = ()) -> None:
        """Ends the containers of an environment's databases but those of these names; rows and volumes stay."""
        for row in await self._rows(environment_id):
            if row["name"] in keep:
                continue
            async with self._locks[row["service_id"]]:
                await self._take_off(row["service_id"])  # from now on its death is no crash
                for instance in await self._instances(row["service_id"]):
                    await self.drainer.remove(instance)

    async def forget(self, tx: Transaction, environment_id: int) -> None:
        """The volumes of an environment are gone: what is made next is new."""
        ours = sa.select(services.c.id).where(services.c.environment_id == environment_id)
        await tx.run(sa.delete(databases).where(databases.c.service_id.in_(ours)))

    # ---------------------------------------------------------------------------------------------------- one of them

    async def _ensure(self, row: Row, deployment_id: int, say: Say) -> None:
        service = self._service(row)
        async with self._locks[row["service_id"]]:
            for instance in await self._instances(row["service_id"]):
                state = await self.platform.engine.inspect(instance["container_id"] or "")
                if instance["state"] == "live" and state is not None:
                    if not state.running:
                        await self.platform.engine.start(state.id)
                    await self._healthy(service, state.id, say)
                    return
                await self.drainer.remove(instance)
            if row["ready_at"] is None:  # whatever an attempt before this one began with it
                for mount in service.volumes:
                    await self.platform.engine.remove_volume(self._volume(row, mount.source))
            await self._start(row, service, deployment_id, say)

    async def _start(self, row: Row, service: Service, deployment_id: int, say: Say) -> None:
        platform = self.platform
        image = await self._image(row, say)
        async with platform.store.begin() as tx:
            instance_id = await tx.insert(
                instances.insert()
                .values(
                    deployment_id=deployment_id,
                    service_id=row["service_id"],
                    slot=0,
                    address="",
                    state="starting",
                    created_at=time.time(),
                )
                .returning(instances.c.id)
            )
            name = container_name(platform, row["environment_id"], instance_id)
            await tx.run(sa.update(instances).where(instances.c.id == instance_id).values(container_id=name))
        container_id = name
        try:
            spec = await self._spec(row, service, image, name, deployment_id)
            container_id = await platform.engine.create_and_start(spec)
            async with platform.store.begin() as tx:
                where = instances.c.id == instance_id
                await tx.run(sa.update(instances).where(where).values(container_id=container_id))
            masker = Masker(await self._secrets(row["environment_id"]))
            await platform.container_logs.attach(instance_id, deployment_id, container_id, masker)
            say(f"{service.name} ({row['image']}) started")
            await self._healthy(service, container_id, say)
            await platform.engine.set_restart_policy(container_id, "unless-stopped")
            await self._settled(row, instance_id)
        except EngineUnavailable:
            raise  # nobody knows whether there is a container now: the row stays, and the next attempt removes both
        except BaseException:
            with suppress(BerthError):
                await self.drainer.remove({"id": instance_id, "container_id": container_id}, grace=2.0)
                await self._tell_end(service, deployment_id, instance_id, say)
            raise

    async def _settled(self, row: Row, instance_id: int) -> None:
        """The commit point: from now on the database is the environment's. Raises BerthError where that was removed."""
        async with self.platform.store.begin() as tx:
            where = (instances.c.id == instance_id, instances.c.state == "starting")
            if not await tx.changed(sa.update(instances).where(*where).values(state="live").returning(instances.c.id)):
                raise BerthError(f"{row['name']} was removed while it started.", "Deploy again.")
            await tx.run(sa.update(services).where(services.c.id == row["service_id"]).values(live_slot=0))
            await tx.run(
                sa.update(databases)
                .where(databases.c.id == row["id"], databases.c.ready_at.is_(None))
                .values(ready_at=time.time())
            )

    async def _healthy(self, service: Service, container_id: str, say: Say) -> None:
        """Returns when its check succeeds. Raises BerthError when it ends, or is silent for too long."""
        began = time.monotonic()
        limit = self.platform.config.service_timeout
        waiting = False
        while True:
            state = await self.platform.engine.inspect(container_id)
            if state is None or not state.running:
                raise _failed(service, state)
            if await self._answers(service, container_id):
                say(f"{service.name} is ready after {time.monotonic() - began:.1f} s")
                return
            if time.monotonic() - began > limit:
                raise BerthError(
                    f"The service {service.name} was not ready after {limit:.0f} s.",
                    "Its log may say why. BERTH_SERVICE_TIMEOUT is its limit.",
                )
            if not waiting:
                say(f"waiting for {service.name} to be ready")
                waiting = True
            await asyncio.sleep(POLL_SECONDS)

    async def _answers(self, service: Service, container_id: str) -> bool:
        check = service.healthcheck
        if check is None or check.test[0] == "NONE":
            return True
        kind, *words = check.test
        command = tuple(words) if kind == "CMD" else ("/bin/sh", "-c", *words)
        try:
            code, _ = await self.platform.engine.execute(container_id, command, max(1.0, check.timeout))
        except EngineUnavailable:
            raise
        except (EngineRefused, BerthError):  # it ended meanwhile, or the check took too long
            return False
        return code == 0

    async def _tell_end(self, service: Service, deployment_id: int, instance_id: int, say: Say) -> None:
        page = await self.platform.logs.read(deployment_id, instance_id, tail=_TAIL_LINES)
        for line in page.lines:
            say(f"{service.name}: {line.text}")

    async def _spec(self, row: Row, service: Service, image: str, name: str, deployment_id: int) -> ContainerSpec:
        platform, config = self.platform, self.platform.config
        environment = await platform.store.one(
            sa.select(environments).where(environments.c.id == row["environment_id"])
        )
        assert environment is not None
        return ContainerSpec(
            name=name,
            image=image,
            labels={
                "berth.environment": str(row["environment_id"]),
                "berth.deployment": str(deployment_id),
                "berth.service": str(row["service_id"]),
            },
            command=service.command,
            entrypoint=service.entrypoint,
            user=service.user or "",
            stop_signal=service.stop_signal or "",
            environment={key: value for key, value in service.environment.items() if value is not None},
            network=environment["network_id"],
            address="",
            memory=config.memory,
            cpus=config.cpus,
            pids=config.pids,
            capabilities=DATABASE_CAPABILITIES,
            volumes=await mounts_of(platform, row["environment_id"], service),
            stop_grace=max(service.stop_grace_period or 0, config.stop_grace),
            aliases=(row["name"],),
        )

    async def _image(self, row: Row, say: Say) -> str:
        engine, reference = self.platform.engine, row["image"]
        image = await engine.image(reference)
        if image is None and reference.startswith(base_images.PREFIX):
            raise BerthError(
                f"The image {reference} is not on this machine, and no registry has it.",
                f"Build it with `berth base-images build {reference.removeprefix(base_images.PREFIX)}`.",
            )
        if image is None:
            say(f"pulling {reference}")
            await engine.pull(reference)
            image = await engine.image(reference)
        if image is None:
            raise BerthError(f"The image {reference} was pulled and is gone again.", "Deploy again.")
        return image.id

    # ----------------------------------------------------------------------------------------------------------- rows

    async def _wanted(self, release: Release) -> list[Row]:
        names = {service.name for service in _databases_of(release)}
        return [row for row in await self._rows(release.environment["id"]) if row["name"] in names]

    async def _rows(self, environment_id: int | None, *where: sa.ColumnElement[bool]) -> list[Row]:
        query = sa.select(databases, services.c.environment_id, services.c.name).join_from(databases, services)
        if environment_id is not None:
            query = query.where(services.c.environment_id == environment_id)
        return await self.platform.store.all(query.where(*where).order_by(services.c.position))

    async def _instances(self, service_id: int) -> list[Row]:
        return await self.platform.store.all(
            sa.select(instances).where(
                instances.c.service_id == service_id, instances.c.state.in_(("starting", "live", "draining"))
            )
        )

    async def _take_off(self, service_id: int) -> None:
        async with self.platform.store.begin() as tx:
            await tx.run(sa.update(services).where(services.c.id == service_id).values(live_slot=None))
            live = (instances.c.service_id == service_id, instances.c.state == "live")
            await tx.run(sa.update(instances).where(*live).values(state="draining", drain_until=time.time()))

    async def _secrets(self, environment_id: int) -> list[str]:
        return list((await self.passwords(environment_id)).values())

    def _service(self, row: Row) -> Service:
        """The service as it was made, with its password."""
        return from_yaml(row["definition"], {row["password_name"]: self._password(row)}).services[row["name"]]

    def _password(self, row: Row) -> str:
        return self.platform.vault.decrypt(row["password_enc"])

    def _volume(self, row: Row, source: str) -> str:
        return volume_name(self.platform, row["environment_id"], source)


def _databases_of(release: Release) -> list[Service]:
    return [service for service in release.project.services.values() if service.role == "database"]


def _failed(service: Service, state: ContainerState | None) -> BerthError:
    if state is None:
        return BerthError(f"The service {service.name} was removed while it started.", "Deploy again.")
    how = "used more memory than its limit" if state.oom_killed else f"ended with exit code {state.exit_code}"
    return BerthError(f"The service {service.name} {how} before it was ready.", "Its log lines above say why.")
