"""Sessions of people on the pages: the cookie holds a random text, and the database only its hash.

A session ends twelve hours after its last request, a week after its beginning, or when it is revoked: at the next
request it is gone. Permissions are not part of it; they are asked for at every request.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

import sqlalchemy as sa
from starlette.requests import HTTPConnection
from starlette.responses import Response

from bot.store.database import Store
from bot.store.tables import installation, sessions, users
from bot.web.access import OPERATOR, Principal

COOKIE = "berth_session"
IDLE = 12 * 3_600.0  # seconds without a request after which a session ends
LONGEST = 7 * 86_400.0  # seconds after which it ends in any case
_PRECISION = 60.0  # seconds: the last request is noted no more often
_MOST = 50  # of one person at the same time; those that were used longest ago go first
_AGENT = 255  # characters


@dataclass(frozen=True)
class Session:
    """A session as its owner sees it. ``id`` names it and opens nothing. Times are seconds since 1970."""

    id: str
    agent: str  # the browser's name for itself
    created_at: float
    seen_at: float
    expires_at: float
    current: bool  # the one that asks


async def begin(store: Store, *, user_id: int | None, agent: str = "", now: float | None = None) -> str:
    """A new session of a row of ``users``, or of the operator (None). Returns what its cookie holds."""
    now = time.time() if now is None else now
    key = secrets.token_urlsafe(32)
    async with store.begin() as tx:
        await tx.run(sessions.delete().where(_over(now)))
        rows = await tx.all(
            sa.select(sessions.c.token_hash).where(_of(user_id)).order_by(sessions.c.seen_at.desc()).offset(_MOST - 1)
        )
        if rows:
            await tx.run(sessions.delete().where(sessions.c.token_hash.in_([row["token_hash"] for row in rows])))
        await tx.run(
            sessions.insert().values(
                token_hash=_hash(key),
                user_id=user_id,
                agent=agent[:_AGENT],
                created_at=now,
                seen_at=now,
                expires_at=now + LONGEST,
            )
        )
    return key


async def heed_operator_token(store: Store, token: str) -> None:
    """Ends the operator's sessions where they began with another token: whoever changes it locks everybody out."""
    name, value = "operator_token_sha256", _hash(token)
    async with store.begin() as tx:
        row = await tx.one(sa.select(installation.c.value).where(installation.c.key == name))
        if row is None:
            await tx.run(installation.insert().values(key=name, value=value))
        elif row["value"] != value:
            await tx.run(installation.update().where(installation.c.key == name).values(value=value))
            await tx.run(sessions.delete().where(sessions.c.user_id.is_(None)))


async def end(store: Store, key: str) -> None:
    """Ends the session of a cookie; nothing happens where there is none."""
    if key:
        async with store.begin() as tx:
            await tx.run(sessions.delete().where(sessions.c.token_hash == _hash(key)))


async def principal(request: HTTPConnection, *, keep: bool = True, now: float | None = None) -> Principal | None:
    """Who the request's session belongs to, None where it has no session (any more).

    ``keep``: it goes on for twelve hours more; not for what a browser asks without its person.
    """
    key = request.cookies.get(COOKIE, "")
    if not key:
        return None
    now = time.time() if now is None else now
    store: Store = request.app.state.berth.store
    row = await store.one(
        sa.select(sessions.c.token_hash, sessions.c.user_id, sessions.c.seen_at, users.c.forge_user_id, users.c.login)
        .join_from(sessions, users, isouter=True)
        .where(sessions.c.token_hash == _hash(key), ~_over(now))
    )
    if row is None:
        return None
    if keep and now - row["seen_at"] >= _PRECISION:
        async with store.begin() as tx:
            await tx.run(sessions.update().where(sessions.c.token_hash == row["token_hash"]).values(seen_at=now))
    if row["user_id"] is None:
        return OPERATOR
    return Principal("user", row["login"], "admin", user_id=row["forge_user_id"], login=row["login"])


async def own(request: HTTPConnection, *, now: float | None = None) -> list[Session]:
    """The sessions of whoever asks, with those of the same person in other browsers; the last used first."""
    now = time.time() if now is None else now
    store: Store = request.app.state.berth.store
    current = _hash(request.cookies.get(COOKIE, ""))
    mine = await _owner(store, current, now)
    if mine is None:
        return []
    rows = await store.all(sa.select(sessions).where(mine, ~_over(now)).order_by(sessions.c.seen_at.desc()))
    return [
        Session(
            id=row["token_hash"],
            agent=row["agent"],
            created_at=row["created_at"],
            seen_at=row["seen_at"],
            expires_at=min(row["expires_at"], row["seen_at"] + IDLE),
            current=row["token_hash"] == current,
        )
        for row in rows
    ]


async def revoke(request: HTTPConnection, session_id: str) -> bool:
    """Ends one of the asker's own sessions, named by its ``id``. False where there is none of that name."""
    store: Store = request.app.state.berth.store
    mine = await _owner(store, _hash(request.cookies.get(COOKIE, "")), time.time())
    if mine is None:
        return False
    gone = sessions.delete().where(mine, sessions.c.token_hash == session_id).returning(sessions.c.token_hash)
    async with store.begin() as tx:
        return await tx.changed(gone)


async def revoke_others(request: HTTPConnection) -> int:
    """Ends all of the asker's own sessions but the one that asks. Returns how many there were."""
    store: Store = request.app.state.berth.store
    current = _hash(request.cookies.get(COOKIE, ""))
    mine = await _owner(store, current, time.time())
    if mine is None:
        return 0
    gone = sessions.delete().where(mine, sessions.c.token_hash != current).returning(sessions.c.token_hash)
    async with store.begin() as tx:
        return len(await tx.all(gone))


def set_cookie(response: Response, key: str, *, secure: bool) -> None:
    """Without a lifetime: it ends with the browser.

    ``Lax``, so that the links of commit statuses and comments open as the person who is signed in: a ``Strict`` cookie
    stays away from whatever a link on github.com leads to, and from the way back of signing in there. What changes
    something is a form, which :func:`from_our_own_page` checks, and the log streams check their ``Origin``. Neither
    kind of cookie would keep away an application on another port of our host: to browsers that is the same site.
    """
    response.set_cookie(COOKIE, key, path="/", secure=secure, httponly=True, samesite="lax")


def clear_cookie(response: Response, *, secure: bool) -> None:
    response.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="lax")


def from_our_own_page(request: HTTPConnection) -> bool:
    """Whether a form was sent by one of our pages.

    Browsers say so in ``Sec-Fetch-Site`` where the address is https or localhost (https://www.w3.org/TR/fetch-metadata/),
    elsewhere ``Origin`` must name the very host and port that was asked. An application on another port of our host is
    ``same-site``, and refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return origin.partition("://")[2] == request.headers.get("host", "-")


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _over(now: float) -> sa.ColumnElement[bool]:
    return sa.or_(sessions.c.expires_at <= now, sessions.c.seen_at <= now - IDLE)


def _of(user_id: int | None) -> sa.ColumnElement[bool]:
    return sessions.c.user_id.is_(None) if user_id is None else sessions.c.user_id == user_id


async def _owner(store: Store, token_hash: str, now: float) -> sa.ColumnElement[bool] | None:
    """Finds the sessions of the person whose session ``token_hash`` is; None where it is nobody's."""
    row = await store.one(sa.select(sessions.c.user_id).where(sessions.c.token_hash == token_hash, ~_over(now)))
    return None if row is None else _of(row["user_id"])
