"""Berth in a container and as a service: its own image as templates/install/compose.yaml runs it, the systemd unit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.engine.build_secrets import find_client
from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import PREFIX, Server, clone, docker, get, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "templates/install/compose.yaml"
UNIT = ROOT / "templates/install/berth.service"
# the stand-ins for official images are of this version
PYTHON_IMAGE = f"{PREFIX}python:3.11-slim"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Berth's own image, built from its Dockerfile."""
    client = [part for part in asyncio.run(find_client()) if part != "--load"]
    tag = f"berth-test-{uuid.uuid4().hex[:8]}/berth:1"
    subprocess.run(
        [*client, "--quiet", "--build-arg", f"PYTHON_IMAGE={PYTHON_IMAGE}", "--tag", tag, str(ROOT)],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        check=True,
        capture_output=True,
        timeout=500,
    )
    yield tag
    docker("rmi", "-f", tag, check=False)


@dataclass
class InContainer(Server):
    """The server in its container, made as the compose file says."""

    image: str = ""
    name: str = ""

    def start(self, *, ready: bool = True) -> InContainer:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        os.chown(self.data_dir, 10001, 10001)
        docker("run", "--detach", "--name", self.name, *self.options(), self.image)
        until(lambda: get(f"{self.url}/healthz").status == 200, f"the server answers; log: {self.log[-3000:]}", 60)
        if ready:
            until(lambda: "ready to deploy" in self.log, "the engine and the edge are ready", 90)
        return self

    @property
    def log(self) -> str:
        found = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False)
        return found.stdout + found.stderr

    def options(self) -> list[str]:
        """``docker run`` options for everything that the compose file says of the service."""
        service = self.service()
        flags = {"init": "--init", "read_only": "--read-only"}
        names = {
            "network_mode": "--network",
            "user": "--user",
            "group_add": "--group-add",
            "cap_drop": "--cap-drop",
            "security_opt": "--security-opt",
            "tmpfs": "--tmpfs",
            "volumes": "--volume",
        }
        options = []
        for key, value in service.items():
            if key in flags:
                assert value is True
                options.append(flags[key])
            elif key == "environment":
                options += [f"--env={name}={text}" for name, text in value.items()]
            elif key in names:
                options += [f"{names[key]}={one}" for one in (value if isinstance(value, list) else [value])]
            else:
                assert key in {"image", "build", "restart", "stop_grace_period"}, key
        return options + [f"--env={name}={text}" for name, text in self.settings().items() if name.startswith("BERTH_")]

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(substituted(COMPOSE.read_text(), self.settings()))["services"]["berth"]
        return found

    def settings(self) -> dict[str, str]:
        """What the person's `.env` says."""
        ours = {name: text for name, text in self.environment.items() if name.startswith("BERTH_")}
        return {**ours, "BERTH_APPS_HOST": "127.0.0.1", "DOCKER_GID": str(os.stat("/var/run/docker.sock").st_gid)}


def substituted(text: str, settings: dict[str, str]) -> str:
    """https://docs.docker.com/reference/compose-file/interpolation/, as far as our file uses it."""

    def value(match: re.Match[str]) -> str:
        name, kind, other = match.groups()
        if settings.get(name):
            return settings[name]
        assert kind == ":-", f"{name}: {other}"
        return str(other)

    return re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", value, text)


@contextlib.contextmanager
def in_container(folder: Path, image: str) -> Iterator[InContainer]:
    server = InContainer(folder, image=image, name=f"berth-test-{uuid.uuid4().hex[:8]}")
    instance = ""
    try:
        server.start()
        instance = server.instance
        yield server
    finally:
        docker("stop", "--time=40", server.name, check=False)
        docker("rm", "-f", server.name, check=False)
        if instance:
            server.wipe(instance)


def test_a_push_is_deployed_by_berth_in_its_own_container(image: str, tmp_path: Path) -> None:
    with in_container(tmp_path / "berth", image) as server:
        work = clone(server, tmp_path, f"boxed-{uuid.uuid4().hex[:6]}")
        work.commit(PLAIN)
        output = work.push()
        environment = server.settled(work.name)
        assert environment["state"] == "live", output
        assert get(environment["url"]).body == "one\n"
        assert "=====> main is live at" in output

        [running] = docker("inspect", "--format", "{{.Config.User}}", server.name).split()
        assert running == "10001:10001"
        until(
            lambda: "healthy" in docker("inspect", "--format", "{{.State.Health.Status}}", server.name).split(),
            "the container's own health check passes",
            60,
        )
        owners = {path.stat().st_uid for path in server.data_dir.rglob("*")}
        assert owners == {10001}
        ended = subprocess.run(["docker", "stop", "--time=40", server.name], capture_output=True, check=False)
        assert ended.returncode == 0
        assert docker("inspect", "--format", "{{.State.ExitCode}}", server.name).strip() == "0", server.log[-2000:]
        assert get(environment["url"]).body == "one\n", "applications go on without Berth"


