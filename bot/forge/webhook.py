"""Receiving a delivery: check who sent it, decide, and store the decision together with the work that it causes.

The same code serves every forge. The signature is checked by ourselves, over the raw body and in constant time, before
anything is parsed (https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bot.errors import BerthError, ConflictError
from bot.forge import events
from bot.source.refs import printable
from bot.store.database import Row, Store, Transaction
from bot.store.tables import deliveries, deployments, repositories

log = structlog.get_logger()

MAX_BODY = 25_000_000  # bytes; GitHub sends nothing larger
REPLAY = "replay-"  # begins the delivery id of what was not sent, but decided on again
READ_SECONDS = 30.0  # for a whole body: whoever has not signed anything yet holds nothing up for longer
_KEEP_WHOLE = 262_144  # bytes; longer payloads are stored without their lists of commits
_KEEP_DEPTH, _KEEP_ITEMS, _KEEP_TEXT = 8, 200, 65_536  # of longer ones still: the longest comment fits
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Hook:
    """Where a delivery comes from: the secret that signs it, and the only repository it may speak for (None: any)."""

    secret: str
    repository_id: int | None = None


@dataclass(frozen=True)
class Answer:
    """``status`` and JSON ``body`` for the sender; ``repository_id`` is ours, where the delivery belongs to one."""

    status: int
    body: dict[str, Any]
    repository_id: int | None = None
    decision: events.Decision | None = None  # None for refused and for repeated deliveries


# hook id (the header X-GitHub-Hook-ID) -> Hook, None where there is no such hook
FindHook = Callable[[str], Awaitable[Hook | None]]


@dataclass(frozen=True)
class Outcome:
    """What became of a decision: perhaps another one, because of what the database says, and deployments."""

    decision: events.Decision
    deployment_ids: tuple[int, ...] = ()


# called in the delivery's transaction with (tx, decision, repository row, id of the delivery's row)
Apply = Callable[[Transaction, events.Decision, Row, int], Awaitable[Outcome]]


async def default_context(repository: Row, _payload: Mapping[str, Any]) -> events.Context:
    return events.Context(repository["default_branch"])


@dataclass(frozen=True)
class Receiver:
    """What :func:`receive` needs from the application and from the forge."""

    store: Store
    forge_id: int
    find_hook: FindHook
    apply: Apply
    # what a decision on this (repository, payload) must know
    context: Callable[[Row, Mapping[str, Any]], Awaitable[events.Context]] = default_context


def signature_fits(secret: str, body: bytes, header: str | None) -> bool:
    """Whether ``header`` (X-Hub-Signature-256) signs ``body``. False without a secret, and for anything malformed."""
    if not secret or header is None or not _SIGNATURE.fullmatch(header):
        return False
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={digest}", header)


@dataclass(frozen=True)
class Delivery:
    """A delivery whose signature fits. ``text`` is what is kept of its payload."""

    hook_id: str
    delivery_id: str
    event: str
    payload: dict[str, Any]
    text: str
    sender: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """Columns that are filled before anything is decided."""
        sender = self.sender or events.text(self.payload, "sender", "login")
        action = printable(events.text(self.payload, "action"), 64)
        return {"action": action, "sender": printable(sender, 255)}


def open_delivery(hook: Hook | None, hook_id: str, headers: Mapping[str, str], body: bytes) -> Delivery | Answer:
    """Check the signature, and only then read what was sent. The answer is 401 or 400; nothing of it is logged."""
    if hook is None or not signature_fits(hook.secret, body, headers.get("x-hub-signature-256")):
        return _refused(401, "The signature is missing or wrong.")
    event, delivery_id = headers.get("x-github-event", ""), headers.get("x-github-delivery", "")
    if not _NAME.fullmatch(event) or not _NAME.fullmatch(delivery_id):
        return _refused(400, "The headers X-GitHub-Event and X-GitHub-Delivery are needed.")
    try:
        text, payload = read_payload(headers.get("content-type", ""), body)
    except ValueError as error:
        return _refused(400, f"The body cannot be read: {error}.")
    return Delivery(hook_id, delivery_id, event, payload, _stored_text(text, payload))


def is_name(text: str) -> bool:
    """Whether a header may be the id of a hook or of a delivery."""
    return _NAME.fullmatch(text) is not None


async def receive(receiver: Receiver, headers: Mapping[str, str], body: bytes) -> Answer:
    """Take one delivery. ``headers`` is case-insensitive, as Starlette's.

    Answers 401 for a wrong signature, 400 for what cannot be read, 202 for a new delivery and 200 for one that was
    stored before, both with ``{"delivery", "decision", "reason", "deployment_id", "deployment_ids"}``. When it answers
    202, delivery and work are on disk.
    """
    hook_id = headers.get("x-github-hook-id", "")
    hook = await receiver.find_hook(hook_id) if is_name(hook_id) else None
    delivery = open_delivery(hook, hook_id, headers, body)
    if isinstance(delivery, Answer):
        return delivery
    repository = await _repository(receiver, delivery.payload)
    if (
        hook is not None
        and hook.repository_id is not None
        and (repository is None or repository["id"] != hook.repository_id)
    ):
        return _refused(400, "This hook may not speak for that repository.")
    return await _judge(receiver, delivery, repository)


async def decide_again(receiver: Receiver, row: Row, actor: str) -> Answer:
    """Decide again on a stored delivery, which is stored anew. Raises ConflictError where it was not kept whole."""
    payload = json.loads(row["payload_json"])
    if set(payload) == {"berth"}:
        raise ConflictError("This delivery was too long to be kept.", "Let it be sent again.")
    delivery = Delivery(
        row["hook_id"], f"{REPLAY}{secrets.token_hex(12)}", row["event"], payload, row["payload_json"], actor
    )
    return await _judge(receiver, delivery, await _repository(receiver, payload))


async def _judge(receiver: Receiver, delivery: Delivery, repository: Row | None) -> Answer:
    if repository is None:
        decision = events.Decision("ignored", "Berth does not know this repository.")
        if delivery.event == "ping":
            decision = events.decide(delivery.event, delivery.payload, events.Context(""))
    else:
        context = await receiver.context(repository, delivery.payload)
        decision = events.decide(delivery.event, delivery.payload, context)
    try:
        return await _store(receiver, delivery, repository, decision)
    except BerthError as error:  # the work is impossible: that is the decision then
        return await _store(receiver, delivery, repository, replace(decision, kind="ignored", reason=str(error)))


def read_payload(content_type: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """The payload's JSON text and the object in it. Raises ValueError in words."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        text = body.decode()
        if kind == "application/x-www-form-urlencoded":
            text = parse_qs(text, strict_parsing=True, max_num_fields=10, encoding="utf-8", errors="strict")["payload"][
                0
            ]
        elif kind != "application/json":
            raise ValueError(f"its type is {printable(kind, 60)!r}, not application/json")
        payload = json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except KeyError:
        raise ValueError("the form has no field payload") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg} at {error.pos})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(payload, dict):
        raise ValueError("it is not a JSON object")
    return text, payload


