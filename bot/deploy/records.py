"""Deployments by their numbers: made without being queued, queued later, stopped where they are live, deleted.

What an environment is asked for is :mod:`bot.deploy.lifecycle`'s; here somebody names a deployment, and may be mistaken
about what it is. After a call, wake the queue.
"""

from __future__ import annotations

import time
from typing import Literal

import sqlalchemy as sa
import structlog

from bot.deploy import lifecycle
from bot.deploy.platform import Platform
from bot.errors import BerthError, ConflictError, NotFoundError
from bot.store.database import Row, Store, Transaction
from bot.store.tables import applications, deployments, images, instances, repositories, services

log = structlog.get_logger()

_PENDING = ("queued", "running", "waiting_approval")


async def create(store: Store, application_id: int, *, ref: str, sha: str, actor: str, message: str = "") -> int:
    """A deployment of a commit in state ``created``, in the environment of the branch ``ref``: nothing happens yet."""
    async with store.begin() as tx:
        row = await tx.one(
            sa.select(repositories.c.default_branch, repositories.c.removed_at)
            .join(applications, applications.c.repository_id == repositories.c.id)
            .where(applications.c.id == application_id)
        )
        if row is None:
            raise NotFoundError(f"There is no application {application_id}.")
        if row["removed_at"] is not None:
            raise ConflictError("The repository of this application has been removed.")
        kind = "production" if ref == row["default_branch"] else "branch"
        environment = await lifecycle.environment_for(tx, application_id, kind, ref)
        return await _insert(tx, environment, ref=ref, sha=sha, actor=actor, message=message)


async def create_in(store: Store, environment_id: int, *, sha: str, actor: str, message: str = "") -> int:
    """The same in an environment that exists already."""
    async with store.begin() as tx:
        environment = await lifecycle.get_environment(tx, environment_id)
        if environment["state"] == "removed":
            raise ConflictError("This environment has been removed.", "Name its application and branch instead.")
        return await _insert(tx, environment, ref=environment["ref"], sha=sha, actor=actor, message=message)


async def start(store: Store, deployment_id: int) -> None:
    """Queues a created deployment; those of its environment that are queued, or running in a preview, are superseded.

    Raises ConflictError for one that was queued before, and where its environment has been removed.
    """
    async with store.begin() as tx:
        await lifecycle.get_environment(tx, (await _row(tx, deployment_id))["environment_id"])
        row = await _row(tx, deployment_id)  # as whoever had the environment before left it
        if row["state"] != "created":
            raise ConflictError(
                f"Deployment {deployment_id} is {row['state']}: only one that was created and never started can be.",
                "Create another one of the same commit.",
            )
        environment = await lifecycle.get_environment(tx, row["environment_id"])
        if environment["state"] == "removed":
            raise ConflictError("Its environment has been removed.", "Create another deployment of the branch.")
        await lifecycle.queue_created(tx, environment, deployment_id, row["sha"])


async def request(
    store: Store, deployment_id: int, kind: Literal["stop", "restart", "remove"], *, actor: str, volumes: bool = False
) -> int:
    """Queues that for the environment of a deployment, which must be what is live there; returns the work's id."""
    async with store.begin() as tx:
        row = await _row(tx, deployment_id)
        environment = await lifecycle.get_environment(tx, row["environment_id"])
        _require_live(row, environment)
        return await lifecycle.request_in(tx, environment, kind, actor=actor, volumes=volumes)


async def rollback(store: Store, deployment_id: int, *, actor: str) -> int:
    """Queues a deployment that makes this earlier one live again; returns the new one's id."""
    row = await _row(store, deployment_id)
    environment = await lifecycle.get_environment(store, row["environment_id"])
    if environment["live_deployment_id"] == deployment_id:
        raise ConflictError(f"Deployment {deployment_id} is what is live.", "Restart it, or name an earlier one.")
    if row["state"] != "retired":
        raise ConflictError(
            f"Deployment {deployment_id} is {row['state']} and was never live, so there is nothing to go back to.",
            "Name one that was live: see the environment's history.",
        )
    return await lifecycle.rollback(store, environment["id"], deployment_id, actor=actor)


async def is_live(store: Store, deployment_id: int) -> bool:
    """Whether the deployment is its environment's live one (which may be stopped). Raises NotFoundError."""
    row = await _row(store, deployment_id)
    environment = await lifecycle.get_environment(store, row["environment_id"])
    return bool(environment["live_deployment_id"] == deployment_id and environment["state"] != "removed")


async def delete(platform: Platform, deployment_id: int) -> None:
    """Deletes the record of a deployment that is not live, its logs, and its image unless another one has that too.

    Raises ConflictError while it is live, queued or running, and until its instances have ended.
    """
    async with platform.store.begin() as tx:
        row = await _row(tx, deployment_id)
        environment = await lifecycle.get_environment(tx, row["environment_id"])
        if row["state"] in _PENDING or environment["live_deployment_id"] == deployment_id:
            what = "live" if environment["live_deployment_id"] == deployment_id else row["state"]
            raise ConflictError(f"Deployment {deployment_id} is {what}.", "Cancel it, or wait until it has ended.")
        busy = sa.select(instances.c.id).where(
            instances.c.deployment_id == deployment_id, instances.c.state.in_(("starting", "live", "draining"))
        )
        made = busy.join(services, services.c.id == instances.c.service_id).where(services.c.role == "database")
        if await tx.one(made.limit(1)) is not None:
            raise ConflictError(
                f"Deployment {deployment_id} made the database of its environment, and keeps its log.",
                "It can be deleted once the environment has been removed.",
            )
        if await tx.one(busy.limit(1)) is not None:
            raise ConflictError(f"The instances of deployment {deployment_id} are still ending.", "Try again soon.")
        await tx.run(sa.delete(deployments).where(deployments.c.id == deployment_id))
        # a build under way may have found this very image: then the next comparison with the engine removes it
        same = sa.or_(deployments.c.image_id == row["image_id"], deployments.c.state == "running")
        unused = bool(row["image_id"]) and await tx.one(sa.select(deployments.c.id).where(same).limit(1)) is None
        if unused:
            await tx.run(sa.delete(images).where(images.c.image_id == row["image_id"]))
    await platform.logs.remove_deployment(deployment_id)
    if unused:
        try:
            await platform.engine.remove_image(row["image_id"])
        except BerthError as error:  # as above
            log.info("the image of a deleted deployment stays for now", deployment=deployment_id, reason=error.reason)


def _require_live(row: Row, environment: Row) -> None:
    live = environment["live_deployment_id"]
    if environment["state"] == "removed" or live is None:
        raise ConflictError(f"Deployment {row['id']} is {row['state']}, and nothing is live in its environment.")
    if live != row["id"]:
        raise ConflictError(
            f"Deployment {row['id']} is {row['state']}: deployment {live} is what is live in its environment.",
            f"Name deployment {live}.",
        )


async def _insert(tx: Transaction, environment: Row, *, ref: str, sha: str, actor: str, message: str) -> int:
    values = {"ref": ref, "sha": sha, "actor": actor, "message": message, "cause": "api"}
    return await tx.insert(
        deployments.insert()
        .values(environment_id=environment["id"], state="created", created_at=time.time(), **values)
        .returning(deployments.c.id)
    )


async def _row(store: Store | Transaction, deployment_id: int) -> Row:
    row = await store.one(sa.select(deployments).where(deployments.c.id == deployment_id))
    if row is None:
        raise NotFoundError(f"There is no deployment {deployment_id}.")
    return row
