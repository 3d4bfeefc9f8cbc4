"""The edge on a real Docker Engine: starting, ports that come and go, switching under load, strangers, restarts."""

import asyncio
import os
import signal
import socket
import time
from dataclasses import replace

import pytest

from bot.engine import edge as edge_module
from bot.engine import edge_control, edge_files
from bot.engine.docker import Engine
from bot.engine.edge import Edge
from bot.engine.edge_config import CONFIG_FILE, KEEP_ALIVE_SECONDS, Route
from bot.engine.edge_control import EdgeSilentError
from bot.errors import BerthError
from tests.engine.edge_fixtures import (
    DOCKER_HOST,
    UPGRADE,
    App,
    Client,
    Load,
    docker,
    edge_image,
    eventually,
    free_ports,
    running_edge,
)

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

APP_PORT = 8472
A_BLUE, A_GREEN, B_BLUE, B_GREEN = "127.0.1.12", "127.0.1.13", "127.0.1.14", "127.0.1.15"


@pytest.fixture(scope="module")
def image():
    with edge_image() as name:
        yield name


@pytest.fixture
async def edge(image, folder):
    async with running_edge(image, folder / "edge") as edge:
        yield edge


@pytest.fixture
async def apps():
    """Two slots of two services: blue and green of A, blue and green of B."""
    names = {"a-blue": A_BLUE, "a-green": A_GREEN, "b-blue": B_BLUE, "b-green": B_GREEN}
    made = [App(name, address, APP_PORT) for name, address in names.items()]
    for app in made:
        await app.__aenter__()
    yield made
    for app in made:
        await app.__aexit__()


@pytest.fixture
def routes():
    """Service 1 (A) and service 2 (B), both live in blue."""
    first, second = free_ports(2)
    return (
        Route(1, first, "http", (A_BLUE, A_GREEN), APP_PORT, 0, "live"),
        Route(2, second, "http", (B_BLUE, B_GREEN), APP_PORT, 0, "live"),
    )


def stranger(port: int) -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    held.listen()
    return held


async def body(port: int) -> str:
    return (await Client(port).get())[2]


async def current(edge: Edge) -> int:
    return (await edge._control.running()).pid


def inspect(edge: Edge, template: str) -> str:
    return docker("inspect", "-f", template, edge.name)


def exists(edge: Edge) -> bool:
    return bool(docker("ps", "-aq", "--filter", f"name=^{edge.name}$"))


async def refused(port: int) -> bool:
    return not await edge_files.answers("127.0.0.1", port)


# ---------------------------------------------------------------------------------------------- start and ports


async def test_the_container_has_no_rights(edge, routes):
    assert await edge.start(routes) == set()
    assert (
        inspect(edge, "{{.HostConfig.NetworkMode}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}}") == "host [ALL] []"
    )
    assert inspect(edge, "{{.HostConfig.SecurityOpt}} {{.HostConfig.ReadonlyRootfs}}") == "[no-new-privileges] true"
    assert inspect(edge, "{{.HostConfig.RestartPolicy.Name}}") == "unless-stopped"
    assert inspect(edge, "{{.Config.User}}") == edge_files.owner(edge.folder)
    assert (edge.folder / CONFIG_FILE).stat().st_mode & 0o077 == 0


async def test_without_any_route(edge):
    assert await edge.start([]) == set()
    status = await edge.check()
    assert (status.running, status.workers, status.ports, status.problem) == (True, 1, frozenset(), "")
    assert status.version
    assert status.max_connections > 500


async def test_ports_come_and_go(edge, routes, apps):
    first, second = routes
    await edge.start([first])
    assert await body(first.port) == "a-blue"
    assert await refused(second.port)
    assert await edge.apply(routes) == set()
    assert [await body(first.port), await body(second.port)] == ["a-blue", "b-blue"]
    assert (await edge.check()).ports == {first.port, second.port}
    await edge.apply([second])
    assert await refused(first.port)
    assert await body(second.port) == "b-blue"


