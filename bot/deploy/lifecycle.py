"""What people and events can ask of an environment: one function each, used by every door (push, command, page, API).

Each function only writes rows; the queue carries them out. After a call, wake the queue.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal

import sqlalchemy as sa

from bot.deploy import admission, states
from bot.deploy.admission import Limits
from bot.errors import ConflictError, NotFoundError
from bot.store.database import Row, Store, Transaction
from bot.store.tables import applications, deployments, environments, repositories, work

Kind = Literal["start", "stop", "restart", "remove"]


async def enqueue(
    tx: Transaction,
    *,
    repository_id: int,
    environment_kind: str,
    ref: str,
    sha: str,
    cause: str,
    actor: str,
    message: str = "",
    delivery_id: int | None = None,
    application_id: int | None = None,
    limits: Limits | None = None,
) -> int:
    """Queues the deployment of a commit in its environment (made if it is new) and returns the deployment's id.

    Without ``application_id`` that of the repository's first application. A queued deployment of that environment is
    superseded; a running one too, except in production, where it is left to finish so that frequent pushes cannot
    starve it. Raises ConflictError where :func:`bot.deploy.admission.refusal` has a reason not to deploy.
    """
    query = sa.select(applications).where(applications.c.repository_id == repository_id)
    if application_id is not None:
        query = query.where(applications.c.id == application_id)
    application = await tx.one(query.order_by(applications.c.id).limit(1))
    repository = await tx.one(sa.select(repositories).where(repositories.c.id == repository_id))
    if application is None or repository is None:
        raise NotFoundError(f"Repository {repository_id} has no {'such ' if application_id else ''}application.")
    refusal = await admission.refusal(
        tx, limits or Limits(), repository, application, environment_kind=environment_kind, ref=ref
    )
    if refusal is not None:
        raise ConflictError(refusal.reason)
    return await queue_commit(
        tx,
        application["id"],
        environment_kind,
        ref,
        sha=sha,
        cause=cause,
        actor=actor,
        message=message,
        delivery_id=delivery_id,
    )


async def queue_commit(tx: Transaction, application_id: int, environment_kind: str, ref: str, **values: Any) -> int:
    """As :func:`enqueue`, after the admission. ``values``: sha, cause, actor, message, delivery_id."""
    environment = await environment_for(tx, application_id, environment_kind, ref)
    return await _queue_deployment(tx, environment, ref=ref, **values)


async def teardown(
    tx: Transaction,
    *,
    repository_id: int,
    environment_kind: str,
    ref: str,
    actor: str,
    application_id: int | None = None,
    reason: str = "the branch was deleted",
) -> list[int]:
    """Cancels what runs for the branch's environments and queues their removal with their volumes.

    Of all applications, or of one. Returns the ids of the works: none where nothing is there or it goes already.
    """
    query = (
        sa.select(environments)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(
            applications.c.repository_id == repository_id,
            environments.c.kind == environment_kind,
            environments.c.ref == ref,
            environments.c.state != "removed",
            ~admission.is_going(),
        )
    )
    if application_id is not None:
        query = query.where(applications.c.id == application_id)
    return [
        await request_in(tx, environment, "remove", actor=actor, reason=reason, volumes=True)
        for environment in await tx.all(query.order_by(environments.c.id))
    ]


async def abandon(tx: Transaction, repository_id: int, *, actor: str, reason: str) -> int:
    """The repository is lost: removes all its environments, with the volumes of previews; those of production stay.

    Returns how many environments go.
    """
    rows = await tx.all(
        sa.select(environments)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(applications.c.repository_id == repository_id, environments.c.state != "removed", ~admission.is_going())
        .order_by(environments.c.id)
    )
    for row in rows:
        await request_in(tx, row, "remove", actor=actor, reason=reason, volumes=row["kind"] != "production")
    return len(rows)


async def follow_default_branch(tx: Transaction, repository_id: int, new: str, *, actor: str) -> None:
    """Another branch is the default one: production goes on as it is, and gets the next push of that branch.

    The branch's preview, if it has one, is removed: its commits are deployed to production from now on.
    """
    await teardown(
        tx,
        repository_id=repository_id,
        environment_kind="branch",
        ref=new,
        actor=actor,
        reason=f"{new} is the default branch now",
    )
    ours = sa.select(applications.c.id).where(applications.c.repository_id == repository_id)
    production = (environments.c.application_id.in_(ours), environments.c.kind == "production")
    taken = await tx.all(sa.select(environments.c.application_id).where(*production, environments.c.ref == new))
    await tx.run(
        sa.update(environments)
        .where(
            *production,
            environments.c.ref != new,
            environments.c.state != "removed",
            environments.c.application_id.not_in([row["application_id"] for row in taken]),
        )
        .values(ref=new)
    )
    await tx.run(sa.update(repositories).where(repositories.c.id == repository_id).values(default_branch=new))


async def request_work(store: Store, environment_id: int, kind: Kind, *, actor: str, volumes: bool = False) -> int:
    """Queues a stop, start, restart or removal and returns the id of the work.

    ``stop`` and ``remove`` cancel deployments of the environment that are queued or running.
    """
    async with store.begin() as tx:
        environment = await get_environment(tx, environment_id)
        if environment["state"] == "removed":
            raise ConflictError("This environment has been removed.", "Push its branch again to make it anew.")
        if kind in {"start", "restart"} and environment["live_deployment_id"] is None:
            raise ConflictError(
                "Nothing was ever live in this environment, so there is nothing to start.", "Deploy first."
            )
        return await request_in(tx, environment, kind, actor=actor, volumes=volumes)


async def rollback(store: Store, environment_id: int, deployment_id: int | None = None, *, actor: str) -> int:
    """Queues a deployment that makes an earlier one live again: its image, its settings, its variables; no build.

    Without ``deployment_id`` the one that was live before. Data in volumes and databases is not rolled back.
    """
    async with store.begin() as tx:
        return await rollback_in(tx, environment_id, deployment_id, actor=actor)


async def rollback_in(tx: Transaction, environment_id: int, deployment_id: int | None = None, *, actor: str) -> int:
    """As :func:`rollback`, within a transaction."""
    environment = await get_environment(tx, environment_id)
    if environment["state"] == "removed":
        raise ConflictError("This environment has been removed.", "Push its branch again to make it anew.")
    candidates = sa.select(deployments).where(
        deployments.c.environment_id == environment_id, deployments.c.state.in_(("live", "retired"))
    )
    if deployment_id is not None:
        source = await tx.one(candidates.where(deployments.c.id == deployment_id))
        if source is None:
            raise NotFoundError(
                f"Deployment {deployment_id} was never live in this environment.",
                "Name one that was: see its history.",
            )
    else:
        live = environment["live_deployment_id"]
        current = None if live is None else await tx.one(sa.select(deployments).where(deployments.c.id == live))
        # a rollback of a rollback goes further back, not forth again
        origin = live if current is None else current["source_deployment_id"] or live
        earlier = candidates.where(deployments.c.source_deployment_id.is_(None))
        if origin is not None:
            earlier = earlier.where(deployments.c.id < origin)
        source = await tx.one(earlier.order_by(deployments.c.id.desc()).limit(1))
        if source is None:
            raise ConflictError("There is no earlier deployment to go back to.", "")
    return await _queue_deployment(
        tx,
        environment,
        sha=source["sha"],
        ref=source["ref"],
        cause="rollback",
        actor=actor,
        message=source["message"],
        source_deployment_id=source["source_deployment_id"] or source["id"],
    )


async def redeploy(store: Store, environment_id: int, *, actor: str, cause: str = "redeploy") -> int:
    """Queues the environment's newest commit once more, with today's settings and variables."""
    async with store.begin() as tx:
        environment = await get_environment(tx, environment_id)
        newest = await tx.one(
            sa.select(deployments)
            .where(
                deployments.c.environment_id == environment_id,
                deployments.c.source_deployment_id.is_(None),
                deployments.c.state != "created",
            )
            .order_by(deployments.c.id.desc())
            .limit(1)
        )
        if newest is None:
            raise ConflictError("Nothing was ever pushed to this environment.", "Push a commit.")
        if environment["state"] == "removed":
            raise ConflictError("This environment has been removed.", "Push its branch again to make it anew.")
        return await _queue_deployment(
            tx, environment, sha=newest["sha"], ref=newest["ref"], cause=cause, actor=actor, message=newest["message"]
        )


async def cancel(store: Store, deployment_id: int, *, actor: str) -> None:
    """Cancels a deployment that is queued or running; raises ConflictError for one that has ended."""
    async with store.begin() as tx:
        row = await tx.one(sa.select(deployments).where(deployments.c.id == deployment_id))
        if row is None:
            raise NotFoundError(f"There is no deployment {deployment_id}.")
        if row["state"] in states.ENDED:
            raise ConflictError(f"Deployment {deployment_id} has ended already: it is {row['state']}.")
        await _end_deployments(
            tx, row["environment_id"], "cancelled", f"cancelled by {actor}", running=True, only=deployment_id
        )


async def get_environment(tx: Transaction | Store, environment_id: int) -> Row:
    """The environment's row; in a transaction nobody else's changes what is asked of it until the end."""
    query = sa.select(environments).where(environments.c.id == environment_id)
    row = await tx.one(query.with_for_update(key_share=True) if isinstance(tx, Transaction) else query)
    if row is None:
        raise NotFoundError(f"There is no environment {environment_id}.")
    return row


async def repository_of(tx: Transaction | Store, environment_id: int) -> Row:
    """The repository's row, with ``application_id`` and ``application``."""
    row = await tx.one(
        sa.select(repositories, applications.c.id.label("application_id"), applications.c.name.label("application"))
        .join_from(repositories, applications)
        .join(environments, environments.c.application_id == applications.c.id)
        .where(environments.c.id == environment_id)
    )
    if row is None:
        raise NotFoundError(f"There is no environment {environment_id}.")
    return row


