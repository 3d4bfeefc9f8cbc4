"""Who may call what: every route of the API, by every kind of caller.

The routes come from the API itself, so that a new one is in the walk, or fails it because nothing says which object it
would be called for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from bot.errors import BerthError, UnavailableError
from bot.store.database import Row
from bot.store.tables import deliveries, repositories, tokens, work
from bot.web import access, api
from bot.web import tokens as kept
from bot.web.access import Level, Principal
from bot.web.http import Endpoint
from tests.web.conftest import SHA, TOKEN, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_LET_IN = 418  # what the replaced handlers answer
_PORT = 20_007


@dataclass
class World:
    """Two repositories; ``ids``: of the first one's objects, by kind. ``callers``: name -> token."""

    rig: Rig
    ids: dict[str, int]
    callers: dict[str, str]
    other: int


@pytest.fixture
async def world(rig: Rig) -> World:
    environment, deployment = await rig.seed_live()
    repository = (await rig.client.get("/api/repositories")).json()[0]
    other = await rig.repository("other")
    store = rig.berth.store
    async with store.begin() as tx:
        wanted = {"environment_id": environment, "kind": "stop", "state": "done", "created_at": time.time()}
        work_id = await tx.insert(work.insert().values(wanted).returning(work.c.id))
        sent = {"forge_id": rig.berth.forge.id, "hook_id": "h", "delivery_id": "d", "event": "push"}
        said = {"payload_json": "{}", "received_at": time.time(), "decision": "ignored", "reason": "no"}
        of = {"repository_id": repository["id"]}
        delivery = await tx.insert(deliveries.insert().values(sent | said | of).returning(deliveries.c.id))
    callers = {"nobody": "", "operator": TOKEN}
    for name, scope, where in (
        ("reader", "read", repository["id"]),
        ("writer", "write", repository["id"]),
        ("admin", "admin", repository["id"]),
        ("stranger", "admin", other["id"]),
        ("reader of all", "read", None),
        ("writer of all", "write", None),
        ("admin of all", "admin", None),
    ):
        token_id, token = await kept.create(store, name=name, scope=scope, repository_id=where, created_by="test")
        callers[name] = token
        if name == "reader":
            of_token = token_id
    callers["pusher"] = rig.berth.stream_tokens.issue(repository["id"])
    ids = {
        "repository": repository["id"],
        "application": repository["application_id"],
        "environment": environment,
        "deployment": deployment,
        "work": work_id,
        "delivery": delivery,
        "token": of_token,
        "port": _PORT,
        "installation": 0,
    }
    return World(rig, ids, callers, other["id"])


# route -> a body that names an object of the first repository; the walk fails for a route that it does not know
_BODIES: dict[str, Any] = {
    "POST /api/deployments/detect": lambda ids: {"repository_id": ids["repository"]},
    "POST /api/deployments/create": lambda ids: {"application_id": ids["application"], "sha": SHA},
    "POST /api/deployments/start": lambda ids: {"deployment_id": ids["deployment"]},
    "POST /api/applications": lambda ids: {"repository_id": ids["repository"], "name": "more"},
    "POST /api/ports/allocate": lambda ids: {"environment_id": ids["environment"]},
    "POST /api/ports/release": lambda ids: {"port": ids["port"]},
    "POST /api/ports/reserve": lambda ids: {"port": 20_100},
    "POST /api/tokens": lambda ids: {"name": "mine", "repository_id": ids["repository"]},
    "POST /api/repositories": lambda ids: {"name": "new"},
    "PUT /api/applications/{id:int}/variables": lambda ids: [],
}

_SCOPES = {
    "reader": Level.READ,
    "writer": Level.WRITE,
    "admin": Level.ADMIN,
    "reader of all": Level.READ,
    "writer of all": Level.WRITE,
    "admin of all": Level.ADMIN,
    "operator": Level.ADMIN,
}


def expected(one: Endpoint, caller: str) -> int:
    """The rule, said once more: what the caller is to this route."""
    if one.needs.of == "public":
        return _LET_IN
    if caller == "nobody" or (caller == "pusher" and not one.needs.stream):
        return 401
    if one.needs.of == "anything":
        return _LET_IN
    of_all = caller == "operator" or caller.endswith("of all")
    if one.needs.of == "installation":
        return _LET_IN if of_all and _SCOPES[caller] >= one.needs.level else 403
    if caller == "stranger":
        return 404
    level = Level.READ if caller == "pusher" else _SCOPES[caller]
    return _LET_IN if level >= one.needs.level else 403


