"""From GitHub's deliveries to what GitHub is told of them, on SQLite and on PostgreSQL."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.config import load_config
from bot.deploy import records, states
from bot.deploy.admission import Limits
from bot.deploy.logs import LogStore
from bot.errors import ConflictError
from bot.forge import inbox
from bot.forge.github import GitHub
from bot.forge.github_comment import PullRequestComment
from bot.forge.github_forge import GitHubForge
from bot.forge.github_reports import GitHubReporter
from bot.forge.intake import Intake
from bot.forge.reports import OutboxSender
from bot.store.crypto import Vault, load_keys
from bot.store.database import Store
from bot.store.tables import commands, deployments, environments, outbox, work
from tests.forge.github_rig import GitHubRig, Hub, credentials
from tests.github.fake import FakeGitHub

pytest_plugins = ["tests.database_fixtures"]
pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
async def store(database_url: str) -> Any:
    async with Store(database_url) as opened:
        yield opened


async def test_the_whole_way(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 0.0)
    with FakeGitHub() as fake:
        repository = fake.create_repository("acme/shop")
        installation = fake.installation_of(repository)
        assert installation is not None
        where = {"installation": {"id": installation.id}}
        hub = Hub(number=repository.id)
        config = load_config(
            data_dir=tmp_path, github_url=fake.url, github_api_url=fake.api_url, public_url="https://berth.example"
        )
        client = GitHub(config, fake.app, write_interval=0.0)
        await client.open()
        forge = GitHubForge(config, store, Intake(Limits()))
        await forge.open()
        forge.credentials = credentials()
        rig = GitHubRig(forge, store)
        logs = LogStore(tmp_path / "logs", store, max_bytes=1_000_000, keep_days=1)
        comment = PullRequestComment(client, store, config, Vault(load_keys("", tmp_path / "key")), logs)
        later = 10.0
        sender = OutboxSender(
            store, {forge.id: GitHubReporter(client, store, config, comment)}, lambda: time.time() + later
        )
        try:
            first = repository.push("main", {"a.txt": "1"}, send=False)
            head = repository.push("topic", {"a.txt": "2"}, send=False)
            number = repository.open_pull_request("topic", send=False).number
            assert (await rig.send("push", hub.push("main", first, **where)))["decision"] == "deploy"
            assert (await rig.send("push", hub.push("topic", head, **where)))["decision"] == "deploy"
            opened = await rig.send("pull_request", hub.pull("opened", "topic", head, number=number, **where))
            assert opened["decision"] == "ignored"  # that commit is deployed already
            command = hub.comment("/deploy restart", number=number, **where)
            assert (await rig.send("issue_comment", command))["decision"] == "command"
            assert len(await store.all(sa.select(commands))) == 1

            found = await store.all(sa.select(deployments).order_by(deployments.c.id))
            assert [row["sha"] for row in found] == [first, head]
            async with store.begin() as tx:
                assert await states.change(tx, found[1]["id"], "running", phase="build", started_at=time.time())
                values = {"phase": "build", "reason": "npm ci ended with exit code 1."}
                assert await states.change(tx, found[1]["id"], "failed", **values)
            for _ in range(20):
                await sender.send_due()
                later += 30.0
            unsent = await store.all(sa.select(outbox).where(outbox.c.sent_at.is_(None)))
            assert [(row["subject"], row["last_error"]) for row in unsent] == []
            assert [one.state for one in fake.statuses(head)][-1] == "failure"
            [told] = fake.own_comments(number)
            assert "npm ci ended with exit code 1" in told.body

            deletion = hub.push("topic", "0" * 40, **where)
            assert (await rig.send("push", deletion))["decision"] == "teardown"
            assert await store.all(sa.select(work.c.id).where(work.c.kind == "remove"))
            assert fake.violations == []
            assert fake.mistakes == []
        finally:
            await sender.close()
            await forge.close()
            await logs.close()
            await client.close()


async def test_one_of_many_starts_at_once_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 0.0)
    forge = GitHubForge(load_config(), store, Intake(Limits()))
    await forge.open()
    forge.credentials = credentials()
    rig, hub = GitHubRig(forge, store), Hub()
    await rig.send("push", hub.push("main", "1" * 40))
    [environment] = await store.all(sa.select(environments))
    made = await records.create_in(store, environment["id"], sha="2" * 40, actor="ada")
    outcomes = await asyncio.gather(*(records.start(store, made) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in outcomes].count(ConflictError) == 4
    row = await store.one(sa.select(deployments.c.state).where(deployments.c.id == made))
    assert row is not None
    assert row["state"] == "queued"
    assert len(await store.all(sa.select(work).where(work.c.deployment_id == made, work.c.state == "queued"))) == 1
    await forge.close()
