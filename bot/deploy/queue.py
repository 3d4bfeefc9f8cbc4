"""Durable work: rows that are claimed with a lease, one at a time per environment.

A worker that dies leaves a lease that runs out; the work is then done again from its beginning, which every kind of
work allows. A clean shutdown gives its work back at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog

from bot.deploy import states
from bot.engine.wire import to_the_end
from bot.errors import BerthError
from bot.store.database import Row, Store, Transaction
from bot.store.tables import work

log = structlog.get_logger()

MAX_ATTEMPTS = 3  # then the work itself is taken for what stops the server
POLL_SECONDS = 5.0
LONGEST_PAUSE = 900.0  # a ``not_before`` further away than this was written before the clock was set back


class WorkCancelled(Exception):  # noqa: N818 - an outcome, not an error
    """The work was asked to stop: ``state`` is cancelled or superseded, ``reason`` says by whom."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


class WorkPostponed(Exception):  # noqa: N818 - an outcome, not an error
    """The work cannot be done now, through no fault of its own: it is tried again after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass
class Lease:
    """A piece of work in the hands of this process."""

    row: Row
    task: asyncio.Task[None] | None = None
    cancelled: WorkCancelled | None = None
    committed: bool = False  # past its commit point: it can no longer be cancelled
    ended: bool = False  # only its end has still to be written down

    async def commit(self, tx: Transaction) -> None:
        """Called in the transaction that makes the work take effect. Raises WorkCancelled if that was called off."""
        row = await tx.one(sa.select(work.c.cancel_state, work.c.cancel_reason).where(work.c.id == self.row["id"]))
        if row is not None and row["cancel_state"]:
            raise WorkCancelled(row["cancel_state"], row["cancel_reason"])
        self.committed = True


@dataclass
class Queue:
    """Hands out work until it is closed. ``execute(lease)`` does one piece; it raises BerthError when it failed."""

    store: Store
    execute: Callable[[Lease], Awaitable[None]]
    owner: str
    lease_seconds: float
    parallel: int = 16
    _leases: dict[int, Lease] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _loop: asyncio.Task[None] | None = None
    _closing: bool = False

    async def start(self) -> None:
        """Takes back all work of earlier processes (the lock on the data folder says that they are gone)."""
        async with self.store.begin() as tx:
            await tx.run(
                sa.update(work)
                .where(work.c.state == "running")
                .values(state="queued", lease_owner=None, lease_until=None)
            )
        self._loop = asyncio.create_task(self._run(), name="queue")

    async def close(self) -> None:
        """Stops all work, which stays queued for the next start, and waits until it has stopped. Idempotent."""
        self._closing = True
        self.wake()
        if self._loop is not None:
            await self._loop
            self._loop = None
        tasks = [lease.task for lease in self._leases.values() if lease.task]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def wake(self) -> None:
        """Something was queued or called off: look at once."""
        self._wake.set()

    def is_running(self, environment_id: int) -> bool:
        return any(lease.row["environment_id"] == environment_id for lease in self._leases.values())

    async def wait(self, work_id: int, timeout: float) -> Row | None:
        """The work's row, as soon as it is done or after ``timeout`` seconds."""
        query = sa.select(work).where(work.c.id == work_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changed:
                while (row := await self.store.one(query)) and row["state"] != "done":
                    await self._changed.wait()
        return await self.store.one(query)

    async def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                await self._heartbeat()
                await self._take_over()
                while len(self._leases) < self.parallel and (row := await self._claim()) is not None:
                    lease = Lease(row)
                    self._leases[row["id"]] = lease
                    lease.task = asyncio.create_task(self._work(lease), name=f"work {row['id']}")
            except Exception:
                log.exception("the queue stumbled and goes on")
                await asyncio.sleep(1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(POLL_SECONDS, self.lease_seconds / 3)):
                    await self._wake.wait()

    async def _claim(self) -> Row | None:
        """The oldest queued work of an environment in which nothing runs.

        Work that was postponed is waited for by what was asked of its environment after it: a removal that came before
        a push must not come after it.
        """
        now = time.time()
        busy = sa.select(work.c.environment_id).where(work.c.state == "running")
        oldest = sa.select(sa.func.min(work.c.id)).where(work.c.state == "queued").group_by(work.c.environment_id)
        due = sa.or_(work.c.not_before <= now, work.c.not_before > now + LONGEST_PAUSE)
        async with self.store.begin() as tx:
            row = await tx.one(
                sa.select(work)
                .where(work.c.id.in_(oldest), due, work.c.environment_id.not_in(busy))
                .order_by(work.c.id)
                .limit(1)
            )
            if row is None:
                return None
            rows = await tx.all(
                sa.update(work)
                .where(work.c.id == row["id"], work.c.state == "queued")
                .values(
                    state="running",
                    attempts=work.c.attempts + 1,
                    lease_owner=self.owner,
                    lease_until=now + self.lease_seconds,
                )
                .returning(*work.c)
            )
            return rows[0] if rows else None

    async def _heartbeat(self) -> None:
        """Extends our leases, and passes on that work was called off."""
        if not self._leases:
            return
        async with self.store.begin() as tx:
            rows = await tx.all(
                sa.update(work)
                .where(work.c.id.in_(list(self._leases)), work.c.state == "running")
                .values(lease_until=time.time() + self.lease_seconds)
                .returning(work.c.id, work.c.cancel_state, work.c.cancel_reason)
            )
        for row in rows:
            lease = self._leases.get(row["id"])
            if lease is None or lease.task is None or lease.cancelled or lease.committed or lease.ended:
                continue
            if row["cancel_state"]:
                lease.cancelled = WorkCancelled(row["cancel_state"], row["cancel_reason"])
                lease.task.cancel()

    async def _take_over(self) -> None:
        """Queues work again whose lease ran out: nobody has it in hand any more."""
        lost = sa.and_(
            work.c.state == "running", work.c.lease_until < time.time(), work.c.id.not_in(list(self._leases))
        )
        if await self.store.one(sa.select(work.c.id).where(lost).limit(1)) is None:
            return
        async with self.store.begin() as tx:
            back = sa.update(work).where(lost).values(state="queued", lease_owner=None, lease_until=None)
            rows = await tx.all(back.returning(work.c.id))
        log.warning("work that nobody had in hand is queued again", work=[row["id"] for row in rows])

    async def _work(self, lease: Lease) -> None:
        outcome, back_at = "", None  # when it may be tried again, if it is not done
        work_id = lease.row["id"]
        try:
            if lease.row["attempts"] > MAX_ATTEMPTS:
                raise BerthError(
                    f"The server stopped {MAX_ATTEMPTS} times during this work, so it is not tried again.",
                    "Look into the server's log for the cause.",
                )
            await self.execute(lease)
        except asyncio.CancelledError:
            if lease.cancelled:
                outcome = lease.cancelled.reason
            else:  # shutdown: the next start goes on
                back_at = 0.0
        except WorkPostponed as postponed:
            back_at = time.time() + postponed.seconds
        except WorkCancelled as cancelled:
            lease.cancelled, outcome = cancelled, cancelled.reason
        except BerthError as error:
            outcome = str(error)
        except Exception as error:
            log.exception("work failed by a fault of our own", work=work_id)
            outcome = f"A fault in Berth itself: {type(error).__name__}. The server's log has the details."
        lease.ended = True
        await to_the_end(self._end(lease, outcome, back_at))

    async def _end(self, lease: Lease, outcome: str, back_at: float | None) -> None:
        """Writes down how the work ended. Repeats that when it fails (a full disk): else its environment stays shut."""
        work_id = lease.row["id"]
        while True:
            try:
                called_off = None if back_at is None else await self._give_back(work_id, back_at)
                if called_off is not None:  # meanwhile
                    lease.cancelled, outcome, back_at = called_off, called_off.reason, None
                if back_at is None:
                    await self._finish(lease.row, outcome, lease.cancelled.state if lease.cancelled else "failed")
                break
            except Exception:
                log.exception("the end of a piece of work could not be written down", work=work_id)
                if self._closing:  # the next start finds it running, and does it again
                    break
                await asyncio.sleep(1)
        self._leases.pop(work_id, None)
        self.wake()

    async def _give_back(self, work_id: int, not_before: float) -> WorkCancelled | None:
        """Queues the work again, unless somebody called it off: then says so."""
        async with self.store.begin() as tx:
            row = await tx.one(sa.select(work.c.cancel_state, work.c.cancel_reason).where(work.c.id == work_id))
            if row is not None and row["cancel_state"]:
                return WorkCancelled(row["cancel_state"], row["cancel_reason"])
            await tx.run(
                sa.update(work)
                .where(work.c.id == work_id, work.c.state == "running")
                .values(
                    state="queued",
                    not_before=not_before,
                    lease_owner=None,
                    lease_until=None,
                    attempts=work.c.attempts - 1,
                )
            )
        return None

    async def _finish(self, row: Row, outcome: str, state: str) -> None:
        async with self.store.begin() as tx:
            await tx.run(
                sa.update(work)
                .where(work.c.id == row["id"])
                .values(state="done", outcome=outcome, finished_at=time.time(), lease_owner=None, lease_until=None)
            )
            if row["deployment_id"] is not None and outcome:
                # whatever went wrong, no deployment is left behind in a state that promises more
                await states.change(tx, row["deployment_id"], state, reason=outcome)
        async with self._changed:
            self._changed.notify_all()


class BuildSlots:
    """The global limit on builds, fair between repositories: of those that wait, the one served longest ago is next."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._served: dict[int, float] = {}

    @asynccontextmanager
    async def slot(self, repository_id: int) -> AsyncIterator[None]:
        await self._acquire(repository_id)
        try:
            yield
        finally:
            self._free += 1
            self._grant()

    @property
    def full(self) -> bool:
        return self._free <= 0

    async def _acquire(self, repository_id: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (repository_id, future)
        self._waiting.append(entry)
        self._grant()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._free += 1
            else:
                self._waiting.remove(entry)
            self._grant()
            raise

    def _grant(self) -> None:
        while self._free > 0 and self._waiting:
            entry = min(self._waiting, key=lambda waiting: self._served.get(waiting[0], 0.0))
            self._waiting.remove(entry)
            self._served[entry[0]] = time.monotonic()
            self._free -= 1
            entry[1].set_result(None)
