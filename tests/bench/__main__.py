"""``make bench``: Berth beside the same work by hand, in one run. Measures; says whether goals are met; never fails.

Takes two to four minutes. ``--json FILE`` keeps everything that was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.demo.docker_engine import ensure_engine
from bot.engine.base_images import PREFIX, ensure, hub_reachable
from tests.bench import startup, webhooks
from tests.bench.by_hand import Hand
from tests.bench.figures import Figure, Report
from tests.bench.idle import Memory, throughput
from tests.bench.push import BUSYBOX, FLASK, Bench
from tests.busybox import ensure_busybox
from tests.end_to_end.harness import running

ROUNDS = 3
BUDGET = 120.0  # seconds of deployments after which no further round begins
BASE_IMAGES = ("python:3.11-slim", "haproxy:lts")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures in this file")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of all deployments (default: %(default)s)")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    report = Report(console)
    began = time.monotonic()
    prefix = prepare(console)
    report.note_load()
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        start_up(report, Path(folder))
        deliveries(report, Path(folder))
        deployments(report, Path(folder), prefix, arguments.rounds)
    report.conclude(arguments.json)
    console.print(f"Took {time.monotonic() - began:.0f} s.", style="dim")


def prepare(console: Console) -> str:
    """An engine, base images; what stands before their names."""
    engine = ensure_engine(console.print)
    ensure_busybox()
    if mirror := os.environ.get("BERTH_BASE_IMAGE_PREFIX"):
        return mirror
    if asyncio.run(hub_reachable(engine)):
        return ""
    asyncio.run(ensure(engine, BASE_IMAGES, console.print))
    return PREFIX


def start_up(report: Report, folder: Path) -> None:
    """``berth --help`` and ``berth serve``, beside a bare Python and a bare server."""
    berth = [sys.executable, "-m", "bot.cli"]
    startup.command_seconds(*berth, "--help")  # byte code is written once
    startup.serve_seconds(folder / "startup")
    report.section(
        "Start-up",
        [
            _compared(
                "berth --help",
                lambda: startup.command_seconds(*berth, "--help"),
                lambda: startup.command_seconds(sys.executable, "-c", "pass"),
                startup.HELP_GOAL,
            ),
            _compared(
                "berth serve until /healthz",
                lambda: startup.serve_seconds(folder / "startup"),
                startup.bare_seconds,
                startup.SERVE_GOAL,
            ),
            _compared(
                "berth serve, new data folder",
                lambda: startup.serve_seconds(folder / secrets.token_hex(4)),
                startup.bare_seconds,
                startup.SERVE_GOAL,
                runs=3,
            ),
        ],
        "By hand: python -c pass, and a bare Starlette on uvicorn. Processor time is that of the start and the end.",
    )
    report.note_load()


def deliveries(report: Report, folder: Path) -> None:
    """Signed deliveries at the real endpoint, durable before they are answered."""
    figures, kill = webhooks.figures(folder)
    report.section(
        "Webhooks: signed pushes of 20 KB",
        figures,
        "By hand: an endpoint that only reads the body and checks the signature. " + kill.capitalize() + ".",
    )
    report.note_load()


def _compared(
    name: str, ours: Callable[[], float], theirs: Callable[[], float], goal: float, *, runs: int = 5
) -> Figure:
    found, used = [], []
    for _ in range(runs):
        bare, before = theirs(), _processor_seconds_of_children()
        found.append((ours(), bare))
        used.append(_processor_seconds_of_children() - before)
    seconds, bare_seconds = zip(*found, strict=True)
    ratios = tuple(our / their for our, their in found)
    note = f"processor {statistics.median(used):.2f} s"
    return Figure("start-up", name, "s", seconds, bare_seconds, ratios, goal, note)


def _processor_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def deployments(report: Report, folder: Path, prefix: str, rounds: int) -> None:
    """Everything that needs a server with applications."""
    began = time.monotonic()
    with running(folder / "server", BERTH_BASE_IMAGE_PREFIX=prefix) as server:
        assert server.process is not None
        memory = Memory(server.process.pid)
        time.sleep(1)
        memory.sample()
        hand = Hand(folder)
        bench = Bench(server, folder, hand, memory.sample)
        try:
            for turn in range(rounds):
                if turn and time.monotonic() - began > BUDGET:
                    report.console.print(f"enough after {turn} rounds: the machine is busy", style="dim")
                    break
                for app in (FLASK, BUSYBOX):
                    report.console.print(f"round {turn + 1} of {rounds}: {app.name} …", style="dim")
                    bench.round(app)
                report.note_load()
        finally:
            hand.tidy()
        shares, wholes, processor = bench.figures()
        report.section(
            "Berth's own share of push to answer",
            shares,
            "All of it, less the build and the application's own start. By hand: git clone, docker run and asking.",
        )
        show_parts(report.console, bench)
        report.section(
            "The whole: git push until the stable port answers",
            wholes,
            "By hand: git clone && docker build && docker run && curl, with the same commit, Dockerfile and state of"
            " caches; for the rollback docker run && curl.",
        )
        report.section(
            "Processor time of a deployment",
            processor,
            "Of Berth and the git and Python processes that it starts, until the old instance is gone; without Docker.",
        )
        report.section(
            "Requests per second",
            throughput(server, folder, prefix),
            "By hand: the container's own address. 8 kept connections; python -m tests.bench.edge has more.",
        )
        report.section("Memory of the idle server (resident set)", memory.figures())


def show_parts(console: Console, bench: Bench) -> None:
    """Where the time goes."""
    rows = bench.parts()
    names = list(dict.fromkeys(name for _, parts in rows for name in parts))
    names.sort(key=("before", "fetch", "detect", "generate", "build", "start", "verify", "switch", "after").index)
    table = Table("", *names, title="Where it goes (medians in s)", title_justify="left", header_style="dim")
    for title, parts in rows:
        table.add_row(title, *(f"{parts[name]:.2f}" if name in parts else "" for name in names))
    console.print(table)


if __name__ == "__main__":
    main()
