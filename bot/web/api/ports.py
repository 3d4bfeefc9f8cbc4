"""The stable ports of applications: who has which, and ports that no application may get."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from bot.deploy.views import iso
from bot.errors import ConflictError, NotFoundError
from bot.store.database import Row
from bot.store.tables import applications, environments, ports, repositories, services
from bot.web import access
from bot.web.access import Level
from bot.web.api import models
from bot.web.api.models import Body, Id, Query, QueryId, Text
from bot.web.http import SIGNED_IN, Needs, asked, berth_of, endpoint, given, principal_of

Number = Annotated[int, Field(ge=1, le=65_535), BeforeValidator(models.whole)]


class ListQuery(Query):
    state: Literal["leased", "reserved", "quarantined"] | None = None
    repository: QueryId | None = Field(None, description="The number of a repository")


class AllocateBody(Body):
    """The service of an environment that shall have a port of its own, for example ``web``."""

    environment_id: Id
    service: Text = "web"

    def subject(self) -> tuple[str, int]:
        return "environment", self.environment_id


class ReserveBody(Body):
    """A port that no application shall get, and why."""

    port: Number
    note: Text = ""


class ReleaseBody(Body):
    """A port that is reserved, or leased to a service that does not run."""

    port: Number

    def subject(self) -> tuple[str, int]:
        return "port", self.port


_SELECTED = (
    sa.select(ports, repositories.c.name.label("repository"))
    .add_columns(services.c.environment_id, services.c.name.label("service"), services.c.live_slot)
    .join_from(ports, repositories, repositories.c.id == ports.c.repository_id, isouter=True)
    .join(services, services.c.id == ports.c.service_id, isouter=True)
    .order_by(ports.c.port)
)


async def list_ports(request: Request) -> Any:
    """The ports that are not free, as far as the token may see their repositories."""
    berth, wanted = berth_of(request), asked(request, ListQuery)
    seen = await access.visible(berth, principal_of(request))
    query = _SELECTED
    if wanted.state is not None:
        query = query.where(ports.c.state == wanted.state)
    if wanted.repository is not None:
        query = query.where(ports.c.repository_id == wanted.repository)
    if seen is not None:
        query = query.where(ports.c.repository_id.in_(seen))
    return [_shown(row) for row in await berth.store.all(query)]


def _shown(row: Row) -> Row:
    return {**row, "since": iso(row["since"]), "until": iso(row["until"])}


async def get_port(request: Request) -> Any:
    """Who has the port; 404 for a free one."""
    return _shown(await _row(request, request.path_params["port"]))


async def allocate(request: Request) -> Any:
    """The port of a service: the one that it has, or a new one."""
    berth, wanted = berth_of(request), given(request, AllocateBody)
    row = await berth.store.one(
        sa.select(services.c.id, applications.c.repository_id, environments.c.state)
        .join_from(services, environments)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(services.c.environment_id == wanted.environment_id, services.c.name == wanted.service)
    )
    if row is None or row["state"] == "removed":
        raise NotFoundError(f"This environment has no service {wanted.service!a}.", "Deploy it once first.")
    return {"port": await berth.ports.allocate(row["id"], row["repository_id"])}


async def reserve(request: Request) -> Any:
    """Never hand out this port."""
    berth, wanted = berth_of(request), given(request, ReserveBody)
    await berth.ports.reserve(wanted.port, wanted.note)
    return _shown(await _row(request, wanted.port))


async def release(request: Request) -> Response:
    """Give a port back: a reserved one is free at once, one that was leased rests first."""
    berth, wanted = berth_of(request), given(request, ReleaseBody)
    row = await _row(request, wanted.port)
    if row["state"] == "quarantined":
        raise ConflictError(f"Port {wanted.port} has been released and rests until {iso(row['until'])}.")
    if row["state"] == "reserved":
        await berth.ports.unreserve(wanted.port)
        return Response(status_code=204)
    if row["live_slot"] is not None:
        raise ConflictError(
            f"Port {wanted.port} leads to a service that runs.", "Stop its environment first, or remove it."
        )
    await berth.ports.release(row["service_id"])
    return Response(status_code=204)


async def _row(request: Request, port: int) -> Row:
    row = await berth_of(request).store.one(_SELECTED.where(ports.c.port == port))
    if row is None:
        raise NotFoundError(f"Port {port} is free, or not one that Berth gives to applications.")
    return row


ROUTES = [
    endpoint("/api/ports", list_ports, SIGNED_IN, query=ListQuery, answer=list[models.Port]),
    endpoint("/api/ports/{port:int}", get_port, Needs(Level.READ, "port"), answer=models.Port),
    endpoint(
        "/api/ports/allocate",
        allocate,
        Needs(Level.WRITE, "environment", named_in="body"),
        method="POST",
        body=AllocateBody,
        answer=models.AllocatedPort,
    ),
    endpoint(
        "/api/ports/reserve",
        reserve,
        Needs(Level.ADMIN, "installation"),
        method="POST",
        body=ReserveBody,
        answer=models.Port,
        status=201,
    ),
    endpoint(
        "/api/ports/release",
        release,
        Needs(Level.ADMIN, "port", named_in="body"),
        method="POST",
        body=ReleaseBody,
        status=204,
    ),
]
