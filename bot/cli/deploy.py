"""``berth deploy``: a folder or a repository becomes a push to the local forge, and the push a deployment."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from bot.cli import UsageError
from bot.cli.client import JSON, Client
from bot.errors import BerthError

_APPEARS = 5.0  # seconds after the end of a push in which its deployment must be there
_NAME_LIMIT = 50
_PAUSES = (0.5, 1.5)  # seconds before a push is repeated: git refuses one while another changes the same branch


def deploy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH-or-URL", help="A folder, or the https address of a repository", show_default=False
        ),
    ],
    ref: Annotated[
        str,
        typer.Option(
            "--ref",
            metavar="REF",
            help="Branch, tag or commit of a repository, instead of the folder as it lies",
            show_default=False,
        ),
    ] = "",
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="NAME", help="Name for a new application; default: that of the folder", show_default=False
        ),
    ] = "",
) -> None:
    """Deploy a folder or a repository and wait until it answers.

    A folder is deployed as it lies there, uncommitted changes included; what .gitignore names stays out. With --ref, a
    branch that is not the default one becomes a preview; the default branch, a tag, a commit and whatever is deployed
    first become production. Exit code 0 only if the application answered.
    """
    from bot.cli.progress import follow
    from bot.cli.server import connect_or_start

    origin, key = locate(source)
    branch = _run(_preview_branch(origin, ref)) if ref else None
    client = connect_or_start()
    repository = client.post("/api/repositories", {"name": name or valid_name(key), "source_path": key})
    branch = branch or str(repository["default_branch"])
    print(f"Deploying {key}{f' ({ref})' if ref else ''} as {repository['name']}.", flush=True)
    before = _newest(client, repository, branch)
    said: deque[str] = deque(maxlen=200)
    push = _Push(_transfer(origin, ref, _reached_by(client, str(repository["remote_url"])), branch, said.append), said)
    try:
        code = follow(client, _await_deployment(client, repository, branch, before, push))
    except KeyboardInterrupt:
        print("\nInterrupted while pushing. `berth ps` shows whether the push had arrived.", file=sys.stderr)
        code = 130
    finally:
        push.end()
    if code:
        raise typer.Exit(code)


def locate(source: str) -> tuple[str, str]:
    """What to deploy (an absolute path or an https address) and the key of its repository. Raises UsageError."""
    if "://" in source:
        scheme, _, rest = source.partition("://")
        if scheme == "file":
            return locate(rest)
        if scheme != "https" or not rest:
            raise UsageError(f"{source!r} is not an https address.", "Clone it yourself and deploy the folder.")
        host, slash, path = rest.partition("/")
        # a login in the address is for git alone: it is no part of the name, and is shown nowhere
        return source, f"https://{host.rpartition('@')[2].lower()}{slash}{path.removesuffix('/').removesuffix('.git')}"
    if re.match(r"[^/]+@[^/]+:", source) and not Path(source).exists():
        raise UsageError(
            f"{source!r} is an ssh address, which Berth does not use.",
            "Say https://…, or clone it and deploy the folder.",
        )
    path = str(Path(source).expanduser().resolve())
    if not Path(path).is_dir():
        raise UsageError(f"{source!r} is not a folder.", "Give the folder of an application, or an https address.")
    return path, path


def valid_name(key: str) -> str:
    """A name for the repository from the last part of its key; ``app`` where nothing usable is left."""
    last = key.rstrip("/").rpartition("/")[2].lower().removesuffix(".git").removesuffix(".lock")
    return re.sub(r"[^a-z0-9._]+", "-", last).strip("-._")[:_NAME_LIMIT].strip("-._") or "app"


async def _preview_branch(origin: str, ref: str) -> str | None:
    """The branch of that name; None when it is the default one, or ``ref`` is a tag or a commit. Raises UsageError."""
    from bot.source.process import environment, run_git
    from bot.source.refs import validate_ref

    try:
        validate_ref(ref)
    except BerthError as error:
        raise UsageError(error.reason, error.fix) from error
    scheme = "file" if origin.startswith("/") else "https"
    env = environment([(f"protocol.{scheme}.allow", "always")])
    done = await run_git("ls-remote", "--symref", "--", origin, env=env)
    if done.code:
        words = [line for line in done.err.splitlines() if line.startswith("fatal: ")] or [done.err.strip()]
        raise UsageError(f"git cannot read {printable_origin(origin)}: {words[-1].removeprefix('fatal: ')[:300]}.")
    lines = [line.split("\t") for line in done.out.decode(errors="replace").splitlines() if "\t" in line]
    names = {name for _, name in lines}
    if f"refs/heads/{ref}" in names:
        return None if ref == _default_branch(lines, own=scheme == "file" and not _is_bare(Path(origin))) else ref
    if f"refs/tags/{ref}" in names or re.fullmatch(r"[0-9a-f]{40}", ref):
        return None
    branches = sorted(name.removeprefix("refs/heads/") for name in names if name.startswith("refs/heads/"))
    raise UsageError(
        f"There is no branch or tag {ref!r} (a commit is named by its 40 digits).",
        "Branches are: " + ", ".join(branches[:12]) + ("…" if len(branches) > 12 else "") + "." if branches else "",
    )


def _default_branch(lines: list[list[str]], *, own: bool) -> str:
    """The default branch, from the output of ``git ls-remote --symref``.

    In somebody's ``own`` clone HEAD is the branch that they work on: there it is that of the clone's origin which
    counts, or else what is named as default branches are.
    """
    heads = {name: value.removeprefix("ref: ") for value, name in lines if value.startswith("ref: ")}
    if own and (target := heads.get("refs/remotes/origin/HEAD", "")):
        return target.removeprefix("refs/remotes/origin/")
    names = {name for _, name in lines}
    usual = next((name for name in ("main", "master", "trunk") if f"refs/heads/{name}" in names), "") if own else ""
    return usual or heads.get("HEAD", "").removeprefix("refs/heads/")


def printable_origin(origin: str) -> str:
    return locate(origin)[1] if origin.startswith("https://") else origin


def _reached_by(client: Client, remote_url: str) -> str:
    """The remote's address on the server as we reach it: its public one need not lead there from here."""
    ours, theirs = urlsplit(client.url), urlsplit(remote_url)
    login = theirs.netloc.rpartition("@")[0]
    path = ours.path.rstrip("/") + theirs.path[theirs.path.rindex("/git/") :]
    return theirs._replace(scheme=ours.scheme, netloc=f"{login}@{ours.netloc}", path=path).geturl()


