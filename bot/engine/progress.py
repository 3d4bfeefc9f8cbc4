"""From BuildKit's status messages to the events of a build: steps that start and end, and the lines that they print."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bot.engine.buildkit import Status, Vertex, VertexLog

LINE_LIMIT = 16_384  # characters; longer lines are split
_NAME_LIMIT = 300
# "[deps 2/4] RUN npm ci": a step of the Dockerfile; everything else is BuildKit's own work
_STEP = re.compile(r"\[(?:[^\]]* )?\d+/\d+\] (?P<instruction>\w+)")
# BuildKit ends such a step once when it has looked at it, and again when it is really done or found in the cache.
_TWICE = {"COPY", "ADD", "FROM"}


@dataclass(frozen=True)
class StepStarted:
    """``number`` of ``total`` (as far as known) steps of the Dockerfile; both are 0 for BuildKit's own work."""

    step: str
    number: int
    total: int


@dataclass(frozen=True)
class StepCached:
    step: str


@dataclass(frozen=True)
class StepDone:
    step: str
    seconds: float


@dataclass(frozen=True)
class StepFailed:
    step: str
    error: str


@dataclass(frozen=True)
class StepOutput:
    step: str
    text: str
    stream: Literal["stdout", "stderr"]


BuildEvent = StepStarted | StepCached | StepDone | StepFailed | StepOutput


class _Lines:
    """Whole lines out of pieces that end anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, piece: bytes, *, final: bool = False) -> list[str]:
        *lines, self._rest = (self._rest + self._decoder.decode(piece, final)).split("\n")
        if final or len(self._rest) > LINE_LIMIT:
            keep = 0 if final else len(self._rest) % LINE_LIMIT
            cut = len(self._rest) - keep
            if cut:
                lines.append(self._rest[:cut])
            self._rest = self._rest[cut:]
        return [part for line in lines for part in _parts(_overwritten(line))]


def _overwritten(line: str) -> str:
    """What a terminal shows of a line in which a progress display returned to the beginning."""
    return line.rstrip("\r").rpartition("\r")[2]


def _parts(line: str) -> list[str]:
    return [line[start : start + LINE_LIMIT] for start in range(0, len(line), LINE_LIMIT)] or [""]


@dataclass
class _Step:
    name: str = ""
    instruction: str = ""  # empty: BuildKit's own work
    number: int = 0
    seconds: float = 0.0
    counted: float | None = None  # the completion that is in ``seconds``
    started: bool = False
    ready: bool = False  # completed, but perhaps not for the last time
    ended: bool = False
    inputs: tuple[str, ...] = ()
    disk_full: bool = False  # it printed so
    output: dict[int, _Lines] = field(default_factory=dict)


class Progress:
    """Merges what is said about each step, and tells ``on_event`` what is new.

    ``once`` says that the end of a step is told only once, when it really is the end.
    """

    def __init__(self, on_event: Callable[[BuildEvent], None], *, once: bool = False) -> None:
        self._tell = on_event
        self._twice = set() if once else _TWICE
        self._steps: dict[str, _Step] = {}
        self._running = 0
        self.cached_steps = 0
        self.failed: str | None = None  # the name of the step that failed first
        self.error = ""
        self.disk_full = False  # that step printed that the disk is full

    @property
    def steps(self) -> int:
        """Steps of the Dockerfile, as far as known."""
        return sum(1 for step in self._steps.values() if step.instruction)

    @property
    def current(self) -> str | None:
        """A step of the Dockerfile that is not over, the latest that was started."""
        running = [step for step in self._steps.values() if step.started and not step.ended and step.instruction]
        return max(running, key=lambda step: step.number).name if running else None

    def update(self, status: Status) -> None:
        for vertex in status.vertexes:  # all names first: the total is then right from the first event on
            self._named(vertex)
        for vertex in status.vertexes:
            self._vertex(vertex)
        for entry in status.logs:
            self._log(entry)

    def finish(self) -> None:
        """Nothing more comes: tell what was held back."""
        for step in self._steps.values():
            self._flush(step)
            if step.ready and not step.ended:
                self._end(step, StepDone(step.name, step.seconds))

    def _named(self, vertex: Vertex) -> _Step:
        step = self._steps.setdefault(vertex.digest, _Step())
        if vertex.name and not step.name:
            step.name = " ".join(vertex.name.split())[:_NAME_LIMIT]
            found = _STEP.match(step.name)
            step.instruction = found["instruction"].upper() if found else ""
        step.inputs = vertex.inputs or step.inputs
        return step

    def _vertex(self, vertex: Vertex) -> None:
        step = self._named(vertex)
        if step.ended or vertex.started is None:
            return
        self._start(step)
        if vertex.completed is None:
            step.ready = False
            return
        if vertex.completed != step.counted:
            step.seconds += max(0.0, vertex.completed - vertex.started)
            step.counted = vertex.completed
        if vertex.error:
            self._flush(step)
            self._end(step, StepFailed(step.name, vertex.error))
            if self.failed is None and not vertex.error.endswith("context canceled"):
                self.failed, self.error, self.disk_full = step.name, vertex.error, step.disk_full
        elif vertex.cached:
            self._end(step, StepCached(step.name))
            self.cached_steps += bool(step.instruction)
        else:
            step.ready = True
            if step.instruction not in self._twice:
                self._flush(step)
                self._end(step, StepDone(step.name, step.seconds))

    def _start(self, step: _Step) -> None:
        if step.started:
            return
        step.started = True
        for digest in step.inputs:  # what it needs is there now
            needed = self._steps.get(digest)
            if needed is not None and needed.ready and not needed.ended:
                self._flush(needed)
                self._end(needed, StepDone(needed.name, needed.seconds))
        if step.instruction:
            self._running += 1
            step.number = self._running
        self._tell(StepStarted(step.name, step.number, self.steps if step.instruction else 0))

    def _end(self, step: _Step, event: BuildEvent) -> None:
        step.ended = True
        self._tell(event)

    def _log(self, entry: VertexLog) -> None:
        step = self._steps.setdefault(entry.vertex, _Step())
        self._print(step, entry.stream, step.output.setdefault(entry.stream, _Lines()).feed(entry.message))

    def _flush(self, step: _Step) -> None:
        for stream, lines in step.output.items():
            self._print(step, stream, lines.feed(b"", final=True))
        step.output.clear()

    def _print(self, step: _Step, stream: int, lines: list[str]) -> None:
        for line in lines:
            step.disk_full = step.disk_full or "no space left on device" in line.lower()
            self._tell(StepOutput(step.name, line, "stderr" if stream == 2 else "stdout"))
