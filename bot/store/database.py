"""The one way to the database.

``databases`` 0.9 on SQLite opens a connection for each call, forgets PRAGMAs, and begins transactions deferred, so that
concurrent read-then-write transactions fail with "database is locked". Hence: PRAGMAs in a connection factory, all
writing on one kept connection behind a lock (as datasette's single writer), reading on connections of their own, of
which a few are kept: opening one takes three times as long as most queries. PostgreSQL needs none of this and gets its
pool.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from databases import Database
from databases.core import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.sql import ClauseElement

from bot.errors import BerthError, UnavailableError

Row = dict[str, Any]

KEPT_READERS = 2
# Pages move from the log into the database on a connection of their own, so that no commit has to wait for that. Only
# where that connection cannot keep up does a commit do it: at 40,000 pages of 4 KiB.
# https://www.sqlite.org/wal.html#ckpt
CHECKPOINT_SECONDS = 1.0
_CHECKPOINT_PAGES = 40_000
_LOG_BYTES = 64_000_000  # of the log's file, to which it is cut once all of it is in the database
_UNWRITABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
# classes of PostgreSQL's errors: no connection, undone in favour of another transaction, no room, the server stops
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = frozenset({"08", "40", "53", "57"})
_URL_FIX = "Set BERTH_DATABASE_URL to sqlite:////PATH or postgresql://USER@HOST/NAME."
T = TypeVar("T")


class _SqliteConnection(sqlite3.Connection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=10000;"
            f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}; PRAGMA journal_size_limit={_LOG_BYTES};"
        )


class Insertion:
    """One statement for any number of rows: ``INSERT … ON CONFLICT DO NOTHING RETURNING …``, a transaction of its own.

    ``columns``: those that every row gives a value to, as the driver takes it; ``returning``: those that are told of
    each row that was not there yet. Compiled once, for one row: compiling for many takes longer than running it.
    """

    def __init__(self, store: Store, table: sa.Table, columns: Iterable[str], returning: Sequence[str]) -> None:
        query: Any = sqlite.insert(table) if store.sqlite else postgresql.insert(table)
        query = query.on_conflict_do_nothing().returning(*(table.c[name] for name in returning))
        make: Any = sqlite.dialect if store.sqlite else asyncpg.dialect
        dialect = make(paramstyle="qmark") if store.sqlite else make()
        compiled = query.compile(dialect=dialect, column_keys=list(columns))
        self.columns: tuple[str, ...] = tuple(compiled.positiontup or ())
        self.returning = tuple(returning)
        self._head, self._row, self._end = re.split(r"(?<= VALUES )(\(.*?\))", str(compiled), maxsplit=1)

    def text(self, rows: int) -> str:
        """The statement for so many rows. PostgreSQL's parameters are numbered, SQLite's are not."""
        numbers = itertools.count(1)
        groups = ", ".join([self._row] * rows)
        return self._head + re.sub(r"\$\d+", lambda _: f"${next(numbers)}", groups) + self._end


class Transaction:
    """Statements that take effect together. Made by :meth:`Store.begin`; typed access to ``databases``' connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self, query: ClauseElement) -> list[Row]:
        return [dict(record._mapping) for record in await self._connection.fetch_all(query)]

    async def one(self, query: ClauseElement) -> Row | None:
        record = await self._connection.fetch_one(query)
        return None if record is None else dict(record._mapping)

    async def run(self, query: ClauseElement) -> None:
        """For statements whose result does not matter; use ``…returning()`` with :meth:`all` to count rows."""
        await self._connection.execute(query)

    async def changed(self, query: ClauseElement) -> bool:
        """Whether the statement, which ends in ``.returning(…)``, touched at least one row."""
        return bool(await self._connection.fetch_all(query))

    async def insert(self, query: ClauseElement) -> int:
        """The id of the row made by an insert that ends in ``.returning(table.c.id)``."""
        return int(await self._connection.fetch_val(query))


def check_url(url: str) -> str:
    """``url``, if it names a database that Berth can use. Raises BerthError."""
    backend, separator, rest = url.partition("://")
    backend = backend.partition("+")[0]
    try:
        make_url(url)
    except (ArgumentError, ValueError) as error:
        raise BerthError("That is no database URL.", _URL_FIX) from error
    if not separator or backend not in {"sqlite", "postgresql", "postgres"}:
        raise BerthError(f"Berth does not keep its data in {backend[:40]!a}.", _URL_FIX)
    if backend == "sqlite" and not rest.startswith("//"):
        raise BerthError("An SQLite database needs the absolute path of its file.", _URL_FIX)
    return url


