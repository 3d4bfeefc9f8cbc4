"""Signed deliveries as GitHub sends them, and the forge that takes them, on a real database."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from bot.deploy import settings
from bot.forge.github_app import AppCredentials
from bot.forge.github_forge import GitHubForge
from bot.forge.inbox import RECEIVED
from bot.forge.webhook import Answer
from bot.store.database import Row, Store
from bot.store.tables import (
    applications,
    commands,
    deliveries,
    deployments,
    environments,
    outbox,
    pull_requests,
    repositories,
    work,
)

SECRET = "It's a Secret to Everybody"
ZERO = "0" * 40
INSTALLATION = 77
PEOPLE = {
    "person": {"login": "ada", "id": 5, "type": "User"},
    "dependabot": {"login": "dependabot[bot]", "id": 6, "type": "Bot"},
    "other bot": {"login": "github-actions[bot]", "id": 7, "type": "Bot"},
}
Payload = dict[str, Any]


def sha(digit: str) -> str:
    return digit * 40


def credentials() -> AppCredentials:
    return AppCredentials("1", "berth", "Iv1", "client", SECRET, "key", "https://github.test/apps/berth")


@dataclass
class Hub:
    """One repository on GitHub, and what GitHub says about it. Its clock goes on by a second with each event."""

    number: int = 9001
    name: str = "acme/shop"
    default_branch: str = "main"
    private: bool = True
    clock: Any = field(default_factory=lambda: itertools.count(1_700_000_000))

    def repository(self, **changes: Any) -> Payload:
        owner, _, name = self.name.partition("/")
        return {
            "id": self.number,
            "name": name,
            "full_name": self.name,
            "private": self.private,
            "owner": {"login": owner, "id": 3},
            "default_branch": self.default_branch,
            "updated_at": "2026-01-01T00:00:00Z",
        } | changes

    def _event(self, who: str, **values: Any) -> Payload:
        return {"repository": self.repository(), "sender": PEOPLE[who], "installation": {"id": INSTALLATION}} | values

    def push(self, branch: str, after: str, message: str = "Change", who: str = "person", **changes: Any) -> Payload:
        return (
            self._event(
                who,
                ref=f"refs/heads/{branch}",
                before=ZERO,
                after=after,
                created=False,
                deleted=after == ZERO,
                head_commit=None if after == ZERO else {"id": after, "message": message},
                pusher={"name": PEOPLE[who]["login"]},
                repository=self.repository(pushed_at=next(self.clock)),
                commits=[],
            )
            | changes
        )

    def pull(
        self,
        action: str,
        branch: str,
        head: str,
        *,
        number: int = 1,
        who: str = "person",
        fork: str = "own",
        **more: Any,
    ) -> Payload:
        repo = {"own": {"id": self.number}, "fork": {"id": 4711}, "gone": None}[fork]
        described = {
            "number": number,
            "title": "Better",
            "state": "closed" if action == "closed" else "open",
            "merged": False,
            "user": PEOPLE[who],
            "head": {"ref": branch, "sha": head, "repo": repo},
            "base": {"ref": self.default_branch, "sha": sha("0"), "repo": {"id": self.number}},
            "updated_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(next(self.clock))),
        } | more
        return self._event(who, action=action, number=number, pull_request=described)

    def comment(self, body: str, *, number: int = 1, who: str = "person", **changes: Any) -> Payload:
        return (
            self._event(
                who,
                action="created",
                issue={"number": number, "state": "open", "pull_request": {"url": "https://api.github.test/pulls/1"}},
                comment={
                    "id": next(self.clock),
                    "body": body,
                    "user": PEOPLE[who],
                    "created_at": "2026-01-01T00:00:00Z",
                },
            )
            | changes
        )

    def installed(self, action: str = "created", **changes: Any) -> Payload:
        listed = [{"id": self.number, "name": "shop", "full_name": self.name, "private": self.private}]
        installation = {"id": INSTALLATION, "account": {"login": "acme"}}
        key = {"added": "repositories_added", "removed": "repositories_removed"}.get(action, "repositories")
        return {"action": action, "installation": installation, key: listed, "sender": PEOPLE["person"]} | changes

    def about(self, action: str, **changes: Any) -> Payload:
        return self._event("person", action=action, **changes)


@dataclass
class GitHubRig:
    forge: GitHubForge
    store: Store
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def post(self, event: str, body: bytes, **changes: str | None) -> Answer:
        """``changes`` are headers; None leaves one out."""
        headers: dict[str, str | None] = {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": f"d-{next(self.numbers)}",
            "x-github-hook-id": "42",
            "x-hub-signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        }
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        return await self.forge.take({name: value for name, value in headers.items() if value is not None}, body)

    async def send(self, event: str, payload: Mapping[str, Any], **changes: str | None) -> Row:
        """The delivery's row, once it is decided on."""
        answer = await self.post(event, json.dumps(payload).encode(), **changes)
        assert answer.status in {200, 202}, answer
        query = sa.select(deliveries).where(deliveries.c.delivery_id == answer.body["delivery"])
        async with asyncio.timeout(20):
            while True:
                row = await self.store.one(query)
                assert row is not None
                if row["decision"] != RECEIVED:
                    return row
                await asyncio.sleep(0.001)

    async def mode(self, mode: str, number: int = 9001) -> None:
        row = await self.store.one(
            sa.select(applications.c.id)
            .join(repositories, repositories.c.id == applications.c.repository_id)
            .where(repositories.c.forge_repository_id == number)
        )
        assert row is not None
        await settings.set_settings(self.store, row["id"], {"mode": mode})

    async def repository(self, number: int = 9001) -> Row:
        row = await self.store.one(sa.select(repositories).where(repositories.c.forge_repository_id == number))
        assert row is not None
        return row

    async def add_application(self, name: str) -> int:
        values = {"repository_id": (await self.repository())["id"], "name": name, "created_at": 0.0}
        async with self.store.begin() as tx:
            return await tx.insert(applications.insert().values(values).returning(applications.c.id))

    async def deployments(self) -> list[Row]:
        query = sa.select(deployments, environments.c.kind, environments.c.application_id).join(environments)
        return await self.store.all(query.order_by(deployments.c.id))

    async def environments(self) -> list[Row]:
        return await self.store.all(sa.select(environments).order_by(environments.c.id))

    async def pulls(self) -> list[Row]:
        return await self.store.all(sa.select(pull_requests).order_by(pull_requests.c.number))

    async def commands(self) -> list[Row]:
        return await self.store.all(sa.select(commands).order_by(commands.c.id))

    async def removals(self) -> list[Row]:
        return await self.store.all(sa.select(work).where(work.c.kind == "remove").order_by(work.c.id))

    async def reports(self, kind: str) -> list[Payload]:
        rows = await self.store.all(sa.select(outbox).where(outbox.c.kind == kind).order_by(outbox.c.id))
        return [json.loads(row["body_json"]) for row in rows]

    async def deliveries(self) -> list[Row]:
        return await self.store.all(sa.select(deliveries).order_by(deliveries.c.id))
