"""Each stack from its registry: pushed, changed, looked at from Docker's side, and run by hand from the files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bot.engine.build_secrets import find_client
from bot.engine.records import ROOT_CAPABILITIES
from tests.end_to_end.apps import EXPRESS, FASTAPI, FLASK, PLAIN, STATIC
from tests.end_to_end.harness import GIT_IDENTITY, PREFIX, Server, Work, clone, docker, free_port, get, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Make = Callable[[str], Work]


@dataclass(frozen=True)
class Stack:
    """``answer``: what it answers at /; a change of ``source`` replaces ``word`` in it."""

    files: dict[str, str]
    answer: str
    source: str
    dependencies: str | None = None  # the step that a change of the source does not repeat
    folder: str = ""
    word: str = "one"

    def change(self) -> dict[str, str]:
        return {self.source: self.files[self.source].replace(self.word, "two")}

    def changed_answer(self) -> str:
        return self.answer.replace(self.word, "two")


OWN = {
    "Dockerfile": """\
        # what it runs depends on nothing of Berth
        FROM berth.test/busybox:1 AS build
        RUN mkdir /made && echo made > /made/by
        FROM berth.test/busybox:1
        COPY --from=build /made/by /www/by.txt
        COPY index.html /www/
        USER app
        EXPOSE 8080
        ENTRYPOINT ["busybox", "httpd", "-f", "-h", "/www"]
        CMD ["-p", "8080"]
        """,
    "index.html": "own one\n",
}
FAST = FASTAPI | {"app/main.py": FASTAPI["app/main.py"].replace('"fastapi"', '"fast one"')}
IN_FOLDER = {
    "README.md": "An application in a folder.\n",
    "package.json": '{"name": "tools", "private": true}\n',
    ".berth.yml": "root: services/web\n",
    **{f"services/web/{name}": text for name, text in PLAIN.items()},
}
STACKS = {
    "express": Stack(EXPRESS, "express one", "server.js", "RUN .*npm install"),
    "flask": Stack(FLASK, "flask one", "app.py", "RUN .*pip install"),
    "fastapi": Stack(FAST, '{"stack":"fast one"}', "app/main.py", "RUN .*pip install", word="fast one"),
    "static": Stack(STATIC, STATIC["index.html"], "index.html", word="static one"),
    "own": Stack(OWN, "own one\n", "index.html", "RUN mkdir /made"),
    "folder": Stack(IN_FOLDER, "one\n", "services/web/index.html", folder="services/web"),
}


@dataclass
class Deployed:
    name: str
    stack: Stack
    work: Work
    first: dict[str, Any]  # the environment after the first push

    @property
    def url(self) -> str:
        return str(self.first["url"])


@pytest.fixture(scope="module", params=STACKS)
def deployed(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    name = str(request.param)
    stack = STACKS[name]
    shop = clone(server, tmp_path_factory.mktemp(name), f"{name}-{uuid.uuid4().hex[:6]}")
    shop.commit(stack.files)
    output = shop.push()
    first = server.settled(shop.name)
    assert first["state"] == "live", output
    return Deployed(name, stack, shop, first)


def test_first_push_answers_on_its_stable_port(deployed: Deployed) -> None:
    assert get(deployed.url).body == deployed.stack.answer
    port = deployed.first["services"][0]["port"]
    assert deployed.url == f"http://127.0.0.1:{port}"
    if deployed.name == "static":
        assert get(deployed.url + "/about").body == STATIC["about.html"]
        missing = get(deployed.url + "/nothing")
        assert (missing.status, missing.body) == (404, STATIC["404.html"])


def test_it_runs_without_rights_and_with_limits(server: Server, deployed: Deployed) -> None:
    environment = deployed.first
    container = server.container(environment["id"])
    uids = docker("top", container["Id"], "-eo", "pid,uid,args").splitlines()[1:]
    # process 1 is docker-init, which the engine starts as the same user
    assert {line.split()[1] for line in uids} == {"1000"}, uids

    host = container["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    status = Path(f"/proc/{container['State']['Pid']}/status")
    if status.exists():  # what the kernel says, where the engine is on this machine
        effective = re.search(r"^CapEff:\s*(\w+)$", status.read_text(), re.MULTILINE)
        assert effective is not None
        assert int(effective[1], 16) == 0
    assert host["Memory"] == host["MemorySwap"] == 512 * 1024 * 1024
    assert host["PidsLimit"] == 512
    assert host["Init"] is True
    assert not host["Privileged"]
    assert not host["Binds"]
    assert not host["PortBindings"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert int(host["LogConfig"]["Config"]["max-file"]) >= 1
    assert "max-size" in host["LogConfig"]["Config"]

    labels = container["Config"]["Labels"]
    assert labels["berth.instance"] == server.instance
    assert labels["berth.environment"] == str(environment["id"])
    assert labels["berth.deployment"] == str(environment["live"]["id"])
    assert labels["berth.service"].isdigit()
    assert labels["berth.config"]
    assert server.instance in container["Name"]
    assert deployed.work.name not in container["Name"]
    networks = container["NetworkSettings"]["Networks"]
    assert len(networks) == 1
    assert server.instance in next(iter(networks))


def test_a_change_of_the_source_alone(server: Server, deployed: Deployed) -> None:
    stack, shop = deployed.stack, deployed.work
    shop.commit(stack.change())
    shop.push()
    after = server.settled(shop.name)
    assert (after["state"], after["url"]) == ("live", deployed.url)
    assert get(deployed.url).body == stack.changed_answer()
    steps = [(line["step"], line["text"]) for line in server.lines(after["live"]["id"]) if line["kind"] == "step"]
    if stack.dependencies:
        found = [text for step, text in steps if re.search(stack.dependencies, step, re.DOTALL)]
        assert "cached" in found, steps
        assert not any(text.startswith("done") for text in found), steps


def test_the_files_by_hand_make_the_same(server: Server, deployed: Deployed, tmp_path: Path) -> None:
    shop = deployed.work
    environment = server.settled(shop.name)
    files = server.api("GET", f"/api/deployments/{environment['live']['id']}/files")["files"]
    folder = tmp_path / "by-hand"
    subprocess.run(
        ["git", "-C", str(shop.path), "worktree", "add", "--detach", str(folder)],
        check=True,
        capture_output=True,
        env={**os.environ, **GIT_IDENTITY},
    )
    folder = folder / deployed.stack.folder
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        assert not target.exists(), f"{name} would replace what the repository has"
        target.write_text(text)
    assert "docker-compose.yml" in files
    assert ("Dockerfile" in files) == (not (shop.path / deployed.stack.folder / "Dockerfile").exists())
    expected = get(deployed.url).body
    port = environment["services"][0]["container_port"]
    with by_hand(folder, port) as url:
        until(lambda: get(url).body == expected, f"the same answer at {url}", 30)


@contextlib.contextmanager
def by_hand(folder: Path, port: int) -> Iterator[str]:
    """``docker build``, then ``docker compose up``, or ``docker run`` where there is no compose; yields its address."""
    project = f"byhand{uuid.uuid4().hex[:8]}"
    image = f"{project}-web"  # as compose calls it
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    outside = free_port()
    compose = ("docker", "compose", "--project-directory", str(folder), "-p", project)
    try:
        client = asyncio.run(find_client())
        command = [*client, "-t", image, "--pull=false", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
            up = [*compose, "up", "-d", "--no-build"]
            variables = {**environment, "PORT": str(outside)}
            done = subprocess.run(up, capture_output=True, text=True, env=variables, timeout=100, check=False)
            assert done.returncode == 0, done.stderr
        else:
            docker("run", "-d", "--init", "--name", project, "-p", f"127.0.0.1:{outside}:{port}", image)
        yield f"http://127.0.0.1:{outside}"
    finally:
        subprocess.run([*compose, "down", "-t", "1"], capture_output=True, timeout=100, check=False)
        docker("rm", "-f", project, check=False)
        docker("rmi", "-f", image, check=False)


def test_the_shortest_dockerfile(server: Server, work: Make) -> None:
    """No command, no port, root: all that is needed is known of the base image."""
    shop = work("shortest")
    shop.commit({"Dockerfile": f"FROM {PREFIX}nginx:stable\nCOPY . /usr/share/nginx/html\n", "index.html": "short\n"})
    output = shop.push()
    environment = server.settled(shop.name)
    assert environment["state"] == "live", output
    assert environment["services"][0]["container_port"] == 80
    assert get(environment["url"]).body == "short\n"
    container = server.container(environment["id"])
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert {name.removeprefix("CAP_") for name in container["HostConfig"]["CapAdd"]} == set(ROOT_CAPABILITIES)
    assert "no-new-privileges" in container["HostConfig"]["SecurityOpt"]


# ------------------------------------------------------------------------------------------ the command line


def test_a_root_that_is_set_in_berth(server: Server, work: Make) -> None:
    shop = work("set-root")
    shop.commit({f"apps/site/{name}": text for name, text in PLAIN.items()} | {"apps/site/sub/x.txt": "x\n"})
    shop.push()
    server.berth("set", shop.name, "root=apps/site")
    server.berth("redeploy", shop.name)
    assert get(server.settled(shop.name)["url"]).body == "one\n"
    # a folder that does not exist is said, and what runs goes on
    server.berth("set", shop.name, "root=apps/nothing")
    shop.commit(message="again")
    assert "apps/nothing" in shop.push()
    environment = server.settled(shop.name)
    assert (environment["state"], environment["latest"]["state"]) == ("live", "failed")
    assert get(environment["url"]).body == "one\n"


def written(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    Work(Server(folder), folder, folder.name).write(files)
    return folder


def test_deploying_a_folder(server: Server, tmp_path: Path) -> None:
    name = f"folder-{uuid.uuid4().hex[:6]}"
    folder = written(tmp_path / name, {**PLAIN, ".gitignore": "secret.txt\n", "secret.txt": "not for images\n"})
    done = server.berth("deploy", str(folder))
    environment = server.settled(name)
    assert environment["url"] in done.stdout
    assert get(environment["url"]).body == "one\n"
    assert get(environment["url"] + "/secret.txt").status == 404
    assert not (folder / ".git").exists()
    # the same folder again is the same application; uncommitted changes count
    (folder / "index.html").write_text("two\n")
    server.berth("deploy", str(folder))
    assert get(environment["url"]).body == "two\n"
    # exit code 0 only if it answered
    (folder / "Dockerfile").write_text('FROM berth.test/busybox:1\nCMD ["sh", "-c", "echo my last words; exit 7"]\n')
    failed = server.berth("deploy", str(folder), check=False)
    assert failed.returncode == 1
    assert "exit code 7" in failed.stdout + failed.stderr
    assert "my last words" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stderr
    assert get(environment["url"]).body == "two\n"


def test_deploying_a_repository_by_its_path(server: Server, tmp_path: Path) -> None:
    name = f"origin-{uuid.uuid4().hex[:6]}"
    origin = Work(server, written(tmp_path / name, PLAIN), name)
    origin.git("init", "-q", "-b", "trunk")
    first = origin.commit()
    origin.git("switch", "-q", "-c", "topic")
    origin.commit({"index.html": "topic\n"})
    origin.git("switch", "-q", "trunk")
    origin.commit({"index.html": "two\n"})
    bare = tmp_path / f"{name}.git"
    origin.git("clone", "-q", "--bare", str(origin.path), str(bare))
    server.berth("deploy", str(bare))
    production = server.settled(name)
    assert get(production["url"]).body == "two\n"
    server.berth("deploy", str(bare), "--ref", "topic")
    assert get(server.settled(name, "preview/topic")["url"]).body == "topic\n"
    server.berth("deploy", str(bare), "--ref", first)
    assert get(production["url"]).body == "one\n"
    for arguments, words in (
        ((str(bare), "--ref", "nothing"), "no branch or tag 'nothing'"),
        ((str(bare), "--ref", "-x"), "starts with a dash"),
        ((str(tmp_path / "nothing"),), "is not a folder"),
        (("ssh://host/x",), "is not an https address"),
    ):
        refused = server.berth("deploy", *arguments, check=False)
        assert refused.returncode == 2, refused
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


@contextlib.contextmanager
def https_server(folder: Path, certificate: Path) -> Iterator[int]:
    """Serves the files of a folder on localhost, with a certificate that is written for it; yields its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = certificate.with_suffix(".key")
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_deploying_a_repository_by_its_url(server: Server, tmp_path: Path) -> None:
    name = f"far-{uuid.uuid4().hex[:6]}"
    origin = Work(server, written(tmp_path / "origin", PLAIN), name)
    origin.git("init", "-q", "-b", "main")
    origin.commit()
    bare = tmp_path / "served" / f"{name}.git"
    bare.parent.mkdir()
    origin.git("clone", "-q", "--bare", str(origin.path), str(bare))
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True)
    certificate = tmp_path / "certificate.pem"
    with https_server(bare.parent, certificate) as port:
        url = f"https://ann:correct-horse@localhost:{port}/{name}.git"
        unknown = server.berth("deploy", url, check=False)
        assert unknown.returncode == 1
        assert "certificate" in unknown.stderr
        trusting = Server(server.folder, {"GIT_SSL_CAINFO": str(certificate)}, server.port)
        done = trusting.berth("deploy", url)
        environment = server.settled(name)
        assert environment["url"] in done.stdout
        assert get(environment["url"]).body == "one\n"
        missing = trusting.berth("deploy", url.replace(name, "nothing"), check=False)
        assert missing.returncode == 1
        assert "not found" in missing.stderr
    for shown in (done.stdout, done.stderr, unknown.stderr, missing.stderr, server.log):
        assert "correct-horse" not in shown
    for kept in server.data_dir.rglob("*"):
        assert not kept.is_file() or b"correct-horse" not in kept.read_bytes(), kept


def test_detect_and_generate(server: Server, tmp_path: Path) -> None:
    folder = written(tmp_path / "shop", FLASK)
    nothing = written(tmp_path / "notes", {"README.md": "notes\n"})
    done = server.berth("detect", str(folder), str(nothing), "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["stack"], one["framework"]) for one in found] == [("python", "flask"), ("none", None)]
    assert any(one["path"] == "requirements.txt" and one["line"] == 1 for one in found[0]["evidence"])
    assert "flask" in server.berth("detect", str(folder)).stdout

    out = tmp_path / "out"
    server.berth("generate", str(folder), "--out", str(out))
    assert sorted(path.name for path in out.iterdir()) == [".dockerignore", "Dockerfile", "docker-compose.yml"]
    dockerfile = (out / "Dockerfile").read_text()
    assert f"FROM {PREFIX}python:3.11-slim" in dockerfile
    assert dockerfile in server.berth("generate", str(folder)).stdout
    again = server.berth("generate", str(folder), "--out", str(out), check=False)
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert server.berth("generate", str(nothing), check=False).returncode == 1
    assert server.berth("detect", str(tmp_path / "missing"), check=False).returncode == 2
