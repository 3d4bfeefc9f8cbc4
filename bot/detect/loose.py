"""Reads JSON that is not quite JSON: JSON5, conflict markers of a merge, a missing comma, an end that is not there.

A manifest with a slip in it still names its dependencies. What stands before the slip, and mostly what stands behind it
too, is read; nothing raises, and the work is bounded by the length of the text.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 60
_TOKEN = re.compile(
    r"""(?:[\s,:;]++|//[^\n]*+|/\*.*?(?:\*/|\Z))*+
    (?:(?P<mark>[{}\[\]])
      |"(?P<double>(?:\\.|[^"\\\n])*+)"?
      |'(?P<single>(?:\\.|[^'\\\n])*+)'?
      |(?P<bare>[^\s,:;{}\[\]"'/][^\s,:;{}\[\]"']*)
      |(?P<odd>.)|\Z)""",
    re.DOTALL | re.VERBOSE,
)
_BARE = {"true": True, "false": False, "null": None, "undefined": None}


def without_conflicts(text: str) -> str:
    """A file in which a merge left its markers, as one of the two sides had it."""
    if not re.search(r"^<{7}(?: |$)", text, re.MULTILINE):
        return text
    kept: list[str] = []
    skipping = False
    for line in text.split("\n"):
        if re.match(r"<{7}(?: |$)|>{7}(?: |$)", line):
            skipping = False
        elif re.match(r"={7}$|\|{7}(?: |$)", line):
            skipping = True
        elif not skipping:
            kept.append(line)
    return "\n".join(kept)


def read_loose(text: str) -> dict[str, Any] | None:
    """The object that a text holds, as far as it can be read; None where it does not begin with one."""
    tokens = _TOKEN.finditer(without_conflicts(text))
    first = next(tokens, None)
    if first is None or first["mark"] != "{":
        return None
    top: dict[str, Any] = {}
    open_: list[tuple[dict[str, Any] | list[Any], str | None]] = [(top, None)]
    for token in tokens:
        holder, key = open_[-1]
        mark = token["mark"]
        if mark in ("}", "]"):
            open_.pop()
            if not open_:
                break
        elif mark:
            inner: dict[str, Any] | list[Any] = {} if mark == "{" else []
            _put(holder, key, inner)
            open_[-1] = (holder, None)
            open_.append((inner, None))
            if len(open_) > DEEPEST:
                break
        elif token.lastgroup not in ("odd", None):
            value = _value(token)
            if isinstance(holder, dict) and key is None:
                open_[-1] = (holder, str(value))
            else:
                _put(holder, key, value)
                open_[-1] = (holder, None)
    return top


def _put(holder: dict[str, Any] | list[Any], key: str | None, value: Any) -> None:
    if isinstance(holder, list):
        holder.append(value)
    elif key is not None:
        holder[key] = value


def _value(token: re.Match[str]) -> Any:
    if token["bare"] is not None:
        return _BARE.get(token["bare"], token["bare"])
    text = token["double"] if token["double"] is not None else token["single"]
    try:
        return json.loads(f'"{text}"') if "\\" in text else text
    except ValueError:
        return text
