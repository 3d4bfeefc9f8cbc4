"""An engine, an edge and their helpers in memory, for what a real engine does too seldom: races, refusals, silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa

from bot.config import load_config
from bot.deploy.databases import Databases
from bot.deploy.platform import Platform
from bot.deploy.release import Release
from bot.deploy.rollout import Rollout
from bot.deploy.variables import Snapshot
from bot.engine.docker import ContainerState, EngineRefused
from bot.engine.networks import Network
from bot.project import Port, Project, Service
from bot.store.database import Row
from bot.store.tables import deployments, environments, instances, services
from tests.deploy.conftest import World


class Engine:
    """Containers by id. ``before`` is called with the name of each method first, and may raise or wait."""

    def __init__(self) -> None:
        self.containers: dict[str, ContainerState] = {}
        self.policies: dict[str, str] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda _name: None
        self.images: list[Any] = []
        self.removed_images: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def put(self, container_id: str, **values: Any) -> None:
        state = ContainerState(
            id=container_id, name=container_id, labels={}, running=True, pid=1, exit_code=None, oom_killed=False,
            started_at=None, finished_at=None, restarts=0, address="", image_id="image", status="running",
        )  # fmt: skip
        self.containers[container_id] = dataclasses.replace(state, **values)

    def _find(self, wanted: str) -> str | None:
        return next((key for key, found in self.containers.items() if wanted in {key, found.name}), None)

    def end(self, container_id: str, exit_code: int) -> None:
        """The container's program ends by itself."""
        state = self.containers[container_id]
        self.containers[container_id] = dataclasses.replace(
            state, running=False, exit_code=exit_code, status="exited", finished_at=1.0
        )

    async def list_containers(self) -> list[ContainerState]:
        self._called("list_containers")
        return list(self.containers.values())

    async def inspect(self, container_id: str) -> ContainerState | None:
        self._called("inspect")
        found = self._find(container_id)
        return None if found is None else self.containers[found]

    async def create_and_start(self, spec: Any) -> str:
        container_id = f"id-of-{spec.name}"
        if any(found.address == spec.address for found in self.containers.values()):
            raise EngineRefused("Address already in use.", status=403)
        self.put(container_id, name=spec.name, labels=spec.labels, address=spec.address)
        self._called("create_and_start")
        return container_id

    async def start(self, container_id: str) -> None:
        self._called("start")
        found = self._find(container_id)
        if found is None:
            raise EngineRefused("No such container.", status=404)
        self.containers[found] = dataclasses.replace(self.containers[found], running=True, status="running")

    async def stop(self, container_id: str, _grace: float) -> None:
        self._called("stop")
        if (found := self._find(container_id)) is not None:
            self.end(found, 0)

    async def remove(self, container_id: str) -> None:
        self._called("remove")
        if (found := self._find(container_id)) is not None:
            del self.containers[found]

    async def set_restart_policy(self, container_id: str, name: str) -> None:
        self._called("set_restart_policy")
        self.policies[container_id] = name

    async def image(self, reference: str) -> Any:
        return SimpleNamespace(id=reference, user="app")

    async def list_images(self) -> list[Any]:
        self._called("list_images")
        return self.images

    async def remove_image(self, image_id: str) -> bool:
        self.removed_images.append(image_id)
        return True

    async def list_volumes(self) -> list[Any]:
        return []

    async def execute(self, *_: Any) -> tuple[int, bytes]:
        return 0, b""


class Edge:
    def __init__(self) -> None:
        self.routes: list[Any] = []
        self.error: Exception | None = None

    async def apply(self, source: Any) -> set[int]:
        if self.error is not None:
            raise self.error
        self.routes = list(await source())
        return set()


