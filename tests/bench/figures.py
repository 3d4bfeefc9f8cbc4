"""What was measured: figures with their runs, goals and hand-made counterparts, as tables and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

GOAL_MET, GOAL_MISSED = "met", "MISSED"
_COMPUTED = 0.1  # seconds of processor time
_QUIET = 0.9  # of a core


@dataclass(frozen=True)
class Figure:
    """One measured quantity. ``runs``: its values in ``unit``; ``hand``: the same done without Berth, same run of the
    benchmark; ``ratios``: Berth's value by that of its counterpart, pair by pair. A goal is the most (or with
    ``at_least`` the least) that the median of ``runs`` may be."""

    section: str
    name: str
    unit: str
    runs: tuple[float, ...]
    hand: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    goal: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return GOAL_MET if self.median <= self.goal else GOAL_MISSED

    def to_json(self) -> dict[str, object]:
        """Medians first, then everything that they come from."""
        return {
            "section": self.section,
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.runs),
            "max": max(self.runs),
            "goal": self.goal,
            "met": None if self.goal is None else self.verdict == GOAL_MET,
            "hand_median": statistics.median(self.hand) if self.hand else None,
            "ratio_median": statistics.median(self.ratios) if self.ratios else None,
            "note": self.note,
            "runs": list(self.runs),
            "hand": list(self.hand),
            "ratios": list(self.ratios),
        }


@dataclass
class Report:
    """Collects figures and shows each section as soon as it is complete."""

    console: Console
    figures: list[Figure] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)  # of a core, 0 to 1, that a process got which only computed

    def section(self, title: str, figures: Sequence[Figure], remark: str = "") -> None:
        """Adds the figures and prints them in a table of their own."""
        self.figures += figures
        hand, goals = any(figure.hand for figure in figures), any(figure.goal is not None for figure in figures)
        ratios = any(figure.ratios for figure in figures)
        table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", pad_edge=False)
        table.add_column("")
        table.add_column("Berth", justify="right")
        table.add_column("best to worst", justify="right", style="dim")
        if hand:
            table.add_column("by hand", justify="right")
        if ratios:
            table.add_column("ratio", justify="right")
        if goals:
            table.add_column("goal", justify="right")
            table.add_column("")
        for figure in figures:
            table.add_row(*self._cells(figure, hand, ratios, goals))
        self.console.print()
        self.console.print(table)
        if remark:
            self.console.print(remark, style="dim")

    def _cells(self, figure: Figure, hand: bool, ratios: bool, goals: bool) -> list[str]:
        spread = f"{_number(min(figure.runs))} to {_number(max(figure.runs))}" if len(figure.runs) > 1 else ""
        name = figure.name + (f" [dim]{figure.note}[/]" if figure.note else "")
        cells = [name, f"{_number(figure.median)} {figure.unit}", spread]
        if hand:
            cells.append(f"{_number(statistics.median(figure.hand))} {figure.unit}" if figure.hand else "")
        if ratios:
            cells.append(f"{statistics.median(figure.ratios):.2f}" if figure.ratios else "")
        if goals:
            colour = {GOAL_MET: "green", GOAL_MISSED: "bold red"}.get(figure.verdict, "")
            cells.append("" if figure.goal is None else f"{_number(figure.goal)} {figure.unit}")
            cells.append(f"[{colour}]{figure.verdict}[/]" if colour else "")
        return cells

    def note_load(self) -> None:
        """Figures of a busy machine say little by themselves: how busy it was belongs to them."""
        began, used = time.perf_counter(), time.process_time()
        while time.process_time() - used < _COMPUTED:
            pass
        self.shares.append(min(1.0, _COMPUTED / (time.perf_counter() - began)))

    def conclude(self, path: Path | None) -> None:
        """The last lines, and the JSON file where one is asked for."""
        self.note_load()
        judged = [figure for figure in self.figures if figure.goal is not None]
        missed = [figure for figure in judged if figure.verdict == GOAL_MISSED]
        cores, median = os.cpu_count() or 1, statistics.median(self.shares)
        self.console.print(f"\n[bold]{len(judged) - len(missed)} of {len(judged)} goals met.[/]")
        for figure in missed:
            seen = f"{_number(figure.median)} {figure.unit}, best {_number(min(figure.runs))}"
            self.console.print(f"  missed: {figure.section}, {figure.name}: {seen}, goal {_number(figure.goal or 0)}")
        spread = f"{min(self.shares):.0%} to {max(self.shares):.0%}"
        self.console.print(
            f"{cores} cores; meanwhile a process that only computes got {median:.0%} of one ({spread}).", style="dim"
        )
        if median < _QUIET:
            self.console.print(
                "The machine was busy with more than this benchmark: look at ratios, best runs and processor times.",
                style="yellow",
            )
        if path is not None:
            machine = {"cores": cores, "shares": self.shares, "kernel": platform.release()}
            machine["python"] = platform.python_version()
            figures = [figure.to_json() for figure in self.figures]
            path.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n")


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
