"""Reads settings out of JavaScript configuration without running it: a small tokenizer that knows objects and keys.

It sees ``key: 'text'``, numbers, ``true`` and ``false``, paths put together by ``path.resolve(__dirname, 'dist')``, and
``config.key = 'text'``; whatever is computed it leaves out. Comments must be gone already.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

MOST_TOKENS = 40_000
_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\$])*`)
    |(?P<name>[A-Za-z_$][\w$]*)|(?P<number>\d[\w.]*)|(?P<mark>=>|[^\s])""",
    re.VERBOSE,
)
_PATHS = frozenset({"resolve", "join", "URL", "fileURLToPath"})
_AROUND_PATHS = _PATHS | {"path", "new", "__dirname", "process", "cwd", "import", "meta", "url", "dirname"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A key with its plain value; ``path`` are the keys of the objects around it and its own."""

    path: tuple[str, ...]
    value: str
    place: int


def js_settings(code: str) -> list[Setting]:
    """Every key with a plain value, in the order of the text."""
    tokens = []
    for match in _TOKEN.finditer(code):
        tokens.append(match)
        if len(tokens) >= MOST_TOKENS:
            break
    found: list[Setting] = []
    stack: list[str] = []
    for place, token in enumerate(tokens):
        mark = token["mark"]
        if mark == "{":
            stack.append(_key_before(tokens, place))
        elif mark == "}":
            if stack:
                stack.pop()
        elif mark in (":", "="):
            key = _key(tokens, place)
            value = _value(tokens, place + 1) if key else None
            if value is not None:
                around = tuple(name for name in stack if name) if mark == ":" else ()
                found.append(Setting((*around, key), value, tokens[place - 1].start()))
    return found


def find_setting(code: str, *path: str) -> Setting | None:
    """The first setting whose keys end like that, the outermost object of it being a named one or none."""
    fits = [one for one in js_settings(code) if one.path[-len(path) :] == path] if path[-1] in code else []
    return min(fits, key=lambda one: len(one.path), default=None)


def top_setting(code: str, key: str) -> Setting | None:
    """A key of the configuration itself, not of an object inside of it."""
    return next((one for one in js_settings(code) if one.path == (key,)), None) if key in code else None


def _key(tokens: list[re.Match[str]], place: int) -> str:
    """The name before a colon or an equals sign; "" where it is a ternary or a variable."""
    if place == 0:
        return ""
    before, further = tokens[place - 1], tokens[place - 2] if place > 1 else None
    around = further["mark"] if further else "{"
    if tokens[place]["mark"] == "=":
        return (before["name"] or "") if around == "." else ""
    if around not in ("{", ",", None) and not (further and further["name"] is None and around in ("}", ";")):
        return ""
    if further is not None and around is None and not _ends_line(further, before):
        return ""
    return before["name"] or (before["text"][1:-1] if before["text"] else "")


def _ends_line(one: re.Match[str], other: re.Match[str]) -> bool:
    return "\n" in other.string[one.end() : other.start()]


def _key_before(tokens: list[re.Match[str]], place: int) -> str:
    """The key whose object opens here; "" for the body of a function and for an object without a name."""
    if place < 2 or tokens[place - 1]["mark"] != ":":
        return ""
    return _key(tokens, place - 1)


def _value(tokens: list[re.Match[str]], place: int) -> str | None:
    if place >= len(tokens):
        return None
    token = tokens[place]
    following = tokens[place + 1] if place + 1 < len(tokens) else None
    ends = following is None or following["mark"] in (",", "}", ")", ";") or following["name"] in ("as", "satisfies")
    ends = ends or (
        following is not None and _ends_line(token, following) and following["mark"] not in ("?", "+", "|", "&")
    )
    if token["text"] is not None:
        return token["text"][1:-1] if ends else None
    if token["number"] is not None or token["name"] in ("true", "false"):
        return token[0] if ends else None
    if token["name"] in ("path", *_PATHS) or (token["name"] == "new" and following and following["name"] == "URL"):
        return _joined(tokens, place)
    return None


def _joined(tokens: list[re.Match[str]], place: int) -> str | None:
    """``path.resolve(__dirname, 'a', 'b')``: the plain parts, relative to the file."""
    depth, parts = 0, []
    for token in tokens[place : place + 30]:
        depth += (token["mark"] == "(") - (token["mark"] == ")")
        if token["text"] is not None:
            parts.append(token["text"][1:-1])
        elif token["mark"] == ")" and depth == 0:
            break
        elif token["name"] is not None and token["name"] not in _AROUND_PATHS:
            return None
    return posixpath.normpath(posixpath.join(".", *(part.lstrip("/") for part in parts))) if parts else None
