"""A real database with one repository, for the tests of the deployment layer."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from bot.deploy import lifecycle
from bot.store.crypto import Vault
from bot.store.database import Row, Store
from bot.store.tables import applications, deployments, environments, forges, metadata, outbox, repositories, work


@dataclass
class World:
    store: Store
    vault: Vault
    repository_id: int
    application_id: int

    async def push(self, sha: str = "a" * 40, ref: str = "main", kind: str = "production", **more: Any) -> int:
        async with self.store.begin() as tx:
            return await lifecycle.enqueue(
                tx,
                repository_id=self.repository_id,
                environment_kind=kind,
                ref=ref,
                sha=sha,
                cause="push",
                actor="ann",
                **more,
            )

    async def deployment(self, deployment_id: int) -> Row:
        row = await self.store.one(sa.select(deployments).where(deployments.c.id == deployment_id))
        assert row is not None
        return row

    async def environment(self, environment_id: int) -> Row:
        row = await self.store.one(sa.select(environments).where(environments.c.id == environment_id))
        assert row is not None
        return row

    async def work(self) -> list[Row]:
        return await self.store.all(sa.select(work).order_by(work.c.id))

    async def reports(self) -> list[Row]:
        return await self.store.all(sa.select(outbox).order_by(outbox.c.id))

    async def set_live(self, deployment_id: int) -> None:
        """As the commit point of a switch does."""
        async with self.store.begin() as tx:
            row = await tx.one(sa.select(deployments).where(deployments.c.id == deployment_id))
            assert row is not None
            old = await tx.one(sa.select(environments).where(environments.c.id == row["environment_id"]))
            assert old is not None
            if old["live_deployment_id"]:
                await tx.run(
                    sa.update(deployments).where(deployments.c.id == old["live_deployment_id"]).values(state="retired")
                )
            await tx.run(sa.update(deployments).where(deployments.c.id == deployment_id).values(state="live"))
            await tx.run(
                sa.update(environments)
                .where(environments.c.id == row["environment_id"])
                .values(state="live", live_deployment_id=deployment_id)
            )
            await tx.run(sa.update(work).where(work.c.deployment_id == deployment_id).values(state="done"))


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    url = f"sqlite:///{tmp_path / 'berth.db'}"
    engine = sa.create_engine(url)
    metadata.create_all(engine)
    engine.dispose()
    async with Store(url) as store:
        async with store.begin() as tx:
            forge = await tx.insert(forges.insert().values(kind="local", host="local").returning(forges.c.id))
            repository = await tx.insert(
                repositories.insert()
                .values(forge_id=forge, forge_repository_id=1, name="shop", created_at=time.time())
                .returning(repositories.c.id)
            )
            application = await tx.insert(
                applications.insert()
                .values(repository_id=repository, name="shop", created_at=time.time())
                .returning(applications.c.id)
            )
        yield World(store, Vault([Fernet.generate_key().decode()]), repository, application)
