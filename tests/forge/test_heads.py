"""The newest commit of a branch: of the local forge, and of GitHub."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.errors import BerthError, NotFoundError
from bot.forge.github import GitHubError
from bot.forge.heads import head_of
from tests.forge.conftest import Rig, Work

pytestmark = pytest.mark.anyio
SHA = "0123456789abcdef0123456789abcdef01234567"


async def test_of_the_local_forge(idle: Rig, work: Work) -> None:
    row = await idle.forge.create_repository("shop")
    sha = work.commit(a_txt="1")
    bare = str(idle.forge.clone_path(row))
    await asyncio.to_thread(work, "push", "-q", bare, "HEAD:refs/heads/feature/x")
    assert await head_of(idle.forge, None, row, "feature/x") == sha
    for missing in ("main", "feature", sha, "FETCH_HEAD", "x/../feature/x", "--all"):
        with pytest.raises(BerthError):
            await head_of(idle.forge, None, row, missing)
    with pytest.raises(NotFoundError, match="has no branch 'main'"):
        await head_of(idle.forge, None, row, "main")


class GitHubAnswers:
    """What GitHub would say, and what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def request(self, method: str, path: str, **more: Any) -> Any:
        self.asked.append((f"{method} {path}", more))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


REPOSITORY = {"forge_id": 99, "name": "acme/shop", "installation_id": 5, "forge_repository_id": 7}


async def test_of_github(idle: Rig, tmp_path: Path) -> None:
    github: Any = GitHubAnswers({"commit": {"sha": SHA}})
    assert await head_of(idle.forge, github, REPOSITORY, "feature/a+b") == SHA
    path, more = github.asked[-1]
    assert path == "GET /repos/acme/shop/branches/feature%2Fa%2Bb"
    assert more == {"installation_id": 5, "repository_ids": (7,), "permissions": {"contents": "read"}}


@pytest.mark.parametrize("answer", [{}, {"commit": None}, {"commit": {"sha": "main"}}, None])
async def test_an_answer_without_a_commit_is_told(idle: Rig, answer: Any) -> None:
    github: Any = GitHubAnswers(answer)
    with pytest.raises(BerthError):
        await head_of(idle.forge, github, REPOSITORY, "main")


async def test_what_github_refuses(idle: Rig) -> None:
    github: Any = GitHubAnswers(GitHubError(404, "Branch not found"))
    with pytest.raises(NotFoundError):
        await head_of(idle.forge, github, REPOSITORY, "main")
    github = GitHubAnswers(GitHubError(500, "no"))
    with pytest.raises(GitHubError):
        await head_of(idle.forge, github, REPOSITORY, "main")
    with pytest.raises(BerthError, match="No GitHub App"):
        await head_of(idle.forge, None, REPOSITORY, "main")
