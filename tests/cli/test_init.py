"""The real `berth init` with a real server and the fake GitHub: the manifest flow, importing, and what is missing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.cli.test_server import Installation, free_port
from tests.forge.test_github_setup import form_of
from tests.github.fake import FakeGitHub

pytestmark = pytest.mark.slow


@dataclass
class WithGitHub(Installation):
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | self.more


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with FakeGitHub() as github:
        yield github
        assert not github.violations
        assert not github.mistakes


@pytest.fixture
def server(tmp_path: Path, fake: FakeGitHub) -> Iterator[WithGitHub]:
    installation = WithGitHub(tmp_path / "data", free_port(), more={"BERTH_GITHUB_URL": fake.url})
    installation.data.mkdir()
    installation.start()
    yield installation
    installation.stop()


def press_the_button(address: str) -> str:
    """What a person does with the address; returns the last page."""
    with httpx2.Client(follow_redirects=True) as browser:
        page = browser.get(address)
        action, manifest = form_of(page.text)
        done = browser.post(action, data={"manifest": manifest})
        assert done.status_code == 200, done.text
        return done.text


def test_berth_init_walks_through_the_manifest_flow(server: WithGitHub, fake: FakeGitHub) -> None:
    command = [sys.executable, "-m", "bot.cli", "init"]
    with subprocess.Popen(command, env=server.environment, stdout=subprocess.PIPE, text=True) as init:
        assert init.stdout
        address = next(line.strip() for line in init.stdout if "/setup?token=" in line)
        assert "Install the App on GitHub" in press_the_button(address)
        told = init.stdout.read()
    assert init.returncode == 0
    assert f"Berth is the GitHub App {fake.app.slug}." in told
    assert f"{fake.url}/apps/{fake.app.slug}/installations/new" in told
    checked = server.berth("init")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"Berth is the GitHub App {fake.app.slug}." in checked.stdout
    assert "warning: The App is installed nowhere." in checked.stdout
    repository = fake.create_repository("acme/shop")
    fake.install(repository)
    repository.push("main", {"index.html": "hello"})
    assert [one.status for one in fake.deliveries] == [202, 202]  # the server that ran all the time takes them
    assert "Nothing is missing." in server.berth("init").stdout
    kept = server.data / "github-app.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    fake.events.remove("push")
    checked = server.berth("init")
    assert checked.returncode == 1
    assert "error: The App does not get the event push." in checked.stdout


def test_berth_init_takes_an_app_that_exists(server: WithGitHub, fake: FakeGitHub, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    fake.hook_url = f"http://localhost:{server.port}/api/github/webhooks"
    key.write_text("nonsense")
    given = ("--app-id", fake.app.app_id, "--private-key", str(key), "--webhook-secret", fake.app.webhook_secret)
    refused = server.berth("init", "--import", *given)
    assert refused.returncode == 2
    assert "not an unencrypted RSA key" in refused.stderr
    key.write_text(fake.app.private_key)
    done = server.berth("init", "--import", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Berth is the GitHub App {fake.app.slug}." in done.stdout
    assert "client secret is missing" in done.stdout
    server.stop()
    server.start()  # the App is kept
    for _ in range(50):
        checked = server.berth("init")
        if checked.returncode == 0:
            break
        time.sleep(0.1)
    assert f"Berth is the GitHub App {fake.app.slug}." in checked.stdout, checked.stderr


def test_berth_init_needs_a_server(tmp_path: Path) -> None:
    result = Installation(tmp_path, free_port()).berth("init")
    assert result.returncode == 1
    assert "No Berth server runs" in result.stderr
