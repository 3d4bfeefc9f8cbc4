"""Environments: what runs, and what a person may do with it."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from starlette.responses import Response

from bot.deploy import lifecycle, views
from bot.errors import BerthError
from bot.store.tables import work
from bot.web.access import Level
from bot.web.pages.frame import PageHandler, PageRoute, Visit
from bot.web.streams import newest_instance_lines

_SHOWN_DEPLOYMENTS = 50
_SHOWN_LINES = 100  # of what the application printed
_DOING = {
    "stop": "is being stopped",
    "start": "is being started",
    "restart": "is being restarted",
    "remove": "is being removed",
}


async def index(visit: Visit) -> Response:
    berth = visit.berth
    seen = await visit.visible()
    found = await views.environment_views(berth.store, berth.config)
    return visit.page(
        "environments.html", environments=[one for one in found if seen is None or one["repository_id"] in seen]
    )


async def one(visit: Visit) -> Response:
    berth = visit.berth
    environment = await views.environment_view(berth.store, berth.config, visit.id)
    suffix = "" if environment["kind"] == "production" else f"@{environment['ref']}"
    return visit.page(
        "environment.html",
        environment=environment,
        target=environment["repository"] + suffix,
        doing=await _doing(visit),
        deployments=await views.deployment_views(
            berth.store, berth.config, environment_id=visit.id, limit=_SHOWN_DEPLOYMENTS
        ),
        lines=await newest_instance_lines(berth, visit.id, tail=_SHOWN_LINES),
    )


async def _doing(visit: Visit) -> dict[str, Any]:
    """``text``: the work under way or why the last one failed, besides deployments; ``failed``: which of both."""
    newest = await visit.berth.store.one(
        sa.select(work).where(work.c.environment_id == visit.id).order_by(work.c.id.desc()).limit(1)
    )
    if newest is None or newest["kind"] not in _DOING:
        return {"text": "", "failed": False}
    if newest["state"] != "done":
        return {"text": f"It {_DOING[newest['kind']]}.", "failed": False}
    if newest["outcome"]:
        return {"text": f"The last {newest['kind']} failed: {newest['outcome']}", "failed": True}
    return {"text": "", "failed": False}


def ask_for(kind: Literal["stop", "start", "restart"]) -> PageHandler:
    """The handler of a button."""

    async def handler(visit: Visit) -> Response:
        await lifecycle.request_work(visit.berth.store, visit.id, kind, actor=visit.actor)
        visit.berth.queue.wake()
        return visit.go(f"/environments/{visit.id}", kind)

    handler.__name__ = kind
    return handler


async def redeploy(visit: Visit) -> Response:
    deployment_id = await lifecycle.redeploy(visit.berth.store, visit.id, actor=visit.actor)
    visit.berth.queue.wake()
    return visit.go(f"/deployments/{deployment_id}", "deploy")


async def rollback(visit: Visit) -> Response:
    """``deployment``: to which; without it to the one that was live before."""
    wanted = visit.form.get("deployment", "")
    if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
        raise BerthError("That is no number of a deployment.", "Choose one in the history.")
    deployment_id = await lifecycle.rollback(
        visit.berth.store, visit.id, int(wanted) if wanted else None, actor=visit.actor
    )
    visit.berth.queue.wake()
    return visit.go(f"/deployments/{deployment_id}", "deploy")


async def ask_removal(visit: Visit) -> Response:
    berth = visit.berth
    environment = await views.environment_view(berth.store, berth.config, visit.id)
    return visit.page("remove.html", environment=environment)


async def remove(visit: Visit) -> Response:
    volumes = visit.form.get("volumes") == "yes"
    await lifecycle.request_work(visit.berth.store, visit.id, "remove", actor=visit.actor, volumes=volumes)
    visit.berth.queue.wake()
    return visit.go("/", "remove")


ROUTES = [
    PageRoute("/", index, Level.READ, "anything"),
    PageRoute("/environments/{id:int}", one, Level.READ, "environment"),
    PageRoute("/environments/{id:int}/remove", ask_removal, Level.WRITE, "environment"),
    PageRoute("/environments/{id:int}/stop", ask_for("stop"), Level.WRITE, "environment", "POST"),
    PageRoute("/environments/{id:int}/start", ask_for("start"), Level.WRITE, "environment", "POST"),
    PageRoute("/environments/{id:int}/restart", ask_for("restart"), Level.WRITE, "environment", "POST"),
    PageRoute("/environments/{id:int}/redeploy", redeploy, Level.WRITE, "environment", "POST"),
    PageRoute("/environments/{id:int}/rollback", rollback, Level.WRITE, "environment", "POST"),
    PageRoute("/environments/{id:int}/remove", remove, Level.WRITE, "environment", "POST"),
]
