"""Refs, repositories and commands as somebody hostile or unlucky would send them."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import sqlite3
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from bot.forge.hook import signed_headers
from bot.store.crypto import Vault, load_keys
from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Server, Slowest, Work, get, running

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Make = Callable[[str], Work]
ZERO = "0" * 40
MAX_BYTES = 3_000_000  # of a repository


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {
        "BERTH_REPOSITORY_MAX_BYTES": str(MAX_BYTES),
        "BERTH_REPOSITORY_MAX_FILES": "110000",
    }
    with running(tmp_path_factory.mktemp("limited"), **limits) as started:
        yield started


@pytest.fixture(autouse=True)
def still_well(server: Server) -> Iterator[None]:
    mark = len(server.log)
    yield
    server.is_well(mark)


def database(server: Server) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{server.data_dir / 'berth.db'}?mode=ro", uri=True)


# ------------------------------------------------------------------------------------------------------- refs

REFS = (
    *(b"refs/heads/-x", b"refs/heads/--upload-pack=touch", b"refs/heads/a\x01b", b"refs/heads/a\x1b[31mb"),
    *(b"refs/heads/a\x7fb", b"refs/heads/a\xc2\x85b", b"refs/heads/\xff", b"refs/heads/../../x", b"refs/heads/a b"),
    *(b"refs/heads/a\nb", b"refs/heads/" + b"x" * 200 + b"/" + b"y" * 60, b"-x", b"../../x", b"HEAD", b"refs/x/y"),
    *(b"refs/heads/x~1", b"refs/heads/x.lock", b"refs/heads/.x", b"refs/heads/@{x", b"refs/tags/-v1", b"refs/heads/"),
)


def receive_pack(work: Work, ref: bytes, sha: str) -> str:
    """git's own push request, written by hand: no client looks at the name of the ref before the server does."""
    url = urlsplit(work.git("remote", "get-url", "berth").strip())
    pack = subprocess.run(
        ["git", "-C", str(work.path), "pack-objects", "--stdout", "--revs", "-q"],
        input=f"{sha}\n".encode(),
        capture_output=True,
        check=True,
    ).stdout
    line = f"{ZERO} {sha} ".encode() + ref + b"\0 report-status side-band-64k agent=test"
    body = b"%04x" % (len(line) + 4) + line + b"0000" + pack
    login = base64.b64encode(f"berth:{unquote(url.password or '')}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-git-receive-pack-request"}
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    connection.request("POST", f"{url.path}/git-receive-pack", body, headers)
    answer = connection.getresponse().read().decode(errors="replace")
    connection.close()
    return answer


def test_refs_that_no_client_would_send(server: Server, work: Make) -> None:
    shop = work("refs")
    sha = shop.commit(PLAIN)
    for ref in REFS:
        answer = receive_pack(shop, ref, sha)
        assert "unpack ok" not in answer or "ng " in answer, (ref, answer)
        assert "Deploying" not in answer, (ref, answer)
    assert shop.git("ls-remote", "berth") == ""
    assert server.environment_of(shop.name) is None

    done = shop.try_push("HEAD:refs/heads/-dash")
    assert done.returncode != 0
    assert "starts with a dash" in done.stderr
    done = shop.try_push("HEAD:refs/heads/esc\u009b31mape")
    assert done.returncode != 0
    assert not any("\u009b" in line for line in done.stderr.splitlines() if line.startswith("remote:"))

    # a name that is odd but valid works all the way
    odd = "ünïcode/$(id);#&'quotes\"<b>"
    shop.push("main")
    shop.push(odd)
    preview = server.settled(shop.name, f"preview/{odd}")
    assert get(preview["url"]).body == "one\n"
    assert server.berth("stop", f"{shop.name}@{odd}").returncode == 0


