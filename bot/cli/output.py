"""What the command line prints: tables, times, and text of strangers made harmless."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# CSI sequences, OSC strings (titles, links, clipboard), other escapes; then what is left of C0 and C1 but the tab
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def interactive() -> bool:
    """Whether a person reads stdout as it is written."""
    return sys.stdout.isatty()


def printable(text: str, *, colours: bool = False) -> str:
    """``text`` as one line that cannot steer a terminal; with ``colours`` its colours survive.

    A carriage return means that what follows replaces the line (progress bars), so only the last such part is kept.
    """
    text = text.rstrip("\r\n").rsplit("\r", 1)[-1]
    if not colours:
        return _CONTROL.sub(" ", _ESCAPES.sub("", text))
    parts: list[str] = []
    position = 0
    for match in _COLOUR.finditer(text):
        parts += [printable(text[position : match.start()]), match.group()]
        position = match.end()
    parts.append(printable(text[position:]))
    return "".join(parts) + ("\x1b[0m" if len(parts) > 1 else "")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers: ruled for people, aligned columns of whole values for pipes."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if interactive():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for header in headers:
            drawn.add_column(header, overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        Console().print(drawn)
        return
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in [[header.upper() for header in headers], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


# how a state looks wherever it stands in a table
STYLES = {
    "live": "green",
    "crash_looping": "red",
    "failed": "red",
    "port_conflict": "red",
    "stopped": "yellow",
    "sleeping": "yellow",
    "removed": "dim",
    "empty": "dim",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
}


def age(moment: str | None, *, now: datetime | None = None) -> str:
    """How long ago an ISO 8601 time was: ``5 s``, ``3 min``, ``2 h``, ``4 d``; empty for None."""
    if not moment:
        return ""
    seconds = max(0.0, ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``12.3 s``, ``3 min 05 s``; empty for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def step_text(step: str, text: str) -> str:
    """``[2/5] RUN npm ci`` when it starts, ``[2/5] RUN npm ci (cached)``, ``[2/5] done in 3.6 s``."""
    if not step or not text or text == "started":
        return step or text
    return f"{step} (cached)" if text == "cached" else f"{step} {text}"


def outcome(deployment: Mapping[str, Any]) -> str:
    """``failed: Nothing listens on 3000.``; the reason alone where it names the state: ``superseded by a1b2c3d``."""
    state, reason = str(deployment["state"]), str(deployment.get("reason") or "")
    return reason if reason.startswith(state) else f"{state}: {reason}".rstrip(": ")
