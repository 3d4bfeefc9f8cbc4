"""What a person may do in a repository, as GitHub knows it now."""

from __future__ import annotations

import time
from urllib.parse import quote

from bot.forge.github import GitHub, GitHubError
from bot.store.database import Row

LEVELS = ("none", "read", "triage", "write", "maintain", "admin")
CACHE_SECONDS = 60.0
_MOST = 10_000
# role -> the permission that GitHub says beside it
_ROLES = {"read": "read", "triage": "read", "write": "write", "maintain": "write", "admin": "admin"}


class Permissions:
    """Asks ``GET /repos/{owner}/{repo}/collaborators/{user}/permission``, and remembers the answer for a minute."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._known: dict[tuple[int, int], tuple[str, float]] = {}  # (repository, user) -> level, monotonic end

    async def of(self, repository: Row, login: str, user_id: int, *, fresh: bool = False) -> str:
        """One of :data:`LEVELS`. ``fresh`` asks GitHub whatever is remembered: every write does.

        The login is only how GitHub is asked: logins are given to others, so an answer about another ``user_id`` is
        "none". Raises GitHubError when GitHub does not tell; then nothing may be allowed.
        """
        if not login or repository["installation_id"] is None or repository["removed_at"] is not None:
            return "none"
        key = (repository["id"], user_id)
        level, until = self._known.get(key, ("none", 0.0))
        if fresh or until <= time.monotonic():
            self._known.pop(key, None)
            level = await self._ask(repository, login, user_id)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (level, time.monotonic() + CACHE_SECONDS)
        return level

    async def _ask(self, repository: Row, login: str, user_id: int) -> str:
        owner, _, name = repository["name"].partition("/")
        path = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/collaborators/{quote(login, safe='')}/permission"
        try:
            answer = await self._github.request(
                "GET",
                path,
                installation_id=repository["installation_id"],
                repository_ids=(repository["forge_repository_id"],),
                permissions={"metadata": "read"},
            )
        except GitHubError as error:
            if error.status == 404:
                return "none"
            raise
        return level_of(answer, user_id)


def level_of(answer: object, user_id: int) -> str:
    """What GitHub's answer says of the user with that id; "none" for everything that does not say so plainly.

    ``permission`` knows admin, write, read and none; ``role_name`` tells maintain from write and triage from read, and
    may be the name of a role of the organisation's own.
    """
    if not isinstance(answer, dict):
        return "none"
    user, permission, role = answer.get("user"), answer.get("permission"), answer.get("role_name")
    if not isinstance(user, dict) or user.get("id") != user_id or permission not in LEVELS:
        return "none"
    return str(role) if isinstance(role, str) and _ROLES.get(role) == permission else str(permission)
