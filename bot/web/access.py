"""Who asks, and what they may do: one answer for the API, the pages and the streams."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from bot.errors import BerthError, NotFoundError, UnavailableError
from bot.store.database import Store
from bot.store.tables import applications, deliveries, deployments, environments, ports, repositories, tokens, work
from bot.web import tokens as kept

if TYPE_CHECKING:
    from bot.app import Berth

Scope = Literal["read", "write", "admin"]
_AT_ONCE = 8  # questions to the forge at the same time, for one list


class Level(IntEnum):
    """Each may do what those below it may: read sees, write deploys and stops, admin changes settings and secrets."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


SCOPES: Final[dict[str, Level]] = {"read": Level.READ, "write": Level.WRITE, "admin": Level.ADMIN}
# a person's permission on the forge -> what that means here
ROLES: Final[dict[str, Level]] = {
    "none": Level.NONE,
    "read": Level.READ,
    "triage": Level.READ,
    "write": Level.WRITE,
    "maintain": Level.WRITE,
    "admin": Level.ADMIN,
}


@dataclass(frozen=True)
class Principal:
    """Whoever a request comes from.

    ``name`` is what logs and histories call them. A token is good for ``scope`` at most, in one repository or (None) in
    all. ``user_id`` is the forge's own number of a person, ``login`` their name there.
    """

    kind: Literal["operator", "token", "user"]
    name: str
    scope: Scope
    repository_id: int | None = None
    user_id: int | None = None
    login: str = ""


OPERATOR: Final = Principal("operator", "operator", "admin")


async def bearer(berth: Berth, token: str, *, stream: bool = False) -> Principal | None:
    """Who the bearer of ``token`` is, None for a token that is good for nothing (any more).

    ``stream``: the short-lived tokens of those who pushed are good here too; they read one repository.
    """
    if not token:
        return None
    if berth.operator_token and secrets.compare_digest(token.encode(), berth.operator_token.encode()):
        return OPERATOR
    if stream and (repository_id := berth.stream_tokens.check(token)) is not None:
        return Principal("token", "push", "read", repository_id)
    row = await kept.find(berth.store, token)
    if row is None:
        return None
    return Principal("token", f"token {row['name']}", row["scope"], row["repository_id"])


async def level(berth: Berth, principal: Principal, repository_id: int | None, *, fresh: bool = False) -> Level:
    """What the principal may do in a repository; None: in the installation as a whole, where people have no say.

    ``fresh``: a person's permission is asked of the forge now, however recently it was; for what changes something.
    Raises UnavailableError when the forge does not tell: then nothing may be done.
    """
    if principal.kind != "user":
        if principal.repository_id not in (None, repository_id):
            return Level.NONE
        return SCOPES[principal.scope]
    if repository_id is None or berth.permissions is None or principal.user_id is None:
        return Level.NONE
    row = await berth.store.one(sa.select(repositories).where(repositories.c.id == repository_id))
    if row is None:
        return Level.NONE
    try:
        role = await berth.permissions.of(row, principal.login, principal.user_id, fresh=fresh)
    except BerthError as error:
        raise UnavailableError(
            f"{row['name']}: GitHub does not say now who may do what there.", "Try again."
        ) from error
    if role == "read" and not row["private"]:
        return Level.NONE  # anybody on GitHub may read a public repository, and logs are not meant for everybody
    return min(ROLES.get(role, Level.NONE), SCOPES[principal.scope])


async def visible(berth: Berth, principal: Principal) -> frozenset[int] | None:
    """The repositories that the principal may read; None: all. Those of which the forge does not tell are left out."""
    if principal.kind != "user":
        return None if principal.repository_id is None else frozenset({principal.repository_id})
    rows = await berth.store.all(
        sa.select(repositories.c.id).where(
            repositories.c.installation_id.is_not(None), repositories.c.removed_at.is_(None)
        )
    )
    asking = asyncio.Semaphore(_AT_ONCE)

    async def may_read(repository_id: int) -> bool:
        async with asking:
            try:
                return await level(berth, principal, repository_id) >= Level.READ
            except UnavailableError:
                return False

    found = await asyncio.gather(*(may_read(row["id"]) for row in rows))
    return frozenset(row["id"] for row, yes in zip(rows, found, strict=True) if yes)


_OF_ENVIRONMENT = sa.join(environments, applications, applications.c.id == environments.c.application_id)
# kind of object -> how its repository is found; a column that is null means that it belongs to the installation
_OWNERS: Final[dict[str, sa.Select[tuple[int | None]]]] = {
    "repository": sa.select(repositories.c.id.label("owner"), repositories.c.id.label("id")),
    "application": sa.select(applications.c.repository_id.label("owner"), applications.c.id),
    "environment": sa.select(applications.c.repository_id.label("owner"), environments.c.id).select_from(
        _OF_ENVIRONMENT
    ),
    "deployment": sa.select(applications.c.repository_id.label("owner"), deployments.c.id).select_from(
        _OF_ENVIRONMENT.join(deployments, deployments.c.environment_id == environments.c.id)
    ),
    "work": sa.select(applications.c.repository_id.label("owner"), work.c.id).select_from(
        _OF_ENVIRONMENT.join(work, work.c.environment_id == environments.c.id)
    ),
    "delivery": sa.select(deliveries.c.repository_id.label("owner"), deliveries.c.id),
    "token": sa.select(tokens.c.repository_id.label("owner"), tokens.c.id),
}
_KEYS: Final = {
    "repository": repositories.c.id,
    "application": applications.c.id,
    "environment": environments.c.id,
    "deployment": deployments.c.id,
    "work": work.c.id,
    "delivery": deliveries.c.id,
    "token": tokens.c.id,
}
KINDS: Final = frozenset({*_OWNERS, "port", "installation"})


async def owner(store: Store, kind: str, identifier: int) -> int | None:
    """The repository that an object belongs to, None where that is the installation. Raises NotFoundError."""
    if kind == "installation":
        return None
    if kind == "port":  # a port that no application has is the installation's
        row = await store.one(sa.select(ports.c.repository_id).where(ports.c.port == identifier))
        return row["repository_id"] if row else None
    row = await store.one(_OWNERS[kind].where(_KEYS[kind] == identifier))
    if row is None:
        raise missing(kind, identifier)
    repository_id: int | None = row["owner"]
    return repository_id


def missing(kind: str, identifier: int) -> NotFoundError:
    """What is said of an object that does not exist, and of one that may not be seen."""
    return NotFoundError(f"There is no {kind} {identifier}.")
