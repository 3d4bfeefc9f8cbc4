"""Whether a branch may be deployed: modes, the operator's allow-list, bots' branches, the number of previews."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from bot.config import Config
from bot.deploy.settings import stored_settings
from bot.store.database import Row, Transaction
from bot.store.tables import applications, environments, pull_requests, work

BOT_BRANCHES = ("dependabot/", "renovate/")  # what these bots push; many at once, and most are never looked at

Cause = Literal["list", "off", "bot", "pull_request", "previews"]


@dataclass(frozen=True)
class Limits:
    """What the operator allows: ``repositories`` are ``owner/name`` or ``owner/*`` (none: all); ``previews`` each."""

    repositories: tuple[str, ...] = ()
    previews: int = 10

    @classmethod
    def of(cls, config: Config) -> Limits:
        words = (word.strip().lower() for word in config.repositories.split(","))
        return cls(tuple(word for word in words if word), config.previews)

    def allows(self, name: str) -> bool:
        """Whether the repository is on the allow-list. One of the local forge, which has no owner, always is."""
        name = name.lower()
        owner, slash, _ = name.partition("/")
        return not slash or not self.repositories or name in self.repositories or f"{owner}/*" in self.repositories


@dataclass(frozen=True)
class Refusal:
    """Why a branch is not deployed: ``reason`` for people, ``cause`` for programs."""

    reason: str
    cause: Cause


async def refusal(
    tx: Transaction,
    limits: Limits,
    repository: Row,
    application: Row,
    *,
    environment_kind: str,
    ref: str,
    by_bot: bool = False,
) -> Refusal | None:
    """Why a commit of ``ref`` is not deployed now; None where it may be. ``by_bot``: a bot of such branches pushed it.

    Modes: ``all`` deploys every branch, ``pull_request`` the default branch and branches with an open pull request of
    the same repository, ``off`` none.
    """
    if not limits.allows(repository["name"]):
        return Refusal(f"BERTH_REPOSITORIES does not name {repository['name']}.", "list")
    settings = await stored_settings(tx, application["id"])
    mode = settings.get("mode", "all")
    if mode == "off":
        return Refusal(f"The mode of {application['name']} is off, so nothing is deployed.", "off")
    if environment_kind == "production":
        return None
    if not await has_open_pull_request(tx, repository, ref):
        if by_bot or ref.startswith(BOT_BRANCHES):
            return Refusal(f"{ref} is a bot's branch, which is deployed only with an open pull request.", "bot")
        if mode == "pull_request":
            return Refusal(
                f"The mode of {application['name']} is pull_request, and {ref} has no open pull request.",
                "pull_request",
            )
    most = settings.get("previews", limits.previews)
    others = await other_previews(tx, repository["id"], ref)
    if others is not None and others >= most:
        return Refusal(
            f"{repository['name']} has {others} previews already, and {most} is the most: delete a branch, or raise "
            "the setting previews.",
            "previews",
        )
    return None


async def has_open_pull_request(tx: Transaction, repository: Row, ref: str) -> bool:
    """Whether a branch of the repository itself, not of a fork, is the head of an open pull request."""
    return None is not await tx.one(
        sa.select(pull_requests.c.id)
        .where(
            pull_requests.c.repository_id == repository["id"],
            pull_requests.c.head_ref == ref,
            pull_requests.c.state == "open",
            pull_requests.c.head_repository_id == repository["forge_repository_id"],
        )
        .limit(1)
    )


async def other_previews(tx: Transaction, repository_id: int, ref: str) -> int | None:
    """How many branches of the repository have a preview; None where this one has one."""
    rows = await tx.all(
        sa.select(environments.c.ref)
        .distinct()
        .join(applications, applications.c.id == environments.c.application_id)
        .where(
            applications.c.repository_id == repository_id,
            environments.c.kind == "branch",
            environments.c.state != "removed",
            ~is_going(),
        )
    )
    refs = {row["ref"] for row in rows}
    return None if ref in refs else len(refs)


def is_going() -> sa.ColumnElement[bool]:
    """A condition on ``environments``: its removal is the last thing that was asked for, and not done yet."""
    pending = (work.c.environment_id == environments.c.id, work.c.state != "done")
    last = sa.select(sa.func.max(work.c.id)).where(*pending).correlate(environments).scalar_subquery()
    other = work.alias()
    return sa.exists(sa.select(other.c.id).where(other.c.id == last, other.c.kind == "remove")).correlate(environments)
