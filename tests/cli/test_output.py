"""Text of strangers on a terminal, ages and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cli import output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\n", "plain"),
        ("10%\r50%\r100%\r\n", "100%"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;aGk=\x1b\\after", "after"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("a\tb", "a\tb"),
        ("a\x00b\x9bc", "a b c"),
        ("abc\u202edef", "abc def"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert output.printable(text) == expected


def test_colours_survive_where_wanted_and_end_with_the_line() -> None:
    assert output.printable("\x1b[31mred\x1b[2J", colours=True) == "\x1b[31mred\x1b[0m"


@settings(deadline=None)
@given(st.text(), st.booleans())
def test_nothing_steers_a_terminal(text: str, colours: bool) -> None:
    shown = output.printable(text, colours=colours)
    if colours:
        shown = output._COLOUR.sub("", shown)
    assert not any(ord(c) < 32 and c != "\t" for c in shown)
    assert "\x7f" not in shown
    assert "\x9b" not in shown


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_300, "2 h"), (200_000, "2 d"), (-5, "0 s")]
)
def test_age(seconds: int, expected: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert output.age((now - timedelta(seconds=seconds)).isoformat(), now=now) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(None, ""), (0.44, "0.4 s"), (59.96, "60.0 s"), (185, "3 min 05 s")])
def test_duration(seconds: float | None, expected: str) -> None:
    assert output.duration(seconds) == expected


def test_tables_for_pipes_are_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "http://127.0.0.1:20000/" + "x" * 200
    output.table(("name", "url"), [["a", long], ["longer", ""]])
    assert capsys.readouterr().out == f"NAME    URL\na       {long}\nlonger\n"
