"""The HTTP API under ``/api``: :func:`routes`. One module for each kind of object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from bot.web import metrics, openapi
from bot.web.api import applications, deliveries, deployments, environments, github, ports, repositories, system, tokens
from bot.web.http import Endpoint, nothing_here

if TYPE_CHECKING:
    from bot.app import Berth

_MODULES = (deployments, environments, applications, repositories, ports, deliveries, tokens, github, system, metrics)


def endpoints() -> list[Endpoint]:
    """All that the API has; each has said who may call it, what it takes and what it answers."""
    return [route for module in _MODULES for route in module.ROUTES]


def routes(berth: Berth) -> list[BaseRoute]:
    """The API and its description. Handlers find the server's parts in ``request.app.state.berth``; ``berth`` is taken
    so that all doors are made alike."""
    del berth
    return [*endpoints(), *openapi.routes(endpoints())]


# after all other routes of the server: what is below /api is refused as the API refuses
LAST = Route(
    "/api/{rest:path}",
    nothing_here,
    methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"],
)
