import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.demo import docker_engine
from bot.demo.asker import Asker, ask
from bot.demo.leftovers import _instance
from bot.demo.repository import Repository
from bot.demo.sample import FIRST, SECOND, THIRD
from bot.demo.screen import Screen
from bot.demo.server import serving
from bot.errors import BerthError

ROOT = Path(__file__).parents[1]


def run_demo(data: Path, *arguments: str) -> tuple[str, float]:
    """What ``make demo CI=1`` prints, and how many seconds it takes. It must end with 0."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "bot.demo", "--data", str(data), *arguments],
        cwd=ROOT,
        env=environment | {"CI": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log = data / "serve.log"
    server = log.read_text(errors="replace")[-5000:] if log.exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n-- the server --\n{server}"
    return done.stdout, time.monotonic() - start


def containers(instance: str, *options: str) -> list[str]:
    command = ["docker", "ps", "-q", *options, "--filter", f"label=berth.instance={instance}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="berth-demo-test-"))
    yield folder
    run_demo(folder, "--remove")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_holds_what_it_promises_twice_and_leaves_nothing(data: Path) -> None:
    first, _ = run_demo(data)
    assert f"says: {FIRST.answer}" in first
    assert " 0 failed, at the same URL" in first
    assert "KeyError: 'DATABASE_URL'" in first
    assert "The one before it is still live, and answers." in first
    assert "Everything held" in first
    instance = _instance(data)
    assert instance
    assert containers(instance) == []

    second, seconds = run_demo(data)
    assert " 0 failed, at the same URL" in second
    assert "it is used again" in second
    assert _instance(data) == instance
    assert seconds < 90

    run_demo(data, "--remove")
    assert containers(instance, "--all") == []
    assert not data.exists()


@pytest.mark.slow
def test_a_second_server_on_the_same_data_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "unix:///nowhere/docker.sock", "") as server:
        with (
            pytest.raises(BerthError, match="Another berth serve"),
            serving(tmp_path / "data", "unix:///nowhere/docker.sock", ""),
        ):
            pass
        assert server.berth("remote", "app", "--url-only").endswith("/git/app.git")
        with pytest.raises(BerthError, match="knows nothing of app"):
            server.environment_of("app")
    with pytest.raises(BerthError, match="No Berth server runs"):
        server.berth("ps")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository whose hook says what the push of the demo is to show."""
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
    hook = path / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\necho '-----> Building'\necho '=====> main is live at http://127.0.0.1:20000'\n")
    hook.chmod(0o755)
    return path


def work_folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_a_push_gives_the_lines_of_the_remote_side(tmp_path: Path, remote: Path) -> None:
    repository = Repository(work_folder(tmp_path, "one"), str(remote))
    assert len(repository.commit(FIRST)) == 7
    assert list(repository.push()) == ["-----> Building", "=====> main is live at http://127.0.0.1:20000"]


def test_a_second_demo_goes_on_from_the_first(tmp_path: Path, remote: Path) -> None:
    first = Repository(work_folder(tmp_path, "one"), str(remote))
    for commit in (FIRST, SECOND, THIRD):
        first.commit(commit)
        list(first.push())
    tree = ["git", "-C", str(first.folder), "rev-parse", "HEAD~2^{tree}"]
    of_first = subprocess.run(tree, check=True, capture_output=True, text=True).stdout
    second = Repository(work_folder(tmp_path, "two"), str(remote))
    second.commit(FIRST)
    tree = ["git", "-C", str(second.folder), "rev-parse", "HEAD^{tree}"]
    assert subprocess.run(tree, check=True, capture_output=True, text=True).stdout == of_first
    assert list(second.push())


def test_a_push_that_git_refuses_is_said(tmp_path: Path, remote: Path) -> None:
    (remote / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (remote / "hooks" / "pre-receive").chmod(0o755)
    repository = Repository(work_folder(tmp_path, "one"), str(remote))
    repository.commit(FIRST)
    with pytest.raises(BerthError, match="git push failed"):
        list(repository.push())


def test_a_failed_push_is_shown_with_its_reason_and_last_lines(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Screen().follow(
        [
            "-----> Deploying main (deployment 3)",
            "-----> Building",
            "       [build 2/5] RUN pip install",
            "-----> Checking that it answers",
            "       KeyError: 'DATABASE_URL'",
            " !     Failed in verify: the application ended with exit code 1 [bold]",
            " !     Look at its log.",
        ]
    )
    assert outcome.problem == ["Failed in verify: the application ended with exit code 1 [bold]", "Look at its log."]
    assert outcome.last_lines == ["KeyError: 'DATABASE_URL'"]
    assert not outcome.url
    printed = capsys.readouterr().out
    assert "✓ Building" in printed
    assert "[build 2/5] RUN pip install" in printed
    assert "✗ Checking that it answers" in printed


def test_a_live_push_gives_its_url() -> None:
    outcome = Screen().follow(["-----> Building", "=====> main is live at http://127.0.0.1:20007"])
    assert outcome.url == "http://127.0.0.1:20007"
    assert not outcome.problem


class Page(http.server.BaseHTTPRequestHandler):
    answers: list[int]

    def do_GET(self) -> None:
        status = self.answers.pop() if self.answers else 200
        self.send_response(status)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a page that is fine but for one answer with status 503."""
    Page.answers = [503, 200, 200]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_the_asker_counts_answers_and_failures(page: str) -> None:
    with Asker(page) as asker:
        deadline = time.monotonic() + 10
        while asker.requests < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert asker.failures == {"status 503": 1}
    assert asker.answers["hello"] == asker.requests - 1 >= 4


def test_asking_nobody_fails() -> None:
    with pytest.raises(OSError, match="refused"):
        ask("http://127.0.0.1:9/")


def test_an_engine_that_was_named_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.delenv("BERTH_DOCKER_HOST", raising=False)
    said: list[str] = []
    with pytest.raises(BerthError, match="/nowhere/"):
        docker_engine.ensure_engine(said.append)
    assert said == []


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        (PermissionError(13, "Permission denied"), "usermod -aG docker"),
        (FileNotFoundError(2, "No such file or directory"), "apt-get install docker.io|systemctl start|sudo dockerd"),
    ],
)
def test_who_is_not_root_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, problem: OSError, advice: str) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("BERTH_DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker_engine, "_problem", lambda host: problem)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BerthError, match=advice):
        docker_engine.ensure_engine(print)
