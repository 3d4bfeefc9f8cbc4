"""A person in a browser, with a server that deploys for real: watching a push, stopping, starting, going back."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Server, Work, get, until

playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]
Make = Callable[[str], Work]
expect = playwright_api.expect


@pytest.fixture
def page(server: Server) -> Iterator[Any]:
    """A page on which the operator has signed in."""
    with playwright_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        shown = chromium.new_context(base_url=server.url).new_page()
        shown.set_default_timeout(30_000)
        shown.goto("/")
        shown.fill("#token", server.token)
        shown.press("#token", "Enter")
        expect(shown.get_by_role("heading", level=1)).to_have_text("Environments")
        yield shown
        chromium.close()


def refuses(url: str) -> bool:
    try:
        return get(url).status == 503
    except OSError:
        return True


def test_a_push_is_watched_then_stopped_started_and_taken_back(server: Server, work: Make, page: Any) -> None:
    shop = work("watched")
    shop.commit(PLAIN)
    shop.push()
    first = server.settled(shop.name)
    address = f"/environments/{first['id']}"

    # a change, watched while it happens
    changed = {"Dockerfile": PLAIN["Dockerfile"].replace("EXPOSE", f"RUN sleep 4 # {shop.name}\n        EXPOSE")}
    shop.commit(changed, "Another one")
    push = shop.push_in_background()
    until(lambda: server.phase(shop.name) == "build", "it builds", 60)
    page.goto(address)
    page.get_by_role("link", name="Another one").first.click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("running")
    expect(page.locator(".phases .running .name")).to_have_text("build")
    expect(heading).to_contain_text("live", timeout=60_000)  # nobody reloads the page
    expect(page.locator("#lines")).to_contain_text("── switch")
    expect(page.locator(".phases .done")).to_have_count(7)
    assert push.wait(20) == 0

    page.goto(address)
    state = page.get_by_label("What runs").locator(".state").first
    url = page.get_by_label("What runs").get_by_role("link", name=re.compile("^http")).text_content()
    assert get(url).status == 200
    page.get_by_role("button", name="Stop").click()
    expect(state).to_have_text("stopped", timeout=60_000)
    assert refuses(url)
    page.get_by_role("button", name="Start").click()
    expect(state).to_have_text("live", timeout=60_000)
    until(lambda: get(url).status == 200, "it answers", 20)

    page.get_by_role("button", name=f"Roll back to deployment {first['live']['id']}").click()
    expect(heading).to_contain_text("live", timeout=60_000)
    expect(page.get_by_text(f"deployment {first['live']['id']}")).to_be_visible()
    assert get(url).body == "one\n"
