import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.engine.ports import EPHEMERAL, PortManager, get_port_manager, set_port_manager
from bot.errors import BerthError
from bot.store.database import Store

pytest_plugins = ["tests.database_fixtures"]
pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def _always_bindable(monkeypatch):
    """For tests of the bookkeeping alone: whoever else listens on this machine must not disturb them."""
    monkeypatch.setattr(PortManager, "is_bindable", lambda self, port: True)


def _listen(port=0, address="127.0.0.1"):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    return listener


async def _allocate_all(manager, services, workers=50):
    waiting = iter(services)
    given = {}

    async def work():
        for service in waiting:
            given[service] = await manager.allocate(service, service % 100)

    await asyncio.gather(*(work() for _ in range(workers)))
    return given


@pytest.mark.slow
async def test_all_20001_ports(store, monkeypatch):
    """Every port is handed out once, the upper ones last, and the one after that gets a clear error."""
    probe = PortManager.is_bindable
    monkeypatch.setattr(
        PortManager, "is_bindable", lambda self, port: probe(self, port) or True
    )  # strangers come and go
    manager = PortManager(store)
    begun = time.perf_counter()
    given = await _allocate_all(manager, range(20_001))
    took = time.perf_counter() - begun
    print(f"20,001 allocations in {took:.1f} s, {took / 20.001:.2f} ms each")
    assert sorted(given.values()) == list(range(20_000, 40_001))
    assert max(list(given.values())[: EPHEMERAL - 20_000 - 50]) < EPHEMERAL
    with pytest.raises(BerthError, match="No port between 20000 and 40000 is free: 20001 leased, 0 reserved"):
        await manager.allocate(50_000, 1)
    begun = time.perf_counter()
    await manager.release(0)
    with pytest.raises(BerthError, match="1 quarantined"):
        await manager.allocate(50_000, 1)
    assert time.perf_counter() - begun < 2, "a full range must not make an allocation slow"


async def test_a_service_keeps_its_port(store, monkeypatch):
    _always_bindable(monkeypatch)
    manager = PortManager(store)
    assert await manager.allocate(7, 1, "shop production web") == 20_000
    assert await manager.allocate(7, 1) == 20_000
    assert await manager.allocate(8, 1) == 20_001
    again = await asyncio.gather(*(manager.allocate(9, 1) for _ in range(20)))
    assert len(set(again)) == 1, "whichever of them came first"
    assert 20_001 < again[0] < 20_022
    info = await manager.query(20_000)
    assert (info.state, info.service_id, info.repository_id, info.note) == ("leased", 7, 1, "shop production web")
    assert await manager.query(20_022) is None


async def test_concurrent_tasks_threads_and_managers(store, database_url, monkeypatch):
    """Two managers with stores of their own are what two processes are to the database."""
    _always_bindable(monkeypatch)
    mine = PortManager(store)
    async with Store(database_url) as second:
        other = PortManager(second)
        with ThreadPoolExecutor(8) as threads:

            def allocate_in_thread(worker):
                return [mine.allocate_sync(10_000 + worker * 20 + i, 1) for i in range(20)]

            loop = asyncio.get_running_loop()
            by_threads = [loop.run_in_executor(threads, allocate_in_thread, worker) for worker in range(8)]
            given = await asyncio.gather(
                _allocate_all(mine, range(200)), _allocate_all(other, range(1000, 1200)), *by_threads
            )
    ports = [*given[0].values(), *given[1].values(), *(port for part in given[2:] for port in part)]
    assert len(ports) == 560
    assert sorted(ports) == list(range(20_000, 20_560)), "distinct and without holes"
    assert [info.port for info in await mine.list()] == sorted(ports)


async def test_two_managers_fight_for_the_last_ports(store, database_url, monkeypatch):
    _always_bindable(monkeypatch)
    async with Store(database_url) as second:
        managers = [PortManager(store, last=20_019), PortManager(second, last=20_019)]
        given = await asyncio.gather(
            *(managers[service % 2].allocate(service, 1) for service in range(30)), return_exceptions=True
        )
    ports = [port for port in given if isinstance(port, int)]
    assert sorted(ports) == list(range(20_000, 20_020))
    assert sum(isinstance(error, BerthError) for error in given) == 10


