"""The rules of .env files, by example and by property."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.cli import UsageError
from bot.cli.dotenv import NAME, parse

names = st.from_regex(NAME, fullmatch=True)
# what a file can hold at all: \r\n becomes \n, and NUL is in no environment
texts = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]))


def double_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("A = 1 ", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A= # nothing", {"A": ""}),
        ("A=one two # three", {"A": "one two"}),
        ("A=p#ss", {"A": "p#ss"}),
        ("A=#fff", {"A": "#fff"}),
        ("A='one # two'", {"A": "one # two"}),
        ("A='$HOME \\n'", {"A": "$HOME \\n"}),
        ('A="$HOME \\n" # new line', {"A": "$HOME \n"}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ("A='one\ntwo'", {"A": "one\ntwo"}),
        ("A=C:\\temp\\new", {"A": "C:\\temp\\new"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("# all\n\n  # is\n\t\nA=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("URL=postgres://u:p@h/db?a=b", {"URL": "postgres://u:p@h/db?a=b"}),
        ("A=it's", {"A": "it's"}),
        ("", {}),
    ],
)
def test_examples(text: str, expected: dict[str, str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nB", "Line 2 "),
        ("1A=2", "Line 1 "),
        ("A-B=2", "Line 1 "),
        ('A=1\n\nB="open\nC=3', "Line 3 "),
        ("A='a' b", "Line 1 "),
        ("=1", "Line 1 "),
    ],
)
def test_mistakes_name_their_line(text: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.reason.startswith(line)


@settings(deadline=None)
@given(st.dictionaries(names, texts), st.booleans())
def test_what_was_quoted_comes_back(values: dict[str, str], export: bool) -> None:
    lines = [f"{'export ' if export else ''}{name}={double_quoted(value)}  # {name}" for name, value in values.items()]
    assert parse("\n".join(lines)) == values


@settings(deadline=None)
@given(names, texts.filter(lambda text: "'" not in text))
def test_single_quotes_are_literal(name: str, value: str) -> None:
    assert parse(f"{name}='{value}'") == {name: value}


@settings(deadline=None)
@given(st.text())
@example('A="\\')
@example("A='")
@example("\x85A=1\x1c")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except UsageError:
        return
    assert all(NAME.fullmatch(name) for name in found)
