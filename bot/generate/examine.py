"""Asks a worker process what a checkout is, and ends it when it takes too long."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass

from bot.detect.model import Detection

MAX_ANSWER = 8_000_000  # bytes
WORKER: tuple[str, ...] = ("-m", "bot.generate.worker")


class ExaminationFailed(Exception):  # noqa: N818 - it is an outcome that people read, as in "the examination failed"
    """A repository could not be looked at: ``reason`` says why, ``fix`` what to do about it."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason, fix)
        self.reason, self.fix = reason, fix

    def __str__(self) -> str:
        return f"{self.reason} {self.fix}".strip()


@dataclass(frozen=True, slots=True)
class Examination:
    """What a repository is and the files for it; ``files`` is None where nothing can be generated."""

    detection: Detection
    files: dict[str, str] | None
    explanation: tuple[str, ...]
    base_images: tuple[str, ...]


async def examine(
    path: str | os.PathLike[str],
    settings: Mapping[str, object],
    *,
    image_prefix: str = "",
    images: Collection[str] = (),
    cache_id: str = "app",
    build_args: Sequence[str] = (),
    build_secrets: Sequence[str] = (),
    variables: Collection[str] = (),
    timeout: float = 30.0,
    worker: asyncio.subprocess.Process | None = None,
) -> Examination:
    """Detect and generate in a process of its own, for at most ``timeout`` seconds. Raises ExaminationFailed.

    ``images``: the base images that there are below ``image_prefix`` (``python:3.11-slim``), where not all can be had.
    ``variables``: names of those that have a value.
    ``worker`` comes from :func:`ready_worker`; without it one is started, and killed when it is late or when the caller
    is cancelled.
    """
    request = {
        "path": os.fspath(path),
        "settings": dict(settings),
        "image_prefix": image_prefix,
        "images": sorted(images),
        "cache_id": cache_id,
        "build_args": list(build_args),
        "build_secrets": list(build_secrets),
        "variables": sorted(variables),
        "seconds": int(timeout) + 1,
    }
    async with nullcontext(worker) if worker else ready_worker() as process:
        try:
            async with asyncio.timeout(timeout):
                output, errors = await process.communicate(json.dumps(request).encode())
        except TimeoutError:
            raise ExaminationFailed(
                f"The repository could not be read within {timeout:g} seconds.",
                "Set `root` to the folder of the application.",
            ) from None
    return _read(process.returncode or 0, output, errors)


@asynccontextmanager
async def ready_worker() -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that waits for one request. Started ahead, it imports what it needs (0.1 s) while a commit is fetched.

    It has no part of this one's environment but ``PATH``. At the end of the block its whole group is killed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        *WORKER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        start_new_session=True,
        limit=MAX_ANSWER,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _read(code: int, output: bytes, errors: bytes) -> Examination:
    fix = "Set `root` to the folder of the application, or add a Dockerfile."
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ExaminationFailed("Reading the repository used more processor time than it may.", fix)
    if code != 0 or len(output) > MAX_ANSWER:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {code}"]
        what = "more memory than it may" if "MemoryError" in last[0] else last[0][:300]
        raise ExaminationFailed(f"The repository could not be read: {what}.", fix)
    try:
        data = json.loads(output)
        return Examination(
            Detection.from_json(data["detection"]),
            data["files"],
            tuple(data["explanation"]),
            tuple(data["base_images"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ExaminationFailed(f"The repository could not be read: {error}.", fix) from error
