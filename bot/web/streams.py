"""What happens, as it happens: a deployment's events and an application's output, for API, pages and pushes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bot.deploy import states, views
from bot.deploy.log_files import LogLine
from bot.deploy.views import iso
from bot.errors import NotFoundError
from bot.store.database import Row
from bot.store.tables import deployments, environments, instances, services

if TYPE_CHECKING:
    from bot.app import Berth

_POLL = 0.25  # seconds between two looks at a deployment that waits for its turn
_SILENCE = 5.0  # seconds without a line after which somebody looks whether the deployment or the instance still runs
Event = dict[str, Any]
_NOWHERE = {"offset": None, "next_offset": None}  # of an event that is no line of the log


async def deployment_events(berth: Berth, deployment_id: int, *, offset: int = 0) -> AsyncGenerator[Event, None]:
    """The deployment's log from ``offset`` on, then what comes, to its end.

    ``{"kind", "phase", "text", "step", "state", "url", "reason", "fix", "at", "offset", "next_offset"}``: ``kind`` is
    phase, step, line or state; an event that is no line of the log has no offset. The last one is the state in which
    the deployment ended, with the log's own words for it as its text, and in ``goes_on`` the ``sha`` and ``url`` of
    what else is live. Whoever waits for its turn is told why nothing can be deployed now. Raises NotFoundError when it
    is deleted meanwhile.
    """
    told = problem = conclusion = ""
    while True:
        row = await _row(berth, deployment_id)
        ended = row["state"] in states.ENDED
        if not ended and row["state"] != told:
            told = row["state"]
            yield _state(row)
        if row["state"] == "queued" and berth.problem != problem:
            problem = berth.problem
            if problem:
                yield _waiting(problem)
        if row["state"] == "running":
            lines = _while_running(berth, deployment_id, offset)
        else:
            lines = _rest(berth, deployment_id, offset, wait=ended and row["started_at"] is not None)
        async with aclosing(lines) as found:
            async for line in found:
                offset = line.next_offset
                if line.kind == "state":  # told from the database, at the end
                    conclusion = line.text
                else:
                    yield line_event(line)
        if ended:
            environment = await views.environment_view(berth.store, berth.config, row["environment_id"])
            yield _state(row, url=environment["url"] if row["state"] == "live" else None, text=conclusion) | {
                "goes_on": _other(environment, deployment_id)
            }
            return
        if (await _row(berth, deployment_id))["state"] == row["state"]:
            await asyncio.sleep(_POLL)


async def _while_running(berth: Berth, deployment_id: int, offset: int) -> AsyncGenerator[LogLine, None]:
    """Lines until the log is closed; a log that stays silent is left when its deployment no longer runs."""
    async with aclosing(_heeding(berth.logs.follow(deployment_id, offset=offset))) as lines:
        async for line in lines:
            if line is not None:
                yield line
            elif (await _row(berth, deployment_id))["state"] != "running":
                return


async def _heeding(lines: AsyncGenerator[LogLine, None]) -> AsyncGenerator[LogLine | None, None]:
    """``lines``, and None whenever there was none for a while. Closes ``lines``."""
    coming: asyncio.Task[LogLine] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(lines))
            await asyncio.wait({coming}, timeout=_SILENCE)
            if not coming.done():
                yield None
                continue
            try:
                line = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield line
    finally:
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming
        await lines.aclose()


async def _next(lines: AsyncGenerator[LogLine, None]) -> LogLine:
    return await anext(lines)


async def _rest(berth: Berth, deployment_id: int, offset: int, *, wait: bool) -> AsyncGenerator[LogLine, None]:
    """What there is from ``offset`` on; with ``wait`` a second more for a log that its writer is about to close."""
    patience = 20 if wait else 0
    while True:
        page = await berth.logs.read(deployment_id, offset=offset)
        for line in page.lines:
            offset = line.next_offset
            yield line
        if not page.lines:
            if page.closed or patience <= 0:
                return
            patience -= 1
            await asyncio.sleep(0.05)


async def _row(berth: Berth, deployment_id: int) -> Row:
    row = await berth.store.one(sa.select(deployments).where(deployments.c.id == deployment_id))
    if row is None:
        raise NotFoundError(f"There is no deployment {deployment_id}.")
    return row


def _waiting(problem: str) -> Event:
    words = {"kind": "line", "text": f"waiting: {problem}", "at": iso(time.time())}
    return {**dict.fromkeys(("phase", "step", "state", "reason", "fix"), ""), **words, **_NOWHERE, "url": None}


def _other(environment: views.View, deployment_id: int) -> dict[str, Any] | None:
    live = environment["live"] if environment["state"] == "live" else None
    return {"sha": live["sha"], "url": environment["url"]} if live and live["id"] != deployment_id else None


def _state(row: Row, url: str | None = None, text: str = "") -> Event:
    moments = {"queued": "created_at", "running": "started_at"}
    return {
        "kind": "state",
        "phase": row["phase"] or "",
        "text": text,
        "step": "",
        "state": row["state"],
        "url": url,
        "reason": row["reason"],
        "fix": row["fix"],
        "at": iso(row[moments.get(row["state"], "finished_at")] or row["created_at"]),
        **_NOWHERE,
    }


def line_event(line: LogLine) -> Event:
    """A line of a deployment's log. Gaps and whatever else the log may hold are lines as others."""
    return {
        "kind": line.kind if line.kind in ("phase", "step") else "line",
        "phase": line.phase,
        "text": line.text,
        "step": line.step,
        "state": "",
        "url": None,
        "reason": "",
        "fix": "",
        "at": iso(line.at),
        "offset": line.offset,
        "next_offset": line.next_offset,
    }


