"""Logs, as the rest of Berth uses them: the store of all logs, and the copying of containers' output into it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice

import structlog

from bot.deploy.log_files import LogLine
from bot.deploy.log_store import LogPage, LogStore, LogWriter
from bot.deploy.masking import Masker
from bot.engine.docker import Engine, EngineRefused
from bot.errors import BerthError

__all__ = ["ContainerLogs", "LogLine", "LogPage", "LogStore", "LogWriter"]

_RECENT = 2000  # lines of a container that are remembered, to know them again
_OVERLAP_SECONDS = 1.0
_DRAIN_SECONDS = 20.0
_QUIET_SECONDS = 0.3
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 4.0
_TURN = 100  # lines

log = structlog.get_logger()


@dataclass(eq=False)
class _Job:
    """One container whose log is followed. ``recent``: time and stream of the newest lines that were written."""

    container_id: str
    recent: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=_RECENT))
    writer: LogWriter | None = None
    task: asyncio.Task[None] | None = None
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    copied: int = 0  # lines

    def resume(self) -> tuple[float | None, Counter[tuple[float, str]]]:
        """Ask for the lines after this time (None: all), and leave these out, which are there already.

        The engine's lines are not quite in the order of their times, because it copies the two streams side by side;
        so the last second is asked for again, or of a fast log as many lines as are remembered for sure.
        """
        if not self.recent:
            return None, Counter()
        since = max(at for at, _ in self.recent) - _OVERLAP_SECONDS
        if len(self.recent) == _RECENT:
            since = max(since, *(at for at, _ in islice(self.recent, _RECENT // 10)))
        return since, Counter(line for line in self.recent if line[0] > since)


class ContainerLogs:
    """Copies the output of containers into the logs of their instances: one reader each, however many look on."""

    def __init__(self, engine: Engine, log_store: LogStore) -> None:
        self._engine, self._logs = engine, log_store
        self._jobs: dict[int, _Job] = {}

    async def attach(self, instance_id: int, deployment_id: int, container_id: str, masker: Masker) -> None:
        """Follow the container from its beginning, or after a restart of Berth from where the log ends. Idempotent."""
        if self.follows(instance_id, container_id):
            return
        await self.detach(instance_id)
        job = self._jobs[instance_id] = _Job(container_id)
        try:
            job.writer = await self._logs.open_instance(deployment_id, instance_id, masker)
            page = await self._logs.read(deployment_id, instance_id, tail=_RECENT)
        except BaseException:
            await self._drop(instance_id, job)
            raise
        job.recent.extend((line.at, line.source) for line in page.lines if line.source in {"stdout", "stderr"})
        job.task = asyncio.create_task(self._follow(job, job.writer), name=f"follow the log of instance {instance_id}")
        job.task.add_done_callback(_report)

    def follows(self, instance_id: int, container_id: str) -> bool:
        """Whether the container is followed already."""
        job = self._jobs.get(instance_id)
        return job is not None and job.container_id == container_id

    async def detach(self, instance_id: int) -> None:
        """Read the container's log to its end (20 seconds at most), then close that of the instance. Idempotent."""
        job = self._jobs.get(instance_id)
        if job is None:
            return
        job.ending.set()
        ended = False
        try:
            if job.writer is not None:
                async with asyncio.timeout(_DRAIN_SECONDS):
                    ended = await _reach_end(job)
                    await _cancel(job)
                    await self._copy(job, job.writer, follow=False)
        except (BerthError, TimeoutError) as error:
            if job.writer is not None and not ended:
                job.writer.write("… the rest was not read …", source="berth", kind="gap")
                log.warning("the end of a log was not read", container=job.container_id, reason=str(error) or "timeout")
        finally:
            await self._drop(instance_id, job)

    async def close(self) -> None:
        """Berth stops: the containers run on, and the next :meth:`attach` goes on where this ends."""
        await asyncio.gather(*(self._drop(instance_id, job) for instance_id, job in list(self._jobs.items())))

    async def _drop(self, instance_id: int, job: _Job) -> None:
        await _cancel(job)
        if self._jobs.get(instance_id) is job:
            del self._jobs[instance_id]
        if job.writer is not None:
            await job.writer.close()

    async def _follow(self, job: _Job, writer: LogWriter) -> None:
        """Copies as long as the container exists. Comes back after it was restarted, and when the engine went away."""
        pause = _PAUSE_SECONDS
        while True:
            before = job.copied
            try:
                await self._copy(job, writer, follow=True)
                pause = _PAUSE_SECONDS if job.copied > before else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            except EngineRefused as error:
                if error.status == 404:
                    return
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                log.warning("a container's log is not to be had", container=job.container_id, reason=str(error))
            except BerthError as error:
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                log.info("the engine is away, its logs follow later", container=job.container_id, reason=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(job.ending.wait(), pause)
            if job.ending.is_set():
                return

    async def _copy(self, job: _Job, writer: LogWriter, *, follow: bool) -> None:
        """Write the lines that are not written yet; with ``follow`` until the container ends."""
        since, known = job.resume()
        async with aclosing(self._engine.logs(job.container_id, since, follow)) as lines:
            async for line in lines:
                key = (line.at, line.stream)
                if known[key]:
                    known[key] -= 1
                    continue
                writer.write(line.text, source=line.stream, at=line.at)
                job.recent.append(key)
                job.copied += 1
                if job.copied % _TURN == 0:
                    await asyncio.sleep(0)  # a flood comes from buffers, without a pause for others to have their turn


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a container's log is no longer followed", task=task.get_name(), exc_info=task.exception())


async def _reach_end(job: _Job) -> bool:
    """Whether the follower came to the end of the log by itself. Waits as long as it still gets on."""
    before = -1
    while job.task is not None and not job.task.done() and job.copied > before:
        before = job.copied
        await asyncio.wait([job.task], timeout=_QUIET_SECONDS)
    return job.task is None or job.task.done()


async def _cancel(job: _Job) -> None:
    if job.task is not None:
        job.task.cancel()
        await asyncio.wait([job.task])
