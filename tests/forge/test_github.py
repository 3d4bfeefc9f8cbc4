"""The client of GitHub's API against a server that answers as it is told."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.config import Config, load_config
from bot.errors import BerthError
from bot.forge.github import GitHub, GitHubError, _proxy
from bot.forge.github_app import AppCredentials, app_file, load_app, save_app
from bot.forge.permissions import Permissions, level_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
KEY = rsa.generate_private_key(65_537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
).decode()
APP = AppCredentials("17", "berth-test", "Iv23.abc", "client-secret", "hook-secret", PEM, "https://github.com/apps/b")


@dataclass
class Api:
    """A server; ``answers`` are given in turn to requests for anything but tokens, then 200 with ``{}``."""

    requests: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answers: list[Callable[[web.Request], Any]] = field(default_factory=list)
    tokens: int = 0
    token_answers: list[Callable[[web.Request], Any]] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    minted: list[Any] = field(default_factory=list)
    lifetime: float = 3600.0
    skew: float = 0.0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        now = datetime.now(UTC) + timedelta(seconds=self.skew)
        headers = {"date": format_datetime(now, usegmt=True)}
        if request.path.endswith("/access_tokens"):
            body = await request.json()
            self.minted.append(body)
            scheme, _, token = request.headers["authorization"].partition(" ")
            assert scheme == "bearer"
            claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], options={"verify_exp": False})
            assert claims["iss"] == "Iv23.abc"
            assert claims["exp"] - claims["iat"] <= 600
            if self.token_answers:
                return self.token_answers.pop(0)(request)
            self.tokens += 1
            await asyncio.sleep(0.02)
            end = (now + timedelta(seconds=self.lifetime)).strftime("%Y-%m-%dT%H:%M:%SZ")
            return web.json_response({"token": f"ghs_{self.tokens}", "expires_at": end}, status=201, headers=headers)
        if request.path == "/installation/token":
            self.revoked.append(request.headers["authorization"])
            return web.Response(status=204)
        self.requests.append(request)
        self.times.append(time.monotonic())
        self.bodies.append(await request.text())
        answer = self.answers.pop(0) if self.answers else lambda _request: web.json_response({})
        answered = answer(request)
        return await answered if asyncio.iscoroutine(answered) else answered


def says(status: int, body: Any = None, **headers: str) -> Callable[[web.Request], web.StreamResponse]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: web.json_response(body if body is not None else {}, status=status, headers=named)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    server = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def github(api: Api, tmp_path: Path) -> AsyncIterator[GitHub]:
    client = GitHub(config_for(tmp_path, api.url), APP, write_interval=0.2, timeout=1.0)
    await client.open()
    yield client
    await client.close()


def config_for(folder: Path, url: str) -> Config:
    return load_config(data_dir=folder, github_url=url, github_api_url=url)


async def test_an_installation_gets_one_narrow_token_for_many_calls_at_the_same_time(api: Api, github: GitHub) -> None:
    calls = [
        github.request("GET", "/repos/a/b", installation_id=5, repository_ids=(9, 7), permissions={"contents": "read"})
        for _ in range(8)
    ]
    await asyncio.gather(*calls)
    assert api.minted == [{"repository_ids": [7, 9], "permissions": {"contents": "read"}}]
    assert {request.headers["authorization"] for request in api.requests} == {"token ghs_1"}
    assert api.requests[0].headers["x-github-api-version"] == "2022-11-28"
    assert api.requests[0].headers["user-agent"].startswith("berth/")
    await github.request("GET", "/repos/a/b", installation_id=5)
    assert api.requests[-1].headers["authorization"] == "token ghs_2"


async def test_a_token_near_its_end_is_replaced_by_the_servers_clock(api: Api, github: GitHub) -> None:
    api.lifetime, api.skew = 3600.0, -7200.0  # ended long ago by our clock, but it is ours that is wrong
    await github.token(5, (), {})
    await github.token(5, (), {})
    assert api.tokens == 1
    api.lifetime = 299.0
    await github.token(6, (), {})
    await github.token(6, (), {})
    assert api.tokens == 3


async def test_a_token_that_ended_early_is_replaced_once(api: Api, github: GitHub) -> None:
    api.answers = [says(200), says(401, {"message": "Bad credentials"}), says(200, {"ok": True})]
    await github.request("GET", "/x", installation_id=5)
    assert await github.request("GET", "/x", installation_id=5) == {"ok": True}
    assert [request.headers["authorization"] for request in api.requests] == [
        "token ghs_1",
        "token ghs_1",
        "token ghs_2",
    ]
    api.answers = [says(401, {"message": "Bad credentials"})] * 2
    with pytest.raises(GitHubError) as caught:
        await github.request("POST", "/x", installation_id=5)
    assert caught.value.status == 401


async def test_writes_of_one_installation_keep_their_distance(api: Api, github: GitHub) -> None:
    await asyncio.gather(*[github.request("POST", f"/x/{number}", installation_id=5, body={}) for number in range(3)])
    gaps = [later - earlier for earlier, later in zip(api.times, api.times[1:], strict=False)]
    assert all(gap >= 0.19 for gap in gaps), gaps
    api.times.clear()
    await github.request("POST", "/x", installation_id=5)
    started = time.monotonic()
    await asyncio.gather(
        github.request("POST", "/x", installation_id=6), github.request("GET", "/x", installation_id=5)
    )
    assert time.monotonic() - started < 0.19  # nobody waits for another installation, and reading does not wait


async def test_answers_are_asked_for_again_only_when_they_changed(api: Api, github: GitHub) -> None:
    def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("if-none-match") == '"one"':
            return web.Response(status=304)
        return web.json_response({"value": [1]}, headers={"etag": '"one"'})

    api.answers = [answer] * 5
    first = await github.request("GET", "/x", installation_id=5)
    first["value"].append(2)
    assert await github.request("GET", "/x", installation_id=5) == {"value": [1]}
    assert "if-none-match" in api.requests[1].headers
    await github.request("GET", "/x", installation_id=6)
    await github.request("GET", "/x", installation_id=5, permissions={"metadata": "read"})
    await github.request("GET", "/x", installation_id=5, etag_cache=False)
    assert all("if-none-match" not in request.headers for request in api.requests[2:])


@pytest.mark.parametrize(
    ("headers", "message", "least", "most"),
    [
        ({"retry_after": "30"}, "You have exceeded a secondary rate limit.", 30, 30),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "RESET"}, "API rate limit exceeded", 88, 93),
        ({}, "You have exceeded a secondary rate limit.", 60, 60),
    ],
)
@pytest.mark.parametrize("status", [403, 429])
async def test_long_limits_are_told_and_nothing_is_sent_meanwhile(  # noqa: PLR0917 - parameters of the table
    api: Api, github: GitHub, headers: dict[str, str], message: str, least: float, most: float, status: int
) -> None:
    reset = {name: value.replace("RESET", str(int(time.time()) + 90)) for name, value in headers.items()}
    api.answers = [says(status, {"message": message}, **reset)]
    with pytest.raises(GitHubError) as caught:
        await github.request("POST", "/x", installation_id=5)
    assert caught.value.status == status
    assert caught.value.retry_after is not None
    assert least <= caught.value.retry_after <= most
    with pytest.raises(GitHubError) as caught:
        await github.request("GET", "/x", installation_id=5)
    assert (caught.value.retry_after or 0) > least - 2
    assert len(api.requests) == 1
    await github.request("GET", "/x", installation_id=6)


async def test_short_limits_are_waited_for(api: Api, github: GitHub) -> None:
    api.answers = [says(403, {"message": "secondary rate limit"}, retry_after="1"), says(201, {"id": 1})]
    started = time.monotonic()
    assert await github.request("POST", "/x", installation_id=5, body={"a": 1}) == {"id": 1}
    assert 1.0 <= time.monotonic() - started < 3
    assert api.bodies == ['{"a": 1}'] * 2


async def test_a_refusal_is_no_limit(api: Api, github: GitHub) -> None:
    api.answers = [says(403, {"message": "Resource not accessible by integration"}, x_ratelimit_remaining="4000")]
    with pytest.raises(GitHubError, match="Resource not accessible by integration") as caught:
        await github.request("POST", "/x", installation_id=5)
    assert (caught.value.status, caught.value.retry_after) == (403, None)
    assert len(api.requests) == 1


async def test_reading_is_repeated_after_failures_and_writing_is_not(api: Api, github: GitHub) -> None:
    api.answers = [says(502), says(503), says(200, [1])]
    assert await github.request("GET", "/x", installation_id=5) == [1]
    api.answers = [says(502, {"message": "Server Error"}), says(200)]
    with pytest.raises(GitHubError) as caught:
        await github.request("POST", "/x", installation_id=5)
    assert caught.value.status == 502


async def test_no_answer_has_status_0(api: Api, github: GitHub) -> None:
    def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    api.answers = [hang_up]
    with pytest.raises(GitHubError) as caught:
        await github.request("POST", "/x", installation_id=5)
    assert (caught.value.status, caught.value.retry_after) == (0, None)


async def test_silence_is_not_waited_for_for_ever(api: Api, github: GitHub) -> None:
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    github._timeout = 0.3
    await github.close()
    await github.open()
    api.answers = [silent]
    await github.token(5, (), {})
    with pytest.raises(GitHubError, match="no answer within"):
        await github.request("POST", "/x", installation_id=5)


async def test_a_renamed_repository_is_followed_but_never_to_another_host(api: Api, github: GitHub) -> None:
    api.answers = [says(307, location="/repositories/7/statuses"), says(201, {"id": 3})]
    assert await github.request("POST", "/repos/a/old/statuses", installation_id=5, body={"b": 2}) == {"id": 3}
    assert [request.path for request in api.requests] == ["/repos/a/old/statuses", "/repositories/7/statuses"]
    assert api.bodies == ['{"b": 2}'] * 2
    assert api.requests[1].method == "POST"
    api.answers = [says(301, location="http://localhost.example/steal")]
    with pytest.raises(GitHubError, match="another host"):
        await github.request("GET", "/repos/a/old", installation_id=5)
    api.answers = [says(301, location="/a")] * 50
    with pytest.raises(GitHubError, match="redirects"):
        await github.request("POST", "/repos/a/old", installation_id=5)


async def test_lists_are_read_page_by_page(api: Api, github: GitHub) -> None:
    api.answers = [
        says(200, {"repositories": [1, 2]}, link=f'<{api.url}/things?page=2>; rel="next", <{api.url}/x>; rel="last"'),
        says(200, {"repositories": [3]}),
    ]
    assert await github.collect("/things", installation_id=5, items="repositories") == [1, 2, 3]
    assert [request.path_qs for request in api.requests] == ["/things?per_page=100", "/things?page=2"]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("The permissions requested are not granted to this installation.", 403),
        ("There is at least one repository that does not exist or is not accessible.", 404),
    ],
)
async def test_what_was_not_granted_is_a_refusal(api: Api, github: GitHub, message: str, status: int) -> None:
    api.token_answers = [says(422, {"message": message})]
    with pytest.raises(GitHubError) as caught:
        await github.request("DELETE", "/x", installation_id=5, permissions={"environments": "write"})
    assert caught.value.status == status


async def test_a_one_time_token_is_revoked_whatever_happens(api: Api, github: GitHub) -> None:
    kept = await github.token(5, (7,), {"contents": "read"})
    with pytest.raises(RuntimeError):
        async with github.one_time_token(5, (7,), {"contents": "read"}) as token:
            assert token != kept
            raise RuntimeError
    assert api.revoked == [f"token {token}"]
    assert await github.token(5, (7,), {"contents": "read"}) == kept


async def test_a_wrong_clock_is_named(api: Api, github: GitHub) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=400), usegmt=True)
    api.answers = [says(401, {"message": "'Expiration time' claim ('exp') is too far in the future"}, date=date)]
    with pytest.raises(GitHubError, match=r"clock differs from GitHub's by (39|40)\d seconds"):
        await github.request("GET", "/app", installation_id=None)


async def test_strange_answers_are_errors_in_words(api: Api, github: GitHub) -> None:
    html: Any = lambda _request: web.Response(text="<h1>It works</h1>", content_type="text/html")  # noqa: E731
    api.answers = [html]
    with pytest.raises(GitHubError, match="no JSON"):
        await github.request("GET", "/x", installation_id=5)
    api.answers = [lambda _request: web.Response(status=520, text="?")]
    with pytest.raises(GitHubError) as caught:
        await github.request("GET", "/x", installation_id=5)
    assert caught.value.status == 520
    api.answers = [lambda _request: web.Response(body=b"{", content_type="application/json")]
    with pytest.raises(GitHubError, match="no JSON"):
        await github.request("GET", "/x", installation_id=5)
    errors = [{"resource": "Status", "code": "custom", "message": "description is too long (maximum is 140)"}]
    api.answers = [says(422, {"message": "Validation Failed", "errors": errors})]
    with pytest.raises(GitHubError, match="description is too long"):
        await github.request("POST", "/x", installation_id=5)


def test_proxies_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "github.corp.example,127.0.0.1")
    assert _proxy("https://api.github.com") == "http://proxy.example:3128"
    assert _proxy("https://github.corp.example/api/v3") is None


def test_no_secret_is_in_the_words_of_the_credentials() -> None:
    assert not re.search("PRIVATE|client-secret|hook-secret", repr(APP))


# credentials


def test_the_app_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    config = config_for(tmp_path, "https://github.com")
    assert load_app(config) is None
    save_app(config, APP)
    assert app_file(config).stat().st_mode & 0o777 == 0o600
    assert load_app(config) == APP


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    save_app(config_for(tmp_path, "https://github.com"), APP)
    loaded = load_app(load_config(data_dir=tmp_path, github_app_id="17", github_webhook_secret="other"))
    assert loaded is not None
    assert (loaded.webhook_secret, loaded.private_key) == ("other", PEM)
    with pytest.raises(BerthError, match="private key of App 18 is missing"):
        load_app(load_config(data_dir=tmp_path, github_app_id="18"))
    (tmp_path / "key.pem").write_text(PEM)
    loaded = load_app(
        load_config(
            data_dir=tmp_path,
            github_app_id="18",
            github_private_key_file=tmp_path / "key.pem",
            github_webhook_secret="s",
        )
    )
    assert loaded == AppCredentials("18", "", "", "", "s", PEM, "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"private_key": "nonsense"}, "not an unencrypted RSA key"),
        ({"webhook_secret": ""}, "webhook secret"),
        ({"app_id": "berth"}, "is no App ID"),
    ],
)
def test_credentials_that_cannot_work_are_refused(tmp_path: Path, change: dict[str, str], words: str) -> None:
    broken = AppCredentials(**{**vars(APP), **change})
    with pytest.raises(BerthError, match=words):
        save_app(config_for(tmp_path, "https://github.com"), broken)
    assert not app_file(config_for(tmp_path, "https://github.com")).exists()


# permissions

ROW = {"id": 3, "name": "acme/shop", "installation_id": 5, "forge_repository_id": 7, "removed_at": None}


def answer_for(permission: str, role: str = "", user_id: int = 42) -> dict[str, Any]:
    return {"permission": permission, "role_name": role or permission, "user": {"id": user_id, "login": "ann"}}


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (answer_for("admin"), "admin"),
        (answer_for("write", "maintain"), "maintain"),
        (answer_for("write"), "write"),
        (answer_for("read", "triage"), "triage"),
        (answer_for("read"), "read"),
        (answer_for("none"), "none"),
        (answer_for("write", "deployers"), "write"),  # an organisation's own role
        (answer_for("read", "admin"), "read"),  # and one with a misleading name
        (answer_for("admin", user_id=43), "none"),  # the login belongs to somebody else now
        ({"permission": "admin", "user": None}, "none"),
        ({"permission": "owner", "user": {"id": 42}}, "none"),
        (None, "none"),
        ([], "none"),
    ],
)
def test_the_level_of_a_person(answer: object, level: str) -> None:
    assert level_of(answer, 42) == level


async def test_permissions_are_remembered_for_reading_only(api: Api, github: GitHub) -> None:
    permissions = Permissions(github)
    api.answers = [says(200, answer_for("write")), says(200, answer_for("read"))]
    assert await permissions.of(ROW, "ann", 42) == "write"
    assert await permissions.of(ROW, "ann", 42) == "write"
    assert await permissions.of(ROW, "ann", 42, fresh=True) == "read"
    assert await permissions.of(ROW, "ann", 42) == "read"
    assert [request.path for request in api.requests] == ["/repos/acme/shop/collaborators/ann/permission"] * 2
    assert api.minted == [{"repository_ids": [7], "permissions": {"metadata": "read"}}]


async def test_permissions_fail_closed(api: Api, github: GitHub) -> None:
    permissions = Permissions(github)
    api.answers = [says(404, {"message": "Not Found"})]
    assert await permissions.of(ROW, "stranger", 1) == "none"
    api.answers = [says(200, answer_for("admin"))]
    assert await permissions.of(ROW, "ann", 42) == "admin"
    api.answers = [says(500)] * 4
    with pytest.raises(GitHubError):
        await permissions.of(ROW, "ann", 42, fresh=True)
    api.answers = [says(500)] * 4
    with pytest.raises(GitHubError):  # what was known is not known any more
        await permissions.of(ROW, "ann", 42)
    assert await permissions.of(ROW | {"installation_id": None}, "ann", 42) == "none"
    assert await permissions.of(ROW | {"removed_at": 1.0}, "ann", 42) == "none"
    api.answers = [says(200, answer_for("admin", user_id=7))]
    assert await permissions.of(ROW, "../../../user", 7) == "admin"
    assert api.requests[-1].raw_path == "/repos/acme/shop/collaborators/..%2F..%2F..%2Fuser/permission"
