"""The generated files: linted, checked instruction by instruction, and readable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from bot.detect import Repository, detect
from bot.detect import dockerfile as dockerfiles
from bot.detect.facts import DockerfileFacts, NodeFacts
from bot.detect.model import Detection
from bot.generate import Generated, generate
from bot.generate.images import base_images_of
from bot.project import from_yaml
from tests.compose import as_read, complaints
from tests.detect.samples import ALL
from tests.detect.samples_basic import FASTAPI_APP, NPM_LOCK, Sample, package

HADOLINT = Path(sys.executable).with_name("hadolint")
OFFICIAL = (
    r"python:3\.\d+-slim|node:\d+-slim|nginx:stable|debian:bookworm-slim"
    r"|php:8\.\d-apache-bookworm|composer:2|wordpress:6-apache|ruby:\d\.\d(\.\d+)?-slim-bookworm"
    r"|eclipse-temurin:\d+-(jdk|jre)|maven:3-eclipse-temurin-\d+|gradle:[89]-jdk\d+"
    r"|tomcat:(9|10\.1|11)-jre\d+|tomee:(8|10)-jre17-(plus|webprofile|microprofile)"
    r"|mcr\.microsoft\.com/dotnet/(sdk|aspnet|runtime):\d+\.\d(\.\d\d\d)?"
    r"|elixir:1\.\d+-otp-\d\d-slim|debian:trixie-slim"
    r"|denoland/deno:debian-\d\.\d+\.\d+|oven/bun:[\d.]+-slim"
    r"|mambaorg/micromamba:2|golang:1\.\d+-bookworm|rust:1\.\d+-slim-bookworm"
)
HOSTILE = "x\"; rm -rf / ;'\n\nUSER root\nRUN evil $(id) `id` ${PATH} && # \\"


def made(sample: Sample, **rest: object) -> tuple[Detection, Generated]:
    found = detect(Repository.from_files(sample.files), sample.settings)
    generated = generate(found, cache_id="r7", **rest)  # type: ignore[arg-type]
    assert generated, found.warnings
    return found, generated


def _deployable() -> list[str]:
    return [name for name, one in ALL.items() if detect(Repository.from_files(one.files), one.settings).facts]


DEPLOYABLE = _deployable()
WRITTEN = [
    name
    for name in DEPLOYABLE
    if not isinstance(detect(Repository.from_files(ALL[name].files), ALL[name].settings).facts, DockerfileFacts)
]


def test_nearly_every_sample_can_be_deployed() -> None:
    assert len(DEPLOYABLE) > 70


def lint(folder: Path) -> str:
    """What hadolint says at its default level, without configuration."""
    files = sorted(str(path) for path in folder.glob("*/Dockerfile"))
    done = subprocess.run([HADOLINT, "--no-color", *files], capture_output=True, text=True, cwd=folder, check=False)
    return done.stdout + done.stderr


VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "secrets": {"build_args": ("API_URL",), "build_secrets": ("NPM_TOKEN",)},
}


def write_dockerfiles(folder: Path, names: list[str], variants: Iterable[str] = VARIANTS) -> None:
    """The Dockerfiles of these samples, each text once."""
    seen = set()
    for number, name in enumerate(names):
        for variant in variants:
            text = made(ALL[name], **VARIANTS[variant])[1].files["Dockerfile"]
            if text not in seen:
                seen.add(text)
                place = folder / f"{number:03}-{re.sub('[^a-z0-9]+', '-', name.lower())}-{variant}"
                place.mkdir()
                (place / "Dockerfile").write_text(text)


def _one_of_each_stack() -> list[str]:
    chosen: dict[tuple[str, str | None], str] = {}
    for name in WRITTEN:
        found = detect(Repository.from_files(ALL[name].files), ALL[name].settings)
        chosen.setdefault((found.stack, found.package_manager), name)
    return list(chosen.values())


def test_hadolint_finds_nothing_in_one_of_each_stack(tmp_path: Path) -> None:
    write_dockerfiles(tmp_path, _one_of_each_stack(), ["plain"])
    assert lint(tmp_path) == ""


@pytest.mark.slow
def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    write_dockerfiles(tmp_path, WRITTEN)
    assert lint(tmp_path) == ""


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Dockerfile").write_text("FROM debian\nRUN cd /x\n")
    assert "DL3006" in lint(tmp_path)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_dockerfile_has_what_a_senior_engineer_expects(name: str) -> None:
    found, generated = made(ALL[name], image_prefix="mirror.example/")
    text = generated.files["Dockerfile"]
    parsed = dockerfiles.parse(text)
    assert not parsed.problems
    final = parsed.final
    assert final
    # a fixed user without rights, and nothing after it that would need more
    user = final.last("USER")
    assert user
    assert user.text == "1000:1000"
    # the command is in exec form, the port is told and exposed
    command = final.last("CMD")
    assert command
    assert all(isinstance(word, str) for word in json.loads(command.text))
    assert final.last("ENTRYPOINT") is None
    assert dockerfiles.ports(parsed) == [(found.port, final.last("EXPOSE").line)]  # type: ignore[union-attr]
    assert dockerfiles.environment_port(parsed)[0] == found.port  # type: ignore[index]
    # front end 1.2: no directive, no here-document, no newer options; literal ids of cache mounts, ours alone
    assert not text.startswith(("# syntax", "#syntax"))
    assert "<<" not in text
    assert "--link" not in text
    for mount in re.findall(r"type=cache,id=([^,]+)", text):
        assert mount.startswith("r7-")
        assert "$" not in mount
    # base images from the table, with a version, through the prefix
    for image in generated.base_images:
        assert re.fullmatch(rf"mirror\.example/({OFFICIAL})|ghcr\.io/getzola/zola:v\d+\.\d+\.\d+", image)
    # manifests before source: the first COPY of everything comes after the install, unless the install needs it
    assert any(line.startswith("# ") for line in text.splitlines()[:1])
    assert all(len(line) < 400 for line in text.splitlines())
    # a probe from inside where there is a program for it
    if "nginx" not in final.base:
        assert final.last("HEALTHCHECK") or "# no HEALTHCHECK: " in text
    assert "org.opencontainers.image.title" in text


@pytest.mark.parametrize("name", DEPLOYABLE)
def test_the_compose_file_is_the_project(name: str) -> None:
    found, generated = made(ALL[name])
    text = generated.files["docker-compose.yml"]
    assert from_yaml(text) == as_read(generated.project)
    web = generated.project.web
    assert web
    assert web.port == found.port
    assert web.environment["PORT"] == str(found.port)
    assert web.health_path == found.health_path
    assert web.published
    assert set(found.required_env) <= set(web.environment)
    assert generated.explanation


@pytest.mark.slow
def test_compose_accepts_every_file(tmp_path: Path) -> None:
    files = {}
    for number, name in enumerate(DEPLOYABLE):
        path = tmp_path / str(number) / "docker-compose.yml"
        path.parent.mkdir()
        path.write_text(made(ALL[name])[1].files["docker-compose.yml"])
        files[path] = name
    assert {files[path]: text for path, text in complaints(list(files)).items()} == {}


def _installs_before_source(name: str) -> bool:
    facts = detect(Repository.from_files(ALL[name].files), ALL[name].settings).facts
    return bool(getattr(facts, "has_dependencies", False)) and not getattr(facts, "install_needs_source", True)


@pytest.mark.parametrize("name", [name for name in WRITTEN if _installs_before_source(name)])
def test_manifests_come_before_the_source(name: str) -> None:
    _, generated = made(ALL[name])
    build = dockerfiles.parse(generated.files["Dockerfile"]).stages[0]
    names = [one.name + " " + one.text for one in build.instructions]
    install = next(
        i
        for i, one in enumerate(names)
        if one.startswith("RUN") and re.search(r"\b(install|ci|sync|focus|create)\b", one)
    )
    assert "COPY . ." not in names[:install]


@pytest.mark.parametrize("key", ["start_command", "build_command", "health_path", "framework"])
def test_hostile_settings_stay_values(key: str, tmp_path: Path) -> None:
    for name in ("express", "flask", "vite and react", "django", "own Dockerfile", "page at the root"):
        sample = Sample(ALL[name].files, settings={key: HOSTILE})
        _, generated = made(sample)
        assert from_yaml(generated.files["docker-compose.yml"]) == as_read(generated.project)
        if "Dockerfile" not in generated.files:
            continue
        parsed = dockerfiles.parse(generated.files["Dockerfile"])
        assert not parsed.problems
        users = [one.text for stage in parsed.stages for one in stage.instructions if one.name == "USER"]
        assert users == ["1000:1000"]
        assert not any(
            one.text == "evil" or one.text.startswith("evil ") for stage in parsed.stages for one in stage.instructions
        )
        folder = tmp_path / re.sub("[^a-z]", "-", name)
        folder.mkdir()
        (folder / "Dockerfile").write_text(generated.files["Dockerfile"])
    problems = [line for line in lint(tmp_path).splitlines() if "DL1000" in line or "unexpected" in line]
    assert problems == []


FOLDER = "x\nRUN evil,id=another"


def _with_a_hostile_folder(files: dict[str, str | bytes]) -> list[dict[str, str | bytes]]:
    """The files once for each of their folders, which then has another name."""
    folders = {path.rpartition("/")[0] for path in files if "/" in path}
    return [
        {
            path.replace(folder, f"{folder}{FOLDER}", 1) if path.startswith(f"{folder}/") else path: text
            for path, text in files.items()
        }
        for folder in sorted(folders)[:4]
    ]


def test_hostile_folders_stay_values() -> None:
    made_of_them = 0
    for name in WRITTEN:
        for files in _with_a_hostile_folder(ALL[name].files):
            generated = generate(detect(Repository.from_files(files), ALL[name].settings), cache_id="r7")
            text = generated.files.get("Dockerfile", "") if generated else ""
            assert not re.search(r"^\s*RUN evil", text, re.MULTILINE), name
            assert not re.search(r"--mount=[^ ]*another", text), name
            made_of_them += FOLDER[:1] in text and "evil" in text
    assert made_of_them > 20


def test_hostile_names_and_scripts_stay_values() -> None:
    files: dict[str, str | bytes] = {
        "package.json": package(
            {"express": "4"}, scripts={"start": HOSTILE, "build": HOSTILE}, name=HOSTILE, main=HOSTILE
        ),
        "server.js": "require('express')().listen(3000)",
        "requirements.txt": "flask",
        "Procfile": "web: gunicorn a:b && USER root",
        ".env.example": "A=\nB C=\n$(id)=\nFINE=\n",
    }
    found, generated = made(Sample(files))
    parsed = dockerfiles.parse(generated.files["Dockerfile"])
    users = [one.text for stage in parsed.stages for one in stage.instructions if one.name == "USER"]
    assert users == ["1000:1000"]
    assert found.required_env == ("A", "FINE")


@pytest.mark.parametrize("cache_id", ["a,target=/etc", "a b\nRUN evil", "$ARG", ""])
def test_cache_ids_stay_ids(cache_id: str) -> None:
    found = detect(Repository.from_files(ALL["express"].files))
    generated = generate(found, cache_id=cache_id)
    assert generated
    ids = re.findall(r"type=cache,id=([^,\s]*),target=/root/.npm ", generated.files["Dockerfile"])
    assert ids
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", one) for one in ids)


def test_build_variables() -> None:
    _, generated = made(ALL["vite and react"], build_args=("VITE_URL", "a b"), build_secrets=("NPM_TOKEN", "x;y"))
    text = generated.files["Dockerfile"]
    assert "ARG VITE_URL" in text
    assert "--mount=type=secret,id=NPM_TOKEN" in text
    assert 'NPM_TOKEN="$(cat /run/secrets/NPM_TOKEN)"' in text
    assert "a b" not in text
    assert "x;y" not in text
    assert "ENV NPM_TOKEN" not in text
    assert "ARG NPM_TOKEN" not in text


def test_an_own_dockerfile_is_left_alone() -> None:
    found, generated = made(ALL["own Dockerfile"])
    assert set(generated.files) == {".dockerignore", "docker-compose.yml"}
    assert generated.base_images == ("python:3.12-slim",)
    assert generate(found, existing=frozenset({".dockerignore"})).files.keys() == {"docker-compose.yml"}  # type: ignore[union-attr]
    _, told = made(Sample(ALL["own Dockerfile"].files, settings={"start_command": "python other.py"}))
    assert told.project.web
    assert told.project.web.command == ("/bin/sh", "-c", "exec python other.py")


def test_nothing_is_generated_for_nothing() -> None:
    assert generate(detect(Repository.from_files({}))) is None
    notebook = detect(Repository.from_files({"requirements.txt": "pandas", "study.ipynb": "{}"}))
    assert notebook.stack == "python"
    assert generate(notebook) is None
    assert any("study.ipynb" in text for text in notebook.warnings)


def test_secrets_stay_out_of_the_build() -> None:
    for name in WRITTEN:
        ignored = made(ALL[name])[1].files[".dockerignore"].splitlines()
        assert {".git", "**/.env", "**/.env.*"} <= set(ignored)
        found = detect(Repository.from_files(ALL[name].files), ALL[name].settings)
        if isinstance(found.facts, NodeFacts):
            assert "**/node_modules" in ignored


CASES = {
    "pnpm": ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, {}, ["pnpm@8", "pnpm install --frozen-lockfile --prod"]),
    "yarn": ({"yarn.lock": "# yarn lockfile v1\n"}, {}, ["yarn install --frozen-lockfile --production"]),
    "berry": (
        {"yarn.lock": "__metadata:\n  version: 8\n", ".yarnrc.yml": ""},
        {},
        [
            "@yarnpkg/cli-dist@4",
            "COPY package.json yarn.lock .yarnrc.yml ./",
            "yarn workspaces focus --all --production",
        ],
    ),
    "bun": ({"bun.lockb": ""}, {}, ["bun install --frozen-lockfile --production"]),
    "npm without a lock": ({}, {}, ["npm install --omit=dev"]),
    "npm with a lock": ({"package-lock.json": NPM_LOCK}, {}, ["npm ci --omit=dev"]),
    "build": ({"package-lock.json": NPM_LOCK}, {"build": "tsc"}, ["npm ci\n", "npm run build", "npm prune --omit=dev"]),
    "husky": ({"package-lock.json": NPM_LOCK}, {"prepare": "husky"}, ["npm ci \\\n    && npm prune --omit=dev"]),
    "own postinstall": (
        {},
        {"postinstall": "node scripts/x.js"},
        ["COPY . .\n", "COPY --chown=1000:1000 --from=build /app ./"],
    ),
    "patches": ({"patches/a.patch": ""}, {"postinstall": "patch-package"}, ["COPY patches ./patches/"]),
    "pinned": ({}, {}, ["pnpm@9.1.2"]),
}


@pytest.mark.parametrize("name", CASES)
def test_package_managers_of_node(name: str) -> None:
    extra, scripts, wanted = CASES[name]
    rest = {"packageManager": "pnpm@9.1.2"} if name == "pinned" else {}
    files = {
        "package.json": package(
            {"express": "4"}, dev={"typescript": "5"}, scripts={"start": "node s.js", **scripts}, **rest
        ),
        "s.js": "require('express')().listen(3000)",
        **extra,
    }
    text = made(Sample(dict(files)))[1].files["Dockerfile"]
    for part in wanted:
        assert part in text, text


PYTHON_CASES = {
    "pip": ({"requirements.txt": "fastapi\nuvicorn\n"}, ["pip install -r requirements.txt\n"]),
    "server added": (
        {"requirements.txt": "fastapi\n"},
        ['pip install -r requirements.txt \\\n    && /opt/venv/bin/pip install "uvicorn[standard]=='],
    ),
    "nested": (
        {"requirements/prod.txt": "-r base.txt\n", "requirements/base.txt": "fastapi\nuvicorn\n"},
        ["COPY requirements/prod.txt requirements/base.txt ./requirements/", "-r requirements/prod.txt"],
    ),
    "editable": (
        {"requirements.txt": "-e .\nfastapi\nuvicorn\n", "setup.py": ""},
        ["COPY requirements.txt ./\n", "requirements-only.txt\n", "COPY . .\n", "pip install --no-deps .\n"],
    ),
    "a package in a folder": (
        {"requirements.txt": "./libs/shop\nfastapi\nuvicorn\n", "libs/shop/setup.py": ""},
        ["COPY . .\nRUN --mount"],
    ),
    "uv": (
        {"pyproject.toml": '[project]\nname="x"\ndependencies=["fastapi", "uvicorn"]\n', "uv.lock": ""},
        ["uv sync --locked --no-dev --no-install-project", "COPY pyproject.toml uv.lock ./"],
    ),
    "uv package": (
        {
            "pyproject.toml": '[project]\nname="x"\ndependencies=["fastapi"]\n[build-system]\nrequires=[]\n',
            "uv.lock": "",
        },
        ["uv sync --locked --no-dev --no-editable", "uv pip install --python /opt/venv/bin/python"],
    ),
    "poetry": (
        {"pyproject.toml": '[tool.poetry.dependencies]\nfastapi="*"\nuvicorn="*"\n', "poetry.lock": ""},
        ["poetry export", "pip install -r /tmp/requirements.txt"],
    ),
    "pipenv": (
        {"Pipfile": '[packages]\nfastapi="*"\n', "Pipfile.lock": "{}"},
        ["pipenv requirements", "COPY Pipfile Pipfile.lock ./"],
    ),
    "project": (
        {"pyproject.toml": '[project]\nname="x"\ndependencies=["fastapi","uvicorn"]\n'},
        ["COPY pyproject.toml ./\n", "uv pip install --python /opt/venv/bin/python -r pyproject.toml\n"],
    ),
    "setup.py": (
        {"setup.py": "from setuptools import setup\nsetup(install_requires=['fastapi', 'uvicorn'])\n"},
        ["COPY . .\nRUN", "pip install .\n"],
    ),
    "no manifest": (
        {},
        ['python -m venv /opt/venv \\\n    && /opt/venv/bin/pip install "fastapi~=0.115" "uvicorn[standard]=='],
    ),
    "conda": (
        {"environment.yml": "dependencies:\n- python=3.12\n- pip:\n  - fastapi\n"},
        [
            "FROM mambaorg/micromamba:2 AS build\n",
            "COPY environment.yml ./\n",
            "micromamba create --yes --prefix /opt/conda/envs/app --file environment.yml",
            "micromamba install --yes --prefix /opt/conda/envs/app --channel conda-forge 'uvicorn=0.38.0'",
            "FROM debian:bookworm-slim\n",
            "COPY --from=build /opt/conda/envs/app /opt/conda/envs/app\n",
            "PATH=/opt/conda/envs/app/bin:$PATH",
        ],
    ),
    "both lists": (
        {"pyproject.toml": '[project]\nname="x"\ndependencies=["fastapi"]\n', "requirements.txt": "uvicorn\n"},
        ["COPY requirements.txt pyproject.toml ./\n", "-r pyproject.toml -r requirements.txt\n"],
    ),
    "groups of poetry, packages from git": (
        {
            "pyproject.toml": '[tool.poetry.dependencies]\nfastapi="*"\nuvicorn="*"\nx={git="https://example.com/x"}\n'
            '[tool.poetry.group.web.dependencies]\nredis="*"\n[tool.poetry.group.dev.dependencies]\nblack="*"\n',
            "poetry.lock": "",
        },
        ["'ca-certificates=*' 'git=*'", "poetry export --with web --without-hashes --output"],
    ),
    "pdm": (
        {"pyproject.toml": '[project]\nname="x"\ndependencies=["fastapi"]\n[tool.pdm]\nx=1\n', "pdm.lock": ""},
        ["pdm export --prod --output", "&& /opt/venv/bin/pip install -r /tmp/requirements.txt \\\n    && "],
    ),
    "version by git": (
        {
            "pyproject.toml": '[project]\nname="x"\ndynamic=["version"]\ndependencies=["fastapi","uvicorn"]\n'
            '[build-system]\nrequires=["hatchling","hatch-vcs"]\n',
            "uv.lock": "",
        },
        ["SETUPTOOLS_SCM_PRETEND_VERSION=0.0.0", "uv sync --locked --no-dev --no-editable\n"],
    ),
    "a browser": (
        {"requirements.txt": "fastapi\nuvicorn\nplaywright\n"},
        ["PLAYWRIGHT_BROWSERS_PATH=/opt/browsers", "playwright install --with-deps chromium && rm -rf /var/lib/apt"],
    ),
    "packages of the system beside streamlit": (
        {
            "requirements.txt": "streamlit\n",
            "main.py": "import streamlit as st\n",
            "packages.txt": "libgomp1\nffmpeg # x\n; rm -rf /\n",
        },
        ["install --yes --no-install-recommends 'libgomp1=*' \\\n"],
    ),
    "its own metadata": (
        {"main.py": "# /// script\n# dependencies = ['fastapi>=0.1', 'uvicorn']\n# ///\n" + FASTAPI_APP},
        ['/opt/venv/bin/pip install "fastapi>=0.1" uvicorn\n'],
    ),
    "hostile metadata": (
        {"main.py": "# /// script\n# dependencies = ['fastapi', 'uvicorn', 'x\"; evil #']\n# ///\n" + FASTAPI_APP},
        ["/opt/venv/bin/pip install fastapi uvicorn\n"],
    ),
    "native": ({"requirements.txt": "fastapi\nuvicorn\npsycopg2\n"}, ["'gcc=*'", "'libpq-dev=*'", "'libpq5=*'"]),
    "src": (
        {"requirements.txt": "fastapi\nuvicorn\n", "src/main.py": FASTAPI_APP, "main.py": ""},
        ["PYTHONPATH=/app/src"],
    ),
}


@pytest.mark.parametrize("name", PYTHON_CASES)
def test_package_managers_of_python(name: str) -> None:
    extra, wanted = PYTHON_CASES[name]
    text = made(Sample({"main.py": FASTAPI_APP, **extra}))[1].files["Dockerfile"]
    for part in wanted:
        assert part in text, text


def test_next_standalone_copies_only_its_output() -> None:
    text = made(ALL["next standalone"])[1].files["Dockerfile"]
    assert "/app/.next/standalone ./" in text
    assert "/app/.next/static ./.next/static" in text
    assert "public" not in text
    assert "id=r7-build,target=/app/.next/cache" in text
    assert "npm prune" not in text


def test_files_of_a_front_end() -> None:
    _, spa = made(ALL["vite and react"])
    assert "try_files $uri $uri/ /index.html;" in spa.files[".berth/nginx.conf"]
    assert "COPY --from=build /app/www /usr/share/nginx/html" in spa.files["Dockerfile"]
    _, pages = made(ALL["gatsby"])
    assert "=404;" in pages.files[".berth/nginx.conf"]
    _, plain = made(ALL["page at the root"])
    assert "error_page 404 /404.html;" in plain.files[".berth/nginx.conf"]
    assert "immutable" not in plain.files[".berth/nginx.conf"]


def test_base_images_are_resolved() -> None:
    text = (
        "ARG V=1\nARG NAME=python\nFROM --platform=linux/amd64 ${NAME}:${V:-2} AS one\nFROM one AS two\n"
        "COPY --from=one a b\nCOPY --from=nginx:alpine a b\nRUN --mount=type=bind,from=busybox,target=/x true\n"
        "FROM scratch\nCOPY --from=0 a b\nFROM $UNKNOWN\nFROM\n"
    )
    assert base_images_of(text) == ("busybox", "nginx:alpine", "python:1")
    assert base_images_of(text, {"V": "3"}) == ("busybox", "nginx:alpine", "python:3")
    assert base_images_of("\0\ufffd") == ()
