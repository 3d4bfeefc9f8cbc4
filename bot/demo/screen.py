"""What the demo shows: chapters, findings, and a push as it happens."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.status import Status

_LAST_LINES = 12
_CUT = 110  # characters of a build step outside of a terminal
_MOUNT = re.compile(r"--mount=\S+ ")  # the caches of a RUN: nothing for a glance
_UNDERLINE = re.compile(r"^\s*[~^]+\s*$")  # of the line above it, in tracebacks
_STEP = re.compile(r"\b(\d+)/(\d+)\]")  # BuildKit numbers the steps of a stage: [build 3/7] RUN …


@dataclass
class Outcome:
    """How a push ended: ``url`` where it is live, else ``problem`` and the ``last_lines`` before it."""

    url: str = ""
    problem: list[str] = field(default_factory=list)
    last_lines: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Screen:
    """Writes for a person in a terminal; without one (pipes, CI) the same without movement."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)

    def chapter(self, title: str) -> None:
        self.console.print(f"\n[bold cyan]▌[/] [bold]{escape(title)}[/]")

    def say(self, text: str) -> None:
        self.console.print(f"  {escape(text)}")

    def aside(self, text: str) -> None:
        self.console.print(f"  [dim]{escape(text)}[/]")

    def warn(self, text: str) -> None:
        self.console.print(f"  [bold red]![/] {escape(text)}")

    def command(self, text: str) -> None:
        self.console.print(f"  [dim]$[/] [bold]{escape(text)}[/]")

    def check(self, text: str, holds: bool) -> bool:
        """Show something that must be so, and whether it is."""
        self.console.print(f"  [bold green]✓[/] {escape(text)}" if holds else f"  [bold red]✗ {escape(text)}[/]")
        return holds

    def problem(self, reason: str, fix: str = "") -> None:
        self.console.print(f"\n[bold red]✗ {escape(reason)}[/]")
        if fix:
            self.console.print(f"  {escape(fix)}")

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """A sign of life while something takes its time."""
        with self.console.status(f" {escape(text)}"):
            yield

    def follow(self, lines: Iterable[str], *, findings: bool = False) -> Outcome:
        """Show a push from the lines of its remote side, to its end; with ``findings`` what each phase found out."""
        with self.console.status(" Pushing") as status:
            view = _PushView(self.console, status, findings)
            for line in lines:
                view.take(line)
            return view.end()


class _PushView:
    """Finished phases stay on the screen with their time; below them moves what is being done now."""

    def __init__(self, console: Console, status: Status, findings: bool) -> None:
        self._console = console
        self._status = status
        self._findings = findings
        self._outcome = Outcome()
        self._began = self._phase_began = time.monotonic()
        self._phase = ""
        self._details: list[str] = []

    def take(self, line: str) -> None:
        """One line in the style of Heroku: ``----->`` a phase, ``=====>`` live, ``!`` a problem, else a detail."""
        mark, _, text = line.strip().partition(" ")
        text = text.strip()
        if mark == "----->":
            self._end_phase("[green]✓[/]")
            self._phase, self._phase_began = text, time.monotonic()
            self._details.clear()
            self._status.update(f" {escape(text)}")
        elif mark == "=====>":
            self._end_phase("[green]✓[/]")
            self._outcome.url = next((word for word in text.split() if "://" in word), "")
        elif mark == "!":
            self._end_phase("[red]✗[/]")
            self._outcome.problem.append(text)
        elif line.strip() and not _UNDERLINE.match(line) and line not in self._details:
            self._detail(line)

    def _detail(self, line: str) -> None:
        self._details.append(line)
        text, step = _MOUNT.sub("", line.strip()), _STEP.search(line)
        if not self._console.is_terminal:
            if step:
                self._console.print(f"    [dim]{escape(text[:_CUT])}[/]")
            return
        bar, width = "", 0
        if step:
            done, width = int(step[1]), int(step[2])
            bar = f"[cyan]{'━' * done}[/][dim]{'━' * (width - done)}[/] "
        room = max(20, self._console.width - len(self._phase) - width - 8)
        self._status.update(f" {escape(self._phase)}  {bar}[dim]{escape(text[:room])}[/]")

    def _end_phase(self, mark: str) -> None:
        if self._phase and not self._phase.startswith("Deploying"):
            seconds = time.monotonic() - self._phase_began
            self._console.print(f"  {mark} {escape(self._phase):<46}[dim]{seconds:5.1f} s[/]")
            if self._findings and not any(map(_STEP.search, self._details)):
                for line in self._details:
                    self._console.print(f"    [dim]{escape(line.strip())}[/]")
        self._phase = ""

    def end(self) -> Outcome:
        said = " ".join(self._outcome.problem).lower()
        lines = [line for line in self._details if line.strip().lower() not in said]
        self._outcome.last_lines = textwrap.dedent("\n".join(lines[-_LAST_LINES:])).splitlines()
        self._outcome.seconds = time.monotonic() - self._began
        return self._outcome
