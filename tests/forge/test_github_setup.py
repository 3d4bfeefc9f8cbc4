"""From nothing to a GitHub App: the manifest flow, an App that exists already, and what it lacks."""

import html
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from bot.app import connect_github
from bot.config import load_config
from bot.errors import BerthError
from bot.forge.github import GitHub
from bot.forge.github_app import AppCredentials, load_app
from bot.forge.manifest import lacks_of_address, lacks_of_app, lacks_of_hook, load_manifest, manifest_for
from bot.forge.setup import LIFETIME, Setup, examine
from tests.github.fake import FakeGitHub
from tests.web.conftest import Rig, empty_database, open_rig

pytestmark = pytest.mark.anyio
__all__ = ["empty_database"]  # a fixture
PUBLIC = "http://berth.example:8420"


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with FakeGitHub() as github:
        yield github
        assert not github.violations
        assert not github.mistakes


@pytest.fixture
async def rig(fake: FakeGitHub, tmp_path: Path, empty_database: Path) -> AsyncIterator[Rig]:
    config = load_config(
        data_dir=tmp_path,
        docker_host=f"unix://{tmp_path}/no-docker.sock",
        github_url=fake.url,
        public_url=PUBLIC,
    )
    async with open_rig(config, empty_database) as opened:
        del opened.client.headers["authorization"]
        opened.client.base_url = httpx2.URL(PUBLIC)
        await opened.berth.github_forge.open()
        yield opened
        await connect_github(opened.berth, None)
        await opened.berth.github_forge.close()


def local(url: str) -> str:
    assert url.startswith(PUBLIC)
    return url.removeprefix(PUBLIC)


def form_of(page: str) -> tuple[str, str]:
    """Where the page's form for GitHub goes, and its manifest."""
    action = re.search(r'<form method="post" action="(http[^"]+)"', page)
    manifest = re.search(r'name="manifest" value="([^"]+)"', page)
    assert action
    assert manifest
    return html.unescape(action[1]), html.unescape(manifest[1])


async def to_github(page: str) -> str:
    """What a person does: presses the button, agrees, and is sent back to the address that this gives."""
    action, manifest = form_of(page)
    async with httpx2.AsyncClient() as browser:
        answer = await browser.post(action, data={"manifest": manifest})
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


async def sign_in(rig: Rig) -> None:
    answer = await rig.client.post(
        "/sign-in", data={"token": rig.berth.operator_token}, headers={"sec-fetch-site": "same-origin"}
    )
    assert answer.status_code == 303, answer.text


async def test_one_click_makes_the_app_and_the_running_server_works_as_it(rig: Rig, fake: FakeGitHub) -> None:
    address = rig.berth.setup.begin()
    page = await rig.client.get(local(address))
    assert page.status_code == 200, page.text
    policy = page.headers["content-security-policy"]
    assert f"form-action 'self' {fake.url}" in policy
    back = await to_github(page.text)
    done = await rig.client.get(local(back))
    assert done.status_code == 200, done.text
    assert f"{fake.url}/apps/{fake.app.slug}/installations/new" in done.text
    assert "form-action 'self';" in done.headers["content-security-policy"]

    assert rig.berth.github is not None
    assert rig.berth.permissions is not None
    assert rig.berth.github.credentials == load_app(rig.berth.config)
    assert rig.berth.github.credentials.private_key == fake.app.private_key
    assert rig.berth.github.credentials.webhook_secret == fake.app.webhook_secret
    assert fake.hook_url == f"{PUBLIC}/api/github/webhooks"
    assert fake.callback_urls == [f"{PUBLIC}/sign-in/github/callback"]
    assert (await rig.berth.github.request("GET", "/app", installation_id=None))["slug"] == fake.app.slug
    lacks = await examine(rig.berth.github, rig.berth.config)
    assert [one.text for one in lacks] == ["The App is installed nowhere."]

    again = await rig.client.get(local(back))
    assert again.status_code == 400
    assert "belongs to no setup" in again.text
    closed = await rig.client.get(local(address))
    assert (closed.status_code, closed.headers["location"]) == (303, "/sign-in?next=/setup")


