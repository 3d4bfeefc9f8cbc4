"""Commands on pull requests of a fake GitHub, with a real database: what they cause and what is answered."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from bot.config import Config, load_config
from bot.deploy import lifecycle, states
from bot.deploy.logs import LogStore
from bot.deploy.masking import Masker
from bot.deploy.settings import set_settings
from bot.forge import command_worker
from bot.forge.command_acts import CommandActs
from bot.forge.command_worker import CommandWorker, store_command
from bot.forge.commands import parse
from bot.forge.github import GitHub
from bot.forge.permissions import Permissions
from bot.store.crypto import Vault
from bot.store.database import Row, Store
from bot.store.tables import (
    applications,
    commands,
    deliveries,
    deployments,
    environments,
    forges,
    metadata,
    pull_requests,
    repositories,
    work,
)
from tests.github.fake import FakeGitHub
from tests.github.people import FakePullRequest, FakeRepository

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        yield fake
        assert fake.violations == []
        assert fake.mistakes == []


@dataclass
class World:
    """A repository with one pull request, known to Berth. Nothing carries out the work that commands cause."""

    fake: FakeGitHub
    shop: FakeRepository
    pull: FakePullRequest
    store: Store
    config: Config
    github: GitHub
    logs: LogStore
    acts: CommandActs
    repository_id: int
    forge_id: int
    woken: list[int] = field(default_factory=list)
    ahead: float = 0.0  # of the worker's clock
    worker: CommandWorker | None = None

    def now(self) -> float:
        return time.time() + self.ahead

    async def start(self) -> None:
        self.worker = CommandWorker(self.store, self.github, self.acts, self.now)
        await self.worker.start()

    async def stop(self) -> None:
        if self.worker is not None:
            await self.worker.close()
            self.worker = None

    async def write(self, body: str, author: str = "ann", *, pull: FakePullRequest | None = None, **more: Any) -> int:
        """A comment; returns the id of its command. The delivery is made up."""
        pull = pull or self.pull
        comment = pull.comment(body, author)
        command = parse(body)
        assert command is not None
        values = {
            "repository_id": self.repository_id,
            "delivery_id": None,
            "number": pull.number,
            "comment_id": comment.id,
            "actor": author,
            "actor_id": self.fake.user(author).id,
            "verb": command.verb,
            "arguments": command.arguments,
            "commented_at": time.time() + 1,
        }
        async with self.store.begin() as tx:
            made = await store_command(tx, **(values | more))
        if self.worker is not None:
            self.worker.wake()
        return made

    async def row(self, identifier: int) -> Row:
        row = await self.store.one(sa.select(commands).where(commands.c.id == identifier))
        assert row is not None
        return row

    async def until(self, identifier: int, *wanted: str, seconds: float = 20.0) -> Row:
        async with asyncio.timeout(seconds):
            while (row := await self.row(identifier))["state"] not in wanted:
                await asyncio.sleep(0.02)
        return row

    async def done(self, body: str, author: str = "ann", **more: Any) -> Row:
        return await self.until(await self.write(body, author, **more), "done")

    async def acting(self, body: str, author: str = "ann", **more: Any) -> Row:
        """A command that causes something; what it causes."""
        row = await self.until(await self.write(body, author, **more), "acting", "done")
        assert row["state"] == "acting"
        assert "answer" not in row["work_json"], row["outcome"]
        return row

    def reactions(self, row: Row) -> list[str]:
        return self.fake.reactions(row["comment_id"])

    @property
    def replies(self) -> list[str]:
        return [one.body for one in self.fake.own_comments(self.pull.number, self.shop)]

    async def works(self) -> list[tuple[str, str]]:
        return [(row["kind"], row["state"]) for row in await self.store.all(sa.select(work).order_by(work.c.id))]

    async def deploy(self, state: str = "live", sha: str = "", application: str = "shop") -> int:
        """A deployment of the pull request's branch that went that way."""
        app = await self.store.one(sa.select(applications).where(applications.c.name == application))
        assert app is not None
        async with self.store.begin() as tx:
            made = await lifecycle.queue_commit(
                tx,
                app["id"],
                "branch",
                self.pull.head_ref,
                sha=sha or self.pull.head_sha,
                cause="push",
                actor="ann",
                message="a change",
            )
        await self.end(made, state)
        return made

    async def end(self, deployment_id: int, state: str) -> None:
        """As the queue ends a deployment."""
        async with self.store.begin() as tx:
            await states.change(tx, deployment_id, "running")
            row = await tx.one(sa.select(deployments).where(deployments.c.id == deployment_id))
            assert row is not None
            environment = await lifecycle.get_environment(tx, row["environment_id"])
            if state == "live":
                if environment["live_deployment_id"]:
                    await states.change(tx, environment["live_deployment_id"], "retired")
                values = {"live_deployment_id": deployment_id, "state": "live"}
                await tx.run(sa.update(environments).where(environments.c.id == environment["id"]).values(**values))
            await states.change(tx, deployment_id, state, reason="" if state == "live" else "it broke")
            await tx.run(sa.update(work).where(work.c.deployment_id == deployment_id).values(state="done"))

    async def end_work(self, outcome: str = "") -> None:
        async with self.store.begin() as tx:
            await tx.run(sa.update(work).values(state="done", outcome=outcome))

    async def pushed(self, sha: str, seconds_ago: float, event: str = "push") -> None:
        """A push as deliveries tell of it."""
        async with self.store.begin() as tx:
            await tx.run(
                deliveries.insert().values(
                    forge_id=self.forge_id,
                    hook_id="1",
                    delivery_id=f"{sha}-{seconds_ago}",
                    event=event,
                    repository_id=self.repository_id,
                    payload_json="{}",
                    received_at=time.time(),
                    decision="deploy",
                    reason="",
                    ref=self.pull.head_ref,
                    sha=sha,
                    happened_at=time.time() - seconds_ago,
                )
            )


