"""Sessions: what the database knows of them, when they end, and who may end them."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from starlette.requests import Request

from bot.forge.user_flow import Person
from bot.store.tables import sessions as table
from bot.web import sessions
from bot.web.access import OPERATOR, Principal
from bot.web.sign_in import remember
from tests.web.conftest import Rig

pytestmark = pytest.mark.anyio
HOUR = 3_600.0


def request(rig: Rig, key: str) -> Request:
    headers = [(b"cookie", f"{sessions.COOKIE}={key}".encode())] if key else []
    return Request({"type": "http", "headers": headers, "app": rig.app})


async def user(rig: Rig, login: str = "ann", identifier: int = 77) -> int:
    return await remember(rig.berth.store, "github.com", Person(identifier, login))


async def test_a_session_stands_for_whoever_began_it(rig: Rig) -> None:
    store = rig.berth.store
    operator = await sessions.begin(store, user_id=None)
    ann = await sessions.begin(store, user_id=await user(rig))
    assert await sessions.principal(request(rig, operator)) == OPERATOR
    assert await sessions.principal(request(rig, ann)) == Principal("user", "ann", "admin", user_id=77, login="ann")
    for key in ("", "made-up", operator[:-1], "é" * 40):
        assert await sessions.principal(request(rig, key)) is None


async def test_the_database_does_not_hold_what_the_cookie_holds(rig: Rig) -> None:
    key = await sessions.begin(rig.berth.store, user_id=None, agent="Firefox " + "x" * 1_000)
    (row,) = await rig.berth.store.all(sa.select(table))
    assert key not in repr(row)
    assert len(row["agent"]) == 255


async def test_a_session_goes_on_while_it_is_used_but_not_for_ever(rig: Rig) -> None:
    now = time.time()
    key = await sessions.begin(rig.berth.store, user_id=None, now=now)
    asked = request(rig, key)
    for hour in range(11, 168, 11):
        assert await sessions.principal(asked, now=now + hour * HOUR) == OPERATOR
    assert await sessions.principal(asked, now=now + 168 * HOUR) is None  # a week


async def test_an_idle_session_ends(rig: Rig) -> None:
    now = time.time()
    key = await sessions.begin(rig.berth.store, user_id=None, now=now)
    asked = request(rig, key)
    assert await sessions.principal(asked, keep=False, now=now + 11 * HOUR) == OPERATOR
    assert await sessions.principal(asked, now=now + 12 * HOUR) is None  # the question before did not keep it
    await sessions.begin(rig.berth.store, user_id=None, now=now + 13 * HOUR)
    assert len(await rig.berth.store.all(sa.select(table))) == 1  # its row went with the next beginning


async def test_an_ended_session_is_over(rig: Rig) -> None:
    store = rig.berth.store
    key, other = await sessions.begin(store, user_id=None), await sessions.begin(store, user_id=None)
    await sessions.end(store, key)
    await sessions.end(store, "unknown")
    assert await sessions.principal(request(rig, key)) is None
    assert await sessions.principal(request(rig, other)) == OPERATOR


async def test_everybody_sees_and_ends_their_own(rig: Rig) -> None:
    store, ann = rig.berth.store, await user(rig)
    first = await sessions.begin(store, user_id=ann, agent="first")
    second = await sessions.begin(store, user_id=ann, agent="second")
    third = await sessions.begin(store, user_id=ann, agent="third")
    bob = await sessions.begin(store, user_id=await user(rig, "bob", 78))
    operator = await sessions.begin(store, user_id=None)
    mine = await sessions.own(request(rig, first))
    assert {one.agent for one in mine} == {"first", "second", "third"}
    assert [one.agent for one in mine if one.current] == ["first"]
    by_agent = {one.agent: one.id for one in mine}
    for stranger in (bob, operator, "made-up", ""):
        assert not await sessions.revoke(request(rig, stranger), by_agent["second"])
        assert await sessions.revoke_others(request(rig, stranger)) == 0
    assert await sessions.own(request(rig, "made-up")) == []
    assert await sessions.revoke(request(rig, first), by_agent["second"])
    assert not await sessions.revoke(request(rig, first), by_agent["second"])
    assert await sessions.principal(request(rig, second)) is None
    assert await sessions.revoke_others(request(rig, first)) == 1
    assert await sessions.principal(request(rig, third)) is None
    for key in (first, bob, operator):
        assert await sessions.principal(request(rig, key)) is not None


async def test_the_name_of_a_session_opens_nothing(rig: Rig) -> None:
    key = await sessions.begin(rig.berth.store, user_id=None)
    (one,) = await sessions.own(request(rig, key))
    assert await sessions.principal(request(rig, one.id)) is None


async def test_somebody_has_so_many_sessions_at_most(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_MOST", 3)
    now, ann = time.time(), await user(rig)
    operator = await sessions.begin(rig.berth.store, user_id=None, now=now)
    keys = [await sessions.begin(rig.berth.store, user_id=ann, now=now + number) for number in range(5)]
    alive = [await sessions.principal(request(rig, key), now=now + 9) is not None for key in keys]
    assert alive == [False, False, True, True, True]
    assert await sessions.principal(request(rig, operator), now=now + 9) is not None


async def test_a_new_operator_token_ends_the_operators_sessions(rig: Rig) -> None:
    store = rig.berth.store
    await sessions.heed_operator_token(store, "old")
    operator = await sessions.begin(store, user_id=None)
    ann = await sessions.begin(store, user_id=await user(rig))
    await sessions.heed_operator_token(store, "old")
    assert await sessions.principal(request(rig, operator)) == OPERATOR
    await sessions.heed_operator_token(store, "new")
    assert await sessions.principal(request(rig, operator)) is None
    assert await sessions.principal(request(rig, ann)) is not None
