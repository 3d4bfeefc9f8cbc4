"""One run of the pipeline for one deployment: what it works with, and what it tells the database and the log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from bot.deploy import states
from bot.deploy.logs import LogWriter
from bot.deploy.platform import Platform
from bot.deploy.queue import Lease
from bot.deploy.variables import Snapshot
from bot.errors import BerthError
from bot.store.database import Row
from bot.store.tables import deployments, environments


@dataclass
class Attempt:
    """``phase`` is the one under way; ``deployment`` is kept in step with its row."""

    platform: Platform
    lease: Lease
    deployment: Row
    environment: Row
    repository: Row
    writer: LogWriter
    snapshot: Snapshot
    phase: str = ""
    _phases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> int:
        return int(self.deployment["id"])

    def say(self, text: str) -> None:
        """A line for people, in the phase that is under way."""
        self.writer.write(text, source="berth", kind="line", phase=self.phase)

    @asynccontextmanager
    async def enter(self, name: str, timeout: float) -> AsyncIterator[None]:
        """A phase: noted, reported, and ended with BerthError after ``timeout`` seconds."""
        self.phase = name
        entry: dict[str, Any] = {"phase": name, "started_at": time.time(), "finished_at": None}
        self._phases.append(entry)
        self.writer.write(name, source="berth", kind="phase", phase=name)
        async with self.platform.store.begin() as tx:
            await tx.run(
                sa.update(deployments)
                .where(deployments.c.id == self.id)
                .values(phase=name, step="", phases_json=json.dumps(self._phases))
            )
            await states.report(tx, self.id, progress=True)
        self.platform.wake_outbox()
        try:
            async with asyncio.timeout(timeout) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise BerthError(
                f"Phase {name} took longer than {timeout:.0f} s.", "Try again, or raise its limit."
            ) from error
        finally:
            entry["finished_at"] = time.time()
            if name == states.PHASES[-1]:  # the end of the others is written with what comes next
                await self.update(phases_json=json.dumps(self._phases))

    async def step(self, text: str) -> None:
        """What the phase is doing now, for status and page; the outbox coalesces."""
        text = self.writer.mask(text)
        async with self.platform.store.begin() as tx:
            await tx.run(sa.update(deployments).where(deployments.c.id == self.id).values(step=states.shorten(text)))
            await states.report(tx, self.id, progress=True)
        self.platform.wake_outbox()

    async def update(self, **values: Any) -> None:
        async with self.platform.store.begin() as tx:
            await tx.run(sa.update(deployments).where(deployments.c.id == self.id).values(**values))
        self.deployment.update(values)

    async def end(self, state: str, reason: str, fix: str = "") -> None:
        reason = self.writer.mask(reason)
        async with self.platform.store.begin() as tx:
            await states.change(tx, self.id, state, reason=reason, fix=fix, phases_json=json.dumps(self._phases))
            # an environment that never had anything live has nothing to lead to
            await tx.run(
                sa.update(environments)
                .where(environments.c.id == self.environment["id"], environments.c.state == "empty")
                .values(reason=reason)
            )
        text = f"{state} in {self.phase}: {reason}" if self.phase else f"{state}: {reason}"
        self.writer.write(text, source="berth", kind="state", phase=self.phase)
        self.platform.wake_outbox()
