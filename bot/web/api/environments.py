"""Environments: what runs, stop and start, roll back, the application's own output."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from bot.deploy import lifecycle, views
from bot.web import access
from bot.web.access import Level
from bot.web.api import models
from bot.web.api.models import Body, Flag, Id, Query, QueryLimit, Text
from bot.web.http import (
    NDJSON,
    SIGNED_IN,
    DataHandler,
    Lines,
    Needs,
    actor,
    asked,
    berth_of,
    endpoint,
    given,
    principal_of,
)
from bot.web.streams import environment_lines, shown_instance


class RollbackBody(Body):
    """``deployment_id`` null: to the one that was live before."""

    deployment_id: Id | None = None


class RedeployBody(Body):
    """Nothing has to be said."""


class ListQuery(Query):
    repository: Text | None = Field(None, description="The name of a repository")


class HistoryQuery(Query):
    limit: QueryLimit = 50


class RemoveQuery(Query):
    volumes: Flag = Field(False, description="Delete its volumes too")


class OutputQuery(Query):
    tail: models.QueryTail = 100
    follow: Flag = Field(False, description="Go on with what comes")
    service: Text | None = Field(None, description="Of this service instead of the web service: worker, postgres")


async def list_environments(request: Request) -> Any:
    """The environments that are not removed, production first."""
    berth = berth_of(request)
    seen = await access.visible(berth, principal_of(request))
    found = await views.environment_views(berth.store, berth.config, repository=asked(request, ListQuery).repository)
    return [one for one in found if seen is None or one["repository_id"] in seen]


async def get_environment(request: Request) -> Any:
    """One environment."""
    berth = berth_of(request)
    return await views.environment_view(berth.store, berth.config, request.path_params["id"])


async def list_deployments(request: Request) -> Any:
    """The environment's newest deployments."""
    berth = berth_of(request)
    return await views.deployment_views(
        berth.store,
        berth.config,
        environment_id=request.path_params["id"],
        limit=asked(request, HistoryQuery).limit,
    )


_SAYS = {
    "stop": "Stop what is live: its address, volumes and history stay.",
    "start": "Start what was stopped.",
    "restart": "Replace the instances by new ones, without a gap.",
}


def work_on(kind: Literal["stop", "start", "restart"]) -> DataHandler:
    """The handler that asks for ``kind``."""

    async def handler(request: Request) -> Any:
        return await _request_work(request, kind)

    handler.__name__, handler.__doc__ = kind, _SAYS[kind]
    return handler


async def remove(request: Request) -> Any:
    """Remove an environment; its history stays."""
    return await _request_work(request, "remove", volumes=asked(request, RemoveQuery).volumes)


async def _request_work(
    request: Request, kind: Literal["stop", "start", "restart", "remove"], *, volumes: bool = False
) -> Any:
    berth = berth_of(request)
    work_id = await lifecycle.request_work(
        berth.store, request.path_params["id"], kind, actor=actor(request), volumes=volumes
    )
    berth.queue.wake()
    return {"work_id": work_id}


async def rollback(request: Request) -> Any:
    """Make an earlier deployment live again, with its image, settings and variables; data is not rolled back."""
    berth = berth_of(request)
    wanted = given(request, RollbackBody)
    deployment_id = await lifecycle.rollback(
        berth.store, request.path_params["id"], wanted.deployment_id, actor=actor(request)
    )
    berth.queue.wake()
    return await views.deployment_view(berth.store, berth.config, deployment_id)


async def deploy(request: Request) -> Any:
    """Deploy the newest commit again, with today's settings and variables."""
    berth = berth_of(request)
    deployment_id = await lifecycle.redeploy(berth.store, request.path_params["id"], actor=actor(request))
    berth.queue.wake()
    return await views.deployment_view(berth.store, berth.config, deployment_id)


async def logs(request: Request) -> Response:
    """What the application printed, a JSON object a line: the live instance's output, else the newest's."""
    wanted, berth, environment = asked(request, OutputQuery), berth_of(request), request.path_params["id"]
    service = wanted.service or ""
    await shown_instance(berth, environment, service)  # refused before the answer begins
    return Lines(environment_lines(berth, environment, tail=wanted.tail, follow=wanted.follow, service=service))


_READ, _WRITE = Needs(Level.READ, "environment"), Needs(Level.WRITE, "environment")
_ONE = "/api/environments/{id:int}"

ROUTES = [
    endpoint("/api/environments", list_environments, SIGNED_IN, query=ListQuery, answer=list[models.Environment]),
    endpoint(_ONE, get_environment, _READ, answer=models.Environment),
    endpoint(_ONE, remove, _WRITE, method="DELETE", query=RemoveQuery, answer=models.WorkRequested, status=202),
    endpoint(f"{_ONE}/deployments", list_deployments, _READ, query=HistoryQuery, answer=list[models.DeploymentSummary]),
    *(
        endpoint(f"{_ONE}/{kind}", work_on(kind), _WRITE, method="POST", answer=models.WorkRequested, status=202)
        for kind in ("stop", "start", "restart")
    ),
    endpoint(
        f"{_ONE}/rollback",
        rollback,
        _WRITE,
        method="POST",
        body=RollbackBody,
        answer=models.Deployment,
        status=202,
    ),
    endpoint(f"{_ONE}/deploy", deploy, _WRITE, method="POST", body=RedeployBody, answer=models.Deployment, status=202),
    endpoint(f"{_ONE}/logs", logs, _READ, query=OutputQuery, answer=NDJSON),
]