def _no_constant(name: str) -> None:
    raise ValueError(f"it contains {name}")


def _stored_text(text: str, payload: dict[str, Any]) -> str:
    """The payload without what makes it long, and is not needed to decide on it again."""
    if len(text) <= _KEEP_WHOLE:
        return text
    shorter = json.dumps({key: value for key, value in payload.items() if key != "commits"}, ensure_ascii=False)
    if len(shorter) > _KEEP_WHOLE:
        shorter = json.dumps(_shortened(payload, 0), ensure_ascii=False)
    if len(shorter) > _KEEP_WHOLE:
        return json.dumps({"berth": "this payload was too long to be kept"})
    return shorter.encode(errors="backslashreplace").decode()


def _shortened(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        kept = {} if depth > _KEEP_DEPTH else dict(list(value.items())[:_KEEP_ITEMS])
        return {key[:100]: _shortened(inner, depth + 1) for key, inner in kept.items() if key != "commits"}
    if isinstance(value, list):
        return [_shortened(inner, depth + 1) for inner in value[:_KEEP_ITEMS]] if depth <= _KEEP_DEPTH else []
    return value[:_KEEP_TEXT] if isinstance(value, str) else value


async def _repository(receiver: Receiver, payload: Mapping[str, Any]) -> Row | None:
    """Found by the forge's numeric id: names are only labels."""
    named = payload.get("repository")
    number = named.get("id") if isinstance(named, Mapping) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**63:
        return None
    return await receiver.store.one(
        sa.select(repositories).where(
            repositories.c.forge_id == receiver.forge_id,
            repositories.c.forge_repository_id == number,
            repositories.c.removed_at.is_(None),
        )
    )


async def _store(receiver: Receiver, delivery: Delivery, repository: Row | None, decision: events.Decision) -> Answer:
    repository_id = repository["id"] if repository else None
    insert = sqlite.insert if receiver.store.sqlite else postgresql.insert
    key = {"forge_id": receiver.forge_id, "hook_id": delivery.hook_id, "delivery_id": delivery.delivery_id}
    values = {
        "event": delivery.event,
        "repository_id": repository_id,
        "payload_json": delivery.text,
        "received_at": time.time(),
        **delivery.facts,
        **decided(Outcome(decision)),
    }
    outcome = Outcome(decision)
    async with receiver.store.begin() as tx:
        query = insert(deliveries).values(key | values).on_conflict_do_nothing().returning(deliveries.c.id)
        made = await tx.all(query)
        if made and repository and decision.kind != "ignored":
            outcome = await receiver.apply(tx, decision, repository, made[0]["id"])
            change = sa.update(deliveries).where(deliveries.c.id == made[0]["id"])
            await tx.run(change.values(decided(outcome)))
    if not made:
        return await repeated(receiver.store, key)
    log.info("delivery stored", kind=delivery.event, repository=repository_id, decision=outcome.decision.kind)
    body = _body(delivery.delivery_id, outcome.decision.kind, outcome.decision.reason, outcome.deployment_ids)
    return Answer(200 if delivery.event == "ping" else 202, body, repository_id, outcome.decision)


def decided(outcome: Outcome) -> dict[str, Any]:
    """The columns of a delivery that a decision fills."""
    decision, ids = outcome.decision, outcome.deployment_ids
    return {
        "decision": decision.kind,
        "reason": decision.reason,
        "ref": decision.ref,
        "sha": decision.sha,
        "deployment_id": ids[0] if ids else None,
    }


async def repeated(store: Store, key: Mapping[str, Any]) -> Answer:
    """The answer to a delivery that is stored already under these columns."""
    row = await store.one(sa.select(deliveries).where(*(deliveries.c[name] == key[name] for name in key)))
    if row is None:
        raise RuntimeError("a delivery was there and is gone")
    made = sa.select(deployments.c.id).where(deployments.c.delivery_id == row["id"]).order_by(deployments.c.id)
    ids = [found["id"] for found in await store.all(made)] or [row["deployment_id"]] * bool(row["deployment_id"])
    return Answer(200, _body(row["delivery_id"], row["decision"], row["reason"], ids), row["repository_id"])


def _body(delivery: str, decision: str, reason: str, deployment_ids: Sequence[int]) -> dict[str, Any]:
    return {
        "delivery": delivery,
        "decision": decision,
        "reason": reason,
        "deployment_id": deployment_ids[0] if deployment_ids else None,
        "deployment_ids": list(deployment_ids),
    }


def _refused(status: int, reason: str) -> Answer:
    return Answer(status, {"error": reason})


def endpoint(
    take: Callable[[Mapping[str, str], bytes], Awaitable[Answer]], *, max_body: int = MAX_BODY
) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a webhook route: reads at most ``max_body`` bytes, answers what ``take(headers, body)`` says."""

    async def handle(request: Request) -> Response:
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await _read(request, max_body)
        except ClientDisconnect:
            return Response(status_code=400)
        except TimeoutError:
            return JSONResponse({"error": "The body came too slowly."}, 408, {"Connection": "close"})
        if body is None:
            return JSONResponse({"error": f"More than {max_body} bytes."}, 413, {"Connection": "close"})
        answer = await take(request.headers, body)
        return JSONResponse(answer.body, answer.status)

    return handle


async def _read(request: Request, max_body: int) -> bytes | None:
    """The body; None where it is too long, of which no more than that is read."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_body:
        return None
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_body:
            return None
    return bytes(body)
