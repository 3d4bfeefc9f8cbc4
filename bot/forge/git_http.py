"""git's smart HTTP protocol, spoken by ``git http-backend`` as a CGI program.

https://git-scm.com/docs/git-http-backend, https://git-scm.com/docs/http-protocol. Only what fetching and pushing need
is passed on; both need the repository's token.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.forge import webhook
from bot.forge.local import LocalForge
from bot.forge.pushes import WEBHOOK_PATH
from bot.source.process import end_group, environment, start_git
from bot.source.refs import printable
from bot.store.database import Row

log = structlog.get_logger()

MOST = 64  # git processes for clients at the same time
SILENCE = 300.0  # seconds until the next piece of a request: a client counts and compresses before it sends
GRACE = 3.0  # seconds for git to clean up after itself
PIECE = 65_536

StreamToken = Callable[[int], str]  # repository id -> token that may watch its deployments

_SERVICES = ("git-upload-pack", "git-receive-pack")
_SETTINGS = (
    ("http.getanyfile", "false"),
    ("http.receivepack", "true"),
    ("receive.denyDeletes", "false"),  # but of the default branch: that is receive.denyDeleteCurrent
    ("receive.denyNonFastForwards", "false"),
    ("receive.shallowUpdate", "true"),  # CI systems clone with --depth 1 and push that
    ("receive.fsckObjects", "true"),
    # harmless faults of old programs that many histories have; every large host lets them pass
    ("receive.fsck.badTimezone", "ignore"),
    ("receive.fsck.missingSpaceBeforeDate", "ignore"),
    ("receive.fsck.zeroPaddedFilemode", "ignore"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("core.logAllRefUpdates", "true"),  # keeps replaced commits for a while, so that they can be deployed again
    ("gc.auto", "6700"),
    ("maintenance.auto", "true"),
)


class _ClientGone(Exception):  # noqa: N818 - an event, not an error
    pass


def routes(forge: LocalForge, stream_token: StreamToken) -> list[Route]:
    """``/git/NAME.git/…`` for git, and the address to which its hook delivers."""
    return [
        Route("/git/{name}.git/{path:path}", GitHttp(forge, stream_token)),
        Route(WEBHOOK_PATH, webhook.endpoint(forge.pushes.take), methods=["POST"], name="local_webhooks"),
    ]


@dataclass(frozen=True)
class _Call:
    """What a request asks of git."""

    service: str
    path: str  # below the repository
    row: Row
    pushes: bool  # whether it changes branches


class GitHttp:
    """The ASGI application of one forge."""

    def __init__(self, forge: LocalForge, stream_token: StreamToken) -> None:
        self._forge = forge
        self._stream_token = stream_token
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        answer = await self._examine(request)
        if isinstance(answer, Response):
            await answer(scope, receive, send)
            return
        self._running += 1
        try:
            async with self._forge.pushes.pushing(answer.row) if answer.pushes else nullcontext():
                await self._serve(request, answer, receive, send)
        finally:
            self._running -= 1

    async def _examine(self, request: Request) -> _Call | Response:
        """What is asked for, or the refusal."""
        path, query = request.path_params["path"], request.query_params
        if request.method == "GET" and path == "info/refs" and query.get("service") in _SERVICES:
            service = query["service"]
        elif request.method == "POST" and path in _SERVICES:
            service = path
        else:
            return PlainTextResponse("There is nothing but git's smart protocol here.\n", 404)
        row = await self._forge.find(request.path_params["name"])
        expected = self._forge.push_token(row) if row else ""
        if not secrets.compare_digest(_password(request).encode(), expected.encode()) or not row:
            text = "Unknown repository, or wrong token. `berth remote NAME` prints the address with its token.\n"
            return PlainTextResponse(text, 401, {"WWW-Authenticate": 'Basic realm="Berth", charset="UTF-8"'})
        if self._running >= MOST:
            return PlainTextResponse("Too many pushes at the same time. Try again.\n", 503, {"Retry-After": "10"})
        return _Call(service, path, row, pushes=path == "git-receive-pack")

    async def _serve(self, request: Request, call: _Call, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._deadline(call)), self._process(request, call) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                upload = asyncio.create_task(_upload(receive, process.stdin))
                respond = asyncio.create_task(_respond(process.stdout, send))
                try:
                    await asyncio.wait({upload, respond}, return_when=asyncio.FIRST_COMPLETED)
                    if not respond.done():  # then the client is gone, which ends the upload
                        await upload
                    await respond
                finally:
                    upload.cancel()
                    respond.cancel()
                    await asyncio.gather(upload, respond, return_exceptions=True)
                await process.wait()
        except _ClientGone:
            log.info("a git client went away", repository=call.row["id"], service=call.service)
        except TimeoutError:
            log.warning("git took too long and was ended", repository=call.row["id"], service=call.service)

    def _deadline(self, call: _Call) -> float:
        """Seconds for the transfer; a push then shows its deployments for a while."""
        shown = self._forge.pushes.watch_seconds + 60 if call.pushes else 0
        return self._forge.config.fetch_timeout + shown

    @asynccontextmanager
    async def _process(self, request: Request, call: _Call) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await start_git("http-backend", env=self._environment(request, call))
        assert process.stderr is not None
        errors = asyncio.create_task(_log_errors(process.stderr, call.row["id"]))
        try:
            yield process
        finally:
            if process.returncode is None:
                await asyncio.shield(end_group(process, GRACE))
            errors.cancel()
            with suppress(asyncio.CancelledError):
                await errors

    def _environment(self, request: Request, call: _Call) -> dict[str, str]:
        folder = self._forge.clone_path(call.row)
        data = self._forge.config.data_dir
        settings = (
            *_SETTINGS,
            ("core.hooksPath", str(data / "hooks")),
            ("receive.maxInputSize", str(self._forge.config.repository_max_bytes)),
        )
        headers = request.headers
        variables = {
            "GIT_PROJECT_ROOT": str(folder.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{folder.name}/{call.path}",
            "QUERY_STRING": f"service={call.service}" if request.method == "GET" else "",
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "REMOTE_USER": "git",
            "REMOTE_ADDR": request.client.host if request.client else "",
            "GIT_COMMITTER_NAME": "git",
            "GIT_COMMITTER_EMAIL": "git@localhost",
        }
        for variable, header in (
            ("CONTENT_LENGTH", "content-length"),
            ("HTTP_CONTENT_ENCODING", "content-encoding"),
            ("GIT_PROTOCOL", "git-protocol"),
        ):
            if header in headers:
                variables[variable] = headers[header]
        if call.pushes:
            variables |= self._forge.pushes.hook_variables(call.row, self._stream_token(call.row["id"]))
        return environment(settings, variables)


def _password(request: Request) -> str:
    """The password of HTTP's Basic authentication (RFC 7617), with any user name; "" where there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _upload(receive: Receive, stdin: asyncio.StreamWriter) -> None:
    """Pass the request's body on to git, as fast as git takes it; then wait for the client to go away.

    Raises _ClientGone when it does, or says nothing for too long. A body that git does not want any more is dropped.
    """
    more, wanted = True, True
    while True:
        try:
            message = await asyncio.wait_for(receive(), SILENCE if more else None)
        except TimeoutError:
            raise _ClientGone from None
        if message["type"] != "http.request":
            raise _ClientGone
        try:
            if wanted and message.get("body"):
                stdin.write(message["body"])
                await stdin.drain()
        except (BrokenPipeError, ConnectionResetError, RuntimeError):  # the last is uvloop's for a closed pipe
            wanted = False
        more = message.get("more_body", False)
        if not more:
            stdin.close()


async def _respond(stdout: asyncio.StreamReader, send: Send) -> None:
    """Pass git's CGI answer (RFC 3875, 6) on to the client, as fast as the client takes it."""
    status, headers = 500, [(b"content-type", b"text/plain")]
    try:
        head = await stdout.readuntil(b"\r\n\r\n")
        status, headers = _head(head)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        log.error("git http-backend gave no answer")
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while piece := await stdout.read(PIECE):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _head(raw: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    status = HTTPStatus.OK.value
    headers = []
    for line in raw.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"status":
            status = int(value.split()[0])
        elif value:
            headers.append((name.strip().lower(), value.strip()))
    return status, headers


async def _log_errors(stderr: asyncio.StreamReader, repository: int) -> None:
    text = await stderr.read(PIECE)
    while piece := await stderr.read(PIECE):
        text = (text + piece)[-4_096:]
    if text:
        log.warning(
            "git http-backend complained", repository=repository, text=printable(text.decode(errors="replace"), 1_000)
        )