async def test_strangers_set_up_nothing(rig: Rig) -> None:
    for path in ("/setup", "/setup?token=guessed", "/setup?token="):
        assert (await rig.client.get(path)).status_code == 303
    for query in ("", "?code=abc", "?code=abc&state=", "?code=abc&state=guessed"):
        assert (await rig.client.get(f"/setup/callback{query}")).status_code == 400
    answer = await rig.client.post("/setup/import", data={"app_id": "1"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    answer = await rig.client.post("/setup/import", data={"app_id": "1"}, headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 303
    assert rig.berth.github is None


async def test_an_organisation_may_own_the_app(rig: Rig) -> None:
    address = local(rig.berth.setup.begin())
    page = await rig.client.get(f"{address}&organization=acme")
    action, _ = form_of(page.text)
    assert urlsplit(action).path == "/organizations/acme/settings/apps/new"
    assert len(parse_qs(urlsplit(action).query)["state"][0]) >= 40
    evil = await rig.client.get(f"{address}&organization=acme/../../evil")
    assert evil.status_code == 400


async def test_a_code_that_github_does_not_know_changes_nothing(rig: Rig) -> None:
    page = await rig.client.get(local(rig.berth.setup.begin()))
    state = parse_qs(urlsplit(form_of(page.text)[0]).query)["state"][0]
    answer = await rig.client.get(f"/setup/callback?code=unknown&state={state}")
    assert answer.status_code == 503
    assert "GitHub answered 404" in answer.text
    assert rig.berth.github is None
    assert load_app(rig.berth.config) is None


async def test_a_secret_is_made_where_github_gives_none(
    rig: Rig, fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = fake.convert_manifest

    def without_secret(code: str) -> dict[str, Any] | None:
        found = convert(code)
        return found and found | {"webhook_secret": None}

    monkeypatch.setattr(fake, "convert_manifest", without_secret)
    page = await rig.client.get(local(rig.berth.setup.begin()))
    done = await rig.client.get(local(await to_github(page.text)))
    assert done.status_code == 200, done.text
    assert rig.berth.github is not None
    secret = rig.berth.github.credentials.webhook_secret
    assert len(secret) == 64
    told = [one for one in fake.requests if (one.method, one.path) == ("PATCH", "/app/hook/config")]
    assert [one.body["secret"] for one in told] == [secret]


async def test_the_operator_imports_an_app(rig: Rig, fake: FakeGitHub) -> None:
    await sign_in(rig)
    fields = {
        "app_id": fake.app.app_id,
        "private_key": fake.app.private_key.replace("\n", "\r\n"),  # as browsers send it
        "webhook_secret": fake.app.webhook_secret,
        "client_secret": fake.app.client_secret,
    }
    ours = {"sec-fetch-site": "same-origin"}
    assert 'name="manifest"' in (await rig.client.get("/setup")).text
    wrong = await rig.client.post("/setup/import", data=fields | {"app_id": "999"}, headers=ours)
    assert wrong.status_code == 503
    assert "GitHub answered 401" in wrong.text
    wrong = await rig.client.post("/setup/import", data=fields | {"private_key": "nonsense"}, headers=ours)
    assert wrong.status_code == 400
    assert rig.berth.github is None
    done = await rig.client.post("/setup/import", data=fields, headers=ours)
    assert done.status_code == 200, done.text
    for secret in ("PRIVATE KEY", fake.app.webhook_secret, fake.app.client_secret):
        assert secret not in done.text
    assert rig.berth.github is not None
    found = load_app(rig.berth.config)
    assert found is not None
    assert (found.app_id, found.slug, found.client_id) == (fake.app.app_id, fake.app.slug, fake.app.client_id)
    assert "takes its place" in (await rig.client.get("/setup")).text


async def test_an_app_of_the_environment_is_not_replaced(fake: FakeGitHub, tmp_path: Path) -> None:
    async def connect(_credentials: AppCredentials) -> None:
        raise AssertionError

    setup = Setup(load_config(data_dir=tmp_path, github_app_id="7"), connect)
    with pytest.raises(BerthError, match="BERTH_GITHUB_APP_ID"):
        setup.register()


async def test_tokens_and_states_end_after_an_hour(tmp_path: Path) -> None:
    now = 1000.0

    async def connect(_credentials: AppCredentials) -> None:
        raise AssertionError

    setup = Setup(load_config(data_dir=tmp_path), connect, clock=lambda: now)
    token = setup.begin().partition("token=")[2]
    state = setup.register().action.partition("state=")[2]
    assert setup.admits(token)
    now += LIFETIME
    assert not setup.admits(token)
    with pytest.raises(BerthError, match="more than an hour"):
        await setup.complete("code", state)


async def test_what_an_app_lacks_is_said(fake: FakeGitHub, tmp_path: Path) -> None:
    config = load_config(data_dir=tmp_path, github_url=fake.url, public_url="https://berth.example")
    repository = fake.create_repository("acme/shop")
    installation = fake.install(repository)
    fake.hook_url = "http://127.0.0.1:9/elsewhere"
    fake.permissions["statuses"] = "read"
    fake.permissions.pop("deployments")
    fake.events.remove("push")
    installation.permissions = {"metadata": "read"}
    credentials = AppCredentials(**{**vars(fake.app), "client_secret": ""})
    github = GitHub(config, credentials)
    await github.open()
    lacks = await examine(github, config)
    await github.close()
    texts = "\n".join(f"{one.level}: {one.text}" for one in lacks)
    assert "warning: The App may not write statuses." in texts
    assert "warning: The App may not write deployments." in texts
    assert "error: The App does not get the event push." in texts
    assert "error: The App's deliveries go to http://127.0.0.1:9/elsewhere." in texts
    assert "acme has not granted: contents (read), statuses (write)" in texts
    assert "client secret is missing" in texts


def test_the_manifest_asks_for_what_it_must(tmp_path: Path) -> None:
    config = load_config(data_dir=tmp_path, public_url="https://berth.example/")
    manifest = manifest_for(config)
    assert manifest["hook_attributes"] == {"url": "https://berth.example/api/github/webhooks", "active": True}
    assert manifest["name"] == "Berth berth.example"
    assert manifest["public"] is False
    json.dumps(manifest)
    granted = manifest["default_permissions"]
    assert granted["contents"] == "read"
    assert lacks_of_app({"permissions": granted, "events": load_manifest()["default_events"]}) == []
    assert {one.level for one in lacks_of_app({"permissions": None, "events": None})} == {"error", "warning"}
    hook = {"url": "https://berth.example/api/github/webhooks", "secret": "****", "insecure_ssl": "0"}
    assert lacks_of_hook(hook, config) == []
    assert [one.level for one in lacks_of_hook({}, config)] == ["error", "error"]


@pytest.mark.parametrize(
    ("url", "reachable"),
    [
        ("https://berth.example", True),
        ("http://localhost:8420", False),
        ("http://127.0.0.1:8420", False),
        ("http://10.0.0.3", False),
        ("http://server", False),
        ("https://8.8.8.8", True),
    ],
)
def test_addresses_that_github_cannot_reach(tmp_path: Path, url: str, reachable: bool) -> None:
    assert (lacks_of_address(load_config(data_dir=tmp_path, public_url=url)) == []) is reachable
