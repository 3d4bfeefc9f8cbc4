"""What an event means: from a delivery to a decision. Pure functions of a payload that may be hostile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from bot.errors import BerthError
from bot.forge import commands
from bot.source.refs import BRANCH_PREFIX, ZERO_SHA, printable, validate_ref, validate_sha

Kind = Literal["ignored", "deploy", "teardown", "command"]

# https://docs.github.com/actions/managing-workflow-runs/skipping-workflow-runs, and the same for deployments
SKIP_WORDS = (
    *("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"),
    *("[skip deploy]", "[deploy skip]", "[no deploy]", "[skip berth]", "[berth skip]"),
)


# bots that push many branches of their own, whatever prefix their configuration gives these
BRANCH_BOTS = frozenset({"dependabot[bot]", "renovate[bot]", "renovate-bot", "mend-for-github-com[bot]"})
FORK = "Its head is in a fork: forks need an approval that is not there yet, and nothing of it was fetched."


@dataclass(frozen=True)
class Context:
    """What must be known of the repository for a decision."""

    default_branch: str
    delivered: Mapping[str, str] | None = None  # newest delivered commit per branch, where deliveries come in order
    protected: bool = False  # the forge does not let the default branch be deleted: news of that is old or forged


@dataclass(frozen=True)
class Comment:
    """A command in a comment of a pull request, by a person."""

    id: int
    actor_id: int
    written_at: float  # seconds since 1970
    command: commands.Command | commands.Refusal


@dataclass(frozen=True)
class PullRequest:
    """As a payload describes it. ``head_repository_id`` is the forge's; None where the fork was deleted."""

    number: int
    title: str
    author: str
    open: bool
    head_ref: str
    head_sha: str
    head_repository_id: int | None
    base_ref: str
    updated_at: float | None


@dataclass(frozen=True)
class Decision:
    """``reason`` is for people. ``ref`` is a branch name, ``sha`` the commit to deploy (or that was torn down)."""

    kind: Kind
    reason: str
    ref: str = ""
    sha: str = ""
    environment_kind: str = ""  # production | branch
    message: str = ""  # first line of the head commit's message
    actor: str = ""
    cause: str = "push"  # push | pull_request
    number: int | None = None  # of the pull request that it is about
    by_bot: bool = False  # one of BRANCH_BOTS pushed it
    comment: Comment | None = None


def decide(event: str, payload: Mapping[str, Any], context: Context) -> Decision:
    """The decision on a delivery. Never raises: whatever does not make sense is ignored, with the reason."""
    handle = {"push": _push, "pull_request": _pull_request, "issue_comment": _issue_comment}.get(event)
    if handle is not None:
        try:
            return handle(payload, context)
        except BerthError as error:
            return Decision("ignored", error.reason)
    reasons = {
        "ping": "The forge asked whether Berth is there: it is.",
        "delete": "The push that deleted the branch has the same news.",
        "create": "The push that made the branch has the same news.",
    }
    return Decision("ignored", reasons.get(event, f"Events of the kind {printable(event, 40)!r} cause nothing."))


def _push(payload: Mapping[str, Any], context: Context) -> Decision:
    """https://docs.github.com/webhooks/webhook-events-and-payloads#push"""
    ref, after = text(payload, "ref"), text(payload, "after")
    if ref.startswith("refs/tags/"):
        return Decision("ignored", "Tags are not deployed, only branches.")
    if not ref.startswith(BRANCH_PREFIX):
        return Decision("ignored", f"{printable(ref, 80)!r} is not a branch.")
    branch = validate_ref(ref.removeprefix(BRANCH_PREFIX))
    kind = "production" if branch == context.default_branch else "branch"
    actor = printable(text(payload, "pusher", "name") or text(payload, "sender", "login"), 255)
    if context.delivered is not None and context.delivered.get(branch, ZERO_SHA) == after:
        return Decision("ignored", f"This state of {branch} was delivered before.", branch, _sha_or_none(after))
    by_bot = text(payload, "sender", "login") in BRANCH_BOTS
    if payload.get("deleted") is True or after == ZERO_SHA:
        if kind == "production" and context.protected:
            return Decision("ignored", f"{branch} is the default branch: what runs of it stays.", branch)
        before = _sha_or_none(text(payload, "before"))
        return Decision("teardown", f"The branch {branch} was deleted.", branch, before, kind, "", actor)
    sha = validate_sha(after)
    message = text(payload, "head_commit", "message")
    subject = printable(message.strip().partition("\n")[0])
    if word := next((word for word in SKIP_WORDS if word in message.lower()), ""):
        return Decision("ignored", f"Not deployed: the commit message says {word}.", branch, sha, kind, subject, actor)
    reason = f"{sha[:7]} was pushed to {branch}."
    return Decision("deploy", reason, branch, sha, kind, subject, actor, by_bot=by_bot)


