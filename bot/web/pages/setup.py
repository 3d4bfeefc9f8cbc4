"""Making this installation a GitHub App, in a browser.

Whoever completes it owns what Berth does on GitHub, so these pages open only with the one-time address that
`berth init` shows, while there is no App, or for the operator.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.errors import BerthError
from bot.forge.github_app import AppCredentials
from bot.forge.setup import examine, install_url
from bot.web import access, sessions
from bot.web.access import Level
from bot.web.http import Handler
from bot.web.pages.frame import HEADERS, Form, Frame, Visit, read_form

log = structlog.get_logger()

_FORM_LIMIT = 40_000  # bytes; a private key has some 1,700


class SetupPages:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._berth = frame.berth

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/setup", self._guarded(self.ask), methods=["GET"]),
            Route("/setup/callback", self._guarded(self.complete), methods=["GET"]),
            Route("/setup/import", self._guarded(self.import_app), methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """The button that sends the manifest to GitHub, and the form for an App that exists already."""
        token = request.query_params.get("token", "")
        allowed, visit = await self._admit(request, token)
        if not allowed:
            return RedirectResponse("/sign-in?next=/setup", 303, HEADERS)
        organization = request.query_params.get("organization", "").strip()
        registration = self._berth.setup.register(organization)
        config = self._berth.config
        github = self._berth.github
        page = self._frame.page(
            request,
            "setup.html",
            visit=visit,
            registration=registration,
            organization=organization,
            token="" if visit else token,
            host=urlsplit(config.github_url).hostname,
            present=github.credentials if github else None,
        )
        # a form may be sent to GitHub from this page, and from no other
        parts = urlsplit(config.github_url)
        allowance = f"form-action 'self' {parts.scheme}://{parts.netloc}"
        page.headers["Content-Security-Policy"] = HEADERS["Content-Security-Policy"].replace(
            "form-action 'self'", allowance
        )
        return page

    async def complete(self, request: Request) -> Response:
        """Where GitHub sends the browser back; the state says that the flow began on our page."""
        query = request.query_params
        credentials = await self._berth.setup.complete(query.get("code", ""), query.get("state", ""))
        return await self._done(request, credentials, None)

    async def import_app(self, request: Request) -> Response:
        form = await read_form(request, _FORM_LIMIT)
        allowed, visit = await self._admit(request, form.get("token", ""))
        if not allowed:
            return RedirectResponse("/sign-in?next=/setup", 303, HEADERS)
        credentials = await self._berth.setup.import_app(_entered(form))
        return await self._done(request, credentials, visit)

    async def _done(self, request: Request, credentials: AppCredentials, visit: Visit | None) -> Response:
        lacks, problem = [], ""
        try:
            if self._berth.github is not None:
                lacks = await examine(self._berth.github, self._berth.config)
        except BerthError as error:
            problem = str(error)
        return self._frame.page(
            request,
            "setup_done.html",
            visit=visit,
            app=credentials,
            install=install_url(credentials),
            lacks=[one for one in lacks if "installed nowhere" not in one.text],
            problem=problem,
        )

    async def _admit(self, request: Request, token: str) -> tuple[bool, Visit | None]:
        """Whether the page opens, and as whom: the operator, or (None) whoever has the one-time address."""
        principal = await sessions.principal(request)
        if principal is not None:
            level = await access.level(self._berth, principal, None)
            if level >= Level.ADMIN:
                return True, Visit(self._frame, request, principal, level, level)
        return self._berth.github is None and self._berth.setup.admits(token), None

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except BerthError as error:
                return self._frame.refusal(request, error)

        return answer


def _entered(form: Form) -> AppCredentials:
    def text(name: str) -> str:
        return form.get(name, "").replace("\r\n", "\n").strip()

    return AppCredentials(
        app_id=text("app_id"),
        slug="",
        client_id=text("client_id"),
        client_secret=text("client_secret"),
        webhook_secret=text("webhook_secret"),
        private_key=text("private_key"),
        html_url="",
    )
