"""Probes of real containers, and what is said about those that do not answer."""

import asyncio
import os
import socket
import time
from dataclasses import replace

import pytest
from aiohttp import web

from bot.engine.docker import ContainerSpec, ContainerState, Engine
from bot.engine.health import Listener, ProbeResult, Unhealthy, listening_ports, probe
from bot.engine.listeners import parse_tcp_table
from bot.engine.networks import Network, slot_address

pytestmark = pytest.mark.anyio

OK = "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello"
NOT_READY = "HTTP/1.1 503 Wait\\r\\nContent-Length: 0\\r\\n\\r\\n"


class App:
    """A container that runs a script, and a probe of it."""

    def __init__(self, engine: Engine, spec: ContainerSpec) -> None:
        self.engine, self.spec = engine, spec
        self.container_id = ""
        self.told: list[str] = []

    async def start(self, script: str, **changes: object) -> "App":
        spec = replace(self.spec, command=("sh", "-c", script), **changes)  # type: ignore[arg-type]
        self.container_id = await self.engine.create_and_start(spec)
        return self

    async def state(self) -> ContainerState | None:
        return await self.engine.inspect(self.container_id)

    async def probe(self, deadline: float, protocol: str = "http", path: str = "/") -> ProbeResult:
        return await probe(self.spec.address, 8000, path, protocol, deadline, self.state, self.told.append)


@pytest.fixture
def app(engine: Engine, network: Network, busybox_image: str, instance: str) -> App:
    spec = ContainerSpec(
        name=f"berth-{instance}-1",
        image=busybox_image,
        labels={},
        command=None,
        environment={},
        network=network.name,
        address=slot_address(network.subnet, 0, 0),
        memory=32 * 1024 * 1024,
        cpus=0,
        pids=50,
    )
    return App(engine, spec)


def answering(response: str, port: int = 8000) -> str:
    return f"""nc -ll -p {port} -e sh -c 'printf "{response}"'"""


@pytest.mark.docker
async def test_an_answer_is_ready_with_its_status_and_beginning(app: App) -> None:
    await app.start("sleep 3; mkdir /www; echo welcome > /www/index.html; exec httpd -f -p 8000 -h /www")
    result = await app.probe(20)
    assert result.status == 200
    assert result.excerpt == "welcome\n"
    assert 2 < result.seconds < 15
    assert app.told == ["nothing listens on port 8000 yet"]


@pytest.mark.docker
async def test_a_client_error_and_a_redirect_are_ready(app: App) -> None:
    await app.start("mkdir -p /www/folder; exec httpd -f -p 8000 -h /www")
    assert (await app.probe(20, path="/missing")).status == 404
    assert (await app.probe(20, path="/folder")).status == 302


@pytest.mark.docker
async def test_a_server_error_is_not_ready_until_it_passes(app: App) -> None:
    script = f"""(sleep 1; touch /ready) & nc -ll -p 8000 -e sh -c '
        if [ -e /ready ]; then printf "{OK}"; else printf "{NOT_READY}"; fi'"""
    await app.start(script)
    result = await app.probe(20)
    assert (result.status, result.excerpt) == (200, "hello")
    assert "answers 503 on /; waiting for a status below 500" in app.told


@pytest.mark.docker
async def test_a_server_error_until_the_deadline(app: App) -> None:
    await app.start(answering(NOT_READY))
    with pytest.raises(Unhealthy, match=r"answered 503 on /up until the deadline of 2 s") as failure:
        await app.probe(2, path="up")
    assert failure.value.last_status == 503


@pytest.mark.docker
@pytest.mark.parametrize(
    ("script", "reason", "fix"),
    [
        ("sleep 600", "Nothing listens on port 8000 after 2 s; it has opened no port at all.", "0.0.0.0"),
        ("httpd -f -p 3000", "The application listens on port 3000, not on 8000.", "Set the port to 3000"),
        ("httpd -p 3000; httpd -f -p 4000", "The application listens on ports 3000 and 4000, not on 8000.", "3000"),
        ("httpd -f -p 127.0.0.1:8000", "The application listens on 127.0.0.1:8000 only", "listen on 0.0.0.0:8000"),
        ("httpd -f -p 127.0.0.1:3000", "The application listens on 127.0.0.1:3000 only", "listen on 0.0.0.0:8000"),
        ("nc -ll -p 8000 -e sleep 100", "accepts connections on port 8000 but gave no answer within 2 s", "/"),
        (answering("SSH-2.0-thing\\n"), "answers with something that is not HTTP", "tcp"),
        ("nc -ll -p 8000 -e true", "closes the connection without an answer", "tcp"),
    ],
)
async def test_what_is_wrong_is_named(app: App, script: str, reason: str, fix: str) -> None:
    await app.start(script)
    with pytest.raises(Unhealthy) as failure:
        await app.probe(2)
    assert reason in failure.value.reason
    assert fix in failure.value.fix
    assert failure.value.exit_code is None


