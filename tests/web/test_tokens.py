"""Sessions and stream tokens: what they are good for, and for how long."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from bot.web.sessions import from_our_own_page
from bot.web.stream_tokens import StreamTokens


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_stream_token_names_its_repository_for_an_hour() -> None:
    clock = Clock()
    tokens = StreamTokens(clock=clock)
    first, second = tokens.issue(7), tokens.issue(8)
    assert first != second
    assert (tokens.check(first), tokens.check(second)) == (7, 8)
    assert tokens.check("") is None
    assert tokens.check(first + "x") is None
    clock.now += 3_599
    assert tokens.check(first) == 7
    clock.now += 2
    assert tokens.check(first) is None


def test_expired_stream_tokens_are_forgotten() -> None:
    clock = Clock()
    tokens = StreamTokens(clock=clock)
    for _ in range(5):
        tokens.issue(1)
    clock.now += 3_601
    tokens.issue(1)
    assert len(tokens._issued) == 1


def test_a_flood_of_stream_tokens_is_bounded_and_the_newest_survives() -> None:
    tokens = StreamTokens()
    issued = [tokens.issue(1) for _ in range(10_003)]
    assert len(tokens._issued) == 10_000
    assert tokens.check(issued[0]) is None
    assert tokens.check(issued[-1]) == 1


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),  # an application on another port of our host
        ({"sec-fetch-site": "cross-site", "origin": "http://host:8420"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://host:8420"}, True),
        ({"origin": "http://host:20000"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_forms_of_other_pages_are_known(headers: dict[str, str], ours: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in {"host": "host:8420", **headers}.items()]
    assert from_our_own_page(Request({"type": "http", "headers": raw})) is ours
