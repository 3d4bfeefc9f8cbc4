"""How pages say things: ages, durations, sizes, text of strangers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from bot.deploy import log_files
from bot.deploy.log_files import LogLine
from bot.web.ansi import coloured

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b.?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """A line of a log as a terminal would leave it: without escape sequences, and only what a carriage return left."""
    return _CONTROL.sub("", _ESCAPES.sub("", text.rstrip("\r\n").rpartition("\r")[2]))


def shown(line: LogLine) -> str:
    """A line of a deployment's log as plain text."""
    return clean(_words(line))


def logged(line: LogLine) -> Markup:
    """The same with its colours, as HTML."""
    html = coloured(log_files.clean(_words(line).replace("\n", " ")))
    if line.kind in ("phase", "step", "gap", "state"):
        return Markup('<span class="{}">{}</span>').format(f"l-{line.kind}", html)
    return html


def _words(line: LogLine) -> str:
    if line.kind == "phase":
        return f"── {line.text}"
    if line.kind != "step" or not line.step:
        return line.text
    words = {"started": line.step, "cached": f"{line.step} (cached)"}
    return words.get(line.text, f"{line.step} {line.text}")


def age(moment: str | float) -> str:
    """How long ago an ISO 8601 time, or seconds since 1970, was: ``5 s``, ``3 min``, ``2 h``, ``4 d``."""
    then = moment if isinstance(moment, float | int) else datetime.fromisoformat(moment).timestamp()
    seconds = max(0, int(time.time() - then))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def took(seconds: float | None) -> str:
    """``0.4 s``, ``12.3 s``, ``3 min 05 s``; empty for None."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def size(count: float) -> str:
    """Bytes in words: ``12 MB``, ``3.4 GB``."""
    for unit, divisor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= divisor:
            return f"{count / divisor:.1f} {unit}" if count < 10 * divisor else f"{count / divisor:.0f} {unit}"
    return f"{count:.0f} bytes"


def day(seconds: float) -> str:
    """The date (UTC) of seconds since 1970: ``2026-03-01``."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def browser(agent: str) -> str:
    """``Firefox on Linux`` of what a browser calls itself, or the beginning of that.

    Engines name their predecessors, so the order matters: https://developer.mozilla.org/docs/Web/HTTP/Headers/User-Agent
    """
    names = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "Mac OS": "macOS"}
    name = next((words for mark, words in names.items() if mark in agent), "")
    system = next((words for mark, words in (systems | {"Linux": "Linux"}).items() if mark in agent), "")
    if not name:
        return agent[:60] or "an unknown browser"
    return f"{name} on {system}" if system else name


def coded(text: str) -> Markup:
    """A sentence with `commands` in it, as HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


def without_state(reason: str, state: str) -> str:
    """``by a1b2c3d`` of ``superseded by a1b2c3d``, where the state stands before it already."""
    return reason.removeprefix(state).lstrip(": ")


FILTERS: tuple[Callable[..., Any], ...] = (age, took, size, day, browser, clean, shown, logged, coded, without_state)
