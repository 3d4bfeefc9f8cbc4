"""The edge in figures: ``python -m tests.bench.edge``.

Requests per second through a stable port, against the application's own address in the same run; HAProxy's memory at 10
and at 1,000 ports; how long a start, a reload and a switch take at those sizes.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.synchronize
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import cast

import uvloop

from bot.engine.docker import Engine
from bot.engine.edge import Edge
from bot.engine.edge_config import Route
from tests.engine.edge_fixtures import DOCKER_HOST, edge_image, free_ports, running_edge

BLUE, GREEN, APP_PORT = "127.0.1.22", "127.0.1.23", 8473
CONNECTIONS, ROUNDS, SECONDS = 8, 5, 1.5
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SIZES = (10, 1_000)


class _Answering(asyncio.Protocol):
    """As quick a server as Python has: the whole request comes in one piece, the answer is a constant."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


def _serve(ready: multiprocessing.synchronize.Event) -> None:
    async def serve() -> None:
        for address in (BLUE, GREEN):
            await asyncio.get_running_loop().create_server(_Answering, address, APP_PORT)
        ready.set()
        await asyncio.Event().wait()

    uvloop.run(serve())


@contextlib.contextmanager
def _application() -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(ready,), daemon=True)
    process.start()
    try:
        if not ready.wait(20):
            raise SystemExit("the application of the benchmark does not start")
        yield
    finally:
        process.terminate()
        process.join()


def measure(address: str, port: int, seconds: float = SECONDS) -> float:
    """Requests per second over 8 kept connections, one request at a time on each."""
    request = f"GET / HTTP/1.1\r\nHost: {address}:{port}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection((address, port), 5)) for _ in range(CONNECTIONS)]
        for connection in opened:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for connection in opened:
                answer = connection.recv(4096)
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(f"unexpected answer {answer!r}")
                connection.sendall(request)
                count += 1
        return count / (time.perf_counter() - began)


async def throughput(edge: Edge, engine: Engine, port: int) -> None:
    processes = await _processes(edge, engine)

    def rounds() -> list[tuple[float, float, float]]:
        measure(BLUE, APP_PORT, 0.3)
        measure("127.0.0.1", port, 0.3)
        found = []
        for _ in range(ROUNDS):
            own, before = measure(BLUE, APP_PORT), _processor_seconds(processes)
            through = measure("127.0.0.1", port)
            found.append((own, through, (_processor_seconds(processes) - before) / (through * SECONDS)))
        return found

    found = await asyncio.to_thread(rounds)
    own, through, cost = (statistics.median(values) for values in zip(*found, strict=True))
    ratio = statistics.median(through / own for own, through, _ in found)
    print(f"requests/s, own address       {own:>9,.0f}   (the quickest server that Python has, a constant answer)")
    print(f"requests/s, through the edge  {through:>9,.0f}   {ratio:.2f} of the application's own")
    print(f"HAProxy's processor time      {cost * 1e6:>9.0f}   microseconds per request")


async def _processes(edge: Edge, engine: Engine) -> list[int]:
    top = await engine.call("GET", f"containers/{edge.name}/top", params={"ps_args": "-eo pid,comm"})
    return [int(pid) for pid, *_ in top["Processes"]]


def _processor_seconds(processes: list[int]) -> float:
    """User and system time so far; fields 14 and 15 of /proc/PID/stat (man 5 proc)."""
    ticks = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(processes: list[int]) -> float:
    """Proportional set size in MB."""
    total = 0
    for pid in processes:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


async def sizes(image: str, folder: Path) -> None:
    for count in SIZES:
        ports = free_ports(count + 1)
        routes = [Route(n + 1, port, "http", (BLUE, GREEN), APP_PORT, 0, "live") for n, port in enumerate(ports)]
        async with running_edge(image, folder / str(count)) as edge, Engine(DOCKER_HOST, "bench") as engine:
            started = await _seconds(edge.start(routes[:-1]))
            used = await asyncio.to_thread(memory, await _processes(edge, engine))
            reloaded = await _seconds(edge.apply(routes))
            switched = statistics.median([await _seconds(edge.switch(1, turn % 2)) for turn in range(1, 8)])
            agreed = await _seconds(edge.apply([*routes[1:], Route(1, ports[0], "http", (BLUE, GREEN), APP_PORT, 0)]))
            figures = await _seconds(edge.stats())
            print(
                f"{count:>5,} ports: {used:5.1f} MB, start {started:.2f} s, one more port {reloaded:.3f} s, "
                f"switch {switched:.3f} s, compare all {agreed:.3f} s, figures of all {figures:.3f} s"
            )


async def _seconds(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def main() -> None:
    with edge_image() as image, _application(), tempfile.TemporaryDirectory() as folder:
        (port,) = free_ports(1)
        async with running_edge(image, Path(folder) / "load") as edge, Engine(DOCKER_HOST, "bench") as engine:
            await edge.start([Route(1, port, "http", (BLUE, GREEN), APP_PORT, 0, "live")])
            await throughput(edge, engine, port)
        await sizes(image, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