def key_of(one: Endpoint) -> str:
    return f"{one.method} {one.path}"


async def call(world: World, one: Endpoint, caller: str) -> Response:
    if one.body is not None and (one.needs.named_in == "body" or one.method == "POST"):
        body = _BODIES[key_of(one)](world.ids) if key_of(one) in _BODIES else {}
        assert body or one.needs.named_in == "path", f"say in _BODIES which object {key_of(one)} is called for"
    else:
        body = [] if one.path.endswith("/variables") else {}
    number = world.ids.get(one.needs.of, 1)
    path = one.path.replace("{id:int}", str(number)).replace("{port:int}", str(_PORT)).replace("{name}", "NAME")
    headers = {"Authorization": f"Bearer {world.callers[caller]}" if world.callers[caller] else ""}
    answer: Any = await world.rig.client.request(one.method, path, json=body, headers=headers)
    return answer  # type: ignore[no-any-return]


async def let_in(_: Request) -> Response:
    return Response(status_code=_LET_IN)


@pytest.mark.parametrize(
    "caller",
    ["nobody", "pusher", "stranger", *_SCOPES],
)
async def test_every_route_lets_in_whom_it_should(world: World, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = api.endpoints()
    assert len(routes) > 40
    for one in routes:
        monkeypatch.setattr(one, "handler", let_in)
    wrong = []
    for one in routes:
        answer: Any = await call(world, one, caller)
        let_in_to_be_refused = answer.status_code == 422 and one.needs.named_in == "path"  # for its empty body
        if (_LET_IN if let_in_to_be_refused else answer.status_code) != expected(one, caller):
            wrong.append((key_of(one), answer.status_code, expected(one, caller), answer.text))
        elif answer.status_code not in (_LET_IN, 422):
            assert answer.headers["content-type"] == "application/problem+json"
            assert "shop" not in answer.text
    assert not wrong


async def test_no_route_is_open_that_does_not_say_so() -> None:
    assert [one.path for one in api.endpoints() if one.needs.of == "public"] == ["/healthz", "/readyz"]
    for one in api.endpoints():
        changes = one.method != "GET" and one.needs.of != "public"
        assert not changes or one.needs.level >= Level.WRITE or one.path == "/api/deployments/detect", one.path
        assert one.needs.level > Level.NONE or one.needs.of in {"anything", "public"}, one.path


async def test_what_does_not_exist_and_what_may_not_be_seen_look_the_same(world: World) -> None:
    for one in api.endpoints():
        if one.needs.of not in access.KINDS - {"installation", "port"} or one.needs.named_in == "body":
            continue
        if one.method == "PUT":
            continue
        there: Any = await call(world, one, "stranger")
        saved, world.ids[one.needs.of] = world.ids[one.needs.of], 999_999
        nowhere: Any = await call(world, one, "stranger")
        world.ids[one.needs.of] = saved
        assert (there.status_code, nowhere.status_code) == (404, 404)
        assert there.text.replace(str(saved), "N") == nowhere.text.replace("999999", "N")


@pytest.mark.parametrize("caller", ["reader", "stranger", "operator"])
async def test_lists_show_what_the_caller_may_see(world: World, caller: str) -> None:
    headers = {"Authorization": f"Bearer {world.callers[caller]}"}
    lists = [one for one in api.endpoints() if one.needs.of == "anything"]
    assert len(lists) >= 5
    for one in lists:
        answer = await world.rig.client.get(one.path, headers=headers)
        assert answer.status_code == 200
        assert ("shop" in answer.text) == (caller != "stranger"), one.path
        if caller == "reader":
            assert "other" not in answer.text, one.path


async def test_the_address_to_push_to_is_for_those_who_may_deploy(world: World) -> None:
    for caller, shown in (("reader", False), ("writer", True), ("operator", True)):
        headers = {"Authorization": f"Bearer {world.callers[caller]}"}
        found = (await world.rig.client.get("/api/repositories", headers=headers)).json()
        assert bool(next(one for one in found if one["name"] == "shop")["remote_url"]) is shown


async def test_a_token_ends_by_time_and_by_being_revoked(world: World) -> None:
    rig = world.rig
    made = (await rig.client.post("/api/tokens", json={"name": "ci", "scope": "write", "days": 1})).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await rig.client.get("/api/environments", headers=headers)).status_code == 200
    listed = (await rig.client.get("/api/tokens")).json()
    assert made["token"] not in str(listed)
    assert next(one for one in listed if one["id"] == made["id"])["last_used_at"]
    stored = await rig.berth.store.all(sa.select(tokens))
    assert made["token"] not in str(stored)
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(tokens).where(tokens.c.id == made["id"]).values(expires_at=time.time() - 1))
    assert (await rig.client.get("/api/environments", headers=headers)).status_code == 401
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(tokens).where(tokens.c.id == made["id"]).values(expires_at=None))
    assert (await rig.client.get("/api/environments", headers=headers)).status_code == 200
    assert (await rig.client.delete(f"/api/tokens/{made['id']}")).status_code == 204
    assert (await rig.client.get("/api/environments", headers=headers)).status_code == 401
    assert (await rig.client.delete(f"/api/tokens/{made['id']}")).status_code == 204


