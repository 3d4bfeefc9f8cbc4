"""The comparison of database and engine, while other things happen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from bot.deploy import lifecycle
from bot.deploy.images import ImageStore
from bot.deploy.operations import Operations
from bot.deploy.queue import Lease, Queue
from bot.deploy.reconcile import Reconciler
from bot.engine.docker import ListedImage
from bot.errors import BerthError, ConflictError
from bot.store.tables import deployments, environments, instances, services, work
from tests.deploy.conftest import World
from tests.deploy.engine_double import Quiet, Scene

pytestmark = pytest.mark.anyio


async def nothing(_lease: Lease) -> None:
    pass


class Rig:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.queue = Queue(scene.world.store, nothing, owner="test", lease_seconds=30)
        images = cast("Any", SimpleNamespace(collect=Quiet().collect))
        self.reconciler = Reconciler(scene.platform, scene.rollout, images, self.queue)

    def begin_work(self, environment_id: int) -> None:
        self.queue._leases[1] = Lease({"environment_id": environment_id})

    def end_work(self) -> None:
        self.queue._leases.clear()


@pytest.fixture
def rig(world: World, tmp_path: Path) -> Rig:
    return Rig(Scene(world, tmp_path / "data"))


async def stray(world: World) -> None:
    """A candidate that a killed server left behind, in another environment."""
    deployment = await world.deployment(await world.push(ref="topic", kind="branch", sha="c" * 40))
    values: dict[str, Any] = {"name": "web", "position": 0, "role": "web", "strategy": "recreate"}
    async with world.store.begin() as tx:
        service = await tx.insert(
            services.insert().values(environment_id=deployment["environment_id"], **values).returning(services.c.id)
        )
        values = {"slot": 0, "address": "10.0.0.2", "state": "starting", "created_at": 0.0}
        await tx.run(instances.insert().values(deployment_id=deployment["id"], service_id=service, **values))


async def test_a_candidate_that_went_live_meanwhile_is_left_alone(rig: Rig) -> None:
    """The rows are read while a deployment verifies; by the time it is their turn, it is done."""
    scene = rig.scene
    await stray(scene.world)
    release = await scene.release()
    await scene.rollout.prepare(release)
    candidates = await scene.rollout.start(release, lambda _text: None)
    rig.begin_work(release.environment["id"])
    remove = scene.drainer.remove

    async def commit(_tx: Any) -> None:
        pass

    async def meanwhile(row: Any, grace: float | None = None) -> None:
        await remove(row, grace)
        if rig.queue.is_running(release.environment["id"]):
            await scene.rollout.switch(release, candidates, commit)
            rig.end_work()

    scene.drainer.remove = meanwhile  # type: ignore[method-assign]
    await rig.reconciler.sweep()
    assert not rig.queue.is_running(release.environment["id"])
    assert scene.engine.containers[candidates[0].container_id].running
    assert [row["state"] for row in await scene.instances()] == ["gone", "live"]


async def test_one_row_that_makes_no_sense_does_not_keep_the_rest_waiting(rig: Rig) -> None:
    scene = rig.scene
    await scene.go_live(await scene.release())
    async with scene.world.store.begin() as tx:
        await tx.run(sa.update(deployments).values(snapshot_enc=None))
    scene.engine.put("stranger", labels={"berth.environment": "999"})
    await rig.reconciler.sweep()
    assert "stranger" not in scene.engine.containers


async def test_an_instance_that_is_newer_than_the_list_is_not_gone(rig: Rig) -> None:
    scene = rig.scene
    await scene.go_live(await scene.release())
    await rig.reconciler._instances({})  # a list that was made before
    assert (await scene.instances())[0]["state"] == "live"
    scene.engine.containers.clear()
    await rig.reconciler._instances({})
    assert (await scene.instances())[0]["state"] == "gone"


async def test_an_environment_without_instance_is_started_until_it_runs_and_says_so_meanwhile(rig: Rig) -> None:
    scene, store = rig.scene, rig.scene.world.store
    release = await scene.release()
    await scene.go_live(release)
    async with store.begin() as tx:
        files = '{"docker-compose.yml": "services: {web: {image: image, ports: [\\"8080:8080\\"]}}"}'
        await tx.run(sa.update(deployments).values(files_json=files))
        await tx.run(sa.update(work).values(state="done"))
    scene.engine.containers.clear()
    await rig.reconciler.sweep()
    (restart,) = await store.all(sa.select(work).where(work.c.state == "queued"))
    assert restart["kind"] == "restart"

    def refuse(name: str) -> None:
        if name == "create_and_start":
            scene.engine.containers.clear()
            raise BerthError("There is no space left on the Docker host.")

    scene.engine.before = refuse
    operations = Operations(scene.platform, scene.rollout)
    with pytest.raises(BerthError, match="no space"):
        await operations.run(Lease(restart))
    row = await scene.world.environment(release.environment["id"])
    assert (row["state"], row["reason"]) == ("crash_looping", "There is no space left on the Docker host.")
    async with store.begin() as tx:
        await tx.run(sa.update(work).values(state="done"))
    scene.engine.before = lambda _name: None
    await rig.reconciler.sweep()
    (again,) = await store.all(sa.select(work).where(work.c.state == "queued"))
    assert again["id"] != restart["id"]


async def test_a_removal_that_was_refused_is_repeated_but_not_after_a_push(rig: Rig) -> None:
    scene, world = rig.scene, rig.scene.world
    release = await scene.release()
    await scene.go_live(release)
    environment_id = release.environment["id"]
    async with world.store.begin() as tx:
        await tx.run(sa.update(work).values(state="done"))
    await lifecycle.request_work(world.store, environment_id, "remove", actor="ann", volumes=True)
    (removal,) = [row for row in await world.work() if row["state"] == "queued"]
    operations = Operations(scene.platform, scene.rollout)

    def refuse(name: str) -> None:
        if name == "remove":
            raise BerthError("Docker does not remove the container.")

    scene.engine.before = refuse
    with pytest.raises(BerthError, match="does not remove"):
        await operations.run(Lease(removal))
    async with world.store.begin() as tx:
        await tx.run(sa.update(work).values(state="done"))
    await rig.reconciler._removed()
    (repeated,) = [row for row in await world.work() if row["state"] == "queued"]
    assert (repeated["kind"], repeated["arguments_json"]) == ("remove", removal["arguments_json"])
    scene.engine.before = lambda _name: None
    await operations.run(Lease(repeated))
    async with world.store.begin() as tx:
        await tx.run(sa.update(work).values(state="done"))
    await rig.reconciler._removed()
    assert not [row for row in await world.work() if row["state"] == "queued"]
    await scene.set_environment(network_id="network")
    await world.push("b" * 40)
    await scene.set_environment(state="removed")
    await rig.reconciler._removed()
    assert [row["kind"] for row in await world.work() if row["state"] == "queued"] == ["deploy"]


async def test_a_removed_environment_is_not_rolled_back(rig: Rig) -> None:
    world = rig.scene.world
    deployment_id = await world.push()
    await world.set_live(deployment_id)
    await rig.scene.set_environment(state="removed", live_deployment_id=None)
    async with world.store.begin() as tx:
        await tx.run(sa.update(deployments).values(state="retired"))
    environment = await world.store.one(sa.select(environments))
    assert environment is not None
    with pytest.raises(ConflictError, match="has been removed"):
        await lifecycle.rollback(world.store, environment["id"], actor="ann")


async def test_no_image_is_removed_once_a_deployment_runs(rig: Rig) -> None:
    scene, world = rig.scene, rig.scene.world
    scene.engine.images = [ListedImage(f"sha256:{number}", (), {}, 1, 0.0) for number in range(3)]
    store = ImageStore(
        store=world.store, engine=cast("Any", scene.engine), builder=cast("Any", None), builds=cast("Any", None),
        instance="abcd1234", build_timeout=1, disk_min_free=0, keep=3, data_dir=Path("/nowhere"),
    )  # fmt: skip
    deployment_id = await world.push()
    remove = scene.engine.remove_image

    async def and_a_deployment_begins(image_id: str) -> bool:
        async with world.store.begin() as tx:
            await tx.run(sa.update(deployments).where(deployments.c.id == deployment_id).values(state="running"))
        return await remove(image_id)

    scene.engine.remove_image = and_a_deployment_begins  # type: ignore[method-assign]
    await store.collect()
    assert scene.engine.removed_images == ["sha256:0"]
