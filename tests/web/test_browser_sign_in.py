"""Signing in with GitHub in a real browser, which comes back from another site: what its cookies do then."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import uvicorn

from bot.config import Config, load_config
from bot.forge.github import GitHub
from bot.forge.github_app import AppCredentials
from bot.forge.permissions import Permissions
from bot.store.tables import repositories
from tests.github.fake import FakeGitHub
from tests.web.conftest import Rig
from tests.web.test_browser import CHROMIUM, playwright_api

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]
expect = playwright_api.expect


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        yield fake


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@pytest.fixture
def config(tmp_path: Path, github: FakeGitHub, listener: socket.socket) -> Config:
    """Berth is at `localhost`, the fake at `127.0.0.1`: to a browser these are two sites."""
    return load_config(
        data_dir=tmp_path,
        docker_host=f"unix://{tmp_path}/none.sock",
        github_url=github.url,
        public_url=f"http://localhost:{listener.getsockname()[1]}",
    )


@pytest.fixture
async def page(rig: Rig, github: FakeGitHub, listener: socket.socket) -> AsyncIterator[Any]:
    berth, app = rig.berth, github.app
    github.callback_urls = [f"{berth.config.effective_public_url}/sign-in/github/callback"]
    berth.github = GitHub(
        berth.config,
        AppCredentials(app.app_id, "", app.client_id, app.client_secret, app.webhook_secret, app.private_key, ""),
    )
    await berth.github.open()
    berth.permissions = Permissions(berth.github)
    server = uvicorn.Server(uvicorn.Config(rig.app, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with playwright_api.async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        context = await chromium.new_context(base_url=berth.config.effective_public_url)
        context.set_default_timeout(10_000)
        yield await context.new_page()
        await chromium.close()
    server.should_exit = True
    await serving
    await berth.github.close()
    assert github.violations == []


async def on_github(rig: Rig, github: FakeGitHub, *, role: str) -> int:
    """The seeded deployment becomes one of a repository on GitHub where ann has the role."""
    _, deployment = await rig.seed_live()
    repository = github.create_repository("acme/shop", writer="")
    if role:
        repository.grant("ann", role)
    installation = github.installation_for(repository.owner)
    values = {"name": "acme/shop", "forge_repository_id": repository.id, "installation_id": installation.id}
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(repositories).values(values))
    return deployment


async def test_from_a_link_to_github_and_back_to_what_was_asked(rig: Rig, github: FakeGitHub, page: Any) -> None:
    deployment = await on_github(rig, github, role="read")
    github.sign_in("ann")
    await page.goto(f"/deployments/{deployment}")
    await page.get_by_role("link", name="Sign in with GitHub").click()
    await expect(page).to_have_url(f"{rig.berth.config.effective_public_url}/deployments/{deployment}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Deployment")
    # a link on another site, as beside a commit on GitHub, opens as the person who is signed in
    await page.goto(f"{github.url}/apps/x")
    address = f"{rig.berth.config.effective_public_url}/deployments/{deployment}"
    await page.evaluate("(address) => { location.href = address; }", address)
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Deployment")
    cookies = {one["name"]: one for one in await page.context.cookies()}
    assert set(cookies) == {"berth_session"}  # that of the way is gone
    assert (cookies["berth_session"]["httpOnly"], cookies["berth_session"]["sameSite"]) == (True, "Lax")


async def test_who_has_no_permission_sees_nothing(rig: Rig, github: FakeGitHub, page: Any) -> None:
    deployment = await on_github(rig, github, role="")
    github.sign_in("ann")
    await page.goto(f"/deployments/{deployment}")
    await page.get_by_role("link", name="Sign in with GitHub").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not found")


async def test_who_does_not_agree_is_told_so(rig: Rig, page: Any) -> None:
    await page.goto("/sign-in")
    await page.get_by_role("link", name="Sign in with GitHub").click()
    await expect(page.get_by_role("alert")).to_contain_text("You did not let GitHub tell Berth who you are.")
    await expect(page.get_by_role("link", name="Sign in with GitHub")).to_be_visible()


async def test_another_site_cannot_read_a_log_with_the_session(rig: Rig, github: FakeGitHub, page: Any) -> None:
    deployment = await on_github(rig, github, role="read")
    github.sign_in("ann")
    await page.goto(f"/deployments/{deployment}")
    await page.get_by_role("link", name="Sign in with GitHub").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Deployment")
    public = rig.berth.config.effective_public_url.replace("http", "ws")
    script = """(address) => new Promise((resolve) => {
      const socket = new WebSocket(address);
      socket.onmessage = (message) => resolve(message.data);
      socket.onerror = () => resolve("refused");
    })"""
    address = f"{public}/api/deployments/{deployment}/logs/stream"
    assert '"state":"live"' in await page.evaluate(script, address)
    await page.goto(f"{github.url}/apps/x")
    assert await page.evaluate(script, address) == "refused"
