import asyncio
import os
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.engine import base_images
from bot.engine.base_images import PREFIX, RECIPES, Recipe, ensure, hub_reachable, known_image, missing
from bot.engine.debian import mirrors
from bot.engine.wire import EngineUnavailable
from bot.errors import BerthError

ENGINE = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
PUBLIC = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
DEB822 = """\
Types: deb
# http://snapshot.example/debian
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian bookworm main contrib
deb http://security.example/debian-security bookworm-security main
"""
VENDOR = "deb [signed-by=/etc/apt/keyrings/docker.asc] https://download.example/linux/debian bookworm stable\n"


@pytest.mark.parametrize(
    ("files", "codename", "expected"),
    [
        ([DEB822], "bookworm", ("http://mirror.example/debian", "http://mirror.example/debian-security")),
        ([ONE_LINE], "bookworm", ("http://mirror.example/debian", "http://security.example/debian-security")),
        ([VENDOR, DEB822], "bookworm", ("http://mirror.example/debian", "http://mirror.example/debian-security")),
        ([VENDOR], "bookworm", PUBLIC),
        (["deb mirror+file:/etc/apt/mirrors.list bookworm main\n"], "bookworm", PUBLIC),
        (["URIs:\nSuites: bookworm\nComponents: main\n"], "bookworm", PUBLIC),
        ([DEB822], "", PUBLIC),
        ([], "trixie", PUBLIC),
    ],
)
def test_mirrors_of_the_machine_are_used_where_they_are_debians(
    files: list[str], codename: str, expected: tuple[str, str]
) -> None:
    assert mirrors(files, codename) == expected


def test_images_are_known_with_and_without_the_prefix() -> None:
    assert known_image("python:3.11-slim")
    assert known_image("berth.local/nginx:stable")
    assert not known_image("python:3.13-slim")
    assert not known_image("mirror.example/python:3.11-slim")


def test_what_an_image_needs_comes_before_it() -> None:
    names = [recipe.name for recipe in base_images._with_needs(["berth.local/node:22-slim"])]
    assert names == ["debian:bookworm-slim", "python:3.11-slim", "node:22-slim"]


def test_every_recipe_has_its_files_and_never_an_official_name() -> None:
    for recipe in RECIPES.values():
        assert recipe.tag.startswith("berth.local/")
        if recipe.folder:
            first, *_ = base_images._files(recipe)
            assert first.name == "Dockerfile"
            sources = [line.split()[1] for line in first.read_text().splitlines() if line.startswith("FROM ")]
            assert {source.removeprefix(PREFIX) for source in sources} == set(recipe.needs)


def test_a_digest_follows_certificates_down_to_the_last_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = base_images._digest(RECIPES["node:22-slim"])
    assert before == base_images._digest(RECIPES["node:22-slim"])
    assert before != base_images._digest(RECIPES["node:20-slim"])
    certificate = tmp_path / "company.crt"
    certificate.write_text("certificate")
    monkeypatch.setattr(base_images, "certificates", lambda: [certificate])
    assert before != base_images._digest(RECIPES["node:22-slim"])


@pytest.mark.anyio
async def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BerthError, match=r"no recipe for perl:5\..*python:3\.11-slim"):
        await ensure("unix:///nowhere", ["perl:5", "nginx:stable"], print)


@pytest.mark.anyio
async def test_an_engine_that_is_not_there_is_said() -> None:
    with pytest.raises(EngineUnavailable, match="/nowhere"):
        await hub_reachable("unix:///nowhere")
    with pytest.raises(EngineUnavailable, match="/nowhere"):
        await ensure("unix:///nowhere", ["nginx:stable"], print)


@pytest.mark.docker
@pytest.mark.anyio
async def test_docker_hub_is_judged_quickly() -> None:
    start = time.monotonic()
    await hub_reachable(ENGINE, timeout=5)
    assert time.monotonic() - start < 6


# -- the images themselves, built once and kept ----------------------------------------------------------------------


@pytest.fixture
def container() -> Iterator[Callable[..., str]]:
    """Starts a container with the given arguments of ``docker run -d``; gives its address."""
    names: list[str] = []

    def start(*arguments: str) -> str:
        names.append(f"berth-test-{secrets.token_hex(4)}")
        subprocess.run(["docker", "run", "-d", "--name", names[-1], *arguments], check=True, capture_output=True)
        address = ["docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", names[-1]]
        return subprocess.run(address, check=True, capture_output=True, text=True).stdout.strip()

    yield start
    for name in names:
        subprocess.run(["docker", "rm", "-fv", name], check=False, capture_output=True)


def need(*names: str) -> None:
    """Have stand-ins, or skip the test where they cannot be made."""
    if os.geteuid() != 0 and asyncio.run(missing(ENGINE, names)):
        pytest.skip("base images can only be made by root")
    asyncio.run(ensure(ENGINE, names, print))


def run_in(image: str, script: str, *arguments: str) -> str:
    command = ["docker", "run", "--rm", *arguments, PREFIX + image, "sh", "-ec", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer(url: str) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="base images can only be made by root")
