"""The one place where git is started: argument lists, a closed environment, a process group that can be ended whole."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from bot.errors import BerthError

# what git may learn from our own environment: where programs, proxies and certificate authorities are
_KEPT = (
    "PATH", "TMPDIR", "LD_LIBRARY_PATH", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
)  # fmt: skip

# Settings that keep what lies in a repository from running anything or reaching anywhere. Filters need a driver in the
# configuration, and there is none: no file of configuration but the repository's own (made by us) is read.
_HARDENED = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("submodule.recurse", "false"),
    ("credential.helper", ""),
    ("http.followRedirects", "false"),  # our authorization header would follow to the other host
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
)

Check = Callable[[], None]


@dataclass(frozen=True)
class Finished:
    """What a git command left behind: exit code, standard output, standard error as text (the last 64 KB)."""

    code: int
    out: bytes
    err: str


def environment(config: Iterable[tuple[str, str]] = (), variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a git command: ``config`` on top of the hardened settings, ``variables`` on top of ours.

    Settings travel in the environment (GIT_CONFIG_COUNT), so that tokens never stand in an argument list.
    """
    result = {name: os.environ[name] for name in _KEPT if name in os.environ}
    result |= {
        "HOME": "/nonexistent",  # no ~/.netrc, ~/.gitconfig, ~/.ssh
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }
    return result | config_variables((*_HARDENED, *config)) | dict(variables or {})


def config_variables(settings: Iterable[tuple[str, str]]) -> dict[str, str]:
    """``settings`` as GIT_CONFIG_COUNT and its companions (https://git-scm.com/docs/git-config#ENVIRONMENT)."""
    result: dict[str, str] = {}
    for index, (key, value) in enumerate(settings):
        result |= {
            f"GIT_CONFIG_KEY_{index}": key,
            f"GIT_CONFIG_VALUE_{index}": value,
            "GIT_CONFIG_COUNT": str(index + 1),
        }
    return result


async def run_git(
    *arguments: str,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] = "/",
    stdin: bytes = b"",
    max_output: int = 1 << 20,
    on_output: Callable[[bytes], None] | None = None,
    on_error: Callable[[bytes], None] | None = None,
    check: Check | None = None,
    check_interval: float = 0.2,
) -> Finished:
    """Run ``git ARGUMENTS`` to its end.

    ``on_output`` and ``on_error`` get the streams in pieces as they come (output is then not kept); without
    ``on_output`` the first ``max_output`` bytes are kept and the rest is dropped. ``check`` is called in a thread every
    ``check_interval`` seconds. Whatever a callback raises, and cancellation (so any deadline of the caller), ends the
    whole process group and is passed on. Raises BerthError where git is not installed.
    """
    process = await start_git(*arguments, env=env, cwd=cwd, speaks=bool(stdin))
    kept = bytearray()
    errors = bytearray()

    def keep(piece: bytes) -> None:
        kept.extend(piece[: max_output - len(kept)])

    def keep_error(piece: bytes) -> None:
        errors.extend(piece)
        del errors[:-65_536]
        if on_error:
            on_error(piece)

    try:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.TaskGroup() as group:
            reading = [
                group.create_task(_drain(process.stdout, on_output or keep)),
                group.create_task(_drain(process.stderr, keep_error)),
            ]
            if process.stdin is not None:
                reading.append(group.create_task(_feed(process.stdin, stdin)))
            watch = group.create_task(_watch(check, check_interval)) if check else None
            await asyncio.wait(reading)
            if watch:
                watch.cancel()
        code = await process.wait()
    except BaseException as error:
        await end_group(process)
        if isinstance(error, BaseExceptionGroup):
            raise error.exceptions[0] from None
        raise
    return Finished(code, bytes(kept), errors.decode(errors="replace"))


async def start_git(
    *arguments: str, env: Mapping[str, str], cwd: str | os.PathLike[str] = "/", speaks: bool = True
) -> asyncio.subprocess.Process:
    """Start ``git ARGUMENTS`` with pipes, as the head of a process group. The caller ends it: :func:`end_group`.

    ``speaks``: whether the caller has something for its standard input. Raises BerthError where git is not installed.
    """
    pipe = asyncio.subprocess.PIPE
    stdin = pipe if speaks else asyncio.subprocess.DEVNULL
    try:
        return await asyncio.create_subprocess_exec(
            "git", *arguments, cwd=cwd, env=dict(env), start_new_session=True, stdin=stdin, stdout=pipe, stderr=pipe
        )
    except FileNotFoundError as error:
        if not await asyncio.to_thread(os.path.isdir, cwd):
            raise
        raise BerthError("git is not installed.", "Install it (apt-get install git); 2.31 or newer.") from error


async def end_group(process: asyncio.subprocess.Process, grace: float = 0.0) -> None:
    """End the process and everything that it started: SIGTERM, up to ``grace`` seconds, SIGKILL."""
    if grace and process.returncode is None:
        signal_group(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def _feed(stream: asyncio.StreamWriter, data: bytes) -> None:
    # RuntimeError is what uvloop says when the program has closed its end already
    with suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
        stream.write(data)
        await stream.drain()
        stream.close()


async def _drain(stream: asyncio.StreamReader, use: Callable[[bytes], None]) -> None:
    while piece := await stream.read(65_536):
        use(piece)


async def _watch(check: Check, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        await asyncio.to_thread(check)
