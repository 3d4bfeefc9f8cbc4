"""Deliveries: what was sent to Berth's webhooks, what was decided, and deciding again."""

from __future__ import annotations

import json
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import Field
from starlette.requests import Request

from bot.deploy.views import iso
from bot.errors import NotFoundError
from bot.store.database import Row
from bot.store.tables import deliveries, repositories
from bot.web import access
from bot.web.access import Level
from bot.web.api import models
from bot.web.api.models import Query, QueryId, QueryLimit
from bot.web.http import SIGNED_IN, Needs, actor, asked, berth_of, endpoint, principal_of


class ListQuery(Query):
    repository: QueryId | None = Field(None, description="The number of a repository")
    decision: Literal["received", "ignored", "deploy", "teardown", "command"] | None = None
    cursor: QueryId | None = Field(None, description="next_cursor of the page before")
    limit: QueryLimit = 50


def _selected(*more: Any) -> sa.Select[Any]:
    columns = [column for column in deliveries.c if column.name != "payload_json"]
    return (
        sa.select(*columns, *more, repositories.c.name.label("repository"))
        .join_from(deliveries, repositories, repositories.c.id == deliveries.c.repository_id, isouter=True)
        .order_by(deliveries.c.id.desc())
    )


async def list_deliveries(request: Request) -> Any:
    """The deliveries of repositories that the token may see, newest first, in pages."""
    berth, wanted = berth_of(request), asked(request, ListQuery)
    seen = await access.visible(berth, principal_of(request))
    query = _selected().limit(wanted.limit + 1)
    if seen is not None:
        query = query.where(deliveries.c.repository_id.in_(seen))
    if wanted.repository is not None:
        query = query.where(deliveries.c.repository_id == wanted.repository)
    if wanted.decision is not None:
        query = query.where(deliveries.c.decision == wanted.decision)
    if wanted.cursor is not None:
        query = query.where(deliveries.c.id < wanted.cursor)
    rows = await berth.store.all(query)
    shown = rows[: wanted.limit]
    items = [_shown(row) for row in shown]
    return {"items": items, "next_cursor": str(shown[-1]["id"]) if len(rows) > len(shown) else None}


def _shown(row: Row) -> Row:
    return {**row, "received_at": iso(row["received_at"])}


async def get_delivery(request: Request) -> Any:
    """One delivery with what was sent."""
    identifier = request.path_params["id"]
    row = await berth_of(request).store.one(_selected(deliveries.c.payload_json).where(deliveries.c.id == identifier))
    if row is None:
        raise NotFoundError(f"There is no delivery {identifier}.")
    try:
        payload = json.loads(row["payload_json"])
    except ValueError:
        payload = row["payload_json"]
    return _shown(row) | {"payload": payload}


async def replay(request: Request) -> Any:
    """Decide again on what a delivery said, with today's settings."""
    answer = await berth_of(request).replay(request.path_params["id"], actor(request))
    made = answer.body.get("deployment_ids") or []
    decision = answer.decision
    return {
        "decision": decision.kind if decision else str(answer.body.get("decision", "ignored")),
        "reason": decision.reason if decision else str(answer.body.get("reason", "")),
        "deployment_ids": made,
    }


ROUTES = [
    endpoint("/api/deliveries", list_deliveries, SIGNED_IN, query=ListQuery, answer=models.DeliveryPage),
    endpoint("/api/deliveries/{id:int}", get_delivery, Needs(Level.WRITE, "delivery"), answer=models.FullDelivery),
    endpoint(
        "/api/deliveries/{id:int}/replay",
        replay,
        Needs(Level.WRITE, "delivery"),
        method="POST",
        answer=models.Replayed,
        status=202,
    ),
]