@pytest.fixture
async def world(github: FakeGitHub, tmp_path: Path) -> AsyncIterator[World]:
    shop = github.create_repository(f"acme/shop-{secrets.token_hex(4)}", private=True)
    shop.push("main", {"index.html": "one"}, send=False)
    pull = shop.open_pull_request("feature", {"index.html": "two"}, send=False)
    url = f"sqlite:///{tmp_path / 'berth.db'}"
    tables = sa.create_engine(url)
    metadata.create_all(tables)
    tables.dispose()
    config = load_config(data_dir=tmp_path / "data", github_url=github.url)
    client = GitHub(config, github.app, write_interval=0.0)
    vault = Vault([Fernet.generate_key().decode()])
    async with Store(url) as store:
        async with store.begin() as tx:
            forge_id = await tx.insert(forges.insert().values(kind="github", host="fake").returning(forges.c.id))
            repository_id = await tx.insert(
                repositories.insert()
                .values(
                    forge_id=forge_id,
                    forge_repository_id=shop.id,
                    name=shop.full_name,
                    installation_id=github.installation_for(shop.owner).id,
                    created_at=time.time(),
                )
                .returning(repositories.c.id)
            )
            await tx.run(applications.insert().values(repository_id=repository_id, name="shop", created_at=time.time()))
        logs = LogStore(tmp_path / "logs", store, max_bytes=1_000_000, keep_days=1)
        woken: list[int] = []
        await client.open()
        acts = CommandActs(store, config, vault, logs, client, Permissions(client), lambda: woken.append(1))
        made = World(github, shop, pull, store, config, client, logs, acts, repository_id, forge_id, woken)
        await made.start()
        yield made
        await made.stop()
        await client.close()
    github.heal()


async def test_a_deployment_is_seen_at_once_and_answered_at_its_end(world: World) -> None:
    row = await world.acting("/deploy")
    assert world.reactions(row) == ["eyes"]
    assert world.woken
    made = await world.store.one(sa.select(deployments))
    assert made is not None
    assert (made["sha"], made["ref"], made["cause"], made["actor"]) == (
        world.pull.head_sha,
        "feature",
        "command",
        "ann",
    )
    await world.end(made["id"], "live")
    row = await world.until(row["id"], "done")
    assert world.reactions(row) == ["eyes", "rocket"]
    assert row["outcome"] == ""
    assert world.replies == []
    known = await world.store.one(sa.select(pull_requests))
    assert known is not None
    assert known["head_sha"] == world.pull.head_sha


