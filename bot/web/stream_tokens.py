"""Short-lived tokens that let somebody without an account watch the deployments of one repository.

The local forge gives one to whoever pushes, so that the push can show how its deployment goes on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

_LIFETIME = 3_600.0  # seconds
_MOST = 10_000  # tokens at the same time; the oldest go first


class StreamTokens:
    """In memory: a restart of the server ends them all, and the streams that they opened with it."""

    def __init__(self, *, lifetime: float = _LIFETIME, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._issued: dict[str, tuple[float, int]] = {}  # token -> (expires, repository); in order of expiry

    def issue(self, repository_id: int) -> str:
        """A new token for the repository's deployments, good for an hour."""
        self._drop_expired()
        while len(self._issued) >= _MOST:
            del self._issued[next(iter(self._issued))]
        token = secrets.token_urlsafe(32)
        self._issued[token] = (self._clock() + self._lifetime, repository_id)
        return token

    def check(self, token: str) -> int | None:
        """The repository that the token is for, None when there is no such token (any more)."""
        expires, repository_id = self._issued.get(token, (0.0, 0))
        return repository_id if expires > self._clock() else None

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._issued and next(iter(self._issued.values()))[0] <= now:
            del self._issued[next(iter(self._issued))]
