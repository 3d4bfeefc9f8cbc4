"""Brings a database to the newest migration when Berth starts.

Migrations are ``migrations/versions/NNNN_what.py``; their revision is the number, so that the newest is known from the
folder alone and alembic (slow to import) is loaded only when there is something to do. SQLite is migrated in a thread:
SQLAlchemy's asyncio brings its ORM along, 7 MB of memory that nothing else here needs.

For developers, after a change of ``tables.py``::

    python -m bot.store.migrate "add colour to services" && ruff format bot/store/migrations   # a new migration
    python -m bot.store.migrate --initial && ruff format bot/store/migrations   # before the first release: rewrite 0001
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from bot.errors import BerthError
from bot.store.database import check_url

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")

FOLDER = Path(__file__).with_name("migrations")
_LOCK = 0x6265727468  # "berth": the advisory lock of whoever migrates a PostgreSQL database
_BROKEN = (sa.exc.DBAPIError, OSError, TimeoutError)


def revisions() -> list[str]:
    """All revisions that this Berth knows, oldest first."""
    return sorted(path.name[:4] for path in (FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


async def migrate(url: str) -> None:
    """Make the tables, or bring them up to date. All of it takes effect, or nothing.

    ``url``: ``sqlite:////absolute/path`` or ``postgresql://user:password@host/database``. Raises BerthError when the
    database does not answer, is no database, or was written by a newer Berth.
    """
    parsed = _parse(url)
    try:
        await run(parsed, _upgrade)
    except _BROKEN as error:
        cause = getattr(error, "orig", None) or error
        raise BerthError(
            f"The database {parsed.render_as_string()} cannot be used: {cause}.", "Check BERTH_DATABASE_URL."
        ) from error


async def run(url: str | sa.URL, function: Callable[[sa.Connection], T]) -> T:
    """What ``function`` returns, called with a connection to the database in a transaction."""
    parsed = _parse(url)
    if parsed.drivername == "sqlite":
        return await asyncio.to_thread(_run_sqlite, parsed, function)
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    engine = create_async_engine(parsed, poolclass=sa.NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(function)
    finally:
        await engine.dispose()


def _run_sqlite(url: sa.URL, function: Callable[[sa.Connection], T]) -> T:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    # sqlite3 by itself begins no transaction before DDL, and a kill would leave half a migration
    sa.event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        return function(connection)


def _parse(url: str | sa.URL) -> sa.URL:
    parsed = sa.make_url(check_url(url) if isinstance(url, str) else url)
    sqlite = parsed.drivername.partition("+")[0] == "sqlite"
    return parsed.set(drivername="sqlite" if sqlite else "postgresql+asyncpg", query={})


def _upgrade(connection: sa.Connection) -> None:
    known = revisions()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    current = _current(connection)
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise BerthError(
            f"This database was written by a newer Berth: it is at migration {current}, this one knows {known[-1]}.",
            "Start that version or a newer one, or restore the backup made before the upgrade.",
        )
    from alembic import command  # noqa: PLC0415

    command.upgrade(alembic_config(connection), "head")
    if connection.dialect.name == "sqlite":
        # rebuilding a table (batch mode) needs foreign keys unenforced, or it would cascade; so they are checked here
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise BerthError(f"The migration would leave orphans in table {broken[0]}; nothing was changed.")


def _current(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def alembic_config(connection: sa.Connection) -> Config:
    """Alembic's configuration for a connection whose transaction is open; no ini file is needed."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return config


async def write_migration(message: str, *, initial: bool = False) -> None:
    """Write the migration from the newest one to ``tables.py``; ``initial`` removes all and writes the first anew."""
    from alembic import command  # noqa: PLC0415

    if initial:
        for path in (FOLDER / "versions").glob("[0-9]*.py"):
            path.unlink()
    known = revisions()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/empty.db"
        if known:
            await migrate(url)
        await run(
            url,
            lambda connection: command.revision(
                alembic_config(connection), message, autogenerate=True, rev_id=f"{len(known) + 1:04d}"
            ),
        )
    path = max((FOLDER / "versions").glob("[0-9]*.py"))
    path.write_text(re.sub(r" *# ### .*\n", "", path.read_text()))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    rewrite = sys.argv[1] == "--initial"
    asyncio.run(write_migration("initial" if rewrite else sys.argv[1], initial=rewrite))