async def test_a_deployment_that_fails_is_answered_so(world: World) -> None:
    row = await world.acting("/deploy")
    await world.end(1, "failed")
    row = await world.until(row["id"], "done")
    assert world.reactions(row) == ["eyes", "-1"]
    assert "it broke" in row["outcome"]


@pytest.mark.parametrize("verb", ["stop", "start", "restart"])
async def test_work_is_answered_at_its_end(world: World, verb: str) -> None:
    await world.deploy()
    row = await world.acting(f"/deploy {verb}")
    assert (await world.works())[-1] == (verb, "queued")
    await world.end_work()
    row = await world.until(row["id"], "done")
    assert world.reactions(row) == ["eyes", "rocket"]
    assert world.replies == []


async def test_work_that_fails_says_why(world: World) -> None:
    await world.deploy()
    row = await world.acting("/deploy restart")
    await world.end_work("It ended with `@ann` | exit code 1.")
    row = await world.until(row["id"], "done")
    assert world.reactions(row) == ["eyes", "-1"]
    assert "> `/deploy restart`" in world.replies[0]
    assert "`@ann`" in world.replies[0]


async def test_a_rollback_goes_to_the_deployment_before_or_to_the_one_that_is_named(world: World) -> None:
    first = await world.deploy(sha="1" * 40)
    second = await world.deploy(sha="2" * 40)
    await world.deploy(sha="3" * 40)
    row = await world.acting("/deploy rollback")
    made = await world.store.one(sa.select(deployments).order_by(deployments.c.id.desc()).limit(1))
    assert made is not None
    assert (made["source_deployment_id"], made["cause"]) == (second, "rollback")
    await world.end(made["id"], "live")
    await world.until(row["id"], "done")
    for name in (f"#{first}", "1111111"):
        await world.acting(f"/deploy rollback {name}")
        made = await world.store.one(sa.select(deployments).order_by(deployments.c.id.desc()).limit(1))
        assert made is not None
        assert made["source_deployment_id"] == first
    row = await world.done("/deploy rollback abcdef1")
    assert world.reactions(row) == ["eyes", "confused"]
    assert "No deployment of abcdef1 was ever live here" in row["outcome"]


@pytest.mark.parametrize(
    ("body", "role", "answer"),
    [
        ("/deploy", "none", "needs permission to write"),
        ("/deploy", "read", "needs permission to write"),
        ("/deploy stop", "triage", "needs permission to write"),
        ("/deploy logs", "read", "needs permission to write"),
        ("/deploy status", "none", "permission to read"),
        ("/deploy help", "none", "permission to read"),
        ("/deploy nonsense here", "none", "permission to read"),
        ("/deploy nonsense here", "read", "is a word too many"),
    ],
)
async def test_who_may_not(world: World, body: str, role: str, answer: str) -> None:
    world.shop.grant("eve", role)
    row = await world.done(body, "eve")
    assert world.reactions(row) == ["eyes", "confused"]
    assert answer in world.replies[0]
    assert await world.works() == []


@pytest.mark.parametrize("role", ["write", "maintain", "admin"])
async def test_who_may(world: World, role: str) -> None:
    world.shop.grant("bob", role)
    await world.acting("/deploy", "bob")
    assert await world.works() == [("deploy", "queued")]


async def test_the_permission_is_asked_every_time_and_of_the_same_person(world: World) -> None:
    world.shop.grant("bob", "write")
    await world.acting("/deploy", "bob")
    world.shop.grant("bob", "read")
    row = await world.done("/deploy", "bob")
    assert "needs permission to write" in row["outcome"]
    world.shop.grant("bob", "write")
    row = await world.done("/deploy", "bob", actor_id=world.fake.user("ann").id)  # the name belongs to another now
    assert "needs permission to write" in row["outcome"]


