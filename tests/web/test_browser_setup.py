"""Becoming a GitHub App in a real browser, whose policies for forms and redirects are stricter than any client's."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest
import uvicorn

from bot.app import connect_github
from bot.config import load_config
from tests.cli.test_server import free_port
from tests.github.fake import FakeGitHub
from tests.web import axe
from tests.web.conftest import open_rig
from tests.web.test_browser import CHROMIUM

playwright_api = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]
expect = playwright_api.expect


async def test_one_click_makes_the_app(tmp_path: Path, empty_database: Path) -> None:
    port = free_port()
    with FakeGitHub() as fake:
        config = load_config(
            data_dir=tmp_path,
            docker_host=f"unix://{tmp_path}/no-docker.sock",
            github_url=fake.url,
            public_url=f"http://localhost:{port}",
        )
        async with open_rig(config, empty_database) as rig:
            await rig.berth.github_forge.open()
            options = uvicorn.Config(rig.app, port=port, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
            server = uvicorn.Server(options)
            serving = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.02)
            try:
                await walk_through(rig.berth.setup.begin())
            finally:
                server.should_exit = True
                await serving
            assert rig.berth.github is not None
            assert rig.berth.github.credentials.app_id == fake.app.app_id
            await connect_github(rig.berth, None)
            await rig.berth.github_forge.close()
        assert fake.violations == []


async def walk_through(address: str) -> None:
    """What a person does, from the address that `berth init` prints to the last page."""
    complaints: list[str] = []
    async with playwright_api.async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = await chromium.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        await page.goto(address)
        await page.get_by_label("Organisation that owns the repositories").fill("acme")
        await page.get_by_role("button", name="Choose").click()
        await expect(page.get_by_text("In the organisation acme")).to_be_visible()
        await page.get_by_role("button", name="Create it on").click()
        await expect(page.get_by_role("link", name="Install the App on GitHub")).to_be_visible()
        try:
            source = axe.fetch()
        except axe.AxeMissingError:
            source = ""
        if source:
            assert await axe.violations(page, source) == []
        await page.get_by_role("link", name="Install the App on GitHub").click()
        await expect(page).to_have_url(re.compile("/installations/new$"))
        await chromium.close()
    assert [one for one in complaints if "404" not in one] == []  # the fake has no favicon