async def test_what_agrees_already_costs_no_reload(edge, routes, apps):
    await edge.start(routes)
    before = await current(edge)
    await edge.apply(routes)
    await edge.apply([replace(routes[0], live_slot=1), routes[1]])
    assert await body(routes[0].port) == "a-green"
    await edge.switch(2, 1)
    assert await body(routes[1].port) == "b-green"
    assert await current(edge) == before


async def test_a_port_that_gets_another_service(edge, routes, apps):
    """The port stays open, but what is behind it needs a reload."""
    await edge.start([routes[0]])
    await edge.apply([replace(routes[1], port=routes[0].port)])
    assert await body(routes[0].port) == "b-blue"


async def test_addresses_that_change(edge, routes, apps):
    """A network made anew gives other addresses; that needs no reload."""
    await edge.start(routes)
    before = await current(edge)
    await edge.apply([replace(routes[0], addresses=(B_GREEN, A_GREEN)), routes[1]])
    assert await body(routes[0].port) == "b-green"
    assert await current(edge) == before


async def test_callers_at_the_same_time_share_a_reload(edge, apps):
    ports = free_ports(12)
    routes = [Route(n + 1, port, "http", (A_BLUE, A_GREEN), APP_PORT, 0, "live") for n, port in enumerate(ports)]
    await edge.start([])
    await asyncio.gather(*(edge.apply(routes[: count + 1]) for count in range(len(routes))))
    assert {await body(port) for port in ports} == {"a-blue"}
    # the start, the first at once, the rest together
    assert docker("logs", edge.name).count("Loading success") <= 3


async def test_an_older_list_does_not_undo_a_switch(edge, routes, apps):
    """A function that reads the routes is called when it is its turn."""
    await edge.start(routes)
    known = {route.service_id: route for route in routes}

    async def read():
        return tuple(known.values())

    async def switch():
        known[1] = replace(known[1], live_slot=1)
        await edge.switch(1, 1)

    await asyncio.gather(edge.apply(read), switch(), edge.apply(read))
    assert await body(routes[0].port) == "a-green"


async def test_a_cancelled_call_is_done_to_its_end(edge, routes, apps):
    await edge.start([routes[0]])
    task = asyncio.create_task(edge.apply(routes))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [await body(route.port) for route in routes] == ["a-blue", "b-blue"]
    await edge.apply(routes)


# ------------------------------------------------------------------------------------------------------- switch


async def test_switching_under_load_loses_nothing(edge, routes, apps):
    await edge.start(routes)
    async with Load(routes[0].port, clients=6) as load:
        for slot in (1, 0, 1, 0, 1, 0):
            await edge.switch(1, slot)
            assert await body(routes[0].port) == ("a-blue", "a-green")[slot]
            await asyncio.sleep(0.3)
    assert load.errors == []
    assert min(load.answers["a-blue"], load.answers["a-green"]) > 50


async def test_a_switch_before_the_start(edge, routes):
    with pytest.raises(BerthError, match="no route of service 1"):
        await edge.switch(1, 0, routes[0])


async def test_a_switch_of_an_unknown_service(edge, routes):
    await edge.start([routes[0]])
    with pytest.raises(BerthError, match="no route of service 2"):
        await edge.switch(2, 0)


async def test_a_switch_brings_a_new_route(edge, routes, apps):
    await edge.start([routes[0]])
    await edge.switch(2, 1, routes[1])
    assert await body(routes[1].port) == "b-green"


async def test_what_is_under_way_ends_at_the_old_slot(edge, routes, apps):
    await edge.start(routes)
    stream = asyncio.create_task(Client(routes[0].port).get("/stream?2"))
    await asyncio.sleep(0.3)
    assert await edge.sessions(1, 0) == 1
    since = time.time()
    await edge.switch(1, 1)
    assert await body(routes[0].port) == "a-green"
    assert await edge.sessions(1, 0) == 1
    assert not await edge.drained(1, 0, since)
    assert (await stream)[2].splitlines()[-1] == "a-blue 19"
    assert await edge.sessions(1, 0) == 0
    assert await edge.drained(1, 0, since)  # nobody but the current worker: no need to wait for idle connections


