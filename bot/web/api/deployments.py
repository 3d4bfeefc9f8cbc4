"""Deployments: what a commit would become, made, started, stopped, looked at, deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Discriminator, Field, StringConstraints, Tag
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.deploy import lifecycle, records, states, views
from bot.deploy.inspection import inspect
from bot.errors import NotFoundError
from bot.forge.heads import head_of
from bot.source.refs import validate_ref
from bot.store.database import Row
from bot.store.tables import applications, deployments, environments, repositories
from bot.web.access import Level
from bot.web.api import models
from bot.web.api.models import Body, Flag, Id, Query, QueryId, QueryLimit, Text
from bot.web.http import NDJSON, Lines, Needs, actor, asked, berth_of, endpoint, given
from bot.web.streams import deployment_events, line_view

State = Literal[
    "created", "waiting_approval", "queued", "running", "live", "retired", "failed", "cancelled", "superseded"
]
Ref = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x20~^:?*\[\\\x7f]+$")]
Sha = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]


class _Commit(Body):
    ref: Ref | None = Field(None, description="A branch, of which the newest commit is taken")
    sha: Sha | None = Field(None, description="A full commit id")


class DetectBody(_Commit):
    """A commit of a known repository: ``sha``, else the newest of ``ref``, else the newest of the default branch."""

    repository_id: Id
    root: str = Field("", max_length=1024, pattern=r"^[^\x00]*$", description="The application's folder")

    def subject(self) -> tuple[str, int]:
        return "repository", self.repository_id


class CreateForApplication(_Commit):
    """In the environment of the branch ``ref`` (absent: of the default branch); ``sha`` absent: its newest commit."""

    application_id: Id

    def subject(self) -> tuple[str, int]:
        return "application", self.application_id


class CreateInEnvironment(Body):
    """``sha`` absent: the newest commit of the environment's branch."""

    environment_id: Id
    sha: Sha | None = None

    def subject(self) -> tuple[str, int]:
        return "environment", self.environment_id


def _which(value: object) -> str:
    return "environment" if isinstance(value, dict) and "environment_id" in value else "application"


CreateBody = Annotated[
    Annotated[CreateForApplication, Tag("application")] | Annotated[CreateInEnvironment, Tag("environment")],
    Discriminator(_which),
]


class StartBody(Body):
    deployment_id: Id

    def subject(self) -> tuple[str, int]:
        return "deployment", self.deployment_id


class RemoveQuery(Query):
    volumes: Flag = Field(False, description="Of a live deployment: delete the environment's volumes too")


class ListQuery(Query):
    application: QueryId | None = Field(None, description="The number of an application")
    branch: Text | None = None
    state: State | None = None
    since: models.Time | None = Field(None, description="Created then or later")
    until: models.Time | None = Field(None, description="Created before then")
    cursor: QueryId | None = Field(None, description="next_cursor of the page before")
    limit: QueryLimit = 50


class LogQuery(Query):
    tail: models.QueryTail = Field(100, description="So many of the last lines")
    offset: models.QueryOffset | None = Field(None, description="Instead: from there on, up to 2,000 lines")


class StreamQuery(Query):
    offset: models.QueryOffset = Field(0, description="Where to go on")


async def detect(request: Request) -> Any:
    """Look at a commit without deploying it.

    Fetches it, detects what it is, and answers the files that it would be built from, with the evidence.
    """
    berth, wanted = berth_of(request), given(request, DetectBody)
    repository = await _repository(request, wanted.repository_id)
    sha = wanted.sha or await head_of(berth.forge, berth.github, repository, wanted.ref or repository["default_branch"])
    found = await inspect(berth.platform, repository, sha, {"root": wanted.root})
    detection = found.examination.detection.to_json()
    return {
        "repository_id": repository["id"],
        "sha": sha,
        "message": found.checkout.subject,
        "detection": {key: value for key, value in detection.items() if key != "facts"},
        "files": found.examination.files,
        "evidence": detection["evidence"],
        "explanation": list(found.examination.explanation),
    }


