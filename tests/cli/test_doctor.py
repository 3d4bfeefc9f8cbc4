"""What `berth doctor` finds, and what it says to do about it."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.cli import main
from bot.config import Config, load_config
from bot.deploy import doctor
from bot.deploy.doctor import Finding, are_reserved
from bot.store.crypto import Vault, load_keys
from bot.store.tables import installation, metadata


def findings(config: Config, check: str) -> list[Finding]:
    return asyncio.run(doctor.CHECKS[check](config))


def configured(folder: Path, **more: Any) -> Config:
    return load_config(data_dir=folder, **more)


def make_database(config: Config) -> None:
    vault = Vault(load_keys("", config.data_dir / "secret.key"))
    engine = sa.create_engine(config.effective_database_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(installation).values(key="key_check", value=vault.encrypt("berth")))
    engine.dispose()


def test_git_is_fit_here(tmp_path: Path) -> None:
    assert [one.level for one in findings(configured(tmp_path), "git")] == ["ok"]


def test_no_git_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = findings(configured(tmp_path), "git")
    assert found.level == "error"
    assert "apt-get install git" in found.fix


def test_an_old_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\necho git version 2.20.1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert any("too old" in one.text for one in findings(configured(tmp_path), "git"))


def test_no_docker_says_how_to_get_it(tmp_path: Path) -> None:
    (found,) = findings(configured(tmp_path, docker_host=f"unix://{tmp_path}/none.sock"), "docker")
    assert found.level == "error"
    assert "docker.io" in found.fix


def test_a_silent_docker_is_an_error(tmp_path: Path) -> None:
    (found,) = findings(configured(tmp_path, docker_host="tcp://127.0.0.1:9"), "docker")
    assert found.level == "error"
    assert found.fix


@pytest.mark.docker
def test_docker_here_is_fit(tmp_path: Path) -> None:
    found = findings(configured(tmp_path), "docker")
    assert found[0].level == "ok"
    assert "BuildKit" in found[0].text


def test_a_data_folder_that_is_not_made_yet_is_fine(tmp_path: Path) -> None:
    config = configured(tmp_path / "new" / "deep")
    assert [one.level for one in findings(config, "data folder")] == ["ok"]
    assert [one.level for one in findings(config, "database")] == ["ok"]
    assert not config.data_dir.exists()


def test_too_little_disk_is_an_error(tmp_path: Path) -> None:
    (found,) = findings(configured(tmp_path, disk_min_free=10**18), "data folder")
    assert found.level == "error"


def test_a_good_database_and_its_key(tmp_path: Path) -> None:
    config = configured(tmp_path)
    make_database(config)
    assert [(one.check, one.level) for one in findings(config, "database")] == [
        ("database", "ok"),
        ("encryption key", "ok"),
    ]


def test_a_damaged_database_is_an_error(tmp_path: Path) -> None:
    config = configured(tmp_path)
    make_database(config)
    path = tmp_path / "berth.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\xff" * 8192
    path.write_bytes(bytes(content))
    (found,) = findings(config, "database")
    assert found.level == "error"
    assert "damaged" in found.text


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "berth.db").write_text("x" * 5000)
    (found,) = findings(configured(tmp_path), "database")
    assert found.level == "error"


def test_a_wrong_a_missing_and_an_open_key(tmp_path: Path) -> None:
    config = configured(tmp_path)
    make_database(config)
    key = tmp_path / "secret.key"
    key.chmod(0o644)
    assert findings(config, "database")[1].level == "warning"
    key.unlink()
    missing = findings(config, "database")[1]
    assert (missing.level, key.exists()) == ("error", False)  # and it makes no new one
    key.touch()
    empty = findings(config, "database")[1]
    assert (empty.level, key.read_text()) == ("error", "")
    load_keys("", key)
    wrong = findings(config, "database")[1]
    assert wrong.level == "error"
    assert wrong.fix


@pytest.mark.parametrize(
    ("text", "first", "last", "expected"),
    [
        ("\n", 10, 20, False),
        ("10-20\n", 10, 20, True),
        ("10-19", 10, 20, False),
        ("15-20,10-14", 10, 20, True),
        ("10,11,12-30", 10, 20, True),
        ("1-5,10-20", 10, 20, True),
        ("11-20", 10, 20, False),
    ],
)
def test_reserved_ports(text: str, first: int, last: int, expected: bool) -> None:
    assert are_reserved(text, first, last) is expected


def test_a_taken_port_of_berth_itself_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        config = configured(tmp_path, port=stranger.getsockname()[1], port_min=20_000, port_max=20_010)
        found = findings(config, "ports")
        assert [one.level for one in found] == ["error"]
        (tmp_path / "server.json").write_text("{}")  # our own server
        assert [one.level for one in findings(config, "ports")] == ["ok"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"public_url": "http://127.0.0.1:8420"}, "share the host"),
        ({"public_url": "http://berth.example.org", "apps_host": "127.0.0.1"}, "not encrypted"),
        ({"apps_host": "no-such-host.invalid"}, "does not resolve"),
        ({"apps_host": "192.0.2.1"}, "listens on 127.0.0.1 only"),
    ],
)
def test_hosts(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    found = findings(configured(tmp_path, **more), "hosts")
    assert any(words in one.text for one in found)
    assert all(one.level == "warning" and one.fix for one in found)


def test_hosts_as_they_are_by_default_are_fine(tmp_path: Path) -> None:
    assert [one.level for one in findings(configured(tmp_path), "hosts")] == ["ok"]


def test_a_check_that_breaks_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_config: Config) -> list[Finding]:
        raise ZeroDivisionError("no")

    async def endless(_config: Config) -> list[Finding]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(doctor, "CHECKS", {"a": broken, "b": endless})
    monkeypatch.setattr(doctor, "_TIMEOUT", 0.05)
    found = asyncio.run(doctor.examine(configured(tmp_path)))
    assert [(one.check, one.level) for one in found] == [("a", "error"), ("b", "error")]


def test_the_command_ends_with_1_if_something_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BERTH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("BERTH_DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr("sys.argv", ["berth", "doctor", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["check"]: one["level"] for one in shown}["docker"] == "error"
    assert {one["check"]: one["level"] for one in shown}["server"] == "ok"
