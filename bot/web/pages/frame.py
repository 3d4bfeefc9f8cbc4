"""What all pages share: who may open one, forms, refusals, the frame around them.

Pages are rows of a table (:class:`PageRoute`) that name an object and a permission; there is no default. What a person
may not see is not there for them (404), what they may see but not do is refused (403), whatever buttons were shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, quote

import jinja2
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bot import __version__
from bot.errors import BerthError
from bot.web import access, sessions, templates_dir, text
from bot.web.access import Level, Principal
from bot.web.http import Handler, RefusedError, check_ids, status_of
from bot.web.pages.notices import NOTICES

if TYPE_CHECKING:
    from bot.app import Berth

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FORM_LIMIT = 300_000  # bytes; a variable's value may have 64,000 characters, which a form triples
_MOST_FIELDS = 200

Of = Literal["repository", "application", "environment", "deployment", "delivery", "token", "installation", "anything"]
Form = ImmutableMultiDict[str, str]


@dataclass(frozen=True)
class Visit:
    """A request by somebody who may make it.

    ``level``: what they may do with the object that the route names; ``installation``: with Berth as a whole.
    """

    frame: Frame
    request: Request
    principal: Principal
    level: Level
    installation: Level
    repository_id: int | None = None
    form: Form = field(default_factory=Form)

    @property
    def berth(self) -> Berth:
        return self.frame.berth

    @property
    def id(self) -> int:
        return int(self.request.path_params["id"])

    @property
    def actor(self) -> str:
        """In whose name things are done."""
        return self.principal.name

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        return self.frame.page(self.request, template, status, visit=self, **values)

    def go(self, path: str, notice: str = "") -> Response:
        """Send the browser on after a form, so that reloading does not send it again. ``notice``: a key of NOTICES."""
        assert not notice or notice in NOTICES, notice
        place, mark, fragment = path.partition("#")
        if notice:
            place += f"{'&' if '?' in place else '?'}notice={notice}"
        return RedirectResponse(place + mark + fragment, 303, HEADERS)

    async def visible(self) -> frozenset[int] | None:
        """The repositories that this person may see; None: all."""
        return await access.visible(self.berth, self.principal)


PageHandler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True)
class PageRoute:
    """A page, or with ``method`` POST what its form does.

    ``needs``: the level on the object ``{id}`` that ``of`` names. ``anything``: everybody who signed in, and the
    handler shows of its list what the visitor may see.
    """

    path: str
    handler: PageHandler
    needs: Level
    of: Of
    method: Literal["GET", "POST"] = "GET"


class Frame:
    """Makes routes of a table, and pages of templates."""

    def __init__(self, berth: Berth) -> None:
        self.berth = berth
        self.secure = berth.config.effective_public_url.startswith("https://")
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates_dir() / "pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for function in text.FILTERS:
            self._templates.filters[function.__name__] = function
        self._templates.globals["Level"] = Level

    def route(self, row: PageRoute) -> Route:
        async def answer(request: Request) -> Response:
            # pages ask for themselves again and again, which does not mean that anybody still sits before them
            principal = await sessions.principal(request, keep="berth-refresh" not in request.headers)
            if principal is None:
                return _to_sign_in(request)
            visit = Visit(self, request, principal, Level.NONE, Level.NONE)
            try:
                check_ids(request)
                return await row.handler(await self._admit(row, request, principal))
            except BerthError as error:
                return self.refusal(request, error, visit=visit)
            except ClientDisconnect:
                return Response(status_code=400)

        answer.__name__ = row.handler.__name__
        return Route(row.path, answer, methods=[row.method])

    async def _admit(self, row: PageRoute, request: Request, principal: Principal) -> Visit:
        """Raises NotFoundError for what the visitor may not see, RefusedError for what they may not do."""
        installation = await access.level(self.berth, principal, None)
        repository_id: int | None = None
        found = installation
        if row.of == "anything":
            found = max(found, row.needs)
        elif row.of != "installation":
            identifier = request.path_params["id"]
            repository_id = await access.owner(self.berth.store, row.of, identifier)
            found = await access.level(self.berth, principal, repository_id, fresh=row.method == "POST")
            if found < Level.READ:
                raise access.missing(row.of, identifier)
        if found < row.needs:
            if row.of == "installation":
                raise RefusedError(403, "That is the operator's affair.", "Sign in with the operator token.")
            raise RefusedError(
                403, "You may see this, but not do that.", f"It needs {row.needs.name.lower()} permission."
            )
        form = Form()
        if row.method == "POST":
            form = await read_form(request)
        return Visit(self, request, principal, found, installation, repository_id, form)

    def open_form(self, handler: Callable[[Request, Form], Awaitable[Response]], *, limit: int) -> Handler:
        """The handler of a form that strangers may send: signing in and out."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request, await read_form(request, limit))
            except BerthError as error:
                return self.refusal(request, error)
            except ClientDisconnect:
                return Response(status_code=400)

        return answer

    def refusal(self, request: Request, error: BerthError, status: int = 0, visit: Visit | None = None) -> Response:
        status = status or status_of(error)
        title = {404: "Not found", 403: "Refused"}.get(status, "That did not work")
        shown = {"title": title, "reason": error.reason, "fix": error.fix, "form": request.method == "POST"}
        return self.page(request, "error.html", status, visit=visit, **shown)

    def page(
        self, request: Request, template: str, status: int = 200, *, visit: Visit | None = None, **values: Any
    ) -> Response:
        """``visit`` None: for strangers."""
        shared = {
            "version": __version__,
            "visit": visit,
            "path": request.url.path,
            "warning": self.berth.problem if visit else "",
            "notice": NOTICES.get(request.query_params.get("notice", ""), "") if visit else "",
        }
        return HTMLResponse(self._templates.get_template(template).render(shared | values), status, HEADERS)


async def read_form(request: Request, limit: int = _FORM_LIMIT) -> Form:
    """The fields of a form that one of our own pages sent. Raises RefusedError: 403, 413; ClientDisconnect."""
    if not sessions.from_our_own_page(request):
        raise RefusedError(
            403, "This form was not sent by a page of Berth.", "Open the page again and repeat it there."
        )
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise RefusedError(413, "The form is too long.")
    try:
        return Form(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return Form()


def _to_sign_in(request: Request) -> Response:
    """A form cannot be sent again after signing in: its page is opened instead."""
    if request.method != "GET":
        return RedirectResponse("/sign-in", 303, HEADERS)
    goal = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="/")
    return RedirectResponse("/sign-in" if goal == "/" else f"/sign-in?next={goal}", 303, HEADERS)
