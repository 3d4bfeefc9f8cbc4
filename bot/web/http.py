"""What every route of the API shares: who may call it, what it takes and answers, refusals, streams.

A route is declared with :func:`endpoint`, which checks what was declared before the handler runs; the document at
``/openapi.json`` and the tests of permissions are made from the same declarations.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar, cast

import structlog
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Match, Route

from bot.errors import BerthError, ConflictError, NotFoundError, UnavailableError
from bot.web import access
from bot.web.access import Level, Principal
from bot.wording import plainly

if TYPE_CHECKING:
    from bot.app import Berth

log = structlog.get_logger()
Handler = Callable[[Request], Awaitable[Response]]
DataHandler = Callable[[Request], Awaitable[Any]]
T = TypeVar("T")
MAX_ID = 2**31 - 1  # that a column of PostgreSQL holds; SQLite would take more
BODY_LIMIT = 2_000_000  # bytes; the largest is an import of many variables
_SIGN_OF_LIFE = 15.0  # seconds between empty lines on a silent stream


@dataclass(frozen=True)
class Needs:
    """What whoever calls a route must be allowed: ``level`` on the object of the kind ``of`` that the request names.

    ``of``: one of :data:`bot.web.access.KINDS`; "anything": every token will do, and the handler shows only what its
    bearer may see; "public": no token either. The object's number is in the path, or what the body's ``subject()``
    says. ``stream``: the short-lived tokens of those who pushed are good too.
    """

    level: Level
    of: str
    named_in: Literal["path", "body"] = "path"
    stream: bool = False


PUBLIC: Final = Needs(Level.NONE, "public")
SIGNED_IN: Final = Needs(Level.NONE, "anything")
NDJSON: Final = "application/x-ndjson"
TEXT: Final = "text/plain"


class Subject(Protocol):
    """A body that names the object that it is about."""

    def subject(self) -> tuple[str, int]:
        """Kind and number."""
        ...


class RefusedError(BerthError):
    """A refusal with a status of its own."""

    def __init__(self, status: int, reason: str, fix: str = "") -> None:
        super().__init__(reason, fix)
        self.status = status


def berth_of(request: Request) -> Berth:
    berth: Berth = request.app.state.berth
    return berth


class Endpoint(Route):
    """A route of the API with its declaration. ``answers``: status -> type of the JSON, None for no content, or a media
    type for what is not JSON."""

    def __init__(
        self,
        path: str,
        handler: DataHandler,
        needs: Needs,
        *,
        method: str,
        body: Any,
        query: Any,
        answers: Mapping[int, Any],
    ) -> None:
        self.handler, self.needs, self.method = handler, needs, method
        self.body, self.query, self.answers = body, query, answers
        self._body = None if body is None else TypeAdapter(body)
        self._query = None if query is None else TypeAdapter(query)
        self._status, shape = next(iter(answers.items()))
        self._answer = None if shape is None or shape in (NDJSON, TEXT) else TypeAdapter(shape)
        super().__init__(path, self._respond, methods=[method], name=getattr(handler, "__name__", path))

    async def _respond(self, request: Request) -> Response:
        try:
            result = await self._handle(request)
            if isinstance(result, Response):
                return result
            assert self._answer is not None, f"{self.path} answers what it has not declared"
            content = self._answer.dump_json(self._answer.validate_python(result))
            return Response(content, self._status, {"Cache-Control": "no-store"}, "application/json")
        except BerthError as error:
            return problem(error)
        except HTTPException as error:
            return problem(RefusedError(error.status_code, error.detail))
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("a request failed", method=request.method, path=request.url.path)
            return problem(RefusedError(500, "A mistake inside Berth.", "The server's log says more."))

    async def _handle(self, request: Request) -> Any:
        needs, read = self.needs, False
        if needs.of != "public":
            request.state.principal = await _principal(request, needs)
            check_ids(request)
            subject = (needs.of, next((one for one in request.path_params.values() if isinstance(one, int)), 0))
            if needs.named_in == "body":
                assert self._body is not None
                request.state.body, read = await body_of(request, self._body), True
                subject = cast("Subject", request.state.body).subject()
            await _admit(request, needs.level, *subject)
        if self._query is not None:
            request.state.query = _query_of(request, self._query)
        if self._body is not None and not read:
            request.state.body = await body_of(request, self._body)
        return await self.handler(request)


def endpoint(
    path: str,
    handler: DataHandler,
    needs: Needs,
    *,
    method: str = "GET",
    body: Any = None,
    query: Any = None,
    answer: Any = None,
    status: int = 200,
    also: Mapping[int, Any] | None = None,
) -> Endpoint:
    """A route of the API: refuses strangers and what does not fit, answers errors as RFC 9457 describes.

    ``body``, ``query``: what the request must fit, found by the handler with :func:`given` and :func:`asked`.
    ``answer``: the type of what the handler returns, which goes out as JSON in this very shape; a handler may also
    return a Response. ``also``: what else it may answer, by status.
    """
    return Endpoint(
        path, handler, needs, method=method, body=body, query=query, answers={status: answer, **(also or {})}
    )


async def nothing_here(request: Request) -> Response:
    """The last route: 405 where another method would do, else 404."""
    others: set[str] = set()
    for route in request.app.router.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is Match.PARTIAL:
            others |= route.methods or set()
    if not others:
        return problem(NotFoundError("There is nothing at this address.", "See /openapi.json."))
    answer = problem(RefusedError(405, f"{request.method} is not what can be done here."))
    answer.headers["Allow"] = ", ".join(sorted(others))
    return answer


async def _principal(request: Request, needs: Needs) -> Principal:
    found = await access.bearer(berth_of(request), bearer(request), stream=needs.stream)
    if found is None:
        raise RefusedError(
            401,
            "This needs a token.",
            "Send `Authorization: Bearer` and a token of Berth, or what operator-token holds.",
        )
    return found


async def _admit(request: Request, needed: Level, kind: str, identifier: int) -> None:
    """Raises NotFoundError for what the bearer may not see, RefusedError for what they may not do."""
    if kind == "anything":
        return
    berth, principal = berth_of(request), principal_of(request)
    repository_id = await access.owner(berth.store, kind, identifier)
    found = await access.level(berth, principal, repository_id, fresh=needed > Level.READ)
    if found < Level.READ and repository_id is not None:
        raise access.missing(kind, identifier)
    if found < needed:
        what = "this" if repository_id is not None else "the installation as a whole"
        raise RefusedError(403, f"The token may not do that: it needs {needed.name.lower()} on {what}.")


def principal_of(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


def actor(request: Request) -> str:
    """In whose name the request acts."""
    return principal_of(request).name


def given(request: Request, shape: type[T]) -> T:
    """The request's body, which was read and checked before the handler was called."""
    found = request.state.body
    assert isinstance(found, shape)
    return found


