"""Colours of a terminal as HTML."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web.ansi import coloured


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[31mred\x1b[0m plain", '<span class="c1">red</span> plain'),
        ("\x1b[1;32mok\x1b[22m then", '<span class="b c2">ok</span><span class="c2"> then</span>'),
        ("\x1b[31ma\x1b[34mb\x1b[39mc", '<span class="c1">a</span><span class="c4">b</span>c'),
        ("\x1b[93mbright\x1b[m.", '<span class="c3">bright</span>.'),
        ("\x1b[38;5;196mred\x1b[0m", '<span class="c1">red</span>'),
        ("\x1b[38;5;244mgrey\x1b[0m", "grey"),
        ("\x1b[38;2;10;200;30mgreen", '<span class="c2">green</span>'),
        ("\x1b[38:2:10:20:200mblue", '<span class="c4">blue</span>'),
        ("\x1b[41;97mwhite on red", "white on red"),
        ("\x1b[48;5;196;1mbold", '<span class="b">bold</span>'),
        ("\x1b[38;5mcut", "cut"),
        ("\x1b[31m\x1b[0m", ""),
    ],
)
def test_colours(text: str, html: str) -> None:
    assert coloured(text) == html


@given(st.lists(st.sampled_from(["\x1b[", "m", ";", "38", "5", "2", "31", "0", "<", "&", '"', "a"]), max_size=30))
def test_nothing_breaks_out(parts: list[str]) -> None:
    html = str(coloured("".join(parts)))
    assert not re.sub(r'<span class="[a-z0-9 ]+">|</span>', "", html).count("<")
    assert html.count("<span") == html.count("</span>")
