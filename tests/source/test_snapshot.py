"""Folders made into commits."""

import subprocess
from pathlib import Path

import pytest

from bot.errors import BerthError
from bot.source.snapshot import relay, snapshot
from tests.source.conftest import Repository

pytestmark = pytest.mark.anyio


def _git(folder: Path, *arguments: str) -> str:
    command = ("git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def _listed(repository: Repository, branch: str = "main") -> list[str]:
    return repository.git("ls-tree", "-r", "--name-only", branch).splitlines()


async def test_plain_folder(repository: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "my app"
    (folder / "sub/node_modules").mkdir(parents=True)
    (folder / ".gitignore").write_text("node_modules\n*.log\n")
    for name in ("a.txt", "b.log", "sub/c.txt", "sub/node_modules/d.js"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("/etc/passwd")
    sha = await snapshot(folder, str(repository.path))
    assert repository.git("rev-parse", "main") == sha
    assert _listed(repository) == [".gitignore", "a.txt", "link", "sub/c.txt"]
    assert repository.git("log", "-1", "--format=%s") == "Snapshot of my app"
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "a.txt", "b.log", "link", "sub"]


async def test_repository_is_left_alone(repository: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    _git(folder, "init", "-q")
    (folder / "a").write_text("committed")
    _git(folder, "add", "a")
    _git(folder, "commit", "-qm", "first")
    (folder / "a").write_text("changed")
    (folder / "new").write_text("untracked")
    (folder / "private").write_text("x")
    (folder / ".git/info/exclude").write_text("private\n")
    (folder / ".gitattributes").write_text("* filter=evil\n")
    marker = tmp_path / "pwned"
    _git(folder, "config", "filter.evil.clean", f"touch {marker}")
    before = (_git(folder, "status", "--porcelain"), _git(folder, "show-ref"), (folder / ".git/index").read_bytes())
    marker.unlink(missing_ok=True)
    await snapshot(folder, str(repository.path), "preview/x")
    assert _listed(repository, "preview/x") == [".gitattributes", "a", "new"]
    assert repository.git("show", "preview/x:a") == "changed"
    assert not marker.exists()
    assert (_git(folder, "show-ref"), (folder / ".git/index").read_bytes()) == before[1:]


async def test_folder_inside_a_repository(repository: Repository, tmp_path: Path) -> None:
    top = tmp_path / "mono"
    (top / "apps/web/node_modules").mkdir(parents=True)
    _git(top, "init", "-q")
    (top / ".gitignore").write_text("node_modules\n/apps/web/dist\n")
    for name in ("README", "apps/web/index.html", "apps/web/dist", "apps/web/node_modules/x"):
        (top / name).write_text("x")
    await snapshot(top / "apps/web", str(repository.path))
    assert _listed(repository) == ["index.html"]


async def test_later_snapshot_replaces_the_earlier(repository: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "a").write_text("1")
    said: list[str] = []
    first = await snapshot(folder, str(repository.path), progress=said.append)
    (folder / "a").write_text("2")
    second = await snapshot(folder, str(repository.path), message="Second")
    assert repository.git("show", "main:a") == "2"
    assert repository.git("log", "--format=%H %s") == f"{second} Second"
    assert first != second


async def test_hook_output_reaches_the_callback_and_refusals_are_told(repository: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "a").write_text("1")
    hook = repository.path / "hooks/post-receive"
    hook.write_text("#!/bin/sh\necho '-----> Building'\n")
    hook.chmod(0o755)
    said: list[str] = []
    await snapshot(folder, str(repository.path), progress=said.append)
    assert "remote: -----> Building" in said
    hook = repository.path / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho no; exit 1\n")
    hook.chmod(0o755)
    (folder / "a").write_text("2")
    with pytest.raises(BerthError, match=r"git push failed: .*"):
        await snapshot(folder, str(repository.path))


async def test_bad_folders(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for folder, reason in (("empty", "is empty"), ("file", "is not a folder"), ("none", "is not a folder")):
        with pytest.raises(BerthError, match=reason):
            await snapshot(tmp_path / folder, str(repository.path))
    with pytest.raises(BerthError, match="branch name"):
        await snapshot(tmp_path, str(repository.path), "-x")


async def test_relay(repository: Repository, tmp_path: Path) -> None:
    sha = repository.files(a=b"x")
    repository.git("update-ref", "refs/heads/dev", repository.files(a=b"dev"))
    repository.git("update-ref", "refs/heads/main", sha)
    target = Repository(tmp_path / "target.git")
    assert await relay(str(repository.path), "", str(target.path)) == sha
    dev = await relay(str(repository.path), "dev", str(target.path), "preview")
    assert target.git("rev-parse", "main", "preview").split() == [sha, dev]
    for source, ref in (
        ("ext::sh -c id", ""),
        ("http://x/y", ""),
        (str(repository.path), "-x"),
        (str(tmp_path), "main"),
    ):
        with pytest.raises(BerthError):
            await relay(source, ref, str(target.path))


async def test_relay_of_an_empty_repository(tmp_path: Path) -> None:
    empty, target = Repository(tmp_path / "empty.git"), Repository(tmp_path / "target.git")
    with pytest.raises(BerthError, match="The repository is empty"):
        await relay(str(empty.path), "", str(target.path))
