"""What people do on the pages, in a real browser: settings, stopping and starting, going back, removing."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from bot.deploy.settings import stored_settings
from bot.deploy.variables import list_variables
from bot.store.tables import deployments, environments, work
from tests.web.conftest import Rig
from tests.web.test_browser import CHROMIUM, Browser, browser, playwright_api

__all__ = ["browser"]  # the fixture

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]
expect = playwright_api.expect


async def carry_out(rig: Rig, kind: str, environment: int, state: str) -> None:
    """What the queue would do with the work that a button asked for."""
    async with rig.berth.store.begin() as tx:
        row = await tx.one(sa.select(work).where(work.c.environment_id == environment).order_by(work.c.id.desc()))
        assert row is not None
        assert (row["kind"], row["state"]) == (kind, "queued")
        done = {"state": "done", "finished_at": time.time()}
        await tx.run(sa.update(work).where(work.c.id == row["id"]).values(done))
        await tx.run(sa.update(environments).where(environments.c.id == environment).values(state=state))


@pytest.mark.parametrize("scripts", [True, False])
async def test_stop_and_start(rig: Rig, browser: Browser, scripts: bool) -> None:
    environment, _ = await rig.seed_live()
    page = await browser.page(java_script_enabled=scripts)
    facts = page.get_by_label("What runs")

    async def look(text: str, state: str) -> None:
        """The page shows it by itself, without JavaScript after a reload."""
        if not scripts:
            await page.reload()
        await expect(facts.locator(".state").first).to_have_text(state)
        await expect(page.get_by_text(text)).to_be_hidden()

    await page.goto(f"/environments/{environment}")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("It is being stopped.").first).to_be_visible()
    await carry_out(rig, "stop", environment, "stopped")
    await page.goto(f"/environments/{environment}")
    await look("It is being stopped.", "stopped")
    await expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    await page.get_by_role("button", name="Start").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("It is being started.").first).to_be_visible()
    await carry_out(rig, "start", environment, "live")
    if scripts:
        await expect(page.get_by_role("button", name="Stop")).to_be_visible()  # nobody reloads the page
    await page.goto(f"/environments/{environment}")
    await look("It is being started.", "live")


async def test_a_setting_is_looked_at_saved_and_deployed(rig: Rig, browser: Browser) -> None:
    environment, _ = await rig.seed_live()
    page = await browser.page()
    await page.get_by_role("link", name="Repositories").click()
    await page.get_by_role("link", name="shop").click()
    await page.get_by_label("Memory").fill("1g")
    await page.get_by_label("Previews at most").fill("3")
    await page.get_by_label("Previews at most").press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("What this changes")
    row = page.get_by_role("row").filter(has_text="Memory")
    await expect(row).to_contain_text("512m")
    await expect(row).to_contain_text("1024m")
    await expect(row).to_contain_text("with the next deployment")
    await expect(page.get_by_role("row").filter(has_text="Previews")).to_contain_text("at the next push")
    assert await stored_settings(rig.berth.store, 1) == {}
    await expect(page.get_by_label("production")).to_be_checked()
    await page.get_by_role("button", name="Save and redeploy").click()
    await expect(page.get_by_role("status")).to_contain_text("are being deployed again")
    await expect(page).to_have_url(f"{browser.url}/repositories/1?application=1")  # a reload does not say it again
    assert await stored_settings(rig.berth.store, 1) == {"memory": 1024**3, "previews": 3}
    row = page.get_by_role("row").filter(has_text="Memory")
    await expect(row).to_contain_text("set in Berth")
    newest = await rig.berth.store.one(sa.select(deployments).order_by(deployments.c.id.desc()).limit(1))
    assert newest is not None
    assert (newest["environment_id"], newest["state"], newest["cause"]) == (environment, "queued", "redeploy")
    await page.get_by_label("Memory").fill("a lot")
    browser.expected("400")
    await page.get_by_role("button", name="Look at what changes").click()
    await expect(page.get_by_text("must be a size, for example 512m or 2g")).to_be_visible()


async def test_a_secret_is_set_once_and_never_seen_again(rig: Rig, browser: Browser) -> None:
    await rig.seed_live()
    page = await browser.page()
    await page.goto("/repositories/1")
    await page.get_by_label("Name", exact=True).fill("API_KEY")
    await page.get_by_label("Value", exact=True).fill("s3cret value")
    await page.get_by_label("Seen by").select_option("previews")
    await page.get_by_role("button", name="Set it").click()
    await expect(page.get_by_text("The variable is set.")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="API_KEY")
    await expect(row).to_contain_text("secret")
    await expect(row).to_contain_text("previews")
    assert "s3cret" not in await page.content()
    stored = await list_variables(rig.berth.store, rig.berth.vault, 1)
    assert [(one.value, one.scope, one.secret) for one in stored] == [("s3cret value", "previews", True)]
    await row.get_by_text("Remove…").click()
    await row.get_by_role("button", name="Remove API_KEY").click()
    await expect(page.get_by_text("The variable is removed.")).to_be_visible()
    assert await list_variables(rig.berth.store, rig.berth.vault, 1) == []


async def test_going_back_to_a_chosen_deployment(rig: Rig, browser: Browser) -> None:
    environment, first = await rig.seed_live()
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(deployments).where(deployments.c.id == first).values(state="retired"))
    await rig.deployment(environment, "live", message="Newer")
    page = await browser.page()
    await page.goto(f"/environments/{environment}")
    await page.get_by_role("button", name=f"Roll back to deployment {first}").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("queued")
    await expect(page.get_by_text(f"from deployment {first}")).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")


async def test_removal_is_asked_twice(rig: Rig, browser: Browser) -> None:
    environment, _ = await rig.seed_live()
    page = await browser.page()
    await page.goto(f"/environments/{environment}")
    await page.get_by_role("link", name="Remove…").click()
    await expect(page.get_by_text("This is production")).to_be_visible()
    await expect(page.get_by_label("Delete its volumes too")).not_to_be_checked()
    assert await rig.berth.store.all(sa.select(work)) == []
    await page.get_by_role("button", name="Remove production").click()
    await expect(page.get_by_text("The environment is being removed.")).to_be_visible()
    rows: list[dict[str, Any]] = await rig.berth.store.all(sa.select(work))
    assert [(row["kind"], '"volumes": false' in row["arguments_json"]) for row in rows] == [("remove", True)]
