"""The memory of the idle server, and its stable port under load."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import edge
from tests.bench.figures import Figure
from tests.end_to_end.harness import Server, clone, get

MEMORY_GOAL = 120.0  # MB
ROUNDS, SECONDS = 5, 1.0
PORT = 8080

# As quick as plain Python is, with kept connections: the whole request comes in one piece, the answer is a constant.
_SERVER = f"""\
import asyncio

class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write({edge.ANSWER!r})

async def serve():
    server = await asyncio.get_running_loop().create_server(Answering, "0.0.0.0", {PORT})
    await server.serve_forever()

asyncio.run(serve())
"""


@dataclass
class Memory:
    """Samples of the server and of all that it has started, by the number of deployments so far."""

    pid: int
    samples: list[tuple[float, float]] = field(default_factory=list)

    def sample(self) -> None:
        """Resident and proportional set size in MB; the index of the sample is the number of deployments."""
        found = [_sizes(pid) for pid in _family(self.pid)]
        self.samples.append((sum(rss for rss, _ in found), sum(pss for _, pss in found)))

    def figures(self) -> list[Figure]:
        """After its start, after 10 deployments and at the end."""
        moments = {"after its start": 0, "after 10 deployments": 10, f"after {len(self.samples) - 1} deployments": -1}
        found = []
        for name, index in moments.items():
            if index < len(self.samples):
                rss, pss = self.samples[index]
                found.append(Figure("memory", name, "MB", (rss,), goal=MEMORY_GOAL, note=f"PSS {pss:.0f} MB"))
        return found


def _family(pid: int) -> list[int]:
    """A process and all that it has started and that still runs."""
    family = [pid]
    for member in family:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{member}/task").iterdir():
                family += map(int, (task / "children").read_text().split())
    return family


def _sizes(pid: int) -> tuple[float, float]:
    """Rss and Pss in MB (man 5 proc, smaps_rollup); 0 for a process that is gone."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        values = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
        return values["Rss"] * 1024 / 1e6, values["Pss"] * 1024 / 1e6
    return 0.0, 0.0


def throughput(server: Server, folder: Path, prefix: str) -> list[Figure]:
    """Requests per second through the stable port against the container's own address, turn about."""
    work = clone(server, folder, "bench-load")
    dockerfile = (
        f'FROM {prefix}python:3.11-slim\nCOPY server.py /\nEXPOSE {PORT}\nUSER 1000\nCMD ["python3", "/server.py"]\n'
    )
    work.commit({"Dockerfile": dockerfile, "server.py": _SERVER})
    work.push()
    environment = server.settled(work.name)
    deployment = server.api("GET", f"/api/deployments/{environment['live']['id']}")
    address = deployment["instances"][-1]["address"]
    stable = environment["services"][0]["port"]
    assert get(environment["url"]).body == "ok"
    time.sleep(2.0)  # nothing of the deployment is left to do
    edge.measure(address, PORT, 0.3)
    edge.measure("127.0.0.1", stable, 0.3)
    own, through = [], []
    for _ in range(ROUNDS):
        own.append(edge.measure(address, PORT, SECONDS))
        through.append(edge.measure("127.0.0.1", stable, SECONDS))
    ratios = tuple(ours / theirs for ours, theirs in zip(through, own, strict=True))
    return [Figure("requests", "through the stable port", "/s", tuple(through), tuple(own), ratios)]