async def test_a_token_makes_no_tokens(world: World) -> None:
    for caller in ("admin", "admin of all"):
        headers = {"Authorization": f"Bearer {world.callers[caller]}"}
        body = {"name": "child", "scope": "read", "repository_id": world.ids["repository"]}
        assert (await world.rig.client.post("/api/tokens", json=body, headers=headers)).status_code == 403


async def test_the_name_of_the_token_is_who_acted(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.callers['writer']}"}
    path = f"/api/environments/{world.ids['environment']}/deploy"
    answer = await world.rig.client.post(path, json={}, headers=headers)
    assert answer.json()["actor"] == "token writer"


class Roles:
    """What GitHub would say of a person, by repository."""

    def __init__(self, roles: dict[int, str]) -> None:
        self.roles = roles
        self.fresh: list[bool] = []

    async def of(self, repository: Row, login: str, user_id: int, *, fresh: bool = False) -> str:
        assert (login, user_id) == ("mona", 7)
        self.fresh.append(fresh)
        role = self.roles[repository["id"]]
        if role == "silent":
            raise BerthError("GitHub does not answer.")
        return role


MONA = Principal("user", "mona", "admin", None, 7, "mona")


@pytest.mark.parametrize(
    ("role", "found"),
    [
        ("none", Level.NONE),
        ("read", Level.READ),
        ("triage", Level.READ),
        ("write", Level.WRITE),
        ("maintain", Level.WRITE),
        ("admin", Level.ADMIN),
        ("invented", Level.NONE),
    ],
)
async def test_a_person_may_do_what_the_forge_says(world: World, role: str, found: Level) -> None:
    berth, repository = world.rig.berth, world.ids["repository"]
    roles = Roles({repository: role})
    berth.permissions = roles  # type: ignore[assignment]
    assert await access.level(berth, MONA, repository) == found
    assert await access.level(berth, MONA, repository, fresh=True) == found
    assert roles.fresh == [False, True]
    assert await access.level(berth, MONA, None) == Level.NONE
    assert await access.level(berth, MONA, 999) == Level.NONE


async def test_in_a_public_repository_reading_is_no_permission_of_its_own(world: World) -> None:
    berth, repository = world.rig.berth, world.ids["repository"]
    async with berth.store.begin() as tx:
        await tx.run(sa.update(repositories).values(private=False))
    for role, found in (("read", Level.NONE), ("triage", Level.READ), ("write", Level.WRITE)):
        berth.permissions = Roles({repository: role})  # type: ignore[assignment]
        assert await access.level(berth, MONA, repository) == found


async def test_a_person_may_do_nothing_while_the_forge_is_silent(world: World) -> None:
    berth, repository = world.rig.berth, world.ids["repository"]
    berth.permissions = Roles({repository: "silent", world.other: "read"})  # type: ignore[assignment]
    with pytest.raises(UnavailableError):
        await access.level(berth, MONA, repository)
    async with berth.store.begin() as tx:
        await tx.run(sa.update(repositories).values(installation_id=5))
    assert await access.visible(berth, MONA) == frozenset({world.other})
    berth.permissions = None
    assert await access.visible(berth, MONA) == frozenset()
    assert await access.level(berth, MONA, repository) == Level.NONE
