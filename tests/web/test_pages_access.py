"""Who may open which page, and press which button: every route, with every kind of visitor."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from bot.errors import BerthError
from bot.store.database import Row
from bot.store.tables import forges, repositories, users, work
from bot.web import access, sessions
from bot.web.access import Level
from bot.web.pages import TABLES
from tests.web.conftest import TOKEN, Rig
from tests.web.sample import Sample, seed
from tests.web.test_pages import OURS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


class Forge:
    """Permissions as GitHub would tell them. ``role`` None: it tells nothing."""

    def __init__(self, role: str | None) -> None:
        self.role = role

    async def of(self, repository: Row, login: str, user_id: int, *, fresh: bool = False) -> str:
        assert (login, user_id) == ("mira", 583231)
        if self.role is None:
            raise BerthError("GitHub does not answer.")
        return self.role if repository["name"] == "acme/shop" else "none"


async def visitor(rig: Rig, role: str | None) -> httpx2.AsyncClient:
    """A browser in which mira is signed in, with that permission on acme/shop and none elsewhere."""
    rig.berth.permissions = Forge(role)  # type: ignore[assignment]
    async with rig.berth.store.begin() as tx:
        forge = await tx.one(sa.select(forges.c.id).where(forges.c.kind == "github"))
        assert forge is not None
        insert = users.insert().values(
            forge_id=forge["id"], forge_user_id=583231, login="mira", created_at=0, signed_in_at=0
        )
        user = await tx.insert(insert.returning(users.c.id))
    key = await sessions.begin(rig.berth.store, user_id=user)
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=rig.app),
        base_url="http://localhost:8420",
        cookies={sessions.COOKIE: key},
        headers=OURS,
    )


def address(path: str, of: str, sample: Sample) -> str:
    ids = {
        "environment": sample.production,
        "deployment": sample.live,
        "repository": sample.repository,
        "application": 1,
        "delivery": sample.delivery,
        "token": 2,
    }
    return path.replace("{id:int}", str(ids.get(of, 0)))


ROWS = [row for table in TABLES for row in table]


def test_no_route_is_open_to_readers_by_mistake() -> None:
    """Whatever changes something needs more than seeing it; where it does not, the handler looks itself."""
    lax = {row.path for row in ROWS if row.method == "POST" and row.needs < Level.WRITE}
    assert lax == {"/tokens", "/sessions/end", "/sessions/end-others"}
    admins = {row.path for row in ROWS if row.method == "POST" and row.of in ("application", "token", "installation")}
    assert all(row.needs is Level.ADMIN for row in ROWS if row.path in admins and row.method == "POST")


async def test_what_each_role_may_do(rig: Rig) -> None:
    """Forms are empty, so that those which are let through end in a notice, or in a refusal in words (400, 409)."""
    sample = await seed(rig.berth, well=True)
    async with await visitor(rig, None) as browser:
        for role in (None, "none", "read", "triage", "write", "maintain", "admin"):
            rig.berth.permissions = Forge(role)  # type: ignore[assignment]
            await walk(browser, role, sample)


async def walk(browser: httpx2.AsyncClient, role: str | None, sample: Sample) -> None:
    levels = {"read": 1, "triage": 1, "write": 2, "maintain": 2, "admin": 3}
    has = Level(levels.get(role or "", 0))
    for row in ROWS:
        if row.path.endswith("/stream") or (row.of == "anything" and row.method == "POST"):
            continue
        path = address(row.path, row.of, sample)
        answer = await browser.request(row.method, path)
        if row.of == "anything":
            allowed: Any = (200,)
        elif row.of == "installation":
            allowed = (403,)
        elif role is None:
            allowed = (503,)
        elif has is Level.NONE:
            allowed = (404,)
        else:
            allowed = (200, 303, 400, 404, 409) if has >= row.needs else (403,)
        assert answer.status_code in allowed, f"{row.method} {path} {role}: {answer.status_code}"
        if has is Level.NONE and row.of == "anything":
            assert "acme" not in answer.text, path


async def test_lists_show_what_the_visitor_may_see(rig: Rig) -> None:
    sample = await seed(rig.berth)
    async with await visitor(rig, "read") as browser:
        for path in ("/", "/repositories", "/deliveries", "/ports"):
            page = (await browser.get(path)).text
            assert "acme/shop" in page, path
            assert "acme/docs" not in page, path
            assert "acme/rates" not in page, path
            assert 'href="/system"' not in page
        other = await rig.berth.store.one(sa.select(repositories.c.id).where(repositories.c.name == "acme/docs"))
        assert other is not None
        assert (await browser.get(f"/repositories/{other['id']}")).status_code == 404
        assert sample.repository != other["id"]


@pytest.mark.parametrize(("role", "buttons", "form"), [("read", 0, 0), ("write", 5, 0), ("admin", 5, 1)])
async def test_only_buttons_that_may_be_pressed_are_there(rig: Rig, role: str, buttons: int, form: int) -> None:
    sample = await seed(rig.berth)
    async with await visitor(rig, role) as browser:
        page = (await browser.get(f"/environments/{sample.production}")).text
        found = re.findall(r">(Restart|Stop|Roll back|Redeploy|Remove…)</", page.partition('id="deployments"')[0])
        assert len(found) == buttons
        page = (await browser.get(f"/repositories/{sample.repository}")).text
        assert page.count("Look at what changes") == form
        assert page.count('action="/applications/1/variables"') == form
        assert ("https://api.acme.example" in page) == (role != "read")
        assert "postgres://" not in page
        delivery = (await browser.get(f"/deliveries/{sample.delivery}")).text
        assert ("head_commit" in delivery) == (role != "read")


async def test_a_refused_button_does_nothing(rig: Rig) -> None:
    sample = await seed(rig.berth)
    before = await rig.berth.store.all(sa.select(work))
    async with await visitor(rig, "read") as browser:
        answer = await browser.post(f"/environments/{sample.production}/stop")
        assert answer.status_code == 403
        assert "It needs write permission." in answer.text
    assert await rig.berth.store.all(sa.select(work)) == before


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:20012"}])
async def test_no_form_is_taken_from_elsewhere(rig: Rig, headers: dict[str, str]) -> None:
    sample = await seed(rig.berth)
    before = await rig.berth.store.all(sa.select(work))
    async with await visitor(rig, "admin") as browser:
        del browser.headers["Sec-Fetch-Site"]
        for row in ROWS:
            if row.method == "POST" and row.of not in ("installation",):
                answer = await browser.post(address(row.path, row.of, sample), headers=headers)
                assert answer.status_code == 403, row.path
                assert "not sent by a page of Berth" in answer.text
    assert await rig.berth.store.all(sa.select(work)) == before


async def test_people_make_tokens_for_what_they_administer(rig: Rig) -> None:
    sample = await seed(rig.berth)
    wanted = {"name": "ci", "scope": "write", "days": "7"}
    async with await visitor(rig, "admin") as browser:
        made = await browser.post("/tokens", data=wanted | {"repository": str(sample.repository)})
        assert made.status_code == 200
        found = re.search(r"berth_[\w-]{43}", made.text)
        assert found is not None
        holder = await access.bearer(rig.berth, found[0])
        assert holder is not None
        assert (holder.scope, holder.repository_id) == ("write", sample.repository)
        assert "berth_" not in (await browser.get("/tokens")).text
        for elsewhere in ("", "2", "99"):
            refused = await browser.post("/tokens", data=wanted | {"repository": elsewhere})
            assert refused.status_code in (403, 404)


STRANGE = ("", "9" * 30, "-1", "\0", "٣", "environment:٣", "environment:" + "9" * 30, "é\r\n", "1")


async def test_forms_that_no_page_sends_are_refused_in_words(rig: Rig) -> None:
    sample = await seed(rig.berth, well=True)
    names = ["name", "value", "scope", "port", "note", "deployment", "session", "days", "repository", "way"]
    names += ["environment", "volumes", "set.port", "set.memory", "set.root", "set.log_excerpts", "set.\0"]
    client = rig.client
    await client.post("/sign-in", data={"token": TOKEN}, headers=OURS)
    for value in STRANGE:
        for row in ROWS:
            if row.method == "POST" and not row.path.startswith("/sessions"):
                for given in (dict.fromkeys(names, value), {"way": "redeploy", "environment": value}):
                    answer = await client.post(address(row.path, row.of, sample), data=given, headers=OURS)
                    assert answer.status_code in (200, 303, 400, 403, 404, 409), (row.path, value, answer.text)
        for path in ("/deliveries", "/repositories/1", "/"):
            query = dict.fromkeys(["before", "repository", "decision", "application", "notice"], value)
            answer = await client.get(path, params=query)
            assert answer.status_code in (200, 422), (path, value)