def test_deliveries_with_such_refs(server: Server, work: Make) -> None:
    """The same names in the delivery itself, signed: what a hook would send if git had let them pass."""
    shop = work("deliveries")
    sha = shop.commit(PLAIN)
    with database(server) as connection:
        query = "select id, webhook_secret_enc from repositories where name = ?"
        number, encrypted = connection.execute(query, (shop.name,)).fetchone()
    secret = Vault(load_keys("", server.data_dir / "secret.key")).decrypt(encrypted)
    refs = [
        *(ref.decode(errors="surrogateescape") for ref in REFS),
        7,
        None,
        ["refs/heads/x"],
        "refs/heads/" + "x" * 10**6,
    ]
    for ref in refs:
        payload = {"ref": ref, "before": ZERO, "after": sha, "repository": {"id": number}}
        body = json.dumps(payload).encode()
        status, answer = deliver(server, body, signed_headers(secret, body, str(number)))
        assert (status, answer["decision"], answer["deployment_id"]) == (202, "ignored", None), ref
        assert answer["reason"].isprintable(), ref
        assert len(answer["reason"]) < 400
    for after in ("-x", "--all", sha[:12], sha.upper() + "\n", "g" * 40, f"{sha}^", 5):
        body = json.dumps(
            {"ref": "refs/heads/main", "before": ZERO, "after": after, "repository": {"id": number}}
        ).encode()
        status, answer = deliver(server, body, signed_headers(secret, body, str(number)))
        assert (status, answer["decision"]) == (202, "ignored"), after
    body = json.dumps({"ref": "refs/heads/main", "after": sha, "repository": {"id": number}}).encode()
    assert deliver(server, body, signed_headers("not the secret", body, str(number)))[0] == 401
    assert deliver(server, b"[" * 100_000, signed_headers(secret, b"[" * 100_000, str(number)))[0] == 400
    assert server.environment_of(shop.name) is None


