"""The outbox's sender: reports leave in the order of their making, and only the latest of a subject leaves.

A report is written in the transaction of the change that it tells of, so it is sent at least once, and perhaps twice
after a crash: forges must bear the same report again.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from bot.store.database import Row, Store
from bot.store.tables import outbox, repositories

log = structlog.get_logger()

MAX_DESCRIPTION = 140  # characters of a commit status, as GitHub has it
FIRST_DELAY = 2.0  # seconds until the second attempt; doubled for each further one
LONGEST_DELAY = 300.0
FURTHEST = 7_200.0  # whatever a forge asks for; what lies further ahead was written before the clock was set back
GIVE_UP = 3 * 86_400.0  # seconds after which nobody needs a report any more
DOUBTS = 4  # attempts after which a doubtful refusal is believed
SEND_TIMEOUT = 120.0  # of all the requests of one report
STUMBLE = 5.0  # seconds after a fault of ours
POLL = 30.0  # seconds until the outbox is looked at although nobody woke us
GATHER = 0.5  # seconds after a wake: of the phases that pass quickly only the last is told
BATCH = 200


class ForgeReporter(Protocol):
    """Where reports go."""

    progress_seconds: float  # at least so much between two reports of mere progress on one subject

    async def report(self, repository: Row, kind: str, body: Mapping[str, Any]) -> None:
        """Send one report: ``kind`` is status, deployment, comment or removal.

        Raises ReportRefused when it will never be accepted, ReportDelayed when the forge asks to wait or is away,
        ReportUnfinished when a part is done, and anything else for a failure that may pass.
        """
        ...


class ReportRefused(Exception):  # noqa: N818 - an outcome
    """The forge does not accept this report, now or later. ``final`` False: it is asked a few times more."""

    def __init__(self, reason: str, *, final: bool = True) -> None:
        super().__init__(reason)
        self.final = final


class ReportDelayed(Exception):  # noqa: N818 - an outcome
    """The forge wants the report after ``seconds``. ``all_of_them``: and nothing else of that installation before."""

    def __init__(self, seconds: float, reason: str = "", *, all_of_them: bool = False) -> None:
        super().__init__(reason or f"asked to wait for {seconds:.0f} seconds")
        self.seconds = seconds
        self.all_of_them = all_of_them


class ReportUnfinished(Exception):  # noqa: N818 - an outcome
    """A part of a long report is done; the rest has its turn after the others."""


# reports of one group leave one by one: forge, and GitHub's installation
_Group = tuple[int, int | None]


class OutboxSender:
    """One task that sends. ``forges`` (forge id -> reporter) may change while it runs.

    Groups do not wait for each other. While a forge is away it is asked with one report of a group at a time, at longer
    and longer intervals; when one gets through, the others follow at once.
    """

    def __init__(self, store: Store, forges: dict[int, ForgeReporter], clock: Callable[[], float] = time.time) -> None:
        self.forges = forges
        self._store = store
        self._clock = clock
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sending: dict[_Group, asyncio.Task[None]] = {}
        self._failures: dict[_Group, int] = {}  # in a row
        self._told: dict[tuple[int, str], float] = {}  # repository and subject -> when progress was last told

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox")

    async def close(self) -> None:
        """Stop; what is not sent yet stays in the outbox. Idempotent."""
        tasks = [task for task in (self._task, *self._sending.values()) if task is not None]
        self._task = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def wake(self) -> None:
        """There is something new: look soon."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                delay = await self._start_due()
            except Exception:
                log.exception("the outbox stumbled and goes on")
                delay = POLL
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._woken.wait()
                await asyncio.sleep(GATHER)

    async def send_due(self) -> float:
        """Send what is due now, and wait for that. Returns after how many seconds to look again."""
        delay = await self._start_due()
        if not self._sending:
            return delay
        await asyncio.wait(list(self._sending.values()))
        return 0.0  # there may be more, and failures have got their next time

    async def _start_due(self) -> float:
        """Begin to send what is due and not of a group that is busy. Returns after how many seconds to look again."""
        newest = (
            sa.select(sa.func.max(outbox.c.id))
            .where(outbox.c.sent_at.is_(None))
            .group_by(outbox.c.repository_id, outbox.c.subject)
        )
        query = (
            sa.select(outbox, repositories.c.forge_id, repositories.c.installation_id)
            .join_from(outbox, repositories)
            .where(outbox.c.id.in_(newest))
            .order_by(outbox.c.not_before, outbox.c.id)
            .limit(BATCH)
        )
        now = self._clock()
        soonest = now + POLL
        groups: dict[_Group, list[Row]] = defaultdict(list)
        waiting: set[tuple[int, str]] = set()
        for row in sorted(await self._store.all(query), key=lambda row: int(row["id"])):
            group = row["forge_id"], row["installation_id"]
            due = self._due(row)
            if now < due <= now + FURTHEST:
                soonest = min(soonest, due)
                waiting.add(_lane(row))
            elif group not in self._sending and _lane(row) not in waiting:
                groups[group].append(row)  # a group that is busy looks again when it is done
        for group, rows in groups.items():
            sending = self._send_group(group, _in_turn(rows))
            self._sending[group] = asyncio.create_task(sending, name=f"reports of {group}")
        return max(0.05, soonest - now)

    def _due(self, row: Row) -> float:
        """When the report may be sent, in seconds since 1970."""
        told = self._told.get((row["repository_id"], row["subject"]))
        forge = self.forges.get(row["forge_id"])
        if told is None or forge is None or not json.loads(row["body_json"]).get("progress"):
            return float(row["not_before"])
        return max(float(row["not_before"]), told + forge.progress_seconds)

    async def _send_group(self, group: _Group, rows: Sequence[Row]) -> None:
        """One report after the other, until all were tried or the forge turns out to be away."""
        stuck: set[tuple[int, str]] = set()
        try:
            for index, row in enumerate(rows):
                if _lane(row) in stuck:
                    continue
                outcome = await self._send(group, row)
                if outcome is None:
                    stuck.add(_lane(row))
                elif outcome:
                    await self._hold(rows[index + 1 :], outcome)
                    break
        except Exception:
            log.exception("the outbox stumbled and goes on")
            await asyncio.sleep(STUMBLE)
        finally:
            del self._sending[group]
            self.wake()

    async def _send(self, group: _Group, row: Row) -> float | None:
        """One attempt, and what became of it.

        Returns how many seconds nothing more of the group may be sent; None where it is to be sent again.
        """
        repository = await self._store.one(sa.select(repositories).where(repositories.c.id == row["repository_id"]))
        forge = self.forges.get(row["forge_id"])
        body = json.loads(row["body_json"])
        refusal = ""
        try:
            if forge is None or repository is None:
                raise LookupError("the repository's forge is not configured")
            async with asyncio.timeout(SEND_TIMEOUT):
                await forge.report(repository, row["kind"], body)
        except ReportUnfinished:
            return 0.0
        except ReportRefused as error:
            if not error.final and row["attempts"] < DOUBTS:
                await self._postpone(row, error, backoff(row["attempts"]))
                return None
            refusal = str(error) or "refused"
            log.warning("a report was refused", subject=row["subject"], error=refusal)
        except ReportDelayed as error:
            if not error.all_of_them:
                await self._postpone(row, error, max(error.seconds, backoff(row["attempts"])))
                return None
            failures = self._failures[group] = self._failures.get(group, 0) + 1
            delay = max(error.seconds, backoff(failures - 1))
            await self._postpone(row, error, delay)
            return delay
        except Exception as error:
            await self._postpone(row, error, backoff(row["attempts"]))
            return None
        await self._mark_sent(row, refusal)
        self._note(row, body)
        if self._failures.pop(group, 0):
            await self._release(group)
        return 0.0

    def _note(self, row: Row, body: Mapping[str, Any]) -> None:
        key = (row["repository_id"], row["subject"])
        self._told.pop(key, None)
        if "progress" in body:
            self._told[key] = self._clock()
        while len(self._told) > 1_000:
            del self._told[next(iter(self._told))]

    async def _mark_sent(self, row: Row, refusal: str) -> None:
        """This one, and the older ones of its subject, which nobody needs any more."""
        subject = (outbox.c.repository_id == row["repository_id"], outbox.c.subject == row["subject"])
        older = sa.update(outbox).where(*subject, outbox.c.id < row["id"], outbox.c.sent_at.is_(None))
        this = sa.update(outbox).where(outbox.c.id == row["id"])
        async with self._store.begin() as tx:
            await tx.run(older.values(sent_at=self._clock(), last_error=f"superseded by {row['id']}"))
            await tx.run(this.values(sent_at=self._clock(), last_error=refusal, attempts=row["attempts"] + 1))

    async def _postpone(self, row: Row, error: Exception, delay: float) -> None:
        """Try again after ``delay`` seconds, unless it is too late for that."""
        words = f"{type(error).__name__}: {error}"[:1_000]
        now, delay = self._clock(), min(delay, FURTHEST)
        if now - row["created_at"] > GIVE_UP:
            log.error("a report is given up", subject=row["subject"], error=words)
            await self._mark_sent(row, f"given up: {words}")
            return
        log.warning("a report could not be sent", subject=row["subject"], error=words, retry_in=round(delay))
        values = {"attempts": row["attempts"] + 1, "not_before": now + delay, "last_error": words}
        async with self._store.begin() as tx:
            await tx.run(sa.update(outbox).where(outbox.c.id == row["id"]).values(values))

    async def _hold(self, rows: Sequence[Row], delay: float) -> None:
        """These wait too, without having been tried."""
        change = sa.update(outbox).where(outbox.c.id.in_([row["id"] for row in rows]))
        async with self._store.begin() as tx:
            await tx.run(change.values(not_before=self._clock() + min(delay, FURTHEST)))

    async def _release(self, group: _Group) -> None:
        """The forge is back: what waits for it need not wait any longer."""
        forge_id, installation_id = group
        of_group = sa.select(repositories.c.id).where(
            repositories.c.forge_id == forge_id, repositories.c.installation_id.is_not_distinct_from(installation_id)
        )
        change = sa.update(outbox).where(outbox.c.sent_at.is_(None), outbox.c.repository_id.in_(of_group))
        async with self._store.begin() as tx:
            await tx.run(change.values(not_before=0))


def _lane(row: Row) -> tuple[int, str]:
    """Reports with the same answer must arrive in the order of their making: deployments of one environment."""
    if row["kind"] == "deployment":
        return row["repository_id"], f"environment:{json.loads(row['body_json']).get('environment')}"
    return row["repository_id"], row["subject"]


def _in_turn(rows: Sequence[Row]) -> list[Row]:
    """Those first that failed least often, so that one that always fails holds up nobody but its own lane."""
    least: dict[tuple[int, str], int] = {}
    for row in rows:
        least[_lane(row)] = min(row["attempts"], least.get(_lane(row), row["attempts"]))
    return sorted(rows, key=lambda row: (least[_lane(row)], row["id"]))


def backoff(attempts: int) -> float:
    """Seconds until the next attempt after ``attempts`` + 1 failed ones: doubled each time, capped, with jitter."""
    longest: float = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempts, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