async def environment_for(tx: Transaction, application_id: int, kind: str, ref: str) -> Row:
    """The environment of that kind and ref, made if there is none, or made anew where it was removed."""
    where = (environments.c.application_id == application_id, environments.c.kind == kind, environments.c.ref == ref)
    row = await tx.one(sa.select(environments).where(*where).with_for_update(key_share=True))
    if row is None:
        await tx.run(
            environments.insert().values(
                application_id=application_id, kind=kind, ref=ref, state="empty", created_at=time.time()
            )
        )
    elif row["state"] == "removed":
        await tx.run(sa.update(environments).where(*where).values(state="empty", reason="", removed_at=None))
    found = await tx.one(sa.select(environments).where(*where))
    assert found is not None
    return found


async def _queue_deployment(tx: Transaction, environment: Row, **values: Any) -> int:
    environment_id, sha = environment["id"], values["sha"]
    await _end_deployments(
        tx,
        environment_id,
        "superseded",
        f"superseded by {sha[:7]}",
        running=environment["kind"] != "production",
    )
    deployment_id = await tx.insert(
        deployments.insert()
        .values(environment_id=environment_id, state="queued", created_at=time.time(), **values)
        .returning(deployments.c.id)
    )
    await _add_work(tx, environment_id, "deploy", deployment_id=deployment_id)
    await states.report(tx, deployment_id)
    return deployment_id


