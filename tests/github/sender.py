"""Webhooks: signed and delivered as GitHub does, and kept for its deliveries API."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.github.state import new_id, stamp

TIMEOUT = 10.0  # seconds that GitHub gives a receiver


@dataclass
class Delivery:
    """One attempt to deliver an event."""

    event: str
    payload: dict[str, Any]
    guid: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 0  # HTTP's; 0: nobody answered
    answer: str = ""
    seconds: float = 0.0
    redelivery: bool = False
    id: int = field(default_factory=new_id)
    at: float = field(default_factory=time.time)

    @property
    def outcome(self) -> str:
        return "success" if 200 <= self.status < 300 else "failure"

    def json(self) -> Any:
        """What the receiver answered."""
        return json.loads(self.answer)

    def item(self) -> dict[str, Any]:
        """As in the list of deliveries."""
        word = "OK" if self.outcome == "success" else f"Invalid HTTP Response: {self.status}"
        return {
            "id": self.id,
            "guid": self.guid,
            "delivered_at": stamp(self.at),
            "redelivery": self.redelivery,
            "duration": round(self.seconds, 2),
            "status": word if self.status else "failed to connect to host",
            "status_code": self.status or 502,
            "event": self.event,
            "action": self.payload.get("action"),
            "installation_id": self.payload.get("installation", {}).get("id"),
            "repository_id": self.payload.get("repository", {}).get("id"),
            "throttled_at": None,
        }

    def whole(self) -> dict[str, Any]:
        return {
            **self.item(),
            "url": self.url,
            "request": {"headers": self.headers, "payload": self.payload},
            "response": {"headers": {}, "payload": self.answer},
        }


class Sender:
    """Sends to one address with one secret; ``deliveries`` holds every attempt, oldest first."""

    def __init__(self, app_id: Callable[[], str], secret: Callable[[], str]) -> None:
        self.url = ""
        self.form = False  # application/x-www-form-urlencoded instead of JSON
        self.hook_id = new_id()
        self.deliveries: list[Delivery] = []
        self._app_id, self._secret = app_id, secret

    def send(self, event: str, payload: dict[str, Any], *, guid: str = "", redelivery: bool = False) -> Delivery:
        """Delivers now, and returns when the receiver has answered or failed to."""
        delivery = Delivery(event, payload, guid or str(uuid.uuid4()), self.url, redelivery=redelivery)
        text = json.dumps(payload, separators=(",", ":"))
        body = (urlencode({"payload": text}) if self.form else text).encode()
        delivery.headers = self.headers(event, delivery.guid, body)
        if self.url:
            self._post(delivery, body)
        self.deliveries.append(delivery)
        return delivery

    def _post(self, delivery: Delivery, body: bytes) -> None:
        began = time.monotonic()
        request = urllib.request.Request(self.url, body, delivery.headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
                delivery.answer = reply.read().decode(errors="replace")
                delivery.status = reply.status
        except urllib.error.HTTPError as error:
            delivery.answer = error.read().decode(errors="replace")
            delivery.status = error.code
        except (OSError, http.client.HTTPException) as error:
            delivery.answer = repr(error)
        delivery.seconds = time.monotonic() - began

    def headers(self, event: str, guid: str, body: bytes) -> dict[str, str]:
        key = self._secret().encode()
        return {
            "Content-Type": "application/x-www-form-urlencoded" if self.form else "application/json",
            "User-Agent": "GitHub-Hookshot/0123abc",
            "Accept": "*/*",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": guid,
            "X-GitHub-Hook-ID": str(self.hook_id),
            "X-GitHub-Hook-Installation-Target-ID": self._app_id(),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
            "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
        }
