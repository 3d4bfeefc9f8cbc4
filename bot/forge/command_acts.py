"""What a command in a comment does: who may ask for it, what it is about, and the work that it causes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bot.config import Config
from bot.deploy import lifecycle, views
from bot.deploy.admission import Limits
from bot.deploy.logs import LogStore
from bot.deploy.masking import Masker
from bot.deploy.settings import stored_settings
from bot.deploy.variables import Snapshot, list_variables
from bot.errors import BerthError
from bot.forge import command_replies as replies
from bot.forge.commands import REFUSED, VERBS, NotUnderstood, Options, options
from bot.forge.events import PullRequest, number, pull_request, when
from bot.forge.github import GitHub, GitHubError
from bot.forge.github_repository import ask
from bot.forge.markdown import EXCERPT_LINES, excerpt
from bot.forge.permissions import LEVELS, Permissions
from bot.source.refs import validate_ref
from bot.store.crypto import Vault
from bot.store.database import Row, Store, Transaction
from bot.store.tables import applications, commands, deliveries, deployments, environments, instances, pull_requests

PULL_REQUESTS = {"pull_requests": "write"}  # for reactions and comments; https://docs.github.com/rest/reactions
ANSWERS = frozenset({"status", "help"})  # for everybody who may read
WHEN_CLOSED = frozenset({"status", "help", "stop"})
REPOSITORY_LIMIT = 30  # commands that cause something, in an hour
HOUR = 3_600.0
_ACTED = '{"acted": true}'
_MOST_LOGS = 5  # applications in one reply
_LOG_CHARACTERS = 10_000
_LOOKED_AT = 1_000  # lines at the end of a log, of which some are Berth's own
FORK = (
    "This pull request comes from a fork. What is in a fork runs only after an approval, which is not there yet; "
    "nothing was fetched."
)


class Refused(Exception):  # noqa: N818 - an answer
    """The command is not carried out: ``reasons`` are sentences for people."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class Head:
    """A pull request as GitHub described it after the permission was checked."""

    pull: PullRequest
    author_id: int | None
    pushed_at: float | None  # when something was last pushed to the repository of its head
    fork: bool


@dataclass(frozen=True)
class Asked:
    """A command, and what it is about."""

    row: Row
    repository: Row
    head: Head
    options: Options
    chosen: tuple[Row, ...]  # applications

    @property
    def verb(self) -> str:
        return str(self.row["verb"])


