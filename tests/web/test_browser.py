"""The pages in a real browser: Debian's chromium, driven by Playwright; the server's parts are those of `rig`."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
import uvicorn

from bot.deploy.log_files import LogLine
from bot.deploy.masking import Masker
from bot.store.tables import deployments
from bot.web.text import logged
from tests.web.conftest import TOKEN, Rig

playwright_api = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]
expect = playwright_api.expect


@dataclass
class Browser:
    """A browser on the pages of a running server. ``complaints``: what a person would see in the console, in red."""

    chromium: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    _expected: set[str] = field(default_factory=set)

    async def page(self, *, signed_in: bool = True, **options: Any) -> Any:
        context = await self.chromium.new_context(base_url=self.url, **options)
        context.set_default_timeout(10_000)
        page = await context.new_page()
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if signed_in:
            await page.goto("/")
            await page.fill("#token", TOKEN)
            await page.press("#token", "Enter")
            await expect(page.get_by_role("heading", level=1)).to_have_text("Environments")
        return page

    def expected(self, status: str) -> None:
        """From now on an answer of this status is no complaint: chromium calls every refusal an error."""
        self._expected.add(status)

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(f"status of {one}" in text for one in self._expected):
            self.complaints.append(text)


@pytest.fixture
async def browser(rig: Rig) -> AsyncIterator[Browser]:
    async with playwright_api.async_playwright() as playwright, open_browser(rig, playwright) as shown:
        yield shown
    assert shown.complaints == []


@asynccontextmanager
async def open_browser(rig: Rig, playwright: Any) -> AsyncIterator[Browser]:
    """A browser, and a server on a free port for it."""
    config = uvicorn.Config(rig.app, port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    try:
        yield Browser(chromium, f"http://localhost:{port}")
    finally:
        await chromium.close()
        server.should_exit = True
        await serving


async def test_signing_in_with_the_keyboard_alone(rig: Rig, browser: Browser) -> None:
    environment, _ = await rig.seed_live()
    page = await browser.page(signed_in=False)
    await page.goto(f"/environments/{environment}")
    await expect(page).to_have_url(f"{browser.url}/sign-in?next=/environments/{environment}")
    await expect(page.get_by_label("Operator token")).to_be_focused()
    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("That is not the operator token.")
    assert [text for text in browser.complaints if "403" not in text] == []
    browser.complaints.clear()  # chromium calls the refusal an error
    await expect(page.get_by_label("Operator token")).to_be_focused()
    await page.keyboard.type(TOKEN)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{browser.url}/environments/{environment}")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    for name in ("Berth", "Environments", "Repositories", "Deliveries", "Ports", "System", "Tokens", "Sessions"):
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("banner").get_by_role("link", name=name, exact=True)).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


async def test_environments_are_listed_and_keep_up_to_date(rig: Rig, browser: Browser) -> None:
    environment, _ = await rig.seed_live()
    page = await browser.page()
    row = page.get_by_role("row").filter(has_text="main")
    await expect(row).to_contain_text("live")
    await expect(row.get_by_role("link", name="http://127.0.0.1:20007")).to_be_visible()
    await rig.deployment(environment, "failed", phase="verify", reason="Nothing listens on port 3000.")
    await expect(page.get_by_text("Nothing listens on port 3000.")).to_be_visible()  # nobody reloads the page
    await row.get_by_role("link", name="main").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("shop")
    await page.get_by_role("link", name="0123456 Say hello").last.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("live")
    await page.get_by_text("Evidence (1)").click()
    await expect(page.get_by_text("depends on express")).to_be_visible()
    await page.locator("summary", has_text="Dockerfile").click()
    await expect(page.get_by_text("FROM scratch")).to_be_visible()


async def test_a_deployment_is_followed_as_it_happens(rig: Rig, browser: Browser) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    deployment = await rig.deployment(environment, "running", started_at=time.time(), phase="build")
    writer = await rig.berth.logs.open_deployment(deployment, Masker({}))
    writer.write("build", source="berth", kind="phase", phase="build")
    page = await browser.page()
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    await page.goto(f"/deployments/{deployment}")
    log, state = page.locator("#lines"), page.get_by_role("heading", level=1)
    await expect(state).to_contain_text("running")
    await expect(log).to_have_text("── build")
    await expect(page.get_by_label("Follow")).to_be_checked()

    writer.write("started", source="build", kind="step", step="[2/5] RUN npm ci", phase="build")
    writer.write("added \x1b[32m1 package\x1b[0m <b>", source="build", kind="line", phase="build")
    writer.write("cached", source="build", kind="step", step="[3/5] COPY . .", phase="build")
    await expect(log).to_have_text("── build [2/5] RUN npm ci added 1 package <b> [3/5] COPY . . (cached)")
    await expect(log.locator(".c2")).to_have_text("1 package")
    assert [url.partition("?")[0] for url in opened] == [
        f"{browser.url.replace('http', 'ws')}/api/deployments/{deployment}/logs/stream"
    ]
    for number in range(100):
        writer.write(f"line {number}", source="build", kind="line", phase="build")
    await expect(log).to_contain_text("line 99")
    assert await log.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight") < 5  # its end is in view

    writer.write("failed in build: It broke.", source="berth", kind="state", phase="build")
    ended = {"state": "failed", "reason": "It broke.", "fix": "Run `npm install`.", "finished_at": time.time()}
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(deployments).where(deployments.c.id == deployment).values(ended))
    await writer.close()
    await expect(state).to_contain_text("failed")
    await expect(page.get_by_text("Failed in build: It broke.", exact=True)).to_be_visible()
    await expect(page.locator("code", has_text="npm install")).to_be_visible()
    await expect(log).to_contain_text("failed in build: It broke.")
    await expect(page.get_by_label("Follow")).to_be_hidden()
    assert (await log.text_content()).count("failed in build") == 1


async def test_where_no_websocket_opens_the_log_comes_all_the_same(rig: Rig, browser: Browser) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    deployment = await rig.deployment(environment, "running", started_at=time.time(), phase="build")
    writer = await rig.berth.logs.open_deployment(deployment, Masker({}))
    writer.write("one", source="build", kind="line", phase="build")
    page = await browser.page()
    # as behind a proxy that knows no WebSockets
    await page.add_init_script(
        "WebSocket = class { constructor() { setTimeout(() => this.onclose({ code: 1006 })); } close() {} }"
    )
    await page.goto(f"/deployments/{deployment}")
    log = page.locator("#lines")
    await expect(log).to_have_text("one")
    writer.write("two", source="build", kind="line", phase="build")
    await expect(log).to_have_text("one two")
    await writer.close()


async def test_colours_are_the_same_live_and_afterwards(rig: Rig, browser: Browser) -> None:
    """What the script makes of a line that comes is what the server makes of one that is there."""
    page = await browser.page()
    draw = "text => lineElement(text, 'line').innerHTML"
    chance = random.Random(7)
    parts = ["\x1b[", "m", ";", ":", "38", "48", "5", "2", "196", "31", "97", "1", "22", "39", "0", "<", "&", "a", "b"]
    texts = ["".join(chance.choices(parts, k=12)) for _ in range(300)]
    codes = ("38;5;208", "38;2;1;2;250", "1;4;33", "38;5", "2", "100", "38;2;9")
    texts += [f"\x1b[{code}mx\x1b[0my" for code in codes]
    for text in texts:
        live, later = await page.evaluate(draw, text), str(logged(LogLine(0, 0, 0.0, "build", text)))
        assert _sorted(live.removesuffix("\n")) == _sorted(later), repr(text)


def _sorted(html: str) -> str:
    html = html.replace("&#34;", '"').replace("&#39;", "'")
    return re.sub('class="([^"]+)"', lambda found: " ".join(sorted(found[1].split())), html)


async def test_reading_further_up_stops_following(rig: Rig, browser: Browser) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    deployment = await rig.deployment(environment, "running", started_at=time.time(), phase="build")
    writer = await rig.berth.logs.open_deployment(deployment, Masker({}))
    for number in range(200):
        writer.write(f"line {number}", source="build", kind="line", phase="build")
    page = await browser.page()
    await page.goto(f"/deployments/{deployment}")
    log = page.locator("#lines")
    await expect(log).to_contain_text("line 199")
    await log.evaluate("e => { e.scrollTop = 0; }")
    await expect(page.get_by_label("Follow")).not_to_be_checked()
    writer.write("line 200", source="build", kind="line", phase="build")
    await expect(log).to_contain_text("line 200")
    assert await log.evaluate("e => e.scrollTop") == 0
    await page.get_by_label("Follow").check()
    assert await log.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight") < 5
    async with page.expect_download() as begun:
        await page.get_by_role("link", name="Download").click()
    download = await begun.value
    assert (await asyncio.to_thread((await download.path()).read_text)).splitlines()[-1] == "line 200"
    await writer.close()


async def test_without_javascript_everything_is_there(rig: Rig, browser: Browser) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    deployment = await rig.deployment(environment, "running", started_at=time.time(), phase="fetch")
    page = await browser.page(java_script_enabled=False)
    await page.goto(f"/deployments/{deployment}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("running")
    await expect(page.get_by_text("Reload the page for what came since.")).to_be_visible()
    await expect(page.get_by_label("Follow")).to_be_hidden()


async def test_phones_and_the_dark(rig: Rig, browser: Browser) -> None:
    environment, deployment = await rig.seed_live()
    long = "feature/" + "x" * 200
    other = await rig.environment(1, kind="branch", ref=long, state="live")
    await rig.deployment(other, "live", ref=long, message="word" * 50)
    page = await browser.page(viewport={"width": 360, "height": 700}, color_scheme="dark")
    for path in (
        "/",
        "/repositories",
        "/repositories/1",
        "/deliveries",
        "/ports",
        "/system",
        "/tokens",
        "/sessions",
        f"/environments/{environment}",
        f"/environments/{other}",
        f"/deployments/{deployment}",
        "/nowhere",
    ):
        await page.goto(path)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, f"{path} is {width} pixels wide"
    colours = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
    background, text = await page.locator("body").evaluate(colours)
    assert (background, text) == ("rgb(15, 23, 28)", "rgb(228, 236, 240)")
    assert [one for one in browser.complaints if "404" not in one] == []
    browser.complaints.clear()  # of the page that is not there
