"""The same work without Berth: git clone, docker build, docker run, and asking until it answers."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bot.engine.build_secrets import find_client
from tests.end_to_end.harness import free_port

Edit = Callable[[Path], None]
SECONDS = 120.0


def first_answer(url: str, wanted: str, pause: float = 0.005) -> float:
    """Asks until ``wanted`` is in a good answer; returns that moment (seconds since 1970)."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        # docker-proxy accepts connections before the application does, and resets them
        with (
            contextlib.suppress(urllib.error.URLError, OSError, http.client.HTTPException),
            urllib.request.urlopen(url, timeout=5) as answer,
        ):
            if wanted in answer.read().decode():
                return time.time()
        time.sleep(pause)
    raise SystemExit(f"{url} does not answer {wanted!r} within {SECONDS:.0f} s")


def moment(text: str) -> float:
    """A time of Docker or of Berth (RFC 3339; digits after the microseconds are dropped) as seconds since 1970."""
    whole, _, rest = text.rstrip("Z").partition(".")
    fraction, _, zone = rest.partition("+")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+{zone or '00:00'}").timestamp()


@dataclass(frozen=True)
class Timed:
    """Seconds of each step; ``start`` is the application's own: from the start of its process to its first answer."""

    clone: float
    build: float
    run: float
    answer: float
    start: float

    @property
    def whole(self) -> float:
        return self.clone + self.build + self.run + self.answer

    @property
    def handling(self) -> float:
        """All of it, less the build and the application's own start."""
        return max(0.0, self.whole - self.build - self.start)


@dataclass
class Hand:
    """Somebody with a terminal. Everything that was made is removed by :meth:`tidy`."""

    folder: Path
    client: tuple[str, ...] = field(default_factory=lambda: asyncio.run(find_client()))
    _containers: list[str] = field(default_factory=list)
    _images: list[str] = field(default_factory=list)

    def deploy(self, bare: Path, sha: str, files: Mapping[str, str], edit: Edit, *, port: int, wanted: str) -> Timed:
        """Clone ``sha`` of the repository ``bare``, build with the generated ``files``, run, ask.

        ``edit`` makes the checkout differ from what Berth builds, so that BuildKit cannot use Berth's very result; it
        takes no time of the measurement.
        """
        path = self.folder / secrets.token_hex(4)
        began = time.perf_counter()
        self._run("git", "clone", "-q", "--no-checkout", str(bare), str(path))
        self._run("git", "-C", str(path), "checkout", "-q", sha)
        clone = time.perf_counter() - began
        for name, text in files.items():
            if name != "docker-compose.yml":
                (path / name).write_text(text)
        edit(path)
        shutil.rmtree(path / ".git")
        image = f"berth-bench-{secrets.token_hex(6)}"
        self._images.append(image)
        began = time.perf_counter()
        self._run(*self.client, "-q", "-t", image, str(path))
        build = time.perf_counter() - began
        return self.start(image, port, wanted, clone=clone, build=build)

    @property
    def images(self) -> list[str]:
        """Built so far, oldest first."""
        return self._images

    def start(self, image: str, port: int, wanted: str, *, clone: float = 0.0, build: float = 0.0) -> Timed:
        """``docker run`` of an image whose application listens on ``port``, until it answers."""
        published = free_port()
        began = time.perf_counter()
        options = ("-d", "-e", f"PORT={port}", "-p", f"127.0.0.1:{published}:{port}")
        container = self._run("docker", "run", *options, image)
        run = time.perf_counter() - began
        self._containers.append(container)
        began = time.perf_counter()
        answered = first_answer(f"http://127.0.0.1:{published}/", wanted)
        answer = time.perf_counter() - began
        started = moment(self._run("docker", "inspect", "-f", "{{.State.StartedAt}}", container))
        self._remove_containers()
        return Timed(clone, build, run, answer, answered - started)

    def tidy(self) -> None:
        """Removes what was made."""
        self._remove_containers()
        if self._images:
            subprocess.run(["docker", "rmi", "-f", *self._images], capture_output=True, check=False, timeout=120)
            self._images.clear()

    def _remove_containers(self) -> None:
        if self._containers:
            subprocess.run(["docker", "rm", "-f", *self._containers], capture_output=True, check=False, timeout=120)
            self._containers.clear()

    def _run(self, *command: str) -> str:
        environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()
