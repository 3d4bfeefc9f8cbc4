"""The pages, rendered with a seeded database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
import sqlalchemy as sa

from bot.deploy.masking import Masker
from bot.store.tables import deliveries
from bot.web import access
from bot.web.pages.deployments import timeline
from bot.web.sign_in import local as _local
from tests.web.conftest import TOKEN, Rig
from tests.web.sample import seed

pytestmark = pytest.mark.anyio
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def browser(rig: Rig) -> AsyncIterator[httpx2.AsyncClient]:
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=rig.app), base_url="http://localhost:8420")
    async with client:
        yield client


async def sign_in(browser: httpx2.AsyncClient, token: str = TOKEN, goal: str = "/") -> httpx2.Response:
    return await browser.post("/sign-in", data={"token": token, "next": goal}, headers=OURS)


@pytest.mark.parametrize(
    "path", ["/", "/environments/1", "/deployments/1", "/deployments/1/log.txt", "/deployments/1/stream"]
)
async def test_strangers_are_asked_to_sign_in(browser: httpx2.AsyncClient, path: str) -> None:
    for cookie in ("", "berth_session=made-up"):
        answer = await browser.get(path, headers={"Cookie": cookie} if cookie else {})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")


async def test_signing_in_and_out(browser: httpx2.AsyncClient) -> None:
    form = await browser.get("/sign-in?next=/deployments/3")
    assert 'value="/deployments/3"' in form.text
    answer = await sign_in(browser, goal="/deployments/3")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/deployments/3"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert TOKEN not in cookie
    assert (await browser.get("/")).status_code == 200
    kept = dict(browser.cookies)
    assert (await browser.post("/sign-out", headers=OURS)).status_code == 303
    browser.cookies.update(kept)  # a copy of the cookie is worth nothing any more
    assert (await browser.get("/")).status_code == 303


async def test_a_wrong_token_is_told_so(browser: httpx2.AsyncClient) -> None:
    answer = await sign_in(browser, "wrong")
    assert answer.status_code == 403
    assert "not the operator token" in answer.text
    assert "set-cookie" not in answer.headers
    assert "wrong" not in answer.text


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:20000"}])
async def test_forms_of_other_origins_are_refused(browser: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    answer = await browser.post("/sign-in", data={"token": TOKEN}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    await sign_in(browser)
    assert (await browser.post("/sign-out", headers=headers)).status_code == 403
    assert (await browser.get("/")).status_code == 200


@pytest.mark.parametrize(
    "goal",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "x", "/a\r\nSet-Cookie: x=y"],
)
def test_nobody_is_sent_elsewhere(goal: str) -> None:
    assert _local(goal) == "/"


async def test_a_large_form_is_refused(browser: httpx2.AsyncClient) -> None:
    answer = await browser.post("/sign-in", data={"token": "x" * 20_000}, headers=OURS)
    assert answer.status_code == 413


async def test_nothing_deployed_shows_how_to_begin(browser: httpx2.AsyncClient) -> None:
    await sign_in(browser)
    assert "berth deploy" in (await browser.get("/")).text


async def test_environments_show_branch_state_url_port_commit(rig: Rig, browser: httpx2.AsyncClient) -> None:
    environment, deployment = await rig.seed_live()
    await rig.deployment(environment, "failed", reason="It <b>crashed</b>", message="<script>alert(1)</script>")
    await sign_in(browser)
    page = (await browser.get("/")).text
    assert 'href="http://127.0.0.1:20007"' in page
    assert re.search(r'data-label="Port">\s*20007', page)
    assert f'href="/deployments/{deployment}"' in page
    assert "0123456" in page
    assert "It &lt;b&gt;crashed&lt;/b&gt;" in page
    assert "<script>alert" not in page


async def test_a_deployment_shows_everything_about_it(rig: Rig, browser: httpx2.AsyncClient) -> None:
    environment, deployment = await rig.seed_live()
    writer = await rig.berth.logs.open_deployment(deployment, Masker(()))
    writer.write("step one \x1b[31mred\x1b[0m <i>", source="build", kind="line", phase="build")
    await writer.close()
    await sign_in(browser)
    page = (await browser.get(f"/deployments/{deployment}")).text
    for part in ("verify", "1.0 s", "package.json:3", "depends on express", "FROM scratch"):
        assert part in page
    assert 'step one <span class="c1">red</span> &lt;i&gt;' in page
    assert "data-stream" not in page  # it has ended
    log = await browser.get(f"/deployments/{deployment}/log.txt")
    assert log.text == "step one red <i>\n"
    assert "attachment" in log.headers["content-disposition"]
    shown = (await browser.get(f"/environments/{environment}")).text
    assert f'href="/deployments/{deployment}"' in shown


async def test_a_running_deployment_is_followed(rig: Rig, browser: httpx2.AsyncClient) -> None:
    environment, _ = await rig.seed_live()
    running = await rig.deployment(environment, "running", phase="build", step="RUN npm ci")
    await sign_in(browser)
    page = (await browser.get(f"/deployments/{running}")).text
    assert f'data-stream="/deployments/{running}/stream"' in page


@pytest.mark.parametrize("path", ["/deployments/99", "/environments/99", "/deployments/99/log.txt"])
async def test_what_is_not_there_says_so(browser: httpx2.AsyncClient, path: str) -> None:
    await sign_in(browser)
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "99" in answer.text


async def test_pages_run_no_code_but_ours(rig: Rig, browser: httpx2.AsyncClient) -> None:
    _, deployment = await rig.seed_live()
    await sign_in(browser)
    for path in ("/", "/sign-in", f"/deployments/{deployment}", "/deployments/99"):
        answer = await browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", answer.text)


@pytest.mark.parametrize("name", ["style.css", "pages.js", "berth.svg"])
async def test_static_files_need_no_session(browser: httpx2.AsyncClient, name: str) -> None:
    answer = await browser.get(f"/static/{name}")
    assert answer.status_code == 200
    assert (await browser.get("/static/../pages.py")).status_code == 303  # a page like any other: sign in first
    assert (await browser.get("/static/..%2f..%2fpages.py")).status_code == 404


def test_a_timeline_marks_what_was_skipped_reached_and_broken() -> None:
    phases = [{"phase": "start", "seconds": 2.0}, {"phase": "verify", "seconds": 1.0}]
    marks = {one["name"]: one["mark"] for one in timeline({"phases": phases, "state": "failed"})}
    assert marks == {
        "fetch": "skipped",
        "detect": "skipped",
        "generate": "skipped",
        "build": "skipped",
        "start": "done",
        "verify": "failed",
        "switch": "waiting",
    }
    running = timeline({"phases": [{"phase": "fetch", "seconds": None}], "state": "running"})
    assert (running[0]["mark"], running[0]["seconds"], running[1]["mark"]) == ("running", None, "waiting")
    assert {one["mark"] for one in timeline({"phases": [], "state": "queued"})} == {"waiting"}


async def test_unknown_addresses_have_a_page_for_people_only(browser: httpx2.AsyncClient) -> None:
    await sign_in(browser)
    for path in ("/nowhere", "/environments/77", "/deployments/77"):
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert "Back to the environments" in answer.text
    for path in ("/api/nowhere", "/git/nowhere", "/static/nowhere"):
        assert "<html" not in (await browser.get(path)).text


async def test_reasons_read_well(rig: Rig, browser: httpx2.AsyncClient) -> None:
    environment, _ = await rig.seed_live()
    fix = "Set it with `berth set shop port=80` <now>."
    failed = await rig.deployment(environment, "failed", phase="verify", reason="It is silent.", fix=fix)
    await rig.deployment(environment, "superseded", reason="superseded by 7654321")
    await sign_in(browser)
    page = (await browser.get(f"/deployments/{failed}")).text
    assert "<code>berth set shop port=80</code> &lt;now&gt;." in page
    assert "What ran before goes on" in page
    history = (await browser.get(f"/environments/{environment}")).text
    assert "by 7654321" in history
    assert "superseded by" not in history
    await rig.deployment(environment, "live")
    assert "What ran before goes on" not in (await browser.get(f"/deployments/{failed}")).text


async def test_a_delivery_is_decided_on_again(rig: Rig, browser: httpx2.AsyncClient) -> None:
    sample = await seed(rig.berth)
    await sign_in(browser)
    page = (await browser.get(f"/deliveries/{sample.delivery}")).text
    assert "checkout-redesign" in page
    assert "&#34;head_commit&#34;" in page
    before = await rig.berth.store.all(sa.select(deliveries.c.id))
    answer = await browser.post(f"/deliveries/{sample.delivery}/replay", headers=OURS)
    assert answer.headers["location"] == "/deliveries?notice=replayed"
    made = await rig.berth.store.all(sa.select(deliveries).order_by(deliveries.c.id.desc()))
    assert len(made) == len(before) + 1
    assert (made[0]["sender"], made[0]["delivery_id"][:7]) == ("operator", "replay-")
    page = (await browser.get("/deliveries?decision=teardown")).text
    assert "old-banner" in page
    assert "checkout-redesign" not in page


async def test_a_notice_is_one_of_ours(browser: httpx2.AsyncClient) -> None:
    await sign_in(browser)
    assert "It is being stopped." in (await browser.get("/?notice=stop")).text
    assert "Send your token" not in (await browser.get("/?notice=Send+your+token+to+evil.example")).text


async def test_a_port_is_reserved_and_released(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await sign_in(browser)
    wanted = {"port": "20080", "note": "<monitoring>"}
    assert (await browser.post("/ports/reserve", data=wanted, headers=OURS)).status_code == 303
    page = (await browser.get("/ports")).text
    assert "&lt;monitoring&gt;" in page
    assert "20000 to 40000: 20000 free" in page
    assert (await browser.post("/ports/unreserve", data={"port": "20080"}, headers=OURS)).status_code == 303
    assert "monitoring" not in (await browser.get("/ports")).text
    for wrong in ("x", "80", "999999", ""):
        assert (await browser.post("/ports/reserve", data={"port": wrong}, headers=OURS)).status_code == 400


async def test_the_system_says_what_is_not_well(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await sign_in(browser)
    page = (await browser.get("/system")).text
    assert "does not answer" in page
    assert "no-docker.sock" in page
    assert "Nothing waits and nothing runs." in page


async def test_a_session_ends_in_another_browser(rig: Rig, browser: httpx2.AsyncClient) -> None:
    other = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=rig.app), base_url="http://localhost:8420")
    async with other:
        await sign_in(browser)
        await other.post("/sign-in", data={"token": TOKEN}, headers=OURS | {"User-Agent": "X Firefox/1 (Linux)"})
        page = (await browser.get("/sessions")).text
        assert "Firefox on Linux" in page
        ids = re.findall(r'name="session" value="([0-9a-f]+)"', page)
        assert len(ids) == 2
        assert (await browser.post("/sessions/end-others", headers=OURS)).status_code == 303
        assert (await other.get("/")).status_code == 303
        assert (await browser.get("/")).status_code == 200


async def test_a_token_is_shown_once_and_revoked(rig: Rig, browser: httpx2.AsyncClient) -> None:
    await sign_in(browser)
    made = await browser.post(
        "/tokens", data={"name": "ci", "scope": "read", "repository": "", "days": "30"}, headers=OURS
    )
    found = re.search(r"berth_[\w-]{43}", made.text)
    assert found is not None
    assert await access.bearer(rig.berth, found[0]) is not None
    page = (await browser.get("/tokens")).text
    assert found[0] not in page
    assert (await browser.post("/tokens/1/revoke", headers=OURS)).status_code == 303
    assert await access.bearer(rig.berth, found[0]) is None
    for wrong in ({"name": ""}, {"scope": "root"}, {"days": "1000000"}, {"name": "x" * 101}):
        data = {"name": "ci", "scope": "read", "repository": "", "days": "30"} | wrong
        assert (await browser.post("/tokens", data=data, headers=OURS)).status_code == 400
