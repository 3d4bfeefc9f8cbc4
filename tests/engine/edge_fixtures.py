"""Helpers for tests of the edge: an image with HAProxy, free ports, applications as small servers in this process."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from bot.engine.docker import Engine
from bot.engine.edge import Edge

_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
DOCKER_HOST = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def docker(*arguments: str, check: bool = True) -> str:
    """What the docker client says, on both its outputs."""
    done = subprocess.run(
        ["docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=check
    )
    return done.stdout.strip()


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    for _ in range(round(seconds * 20)):
        if await check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


@contextlib.contextmanager
def edge_image() -> Iterator[str]:
    """An image with HAProxy: the official one, Berth's stand-in, or one made of this machine's own program."""
    for name in ("haproxy:lts", "berth.local/haproxy:lts"):
        if docker("image", "ls", "-q", name):
            yield name
            return
    program = shutil.which("haproxy")
    assert program, "install haproxy, or give the Docker Engine an image haproxy:lts"
    name = f"berth-test-{secrets.token_hex(4)}:edge"
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        with tarfile.open(archive, "w", dereference=True) as tar:
            tar.add(program, "usr/sbin/haproxy")
            for path in re.findall(r"/\S+", linked):
                tar.add(path, path.lstrip("/"))
        docker("import", "-c", "ENV PATH=/usr/sbin", str(archive), name)
    try:
        yield name
    finally:
        docker("image", "rm", name, check=False)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, below the range of outgoing connections."""
    found: list[int] = []
    port = 20_000 + secrets.randbelow(8_000)
    while len(found) < count:
        port += 1
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@contextlib.asynccontextmanager
async def running_edge(image: str, folder: Path, bind: str = "127.0.0.1") -> AsyncIterator[Edge]:
    """An edge of a random installation that is not started yet; its container is removed at the end."""
    instance = f"test{secrets.token_hex(4)}"
    async with Engine(DOCKER_HOST, instance) as engine:
        edge = Edge(folder=folder, bind=bind, image=image, engine=engine, instance=instance)
        try:
            yield edge
        finally:
            await edge.stop()


Handler = Callable[[str, dict[str, str], asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class App:
    """One instance of an application: an HTTP server at an address of its own that says who it is.

    ``/stream?SECONDS`` sends a line every tenth of a second; ``/headers`` echoes the request; ``/cookies`` sets some.
    """

    def __init__(self, name: str, address: str, port: int) -> None:
        self.name, self.address, self.port = name, address, port
        self.requests = 0
        self.heads: list[str] = []
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def connections(self) -> int:
        return len(self._open)

    async def __aenter__(self) -> App:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.requests += 1
                path = head.split(" ", 2)[1]
                await self._answer(path, head, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, path: str, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if path.startswith("/stream"):
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for count in range(int(float(path.partition("?")[2]) * 10)):
                line = f"{self.name} {count}\n"
                writer.write(f"{len(line):x}\r\n{line}\r\n".encode())
                await writer.drain()
                await asyncio.sleep(0.1)
            writer.write(b"0\r\n\r\n")
            return
        if path == "/socket":
            key = head.partition("Sec-WebSocket-Key: ")[2] or head.partition("sec-websocket-key: ")[2]
            digest = hashlib.sha1(key.split("\r\n")[0].encode() + _WEBSOCKET).digest()
            accept = base64.b64encode(digest).decode()
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            )
            while line := await reader.readline():
                writer.write(self.name.encode() + b" " + line)
            return
        status, extra, body = "200 OK", "", self.name
        if path == "/headers":
            body = head
        elif path == "/error":
            status = "500 Internal Server Error"
        elif path == "/silence":
            writer.transport.abort()
            return
        elif path == "/cookies":
            extra = "".join(
                f"Set-Cookie: {value}\r\n"
                for value in (
                    "berth_session=evil; Path=/",
                    "=berth_session=evil",
                    "__Host-berth_session=evil",
                    "mine=1",
                )
            )
        writer.write(f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"))
        await writer.drain()


class Client:
    """One client connection over raw HTTP/1.1: every broken or unexpected answer is an exception."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter | None = None

    async def get(self, path: str = "/", headers: str = "") -> tuple[int, dict[str, list[str]], str]:
        """Status, header fields by lower-case name, body. Connects again where the server closed in good order."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n{headers}\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        fields: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
        if fields.get("transfer-encoding") == ["chunked"]:
            body = await self._chunks()
        else:
            body = (await self.reader.readexactly(int(fields["content-length"][0]))).decode("latin-1")
        if fields.get("connection") == ["close"]:
            self.close()
        return int(first.split(" ")[1]), fields, body

    async def _chunks(self) -> str:
        body = b""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            body += (await self.reader.readexactly(size + 2))[:-2]
            if not size:
                return body.decode("latin-1")

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class Load:
    """Constant load on a port: ``clients`` connections that ask without pause, half of them anew for each request."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port, self.clients = port, clients
        self.answers: dict[str, int] = {}
        self.errors: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._ends = False

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._ask(number % 2 == 0)) for number in range(self.clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ends = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, keep: bool) -> None:
        client = Client(self.port)
        while not self._ends:
            try:
                status, _, body = await asyncio.wait_for(client.get(), 10)
                if status == 200:
                    self.answers[body] = self.answers.get(body, 0) + 1
                else:
                    self.errors.append(f"{status} {body[:200]}")
            except (OSError, EOFError, TimeoutError) as error:
                self.errors.append(repr(error))
                client.close()
            if not keep:
                client.close()
            await asyncio.sleep(0.002)
        client.close()
