"""Deliveries that are stored first and decided afterwards, on a real database."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from bot.forge.inbox import RECEIVED, Inbox
from bot.store.database import Row, Store
from bot.store.tables import deliveries, forges

pytest_plugins = ["tests.database_fixtures"]
pytestmark = pytest.mark.anyio


class Rig:
    def __init__(self, store: Store, forge: int) -> None:
        self.store, self.forge = store, forge
        self.decided: list[str] = []
        self.failing: set[str] = set()

    def inbox(self) -> Inbox:
        return Inbox(self.store, self.forge, self.decide)

    async def decide(self, row: Row) -> None:
        if row["delivery_id"] in self.failing:
            self.failing.remove(row["delivery_id"])
            raise RuntimeError("once")
        self.decided.append(row["delivery_id"])
        async with self.store.begin() as tx:
            await tx.run(sa.update(deliveries).where(deliveries.c.id == row["id"]).values(decision="ignored"))

    async def stored(self) -> list[str]:
        return [row["delivery_id"] for row in await self.store.all(sa.select(deliveries).order_by(deliveries.c.id))]

    async def until_decided(self, number: int) -> None:
        async with asyncio.timeout(20):
            while len(self.decided) < number:
                await asyncio.sleep(0.01)


@pytest.fixture
async def rig(store: Store) -> Rig:
    async with store.begin() as tx:
        made = sa.insert(forges).values(kind="github", host="github.com").returning(forges.c.id)
        return Rig(store, await tx.insert(made))


async def put(inbox: Inbox, identifier: str) -> bool:
    return await inbox.put("1", identifier, event="push", payload_json="{}")


async def test_what_is_put_is_stored_and_decided_in_order(rig: Rig) -> None:
    inbox = rig.inbox()
    inbox.start()
    new = await asyncio.gather(*(put(inbox, f"d{number:03}") for number in range(250)))
    assert all(new)
    assert len(await rig.stored()) == 250
    await rig.until_decided(250)
    assert rig.decided == await rig.stored()
    await inbox.close()


async def test_a_repeated_delivery_is_known_also_within_one_batch(rig: Rig) -> None:
    inbox = rig.inbox()
    inbox.start()
    assert sorted(await asyncio.gather(*(put(inbox, "same") for _ in range(5)))) == [False] * 4 + [True]
    assert await put(inbox, "same") is False
    assert await rig.stored() == ["same"]
    await inbox.close()


async def test_while_a_crowd_waits_for_answers_deciding_gives_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.forge.inbox.QUIET_SECONDS", 0.5)
    inbox = rig.inbox()
    inbox.start()
    async with asyncio.timeout(30):
        for round_ in range(12):
            await asyncio.gather(*(put(inbox, f"{round_}/{number}") for number in range(16)))
        assert len(rig.decided) <= 2
        await rig.until_decided(12 * 16)
    assert rig.decided == await rig.stored()
    await inbox.close()


async def test_what_was_not_decided_is_decided_after_the_next_start(rig: Rig) -> None:
    values = {"forge_id": rig.forge, "hook_id": "1", "event": "push", "payload_json": "{}", "received_at": 0.0}
    async with rig.store.begin() as tx:
        for name in ("a", "b"):
            row = values | {"delivery_id": name, "decision": RECEIVED, "reason": ""}
            await tx.run(sa.insert(deliveries).values(row))
    inbox = rig.inbox()
    inbox.start()
    await rig.until_decided(2)
    assert rig.decided == ["a", "b"]
    await inbox.close()


async def test_a_stumble_loses_nothing(rig: Rig) -> None:
    inbox = rig.inbox()
    rig.failing.add("b")
    inbox.start()
    await asyncio.gather(*(put(inbox, name) for name in "abc"))
    await rig.until_decided(3)
    assert sorted(rig.decided) == ["a", "b", "c"]
    await inbox.close()


async def test_what_cannot_be_stored_is_not_accepted(rig: Rig) -> None:
    inbox = rig.inbox()
    inbox.start()
    with pytest.raises(Exception, match=r"(?i)not.null"):
        await inbox.put("1", "bad", event=None, payload_json="{}")
    assert await put(inbox, "good") is True
    await inbox.close()


async def test_the_end_leaves_nobody_waiting(rig: Rig) -> None:
    inbox = rig.inbox()
    waiting = asyncio.create_task(put(inbox, "never"))  # it was not started
    await asyncio.sleep(0)
    await inbox.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await rig.stored() == []
