"""Branches against deliveries: what got lost is made up, once."""

import asyncio
import json
import os
import shutil
import time
from typing import Any

import pytest

from bot.errors import BerthError, NotFoundError
from bot.forge.local import LocalForge, validate_name
from bot.source.process import environment, run_git
from bot.store.database import Row
from tests.forge.conftest import Rig, Work

pytestmark = pytest.mark.anyio
ZERO = "0" * 40


async def arrive(rig: Rig, row: Row, work: Work, *refspecs: str) -> None:
    """Change branches as a push does whose hook never ran."""
    await asyncio.to_thread(work, "push", "-qf", "--no-verify", str(rig.forge.clone_path(row)), *refspecs)


async def test_lost_pushes_are_made_up_once(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    first = work.commit("one")
    await arrive(idle, row, work, "main", "main:x")
    assert await idle.forge.sweep() == 2
    assert await idle.forge.sweep() == 0
    assert [(decision.kind, decision.ref, decision.sha) for decision, _ in idle.decisions] == [
        ("deploy", "main", first),
        ("deploy", "x", first),
    ]
    second = work.commit("two")
    await arrive(idle, row, work, "main", ":x")
    assert await idle.forge.sweep() == 2
    assert [(decision.kind, decision.sha) for decision, _ in idle.decisions[2:]] == [
        ("deploy", second),
        ("teardown", first),
    ]
    payload = json.loads((await idle.rows())[2]["payload_json"])
    assert (payload["before"], payload["after"], payload["forced"]) == (first, second, False)
    assert payload["head_commit"]["message"] == "two"


async def test_restarted_server_knows_what_was_delivered(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    work.commit()
    await arrive(idle, row, work, "main")
    await idle.forge.sweep()
    again = LocalForge(idle.config, idle.store, idle.forge.vault, idle.apply)
    await again.open()
    assert await again.sweep() == 0
    work.commit("later")
    await arrive(idle, row, work, "main")
    assert await again.sweep() == 1


async def test_skipped_commits_are_not_made_up_again(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    work.commit("[skip ci]")
    await arrive(idle, row, work, "main")
    assert [await idle.forge.sweep() for _ in range(3)] == [1, 0, 0]
    assert idle.decisions == []
    assert [delivery["decision"] for delivery in await idle.rows()] == ["ignored"]


async def test_sweep_leaves_running_pushes_alone(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    work.commit()
    async with idle.forge.pushes.pushing(row):
        await arrive(idle, row, work, "main")
        assert await idle.forge.sweep() == 0
    assert len(idle.decisions) == 1


async def test_a_repository_whose_folder_was_lost_takes_nothing_down(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    first = work.commit()
    await arrive(idle, row, work, "main", "main:x")
    assert await idle.forge.sweep() == 2
    await asyncio.to_thread(shutil.rmtree, idle.forge.clone_path(row))
    again = LocalForge(idle.config, idle.store, idle.forge.vault, idle.apply)
    await again.open()  # makes an empty one in its place
    assert await again.sweep() == 0
    assert [decision.kind for decision, _ in idle.decisions] == ["deploy", "deploy"]
    await arrive(idle, row, work, "main", "main:x")
    assert (await again.sweep(), first) == (0, work("rev-parse", "HEAD"))


async def test_a_push_during_a_sweep_is_not_undone_by_it(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    old = work.commit("old")
    await arrive(idle, row, work, "main")
    assert await idle.forge.sweep() == 1
    new = work.commit("new")
    pushes, load = idle.forge.pushes, idle.forge.pushes._load_delivered

    async def meanwhile() -> Any:  # after the sweep has read the branches
        pushes._load_delivered = load  # type: ignore[method-assign]
        async with pushes.pushing(row):
            await arrive(idle, row, work, "main")
            await pushes._make_up(row, "main", old, new)  # its hook
        return await load()

    pushes._load_delivered = meanwhile  # type: ignore[method-assign]
    assert await pushes.sweep_repository(row) == 0
    assert [decision.sha for decision, _ in idle.decisions] == [old, new]


async def test_old_deliveries_are_forgotten_but_the_newest_of_each_branch(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    for message in ("one", "two"):
        work.commit(message)
        await arrive(idle, row, work, "main", "main:x")
        await idle.forge.sweep()
    await arrive(idle, row, work, ":x")
    await idle.forge.sweep()
    assert await idle.forge.pushes.forget(time.time() - 60) == 0
    assert await idle.forge.pushes.forget(time.time() + 60) == 4
    (left,) = await idle.rows()
    assert json.loads(left["payload_json"])["ref"] == "refs/heads/main"
    again = LocalForge(idle.config, idle.store, idle.forge.vault, idle.apply)
    await again.open()
    assert await again.sweep() == 0


async def test_one_broken_repository_does_not_stop_the_sweep(idle: Rig, work: Work) -> None:
    broken = await idle.forge.create_repository("a-broken")
    row = await idle.forge.create_repository("shop")
    (idle.forge.clone_path(broken) / "HEAD").unlink()
    work.commit()
    await arrive(idle, row, work, "main")
    assert await idle.forge.sweep() == 1


async def test_work_that_cannot_be_stored_is_tried_at_the_next_sweep(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    work.commit()
    await arrive(idle, row, work, "main")
    idle.forge.pushes._work = None
    assert await idle.forge.sweep() == 0
    assert await idle.rows() == []
    idle.forge.pushes._work = idle.apply
    assert await idle.forge.sweep() == 1


async def test_weird_branches_that_are_there_anyhow_are_skipped(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    sha = work.commit()
    await arrive(idle, row, work, "main")
    env = environment(variables={"GIT_DIR": str(idle.forge.clone_path(row))})
    assert (await run_git("update-ref", "refs/heads/-x", sha, env=env)).code == 0
    assert await idle.forge.sweep() == 1
    assert await idle.forge.sweep() == 0


async def test_missing_bare_repository_is_made_again_at_start(idle: Rig) -> None:
    row = await idle.forge.create_repository("shop", "/some/path", "trunk")
    (idle.forge.clone_path(row) / "HEAD").unlink()
    await idle.forge.open()
    assert (idle.forge.clone_path(row) / "HEAD").read_text() == "ref: refs/heads/trunk\n"
    assert row["source_path"] == "/some/path"


async def test_names(idle: Rig) -> None:
    assert validate_name("My-App_1.x") == "my-app_1.x"
    for name in ("", "-x", ".x", "a/b", "a b", "a.git", "a.lock", "x" * 64, "é", "a\n", "..", "%2e"):
        with pytest.raises(BerthError, match="cannot be the name"):
            await idle.forge.create_repository(name)
    with pytest.raises(BerthError, match="branch name"):
        await idle.forge.create_repository("shop", default_branch="-x")
    made = await asyncio.gather(*(idle.forge.create_repository("shop") for _ in range(5)))
    assert len({row["id"] for row in made}) == 1


async def test_remote_url(idle: Rig) -> None:
    row = await idle.forge.create_repository("shop")
    token = idle.forge.push_token(row)
    assert idle.forge.remote_url(row) == f"http://berth:{token}@localhost:{idle.config.port}/git/shop.git"
    assert (
        idle.forge.remote_url(row, "https://h.example/berth/") == f"https://berth:{token}@h.example/berth/git/shop.git"
    )


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::", "http://[::1]:"),
        ("10.0.0.1", "http://10.0.0.1:"),
        ("h.example", "http://h.example:"),
    ],
)
async def test_hooks_reach_the_server_wherever_it_listens(idle: Rig, host: str, url: str) -> None:
    config = idle.config.model_copy(update={"host": host})
    forge = LocalForge(config, idle.store, idle.forge.vault)
    await forge.open()
    variables = forge.pushes.hook_variables(await forge.create_repository("shop"), "token")
    assert variables["BERTH_HOOK_URL"] == f"{url}{config.port}/api/local/webhooks"
    assert variables["BERTH_HOOK_EVENTS"] == f"{url}{config.port}/api/deployments"
    assert os.access(config.data_dir / "hooks/post-receive", os.X_OK)


async def test_deciding_again_is_no_news_for_the_sweep(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    first = work.commit("one")
    await arrive(idle, row, work, "main")
    await idle.forge.sweep()
    work.commit("two")
    await arrive(idle, row, work, "main")
    await idle.forge.sweep()
    old = (await idle.rows())[0]
    answer = await idle.forge.pushes.replay(old["id"], "ada")
    assert (answer.body["decision"], answer.body["deployment_ids"]) == ("deploy", [102])
    assert (idle.decisions[-1][0].kind, idle.decisions[-1][0].sha) == ("deploy", first)
    newest = (await idle.rows())[-1]
    assert (newest["sender"], newest["delivery_id"].startswith("replay-")) == ("ada", True)
    assert await idle.forge.sweep() == 0
    with pytest.raises(NotFoundError):
        await idle.forge.pushes.replay(999, "ada")
