"""A deployment as it happens: its stream's events, drawn for people or printed as plain lines."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.cli.client import JSON, ApiError, Client, UnreachableError
from bot.cli.output import duration, interactive, outcome, printable, step_text

if TYPE_CHECKING:
    from rich.console import RenderableType

PHASES = ("fetch", "detect", "generate", "build", "start", "verify", "switch")
ENDED = ("live", "retired", "failed", "cancelled", "superseded")
_LAST_LINES = 30  # of the log, shown when a deployment failed
_PATIENCE = 60.0  # seconds that a server may be away, for example while it restarts


@dataclass
class Progress:
    """What is known of one deployment. :meth:`take` is given the events of its stream in order."""

    began: dict[str, float] = field(default_factory=dict)  # phase -> seconds since 1970
    ended: dict[str, float] = field(default_factory=dict)
    step: str = ""
    state: str = "queued"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    @property
    def phase(self) -> str:
        """The phase under way: the last that began."""
        return next(reversed(self.began), "")

    def take(self, event: JSON) -> None:
        moment = datetime.fromisoformat(event["at"]).timestamp() if event.get("at") else time.time()
        match event["kind"]:
            case "phase":
                if self.phase != event["phase"]:
                    self._end(moment)
                    self.began.setdefault(event["phase"], moment)
                    self.lines.clear()  # when a phase fails, it is its own output that says why
                    self.step = ""
            case "step":
                self.step = printable(step_text(str(event.get("step") or ""), str(event.get("text") or "")))
            case "line":
                self.lines.append(str(event.get("text") or ""))
            case "state":
                self.state = str(event["state"])
                if self.state in ENDED:
                    self._end(moment)

    def _end(self, moment: float) -> None:
        if self.phase and self.phase not in self.ended:
            self.ended[self.phase] = moment

    def seconds(self, phase: str) -> float | None:
        if phase not in self.began:
            return None
        return max(0.0, self.ended.get(phase, time.time()) - self.began[phase])


class Plain:
    """Prints a line for each phase, step and line of output."""

    def __init__(self) -> None:
        self.progress = Progress()

    def show(self, event: JSON) -> None:
        progress, before = self.progress, self.progress.phase
        ended_before = before in progress.ended
        progress.take(event)
        if before in progress.ended and not ended_before:
            self._say(
                before,
                f"{'done' if progress.state in ('queued', 'running', 'live') else 'ended'} in {self._took(before)}",
            )
        match event["kind"]:
            case "step" if progress.step:
                self._say(progress.phase, progress.step)
            case "line":
                self._say(progress.phase, "| " + printable(str(event.get("text") or "")))
            case "state" if progress.state not in ("running", "live"):  # a phase follows, or the URL
                self._say("", progress.state)

    def _took(self, phase: str) -> str:
        return duration(self.progress.seconds(phase))

    def _say(self, phase: str, text: str) -> None:
        print(f"{phase or 'deployment':<10} {text}", flush=True)


class Drawn:
    """Draws the phases with their times, the step, and the last lines of output, over and over in one place."""

    def __init__(self) -> None:
        from rich.spinner import Spinner

        self.progress = Progress()
        self._spinner = Spinner("dots", style="cyan")

    def show(self, event: JSON) -> None:
        self.progress.take(event)

    def render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        progress, table = self.progress, Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(width=9)
        table.add_column(justify="right", width=12)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for phase in PHASES:
            running = phase == progress.phase and phase not in progress.ended
            failed = phase == progress.phase and progress.state in ("failed", "cancelled", "superseded")
            done = phase in progress.ended and not failed
            mark: Any = self._spinner if running else Text("✗" if failed else "✓" if done else "·")
            style = "cyan" if running else "red" if failed else "green" if done else "dim"
            if isinstance(mark, Text):
                mark.stylize(style)
            time_text = Text(duration(progress.seconds(phase)), style="dim")
            table.add_row(
                mark, Text(phase, style=style), time_text, Text(progress.step if running else "", style="dim")
            )
        if progress.state in ENDED:
            return table
        tail = [
            Text("  │ " + printable(line), style="dim", no_wrap=True, overflow="ellipsis")
            for line in list(progress.lines)[-6:]
        ]
        waiting = [Text(f"  {progress.state}", style="dim")] if not progress.began else []
        return Group(table, *waiting, *tail)


def follow(client: Client, deployment: JSON) -> int:
    """Show a deployment until it ends; the exit code: 0 when it became live, else 1. Ctrl-C leaves it running."""
    identifier = int(deployment["id"])
    try:
        tail = _show(client, identifier)
    except KeyboardInterrupt:
        print(f"\nDeployment {identifier} goes on without you. `berth ps` shows how it ends.", file=sys.stderr)
        return 130
    return conclude(client, client.get(f"/api/deployments/{identifier}"), tail)


def _show(client: Client, identifier: int) -> deque[str]:
    """Show events until the stream's end; the last lines of output."""
    if not interactive():
        plain = Plain()
        for event in events(client, identifier):
            plain.show(event)
        return plain.progress.lines
    from rich.live import Live

    drawn = Drawn()
    with Live(get_renderable=drawn.render, refresh_per_second=8):
        for event in events(client, identifier):
            drawn.show(event)
    return drawn.progress.lines


def events(client: Client, identifier: int) -> Iterator[JSON]:
    """A deployment's events to its end, over connections that break: each is given once."""
    seen, gone_since = -1, 0.0
    while True:
        try:
            for event in client.stream(f"/api/deployments/{identifier}/stream"):
                gone_since = 0.0
                offset = event.get("offset")
                if offset is None or offset > seen:
                    seen = seen if offset is None else offset
                    yield event
            if client.get(f"/api/deployments/{identifier}")["state"] in ENDED:
                return
        except (UnreachableError, ApiError) as error:
            if isinstance(error, ApiError) and error.status < 500:
                raise
            gone_since = gone_since or time.monotonic()
            if time.monotonic() - gone_since > _PATIENCE:
                raise
        time.sleep(0.5)


def conclude(client: Client, deployment: JSON, tail: deque[str]) -> int:
    """Print how a deployment ended: the URL, or reason, fix and last lines. The exit code."""
    state = deployment["state"]
    if state in ("live", "retired"):
        took = f" in {duration(deployment['duration'])}" if deployment.get("duration") is not None else ""
        print(f"Live{took}: {deployment['url']}" if deployment.get("url") else f"Live{took}.")
        return 0
    sys.stdout.flush()
    if tail and state == "failed":
        _complain("Last lines of the log:")
        for line in tail:
            _complain("  | " + printable(line))
    told = printable(outcome(deployment))
    if state == "failed" and deployment.get("phase"):
        told = f"failed in phase {deployment['phase']}{told.removeprefix('failed')}"
    _complain(f"Deployment {deployment['id']} {told}")
    if deployment.get("fix"):
        _complain(f"What to do: {printable(deployment['fix'])}")
    environment = client.get(f"/api/environments/{deployment['environment_id']}")
    if environment["live"] and environment["state"] == "live":
        _complain(f"What ran before goes on: {environment['live']['sha'][:7]} at {environment['url']}")
    return 1


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