async def test_exhaustion_says_what_has_the_ports(store, monkeypatch):
    _always_bindable(monkeypatch)
    manager = PortManager(store, last=20_004, quarantine=30)
    await manager.reserve(20_000, "the monitoring of this host")
    for service in range(3):
        await manager.allocate(service, 1)
    await manager.release(0)
    monkeypatch.setattr(PortManager, "is_bindable", lambda self, port: port != 20_004)
    with pytest.raises(BerthError) as caught:
        await manager.allocate(9, 1)
    assert caught.value.reason == (
        "No port between 20000 and 20004 is free: 2 leased, 1 reserved, 1 quarantined, 1 held by other programs."
    )
    assert "BERTH_PORT_MAX" in caught.value.fix
    assert "wait 30 s" in caught.value.fix


async def test_quarantine(store, monkeypatch):
    _always_bindable(monkeypatch)
    now = 1000.0
    manager = PortManager(store, last=20_001, quarantine=60, clock=lambda: now)
    assert [await manager.allocate(service, 1) for service in (1, 2)] == [20_000, 20_001]
    await manager.release(1)
    await manager.release(1)
    info = await manager.query(20_000)
    assert (info.state, info.service_id, info.until) == ("quarantined", None, 1060.0)
    assert await manager.list(1) == [await manager.query(20_001)]
    now = 1059.0
    with pytest.raises(BerthError, match="1 quarantined"):
        await manager.allocate(3, 1)
    now = 1060.0
    assert await manager.reconcile({20_001}) == []
    assert await manager.query(20_000) is None
    assert await manager.allocate(3, 1) == 20_000


async def test_quarantine_ends_when_the_clock_was_set_back(store, monkeypatch):
    _always_bindable(monkeypatch)
    now = 1_000_000.0
    manager = PortManager(store, last=20_000, clock=lambda: now)
    await manager.allocate(1, 1)
    await manager.release(1)
    now = 1000.0
    assert await manager.allocate(2, 1) == 20_000


async def test_reserve_and_unreserve(store, monkeypatch):
    _always_bindable(monkeypatch)
    manager = PortManager(store, last=20_002)
    await manager.reserve(20_000, "ours")
    await manager.reserve(20_000, "still ours")
    assert (await manager.query(20_000)).note == "still ours"
    assert await manager.allocate(1, 1) == 20_001
    with pytest.raises(BerthError, match="belongs to a running service"):
        await manager.reserve(20_001, "no")
    with pytest.raises(BerthError, match="not between 20000 and 20002"):
        await manager.reserve(80, "no")
    assert await manager.unreserve(20_000)
    assert not await manager.unreserve(20_000)
    assert not await manager.unreserve(20_001), "a lease is not ended by it"
    assert await manager.allocate(2, 1) == 20_000
    await manager.release(2)
    await manager.reserve(20_000, "straight from quarantine")
    assert (await manager.query(20_000)).until is None


async def test_restart_keeps_leases(database_url, monkeypatch):
    _always_bindable(monkeypatch)
    async with Store(database_url) as first:
        manager = PortManager(first)
        given = await _allocate_all(manager, range(20))
        await manager.release(3)
    async with Store(database_url) as second:
        manager = PortManager(second)
        assert await manager.allocate(5, 5) == given[5]
        assert await manager.allocate(100, 1) == 20_020, "neither a leased port nor the resting one"
        assert len(await manager.list()) == 21


async def test_upper_ports_only_when_the_lower_are_used_up(store, monkeypatch):
    _always_bindable(monkeypatch)
    manager = PortManager(store, first=EPHEMERAL - 3, last=EPHEMERAL + 1, start=EPHEMERAL - 2)
    assert [await manager.allocate(service, 1) for service in range(5)] == [
        EPHEMERAL - 2,
        EPHEMERAL - 1,
        EPHEMERAL - 3,
        EPHEMERAL,
        EPHEMERAL + 1,
    ]
    await manager.release(0)
    await manager.release(4)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "127.0.0.9", "::"])
