"""A build with secrets, through the docker client.

BuildKit fetches secrets through a session (gRPC over an upgraded connection), which the client speaks and we do not.
The secrets travel in the environment of that one process: not on a command line, and never on a disk. What it prints
with ``--progress plain`` is turned back into BuildKit's messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from bot.engine.buildkit import Status, Vertex, VertexLog
from bot.engine.context import Context
from bot.engine.progress import Progress
from bot.engine.wire import EngineRefused
from bot.errors import BerthError

_STOP_SECONDS = 5.0  # for buildx to cancel its build; the old client does not react to signals while it builds
_ASK_SECONDS = 30.0  # for a version; a busy host may need long to load the client
_SESSION_SECONDS = 0.2  # the engine ends a build whose session is gone in about 0.02 s
_PASSED = ("PATH", "HOME", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "SSL_CERT_FILE", "TMPDIR")
_LONGEST_VALUE = 128 * 1024 - 64  # bytes; Linux gives one variable of an environment no more than 32 pages
_LONGEST_LINE = 1 << 20

_LINE = re.compile(r"#(\d+) (.*)", re.S)
_DONE = re.compile(r"DONE (\d+\.\d+)s")
_OUTPUT = re.compile(r"\d+\.\d+ (.*)", re.S)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\b")


async def find_client() -> tuple[str, ...]:
    """The beginning of a command that builds with secrets: buildx, or a client that has BuildKit built in (before 23).

    Raises BerthError if this machine has neither.
    """
    found = [shutil.which("docker", path=folder) for folder in os.get_exec_path()]
    for client in dict.fromkeys([*found, "/usr/bin/docker", "/usr/local/bin/docker"]):
        if client is None or not await asyncio.to_thread(os.access, client, os.X_OK):
            continue
        if await _says(client, "buildx", "version"):
            return (client, "buildx", "build", "--builder", "default", "--load")
        version = re.search(r"version (\d+)\.", await _says(client, "--version"))
        if version and 19 <= int(version[1]) < 23:
            return (client, "build")
    raise BerthError(
        "This application has build secrets, and no docker client on this machine can pass them to a build.",
        "Install the buildx plug-in (the package docker-buildx or docker-buildx-plugin).",
    )


async def _says(*command: str) -> str:
    """What a command prints; empty if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode("utf-8", "replace") if process.returncode == 0 else ""


def environment(docker_host: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The environment of the client, with secret number n in ``BERTH_SECRET_n``.

    Raises BerthError for a secret that cannot be passed so.
    """
    for name, value in secrets.items():
        if not re.fullmatch(r"[\w.-]+", name, re.A):
            raise BerthError(f"{name!r} cannot be the name of a build secret.", "Use letters, digits and underscores.")
        if "\0" in value or len(value.encode()) > _LONGEST_VALUE:
            raise BerthError(f"The build secret {name} is longer than 128 KB or not text.", "Let the build fetch it.")
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    kept.update({f"BERTH_SECRET_{number}": value for number, value in enumerate(secrets.values())})
    return {**kept, "DOCKER_HOST": docker_host, "DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


async def build_with_client(
    client: tuple[str, ...],
    options: list[str],
    docker_host: str,
    secrets: Mapping[str, str],
    *,
    context: Context,
    progress: Progress,
) -> str:
    """Run the client with the context on its input and return the id of the image.

    ``options`` are those that say what to build. Raises EngineRefused with BuildKit's message when the build fails.
    When cancelled, the process and all its children are ended first.
    """
    passed = [f"--secret=id={name},env=BERTH_SECRET_{number}" for number, name in enumerate(secrets)]
    with tempfile.TemporaryDirectory(prefix="berth-build-") as folder:
        id_file = Path(folder) / "id"
        process = await asyncio.create_subprocess_exec(
            *client,
            "--progress=plain",
            f"--iidfile={id_file}",
            *passed,
            *options,
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment(docker_host, secrets),
            start_new_session=True,
        )
        reader = PlainReader(progress)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_send(process, context))
                group.create_task(_read(process, reader))
            code = await process.wait()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        finally:
            await _end(process, politely="buildx" in client)
        if code != 0:
            message = reader.message or f"the docker client ended with exit code {code}"
            raise EngineRefused(message, message=message)
        return (await asyncio.to_thread(id_file.read_text)).strip()


async def _send(process: asyncio.subprocess.Process, context: Context) -> None:
    assert process.stdin is not None
    async with contextlib.aclosing(context.pieces()) as pieces:
        async for piece in pieces:
            try:
                process.stdin.write(piece)
                await process.stdin.drain()
            except (OSError, RuntimeError):  # it ended early, and says why; RuntimeError is uvloop's word for that
                break
    process.stdin.close()


async def _read(process: asyncio.subprocess.Process, reader: PlainReader) -> None:
    assert process.stderr is not None
    async for line in _lines(process.stderr):
        reader.feed(line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream; one that is too long is cut."""
    rest = b""
    while chunk := await stream.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        rest = rest[:_LONGEST_LINE]
    if rest:
        yield rest.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process, *, politely: bool) -> None:
    """End the process and what it started, if it still runs; the build on the engine ends with it."""
    if process.returncode is not None:
        return
    if politely:
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    await asyncio.sleep(_SESSION_SECONDS)


class PlainReader:
    """Reads the lines of ``--progress plain`` into ``progress``."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._names: dict[str, str] = {}
        self._errors: list[str] = []

    @property
    def message(self) -> str:
        """Why the build failed: the last line that belongs to no step."""
        marked = [line for line in self._errors if line.startswith("ERROR: ")]
        last = (marked or self._errors or [""])[-1]
        return last.removeprefix("ERROR: ")

    def feed(self, line: str) -> None:
        found = _LINE.match(line)
        if not found:
            if line.strip() and not line.startswith(("---", " > ", "See 'docker")):
                self._errors = [*self._errors[-50:], line.strip()]
            return
        step, text = f"#{found[1]}", found[2]
        if step not in self._names:
            self._names[step] = text
            self._tell(step)
        elif done := _DONE.fullmatch(text):
            self._tell(step, seconds=float(done[1]))
        elif text == "CACHED":
            self._tell(step, seconds=0.0, cached=True)
        elif text == "CANCELED":
            self._tell(step, seconds=0.0, error="context canceled")
        elif text.startswith("ERROR"):
            self._tell(step, seconds=0.0, error=text.removeprefix("ERROR").lstrip(": "))
        elif output := _OUTPUT.fullmatch(text):
            message = output[1].encode() + b"\n"
            self._progress.update(Status(logs=[VertexLog(step, time.time(), 1, message)]))
        elif not _DIGEST.match(text) and text not in {"...", self._names[step]}:
            self._progress.update(Status(logs=[VertexLog(step, time.time(), 1, text.encode() + b"\n")]))

    def _tell(self, step: str, *, seconds: float | None = None, cached: bool = False, error: str = "") -> None:
        now = time.time()
        completed = None if seconds is None else now + seconds
        self._progress.update(Status(vertexes=[Vertex(step, (), self._names[step], cached, now, completed, error)]))
