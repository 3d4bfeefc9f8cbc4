"""A build in words: which of its events become lines of the deployment's log, and how they read."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import structlog

from bot.deploy.logs import LogWriter
from bot.engine.build import BuildEvent, StepCached, StepDone, StepFailed, StepOutput, StepStarted

log = structlog.get_logger()

STEP_SECONDS = 2.0  # between two updates of the step in words
SLOW_SECONDS = 1.0  # the end of a step that took less says nothing
_NAME_LIMIT = 96
# where caches and secrets are mounted says nothing about what a step does
_MOUNTS = re.compile(r" --(?:mount|network|security)=\S+")
_LABEL = re.compile(r"\[[^\]]*\]")


class BuildProgress:
    """Writes a line for each step of the Dockerfile as it starts, for what it prints, and for slow ones as they end.

    What is in the cache gets one line that says so. BuildKit's own work (loading the context, exporting) is worth a
    line only when it took long. Now and then ``step`` is given the name of the step under way.
    """

    def __init__(self, writer: LogWriter, step: Callable[[str], Awaitable[None]]) -> None:
        self._writer = writer
        self._step = step
        self._told = 0.0
        self._task: asyncio.Task[None] | None = None
        self._starting = ""  # a step whose start is told as soon as it is known not to come from the cache
        self._numbered: set[str] = set()  # steps of the Dockerfile

    def on_event(self, event: BuildEvent) -> None:
        if isinstance(event, StepCached) and event.step == self._starting:
            self._starting = ""  # its start and its end came together
        self._tell_start()
        match event:
            case StepStarted(step=step, number=number):
                if number:
                    self._numbered.add(step)
                    self._starting = step
                    asyncio.get_running_loop().call_soon(self._tell_start)
                self._tell(short_name(step))
            case StepCached(step=step) if step in self._numbered:
                self._write(short_name(step), "cached")
            case StepDone(step=step, seconds=seconds) if seconds >= SLOW_SECONDS:
                self._write(label(step), f"done in {seconds:.1f} s")
            case StepFailed(step=step, error=error):
                self._write(label(step), f"failed: {error}")
            case StepOutput(step=step, text=text):
                self._writer.write(text, source="build", kind="line", step=short_name(step), phase="build")

    async def close(self) -> None:
        self._tell_start()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _tell_start(self) -> None:
        if self._starting:
            step, self._starting = self._starting, ""
            self._write(short_name(step), "started")

    def _write(self, step: str, text: str) -> None:
        self._writer.write(text, source="build", kind="step", step=step, phase="build")

    def _tell(self, step: str) -> None:
        if time.monotonic() - self._told >= STEP_SECONDS and (self._task is None or self._task.done()):
            self._told = time.monotonic()
            self._task = asyncio.create_task(self._update(step))

    async def _update(self, step: str) -> None:
        try:
            await self._step(step)
        except Exception as error:  # progress in words is a courtesy, the build goes on
            log.warning("the step could not be noted", error=str(error))


def short_name(step: str) -> str:
    """``[build 5/5] RUN --mount=type=cache,id=… pip install`` as people read it, at most 96 characters."""
    name = _MOUNTS.sub("", step)
    return name if len(name) <= _NAME_LIMIT else name[: _NAME_LIMIT - 1] + "…"


def label(step: str) -> str:
    """``[build 5/5]`` of a step whose name was written when it started; the name of what has no number."""
    found = _LABEL.match(step)
    return found[0] if found and found[0] != "[internal]" else short_name(step)
