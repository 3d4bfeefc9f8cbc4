"""Commands in comments of pull requests, carried out: stored with their delivery, durable until they are answered.

A row of ``commands`` is ``queued`` until it is decided what it causes (in the order of the comments of a pull request),
``acting`` while that goes on and until it is answered, and ``done``. Whatever GitHub does not do at once is done later.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploy import states
from bot.errors import BerthError
from bot.forge import command_replies as replies
from bot.forge.command_acts import HOUR, PULL_REQUESTS, CommandActs, Refused, begins_with
from bot.forge.github import GitHub, GitHubError
from bot.forge.github_repository import ask
from bot.store.database import Row, Store, Transaction
from bot.store.tables import commands, deployments, repositories, work

log = structlog.get_logger()

EYES, DONE, FAILED, REFUSAL = "eyes", "rocket", "-1", "confused"  # https://docs.github.com/rest/reactions
USER_LIMIT = 10  # commands of one person in an hour
GIVE_UP_SECONDS = HOUR  # of asking GitHub, and then of telling it the answer
WATCH_SECONDS = 86_400.0  # for the end of what was caused
LONGEST_PAUSE = 300.0
_PARALLEL = 8
_LOADED = 1_000  # rows
_POLL, _IDLE = 1.0, 30.0  # seconds
_LIMITED = '{"limited": true}'


async def store_command(
    tx: Transaction,
    *,
    repository_id: int,
    delivery_id: int | None,
    number: int,
    comment_id: int,
    actor: str,
    actor_id: int,
    verb: str,
    arguments: Sequence[str],
    commented_at: float,
) -> int:
    """Stores what :func:`bot.forge.commands.parse` found (a refusal too) and returns its id; wake the worker after it.

    ``number``: of the pull request; ``actor``, ``actor_id``: who wrote the comment, at ``commented_at`` (seconds since
    1970). A comment that is stored already gives its row's id and causes nothing more.
    """
    known = await tx.one(
        sa.select(commands.c.id).where(commands.c.repository_id == repository_id, commands.c.comment_id == comment_id)
    )
    if known is not None:
        return int(known["id"])
    return await tx.insert(
        commands.insert()
        .values(
            repository_id=repository_id,
            delivery_id=delivery_id,
            number=number,
            comment_id=comment_id,
            actor=actor,
            actor_id=actor_id,
            verb=verb,
            arguments_json=json.dumps(list(arguments)),
            commented_at=commented_at,
            state="queued",
            created_at=time.time(),
        )
        .returning(commands.c.id)
    )


class CommandWorker:
    """``start()``, ``close()``; ``wake()`` after :func:`store_command`. ``now`` gives seconds since 1970."""

    def __init__(self, store: Store, github: GitHub, acts: CommandActs, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._github = github
        self._acts = acts
        self._now = now
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by the command's id

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="commands")

    async def close(self) -> None:
        """What is not answered yet goes on after the next start. Idempotent."""
        loop, self._loop = self._loop, None
        tasks = [task for task in (loop, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._tasks.clear()

    def wake(self) -> None:
        """There may be a new command, or something that one waits for has ended."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                delay = await self._begin()
            except Exception:
                log.exception("the commands stumbled and go on")
                delay = _POLL
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._woken.wait()

    async def _begin(self) -> float:
        """Takes in hand what is due. Returns after how many seconds to look again."""
        rows = await self._store.all(
            sa.select(commands).where(commands.c.state != "done").order_by(commands.c.id).limit(_LOADED)
        )
        delay, first = _IDLE, set()
        for row in rows:
            pull_request = (row["repository_id"], row["number"])
            if row["state"] == "queued" and pull_request in first:
                continue  # after the ones before it
            if row["state"] == "queued":
                first.add(pull_request)
            wait = row["not_before"] - self._now()
            if 0 < wait <= 2 * HOUR:  # one further away was written before the clock was set back
                delay = min(delay, wait)
                continue
            delay = min(delay, _POLL)
            if row["id"] not in self._tasks and len(self._tasks) < _PARALLEL:
                task = asyncio.create_task(self._step(row), name=f"command {row['id']}")
                self._tasks[row["id"]] = task
        return delay

    async def _step(self, row: Row) -> None:
        """One step of one command, and what became of it."""
        moved = True
        try:
            if row["state"] == "queued":
                await self._take(row)
            elif "answer" in json.loads(row["work_json"]):
                await self._tell(row)
            else:
                moved = await self._watch(row)
        except GitHubError as error:
            await self._postpone(row, str(error), error.retry_after)
        except Exception as error:
            log.exception("a command stumbled", command=row["id"])
            await self._postpone(row, f"A fault in Berth itself: {type(error).__name__}.", None)
        finally:
            self._tasks.pop(row["id"], None)
        if moved:
            self.wake()

    # ------------------------------------------------------------------ what it causes

    async def _take(self, row: Row) -> None:
        repository = await self._repository(row)
        if repository is None:
            await self._save(row, state="done", outcome="The App was removed from this repository.")
            return
        if self._now() - row["created_at"] > GIVE_UP_SECONDS:
            await self._answer(row, FAILED, "Nothing was done, because GitHub did not answer for an hour.")
            return
        if await self._over_limit(row, repository) or not await self._look(row, repository):
            return
        try:
            told = await self._acts.carry_out(row, repository)
        except Refused as refused:
            await self._answer(row, REFUSAL, str(refused), replies.refusal(refused.reasons))
        except BerthError as error:
            if isinstance(error, GitHubError):
                raise
            await self._answer(row, REFUSAL, str(error), replies.refusal([str(error)]))
        else:
            if told is not None:
                await self._answer(row, DONE, "", told)

    async def _look(self, row: Row, repository: Row) -> bool:
        """The sign that the command was seen. False where the comment is gone: then it is taken back."""
        kept = json.loads(row["work_json"])
        if kept.get("seen"):
            return True
        try:
            await self._react(row, repository, EYES)
        except GitHubError as error:
            if error.passing:
                raise
            if error.status == 404:
                await self._save(row, state="done", outcome="The comment was deleted.")
                return False
            log.warning("a reaction was refused", command=row["id"], reason=str(error))
        kept["seen"] = True
        row["work_json"] = json.dumps(kept)
        await self._save(row, work_json=row["work_json"])
        return True

    async def _over_limit(self, row: Row, repository: Row) -> bool:
        """Of too many commands the first is answered, and the others are not even looked at."""
        same = (
            commands.c.actor_id == row["actor_id"],
            commands.c.id < row["id"],
            commands.c.created_at > row["created_at"] - HOUR,
        )
        limited = begins_with(_LIMITED)
        query = sa.select(sa.func.count().label("number")).join(
            repositories, repositories.c.id == commands.c.repository_id
        )
        query = query.where(*same, repositories.c.forge_id == repository["forge_id"])
        counted = await self._store.one(query.where(~limited))
        if counted is None or counted["number"] < USER_LIMIT:
            return False
        reason = f"One person may write {USER_LIMIT} commands in an hour. Wait a while."
        refused = await self._store.one(query.where(limited))
        if refused is not None and refused["number"]:
            await self._save(row, state="done", outcome=reason, work_json=_LIMITED)
        else:
            row["work_json"] = _LIMITED
            await self._answer(row, REFUSAL, reason, replies.refusal([reason]))
        return True

    # ------------------------------------------------------------------ what became of it

    async def _watch(self, row: Row) -> bool:
        """Whether all that the command caused has ended; then its answer is there."""
        kept = json.loads(row["work_json"])
        ends = [await self._end_of_deployment(one) for one in kept.get("deployments", [])]
        ends += [await self._end_of_work(one) for one in kept.get("works", [])]
        if None in ends and self._now() - row["created_at"] < WATCH_SECONDS:
            return False
        failures = ["It has not ended for a day." if end is None else end for end in ends if end != ""]
        # how a deployment ended stands in the one comment of the pull request
        told = failures if kept.get("works") else []
        told = [*told, *kept.get("notes", [])]
        await self._answer(row, FAILED if failures else DONE, " ".join(failures), replies.refusal(told) if told else "")
        return True

    async def _end_of_deployment(self, deployment_id: int) -> str | None:
        """Empty for one that became live, else why it did not; None while it goes on."""
        row = await self._store.one(sa.select(deployments).where(deployments.c.id == deployment_id))
        if row is None:
            return f"Deployment {deployment_id} was deleted."
        if row["state"] not in states.ENDED:
            return None
        return "" if row["state"] in {"live", "retired"} else f"Deployment {deployment_id}: {states.describe(row)}"

    async def _end_of_work(self, work_id: int) -> str | None:
        row = await self._store.one(sa.select(work).where(work.c.id == work_id))
        if row is None:
            return "The environment was deleted."
        return str(row["outcome"]) if row["state"] == "done" else None

    async def _answer(self, row: Row, reaction: str, outcome: str, content: str = "") -> None:
        """Keeps what is to be told to GitHub, which is done next."""
        text = replies.reply(row["verb"], tuple(json.loads(row["arguments_json"])), content) if content else ""
        kept: dict[str, Any] = json.loads(row["work_json"])
        kept["answer"] = {"reaction": reaction, "reply": text, "at": self._now()}
        await self._save(row, state="acting", outcome=outcome, work_json=json.dumps(kept), attempts=0, not_before=0.0)
        log.info("command decided", verb=row["verb"], repository=row["repository_id"], reaction=reaction)

    async def _tell(self, row: Row) -> None:
        kept = json.loads(row["work_json"])
        answer = kept["answer"]
        repository = await self._repository(row)
        if repository is not None and self._now() - answer["at"] <= GIVE_UP_SECONDS:
            if answer["reply"] and not kept.get("replied"):
                body = {"body": answer["reply"]}
                path = f"/issues/{row['number']}/comments"
                with _unless_refused(row):
                    await ask(self._github, repository, "POST", path, permissions=PULL_REQUESTS, body=body)
                kept["replied"] = True
                row["work_json"] = json.dumps(kept)
                await self._save(row, work_json=row["work_json"])
            with _unless_refused(row):
                await self._react(row, repository, answer["reaction"])
        await self._save(row, state="done", finished_at=self._now())

    async def _react(self, row: Row, repository: Row, content: str) -> None:
        path = f"/issues/comments/{row['comment_id']}/reactions"
        await ask(self._github, repository, "POST", path, permissions=PULL_REQUESTS, body={"content": content})

    async def _repository(self, row: Row) -> Row | None:
        """None where the App may not act in it any more."""
        found = await self._store.one(sa.select(repositories).where(repositories.c.id == row["repository_id"]))
        gone = found is None or found["removed_at"] is not None or found["installation_id"] is None
        return None if gone else found

    async def _postpone(self, row: Row, reason: str, retry_after: float | None) -> None:
        delay = max(retry_after or 0.0, min(LONGEST_PAUSE, 2.0 ** min(row["attempts"] + 1, 10)))
        delay = min(delay, HOUR)
        log.warning("a command waits for GitHub", command=row["id"], reason=reason, retry_in=round(delay))
        await self._save(row, attempts=row["attempts"] + 1, not_before=self._now() + delay)

    async def _save(self, row: Row, **values: Any) -> None:
        if values.get("state") == "done":
            values.setdefault("finished_at", self._now())
        async with self._store.begin() as tx:
            await tx.run(sa.update(commands).where(commands.c.id == row["id"]).values(**values))


@contextmanager
def _unless_refused(row: Row) -> Iterator[None]:
    """What GitHub will not take later either is left out. Raises GitHubError for a failure that passes."""
    try:
        yield
    except GitHubError as error:
        if error.passing:
            raise
        log.warning("the answer to a command was refused", command=row["id"], reason=str(error))
