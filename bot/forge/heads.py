"""The newest commit of a branch, as its forge has it now."""

from __future__ import annotations

from urllib.parse import quote

from bot.errors import BerthError, NotFoundError
from bot.forge.github import GitHub
from bot.forge.local import LocalForge
from bot.source.process import environment, run_git
from bot.source.refs import BRANCH_PREFIX, validate_ref, validate_sha
from bot.store.database import Row


async def head_of(local: LocalForge, github: GitHub | None, repository: Row, ref: str) -> str:
    """The commit that the branch ``ref`` (without refs/heads/) points to. Raises NotFoundError, BerthError."""
    validate_ref(ref)
    missing = NotFoundError(f"{repository['name']} has no branch {ref!a}.", "Push it first.")
    if repository["forge_id"] == local.id:
        git_dir = {"GIT_DIR": str(local.clone_path(repository))}
        asked = f"{BRANCH_PREFIX}{ref}^{{commit}}"
        result = await run_git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", asked, env=environment(variables=git_dir)
        )
        if result.code != 0:
            raise missing
        return validate_sha(result.out.decode("ascii", "replace").strip())
    if github is None:
        raise BerthError("No GitHub App is configured, so GitHub cannot be asked.", "Run `berth init`.")
    owner, _, name = repository["name"].partition("/")
    try:
        answer = await github.request(
            "GET",
            f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/branches/{quote(ref, safe='')}",
            installation_id=repository["installation_id"],
            repository_ids=(repository["forge_repository_id"],),
            permissions={"contents": "read"},
        )
    except BerthError as error:
        if getattr(error, "status", 0) == 404:
            raise missing from error
        raise
    try:
        return validate_sha(answer["commit"]["sha"])
    except (KeyError, TypeError) as error:
        raise BerthError(f"GitHub's answer about the branch {ref!a} names no commit.") from error
