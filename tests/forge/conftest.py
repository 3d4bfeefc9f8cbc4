"""A real server on a loopback port, with the local forge and nothing behind it."""

import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bot.config import Config
from bot.forge import git_http
from bot.forge.events import Decision
from bot.forge.local import LocalForge
from bot.forge.webhook import Outcome
from bot.store.crypto import Vault, load_keys
from bot.store.database import Row, Store, Transaction
from bot.store.tables import deliveries, metadata

LIVE = [
    {"kind": "phase", "phase": "fetch"},
    {"kind": "phase", "phase": "build"},
    {"kind": "line", "text": "[2/5] RUN npm ci\x1b[31m"},
    {"kind": "state", "state": "live", "url": "http://127.0.0.1:20000"},
]


@dataclass
class Rig:
    """The server, and what it was asked to do."""

    forge: LocalForge
    store: Store
    config: Config
    decisions: list[tuple[Decision, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=lambda: list(LIVE))
    hold: asyncio.Event = field(default_factory=asyncio.Event)  # a stream goes on when this is set
    streams: list[tuple[int, str]] = field(default_factory=list)
    server: uvicorn.Server | None = None
    numbers: Any = field(default_factory=lambda: itertools.count(100))

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.config.port}"

    async def apply(self, tx: Transaction, decision: Decision, repository: Row, delivery_id: int) -> Outcome:
        assert await tx.one(sa.select(deliveries).where(deliveries.c.id == delivery_id))
        self.decisions.append((decision, repository["name"]))
        return Outcome(decision, (next(self.numbers),) if decision.kind == "deploy" else ())

    async def stream(self, request: Request) -> Response:
        number = request.path_params["id"]
        self.streams.append((number, request.headers["authorization"]))

        async def lines() -> AsyncIterator[bytes]:
            for event in self.events:
                yield json.dumps(event).encode() + b"\n"
                yield b"\n"
            await self.hold.wait()

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def remote(self, name: str = "shop") -> str:
        return self.forge.remote_url(await self.forge.create_repository(name), self.base)

    async def rows(self) -> list[Row]:
        return await self.store.all(sa.select(deliveries).order_by(deliveries.c.id))

    async def start(self) -> None:
        app = Starlette(
            routes=[
                *git_http.routes(self.forge, lambda repository: f"stream-{repository}"),
                Route("/api/deployments/{id:int}/stream", self.stream),
            ]
        )
        settings = uvicorn.Config(
            app, host="127.0.0.1", port=self.config.port, log_level="warning", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(settings)
        self._task = asyncio.create_task(self.server.serve())
        await until(lambda: self.server is not None and self.server.started)

    async def stop(self) -> None:
        if self.server:
            self.hold.set()
            self.server.should_exit = True
            await self._task
            self.server = None


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within ten seconds")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "berth.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
async def store(tmp_path: Path, empty_database: Path) -> AsyncIterator[Store]:
    path = tmp_path / "berth.db"
    shutil.copyfile(empty_database, path)
    async with Store(f"sqlite:///{path}") as opened:
        yield opened


@pytest.fixture
async def idle(tmp_path: Path, store: Store) -> Rig:
    """The forge without its server."""
    data = tmp_path / "data"
    config = Config(data_dir=data, port=free_port(), port_min=1, port_max=2, repository_max_bytes=3_000_000)
    data.mkdir()
    forge = LocalForge(config, store, Vault(load_keys("", data / "key")))
    made = Rig(forge, store, config)
    forge.pushes._work = made.apply
    made.hold.set()
    await forge.open()
    return made


@pytest.fixture
async def rig(idle: Rig) -> AsyncIterator[Rig]:
    """A started server; the stream of a deployment ends with its last event."""
    await idle.start()
    yield idle
    await idle.stop()


class Work:
    """A working copy driven by real git."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self("init", "-q", "-b", "main")

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH",)}
        identity = {
            f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return kept | identity | {"HOME": str(self.path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}

    def __call__(self, *arguments: str, **options: Any) -> str:
        options |= {"cwd": self.path, "env": self.environment(), "capture_output": True, "text": True}
        done = subprocess.run(("git", *arguments), check=True, **options)
        return done.stdout.strip()

    def commit(self, message: str = "Change", **files: str) -> str:
        for name, text in (files or {"a.txt": message}).items():
            (self.path / name.replace("__", ".")).write_text(text)
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD")

    async def start_push(self, *arguments: str) -> asyncio.subprocess.Process:
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
        command = ("git", "push", *arguments)
        return await asyncio.create_subprocess_exec(
            *command, cwd=self.path, env=self.environment(), start_new_session=True, **pipes
        )

    async def push(self, *arguments: str) -> tuple[int, str]:
        """Exit code and everything that git said."""
        process = await self.start_push(*arguments)
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, out.decode()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")
