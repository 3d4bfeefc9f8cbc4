"""The colours of a terminal, as HTML with classes: a strict policy allows no styles in the page itself."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_SGR = re.compile(r"\x1b\[([0-9;:]{0,64})m")
_STYLES = {1: "b", 2: "d", 3: "i", 4: "u"}
_OFF = {22: "bd", 23: "i", 24: "u"}


def coloured(text: str) -> Markup:
    """``text``, which holds no escape sequences but colours, as HTML. Backgrounds are left out: they hide words.

    ``c1`` to ``c6`` are red, green, yellow, blue, magenta and cyan; ``b`` bold, ``d`` dim, ``i`` italic, ``u``
    underlined (ECMA-48, 8.3.117).
    """
    if "\x1b" not in text:
        return escape(text)
    made: list[str] = []
    active: set[str] = set()
    pieces = _SGR.split(text)
    for index in range(0, len(pieces), 2):
        if pieces[index]:
            words = escape(pieces[index])
            made.append(f'<span class="{" ".join(sorted(active))}">{words}</span>' if active else str(words))
        if index + 1 < len(pieces):
            active = _changed(active, pieces[index + 1])
    return Markup("".join(made))  # noqa: S704 - every piece was escaped


def _changed(active: set[str], parameters: str) -> set[str]:
    codes = [int(part) if part.isdigit() and len(part) < 4 else 0 for part in re.split("[;:]", parameters)]
    now = set(active)
    while codes:
        code = codes.pop(0)
        if code == 0:
            now = set()
        elif code in _STYLES:
            now.add(_STYLES[code])
        elif code in _OFF:
            now -= set(_OFF[code])
        elif code in (38, 48):
            colour, codes = _extended(codes)
            now = _with_colour(now, colour) if code == 38 else now
        elif 30 <= code <= 39 or 90 <= code <= 97:
            now = _with_colour(now, code % 10 if code < 98 and code not in (38, 39) else 0)
    return now


def _with_colour(active: set[str], colour: int) -> set[str]:
    """Black, white and grey are the page's own colour, which differs between light and dark."""
    now = {one for one in active if not one.startswith("c")}
    return now | {f"c{colour}"} if 1 <= colour <= 6 else now


def _extended(codes: list[int]) -> tuple[int, list[int]]:
    """The nearest of the eight colours for ``5;N`` or ``2;R;G;B``, and what follows it."""
    if codes[:1] == [5] and len(codes) > 1:
        number = codes[1]
        if number < 16:
            return number % 8, codes[2:]
        if number > 231:
            return 0, codes[2:]
        number -= 16
        return _nearest(number // 36, number // 6 % 6, number % 6), codes[2:]
    if codes[:1] == [2] and len(codes) > 3:
        return _nearest(*codes[1:4]), codes[4:]
    return 0, []


def _nearest(red: int, green: int, blue: int) -> int:
    most, least = max(red, green, blue), min(red, green, blue)
    if most - least <= most * 0.2:
        return 0
    return (red > most * 0.6) + 2 * (green > most * 0.6) + 4 * (blue > most * 0.6)