@dataclass
class CommandActs:
    """``wake``: there is new work for the queue."""

    store: Store
    config: Config
    vault: Vault
    logs: LogStore
    github: GitHub
    permissions: Permissions
    wake: Callable[[], None]

    async def carry_out(self, row: Row, repository: Row) -> str | None:
        """Does what a row of ``commands`` asks for, once.

        Returns the text to reply, or None where it causes work: that and what to wait for is stored in one transaction,
        and the row is ``acting`` then. Raises Refused, and GitHubError where GitHub may answer later.
        """
        verb, arguments = row["verb"], tuple(json.loads(row["arguments_json"]))
        level = await self._level(row, repository)
        if verb not in {*ANSWERS, REFUSED} and level < LEVELS.index("write"):
            raise Refused(f"`/deploy {verb}` needs permission to write to this repository.")
        head = await self._head(row, repository)
        if level < LEVELS.index("read") and head.author_id != row["actor_id"]:
            raise Refused("Commands need permission to read this repository.")
        if verb == REFUSED or verb not in VERBS:
            raise Refused(arguments[0] if arguments else "There is no such command.", "`/deploy help` lists them.")
        note = _note(head, repository)
        if verb == "help":
            return replies.help_text(writer=level >= LEVELS.index("write") and not note, note=note)
        if note and (verb != "status" or not head.fork):
            raise Refused(note)
        if not head.pull.open and verb not in WHEN_CLOSED:
            raise Refused("This pull request is closed: only `status`, `help` and `stop` answer here.")
        asked = Asked(row, repository, head, *await self._chosen(repository, verb, arguments))
        if verb == "status":
            return await self._status(asked)
        if verb == "logs":
            return await self._logs(asked)
        if verb == "deploy":
            await self._check_head(asked)
        await self._cause(asked)
        self.wake()
        return None

    # ------------------------------------------------------------------ what GitHub knows

    async def _level(self, row: Row, repository: Row) -> int:
        try:
            level = await self.permissions.of(repository, row["actor"], row["actor_id"], fresh=True)
        except GitHubError as error:
            if error.passing:
                raise
            raise Refused("GitHub does not tell what you may do here, so nothing is done.", str(error)) from error
        return LEVELS.index(level)

    async def _head(self, row: Row, repository: Row) -> Head:
        try:
            answer = await ask(self.github, repository, "GET", f"/pulls/{row['number']}", permissions=PULL_REQUESTS)
        except GitHubError as error:
            if error.passing:
                raise
            raise Refused("GitHub does not show this pull request.", str(error)) from error
        pull = pull_request({"pull_request": answer})
        own = repository["forge_repository_id"]
        if pull is None or number(answer, "base", "repo", "id") != own:
            raise Refused("GitHub's description of this pull request makes no sense.")
        pushed = (answer["head"].get("repo") or {}).get("pushed_at")
        # a head without a repository is a fork's that was deleted
        return Head(pull, number(answer, "user", "id"), when(pushed), pull.head_repository_id != own)

    async def _check_head(self, asked: Asked) -> None:
        """Raises Refused unless the head is what the person saw: named in the command, or pushed before it.

        Whoever may push could wait for somebody else's command, and push then
        (https://github.com/AdnaneKhan/ActionsTOCTOU).
        """
        head, sha, commit = asked.head, asked.head.pull.head_sha, asked.options.commit
        if commit:
            if not sha.startswith(commit):
                raise Refused(f"{commit} is not the head of this pull request, which is `{sha}`.")
            return
        at = asked.row["commented_at"]
        if head.pushed_at is not None and head.pushed_at <= at:
            return
        rows = await self.store.all(
            sa.select(deliveries.c.event, deliveries.c.sha, deliveries.c.happened_at).where(
                deliveries.c.repository_id == asked.repository["id"],
                deliveries.c.ref == head.pull.head_ref,
                deliveries.c.event.in_(("push", "pull_request")),
                deliveries.c.happened_at.is_not(None),
            )
        )
        before = any(row["sha"] == sha and row["happened_at"] <= at for row in rows)
        after = any(row["event"] == "push" and row["happened_at"] > at for row in rows)
        if after or not before:
            raise Refused(
                f"The head of this pull request is `{sha}` now, and it is not known that it was when you wrote this.",
                f"Look at it and write `/deploy {sha[:12]}`, or the command once more.",
            )

    # ------------------------------------------------------------------ what is meant

    async def _chosen(self, repository: Row, verb: str, arguments: tuple[str, ...]) -> tuple[Options, tuple[Row, ...]]:
        try:
            given = options(verb, arguments)
        except NotUnderstood as error:
            raise Refused(str(error)) from error
        rows = await self.store.all(
            sa.select(applications).where(applications.c.repository_id == repository["id"]).order_by(applications.c.id)
        )
        chosen = tuple(row for row in rows if given.application in {"", row["name"]})
        if not chosen:
            there = ", ".join(row["name"] for row in rows[:20]) or "none"
            what = "neither a command nor an application" if verb == "deploy" else "no application"
            raise Refused(f"There is {what} {given.application!r}.", f"Applications: {there}.")
        return given, chosen

    async def _environment(self, source: Store | Transaction, asked: Asked, application: Row) -> Row | None:
        """Where the pull request's branch runs; None where it does not."""
        return await source.one(
            sa.select(environments).where(
                environments.c.application_id == application["id"],
                environments.c.kind == "branch",
                environments.c.ref == asked.head.pull.head_ref,
                environments.c.state != "removed",
            )
        )

    # ------------------------------------------------------------------ what is done

    async def _cause(self, asked: Asked) -> None:
        row, notes = asked.row, []
        made: dict[str, list[int]] = {"deployments": [], "works": []}
        async with self.store.begin() as tx:
            await self._check_rate(tx, asked)
            if asked.verb == "deploy":
                await _know(tx, asked)
            for application in asked.chosen:
                try:
                    kind, identifier = await self._act(tx, asked, application)
                    made[kind].append(identifier)
                except BerthError as error:
                    notes.append(f"{application['name']}: {error}" if len(asked.chosen) > 1 else str(error))
            if not any(made.values()):
                raise Refused(*notes)
            work = json.loads(_ACTED) | json.loads(row["work_json"]) | made | {"notes": notes}
            taken = await tx.changed(
                sa.update(commands)
                .where(commands.c.id == row["id"], commands.c.state == "queued")
                .values(state="acting", work_json=json.dumps(work), attempts=0, not_before=0.0)
                .returning(commands.c.id)
            )
            if not taken:
                raise RuntimeError("the command was carried out by somebody else")

    async def _act(self, tx: Transaction, asked: Asked, application: Row) -> tuple[str, int]:
        """The kind (deployments, works) and id of what is done for one application. Raises BerthError."""
        actor, pull = asked.row["actor"], asked.head.pull
        if asked.verb == "deploy":
            return "deployments", await lifecycle.enqueue(
                tx,
                repository_id=asked.repository["id"],
                environment_kind="branch",
                ref=validate_ref(pull.head_ref),
                sha=pull.head_sha,
                cause="command",
                actor=actor,
                message=await _message(tx, asked),
                delivery_id=asked.row["delivery_id"],
                application_id=application["id"],
                limits=Limits.of(self.config),
            )
        environment = await self._environment(tx, asked, application)
        if environment is None:
            raise BerthError("Nothing of this pull request is deployed.", "`/deploy` does that.")
        if asked.verb == "rollback":
            earlier = await _earlier(tx, asked.options, environment)
            return "deployments", await lifecycle.rollback_in(tx, environment["id"], earlier, actor=actor)
        if asked.verb in {"start", "restart"} and environment["live_deployment_id"] is None:
            raise BerthError("Nothing of this pull request was ever live, so there is nothing to start.")
        match asked.verb:
            case "stop":
                return "works", await lifecycle.request_in(tx, environment, "stop", actor=actor)
            case "start":
                return "works", await lifecycle.request_in(tx, environment, "start", actor=actor)
            case "restart":
                return "works", await lifecycle.request_in(tx, environment, "restart", actor=actor)
        raise BerthError(f"There is no command {asked.verb!r}.")

    async def _check_rate(self, tx: Transaction, asked: Asked) -> None:
        """Raises Refused at the repository's limit. Commands that were refused do not count."""
        row = asked.row
        found = await tx.one(
            sa.select(sa.func.count().label("number")).where(
                commands.c.repository_id == row["repository_id"],
                commands.c.id != row["id"],
                commands.c.created_at > row["created_at"] - HOUR,
                begins_with(_ACTED),
            )
        )
        if found is not None and found["number"] >= REPOSITORY_LIMIT:
            raise Refused(f"This repository had {REPOSITORY_LIMIT} commands in the last hour, which is the most.")

    # ------------------------------------------------------------------ what is told

    async def _status(self, asked: Asked) -> str:
        if asked.head.fork:
            return FORK
        shown = []
        for application in asked.chosen:
            environment = await self._environment(self.store, asked, application)
            if environment is not None:
                shown.append(await views.environment_view(self.store, self.config, environment["id"]))
        return replies.status(shown, self._page("")) if shown else "Nothing of this pull request is deployed."

    async def _logs(self, asked: Asked) -> str:
        parts, refusals = [], []
        for application in asked.chosen[:_MOST_LOGS]:
            environment = await self._environment(self.store, asked, application)
            newest = None if environment is None else await self._newest(environment)
            if environment is None or newest is None:
                refusals.append(f"{application['name']}: nothing of this pull request is deployed.")
                continue
            settings = await stored_settings(self.store, application["id"])
            if not asked.repository["private"] and not settings.get("log_excerpts", False):
                refusals.append(
                    f"{application['name']}: lines of logs of a public repository are shown here only where the "
                    f"setting log_excerpts is true; they are at {self._page(newest['id'])}."
                )
                continue
            parts.append(await self._log(asked, application, environment, newest))
        if not parts:
            raise Refused(*refusals)
        return "\n\n".join([*parts, *(replies.refusal([one]) for one in refusals)])

    async def _log(self, asked: Asked, application: Row, environment: Row, newest: Row) -> str:
        wanted = asked.options
        live = environment["live_deployment_id"]
        run = wanted.log == "run" or (not wanted.log and newest["state"] in {"live", "retired"})
        instance = await self._instance(live) if run and live is not None else None
        deployment = newest if instance is None else await self._deployment(instance["deployment_id"])
        title = f"build of deployment {newest['id']}"
        if wanted.log == "run" and instance is None:
            return replies.log(application["name"], "what runs", "", self._page(newest["id"]))
        page = await self.logs.read(deployment["id"], instance["id"] if instance else None, tail=_LOOKED_AT)
        lines = [line.text for line in page.lines if line.kind in {"line", "gap"}]
        if instance is not None:
            title = f"what runs of deployment {deployment['id']}"
        most = wanted.lines or EXCERPT_LINES
        shown = excerpt(lines, await self._masker(application, deployment), most=most, characters=_LOG_CHARACTERS)
        return replies.log(application["name"], title, shown, self._page(deployment["id"]))

    async def _newest(self, environment: Row) -> Row | None:
        query = sa.select(deployments).where(deployments.c.environment_id == environment["id"])
        return await self.store.one(query.order_by(deployments.c.id.desc()).limit(1))

    async def _deployment(self, deployment_id: int) -> Row:
        row = await self.store.one(sa.select(deployments).where(deployments.c.id == deployment_id))
        if row is None:
            raise Refused(f"There is no deployment {deployment_id} any more.")
        return row

    async def _instance(self, deployment_id: int) -> Row | None:
        query = sa.select(instances).where(instances.c.deployment_id == deployment_id)
        return await self.store.one(query.order_by(instances.c.id.desc()).limit(1))

    async def _masker(self, application: Row, deployment: Row) -> Masker:
        """Of the secrets that the deployment used, and of those that are set now."""
        secrets = [one.value for one in await list_variables(self.store, self.vault, application["id"]) if one.secret]
        if deployment["snapshot_enc"]:
            secrets += Snapshot.from_json(self.vault.decrypt(deployment["snapshot_enc"])).secrets()
        return Masker(secrets)

    def _page(self, deployment_id: int | str) -> str:
        return f"{self.config.effective_public_url}/deployments/{deployment_id}"


