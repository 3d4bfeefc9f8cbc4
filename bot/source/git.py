"""Fetch exactly one commit of a repository that may be hostile."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import BerthError
from bot.source.process import Finished, environment, run_git
from bot.source.refs import printable, validate_ref, validate_sha
from bot.source.snapshot import relay, snapshot

__all__ = ["Checkout", "MovedError", "UnreachableError", "fetch", "relay", "snapshot", "validate_ref", "validate_sha"]

LONGEST_PATH = 4096  # bytes; Linux opens nothing longer


class MovedError(BerthError):
    """The host says that the repository has another address now."""


class UnreachableError(BerthError):
    """The host did not answer, which may pass."""


@dataclass(frozen=True)
class Checkout:
    """The files of one commit at ``path``, without git's own folder.

    Files may be symlinks that lead anywhere: never follow them.
    """

    path: Path
    sha: str
    tree: str  # id of the root tree: equal trees hold equal files
    subject: str  # first line of the commit message, printable, at most 200 characters
    author: str
    files: int
    bytes: int
    submodules: tuple[str, ...] = ()  # folders that stay empty, because submodules are not fetched
    folders: Mapping[str, str] = field(default_factory=dict, repr=False)  # path -> tree id

    def subtree(self, root: str) -> str:
        """The tree id of the folder ``root`` ("" for the whole). Raises BerthError when the commit has no such folder.

        A path through a symlink has no tree, so a root that this accepts lies inside the checkout.
        """
        wanted = "/".join(part for part in root.split("/") if part not in {"", "."})
        if not wanted:
            return self.tree
        if wanted not in self.folders:
            raise BerthError(
                f"The commit {self.sha[:7]} has no folder {root!a}.",
                "Correct the setting `root`, or commit that folder.",
            )
        return self.folders[wanted]


async def fetch(
    source: str | Path,
    sha: str,
    into: Path,
    *,
    token: str | None = None,
    allowed_hosts: Collection[str] = (),
    plain_http: bool = False,
    timeout: float = 300.0,
    max_bytes: int = 2_000_000_000,
    max_files: int = 200_000,
) -> Checkout:
    """Put the files of the commit ``sha`` into the new folder ``into``.

    ``source`` is ``https://HOST/…`` with HOST (or HOST:PORT) among ``allowed_hosts``, or the absolute path of a local
    repository; with ``plain_http`` also ``http://HOST/…``. ``token`` goes to that host only, as GitHub's
    ``x-access-token``. ``max_bytes`` limits what is
    downloaded and, apart, what is checked out. Hooks, filters, LFS, submodules, redirects and every other protocol are
    off. Raises BerthError in words for everything that can go wrong, and FileExistsError when ``into`` is there
    already; after an error and after cancellation ``into`` is gone again.
    """
    address, config = _address(source, allowed_hosts, token, plain_http=plain_http)
    validate_sha(sha)
    git_dir = into.with_name(into.name + ".git")
    env = environment(config, {"GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(into)})
    try:
        await asyncio.to_thread(into.mkdir, parents=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unwritable(error) from error
    try:
        async with asyncio.timeout(timeout):
            await asyncio.to_thread(_make_repository, git_dir)
            await _download(address, sha, env, max_bytes)
            tree, subject, author = await _commit(sha, env)
            census = await _census(sha, env, max_bytes, max_files)
            await asyncio.to_thread(_require_space, into, census.bytes)
            await _check_out(sha, into, env)
    except BaseException as error:
        await asyncio.shield(asyncio.to_thread(_remove, git_dir, into))
        if isinstance(error, TimeoutError):
            raise BerthError(
                f"Fetching {sha[:7]} took longer than {timeout:g} seconds.",
                "Look whether the host is reachable, or raise BERTH_FETCH_TIMEOUT.",
            ) from None
        if isinstance(error, OSError):
            raise _unwritable(error) from error
        raise
    await asyncio.to_thread(_remove, git_dir)
    return Checkout(
        into, sha, tree, subject, author, census.files, census.bytes, tuple(census.submodules), census.folders
    )


def _address(
    source: str | Path, allowed_hosts: Collection[str], token: str | None, *, plain_http: bool = False
) -> tuple[str, list[tuple[str, str]]]:
    """What git is told to fetch from, and the settings that allow just that."""
    text = str(source)
    if any(character < " " or character == "\x7f" for character in text):
        raise BerthError("The repository's address contains control characters.")
    if text.startswith("/"):
        if not Path(text).is_dir():
            raise BerthError(f"There is no repository at {text}.")
        return text, [("protocol.file.allow", "always")]
    url = urlsplit(text)
    host = url.netloc.lower()
    if url.scheme not in ({"https", "http"} if plain_http else {"https"}) or "@" in host or url.query or url.fragment:
        raise BerthError(f"{text!a} is not fetched: only https addresses and absolute local paths are.")
    if not host or host not in {allowed.lower() for allowed in allowed_hosts}:
        raise BerthError(f"Nothing is fetched from {host!a}: that host is not configured.")
    config = [(f"protocol.{url.scheme}.allow", "always")]
    if token:
        login = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        config.append((f"http.{url.scheme}://{host}/.extraHeader", f"Authorization: Basic {login}"))
    return text, config


def _make_repository(git_dir: Path) -> None:
    """An empty repository (https://git-scm.com/docs/gitrepository-layout), which saves starting ``git init``."""
    _remove(git_dir)  # of a fetch that was killed
    for name in ("objects/pack", "refs"):
        (git_dir / name).mkdir(parents=True)
    (git_dir / "HEAD").write_text("ref: refs/heads/none\n")
    (git_dir / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n")


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


async def _download(address: str, sha: str, env: Mapping[str, str], max_bytes: int) -> None:
    git_dir = Path(env["GIT_DIR"])

    def check() -> None:
        if _size(git_dir) > max_bytes:
            raise BerthError(*_too_large(f"more than {_megabytes(max_bytes)} MB packed"))

    options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance")
    done = await run_git("fetch", *options, "--", address, sha, env=env, check=check)
    if done.code:
        raise await _explain(done, address, sha, env)
    await asyncio.to_thread(check)
    fetched = await asyncio.to_thread((git_dir / "FETCH_HEAD").read_text)
    if fetched[:40] != sha:
        raise BerthError(f"The repository answered with another commit than {sha[:7]}.")


def _size(folder: Path) -> int:
    """Bytes on disk below ``folder``; files that vanish meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


async def _explain(done: Finished, address: str, sha: str, env: Mapping[str, str]) -> BerthError:
    """git's complaint as a reason and a fix. Its texts: LC_ALL=C, git 2.30 to 2.50."""
    low = done.err.lower()
    if "not our ref" in low or "unadvertised object" in low or "couldn't find remote ref" in low:
        heads = await run_git("ls-remote", "--heads", "--quiet", "--", address, env=env, max_output=64)
        if heads.code == 0 and not heads.out:
            return BerthError("The repository is empty: it has no branch.", "Commit something and push it.")
        return BerthError(
            f"The commit {sha[:7]} is not in the repository any more: it was probably replaced by a forced push.",
            "Deploy the branch's newest commit.",
        )
    for words, reason, fix in _COMPLAINTS:
        if any(word in low for word in words):
            kind = MovedError if words is _MOVED else UnreachableError if words is _UNREACHABLE else BerthError
            return kind(reason, fix)
    lines = [line.removeprefix("fatal: ") for line in done.err.splitlines() if line.strip()]
    return BerthError(f"git could not fetch {sha[:7]}: {printable(lines[0]) if lines else f'exit code {done.code}'}.")


_MOVED = ("error: 301", "error: 302", "error: 307", "error: 308")
_UNREACHABLE = (
    *("could not resolve host", "failed to connect", "couldn't connect", "connection refused"),
    *("timed out", "too slow", "connection reset", "empty reply from server", "recv failure", "send failure"),
    *("rpc failed", "early eof", "unexpected disconnect", "the remote end hung up"),
    *("error: 429", "error: 500", "error: 502", "error: 503", "error: 504"),
)
# words of git and curl, reason, fix; the first that fits is taken
_COMPLAINTS = (
    (
        ("authentication failed", "could not read username", "could not read password", "error: 401", "error: 403"),
        "The host refused to let Berth read the repository.",
        "Give Berth access to this repository again.",
    ),
    (
        _MOVED,
        "The host says that the repository has moved, and Berth does not follow.",
        "Use the repository's new address.",
    ),
    (
        ("not found", "does not appear to be a git repository"),
        "The repository was not found: it was removed, renamed, or Berth may not see it.",
        "Look whether the repository is still there and Berth has access to it.",
    ),
    (
        ("no space left on device", "disk quota exceeded"),
        "There is no space left for the checkout.",
        "Free some disk space.",
    ),
    (
        _UNREACHABLE,
        "The host of the repository could not be reached.",
        "Look at the host's status and at this machine's network; then deploy again.",
    ),
    (
        ("certificate",),
        "The host's certificate is not trusted.",
        "Put its certificate authority into SSL_CERT_FILE.",
    ),
)


async def _commit(sha: str, env: Mapping[str, str]) -> tuple[str, str, str]:
    """Tree id, subject and author of the commit. Raises BerthError when the id is that of something else."""
    done = await run_git("cat-file", "--batch", env=env, stdin=f"{sha}\n".encode(), max_output=65_536)
    head, _, raw = done.out.partition(b"\n")
    if done.code or head.split()[:2] != [sha.encode(), b"commit"]:
        raise BerthError(f"{sha[:7]} is not a commit.")
    headers, _, message = raw.decode(errors="replace").partition("\n\n")
    lines = headers.splitlines()
    author = next((line[7:] for line in lines if line.startswith("author ")), "")
    subject = message.strip().partition("\n")[0]
    return lines[0].removeprefix("tree "), printable(subject), printable(author.partition("<")[0].strip())


class _Census:
    """Counts the entries of ``git ls-tree -r -t -l -z`` as they stream in, and raises as soon as there are too many."""

    def __init__(self, max_bytes: int, max_files: int) -> None:
        self.files = 0
        self.bytes = 0
        self.folders: dict[str, str] = {}
        self.submodules: list[str] = []
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        *entries, self._rest = (self._rest + piece).split(b"\0")
        for entry in entries:
            self._count(entry)
        if len(self._rest) > 2 * LONGEST_PATH:
            raise BerthError("The repository has a path that is too long for this system.")

    def _count(self, entry: bytes) -> None:
        facts, _, path = entry.partition(b"\t")
        _, kind, identifier, size = facts.split()
        if kind == b"blob":
            self.files += 1
            self.bytes += int(size)
            if self.bytes > self._max_bytes:
                raise BerthError(*_too_large(f"more than {_megabytes(self._max_bytes)} MB of files"))
        elif kind == b"tree":
            self.folders[os.fsdecode(path)] = identifier.decode()
        elif len(self.submodules) < 100:
            self.submodules.append(printable(path.decode(errors="replace")))
        if self.files + len(self.folders) > self._max_files:
            raise BerthError(*_too_large(f"more than {self._max_files} files and folders"))


async def _census(sha: str, env: Mapping[str, str], max_bytes: int, max_files: int) -> _Census:
    census = _Census(max_bytes, max_files)
    done = await run_git("ls-tree", "-r", "-t", "-l", "-z", sha, env=env, on_output=census.feed)
    if done.code:
        raise BerthError(f"The files of {sha[:7]} cannot be listed: {printable(done.err)}.")
    return census


def _require_space(folder: Path, needed: int) -> None:
    """git itself only says that a file cannot be written."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BerthError(
            f"There is no space left for the checkout: its files have {_megabytes(needed)} MB, and "
            f"{_megabytes(free)} MB are free on the disk of the data folder.",
            "Free some disk space.",
        )


async def _check_out(sha: str, into: Path, env: Mapping[str, str]) -> None:
    done = await run_git("read-tree", "-m", "-u", sha, env=env, cwd=into)
    if done.code:
        low = done.err.lower()
        if "no space left" in low or "quota" in low or "unable to write file" in low:
            raise BerthError("There is no space left for the checkout.", "Free some disk space.")
        raise BerthError(
            f"The files of {sha[:7]} cannot be checked out: {printable(done.err.removeprefix('error: '))}.",
            "Rename or remove that path in the repository.",
        )


def _unwritable(error: OSError) -> BerthError:
    reason = f"The checkout could not be written: {error.strerror or error}."
    return BerthError(reason, "Look at the disk that holds the data folder.")


def _too_large(what: str) -> tuple[str, str]:
    return (
        f"The repository is too large: {what}.",
        "Remove large files from the commit, or raise BERTH_REPOSITORY_MAX_BYTES and BERTH_REPOSITORY_MAX_FILES.",
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}" if size >= 1e6 else f"{size / 1e6:.3g}"