def line_view(line: LogLine) -> Event:
    """A line of a log in JSON."""
    return {
        "offset": line.offset,
        "next_offset": line.next_offset,
        "at": iso(line.at),
        "source": line.source,
        "kind": line.kind,
        "step": line.step,
        "text": line.text,
    }


def instance_line(instance_id: int, line: LogLine) -> Event:
    """A line that an instance printed."""
    return line_view(line) | {"instance": instance_id}


async def environment_lines(
    berth: Berth, environment_id: int, *, tail: int, follow: bool, service: str = ""
) -> AsyncGenerator[Event, None]:
    """The last ``tail`` lines that the application printed, oldest first; with ``follow`` those to come too.

    They are those of the live web instance, without one those of the newest; with ``service`` those of that one. Who
    follows is led on to the instance that replaces it. ``instance`` in each line says which one printed it; offsets
    count in its log.
    """
    instance, offset = 0, 0
    while True:
        row = await shown_instance(berth, environment_id, service)
        if row is not None and row["id"] != instance:
            first = instance == 0
            instance, offset = row["id"], 0
            if first:
                page = await berth.logs.read(row["deployment_id"], instance, tail=tail)
                offset = page.next_offset
                for line in page.lines:
                    yield instance_line(instance, line)
        if not follow:
            return
        if row is None:
            await asyncio.sleep(_POLL)
            continue
        async with aclosing(_heeding(berth.logs.follow(row["deployment_id"], instance, offset=offset))) as lines:
            async for found in lines:
                if found is not None:
                    offset = found.next_offset
                    yield instance_line(instance, found)
                elif (await shown_instance(berth, environment_id, service) or row)["id"] != instance:
                    break
        await asyncio.sleep(_POLL)


async def newest_instance_lines(berth: Berth, environment_id: int, *, tail: int) -> list[LogLine]:
    """The same last lines, for a page."""
    row = await shown_instance(berth, environment_id)
    return [] if row is None else (await berth.logs.read(row["deployment_id"], row["id"], tail=tail)).lines


async def shown_instance(berth: Berth, environment_id: int, service: str = "") -> Row | None:
    """The live deployment's newest web instance, or the newest of all: its ``id`` and ``deployment_id``.

    ``service``: the live instance of that service, or its newest. Raises NotFoundError where there is no such service.
    """
    live = sa.and_(
        instances.c.deployment_id == environments.c.live_deployment_id, instances.c.state.in_(("live", "starting"))
    )
    where = [services.c.environment_id == environment_id]
    if service:
        live = instances.c.state.in_(("live", "starting"))  # a database belongs to no deployment
        where.append(services.c.name == service)
        names = await berth.store.all(
            sa.select(services.c.name).where(services.c.environment_id == environment_id).order_by(services.c.position)
        )
        known = [row["name"] for row in names]
        if service not in known:
            raise NotFoundError(
                f"There is no service {service} in this environment.", f"There is: {', '.join(known)}." if known else ""
            )
    return await berth.store.one(
        sa.select(instances.c.id, instances.c.deployment_id)
        .join_from(instances, services)
        .join(environments, environments.c.id == services.c.environment_id)
        .where(*where)
        .order_by(live.desc(), (services.c.role == "web").desc(), instances.c.id.desc())
        .limit(1)
    )
