"""Signed deliveries per second at the real endpoint, beside a bare endpoint that only checks the signature.

Both run in processes of their own with the same server (uvicorn, httptools, asyncio's loop); a third process asks.
Every answer is checked, and at the end the server is killed (SIGKILL) while it takes deliveries: what it had answered
with 202 must be in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import multiprocessing
import secrets
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figure
from tests.end_to_end.harness import Server, free_port, get, until

BODY_BYTES = 20_000
REPOSITORIES = 20
CONNECTIONS = (1, 32)
ROUNDS, SECONDS = 3, 3.0
SECRET = "It's a Secret to Everybody"
PATH = "/api/github/webhooks"
SHARE_GOAL = 0.5  # of the bare endpoint's rate
P99_GOAL = 50.0  # ms

BARE = f"""\
import hashlib, hmac, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def take(request):
    body = await request.body()
    expected = "sha256=" + hmac.new({SECRET!r}.encode(), body, hashlib.sha256).hexdigest()
    good = hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", ""))
    return JSONResponse({{"ok": good}}, 202 if good else 401)

app = Starlette(routes=[Route("/{{path:path}}", take, methods=["POST"]), Route("/healthz", lambda r: JSONResponse(1))])
uvicorn.run(app, port=int(sys.argv[1]), loop="asyncio", http="httptools", access_log=False, log_level="error")
"""


@dataclass(frozen=True)
class Delivery:
    """A signed push; only its id is missing."""

    body: bytes
    signature: str


@dataclass(frozen=True)
class Result:
    """``latencies`` in ms; ``accepted``: the ids that were answered with 202."""

    seconds: float
    latencies: list[float]
    accepted: list[str]

    @property
    def rate(self) -> float:
        return len(self.accepted) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def make_deliveries(installation: int = 1) -> list[Delivery]:
    """Pushes of about 20 KB to the default branches of some repositories, each of another commit."""
    made = []
    for number in range(REPOSITORIES * 10):
        sha = secrets.token_hex(20)
        identifier = 1000 + number % REPOSITORIES
        commit = {"id": sha, "message": "Say hello", "timestamp": "2026-11-23T12:00:00Z", "added": []}
        payload = {
            "ref": "refs/heads/main",
            "before": secrets.token_hex(20),
            "after": sha,
            "created": False,
            "deleted": False,
            "forced": False,
            "base_ref": None,
            "compare": "https://github.com/acme/shop/compare/a...b",
            "commits": [],
            "head_commit": commit,
            "repository": {
                "id": identifier,
                "name": f"shop{identifier}",
                "full_name": f"acme/shop{identifier}",
                "private": True,
                "fork": False,
                "owner": {"login": "acme", "id": 7, "type": "Organization"},
                "html_url": f"https://github.com/acme/shop{identifier}",
                "clone_url": f"https://github.com/acme/shop{identifier}.git",
                "default_branch": "main",
            },
            "pusher": {"name": "ann", "email": "ann@example.com"},
            "sender": {"login": "ann", "id": 5, "type": "User"},
            "installation": {"id": installation},
        }
        while (missing := BODY_BYTES - len(json.dumps(payload))) > 200:
            files = [f"src/module_{secrets.token_hex(8)}.py" for _ in range(min(20, missing // 40 + 1))]
            payload["commits"].append({**commit, "id": secrets.token_hex(20), "added": files})  # type: ignore[attr-defined]
        body = json.dumps(payload).encode()
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        made.append(Delivery(body, f"sha256={digest}"))
    return made


def load(port: int, deliveries: Sequence[Delivery], connections: int, seconds: float) -> Result:
    """Sends for so long on so many connections; runs in a process of its own. A broken connection ends its sender."""

    async def run() -> Result:
        latencies: list[float] = []
        accepted: list[str] = []
        end = time.perf_counter() + seconds
        began = time.perf_counter()

        async def send(offset: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            number = offset
            try:
                while time.perf_counter() < end:
                    delivery = deliveries[number % len(deliveries)]
                    number += connections
                    identifier = str(uuid.uuid4())
                    started = time.perf_counter()
                    writer.write(request(delivery, identifier))
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                    await reader.readexactly(length)
                    if not head.startswith(b"HTTP/1.1 202"):
                        raise AssertionError(head.decode(errors="replace"))
                    latencies.append((time.perf_counter() - started) * 1000)
                    accepted.append(identifier)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        await asyncio.gather(*(send(number) for number in range(connections)))
        return Result(time.perf_counter() - began, latencies, accepted)

    return asyncio.run(run())


def request(delivery: Delivery, identifier: str) -> bytes:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(delivery.body)}\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {identifier}\r\n"
        f"X-GitHub-Hook-ID: 1\r\nX-Hub-Signature-256: {delivery.signature}\r\nUser-Agent: GitHub-Hookshot/1\r\n\r\n"
    )
    return head.encode() + delivery.body


@contextlib.contextmanager
def bare() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)])
    try:
        until(lambda: get(f"http://127.0.0.1:{port}/healthz").status == 200, "the bare endpoint answers", 30)
        yield port
    finally:
        process.kill()
        process.wait()


def real(folder: Path) -> Server:
    """The real server; no Docker Engine is there, so that what is queued stays queued and only the endpoint works."""
    folder.mkdir(parents=True)
    key = folder / "key.pem"
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    variables = {
        "BERTH_GITHUB_APP_ID": "1",
        "BERTH_GITHUB_PRIVATE_KEY_FILE": str(key),
        "BERTH_GITHUB_WEBHOOK_SECRET": SECRET,
        "BERTH_GITHUB_URL": f"http://127.0.0.1:{free_port()}",  # nobody answers: reports wait in the outbox
        "BERTH_DOCKER_HOST": f"unix://{folder}/none.sock",
        "BERTH_LOG_LEVEL": "error",
    }
    return Server(folder, variables).start(ready=False)


def figures(folder: Path) -> tuple[list[Figure], str]:
    """All figures, and what was seen when the server was killed."""
    deliveries = make_deliveries()
    context = multiprocessing.get_context("spawn")
    found = []
    with ProcessPoolExecutor(1, mp_context=context) as pool, bare() as bare_port:
        server = real(folder / "webhooks")
        try:
            for connections in CONNECTIONS:
                plain, ours = [], []
                for port in (bare_port, server.port):  # warm
                    pool.submit(load, port, deliveries, connections, 0.5).result()
                for _ in range(ROUNDS):  # in turn, so that a noisy neighbour meets both
                    plain.append(pool.submit(load, bare_port, deliveries, connections, SECONDS).result())
                    ours.append(pool.submit(load, server.port, deliveries, connections, SECONDS).result())
                found += _figures(connections, plain, ours)
            lost = _killed(pool, server, deliveries)
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()
    return found, lost


def _figures(connections: int, plain: list[Result], ours: list[Result]) -> list[Figure]:
    ratios = tuple(mine.rate / other.rate for mine, other in zip(ours, plain, strict=True))
    name = f"{connections} connection{'s' if connections > 1 else ''}"
    share = f"goal: at least {SHARE_GOAL} of the bare endpoint, "
    share += "met" if statistics.median(ratios) >= SHARE_GOAL else "MISSED"
    made = [
        Figure(
            "webhooks",
            f"deliveries, {name}",
            "/s",
            tuple(one.rate for one in ours),
            hand=tuple(one.rate for one in plain),
            ratios=ratios,
            note=share,
        )
    ]
    for label, part, goal in (("p50", 0.5, None), ("p99", 0.99, P99_GOAL)):
        mine = tuple(one.percentile(part) for one in ours)
        hand = tuple(one.percentile(part) for one in plain)
        made.append(Figure("webhooks", f"latency {label}, {name}", "ms", mine, hand=hand, goal=goal))
    return made


def _killed(pool: ProcessPoolExecutor, server: Server, deliveries: Sequence[Delivery]) -> str:
    """``kill -9`` under load: everything that was accepted is in the database."""
    coming = pool.submit(load, server.port, deliveries, 32, 20.0)
    time.sleep(2)
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    accepted = coming.result().accepted
    with sqlite3.connect(server.data_dir / "berth.db") as database:
        stored = {row[0] for row in database.execute("SELECT delivery_id FROM deliveries")}
    missing = [identifier for identifier in accepted if identifier not in stored]
    if missing:
        raise AssertionError(f"{len(missing)} of {len(accepted)} accepted deliveries were lost")
    return f"killed under load: {len(accepted)} deliveries had been accepted, none of them was lost"
