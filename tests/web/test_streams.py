"""Streams: history, then what comes, then an end; resumable, and nobody is left waiting."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import sqlalchemy as sa

from bot.deploy.masking import Masker
from bot.store.tables import deployments, environments, instances
from bot.web import http, streams
from bot.web.http import Lines
from bot.web.streams import deployment_events, environment_lines
from tests.web.conftest import SHA, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
NOTHING_SECRET = Masker(())


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_POLL", 0.01)
    monkeypatch.setattr(streams, "_SILENCE", 0.05)


async def collect(events: AsyncGenerator[dict[str, Any], None]) -> list[dict[str, Any]]:
    async with asyncio.timeout(10), aclosing(events) as found:
        return [event async for event in found]


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["kind"], event["state"] or event["text"]) for event in events]


async def set_state(rig: Rig, deployment: int, **values: Any) -> None:
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(deployments).where(deployments.c.id == deployment).values(**values))


@pytest.fixture
async def queued(rig: Rig) -> int:
    repository = await rig.repository()
    return await rig.deployment(await rig.environment(repository["application_id"]))


async def carry_out(rig: Rig, deployment: int) -> None:
    """What the pipeline does to a deployment, as far as it can be seen."""
    await asyncio.sleep(0.05)
    await set_state(rig, deployment, state="running", started_at=time.time())
    writer = await rig.berth.logs.open_deployment(deployment, NOTHING_SECRET)
    writer.write("fetch", source="berth", kind="phase", phase="fetch")
    writer.write("one", source="berth", phase="fetch")
    await asyncio.sleep(0.2)
    writer.write("started", source="build", kind="step", step="[1/2] RUN x", phase="build")
    writer.write("failed because", source="berth", kind="state", phase="build")
    values = {"state": "failed", "phase": "build", "reason": "It broke.", "fix": "Mend it."}
    await set_state(rig, deployment, **values, finished_at=time.time())
    await asyncio.sleep(0.05)
    await writer.close()


async def test_a_deployment_from_the_queue_to_its_end(rig: Rig, queued: int) -> None:
    work = asyncio.create_task(carry_out(rig, queued))
    events = await collect(deployment_events(rig.berth, queued))
    await work
    assert told(events) == [
        ("state", "queued"),
        ("state", "running"),
        ("phase", "fetch"),
        ("line", "one"),
        ("step", "started"),
        ("state", "failed"),
    ]
    last = events[-1]
    assert last["text"] == "failed because"
    assert (last["phase"], last["reason"], last["fix"]) == ("build", "It broke.", "Mend it.")
    assert events[4]["step"] == "[1/2] RUN x"


async def test_why_a_deployment_waits_is_told(rig: Rig, queued: int) -> None:
    rig.berth.problem = "Docker is away."

    async def comes_back() -> None:
        await asyncio.sleep(0.1)
        rig.berth.problem = ""
        await carry_out(rig, queued)

    work = asyncio.create_task(comes_back())
    events = await collect(deployment_events(rig.berth, queued))
    await work
    assert told(events)[:3] == [("state", "queued"), ("line", "waiting: Docker is away."), ("state", "running")]
    assert (events[1]["offset"], events[1]["next_offset"]) == (None, None)


async def test_history_and_resumption(rig: Rig, queued: int) -> None:
    await carry_out(rig, queued)
    events = await collect(deployment_events(rig.berth, queued))
    assert told(events)[-1] == ("state", "failed")
    second = events[1]
    resumed = await collect(deployment_events(rig.berth, queued, offset=second["next_offset"]))
    assert told(resumed) == told(events)[2:]


async def test_a_deployment_that_never_ran_ends_its_stream_at_once(rig: Rig, queued: int) -> None:
    await set_state(rig, queued, state="superseded", reason="superseded by 1234567")
    began = time.monotonic()
    events = await collect(deployment_events(rig.berth, queued))
    assert told(events) == [("state", "superseded")]
    assert time.monotonic() - began < 5


async def test_a_running_deployment_without_a_log_is_left_when_it_ends(rig: Rig, queued: int) -> None:
    await set_state(rig, queued, state="running", started_at=time.time())
    stream = asyncio.create_task(collect(deployment_events(rig.berth, queued)))
    await asyncio.sleep(0.2)
    await set_state(rig, queued, state="cancelled", reason="cancelled by anna", finished_at=time.time())
    assert told(await stream)[-1] == ("state", "cancelled")


async def test_a_failure_tells_what_goes_on(rig: Rig) -> None:
    environment, deployment = await rig.seed_live()
    failed = await rig.deployment(environment, "failed", reason="It is silent.")
    (event,) = await collect(deployment_events(rig.berth, failed))
    assert event["goes_on"] == {"sha": SHA, "url": "http://127.0.0.1:20007"}
    assert event["url"] is None
    (event,) = await collect(deployment_events(rig.berth, deployment))
    assert event["goes_on"] is None


async def test_a_live_deployment_tells_its_url(rig: Rig) -> None:
    _, deployment = await rig.seed_live()
    (event,) = await collect(deployment_events(rig.berth, deployment))
    assert event["url"] == "http://127.0.0.1:20007"


async def test_the_api_gives_pages_of_a_log(rig: Rig, queued: int) -> None:
    writer = await rig.berth.logs.open_deployment(queued, NOTHING_SECRET)
    for number in range(10):
        writer.write(f"line {number}", source="berth")
    await writer.close()
    page = (await rig.client.get(f"/api/deployments/{queued}/logs?tail=2")).json()
    assert [line["text"] for line in page["lines"]] == ["line 8", "line 9"]
    page = (await rig.client.get(f"/api/deployments/{queued}/logs?offset=0")).json()
    assert len(page["lines"]) == 10
    rest = (await rig.client.get(f"/api/deployments/{queued}/logs?offset={page['next_offset']}")).json()
    assert rest == {"lines": [], "next_offset": page["next_offset"]}
    assert (await rig.client.get(f"/api/deployments/{queued}/logs?tail=many")).status_code == 422


async def add_instance(rig: Rig, deployment: int, service: int, *texts: str) -> tuple[int, Any]:
    async with rig.berth.store.begin() as tx:
        values = {"deployment_id": deployment, "service_id": service, "slot": 0, "address": "", "state": "live"}
        instance = await tx.insert(
            sa.insert(instances).values(**values, created_at=time.time()).returning(instances.c.id)
        )
    writer = await rig.berth.logs.open_instance(deployment, instance, NOTHING_SECRET)
    for text in texts:
        writer.write(text, source="stdout")
    return instance, writer


async def test_output_of_the_live_instance(rig: Rig) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    service = await rig.web_service(environment)
    live = await rig.deployment(environment, "live")
    failed = await rig.deployment(environment, "failed")
    _, writer = await add_instance(rig, live, service, "a", "b", "c")
    _, other = await add_instance(rig, failed, service, "not this")
    await writer.close()
    await other.close()
    found = await collect(environment_lines(rig.berth, environment, tail=2, follow=False))
    assert [line["text"] for line in found] == ["b", "c"]
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(environments).values(live_deployment_id=None))
    found = await collect(environment_lines(rig.berth, environment, tail=2, follow=False))
    assert [line["text"] for line in found] == ["not this"]
    answer = await rig.client.get(f"/api/environments/{environment}/logs")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["text"] for line in answer.text.splitlines()] == ["not this"]


async def test_who_follows_is_led_on_to_the_next_instance(rig: Rig) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    service = await rig.web_service(environment)
    first = await rig.deployment(environment, "live")
    _, writer = await add_instance(rig, first, service, "past", "one")
    await asyncio.sleep(0.25)
    seen: list[str] = []

    async def watch() -> None:
        async with aclosing(environment_lines(rig.berth, environment, tail=1, follow=True)) as lines:
            async for line in lines:
                seen.append(line["text"])
                if line["text"] == "end":
                    return

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.1)
    writer.write("two", source="stdout")
    await asyncio.sleep(0.25)
    second = await rig.deployment(environment, "live")
    await writer.close()
    _, writer = await add_instance(rig, second, service, "three", "end")
    await asyncio.wait_for(watching, 10)
    await writer.close()
    assert seen == ["one", "two", "three", "end"]


async def test_an_environment_that_never_ran_prints_nothing(rig: Rig) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    assert await collect(environment_lines(rig.berth, environment, tail=5, follow=False)) == []


# --- the response


class Source:
    """Objects that come when told to; knows whether it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.closed = False

    async def objects(self) -> AsyncIterator[dict[str, Any]]:
        try:
            while (item := await self.queue.get()) is not None:
                yield item
        finally:
            self.closed = True