async def test_a_stranger_on_a_free_port_is_passed_over(store, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as stranger:
        stranger.bind((address, 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        manager = PortManager(store, first=port, last=port + 20)
        assert await manager.allocate(1, 1) > port
        assert await manager.query(port) is None
    await manager.reconcile(())
    assert await manager.allocate(2, 1) == port, "free again when the stranger has gone"


async def test_a_stranger_on_a_port_of_ours_is_reported(store):
    with _listen() as stranger:
        port = stranger.getsockname()[1]
    manager = PortManager(store, first=port, last=port + 20)
    assert await manager.allocate(1, 4, "shop") == port
    other = await manager.allocate(2, 4)
    assert await manager.reconcile(()) == []
    with _listen(port), _listen(other):
        conflicts = await manager.reconcile({other})  # our edge listens on the other one itself
        assert [(info.port, info.service_id, info.repository_id) for info in conflicts] == [(port, 1, 4)]
        assert await manager.allocate(1, 4) == port, "the lease stays"
    assert await manager.reconcile(()) == []


async def test_time_wait_is_no_listener(store):
    """The edge has answered on the port and is gone: its side of the connection rests in TIME_WAIT for a minute."""
    listener = _listen()
    port = listener.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    served, _ = listener.accept()
    served.close()
    await asyncio.sleep(0.05)
    client.close()
    listener.close()
    with socket.socket() as strict, pytest.raises(OSError, match="in use"):
        strict.bind(("127.0.0.1", port))  # without SO_REUSEADDR it would look taken
    assert PortManager(store).is_bindable(port)


async def test_addresses_that_cannot_be_the_edges(store):
    with pytest.raises(BerthError, match="localhost is not an IP address"):
        PortManager(store, bind="localhost")
    manager = PortManager(store, bind="192.0.2.1")
    with pytest.raises(BerthError, match=r"No port can be opened on 192\.0\.2\.1"):
        await manager.allocate(1, 1)
    assert await manager.list() == []
    assert PortManager(store, bind="::1").is_bindable(39_999)


async def test_cancelled_allocation_loses_no_port(store, monkeypatch):
    _always_bindable(monkeypatch)
    manager = PortManager(store, last=20_009)
    for _ in range(30):
        task = asyncio.create_task(manager.allocate(1, 1))
        await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await manager.release(1)
    given = await _allocate_all(manager, range(100, 109), workers=3)
    assert len(set(given.values())) == 9


async def test_use_from_threads(store, monkeypatch):
    _always_bindable(monkeypatch)
    manager = PortManager(store)
    set_port_manager(manager)
    try:

        def use():
            ours = get_port_manager()
            port = ours.allocate_sync(1, 2, "from a thread")
            ours.reserve_sync(port + 1, "for later")
            assert ours.query_sync(port).note == "from a thread"
            assert [info.port for info in ours.list_sync()] == [port, port + 1]
            assert [info.port for info in ours.list_sync(2)] == [port]
            assert ours.unreserve_sync(port + 1)
            ours.release_sync(1)
            with pytest.raises(BerthError):
                ours.reserve_sync(1, "out of range")
            return ours.query_sync(port).state

        assert await asyncio.to_thread(use) == "quarantined"
        with pytest.raises(RuntimeError, match="for threads"):
            manager.list_sync()  # would wait for itself
    finally:
        set_port_manager(None)
    with pytest.raises(RuntimeError, match="not set up"):
        get_port_manager()


async def test_thread_does_not_wait_for_ever(store):
    manager = PortManager(store)
    outcome = []

    def use():
        try:
            manager.list_sync(timeout=0.1)
        except TimeoutError as error:
            outcome.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    time.sleep(0.5)  # noqa: ASYNC251 (the loop hangs: this is the case)
    thread.join(5)
    assert len(outcome) == 1
    await asyncio.sleep(0.1)  # the query, cancelled, comes to its end
