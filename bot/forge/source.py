"""Commits and files of a repository, wherever its forge keeps them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import structlog

from bot.config import Config
from bot.errors import BerthError, UnavailableError
from bot.forge.github import GitHub, GitHubError
from bot.forge.local import LocalForge
from bot.source.git import Checkout, MovedError, UnreachableError, fetch
from bot.source.process import environment, run_git
from bot.store.database import Row

log = structlog.get_logger()

FILE_LIMIT = 256_000  # bytes
FIRST_PAUSE = 2.0  # seconds until GitHub is asked again for a commit; doubled each time
_CONTENTS = {"contents": "read"}


class ForgeSource:
    """What the deployment of a commit needs from its forge: the local one, or GitHub.

    ``github`` gives today's client; the App may be made while the server runs.
    """

    def __init__(self, config: Config, forge: LocalForge, github: Callable[[], GitHub | None] = lambda: None) -> None:
        self._config = config
        self._forge = forge
        self._github = github

    async def fetch(self, repository: Row, sha: str, root: str, into: Path) -> Checkout:
        """Checks out exactly ``sha``; ``root`` must be a folder in it. Raises BerthError."""
        if self._is_local(repository):
            checkout = await self._fetch(str(self._forge.clone_path(repository)), sha, into)
        else:
            checkout = await self._fetch_from_github(repository, sha, into)
        checkout.subtree(root)
        return checkout

    async def default_branch_file(self, repository: Row, path: str) -> str | None:
        """The text of a file on the default branch; None where there is no such file or branch. Raises BerthError."""
        local = self._is_local(repository)
        content = await (self._local_file(repository, path) if local else self._github_file(repository, path))
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError as error:
            raise BerthError(f"{path} on the default branch is not UTF-8.", "Save it as UTF-8.") from error

    def _is_local(self, repository: Row) -> bool:
        return bool(repository["forge_id"] == self._forge.id)

    async def _fetch(self, address: str, sha: str, into: Path, token: str | None = None) -> Checkout:
        url = urlsplit(self._config.github_url)
        return await fetch(
            address,
            sha,
            into,
            token=token,
            allowed_hosts=(url.netloc,),
            plain_http=url.scheme == "http",
            timeout=self._config.fetch_timeout,
            max_bytes=self._config.repository_max_bytes,
            max_files=self._config.repository_max_files,
        )

    async def _fetch_from_github(self, repository: Row, sha: str, into: Path) -> Checkout:
        """As long as the deadline of fetching allows, GitHub is asked again when it fails or does not answer."""
        deadline = time.monotonic() + self._config.fetch_timeout
        name, pause = repository["name"], FIRST_PAUSE
        while True:
            try:
                return await self._clone(repository, name, sha, into)
            except MovedError:
                moved = await self._present_name(repository)
                if moved == name:
                    raise
                name = moved
            except (GitHubError, UnreachableError) as error:
                wait = pause
                if isinstance(error, GitHubError):
                    if not error.passing:
                        raise
                    wait = max(wait, error.retry_after or 0.0)
                if time.monotonic() + wait > deadline:
                    raise
                log.warning("GitHub does not give a commit; asked again", reason=error.reason, wait=round(wait))
                await asyncio.sleep(wait)
                pause *= 2

    async def _clone(self, repository: Row, name: str, sha: str, into: Path) -> Checkout:
        """With a token that reads this one repository, and that ends with the fetch."""
        github, installation, number = self._access(repository)
        async with github.one_time_token(installation, (number,), _CONTENTS) as token:
            return await self._fetch(f"{github.url}/{_quoted(name)}.git", sha, into, token)

    async def _present_name(self, repository: Row) -> str:
        """What the repository is called now; GitHub knows it by its old name as well. Raises BerthError."""
        github, installation, number = self._access(repository)
        found = await github.request(
            "GET",
            f"/repos/{_quoted(repository['name'])}",
            installation_id=installation,
            repository_ids=(number,),
            permissions={"metadata": "read"},
        )
        if not isinstance(found, dict) or found.get("id") != number:
            raise BerthError(f"The repository {repository['name']} is another one now.", "Push to it once more.")
        return str(found["full_name"])

    async def _local_file(self, repository: Row, path: str) -> bytes | None:
        result = await run_git(
            "cat-file",
            "blob",
            f"refs/heads/{repository['default_branch']}:{path}",
            env=environment(variables={"GIT_DIR": str(self._forge.clone_path(repository))}),
            max_output=FILE_LIMIT,
        )
        return result.out if result.code == 0 else None

    async def _github_file(self, repository: Row, path: str) -> bytes | None:
        """https://docs.github.com/rest/repos/contents#get-repository-content"""
        github, installation, number = self._access(repository)
        try:
            found = await github.request(
                "GET",
                f"/repos/{_quoted(repository['name'])}/contents/{quote(path)}",
                installation_id=installation,
                repository_ids=(number,),
                permissions=_CONTENTS,
                params={"ref": repository["default_branch"]},
            )
        except GitHubError as error:
            if error.status == 404:
                return None
            raise
        if not isinstance(found, dict) or found.get("type") != "file":
            return None
        if found.get("encoding") != "base64" or found.get("size", 0) > FILE_LIMIT:
            raise BerthError(f"{path} on the default branch has more than {FILE_LIMIT} bytes.", "Make it shorter.")
        try:
            return base64.b64decode(found.get("content", ""))
        except binascii.Error as error:
            raise UnavailableError(f"GitHub's answer for {path} cannot be read.") from error

    def _access(self, repository: Row) -> tuple[GitHub, int, int]:
        """The client, the installation, the repository's number on GitHub. Raises BerthError without access."""
        github = self._github()
        if github is None:
            raise UnavailableError("Berth is not set up as a GitHub App.", "Run `berth init`.")
        if repository["installation_id"] is None:
            raise BerthError(
                f"Berth has lost access to {repository['name']}.", "Give the GitHub App access to it again."
            )
        return github, repository["installation_id"], repository["forge_repository_id"]


def _quoted(name: str) -> str:
    owner, _, repository = name.partition("/")
    return f"{quote(owner, safe='')}/{quote(repository, safe='')}"
