"""Who may come in: tokens for programs, and sessions in browsers."""

from __future__ import annotations

import time

import sqlalchemy as sa
from starlette.responses import Response

from bot.errors import BerthError, NotFoundError
from bot.store.tables import repositories
from bot.web import access, sessions, tokens
from bot.web.access import SCOPES, Level
from bot.web.http import RefusedError
from bot.web.pages.frame import PageRoute, Visit

_DAY = 86_400.0
_LIFETIMES = {"7": "a week", "30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}


async def list_tokens(visit: Visit) -> Response:
    return await _tokens(visit)


async def _tokens(visit: Visit, made: str = "", name: str = "") -> Response:
    """``made``: a token that was just created, which is shown this once."""
    mine = await _administered(visit)
    found = [
        row
        for row in await tokens.listed(visit.berth.store)
        if visit.installation >= Level.ADMIN or row["repository_id"] in mine
    ]
    now = time.time()
    for row in found:
        ended = row["expires_at"] is not None and row["expires_at"] <= now
        row["state"] = "revoked" if row["revoked_at"] else "ended" if ended else "good"
    return visit.page(
        "tokens.html",
        tokens=found,
        made=made,
        made_name=name,
        repositories=sorted(mine.items(), key=lambda item: item[1]),
        everything=visit.installation >= Level.ADMIN,
        scopes=tuple(SCOPES),
        lifetimes=_LIFETIMES,
    )


async def _administered(visit: Visit) -> dict[int, str]:
    """The repositories for which the visitor may make tokens: id -> name."""
    seen = await visit.visible()
    query = sa.select(repositories.c.id, repositories.c.name).where(repositories.c.removed_at.is_(None))
    if seen is not None:
        query = query.where(repositories.c.id.in_(seen))
    return {
        row["id"]: row["name"]
        for row in await visit.berth.store.all(query)
        if await access.level(visit.berth, visit.principal, row["id"]) >= Level.ADMIN
    }


async def create_token(visit: Visit) -> Response:
    """Answers with the page itself instead of sending the browser on: the token must not be kept anywhere."""
    form = visit.form
    name, scope, chosen, days = (form.get(key, "").strip() for key in ("name", "scope", "repository", "days"))
    if not name or len(name) > 100 or not name.isprintable():
        raise BerthError("A token needs a name of at most 100 characters.", "Say who will use it.")
    if scope not in SCOPES or days not in _LIFETIMES:
        raise BerthError("That is no scope, or no lifetime, of a token.", "Choose them on the page.")
    repository_id = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 10 else None
    if (await access.level(visit.berth, visit.principal, repository_id, fresh=True)) < Level.ADMIN:
        raise RefusedError(403, "You may not make such a token.", "Choose a repository that you administer.")
    if repository_id is not None and repository_id not in await _administered(visit):
        raise NotFoundError(f"There is no repository {repository_id}.")
    _, made = await tokens.create(
        visit.berth.store,
        name=name,
        scope=scope,
        repository_id=repository_id,
        created_by=visit.actor,
        expires_at=time.time() + int(days) * _DAY if days else None,
    )
    return await _tokens(visit, made, name)


async def revoke_token(visit: Visit) -> Response:
    await tokens.revoke(visit.berth.store, visit.id)
    return visit.go("/tokens", "revoked")


async def list_sessions(visit: Visit) -> Response:
    return visit.page("sessions.html", sessions=await sessions.own(visit.request))


async def end_session(visit: Visit) -> Response:
    if not await sessions.revoke(visit.request, visit.form.get("session", "")):
        raise NotFoundError("That session has ended already.")
    return visit.go("/sessions", "session-ended")


async def end_other_sessions(visit: Visit) -> Response:
    await sessions.revoke_others(visit.request)
    return visit.go("/sessions", "sessions-ended")


ROUTES = [
    PageRoute("/tokens", list_tokens, Level.READ, "anything"),
    PageRoute("/tokens", create_token, Level.READ, "anything", "POST"),
    PageRoute("/tokens/{id:int}/revoke", revoke_token, Level.ADMIN, "token", "POST"),
    PageRoute("/sessions", list_sessions, Level.READ, "anything"),
    PageRoute("/sessions/end", end_session, Level.READ, "anything", "POST"),
    PageRoute("/sessions/end-others", end_other_sessions, Level.READ, "anything", "POST"),
]
