"""Reports to GitHub, against a GitHub that holds every request against its own description."""

import json
import random
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.config import Config, load_config
from bot.deploy import lifecycle, states
from bot.deploy.logs import LogStore
from bot.deploy.masking import Masker
from bot.deploy.settings import set_settings
from bot.deploy.variables import Snapshot, Variable
from bot.forge.github import GitHub
from bot.forge.github_app import AppCredentials
from bot.forge.github_comment import PullRequestComment
from bot.forge.github_reports import GitHubReporter
from bot.forge.reports import GIVE_UP, LONGEST_DELAY, OutboxSender
from bot.store.crypto import Vault, load_keys
from bot.store.database import Row, Store
from bot.store.tables import (
    applications,
    deployments,
    environments,
    forge_deployments,
    forges,
    outbox,
    ports,
    pull_requests,
    repositories,
    services,
    work,
)
from tests.github.fake import FakeGitHub
from tests.github.state import Comment

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
DETECTED = {
    "stack": "node",
    "framework": "express",
    "confidence": 95,
    "port": 3000,
    "start_command": "node server.js",
    "evidence": [{"path": "package.json", "line": 7, "seen": '"express": "^4"', "says": "Express"}],
    "warnings": [],
}
NOTHING = {"stack": "none", "underlying_stack": None}
FILES = {"Dockerfile": "FROM node:22-slim\n", "docker-compose.yml": "services: {}\n"}


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = time.time() + 10  # later than what is made in a test

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """A repository on GitHub that Berth knows, and what happens to it."""

    fake: FakeGitHub
    store: Store
    config: Config
    vault: Vault
    logs: LogStore
    client: GitHub
    clock: Clock
    sender: OutboxSender
    reporter: GitHubReporter
    repository_id: int
    application_id: int
    repository: Any
    numbers: dict[str, int] = field(default_factory=dict)

    async def push(self, branch: str = "topic", application_id: int = 0, text: str = "") -> int:
        """A commit on GitHub, and its deployment queued."""
        sha = self.repository.push(branch, {"a.txt": text or str(random.random())}, send=False)
        return await self.queue(branch, sha, application_id)

    async def queue(self, branch: str, sha: str, application_id: int = 0) -> int:
        kind = "production" if branch == "main" else "branch"
        async with self.store.begin() as tx:
            return await lifecycle.queue_commit(
                tx,
                application_id or self.application_id,
                kind,
                branch,
                sha=sha,
                cause="push",
                actor="ann",
                message="Change it",
            )

    async def change(self, deployment_id: int, to: str, **values: Any) -> None:
        async with self.store.begin() as tx:
            assert await states.change(tx, deployment_id, to, **values)

    async def run(self, deployment_id: int, **values: Any) -> None:
        """It is under way: something was detected, files were made."""
        async with self.store.begin() as tx:
            await tx.run(sa.update(work).where(work.c.deployment_id == deployment_id).values(state="running"))
        given = {
            "phase": "build",
            "started_at": time.time(),
            "detection_json": json.dumps(DETECTED),
            "files_json": json.dumps(FILES),
        }
        await self.change(deployment_id, "running", **(given | values))

    async def go_live(self, deployment_id: int) -> str:
        """As a switch does; returns the URL."""
        row = await self.row(deployment_id)
        environment = await self.environment(row["environment_id"])
        if environment["live_deployment_id"]:
            await self.change(environment["live_deployment_id"], "retired")
        else:
            await self.publish(environment["id"])
        await self.change(deployment_id, "live", url=f"http://127.0.0.1:{30_000 + environment['id']}", step="")
        async with self.store.begin() as tx:
            await tx.run(
                sa.update(environments)
                .where(environments.c.id == environment["id"])
                .values(state="live", live_deployment_id=deployment_id, reason="")
            )
            await tx.run(sa.update(work).where(work.c.deployment_id == deployment_id).values(state="done"))
        return f"http://127.0.0.1:{30_000 + environment['id']}"

    async def publish(self, environment_id: int) -> None:
        async with self.store.begin() as tx:
            query = services.insert().values(
                environment_id=environment_id, name="web", position=0, role="web", strategy="blue_green"
            )
            number = await tx.insert(query.returning(services.c.id))
            await tx.run(
                ports.insert().values(
                    port=30_000 + environment_id, state="leased", service_id=number, since=time.time()
                )
            )

    async def fail(self, deployment_id: int, reason: str = "npm ci ended with exit code 1.", **values: Any) -> None:
        await self.change(deployment_id, "failed", reason=reason, fix="Look at `package.json`.", **values)
        async with self.store.begin() as tx:
            await tx.run(sa.update(work).where(work.c.deployment_id == deployment_id).values(state="done"))

    async def take_off(self, environment_id: int, state: str) -> None:
        """As a stop and a removal do."""
        async with self.store.begin() as tx:
            environment = await lifecycle.get_environment(tx, environment_id)
            if state == "removed" and environment["live_deployment_id"]:
                await states.change(tx, environment["live_deployment_id"], "retired")
            values = {"state": state, "reason": ""}
            values |= {"removed_at": time.time()} if state == "removed" else {}
            await tx.run(sa.update(environments).where(environments.c.id == environment_id).values(**values))
            await states.report_end(tx, environment_id)
            if state == "removed":
                await tx.run(
                    sa.update(environments).where(environments.c.id == environment_id).values(live_deployment_id=None)
                )

    async def open(self, branch: str = "topic") -> int:
        """A pull request, and its row as its event would have made it."""
        number = int(self.repository.open_pull_request(branch, send=False).number)
        async with self.store.begin() as tx:
            await tx.run(
                pull_requests.insert().values(
                    repository_id=self.repository_id,
                    number=number,
                    state="open",
                    head_ref=branch,
                    head_sha="a" * 40,
                    head_repository_id=self.repository.id,
                    base_ref="main",
                    updated_at=time.time(),
                )
            )
            await states.report_pull_request(tx, self.repository_id, number)
        return number

    async def close(self, number: int) -> None:
        async with self.store.begin() as tx:
            change = sa.update(pull_requests).where(pull_requests.c.number == number)
            await tx.run(change.values(state="closed", updated_at=time.time()))
            await states.report_pull_request(tx, self.repository_id, number)

    async def row(self, deployment_id: int) -> Row:
        row = await self.store.one(sa.select(deployments).where(deployments.c.id == deployment_id))
        assert row is not None
        return row

    async def environment(self, environment_id: int) -> Row:
        row = await self.store.one(sa.select(environments).where(environments.c.id == environment_id))
        assert row is not None
        return row

    async def environment_of(self, deployment_id: int) -> int:
        return int((await self.row(deployment_id))["environment_id"])

    async def sha(self, deployment_id: int) -> str:
        return str((await self.row(deployment_id))["sha"])

    async def statuses(self, deployment_id: int) -> list[tuple[str, str, str]]:
        found = self.fake.statuses(await self.sha(deployment_id))
        return [(one.context, one.state, one.description or "") for one in found]

    async def send(self, hours: float = 1.0) -> None:
        """Everything that can be sent within that time, which passes at once."""
        end = self.clock.now + hours * 3_600
        while self.clock.now < end:
            delay = await self.sender.send_due()
            if not await self.store.all(sa.select(outbox.c.id).where(outbox.c.sent_at.is_(None))):
                return
            self.clock.now += delay

    async def unsent(self) -> list[Row]:
        return await self.store.all(sa.select(outbox).where(outbox.c.sent_at.is_(None)))

    def comment(self, number: int) -> str:
        [one] = self.fake.own_comments(number)
        return one.body

    def requests(self, pattern: str) -> list[str]:
        found = (f"{one.method} {one.path}" for one in self.fake.requests)
        return [one for one in found if re.search(pattern, one)]


