"""Requests to a Docker Engine over aiodocker's transport.

One place decides what a failure means: an engine that cannot be reached is EngineUnavailable, an answer that says no is
EngineRefused. Answers that go on are streams, whose connection is closed for sure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from typing import Any, Self, TypeVar

import aiodocker
import aiohttp

from bot.errors import BerthError

CALL_SECONDS = 60.0
_LIMITS = aiohttp.ClientTimeout(sock_connect=10)  # nothing else: streams have no end, calls have their own

T = TypeVar("T")


class EngineUnavailable(BerthError):  # noqa: N818
    """The Docker Engine cannot be reached or does not answer; the same call works again once it is back."""


class EngineRefused(BerthError):  # noqa: N818
    """The Docker Engine said no: ``status`` is the HTTP status (0 inside a stream), ``message`` its own words."""

    def __init__(self, reason: str, fix: str = "", *, status: int = 0, message: str = "") -> None:
        super().__init__(reason, fix)
        self.status = status
        self.message = message or reason


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end even if the caller is cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen: the cancellation matters more
        raise cancelled
    return task.result()


class Wire:
    """The connections to the engine at ``docker_host``: ``unix:///PATH`` or ``tcp://HOST:PORT``."""

    def __init__(self, docker_host: str) -> None:
        self.docker_host = docker_host
        self._calls: aiodocker.Docker | None = None
        self._streams: aiodocker.Docker | None = None

    async def open(self) -> None:
        """Make the clients; nothing is sent yet, so an engine that is down does not matter here."""
        self._calls = _client(self.docker_host)
        self._streams = _client(self.docker_host)

    async def close(self) -> None:
        """End all connections. May be called twice."""
        for client in (self._calls, self._streams):
            if client is not None:
                await client.close()
                await client.connector.close()
        self._calls = self._streams = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        """One request and its decoded JSON answer (None where there is none).

        Raises EngineUnavailable, or EngineRefused with the status of the answer.
        """
        data = None if body is None else json.dumps(body).encode()
        try:
            async with (
                asyncio.timeout(seconds),
                self._request(self._calls, method, path, params=params, data=data, headers=headers) as response,
            ):
                text = await response.read()
        except TimeoutError as error:
            raise self._unavailable(f"it gave no answer for {seconds:.0f} s") from error
        if not text.strip() or "json" not in response.headers.get("Content-Type", ""):
            return None
        return json.loads(text)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """A request whose answer goes on; its connection is closed when the block is left, however that happens."""
        async with self._request(self._streams, method, path, params=params, data=data, headers=headers) as response:
            yield response

    @contextlib.asynccontextmanager
    async def _request(
        self,
        client: aiodocker.Docker | None,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        data: object,
        headers: Mapping[str, str] | None,
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        if client is None:
            raise RuntimeError("the engine is not open")
        try:
            response = await client._do_query(path, method, params=dict(params or {}), data=data, headers=headers)
        except aiodocker.DockerError as error:
            if error.status == 900:  # aiodocker's own number for "cannot connect"
                client.api_version = "auto"  # the engine that comes back may be another version
                raise self._unavailable(_cause(error)) from error
            raise _refused(error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(str(error)) from error
        try:
            yield response
        except aiohttp.ClientError as error:
            raise self._unavailable("it ended the connection") from error
        finally:
            response.close()

    def _unavailable(self, detail: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"The Docker Engine at {self.docker_host} cannot be reached: {detail}.",
            "Start it (`systemctl start docker`), check that this user may use its socket, or set BERTH_DOCKER_HOST.",
        )


async def json_lines(response: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON objects of an answer, one a line, however long (aiohttp's own line reader ends at 512 KiB)."""
    parts: list[bytes] = []
    async for chunk in response.content.iter_any():
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            parts.append(line)
            whole = b"".join(parts).strip()
            parts.clear()
            if whole:
                yield json.loads(whole)
        if rest:
            parts.append(rest)
    whole = b"".join(parts).strip()
    if whole:
        yield json.loads(whole)


def _client(docker_host: str) -> aiodocker.Docker:
    """A client without a limit of connections (one that waits for a free one waits for ever behind followed logs).

    Connections are not kept: after a restart of the engine a kept one fails the first request that may not be repeated.
    """
    scheme, _, rest = docker_host.partition("://")
    if scheme == "unix" and rest:
        local = aiohttp.UnixConnector(rest, limit=0, force_close=True)
        return aiodocker.Docker(url="unix://localhost", connector=local, timeout=_LIMITS)
    if scheme in {"tcp", "http", "https"} and rest:
        secure = scheme == "https" or os.environ.get("DOCKER_TLS_VERIFY", "0") == "1"
        context = aiodocker.Docker._docker_machine_ssl_context() if secure else None
        plain = aiohttp.TCPConnector(limit=0, force_close=True, ssl=True if context is None else context)
        return aiodocker.Docker(url=f"{'https' if secure else 'http'}://{rest}", connector=plain, timeout=_LIMITS)
    raise EngineUnavailable(
        f"{docker_host!r} is not an address of a Docker Engine.",
        "Set BERTH_DOCKER_HOST to unix:///PATH or tcp://HOST:PORT.",
    )


def _cause(error: BaseException) -> str:
    """The plain reason inside aiodocker's message ``Cannot connect to Docker Engine via … [reason]``."""
    inner = error.__context__
    system = inner.os_error if isinstance(inner, aiohttp.ClientConnectorError) else None
    if system is not None and system.strerror:
        return system.strerror.lower()
    return str(inner or error)


def _refused(error: aiodocker.DockerError) -> EngineRefused:
    message = str(error.message).strip()
    return EngineRefused(f"Docker refused: {message}.", status=error.status, message=message)