def deliver(server: Server, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/api/local/webhooks", body, headers)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


# ----------------------------------------------------------------------------------------------- repositories


def test_an_empty_repository(server: Server, work: Make, tmp_path: Path) -> None:
    shop = work("empty")
    for command in ("redeploy", "rollback", "stop", "logs"):
        refused(server, command, shop.name)
    shop.commit({})
    assert "Nothing that Berth can deploy was found" in shop.push()
    assert server.failed(shop.name)["phase"] == "detect"

    bare = tmp_path / f"bare-{uuid.uuid4().hex[:6]}"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    assert "empty" in refused(server, "deploy", str(bare))
    nothing = tmp_path / f"nothing-{uuid.uuid4().hex[:6]}"
    nothing.mkdir()
    assert "is empty" in refused(server, "deploy", str(nothing))


def test_a_huge_repository(server: Server, work: Make) -> None:
    shop = work("huge")
    shop.commit(PLAIN)
    shop.push()
    url = server.settled(shop.name)["url"]
    # too large as it travels: refused by the push itself, and not kept
    (shop.path / "noise").write_bytes(os.urandom(MAX_BYTES + 1_000_000))
    shop.commit()
    done = shop.try_push("HEAD:refs/heads/main")
    assert done.returncode != 0
    assert "exceeds maximum allowed size" in done.stderr
    # small as it travels, too large on the disk
    shop.git("reset", "-q", "--hard", "HEAD~1")
    (shop.path / "zeros").write_bytes(bytes(MAX_BYTES + 1_000_000))
    shop.commit()
    output = shop.push()
    latest = server.failed(shop.name)
    assert latest["phase"] == "fetch"
    assert "too large: more than 3 MB of files" in latest["reason"]
    assert latest["reason"] in output
    assert "BERTH_REPOSITORY_MAX_BYTES" in latest["fix"]
    assert get(url).body == "one\n"


def many_files(work: Work, number: int) -> None:
    """A commit of the small application and so many tiny files, made by git itself."""
    lines = ["blob", "mark :1", "data 2", "x", "", "commit refs/heads/main", "committer A <a@example.com> 0 +0000"]
    lines += ["data 4", "many"]
    work.write(PLAIN)
    for name in PLAIN:
        text = (work.path / name).read_text()
        lines += [f"M 100644 inline {name}", f"data {len(text)}", text]
    lines += [f"M 100644 :1 files/{index % 500}/{index}.txt" for index in range(number)]
    subprocess.run(
        ["git", "-C", str(work.path), "fast-import", "--quiet"],
        input=("\n".join(lines) + "\n").encode(),
        check=True,
    )


def test_a_hundred_thousand_files(server: Server, work: Make) -> None:
    shop = work("many")
    many_files(shop, 100_000)
    slowest = Slowest(server)
    push = subprocess.Popen(["git", "-C", str(shop.path), "push", "-q", "berth", "main"], stderr=subprocess.DEVNULL)
    while push.poll() is None:
        slowest.ask()
        time.sleep(0.2)
    environment = server.settled(shop.name)
    assert environment["latest"]["state"] == "live", environment["latest"]
    assert get(environment["url"]).body == "one\n"
    assert get(environment["url"] + "/files/499/99999.txt").body == "x\n"
    assert slowest.seconds < 3
    more = work("too-many")
    many_files(more, 110_000)
    more.git("push", "-q", "berth", "main")
    assert "more than 110000 files and folders" in server.failed(more.name)["reason"]
    server.berth("rm", shop.name, "--yes")


LINKS = (
    *("index.html", "package.json", "requirements.txt", "pyproject.toml", "Procfile", "Pipfile", ".python-version"),
    *(".nvmrc", "app.py", "manage.py", "server.js", "yarn.lock", "package-lock.json", ".env", ".env.example"),
    *("Dockerfile", ".dockerignore", "docker-compose.yml", "compose.yaml", "public/index.html", "templates/x.html"),
)


def test_links_that_lead_out_of_the_repository(server: Server, work: Make, tmp_path: Path) -> None:
    secret = f"leaked-{uuid.uuid4().hex}"
    marker = tmp_path / "marker"
    marker.write_text(f"flask=={secret}\nFROM {secret}\n{secret}: {secret}\n")
    marker.chmod(0o644)
    shop = work("links")
    for target in (str(marker), "/etc/passwd", os.path.relpath(marker, shop.path)):
        shop.commit({"README.md": target})
        for name in LINKS:
            link = shop.path / name
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        shop.commit()
        output = shop.push()
        assert "Nothing that Berth can deploy was found" in output
        seen(server, shop, secret, output)
        for command in ("detect", "generate"):
            done = server.berth(command, str(shop.path), check=False)
            assert secret not in done.stdout + done.stderr
            assert "root:x:0" not in done.stdout + done.stderr

    # beside a Dockerfile of its own: links travel as links
    for name in ("Dockerfile", "index.html", ".dockerignore"):
        (shop.path / name).unlink()
    shop.commit(PLAIN)
    output = shop.push()
    environment = server.settled(shop.name)
    assert environment["latest"]["state"] == "live", output
    seen(server, shop, secret, output)
    container = server.container(environment["id"])["Id"]
    files = subprocess.run(["docker", "export", container], capture_output=True, check=True).stdout
    assert secret.encode() not in files
    with tarfile.open(fileobj=io.BytesIO(files)) as tar:
        assert tar.getmember("www/app.py").issym()
    answer = get(environment["url"] + "/app.py")
    assert (answer.status, secret in answer.body) == (404, False)

    # a folder that is a link, as the root and in the way of a file that Berth writes
    (shop.path / "out").symlink_to(marker.parent)
    shop.commit()
    server.berth("set", shop.name, "root=out")
    server.berth("redeploy", shop.name, check=False)
    shop.push()
    assert "no folder 'out'" in server.failed(shop.name)["reason"]
    static = work("links-static")
    static.commit({"index.html": "one\n"})
    (static.path / ".berth").symlink_to(tmp_path)
    static.commit()
    static.push()
    assert ".berth is a symbolic link" in server.failed(static.name)["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["marker", shop.name, static.name])


def seen(server: Server, work: Work, secret: str, output: str) -> None:
    """Nothing of what the links lead to is in anything that is shown or kept."""
    assert secret not in output
    assert "root:x:0" not in output
    latest = server.settled(work.name)["latest"]
    for path in ("", "/files", "/logs?tail=1000"):
        text = json.dumps(server.api("GET", f"/api/deployments/{latest['id']}{path}"))
        assert secret not in text
        assert "root:x:0" not in text
    for kept in (server.data_dir / "logs").rglob("*"):
        assert not kept.is_file() or secret.encode() not in kept.read_bytes()
    for kept in server.data_dir.glob("berth.db*"):
        assert secret.encode() not in kept.read_bytes()


HOSTILE_FILES = (
    ("root: ../../etc", "root"),
    ("root: /etc", "root"),
    ("port: 70000", "port"),
    ("port: [1, 2]", "port"),
    ("prot: 80", "prot"),
    ("start_command: |\n  one\n  two", "start_command"),
    ("health_path: https://elsewhere/", "health_path"),
    ("memory: 1", "memory"),
    ("verify_seconds: .inf", "verify_seconds"),
    ("cpus: .nan", "cpus"),
    ("a: &a [x]\nb: *a", "aliases"),
    ("- 1\n- 2", "keys and values"),
    ("port: 80\n\tx: 1", "not valid YAML"),
    ("[" * 30_000, "nested too deeply"),
    ("port: !!python/object/apply:os.system [id]", "not valid YAML"),
    ("# " + "x" * 70_000, "bytes"),
)


def test_a_hostile_file_of_settings(server: Server, work: Make) -> None:
    shop = work("settings")
    shop.commit(PLAIN)
    shop.push()
    url = server.settled(shop.name)["url"]
    for text, words in HOSTILE_FILES:
        (shop.path / ".berth.yml").write_text(text)
        shop.commit()
        shop.git("push", "-q", "berth", "main")
        latest = server.failed(shop.name)
        assert words in latest["reason"], (text[:80], latest["reason"])
        assert ".berth.yml" in latest["reason"], (text[:80], latest["reason"])
        assert len(latest["reason"]) < 500
    (shop.path / ".berth.yml").write_bytes(b"\xff\xfe\x00p")
    shop.commit()
    shop.push()
    assert "UTF-8" in server.failed(shop.name)["reason"]
    assert get(url).body == "one\n"
    # what is wrong there can be seen on the command line too
    assert ".berth.yml" in refused(server, "set", shop.name)


def test_a_hostile_compose_file_and_manifest(server: Server, work: Make) -> None:
    shop = work("compose")
    compose = """\
        services:
          web:
            build: .
            privileged: true
            network_mode: host
            pid: host
            ports: ["22:22"]
            cap_add: [ALL]
            user: root
            volumes: ["/:/host", "/var/run/docker.sock:/var/run/docker.sock"]
        """
    shop.commit({**PLAIN, "docker-compose.yml": compose, "compose.override.yml": compose})
    shop.push()
    environment = server.settled(shop.name)
    assert environment["state"] == "live", environment["latest"]
    host = server.container(environment["id"])["HostConfig"]
    assert (host["Privileged"], host["PidMode"]) == (False, "")
    assert not host["CapAdd"]
    assert not host["Binds"]
    assert host["CapDrop"] == ["ALL"]
    assert host["NetworkMode"] not in {"host", "default", "bridge"}

    for name, text in (
        ("package.json", "[" * 200_000),
        ("package.json", '{"scripts": {"start": 5}, "dependencies": "express", "engines": []}'),
        ("pyproject.toml", "x = " + "[" * 100_000),
        ("requirements.txt", "-r requirements.txt\n-r ../../etc/passwd\n-e /etc\n" + "flask\n" * 1000),
    ):
        other = work("manifest")
        other.commit({name: text})
        began = time.monotonic()
        other.git("push", "-q", "berth", "main")
        server.settled(other.name)
        assert time.monotonic() - began < 60, name


# --------------------------------------------------------------------------------------------------- commands


def refused(server: Server, *arguments: str, code: int | None = None, **more: Any) -> str:
    """The one line with which a command is refused."""
    done = server.berth(*arguments, check=False, **more)
    assert done.returncode in ({1, 2} if code is None else {code}), (arguments, done)
    assert "Traceback" not in done.stderr, (arguments, done.stderr)
    assert "mistake inside Berth" not in done.stderr, (arguments, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1 or lines[0].startswith("Usage:"), (arguments, done.stderr)
    return lines[-1]


BAD_SETTINGS = (
    *("port=0", "port=65536", "port=abc", "port=1e3", "port=--", "memory=1", "memory=5m", "memory=-1g", "memory=lots"),
    *("root=../x", "root=/etc", "root=a/../../b", "root=a\nb", "cpus=-1", "cpus=0", "cpus=nan", "cpus=inf", "pids=1"),
    *("verify_seconds=nan", "verify_seconds=0", "drain_seconds=-1", "health_path=x", "health_path=/a b", "strategy=x"),
    *("protocol=udp", "mode=sometimes", "nothing=1", "start_command=a\nb", "health_path=/\x1b[31m"),
)
BAD_VARIABLES = ("1X=a", "A-B=1", "A B=1", "PORT=1", "Ä=1", "X" * 300 + "=1", "A.B=1", "A\x1b[31m=1", "=1")


def test_bad_settings_and_variables(server: Server, work: Make) -> None:
    shop = work("commands")
    shop.commit(PLAIN)
    shop.push()
    environment = server.settled(shop.name)
    path = f"/api/applications/{environment['application_id']}"
    before = server.api("GET", f"{path}/settings")
    for pair in BAD_SETTINGS:
        key, _, value = pair.partition("=")
        status, answer = ask(server, "PUT", f"{path}/settings", json.dumps({key: value}))
        assert (status, answer["status"]) == (400, 400), (pair, answer)
        assert key in answer["detail"], (pair, answer)
        assert answer["fix"]
    for pair in BAD_VARIABLES:
        name, _, value = pair.partition("=")
        status, answer = ask(server, "PUT", f"{path}/variables", json.dumps([{"name": name, "value": value}]))
        assert status in {400, 422}, (pair, answer)
    for pair in ("port=0", "root=../x", "nothing=1", "health_path=/\x1b[31m", "=1", "port"):
        assert refused(server, "set", shop.name, pair, code=2).isprintable()
    refused(server, "set", shop.name, "port=8081", "pids=1", code=2)  # all or nothing
    for pair in ("1X=a", "PORT=1", "A\x1b[31m=1", "=x"):
        assert refused(server, "env", "set", shop.name, pair, code=2).isprintable()
    assert "64000" in refused(server, "env", "set", shop.name, "LONG", input="x" * 70_000)
    assert server.api("GET", f"{path}/settings") == before
    assert server.api("GET", f"{path}/variables") == []
    assert get(environment["url"]).body == "one\n"


def test_commands_that_name_what_is_not_there(server: Server, work: Make, tmp_path: Path) -> None:
    shop = work("named")
    shop.commit(PLAIN)
    shop.push()
    for command in ("stop", "start", "restart", "rollback", "logs", "redeploy"):
        refused(server, command, "nothing", code=2)
    for target in (f"{shop.name}@nothing", "@x", "../x", "x" * 300, "a\x1b[31mb", ""):
        assert refused(server, "stop", target, code=2).isprintable()
    refused(server, "rollback", shop.name)
    refused(server, "rm", "nothing", "--yes", code=2)
    refused(server, "env", "unset", shop.name, "NOTHING", code=2)
    for name in ("../x", "-x", "a b", "", "x.git", "ü", "x" * 64, "a/b", "a\nb"):
        refused(server, "remote", "--", name, code=2 if name else None)
    binary = tmp_path / "binary.env"
    binary.write_bytes(b"A=\xff\xfe\x00\n")
    broken = tmp_path / "broken.env"
    broken.write_text("A=1\nthis is no assignment\n")
    for file in (binary, broken, tmp_path / "missing.env", tmp_path):
        refused(server, "env", "import", shop.name, str(file))
    refused(server, "logs", shop.name, "--tail", "-1", code=2)
    refused(server, "detect", str(tmp_path / "missing"), code=2)
    refused(server, "nothing", code=2)
    assert server.settled(shop.name)["state"] == "live"


def test_requests_that_make_no_sense(server: Server) -> None:
    for method, path, body in (
        ("GET", "/api/environments/999999", None),
        ("GET", "/api/environments/99999999999999999999999", None),
        ("GET", "/api/deployments/0/logs?tail=-1", None),
        ("GET", "/api/deployments/1/logs?tail=99999999999999999999", None),
        ("PUT", "/api/applications/1/settings", "[" * 100_000),
        ("PUT", "/api/applications/1/settings", '{"port": 1e999}'),
        ("PUT", "/api/applications/1/variables", '[{"name": "A", "value": "\\u0000"}]'),
        ("POST", "/api/repositories", '{"name": 5}'),
        ("POST", "/api/repositories", '{"name": "a", "source_path": "\\ud800"}'),
        ("POST", "/api/repositories", "x" * 30_000_000),
        ("GET", "/api/environments?repository=%00", None),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", None),
        ("GET", "/git/x/../../berth.db", None),
    ):
        try:
            status, answer = ask(server, method, path, body)
        except (BrokenPipeError, ConnectionResetError):  # it did not wait for the end of a body that is too long
            assert body is not None
            assert len(body) > 1_000_000
            continue
        assert status in {200, 303, 400, 404, 413, 422}, (path, status, answer)  # 303: to signing in
        assert status != 200 or answer == [], (path, answer)


def ask(server: Server, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    """Status and content of a request with the operator's token."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {server.token}"})
        answer = connection.getresponse()
        content = answer.read().decode()
    finally:
        connection.close()
    return answer.status, json.loads(content) if content.startswith(("{", "[")) else content
