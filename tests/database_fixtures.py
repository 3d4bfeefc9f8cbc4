"""Databases for tests: a new SQLite file always, and a new PostgreSQL database where a server is named.

``BERTH_TEST_POSTGRESQL_URL`` is ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; USER may create databases. A test
module asks for them with ``pytest_plugins = ["tests.database_fixtures"]``.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from bot.store.database import Store
from bot.store.migrate import migrate

POSTGRESQL = os.environ.get("BERTH_TEST_POSTGRESQL_URL", "")


async def administer(statement: str) -> None:
    connection = await asyncpg.connect(POSTGRESQL)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'berth.db'}"
        return
    if not POSTGRESQL:
        pytest.skip("BERTH_TEST_POSTGRESQL_URL is not set")
    name = f"berth_test_{secrets.token_hex(6)}"
    asyncio.run(administer(f"CREATE DATABASE {name}"))
    yield f"{POSTGRESQL.rpartition('/')[0]}/{name}"
    asyncio.run(administer(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database_url(empty_url: str) -> str:
    """The URL of a database with tables."""
    asyncio.run(migrate(empty_url))
    return empty_url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with Store(database_url) as opened:
        yield opened