def _pull_request(payload: Mapping[str, Any], context: Context) -> Decision:
    """https://docs.github.com/webhooks/webhook-events-and-payloads#pull_request"""
    action, pull = text(payload, "action"), pull_request(payload)
    if pull is None:
        return Decision("ignored", "That is no description of a pull request.")
    name = f"Pull request #{pull.number}"
    actor = printable(text(payload, "sender", "login"), 255)

    def ignored(reason: str) -> Decision:
        return Decision(
            "ignored", reason, pull.head_ref, pull.head_sha, actor=actor, cause="pull_request", number=pull.number
        )

    if action not in {"opened", "reopened", "synchronize", "closed"}:
        return ignored(f"{name} was {printable(action, 40) or 'changed'}, which causes nothing.")
    own = number(payload, "repository", "id")
    if own is None or pull.head_repository_id != own:
        return ignored(f"{name}: {FORK[0].lower()}{FORK[1:]}")
    branch = validate_ref(pull.head_ref)
    if branch == context.default_branch:
        return ignored(f"{name} has the default branch as its head, which pushes deploy to production.")
    values: dict[str, Any] = {"actor": actor, "cause": "pull_request", "number": pull.number}
    if action == "closed":
        merged = payload["pull_request"].get("merged") is True
        reason = f"{name} was {'merged' if merged else 'closed'}."
        return Decision("teardown", reason, branch, pull.head_sha, "branch", **values)
    if not pull.open:
        return ignored(f"{name} is closed.")
    values["message"] = pull.title
    done = {"opened": "was opened", "reopened": "was reopened", "synchronize": "has new commits"}[action]
    reason = f"{name} {done}: {pull.head_sha[:7]} of {branch}."
    return Decision("deploy", reason, branch, pull.head_sha, "branch", **values)


def pull_request(payload: Mapping[str, Any]) -> PullRequest | None:
    """The pull request in the payload of an event; None where it makes no sense."""
    value = payload.get("pull_request")
    found = number(payload, "pull_request", "number")
    sha = _sha_or_none(text(payload, "pull_request", "head", "sha"))
    if not isinstance(value, Mapping) or found is None or found > 2**31 - 1 or not sha:
        return None
    return PullRequest(
        found,
        printable(text(value, "title")),
        printable(text(value, "user", "login"), 255),
        text(value, "state") == "open",
        printable(text(value, "head", "ref"), 255),
        sha,
        number(value, "head", "repo", "id"),
        printable(text(value, "base", "ref"), 255),
        when(value.get("updated_at")),
    )


def _issue_comment(payload: Mapping[str, Any], _context: Context) -> Decision:
    """https://docs.github.com/webhooks/webhook-events-and-payloads#issue_comment"""
    issue, comment = payload.get("issue"), payload.get("comment")
    if not isinstance(issue, Mapping) or not isinstance(comment, Mapping):
        return Decision("ignored", "That is no description of a comment.")
    # first of all, so that bots never answer each other: https://docs.github.com/rest/users/users
    if text(payload, "sender", "type") != "User" or text(comment, "user", "type") != "User":
        return Decision("ignored", "Only comments of people are read.")
    if text(payload, "action") != "created":
        return Decision("ignored", "Only new comments are read, not changed or deleted ones.")
    if not isinstance(issue.get("pull_request"), Mapping):
        return Decision("ignored", "Only comments on pull requests are read.")
    author, found, identifier = number(comment, "user", "id"), number(issue, "number"), number(comment, "id")
    written = when(comment.get("created_at"))
    if author is None or found is None or found > 2**31 - 1 or identifier is None or written is None:
        return Decision("ignored", "That is no description of a comment.")
    actor = printable(text(comment, "user", "login"), 255)
    if number(payload, "sender", "id") != author:
        return Decision("ignored", "The comment is not by who sent it.", actor=actor, number=found)
    command = commands.parse(text(comment, "body"))
    if command is None:
        return Decision("ignored", "The comment has no command.", actor=actor, number=found)
    reason = f"{actor} wrote {commands.written(command.verb, command.arguments)} on pull request #{found}."
    return Decision("command", reason, actor=actor, number=found, comment=Comment(identifier, author, written, command))


def _sha_or_none(text: str) -> str:
    try:
        return validate_sha(text)
    except BerthError:
        return ""


def text(payload: Mapping[str, Any], *path: str) -> str:
    """The text at ``path`` in nested objects; "" where there is none."""
    value = _at(payload, path)
    return value if isinstance(value, str) else ""


def number(payload: Mapping[str, Any], *path: str) -> int | None:
    """The positive whole number at ``path`` in nested objects; None where there is none that a database can hold."""
    value = _at(payload, path)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else None


def when(value: object) -> float | None:
    """Seconds since 1970 of a time as GitHub writes it, as a number or in ISO 8601; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40:
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


def _at(payload: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = payload
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
