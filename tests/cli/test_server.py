"""The real `berth` with a real server of its own, without an engine: what works then, and how things are refused."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from unittest import mock

import pytest

from bot.cli import main

pytestmark = pytest.mark.slow

Result = subprocess.CompletedProcess[str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Installation:
    data: Path
    port: int
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")}
        return kept | {
            "BERTH_DATA_DIR": str(self.data),
            "BERTH_PORT": str(self.port),
            "BERTH_PORT_MIN": "1024",
            "BERTH_PORT_MAX": "1030",
            "BERTH_DOCKER_HOST": f"unix://{self.data}/none.sock",
        }

    def berth(self, *arguments: str, stdin: str = "", **more: str) -> Result:
        """The command, in this process: starting a Python for each would take most of the time."""
        out, err, code = StringIO(), StringIO(), 0
        with (
            mock.patch.dict(os.environ, self.environment | more, clear=True),
            mock.patch("sys.argv", ["berth", *arguments]),
            mock.patch("sys.stdin", TextIOWrapper(BytesIO(stdin.encode()))),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def serve(self, **more: str) -> Result:
        command = [sys.executable, "-m", "bot.cli", "serve"]
        return subprocess.run(
            command, env=self.environment | more, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "serve"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("Berth runs: "):
                return
        raise AssertionError(f"the server ended with {self.process.wait()}")

    def stop(self) -> float:
        """Seconds that the server took to end."""
        assert self.process
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        return time.monotonic() - began


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("data"), free_port())
    installation.start()
    yield installation
    assert installation.process
    installation.process.kill()
    installation.process.wait()
    assert installation.process.stdout
    installation.process.stdout.close()


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


def test_remote_creates_a_repository_and_prints_how_to_push(served: Installation) -> None:
    told = served.berth("remote", "shop").stdout.splitlines()
    url = served.berth("remote", "shop", "--url-only").stdout.strip()
    assert told == [f"git remote add berth {url}", "git push berth HEAD:main"]
    assert url.startswith("http://berth:")
    assert f"@127.0.0.1:{served.port}/git/shop.git" in url


def test_bad_names_and_targets_end_with_2(served: Installation) -> None:
    for arguments in (("remote", "../x"), ("stop", "nowhere"), ("logs", "@x"), ("set", "shop", "=1"), ("rm",)):
        result = served.berth(*arguments)
        assert result.returncode == 2, arguments
        assert result.stdout == ""
        assert "Traceback" not in result.stderr


def test_nothing_deployed(served: Installation) -> None:
    assert "berth deploy" in served.berth("ps").stdout
    assert served.berth("ps", "--json").stdout == ""


def test_settings_and_variables(served: Installation) -> None:
    served.berth("remote", "vars")
    assert served.berth("set", "vars", "port=8080", "start_command=node x.js").returncode == 0
    shown = {one["key"]: one for one in map(json.loads, served.berth("set", "vars", "--json").stdout.splitlines())}
    assert (shown["port"]["value"], shown["port"]["source"]) == (8080, "set in Berth")
    assert served.berth("set", "vars", "port=").returncode == 0
    wrong = served.berth("set", "vars", "port=many")
    assert wrong.returncode == 2
    assert "port" in one_line(wrong.stderr)
    assert served.berth("env", "set", "vars", "A=1", "B=x=y").returncode == 0
    assert served.berth("env", "set", "vars", "S", "--secret", "--build", stdin="geheim\n").returncode == 0
    imported = served.berth("env", "import", "vars", "-", "--scope", "previews", stdin="C='3'\nPORT=9\n")
    assert imported.returncode == 0
    assert "PORT is left out" in imported.stderr
    listed = {
        one["name"]: one for one in map(json.loads, served.berth("env", "list", "vars", "--json").stdout.splitlines())
    }
    assert {name: one["value"] for name, one in listed.items()} == {"A": "1", "B": "x=y", "C": "3", "S": None}
    assert listed["C"]["scope"] == "previews"
    assert listed["S"]["build"] is True
    assert "geheim" not in served.berth("env", "list", "vars").stdout
    assert served.berth("env", "unset", "vars", "A", "B").returncode == 0
    assert served.berth("env", "unset", "vars", "A").returncode == 2
    broken = served.berth("env", "import", "vars", "-", stdin="A=1\nB\n")
    assert broken.returncode == 2
    assert "Line 2" in one_line(broken.stderr)


def test_a_commit_that_is_not_deployed_is_told_so(served: Installation, tmp_path: Path) -> None:
    for words in (
        ("init", "-q", "-b", "main"),
        ("-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x [skip ci]"),
    ):
        subprocess.run(("git", *words), cwd=tmp_path, check=True)
    done = served.berth("deploy", str(tmp_path), "--ref", "main", "--name", "skipped")
    assert done.returncode == 1
    assert "no deployment came of it: Not deployed: the commit message says [skip ci]." in one_line(done.stderr)


def test_removal_asks_first(served: Installation) -> None:
    served.berth("remote", "gone")
    refused = served.berth("rm", "gone", "--repository")
    assert refused.returncode == 2
    assert "--yes" in one_line(refused.stderr)
    assert served.berth("rm", "gone", "--repository", "--yes").returncode == 0
    assert served.berth("set", "gone").returncode == 2


def test_another_server_is_reached_by_its_address(served: Installation, tmp_path: Path) -> None:
    token = (served.data / "operator-token").read_text().strip()
    elsewhere = {"BERTH_DATA_DIR": str(tmp_path), "BERTH_URL": f"http://localhost:{served.port}"}
    assert served.berth("ps", **elsewhere, BERTH_TOKEN=token).returncode == 0
    wrong = served.berth("ps", **elsewhere, BERTH_TOKEN="wrong")
    assert wrong.returncode == 2
    assert "BERTH_TOKEN" in one_line(wrong.stderr)
    assert served.berth("ps", **elsewhere).returncode == 2
    away = served.berth("ps", BERTH_URL="http://127.0.0.1:9", BERTH_TOKEN="x")
    assert away.returncode == 1
    assert "No answer" in one_line(away.stderr)
    assert served.berth("ps", BERTH_URL="ftp://x", BERTH_TOKEN="x").returncode == 2


def test_without_a_server_commands_say_how_to_start_one(tmp_path: Path) -> None:
    result = Installation(tmp_path, free_port()).berth("ps")
    assert result.returncode == 1
    assert "berth serve" in one_line(result.stderr)


def test_a_second_server_on_the_same_folder_is_refused(served: Installation) -> None:
    for second in (served.berth("serve"), Installation(served.data, free_port()).serve()):
        assert second.returncode == 2
        assert str(served.data) in one_line(second.stderr)
    assert served.berth("ps").returncode == 0


def test_a_server_whose_port_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        result = Installation(tmp_path, port).berth("serve")
    assert result.returncode == 2
    assert f"127.0.0.1:{port}" in one_line(result.stderr)


def test_a_wrong_configuration_is_refused(tmp_path: Path) -> None:
    installation = Installation(tmp_path, free_port())
    for name, value in {"BERTH_PORT": "many", "BERTH_NETWORK_POOL": "8.8.8.0/24", "BERTH_PORT_MIN": "1031"}.items():
        result = installation.berth("serve", **{name: value})
        assert result.returncode == 2
        assert name in one_line(result.stderr)


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data", free_port())
    installation.start()
    installation.stop()
    (installation.data / "secret.key").unlink()
    result = installation.serve()
    assert result.returncode == 2
    assert "key" in one_line(result.stderr.splitlines(keepends=True)[-1])


def test_a_deployment_is_followed_and_neither_its_viewers_nor_a_push_hold_up_the_end(tmp_path: Path) -> None:
    """Without an engine a deployment waits; the server ends at once all the same, and takes its address with it."""
    installation = Installation(tmp_path / "data", free_port())
    installation.start()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.html").write_text("hello")
    viewer = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "deploy", str(tmp_path / "app")],
        env=installation.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert viewer.stdout
    assert viewer.stdout.readline() == f"Deploying {tmp_path / 'app'} as app.\n"
    assert viewer.stdout.readline() == "deployment queued\n"
    assert "queued" in installation.berth("ps").stdout
    assert installation.stop() < 8
    assert not (installation.data / "server.json").exists()
    viewer.send_signal(signal.SIGINT)
    _, told = viewer.communicate(timeout=20)
    assert viewer.returncode == 130
    assert "goes on without you" in told


def test_the_health_of_a_server_without_an_engine(served: Installation) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok"
    result = served.berth("doctor", "--json")
    assert result.returncode == 1
    found = {one["check"]: one for one in map(json.loads, result.stdout.splitlines())}
    assert found["docker"]["level"] == "error"
    assert found["server"]["level"] == "error"
    assert "cannot deploy" in found["server"]["text"]


def test_folders_are_detected_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    installation = Installation(tmp_path / "data", free_port())
    result = installation.berth("detect", str(tmp_path), "/nonexistent", "--json")
    assert result.returncode == 2
    found = json.loads(one_line(result.stdout))
    assert (found["path"], found["stack"]) == (str(tmp_path), "static")
    out = tmp_path / "out"
    assert installation.berth("generate", str(tmp_path), "--out", str(out)).returncode == 0
    assert (out / "Dockerfile").read_text().startswith("#")
    again = installation.berth("generate", str(tmp_path), "--out", str(out))
    assert again.returncode == 2
    assert "--force" in one_line(again.stderr)
    assert installation.berth("generate", str(tmp_path), "--out", str(out), "--force").returncode == 0
    assert not installation.data.exists()


def test_deploying_without_a_server_starts_one_and_only_one(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data", free_port())
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.html").write_text("hello")
    command = [sys.executable, "-m", "bot.cli", "deploy", str(tmp_path / "app")]
    viewers = [
        subprocess.Popen(
            command, env=installation.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for viewer in viewers:
            assert viewer.stdout
            assert viewer.stdout.readline() == f"Deploying {tmp_path / 'app'} as app.\n"
            assert viewer.stdout.readline().startswith("deployment "), viewer.communicate()
            viewer.send_signal(signal.SIGINT)
        told = [viewer.communicate(timeout=30)[1] for viewer in viewers]
        assert sum("Started a Berth server" in text for text in told) == 1, told
        server = json.loads((installation.data / "server.json").read_text())
        assert any(f"process {server['pid']}" in text for text in told)
        assert server["url"] in "".join(told)
    finally:
        for viewer in viewers:
            viewer.kill()
        if (installation.data / "server.json").exists():
            os.kill(json.loads((installation.data / "server.json").read_text())["pid"], signal.SIGTERM)
    for _ in range(200):
        if not (installation.data / "server.json").exists():
            return
        time.sleep(0.05)
    raise AssertionError("the server did not end")


def test_a_server_that_cannot_start_in_the_background_says_why(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.html").write_text("hello")
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        installation = Installation(tmp_path / "data", stranger.getsockname()[1])
        result = installation.berth("deploy", str(tmp_path / "app"))
    assert result.returncode == 1
    assert "cannot listen" in one_line(result.stderr)
    assert "serve.log" in result.stderr
