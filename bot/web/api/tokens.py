"""Tokens for programs: made by the operator, shown once, listed, revoked."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from bot.deploy.views import iso
from bot.store.database import Row
from bot.web import tokens
from bot.web.access import Level, Scope
from bot.web.api import models
from bot.web.api.models import Body, Id, Query, QueryId
from bot.web.http import Needs, RefusedError, actor, asked, berth_of, endpoint, given, principal_of

_Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class TokenBody(Body):
    """``repository_id`` absent: for all repositories and the installation. ``days`` absent: until it is revoked."""

    name: _Name
    scope: Scope = "read"
    repository_id: Id | None = None
    days: Annotated[int, Field(ge=1, le=3650), BeforeValidator(models.whole)] | None = Field(
        None, description="How long it is good for"
    )

    def subject(self) -> tuple[str, int]:
        return ("installation", 0) if self.repository_id is None else ("repository", self.repository_id)


class ListQuery(Query):
    repository: QueryId | None = Field(None, description="The number of a repository")


async def create(request: Request) -> Any:
    """Make a token, which is shown this once. A token makes no tokens: else it could outlive itself."""
    store, wanted = berth_of(request).store, given(request, TokenBody)
    if principal_of(request).kind == "token":
        raise RefusedError(403, "A token makes no tokens.", "Use the operator's token.")
    expires_at = None if wanted.days is None else time.time() + wanted.days * 86_400
    identifier, token = await tokens.create(
        store,
        name=wanted.name,
        scope=wanted.scope,
        repository_id=wanted.repository_id,
        created_by=actor(request),
        expires_at=expires_at,
    )
    row = next(row for row in await tokens.listed(store) if row["id"] == identifier)
    return _shown(row) | {"token": token}


async def list_tokens(request: Request) -> Any:
    """All tokens, newest first, those that are no longer good too."""
    rows = await tokens.listed(berth_of(request).store, asked(request, ListQuery).repository)
    return [_shown(row) for row in rows]


async def revoke(request: Request) -> Response:
    """Revoke a token; it opens nothing any more."""
    await tokens.revoke(berth_of(request).store, request.path_params["id"])
    return Response(status_code=204)


def _shown(row: Row) -> dict[str, Any]:
    return {**row, **{key: iso(row[key]) for key in ("created_at", "expires_at", "last_used_at", "revoked_at")}}


ROUTES = [
    endpoint(
        "/api/tokens", list_tokens, Needs(Level.ADMIN, "installation"), query=ListQuery, answer=list[models.Token]
    ),
    endpoint(
        "/api/tokens",
        create,
        Needs(Level.ADMIN, "token", named_in="body"),
        method="POST",
        body=TokenBody,
        answer=models.NewToken,
        status=201,
    ),
    endpoint("/api/tokens/{id:int}", revoke, Needs(Level.ADMIN, "token"), method="DELETE", status=204),
]
