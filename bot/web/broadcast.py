"""One source of events for any number of readers: it is read once, put into JSON once, and kept in one place.

A :class:`Channel` reads its source and remembers the last megabytes of it. A reader is a position in that memory and
has no buffer of its own, so one that is slow costs nothing and holds up nobody; what the memory no longer has, or
did not have yet, it reads from the log's files, in pages that readers at the same place share. When there is news,
waiting readers go on a few at a time (:class:`Turns`), so that a thousand of them do not keep the event loop busy for
seconds on end.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog

from bot.errors import BerthError

log = structlog.get_logger()

Event = dict[str, Any]
_REMEMBERED = 4_000_000  # characters of JSON that a channel keeps; when there are more, the older half goes
_BATCH = 64  # messages that a reader gets at a time
_BATCH_SIZE = 64_000  # characters after which a batch ends
_GATHER = 0.03  # seconds that news waits for more, so that readers wake up once for both
_PAGES = 32  # that all readers share
_AT_A_TIME = 8  # readers that go on in one pass of the event loop


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is sent. ``log``: the instance that printed the line, 0 for a deployment's own log.

    ``offset`` and ``next_offset`` are None for what is no line of a log.
    """

    text: str
    log: int
    offset: int | None
    next_offset: int | None


def encode(event: Event) -> Message:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return Message(text, event.get("instance", 0), event["offset"], event["next_offset"])


@dataclass(frozen=True)
class Position:
    """The offset in a log at which a reader goes on."""

    log: int
    offset: int


@dataclass(frozen=True)
class Page:
    """Lines of a log's file from some offset on; ``next_offset`` is where the next page begins.

    That is the offset itself at the end of the log. There may be no message for a line.
    """

    messages: list[Message]
    next_offset: int


class Turns:
    """Lets tasks go on a few at a time, with the event loop looking at its sockets in between."""

    def __init__(self, at_a_time: int = _AT_A_TIME) -> None:
        self._at_a_time = at_a_time
        self._queue: deque[asyncio.Future[None]] = deque()
        self._giving = False

    async def wait(self) -> None:
        """Until it is the caller's turn."""
        turn = asyncio.get_running_loop().create_future()
        self.add([turn])
        await turn

    def add(self, waiting: list[asyncio.Future[None]]) -> None:
        """Those who wait for these futures join the queue."""
        self._queue.extend(waiting)
        if not self._giving and self._queue:
            self._giving = True
            asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        given = 0
        while self._queue and given < self._at_a_time:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                given += 1
        self._giving = bool(self._queue)
        if self._giving:
            asyncio.get_running_loop().call_soon(self._give)


class Pages:
    """Pages of logs, read once for all who ask for the same one at about the same time."""

    def __init__(self, load: Callable[[Any, int, int], Awaitable[Page]]) -> None:
        """``load(channel's key, log, offset)`` reads a page."""
        self._load = load
        self._tasks: OrderedDict[tuple[Any, int, int], asyncio.Task[Page]] = OrderedDict()

    async def page(self, key: Any, log: int, offset: int) -> Page:
        name = (key, log, offset)
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.create_task(self._read(name), name="read a page of a log")
            task.add_done_callback(_heard)
            while len(self._tasks) > _PAGES:
                self._tasks.popitem(last=False)
        else:
            self._tasks.move_to_end(name)
        return await asyncio.shield(task)

    async def _read(self, name: tuple[Any, int, int]) -> Page:
        page = None
        try:
            page = await self._load(*name)
            return page
        finally:
            if page is None or page.next_offset == name[2]:  # there may be more the next time
                self._tasks.pop(name, None)


def _heard(task: asyncio.Task[Page]) -> None:
    """Its error is no surprise to anybody, also where all who asked have left."""
    if not task.cancelled():
        task.exception()


