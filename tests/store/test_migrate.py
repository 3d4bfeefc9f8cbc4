import asyncio
import os
import shutil
import sqlite3
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bot.errors import BerthError
from bot.store import migrate as module
from bot.store.database import Store
from bot.store.migrate import FOLDER, alembic_config, migrate, revisions, run
from bot.store.tables import metadata

pytest_plugins = ["tests.database_fixtures"]
pytestmark = pytest.mark.anyio


async def test_migrations_and_tables_agree(database_url):
    # alembic takes an empty string for no default when it reads SQLite's; PostgreSQL's are compared
    options = {"compare_server_default": database_url.startswith("postgresql")}
    differences = await run(
        database_url,
        lambda connection: compare_metadata(MigrationContext.configure(connection, opts=options), metadata),
    )
    assert differences == []


async def test_the_comparison_can_fail(database_url):
    async with Store(database_url) as store, store.begin() as transaction:
        await transaction.run(sa.text("ALTER TABLE work ADD COLUMN colour TEXT"))
        await transaction.run(sa.text("DROP INDEX uq_work_running"))
    differences = await run(
        database_url, lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert {difference[0] for difference in differences} == {"remove_column", "add_index"}


async def test_partial_index_allows_one_running_work_per_environment(database_url):
    """compare_metadata does not look at the condition of an index."""
    async with Store(database_url) as store:
        async with store.begin() as transaction:
            for statement in (
                "INSERT INTO forges (id, kind, host) VALUES (1, 'local', 'h')",
                "INSERT INTO repositories (id, forge_id, forge_repository_id, name, created_at)"
                " VALUES (1, 1, 1, 'r', 0)",
                "INSERT INTO applications (id, repository_id, name, created_at) VALUES (1, 1, 'a', 0)",
                "INSERT INTO environments (id, application_id, kind, ref, state, created_at)"
                " VALUES (1, 1, 'production', 'main', 'empty', 0)",
                "INSERT INTO work (environment_id, kind, state, created_at) VALUES (1, 'deploy', 'queued', 0)",
                "INSERT INTO work (environment_id, kind, state, created_at) VALUES (1, 'deploy', 'queued', 0)",
                "INSERT INTO work (environment_id, kind, state, created_at) VALUES (1, 'deploy', 'running', 0)",
            ):
                await transaction.run(sa.text(statement))
        with pytest.raises(Exception, match=r"(?i)unique"):
            async with store.begin() as transaction:
                await transaction.run(
                    sa.text(
                        "INSERT INTO work (environment_id, kind, state, created_at) VALUES (1, 'stop', 'running', 0)"
                    )
                )


async def test_second_time_changes_nothing_and_does_not_load_alembic(database_url):
    code = (
        "import asyncio, sys; from bot.store.migrate import migrate; asyncio.run(migrate(sys.argv[1]));"
        "sys.exit('alembic' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, database_url)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_two_at_the_same_time(empty_url):
    await asyncio.gather(migrate(empty_url), migrate(empty_url))
    assert await run(empty_url, module._current) == revisions()[-1]


async def test_newer_database_is_refused(database_url):
    async with Store(database_url) as store, store.begin() as transaction:
        await transaction.run(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BerthError, match="newer Berth: it is at migration 9999"):
        await migrate(database_url)


async def test_failing_migration_leaves_nothing(empty_url, tmp_path, monkeypatch):
    """The transaction spans the tables and the version, on SQLite too."""
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9998_broken.py").write_text(
        f"from alembic import op\nrevision = '9998'\ndown_revision = '{revisions()[-1]}'\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (a INTEGER)')\n    op.execute('CREATE nonsense')\n"
    )
    await migrate(empty_url)
    monkeypatch.setattr(module, "FOLDER", folder)
    with pytest.raises(BerthError, match="cannot be used"):
        await migrate(empty_url)
    assert await run(empty_url, module._current) == revisions()[-2]
    assert not await run(empty_url, lambda connection: sa.inspect(connection).has_table("half"))


async def test_rebuilt_table_keeps_its_children(tmp_path, monkeypatch):
    """SQLite's batch mode drops and renames tables: with enforced foreign keys the children would be deleted."""
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9998_rename.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision = '9998'\ndown_revision = '{revisions()[-1]}'\n"
        "def upgrade():\n    with op.batch_alter_table('forges', recreate='always') as batch:\n"
        "        batch.add_column(sa.Column('colour', sa.Text))\n"
    )
    url = f"sqlite:///{tmp_path / 'berth.db'}"
    await migrate(url)
    async with Store(url) as store, store.begin() as transaction:
        await transaction.run(sa.text("INSERT INTO forges (id, kind, host) VALUES (1, 'local', 'h')"))
        await transaction.run(
            sa.text(
                "INSERT INTO repositories (forge_id, forge_repository_id, name, created_at) VALUES (1, 1, 'kept', 0)"
            )
        )
    monkeypatch.setattr(module, "FOLDER", folder)
    await migrate(url)
    async with Store(url) as store:
        assert await store.all(sa.text("SELECT name FROM repositories")) == [{"name": "kept"}]
        assert await store.all(sa.text("SELECT colour FROM forges")) == [{"colour": None}]


def test_the_migrations_make_the_tables(tmp_path, monkeypatch):
    """The command that developers use finds nothing left to do."""
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "FOLDER", folder)
    number = len(revisions()) + 1
    asyncio.run(module.write_migration("nothing new"))
    text = (folder / "versions" / f"{number:04d}_nothing_new.py").read_text()
    assert text.strip().endswith("pass"), text


async def test_what_is_no_database(tmp_path):
    path = tmp_path / "berth.db"
    path.write_bytes(b"this is a text, not a database, and it is long enough to have a header\n" * 100)
    with pytest.raises(BerthError, match="file is not a database"):
        await migrate(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"this is a text")


async def test_unreachable_server_is_said_without_the_password():
    with pytest.raises(BerthError) as caught:
        await migrate("postgresql://berth:hunter22@127.0.0.1:1/berth")
    assert "hunter22" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://h/d", "does not keep its data in 'mysql'"),
        ("nonsense", "no database URL"),
        ("", "no database URL"),
        ("postgresql://host:port/name", "no database URL"),
        ("sqlite://", "absolute path"),
        ("sqlite:///", "absolute path"),
        ("sqlite:///relative.db", "absolute path"),
    ],
)
async def test_urls_that_are_of_no_use(url, words):
    with pytest.raises(BerthError, match=words):
        await migrate(url)
    with pytest.raises(BerthError, match=words):
        Store(url)


def test_config_survives_a_percent_in_the_path(tmp_path, monkeypatch):
    folder = tmp_path / "100%s"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "FOLDER", folder)
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        module._upgrade(connection)
        assert module._current(connection) == revisions()[-1]
        assert alembic_config(connection).get_main_option("script_location") == os.fspath(folder)


def test_empty_file_is_a_new_database(tmp_path):
    path = tmp_path / "berth.db"
    path.touch()
    asyncio.run(migrate(f"sqlite:///{path}"))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM ports").fetchone() == (0,)
