"""From a decision on a delivery to work, in the delivery's transaction: for every application of the repository."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from bot.deploy import admission, lifecycle, states
from bot.deploy.admission import Limits, Refusal
from bot.forge.command_worker import store_command
from bot.forge.events import Decision
from bot.forge.webhook import Outcome
from bot.store.database import Row, Transaction
from bot.store.tables import applications, deliveries, deployments, environments

SKIPPED = "Not deployed: the commit message says "  # how the reason of a push with a skip word begins


@dataclass(frozen=True)
class Intake:
    """``limits`` are the operator's."""

    limits: Limits

    async def apply(self, tx: Transaction, decision: Decision, repository: Row, delivery_id: int) -> Outcome:
        """For a forge whose deliveries come in order, once each."""
        return await self.carry_out(tx, decision, repository, delivery_id, once=False)

    async def carry_out(
        self, tx: Transaction, decision: Decision, repository: Row, delivery_id: int, *, once: bool
    ) -> Outcome:
        """``once``: a commit that is deployed to its environment already is not deployed again."""
        if decision.kind == "ignored":
            return Outcome(decision)
        rows = await tx.all(
            sa.select(applications).where(applications.c.repository_id == repository["id"]).order_by(applications.c.id)
        )
        if not rows:
            return _ignored(decision, "This repository has no application.")
        if decision.kind == "deploy":
            return await self._deploy(tx, decision, repository, rows, delivery_id, once=once)
        if decision.kind == "teardown":
            return await self._teardown(tx, decision, repository, rows)
        return await self._command(tx, decision, repository, rows, delivery_id)

    async def _deploy(
        self, tx: Transaction, decision: Decision, repository: Row, rows: list[Row], delivery_id: int, *, once: bool
    ) -> Outcome:
        if once and decision.cause == "pull_request" and (skipped := await _skipped(tx, decision, repository)):
            return _ignored(decision, skipped)
        made, notes = [], []
        for row in rows:
            refusal = await self._refusal(tx, decision, repository, row)
            if refusal is not None:
                notes.append((row, refusal.reason))
                if refusal.cause == "previews":
                    await _post_refusal(tx, decision, repository, row, refusal, several=len(rows) > 1)
            elif once and (known := await _deployed(tx, decision, row)):
                notes.append((row, f"{decision.sha[:7]} of {decision.ref} has deployment {known} already."))
            else:
                made.append(
                    await lifecycle.queue_commit(
                        tx,
                        row["id"],
                        decision.environment_kind,
                        decision.ref,
                        sha=decision.sha,
                        cause=decision.cause,
                        actor=decision.actor,
                        message=decision.message,
                        delivery_id=delivery_id,
                    )
                )
        if decision.number is not None:
            await _post_comment(tx, decision, repository)
        words = _joined(notes, several=len(rows) > 1)
        if not made:
            return _ignored(decision, words)
        return Outcome(replace(decision, reason=f"{decision.reason} {words}".strip()), tuple(made))

    async def _refusal(self, tx: Transaction, decision: Decision, repository: Row, row: Row) -> Refusal | None:
        kind, ref = decision.environment_kind, decision.ref
        return await admission.refusal(
            tx, self.limits, repository, row, environment_kind=kind, ref=ref, by_bot=decision.by_bot
        )

    async def _teardown(self, tx: Transaction, decision: Decision, repository: Row, rows: list[Row]) -> Outcome:
        """A deleted branch loses its environments; a closed pull request those that only it was the reason for."""
        closed = decision.cause == "pull_request"
        gone, notes = [], []
        for row in rows:
            refusal = await self._refusal(tx, decision, repository, row) if closed else None
            if closed and (refusal is None or refusal.cause in {"list", "off"}):
                notes.append((row, f"What runs of {decision.ref} stays until the branch is deleted."))
                continue
            works = await lifecycle.teardown(
                tx,
                repository_id=repository["id"],
                environment_kind=decision.environment_kind,
                ref=decision.ref,
                actor=decision.actor,
                application_id=row["id"],
                reason=f"pull request #{decision.number} was closed" if closed else "the branch was deleted",
            )
            gone += works
            if not works:
                notes.append((row, f"Nothing of {decision.ref} is left to remove."))
        if closed:
            await _post_comment(tx, decision, repository)
        going = "" if not gone else f"{'Its environment is' if len(gone) == 1 else 'Its environments are'} removed."
        words = " ".join(filter(None, (decision.reason, going, _joined(notes, several=len(rows) > 1))))
        return Outcome(replace(decision, reason=words)) if gone else _ignored(decision, words)

    async def _command(
        self, tx: Transaction, decision: Decision, repository: Row, rows: list[Row], delivery_id: int
    ) -> Outcome:
        refusals = [await self._refusal(tx, decision, repository, row) for row in rows]
        whole = [refusal for refusal in refusals if refusal is not None and refusal.cause in {"list", "off"}]
        if len(whole) == len(rows):
            return _ignored(decision, whole[0].reason)
        comment, number = decision.comment, decision.number
        if comment is None or number is None:
            return _ignored(decision, "There is no command.")
        await store_command(
            tx,
            repository_id=repository["id"],
            delivery_id=delivery_id,
            number=number,
            comment_id=comment.id,
            actor=decision.actor,
            actor_id=comment.actor_id,
            verb=comment.command.verb,
            arguments=comment.command.arguments,
            commented_at=comment.written_at,
        )
        return Outcome(decision)