async def test_release_cuts_what_is_left_in_every_worker(edge, routes, apps):
    """A websocket through the current worker, and one through a former one."""
    await edge.start([routes[0]])
    tunnels = []
    for stage in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", routes[0].port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        tunnels.append((reader, writer))
        if stage == 0:
            await edge.apply(routes)
    assert (await edge.workers(), await edge.sessions(1, 0)) == (2, 2)
    with pytest.raises(ValueError, match="is live"):
        await edge.release(1, 0)
    await edge.switch(1, 1)
    for reader, writer in tunnels:
        writer.write(b"still here\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"a-blue still here\n"
    await edge.release(1, 0)
    for reader, writer in tunnels:
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    assert await edge.sessions(1, 0) == 0
    assert await body(routes[0].port) == "a-green"
    await edge.switch(1, 0)  # the slot can be used again
    assert await body(routes[0].port) == "a-blue"


async def test_a_switch_that_was_not_completed(edge, routes, apps):
    """As after a fault between the file and HAProxy: nobody is cut off because the old slot goes."""
    await edge.start(routes)
    await edge.switch(1, 1)
    pid = await current(edge)
    await edge._control.ask(f"@!{pid} set server svc1/blue state ready")
    await edge._control.ask(f"@!{pid} set server svc1/green state maint")
    assert await body(routes[0].port) == "a-blue"
    assert not await edge.drained(1, 0, 0)
    await edge.release(1, 0)
    assert await body(routes[0].port) == "a-green"
    assert await edge.drained(1, 0, 0)


async def test_release_of_what_is_not_there(edge, routes, apps):
    await edge.start(routes)
    await edge.release(77, 0)
    assert await edge.drained(77, 0, 0)


async def test_release_closes_idle_connections_to_the_slot(edge, routes, apps):
    """An application that waits for its connections to end before it stops need not wait."""
    await edge.start(routes)
    async with Load(routes[0].port):
        await asyncio.sleep(0.3)
    assert apps[0].connections > 0
    await edge.switch(1, 1)
    await edge.release(1, 0)

    async def closed():
        return apps[0].connections == 0

    await eventually(closed, 2)


@pytest.mark.slow
async def test_reload_and_drain(edge, routes, apps):
    """A stream, an idle connection and a constant load on A; create B; redeploy A; redeploy B: no error anywhere."""
    a, b = routes
    a_blue = apps[0]
    await edge.start([a])
    stream = asyncio.create_task(Client(a.port).get("/stream?16"))
    tunnel_reader, tunnel = await asyncio.open_connection("127.0.0.1", a.port)
    tunnel.write(UPGRADE)
    await tunnel_reader.readuntil(b"\r\n\r\n")
    idle, fresh = Client(a.port), Client(a.port)
    assert (await idle.get())[2] == "a-blue"
    fresh.reader, fresh.writer = await asyncio.open_connection("127.0.0.1", a.port)  # has not asked anything yet
    async with Load(a.port) as load:
        await asyncio.sleep(0.5)
        await edge.apply([a, b])
        assert await edge.workers() == 2
        async with Load(b.port) as other:
            await asyncio.sleep(0.5)
            since = time.time()
            await edge.switch(1, 1)
            assert await body(a.port) == "a-green"
            await asyncio.sleep(5)
            assert not await edge.drained(1, 0, since)
            assert (await idle.get())[2] == "a-blue"  # through the former worker, to the former instance
            assert (await fresh.get())[2] == "a-blue"
            assert idle.writer is None  # it was told to connect anew,
            assert (await idle.get())[2] == "a-green"  # and that leads to the new instance
            await edge.switch(2, 1)
            assert await body(b.port) == "b-green"
            assert len((await stream)[2].splitlines()) == 160
            assert await edge.sessions(1, 0) == 1  # the tunnel lives on
            tunnel.write(b"x\n")
            assert await tunnel_reader.readline() == b"a-blue x\n"
            tunnel.close()
            await eventually(lambda: edge.drained(1, 0, since))
            await edge.release(1, 0)
            await a_blue.__aexit__()
            await asyncio.sleep(0.5)
    assert load.errors == []
    assert other.errors == []
    assert load.answers.keys() == {"a-blue", "a-green"}
    assert other.answers.keys() == {"b-blue", "b-green"}


@pytest.mark.slow
async def test_an_idle_connection_of_a_former_worker_is_waited_for(edge, routes, apps):
    """No session anywhere, but a former worker that may still get a request for the old slot."""
    await edge.start([routes[0]])
    reader, writer = await asyncio.open_connection("127.0.0.1", routes[0].port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"a-blue")
    await edge.apply(routes)
    since = time.time()
    await edge.switch(1, 1)
    assert (await edge.workers(), await edge.sessions(1, 0)) == (2, 0)
    assert not await edge.drained(1, 0, since)
    assert await asyncio.wait_for(reader.read(), KEEP_ALIVE_SECONDS + 5) == b""
    writer.close()
    await eventually(lambda: edge.drained(1, 0, since))
    assert time.time() - since < KEEP_ALIVE_SECONDS + 5


# ---------------------------------------------------------------------------------------------------- strangers


async def test_a_stranger_holds_a_port_at_the_start(edge, routes, apps):
    a, b = routes
    with stranger(a.port):
        assert await edge.start(routes) == {a.port}
        assert edge.blocked == {a.port}
        assert await body(b.port) == "b-blue"
        await edge.switch(1, 1)  # nothing to lead, but remembered
        assert await edge.apply(routes) == {a.port}
    assert await edge.apply([replace(a, live_slot=1), b]) == set()
    assert await body(a.port) == "a-green"


async def test_a_stranger_holds_a_port_that_comes(edge, routes, apps):
    a, b = routes
    await edge.start([a])
    async with Load(a.port) as load:
        with stranger(b.port):
            assert await edge.apply(routes) == {b.port}
        assert await edge.apply(routes) == set()
        assert await body(b.port) == "b-blue"
    assert load.errors == []


@pytest.mark.parametrize("running", [False, True])
async def test_a_stranger_is_quicker_than_haproxy(edge, routes, apps, monkeypatch, running):
    """Between our probe and HAProxy's own attempt; then it is found by the next probe."""
    a, b = routes
    find_taken = edge_files.find_taken
    lies = [True]
    monkeypatch.setattr(
        edge_module.edge_files,
        "find_taken",
        lambda bind, ports: set() if lies and b.port in ports and lies.pop() else find_taken(bind, ports),
    )
    if running:
        await edge.start([a])
    with stranger(b.port):
        assert await (edge.apply(routes) if running else edge.start(routes)) == {b.port}
        assert lies == []
        assert await body(a.port) == "a-blue"
    assert await edge.apply(routes) == set()
    assert await body(b.port) == "b-blue"


async def test_a_port_is_kept_for_haproxy_until_it_listens(edge, routes, apps, monkeypatch):
    """A stranger that comes after the probe does not get the port."""
    a, b = routes
    await edge.start([a])
    reload, refusals = edge._control.reload, []

    async def take_first():
        with pytest.raises(OSError, match="in use"):
            stranger(b.port)
        refusals.append(b.port)
        return await reload()

    monkeypatch.setattr(edge._control, "reload", take_first)
    async with Load(a.port) as load:
        assert await edge.apply(routes) == set()
    assert refusals == [b.port]
    assert await body(b.port) == "b-blue"
    assert load.errors == []


async def test_a_port_that_is_taken_while_the_edge_is_away(edge, routes, apps, monkeypatch):
    """For example after a restart of the machine: HAProxy would start again and again, and nobody would answer."""
    a, b = routes
    await edge.start(routes)
    docker("stop", "-t", "0", edge.name)
    monkeypatch.setattr(edge_control, "PATIENCE", 1)
    with stranger(a.port):
        docker("start", edge.name)
        assert await edge.start(routes) == {a.port}
        assert await body(b.port) == "b-blue"


# ------------------------------------------------------------------------------------------- faults and restarts


async def test_berth_restarts_and_keeps_the_container(edge, image, routes, apps):
    await edge.start(routes)
    await edge.switch(1, 1)
    container = inspect(edge, "{{.Id}} {{.State.StartedAt}}")
    async with Load(routes[0].port) as load, Engine(DOCKER_HOST, edge.name.split("-")[1]) as engine:
        again = Edge(folder=edge.folder, bind="127.0.0.1", image=image, engine=engine, instance=edge.name.split("-")[1])
        assert await again.start([replace(routes[0], live_slot=1)]) == set()
        assert inspect(edge, "{{.Id}} {{.State.StartedAt}}") == container
        assert await body(routes[0].port) == "a-green"
        assert await refused(routes[1].port)
    assert load.errors == []


async def test_another_address_to_listen_on_makes_the_container_anew(edge, image, routes, apps):
    await edge.start(routes)
    instance = edge.name.split("-")[1]
    async with Engine(DOCKER_HOST, instance) as engine:
        again = Edge(folder=edge.folder, bind="127.0.0.5", image=image, engine=engine, instance=instance)
        assert await again.start(routes) == set()
    assert await refused(routes[0].port)
    assert (await Client(routes[0].port, "127.0.0.5").get())[2] == "a-blue"


async def test_the_file_says_what_the_commands_said(edge, routes, apps):
    """HAProxy is killed and comes back without Berth."""
    await edge.start(routes)
    await edge.switch(1, 1)
    await edge.apply([replace(routes[0], live_slot=1), replace(routes[1], live_slot=None, state="stopped")])
    os.kill(int(inspect(edge, "{{.State.Pid}}")), signal.SIGKILL)

    async def back():
        return inspect(edge, "{{.RestartCount}}") == "1" and not await refused(routes[0].port)

    await eventually(back)
    assert await body(routes[0].port) == "a-green"
    assert await body(routes[1].port) == "This application is stopped.\n"
    await edge.switch(2, 1)
    assert await body(routes[1].port) == "b-green"


@pytest.mark.parametrize("call", ["apply", "switch", "start"])
async def test_somebody_removed_the_container(edge, routes, apps, call, monkeypatch):
    await edge.start(routes)
    docker("rm", "-f", edge.name)
    monkeypatch.setattr(edge_control, "PATIENCE", 0.2)
    with pytest.raises(EdgeSilentError):
        await edge.workers()
    assert not (await edge.check()).running
    match call:
        case "apply":
            await edge.apply(routes)
        case "switch":
            await edge.switch(1, 0)
        case "start":
            await edge.start(routes)
    assert [await body(route.port) for route in routes] == ["a-blue", "b-blue"]


async def test_a_file_that_haproxy_refuses(edge, routes, apps, monkeypatch):
    """Cannot happen as far as we know; if it does, nobody notices but the one who asked for it."""
    a, b = routes
    await edge.start([a])
    good = (edge.folder / CONFIG_FILE).read_text()
    render = edge_module.render
    monkeypatch.setattr(edge_module, "render", lambda *args, **options: render(*args, **options) + "nonsense\n")
    async with Load(a.port) as load:
        with pytest.raises(BerthError, match="unknown keyword 'nonsense'"):
            await edge.apply(routes)
        assert (edge.folder / CONFIG_FILE).read_text() == good
        monkeypatch.undo()
        assert await body(a.port) == "a-blue"
        assert await edge.apply(routes) == set()
        assert await body(b.port) == "b-blue"
    assert load.errors == []


async def test_a_file_that_haproxy_refuses_at_the_start(edge, routes, monkeypatch):
    render = edge_module.render
    monkeypatch.setattr(edge_module, "render", lambda *args, **options: render(*args, **options) + "nonsense\n")
    with pytest.raises(BerthError, match=r"does not start: .*unknown keyword 'nonsense'"):
        await edge.start(routes)
    assert not exists(edge)


async def test_stop(edge, routes):
    await edge.start(routes)
    await edge.stop(remove=False)
    assert inspect(edge, "{{.State.Running}}") == "false"
    assert await refused(routes[0].port)
    await edge.stop()
    await edge.stop()
    assert not exists(edge)


async def test_a_bad_address(image, folder):
    async with Engine(DOCKER_HOST, "x") as engine:
        with pytest.raises(BerthError, match="not an IP address"):
            Edge(folder=folder, bind="localhost", image=image, engine=engine, instance="x")


async def test_an_address_of_another_machine(image, folder, routes):
    async with running_edge(image, folder / "edge", bind="203.0.113.9") as edge:
        with pytest.raises(BerthError, match="no such address"):
            await edge.start(routes)
