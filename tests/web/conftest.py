"""The real server's parts around a database in a temporary folder; no engine is asked and no work is carried out."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette

from bot.app import Berth
from bot.config import Config, load_config
from bot.store.crypto import Vault, load_keys
from bot.store.database import Store
from bot.store.tables import deployments, environments, metadata, ports, services
from bot.web import api, log_stream, pages

TOKEN = "operator-token-of-this-test"
SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Rig:
    berth: Berth
    app: Starlette
    client: httpx2.AsyncClient  # with the operator's token

    async def repository(self, name: str = "shop", source_path: str = "") -> dict[str, Any]:
        answer = await self.client.post("/api/repositories", json={"name": name, "source_path": source_path})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def environment(self, application_id: int, kind: str = "production", ref: str = "main", **more: Any) -> int:
        values = {"state": "empty", "created_at": time.time(), "reason": ""} | more
        async with self.berth.store.begin() as tx:
            return await tx.insert(
                sa.insert(environments)
                .values(application_id=application_id, kind=kind, ref=ref, **values)
                .returning(environments.c.id)
            )

    async def deployment(self, environment_id: int, state: str = "queued", **more: Any) -> int:
        values = {"sha": SHA, "ref": "main", "cause": "push", "message": "Say hello", "created_at": time.time()} | more
        async with self.berth.store.begin() as tx:
            identifier = await tx.insert(
                sa.insert(deployments)
                .values(environment_id=environment_id, state=state, **values)
                .returning(deployments.c.id)
            )
            if state == "live":
                live = {"live_deployment_id": identifier, "state": "live"}
                await tx.run(sa.update(environments).where(environments.c.id == environment_id).values(live))
        return identifier

    async def web_service(self, environment_id: int, port: int = 20_007) -> int:
        async with self.berth.store.begin() as tx:
            service = await tx.insert(
                sa.insert(services)
                .values(
                    environment_id=environment_id,
                    name="web",
                    position=0,
                    role="web",
                    strategy="blue_green",
                    container_port=3000,
                    live_slot=0,
                )
                .returning(services.c.id)
            )
            await tx.run(
                sa.insert(ports).values(
                    port=port, state="leased", service_id=service, repository_id=1, since=time.time()
                )
            )
        return service

    async def seed_live(self) -> tuple[int, int]:
        """A production environment with a live deployment that has everything: environment id, deployment id."""
        repository = await self.repository()
        environment = await self.environment(repository["application_id"])
        await self.web_service(environment)
        now = time.time()
        phases = [
            {"phase": phase, "started_at": now - 10 + index, "finished_at": now - 9 + index}
            for index, phase in enumerate(("fetch", "detect", "generate", "build", "start", "verify", "switch"))
        ]
        detection = {
            "stack": "node",
            "framework": "express",
            "package_manager": "npm",
            "language_version": "22",
            "confidence": 97,
            "build_command": None,
            "start_command": "node server.js",
            "port": 3000,
            "health_path": "/",
            "required_env": ["SECRET_KEY"],
            "services": [],
            "warnings": ["there is no lockfile"],
            "evidence": [{"path": "package.json", "line": 3, "seen": '"express"', "says": "depends on express"}],
        }
        deployment = await self.deployment(
            environment,
            "live",
            started_at=now - 10,
            finished_at=now - 3,
            phases_json=json.dumps(phases),
            detection_json=json.dumps(detection),
            files_json=json.dumps({"Dockerfile": "FROM scratch\n", "docker-compose.yml": "services: {}\n"}),
        )
        return environment, deployment


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(data_dir=tmp_path, docker_host=f"unix://{tmp_path}/no-docker.sock")


@pytest.fixture
async def rig(config: Config, empty_database: Path) -> AsyncIterator[Rig]:
    async with open_rig(config, empty_database) as rig:
        yield rig


@asynccontextmanager
async def open_rig(config: Config, empty_database: Path) -> AsyncIterator[Rig]:
    """``empty_database``: a file with all tables, which is copied."""
    await asyncio.to_thread(_prepare, config, empty_database)
    vault = Vault(await asyncio.to_thread(load_keys, "", config.data_dir / "secret.key"))
    async with Store(config.effective_database_url) as store:
        berth = Berth(config, store, vault, "abcd1234", TOKEN)
        berth.problem = ""
        await berth.engine.open()
        await berth.forge.open()
        await berth.github_forge.open()
        app = Starlette(routes=[*api.routes(berth), *log_stream.routes(berth), *pages.routes(berth), api.LAST])
        app.state.berth = berth
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app),
            base_url="http://localhost:8420",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        async with client:
            yield Rig(berth, app, client)
        await berth.github_forge.close()
        await berth.engine.close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "berth.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


def _prepare(config: Config, database: Path) -> None:
    for name in ("logs", "git", "edge", "tmp", "hooks"):
        (config.data_dir / name).mkdir()
    shutil.copyfile(database, config.data_dir / "berth.db")
