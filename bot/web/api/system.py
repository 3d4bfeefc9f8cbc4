"""The installation: is it well, and what does it do."""

from __future__ import annotations

import asyncio
import shutil
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot import __version__
from bot.errors import BerthError, NotFoundError
from bot.store.tables import installation, work
from bot.web.access import Level
from bot.web.api import models
from bot.web.api.models import Query
from bot.web.http import PUBLIC, TEXT, Needs, asked, berth_of, endpoint

_WAIT_MOST = 30  # seconds of a long poll; shorter than the time-outs of proxies
_ENGINE_TIMEOUT = 5.0  # seconds


class WaitQuery(Query):
    wait: Annotated[int, Field(ge=0, le=_WAIT_MOST), BeforeValidator(models.digits)] = Field(0, description="Seconds")


async def health(request: Request) -> Response:
    """``ok`` when the database answers."""
    try:
        async with asyncio.timeout(_ENGINE_TIMEOUT):
            await berth_of(request).store.one(sa.select(installation.c.key).limit(1))
    except Exception as error:
        return PlainTextResponse(f"the database does not answer: {type(error).__name__}", 503)
    return PlainTextResponse("ok")


async def system(request: Request) -> Any:
    """How the engine, the edge, the disk and the queue are."""
    berth = berth_of(request)
    config = berth.config
    engine, edge, disk = await asyncio.gather(
        _engine(request), _edge(request), asyncio.to_thread(shutil.disk_usage, config.data_dir)
    )
    return {
        "version": __version__,
        "instance": berth.instance,
        "data_dir": str(config.data_dir),
        "public_url": config.effective_public_url,
        "apps_host": config.apps_host,
        "engine": engine,
        "edge": edge,
        "disk_free": disk.free,
        "queue": await _queue(request),
        "problem": berth.problem,
    }


async def _engine(request: Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_ENGINE_TIMEOUT):
            info = await berth_of(request).engine.info()
    except (BerthError, TimeoutError) as error:
        return {"ok": False, "version": "", "error": str(error) or "it does not answer"}
    return {"ok": True, "version": info.version, "error": ""}


async def _edge(request: Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_ENGINE_TIMEOUT):
            status = await berth_of(request).edge.check()
    except TimeoutError:
        return {"ok": False, "version": "", "error": "it does not answer"}
    return {
        "ok": status.running,
        "version": status.version,
        "workers": status.workers,
        "ports": sorted(status.ports),
        "blocked": sorted(status.blocked),
        "connections": status.connections,
        "error": status.problem,
    }


async def _queue(request: Request) -> dict[str, int]:
    query = (
        sa.select(work.c.state, sa.func.count().label("n"))
        .where(work.c.state.in_(("queued", "running")))
        .group_by(work.c.state)
    )
    counted = {row["state"]: row["n"] for row in await berth_of(request).store.all(query)}
    return {"queued": counted.get("queued", 0), "running": counted.get("running", 0)}


async def get_work(request: Request) -> Any:
    """A piece of work; with ``wait`` the answer comes when it is done, after so many seconds at most."""
    identifier = request.path_params["id"]
    row = await berth_of(request).queue.wait(identifier, asked(request, WaitQuery).wait)
    if row is None:
        raise NotFoundError(f"There is no work {identifier}.")
    return row


_PLAIN = {503: TEXT}

ROUTES = [
    endpoint("/healthz", health, PUBLIC, answer=TEXT, also=_PLAIN),
    endpoint("/api/system", system, Needs(Level.READ, "installation"), answer=models.System),
    endpoint("/api/work/{id:int}", get_work, Needs(Level.READ, "work"), query=WaitQuery, answer=models.Work),
]