async def test_help_and_status_answer_readers_and_the_author(world: World) -> None:
    world.shop.grant("eve", "read")
    row = await world.done("/deploy help", "eve")
    assert world.reactions(row) == ["eyes", "rocket"]
    assert "/deploy status" in world.replies[0]
    assert "/deploy stop" not in world.replies[0]
    await world.done("/deploy help")
    assert "/deploy stop" in world.replies[1]
    world.pull.state.user = world.fake.user("mallory")
    row = await world.done("/deploy status", "mallory")
    assert world.reactions(row) == ["eyes", "rocket"]
    assert "Nothing of this pull request is deployed" in world.replies[2]
    made = await world.deploy()
    await world.done("/deploy status")
    assert f"| shop | Live |  | `{world.pull.head_sha[:7]}` | " in world.replies[3]
    assert f"/deployments/{made}" in world.replies[3]


async def test_on_a_fork_only_help_and_status_answer_and_nothing_is_fetched(world: World) -> None:
    fork = world.shop.fork("mallory/shop")
    fetched = len(world.fake.git_requests)
    pull = world.shop.open_pull_request("evil", {"index.html": "x"}, author="mallory", fork=fork, send=False)
    for body in ("/deploy", "/deploy stop", "/deploy logs", "/deploy rollback", f"/deploy {pull.head_sha}"):
        row = await world.done(body, pull=pull)
        assert "comes from a fork" in row["outcome"]
        assert world.reactions(row) == ["eyes", "confused"]
    for body in ("/deploy status", "/deploy help"):
        row = await world.done(body, "mallory", pull=pull)
        assert world.reactions(row) == ["eyes", "rocket"]
    fork.deleted = True  # its head has no repository then
    row = await world.done("/deploy", pull=pull)
    assert "comes from a fork" in row["outcome"]
    assert await world.works() == []
    assert len(world.fake.git_requests) == fetched
    assert await world.store.all(sa.select(environments)) == []


async def test_a_closed_pull_request_answers_status_help_and_stop(world: World) -> None:
    await world.deploy()
    world.pull.close()
    for body in ("/deploy", "/deploy start", "/deploy restart", "/deploy rollback", "/deploy logs"):
        row = await world.done(body)
        assert "closed" in row["outcome"]
    await world.acting("/deploy stop")
    for body in ("/deploy status", "/deploy help"):
        assert world.reactions(await world.done(body)) == ["eyes", "rocket"]


async def test_a_pull_request_of_the_default_branch_has_no_environment(world: World) -> None:
    pull = world.shop.open_pull_request("main", base="feature", send=False)
    row = await world.done("/deploy", pull=pull)
    assert "no environment of its own" in row["outcome"]
    assert await world.works() == []


async def test_what_was_pushed_after_the_command_is_not_deployed(world: World) -> None:
    await world.pushed(world.pull.head_sha, 5)
    row = await world.done("/deploy", commented_at=time.time() - 10)
    assert f"`{world.pull.head_sha}` now" in row["outcome"]
    row = await world.acting(f"/deploy {world.pull.head_sha[:12]}", commented_at=time.time() - 10)
    assert await world.works() == [("deploy", "queued")]
    row = await world.done("/deploy 1234567", commented_at=time.time() - 10)
    assert "1234567 is not the head" in row["outcome"]


async def test_a_push_elsewhere_in_the_repository_does_not_matter(world: World) -> None:
    await world.pushed(world.pull.head_sha, 20)
    await world.acting("/deploy", commented_at=time.time() - 10)


async def test_a_head_of_which_no_push_is_known_has_to_be_named(world: World) -> None:
    row = await world.done("/deploy", commented_at=time.time() - 10)
    assert "it is not known that it was when you wrote this" in row["outcome"]
    await world.pushed(world.pull.head_sha, 20, "pull_request")
    await world.acting("/deploy", commented_at=time.time() - 10)


async def test_modes(world: World) -> None:
    app = await world.store.one(sa.select(applications))
    assert app is not None
    await set_settings(world.store, app["id"], {"mode": "off"})
    row = await world.done("/deploy")
    assert "The mode of shop is off" in row["outcome"]
    await set_settings(world.store, app["id"], {"mode": "pull_request"})
    await world.acting("/deploy")


