import asyncio
import contextlib
import sqlite3
import threading
import time

import pytest
import sqlalchemy as sa

from bot.errors import UnavailableError
from bot.store.database import Insertion, Store
from bot.store.tables import applications, forges, installation, repositories
from tests.database_fixtures import administer

pytest_plugins = ["tests.database_fixtures"]
pytestmark = pytest.mark.anyio


async def _put(store, key, value="1"):
    async with store.begin() as transaction:
        await transaction.run(installation.insert().values(key=key, value=value))


async def _keys(store):
    return {row["key"] for row in await store.all(sa.select(installation.c.key))}


async def _count_up(store, *, pause=0.0):
    """Read, then write: what SQLite refuses to concurrent transactions that begin with reading."""
    async with store.begin() as transaction:
        query = sa.select(installation.c.value).where(installation.c.key == "counter").with_for_update()
        row = await transaction.one(query)
        await asyncio.sleep(pause)
        change = installation.update().where(installation.c.key == "counter")
        await transaction.run(change.values(value=str(int(row["value"]) + 1)))


async def _counter(store):
    row = await store.one(sa.select(installation.c.value).where(installation.c.key == "counter"))
    return int(row["value"])


async def test_200_transactions_that_read_then_write(store):
    await _put(store, "counter", "0")
    begun = time.perf_counter()
    await asyncio.gather(*(_count_up(store) for _ in range(200)))
    assert await _counter(store) == 200
    assert time.perf_counter() - begun < 10


async def test_two_stores_on_one_database(store, database_url):
    """As ``berth doctor`` beside a running server."""
    await _put(store, "counter", "0")
    async with Store(database_url) as other:
        await asyncio.gather(
            *(_put(one, f"{name}{n}") for n in range(40) for name, one in (("a", store), ("b", other)))
        )
        assert len(await _keys(other)) == 81


async def test_results(store):
    async with store.begin() as transaction:
        first = await transaction.insert(forges.insert().values(kind="local", host="h").returning(forges.c.id))
        second = await transaction.insert(forges.insert().values(kind="local", host="i").returning(forges.c.id))
        assert second > first
        change = forges.update().where(forges.c.host == "h").values(kind="github").returning(forges.c.id)
        assert await transaction.changed(change)
        assert not await transaction.changed(forges.delete().where(forges.c.host == "none").returning(forges.c.id))
        assert await transaction.one(sa.select(forges).where(forges.c.id == 12345)) is None
        assert await transaction.all(sa.select(forges).order_by(forges.c.id)) == [
            {"id": first, "kind": "github", "host": "h"},
            {"id": second, "kind": "local", "host": "i"},
        ]
    assert await store.one(sa.select(forges.c.host).where(forges.c.id == second)) == {"host": "i"}
    assert await store.one(sa.select(forges).where(forges.c.id == 12345)) is None


async def test_many_rows_of_which_some_are_there(store):
    insertion = Insertion(store, installation, ("key", "value"), ("key",))
    made = await store.insert_new(insertion, [{"key": "a", "value": "1"}, {"value": "2", "key": "b"}])
    assert made == [{"key": "a"}, {"key": "b"}]
    made = await store.insert_new(insertion, [{"key": key, "value": "it's"} for key in ("b", "100%", "100%")])
    assert made == [{"key": "100%"}]
    rows = await store.all(sa.select(installation).order_by(installation.c.key))
    assert {row["key"]: row["value"] for row in rows} == {"a": "1", "b": "2", "100%": "it's"}
    with pytest.raises(Exception, match=r"(?i)not.null"):
        await store.insert_new(insertion, [{"key": "c", "value": "1"}, {"key": "d", "value": None}])
    assert await _keys(store) == {"a", "b", "100%"}


