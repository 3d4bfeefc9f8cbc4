"""The compose model: written readably, read strictly."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.project import Build, HealthCheck, Mount, Port, Project, ProjectError, Service, from_yaml, interpolate, to_yaml
from bot.project.nodes import MAX_TEXT
from tests.compose import complaints

WEB = Service(
    name="web",
    build=Build(),
    environment={"PORT": "8000", "SECRET_KEY": None, "TEXT": 'a $b "c" #d\né'},
    ports=(Port(8000, "${PORT:-8000}"), Port(9000, transport="udp")),
    volumes=(Mount("/data", "data"), Mount("/tmp", kind="tmpfs"), Mount("/app/x", "./x", "bind", read_only=True)),
    depends_on={"db": "service_healthy"},
    healthcheck=HealthCheck(("CMD", "python", "-c", "$x"), start_period=1.5),
    health_path="/health",
    strategy="recreate",
    stop_grace_period=20,
)
DATABASE = Service(name="db", role="database", image="postgres:17", user="70:70", protocol="tcp")
PROJECT = Project({"web": WEB, "db": DATABASE}, ("data",), "shop")
UNNAMED = dataclasses.replace(PROJECT, name=None)  # Compose 1.29 knows no names yet


def test_is_written_as_a_person_would() -> None:
    text = to_yaml(
        Project({"web": Service("web", build=Build(), environment={"PORT": "80"}, ports=(Port(80, "8080"),))}),
        {"": "A shop.", "services.web.ports": "for the browser"},
    )
    assert text == (
        "# A shop.\n"
        "services:\n"
        "  web:\n"
        "    build: .\n"
        "    init: true\n"
        "    environment:\n"
        '      PORT: "80"\n'
        "    # for the browser\n"
        "    ports:\n"
        '      - "8080:80"\n'
        "    restart: unless-stopped\n"
        "    x-berth:\n"
        "      role: web\n"
    )


def test_survives_a_round_trip() -> None:
    assert from_yaml(to_yaml(PROJECT)) == PROJECT


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,10}", fullmatch=True)
ENVIRONMENT = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.none() | TEXT, max_size=4
)
SERVICES = st.builds(
    Service,
    name=NAMES,
    role=st.sampled_from(["web", "worker", "release", "database"]),
    image=st.none() | st.just("nginx:stable"),
    build=st.builds(Build, args=st.dictionaries(NAMES.filter(str.isidentifier), TEXT, max_size=2)),
    command=st.none() | st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    environment=ENVIRONMENT,
    ports=st.lists(st.builds(Port, container=st.integers(1, 65535)), max_size=2).map(tuple),
    user=st.none() | TEXT.filter(bool),
    healthcheck=st.none() | st.builds(HealthCheck, test=TEXT.map(lambda text: ("CMD-SHELL", text))),
    health_path=st.from_regex(r"/[!-~]{0,10}", fullmatch=True),
    strategy=st.sampled_from(["blue_green", "recreate"]),
    protocol=st.sampled_from(["http", "tcp"]),
)


@settings(max_examples=200, deadline=None)
@given(SERVICES, TEXT)
def test_any_values_survive_a_round_trip(service: Service, comment: str) -> None:
    project = Project({service.name: service})
    assert from_yaml(to_yaml(project, {"": comment, f"services.{service.name}.ports": comment})) == project


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text("ab:-[]{}&*!|>'\"\n #$%@`,?<", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, "services:\n  web:\n    image: a\n    " + text):
        with contextlib.suppress(ProjectError):
            from_yaml(whole)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("privileged: true", "privileged"),
        ("network_mode: host", "network"),
        ("pid: host", "processes"),
        ("ipc: host", "memory"),
        ("userns_mode: host", "users"),
        ("uts: host", "host name"),
        ("cgroup_parent: x", "control groups"),
        ("devices: ['/dev/kvm:/dev/kvm']", "Devices"),
        ("cap_add: [SYS_ADMIN]", "capabilities"),
        ("security_opt: ['seccomp:unconfined']", "Security"),
        ("security_opt: ['no-new-privileges', 'apparmor:unconfined']", "Security"),
        ("sysctls: {a: 1}", "Kernel"),
        ("volumes: ['/var/run/docker.sock:/var/run/docker.sock']", "outside"),
        ("volumes: ['../x:/x']", "outside"),
        ("volumes: ['./a/../../x:/x']", "outside"),
        ("volumes: ['~/x:/x']", "outside"),
        ("volumes: [{type: bind, source: /etc, target: /x}]", "outside"),
        ("volumes: ['${HOME:-/root}:/x']", "outside"),
        ("volumes: ['other:/x']", "not declared"),
        ("volumes: [{type: npipe, source: a, target: /x}]", "not a mount"),
        ("env_file: .env", "env_file"),
        ("extends: {file: other.yml}", "extends"),
        ("use_api_socket: true", "socket"),
        ("whatever: 1", "not supported"),
        ("build: /etc", "outside"),
        ("build: {context: ../..}", "outside"),
        ("build: https://example.com/x.git", "outside"),
        ("build: {context: ., network: host}", "not supported"),
        ("build: {context: ., dockerfile: ../Dockerfile}", "outside"),
        ("ports: ['1-5:1-5']", "not one port"),
        ("ports: [99999]", "not one port"),
        ("user: [a]", "plain value"),
        ("environment: {'a b': c}", "variable"),
        ("environment: {A: '${B'}", "without"),
        ("x-berth: {role: king}", "not possible"),
        ("x-berth: {health_path: 'x y'}", "not possible"),
        ("depends_on: [nobody]", "no service"),
        ("depends_on: {web: {condition: maybe}}", "not a condition"),
        ("image: b", "twice"),
        ("healthcheck: {test: [a]}", "CMD"),
        ("stop_grace_period: long", "duration"),
    ],
)
def test_refuses_with_the_line(line: str, word: str) -> None:
    with pytest.raises(ProjectError) as caught:
        from_yaml(f"services:\n  web:\n    image: a\n    {line}\n")
    assert word in str(caught.value)
    assert caught.value.line in (2, 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "services: []",
        "services: {}",
        "services: {web: {}}",
        "services: {web: {image: a}}\ninclude: [x]",
        "services: {web: {image: a}}\nvolumes: {v: {driver_opts: {type: none, o: bind, device: /etc}}}",
        "services: {web: {image: a}}\nvolumes: {v: {external: true}}",
        "services: {web: {image: a}}\nnetworks: {n: {external: true}}",
        "services: {web: {image: a}}\nnetworks: {n: {driver: host}}",
        "services: {web: {image: a}}\nsecrets: {s: {file: /etc/shadow}}",
        "services: {'a/b': {image: a}}",
        "a: b: c",
        "\t",
        "x" * (MAX_TEXT + 1),
        "a: " + "[" * 5000,
        "services: {web: &w {image: a, build: *w}}\n",
        "x-a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"x-{n}: &{n} [{','.join(['*' + chr(ord(n) - 1)] * 9)}]\n" for n in "bcdefghi")
        + "services: {web: {image: a, command: *i}}\n",
        "x-a: &a {<<: {}}\nservices: {web: {image: a, environment: &e {<<: *e}}}",
    ],
)
def test_refuses_whole_files(text: str) -> None:
    with pytest.raises(ProjectError):
        from_yaml(text)


def test_reads_what_people_write() -> None:
    project = from_yaml(
        """