def begins_with(known: str) -> sa.ColumnElement[bool]:
    """A condition on ``commands``: ``work_json`` is that object, or it with more behind. `databases` cannot do LIKE."""
    return sa.func.substr(commands.c.work_json, 1, len(known) - 1) == known[:-1]


def _note(head: Head, repository: Row) -> str:
    """Why commands can do nothing for this pull request; empty where they can."""
    if head.fork:
        return FORK
    if head.pull.head_ref == repository["default_branch"]:
        return (
            f"The head of this pull request is {head.pull.head_ref}, the default branch, which is production: it has "
            "no environment of its own."
        )
    return ""


async def _know(tx: Transaction, asked: Asked) -> None:
    """A pull request that was opened before Berth heard of the repository is known from now on, as its events would."""
    pull, repository_id = asked.head.pull, asked.repository["id"]
    known = sa.select(pull_requests.c.id).where(
        pull_requests.c.repository_id == repository_id, pull_requests.c.number == pull.number
    )
    if await tx.one(known) is not None:
        return
    values: Mapping[str, Any] = {
        "repository_id": repository_id,
        "number": pull.number,
        "title": pull.title,
        "author": pull.author,
        "state": "open",
        "head_ref": pull.head_ref,
        "head_sha": pull.head_sha,
        "head_repository_id": pull.head_repository_id,
        "base_ref": pull.base_ref,
        "updated_at": pull.updated_at or asked.row["commented_at"],
    }
    await tx.run(pull_requests.insert().values(values))


async def _message(tx: Transaction, asked: Asked) -> str:
    """The first line of the commit's message, where a push told of it; else the title of the pull request."""
    row = await tx.one(
        sa.select(deployments.c.message)
        .join_from(deployments, environments, environments.c.id == deployments.c.environment_id)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(applications.c.repository_id == asked.repository["id"], deployments.c.sha == asked.head.pull.head_sha)
        .order_by(deployments.c.id)
        .limit(1)
    )
    return str(row["message"]) if row is not None and row["message"] else asked.head.pull.title


async def _earlier(tx: Transaction, given: Options, environment: Row) -> int | None:
    """The deployment to go back to, where the command names one. Raises BerthError."""
    if not given.commit:
        return given.deployment
    row = await tx.one(
        sa.select(deployments.c.id)
        .where(
            deployments.c.environment_id == environment["id"],
            sa.func.substr(deployments.c.sha, 1, len(given.commit)) == given.commit,
            deployments.c.state.in_(("live", "retired")),
            deployments.c.source_deployment_id.is_(None),
        )
        .order_by(deployments.c.id.desc())
        .limit(1)
    )
    if row is None:
        raise BerthError(f"No deployment of {given.commit} was ever live here.", "`/deploy status` tells what is.")
    return int(row["id"])
