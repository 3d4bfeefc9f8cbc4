"""Deliveries: what the forge told, what Berth decided and why, and deciding once more."""

from __future__ import annotations

import json

import sqlalchemy as sa
from starlette.responses import Response

from bot.errors import NotFoundError
from bot.forge.inbox import RECEIVED
from bot.store.tables import deliveries, repositories
from bot.web.access import Level
from bot.web.http import MAX_ID, number
from bot.web.pages.frame import PageRoute, Visit

_SHOWN = 50
_EXCERPT = 16_000  # characters of a payload
_DECISIONS = ("deploy", "teardown", "command", "ignored")
_COLUMNS = [column for column in deliveries.c if column.name != "payload_json"]


async def index(visit: Visit) -> Response:
    """``?decision=``, ``?repository=`` choose; ``?before=ID`` goes on."""
    query = visit.request.query_params
    seen = await visit.visible()
    found = (
        sa.select(*_COLUMNS, repositories.c.name.label("repository"))
        .join_from(deliveries, repositories, repositories.c.id == deliveries.c.repository_id, isouter=True)
        .order_by(deliveries.c.id.desc())
        .limit(_SHOWN + 1)
    )
    if seen is not None:
        found = found.where(deliveries.c.repository_id.in_(seen))
    decision = query.get("decision", "")
    if decision in _DECISIONS:
        found = found.where(deliveries.c.decision == decision)
    if repository_id := number(visit.request, "repository", 0, most=MAX_ID):
        found = found.where(deliveries.c.repository_id == repository_id)
    if before := number(visit.request, "before", 0, most=MAX_ID):
        found = found.where(deliveries.c.id < before)
    rows = await visit.berth.store.all(found)
    return visit.page(
        "deliveries.html",
        deliveries=rows[:_SHOWN],
        more=rows[_SHOWN - 1]["id"] if len(rows) > _SHOWN else None,
        decisions=_DECISIONS,
        decision=decision,
        repository_id=repository_id,
        later=bool(before),
    )


async def one(visit: Visit) -> Response:
    row = await visit.berth.store.one(
        sa.select(deliveries, repositories.c.name.label("repository"))
        .join_from(deliveries, repositories, repositories.c.id == deliveries.c.repository_id, isouter=True)
        .where(deliveries.c.id == visit.id)
    )
    if row is None:
        raise NotFoundError(f"There is no delivery {visit.id}.")
    text = _readable(row["payload_json"]) if visit.level >= Level.WRITE else ""
    return visit.page(
        "delivery.html",
        delivery=row,
        payload=text[:_EXCERPT],
        left_out=max(0, len(text) - _EXCERPT),
        replayable=visit.level >= Level.WRITE and row["decision"] != RECEIVED,
    )


def _readable(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


async def replay(visit: Visit) -> Response:
    await visit.berth.replay(visit.id, visit.actor)
    return visit.go("/deliveries", "replayed")


ROUTES = [
    PageRoute("/deliveries", index, Level.READ, "anything"),
    PageRoute("/deliveries/{id:int}", one, Level.READ, "delivery"),
    PageRoute("/deliveries/{id:int}/replay", replay, Level.WRITE, "delivery", "POST"),
]