class Store:
    """``async with Store(url) as store``. Reading: :meth:`all`, :meth:`one`. Writing: :meth:`begin`.

    Raises BerthError for a URL that Berth cannot use.
    """

    def __init__(self, url: str) -> None:
        self.url = check_url(url)
        self.sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {"min_size": 1, "max_size": 10}
        if self.sqlite:
            options = {"factory": _SqliteConnection, "timeout": 30}
        self._database = Database(url, **options)
        self._writer: Connection | None = None
        self._lock = asyncio.Lock()
        self._readers: list[Connection] = []  # open and idle
        self._written = asyncio.Event()  # since the last checkpoint
        self._checkpointing: asyncio.Task[None] | None = None

    @property
    def path(self) -> Path | None:
        """The database file, where there is one."""
        return Path(self.url.removeprefix("sqlite:///")) if self.sqlite else None

    async def open(self) -> None:
        await self._database.connect()
        if self.sqlite:
            self._writer = await self._new_connection()
            self._checkpointing = asyncio.create_task(self._checkpoint(), name="store checkpoints")

    async def close(self) -> None:
        """Idempotent; waits for the transaction that is under way."""
        if self._checkpointing is not None:
            self._checkpointing.cancel()
            with suppress(asyncio.CancelledError):
                await self._checkpointing
            self._checkpointing = None
        async with self._lock:
            if self._writer is not None:
                await self._writer.__aexit__()
                self._writer = None
            while self._readers:
                await self._readers.pop().__aexit__()
            if self._database.is_connected:
                await self._database.disconnect()

    async def __aenter__(self) -> Store:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A writing transaction: committed at the end of the block, rolled back by any exception.

        On SQLite one at a time in the process, so keep the block short: no I/O but the database's inside it. Raises
        UnavailableError when the disk is full, and when PostgreSQL goes away or undoes it: the same may succeed later.
        """
        async with self._writing() as connection:
            begin = "BEGIN IMMEDIATE" if self.sqlite else "BEGIN"
            async with _transaction(connection.raw_connection, begin):
                yield Transaction(connection)

    async def insert_new(self, insertion: Insertion, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Insert those of the rows that are not there yet, and return the columns that the insertion tells of.

        A transaction in one call of the driver: while its thread works and flushes, the event loop is left alone.
        Raises UnavailableError as :meth:`begin` does.
        """
        text = insertion.text(len(rows))
        values = [row[name] for row in rows for name in insertion.columns]
        async with self._writing() as connection:
            raw = connection.raw_connection
            made = await _to_the_end(raw.execute_fetchall(text, values) if self.sqlite else raw.fetch(text, *values))
            return [dict(zip(insertion.returning, row, strict=True)) for row in made]

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        """The only writer of SQLite, or a connection to PostgreSQL; what passes is raised as UnavailableError."""
        if not self.sqlite:
            try:
                async with self._pooled() as connection:
                    yield connection
            except Exception as error:
                # the driver, which need not be installed, has a name of its own for a connection that was closed
                if str(getattr(error, "sqlstate", ""))[:2] in _PASSING or type(error).__name__ == "InterfaceError":
                    raise UnavailableError(f"The database is away: {error}.", "Look at PostgreSQL.") from error
                raise
            return
        async with self._lock:
            if self._writer is None:
                raise RuntimeError("the store is closed")
            try:
                yield self._writer
                self._written.set()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _UNWRITABLE:
                    raise
                raise UnavailableError(
                    f"The database cannot be written: {error}.", "Look at the disk of the data folder, and free space."
                ) from error

    async def all(self, query: ClauseElement) -> list[Row]:
        async with self._reading() as connection:
            return [dict(record._mapping) for record in await connection.fetch_all(query)]

    async def one(self, query: ClauseElement) -> Row | None:
        async with self._reading() as connection:
            record = await connection.fetch_one(query)
        return None if record is None else dict(record._mapping)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        """A connection for one query, kept for the next one unless something came between."""
        if not self.sqlite:
            async with self._pooled() as connection:
                yield connection
            return
        if not self._database.is_connected:
            raise RuntimeError("the store is closed")
        if self._readers:
            connection = self._readers.pop()
        else:
            connection = await self._new_connection()
        try:
            yield connection
        except BaseException:  # cancelled: its thread may still be at the query, so nobody else may use it
            await _to_the_end(connection.__aexit__())
            raise
        if self._writer is None or len(self._readers) >= KEPT_READERS:
            await _to_the_end(connection.__aexit__())
        else:
            self._readers.append(connection)

    @asynccontextmanager
    async def _pooled(self) -> AsyncIterator[Connection]:
        """A connection from PostgreSQL's pool that belongs to no task.

        ``Database.connection()`` keeps one per task, and loses it when the task is cancelled while it is taken or given
        back: ten such tasks, and the pool is empty for ever.
        """
        if not self._database.is_connected:
            raise RuntimeError("the store is closed")
        connection = await self._new_connection()
        try:
            yield connection
        finally:
            await _to_the_end(connection.__aexit__())

    async def _checkpoint(self) -> None:
        """Some time after something was written. What goes wrong is tried again: until then the log keeps it all."""
        try:
            connection = await self._new_connection()
        except sqlite3.Error:  # no room, no file: then commits do it
            return
        try:
            while True:
                await self._written.wait()
                await asyncio.sleep(CHECKPOINT_SECONDS)
                self._written.clear()
                with suppress(sqlite3.Error):
                    await _to_the_end(connection.raw_connection.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)"))
        finally:
            await _to_the_end(connection.__aexit__())

    async def _new_connection(self) -> Connection:
        connection = Connection(self._database, self._database._backend)
        try:
            await _to_the_end(connection.__aenter__())
        except asyncio.CancelledError:  # it was opened all the same
            await _to_the_end(connection.__aexit__())
            raise
        return connection


@asynccontextmanager
async def _transaction(raw: Any, begin: str) -> AsyncIterator[None]:
    """``raw`` is a connection of aiosqlite or asyncpg.

    A cancelled BEGIN still takes effect in the driver: without its end being waited for, the connection would stay in a
    transaction for ever.
    """
    try:
        await _to_the_end(raw.execute(begin))
        yield
        await _to_the_end(raw.execute("COMMIT"))
    except BaseException:
        if raw.is_in_transaction() if hasattr(raw, "is_in_transaction") else raw.in_transaction:
            await _to_the_end(raw.execute("ROLLBACK"))
        raise


async def _to_the_end(work: Awaitable[T]) -> T:
    """Waits for ``work`` even when cancelled; the cancellation is passed on after its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
