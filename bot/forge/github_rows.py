"""What GitHub's events say about repositories and pull requests, kept in rows of our own.

Everything is found by GitHub's numeric ids: names are labels that may change, and may come to belong to somebody else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploy import lifecycle
from bot.deploy.admission import Limits
from bot.errors import BerthError
from bot.forge.events import Decision, PullRequest, number, pull_request, text, when
from bot.source.refs import printable, validate_ref
from bot.store.database import Row, Transaction
from bot.store.tables import applications, pull_requests, repositories

log = structlog.get_logger()

UNKNOWN = "Berth does not know this repository."
STALE = "A newer state of this pull request was delivered before."
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}", re.ASCII)


@dataclass(frozen=True)
class Kept:
    """``repository`` is what the event is about; ``decision`` is there where nothing else has to be decided."""

    repository: Row | None
    decision: Decision | None = None


@dataclass(frozen=True)
class GitHubRows:
    """The rows of one GitHub. Each method runs in the transaction of the delivery."""

    forge_id: int
    limits: Limits

    async def keep(self, tx: Transaction, event: str, payload: Mapping[str, Any]) -> Kept:
        """Take over what a delivery says; old news change nothing."""
        actor = printable(text(payload, "sender", "login"), 255) or "GitHub"
        if event in {"installation", "installation_repositories"}:
            return Kept(None, await self._installation(tx, event, payload, actor))
        if event == "installation_target":
            return Kept(None, await self._renamed_owner(tx, payload))
        row = await self._learn(tx, event, payload, actor)
        if row is None:
            name = text(payload, "repository", "full_name")
            allowed = not _NAME.fullmatch(name) or self.limits.allows(name)
            reason = UNKNOWN if allowed else f"BERTH_REPOSITORIES does not name {name}."
            return Kept(None, None if event == "ping" else Decision("ignored", reason, actor=actor))
        if event == "repository":
            return Kept(row, await self._repository(tx, row, payload, actor))
        if row["removed_at"] is not None:
            return Kept(row, Decision("ignored", "The App was removed from this repository.", actor=actor))
        if event == "pull_request":
            pull = pull_request(payload)
            if pull is not None and not await self._keep_pull_request(tx, row, pull):
                return Kept(row, Decision("ignored", STALE, actor=actor, number=pull.number))
        return Kept(row)

    async def _learn(self, tx: Transaction, event: str, payload: Mapping[str, Any], actor: str) -> Row | None:
        """The row of the payload's repository, with what the payload knows better; made where it is unknown."""
        found = payload.get("repository")
        identifier, installation = number(payload, "repository", "id"), number(payload, "installation", "id")
        if not isinstance(found, Mapping) or identifier is None:
            return None
        row = await self._find(tx, identifier)
        if row is None:
            return await self._add(tx, found, installation) if installation is not None else None
        facts = _facts(found)
        if (at := when(found.get("updated_at")) or 0.0) < row["facts_at"]:
            return row
        # that it belongs to an installation again is said by the events about that, not by one that came late
        if row["removed_at"] is None and installation is not None and event != "repository":
            facts["installation_id"] = installation
        branch = facts.pop("default_branch", row["default_branch"])
        changed = {name: value for name, value in facts.items() if row[name] != value}
        if changed:
            await _update(tx, row, facts_at=at, **changed)
        if branch != row["default_branch"]:
            log.info("the default branch changed", repository=row["id"])
            await lifecycle.follow_default_branch(tx, row["id"], branch, actor=actor)
        return {**row, **changed, "default_branch": branch}

    async def _find(self, tx: Transaction, identifier: int) -> Row | None:
        return await tx.one(
            sa.select(repositories).where(
                repositories.c.forge_id == self.forge_id, repositories.c.forge_repository_id == identifier
            )
        )

    async def _add(self, tx: Transaction, found: Mapping[str, Any], installation: int) -> Row | None:
        """The repository, made with its application, or found again. None where it may not be."""
        identifier, facts = number(found, "id"), _facts(found)
        if identifier is None or "name" not in facts or not self.limits.allows(facts["name"]):
            return None
        row = await self._find(tx, identifier)
        if row is not None:
            await _update(tx, row, installation_id=installation, removed_at=None, **facts)
            return await self._find(tx, identifier)
        now = time.time()
        values = {
            "forge_id": self.forge_id,
            "forge_repository_id": identifier,
            "installation_id": installation,
            "facts_at": when(found.get("updated_at")) or 0.0,
            "created_at": now,
        }
        made = await tx.insert(sa.insert(repositories).values(values | facts).returning(repositories.c.id))
        name = facts["name"].rpartition("/")[2]
        await tx.run(sa.insert(applications).values(repository_id=made, name=name, created_at=now))
        log.info("a repository was added", repository=made)
        return await self._find(tx, identifier)

    async def _lose(self, tx: Transaction, rows: Iterable[Row], actor: str, reason: str) -> int:
        """Nothing can be asked of GitHub about these any more: what runs of them goes. Returns how many goes."""
        count = 0
        for row in rows:
            await _update(tx, row, removed_at=time.time())
            count += await lifecycle.abandon(tx, row["id"], actor=actor, reason=reason)
            log.info("a repository was removed", repository=row["id"])
        return count

    async def _installation(self, tx: Transaction, event: str, payload: Mapping[str, Any], actor: str) -> Decision:
        """https://docs.github.com/webhooks/webhook-events-and-payloads#installation, and installation_repositories"""
        action, installation = text(payload, "action"), number(payload, "installation", "id")
        if installation is None:
            return Decision("ignored", "That is no description of an installation.", actor=actor)
        if action in {"created", "added"}:
            listed = _list(payload, "repositories" if event == "installation" else "repositories_added")
            added = [found for found in listed if await self._add(tx, found, installation)]
            reason = f"{_many(len(added), 'repository', 'repositories')} can be deployed from now on"
            if len(added) < len(listed):
                reason += f", and {len(listed) - len(added)} not, because of BERTH_REPOSITORIES"
            return Decision("ignored", f"{reason}.", actor=actor)
        ours = sa.select(repositories).where(
            repositories.c.forge_id == self.forge_id,
            repositories.c.installation_id == installation,
            repositories.c.removed_at.is_(None),
        )
        if action == "deleted":
            return await self._lost(tx, await tx.all(ours), actor)
        if action == "removed":
            listed = _list(payload, "repositories_removed")
            identifiers = [found for entry in listed if (found := number(entry, "id"))]
            return await self._lost(
                tx, await tx.all(ours.where(repositories.c.forge_repository_id.in_(identifiers))), actor
            )
        known = {
            "suspend": "The App is suspended: what runs stays, and nothing new is deployed until that ends.",
            "unsuspend": "The App is no longer suspended.",
            "new_permissions_accepted": "The App's new permissions were accepted.",
        }
        other = f"Installations that are {printable(action, 40)!r} cause nothing."
        return Decision("ignored", known.get(action, other), actor=actor)

    async def _lost(self, tx: Transaction, rows: list[Row], actor: str) -> Decision:
        count = await self._lose(tx, rows, actor, "the App was removed from the repository")
        lost = _many(len(rows), "repository", "repositories")
        what = _many(count, "environment is", "environments are")
        return Decision("teardown" if count else "ignored", f"The App lost {lost}: {what} removed.", actor=actor)

    async def _renamed_owner(self, tx: Transaction, payload: Mapping[str, Any]) -> Decision:
        """https://docs.github.com/webhooks/webhook-events-and-payloads#installation_target"""
        installation, new = number(payload, "installation", "id"), text(payload, "account", "login")
        if installation is None or not re.fullmatch(r"[A-Za-z0-9-]{1,39}", new, re.ASCII):
            return Decision("ignored", "That is no description of an account.")
        rows = await tx.all(
            sa.select(repositories).where(
                repositories.c.forge_id == self.forge_id, repositories.c.installation_id == installation
            )
        )
        for row in rows:
            await _update(tx, row, name=f"{new}/{row['name'].rpartition('/')[2]}")
        return Decision("ignored", f"The account is called {new} now.")

    async def _repository(self, tx: Transaction, row: Row, payload: Mapping[str, Any], actor: str) -> Decision:
        """https://docs.github.com/webhooks/webhook-events-and-payloads#repository; what it says is known already."""
        action, installation = text(payload, "action"), number(payload, "installation", "id")
        name, branch = row["name"], row["default_branch"]
        if action == "deleted":
            if row["removed_at"] is not None:
                return Decision("ignored", "The App was removed from this repository before.", actor=actor)
            count = await self._lose(tx, [row], actor, "the repository was deleted")
            what = _many(count, "environment is", "environments are")
            return Decision("teardown" if count else "ignored", f"{name} was deleted: {what} removed.", actor=actor)
        if action == "transferred" and installation is not None and self.limits.allows(name):
            # sent to the App of the new owner only, so it may be used again even if the old one's was told of a loss
            await _update(tx, row, installation_id=installation, removed_at=None)
        known = {
            "renamed": f"The repository is called {name} now.",
            "transferred": f"The repository belongs to another account now: it is {name}.",
            "privatized": "The repository is private now.",
            "publicized": "The repository is public now: lines of logs are shown in comments only where that is set.",
            "edited": f"What is known of the repository was brought up to date; {branch} is its default branch.",
            "archived": "The repository is archived: what runs of it stays.",
            "unarchived": "The repository is no longer archived.",
        }
        other = f"Repositories that are {printable(action, 40)!r} cause nothing."
        return Decision("ignored", known.get(action, other), actor=actor)

    async def _keep_pull_request(self, tx: Transaction, row: Row, pull: PullRequest) -> bool:
        """False where the row is of a newer state."""
        key = {"repository_id": row["id"], "number": pull.number}
        at = pull.updated_at if pull.updated_at is not None else time.time()
        values = {
            "title": pull.title,
            "author": pull.author,
            "state": "open" if pull.open else "closed",
            "head_ref": pull.head_ref,
            "head_sha": pull.head_sha,
            "head_repository_id": pull.head_repository_id,
            "base_ref": pull.base_ref,
            "updated_at": at,
        }
        condition = (pull_requests.c.repository_id == row["id"], pull_requests.c.number == pull.number)
        known = await tx.one(sa.select(pull_requests.c.updated_at).where(*condition))
        if known is not None:
            if known["updated_at"] > at:
                return False
            await tx.run(sa.update(pull_requests).where(*condition).values(values))
        else:
            await tx.run(sa.insert(pull_requests).values(key | values))
        return True


def _facts(found: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a repository that its description fills; only those that make sense."""
    facts: dict[str, Any] = {}
    name, branch = text(found, "full_name"), text(found, "default_branch")
    if _NAME.fullmatch(name):
        facts["name"] = name
    if isinstance(found.get("private"), bool):
        facts["private"] = found["private"]
    with suppress(BerthError):  # installations list their repositories without it
        facts["default_branch"] = validate_ref(branch)
    return facts


async def _update(tx: Transaction, row: Row, **values: Any) -> None:
    await tx.run(sa.update(repositories).where(repositories.c.id == row["id"]).values(values))


def _list(payload: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = payload.get(key)
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
