"""Bearer tokens of the API: made and shown once, kept as hashes, with a scope and an end."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Final

import sqlalchemy as sa

from bot.errors import BerthError
from bot.store.database import Row, Store
from bot.store.tables import repositories, tokens

PREFIX: Final = "berth_"  # so that people and scanners know one when they see it
LONGEST: Final = 100  # characters; what is longer cannot be one
_PRECISION = 60.0  # seconds: how exactly the last use is known


async def create(
    store: Store,
    *,
    name: str,
    scope: str,
    repository_id: int | None,
    created_by: str,
    expires_at: float | None = None,
) -> tuple[int, str]:
    """A new token: its id, and itself, which cannot be seen again. Raises BerthError for an end in the past."""
    now = time.time()
    if expires_at is not None and expires_at <= now:
        raise BerthError("The token would have ended already.", "Give an end in the future.")
    token = PREFIX + secrets.token_urlsafe(32)
    async with store.begin() as tx:
        identifier = await tx.insert(
            tokens.insert()
            .values(
                name=name,
                token_hash=_hash(token),
                scope=scope,
                repository_id=repository_id,
                created_by=created_by,
                created_at=now,
                expires_at=expires_at,
            )
            .returning(tokens.c.id)
        )
    return identifier, token


async def find(store: Store, token: str) -> Row | None:
    """The row of a token that is good now. Notes that it was used."""
    if not token.startswith(PREFIX) or len(token) > LONGEST:
        return None
    now = time.time()
    good = (tokens.c.revoked_at.is_(None), sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now))
    row = await store.one(sa.select(tokens).where(tokens.c.token_hash == _hash(token), *good))
    if row is not None and (row["last_used_at"] is None or now - row["last_used_at"] >= _PRECISION):
        async with store.begin() as tx:
            await tx.run(sa.update(tokens).where(tokens.c.id == row["id"]).values(last_used_at=now))
    return row


async def listed(store: Store, repository_id: int | None = None) -> list[Row]:
    """All tokens, or those of a repository, newest first, with the repository's name; without their hashes."""
    columns = [column for column in tokens.c if column.name != "token_hash"]
    query = (
        sa.select(*columns, repositories.c.name.label("repository"))
        .join_from(tokens, repositories, repositories.c.id == tokens.c.repository_id, isouter=True)
        .order_by(tokens.c.id.desc())
    )
    return await store.all(query if repository_id is None else query.where(tokens.c.repository_id == repository_id))


async def revoke(store: Store, token_id: int) -> bool:
    """Whether there was such a token that had not been revoked before; from now on it opens nothing."""
    change = sa.update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    async with store.begin() as tx:
        return await tx.changed(change.values(revoked_at=time.time()).returning(tokens.c.id))


def _hash(token: str) -> str:
    """Without salt and stretching: a token has 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(token.encode()).hexdigest()