class Drainer:
    """Removes at once; what is watched goes on for ever."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world, self.engine = world, engine
        self.watched: list[int] = []

    def watch(self, row: Row) -> None:
        self.watched.append(row["id"])

    async def free(self, service_id: int, slot: int, _say: Any) -> None:
        query = sa.select(instances).where(instances.c.service_id == service_id, instances.c.slot == slot)
        for row in await self.world.store.all(query.where(instances.c.state != "gone")):
            await self.remove(row)

    async def settle(self, _ids: list[int]) -> None:
        return None

    async def remove(self, row: Any, grace: float | None = None) -> None:
        if row["container_id"]:
            await self.engine.stop(row["container_id"], grace or 0)
            await self.engine.remove(row["container_id"])
        await self.forget(row["id"])

    async def forget(self, instance_id: int) -> None:
        async with self.world.store.begin() as tx:
            await tx.run(sa.update(instances).where(instances.c.id == instance_id).values(state="gone"))


class Quiet:
    """Takes every call, as a log does that nobody reads."""

    def follows(self, *_: Any) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        async def call(*_: Any, **__: Any) -> Any:
            if name == "read":
                return SimpleNamespace(lines=[])
            return SimpleNamespace(write=lambda *_a, **_k: None, close=call)

        return call


class Networks:
    async def ensure(self, environment_id: int, _taken: Any = ()) -> Network:
        return Network("network", "network", "10.200.0.0/26", environment_id)

    async def list(self) -> list[Network]:
        return []

    async def remove(self, _environment_id: int) -> None:
        return None


class Ports:
    async def allocate(self, *_: Any) -> int:
        return 20_000

    async def release(self, _service_id: int) -> None:
        return None


class Scene:
    """A world with all that a rollout needs. ``woken``: how often somebody asked for a comparison."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.engine, self.edge = Engine(), Edge()
        self.drainer = Drainer(world, self.engine)
        self.woken = 0
        self.platform = cast(
            "Platform",
            SimpleNamespace(
                config=load_config(data_dir=folder),
                instance="abcd1234",
                store=world.store,
                vault=world.vault,
                engine=self.engine,
                networks=Networks(),
                edge=self.edge,
                ports=Ports(),
                logs=Quiet(),
                container_logs=Quiet(),
                wake_outbox=lambda: None,
                wake_keeper=self._wake,
            ),
        )
        drainer = cast("Any", self.drainer)
        self.rollout = Rollout(self.platform, drainer, Databases(self.platform, drainer))

    def _wake(self) -> None:
        self.woken += 1

    async def release(self, strategy: str = "blue_green", sha: str = "a" * 40) -> Release:
        """A deployment of one web service that runs, and what is to run of it."""
        world = self.world
        deployment_id = await world.push(sha)
        async with world.store.begin() as tx:
            values = {"state": "running", "snapshot_enc": world.vault.encrypt(Snapshot().to_json())}
            await tx.run(sa.update(deployments).where(deployments.c.id == deployment_id).values(values))
        deployment = await world.deployment(deployment_id)
        service = Service("web", image="image", ports=(Port(8080),), strategy=cast("Any", strategy))
        return Release(
            environment=await world.environment(deployment["environment_id"]),
            deployment=deployment,
            repository={"id": world.repository_id, "name": "shop", "application_id": world.application_id},
            project=Project({"web": service}),
            images={"web": "image"},
            snapshot=Snapshot(),
        )

    async def go_live(self, release: Release) -> None:
        """As a deployment does it that goes well."""
        await self.rollout.prepare(release)
        candidates = await self.rollout.start(release, lambda _text: None)

        async def commit(_tx: Any) -> None:
            return None

        await self.rollout.switch(release, candidates, commit)
        async with self.world.store.begin() as tx:
            where = deployments.c.id == release.deployment["id"]
            await tx.run(sa.update(deployments).where(where).values(state="live"))

    async def instances(self) -> list[Row]:
        return await self.world.store.all(sa.select(instances).order_by(instances.c.id))

    async def service(self) -> Row:
        row = await self.world.store.one(sa.select(services).order_by(services.c.id))
        assert row is not None
        return row

    async def set_environment(self, **values: Any) -> None:
        async with self.world.store.begin() as tx:
            await tx.run(sa.update(environments).values(**values))