def asked(request: Request, shape: type[T]) -> T:
    """The parameters of the query, checked like the body."""
    found = request.state.query
    assert isinstance(found, shape)
    return found


def check_ids(request: Request) -> None:
    """Raises NotFoundError for a number in the path that is larger than any id in the database."""
    if any(isinstance(value, int) and value > MAX_ID for value in request.path_params.values()):
        raise NotFoundError("There is nothing of that number.")


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_operator(request: Request, token: str) -> bool:
    expected = berth_of(request).operator_token
    return bool(expected) and secrets.compare_digest(token.encode(), expected.encode())


def status_of(error: BerthError) -> int:
    if isinstance(error, RefusedError):
        return error.status
    named = {NotFoundError: 404, ConflictError: 409, UnavailableError: 503}
    return next((status for kind, status in named.items() if isinstance(error, kind)), 400)


def problem(error: BerthError) -> Response:
    status = status_of(error)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.reason,
        "fix": error.fix,
    }
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def body_of(request: Request, shape: type[T] | TypeAdapter[T]) -> T:
    """The request's JSON body as ``shape`` (a pydantic model or adapter). Raises RefusedError: 413, 422."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > BODY_LIMIT:
            raise RefusedError(413, f"The body has more than {BODY_LIMIT} bytes.")
    adapter = shape if isinstance(shape, TypeAdapter) else TypeAdapter(shape)
    try:
        return adapter.validate_json(bytes(content) or b"{}")
    except ValidationError as error:
        raise _unfit(error, "Correct the body.") from error


def _query_of(request: Request, adapter: TypeAdapter[T]) -> T:
    values = request.query_params.multi_items()
    twice = next((name for name, _ in values if len(request.query_params.getlist(name)) > 1), "")
    if twice:
        raise RefusedError(422, f"{twice[:80]} is given twice.", "Give it once.")
    try:
        return adapter.validate_python(dict(values))
    except ValidationError as error:
        raise _unfit(error, "Correct the query.") from error


def _unfit(error: ValidationError, fix: str) -> RefusedError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:80] for part in first["loc"])
    text = plainly(first["msg"])
    return RefusedError(422, f"{place} {text}." if place else f"{text}.", fix)


def number(request: Request, name: str, default: int, *, least: int = 0, most: int = 2**62) -> int:
    """A whole number from the query. Raises RefusedError: 422."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise RefusedError(422, f"{name} must be a whole number from {least} to {most}.")


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true", "yes")


class Lines(StreamingResponse):
    """Objects as NDJSON, as they come; empty lines while there are none. Ends when the reader goes away."""

    def __init__(self, objects: AsyncIterator[dict[str, Any]]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_encode(objects), media_type="application/x-ndjson", headers=headers)


_readers: set[asyncio.Task[None]] = set()


def end_streams() -> None:
    """End all streams now: the server stops, and must not wait for readers who would stay for ever."""
    for reader in _readers:
        reader.cancel()


async def _encode(objects: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """A task of its own reads the objects, so that a silent source can be waited for without being interrupted."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
    reader = asyncio.create_task(_read(objects, queue), name="stream reader")
    _readers.add(reader)
    reader.add_done_callback(_readers.discard)
    try:
        while not (reader.done() and queue.empty()):
            arrival = asyncio.create_task(queue.get())
            try:
                await asyncio.wait({arrival, reader}, timeout=_SIGN_OF_LIFE, return_when=asyncio.FIRST_COMPLETED)
                batch = [arrival.result()] if arrival.done() else []
            finally:
                arrival.cancel()
            while not queue.empty():
                batch.append(queue.get_nowait())
            if batch or not reader.done():
                yield b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in batch) or b"\n"
    finally:
        reader.cancel()
        await asyncio.wait({reader})


async def _read(objects: AsyncIterator[dict[str, Any]], queue: asyncio.Queue[dict[str, Any]]) -> None:
    try:
        async for item in objects:
            await queue.put(item)
    except BerthError as error:
        log.info("a stream ended early", reason=error.reason)
    finally:
        if isinstance(objects, AsyncGenerator):
            await objects.aclose()