def _ignored(decision: Decision, reason: str) -> Outcome:
    return Outcome(replace(decision, kind="ignored", reason=reason))


def _joined(notes: list[tuple[Row, str]], *, several: bool) -> str:
    """One reason for each application; one alone where all have the same."""
    reasons = dict.fromkeys(reason for _, reason in notes)
    if not several or len(reasons) == 1 < len(notes):
        return " ".join(reasons)
    return " ".join(f"{row['name']}: {reason}" for row, reason in notes)


async def _deployed(tx: Transaction, decision: Decision, application: Row) -> int | None:
    """The deployment of this commit in its environment, which a push and a pull request both tell of.

    A push may also go back to an earlier commit, so it counts only if nothing else was deployed since.
    """
    query = (
        sa.select(deployments.c.id, deployments.c.sha)
        .join(environments, environments.c.id == deployments.c.environment_id)
        .where(
            environments.c.application_id == application["id"],
            environments.c.kind == decision.environment_kind,
            environments.c.ref == decision.ref,
            environments.c.state != "removed",
            ~admission.is_going(),
            deployments.c.source_deployment_id.is_(None),
            deployments.c.state != "created",
        )
        .order_by(deployments.c.id.desc())
        .limit(1)
    )
    if decision.cause == "pull_request":
        query = query.where(deployments.c.sha == decision.sha)
    row = await tx.one(query)
    return row["id"] if row is not None and row["sha"] == decision.sha else None


async def _skipped(tx: Transaction, decision: Decision, repository: Row) -> str:
    """Why the push of this commit was not deployed, where its message says so: a pull request has no messages."""
    row = await tx.one(
        sa.select(deliveries.c.reason)
        .where(
            deliveries.c.repository_id == repository["id"],
            deliveries.c.sha == decision.sha,
            deliveries.c.event == "push",
            sa.func.substr(deliveries.c.reason, 1, len(SKIPPED)) == SKIPPED,  # databases stumbles over LIKE's %
        )
        .limit(1)
    )
    return str(row["reason"]) if row else ""


async def _post_refusal(
    tx: Transaction, decision: Decision, repository: Row, application: Row, refusal: Refusal, *, several: bool
) -> None:
    """A commit status, because a preview was expected and there is no deployment to tell of."""
    context = f"berth/preview ({application['name']})" if several else "berth/preview"
    body = {
        "sha": decision.sha,
        "context": context,
        "state": "error",
        "description": states.shorten(refusal.reason),
        "target_url": "",
        "deployment_id": None,
    }
    await states.post(tx, repository["id"], "status", f"{decision.sha}:{context}", body)


async def _post_comment(tx: Transaction, decision: Decision, repository: Row) -> None:
    """Renews the comment on a pull request of whose branch something was deployed."""
    number = decision.number
    found = await tx.one(
        sa.select(environments.c.id)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(
            applications.c.repository_id == repository["id"],
            environments.c.kind == decision.environment_kind,
            environments.c.ref == decision.ref,
        )
        .limit(1)
    )
    if found is not None and number is not None:
        await states.report_pull_request(tx, repository["id"], number)
