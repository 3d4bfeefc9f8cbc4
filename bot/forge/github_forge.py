"""GitHub as a forge: its deliveries are stored at once, and decided on a moment later, in the order of their arrival.

https://docs.github.com/webhooks/using-webhooks/best-practices-for-using-webhooks
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from starlette.routing import Route

from bot.config import Config
from bot.errors import BerthError, ConflictError, NotFoundError, UnavailableError
from bot.forge import events, webhook
from bot.forge.github_app import AppCredentials
from bot.forge.github_rows import GitHubRows, Kept
from bot.forge.inbox import RECEIVED, Inbox
from bot.forge.intake import Intake
from bot.forge.webhook import REPLAY, Answer, Outcome
from bot.store.database import Row, Store, Transaction
from bot.store.tables import deliveries, forges

log = structlog.get_logger()

WEBHOOK_PATH = "/api/github/webhooks"
REMEMBERED_SECONDS = 8 * 86_400  # GitHub sends a delivery again for up to 7 days
ABOUT_ROWS = frozenset({"installation", "installation_repositories", "installation_target", "repository"})
_LONG = 500_000  # bytes; checking and reading more than that is not done on the event loop
_AT_ONCE = 200  # deliveries deleted in one transaction


class GitHubForge:
    """``open()`` first, ``close()`` at the end. ``wake`` is called when there is new work.

    ``credentials`` may be set and changed while it is open; without an App its route answers 503.
    """

    id: int  # of its row in `forges`

    def __init__(self, config: Config, store: Store, intake: Intake, wake: Callable[[], None] = lambda: None) -> None:
        self.credentials: AppCredentials | None = None
        self._store = store
        self._host = urlsplit(config.github_url).netloc.rpartition("@")[2].lower()
        self._intake = intake
        self._wake = wake

    async def open(self) -> None:
        """Make the forge's row, and decide from now on what is delivered, and what was before."""
        insert = sqlite.insert if self._store.sqlite else postgresql.insert
        async with self._store.begin() as tx:
            await tx.run(insert(forges).values(kind="github", host=self._host).on_conflict_do_nothing())
            row = await tx.one(sa.select(forges.c.id).where(forges.c.kind == "github", forges.c.host == self._host))
        assert row is not None
        self.id = row["id"]
        self._rows = GitHubRows(self.id, self._intake.limits)
        self._inbox = Inbox(self._store, self.id, self._decide)
        self._inbox.start()

    async def close(self) -> None:
        """What is stored and not decided on yet waits for the next start."""
        await self._inbox.close()

    def routes(self) -> list[Route]:
        return [Route(WEBHOOK_PATH, webhook.endpoint(self.take), methods=["POST"], name="github_webhooks")]

    async def take(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Receive a delivery: the handler of :data:`WEBHOOK_PATH`.

        Answers 503 without an App, 401 for a wrong signature, 400 for what cannot be read; 202 for a new delivery when
        it is on the disk, 200 for a ping and for one that was stored before.
        """
        if self.credentials is None:
            reason = "No GitHub App is configured."
            return Answer(503, {"error": reason, "fix": "Run `berth init` on the server."})
        hook_id = headers.get("x-github-hook-id", "")
        hook_id = hook_id if webhook.is_name(hook_id) else "app"
        hook = webhook.Hook(self.credentials.webhook_secret)
        if len(body) > _LONG:
            delivery = await asyncio.to_thread(webhook.open_delivery, hook, hook_id, headers, body)
        else:
            delivery = webhook.open_delivery(hook, hook_id, headers, body)
        if isinstance(delivery, Answer):
            return delivery
        new = await self._inbox.put(
            hook_id, delivery.delivery_id, event=delivery.event, payload_json=delivery.text, **delivery.facts
        )
        if not new:
            key = {"forge_id": self.id, "hook_id": hook_id, "delivery_id": delivery.delivery_id}
            return await webhook.repeated(self._store, key)
        body_out = {"delivery": delivery.delivery_id, "decision": RECEIVED, "reason": "", "deployment_id": None}
        return Answer(200 if delivery.event == "ping" else 202, {**body_out, "deployment_ids": []})

    async def replay(self, delivery_row_id: int, actor: str) -> Answer:
        """Decide again on what was delivered, as if it had just come; that it came before does not count.

        Recorded as a delivery of its own. Raises NotFoundError, and ConflictError where it cannot be repeated.
        """
        row = await self._store.one(
            sa.select(deliveries).where(deliveries.c.id == delivery_row_id, deliveries.c.forge_id == self.id)
        )
        if row is None:
            raise NotFoundError(f"There is no delivery {delivery_row_id}.")
        if row["decision"] == RECEIVED:
            raise ConflictError("This delivery has not been decided on yet.", "Wait a moment.")
        if row["event"] in ABOUT_ROWS:
            raise ConflictError(
                "What this delivery told of GitHub may have changed since.", "Let GitHub send it again."
            )
        payload = json.loads(row["payload_json"])
        if set(payload) == {"berth"}:
            raise ConflictError("This delivery was too long to be kept.", "Let GitHub send it again.")
        kept = ("forge_id", "hook_id", "event", "action", "payload_json")
        values = {name: row[name] for name in kept} | {
            "delivery_id": f"{REPLAY}{secrets.token_hex(12)}",
            "sender": actor[:255],
            "received_at": time.time(),
            "decision": RECEIVED,
            "reason": "",
        }
        async with self._store.begin() as tx:
            made = await tx.all(sa.insert(deliveries).values(values).returning(*deliveries.c))
        await self._decide(made[0])
        answer = await webhook.repeated(self._store, {"id": made[0]["id"]})
        return replace(answer, status=202)

    async def forget(self, before: float) -> int:
        """Delete deliveries that came before that time (seconds since 1970), and return how many that were.

        None that GitHub might send again: it would be new then.
        """
        before = min(before, time.time() - REMEMBERED_SECONDS)
        old = sa.select(deliveries.c.id).where(
            deliveries.c.forge_id == self.id, deliveries.c.received_at < before, deliveries.c.decision != RECEIVED
        )
        count = 0
        while rows := await self._store.all(old.order_by(deliveries.c.id).limit(_AT_ONCE)):
            async with self._store.begin() as tx:
                await tx.run(sa.delete(deliveries).where(deliveries.c.id.in_([row["id"] for row in rows])))
            count += len(rows)
        return count

    async def _decide(self, row: Row, *, first: bool = True) -> None:
        """One delivery of the inbox. Whatever is in it, a decision is stored, so that the next one's turn comes."""
        try:
            await self._decide_once(row)
        except (UnavailableError, OSError):  # it passes
            raise
        except BerthError as error:  # the work is impossible: that is the decision then
            await self._decide_once(row, refused=str(error))
        except Exception:
            log.exception("a delivery could not be decided on", delivery=row["id"], again=first)
            if first:  # perhaps somebody else made the same at the same time
                await self._decide(row, first=False)
                return
            await self._refuse(row)
        self._wake()

    async def _decide_once(self, row: Row, refused: str = "") -> None:
        payload: dict[str, Any] = json.loads(row["payload_json"])
        async with self._store.begin() as tx:
            if not await tx.changed(_undecided(row).values(reason="").returning(deliveries.c.id)):
                return  # somebody else did
            kept = await self._rows.keep(tx, row["event"], payload)
            decision = kept.decision or await self._decision(tx, row, payload, kept)
            if refused:
                decision = replace(decision, kind="ignored", reason=refused)
            outcome = Outcome(decision)
            if kept.decision is None and kept.repository is not None and decision.kind != "ignored":
                once = not row["delivery_id"].startswith(REPLAY)
                outcome = await self._intake.carry_out(tx, decision, kept.repository, row["id"], once=once)
            known = {
                "repository_id": kept.repository["id"] if kept.repository else None,
                "happened_at": _happened_at(row["event"], payload),
            }
            await tx.run(
                sa.update(deliveries).where(deliveries.c.id == row["id"]).values(known | webhook.decided(outcome))
            )
        log.info(
            "delivery decided", kind=row["event"], repository=known["repository_id"], decision=outcome.decision.kind
        )

    async def _decision(self, tx: Transaction, row: Row, payload: Mapping[str, Any], kept: Kept) -> events.Decision:
        repository = kept.repository
        if repository is None:
            return events.decide(row["event"], payload, events.Context(""))
        context = events.Context(repository["default_branch"], protected=True)
        decision = events.decide(row["event"], payload, context)
        at = _happened_at(row["event"], payload)
        if row["event"] != "push" or at is None or not decision.ref or row["delivery_id"].startswith(REPLAY):
            return decision
        newest = await tx.one(
            sa.select(sa.func.max(deliveries.c.happened_at).label("at")).where(
                deliveries.c.repository_id == repository["id"],
                deliveries.c.ref == decision.ref,
                deliveries.c.event == "push",
                deliveries.c.id != row["id"],
            )
        )
        if newest is not None and newest["at"] is not None and newest["at"] > at:
            reason = f"A newer push to {decision.ref} was delivered before this one."
            return replace(decision, kind="ignored", reason=reason)
        return decision

    async def _refuse(self, row: Row) -> None:
        reason = "Berth stumbled over this delivery; its log says why."
        async with self._store.begin() as tx:
            await tx.run(_undecided(row).values(decision="ignored", reason=reason))


def _undecided(row: Row) -> sa.Update:
    return sa.update(deliveries).where(deliveries.c.id == row["id"], deliveries.c.decision == RECEIVED)


def _happened_at(event: str, payload: Mapping[str, Any]) -> float | None:
    """When it happened, by GitHub's clock: deliveries do not always come in the order of what they tell of."""
    kind, key = ("repository", "pushed_at") if event == "push" else ("pull_request", "updated_at")
    described = payload.get(kind)
    return events.when(described.get(key)) if isinstance(described, Mapping) else None
