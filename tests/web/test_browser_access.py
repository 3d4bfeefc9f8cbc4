"""Everybody can use the pages: axe finds nothing against WCAG 2.1 AA on any of them, in light and in dark."""

from __future__ import annotations

import pytest

from tests.web import axe
from tests.web.conftest import Rig
from tests.web.sample import seed
from tests.web.test_browser import CHROMIUM, Browser, browser

__all__ = ["browser"]  # the fixture

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]


@pytest.fixture(scope="session")
def axe_core() -> str:
    try:
        return axe.fetch()
    except axe.AxeMissingError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_keeps_anybody_out(rig: Rig, browser: Browser, axe_core: str, scheme: str) -> None:
    sample = await seed(rig.berth, well=True)
    page = await browser.page(color_scheme=scheme)
    found: dict[str, list[str]] = {}

    async def look(name: str) -> None:
        if complaints := await axe.violations(page, axe_core):
            found[name] = complaints

    for path in (
        "/",
        f"/environments/{sample.production}",
        f"/environments/{sample.production}/remove",
        f"/deployments/{sample.live}",
        f"/deployments/{sample.failed}",
        "/repositories",
        f"/repositories/{sample.repository}",
        "/deliveries",
        f"/deliveries/{sample.delivery}",
        "/ports",
        "/system",
        "/tokens",
        "/sessions",
        "/sessions?notice=session-ended",
        "/setup",
        "/docs",
    ):
        await page.goto(path)
        for summary in await page.locator("summary").all():
            await summary.click()
        await look(path)

    await page.goto(f"/repositories/{sample.repository}")
    await page.get_by_label("Memory").fill("1g")
    await page.get_by_role("button", name="Look at what changes").click()
    await look("what changes")
    await page.goto("/tokens")
    await page.get_by_label("Name").fill("nightly")
    await page.get_by_role("button", name="Make it").click()
    await look("a new token")
    stranger = await browser.page(signed_in=False, color_scheme=scheme)
    await stranger.goto("/sign-in")
    page = stranger
    await look("/sign-in")
    assert found == {}


async def test_the_checker_finds_what_is_wrong(browser: Browser, axe_core: str) -> None:
    page = await browser.page(signed_in=False)
    await page.goto("/sign-in")
    await page.evaluate("document.querySelector('label').remove()")
    assert any("label" in one for one in await axe.violations(page, axe_core))