async def queue_created(tx: Transaction, environment: Row, deployment_id: int, sha: str) -> None:
    """Queues a deployment that was made without being queued, as :func:`enqueue` does with a new one."""
    await _end_deployments(
        tx,
        environment["id"],
        "superseded",
        f"superseded by {sha[:7]}",
        running=environment["kind"] != "production",
    )
    if await states.change(tx, deployment_id, "queued"):
        await _add_work(tx, environment["id"], "deploy", deployment_id=deployment_id)


async def request_in(
    tx: Transaction, environment: Row, kind: Kind, *, actor: str, reason: str = "", volumes: bool = False
) -> int:
    """Queues a stop, start, restart or removal in a transaction that goes on; ``reason``: for what it cancels."""
    reason = reason or f"{actor} asked to {kind} it"
    if kind in {"stop", "remove"}:
        await _end_deployments(tx, environment["id"], "cancelled", f"cancelled: {reason}", running=True)
    return await _add_work(tx, environment["id"], kind, arguments={"actor": actor, "volumes": volumes})


async def _add_work(
    tx: Transaction, environment_id: int, kind: str, *, deployment_id: int | None = None, arguments: Any = None
) -> int:
    return await tx.insert(
        work.insert()
        .values(
            environment_id=environment_id,
            kind=kind,
            deployment_id=deployment_id,
            arguments_json=json.dumps(arguments or {}),
            state="queued",
            created_at=time.time(),
        )
        .returning(work.c.id)
    )


async def _end_deployments(
    tx: Transaction, environment_id: int, state: str, reason: str, *, running: bool, only: int | None = None
) -> None:
    """Ends queued deployments at once, and asks the worker of a running one to stop."""
    pending = sa.select(work).where(
        work.c.environment_id == environment_id, work.c.kind == "deploy", work.c.state.in_(("queued", "running"))
    )
    if only is not None:
        pending = pending.where(work.c.deployment_id == only)
    for row in await tx.all(pending):
        # work that a restart of the server put back into the queue belongs to a deployment that is running already
        deployment_id = row["deployment_id"]
        if row["state"] == "queued":
            await tx.run(
                sa.update(work)
                .where(work.c.id == row["id"])
                .values(state="done", outcome=reason, finished_at=time.time())
            )
            await states.change(tx, deployment_id, state, reason=reason)
        elif running:
            await tx.run(
                sa.update(work)
                .where(work.c.id == row["id"], work.c.cancel_state.is_(None))
                .values(cancel_state=state, cancel_reason=reason)
            )


async def repository_of_application(store: Store, application_id: int) -> Row:
    row = await store.one(
        sa.select(repositories)
        .join(applications, applications.c.repository_id == repositories.c.id)
        .where(applications.c.id == application_id)
    )
    if row is None:
        raise NotFoundError(f"There is no application {application_id}.")
    return row


async def newest_deployment(store: Store, application_id: int) -> Row | None:
    """The newest deployment of an application for which something was detected."""
    return await store.one(
        sa.select(deployments)
        .join(environments, environments.c.id == deployments.c.environment_id)
        .where(environments.c.application_id == application_id, deployments.c.detection_json.is_not(None))
        .order_by(deployments.c.id.desc())
        .limit(1)
    )