async def test_a_silent_stream_shows_signs_of_life_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_SIGN_OF_LIFE", 0.02)
    source = Source()
    parts: list[bytes] = []

    async def read() -> None:
        async for part in Lines(source.objects()).body_iterator:
            assert isinstance(part, bytes)
            parts.append(part)

    reading = asyncio.create_task(read())
    for number in range(3):
        await asyncio.sleep(0.07)
        source.queue.put_nowait({"n": number})
    source.queue.put_nowait(None)
    await asyncio.wait_for(reading, 5)
    whole = b"".join(parts)
    assert [json.loads(line) for line in whole.split(b"\n") if line] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert b"\n\n" in whole
    assert source.closed


async def test_a_reader_who_leaves_closes_the_source() -> None:
    source = Source()
    response = Lines(source.objects())
    sent: list[Any] = []
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    before = asyncio.all_tasks()
    answering = asyncio.create_task(response(scope, receive, send))
    source.queue.put_nowait({"n": 1})
    await asyncio.sleep(0.05)
    left.set()
    await asyncio.wait_for(answering, 5)
    assert any(b'"n": 1' in message.get("body", b"") for message in sent)
    assert source.closed
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


async def test_the_server_can_end_all_streams() -> None:
    source = Source()

    async def read() -> None:
        async for _ in Lines(source.objects()).body_iterator:
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    http.end_streams()
    await asyncio.wait_for(reading, 5)
    assert source.closed
