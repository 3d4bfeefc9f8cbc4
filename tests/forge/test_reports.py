"""The outbox: order, coalescing, retries."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from bot.forge import reports
from bot.forge.reports import FIRST_DELAY, LONGEST_DELAY, OutboxSender, ReportDelayed, ReportRefused, backoff
from bot.store.database import Row, Store
from bot.store.tables import outbox, statuses
from tests.forge.conftest import Rig, until

pytestmark = pytest.mark.anyio
SHA = "a" * 40


class Recorder:
    """A forge that remembers, and fails as it is told."""

    progress_seconds = 0.0

    def __init__(self) -> None:
        self.sent: list[tuple[int, str, Any]] = []
        self.failures: list[Exception] = []

    async def report(self, repository: Row, kind: str, body: Mapping[str, Any]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((repository["id"], kind, body["n"]))


async def put(store: Store, repository: int, subject: str, n: int, **values: Any) -> None:
    row = {"repository_id": repository, "kind": "status", "subject": subject, "body_json": json.dumps({"n": n})}
    async with store.begin() as tx:
        await tx.run(sa.insert(outbox).values(row | {"created_at": time.time()} | values))


async def unsent(store: Store) -> list[Row]:
    return await store.all(sa.select(outbox).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.id))


@pytest.fixture
async def repository(idle: Rig) -> int:
    return int((await idle.forge.create_repository("shop"))["id"])


async def test_latest_of_each_subject_in_order(idle: Rig, repository: int) -> None:
    other = (await idle.forge.create_repository("other"))["id"]
    recorder = Recorder()
    sender = OutboxSender(idle.store, {idle.forge.id: recorder})
    for number, subject in enumerate(["b", "a", "b", "c", "a"]):
        await put(idle.store, repository, subject, number)
    await put(idle.store, other, "a", 5)
    await sender.send_due()
    assert recorder.sent == [(repository, "status", n) for n in (2, 3, 4)] + [(other, "status", 5)]
    assert await unsent(idle.store) == []
    rows = await idle.store.all(sa.select(outbox).order_by(outbox.c.id))
    assert [row["last_error"] for row in rows] == ["superseded by 3", "superseded by 5", "", "", "", ""]
    await sender.send_due()
    assert len(recorder.sent) == 4


async def test_failure_is_tried_again_and_a_newer_report_takes_over(idle: Rig, repository: int) -> None:
    recorder = Recorder()
    recorder.failures = [OSError("no network")]
    sender = OutboxSender(idle.store, {idle.forge.id: recorder})
    await put(idle.store, repository, "a", 1)
    assert await sender.send_due() == 0
    assert recorder.sent == []
    [row] = await unsent(idle.store)
    assert (row["attempts"], row["last_error"]) == (1, "OSError: no network")
    assert 0.5 < row["not_before"] - time.time() <= FIRST_DELAY
    assert 0 < await sender.send_due() <= FIRST_DELAY
    assert recorder.sent == []
    await put(idle.store, repository, "a", 2)
    await sender.send_due()
    assert recorder.sent == [(repository, "status", 2)]
    assert await unsent(idle.store) == []


async def test_delayed_and_refused(idle: Rig, repository: int) -> None:
    recorder = Recorder()
    recorder.failures = [ReportDelayed(500), ReportRefused("description too long")]
    sender = OutboxSender(idle.store, {idle.forge.id: recorder})
    await put(idle.store, repository, "a", 1)
    await put(idle.store, repository, "b", 2)
    await sender.send_due()
    [row] = await unsent(idle.store)
    assert row["subject"] == "a"
    assert row["not_before"] - time.time() > 490
    refused = await idle.store.one(sa.select(outbox).where(outbox.c.subject == "b"))
    assert refused is not None
    assert refused["last_error"] == "description too long"


async def test_a_clock_that_is_set_back_holds_up_nothing(idle: Rig, repository: int) -> None:
    recorder = Recorder()
    recorder.failures = [ReportDelayed(90_000)]
    moved = 86_400.0
    sender = OutboxSender(idle.store, {idle.forge.id: recorder}, lambda: time.time() + moved)
    await put(idle.store, repository, "a", 1)
    await sender.send_due()
    assert await sender.send_due() > 0
    moved = 0.0
    await sender.send_due()
    assert [n for _, _, n in recorder.sent] == [1]


async def test_one_broken_subject_does_not_hold_up_others(idle: Rig, repository: int) -> None:
    recorder = Recorder()
    recorder.failures = [RuntimeError("x")]
    sender = OutboxSender(idle.store, {idle.forge.id: recorder})
    await put(idle.store, repository, "a", 1)
    await put(idle.store, repository, "b", 2)
    await sender.send_due()
    assert [n for _, _, n in recorder.sent] == [2]


async def test_unknown_forge_waits(idle: Rig, repository: int) -> None:
    sender = OutboxSender(idle.store, {})
    await put(idle.store, repository, "a", 1)
    await sender.send_due()
    [row] = await unsent(idle.store)
    assert "not configured" in row["last_error"]


async def test_task_sends_when_woken_and_stops(idle: Rig, repository: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "FIRST_DELAY", 0.2)
    recorder = Recorder()
    sender = OutboxSender(idle.store, {idle.forge.id: recorder})
    await sender.start()
    await asyncio.sleep(0.1)
    await put(idle.store, repository, "a", 1)
    sender.wake()
    await until(lambda: recorder.sent)
    recorder.failures = [OSError("once")]
    await put(idle.store, repository, "a", 2)
    sender.wake()
    await until(lambda: len(recorder.sent) == 2)
    await sender.close()
    await sender.close()


async def test_what_changes_quickly_is_told_once(idle: Rig, repository: int) -> None:
    recorder = Recorder()
    sender = OutboxSender(idle.store, {idle.forge.id: recorder})
    await sender.start()
    await asyncio.sleep(0.1)
    for number in range(8):
        await put(idle.store, repository, "a", number)
        sender.wake()
        await asyncio.sleep(0.02)
    await until(lambda: (repository, "status", 7) in recorder.sent)
    assert len(recorder.sent) == 1
    await sender.close()


async def test_local_forge_keeps_statuses(idle: Rig, repository: int) -> None:
    sender = OutboxSender(idle.store, {idle.forge.id: idle.forge})
    body = {"sha": SHA, "context": "berth/production", "state": "pending", "description": "x" * 200, "target_url": ""}
    for state, kind in (("pending", "status"), ("success", "status"), ("success", "deployment"), ("", "comment")):
        text = json.dumps(body | {"state": state} if kind == "status" else {"deployment_id": 1})
        await put(idle.store, repository, f"{kind}:x", 0, body_json=text, kind=kind)
        await sender.send_due()
    assert await unsent(idle.store) == []
    [row] = await idle.store.all(sa.select(statuses))
    assert (row["state"], row["context"], row["description"]) == ("success", "berth/production", "x" * 140)


def test_backoff_grows_to_a_cap_with_jitter() -> None:
    assert FIRST_DELAY / 2 <= backoff(0) <= FIRST_DELAY
    assert FIRST_DELAY * 4 <= backoff(3) <= FIRST_DELAY * 8
    assert LONGEST_DELAY / 2 <= backoff(1_000) <= LONGEST_DELAY
    assert len({backoff(5) for _ in range(10)}) > 1
