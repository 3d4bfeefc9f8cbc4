"""Does the application answer? And if not, why not: what a person can see and mend."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from bot.engine.docker import ContainerState
from bot.engine.listeners import Listener, listening_ports, parse_tcp_table
from bot.errors import BerthError

__all__ = ["Listener", "ProbeResult", "Unhealthy", "ended", "listening_ports", "probe"]

IsAlive = Callable[[], Awaitable[ContainerState | None]]
Execute = Callable[[str, tuple[str, ...]], Awaitable[tuple[int, bytes]]]

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two tries; in between a tenth of the time so far
_LOOK_EVERY = 0.5  # seconds between two looks at the container while a try waits for its answer
_ANSWER_SECONDS = 30.0  # one try: an application that compiles at its first request may take its time
_EXPLAIN_EVERY = 2.0
_QUIET_SECONDS = 2.0
_EXCERPT = 4096  # bytes


@dataclass(frozen=True)
class ProbeResult:
    status: int | None  # of the HTTP answer; None for a probe of TCP only
    seconds: float
    excerpt: str  # the beginning of the answer's body


class Unhealthy(BerthError):  # noqa: N818
    """The application did not become ready. ``state`` is the last one seen of its container (None: it is gone)."""

    def __init__(
        self,
        reason: str,
        fix: str = "",
        *,
        state: ContainerState | None = None,
        last_status: int | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        super().__init__(reason, fix)
        self.state = state
        self.exit_code = state.exit_code if state is not None else None
        self.oom_killed = state is not None and state.oom_killed
        self.last_status = last_status
        self.listeners = tuple(listeners)


@dataclass
class _Seen:
    """What the tries have met so far."""

    problem: str = "refused"  # refused | status | silent | not_http | unreachable
    detail: str = ""
    last_status: int | None = None
    listeners: list[Listener] | None = None
    explained_at: float = field(default=-_EXPLAIN_EVERY)


async def probe(  # noqa: PLR0917
    address: str,
    port: int,
    path: str,
    protocol: str,
    deadline_seconds: float,
    is_alive: IsAlive,
    on_wait: Callable[[str], None],
    *,
    host: str | None = None,
    execute: Execute | None = None,
) -> ProbeResult:
    """Ask ``address:port`` until it answers, and return the answer.

    ``protocol`` is ``http`` (ready: any status below 500, redirects are not followed) or ``tcp`` (ready: it accepts a
    connection). ``path`` is the health path, ``host`` the Host header. ``is_alive`` gives the container's state; one
    that has ended ends the probe at once. ``on_wait`` is told in words what is being waited for, whenever that changes.
    ``execute`` (container id, command) reads the container's own /proc where this host's does not show it.

    Raises Unhealthy with the reason: the container ended, the answers were errors, nothing listens on that port (and
    what listens instead), or nothing answered before the deadline.
    """
    path = path if path.startswith("/") else "/" + path
    prober = _Prober(address, port, path, protocol, deadline_seconds, is_alive, on_wait, host, execute)
    return await prober.run()


@dataclass
class _Prober:
    address: str
    port: int
    path: str
    protocol: str
    deadline: float
    is_alive: IsAlive
    on_wait: Callable[[str], None]
    host: str | None
    execute: Execute | None
    seen: _Seen = field(default_factory=_Seen)
    told: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.began + self.deadline - time.monotonic()

    async def run(self) -> ProbeResult:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                result = await self._watched(self._try(session))
                if result is not None:
                    return result
                state = await self._check_alive()
                await self._explain(state)
                if self.left <= 0:
                    raise self._verdict(state)
                pause = (time.monotonic() - self.began) / 10
                pause = min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
                await asyncio.sleep(min(pause, max(0.0, self.left)))

    async def _watched(self, attempt: Awaitable[ProbeResult | None]) -> ProbeResult | None:
        """Wait for one try, while looking whether the container still lives."""
        task = asyncio.ensure_future(attempt)
        try:
            while not (await asyncio.wait([task], timeout=_LOOK_EVERY))[0]:
                await self._check_alive()
            return task.result()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])

    async def _try(self, session: aiohttp.ClientSession) -> ProbeResult | None:
        limit = max(0.05, min(self.left, _ANSWER_SECONDS))
        try:
            async with asyncio.timeout(limit):
                return await (self._try_tcp() if self.protocol == "tcp" else self._try_http(session))
        except TimeoutError:
            self._met("silent")
        except aiohttp.ServerDisconnectedError:
            self._met("not_http", "closes the connection without an answer")
        except OSError as error:  # aiohttp's errors of connections are these as well
            inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            if inner.errno in {errno.ECONNRESET, errno.EPIPE}:
                self._met("not_http", "closes the connection without an answer")
            else:
                problem = "refused" if inner.errno == errno.ECONNREFUSED else "unreachable"
                self._met(problem, inner.strerror or str(inner))
        except aiohttp.ClientError:
            self._met("not_http", "answers with something that is not HTTP")
        return None

    async def _try_tcp(self) -> ProbeResult:
        _, writer = await asyncio.open_connection(self.address, self.port)
        writer.transport.abort()
        return ProbeResult(None, time.monotonic() - self.began, "")

    async def _try_http(self, session: aiohttp.ClientSession) -> ProbeResult | None:
        url = f"http://{self.address}:{self.port}{self.path}"
        headers = {"User-Agent": "Berth", "Host": self.host or f"{self.address}:{self.port}"}
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status >= 500:
                self.seen.last_status = response.status
                self._met("status")
                return None
            body = b""
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(min(2.0, max(0.05, self.left))):
                    while len(body) < _EXCERPT and (chunk := await response.content.read(_EXCERPT - len(body))):
                        body += chunk
            return ProbeResult(response.status, time.monotonic() - self.began, body.decode("utf-8", "replace"))

    def _met(self, problem: str, detail: str = "") -> None:
        self.seen.problem, self.seen.detail = problem, detail

    async def _check_alive(self) -> ContainerState:
        state = await self.is_alive()
        if state is None:
            raise Unhealthy("The container was removed while it started.", "Deploy again.")
        if not state.running:
            raise ended(state, self.seen.last_status)
        return state

    async def _explain(self, state: ContainerState) -> None:
        """Find out what is missing, and say it when it is something new."""
        now = time.monotonic() - self.began
        due = now - self.seen.explained_at >= _EXPLAIN_EVERY or self.left <= 0
        if self.seen.problem == "refused" and due:
            self.seen.explained_at = now
            self.seen.listeners = await self._listeners(state)
        text = self._waiting()
        # every program needs a moment until it listens
        if text != self.told and (now >= _QUIET_SECONDS or self.seen.problem != "refused"):
            self.told = text
            self.on_wait(text)

    async def _listeners(self, state: ContainerState) -> list[Listener] | None:
        found = await asyncio.to_thread(listening_ports, state.pid, self.address)
        if found is None and self.execute is not None:
            with contextlib.suppress(BerthError):
                _, output = await self.execute(state.id, ("cat", "/proc/net/tcp", "/proc/net/tcp6"))
                found = parse_tcp_table(output.decode("ascii", "replace"))
        return found

    def _waiting(self) -> str:
        seen = self.seen
        match seen.problem:
            case "status":
                return f"answers {seen.last_status} on {self.path}; waiting for a status below 500"
            case "silent":
                return f"accepts connections on port {self.port} but does not answer yet"
            case "not_http":
                return f"port {self.port} {seen.detail}"
            case "unreachable":
                return f"{self.address}:{self.port} is not reachable yet: {seen.detail}"
        others = ", ".join(str(listener) for listener in seen.listeners or ())
        return f"nothing listens on port {self.port} yet" + (f" (but on {others})" if others else "")

    def _verdict(self, state: ContainerState) -> Unhealthy:
        waited = f"{self.deadline:.0f} s"
        seen = self.seen
        match seen.problem:
            case "status":
                reason = f"The application answered {seen.last_status} on {self.path} until the deadline of {waited}."
                fix = "Its log says why; or set another health path, one that answers with a status below 500."
            case "silent":
                reason = f"The application accepts connections on port {self.port} but gave no answer within {waited}."
                fix = f"Look at what it does when {self.path} is requested, or set another health path."
            case "not_http":
                reason = f"Port {self.port} of the application {seen.detail}, until the deadline of {waited}."
                fix = "Set the port that speaks HTTP, or declare the service's protocol as tcp."
            case "unreachable":
                reason = f"{self.address}:{self.port} could not be reached within {waited}: {seen.detail}."
                fix = "Check the Docker host's firewall: Berth asks the container's own address."
            case _:
                reason, fix = _not_listening(self.port, seen.listeners, waited)
        return Unhealthy(reason, fix, state=state, last_status=seen.last_status, listeners=seen.listeners or ())


def _not_listening(port: int, listeners: list[Listener] | None, waited: str) -> tuple[str, str]:
    """What it means that nothing accepts connections on ``port``, given what does listen (None: not known)."""
    here = [listener for listener in listeners or () if listener.port == port]
    others = [listener for listener in listeners or () if listener.port != port]
    reachable = sorted({listener.port for listener in others if not listener.only_local})
    if here:
        return (
            f"The application listens on {here[0]} only, which nobody outside its container can reach.",
            f"Let it listen on 0.0.0.0:{port}.",
        )
    if reachable:
        ports = " and ".join(map(str, reachable))
        word = "port" if len(reachable) == 1 else "ports"
        return (
            f"The application listens on {word} {ports}, not on {port}.",
            f"Set the port to {reachable[0]}, or let the application listen on the port in the variable PORT.",
        )
    if others:
        return (
            f"The application listens on {others[0]} only, which nobody outside its container can reach, and not on "
            f"port {port}.",
            f"Let it listen on 0.0.0.0:{port}; the variable PORT holds that port.",
        )
    known = "" if listeners is None else "; it has opened no port at all"
    return (
        f"Nothing listens on port {port} after {waited}{known}.",
        "Let the application listen on 0.0.0.0 and the port in the variable PORT; its log may say what it waits for.",
    )


def ended(state: ContainerState, last_status: int | None = None) -> Unhealthy:
    """Why a container that does not run any more is not ready."""
    code = state.exit_code
    if state.oom_killed:
        reason = "The application was killed because it used more memory than its limit."
        fix = "Raise its memory limit, or let it use less."
    elif code == 0:
        reason = "The application ended by itself (exit code 0) instead of waiting for requests."
        fix = "Check the start command: it must stay in the foreground."
    elif code == 127:
        reason = "The start command was not found in the image (exit code 127)."
        fix = "Correct the start command, or install the program in the image."
    elif code == 126:
        reason = "The start command cannot be executed (exit code 126)."
        fix = "Make it executable (`git update-index --chmod=+x FILE`), or start it with its interpreter."
    elif code is not None and code > 128:
        reason = f"The application was ended by signal {code - 128} (exit code {code})."
        fix = "Its log may say why."
    else:
        reason = f"The application ended with exit code {code} before it answered."
        fix = "Its last log lines say why."
    return Unhealthy(reason, fix, state=state, last_status=last_status)
