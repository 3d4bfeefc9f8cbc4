"""Logs over WebSockets, with a real server and real clients."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.deploy.masking import Masker
from bot.store.database import Store
from bot.store.tables import applications, deployments, environments, forges, instances, repositories
from bot.web import broadcast, log_stream, sessions, streams
from tests.web.conftest import SHA, TOKEN, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_POLL", 0.01)
    monkeypatch.setattr(streams, "_SILENCE", 0.1)


@dataclass
class Served:
    rig: Rig
    address: str  # host:port
    server: uvicorn.Server

    def open(self, path: str, **headers: str) -> AbstractAsyncContextManager[ClientConnection]:
        """With the operator's token, unless other headers are given."""
        return connect(
            f"ws://{self.address}{path}",
            additional_headers=headers or BEARER,
            proxy=None,
            open_timeout=30,
            ping_interval=None,
        )

    async def refusal(self, path: str, **headers: str) -> int:
        """The status with which it is refused before it opens."""
        with pytest.raises(InvalidStatus) as refused:
            async with self.open(path, **headers):
                pass
        return refused.value.response.status_code


@pytest.fixture
async def served(rig: Rig) -> AsyncIterator[Served]:
    config = uvicorn.Config(
        rig.app,
        port=0,
        lifespan="off",
        log_level="error",
        http="httptools",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(rig, f"localhost:{port}", server)
    server.should_exit = True
    await log_stream.close_streams()
    await serving


@pytest.fixture
async def running(rig: Rig) -> int:
    """A running deployment."""
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    return await rig.deployment(environment, "running", started_at=time.time(), phase="build")


async def end(rig: Rig, deployment: int, writer: Any) -> None:
    async with rig.berth.store.begin() as tx:
        values = {"state": "failed", "reason": "It broke.", "finished_at": time.time()}
        await tx.run(sa.update(deployments).where(deployments.c.id == deployment).values(values))
    await writer.close()


async def events_of(connection: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """All that comes until it is closed, the code and the reason."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        with suppress(ConnectionClosed):
            while True:
                found.append(json.loads(await connection.recv()))
    return found, connection.close_code or 0, connection.close_reason or ""


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [event["text"] for event in events if event["next_offset"] is not None]


async def test_history_then_what_comes_then_the_end(served: Served, running: int) -> None:
    writer = await served.rig.berth.logs.open_deployment(running, Masker(()))
    writer.write("past", source="build")
    await asyncio.sleep(0.3)
    async with served.open(f"/api/deployments/{running}/logs/stream") as connection:
        reading = asyncio.create_task(events_of(connection))
        await asyncio.sleep(0.3)
        writer.write("present", source="build")
        writer.write("It broke.", source="berth", kind="state")
        await end(served.rig, running, writer)
        events, code, _ = await reading
    assert [(event["kind"], event["state"] or event["text"]) for event in events] == [
        ("state", "running"),
        ("line", "past"),
        ("line", "present"),
        ("state", "failed"),
    ]
    assert code == 1000
    assert events[-1]["text"] == "It broke."
    async with served.open(f"/api/deployments/{running}/logs/stream?offset={events[1]['next_offset']}") as connection:
        again, code, _ = await events_of(connection)
    assert (texts(again), again[-1]["state"], code) == (["present"], "failed", 1000)


async def test_a_long_history_comes_whole_and_in_order(
    served: Served, running: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "_REMEMBERED", 20_000)  # some hundred lines
    writer = await served.rig.berth.logs.open_deployment(running, Masker(()))
    for number in range(3_000):
        writer.write(f"line {number}", source="build")
    await asyncio.sleep(0.5)
    path = f"/api/deployments/{running}/logs/stream"
    async with served.open(path) as first, served.open(path) as second:
        reading = [asyncio.create_task(events_of(one)) for one in (first, second)]
        for number in range(3_000, 6_000):
            writer.write(f"line {number}", source="build")
            if number % 500 == 0:
                await asyncio.sleep(0.05)
        await end(served.rig, running, writer)
        expected = [f"line {number}" for number in range(6_000)]
        for task in reading:
            events, code, _ = await task
            assert texts(events) == expected
            assert code == 1000
            offsets = [(event["offset"], event["next_offset"]) for event in events if event["offset"] is not None]
            assert all(one[1] == other[0] for one, other in itertools.pairwise(offsets))
    middle = offsets[2_345][0]
    async with served.open(f"{path}?offset={middle}") as connection:
        events, *_ = await events_of(connection)
    assert texts(events) == expected[2_345:]


# --- who may read


async def session(rig: Rig) -> str:
    """The cookie header of an operator who is signed in."""
    return f"{sessions.COOKIE}={await sessions.begin(rig.berth.store, user_id=None)}"


async def test_strangers_hear_nothing(served: Served, running: int, caplog: pytest.LogCaptureFixture) -> None:
    path = f"/api/deployments/{running}/logs/stream"
    assert await served.refusal(path, Accept="*/*") == 401
    assert await served.refusal(path, Authorization="Bearer wrong") == 401
    assert await served.refusal(path, Cookie=f"{sessions.COOKIE}=made-up", Origin=f"http://{served.address}") == 401
    assert caplog.messages == []  # nobody fills the server's log with this


async def test_a_session_reads_from_our_own_pages_only(served: Served, running: int) -> None:
    path = f"/api/deployments/{running}/logs/stream"
    cookie = await session(served.rig)
    host = served.address.partition(":")[0]
    for origin in (f"http://{host}:20001", "http://evil.test", "null", f"http://{served.address}.evil.test", ""):
        assert await served.refusal(path, Cookie=cookie, Origin=origin) == 403, origin
    assert await served.refusal(path, Cookie=cookie) == 403
    for origin in (f"http://{served.address}", "http://localhost:8420"):  # what was asked, and the public address
        async with served.open(path, Cookie=cookie, Origin=origin) as connection:
            assert json.loads(await connection.recv())["state"] == "running"


async def test_a_stream_token_reads_its_repository(served: Served, running: int) -> None:
    path = f"/api/deployments/{running}/logs/stream"
    tokens = served.rig.berth.stream_tokens
    async with served.open(path, Authorization=f"Bearer {tokens.issue(1)}") as connection:
        assert json.loads(await connection.recv())["state"] == "running"
    assert await served.refusal(path, Authorization=f"Bearer {tokens.issue(2)}") == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/deployments/99/logs/stream", 404),
        (f"/api/deployments/{2**70}/logs/stream", 404),
        ("/api/environments/99/logs/stream", 404),
        ("/api/deployments/1/logs/stream?offset=-1", 422),
        ("/api/deployments/1/logs/stream?offset=many", 422),
        (f"/api/deployments/1/logs/stream?offset={'9' * 5_000}", 422),
        ("/api/environments/1/logs/stream?tail=1.5", 422),
        ("/api/environments/1/logs/stream?instance=77&offset=0", 404),
    ],
)
async def test_what_makes_no_sense_is_refused(served: Served, running: int, path: str, status: int) -> None:
    assert running == 1
    assert await served.refusal(path) == status


async def test_an_offset_within_a_line_begins_with_the_next(served: Served, running: int) -> None:
    writer = await served.rig.berth.logs.open_deployment(running, Masker(()))
    for text in ("one", "two", "three"):
        writer.write(text, source="build")
    await end(served.rig, running, writer)
    for offset, expected in ((5, ["two", "three"]), (10**9, [])):
        async with served.open(f"/api/deployments/{running}/logs/stream?offset={offset}") as connection:
            events, code, _ = await events_of(connection)
        assert (texts(events), events[-1]["state"], code) == (expected, "failed", 1000)


async def test_who_signs_out_reads_no_further(served: Served, running: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "CHECK_SECONDS", 0.05)
    cookie = await session(served.rig)
    path = f"/api/deployments/{running}/logs/stream"
    async with served.open(path, Cookie=cookie, Origin=f"http://{served.address}") as connection:
        await asyncio.sleep(0.3)
        await connection.ping()
        await sessions.end(served.rig.berth.store, cookie.partition("=")[2])
        _, code, _ = await events_of(connection)
    assert code == 1008


# --- how it ends


async def test_a_deployment_that_is_deleted_ends_its_stream(served: Served, running: int) -> None:
    async with served.open(f"/api/deployments/{running}/logs/stream") as connection:
        await connection.recv()
        async with served.rig.berth.store.begin() as tx:
            await tx.run(deployments.delete().where(deployments.c.id == running))
        _, code, reason = await events_of(connection)
    assert (code, reason) == (1000, f"There is no deployment {running}.")


async def test_the_server_stops(served: Served, running: int) -> None:
    async with served.open(f"/api/deployments/{running}/logs/stream") as connection:
        await connection.recv()
        await log_stream.close_streams()
        _, code, _ = await events_of(connection)
    assert code == 1001
    assert not log_stream._connections


async def test_a_reader_who_takes_nothing_is_sent_away_and_holds_up_nobody(
    served: Served, running: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(broadcast, "_REMEMBERED", 500_000)
    writer = await served.rig.berth.logs.open_deployment(running, Masker(()))
    path = f"/api/deployments/{running}/logs/stream"
    async with served.open(path) as slow, served.open(path) as quick:
        slow.transport.pause_reading()
        reading = asyncio.create_task(events_of(quick))
        for number in range(12_000):  # more than the sockets between them hold
            writer.write(f"line {number} {'x' * 1_000}", source="build")
            if number % 400 == 0:
                await asyncio.sleep(0.1)
        began = time.monotonic()
        await end(served.rig, running, writer)
        events, code, _ = await reading
        expected = texts(events)
        assert (expected[0][:6], expected[-1][:10], code) == ("line 0", "line 11999", 1000)
        assert time.monotonic() - began < 15
        await asyncio.sleep(1)
        slow.transport.resume_reading()
        heard, code, reason = await events_of(slow)
    assert code == 1013
    assert texts(heard) == expected[: len(texts(heard))]
    resume = heard[-1]["next_offset"]
    assert reason == f"too slow: resume from offset {resume}"
    async with served.open(f"{path}?offset={resume}") as connection:
        rest, code, _ = await events_of(connection)
    assert (texts(heard) + texts(rest), code) == (expected, 1000)


async def test_readers_who_leave_leave_nothing_behind(served: Served, running: int) -> None:
    path = f"/api/deployments/{running}/logs/stream"
    before = {task for task in asyncio.all_tasks() if not task.done()}
    for _ in range(5):
        async with served.open(path) as connection:
            await connection.recv()
    async with asyncio.timeout(10):
        while {task for task in asyncio.all_tasks() if not task.done()} - before:
            await asyncio.sleep(0.05)
    assert not log_stream._connections


@pytest.mark.slow
async def test_berth_serve_tells_its_readers_that_it_stops(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    variables = {
        "BERTH_DATA_DIR": str(tmp_path),
        "BERTH_PORT": str(port),
        "BERTH_PORT_MIN": "1024",  # so that the port lies in no range
        "BERTH_PORT_MAX": "1030",
        "BERTH_DOCKER_HOST": f"unix://{tmp_path}/none",
    }
    arguments = [sys.executable, "-m", "bot.cli", "serve"]
    server = await asyncio.create_subprocess_exec(
        *arguments, env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        async with asyncio.timeout(60):
            while b"Berth runs" not in await server.stdout.readline():
                assert server.returncode is None
            token = (tmp_path / "operator-token").read_text().strip()
            async with Store(f"sqlite:///{tmp_path}/berth.db") as store:
                deployment = await add_deployment(store)
            address = f"ws://127.0.0.1:{port}/api/deployments/{deployment}/logs/stream"
            async with connect(
                address, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None
            ) as connection:
                assert json.loads(await connection.recv())["state"] == "queued"
                began = time.monotonic()
                server.terminate()
                _, code, _ = await events_of(connection)
                await server.wait()
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    assert code == 1001
    assert time.monotonic() - began < 8


async def add_deployment(store: Store) -> int:
    """A deployment that waits for its turn, in a database where there is nothing yet."""
    now = time.time()
    async with store.begin() as tx:
        (forge,) = await tx.all(sa.select(forges.c.id).where(forges.c.kind == "local"))
        repository = await tx.insert(
            repositories.insert()
            .values(forge_id=forge["id"], forge_repository_id=1, name="shop", created_at=now)
            .returning(repositories.c.id)
        )
        application = await tx.insert(
            applications.insert()
            .values(repository_id=repository, name="shop", created_at=now)
            .returning(applications.c.id)
        )
        environment = await tx.insert(
            environments.insert()
            .values(application_id=application, kind="production", ref="main", state="empty", created_at=now)
            .returning(environments.c.id)
        )
        values = {"sha": SHA, "ref": "main", "cause": "push", "state": "queued", "created_at": now}
        insert = deployments.insert().values(environment_id=environment, **values)
        return await tx.insert(insert.returning(deployments.c.id))


# --- what an application prints


async def add_instance(rig: Rig, deployment: int, service: int) -> tuple[int, Any]:
    async with rig.berth.store.begin() as tx:
        values = {"deployment_id": deployment, "service_id": service, "slot": 0, "address": "", "state": "live"}
        insert = sa.insert(instances).values(**values, created_at=time.time())
        instance = await tx.insert(insert.returning(instances.c.id))
    return instance, await rig.berth.logs.open_instance(deployment, instance, Masker(()))


async def test_an_applications_output_from_one_instance_to_the_next(served: Served) -> None:
    rig = served.rig
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])
    service = await rig.web_service(environment)
    first, writer = await add_instance(rig, await rig.deployment(environment, "live"), service)
    for number in range(500):
        writer.write(f"first {number}", source="stdout")
    await asyncio.sleep(0.3)
    path = f"/api/environments/{environment}/logs/stream"
    async with served.open(f"{path}?tail=2") as connection:
        found = [json.loads(await connection.recv()) for _ in range(2)]
        assert [(one["instance"], one["text"]) for one in found] == [(first, "first 498"), (first, "first 499")]
        resume = found[0]["next_offset"]
        await writer.close()
        second, writer = await add_instance(rig, await rig.deployment(environment, "live"), service)
        for number in range(500):
            writer.write(f"second {number}", source="stdout")
        async with asyncio.timeout(10):
            found = [json.loads(await connection.recv()) for _ in range(500)]
        assert [(one["instance"], one["text"]) for one in found] == [(second, f"second {n}") for n in range(500)]
    async with served.open(f"{path}?instance={first}&offset={resume}") as connection, asyncio.timeout(10):
        found = [json.loads(await connection.recv()) for _ in range(501)]
    assert [one["text"] for one in found] == ["first 499", *(f"second {number}" for number in range(500))]
    await writer.close()


# --- a thousand


READERS, LINES = 1_000, 60


class Lag:
    """How long the event loop did not come round, at worst. Measured on the loop that readers and server share."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._task = asyncio.create_task(self._measure())

    async def _measure(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            self.worst = max(self.worst, time.perf_counter() - began - 0.01)

    def stop(self) -> float:
        self._task.cancel()
        return self.worst


@pytest.mark.slow
async def test_a_thousand_readers_of_one_log(served: Served, running: int) -> None:
    """Server and clients share this process, so all figures are those of both sides together."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if 0 <= hard < 2 * READERS + 200:
        pytest.skip(f"only {hard} files may be open")
    rig, path = served.rig, f"/api/deployments/{running}/logs/stream"
    writer = await rig.berth.logs.open_deployment(running, Masker(()))
    for number in range(LINES):
        writer.write(f"past {number}", source="build")
    reads = count_reads(rig)
    before = resident()
    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        connections: list[ClientConnection] = []
        for _ in range(READERS // 50):
            some = await asyncio.gather(*(stack.enter_async_context(served.open(path)) for _ in range(50)))
            connections.extend(some)
        opened = time.perf_counter() - began
        reading = [asyncio.create_task(events_of(one)) for one in connections]
        await asyncio.sleep(1)
        assert len(log_stream._connections) == READERS
        memory = (resident() - before) / READERS
        reads.clear()
        lag = Lag()
        began, used = time.perf_counter(), time.process_time()
        for number in range(LINES):
            writer.write(f"present {number}", source="build")
            await asyncio.sleep(0.05)
        await end(rig, running, writer)
        found = await asyncio.gather(*reading)
        took, used = time.perf_counter() - began, time.process_time() - used
        worst = lag.stop()
    expected = [f"past {number}" for number in range(LINES)] + [f"present {number}" for number in range(LINES)]
    assert all(code == 1000 for _, code, _ in found)
    assert all(texts(events) == expected and events[-1]["state"] == "failed" for events, *_ in found)
    print(
        f"\n{READERS} readers: open in {opened:.1f} s, {memory / 1024:.0f} kB each;"
        f" {LINES} lines to all in {took:.1f} s,"
        f" {1e6 * used / READERS / LINES:.0f} µs of processor each, loop late by {worst * 1000:.0f} ms,"
        f" the log was read {len(reads)} times"
    )
    assert memory < 300 * 1024
    assert worst < 5
    assert took < 60
    assert len(reads) < 10 * LINES  # once for all, not once for each


@pytest.mark.slow
async def test_a_thousand_readers_of_a_long_history(served: Served, running: int) -> None:
    rig, path = served.rig, f"/api/deployments/{running}/logs/stream"
    writer = await rig.berth.logs.open_deployment(running, Masker(()))
    expected = [f"line {number}" for number in range(400)]
    for text in expected:
        writer.write(text, source="build")
    await end(rig, running, writer)
    reads = count_reads(rig)
    lag = Lag()

    async def read_all() -> tuple[list[str], int]:
        async with served.open(path) as connection:
            events, code, _ = await events_of(connection)
        return texts(events), code

    for _ in range(READERS // 250):
        for found, code in await asyncio.gather(*(read_all() for _ in range(250))):
            assert (found, code) == (expected, 1000)
    worst = lag.stop()
    print(f"\n{READERS} readers of {len(expected)} lines: loop late by {worst * 1000:.0f} ms, read {len(reads)} times")
    assert len(reads) < READERS
    assert worst < 5


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def count_reads(rig: Rig) -> list[int]:
    """Grows by one with every look into a log's file."""
    read, reads = rig.berth.logs.read, []

    async def counted(*arguments: Any, **options: Any) -> Any:
        reads.append(1)
        return await read(*arguments, **options)

    rig.berth.logs.read = counted  # type: ignore[method-assign]
    return reads