async def test_all_applications_or_the_one_that_is_named(world: World) -> None:
    async with world.store.begin() as tx:
        await tx.run(
            applications.insert().values(repository_id=world.repository_id, name="api", created_at=time.time())
        )
    row = await world.acting("/deploy api")
    assert len(json.loads(row["work_json"])["deployments"]) == 1
    row = await world.acting("/deploy")
    assert len(json.loads(row["work_json"])["deployments"]) == 2
    row = await world.done("/deploy stop worker")
    assert "no application 'worker'" in row["outcome"]
    assert "shop, api" in row["outcome"]
    row = await world.done("/deploy stpo")
    assert "neither a command nor an application 'stpo'" in row["outcome"]


async def test_one_application_that_cannot_does_not_keep_the_other(world: World) -> None:
    async with world.store.begin() as tx:
        await tx.run(
            applications.insert().values(repository_id=world.repository_id, name="api", created_at=time.time())
        )
    await world.deploy()
    row = await world.acting("/deploy restart")
    await world.end_work()
    row = await world.until(row["id"], "done")
    assert world.reactions(row) == ["eyes", "rocket"]
    assert "api: Nothing of this pull request is deployed" in world.replies[0]


async def test_logs_are_masked_fenced_and_of_public_repositories_only_shown_where_that_is_set(world: World) -> None:
    made = await world.deploy("failed")
    writer = await world.logs.open_deployment(made, Masker(["hunter2secret"]))
    for text in ("one", "```", "@ann <!-- x --> /deploy stop", "password hunter2secret", "the last"):
        writer.write(text, source="build")
    await writer.close()
    row = await world.done("/deploy logs")
    assert world.reactions(row) == ["eyes", "rocket"]
    body = world.replies[0]
    assert "````\none\n```\n" in body
    assert "hunter2secret" not in body
    assert body.index("the last") < body.rindex("````")
    assert parse(body) is None
    await world.done("/deploy logs build -n 1")
    assert "```\nthe last\n```" in world.replies[1]
    async with world.store.begin() as tx:
        await tx.run(sa.update(repositories).values(private=False))
    row = await world.done("/deploy logs")
    assert world.reactions(row) == ["eyes", "confused"]
    assert "log&#95;excerpts" in world.replies[2]
    assert "the last" not in world.replies[2]
    app = await world.store.one(sa.select(applications))
    assert app is not None
    await set_settings(world.store, app["id"], {"log_excerpts": True})
    await world.done("/deploy logs")
    assert "the last" in world.replies[3]
    await world.logs.close()


async def test_hostile_words_mean_nothing_in_the_answer(world: World) -> None:
    await world.done("/deploy '@everyone `<!-- <b>#1 x' 'y'")
    body = world.replies[0]
    assert parse(body) is None
    assert body.startswith("> ``/deploy '@everyone `<!-- <b>#1 x' 'y'``\n")
    rest = body.partition("\n")[2]
    assert "@everyone" not in rest
    assert "<b>" not in rest
    assert rest.count("<!--") == 1


async def test_what_github_does_not_do_at_once_is_done_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_worker, "LONGEST_PAUSE", 0.05)
    fault = world.fake.fail("/repos/.*/permission", 500, times=5)
    row = await world.acting("/deploy", commented_at=time.time() + 60)
    assert fault.hits == 5
    world.fake.fail("/repos/.*/reactions", 502, times=3, method="POST")
    await world.end(1, "live")
    row = await world.until(row["id"], "done")
    assert world.reactions(row) == ["eyes", "rocket"]


async def test_without_an_answer_about_the_permission_nothing_is_done_and_it_is_given_up(world: World) -> None:
    world.fake.fail("/repos/.*/permission", 502)
    identifier = await world.write("/deploy")
    async with asyncio.timeout(20):
        while not (await world.row(identifier))["attempts"]:
            await asyncio.sleep(0.02)
    assert await world.works() == []
    world.ahead = 3_700.0
    assert world.worker is not None
    world.worker.wake()
    row = await world.until(identifier, "done")
    assert "GitHub did not answer for an hour" in row["outcome"]
    assert world.reactions(row) == ["eyes", "-1"]
    assert await world.works() == []