def test_a_build_with_secrets_finds_a_docker_client_in_the_image(image: str) -> None:
    code = "import asyncio; from bot.engine.build_secrets import find_client; print(*asyncio.run(find_client()))"
    found = docker("run", "--rm", "--entrypoint=/opt/berth/bin/python", image, "-c", code)
    assert found.split()[0].endswith("/docker")


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("docker compose is not installed")
    settings = InContainer(tmp_path).settings()
    compose = ["docker", "compose", "--file", str(COMPOSE), "config", "--quiet"]
    done = subprocess.run(compose, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    without = {name: text for name, text in settings.items() if name != "BERTH_PUBLIC_URL"}
    environment = {name: text for name, text in os.environ.items() if name != "BERTH_PUBLIC_URL"} | without
    refused = subprocess.run(compose, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "https://berth.example.com" in refused.stderr


SOCKET = "/srv/docker.sock"
SYSTEMD = """\
ARG BASE
FROM ${BASE}
ARG DOCKER_GID
USER root
RUN apt-get update -qq \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends dbus systemd >/dev/null \\
 && rm -rf /var/lib/apt/lists/* \\
 && { groupdel docker; groupadd --non-unique --gid "$DOCKER_GID" docker; useradd --system berth; } 2>/dev/null
COPY berth.service /etc/systemd/system/
COPY berth.env /etc/berth/
COPY data.conf /etc/systemd/system/berth.service.d/
RUN systemctl enable berth
ENTRYPOINT []
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
"""


@dataclass
class InService(Server):
    """The server as systemd runs it, which itself runs in a container."""

    image: str = ""
    name: str = ""
    folder_of_data: Path = Path()

    @property
    def data_dir(self) -> Path:
        return self.folder_of_data

    @property
    def log(self) -> str:
        command = ["docker", "exec", self.name, "journalctl", "--unit=berth", "--no-pager", "--output=cat"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def start(self, *, ready: bool = True) -> InService:
        volumes = [f"--volume={path}:{path}" for path in ("/sys/fs/cgroup", self.data_dir)]
        volumes.append(f"--volume=/var/run/docker.sock:{SOCKET}")  # systemd makes a /run of its own
        freedom = ["--cap-add=SYS_ADMIN", *(f"--security-opt={one}=unconfined" for one in ("seccomp", "apparmor"))]
        docker(
            *("run", "--detach", "--name", self.name, "--network=host", "--tmpfs=/run/lock", "--env=container=docker"),
            *(*freedom, *volumes, self.image),
        )
        until(lambda: get(f"{self.url}/healthz").status == 200, f"the server answers; log: {self.log[-3000:]}", 60)
        if ready:
            until(lambda: "ready to deploy" in self.log, "the engine and the edge are ready", 60)
        return self


@contextlib.contextmanager
def in_service(folder: Path, image: str) -> Iterator[InService]:
    """``image`` is Berth's own, which has it in /opt/berth as the unit expects."""
    name = f"berth-test-{uuid.uuid4().hex[:8]}"
    data = Path("/var/lib") / name  # not below /tmp, which the unit keeps for itself
    server = InService(folder, image=f"{name}/systemd:1", name=name, folder_of_data=data)
    instance = ""
    try:
        data.mkdir()
        context = folder / "systemd"
        context.mkdir(parents=True)
        variables = {key: text for key, text in server.environment.items() if key.startswith("BERTH_")}
        variables["BERTH_DOCKER_HOST"] = f"unix://{SOCKET}"
        (context / "Dockerfile").write_text(SYSTEMD)
        (context / "berth.service").write_text(UNIT.read_text())
        (context / "berth.env").write_text("".join(f"{key}={text}\n" for key, text in variables.items()))
        # on a server the data folder is the unit's StateDirectory, which systemd opens to the service by itself
        own = f"[Service]\nReadWritePaths={data}\nExecStartPre=+/bin/chown berth:berth {data}\n"
        (context / "data.conf").write_text(own)
        client = [part for part in asyncio.run(find_client()) if part != "--load"]
        arguments = {"BASE": image, "DOCKER_GID": str(os.stat("/var/run/docker.sock").st_gid)}
        options = [f"--build-arg={key}={text}" for key, text in arguments.items()]
        subprocess.run(
            [*client, "--quiet", *options, "--tag", server.image, str(context)],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            check=True,
            capture_output=True,
            timeout=500,
        )
        server.start()
        instance = server.instance
        yield server
    finally:
        docker("stop", "--time=60", name, check=False)
        docker("rm", "-f", name, check=False)
        if instance:
            server.wipe(instance)
        docker("rmi", "-f", server.image, check=False)
        shutil.rmtree(data, ignore_errors=True)


def test_a_push_is_deployed_by_berth_as_a_service(image: str, tmp_path: Path) -> None:
    if not Path("/sys/fs/cgroup/systemd").is_dir():
        pytest.skip("systemd in a container needs the control groups of version 1 of this test's making")
    with in_service(tmp_path / "berth", image) as server:
        work = clone(server, tmp_path, f"service-{uuid.uuid4().hex[:6]}")
        work.commit(PLAIN)
        output = work.push()
        environment = server.settled(work.name)
        assert environment["state"] == "live", output
        until(lambda: get(environment["url"]).body == "one\n", "the edge leads to it", 10)

        def systemctl(*words: str) -> str:
            return docker("exec", server.name, "systemctl", *words, check=False).strip()

        assert systemctl("is-active", "berth") == "active"
        process = systemctl("show", "--property=MainPID", "--value", "berth")
        status = docker("exec", server.name, "cat", f"/proc/{process}/status")
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        systemctl("kill", "--signal=SIGKILL", "berth")
        until(
            lambda: systemctl("show", "--property=MainPID", "--value", "berth") not in {"0", process},
            "systemd starts it again",
            30,
        )
        until(lambda: get(f"{server.url}/healthz").status == 200, "it answers again", 60)
        systemctl("stop", "berth")
        assert systemctl("show", "--property=Result", "--value", "berth") == "success"
        assert get(environment["url"]).body == "one\n", "applications go on without Berth"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    # the program and the user of the installation are not on this machine
    text = UNIT.read_text().replace("/opt/berth/bin/berth", "/bin/true").replace("=berth\n", "=root\n")
    unit = tmp_path / "berth.service"
    unit.write_text(text.replace("SupplementaryGroups=docker\n", ""))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "berth.service" in line]
    assert not complaints
