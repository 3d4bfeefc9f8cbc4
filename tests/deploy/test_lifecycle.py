import pytest
import sqlalchemy as sa

from bot.deploy import lifecycle, settings, states
from bot.errors import ConflictError, NotFoundError
from bot.store.tables import environments, work
from tests.deploy.conftest import World

pytestmark = pytest.mark.anyio


async def run(world: World, deployment_id: int) -> None:
    async with world.store.begin() as tx:
        await tx.run(sa.update(work).where(work.c.deployment_id == deployment_id).values(state="running"))
        assert await states.change(tx, deployment_id, "running")


async def test_a_newer_push_supersedes_the_queued_one(world: World) -> None:
    first = await world.push("1" * 40)
    second = await world.push("2" * 40)
    row = await world.deployment(first)
    assert (row["state"], row["reason"]) == ("superseded", "superseded by 2222222")
    assert (await world.deployment(second))["state"] == "queued"
    assert [(entry["deployment_id"], entry["state"]) for entry in await world.work()] == [
        (first, "done"),
        (second, "queued"),
    ]


async def test_environments_do_not_disturb_each_other(world: World) -> None:
    first = await world.push("1" * 40)
    await world.push("2" * 40, ref="topic", kind="branch")
    assert (await world.deployment(first))["state"] == "queued"


async def test_a_branch_named_like_a_fork_is_another_environment(world: World) -> None:
    await world.push(ref="7", kind="branch")
    await world.push(ref="7", kind="fork_pr")
    assert len(await world.store.all(sa.select(environments))) == 2


async def test_a_running_preview_is_asked_to_stop_but_production_is_left_to_finish(world: World) -> None:
    preview = await world.push("1" * 40, ref="topic", kind="branch")
    production = await world.push("1" * 40)
    await run(world, preview)
    await run(world, production)
    await world.push("2" * 40, ref="topic", kind="branch")
    await world.push("2" * 40)
    asked = {row["deployment_id"]: row["cancel_state"] for row in await world.work()}
    assert asked[preview] == "superseded"
    assert asked[production] is None


async def test_stop_cancels_what_is_queued_and_asks_what_runs(world: World) -> None:
    deployment_id = await world.push()
    environment_id = (await world.deployment(deployment_id))["environment_id"]
    await lifecycle.request_work(world.store, environment_id, "stop", actor="bob")
    row = await world.deployment(deployment_id)
    assert (row["state"], row["reason"]) == ("cancelled", "cancelled: bob asked to stop it")
    assert [entry["kind"] for entry in await world.work() if entry["state"] == "queued"] == ["stop"]


async def test_start_needs_something_that_was_live(world: World) -> None:
    environment_id = (await world.deployment(await world.push()))["environment_id"]
    with pytest.raises(ConflictError, match="Nothing was ever live"):
        await lifecycle.request_work(world.store, environment_id, "start", actor="bob")


async def test_rollback_goes_back_step_by_step(world: World) -> None:
    ids = []
    for digit in "123":
        ids.append(await world.push(digit * 40))
        await world.set_live(ids[-1])
    environment_id = (await world.deployment(ids[0]))["environment_id"]
    back = await lifecycle.rollback(world.store, environment_id, actor="bob")
    row = await world.deployment(back)
    assert (row["sha"], row["source_deployment_id"], row["cause"]) == ("2" * 40, ids[1], "rollback")
    await world.set_live(back)
    further = await lifecycle.rollback(world.store, environment_id, actor="bob")
    assert (await world.deployment(further))["source_deployment_id"] == ids[0]
    await world.set_live(further)
    with pytest.raises(ConflictError, match="no earlier deployment"):
        await lifecycle.rollback(world.store, environment_id, actor="bob")
    forth = await lifecycle.rollback(world.store, environment_id, ids[2], actor="bob")
    assert (await world.deployment(forth))["sha"] == "3" * 40


async def test_rollback_only_to_what_was_live_here(world: World) -> None:
    failed = await world.push()
    environment_id = (await world.deployment(failed))["environment_id"]
    with pytest.raises(NotFoundError):
        await lifecycle.rollback(world.store, environment_id, failed, actor="bob")


async def test_redeploy_takes_the_newest_pushed_commit(world: World) -> None:
    first = await world.push("1" * 40)
    await world.set_live(first)
    second = await world.push("2" * 40)
    await world.set_live(second)
    environment_id = (await world.deployment(first))["environment_id"]
    await world.set_live(await lifecycle.rollback(world.store, environment_id, actor="bob"))
    again = await lifecycle.redeploy(world.store, environment_id, actor="bob")
    assert (await world.deployment(again))["sha"] == "2" * 40


async def test_cancel(world: World) -> None:
    deployment_id = await world.push()
    await lifecycle.cancel(world.store, deployment_id, actor="bob")
    assert (await world.deployment(deployment_id))["reason"] == "cancelled by bob"
    with pytest.raises(ConflictError, match="it is cancelled"):
        await lifecycle.cancel(world.store, deployment_id, actor="bob")
    with pytest.raises(NotFoundError):
        await lifecycle.cancel(world.store, 999, actor="bob")


async def test_teardown_of_an_unknown_branch_is_nothing(world: World) -> None:
    async with world.store.begin() as tx:
        result = await lifecycle.teardown(
            tx, repository_id=world.repository_id, environment_kind="branch", ref="nope", actor="ann"
        )
    assert result == []


async def test_a_removed_environment_comes_back_with_a_push(world: World) -> None:
    deployment_id = await world.push(ref="topic", kind="branch")
    environment_id = (await world.deployment(deployment_id))["environment_id"]
    async with world.store.begin() as tx:
        await tx.run(sa.update(environments).values(state="removed"))
    with pytest.raises(ConflictError, match="has been removed"):
        await lifecycle.request_work(world.store, environment_id, "start", actor="bob")
    again = await world.push("b" * 40, ref="topic", kind="branch")
    assert (await world.deployment(again))["environment_id"] == environment_id
    assert (await world.environment(environment_id))["state"] == "empty"


async def test_the_mode_decides_which_branches_are_deployed(world: World) -> None:
    await settings.set_settings(world.store, world.application_id, {"mode": "pull_request"})
    await world.push()
    with pytest.raises(ConflictError, match="mode of shop is pull_request"):
        await world.push(ref="topic", kind="branch")
    await settings.set_settings(world.store, world.application_id, {"mode": "off"})
    with pytest.raises(ConflictError, match="mode of shop is off"):
        await world.push()