version: "3.8"
x-common: &common
  restart: always
  environment: &env
    LEVEL: ${LEVEL:-info}
services:
  web:
    <<: *common
    build:
      context: ./web
      dockerfile: Dockerfile.prod
      args: [A=1, B]
    command: npm run "serve it" $$HOME
    ports: ["127.0.0.1:${PUBLIC:-80}:${INNER:-3000}/tcp", {target: 9, published: "90"}]
    environment:
      <<: *env
      TOKEN: ${TOKEN:?give a token}
      PLAIN: $HOST
      BOTH: a-${X-b}-${Y:+c}-$$
      EMPTY:
    healthcheck: {test: curl -f localhost, interval: 1m30s, timeout: 500ms, retries: 5}
    depends_on: [db]
    stop_grace_period: 1m
    container_name: mine
    cap_drop: [ALL]
    security_opt: [no-new-privileges:true]
    tmpfs: /run
  db:
    image: docker.io/library/postgres:17@sha256:abc
    volumes: [data:/var/lib/postgresql/data:ro, /anonymous]
  job: {image: "busybox", environment: [A, B=c]}
volumes: {data: }
networks: {default: {driver: bridge}}
""",
        {"TOKEN": "t"},
    )
    web, db, job = project.services.values()
    assert web.build == Build("web", "Dockerfile.prod", None, {"A": "1", "B": ""})
    assert web.command == ("npm", "run", "serve it", "$HOME")
    assert [(port.container, port.host) for port in web.ports] == [(3000, "127.0.0.1:${PUBLIC:-80}"), (9, "90")]
    assert web.environment == {"TOKEN": "t", "PLAIN": None, "BOTH": "a-b--$", "EMPTY": None, "LEVEL": "info"}
    assert web.healthcheck == HealthCheck(("CMD-SHELL", "curl -f localhost"), 90, 0.5, 0, 5)
    assert web.stop_grace_period == 60
    assert web.volumes == (Mount("/run", kind="tmpfs"),)
    assert (web.role, db.role, job.role) == ("web", "database", "worker")
    assert db.volumes == (Mount("/var/lib/postgresql/data", "data", read_only=True), Mount("/anonymous"))
    assert job.environment == {"A": None, "B": "c"}
    assert project.web == web
    assert web.port == 3000
    assert db.port is None
    assert any("container_name" in note for note in project.notes)


def test_values_from_outside() -> None:
    given_values = {"SECRET_KEY": "s", "OTHER": "o"}
    assert interpolate({"A": "1", "SECRET_KEY": None, "MISSING": None}, given_values) == {"A": "1", "SECRET_KEY": "s"}


def test_compose_accepts_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(to_yaml(UNNAMED))
    assert complaints([file]) == {}


def test_compose_can_complain(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.yml" for name in ("good", "bad")]
    files[0].write_text(to_yaml(UNNAMED))
    files[1].write_text(to_yaml(UNNAMED).replace("interval", "interlude"))
    for asked in (files, files[1:]):
        found = complaints(asked)
        assert list(found) == [files[1]]
        assert "interlude" in found[files[1]]
