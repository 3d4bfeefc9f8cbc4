"""Which branch `berth deploy --ref` means: the default one is production, others are previews."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from bot.cli import UsageError
from bot.cli.deploy import _preview_branch


def git(folder: Path, *words: str) -> None:
    subprocess.run(("git", "-c", "user.name=A", "-c", "user.email=a@b", *words), cwd=folder, check=True)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository whose default branch is `stable`."""
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "stable")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    git(folder, "branch", "topic")
    git(folder, "tag", "v1")
    return folder


def preview(folder: Path, ref: str) -> str | None:
    return asyncio.run(_preview_branch(str(folder), ref))


def test_the_default_branch_of_a_clone_is_that_of_its_origin(origin: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    git(clone, "checkout", "-q", "topic")  # what somebody works on is not production
    assert preview(clone, "stable") is None
    assert preview(clone, "topic") == "topic"
    assert preview(clone, "v1") is None


def test_without_an_origin_it_is_named_as_usual(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    git(tmp_path, "checkout", "-q", "-b", "fix/it")
    assert preview(tmp_path, "fix/it") == "fix/it"
    assert preview(tmp_path, "main") is None


def test_of_other_repositories_it_is_the_branch_of_head(origin: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(origin), str(bare))
    git(bare, "branch", "main")
    assert preview(bare, "stable") is None
    assert preview(bare, "main") == "main"
    with pytest.raises(UsageError, match=r"no branch or tag 'nope'.*main, stable, topic"):
        preview(bare, "nope")
