"""Signing in with GitHub (the fake one, over HTTP), and how often the operator token may be guessed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import sqlalchemy as sa

from bot.config import Config, load_config
from bot.forge.github import GitHub
from bot.forge.github_app import AppCredentials
from bot.forge.permissions import Permissions
from bot.store.tables import sessions, users
from bot.web import sign_in
from bot.web.sign_in import Guesses
from tests.github.fake import FakeGitHub
from tests.web.conftest import TOKEN, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
OURS = {"Sec-Fetch-Site": "same-origin"}
CALLBACK = "http://localhost:8420/sign-in/github/callback"


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        fake.callback_urls = [CALLBACK]
        yield fake


@pytest.fixture
def config(tmp_path: Path, github: FakeGitHub) -> Config:
    return load_config(data_dir=tmp_path, docker_host=f"unix://{tmp_path}/none.sock", github_url=github.url)


@dataclass
class Person:
    """Somebody with a browser, which keeps cookies and does not follow redirects by itself."""

    rig: Rig
    github: FakeGitHub
    browser: httpx2.AsyncClient

    async def leave(self, goal: str = "/") -> str:
        """The address at GitHub to which the browser is sent."""
        answer = await self.browser.get("/sign-in/github", params={"next": goal})
        assert answer.status_code == 303
        return answer.headers["location"]

    async def at_github(self, address: str) -> str:
        """The way back that GitHub sends the browser, from the path on."""
        async with httpx2.AsyncClient() as client:
            answer = await client.get(address)
        assert answer.status_code == 302, answer.text
        back: str = answer.headers["location"]
        assert back.startswith(CALLBACK)
        return back.removeprefix("http://localhost:8420")

    async def sign_in(self, goal: str = "/") -> httpx2.Response:
        return await self.browser.get(await self.at_github(await self.leave(goal)))


async def work_as(rig: Rig, credentials: AppCredentials | None) -> None:
    """As this App, as far as people and their permissions go."""
    berth = rig.berth
    if berth.github is not None:
        await berth.github.close()
    berth.github = berth.permissions = None
    if credentials is not None:
        berth.github = GitHub(berth.config, credentials)
        await berth.github.open()
        berth.permissions = Permissions(berth.github)


@pytest.fixture
async def person(rig: Rig, github: FakeGitHub) -> AsyncIterator[Person]:
    app = github.app
    credentials = AppCredentials(
        app.app_id, app.slug, app.client_id, app.client_secret, app.webhook_secret, app.private_key, ""
    )
    await work_as(rig, credentials)
    github.sign_in("ann")
    async with new_browser(rig) as browser:
        yield Person(rig, github, browser)
    await work_as(rig, None)
    assert github.violations == []


def new_browser(rig: Rig) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=rig.app), base_url="http://localhost:8420")


def error_of(answer: httpx2.Response) -> str:
    return answer.text.partition('role="alert">')[2].partition("</p>")[0]


async def test_the_form_offers_github_only_where_berth_is_an_app(rig: Rig, person: Person) -> None:
    page = await person.browser.get("/sign-in?next=/ports")
    assert "http://localhost:8420/sign-in/github?next=%2Fports" in page.text
    await work_as(rig, None)
    assert "Sign in with GitHub" not in (await person.browser.get("/sign-in")).text
    answer = await person.browser.get("/sign-in/github")
    assert answer.status_code == 400
    assert "not a GitHub App yet" in error_of(answer)


async def test_there_and_back(rig: Rig, person: Person) -> None:
    address = await person.leave("/deployments/7?x=1")
    query = parse_qs(urlsplit(address).query)
    assert address.startswith(person.github.url)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [CALLBACK]
    answer = await person.browser.get(await person.at_github(address))
    assert (answer.status_code, answer.headers["location"]) == (303, "/deployments/7?x=1")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("berth_session")).lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    row = await rig.berth.store.one(sa.select(users))
    assert row is not None
    assert (row["forge_user_id"], row["login"]) == (person.github.user("ann").id, "ann")
    assert (await person.browser.get("/")).status_code == 200


async def test_the_users_token_is_used_once_and_ends(rig: Rig, person: Person) -> None:
    await person.sign_in()
    assert len(person.github.revoked) == 1
    assert not any(value.startswith("ghu_") for value in person.github.tokens)
    asked = [one for one in person.github.requests if one.path.endswith("/user")]
    assert len(asked) == 1
    path = rig.berth.store.path
    assert path is not None
    assert person.github.revoked[0].encode() not in await asyncio.to_thread(path.read_bytes)


async def test_signing_in_again_is_the_same_person(rig: Rig, person: Person) -> None:
    await person.sign_in()
    person.github.user("ann").login = "anna"
    await person.sign_in()
    rows = await rig.berth.store.all(sa.select(users))
    assert [row["login"] for row in rows] == ["anna"]
    assert len(await rig.berth.store.all(sa.select(sessions))) == 1  # the second took the place of the first


async def test_who_may_see_nothing_sees_nothing(rig: Rig, person: Person) -> None:
    _, deployment = await rig.seed_live()
    await person.sign_in()
    assert (await person.browser.get(f"/deployments/{deployment}")).status_code == 404
    assert "shop" not in (await person.browser.get("/")).text


@pytest.mark.parametrize(
    "goal", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/\n/x", "//[x"]
)
async def test_nobody_is_sent_elsewhere(person: Person, goal: str) -> None:
    answer = await person.sign_in(goal)
    assert answer.headers["location"] == "/"


async def test_a_way_back_that_did_not_begin_here_is_refused(rig: Rig, person: Person) -> None:
    back = await person.at_github(await person.leave())
    async with new_browser(rig) as other:  # somebody is made to open the way back of another
        answer = await other.get(back)
    assert answer.status_code == 400
    assert "did not begin in this browser" in error_of(answer)
    assert "berth_session" not in answer.headers.get("set-cookie", "")
    foreign = back.replace("state=", "state=x")
    assert "did not begin in this browser" in error_of(await person.browser.get(foreign))


async def test_a_way_back_works_once(person: Person) -> None:
    address = await person.leave()
    kept = dict(person.browser.cookies)
    back = await person.at_github(address)
    assert (await person.browser.get(back)).status_code == 303
    person.browser.cookies.clear()
    person.browser.cookies.update(kept)
    assert "too long ago" in error_of(await person.browser.get(back))


async def test_a_way_back_that_took_too_long(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    back = await person.at_github(await person.leave())
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    assert "too long ago" in error_of(await person.browser.get(back))


async def test_who_does_not_agree_is_told_so(person: Person) -> None:
    person.github.sign_in(None)
    answer = await person.sign_in()
    assert "did not let GitHub tell" in error_of(answer)


@pytest.mark.parametrize(
    ("match", "status", "times", "words"),
    [
        (".*/login/oauth/access_token", 500, 1, "GitHub answered 500"),
        (".*/login/oauth/access_token", 0, 1, "did not answer"),
        (".*/user", 503, 1, "who you are"),
        (".*/user", 0, 2, "did not answer"),  # a GET is tried again on a new connection
    ],
)
async def test_github_fails(person: Person, match: str, status: int, times: int, words: str) -> None:
    address = await person.at_github(await person.leave())
    person.github.fail(match=match, status=status, times=times)
    answer = await person.browser.get(address)
    assert answer.status_code == 503
    assert words in error_of(answer)
    assert (await person.sign_in()).status_code == 303


async def test_a_token_that_cannot_be_revoked_does_not_keep_anybody_out(person: Person) -> None:
    person.github.fail(match=".*/applications/.*", status=500, times=1)
    assert (await person.sign_in()).status_code == 303


async def test_github_refuses_the_secret(rig: Rig, person: Person) -> None:
    assert rig.berth.github is not None
    app = person.github.app
    wrong = AppCredentials(app.app_id, "", app.client_id, "wrong", app.webhook_secret, app.private_key, "")
    await work_as(rig, wrong)
    answer = await person.sign_in()
    assert "client secret" in error_of(answer)


async def test_bots_stay_outside(rig: Rig, person: Person) -> None:
    person.github.sign_in("helper[bot]")
    assert "no person" in error_of(await person.sign_in())
    assert await rig.berth.store.all(sa.select(users)) == []


async def test_wrong_operator_tokens_are_limited(rig: Rig) -> None:
    async with new_browser(rig) as browser:
        for _ in range(10):
            answer = await browser.post("/sign-in", data={"token": "wrong"}, headers=OURS)
            assert answer.status_code == 403
        answer = await browser.post("/sign-in", data={"token": TOKEN}, headers=OURS)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 300
        assert "Too many wrong tokens" in error_of(answer)


def test_guesses_are_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    guesses = Guesses(most=3, window=60.0, clock=lambda: now[0])
    for _ in range(2):
        guesses.failed("a")
        now[0] += 10
    assert guesses.wait("a") == 0
    guesses.failed("a")
    assert guesses.wait("a") == 40
    assert guesses.wait("b") == 0
    now[0] += 41
    assert guesses.wait("a") == 0
    monkeypatch.setattr(sign_in, "_MOST_ADDRESSES", 2)
    for address in "bcdb":
        guesses.failed(address)
    assert len(guesses._wrong) == 2
