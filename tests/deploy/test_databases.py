"""Databases beside applications: made once, kept whatever is deployed, ended and forgotten when asked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.deploy import databases as module
from bot.deploy.masking import MASK
from bot.deploy.monitor import LOOP_DEATHS, Monitor
from bot.deploy.release import Release
from bot.deploy.service_variables import ServiceVariable, service_variables
from bot.deploy.settings import check_settings, effective_settings
from bot.deploy.variables import Variable
from bot.engine.docker import ContainerEvent, EngineUnavailable
from bot.errors import BerthError
from bot.project import from_yaml
from bot.store.database import Row
from bot.store.tables import databases, deployments, instances, services
from tests.deploy.conftest import World
from tests.deploy.engine_double import Scene

pytestmark = pytest.mark.anyio

COMPOSE = """\
services:
  web:
    image: image
    environment:
      DATABASE_URL: "postgresql://app:${POSTGRES_PASSWORD:-throw-away}@postgres:5432/app"
    ports: ["8080:8080"]
  worker:
    image: image
    healthcheck: {disable: true}
    x-berth: {role: worker}
  postgres:
    image: postgres:17
    environment:
      POSTGRES_PASSWORD: "${POSTGRES_PASSWORD:-throw-away}"
    volumes: ["postgres-data:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD", "pg_isready"]
    x-berth: {role: database, password: POSTGRES_PASSWORD}
volumes:
  postgres-data:
