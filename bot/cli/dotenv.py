"""Reading ``.env`` files.

The rules are those that the dotenv libraries and ``docker compose`` agree on: ``#`` comments (inside a value only after
white space), an optional ``export``, ``'literal'`` and ``"with \\n escapes"`` values that may span lines. Nothing is
expanded: ``$HOME`` stays ``$HOME``, because what it would mean here is not what it means where the value is used.
"""

from __future__ import annotations

import re

from bot.cli import UsageError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([^=\s#]+)[ \t]*=")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BARE = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"[ \t]#")
_SPACE = re.compile(r"[ \t]*")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "'": "'"}


def parse(text: str) -> dict[str, str]:
    """The variables in ``text``, later ones winning. Raises UsageError that names the line at fault."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        if (blank := _BLANK.match(text, position)) and blank.end() > position:
            position = blank.end()
            continue
        name, value, position = _assignment(text, position)
        found[name] = value
    return found


def _assignment(text: str, position: int) -> tuple[str, str, int]:
    """The name, the value and where the next line begins."""
    match = _ASSIGNMENT.match(text, position)
    if match is None:
        raise _wrong(text, position, "is not of the form NAME=value", "Correct it or comment it out.")
    if not NAME.fullmatch(match[1]):
        raise _wrong(
            text,
            position,
            f"has the name {match[1]!r}",
            "Names have letters, digits and _ and do not begin with a digit.",
        )
    space = _SPACE.match(text, match.end())
    assert space is not None
    start = space.end()
    quote = text[start : start + 1]
    if quote not in ("'", '"'):
        bare = _BARE.match(text, match.end())
        assert bare is not None
        return match[1], _COMMENT.split(bare[0], maxsplit=1)[0].strip(), bare.end() + 1
    quoted = (_DOUBLE if quote == '"' else _SINGLE).match(text, start)
    if quoted is None:
        raise _wrong(
            text, position, f"opens a {quote} that is never closed", f"Close it, or write the value between {quote}s."
        )
    rest = _REST.match(text, quoted.end())
    if rest is None:
        raise _wrong(text, quoted.end() - 1, "goes on after the closing quote", "Quote the whole value.")
    value = quoted[1] if quote == "'" else _ESCAPE.sub(lambda e: _ESCAPES.get(e[1], e[0]), quoted[1])
    return match[1], value, max(rest.end(), quoted.end())


def _wrong(text: str, position: int, what: str, fix: str) -> UsageError:
    return UsageError(f"Line {text.count(chr(10), 0, position) + 1} {what}.", fix)
