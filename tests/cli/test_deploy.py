"""`berth deploy` of folders and repositories on a real engine, and what can be done with them afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.busybox import ensure_busybox
from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import GIT_IDENTITY, Server, get, running, until

pytestmark = pytest.mark.docker

BROKEN = {
    "Dockerfile": """\
        FROM berth.test/busybox:1
        EXPOSE 8080
        CMD ["busybox", "sh", "-c", "echo the disk is missing; exit 7"]
        """
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    ensure_busybox()
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], env={**os.environ, **GIT_IDENTITY}, check=True)


def url_of(text: str) -> str:
    """The URL in the last line of what `berth deploy` printed."""
    last = text.splitlines()[-1]
    assert last.startswith("Live in "), text
    return last.rpartition(" ")[2]


def test_a_folder_is_deployed_changed_broken_and_rolled_back(server: Server, tmp_path: Path) -> None:
    folder = write(tmp_path / "My Shop", PLAIN)
    first = server.berth("deploy", str(folder))
    url = url_of(first.stdout)
    assert get(url).body == "one\n"
    assert first.stdout.splitlines()[0] == f"Deploying {folder} as my-shop."
    assert "verify     done in" in first.stdout

    (folder / "index.html").write_text("two\n")
    assert url_of(server.berth("deploy", str(folder)).stdout) == url
    assert get(url).body == "two\n"

    write(folder, BROKEN)
    failed = server.berth("deploy", str(folder), check=False)
    assert failed.returncode == 1
    assert "  | the disk is missing" in failed.stderr
    assert "failed in phase verify" in failed.stderr
    assert "exit code 7" in failed.stderr
    assert f"at {url}" in failed.stderr
    assert get(url).body == "two\n"
    (shown,) = [json.loads(line) for line in server.berth("ps", "--json").stdout.splitlines()]
    assert (shown["state"], shown["latest"]["state"]) == ("live", "failed")
    build = server.berth("logs", "my-shop", "--build", "-n", "50").stdout
    assert "the disk is missing" in build

    assert url_of(server.berth("rollback", "my-shop").stdout) == url
    assert get(url).body == "one\n"
    assert server.berth("rm", "my-shop", "--repository", "--volumes", "--yes").stdout == "my-shop removed.\n"
    assert server.berth("ps", "--json").stdout == ""


def test_a_repository_is_deployed_by_branch_and_tag(server: Server, tmp_path: Path) -> None:
    folder = write(tmp_path / "site", PLAIN)
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "tag", "v1")
    (folder / "index.html").write_text("two\n")
    git(folder, "commit", "-q", "-a", "-m", "second")
    git(folder, "branch", "feature/x")
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(folder), str(bare))

    production = url_of(server.berth("deploy", str(bare)).stdout)
    assert get(production).body == "two\n"
    preview = url_of(server.berth("deploy", f"file://{bare}", "--ref", "feature/x").stdout)
    assert preview != production
    assert url_of(server.berth("deploy", str(bare), "--ref", "v1").stdout) == production
    assert get(production).body == "one\n"
    assert get(preview).body == "two\n"
    again = server.berth("deploy", str(bare), "--ref", "v1")  # nothing to push
    assert url_of(again.stdout) == production

    unknown = server.berth("deploy", str(bare), "--ref", "nowhere", check=False)
    assert unknown.returncode == 2
    assert "feature/x, trunk" in unknown.stderr
    assert "bare@feature/x" in server.berth("stop", "bare@nowhere", check=False).stderr
    assert server.berth("stop", "bare@feature/x").stdout == "bare@feature/x stopped.\n"
    assert get(preview).status == 503
    assert server.berth("start", "bare@feature/x").stdout == f"bare@feature/x started: {preview}\n"
    assert get(preview).body == "two\n"
    server.berth("rm", "bare", "--repository", "--volumes", "--yes")


def test_output_is_followed_over_a_restart(server: Server, tmp_path: Path) -> None:
    chatty = PLAIN | {
        "Dockerfile": """\
            FROM berth.test/busybox:1
            COPY . /www
            EXPOSE 8080
            CMD ["busybox", "sh", "-c", "echo begins on $HOSTNAME; exec busybox httpd -f -v -p 8080 -h /www"]
            """
    }
    url = url_of(server.berth("deploy", str(write(tmp_path / "chatty", chatty))).stdout)
    follower = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "logs", "chatty", "-f"],
        env=server.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen: list[str] = []
    reader = threading.Thread(
        target=lambda: seen.extend(iter(follower.stdout.readline, "")) if follower.stdout else None
    )
    reader.start()
    try:
        until(lambda: seen, "what was printed before", 20)
        assert seen[0].startswith("begins on")
        before = len(seen)
        assert get(url).status == 200
        until(lambda: any("response:200" in line for line in seen[before:]), "the request is seen", 20)
        server.berth("restart", "chatty")
        until(lambda: sum("begins on" in line for line in seen) == 2, "the next instance is seen", 30)
    finally:
        follower.kill()
        follower.wait()
        reader.join()
        if follower.stdout:
            follower.stdout.close()
    assert server.berth("logs", "chatty", "-n", "1").stdout.count("\n") == 1
    server.berth("rm", "chatty", "--repository", "--volumes", "--yes")
