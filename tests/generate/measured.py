"""What is measured of each application that a server builds, and the table of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Seconds, and MB of 1,000,000 bytes. ``cached``: whether the dependency step of the second build was."""

    name: str
    stack: str
    framework: str
    manager: str
    cold: float | None = None
    warm: float | None = None
    cached: bool | None = None  # None: there is no such step
    image: float | None = None
    base: float | None = None
    start: float | None = None
    remark: str = ""


ROWS: list[Row] = []

_HEAD = ("application", "stack", "framework", "cold s", "warm s", "dependencies", "image MB", "above base", "start s")


def _cells(row: Row) -> tuple[str, ...]:
    def number(value: float | None, digits: int = 1) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    above = None if row.image is None or row.base is None else row.image - row.base
    cached = {True: "cached", False: "AGAIN", None: "-"}[row.cached]
    manager = f"{row.stack} · {row.manager}" if row.manager else row.stack
    times = (number(row.cold), number(row.warm), cached)
    return (row.name, manager, row.framework or "-", *times, number(row.image), number(above), number(row.start))


def table(not_built: Mapping[str, str]) -> list[str]:
    """The rows as lines of text; then what was not built, each with the reason."""
    built = [row for row in ROWS if row.cold is not None]
    cells = [_HEAD, *(_cells(row) for row in sorted(built, key=lambda row: (row.stack, row.name)))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = []
    for line in cells:
        left = [text.ljust(width) for text, width in zip(line[:3], widths[:3], strict=True)]
        right = [text.rjust(width) for text, width in zip(line[3:], widths[3:], strict=True)]
        lines.append("  ".join((*left, *right)).rstrip())
    rest = {row.name: row.remark for row in ROWS if row.cold is None} | dict(not_built)
    if rest:
        lines += ["", "generated, linted and read instruction by instruction, but not built:"]
        lines += [f"  {name}: {remark}" for name, remark in sorted(rest.items())]
    return lines
