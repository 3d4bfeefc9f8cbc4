"""The settings page: what a change will alter is shown before it is saved, and only then it is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
import sqlalchemy as sa

from bot.deploy.settings import Settings, set_settings, stored_settings
from bot.deploy.variables import list_variables
from bot.errors import BerthError
from bot.store.tables import applications, work
from bot.web.pages import settings_form
from tests.web.conftest import Rig
from tests.web.test_pages import OURS, sign_in

pytestmark = pytest.mark.anyio


@pytest.fixture
async def browser(rig: Rig) -> AsyncIterator[httpx2.AsyncClient]:
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=rig.app), base_url="http://localhost:8420")
    async with client:
        await sign_in(client)
        yield client


async def post(browser: httpx2.AsyncClient, path: str, **fields: str | list[str]) -> httpx2.Response:
    return await browser.post(path, data={key.replace("__", "."): value for key, value in fields.items()}, headers=OURS)


async def test_every_setting_is_on_the_page_with_its_source(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await rig.seed_live()
    await set_settings(rig.berth.store, 1, {"memory": "1g"})
    page = (await browser.get("/repositories/1")).text
    for key in Settings.model_fields:
        assert f'name="set.{key}"' in page
    assert re.search(r'value="1024m"', page)
    assert re.search(r'<code class="value">1024m</code> <span class="tag ours">set in Berth</span>', page)
    assert re.search(r'<code class="value">node server.js</code> <span class="tag">detected</span>', page)
    assert re.search(r'<code class="value">blue_green</code> <span class="tag">default</span>', page)


async def test_what_changes_is_shown_before_it_is_saved(rig: Rig, browser: httpx2.AsyncClient) -> None:
    environment, _ = await rig.seed_live()
    shown = await post(browser, "/applications/1/settings/preview", set__memory="768m", set__port="8080", set__root="")
    assert shown.status_code == 200
    assert "512m" in shown.text
    assert "768m" in shown.text
    assert re.search(r"<del><code>3000</code></del> <span class=\"tag\">detected", shown.text)
    assert "with the next deployment" in shown.text
    assert "production" in shown.text
    assert 'name="set.root"' not in shown.text  # it does not change
    assert await stored_settings(rig.berth.store, 1) == {}

    saved = await post(browser, "/applications/1/settings", set__memory="768m", set__port="8080", way="save")
    assert saved.status_code == 303
    assert saved.headers["location"] == "/repositories/1?application=1&notice=saved"
    assert await stored_settings(rig.berth.store, 1) == {"memory": 768 * 1024**2, "port": 8080}
    assert await rig.berth.store.all(sa.select(work)) == []
    assert "takes effect with the next deployment" in (await browser.get(saved.headers["location"])).text

    back = await post(browser, "/applications/1/settings/preview", set__port="", set__memory="768m")
    assert re.search(r"<ins><code>3000</code></ins> <span class=\"tag\">detected", back.text)
    again = await post(
        browser, "/applications/1/settings", set__port="", way="redeploy", environment=[str(environment)]
    )
    assert again.headers["location"].endswith("notice=saved-redeployed")
    assert await stored_settings(rig.berth.store, 1) == {"memory": 768 * 1024**2}
    queued = await rig.berth.store.all(sa.select(work.c.environment_id, work.c.kind))
    assert queued == [{"environment_id": environment, "kind": "deploy"}]


async def test_what_no_deployment_needs_says_so(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await rig.seed_live()
    shown = (await post(browser, "/applications/1/settings/preview", set__mode="off", set__log_excerpts="true")).text
    assert "at the next push" in shown
    assert "Save and redeploy" not in shown
    saved = await post(browser, "/applications/1/settings", set__mode="off", set__log_excerpts="true", way="save")
    assert saved.headers["location"].endswith("notice=saved-at-once")
    assert await stored_settings(rig.berth.store, 1) == {"mode": "off", "log_excerpts": True}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("port", "many", "port must be"), ("root", "../..", "root must be"), ("colour", "red", "there is no setting")],
)
async def test_a_wrong_value_is_refused_in_words(
    rig: Rig, browser: httpx2.AsyncClient, field: str, value: str, words: str
) -> None:
    await rig.seed_live()
    for path in ("/applications/1/settings/preview", "/applications/1/settings"):
        answer = await post(browser, path, **{f"set__{field}": value})
        assert answer.status_code == 400
        assert words in answer.text.replace("&#39;", "'")
    assert await stored_settings(rig.berth.store, 1) == {}


async def test_nothing_changed_is_nothing_saved(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await rig.seed_live()
    answer = await post(browser, "/applications/1/settings/preview", set__port="", set__mode="")
    assert answer.headers["location"].endswith("notice=unchanged")


async def test_an_environment_of_somebody_else_is_not_redeployed(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await rig.seed_live()
    other = await rig.repository("other")
    theirs = await rig.environment(other["application_id"])
    await rig.deployment(theirs, "live")
    answer = await post(browser, "/applications/1/settings", set__port="80", way="redeploy", environment=[str(theirs)])
    assert answer.status_code == 404
    assert await rig.berth.store.all(sa.select(work)) == []
    assert await stored_settings(rig.berth.store, 1) == {}


async def test_a_variable_is_set_hidden_and_removed(rig: Rig, browser: httpx2.AsyncClient) -> None:
    environment, _ = await rig.seed_live()
    key = "line one\r\nline two"
    answer = await post(browser, "/applications/1/variables", name="KEY", value=key, scope="application", secret="yes")
    assert answer.headers["location"] == "/repositories/1?application=1&notice=variable-set#variables"
    await post(browser, "/applications/1/variables", name="PLAIN", value="<b>", scope=f"environment:{environment}")
    page = (await browser.get("/repositories/1")).text
    assert "line one" not in page
    assert "&lt;b&gt;" in page
    assert "production only" in page
    found = {one.name: one for one in await list_variables(rig.berth.store, rig.berth.vault, 1)}
    assert (found["KEY"].value, found["KEY"].secret) == ("line one\nline two", True)
    assert (found["PLAIN"].scope, found["PLAIN"].environment_id) == ("environment", environment)
    await post(browser, "/applications/1/variables/remove", name="KEY", scope="application")
    assert [one.name for one in await list_variables(rig.berth.store, rig.berth.vault, 1)] == ["PLAIN"]


@pytest.mark.parametrize(
    "fields", [{"name": "1X"}, {"name": "PORT"}, {"name": "A", "scope": "environment:99"}, {"name": "A", "scope": "x"}]
)
async def test_a_wrong_variable_is_refused(rig: Rig, browser: httpx2.AsyncClient, fields: dict[str, str]) -> None:
    await rig.seed_live()
    answer = await post(browser, "/applications/1/variables", **({"value": "v", "scope": "application"} | fields))
    assert answer.status_code == 400
    assert await list_variables(rig.berth.store, rig.berth.vault, 1) == []


def test_every_setting_has_a_field_of_its_kind() -> None:
    kinds = {key: settings_form._types(key) for key in Settings.model_fields}
    assert all(kinds.values())
    assert settings_form.in_words("memory", 512 * 1024**2) == "512m"
    assert settings_form.in_words("memory", 1000) == "1000"
    assert settings_form.in_words("drain_seconds", 30.0) == "30"
    assert settings_form.in_words("log_excerpts", False) == "false"


async def test_each_application_of_a_repository_has_its_settings(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await rig.seed_live()
    async with rig.berth.store.begin() as tx:
        other = await tx.insert(
            applications.insert().values(repository_id=1, name="worker", created_at=0).returning(applications.c.id)
        )
    await set_settings(rig.berth.store, other, {"port": 9999})
    page = (await browser.get("/repositories/1")).text
    assert f'href="/repositories/1?application={other}"' in page
    assert "9999" not in page
    page = (await browser.get(f"/repositories/1?application={other}")).text
    assert "Settings of worker" in page
    assert "9999" in page
    saved = await post(browser, f"/applications/{other}/settings", set__port="", way="save")
    assert saved.headers["location"].startswith(f"/repositories/1?application={other}&")
    foreign = (await browser.get("/repositories/1?application=77")).text
    assert "Settings of shop" in foreign


async def test_settings_are_shown_while_the_forge_is_away(
    rig: Rig, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.seed_live()

    async def away(*_: object) -> None:
        raise BerthError("GitHub does not answer.")

    monkeypatch.setattr(rig.berth.source, "default_branch_file", away)
    page = (await browser.get("/repositories/1")).text
    assert "says is missing here: GitHub does not answer." in page
    assert 'name="set.port"' in page
    shown = await post(browser, "/applications/1/settings/preview", set__port="81")
    assert shown.status_code == 200
    assert "says is missing here" in shown.text
