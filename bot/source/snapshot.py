"""A folder made into one commit and pushed, without touching the folder's own repository."""

from __future__ import annotations

import asyncio
import base64
import getpass
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bot.errors import BerthError
from bot.source.process import Finished, environment, run_git
from bot.source.refs import printable, validate_ref, validate_sha

Progress = Callable[[str], None]


async def snapshot(
    folder: Path, remote_url: str, branch: str = "main", *, progress: Progress | None = None, message: str = ""
) -> str:
    """Commit the files of ``folder`` as they lie there and force-push the commit to ``branch`` of ``remote_url``.

    ``.gitignore`` files count, those of the surrounding repository too; its index, branches and configuration are
    neither used nor changed, so filters such as LFS do not run and the real files are taken. ``progress`` gets git's
    standard error line by line, the server's progress among it, until the push ends. Returns the commit's id. Raises
    BerthError.
    """
    validate_ref(branch)
    folder = await asyncio.to_thread(_folder, folder)
    top = await asyncio.to_thread(_top_of, folder)
    prefix = folder.relative_to(top).as_posix()
    with tempfile.TemporaryDirectory(prefix="berth-snapshot-") as name:
        env = environment(_ignored_by_user(), {"GIT_DIR": f"{name}/git"} | _identity())
        await _run("init", "--quiet", "--template=", f"{name}/git", env=env)
        await asyncio.to_thread(_copy_exclude, top, Path(name, "git"))
        env["GIT_WORK_TREE"] = str(top)
        env["GIT_INDEX_FILE"] = f"{name}/index"
        await _run("add", "--all", "--", prefix, env=env, cwd=top, progress=progress)
        tree = await _run("write-tree", *([] if prefix == "." else [f"--prefix={prefix}/"]), env=env)
        sha = await _run("commit-tree", tree, "-m", message or f"Snapshot of {printable(folder.name)}", env=env)
        await push(Path(name, "git"), validate_sha(sha), remote_url, branch, progress=progress)
    return sha


async def relay(
    source: str, ref: str, remote_url: str, branch: str = "main", *, progress: Progress | None = None
) -> str:
    """Fetch ``ref`` (a branch or a tag; "" for the default branch) of ``source`` and force-push it to ``remote_url``.

    ``source`` is an https address or an absolute path. Returns the commit's id. Raises BerthError.
    """
    if ref:
        validate_ref(ref)
    scheme = "file" if source.startswith("/") else "https"
    if scheme == "https" and not source.startswith("https://"):
        raise BerthError(f"{printable(source)} is neither an https address nor a folder.")
    with tempfile.TemporaryDirectory(prefix="berth-relay-") as name:
        git_dir = Path(name, "git")
        env = environment([(f"protocol.{scheme}.allow", "always")], {"GIT_DIR": str(git_dir)})
        await _run("init", "--quiet", "--bare", "--template=", str(git_dir), env=env)
        options = ("--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", "--progress")
        try:
            await _run("fetch", *options, "--", source, ref or "HEAD", env=env, progress=progress)
        except BerthError as error:
            if "couldn't find remote ref HEAD" in error.reason:
                raise BerthError("The repository is empty: it has no commit.", "Commit something first.") from error
            raise
        sha = validate_sha(await _run("rev-parse", "--verify", "FETCH_HEAD^{commit}", env=env))
        await push(git_dir, sha, remote_url, branch, progress=progress)
    return sha


async def push(git_dir: Path, sha: str, remote_url: str, branch: str, *, progress: Progress | None = None) -> None:
    """Force-push the commit ``sha`` of ``git_dir`` to ``branch`` of ``remote_url`` (http, https, absolute path)."""
    address, login = _without_login(remote_url)
    config = [(f"protocol.{scheme}.allow", "always") for scheme in ("http", "https", "file")]
    env = environment([*config, *login], {"GIT_DIR": str(git_dir)})
    refspec = f"+{sha}:refs/heads/{branch}"
    await _run("push", "--quiet", "--no-verify", "--", address, refspec, env=env, progress=progress)


async def _run(*arguments: str, env: dict[str, str], cwd: Path = Path("/"), progress: Progress | None = None) -> str:
    """Standard output of a git command, stripped. Raises BerthError with git's own last words when it fails."""
    lines = _Lines(progress) if progress else None
    done = await run_git(*arguments, env=env, cwd=cwd, on_error=lines.feed if lines else None)
    if lines:
        lines.finish()
    if done.code:
        raise BerthError(f"git {arguments[0]} failed: {_last_words(done)}")
    return done.out.decode(errors="replace").strip()


def _last_words(done: Finished) -> str:
    lines = [line for line in done.err.splitlines() if line.startswith(("fatal: ", "error: ", "remote: ", " ! "))]
    return printable(lines[-1] if lines else done.err, 400) or f"exit code {done.code}"


class _Lines:
    """Cuts git's standard error into lines; of a line redrawn with carriage returns only the last version counts."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._tell(line)

    def finish(self) -> None:
        if self._rest:
            self._tell(self._rest)

    def _tell(self, line: bytes) -> None:
        self._progress(line.decode(errors="replace").rstrip("\r ").rpartition("\r")[2])


def _folder(path: Path) -> Path:
    folder = path.expanduser().resolve()
    if not folder.is_dir():
        raise BerthError(f"{folder} is not a folder.", "Give the folder of an application.")
    if next(folder.iterdir(), None) is None:
        raise BerthError(f"{folder} is empty.", "Give the folder of an application.")
    return folder


def _top_of(folder: Path) -> Path:
    """The work tree that ``folder`` belongs to, or ``folder`` itself."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)


def _copy_exclude(top: Path, git_dir: Path) -> None:
    exclude = top / ".git/info/exclude"
    if exclude.is_file():
        (git_dir / "info").mkdir(exist_ok=True)
        shutil.copyfile(exclude, git_dir / "info/exclude")


def _ignored_by_user() -> list[tuple[str, str]]:
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [("core.excludesFile", str(base / "git/ignore"))]


def _identity() -> dict[str, str]:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        name = "berth"
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", name), ("EMAIL", f"{name}@localhost"))
    }


def _without_login(remote_url: str) -> tuple[str, list[tuple[str, str]]]:
    """The address without user and password, and the setting that carries them out of the argument list."""
    url = urlsplit(remote_url)
    if "@" not in url.netloc:
        return remote_url, []
    login, _, host = url.netloc.rpartition("@")
    encoded = base64.b64encode(unquote(login).encode()).decode()
    bare = url._replace(netloc=host).geturl()
    return bare, [(f"http.{url.scheme}://{host}/.extraHeader", f"Authorization: Basic {encoded}")]
