"""The generated files are really built and run: without capabilities, as they would be by hand.

Base images come from the official names where they are there already, otherwise from Berth's own stand-ins.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import load_config
from bot.detect import Detection, Repository, detect
from bot.engine import base_images
from bot.generate import Generated, generate
from tests.detect.samples_basic import FLASK_APP, MANAGE, package

pytestmark = [pytest.mark.docker, pytest.mark.slow]
IMAGES = ("python:3.11-slim", "node:22-slim", "nginx:stable")
BUILD = ("/usr/bin/docker", "build", "--progress", "plain")

Files = dict[str, str]
PYTHON: Files = {".python-version": "3.11\n"}
HELLO = "@app.get('/')\ndef hello():\n    return 'one'\n"
VITE: Files = {
    "package.json": package(
        {"react": "18.3.1", "react-dom": "18.3.1"},
        dev={"vite": "5.4.10", "@vitejs/plugin-react": "4.3.3"},
        scripts={"build": "vite build"},
        type="module",
    ),
    "index.html": "<!doctype html><title>one</title><div id=root></div><script type=module src=/src/main.jsx></script>",
    "vite.config.js": "import react from '@vitejs/plugin-react'\nexport default { plugins: [react()] }\n",
    "src/main.jsx": "import { createRoot } from 'react-dom/client'\n"
    "createRoot(document.getElementById('root')).render(<b>x</b>)\n",
}
APPLICATIONS: dict[str, Files] = {
    "flask": {**PYTHON, "requirements.txt": "flask==3.0.3\n", "app.py": FLASK_APP + HELLO},
    "fastapi factory by uv": {
        **PYTHON,
        "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["fastapi==0.115.4"]\n'
        'requires-python = ">=3.11"\n',
        "shop/__init__.py": "",
        "shop/main.py": "from fastapi import FastAPI\ndef create_app():\n    app = FastAPI()\n"
        "    @app.get('/')\n    def hello():\n        return 'one'\n    return app\n",
    },
    "django": {
        **PYTHON,
        "requirements.txt": "Django==5.1\n",
        "manage.py": MANAGE + "main()\n",
        "site1/__init__.py": "",
        "site1/wsgi.py": "import os\nfrom django.core.wsgi import get_wsgi_application\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\napplication = get_wsgi_application()\n",
        "site1/urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n"
        "urlpatterns = [path('', lambda request: HttpResponse('one'))]\n",
        "site1/settings.py": "import os\nSECRET_KEY = os.environ['SECRET_KEY']\nALLOWED_HOSTS = ['*']\n"
        "INSTALLED_APPS = ['django.contrib.staticfiles']\nSTATIC_URL = '/s/'\nSTATIC_ROOT = '/app/static'\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': '/app/db.sqlite3'}}\n"
        "ROOT_URLCONF = 'site1.urls'\nWSGI_APPLICATION = 'site1.wsgi.application'\n",
    },
    "express": {
        "package.json": package(
            {"express": "4.21.1"}, dev={"husky": "9.1.6"}, scripts={"start": "node server.js", "prepare": "husky"}
        ),
        "server.js": "require('express')().get('/', (q, r) => r.send('one')).listen(process.env.PORT || 3000)\n",
    },
    "fastify in TypeScript by pnpm": {
        "package.json": package(
            {"fastify": "5.1.0"},
            dev={"typescript": "5.6.3", "@types/node": "22.9.0"},
            scripts={"build": "tsc", "start": "node dist/index.js"},
            packageManager="pnpm@9.12.3",
        ),
        "tsconfig.json": json.dumps(
            {"compilerOptions": {"outDir": "dist", "module": "commonjs", "esModuleInterop": True, "skipLibCheck": True}}
        ),
        "src/index.ts": "import Fastify from 'fastify'\nconst app = Fastify()\napp.get('/', async () => 'one')\n"
        "app.listen({ port: Number(process.env.PORT) || 4000, host: '0.0.0.0' })\n",
    },
    "lone server": {
        "server.js": "require('http').createServer((q, r) => r.end('one')).listen(process.env.PORT || 3000)\n"
    },
    "react": VITE,
    "pages": {"index.html": "one", "404.html": "not here", "docs/index.html": "documents", ".hidden": "secret"},
}


@pytest.fixture(scope="module")
def prefix() -> str:
    """The prefix under which the base images are there."""
    names = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"], capture_output=True, text=True, check=True
    )
    if set(IMAGES) <= set(names.stdout.split()):
        return ""
    asyncio.run(base_images.ensure(load_config().effective_docker_host, IMAGES, print))
    return base_images.PREFIX


class Running:
    """An application that was built and started, and removed afterwards with everything of it."""

    def __init__(self, files: Files, prefix: str, folder: Path, cache_id: str = "") -> None:
        self.name = f"berth-generate-{uuid.uuid4().hex[:10]}"
        self.folder = folder
        self.detection: Detection = detect(Repository.from_files(dict(files)))
        made = generate(self.detection, image_prefix=prefix, cache_id=cache_id or self.name)
        assert made, self.detection.warnings
        self.made: Generated = made
        for path, text in {**files, **made.files}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)

    def build(self) -> str:
        done = subprocess.run(
            [*BUILD, "-t", self.name, str(self.folder)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr

    def start(self, port: int) -> None:
        environment = {"PORT": str(port)} | dict.fromkeys(self.detection.required_env, "value")
        self.docker(
            *(
                "run",
                "--detach",
                "--init",
                "--name",
                self.name,
                "--cap-drop",
                "ALL",
                "--security-opt",
                "no-new-privileges",
            ),
            *(word for pair in environment.items() for word in ("-e", "=".join(pair))),
            self.name,
        )
        self.address = self.docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", self.name)
        self.port = port

    def get(self, path: str) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers; waits for the first answer."""
        for _ in range(300):
            connection = http.client.HTTPConnection(self.address, self.port, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode(), dict(answer.headers)
            except OSError:
                time.sleep(0.2)
            finally:
                connection.close()
        raise AssertionError(self.docker("logs", self.name))

    def docker(self, *words: str) -> str:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return (done.stdout or done.stderr).strip()

    def remove(self) -> None:
        for words in (("rm", "--force", "--volumes", self.name), ("rmi", "--force", self.name)):
            subprocess.run(["docker", *words], capture_output=True, check=False)


@pytest.fixture
def running(request: pytest.FixtureRequest, prefix: str, tmp_path: Path) -> Iterator[Running]:
    application = Running(APPLICATIONS[request.param], prefix, tmp_path)
    try:
        application.build()
        application.start(7123)
        yield application
    finally:
        application.remove()


@pytest.mark.parametrize("running", APPLICATIONS, indirect=True)
def test_answers_on_the_port_that_it_is_told(running: Running) -> None:
    status, text, _ = running.get("/")
    assert status == 200
    assert "one" in text
    assert running.docker("exec", running.name, "id", "-u") == "1000"
    web = running.made.project.web
    assert web
    if web.healthcheck:
        running.docker("exec", running.name, *web.healthcheck.test[1:])
    start = time.monotonic()
    running.docker("stop", "--time", "20", running.name)
    assert time.monotonic() - start < 8, "the signal did not reach the application"
    layers = running.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", running.name)
    assert "SECRET_KEY=value" not in layers


@pytest.mark.parametrize("running", ["pages"], indirect=True)
def test_pages_are_served_safely(running: Running) -> None:
    assert running.get("/docs/")[1] == "documents"
    status, _, headers = running.get("/docs")
    assert (status, headers["Location"]) == (301, "/docs/")
    assert running.get("/nothing")[:2] == (404, "not here")
    for path in (
        "/.hidden",
        "/.berth/nginx.conf",
        "/Dockerfile",
        "/docker-compose.yml",
        "/.dockerignore",
        "/..%2fetc/passwd",
    ):
        assert running.get(path)[0] in (400, 404), path
    assert running.get("/")[2]["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("running", ["react"], indirect=True)
def test_a_front_end_answers_for_its_own_paths(running: Running) -> None:
    page = running.get("/")[1]
    assert running.get("/some/path")[:2] == (200, page)
    asset = page.split('src="')[1].split('"')[0]
    status, _, headers = running.get(asset)
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
    assert running.get("/assets/nothing.js")[0] == 404
    assert "node" not in running.docker("exec", running.name, "ls", "/usr/local/bin")


@pytest.mark.parametrize("name", ["flask", "express"])
def test_a_change_of_the_source_keeps_the_packages(name: str, prefix: str, tmp_path: Path) -> None:
    application = Running(APPLICATIONS[name], prefix, tmp_path)
    try:
        application.build()
        (tmp_path / "new.txt").write_text("x")
        steps = application.build().splitlines()
        install = next(line.split(" ")[0] for line in steps if "pip install" in line or "npm install" in line)
        assert f"{install} CACHED" in steps
    finally:
        application.remove()


def test_by_hand_it_is_the_same_application(prefix: str, tmp_path: Path) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("the Compose plug-in is not installed")
    application = Running(APPLICATIONS["flask"], prefix, tmp_path)
    compose = ["docker", "compose", "--project-name", application.name, "--project-directory", str(tmp_path)]
    image = f"{application.name}-web"
    try:
        application.build()  # Compose itself would want buildx to build
        subprocess.run(["docker", "tag", application.name, image], check=True)
        environment = {**os.environ, "PORT": "127.0.0.1:0"}
        up = subprocess.run(
            [*compose, "up", "--detach", "--wait", "--no-build"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert up.returncode == 0, up.stderr
        shown = subprocess.run(
            [*compose, "port", "web", "5000"], capture_output=True, text=True, check=True, env=environment
        )
        host, _, port = shown.stdout.strip().rpartition(":")
        application.address, application.port = host, int(port)
        assert application.get("/")[:2] == (200, "one")
    finally:
        subprocess.run([*compose, "down", "--volumes"], capture_output=True, check=False)
        subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)
        application.remove()