@pytest.mark.docker
@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ("exit 3", 3, "exit code 3 before it answered"),
        ("true", 0, "ended by itself"),
        ("sleep 0.7; kill -9 $$", 137, "ended by signal 9"),
        ("x=0123456789abcdef; while true; do x=$x$x; done", 137, "more memory than its limit"),
        ("exec no-such-program", 127, "not found in the image"),
        ("nc -ll -p 8000 -e sleep 100 & sleep 1; exit 4", 4, "exit code 4"),
    ],
)
async def test_a_container_that_ends_stops_the_probe_at_once(app: App, script: str, code: int, reason: str) -> None:
    await app.start(script)
    began = time.monotonic()
    with pytest.raises(Unhealthy) as failure:
        await app.probe(60)
    assert time.monotonic() - began < 15
    assert failure.value.exit_code == code
    assert reason in failure.value.reason


@pytest.mark.docker
async def test_a_removed_container_stops_the_probe(app: App) -> None:
    await app.start("sleep 600")
    task = asyncio.create_task(app.probe(60))
    await asyncio.sleep(0.3)
    await app.engine.remove(app.container_id)
    with pytest.raises(Unhealthy, match=r"removed|signal 9"):
        await asyncio.wait_for(task, 10)


@pytest.mark.docker
async def test_tcp_needs_only_a_connection(app: App) -> None:
    await app.start("nc -ll -p 8000 -e sleep 100")
    result = await app.probe(10, protocol="tcp")
    assert result.status is None


@pytest.mark.docker
async def test_tcp_on_another_port(app: App) -> None:
    await app.start("nc -ll -p 5432 -e cat")
    with pytest.raises(Unhealthy, match="listens on port 5432, not on 8000"):
        await app.probe(2, protocol="tcp")


@pytest.mark.docker
async def test_the_containers_own_view_serves_where_proc_does_not(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await app.start("httpd -f -p 3000")

    async def state() -> ContainerState | None:
        found = await app.state()
        return found and replace(found, pid=2**22 + 1)  # a process number that means nothing here

    with pytest.raises(Unhealthy) as failure:
        await probe(app.spec.address, 8000, "/", "http", 1, state, print)
    assert failure.value.reason == "Nothing listens on port 8000 after 1 s."
    with pytest.raises(Unhealthy, match="listens on port 3000, not on 8000"):
        await probe(app.spec.address, 8000, "/", "http", 1, state, print, execute=app.engine.execute)


@pytest.mark.docker
async def test_an_endless_answer_is_cut(app: App) -> None:
    await app.start("""nc -ll -p 8000 -e sh -c 'printf "HTTP/1.0 200 OK\\r\\n\\r\\n"; yes'""")
    result = await app.probe(20)
    assert result.status == 200
    assert result.excerpt.startswith("y\ny\n")
    assert len(result.excerpt) <= 4096


async def test_the_request_names_the_host_and_asks_the_health_path() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.host} {request.path_qs} {request.headers['User-Agent']}")

    async def alive() -> ContainerState | None:
        return None

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        named = await probe("127.0.0.1", port, "up?full=1", "http", 5, alive, print, host="app.example")
        plain = await probe("127.0.0.1", port, "/", "http", 5, alive, print)
    finally:
        await runner.cleanup()
    assert named.excerpt == "app.example /up?full=1 Berth"
    assert plain.excerpt == f"127.0.0.1:{port} / Berth"
    assert plain.seconds < 1


async def test_a_cancelled_probe_ends() -> None:
    async def alive() -> ContainerState | None:
        raise AssertionError("not asked while the first try runs")

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        task = asyncio.create_task(probe("127.0.0.1", port, "/", "http", 60, alive, print))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 2)


def test_own_listeners_are_found() -> None:
    with socket.socket() as one, socket.socket(socket.AF_INET6) as two:
        one.bind(("127.0.0.1", 0))
        one.listen()
        two.bind(("::", 0))
        two.listen()
        found = listening_ports(os.getpid())
        expected = {Listener(one.getsockname()[1], "127.0.0.1"), Listener(two.getsockname()[1], "::")}
    assert found is not None
    assert expected <= set(found)


def test_a_process_elsewhere_is_not_taken_for_the_container() -> None:
    assert listening_ports(os.getpid(), "127.0.0.1") is not None
    assert listening_ports(os.getpid(), "10.64.3.77") is None
    assert listening_ports(2**22 + 1) is None


def test_the_table_of_the_kernel_is_read() -> None:
    text = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:9C4B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: 0200400A:1F90 0100400A:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   1: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   2: 0000000000000000FFFF00000100007F:0052 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   3: broken line
   4: XX:YY 0 0A 0"""
    found = parse_tcp_table(text.replace("XX:YY", "ZZ:1"))
    assert found == [
        Listener(80, "::"),
        Listener(81, "::1"),
        Listener(82, "127.0.0.1"),
        Listener(3000, "127.0.0.1"),
        Listener(8080, "0.0.0.0"),
    ]
    assert [str(listener) for listener in found[:2]] == ["[::]:80", "[::1]:81"]
    assert [listener.only_local for listener in found] == [False, True, True, True, False]