"""


class DatabaseScene(Scene):
    """A scene whose release has a database and a worker; ``said`` is what people are told."""

    def __init__(self, world: World, folder: Path) -> None:
        super().__init__(world, folder)
        self.said: list[str] = []
        self.specs: list[Any] = []
        self.removed_volumes: list[str] = []
        self.code = 0
        engine: Any = self.engine
        create = engine.create_and_start

        async def create_and_start(spec: Any) -> str:
            self.specs.append(spec)
            return str(await create(dataclasses.replace(spec, address=spec.address or f"free-{len(self.specs)}")))

        async def create_volume(name: str, labels: dict[str, str]) -> None:
            pass

        async def remove_volume(name: str) -> bool:
            self.removed_volumes.append(name)
            return True

        async def execute(*_: Any) -> tuple[int, bytes]:
            return self.code, b""

        engine.create_and_start, engine.create_volume = create_and_start, create_volume
        engine.remove_volume, engine.execute = remove_volume, execute

    async def with_database(self, compose: str = COMPOSE, sha: str = "a" * 40) -> Release:
        release = await self.release(sha=sha)
        images = {"web": "image", "worker": "image"}
        release = dataclasses.replace(release, project=from_yaml(compose), compose=compose, images=images)
        return await self.rollout.prepare(release)

    async def deploy(self, release: Release) -> None:
        await self.rollout.databases.bring_up(release, self.said.append)
        candidates = await self.rollout.start(release, self.said.append)
        candidates += await self.rollout.start_workers(release, self.said.append)

        async def commit(_tx: Any) -> None:
            pass

        await self.rollout.switch(release, candidates, commit)

    async def row(self) -> Row:
        row = await self.world.store.one(sa.select(databases))
        assert row is not None
        return row

    async def states(self, name: str) -> list[str]:
        query = sa.select(instances.c.state).join_from(instances, services).where(services.c.name == name)
        return [row["state"] for row in await self.world.store.all(query.order_by(instances.c.id))]


@pytest.fixture
def scene(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatabaseScene:
    monkeypatch.setattr("bot.deploy.rollout.WORKER_SECONDS", 0.05)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    return DatabaseScene(world, tmp_path / "data")


async def test_it_is_made_once_with_a_password_of_its_own(scene: DatabaseScene) -> None:
    release = await scene.with_database()
    (password,) = release.passwords.values()
    assert len(password) == 48
    assert (
        release.project.services["web"].environment["DATABASE_URL"] == f"postgresql://app:{password}@postgres:5432/app"
    )
    assert password not in (await scene.row())["password_enc"]
    assert release.masker.mask(password) != password
    await scene.deploy(release)
    spec = scene.specs[0]
    assert spec.environment == {"POSTGRES_PASSWORD": password}
    assert (spec.address, spec.aliases, spec.volumes[0].target) == ("", ("postgres",), "/var/lib/postgresql/data")
    assert [one.checked for one in scene.specs] == [True, True, False], "a worker answers no web server's check"
    assert await scene.states("postgres") == ["live"]
    assert (await scene.row())["ready_at"] is not None

    again = await scene.with_database(sha="b" * 40)
    assert again.passwords == release.passwords
    await scene.deploy(again)
    assert await scene.states("postgres") == ["live"]
    assert await scene.states("worker") == ["draining", "live"]
    assert [spec.aliases[0] for spec in scene.specs] == ["postgres", "web", "worker", "web", "worker"]


async def test_what_made_the_data_stays_whatever_a_later_file_says(scene: DatabaseScene) -> None:
    await scene.deploy(await scene.with_database())
    newer = COMPOSE.replace("postgres:17", "postgres:18").replace("/var/lib/postgresql/data", "/var/lib/postgresql")
    await scene.rollout.databases.let_go(1)
    await scene.deploy(await scene.with_database(newer, "b" * 40))
    row, spec = await scene.row(), scene.specs[3]
    assert (row["image"], spec.image) == ("postgres:17", "postgres:17")
    assert spec.volumes[0].target == "/var/lib/postgresql/data"
    assert "postgres stays at postgres:17, which made its data (asked for: postgres:18)" in scene.said


async def test_a_deployment_without_it_ends_it_and_keeps_its_row(scene: DatabaseScene) -> None:
    await scene.deploy(await scene.with_database())
    await scene.deploy(await scene.with_database("services: {web: {image: image, ports: ['8080:8080']}}", "b" * 40))
    assert await scene.states("postgres") == ["gone"]
    assert await scene.row()
    assert scene.removed_volumes == [(await volumes_of(scene))[0]], "only before it was first made"


async def volumes_of(scene: DatabaseScene) -> list[str]:
    return [mount.name for spec in scene.specs for mount in spec.volumes]


async def test_one_that_never_was_ready_begins_anew(scene: DatabaseScene) -> None:
    release = await scene.with_database()

    def cut(name: str) -> None:
        if name == "create_and_start":
            raise EngineUnavailable("it ended the connection")

    scene.engine.before = cut
    with pytest.raises(EngineUnavailable):
        await scene.rollout.databases.bring_up(release, scene.said.append)
    scene.engine.before = lambda _name: None
    assert await scene.states("postgres") == ["starting"]
    before = len(scene.removed_volumes)
    await scene.rollout.databases.bring_up(release, scene.said.append)
    assert await scene.states("postgres") == ["gone", "live"]
    assert len(scene.engine.containers) == 1
    assert scene.removed_volumes[before:] == scene.removed_volumes[:1], "its volume may be half made"


async def test_one_that_ends_before_it_is_ready_fails_the_deployment(scene: DatabaseScene) -> None:
    release = await scene.with_database()
    scene.engine.before = lambda name: (
        name == "create_and_start" and scene.engine.end(next(iter(scene.engine.containers)), 1)
    )  # type: ignore[assignment, func-returns-value]
    with pytest.raises(BerthError, match=r"The service postgres ended with exit code 1 before it was ready"):
        await scene.rollout.databases.bring_up(release, scene.said.append)
    assert await scene.states("postgres") == ["gone"]
    assert scene.engine.containers == {}


async def test_one_that_is_silent_fails_the_deployment(scene: DatabaseScene) -> None:
    release = await scene.with_database()
    scene.code = 2
    scene.platform.config = scene.platform.config.model_copy(update={"service_timeout": 0.05})  # type: ignore[misc]
    with pytest.raises(BerthError, match="was not ready after"):
        await scene.rollout.databases.bring_up(release, scene.said.append)
    assert scene.engine.containers == {}


async def test_one_that_is_gone_comes_back(scene: DatabaseScene) -> None:
    await scene.deploy(await scene.with_database())
    row = await scene.row()
    removed = len(scene.removed_volumes)
    del scene.engine.containers[next(key for key in scene.engine.containers if key.endswith("-i1"))]
    await scene.rollout.databases.mend(row["service_id"], 1)
    assert await scene.states("postgres") == ["gone", "live"]
    assert len(scene.removed_volumes) == removed
    assert scene.specs[-1].environment == scene.specs[0].environment


async def test_it_is_forgotten_with_its_volumes(scene: DatabaseScene) -> None:
    first = await scene.with_database()
    await scene.deploy(first)
    await scene.rollout.databases.let_go(1)
    async with scene.world.store.begin() as tx:
        await scene.rollout.databases.forget(tx, 1)
    second = await scene.with_database(sha="b" * 40)
    assert second.passwords != first.passwords


async def test_a_worker_that_ends_at_once_fails_the_deployment(scene: DatabaseScene) -> None:
    release = await scene.with_database()
    await scene.rollout.databases.bring_up(release, scene.said.append)

    def dies(name: str) -> None:
        if name == "create_and_start":
            scene.engine.end(list(scene.engine.containers)[-1], 7)

    scene.engine.before = dies
    with pytest.raises(BerthError, match="exit code 7"):
        await scene.rollout.start_workers(release, scene.said.append)
    assert await scene.states("worker") == ["gone"]
    assert await scene.states("postgres") == ["live"]


async def test_what_it_gives_is_listed_without_the_password(scene: DatabaseScene) -> None:
    release = await scene.with_database()
    beside = {"service": "postgresql", "image": "postgres:17", "variables": [["DATABASE_URL", "…"]], "asked": False}
    values = {
        "files_json": json.dumps({"docker-compose.yml": COMPOSE}),
        "detection_json": json.dumps({"beside": [beside]}),
    }
    async with scene.world.store.begin() as tx:
        await tx.run(sa.update(deployments).values(**values))
    (one,) = await service_variables(scene.world.store, scene.world.application_id, [])
    assert one == ServiceVariable("DATABASE_URL", f"postgresql://app:{MASK}@postgres:5432/app", "postgres", 1, True)
    given = [Variable("DATABASE_URL", "postgresql://elsewhere/shop")]
    assert await service_variables(scene.world.store, scene.world.application_id, given) == []
    (detected,) = [
        one
        for one in await effective_settings(scene.world.store, scene.world.application_id, None, {"beside": [beside]})
        if one.key == "services"
    ]
    assert (detected.value, detected.source) == ("postgresql:17", "detected")
    assert release.passwords


async def test_its_deaths_count_for_what_is_live(scene: DatabaseScene) -> None:
    await scene.deploy(await scene.with_database())
    await scene.deploy(newer := await scene.with_database(sha="b" * 40))
    monitor = Monitor(scene.platform)
    (container,) = [key for key in scene.engine.containers if key.endswith("-i1")]
    for at in range(LOOP_DEATHS):
        await monitor._died(ContainerEvent(1000.0 + at, "die", container, {}, 1))
    environment = await scene.world.environment(newer.environment["id"])
    assert environment["state"] == "crash_looping"
    assert environment["reason"].startswith("postgres ended with exit code 1")
    assert list(monitor._deaths) == [newer.deployment["id"]]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("Postgres:16, redis", "postgres:16,redis"), (["mysql"], "mysql"), ("none", "none"), ([], "none")],
)
def test_the_setting_is_kept_in_one_form(given: object, kept: str) -> None:
    assert check_settings({"services": given}) == {"services": kept}


def test_the_setting_names_what_is_wrong() -> None:
    with pytest.raises(BerthError, match=r"the setting services names postgres:42, but there is 13, 14"):
        check_settings({"services": "postgres:42"})
