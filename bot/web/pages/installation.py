"""The installation: ports, and whether engine, edge, disk and queue are well."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from bot.errors import BerthError
from bot.store.tables import (
    applications,
    deliveries,
    deployments,
    environments,
    outbox,
    ports,
    repositories,
    services,
    work,
)
from bot.web.access import Level
from bot.web.pages.frame import PageRoute, Visit

_PATIENCE = 5.0  # seconds for the engine, and for the edge


async def list_ports(visit: Visit) -> Response:
    seen = await visit.visible()
    query = (
        sa.select(
            ports,
            repositories.c.name.label("repository"),
            services.c.environment_id,
            services.c.name.label("service"),
            environments.c.kind,
            environments.c.ref,
        )
        .join_from(ports, repositories, repositories.c.id == ports.c.repository_id, isouter=True)
        .join(services, services.c.id == ports.c.service_id, isouter=True)
        .join(environments, environments.c.id == services.c.environment_id, isouter=True)
        .order_by(ports.c.port)
    )
    if seen is not None:
        query = query.where(ports.c.repository_id.in_(seen))
    rows = await visit.berth.store.all(query)
    config = visit.berth.config
    return visit.page(
        "ports.html",
        ports=rows,
        first=config.port_min,
        last=config.port_max,
        host=config.apps_host,
        free=config.port_max - config.port_min + 1 - len(rows) if seen is None else None,
    )


async def reserve(visit: Visit) -> Response:
    await visit.berth.ports.reserve(_port(visit), visit.form.get("note", "").strip()[:200])
    return visit.go("/ports", "reserved")


async def unreserve(visit: Visit) -> Response:
    if not await visit.berth.ports.unreserve(_port(visit)):
        raise BerthError("That port is not reserved.")
    return visit.go("/ports", "unreserved")


def _port(visit: Visit) -> int:
    text = visit.form.get("port", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise BerthError("A port is a whole number.", "For example 20080.")
    return int(text)


async def system(visit: Visit) -> Response:
    config = visit.berth.config
    engine, edge, disk = await asyncio.gather(
        _engine(visit), _edge(visit), asyncio.to_thread(shutil.disk_usage, config.data_dir)
    )
    return visit.page(
        "system.html",
        config=config,
        instance=visit.berth.instance,
        engine=engine,
        edge=edge,
        disk=disk,
        queue=await _queue(visit),
        counts=await _counts(visit),
    )


async def _engine(visit: Visit) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE):
            info = await visit.berth.engine.info()
    except (BerthError, TimeoutError) as error:
        return {"ok": False, "error": str(error) or "It does not answer."}
    return {"ok": True, "error": "", "version": info.version, "api": info.api_version}


async def _edge(visit: Visit) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE):
            status = await visit.berth.edge.check()
    except (BerthError, TimeoutError) as error:
        return {"ok": False, "error": str(error) or "It does not answer."}
    return {
        "ok": status.running and not status.problem,
        "error": status.problem or ("" if status.running else "It does not run."),
        "version": status.version,
        "ports": len(status.ports),
        "blocked": sorted(status.blocked),
        "connections": status.connections,
    }


async def _queue(visit: Visit) -> list[dict[str, Any]]:
    """The work that runs or waits, oldest first."""
    return await visit.berth.store.all(
        sa.select(work, environments.c.kind.label("environment_kind"), environments.c.ref)
        .add_columns(repositories.c.name.label("repository"))
        .join_from(work, environments)
        .join(applications, applications.c.id == environments.c.application_id)
        .join(repositories, repositories.c.id == applications.c.repository_id)
        .where(work.c.state.in_(("queued", "running")))
        .order_by(work.c.id)
        .limit(100)
    )


async def _counts(visit: Visit) -> dict[str, Any]:
    """Numbers of rows, and the reports that a forge has not taken yet with the last reason."""
    store = visit.berth.store
    found: dict[str, Any] = {}
    n = sa.func.count().label("n")
    for name, query in {
        "repositories": sa.select(n).select_from(repositories).where(repositories.c.removed_at.is_(None)),
        "environments": sa.select(n).select_from(environments).where(environments.c.state != "removed"),
        "deployments": sa.select(n).select_from(deployments),
        "deliveries": sa.select(n).select_from(deliveries),
        "reports": sa.select(n).select_from(outbox).where(outbox.c.sent_at.is_(None)),
    }.items():
        row = await store.one(query)
        found[name] = row["n"] if row else 0
    failing = await store.one(
        sa.select(outbox.c.last_error)
        .where(outbox.c.sent_at.is_(None), outbox.c.last_error != "")
        .order_by(outbox.c.id.desc())
        .limit(1)
    )
    return found | {"report_error": failing["last_error"] if failing else ""}


ROUTES = [
    PageRoute("/ports", list_ports, Level.READ, "anything"),
    PageRoute("/ports/reserve", reserve, Level.ADMIN, "installation", "POST"),
    PageRoute("/ports/unreserve", unreserve, Level.ADMIN, "installation", "POST"),
    PageRoute("/system", system, Level.READ, "installation"),
]
