"""What happens between the lines of a rollout: deaths, refusals, an engine that goes away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.engine.docker import EngineUnavailable
from bot.errors import BerthError
from tests.deploy.conftest import World
from tests.deploy.engine_double import Scene

pytestmark = pytest.mark.anyio


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path / "data")


def say(_text: str) -> None:
    pass


async def commit(_tx: Any) -> None:
    pass


async def test_a_candidate_that_dies_between_its_answer_and_the_switch_does_not_go_live(scene: Scene) -> None:
    await scene.go_live(await scene.release())
    release = await scene.release(sha="b" * 40)
    await scene.rollout.prepare(release)
    candidates = await scene.rollout.start(release, say)
    scene.engine.end(candidates[0].container_id, 3)
    with pytest.raises(BerthError, match="exit code 3"):
        await scene.rollout.switch(release, candidates, commit)
    assert [row["state"] for row in await scene.instances()] == ["live", "starting"]
    assert (await scene.service())["live_slot"] == 0


async def test_one_that_dies_during_the_switch_is_started_again(scene: Scene) -> None:
    release = await scene.release()
    await scene.rollout.prepare(release)
    candidates = await scene.rollout.start(release, say)

    async def dies(_tx: Any) -> None:
        scene.engine.end(candidates[0].container_id, 1)  # the engine does not restart it: it has no such policy yet

    await scene.rollout.switch(release, candidates, dies)
    assert scene.engine.containers[candidates[0].container_id].running
    assert scene.engine.policies[candidates[0].container_id] == "unless-stopped"


@pytest.mark.parametrize("error", [BerthError("HAProxy is silent."), OSError(28, "No space left on device")])
async def test_what_follows_the_commit_point_goes_on_without_the_edge(scene: Scene, error: Exception) -> None:
    await scene.go_live(await scene.release())
    release = await scene.release(sha="b" * 40)
    await scene.rollout.prepare(release)
    candidates = await scene.rollout.start(release, say)
    scene.edge.error = error
    await scene.rollout.switch(release, candidates, commit)
    old, new = await scene.instances()
    assert (old["state"], new["state"]) == ("draining", "live")
    assert scene.engine.policies[new["container_id"]] == "unless-stopped"
    assert scene.drainer.watched == [old["id"]]
    assert scene.woken == 1, "the comparison that mends it does not wait for its time"


async def test_a_container_of_which_nobody_knows_whether_it_was_made_is_found_again(scene: Scene) -> None:
    release = await scene.release()
    await scene.rollout.prepare(release)

    def cut(name: str) -> None:
        if name == "create_and_start":
            raise EngineUnavailable("it ended the connection")

    scene.engine.before = cut
    with pytest.raises(EngineUnavailable):
        await scene.rollout.start(release, say)
    assert len(scene.engine.containers) == 1
    scene.engine.before = lambda _name: None
    (left,) = await scene.instances()
    assert left["state"] == "starting"
    await scene.rollout.drainer.remove(left)  # what the next attempt begins with
    assert scene.engine.containers == {}
    await scene.rollout.start(release, say)


async def test_a_repeated_attempt_leaves_the_instance_alone_that_it_replaces(scene: Scene) -> None:
    """Strategy recreate takes it off the edge and stops it; if the engine goes away then, all begins again."""
    await scene.go_live(await scene.release("recreate"))
    release = await scene.release("recreate", "b" * 40)
    await scene.rollout.prepare(release)

    def cut(name: str) -> None:
        if name == "create_and_start":
            scene.engine.containers.pop(f"id-of-berth-abcd1234-e{release.environment['id']}-i2")
            raise EngineUnavailable("it is gone")

    scene.engine.before = cut
    with pytest.raises(EngineUnavailable):
        await scene.rollout.start(release, say)
    scene.engine.before = lambda _name: None
    assert (await scene.service())["live_slot"] is None
    candidates = await scene.rollout.start(release, say)
    old = (await scene.instances())[0]
    assert (old["state"], old["slot"], candidates[0].slot) == ("live", 0, 1)
    await scene.rollout.discard(candidates)  # it does not answer
    await scene.rollout.restore(release.environment["id"])
    assert scene.engine.containers[old["container_id"]].running
    assert (await scene.service())["live_slot"] == 0