async def create(request: Request) -> Any:
    """Make a deployment in state ``created``; ``start`` queues it."""
    berth, wanted = berth_of(request), request.state.body
    if isinstance(wanted, CreateInEnvironment):
        environment = await views.environment_view(berth.store, berth.config, wanted.environment_id)
        repository = await _repository(request, environment["repository_id"])
        sha = wanted.sha or await head_of(berth.forge, berth.github, repository, environment["ref"])
        identifier = await records.create_in(berth.store, environment["id"], sha=sha, actor=actor(request))
    else:
        assert isinstance(wanted, CreateForApplication)
        repository = await lifecycle.repository_of_application(berth.store, wanted.application_id)
        ref = validate_ref(wanted.ref or repository["default_branch"])
        sha = wanted.sha or await head_of(berth.forge, berth.github, repository, ref)
        identifier = await records.create(berth.store, wanted.application_id, ref=ref, sha=sha, actor=actor(request))
    return await views.deployment_view(berth.store, berth.config, identifier)


async def start(request: Request) -> Any:
    """Queue a created deployment."""
    berth, identifier = berth_of(request), given(request, StartBody).deployment_id
    await records.start(berth.store, identifier)
    berth.queue.wake()
    berth.outbox.wake()
    return await views.deployment_view(berth.store, berth.config, identifier)


async def stop(request: Request) -> Any:
    """Stop the live deployment of an environment; its address, volumes and record stay."""
    return await _request(request, "stop")


async def restart(request: Request) -> Any:
    """Replace the instances of a live deployment by new ones of the same image, without a gap."""
    return await _request(request, "restart")


async def _request(request: Request, kind: Literal["stop", "restart", "remove"], *, volumes: bool = False) -> Any:
    berth = berth_of(request)
    work_id = await records.request(berth.store, request.path_params["id"], kind, actor=actor(request), volumes=volumes)
    berth.queue.wake()
    return {"work_id": work_id}


async def rollback(request: Request) -> Any:
    """Make this earlier deployment live again, with its image, settings and variables; data is not rolled back."""
    berth = berth_of(request)
    identifier = await records.rollback(berth.store, request.path_params["id"], actor=actor(request))
    berth.queue.wake()
    return await views.deployment_view(berth.store, berth.config, identifier)


async def delete(request: Request) -> Any:
    """Delete a deployment.

    A live one is stopped, and its environment removed but for its volumes (202); of any other the record, the log and
    the image (204).
    """
    berth, identifier = berth_of(request), request.path_params["id"]
    if await records.is_live(berth.store, identifier):
        accepted = await _request(request, "remove", volumes=asked(request, RemoveQuery).volumes)
        return JSONResponse(accepted, 202)
    await records.delete(berth.platform, identifier)
    return Response(status_code=204)


async def get_deployment(request: Request) -> Any:
    """One deployment with everything about it."""
    berth = berth_of(request)
    return await views.deployment_view(berth.store, berth.config, request.path_params["id"])


async def list_of_repository(request: Request) -> Any:
    """The deployments of a repository, newest first, in pages."""
    berth, wanted = berth_of(request), asked(request, ListQuery)
    query = (
        sa.select(deployments, environments.c.kind, environments.c.ref.label("environment_ref"))
        .add_columns(applications.c.id.label("application_id"), applications.c.name.label("application"))
        .join_from(deployments, environments)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(applications.c.repository_id == request.path_params["id"])
        .order_by(deployments.c.id.desc())
        .limit(wanted.limit + 1)
    )
    if wanted.application is not None:
        query = query.where(applications.c.id == wanted.application)
    if wanted.branch is not None:
        query = query.where(deployments.c.ref == wanted.branch)
    if wanted.state is not None:
        query = query.where(deployments.c.state == wanted.state)
    if wanted.since is not None:
        query = query.where(deployments.c.created_at >= _seconds(wanted.since))
    if wanted.until is not None:
        query = query.where(deployments.c.created_at < _seconds(wanted.until))
    if wanted.cursor is not None:
        query = query.where(deployments.c.id < wanted.cursor)
    rows = await berth.store.all(query)
    shown = rows[: wanted.limit]
    urls = {
        view["id"]: view["url"]
        for identifier in {row["environment_id"] for row in shown if row["state"] == "live"}
        for view in await views.environment_views(berth.store, berth.config, environment_id=identifier)
    }
    items = [
        views.deployment_summary(row, urls.get(row["environment_id"]))
        | {"application_id": row["application_id"], "application": row["application"]}
        | {"environment": states.label(row["kind"], row["environment_ref"])}
        for row in shown
    ]
    return {"items": items, "next_cursor": str(shown[-1]["id"]) if len(rows) > len(shown) else None}


def _seconds(moment: datetime) -> float:
    return moment.astimezone(UTC).timestamp()


