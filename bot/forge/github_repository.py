"""Requests about one repository, with a token that is good for it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from bot.forge.github import GitHub
from bot.store.database import Row


def path_of(repository: Row) -> str:
    """Where the repository is in the API."""
    owner, _, name = repository["name"].partition("/")
    return f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"


async def ask(
    github: GitHub,
    repository: Row,
    method: str,
    path: str,
    *,
    permissions: dict[str, str],
    body: Any = None,
    params: Mapping[str, str | int] | None = None,
) -> Any:
    """The answer to a request for ``path`` (quoted, below the repository). Raises GitHubError."""
    return await github.request(
        method,
        path_of(repository) + path,
        installation_id=repository["installation_id"],
        repository_ids=(repository["forge_repository_id"],),
        permissions=permissions,
        body=body,
        params=params,
        etag_cache=False,
    )


async def collect(
    github: GitHub, repository: Row, path: str, permissions: dict[str, str], *, most: int = 1_000
) -> list[Any]:
    """All objects of a list. Raises GitHubError."""
    return await github.collect(
        path_of(repository) + path,
        installation_id=repository["installation_id"],
        repository_ids=(repository["forge_repository_id"],),
        permissions=permissions,
        most=most,
    )
