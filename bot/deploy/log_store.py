"""The log store: what deployments and instances printed, masked on write, with one writer and any number of readers.

A log is a folder ``DEPLOYMENT/deployment`` or ``DEPLOYMENT/instance-ID`` below the log folder, whose files
:mod:`bot.deploy.log_files` describes, and a row of the table ``logs``. Writing appends to memory. One task takes what
has gathered every tenth of a second and, in a thread, masks, encodes and appends it to the files; then it wakes the
followers, who read the files at their own pace. If a log is written faster than that, the oldest of its waiting lines
are dropped and counted, so that a flood costs neither memory nor time, and the last words before a crash are there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import sqlalchemy as sa
import structlog

from bot.deploy import states
from bot.deploy.log_files import LogFile, LogLine, clean, encode, read_lines, tail_offset
from bot.deploy.masking import Masker
from bot.engine.wire import to_the_end
from bot.store.database import Row, Store
from bot.store.tables import deployments, logs

FLUSH_SECONDS = 0.1
_WAITING_BYTES = 2_000_000  # of text that a log may have in memory
_LINE_COST = 200  # bytes that a waiting line costs besides its text
_CUT = 16_384  # characters of a line that are looked at for secrets; fewer are kept

log = structlog.get_logger()
K = TypeVar("K")
Key = tuple[int, int | None]  # deployment id; instance id, or None for the deployment's own log


@dataclass(frozen=True)
class LogPage:
    """Lines that follow each other. ``next_offset``: where to go on; ``closed``: whether nothing more will come."""

    lines: list[LogLine]
    start: int
    next_offset: int
    closed: bool


@dataclass(eq=False)
class _Log:
    """One log while somebody writes or follows it. ``file`` is there while it is open for writing."""

    key: Key
    row_id: int = 0
    file: LogFile | None = None
    writers: int = 0
    end: int = 0  # of what readers may see
    waiting: deque[tuple[Masker, LogLine]] = field(default_factory=deque)
    waiting_bytes: int = 0
    dropped: int = 0
    failing: bool = False
    removed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    reading: dict[tuple[int, asyncio.Event], asyncio.Task[LogPage]] = field(default_factory=dict)

    def put(self, masker: Masker, line: LogLine) -> None:
        self.waiting.append((masker, line))
        self.waiting_bytes += len(line.text) + _LINE_COST
        while self.waiting_bytes > _WAITING_BYTES:
            self.waiting_bytes -= len(self.waiting.popleft()[1].text) + _LINE_COST
            self.dropped += 1

    def take(self) -> tuple[deque[tuple[Masker, LogLine]], int]:
        taken, dropped = self.waiting, self.dropped
        self.waiting, self.waiting_bytes, self.dropped = deque(), 0, 0
        return taken, dropped

    def notify(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class LogWriter:
    """Writes to one log. Made by :class:`LogStore`; to be used on its event loop."""

    def __init__(self, store: LogStore, entry: _Log, masker: Masker) -> None:
        self._store, self._log, self._masker = store, entry, masker
        self._closed = False

    def write(
        self, text: str, *, source: str, kind: str = "line", step: str = "", phase: str = "", at: float | None = None
    ) -> None:
        """Add a line, or several; never waits, never raises. After :meth:`close` it does nothing.

        ``at``: seconds since 1970, now by default. Colours are kept, other control characters are not; of what a
        program overwrote with carriage returns the last state is kept. Long lines are cut.
        """
        if self._closed or self._log.file is None:
            return
        at = time.time() if at is None else at
        for line in text.removesuffix("\n").split("\n"):
            shown = line.rstrip("\r").rpartition("\r")[2][:_CUT]
            self._log.put(self._masker, LogLine(0, 0, at, source, shown, kind, step, phase))
        self._store.wake()

    def mask(self, text: str) -> str:
        """``text`` as this log would show it."""
        return self._masker.mask(text)

    async def close(self) -> None:
        """Everything is written to the file, and followers come to an end, unless another writer has the log too."""
        if not self._closed:
            self._closed = True
            await to_the_end(self._store.end_writing(self._log))


class LogStore:
    """All logs below ``folder``. ``max_bytes`` is the most that is kept of one; ended ones stay ``keep_days`` days."""

    def __init__(self, folder: Path, store: Store, *, max_bytes: int, keep_days: float) -> None:
        self._folder, self._store = folder, store
        self._max_bytes, self._keep_days = max_bytes, keep_days
        self._began = time.time()
        self._known: WeakValueDictionary[Key, _Log] = WeakValueDictionary()
        self._written: dict[Key, _Log] = {}
        self._flusher: asyncio.Task[None] | None = None

    async def open_deployment(self, deployment_id: int, masker: Masker) -> LogWriter:
        """A writer for the deployment's own log, which is made if need be, or continued."""
        return await self._open((deployment_id, None), masker)

    async def open_instance(self, deployment_id: int, instance_id: int, masker: Masker) -> LogWriter:
        """A writer for the log of an instance, which is made if need be, or continued."""
        return await self._open((deployment_id, instance_id), masker)

    async def read(
        self,
        deployment_id: int,
        instance_id: int | None = None,
        *,
        offset: int | None = None,
        tail: int | None = None,
        limit: int = 2000,
    ) -> LogPage:
        """The last ``tail`` lines, or up to ``limit`` (at most about a megabyte) from ``offset`` (default 0) on.

        An empty page for a log that does not exist (yet), and where ``offset`` is the end.
        """
        key = (deployment_id, instance_id)
        entry = self._written.get(key)
        closed = entry is None and await self._is_closed(key)
        end = None if entry is None else entry.end

        def read() -> tuple[int, list[LogLine]]:
            folder = self._path(key)
            if tail is None:
                begin = max(0, offset or 0)
                return begin, read_lines(folder, begin, max(1, limit), end=end)
            begin = tail_offset(folder, max(0, tail))
            return begin, read_lines(folder, begin, max(0, tail) + 1, end=end, most=float("inf"))

        begin, lines = await asyncio.to_thread(read)
        if not lines:
            return LogPage([], begin, begin, closed)
        return LogPage(lines, lines[0].offset, lines[-1].next_offset, closed)

    async def follow(
        self, deployment_id: int, instance_id: int | None = None, offset: int = 0
    ) -> AsyncGenerator[LogLine, None]:
        """The lines from ``offset`` on, those that there are and those to come, until the log is closed.

        Waits for a log that was not opened yet. To go on after an interruption, give the last line's ``next_offset``.
        """
        entry = self._entry((deployment_id, instance_id))
        while True:
            changed = entry.changed
            page = await self._page(entry, offset, changed)
            for line in page.lines:
                offset = line.next_offset
                yield line
            if page.lines:
                continue
            if page.closed or entry.removed:
                return
            await changed.wait()

    async def _page(self, entry: _Log, offset: int, changed: asyncio.Event) -> LogPage:
        """What is at ``offset``: read once for all followers that are there and were woken by the same news.

        A read that began before the news may not have it, and whoever then waited for more would wait for too long.
        """
        task = entry.reading.get((offset, changed))
        if task is None:
            task = asyncio.create_task(self.read(*entry.key, offset=offset), name="read a log for its followers")
            entry.reading[offset, changed] = task
            task.add_done_callback(partial(_forget, entry.reading, (offset, changed)))
        return await asyncio.shield(task)

    async def sweep(self, now: float) -> None:
        """Closes what a former process left open, and deletes logs that are older than they are kept.

        The log of an instance goes ``keep_days`` after its end; that of a deployment stays as long as it is live.
        """
        before = now - self._keep_days * 86_400
        rows = await self._store.all(
            sa.select(logs, deployments.c.state).join(deployments, deployments.c.id == logs.c.deployment_id)
        )
        done = states.ENDED - {"live"}
        for row in rows:
            entry = self._entry(_key(row))
            async with entry.lock:
                if entry.file is not None:
                    continue
                if row["closed_at"] is None and row["created_at"] < self._began:
                    file = await asyncio.to_thread(LogFile, self._path(entry.key), self._max_bytes)
                    await self._record(row["id"], file.end, now)
                elif row["closed_at"] and row["closed_at"] < before and (row["instance_id"] or row["state"] in done):
                    await self._delete(row)
            entry.notify()
        # listed first: a log that is opened meanwhile has its folder before its row
        there = await asyncio.to_thread(self._folders)
        known = {row["deployment_id"] for row in await self._store.all(sa.select(logs.c.deployment_id).distinct())}
        known |= {key[0] for key in self._known}
        for number in there - known:
            await asyncio.to_thread(shutil.rmtree, self._folder / str(number), ignore_errors=True)

    async def remove_deployment(self, deployment_id: int) -> None:
        """Deletes the deployment's log and those of its instances, also while they are written."""
        for key, entry in list(self._known.items()):
            if key[0] == deployment_id:
                async with entry.lock:
                    self._written.pop(key, None)
                    entry.file, entry.removed = None, True
                    entry.take()
                entry.notify()
        async with self._store.begin() as transaction:
            await transaction.run(logs.delete().where(logs.c.deployment_id == deployment_id))
        await asyncio.to_thread(shutil.rmtree, self._folder / str(deployment_id), ignore_errors=True)

    async def close(self) -> None:
        """Writes out and closes every log. Idempotent."""
        for entry in list(self._written.values()):
            entry.writers = 1
            await self.end_writing(entry)

    # ------------------------------------------------------------------ for writers

    def wake(self) -> None:
        """Something waits to be written."""
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_all(), name="write logs")

    async def end_writing(self, entry: _Log) -> None:
        """A writer is done. After the last one the log is closed."""
        async with entry.lock:
            entry.writers -= 1
            if entry.writers > 0 or entry.file is None:
                return
            await self._flush(entry)
            self._written.pop(entry.key, None)
            entry.file = None
            await self._record(entry.row_id, entry.end, time.time())
        entry.notify()

    async def _open(self, key: Key, masker: Masker) -> LogWriter:
        entry = self._entry(key)
        async with entry.lock:
            if entry.file is None:
                file = await asyncio.to_thread(LogFile, self._path(key), self._max_bytes)
                entry.row_id = await self._row(key)
                entry.file, entry.end, entry.writers = file, file.end, 0
                self._written[key] = entry
            entry.writers += 1
        entry.notify()
        return LogWriter(self, entry, masker)

    async def _row(self, key: Key) -> int:
        """The id of the log's row, which is made if need be, and says that the log is open."""
        values = {"path": str(self._path(key).relative_to(self._folder)), "created_at": time.time()}
        async with self._store.begin() as transaction:
            found = await transaction.one(sa.select(logs.c.id).where(*_where(key)))
            if found is not None:
                await transaction.run(logs.update().where(logs.c.id == found["id"]).values(closed_at=None))
                return int(found["id"])
            insert = logs.insert().values(deployment_id=key[0], instance_id=key[1], **values)
            return await transaction.insert(insert.returning(logs.c.id))

    async def _flush_all(self) -> None:
        """Writes until nothing waits any more. Rests at least twice as long as the writing takes."""
        pause = FLUSH_SECONDS
        while True:
            await asyncio.sleep(pause)
            begun = time.perf_counter()
            waiting = [entry for entry in self._written.values() if entry.waiting]
            if not waiting:
                return
            for entry in waiting:
                async with entry.lock:
                    await self._flush(entry)
                entry.notify()
            pause = max(FLUSH_SECONDS, 2 * (time.perf_counter() - begun))

    async def _flush(self, entry: _Log) -> None:
        """Writes what waits; the entry's lock is held."""
        file = entry.file
        taken, dropped = entry.take()
        if file is None or not taken:
            return
        try:
            await to_the_end(asyncio.to_thread(file.append, _encoded(taken, dropped)))
            entry.failing = False
        except OSError as error:
            entry.dropped += len(taken) + dropped
            if not entry.failing:
                entry.failing = True
                log.warning("log cannot be written", deployment=entry.key[0], instance=entry.key[1], reason=str(error))
        entry.end = file.end

    # ------------------------------------------------------------------ index

    def _entry(self, key: Key) -> _Log:
        entry = self._known.get(key)
        if entry is None:
            entry = self._known[key] = _Log(key)
        return entry

    def _path(self, key: Key) -> Path:
        return self._folder / str(key[0]) / ("deployment" if key[1] is None else f"instance-{key[1]}")

    async def _is_closed(self, key: Key) -> bool:
        row = await self._store.one(sa.select(logs.c.closed_at).where(*_where(key)))
        return row is not None and row["closed_at"] is not None

    async def _record(self, row_id: int, size: int, closed_at: float) -> None:
        change = logs.update().where(logs.c.id == row_id).values(size=size, closed_at=closed_at)
        async with self._store.begin() as transaction:
            await transaction.run(change)

    async def _delete(self, row: Row) -> None:
        async with self._store.begin() as transaction:
            await transaction.run(logs.delete().where(logs.c.id == row["id"]))
        await asyncio.to_thread(shutil.rmtree, self._path(_key(row)), ignore_errors=True)

    def _folders(self) -> set[int]:
        """The deployments that have a folder."""
        return {int(name) for name in os.listdir(self._folder) if name.isdecimal()} if self._folder.is_dir() else set()


def _forget(reading: dict[K, asyncio.Task[LogPage]], key: K, task: asyncio.Task[LogPage]) -> None:
    reading.pop(key, None)
    if not task.cancelled():
        task.exception()  # heard, also where its followers have left


def _key(row: Row) -> Key:
    return row["deployment_id"], row["instance_id"]


def _where(key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    return logs.c.deployment_id == key[0], logs.c.instance_id.is_(None) if key[
        1
    ] is None else logs.c.instance_id == key[1]


def _encoded(lines: deque[tuple[Masker, LogLine]], dropped: int) -> Iterator[bytes]:
    if dropped:
        text = f"… {dropped} lines left out: they could not be written in time …"
        yield encode(LogLine(0, 0, lines[0][1].at, "berth", text, "gap"))
    for masker, line in lines:
        yield encode(replace(line, text=masker.mask(clean(line.text))))
