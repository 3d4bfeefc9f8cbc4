import json

import pytest
import sqlalchemy as sa

from bot.deploy import states
from bot.store.tables import deployments
from tests.deploy.conftest import World

pytestmark = pytest.mark.anyio


def test_the_table_is_closed() -> None:
    for following in states.NEXT.values():
        assert following <= states.NEXT.keys()
    assert states.FORGE.keys() == states.NEXT.keys()
    ended = {state for state, following in states.NEXT.items() if not following - {"retired"}}
    assert ended == states.ENDED


def test_only_live_is_success() -> None:
    assert [state for state, told in states.FORGE.items() if told and told[0] == "success"] == ["live"]


async def test_every_change_that_the_table_forbids_is_refused(world: World) -> None:
    deployment_id = await world.push()
    for before, following in states.NEXT.items():
        for after in states.NEXT:
            async with world.store.begin() as tx:
                await tx.run(sa.update(deployments).values(state=before))
                assert await states.change(tx, deployment_id, after) == (after in following)


async def test_a_change_and_its_report_are_one(world: World) -> None:
    deployment_id = await world.push()
    before = len(await world.reports())

    async def fail_after_the_change() -> None:
        async with world.store.begin() as tx:
            assert await states.change(tx, deployment_id, "running")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_the_change()
    assert (await world.deployment(deployment_id))["state"] == "queued"
    assert len(await world.reports()) == before


async def test_reports_say_context_state_and_reason(world: World) -> None:
    deployment_id = await world.push(ref="topic", kind="branch")
    async with world.store.begin() as tx:
        await states.change(tx, deployment_id, "failed", reason="x" * 300, phase="build")
    rows = [row for row in await world.reports() if row["kind"] == "status"]
    body = json.loads(rows[-1]["body_json"])
    assert body["context"] == "berth/preview"
    assert body["state"] == "failure"
    assert body["description"].startswith("failed in build: xxx")
    assert len(body["description"]) == 140
    deployment = json.loads([row for row in await world.reports() if row["kind"] == "deployment"][-1]["body_json"])
    assert (deployment["state"], deployment["environment"]) == ("failure", "preview/topic")


async def test_an_ended_deployment_has_its_end_time(world: World) -> None:
    deployment_id = await world.push()
    async with world.store.begin() as tx:
        await states.change(tx, deployment_id, "cancelled", reason="cancelled by ann")
    assert (await world.deployment(deployment_id))["finished_at"] is not None
    async with world.store.begin() as tx:
        assert not await states.change(tx, deployment_id, "running")