class Channel:
    """A source of events, for as long as it has readers."""

    def __init__(self, key: Any, pages: Pages, turns: Turns) -> None:
        self.key = key
        self.pages, self.turns = pages, turns
        self.ended = False
        self.problem: BerthError | None = None  # why it ended early
        self.first = 0  # number of the oldest message that is remembered
        self.state: tuple[int, Message] | None = None  # number of the newest message that is no line, and the message
        self._recent: list[Message] = []
        self._size = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._waking: asyncio.TimerHandle | None = None

    async def run(self, events: AsyncGenerator[Event, None]) -> None:
        """Reads the source to its end. Raises nothing: readers are told."""
        try:
            async with aclosing(events):
                async for event in events:
                    self._put(encode(event))
        except BerthError as error:
            self.problem = error
        except Exception:
            log.exception("a log stream stumbled", stream=self.key)
            self.problem = BerthError("A mistake inside Berth ended the stream.", "The server's log says more.")
        finally:
            self.ended = True
            self._wake()

    def message(self, number: int) -> Message | None:
        """None for one that is still to come. ``number`` is :attr:`first` or larger."""
        index = number - self.first
        return self._recent[index] if index < len(self._recent) else None

    async def news(self) -> None:
        """Until there is more, or the source has ended."""
        coming = asyncio.get_running_loop().create_future()
        self._waiting.add(coming)
        try:
            await coming
        finally:
            self._waiting.discard(coming)

    def _put(self, message: Message) -> None:
        if message.offset is None:
            self.state = (self.first + len(self._recent), message)
        self._recent.append(message)
        self._size += len(message.text)
        if self._size > _REMEMBERED:
            self._forget()
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(_GATHER, self._wake)

    def _forget(self) -> None:
        count = 0
        while self._size > _REMEMBERED // 2 and count < len(self._recent) - 1:
            self._size -= len(self._recent[count].text)
            count += 1
        del self._recent[:count]
        self.first += count

    def _wake(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        self.turns.add(list(self._waiting))
        self._waiting.clear()


class Reader:
    """Reads a channel at its own pace, from a position on; from what the channel remembers on where that is None."""

    def __init__(self, channel: Channel, position: Position | None) -> None:
        self.position = position  # where it goes on, also after an interruption
        self._channel = channel
        self._number = -1  # of the next message
        self._told = -1  # number of the newest message that was no line
        self._in_step = position is None  # whether the position is where the channel has been
        self._rest: list[Message] = []  # of a page

    async def take(self) -> list[Message]:
        """The next messages; waits for them. None at all: that was the end.

        Raises BerthError when the source failed.
        """
        channel = self._channel
        await channel.turns.wait()
        while True:
            batch, blocked = self._from_memory()
            if batch:
                return batch
            if blocked is not None:
                await self._read_page(blocked)
            elif channel.ended:
                if channel.problem is not None:
                    raise channel.problem
                return []
            else:
                await channel.news()

    def _from_memory(self) -> tuple[list[Message], Message | None]:
        """What comes next, and the remembered line before which some are missing."""
        channel = self._channel
        batch, self._rest = self._rest[:_BATCH], self._rest[_BATCH:]
        if batch:
            return batch, None
        if self._number < channel.first:  # it has just come, or was overtaken
            self._number = channel.first
            if channel.state is not None and self._told < channel.state[0] < channel.first:
                self._told, state = channel.state
                batch.append(state)
        size = 0
        while size < _BATCH_SIZE and len(batch) < _BATCH and (message := channel.message(self._number)) is not None:
            if message.offset is None or message.next_offset is None:
                self._told = self._number
                batch.append(message)
            elif self._is_missing_lines(message):
                return batch, message
            elif self.position is None or message.offset == self.position.offset:
                self.position = Position(message.log, message.next_offset)
                batch.append(message)
            size += len(message.text)
            self._number += 1
        return batch, None

    def _is_missing_lines(self, message: Message) -> bool:
        """Whether there are lines between the position and the message, which is a line."""
        offset = message.offset or 0
        if self.position is not None and message.log != self.position.log:
            if not self._in_step:
                return True
            self.position = Position(message.log, 0)
        self._in_step = True
        return self.position is not None and offset > self.position.offset

    async def _read_page(self, until: Message) -> None:
        """The next lines before ``until`` from the log's file."""
        assert self.position is not None
        assert until.offset is not None
        log, offset = self.position.log, self.position.offset
        page = await self._channel.pages.page(self._channel.key, log, offset)
        if page.next_offset > offset:
            self.position = Position(log, page.next_offset)
            self._rest = page.messages
            if log == until.log and page.next_offset > until.offset:
                self.position = Position(log, until.offset)
                self._rest = [one for one in page.messages if one.offset is not None and one.offset < until.offset]
        elif log == until.log:  # they are no longer there
            self.position = Position(log, until.offset)
        else:
            self.position = Position(until.log, 0)
        await self._channel.turns.wait()
