"""A database with deployments to write logs of, and a log store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.deploy.logs import LogStore
from bot.store.database import Store
from bot.store.migrate import migrate
from bot.store.tables import deployments


async def fill(store: Store, count: int = 3) -> None:
    """Deployments 1 to ``count``."""
    async with store.begin() as transaction:
        for statement in (
            "INSERT INTO forges (id, kind, host) VALUES (1, 'local', 'h')",
            "INSERT INTO repositories (id, forge_id, forge_repository_id, name, created_at) VALUES (1, 1, 1, 'r', 0)",
            "INSERT INTO applications (id, repository_id, name, created_at) VALUES (1, 1, 'a', 0)",
            "INSERT INTO environments (id, application_id, kind, ref, state, created_at)"
            " VALUES (1, 1, 'production', 'main', 'live', 0)",
        ):
            await transaction.run(sa.text(statement))
        for number in range(1, count + 1):
            row = {"id": number, "environment_id": 1, "sha": "a" * 40, "ref": "main", "cause": "push", "created_at": 0}
            await transaction.run(deployments.insert().values(state="running", **row))


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'berth.db'}"
    asyncio.run(migrate(url))
    return url


@pytest.fixture
async def database(url: str, anyio_backend: str) -> AsyncIterator[Store]:
    async with Store(url) as store:
        await fill(store)
        yield store


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
async def kept(database: Store, log_folder: Path) -> AsyncIterator[LogStore]:
    store = LogStore(log_folder, database, max_bytes=1_000_000, keep_days=14)
    yield store
    await store.close()


@pytest.fixture
async def filled(store: Store) -> Store:
    """As ``database``, on SQLite and PostgreSQL."""
    await fill(store)
    return store
