"""The pages, server-rendered. :func:`routes`; one module for each subject, each with a table of its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from bot.errors import NotFoundError
from bot.web import sign_in, templates_dir
from bot.web.access import Level
from bot.web.pages import deliveries, deployments, environments, installation, people, repositories
from bot.web.pages.frame import Frame, PageRoute, Visit
from bot.web.pages.setup import SetupPages

if TYPE_CHECKING:
    from bot.app import Berth

TABLES = (
    environments.ROUTES,
    deployments.ROUTES,
    repositories.ROUTES,
    deliveries.ROUTES,
    installation.ROUTES,
    people.ROUTES,
)


class _PageConvertor(Convertor[str]):
    """Paths that could be those of pages: the others answer programs, in their own way."""

    regex = "(?!(?:api|git|static)(?:/|$)|healthz$|readyz$|metrics$).*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("page", _PageConvertor())


class _Static(StaticFiles):
    """Their addresses carry the version, so browsers may keep them."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        answer = super().file_response(*arguments, **options)
        answer.headers["Cache-Control"] = "public, max-age=3600"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return answer


async def _nowhere(visit: Visit) -> Response:
    raise NotFoundError(f"There is no page {visit.request.url.path[:200]}.")


def routes(berth: Berth) -> list[BaseRoute]:
    """All pages and their static files; the last route takes every address that is left for people."""
    frame = Frame(berth)
    return [
        *sign_in.SignIn(frame).routes(),
        *SetupPages(frame).routes(),
        *(frame.route(row) for table in TABLES for row in table),
        Mount("/static", _Static(directory=templates_dir() / "pages/static")),
        frame.route(PageRoute("/{path:page}", _nowhere, Level.NONE, "anything")),
    ]
