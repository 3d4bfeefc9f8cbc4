"""Logs over WebSockets: what there is, then what comes, resumable from an offset, for a thousand readers at once.

``/api/deployments/{id}/logs/stream?offset=N`` and ``/api/environments/{id}/logs/stream`` (``?tail=N``, or
``?instance=I&offset=N`` to go on). Each message is one event of :mod:`bot.web.streams` as a JSON object. How it ends:

====  ==================================================================================
1000  that was all: the deployment has ended (or is deleted)
1001  the server stops; come again, from the last ``next_offset``
1008  whoever reads may do so no longer
1011  a mistake inside Berth
1013  the reader took nothing for too long; the reason says from where to go on
====  ==================================================================================

https://www.rfc-editor.org/rfc/rfc6455#section-7.4, https://www.iana.org/assignments/websocket (1013).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.errors import BerthError, NotFoundError, UnavailableError
from bot.store.tables import instances, services
from bot.web import access, sessions
from bot.web.access import Level, Principal
from bot.web.broadcast import Channel, Event, Page, Pages, Position, Reader, Turns, encode
from bot.web.http import MAX_ID, RefusedError, problem
from bot.web.streams import deployment_events, environment_lines, instance_line, line_event, shown_instance

if TYPE_CHECKING:
    from bot.app import Berth

log = structlog.get_logger()

Kind = Literal["deployment", "environment"]
Key = tuple[Kind, int]
STALL_SECONDS = 20.0  # that a reader may take for one batch
_LAST_WORDS = 60.0  # seconds that such a reader has to come round and hear why
CHECK_SECONDS = 60.0  # between two looks whether the reader may still read
_UNTOLD = 10  # such looks in a row at which the forge may fail to say
_MOST = 5_000  # streams at the same time
_PAGE_LINES = 256
_MEMORY_LINES = 200  # with which a channel begins
_TAIL = 100


class LogStreams:
    """The channels that have readers."""

    def __init__(self, berth: Berth) -> None:
        self._berth = berth
        self._turns = Turns()
        self._pages = Pages(self._load)
        self._channels: dict[Key, _Open] = {}

    @asynccontextmanager
    async def reader(self, key: Key, position: Position | None) -> AsyncIterator[Reader]:
        """A reader from ``position`` on. The source is read from when the first reader comes until the last leaves."""
        entry = self._channels.get(key)
        if entry is None or entry.channel.problem is not None:
            channel = Channel(key, self._pages, self._turns)
            run = asyncio.create_task(channel.run(self._events(key)), name=f"stream the log of {key[0]} {key[1]}")
            entry = self._channels[key] = _Open(channel, run)
        entry.readers += 1
        try:
            yield Reader(entry.channel, position)
        finally:
            entry.readers -= 1
            if entry.readers == 0:
                if self._channels.get(key) is entry:
                    del self._channels[key]
                entry.run.cancel()

    async def _events(self, key: Key) -> AsyncGenerator[Event, None]:
        kind, identifier = key
        if kind == "environment":
            events = environment_lines(self._berth, identifier, tail=_MEMORY_LINES, follow=True)
        else:
            end = await self._berth.logs.read(identifier, tail=_MEMORY_LINES)
            events = deployment_events(self._berth, identifier, offset=end.start)
        async with aclosing(events) as found:
            async for event in found:
                yield event

    async def _load(self, key: Key, instance: int, offset: int) -> Page:
        berth = self._berth
        if key[0] == "deployment":
            page = await berth.logs.read(key[1], offset=offset, limit=_PAGE_LINES)
            found = [line_event(line) for line in page.lines if line.kind != "state"]
        else:
            row = await berth.store.one(sa.select(instances.c.deployment_id).where(instances.c.id == instance))
            if row is None:
                return Page([], offset)
            page = await berth.logs.read(row["deployment_id"], instance, offset=offset, limit=_PAGE_LINES)
            found = [instance_line(instance, line) for line in page.lines]
        return Page([encode(event) for event in found], page.next_offset if page.lines else offset)


@dataclass
class _Open:
    channel: Channel
    run: asyncio.Task[None]
    readers: int = 0


@dataclass(eq=False)
class _Connection:
    """A WebSocket that was accepted, until it is closed by either side."""

    websocket: WebSocket
    reader: Reader
    still_allowed: Callable[[], Awaitable[bool]]
    place: Position | None  # from where to go on
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        self.task = asyncio.current_task()
        sending = asyncio.create_task(self._send(), name="send a log")
        ends = {
            sending,
            asyncio.create_task(_until_gone(self.websocket), name="wait for a reader to leave"),
            asyncio.create_task(self.stopping.wait(), name="wait for the server to stop"),
        }
        _connections.add(self)
        try:
            while not (done := (await asyncio.wait(ends, timeout=CHECK_SECONDS, return_when=_FIRST))[0]):
                if not await self.still_allowed():
                    await self._close(1008, "This may not be read any longer.")
                    return
            if self.stopping.is_set():
                await self._close(1001, "The server stops.")
            elif sending in done:
                await self._close(*sending.result())
        finally:
            _connections.discard(self)
            for task in ends:
                task.cancel()
            await asyncio.wait(ends)

    async def _send(self) -> tuple[int, str]:
        """Returns how to close."""
        try:
            while batch := await self.reader.take():
                async with asyncio.timeout(STALL_SECONDS):
                    for message in batch:
                        await self.websocket.send_text(message.text)
                        if message.next_offset is not None:
                            self.place = Position(message.log, message.next_offset)
        except TimeoutError:
            place = self.place or Position(0, 0)
            instance = f"instance {place.log}, " if place.log else ""
            return 1013, f"too slow: resume from {instance}offset {place.offset}"
        except (WebSocketDisconnect, RuntimeError):  # it is gone, or being closed
            return 1000, ""
        except NotFoundError as error:
            return 1000, _short(error.reason)
        except BerthError as error:
            return 1011, _short(error.reason)
        return 1000, ""

    async def _close(self, code: int, reason: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self.websocket.close(code, reason)


_FIRST = asyncio.FIRST_COMPLETED
_connections: set[_Connection] = set()


async def close_streams(patience: float = 2.0) -> None:
    """Tell all readers that the server stops; waits up to ``patience`` seconds for those who do not take it."""
    tasks = {connection.task for connection in _connections if connection.task is not None}
    for connection in _connections:
        connection.stopping.set()
    if tasks:
        await asyncio.wait(tasks, timeout=patience)


def routes(berth: Berth) -> list[BaseRoute]:
    streams = LogStreams(berth)

    def route(path: str, kind: Kind, begin: Callable[[Berth, WebSocket, int], Awaitable[Position | None]]) -> BaseRoute:
        async def answer(websocket: WebSocket) -> None:
            identifier = websocket.path_params["id"]
            try:
                principal, repository_id = await _admit(berth, websocket, kind, identifier)
                position = await begin(berth, websocket, identifier)
                if len(_connections) >= _MOST:
                    raise UnavailableError(f"There are {_MOST} open log streams already.", "Close some, or come later.")
            except BerthError as error:
                await websocket.send_denial_response(problem(error))
                await asyncio.sleep(0)  # uvicorn logs an error where it has not closed the connection by our return
                return
            await websocket.accept()
            async with streams.reader((kind, identifier), position) as reader:
                allowed = _Allowed(berth, websocket, principal, repository_id)
                await _Connection(websocket, reader, allowed.still, position).run()

        return WebSocketRoute(path, answer)

    return [
        route("/api/deployments/{id:int}/logs/stream", "deployment", _deployment_position),
        route("/api/environments/{id:int}/logs/stream", "environment", _environment_position),
    ]


async def _deployment_position(_berth: Berth, websocket: WebSocket, _identifier: int) -> Position:
    return Position(0, _number(websocket, "offset", 0))


async def _environment_position(berth: Berth, websocket: WebSocket, identifier: int) -> Position | None:
    """Where a reader begins. Raises NotFoundError for an instance that is not of this environment."""
    tail, offset = _number(websocket, "tail", _TAIL, most=10_000), _number(websocket, "offset", 0)
    if instance := _number(websocket, "instance", 0, most=MAX_ID):
        query = sa.select(instances.c.id).join_from(instances, services)
        if not await berth.store.one(query.where(instances.c.id == instance, services.c.environment_id == identifier)):
            raise access.missing("instance", instance)
        return Position(instance, offset)
    row = await shown_instance(berth, identifier)
    if row is None:
        return None
    page = await berth.logs.read(row["deployment_id"], row["id"], tail=tail)
    return Position(row["id"], page.start)


async def _admit(berth: Berth, websocket: WebSocket, kind: Kind, identifier: int) -> tuple[Principal, int | None]:
    """Who reads, and the repository. Raises RefusedError: 401, 403; NotFoundError for what they may not see."""
    principal = await _principal(berth, websocket)
    if identifier > MAX_ID:
        raise access.missing(kind, identifier)
    repository_id = await access.owner(berth.store, kind, identifier)
    if await access.level(berth, principal, repository_id) < Level.READ:
        raise access.missing(kind, identifier)
    return principal, repository_id


async def _principal(berth: Berth, websocket: WebSocket) -> Principal:
    """By bearer token, or by session; a browser brings the cookie along from any site, so its page must be ours."""
    principal = None
    scheme, _, token = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        principal = await access.bearer(berth, token.strip(), stream=True)
    elif websocket.cookies.get(sessions.COOKIE):
        if not _from_our_own_page(websocket, berth.config.effective_public_url):
            raise RefusedError(403, "Only Berth's own pages may read logs with a session.", "Use a token.")
        principal = await sessions.principal(websocket, keep=False)
    if principal is None:
        raise RefusedError(401, "This needs a token.", "Send `Authorization: Bearer` and a token, or sign in.")
    return principal


@dataclass
class _Allowed:
    """Whether the reader may still read: a stream may be open for days."""

    berth: Berth
    websocket: WebSocket
    principal: Principal
    repository_id: int | None
    untold: int = 0

    async def still(self) -> bool:
        try:
            now = await _principal(self.berth, self.websocket)
            level = await access.level(self.berth, now, self.repository_id)
        except UnavailableError:
            self.untold += 1
            return self.untold < _UNTOLD
        except BerthError:
            return False
        self.untold = 0
        return now == self.principal and level >= Level.READ


def _from_our_own_page(websocket: WebSocket, public_url: str) -> bool:
    """Whether ``Origin``, which every browser sends (RFC 6455, 10.2), is the address that was asked, or our public one.

    An application on another port of our host is another origin.
    """
    origin = websocket.headers.get("origin", "").lower()
    public = urlsplit(public_url)
    asked = websocket.headers.get("host", "-").lower()
    return origin == f"{public.scheme}://{public.netloc}".lower() or origin in (f"http://{asked}", f"https://{asked}")


async def _until_gone(websocket: WebSocket) -> None:
    """Whatever the reader says is not heard; returns when it has left."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _number(websocket: WebSocket, name: str, default: int, *, most: int = 2**62) -> int:
    text = websocket.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most:
        return int(text)
    raise RefusedError(422, f"{name} must be a whole number from 0 to {most}.")


def _short(reason: str) -> str:
    """At most the 123 bytes that a close frame has room for."""
    return reason.encode()[:123].decode(errors="ignore")
