"""All 329 example payloads of GitHub's events (npm @octokit/webhooks-examples), signed, to a real server."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.harness import Server, until
from tests.github.fake import FakeGitHub

PACKAGE = "@octokit/webhooks-examples@7.6.1"
MEMBER = "package/api.github.com/index.json"
NUMBER = 329

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, dict[str, Any]]]:
    """Event and payload of each; downloaded once and kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "berth-tests"
    file = cache / (PACKAGE.replace("/", "-").strip("@") + ".json")
    if not file.exists():
        if shutil.which("npm") is None:
            pytest.skip(f"npm is not there, which fetches {PACKAGE}")
        cache.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=cache, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"npm cannot fetch {PACKAGE}: {done.stderr.strip()[-200:]}")
        archive = cache / done.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as package:
            content = package.extractfile(MEMBER)
            assert content is not None
            file.write_bytes(content.read())
        archive.unlink()
    return [(event["name"], example) for event in json.loads(file.read_text()) for example in event["examples"]]


@pytest.fixture(scope="module")
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as github:
        yield github


@pytest.fixture(scope="module")
def server(github: FakeGitHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without an engine: deliveries are taken all the same."""
    folder = tmp_path_factory.mktemp("examples")
    variables = github.variables(folder, BERTH_DOCKER_HOST=f"unix://{folder}/no-engine.sock")
    server = Server(folder, variables).start(ready=False)
    github.hook_url = f"{server.url}/api/github/webhooks"
    yield server
    server.stop()


def recorded(server: Server) -> dict[str, tuple[str, str, str]]:
    """Delivery id -> event, decision, reason."""
    with sqlite3.connect(f"file:{server.data_dir / 'berth.db'}?mode=ro", uri=True) as database:
        rows = database.execute("select delivery_id, event, decision, reason from deliveries").fetchall()
    return {delivery: (event, decision, reason) for delivery, event, decision, reason in rows}


def send_all(server: Server, github: FakeGitHub, examples: list[tuple[str, dict[str, Any]]]) -> Counter[str]:
    """Sends, waits for the decisions, and counts them."""
    began = len(github.deliveries)
    for position, (event, payload) in enumerate(examples):
        github.sender.form = position % 2 == 1
        sent = github.sender.send(event, payload)
        assert sent.status in (200, 202), f"{event} {payload.get('action')}: {sent.status} {sent.answer[:300]}"
    github.sender.form = False
    wanted = {one.guid: one.event for one in github.deliveries[began:]}

    def decided() -> dict[str, tuple[str, str, str]]:
        found = {guid: row for guid, row in recorded(server).items() if guid in wanted}
        return found if len(found) == len(wanted) and all(row[1] != "received" for row in found.values()) else {}

    rows = until(decided, "every delivery has a decision", 60, 0.5)
    for guid, (event, decision, reason) in rows.items():
        assert event == wanted[guid]
        assert decision in {"ignored", "deploy", "teardown", "command"}, (event, decision)
        assert reason.endswith("."), (event, decision, reason)
    return Counter(decision for _, decision, _ in rows.values())


def test_each_example_leaves_a_decision(
    server: Server, github: FakeGitHub, examples: list[tuple[str, dict[str, Any]]]
) -> None:
    assert len(examples) == NUMBER
    counts = send_all(server, github, examples)
    assert sum(counts.values()) == NUMBER
    server.is_well()


def test_each_example_of_a_repository_that_is_installed(
    server: Server, github: FakeGitHub, examples: list[tuple[str, dict[str, Any]]]
) -> None:
    shop = github.create_repository("acme/shop", default_branch="master")
    shop.push("master", send=False)
    github.install(shop)
    ours = {
        "repository": github.shapes.repository(shop),
        "installation": {"id": github.installation_for(shop.owner).id},
    }
    of_ours = []
    for event, example in examples:
        if "repository" not in example or event in {"installation", "installation_repositories", "repository"}:
            continue
        payload = {**example, **ours}
        if event == "pull_request":  # the branch is ours, too
            pull = example["pull_request"]
            payload["pull_request"] = {**pull, "head": {**pull["head"], "repo": ours["repository"]}}
        of_ours.append((event, payload))
    counts = send_all(server, github, of_ours)
    assert counts["deploy"] >= 2, counts  # a push and a pull request at least
    server.is_well()