async def _transfer(origin: str, ref: str, remote_url: str, branch: str, say: Callable[[str], None]) -> str:
    import asyncio

    for pause in _PAUSES:
        try:
            return await _transfer_once(origin, ref, remote_url, branch, say)
        except BerthError as error:
            if not error.reason.startswith("git push failed"):
                raise
        await asyncio.sleep(pause)
    return await _transfer_once(origin, ref, remote_url, branch, say)


async def _transfer_once(origin: str, ref: str, remote_url: str, branch: str, say: Callable[[str], None]) -> str:
    from bot.source.snapshot import relay, snapshot

    if origin.startswith("/") and not ref and not _is_bare(Path(origin)):
        return await snapshot(Path(origin), remote_url, branch, progress=say)
    return await relay(origin, ref, remote_url, branch, progress=say)


def _is_bare(folder: Path) -> bool:
    """Whether the folder is a repository without a work tree (https://git-scm.com/docs/gitrepository-layout)."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


class _Push:
    """The push, beside us: it ends only when the deployment has, because the server shows its progress to pushers."""

    def __init__(self, transfer: Coroutine[Any, Any, str], said: Iterable[str]) -> None:
        import asyncio

        self.said = said  # by git and, after "remote: ", by the server
        self.sha = ""
        self.error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(transfer)
        self._thread = threading.Thread(target=self._work, daemon=True, name="push")
        self._thread.start()

    def _work(self) -> None:
        try:
            self.sha = self._loop.run_until_complete(self._task)
        except BaseException as error:
            self.error = error
        finally:
            self._loop.close()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        """Leave nothing behind: end git where it still waits for progress that we have shown already."""
        with suppress(RuntimeError):  # the loop is closed: it has ended by itself
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    import asyncio

    return asyncio.run(work)


def _newest(client: Client, repository: JSON, branch: str) -> int:
    environment = _environment(client, repository, branch)
    return int(environment["latest"]["id"]) if environment and environment["latest"] else 0


def _environment(client: Client, repository: JSON, branch: str) -> JSON | None:
    for environment in client.get("/api/environments", {"repository": repository["name"]}):
        if environment["ref"] == branch and environment["kind"] != "fork_pr":
            return dict(environment)
    return None


def _await_deployment(client: Client, repository: JSON, branch: str, before: int, push: _Push) -> JSON:
    """The deployment that the push makes. Raises BerthError when the push fails or makes none."""
    over = 0.0
    while True:
        pushing = push.running  # asked first: what it makes is there when it has ended
        environment = _environment(client, repository, branch)
        latest = environment["latest"] if environment else None
        if environment and latest and latest["id"] > before:
            return dict(latest)
        if not pushing:
            over = over or time.monotonic()
            if push.error is not None:
                raise push.error
            if environment and latest and latest["sha"] == push.sha:  # it was there already: deploy it once more
                return dict(client.post(f"/api/environments/{environment['id']}/deploy"))
            if time.monotonic() - over > _APPEARS:
                mark = f"-----> {branch}: "
                why = next((line.partition(mark)[2].strip() for line in push.said if mark in line), "")
                raise BerthError(
                    f"Commit {push.sha[:7]} arrived, but no deployment came of it{f': {why}' if why else '.'}",
                    f"`berth ps {repository['name']}` shows what was deployed.",
                )
        time.sleep(0.1)