async def test_exception_rolls_back(store):
    async def work():
        async with store.begin() as transaction:
            await transaction.run(installation.insert().values(key="a", value="1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await _keys(store) == set()
    await _put(store, "b")
    assert await _keys(store) == {"b"}


async def test_failed_statement_rolls_back(store):
    await _put(store, "a")

    async def work():
        async with store.begin() as transaction:
            await transaction.run(installation.insert().values(key="b", value="1"))
            await transaction.run(installation.insert().values(key="a", value="1"))

    with pytest.raises(Exception, match=r"(?i)unique"):
        await work()
    assert await _keys(store) == {"a"}


async def test_full_disk_is_said_and_undone(store):
    if not store.sqlite:
        pytest.skip("the disk of a PostgreSQL server is its operator's affair")
    async with store.begin() as tx:
        await tx.run(sa.text("PRAGMA max_page_count = 1"))  # of what there is already, not less
    with pytest.raises(UnavailableError, match="database or disk is full"):
        await _put(store, "large", "x" * 1_000_000)
    async with store.begin() as tx:
        await tx.run(sa.text("PRAGMA max_page_count = 1000000"))
    await _put(store, "small")
    assert "large" not in await _keys(store)


async def test_a_lost_connection_is_said_and_passes(store):
    if store.sqlite:
        pytest.skip("has no connection to lose")
    with pytest.raises(UnavailableError):
        async with store.begin() as transaction:
            row = await transaction.one(sa.text("SELECT pg_backend_pid() AS pid"))
            await administer(f"SELECT pg_terminate_backend({row['pid']})")
            await asyncio.sleep(0.2)
            await transaction.run(installation.insert().values(key="a", value="1"))
    await _put(store, "b")
    assert await _keys(store) == {"b"}


async def test_foreign_keys_are_enforced_and_cascade(store):
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        async with store.begin() as transaction:
            await transaction.run(applications.insert().values(repository_id=1, name="a", created_at=0.0))
    async with store.begin() as transaction:
        forge = await transaction.insert(forges.insert().values(kind="local", host="h").returning(forges.c.id))
        row = {"forge_id": forge, "forge_repository_id": 2**40, "name": "r", "created_at": 0.0}
        await transaction.run(repositories.insert().values(**row))
    async with store.begin() as transaction:
        await transaction.run(forges.delete())
    assert await store.all(sa.select(repositories)) == []


async def test_cancelled_block_rolls_back(store):
    inside = asyncio.Event()

    async def work():
        async with store.begin() as transaction:
            await transaction.run(installation.insert().values(key="a", value="1"))
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _keys(store) == set()
    await _put(store, "b")


async def test_cancelled_at_any_moment(store):
    """Whenever it comes, in the waiting, the beginning, the statements or the commit: all or nothing, and no jam."""

    async def work(number):
        async with store.begin() as transaction:
            await transaction.run(installation.insert().values(key=f"{number}a", value="1"))
            await transaction.run(installation.insert().values(key=f"{number}b", value="1"))

    for number in range(150):
        task = asyncio.create_task(work(number))
        for _ in range(number % 30):
            await asyncio.sleep(0)
        await asyncio.sleep(number % 7 * 0.0003)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        await _put(store, "after")
    keys = await _keys(store) - {"after"}
    assert {key[:-1] for key in keys if key.endswith("a")} == {key[:-1] for key in keys if key.endswith("b")}


async def test_task_that_goes_on_after_a_timeout_can_still_use_the_store(store):
    """``asyncio.timeout`` cancels a statement, not the task."""
    for number in range(60):
        try:
            async with asyncio.timeout(number * 0.0002):
                await _put(store, f"{number}")
                await _keys(store)
        except TimeoutError:
            pass
    async with asyncio.timeout(10):
        await _keys(store)
        await _put(store, "after")
    assert "after" in await _keys(store)


async def test_cancelled_readers_leave_nothing_behind(store):
    await _put(store, "a")
    threads = threading.active_count()
    for number in range(100):
        task = asyncio.create_task(_keys(store))
        await asyncio.sleep(number % 10 * 0.0003)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(_keys(store) for _ in range(20))) == [{"a"}] * 20
    await asyncio.sleep(0.2)
    assert threading.active_count() <= threads + 2


async def test_readers_do_not_wait_for_a_writer(store):
    await _put(store, "a")
    async with store.begin() as transaction:
        await transaction.run(installation.insert().values(key="b", value="1"))
        async with asyncio.timeout(2):
            seen = await asyncio.gather(*(_keys(store) for _ in range(20)))
    assert seen == [{"a"}] * 20, "and see what was committed"
    assert await _keys(store) == {"a", "b"}


async def test_close_waits_for_the_transaction_under_way_and_is_idempotent(database_url):
    store = Store(database_url)
    await store.open()
    await _put(store, "counter", "0")
    work = asyncio.create_task(_count_up(store, pause=0.2))
    await asyncio.sleep(0.05)
    await store.close()
    await work
    await store.close()
    with pytest.raises(RuntimeError, match="the store is closed"):
        await _put(store, "late")
    with pytest.raises(RuntimeError, match="the store is closed"):
        await _keys(store)
    async with Store(database_url) as again:
        assert await _counter(again) == 1
        assert await _keys(again) == {"counter"}


async def test_nothing_runs_on_after_close(database_url):
    threads = threading.active_count()
    async with Store(database_url) as store:
        for number in range(20):
            task = asyncio.create_task(_put(store, f"{number}"))
            await asyncio.sleep(number * 0.0002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.1)
    assert threading.active_count() <= threads


async def test_path(store, database_url):
    if database_url.startswith("sqlite"):
        assert store.path is not None
        assert store.path.exists()
    else:
        assert store.path is None


async def test_what_is_written_reaches_the_database_file_without_a_commit_waiting_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("bot.store.database.CHECKPOINT_SECONDS", 0.05)
    async with Store(f"sqlite:///{tmp_path}/a.db") as store:
        async with store.begin() as transaction:
            await transaction.run(sa.text("CREATE TABLE installation (key TEXT PRIMARY KEY, value TEXT)"))
        for number in range(50):
            await _put(store, f"k{number}", "x" * 4000)

        def stored() -> int:
            (tmp_path / "copy.db").write_bytes((tmp_path / "a.db").read_bytes())  # without its log
            with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy, contextlib.suppress(sqlite3.Error):
                return int(copy.execute("SELECT count(*) FROM installation").fetchone()[0])
            return 0

        async with asyncio.timeout(10):
            while stored() < 50:
                await asyncio.sleep(0.05)
