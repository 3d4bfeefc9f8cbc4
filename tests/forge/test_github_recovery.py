"""Deliveries that failed while Berth was away are asked for again, once, and in order."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.config import load_config
from bot.deploy.admission import Limits
from bot.forge.github import GitHub, GitHubError
from bot.forge.github_app import NOBODY
from bot.forge.github_rows import GitHubRows
from bot.forge.inventory import Inventory
from bot.forge.recovery import HORIZON, Recovery, lost_events
from bot.store.database import Store
from bot.store.tables import deliveries, forges, metadata, repositories
from tests.github.fake import FakeGitHub

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with FakeGitHub() as github:
        yield github
        assert not github.violations
        assert not github.mistakes


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/berth.db"
    engine = sa.create_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(forges).values(id=2, kind="github", host="github.com"))
    engine.dispose()
    async with Store(url) as opened:
        yield opened


@pytest.fixture
async def github(fake: FakeGitHub, tmp_path: Path) -> AsyncIterator[GitHub]:
    client = GitHub(load_config(data_dir=tmp_path, github_url=fake.url), fake.app, write_interval=0)
    await client.open()
    yield client
    await client.close()


@pytest.fixture
def recovery(github: GitHub, store: Store) -> Recovery:
    return Recovery(github, store)


async def stored(store: Store, guid: str) -> None:
    values = {
        "forge_id": 2,
        "hook_id": "1",
        "delivery_id": guid,
        "event": "push",
        "payload_json": json.dumps({}),
        "received_at": time.time(),
        "decision": "ignored",
        "reason": "",
    }
    async with store.begin() as tx:
        await tx.run(sa.insert(deliveries).values(values))


def asked(fake: FakeGitHub) -> list[int]:
    paths = [one.path for one in fake.requests if one.method == "POST" and one.path.endswith("/attempts")]
    return [int(path.split("/")[-2]) for path in paths]


async def test_what_never_arrived_is_asked_for_in_order(fake: FakeGitHub, store: Store, recovery: Recovery) -> None:
    repository = fake.create_repository("acme/shop")
    fake.install(repository)  # nobody listens: installation, then three pushes
    shas = [repository.push("main", {"index.html": str(number)}) for number in range(3)]
    assert len(shas) == 3
    failed = [one for one in fake.deliveries if one.outcome == "failure"]
    assert len(failed) == 4
    for number, one in enumerate(failed):
        one.at = time.time() - 1000 + number * 10
    await stored(store, failed[2].guid)  # arrived, but was answered too late
    assert await recovery.sweep() == 3
    assert asked(fake) == [failed[0].id, failed[1].id, failed[3].id]


async def test_what_fails_again_is_asked_for_less_and_less_often(fake: FakeGitHub, recovery: Recovery) -> None:
    fake.ping()
    now = time.time()
    fake.last.at = now
    assert await recovery.sweep(now + 60) == 1
    for _ in range(500):
        if len(fake.deliveries) == 2:
            break
        await asyncio.sleep(0.01)
    assert [one.redelivery for one in fake.deliveries] == [False, True]
    fake.last.at = now + 60
    assert await recovery.sweep(now + 120) == 0
    assert await recovery.sweep(now + 600) == 1


def test_pauses_grow_until_nothing_is_tried_any_more() -> None:
    attempts = [item(id=1, delivered_at=stamp(0.0))]
    moments = []
    for minute in range(0, 4 * 24 * 60, 10):
        (lost,) = lost_events(attempts)
        if lost.due(minute * 60.0):
            moments.append(minute)
            attempts.append(item(id=len(attempts) + 1, delivered_at=stamp(minute * 60.0)))
    assert moments == [0, 10, 20, 40, 80, 160, 320, 640]


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_what_is_too_old_is_left(fake: FakeGitHub, recovery: Recovery) -> None:
    fake.ping()
    fake.last.at = time.time() - HORIZON - 60
    assert await recovery.sweep() == 0


async def test_one_that_github_has_forgotten_holds_up_nothing(fake: FakeGitHub, recovery: Recovery) -> None:
    for _ in range(2):
        fake.ping()
        fake.last.at = time.time() - 100
    fake.fail(match=r"/app/hook/deliveries/\d+/attempts", status=404, times=1, method="POST")
    assert await recovery.sweep() == 2
    fake.fail(match="/app/hook/deliveries", status=500)
    with pytest.raises(GitHubError):
        await recovery.sweep()


async def present(store: Store) -> dict[str, int | None]:
    rows = await store.all(sa.select(repositories).where(repositories.c.removed_at.is_(None)))
    return {row["name"]: row["installation_id"] for row in rows}


async def test_repositories_that_nobody_told_of_are_found(fake: FakeGitHub, github: GitHub, store: Store) -> None:
    shop, blog = fake.create_repository("acme/shop"), fake.create_repository("acme/blog")
    installation = fake.install(shop, blog)
    woken: list[int] = []
    config = load_config(repositories="acme/*")
    inventory = Inventory(github, store, GitHubRows(2, Limits.of(config)), lambda: woken.append(1))
    assert await inventory.compare() == (2, 0)
    assert await inventory.compare() == (0, 0)
    assert await present(store) == {"acme/shop": installation.id, "acme/blog": installation.id}
    assert woken == [1]
    foreign = fake.install(fake.create_repository("other/thing"))
    assert foreign.id != installation.id
    assert await inventory.compare() == (0, 0)  # BERTH_REPOSITORIES does not name it


async def test_a_repository_goes_when_it_is_missing_twice(fake: FakeGitHub, github: GitHub, store: Store) -> None:
    shop, blog = fake.create_repository("acme/shop"), fake.create_repository("acme/blog")
    installation = fake.install(shop, blog)
    inventory = Inventory(github, store, GitHubRows(2, Limits.of(load_config())))
    await inventory.compare()
    fake.suspend(installation)
    for _ in range(3):
        assert await inventory.compare() == (0, 0)
    fake.suspend(installation, suspended=False)
    fake.remove_repositories(installation, blog)
    assert await inventory.compare() == (0, 0)
    assert len(await present(store)) == 2
    fake.fail(match="/installation/repositories", status=404, times=1)
    with pytest.raises(GitHubError):
        await inventory.compare()
    assert len(await present(store)) == 2
    assert await inventory.compare() == (0, 1)
    assert await present(store) == {"acme/shop": installation.id}
    fake.add_repositories(installation, blog)
    assert await inventory.compare() == (1, 0)
    assert len(await present(store)) == 2


async def test_no_repository_is_missing_because_there_are_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [{"id": number, "full_name": f"acme/shop-{number}"} for number in range(1, 4)]

    async def collect(_: GitHub, path: str, *, most: int = 2, **_more: Any) -> list[Any]:
        return [{"id": 5}] if path == "/app/installations" else listed[:most]

    monkeypatch.setattr(GitHub, "collect", collect)  # that lists two, unless it is asked for more
    inventory = Inventory(GitHub(load_config(), NOBODY), store, GitHubRows(2, Limits.of(load_config())))
    assert await inventory.compare() == (3, 0)
    assert [await inventory.compare() for _ in range(2)] == [(0, 0), (0, 0)]


def item(**values: Any) -> dict[str, Any]:
    base = {"id": 1, "guid": "a", "delivered_at": "2026-11-20T10:00:00Z", "status_code": 502, "event": "push"}
    return base | values


def test_attempts_belong_to_events() -> None:
    listed = [
        item(id=9, delivered_at="2026-11-20T12:00:00Z"),
        item(id=5),
        item(id=3, guid="b", delivered_at="2026-11-20T09:00:00Z"),
        item(id=4, guid="refused", status_code=400),
        item(guid=None),
        "nonsense",
    ]
    found = lost_events(listed)
    assert [(one.guid, one.newest_id, one.attempts) for one in found] == [("b", 3, 1), ("a", 9, 2)]
