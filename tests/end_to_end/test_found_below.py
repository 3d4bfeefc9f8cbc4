"""One application in a subfolder, and nothing at the root: found, and built there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.end_to_end.apps import FLASK
from tests.end_to_end.harness import Server, Work, get

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def test_an_application_further_down_needs_no_setting(server: Server, work: Callable[[str], Work]) -> None:
    shop = work("below")
    pinned_nowhere = {name: text for name, text in FLASK.items() if name != ".python-version"}
    shop.commit({"README.md": "# notes\n", **{f"backend/{name}": text for name, text in pinned_nowhere.items()}})
    output = shop.push()
    environment = server.settled(shop.name)
    assert environment["state"] == "live", output
    assert get(environment["url"]).body == "flask one"
