"""What watches an installation: ``/readyz`` for a load balancer or a monitor, ``/metrics`` for Prometheus.

Everything is counted in the database when somebody asks, so that nothing has to be kept in step.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot import __version__
from bot.errors import BerthError
from bot.store.database import Store
from bot.store.tables import (
    commands,
    deliveries,
    deployments,
    environments,
    installation,
    instances,
    outbox,
    ports,
    work,
)
from bot.web.access import Level
from bot.web.api.models import Answer
from bot.web.http import PUBLIC, TEXT, Needs, berth_of, endpoint

if TYPE_CHECKING:
    from bot.app import Berth

# name, help, label, column to count by, condition
_COUNTED = (
    ("berth_deployments", "Deployments that are kept, by state", "state", deployments.c.state, None),
    (
        "berth_environments",
        "Environments, by state",
        "state",
        environments.c.state,
        environments.c.removed_at.is_(None),
    ),
    (
        "berth_instances",
        "Containers of applications, by state",
        "state",
        instances.c.state,
        instances.c.state != "gone",
    ),
    ("berth_work", "Work that waits or is under way, by kind", "kind", work.c.kind, work.c.state != "done"),
    ("berth_commands", "Commands that are not done, by state", "state", commands.c.state, commands.c.state != "done"),
    ("berth_deliveries", "Deliveries that are kept, by decision", "decision", deliveries.c.decision, None),
    ("berth_ports", "Ports of the applications' range, by state", "state", ports.c.state, None),
)


_PATIENCE = 5.0  # seconds for each part


class Ready(Answer):
    """Each part is ``ok``, or says in a word what is wrong; the details are for those who may see the system."""

    ready: bool
    database: str
    engine: str
    edge: str


async def ready(request: Request) -> Any:
    """200 when database, engine and edge are there, so that deployments can be made and reached; else 503."""
    berth = berth_of(request)
    database, engine, edge = await asyncio.gather(
        _part(berth.store.one(sa.select(installation.c.key).limit(1))), _part(berth.engine.info()), _edge(berth)
    )
    found = {"database": database, "engine": engine, "edge": edge}
    good = all(word == "ok" for word in found.values())
    return JSONResponse({"ready": good, **found}, 200 if good else 503)


async def _part(question: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            await question
    except TimeoutError:
        return "silent"
    except Exception as error:
        return "unreachable" if isinstance(error, BerthError) else "broken"
    return "ok"


async def _edge(berth: Berth) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            status = await berth.edge.check()
    except TimeoutError:
        return "silent"
    return "ok" if status.running else "stopped"


async def metrics(request: Request) -> Response:
    """How many of everything there are, in Prometheus' text format."""
    berth = berth_of(request)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Measured(await _measure(berth)))
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Measured:
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


async def _measure(berth: Berth) -> list[Metric]:
    info = InfoMetricFamily("berth", "This installation")
    info.add_metric([], {"version": __version__, "instance": berth.instance})
    ready = GaugeMetricFamily("berth_ready", "1 when everything that deployments need is there")
    ready.add_metric([], 0.0 if berth.problem else 1.0)
    found: list[Metric] = [info, ready, *(await _outbox(berth.store))]
    for name, words, label, column, condition in _COUNTED:
        query = sa.select(column.label("what"), sa.func.count().label("n")).group_by(column)
        if condition is not None:
            query = query.where(condition)
        family = GaugeMetricFamily(name, words, labels=[label])
        for row in await berth.store.all(query):
            family.add_metric([row["what"]], row["n"])
        found.append(family)
    return found


async def _outbox(store: Store) -> list[Metric]:
    columns = (sa.func.count().label("n"), sa.func.min(outbox.c.created_at).label("oldest"))
    row = await store.one(sa.select(*columns).where(outbox.c.sent_at.is_(None)))
    waiting = GaugeMetricFamily("berth_outbox_waiting", "Reports that have not reached the forge yet")
    waiting.add_metric([], row["n"] if row else 0)
    age = GaugeMetricFamily("berth_outbox_oldest_seconds", "Age of the oldest of them")
    age.add_metric([], max(0.0, time.time() - row["oldest"]) if row and row["oldest"] else 0.0)
    return [waiting, age]


ROUTES = [
    endpoint("/readyz", ready, PUBLIC, answer=Ready, also={503: Ready}),
    endpoint("/metrics", metrics, Needs(Level.READ, "installation"), answer=TEXT),
]
