"""Deliveries of a forge that wants its answer quickly: stored at once, decided a moment later.

The stored row is the work: one whose decision is still ``received`` is decided on after a crash too, in the order of
arrival. Deliveries that come at the same time are stored in one transaction, because flushing to the disk is what takes
the time. While many come, answering goes first: GitHub gives up after ten seconds
(https://docs.github.com/webhooks/using-webhooks/best-practices-for-using-webhooks).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
import structlog

from bot.store.database import Insertion, Row, Store
from bot.store.tables import deliveries

log = structlog.get_logger()

RECEIVED = "received"  # the decision of a delivery that waits for one
MOST_AT_ONCE = 100  # deliveries in one transaction
DECIDED_AT_ONCE = 50  # deliveries loaded at the same time
QUIET_SECONDS = 0.02  # without a delivery after which deciding goes at full speed
PAUSE_SECONDS = 1.0  # between two decisions until then, at most
CROWD = 8  # deliveries in one transaction that mean that many senders wait at the same time …
CROWD_SECONDS = 10.0  # … for whom deciding gives way longer: each decision holds the only writer up for a while
POLL_SECONDS = 30.0


class Inbox:
    """The deliveries of one forge. ``decide`` gets the row of each in turn, and must change its decision."""

    def __init__(self, store: Store, forge_id: int, decide: Callable[[Row], Awaitable[None]]) -> None:
        self._store = store
        self._forge_id = forge_id
        self._decide = decide
        self._insertion: Insertion | None = None
        self._coming: deque[tuple[dict[str, Any], asyncio.Future[bool]]] = deque()
        self._arrived = asyncio.Event()
        self._stored = asyncio.Event()
        self._last = 0.0  # when one was stored, on the monotonic clock
        self._together = 0  # how many were stored with it
        self._storing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._stored.set()  # there may be some from before
        self._tasks = [
            asyncio.create_task(self._store_all(), name="inbox storing"),
            asyncio.create_task(self._decide_all(), name="inbox deciding"),
        ]

    async def close(self) -> None:
        """What is stored is decided after the next start. Idempotent."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        while self._coming:
            self._coming.popleft()[1].cancel()

    async def put(self, hook_id: str, delivery_id: str, **values: Any) -> bool:
        """Whether the delivery is new. Returns when it is on the disk; raises what storing raised."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        key = {"forge_id": self._forge_id, "hook_id": hook_id, "delivery_id": delivery_id}
        stamp = {"received_at": time.time(), "decision": RECEIVED, "reason": ""}
        self._coming.append((key | values | stamp, done))
        self._arrived.set()
        return await done

    async def _store_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._coming:
                batch = [self._coming.popleft() for _ in range(min(MOST_AT_ONCE, len(self._coming)))]
                self._storing = True
                try:
                    await self._store_batch(batch)
                except BaseException as error:
                    for _, done in batch:
                        if not done.done():
                            done.cancel() if isinstance(error, asyncio.CancelledError) else done.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
                    log.error("deliveries could not be stored", number=len(batch), error=str(error))
                finally:
                    self._storing = False

    async def _store_batch(self, batch: list[tuple[dict[str, Any], asyncio.Future[bool]]]) -> None:
        rows = [values for values, _ in batch]
        if self._insertion is None:
            self._insertion = Insertion(self._store, deliveries, rows[0], ("hook_id", "delivery_id"))
        found = await self._store.insert_new(self._insertion, rows)
        made = {(row["hook_id"], row["delivery_id"]) for row in found}
        self._last, self._together = time.monotonic(), len(batch)
        self._stored.set()
        for values, done in batch:
            key = values["hook_id"], values["delivery_id"]
            if not done.done():  # whoever waited may have gone
                done.set_result(key in made)
            made.discard(key)

    async def _decide_all(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._stored.wait()
            self._stored.clear()
            try:
                await self._decide_stored()
            except Exception:
                log.exception("the inbox stumbled and goes on")
                await asyncio.sleep(1.0)
                self._stored.set()

    async def _decide_stored(self) -> None:
        waiting = sa.select(deliveries).where(
            deliveries.c.forge_id == self._forge_id, deliveries.c.decision == RECEIVED
        )
        newest = 0
        while rows := await self._store.all(
            waiting.where(deliveries.c.id > newest).order_by(deliveries.c.id).limit(DECIDED_AT_ONCE)
        ):
            for row in rows:
                newest = row["id"]
                await self._give_way()
                await self._decide(row)

    async def _give_way(self) -> None:
        """Answering goes first: waits until nothing comes, but not for ever."""
        end = time.monotonic() + (CROWD_SECONDS if self._together >= CROWD else PAUSE_SECONDS)
        while time.monotonic() < end and self._busy():  # noqa: ASYNC110 - no event tells that nothing happens
            await asyncio.sleep(QUIET_SECONDS)

    def _busy(self) -> bool:
        return bool(self._coming) or self._storing or time.monotonic() - self._last < QUIET_SECONDS
