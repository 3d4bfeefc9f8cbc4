"""Signing in: with GitHub, where Berth is an App there, or with the operator token; and out."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import sqlalchemy as sa
import structlog
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy.dialects import postgresql, sqlite
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.errors import BerthError
from bot.forge.github_app import AppCredentials
from bot.forge.manifest import SIGN_IN_CALLBACK_PATH
from bot.forge.user_flow import Person, authorize_url, identify
from bot.store.database import Store
from bot.store.tables import forges, users
from bot.web import sessions
from bot.web.http import Handler, is_operator, status_of
from bot.web.pages.frame import HEADERS, Form, Frame

if TYPE_CHECKING:
    from bot.app import Berth

log = structlog.get_logger()

_FORM_LIMIT = 10_000  # bytes
_COOKIE = "berth_sign_in"
_PATH = "/sign-in/github"
_LIFETIME = 600  # seconds from the beginning of the way to GitHub to the end of the way back
_GUESSES = 10  # wrong operator tokens from one address, within
_WINDOW = 300.0  # seconds
_MOST_ADDRESSES = 10_000
_MOST_NEXT = 1_000  # characters


class Guesses:
    """How often somebody was wrong lately."""

    def __init__(
        self, *, most: int = _GUESSES, window: float = _WINDOW, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._window, self._clock = most, window, clock
        self._wrong: dict[str, list[float]] = {}  # address -> when; in order of the last time

    def wait(self, address: str) -> float:
        """Seconds until the address may guess again, 0 for now."""
        recent = self._recent(address)
        return recent[-self._most] + self._window - self._clock() if len(recent) >= self._most else 0.0

    def failed(self, address: str) -> None:
        recent = self._recent(address)[-self._most :]
        self._wrong.pop(address, None)
        while len(self._wrong) >= _MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = [*recent, self._clock()]

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - self._window
        return [moment for moment in self._wrong.get(address, []) if moment > since]


class SignIn:
    """The handlers. What a browser needs to come back from GitHub lies in a cookie of its own, encrypted, for one use.

    The key of that cookie lives as long as the process: who is on the way during a restart begins once more.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._guesses = Guesses()
        self._fernet = Fernet(Fernet.generate_key())
        self._used: dict[str, float] = {}  # states that came back -> when they would have ended; in order

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            Route("/sign-in", self.ask, methods=["GET"]),
            Route("/sign-in", frame.open_form(self.with_token, limit=_FORM_LIMIT), methods=["POST"]),
            Route(_PATH, self._answering(self.to_github), methods=["GET"]),
            Route(SIGN_IN_CALLBACK_PATH, self._answering(self.from_github), methods=["GET"]),
            Route("/sign-out", frame.open_form(self.sign_out, limit=_FORM_LIMIT), methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        return self._form(request, local(request.query_params.get("next", "/")))

    async def with_token(self, request: Request, form: Form) -> Response:
        goal = local(form.get("next", "/"))
        address = request.client.host if request.client else ""
        wait = self._guesses.wait(address)
        if wait > 0:
            refused = f"Too many wrong tokens from {address}. Try again in {math.ceil(wait / 60)} min."
            answer = self._form(request, goal, 429, refused)
            answer.headers["Retry-After"] = str(math.ceil(wait))
            return answer
        if not is_operator(request, form.get("token", "").strip()):
            self._guesses.failed(address)
            log.warning("a wrong operator token was entered", address=address)
            return self._form(request, goal, 403, "That is not the operator token.")
        return await self._begin(request, goal, None)

    async def sign_out(self, request: Request, _form: Form) -> Response:
        await sessions.end(self._frame.berth.store, request.cookies.get(sessions.COOKIE, ""))
        answer = RedirectResponse("/sign-in", 303, HEADERS)
        sessions.clear_cookie(answer, secure=self._frame.secure)
        return answer

    async def to_github(self, request: Request) -> Response:
        """Sends the browser to GitHub."""
        berth = self._frame.berth
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        goal = local(request.query_params.get("next", "/"))
        kept = {"state": state, "verifier": verifier, "next": goal if len(goal) <= _MOST_NEXT else "/"}
        goal = authorize_url(
            berth.config, _credentials(berth), redirect_uri=_callback(berth), state=state, verifier=verifier
        )
        answer = RedirectResponse(goal, 303, HEADERS)
        value = self._fernet.encrypt(json.dumps(kept).encode()).decode()
        answer.set_cookie(
            _COOKIE, value, _LIFETIME, path=_PATH, secure=self._frame.secure, httponly=True, samesite="lax"
        )
        return answer

    async def from_github(self, request: Request) -> Response:
        """Where GitHub sends the browser back."""
        berth, query = self._frame.berth, request.query_params
        kept = self._kept(request.cookies.get(_COOKIE, ""), query.get("state", ""))
        if query.get("error") == "access_denied":
            raise BerthError("You did not let GitHub tell Berth who you are.", "Sign in once more, and agree.")
        if not query.get("code"):
            raise BerthError("GitHub did not say who you are.", "Sign in once more.")
        person = await identify(
            berth.config,
            _credentials(berth),
            code=query["code"],
            redirect_uri=_callback(berth),
            verifier=kept["verifier"],
        )
        user_id = await remember(berth.store, github_host(berth.config.github_url), person)
        log.info("signed in with GitHub", login=person.login, user=person.id)
        return await self._begin(request, local(kept["next"]), user_id)

    def _kept(self, cookie: str, state: str) -> dict[str, str]:
        """What the browser took along on its way. Raises BerthError where it began elsewhere, or came before."""
        try:
            kept: dict[str, str] = json.loads(self._fernet.decrypt(cookie.encode(), ttl=_LIFETIME))
        except InvalidToken:
            kept = {}
        if not kept or not secrets.compare_digest(kept["state"].encode(), state.encode()) or state in self._used:
            raise BerthError(
                "Signing in with GitHub did not begin in this browser, or was too long ago.", "Sign in once more."
            )
        now = time.time()
        while self._used and next(iter(self._used.values())) <= now:
            del self._used[next(iter(self._used))]
        self._used[state] = now + _LIFETIME
        return kept

    async def _begin(self, request: Request, goal: str, user_id: int | None) -> Response:
        """A session, in place of the one that the browser had."""
        store = self._frame.berth.store
        await sessions.end(store, request.cookies.get(sessions.COOKIE, ""))
        key = await sessions.begin(store, user_id=user_id, agent=request.headers.get("user-agent", ""))
        answer = RedirectResponse(goal, 303, HEADERS)
        sessions.set_cookie(answer, key, secure=self._frame.secure)
        return answer

    def _answering(self, handler: Handler) -> Handler:
        """Answers errors as the form, to try again; whatever happened, the cookie of the way is spent."""

        async def answer(request: Request) -> Response:
            try:
                found = await handler(request)
            except BerthError as error:
                found = self._form(request, "/", status_of(error), f"{error.reason} {error.fix}".strip())
            if request.url.path == SIGN_IN_CALLBACK_PATH:
                found.delete_cookie(_COOKIE, path=_PATH, secure=self._frame.secure, httponly=True, samesite="lax")
            return found

        return answer

    def _form(self, request: Request, goal: str, status: int = 200, refused: str = "") -> Response:
        berth = self._frame.berth
        address = f"{berth.config.effective_public_url}{_PATH}?{urlencode({'next': goal})}" if offered(berth) else ""
        host = github_host(berth.config.github_url)
        return self._frame.page(
            request, "sign_in.html", status, refused=refused, next=goal, github=address, github_host=host
        )


def offered(berth: Berth) -> bool:
    """Whether people can sign in with GitHub."""
    credentials = berth.github.credentials if berth.github else None
    return credentials is not None and bool(credentials.client_id and credentials.client_secret)


def local(goal: str) -> str:
    """``goal`` if it is a path on this very host, else ``/``: nobody is sent elsewhere by a link to our form."""
    try:
        parts = urlsplit(goal)
    except ValueError:
        return "/"
    safe = goal.startswith("/") and not goal.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return goal if safe and goal.isprintable() and "\\" not in goal else "/"


def github_host(url: str) -> str:
    """What a GitHub is called in the table of forges."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


async def remember(store: Store, host: str, person: Person, *, now: float | None = None) -> int:
    """The id of the person's row in ``users``, which is made or brought up to date."""
    now = time.time() if now is None else now
    insert: Any = sqlite.insert if store.sqlite else postgresql.insert
    async with store.begin() as tx:
        await tx.run(insert(forges).values(kind="github", host=host).on_conflict_do_nothing())
        forge = await tx.one(sa.select(forges.c.id).where(forges.c.kind == "github", forges.c.host == host))
        assert forge is not None
        values = {"forge_id": forge["id"], "forge_user_id": person.id, "login": person.login}
        return await tx.insert(
            insert(users)
            .values(**values, created_at=now, signed_in_at=now)
            .on_conflict_do_update(
                index_elements=["forge_id", "forge_user_id"], set_={"login": person.login, "signed_in_at": now}
            )
            .returning(users.c.id)
        )


def _credentials(berth: Berth) -> AppCredentials:
    if berth.github is None or not offered(berth):
        raise BerthError(
            "Berth is not a GitHub App yet.", "Sign in with the operator token; `berth init` makes the App."
        )
    return berth.github.credentials


def _callback(berth: Berth) -> str:
    return berth.config.effective_public_url + SIGN_IN_CALLBACK_PATH
