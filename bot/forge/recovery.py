"""Deliveries that never arrived: GitHub keeps them for three days and never repeats them by itself.

https://docs.github.com/webhooks/using-webhooks/automatically-redelivering-failed-deliveries-for-a-github-app-webhook
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog

from bot.forge.github import GitHub, GitHubError
from bot.forge.inventory import Inventory
from bot.store.database import Store
from bot.store.tables import deliveries

log = structlog.get_logger()

FIRST = 5.0  # seconds after the start: until then we do not listen ourselves
SECOND = 60.0  # seconds after that: what failed while we started may not have been listed yet
INTERVAL = 600.0  # seconds
COMPARE_INTERVAL = 6 * 3_600.0  # seconds
HORIZON = 3 * 86_400.0  # seconds that GitHub keeps deliveries
_FIRST_PAUSE = 300.0  # seconds after the first failed redelivery; doubled for each further one
_MOST_ATTEMPTS = 8
_MOST_AT_ONCE = 50
_MOST_LISTED = 1_000
_REFUSED = {400, 413}  # our own answers to what will not be better the next time


@dataclass(frozen=True)
class Lost:
    """An event of which every attempt failed."""

    guid: str
    event: str
    newest_id: int  # of the attempt that is repeated
    first_at: float
    newest_at: float
    attempts: int

    def due(self, now: float) -> bool:
        """Whether to try again: at once after the first attempt, then less and less often."""
        if self.attempts > _MOST_ATTEMPTS or now - self.first_at > HORIZON:
            return False
        pause = 0.0 if self.attempts == 1 else _FIRST_PAUSE * 2.0 ** (self.attempts - 2)
        return now - self.newest_at >= pause


class Recovery:
    """One task that looks for them at the start and every ten minutes, and more rarely compares the repositories."""

    def __init__(
        self, github: GitHub, store: Store, inventory: Inventory | None = None, *, first: float = FIRST
    ) -> None:
        self._github = github
        self._store = store
        self._inventory = inventory
        self._first = first
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recovery of deliveries")

    async def close(self) -> None:
        """Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        await asyncio.sleep(self._first)
        compare_at, following = 0.0, SECOND
        while True:
            pause, following = following, INTERVAL
            try:
                await self.sweep()
                if self._inventory is not None and time.monotonic() >= compare_at:
                    await self._inventory.compare()
                    compare_at = time.monotonic() + COMPARE_INTERVAL
            except GitHubError as error:
                pause = max(pause, error.retry_after or 0.0)
                log.warning("GitHub does not tell what was missed", reason=error.reason)
            except Exception:
                log.exception("the recovery of deliveries stumbled and goes on")
            await asyncio.sleep(pause)

    async def sweep(self, now: float | None = None) -> int:
        """Ask GitHub to repeat what did not arrive; how many it was asked for. Raises GitHubError."""
        now = time.time() if now is None else now
        listed = await self._github.collect(
            "/app/hook/deliveries", installation_id=None, params={"status": "failure"}, most=_MOST_LISTED
        )
        lost = [one for one in lost_events(listed) if one.due(now)]
        known = await self._known([one.guid for one in lost])
        asked = 0
        for one in [one for one in lost if one.guid not in known][:_MOST_AT_ONCE]:
            await self._redeliver(one)
            asked += 1
        if asked:
            log.info("asked GitHub for deliveries that failed", count=asked)
        return asked

    async def _known(self, guids: list[str]) -> set[str]:
        """Those that are stored here: they arrived, only our answer came too late."""
        found: set[str] = set()
        for start in range(0, len(guids), 200):
            query = sa.select(deliveries.c.delivery_id).where(deliveries.c.delivery_id.in_(guids[start : start + 200]))
            found.update(row["delivery_id"] for row in await self._store.all(query))
        return found

    async def _redeliver(self, one: Lost) -> None:
        try:
            await self._github.request("POST", f"/app/hook/deliveries/{one.newest_id}/attempts", installation_id=None)
        except GitHubError as error:
            if error.status not in (404, 422):  # GitHub does not keep it any more
                raise
            log.info("a delivery cannot be repeated", kind=one.event, guid=one.guid, reason=error.message)


def lost_events(listed: list[Any]) -> list[Lost]:
    """The events behind failed attempts as ``GET /app/hook/deliveries`` lists them, oldest first.

    Left out: what we refused ourselves, and what cannot be read.
    """
    attempts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for item in listed:
        if isinstance(item, dict) and isinstance(item.get("guid"), str) and isinstance(item.get("id"), int):
            attempts[item["guid"]].append(item)
    found = []
    for guid, items in attempts.items():
        items.sort(key=_moment)
        newest = items[-1]
        if newest.get("status_code") not in _REFUSED:
            event = str(newest.get("event"))
            found.append(Lost(guid, event, newest["id"], _moment(items[0]), _moment(newest), len(items)))
    return sorted(found, key=lambda one: one.first_at)


def _moment(item: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(item.get("delivered_at"))).timestamp()
    except ValueError:
        return 0.0