@pytest.fixture
def fake() -> Any:
    with FakeGitHub() as github:
        yield github


@pytest.fixture
async def scene(
    tmp_path: Path, store: Store, fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    monkeypatch.setattr("bot.forge.github._pause", lambda *_: None)  # its own attempts are tested with it, and last
    repository = fake.create_repository("acme/shop")
    config = load_config(
        data_dir=tmp_path / "data", github_url=fake.url, github_api_url=fake.api_url, public_url="https://berth.example"
    )
    config.data_dir.mkdir()
    vault = Vault(load_keys("", tmp_path / "key"))
    logs = LogStore(tmp_path / "logs", store, max_bytes=1_000_000, keep_days=1)
    app = fake.app
    credentials = AppCredentials(
        app.app_id, app.slug, app.client_id, app.client_secret, app.webhook_secret, app.private_key, ""
    )
    client = GitHub(config, credentials, write_interval=0.0)
    await client.open()
    installation = fake.installation_of(repository)
    assert installation is not None
    async with store.begin() as tx:
        forge = await tx.insert(forges.insert().values(kind="github", host="x").returning(forges.c.id))
        row = {
            "forge_id": forge,
            "forge_repository_id": repository.id,
            "name": "acme/shop",
            "installation_id": installation.id,
            "created_at": time.time(),
        }
        number = await tx.insert(repositories.insert().values(row).returning(repositories.c.id))
        application = applications.insert().values(repository_id=number, name="shop", created_at=time.time())
        application_id = await tx.insert(application.returning(applications.c.id))
    comment = PullRequestComment(client, store, config, vault, logs)
    reporter = GitHubReporter(client, store, config, comment)
    clock = Clock()
    sender = OutboxSender(store, {forge: reporter}, clock)
    repository.push("main", {"a.txt": "first"}, send=False)
    made = Scene(fake, store, config, vault, logs, client, clock, sender, reporter, number, application_id, repository)
    yield made
    await sender.close()
    await logs.close()
    await client.close()
    assert fake.violations == []
    assert fake.mistakes == []


async def test_a_preview_from_the_first_second_to_its_end(scene: Scene) -> None:
    first = await scene.push()
    number = await scene.open()
    await scene.send()
    assert await scene.statuses(first) == [("berth/preview", "pending", "queued")]
    [deployment] = scene.fake.deployments
    assert (deployment.environment, deployment.transient, deployment.production) == ("preview/topic", True, False)
    assert "### Queued: preview of `topic`" in scene.comment(number)
    await scene.run(first)
    await scene.send()
    assert "### Running: preview" in scene.comment(number)
    url = await scene.go_live(first)
    await scene.send()
    assert (await scene.statuses(first))[-1] == ("berth/preview", "success", f"live at {url}")
    [status] = [one for one in scene.fake.statuses(await scene.sha(first)) if one.state == "success"]
    assert status.target_url == f"https://berth.example/deployments/{first}"
    assert [one.state for one in deployment.statuses] == ["queued", "in_progress", "success"]
    assert deployment.statuses[-1].environment_url == url
    assert deployment.statuses[-1].log_url == f"https://berth.example/deployments/{first}"
    body = scene.comment(number)
    assert "### Live: preview of `topic`" in body
    assert f"](<{url}>)" in body
    assert "What was detected" in body
    assert "FROM node:22-slim" in body
    assert scene.fake.own_comments(number)[0].edits == 2
    # a second commit
    second = await scene.push()
    await scene.run(second)
    await scene.go_live(second)
    await scene.send()
    assert [one.state for one in scene.fake.deployments] == ["inactive", "success"]
    assert len(scene.fake.own_comments(number)) == 1
    assert f"`{(await scene.sha(second))[:7]}`" in scene.comment(number)
    # the end
    await scene.close(number)
    await scene.send()
    assert "closed. The preview stays until its branch is deleted." in scene.comment(number)
    await scene.take_off(await scene.environment_of(second), "removed")
    await scene.send()
    assert "### Removed: preview of `topic`" in scene.comment(number)
    assert scene.fake.deployments == []
    assert scene.fake.environments == []
    assert await scene.store.all(sa.select(forge_deployments)) == []
    # what failed to be needed is not sent: statuses of commits that are gone stay as they were
    assert (await scene.statuses(second))[-1][1] == "success"


async def test_the_table_of_states(scene: Scene) -> None:
    cancelled, superseded, failed, fault, crashed = [await scene.push(f"b{number}") for number in range(5)]
    await scene.send()
    await scene.change(cancelled, "cancelled", reason="cancelled by ann")
    await scene.change(superseded, "superseded", reason="superseded by a1b2c3d")
    for one in (failed, fault, crashed):
        await scene.run(one)
    await scene.fail(failed)
    await scene.fail(fault, f"{states.FAULT}: KeyError.")
    await scene.go_live(crashed)
    async with scene.store.begin() as tx:
        await states.report_environment(tx, await scene.environment_of(crashed), "failure", "web ended, 4 times.")
    await scene.send()
    told = [(await scene.statuses(one))[-1][1:] for one in (cancelled, superseded, failed, fault, crashed)]
    assert told == [
        ("error", "cancelled by ann"),
        ("error", "superseded by a1b2c3d"),
        ("failure", "failed in build: npm ci ended with exit code 1."),
        ("error", f"failed in build: {states.FAULT}: KeyError."),
        ("failure", "web ended, 4 times."),
    ]
    ends = {one.environment: (one.state, one.statuses[-1].description) for one in scene.fake.deployments}
    assert ends == {
        "preview/b0": ("inactive", ""),
        "preview/b1": ("inactive", ""),
        "preview/b2": ("failure", "failed in build: npm ci ended with exit code 1."),
        "preview/b3": ("error", f"failed in build: {states.FAULT}: KeyError."),
        "preview/b4": ("failure", "web ended, 4 times."),
    }


async def test_production_and_stop(scene: Scene) -> None:
    deployment_id = await scene.push("main")
    await scene.run(deployment_id)
    url = await scene.go_live(deployment_id)
    await scene.send()
    [deployment] = scene.fake.deployments
    assert (deployment.environment, deployment.transient, deployment.production) == ("production", False, True)
    assert (await scene.statuses(deployment_id))[-1] == ("berth/production", "success", f"live at {url}")
    environment_id = await scene.environment_of(deployment_id)
    await scene.take_off(environment_id, "stopped")
    await scene.send()
    assert deployment.state == "inactive"
    assert (await scene.statuses(deployment_id))[-1][1] == "success"
    async with scene.store.begin() as tx:
        await states.report(tx, deployment_id)
    await scene.send()
    assert deployment.state == "success"
    # an environment of that name may have rules and secrets: it stays
    await scene.take_off(environment_id, "removed")
    await scene.send()
    assert scene.fake.deployments == []
    assert scene.fake.environments == ["production"]


async def test_a_failure_with_its_last_lines(scene: Scene) -> None:
    number, deployment_id = await _failed(scene)
    body = scene.comment(number)
    assert "### Failed: preview of `topic`" in body
    assert "**shop: failed in build.** npm ci ended with exit code 1. To mend it: Look at `package.json`." in body
    assert "<details open>\n<summary>Last 30 lines of the log</summary>\n\n````text\n" in body
    assert "line 39" in body
    assert "line 9\n" not in body
    assert "hunter" not in body
    assert "</details>\nnpm" in body
    assert f"deployments/{deployment_id}" in body


@pytest.mark.parametrize("allowed", [False, True])
async def test_public_repositories_show_no_log_unless_that_is_set(scene: Scene, allowed: bool) -> None:
    async with scene.store.begin() as tx:
        await tx.run(sa.update(repositories).values(private=False))
    if allowed:
        await set_settings(scene.store, scene.application_id, {"log_excerpts": True})
    number, _ = await _failed(scene)
    assert ("line 39" in scene.comment(number)) == allowed
    assert "npm ci ended with exit code 1." in scene.comment(number)
    assert ("The log is [on its page]" in scene.comment(number)) != allowed


async def _failed(scene: Scene) -> tuple[int, int]:
    """A pull request whose build failed, with a log that tries to break out."""
    deployment_id = await scene.push()
    secret = Snapshot({}, (Variable("TOKEN", "hunter2hunter2", secret=True),))
    await scene.run(deployment_id, snapshot_enc=scene.vault.encrypt(secret.to_json()))
    writer = await scene.logs.open_deployment(deployment_id, Masker(secret.secrets()))
    for line in range(38):
        writer.write(f"line {line}", source="buildkit")
    for line in ("```", "</details>", "npm: hunter2\x1b[31mhunter2 @ann", "line 39"):
        writer.write(line, source="buildkit")
    writer.write("failed in build", source="berth", kind="state")
    await writer.close()
    number = await scene.open()
    await scene.fail(deployment_id)
    await scene.send()
    return number, deployment_id


async def test_what_was_live_before_a_failure_is_named(scene: Scene) -> None:
    first = await scene.push()
    await scene.run(first)
    url = await scene.go_live(first)
    second = await scene.push()
    await scene.run(second)
    number = await scene.open()
    await scene.fail(second)
    await scene.send()
    body = scene.comment(number)
    assert f"The commit before, `{(await scene.sha(first))[:7]}`, is still live." in body
    assert url in body


async def test_one_table_for_all_applications(scene: Scene) -> None:
    async with scene.store.begin() as tx:
        more = applications.insert().values(repository_id=scene.repository_id, name="worker|x", created_at=time.time())
        other = await tx.insert(more.returning(applications.c.id))
    first = await scene.push()
    second = await scene.queue("topic", await scene.sha(first), other)
    number = await scene.open()
    await scene.run(first)
    await scene.go_live(first)
    await scene.run(second)
    await scene.fail(second)
    await scene.send()
    assert {(one[0], one[1]) for one in await scene.statuses(first)} >= {
        ("berth/preview (shop)", "success"),
        ("berth/preview (worker|x)", "failure"),
    }
    assert {one.environment for one in scene.fake.deployments} == {"preview/topic (shop)", "preview/topic (worker|x)"}
    body = scene.comment(number)
    assert "### Failed: preview" in body
    assert "\n| shop | **Live** |" in body
    assert "\n| worker&#124;x | **Failed** |" in body


async def test_a_deleted_comment_is_made_again_but_not_for_a_closed_pull_request(scene: Scene) -> None:
    deployment_id = await scene.push()
    number = await scene.open()
    await scene.send()
    [first] = scene.fake.own_comments(number)
    del scene.repository.comments[first.id]
    await scene.run(deployment_id)
    await scene.send()
    [second] = scene.fake.own_comments(number)
    assert second.id != first.id
    assert "### Running" in second.body
    del scene.repository.comments[second.id]
    await scene.close(number)
    await scene.send()
    assert scene.fake.own_comments(number) == []
    assert await scene.unsent() == []


async def test_a_comment_whose_id_was_lost_is_found_again_and_a_forged_one_is_not_touched(scene: Scene) -> None:
    deployment_id = await scene.push()
    number = await scene.open()
    await scene.send()
    [ours] = scene.fake.own_comments(number)
    async with scene.store.begin() as tx:
        await tx.run(sa.update(pull_requests).values(comment_id=None))
    mark = ours.body.split("\n")[0]
    forged_body = f"{mark}\nI am Berth"
    fake_one = Comment(number, forged_body, scene.fake.user("eve"), id=1)
    scene.repository.comments = {1: fake_one, **scene.repository.comments}
    await scene.run(deployment_id)
    await scene.send()
    assert [one.id for one in scene.fake.own_comments(number)] == [ours.id]
    assert "### Running" in ours.body
    assert fake_one.body == forged_body


async def test_reports_that_come_twice_make_nothing_twice(scene: Scene) -> None:
    deployment_id = await scene.push()
    number = await scene.open()
    await scene.send()
    async with scene.store.begin() as tx:  # a crash before what was made could be written down
        await tx.run(sa.delete(forge_deployments))
        await tx.run(sa.update(pull_requests).values(comment_id=None))
        await tx.run(sa.update(outbox).values(sent_at=None))
    await scene.send()
    assert len(scene.fake.deployments) == 1
    assert len(scene.fake.own_comments(number)) == 1
    assert await scene.unsent() == []
    assert deployment_id


async def test_an_unchanged_comment_is_not_written_again(scene: Scene) -> None:
    await scene.push()
    number = await scene.open()
    await scene.send()
    before = len(scene.fake.requests)
    async with scene.store.begin() as tx:
        await states.report_pull_request(tx, scene.repository_id, number)
    await scene.send()
    assert len(scene.fake.requests) == before


async def test_nothing_to_deploy_is_neither_red_nor_green(scene: Scene) -> None:
    first = await scene.push("main")
    await scene.send()
    assert await scene.statuses(first) == [("berth/production", "pending", "queued")]
    reason = "Nothing that Berth can deploy was found: no manifest."
    await scene.run(first, phase="detect", detection_json=json.dumps(NOTHING), files_json=None)
    await scene.fail(first, reason)
    await scene.send()
    assert (await scene.statuses(first))[-1] == ("berth/production", "pending", reason)
    assert [one.state for one in scene.fake.deployments] == ["inactive"]
    # further commits get no status, and pull requests no comment
    second = await scene.push()
    number = await scene.open()
    await scene.run(second, phase="detect", detection_json=json.dumps(NOTHING), files_json=None)
    await scene.fail(second, reason)
    await scene.send()
    assert await scene.statuses(second) == []
    assert scene.fake.own_comments(number) == []
    # until something is detected
    third = await scene.push()
    await scene.run(third)
    await scene.fail(third)
    await scene.send()
    assert [one[1] for one in await scene.statuses(third)] == ["failure"]
    assert len(scene.fake.own_comments(number)) == 1


async def test_nothing_found_where_something_was_deployed_is_a_failure(scene: Scene) -> None:
    first = await scene.push("main")
    await scene.run(first)
    await scene.go_live(first)
    second = await scene.push()
    await scene.run(second, phase="detect", detection_json=json.dumps(NOTHING), files_json=None)
    await scene.fail(second, "Nothing that Berth can deploy was found.")
    await scene.send()
    assert (await scene.statuses(second))[-1][1] == "failure"


async def test_hours_of_outage(scene: Scene) -> None:
    scene.fake.fail(".*", 0)
    first = await scene.push()
    number = await scene.open()
    await scene.send(0.2)
    await scene.run(first)
    await scene.send(1.0)
    await scene.fail(first)
    second = await scene.push()
    await scene.send(1.0)
    await scene.run(second)
    url = await scene.go_live(second)
    await scene.send(4.0)
    asked = len(scene.fake.requests)
    waiting = {row["subject"].split(":")[0] for row in await scene.unsent()}
    assert waiting == {"status", "deployment", "comment"}
    scene.fake.heal()
    begin = scene.clock.now
    await scene.send()
    assert scene.clock.now - begin <= LONGEST_DELAY + 1
    assert await scene.unsent() == []
    assert [one[1] for one in await scene.statuses(first)] == ["failure"]
    assert [one[1] for one in await scene.statuses(second)] == ["success"]
    states_of = [(one.sha, [status.state for status in one.statuses]) for one in scene.fake.deployments]
    assert states_of == [(await scene.sha(first), ["failure"]), (await scene.sha(second), ["success"])]
    assert f"](<{url}>)" in scene.comment(number)
    assert asked < 300  # in more than six hours


@pytest.mark.parametrize("status", [500, 502, 429, 403])
async def test_github_fails_and_recovers(scene: Scene, status: int) -> None:
    headers = {"retry-after": "30"} if status in {403, 429} else {}
    fault = scene.fake.fail("/repos/.*/statuses/", status, headers=headers)
    deployment_id = await scene.push()
    number = await scene.open()
    for _ in range(40):
        await scene.sender.send_due()
        scene.clock.now += 5
    assert await scene.statuses(deployment_id) == []
    if status in {500, 502}:  # the rest goes its way
        assert len(scene.fake.deployments) == len(scene.fake.own_comments(number)) == 1
    scene.fake.heal()
    for pace in scene.client._paces.values():  # the client has a clock of its own
        pace.blocked_until = 0.0
    await scene.send()
    assert await scene.statuses(deployment_id) == [("berth/preview", "pending", "queued")]
    assert await scene.unsent() == []
    assert fault


async def test_what_github_refuses_is_asked_a_few_times_and_recorded(scene: Scene) -> None:
    scene.fake.fail("/repos/.*/statuses/", 404)
    await scene.push()
    await scene.send()
    row = await scene.store.one(sa.select(outbox).where(outbox.c.kind == "status"))
    assert row is not None
    assert row["sent_at"] is not None
    assert row["last_error"].startswith("GitHub answered 404")
    assert row["attempts"] == 5


async def test_nobody_waits_for_a_report_of_last_week(scene: Scene) -> None:
    scene.fake.fail(".*", 0)
    await scene.push()
    await scene.sender.send_due()
    scene.clock.now += GIVE_UP
    for _ in range(4):
        await scene.sender.send_due()
        scene.clock.now += LONGEST_DELAY
    assert await scene.unsent() == []


async def test_progress_is_told_in_moderation(scene: Scene) -> None:
    deployment_id = await scene.push()
    await scene.run(deployment_id)
    await scene.send()
    before = len(await scene.statuses(deployment_id))
    for step in range(20):
        async with scene.store.begin() as tx:
            await tx.run(sa.update(deployments).values(step=f"step {step}"))
            await states.report(tx, deployment_id, progress=True)
        await scene.sender.send_due()
        scene.clock.now += 2
    scene.clock.now += 20
    await scene.sender.send_due()
    told = (await scene.statuses(deployment_id))[before:]
    assert 2 <= len(told) <= 4
    assert told[-1][2] == "running, build: step 19"
    await scene.fail(deployment_id)
    await scene.sender.send_due()
    assert (await scene.statuses(deployment_id))[-1][1] == "failure"


async def test_removal_tolerates_what_is_not_there_or_not_allowed(scene: Scene) -> None:
    ids = []
    for _ in range(12):
        ids.append(await scene.push())
        await scene.run(ids[-1])
        await scene.go_live(ids[-1])
        await scene.send()
    assert len(scene.fake.deployments) == 12
    scene.repository.deployments.pop(scene.fake.deployments[0].id)
    scene.fake.fail("/environments/preview%2Ftopic", 403)
    await scene.take_off(await scene.environment_of(ids[0]), "removed")
    await scene.send()
    assert scene.fake.deployments == []
    assert scene.fake.environments == ["preview/topic"]
    assert await scene.unsent() == []
    assert len(scene.requests("DELETE .*/deployments/")) == 12
    assert "DELETE /repos/acme/shop/environments/preview%2Ftopic" in scene.requests("DELETE .*environments")


async def test_an_environment_that_came_back_keeps_its_new_deployment(scene: Scene) -> None:
    first = await scene.push()
    await scene.run(first)
    await scene.go_live(first)
    await scene.send()
    scene.fake.fail(".*", 0)
    await scene.take_off(await scene.environment_of(first), "removed")
    await scene.send(0.1)
    second = await scene.push()
    await scene.run(second)
    await scene.send(0.1)
    scene.fake.heal()
    await scene.send()
    assert [(one.sha, one.state) for one in scene.fake.deployments] == [(await scene.sha(second), "in_progress")]
    assert scene.fake.environments == ["preview/topic"]


async def test_without_installation_nothing_is_asked(scene: Scene) -> None:
    async with scene.store.begin() as tx:
        await tx.run(sa.update(repositories).values(installation_id=None))
    await scene.push()
    await scene.send()
    assert scene.fake.requests == []
    assert await scene.unsent() == []
    errors = {row["last_error"] for row in await scene.store.all(sa.select(outbox))}
    assert errors == {"the App is not installed for this repository"}


async def test_a_repository_that_was_renamed(scene: Scene) -> None:
    deployment_id = await scene.push()
    scene.repository.rename("store")
    await scene.send()
    assert [one[1] for one in await scene.statuses(deployment_id)] == ["pending"]
    assert len(scene.fake.deployments) == 1


async def test_long_names_and_reasons_fit(scene: Scene) -> None:
    branch = "/".join(["b" * 50] * 5)
    first = await scene.push(branch)
    number = await scene.open(branch)
    await scene.run(first)
    await scene.fail(first, "x y " * 500)
    await scene.send()
    [(_, state, description)] = await scene.statuses(first)
    assert (state, len(description)) == ("failure", 140)
    [deployment] = scene.fake.deployments
    assert deployment.environment.startswith("preview/bbb")
    assert len(deployment.environment) == 255
    assert len(deployment.statuses[-1].description) == 140
    assert "x y x y" in scene.comment(number)


async def test_tokens_are_narrow(scene: Scene) -> None:
    deployment_id = await scene.push()
    await scene.open()
    await scene.run(deployment_id)
    await scene.go_live(deployment_id)
    await scene.take_off(await scene.environment_of(deployment_id), "removed")
    await scene.send()
    minted = [one.body for one in scene.fake.requests if one.path.endswith("/access_tokens")]
    assert all(body["repository_ids"] == [scene.repository.id] for body in minted)
    assert {name for body in minted for name in body["permissions"]} <= {
        *("statuses", "deployments", "pull_requests", "environments")
    }
    assert all(len(body["permissions"]) == 1 for body in minted)