async def test_a_refusal_of_github_is_a_refusal(world: World) -> None:
    world.fake.fail("/repos/.*/permission", 403)
    row = await world.done("/deploy")
    assert "GitHub does not tell what you may do" in row["outcome"]
    assert await world.works() == []


async def test_a_comment_that_was_deleted_is_taken_back(world: World) -> None:
    await world.stop()
    identifier = await world.write("/deploy")
    del world.shop.comments[(await world.row(identifier))["comment_id"]]
    await world.start()
    row = await world.until(identifier, "done")
    assert row["outcome"] == "The comment was deleted."
    assert await world.works() == []


async def test_a_restart_of_the_server_goes_on_where_it_was(world: World) -> None:
    row = await world.acting("/deploy")
    await world.stop()
    await world.end(1, "live")
    later = await world.write("/deploy stop")
    await world.start()
    row = await world.until(row["id"], "done")
    assert world.reactions(row) == ["eyes", "rocket"]
    await world.until(later, "acting")
    assert await world.works() == [("deploy", "done"), ("stop", "queued")]


async def test_commands_of_a_pull_request_are_carried_out_in_their_order(world: World) -> None:
    await world.deploy()
    await world.stop()
    made = [await world.write(body) for body in ("/deploy", "/deploy stop", "/deploy restart", "/deploy stop")]
    await world.start()
    for identifier in made:
        await world.until(identifier, "acting", "done")
    assert [kind for kind, _ in await world.works()] == ["deploy", "deploy", "stop", "restart", "stop"]
    first = await world.until(made[0], "done")
    assert world.reactions(first) == ["eyes", "-1"]  # the stop that followed called it off
    assert "cancelled" in first["outcome"]


async def test_one_comment_causes_one_thing(world: World) -> None:
    row = await world.acting("/deploy")
    async with world.store.begin() as tx:
        again = await store_command(
            tx,
            repository_id=world.repository_id,
            delivery_id=None,
            number=world.pull.number,
            comment_id=row["comment_id"],
            actor="ann",
            actor_id=1,
            verb="deploy",
            arguments=(),
            commented_at=0.0,
        )
    assert again == row["id"]
    assert len(await world.works()) == 1


async def test_a_flood_of_commands_is_answered_once(world: World) -> None:
    world.shop.grant("eve", "read")
    await world.stop()
    made = [await world.write("/deploy help", "eve") for _ in range(14)]
    await world.start()
    rows = [await world.until(identifier, "done") for identifier in made]
    assert len(world.replies) == 11
    assert "One person may write 10 commands in an hour" in world.replies[-1]
    assert [world.reactions(row) for row in rows[10:]] == [["confused"], [], [], []]
    row = await world.done("/deploy help")  # others are not kept from it
    assert world.reactions(row) == ["eyes", "rocket"]


async def test_a_repository_has_a_limit_too(world: World) -> None:
    async with world.store.begin() as tx:
        for number in range(30):
            await tx.run(
                commands.insert().values(
                    repository_id=world.repository_id,
                    number=1,
                    comment_id=number + 1,
                    actor="bob",
                    actor_id=4_000 + number,
                    verb="stop",
                    commented_at=time.time(),
                    created_at=time.time() - 60,
                    state="done",
                    work_json=json.dumps({"acted": True, "seen": True}),
                )
            )
    row = await world.done("/deploy")
    assert "30 commands in the last hour" in row["outcome"]
    assert await world.works() == []
    assert world.reactions(await world.done("/deploy status")) == ["eyes", "rocket"]


async def test_after_the_app_was_removed_nothing_is_asked(world: World) -> None:
    await world.stop()
    identifier = await world.write("/deploy")
    async with world.store.begin() as tx:
        await tx.run(sa.update(repositories).values(removed_at=time.time()))
    before = len(world.fake.requests)
    await world.start()
    row = await world.until(identifier, "done")
    assert "removed" in row["outcome"]
    assert len(world.fake.requests) == before
