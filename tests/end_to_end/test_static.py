"""A static site: what browsers have kept is not shown after a change."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.end_to_end.harness import Server, Work, get

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def test_a_change_of_the_same_length_is_seen_by_browsers(server: Server, work: Callable[[str], Work]) -> None:
    site = work("site")
    site.commit({"index.html": "<h1>one</h1>\n"})
    site.push()
    url = server.settled(site.name)["url"]
    with urllib.request.urlopen(url) as answer:
        tag = answer.headers["ETag"]
    conditional = urllib.request.Request(url, headers={"If-None-Match": tag})
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        urllib.request.urlopen(conditional)
    assert unchanged.value.code == 304
    unchanged.value.close()
    site.commit({"index.html": "<h1>two</h1>\n"})
    site.push()
    with urllib.request.urlopen(conditional) as answer:
        assert (answer.status, answer.read()) == (200, b"<h1>two</h1>\n")
    assert get(f"{url}/.berth.yml").status == 404
