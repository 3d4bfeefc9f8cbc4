"""A database as a small team would have it: for screenshots, and for what is checked on every page."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from bot.app import Berth
from bot.deploy.masking import Masker
from bot.deploy.settings import set_settings
from bot.deploy.variables import Variable, set_variables
from bot.store.database import Row
from bot.store.tables import (
    applications,
    deliveries,
    deployments,
    environments,
    forges,
    instances,
    ports,
    repositories,
    services,
    work,
)
from bot.web import tokens

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
_PHASES = ("fetch", "detect", "generate", "build", "start", "verify", "switch")
_DOCKERFILE = """\
# syntax=docker/dockerfile:1
FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run build

FROM node:22-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build --chown=node:node /app ./
USER node
CMD ["npm", "start"]
"""
_COMPOSE = """\
services:
  web:
    build: .
    environment:
      PORT: "3000"
    init: true
    cap_drop: [ALL]
"""


@dataclass
class Sample:
    """Ids of what there is one of."""

    production: int
    running: int  # a deployment
    live: int
    failed: int
    repository: int
    delivery: int


class Seeder:
    def __init__(self, berth: Berth) -> None:
        self.berth = berth
        self.now = time.time()

    async def insert(self, table: sa.Table, **values: Any) -> int:
        async with self.berth.store.begin() as tx:
            return await tx.insert(table.insert().values(values).returning(next(iter(table.primary_key.columns))))

    async def repository(self, forge: int, number: int, name: str, private: bool = True) -> tuple[int, int]:
        """The repository's and its application's id."""
        made = await self.insert(
            repositories,
            forge_id=forge,
            forge_repository_id=number,
            name=name,
            installation_id=4711,
            private=private,
            created_at=self.now - 40 * DAY,
        )
        application = await self.insert(
            applications, repository_id=made, name=name.rpartition("/")[2], created_at=self.now - 40 * DAY
        )
        return made, application

    async def environment(self, application: int, kind: str, ref: str, state: str, port: int = 0, **more: Any) -> int:
        environment = await self.insert(
            environments,
            application_id=application,
            kind=kind,
            ref=ref,
            state=state,
            created_at=self.now - 20 * DAY,
            **more,
        )
        service = await self.insert(
            services,
            environment_id=environment,
            name="web",
            position=0,
            role="web",
            strategy="blue_green",
            container_port=3000,
            live_slot=0 if state == "live" else None,
        )
        if port:
            owner = await self.berth.store.one(
                sa.select(applications.c.repository_id).where(applications.c.id == application)
            )
            assert owner is not None
            await self.insert(
                ports,
                port=port,
                state="leased",
                service_id=service,
                repository_id=owner["repository_id"],
                since=self.now - 20 * DAY,
            )
        return environment

    async def deployment(self, environment: int, state: str, ago: float, sha: str, message: str, **more: Any) -> int:
        """``seconds``: how long each phase took that was reached."""
        seconds = more.pop("seconds", (0.8, 0.3, 0.1, 21.4, 0.9, 2.6, 0.4))
        start, phases = self.now - ago, []
        for name, took in zip(_PHASES, seconds, strict=False):
            over = not (state == "running" and len(phases) == len(seconds) - 1)
            phases.append({"phase": name, "started_at": start, "finished_at": start + took if over else None})
            start += took
        values = {
            "environment_id": environment,
            "sha": sha * (40 // len(sha)) + sha[: 40 % len(sha)],
            "ref": "main",
            "cause": "push",
            "actor": "mira",
            "message": message,
            "state": state,
            "phases_json": json.dumps(phases),
            "phase": phases[-1]["phase"] if phases else None,
            "created_at": self.now - ago - 1,
            "started_at": self.now - ago,
            "finished_at": None if state in ("running", "queued") else start,
        }
        made = await self.insert(deployments, **(values | more))
        if state == "live":
            async with self.berth.store.begin() as tx:
                where = environments.c.id == environment
                await tx.run(sa.update(environments).where(where).values(live_deployment_id=made))
        return made

    async def delivery(
        self, forge: int, repository: int | None, event: str, decision: str, ago: float, **more: Any
    ) -> int:
        payload = {
            "ref": "refs/heads/main",
            "after": "9f2c41d" * 5 + "9f2c4",
            "repository": {"id": 7001, "full_name": "acme/shop", "private": True, "default_branch": "main"},
            "head_commit": {"message": "Show delivery dates in the cart", "author": {"username": "mira"}},
            "sender": {"id": 583231, "login": "mira", "type": "User"},
            "installation": {"id": 4711},
        }
        self.now += 0.001
        return await self.insert(
            deliveries,
            forge_id=forge,
            hook_id="1",
            delivery_id=f"0b989ba4-242f-11e5-81e1-c7b6966d{int(ago):04x}",
            event=event,
            repository_id=repository,
            payload_json=json.dumps(payload),
            received_at=self.now - ago,
            decision=decision,
            **({"sender": "mira", "reason": ""} | more),
        )


def _detection(**more: Any) -> str:
    found: dict[str, Any] = {
        "stack": "node",
        "framework": "next",
        "package_manager": "npm",
        "language_version": "22",
        "confidence": 98,
        "build_command": "npm run build",
        "start_command": "npm start",
        "port": 3000,
        "health_path": "/",
        "required_env": ["DATABASE_URL"],
        "services": [],
        "warnings": [],
        "evidence": [
            {"path": "package.json", "line": 14, "seen": '"next": "15.1.0"', "says": "depends on next"},
            {"path": "package.json", "line": 7, "seen": '"build": "next build"', "says": "is built by npm run build"},
            {"path": "package-lock.json", "line": 1, "seen": "lockfileVersion 3", "says": "npm installs it"},
            {"path": ".nvmrc", "line": 1, "seen": "22", "says": "runs on Node 22"},
        ],
    }
    return json.dumps(found | more)


_BUILD = """\
phase|fetch
line|\x1b[2mfrom\x1b[0m https://github.com/acme/shop.git
line|commit \x1b[33m9f2c41d\x1b[0m Show delivery dates in the cart
phase|detect
line|node · next · npm (confidence 98)
phase|generate
line|Node 22 on Debian's slim image: node:22-slim
line|packages are installed before the source is copied
phase|build
step|[build 2/6] COPY package.json package-lock.json ./|cached
step|[build 3/6] RUN npm ci|started
line|added 412 packages in 6s
step|[build 5/6] RUN npm run build|started
line|\x1b[1m   ▲ Next.js 15.1.0\x1b[0m
line|   Creating an optimized production build ...
line| \x1b[32m✓\x1b[0m Compiled successfully in 11.2s
line| \x1b[33m⚠\x1b[0m img without alt text in app/cart/page.tsx:48
line|   Collecting page data ...
line| \x1b[32m✓\x1b[0m Generating static pages (14/14)
"""
_AFTER = """\
phase|start
line|web started in slot green
phase|verify
line|answered \x1b[32m200\x1b[0m after 2.4 s
phase|switch
state|live at http://127.0.0.1:20012
"""
_CRASH = """\
phase|start
line|web started in slot blue
phase|verify
line|\x1b[31mError: Cannot find module './rates.json'\x1b[0m
line|    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)
line|    at Object.<anonymous> (/app/lib/currency.js:3:15)
state|failed in verify: The application ended with exit code 1 before it answered.
"""


async def _log(berth: Berth, deployment: int, text: str, *, close: bool = True) -> None:
    writer = await berth.logs.open_deployment(deployment, Masker({}))
    phase = ""
    for entry in text.splitlines():
        kind, words, *rest = entry.split("|")
        phase = words if kind == "phase" else phase
        if kind == "step":
            writer.write(rest[0], source="build", kind="step", step=words, phase=phase)
        else:
            writer.write(words, source="berth" if kind == "phase" else "build", kind=kind, phase=phase)
    if close:
        await writer.close()


class _Source:
    """What the default branches hold."""

    async def default_branch_file(self, repository: Row, _path: str) -> str | None:
        return "build_command: npm run build\nverify_seconds: 60\n" if repository["name"] == "acme/shop" else None


async def _well_engine() -> Any:
    return SimpleNamespace(version="28.3.1", api_version="1.51", buildkit=True)


async def _well_edge() -> Any:
    ports = [20_003, 20_007, 20_012, 20_044, 20_051]
    return SimpleNamespace(running=True, problem="", version="3.0.11", ports=ports, blocked=[], connections=4)


async def seed(berth: Berth, *, well: bool = False) -> Sample:
    """``well``: engine and edge answer as they would, where there are none."""
    if well:
        berth.engine.info = _well_engine  # type: ignore[method-assign]
        berth.edge.check = _well_edge  # type: ignore[method-assign]
    berth.source = _Source()  # type: ignore[assignment]
    make = Seeder(berth)
    found = await berth.store.one(sa.select(forges.c.id).where(forges.c.kind == "github"))
    assert found is not None
    forge: int = found["id"]
    shop, shop_app = await make.repository(forge, 7001, "acme/shop")
    docs, docs_app = await make.repository(forge, 7002, "acme/docs", private=False)
    _, rates_app = await make.repository(forge, 7003, "acme/rates")

    production = await make.environment(shop_app, "production", "main", "live", 20_012)
    detection = {"detection_json": _detection()}
    detection["files_json"] = json.dumps(
        {"Dockerfile": _DOCKERFILE, ".dockerignore": ".git\nnode_modules\n", "docker-compose.yml": _COMPOSE}
    )
    await make.deployment(production, "retired", 9 * DAY, "41ce07a", "Prices with and without tax", **detection)
    await make.deployment(production, "retired", 6 * DAY, "c3d90b2", "Search finds words in the middle", actor="jonas")
    slow = (0.9, 0.3, 0.1, 48.0, 0.9, 120.0)
    why = {
        "reason": "Nothing listens on port 3000: the application listens on 127.0.0.1:3000 only.",
        "fix": "Let it listen on 0.0.0.0.",
    }
    await make.deployment(
        production, "failed", 3 * DAY, "7be1f55", "Move to the new router", seconds=slow, actor="jonas", **why
    )
    await make.deployment(production, "retired", 3 * DAY - HOUR, "e80a4c1", "Listen everywhere", actor="jonas")
    live = await make.deployment(
        production, "live", 2 * HOUR, "9f2c41d", "Show delivery dates in the cart", **detection
    )
    await _log(berth, live, _BUILD + _AFTER)
    service = await berth.store.one(sa.select(services.c.id).where(services.c.environment_id == production))
    assert service is not None
    instance = await make.insert(
        instances,
        deployment_id=live,
        service_id=service["id"],
        slot=1,
        address="10.192.0.3",
        state="live",
        created_at=make.now - 2 * HOUR,
    )
    output = await berth.logs.open_instance(live, instance, Masker({}))
    for line in ("▲ Next.js 15.1.0", "- Local: http://localhost:3000", " \x1b[32m✓\x1b[0m Ready in 412ms"):
        output.write(line, source="web")
    await output.close()

    redesign = await make.environment(shop_app, "branch", "checkout-redesign", "live", 20_044)
    old = {"ref": "checkout-redesign"}
    await make.deployment(redesign, "live", DAY, "b7725d0", "One page instead of three", **old)
    running = await make.deployment(
        redesign,
        "running",
        34.0,
        "d01f8ae",
        "Ask for the address last",
        seconds=(0.8, 0.3, 0.1, 32.8),
        step="[build 5/6] RUN npm run build",
        **old,
        **detection,
    )
    await _log(berth, running, _BUILD, close=False)
    cart = await make.environment(shop_app, "branch", "fix/cart-rounding", "live", 20_051)
    ref = {"ref": "fix/cart-rounding", "actor": "jonas"}
    await make.deployment(cart, "live", 5 * HOUR, "2a90c4e", "Round half to even", **ref)
    crash = {
        "reason": "The application ended with exit code 1 before it answered: Cannot find module './rates.json'.",
        "fix": "Look at its last lines below; is the file in .gitignore?",
    }
    short = (0.7, 0.3, 0.1, 18.2, 0.9, 1.9)
    failed = await make.deployment(
        cart, "failed", 40 * MINUTE, "f6613b9", "Rates from a file", seconds=short, **ref, **crash, **detection
    )
    await _log(berth, failed, _BUILD.replace("9f2c41d", "f6613b9") + _CRASH)

    handbook = await make.environment(docs_app, "production", "main", "live", 20_003)
    await make.deployment(handbook, "live", 4 * DAY, "88d1e0c", "How to restore a backup", actor="ines")
    rates = await make.environment(rates_app, "production", "main", "live", 20_007)
    await make.deployment(rates, "live", 12 * DAY, "5cc20f3", "Cache for an hour", actor="ines")
    history = await make.environment(rates_app, "branch", "history", "stopped", 20_061)
    await make.deployment(history, "live", 8 * DAY, "01be97d", "Rates of the past", ref="history", actor="ines")
    await make.insert(ports, port=20_000, state="reserved", note="monitoring", since=make.now - 30 * DAY)
    await make.insert(
        work, environment_id=redesign, kind="deploy", deployment_id=running, state="running", created_at=make.now - 34
    )

    await set_settings(berth.store, shop_app, {"memory": "768m", "health_path": "/healthz", "drain_seconds": 20})
    await set_variables(
        berth.store,
        berth.vault,
        shop_app,
        [
            Variable("DATABASE_URL", "postgres://shop@db.internal/shop", secret=True),
            Variable("DATABASE_URL", "postgres://shop@db.internal/preview", "previews", secret=True),
            Variable("NEXT_PUBLIC_API", "https://api.acme.example", build=True),
            Variable("FEATURE_CHECKOUT", "new", "environment", redesign),
        ],
    )
    await tokens.create(
        berth.store,
        name="nightly checks",
        scope="read",
        repository_id=None,
        created_by="operator",
        expires_at=make.now + 60 * DAY,
    )
    await tokens.create(
        berth.store, name="release script", scope="write", repository_id=shop, created_by="mira", expires_at=None
    )

    await make.delivery(forge, docs, "star", "ignored", 3 * DAY, sender="kim", reason="Berth does nothing on star.")
    await make.delivery(
        forge, shop, "push", "deploy", 2 * HOUR, reason="`main` is the default branch.", deployment_id=live
    )
    await make.delivery(
        forge,
        shop,
        "push",
        "ignored",
        90 * MINUTE,
        sender="dependabot[bot]",
        reason="Branches of bots are deployed only with an open pull request.",
    )
    await make.delivery(
        forge,
        shop,
        "push",
        "deploy",
        40 * MINUTE,
        sender="jonas",
        reason="`fix/cart-rounding` gets a preview.",
        deployment_id=failed,
    )
    await make.delivery(
        forge,
        shop,
        "issue_comment",
        "command",
        30 * MINUTE,
        action="created",
        sender="jonas",
        reason="`/deploy logs` on pull request 82.",
    )
    await make.delivery(forge, shop, "delete", "teardown", 20 * MINUTE, reason="`old-banner` was deleted.")
    delivery = await make.delivery(
        forge, shop, "push", "deploy", 35, reason="`checkout-redesign` gets a preview.", deployment_id=running
    )
    return Sample(production, running, live, failed, shop, delivery)
