"""Repositories, made here where they are of the local forge; GitHub's come and go with its App."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import sqlalchemy as sa
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from bot.deploy import lifecycle
from bot.errors import ConflictError, NotFoundError
from bot.store.database import Row
from bot.store.tables import applications, environments, repositories
from bot.web import access
from bot.web.access import Level
from bot.web.api import models
from bot.web.api.models import Body, Flag, Query, Text
from bot.web.http import SIGNED_IN, Needs, actor, asked, berth_of, endpoint, given, principal_of

_REMOVAL = 120.0  # seconds that the removal of a repository may wait for its environments
_creating = asyncio.Lock()


class RepositoryBody(Body):
    """``source_path``: the folder or address that it is made from; one that exists for it is used whatever its name."""

    name: Text
    source_path: str = Field("", max_length=4096, pattern=r"^[^\x00]*$")


class RemoveQuery(Query):
    volumes: Flag = Field(False, description="Delete the volumes of its environments too")


async def list_repositories(request: Request) -> Any:
    """The repositories that the token may see."""
    berth = berth_of(request)
    seen = await access.visible(berth, principal_of(request))
    query = sa.select(repositories).where(repositories.c.removed_at.is_(None)).order_by(repositories.c.name)
    rows = await berth.store.all(query if seen is None else query.where(repositories.c.id.in_(seen)))
    return [await _shown(request, row) for row in rows]


async def create(request: Request) -> Any:
    """A repository to push to, made where it does not exist. A name that another source has taken gets a number."""
    forge = berth_of(request).forge
    wanted = given(request, RepositoryBody)
    if not wanted.source_path:
        return await _shown(request, await forge.create_repository(wanted.name))
    async with _creating:
        rows = await forge.repositories()
        row = next((row for row in rows if row["source_path"] == wanted.source_path), None)
        if row is None:
            names = {row["name"] for row in rows}
            name, number = wanted.name, 2
            while name.lower() in names:
                name, number = f"{wanted.name}-{number}", number + 1
            row = await forge.create_repository(name, wanted.source_path)
    return await _shown(request, row)


async def _shown(request: Request, row: Row) -> dict[str, Any]:
    berth, principal = berth_of(request), principal_of(request)
    query = sa.select(applications.c.id).where(applications.c.repository_id == row["id"]).order_by(applications.c.id)
    application = await berth.store.one(query.limit(1))
    local = row["forge_id"] == berth.forge.id
    remote = None
    if local and await access.level(berth, principal, row["id"]) >= Level.WRITE:
        # without a public address of its own the server is reached the way that this request came
        remote = berth.forge.remote_url(row, "" if berth.config.public_url else str(request.base_url))
    return {
        "id": row["id"],
        "name": row["name"],
        "forge": "local" if local else "github",
        "application_id": application["id"] if application else None,
        "default_branch": row["default_branch"],
        "remote_url": remote,
        "source_path": row["source_path"],
    }


async def remove(request: Request) -> Response:
    """Remove a repository of the local forge: its environments, whose end is waited for, then itself."""
    berth = berth_of(request)
    identifier = request.path_params["id"]
    rows = await berth.forge.repositories()
    row = next((row for row in rows if row["id"] == identifier), None)
    if row is None:
        if await berth.store.one(
            sa.select(repositories.c.id).where(repositories.c.id == identifier, repositories.c.removed_at.is_(None))
        ):
            raise ConflictError("This repository is on GitHub.", "Take it out of the App's installation there.")
        raise NotFoundError(f"There is no repository {identifier}.")
    of, volumes = applications.c.repository_id == identifier, asked(request, RemoveQuery).volumes
    await remove_environments(request, f"The repository {row['name']}", of, volumes=volumes)
    await berth.forge.remove_repository(row)
    return Response(status_code=204)


async def remove_environments(request: Request, name: str, of: sa.ColumnElement[bool], *, volumes: bool) -> None:
    """Removes all environments of the applications for which ``of`` holds, and waits until they are gone.

    Raises ConflictError where that fails or takes too long; ``name`` is what cannot be removed then.
    """
    berth, deadline = berth_of(request), time.monotonic() + _REMOVAL
    query = (
        sa.select(environments.c.id)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(of, environments.c.state != "removed")
    )
    while left := await berth.store.all(query):  # a push may make one while others go
        works = [
            await lifecycle.request_work(berth.store, one["id"], "remove", actor=actor(request), volumes=volumes)
            for one in left
        ]
        berth.queue.wake()
        for work_id in works:
            work = await berth.queue.wait(work_id, max(0.0, deadline - time.monotonic()))
            if work is None or work["state"] != "done" or work["outcome"]:
                outcome = work["outcome"] if work and work["outcome"] else "its environments are still being removed"
                raise ConflictError(f"{name} is not removed: {outcome}.", "Try again.")


ROUTES = [
    endpoint("/api/repositories", list_repositories, SIGNED_IN, answer=list[models.Repository]),
    endpoint(
        "/api/repositories",
        create,
        Needs(Level.ADMIN, "installation"),
        method="POST",
        body=RepositoryBody,
        answer=models.Repository,
        status=201,
    ),
    endpoint(
        "/api/repositories/{id:int}",
        remove,
        Needs(Level.ADMIN, "repository"),
        method="DELETE",
        query=RemoveQuery,
        status=204,
    ),
]
