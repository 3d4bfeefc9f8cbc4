"""Deliveries over HTTP: signatures, bad bodies, repetition, one transaction."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import sqlalchemy as sa

from bot.errors import BerthError
from bot.forge.webhook import MAX_BODY, Answer, Hook, Receiver, receive, signature_fits
from bot.store.tables import deliveries
from tests.forge.conftest import Rig

pytestmark = pytest.mark.anyio
SHA, ZERO = "a" * 40, "0" * 40


class Sender:
    """Speaks to the webhook route as a forge does."""

    def __init__(self, rig: Rig, row: dict[str, Any]) -> None:
        self.url = f"{rig.base}/api/local/webhooks"
        self.row = row
        self.secret = rig.forge.vault.decrypt(row["webhook_secret_enc"])
        self.client = httpx2.AsyncClient(timeout=20, verify=False)

    def payload(self, **changes: Any) -> bytes:
        repository = {"id": self.row["forge_repository_id"], "name": "shop", "default_branch": "main"}
        base = {"ref": "refs/heads/main", "before": ZERO, "after": SHA, "created": True, "repository": repository}
        return json.dumps(base | changes).encode()

    def sign(self, body: bytes) -> str:
        return "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()

    def headers(self, body: bytes, **changes: str | None) -> dict[str, str]:
        headers: dict[str, str | None] = {
            "content-type": "application/json",
            "x-github-event": "push",
            "x-github-delivery": "d-1",
            "x-github-hook-id": str(self.row["id"]),
            "x-hub-signature-256": self.sign(body),
        }
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in headers.items() if value is not None}

    async def post(self, body: bytes, **changes: str | None) -> httpx2.Response:
        return await self.client.post(self.url, content=body, headers=self.headers(body, **changes))


@pytest.fixture
async def sender(rig: Rig) -> Any:
    made = Sender(rig, await rig.forge.create_repository("shop"))
    yield made
    await made.client.aclose()


def test_githubs_own_example_of_a_signature() -> None:
    secret, body = "It's a Secret to Everybody", b"Hello, World!"
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature_fits(secret, body, f"sha256={digest}")
    assert not signature_fits(secret, body + b"\n", f"sha256={digest}")
    assert not signature_fits("", b"", "sha256=" + hmac.new(b"", b"", hashlib.sha256).hexdigest())
    sha1 = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    malformed = (f"sha1={sha1}", f"sha256={digest.upper()}", f"sha256={digest} ", "sha256=" + "é" * 64)
    for header in (None, "", digest, "sha256=٣" + digest[1:], *malformed):
        assert not signature_fits(secret, body, header)


async def test_new_delivery_and_its_repetition(rig: Rig, sender: Sender) -> None:
    body = sender.payload()
    first = await sender.post(body)
    assert first.status_code == 202
    expected = {"delivery": "d-1", "decision": "deploy", "reason": "aaaaaaa was pushed to main."}
    expected |= {"deployment_id": 100, "deployment_ids": [100]}
    assert first.json() == expected
    second = await sender.post(body)
    assert (second.status_code, second.json()) == (200, expected)
    assert len(rig.decisions) == 1
    [row] = await rig.rows()
    assert (row["payload_json"], row["repository_id"]) == (body.decode(), sender.row["id"])
    assert abs(row["received_at"] - time.time()) < 10


async def test_same_delivery_many_times_at_once(rig: Rig, sender: Sender) -> None:
    answers = await asyncio.gather(*(sender.post(sender.payload()) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert {answer.json()["deployment_id"] for answer in answers} == {100}
    assert len(await rig.rows()) == 1


async def test_form_encoded_delivery(rig: Rig, sender: Sender) -> None:
    body = urlencode({"payload": sender.payload(head_commit={"message": "é+&="}).decode()}).encode()
    answer = await sender.post(body, content_type="application/x-www-form-urlencoded; charset=utf-8")
    assert answer.status_code == 202
    assert rig.decisions[0][0].message == "é+&="


async def test_wrong_signatures_are_refused_unread(rig: Rig, sender: Sender) -> None:
    body = sender.payload()
    for changes in (
        {"x_hub_signature_256": None},
        {"x_hub_signature_256": "sha256=" + "0" * 64},
        {"x_hub_signature_256": sender.sign(b"other")},
        {"x_github_hook_id": None},
        {"x_github_hook_id": "999"},
        {"x_github_hook_id": "1' OR 1=1"},
    ):
        answer = await sender.post(body, **changes)
        assert answer.status_code == 401
    assert (await sender.post(b"[" * 100_000, x_hub_signature_256="sha256=" + "0" * 64)).status_code == 401
    assert await rig.rows() == []


async def test_unreadable_bodies(rig: Rig, sender: Sender) -> None:
    for body, why in (
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "is not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": NaN}', "contains NaN"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "cannot be read"),
    ):
        answer = await sender.post(body)
        assert answer.status_code == 400
        assert why in answer.json()["error"]
    assert await rig.rows() == []


async def test_missing_headers_and_other_types(rig: Rig, sender: Sender) -> None:
    body = sender.payload()
    for changes in (
        {"x_github_event": None},
        {"x_github_delivery": None},
        {"x_github_delivery": "x" * 65},
        {"x_github_delivery": "a b"},
        {"content_type": "text/plain"},
        {"content_type": None},
        {"content_type": "application/x-www-form-urlencoded"},
    ):
        assert (await sender.post(body, **changes)).status_code == 400
    form = b"other=x"
    answer = await sender.post(form, content_type="application/x-www-form-urlencoded")
    assert "no field payload" in answer.json()["error"]
    assert await rig.rows() == []


async def test_hook_speaks_for_its_own_repository_only(rig: Rig, sender: Sender) -> None:
    other = await rig.forge.create_repository("other")
    for number in (other["forge_repository_id"], 12345, "1", True, None, -1, 2**70):
        answer = await sender.post(sender.payload(repository={"id": number}))
        assert answer.status_code == 400
    assert rig.decisions == []


async def test_body_over_the_limit(rig: Rig, sender: Sender) -> None:
    async def body() -> Any:
        for _ in range(MAX_BODY // 1_000_000 + 1):
            yield bytes(1_000_000)

    answer = await sender.client.post(sender.url, content=body(), headers=sender.headers(b""))
    assert answer.status_code == 413


async def test_delivery_and_work_are_stored_together(rig: Rig, sender: Sender) -> None:
    """When the work cannot be stored the delivery is not either, so that a repetition does both."""

    async def broken(*_: object) -> int:
        raise RuntimeError("the power is off")

    rig.forge.pushes._work = broken
    assert (await sender.post(sender.payload())).status_code == 500
    assert await rig.rows() == []
    rig.forge.pushes._work = rig.apply
    assert (await sender.post(sender.payload())).status_code == 202


async def test_impossible_work_is_a_decision(rig: Rig, sender: Sender) -> None:
    async def refuse(*_: object) -> int:
        raise BerthError("Nothing is deployed on Sundays.")

    rig.forge.pushes._work = refuse
    answer = await sender.post(sender.payload())
    assert answer.status_code == 202
    assert (answer.json()["decision"], answer.json()["reason"]) == ("ignored", "Nothing is deployed on Sundays.")


async def test_long_payloads_are_stored_without_commits(rig: Rig, sender: Sender) -> None:
    commits = [{"id": SHA, "message": "x" * 1_000}] * 2_000
    assert (await sender.post(sender.payload(commits=commits))).status_code == 202
    [row] = await rig.store.all(sa.select(deliveries))
    stored = json.loads(row["payload_json"])
    assert stored["after"] == SHA
    assert "commits" not in stored


async def test_escaped_surrogates_and_nul(rig: Rig, sender: Sender) -> None:
    body = sender.payload(head_commit={"message": "a\ud800\0b"}, pusher={"name": "\udfff"})
    assert (await sender.post(body)).status_code == 202
    assert rig.decisions[0][0].message == "ab"


async def test_ping_is_answered(rig: Rig, sender: Sender) -> None:
    answer = await sender.post(sender.payload(), x_github_event="ping")
    assert answer.status_code == 200
    assert answer.json()["decision"] == "ignored"


async def test_forge_with_one_hook_for_all_repositories(idle: Rig) -> None:
    """As GitHub's: the payload says which repository it is about."""
    row = await idle.forge.create_repository("shop")

    async def find_hook(hook_id: str) -> Hook | None:
        return Hook("secret") if hook_id == "42" else None

    receiver = Receiver(idle.store, idle.forge.id, find_hook, idle.apply)

    async def deliver(number: int, repository: dict[str, Any] | None, event: str = "push") -> Answer:
        payload = {"ref": "refs/heads/main", "before": ZERO, "after": SHA, "repository": repository}
        body = json.dumps(payload).encode()
        signature = "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        headers = {"x-github-event": event, "x-github-delivery": f"d-{number}", "x-github-hook-id": "42"}
        return await receive(
            receiver, headers | {"content-type": "application/json", "x-hub-signature-256": signature}, body
        )

    known = await deliver(1, {"id": row["forge_repository_id"]})
    assert (known.status, known.body["decision"], known.repository_id) == (202, "deploy", row["id"])
    again = await deliver(2, {"id": row["forge_repository_id"]})
    assert again.body["decision"] == "deploy"  # order is not known there, so nothing is taken for a repetition
    for number, repository in enumerate(({"id": 999}, None), 3):
        unknown = await deliver(number, repository)
        assert (unknown.status, unknown.body["reason"]) == (202, "Berth does not know this repository.")
    ping = await deliver(5, None, "ping")
    assert (ping.status, ping.body["decision"]) == (200, "ignored")
    await idle.forge.remove_repository(row)
    assert (await deliver(6, {"id": row["forge_repository_id"]})).body["decision"] == "ignored"
    assert [delivery["repository_id"] for delivery in await idle.rows()] == [
        row["id"],
        row["id"],
        None,
        None,
        None,
        None,
    ]
