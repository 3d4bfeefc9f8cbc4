"""The repositories that the App may see, compared with ours: for what happened while nobody listened, or was told of.

Events say the same sooner. This finds what an App had before it became Berth's, and what was missed for more than the
three days that GitHub keeps deliveries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import structlog

from bot.forge.github import GitHub
from bot.forge.github_rows import GitHubRows
from bot.store.database import Row, Store
from bot.store.tables import repositories

log = structlog.get_logger()

_ALL = 1_000_000  # what is left out of a list would count as missing


class Inventory:
    """``wake`` is called when something goes, for the work that this makes."""

    def __init__(self, github: GitHub, store: Store, rows: GitHubRows, wake: Callable[[], None] = lambda: None) -> None:
        self._github = github
        self._store = store
        self._rows = rows
        self._wake = wake
        self._missing: set[int] = set()  # rows that GitHub did not list the last time

    async def compare(self) -> tuple[int, int]:
        """How many repositories were added and removed. Raises GitHubError, and then nothing is removed.

        A repository goes when it is missing for the second time in a row: what runs of it would go with it.
        """
        seen: set[int] = set()
        suspended: set[int] = set()
        added = 0
        for installation in await self._github.collect("/app/installations", installation_id=None, most=_ALL):
            number = installation["id"]
            if installation.get("suspended_at"):
                suspended.add(number)
                continue
            listed = await self._github.collect(
                "/installation/repositories",
                installation_id=number,
                items="repositories",
                permissions={"metadata": "read"},
                most=_ALL,
            )
            seen.update(one["id"] for one in listed)
            added += await self._add(number, listed)
        ours = await self._store.all(self._present())
        missing = [
            row for row in ours if row["forge_repository_id"] not in seen and row["installation_id"] not in suspended
        ]
        lost = [row for row in missing if row["id"] in self._missing]
        self._missing = {row["id"] for row in missing}
        for row in lost:
            await self._remove(row)
        if added or lost:
            log.info("repositories compared with GitHub", added=added, removed=len(lost))
            self._wake()
        return added, len(lost)

    def _present(self) -> sa.Select[Any]:
        return sa.select(repositories).where(
            repositories.c.forge_id == self._rows.forge_id, repositories.c.removed_at.is_(None)
        )

    async def _add(self, installation: int, listed: list[Any]) -> int:
        known = {(row["forge_repository_id"], row["installation_id"]) for row in await self._store.all(self._present())}
        unknown = [one for one in listed if (one["id"], installation) not in known]
        unknown = [one for one in unknown if self._rows.limits.allows(one["full_name"])]
        if unknown:
            payload = {"action": "added", "installation": {"id": installation}, "repositories_added": unknown}
            async with self._store.begin() as tx:
                await self._rows.keep(tx, "installation_repositories", payload)
        return len(unknown)

    async def _remove(self, row: Row) -> None:
        payload = {
            "action": "removed",
            "installation": {"id": row["installation_id"]},
            "repositories_removed": [{"id": row["forge_repository_id"]}],
        }
        async with self._store.begin() as tx:
            await self._rows.keep(tx, "installation_repositories", payload)
