"""One deployment: how it went, why Berth did what it did, its log."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response, StreamingResponse

from bot.deploy import lifecycle, states, views
from bot.store.tables import deployments
from bot.web import text
from bot.web.access import Level
from bot.web.http import Lines, number
from bot.web.pages.frame import HEADERS, PageRoute, Visit
from bot.web.streams import deployment_events

_SHOWN_LINES = 500  # of a log; all of it is in the download


async def one(visit: Visit) -> Response:
    berth = visit.berth
    deployment = await views.deployment_view(berth.store, berth.config, visit.id)
    environment = await views.environment_view(berth.store, berth.config, deployment["environment_id"])
    query = sa.select(deployments.c.files_json).where(deployments.c.id == visit.id)
    row = await berth.store.one(query)
    page = await berth.logs.read(visit.id, tail=_SHOWN_LINES)
    return visit.page(
        "deployment.html",
        deployment=deployment,
        environment=environment,
        ended=deployment["state"] in states.ENDED,
        phases=timeline(deployment),
        files=json.loads(row["files_json"] or "{}") if row else {},
        lines=page.lines,
        next_offset=page.next_offset,
        cut=len(page.lines) >= _SHOWN_LINES,
    )


async def download(visit: Visit) -> Response:
    berth = visit.berth

    async def lines() -> AsyncIterator[bytes]:
        offset = 0
        while (page := await berth.logs.read(visit.id, offset=offset)).lines:
            yield "".join(text.shown(line) + "\n" for line in page.lines).encode()
            offset = page.next_offset

    name = f'attachment; filename="deployment-{visit.id}.txt"'
    return StreamingResponse(lines(), media_type="text/plain", headers=HEADERS | {"Content-Disposition": name})


async def stream(visit: Visit) -> Response:
    """For browsers to which a WebSocket does not open."""
    return Lines(deployment_events(visit.berth, visit.id, offset=number(visit.request, "offset", 0)))


async def cancel(visit: Visit) -> Response:
    await lifecycle.cancel(visit.berth.store, visit.id, actor=visit.actor)
    visit.berth.queue.wake()
    return visit.go(f"/deployments/{visit.id}", "cancel")


def timeline(deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All phases in order: ``name``, ``seconds`` or None, ``share`` (0 to 100, of the longest), and a ``mark``.

    ``mark``: done, running, failed, waiting (not reached), skipped (a rollback builds nothing).
    """
    entries = {entry["phase"]: entry for entry in deployment["phases"]}
    spent = {name: _spent(entry) for name, entry in entries.items()}
    longest = max(spent.values(), default=0.0) or 1.0
    last = max((states.PHASES.index(name) for name in entries), default=-1)
    found = []
    for index, name in enumerate(states.PHASES):
        entry = entries.get(name)
        seconds = entry["seconds"] if entry else None
        mark = "done" if entry else "skipped" if index < last else "waiting"
        if index == last and deployment["state"] not in ("live", "retired"):
            mark = "running" if deployment["state"] not in states.ENDED else "failed"
        share = round(100 * spent.get(name, 0.0) / longest, 1)
        found.append({"name": name, "seconds": None if mark == "running" else seconds, "mark": mark, "share": share})
    return found


def _spent(entry: Mapping[str, Any]) -> float:
    """The seconds that a phase took, or has taken so far."""
    if entry["seconds"] is not None:
        return float(entry["seconds"])
    began = entry.get("started_at")
    return max(0.0, time.time() - datetime.fromisoformat(began).timestamp()) if began else 0.0


ROUTES = [
    PageRoute("/deployments/{id:int}", one, Level.READ, "deployment"),
    PageRoute("/deployments/{id:int}/log.txt", download, Level.READ, "deployment"),
    PageRoute("/deployments/{id:int}/stream", stream, Level.READ, "deployment"),
    PageRoute("/deployments/{id:int}/cancel", cancel, Level.WRITE, "deployment", "POST"),
]