async def get_files(request: Request) -> Any:
    """The Dockerfile and the compose file that it is built from, and the evidence that led to them."""
    query = sa.select(deployments.c.files_json, deployments.c.detection_json)
    row = await berth_of(request).store.one(query.where(deployments.c.id == request.path_params["id"]))
    if row is None:
        raise NotFoundError(f"There is no deployment {request.path_params['id']}.")
    detection = json.loads(row["detection_json"] or "{}")
    return {"files": json.loads(row["files_json"] or "{}"), "evidence": detection.get("evidence", [])}


async def cancel(request: Request) -> Any:
    """Cancel a deployment that is queued or running."""
    berth = berth_of(request)
    await lifecycle.cancel(berth.store, request.path_params["id"], actor=actor(request))
    berth.queue.wake()
    return await views.deployment_view(berth.store, berth.config, request.path_params["id"])


async def logs(request: Request) -> Any:
    """Lines of the deployment's own log: the last ``tail``, or some from ``offset`` on.

    As they come: ``GET /api/deployments/{id}/stream``, or the WebSocket ``/api/deployments/{id}/logs/stream?offset=N``.
    """
    berth, wanted = berth_of(request), asked(request, LogQuery)
    where: dict[str, Any] = {"tail": wanted.tail} if wanted.offset is None else {"offset": wanted.offset}
    page = await berth.logs.read(request.path_params["id"], **where)
    return {"lines": [line_view(line) for line in page.lines], "next_offset": page.next_offset}


async def stream(request: Request) -> Response:
    """What happens as it happens, from ``offset`` on to the deployment's end: a JSON object a line."""
    offset = asked(request, StreamQuery).offset
    return Lines(deployment_events(berth_of(request), request.path_params["id"], offset=offset))


async def _repository(request: Request, identifier: int) -> Row:
    row = await berth_of(request).store.one(
        sa.select(repositories).where(repositories.c.id == identifier, repositories.c.removed_at.is_(None))
    )
    if row is None:
        raise NotFoundError(f"There is no repository {identifier}.")
    return row


_READ, _WRITE = Needs(Level.READ, "deployment"), Needs(Level.WRITE, "deployment")
_NAMED = {
    kind: Needs(Level.WRITE, kind, named_in="body") for kind in ("repository", "deployment", "application|environment")
}
_STREAM = Needs(Level.READ, "deployment", stream=True)
_BASE, _ONE = "/api/deployments", "/api/deployments/{id:int}"

ROUTES = [
    endpoint(f"{_BASE}/detect", detect, _NAMED["repository"], method="POST", body=DetectBody, answer=models.Found),
    endpoint(
        f"{_BASE}/create",
        create,
        _NAMED["application|environment"],
        method="POST",
        body=CreateBody,
        answer=models.Deployment,
        status=201,
    ),
    endpoint(
        f"{_BASE}/start",
        start,
        _NAMED["deployment"],
        method="POST",
        body=StartBody,
        answer=models.Deployment,
        status=202,
    ),
    endpoint(f"{_BASE}/stop/{{id:int}}", stop, _WRITE, method="POST", answer=models.WorkRequested, status=202),
    endpoint(f"{_BASE}/restart/{{id:int}}", restart, _WRITE, method="POST", answer=models.WorkRequested, status=202),
    endpoint(f"{_BASE}/rollback/{{id:int}}", rollback, _WRITE, method="POST", answer=models.Deployment, status=202),
    endpoint(
        f"{_BASE}/repo/{{id:int}}",
        list_of_repository,
        Needs(Level.READ, "repository"),
        query=ListQuery,
        answer=models.DeploymentPage,
    ),
    endpoint(_ONE, get_deployment, _READ, answer=models.Deployment),
    endpoint(
        _ONE,
        delete,
        _WRITE,
        method="DELETE",
        query=RemoveQuery,
        answer=models.WorkRequested,
        status=202,
        also={204: None},
    ),
    endpoint(f"{_ONE}/files", get_files, _READ, answer=models.Files),
    endpoint(f"{_ONE}/cancel", cancel, _WRITE, method="POST", answer=models.Deployment, status=202),
    endpoint(f"{_ONE}/logs", logs, _READ, query=LogQuery, answer=models.Log),
    endpoint(f"{_ONE}/stream", stream, _STREAM, query=StreamQuery, answer=NDJSON),
]
