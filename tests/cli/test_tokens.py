"""``berth token`` against a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.web.served import Served

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path)
    yield server
    server.close()


def berth(served: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    token = served.headers["Authorization"].removeprefix("Bearer ")
    environment = os.environ | {"BERTH_URL": served.url, "BERTH_TOKEN": token}
    command = [sys.executable, "-m", "bot.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_token_is_made_used_listed_and_revoked(served: Served) -> None:
    assert berth(served, "remote", "shop").returncode == 0
    made = berth(served, "token", "create", "ci", "--scope", "write", "--repository", "shop", "--days", "7")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=served.url, headers=headers) as client:
        assert client.get("/api/environments").status_code == 200
        assert client.get("/api/system").status_code == 403
        listed = berth(served, "token", "list").stdout
        assert all(word in listed for word in ("ci", "write", "shop"))
        assert token not in listed
        (row,) = [json.loads(line) for line in berth(served, "token", "list", "--json").stdout.splitlines()]
        assert berth(served, "token", "revoke", str(row["id"])).returncode == 0
        assert client.get("/api/environments").status_code == 401
    assert "revoked" in berth(served, "token", "list").stdout


def test_mistakes_are_told_in_a_line(served: Served) -> None:
    for wrong in (["create", "ci", "--repository", "nothing"], ["revoke", "99"], ["create", "ci", "--scope", "all"]):
        done = berth(served, "token", *wrong)
        assert done.returncode == 2, done
        assert done.stderr.startswith("berth: ")
        assert len(done.stderr.splitlines()) == 1
