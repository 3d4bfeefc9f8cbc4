"""A real Docker Engine for the tests: an installation of its own, and a 2 MB image to run."""

import asyncio
import contextlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bot.engine.docker import Engine
from bot.engine.networks import Network, Networks
from tests.busybox import ensure_busybox

DOCKER_HOST = "unix:///var/run/docker.sock"


def docker(*arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, input=stdin)
    return done.stdout.decode().strip()


@pytest.fixture(scope="session")
def busybox_image() -> str:
    """A base image with busybox (sh, httpd, nc …) and the user ``app`` (1000)."""
    return ensure_busybox()


@pytest.fixture(name="docker")
def docker_client() -> Callable[..., str]:
    """Runs the docker client with the given arguments and ``stdin``, and returns what it says; raises when it fails."""
    return docker


@pytest.fixture
def docker_host() -> str:
    return DOCKER_HOST


@pytest.fixture
def instance() -> str:
    return f"test{secrets.token_hex(4)}"


@pytest.fixture
async def engine(instance: str, anyio_backend: str) -> AsyncIterator[Engine]:
    """An installation of its own on the machine's engine; everything that it made is removed afterwards."""
    async with Engine(DOCKER_HOST, instance) as engine:
        yield engine
        for container in await engine.list_containers():
            await engine.remove(container.id)
        for network in await Networks(engine, "10.64.0.0/16").list():
            await engine.call("DELETE", f"networks/{network.id}")
        for volume in await engine.list_volumes():
            await engine.remove_volume(volume.name)
        for image in await engine.list_images():
            await engine.call("DELETE", f"images/{image.id}", params={"force": "1"})


@pytest.fixture
async def network(engine: Engine) -> Network:
    return await Networks(engine, "10.64.0.0/16").ensure(1, [])


class Relay:
    """A socket that leads to the real engine, until it is stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """As when the daemon is killed: nobody listens any more, and what is open breaks."""
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(DOCKER_HOST.removeprefix("unix://"))
        self._writers += [writer, far_writer]
        for source, target in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, target))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(65536):
                target.write(chunk)
                await target.drain()
        target.close()


@pytest.fixture
async def relay(folder: Path, anyio_backend: str) -> AsyncIterator[Relay]:
    relay = Relay(folder / "relay.sock")
    await relay.start()
    yield relay
    await relay.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on a real file system, with a short path."""
    path = Path(tempfile.mkdtemp(prefix="berth-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