def test_images_are_made_from_nothing_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Debian tree and an image on top of it, wanted by two at the same time. Takes about a minute."""
    debian, small = (f"test-{secrets.token_hex(4)}-{name}:1" for name in ("debian", "small"))
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        f"FROM {PREFIX}{debian}\nARG WORD\n"
        "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends hello && hello -g $WORD >/word\n"
    )
    recipes = (
        Recipe(debian, "Debian", needs=()),
        Recipe(small, "a small one", "small", {"WORD": "first"}, (debian,)),
    )
    monkeypatch.setattr(base_images, "RECIPES", {recipe.name: recipe for recipe in recipes})
    monkeypatch.setattr(base_images, "_files", lambda recipe: [dockerfile])
    lines: list[str] = []

    async def want_it_twice() -> None:
        await asyncio.gather(*(ensure(ENGINE, [small], lines.append) for _ in range(2)))

    try:
        asyncio.run(want_it_twice())
        assert run_in(small, "cat /word; . /etc/os-release; echo $VERSION_CODENAME").split() == ["first", "bookworm"]
        assert run_in(small, "find /usr/share/man /usr/share/locale -type f; ls /usr/share/doc/tar").split() == [
            "copyright"
        ]
        built = [line for line in lines if ": building" in line]
        assert len(built) == 2
        assert sum("waiting for another process" in line for line in lines) == 1

        dockerfile.write_text(f"FROM {PREFIX}{debian}\nRUN echo 'no such thing' && exit 7\n")
        with pytest.raises(BerthError, match=rf"{small} could not be built: exit code: 7\. no such thing"):
            asyncio.run(ensure(ENGINE, [small], lines.append))
    finally:
        subprocess.run(["docker", "rmi", PREFIX + small, PREFIX + debian], check=False, capture_output=True)


@pytest.mark.docker
@pytest.mark.slow
def test_what_is_there_is_not_built_again() -> None:
    names = ["python:3.11-slim", "node:22-slim", "nginx:stable", "haproxy:lts"]
    need(*names)
    assert asyncio.run(missing(ENGINE, names)) == []
    lines: list[str] = []
    start = time.monotonic()
    asyncio.run(ensure(ENGINE, names, lines.append))
    assert lines == []
    assert time.monotonic() - start < 2


@pytest.mark.docker
@pytest.mark.slow
def test_python_behaves_like_the_official_image() -> None:
    need("python:3.11-slim")
    printed = run_in(
        "python:3.11-slim",
        """
        test "$(command -v python)" = /usr/local/bin/python
        pip install -q itsdangerous==2.2.0
        python -c 'import itsdangerous; print(itsdangerous.__file__)'
        python -m venv /venv
        /venv/bin/pip install -q itsdangerous==2.1.2
        /venv/bin/python -c 'import itsdangerous, importlib.metadata as m; print(m.version("itsdangerous"))'
        python -c 'import bz2, ctypes, curses, lzma, sqlite3, ssl, venv'
        python -c 'import zoneinfo; print(zoneinfo.ZoneInfo("Europe/Oslo"))'
        """,
    )
    assert printed.split() == [
        "/usr/local/lib/python3.11/site-packages/itsdangerous/__init__.py",
        "2.1.2",
        "Europe/Oslo",
    ]


@pytest.mark.docker
@pytest.mark.slow
def test_node_behaves_like_the_official_image() -> None:
    need("node:22-slim")
    printed = run_in(
        "node:22-slim",
        """
        node --version; id -u; mkdir app; cd app
        npm init -y >/dev/null
        npm install --no-fund --no-audit ms@2.1.3 >/dev/null
        node -p 'require("ms")("1 min")'
        npx --version >/dev/null; corepack --version >/dev/null; yarn --version
        """,
        *("--user", "node", "--workdir", "/home/node"),
    )
    assert printed.split() == ["v22.20.0", "1000", "60000", "1.22.22"]


@pytest.mark.docker
@pytest.mark.slow
def test_nginx_serves_as_another_user_with_its_files_in_tmp(container: Callable[..., str], tmp_path: Path) -> None:
    need("nginx:stable")
    paths = "".join(f"{kind}_temp_path /tmp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        "pid /tmp/nginx.pid;\nevents {}\nhttp {\ninclude /etc/nginx/mime.types;\n"
        f"{paths}server {{ listen 8080; root /usr/share/nginx/html; }}\n}}\n"
    )
    address = container(
        *("--user", "101:101", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "-v", f"{configuration}:/etc/nginx/nginx.conf:ro"),
        PREFIX + "nginx:stable",
    )
    assert "nginx" in answer(f"http://{address}:8080/")


@pytest.mark.docker
@pytest.mark.slow
def test_nginx_fills_in_templates_from_the_environment(container: Callable[..., str], tmp_path: Path) -> None:
    need("nginx:stable")
    (tmp_path / "site.conf.template").write_text('server { listen ${PORT}; location / { return 200 "$uri"; } }\n')
    templates = f"{tmp_path}:/etc/nginx/templates:ro"
    address = container("-e", "PORT=8123", "-v", templates, PREFIX + "nginx:stable")
    assert answer(f"http://{address}:8123/some/path") == "/some/path"


@pytest.mark.docker
@pytest.mark.slow
def test_haproxy_reads_the_usual_file_as_uid_99(container: Callable[..., str], tmp_path: Path) -> None:
    need("haproxy:lts")
    (tmp_path / "haproxy.cfg").write_text(
        "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
        "frontend all\n bind :8080\n http-request return status 200 content-type text/plain string ready\n"
    )
    tmp_path.chmod(0o755)
    address = container("-v", f"{tmp_path}:/usr/local/etc/haproxy:ro", PREFIX + "haproxy:lts")
    assert answer(f"http://{address}:8080/") == "ready"
    assert run_in("haproxy:lts", "id -u").strip() == "99"
