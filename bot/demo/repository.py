"""The developer's side: a work folder, commits, and a real ``git push``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bot.demo.sample import Commit
from bot.errors import BerthError

REMOTE = "berth"
BRANCH = "main"
_PERSON = ("-c", "user.name=Demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")


class Repository:
    """A git repository in ``folder`` with the remote ``berth``; goes on from what earlier demos have pushed there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_DIR")} | {
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C.UTF-8",
        }
        self._git("init", "--quiet", f"--initial-branch={BRANCH}")
        self._git("remote", "add", REMOTE, url)
        self._git("fetch", "--quiet", REMOTE)
        if self._git("for-each-ref", f"refs/remotes/{REMOTE}/{BRANCH}"):
            self._git("reset", "--quiet", "--hard", f"{REMOTE}/{BRANCH}")

    def commit(self, commit: Commit) -> str:
        """Write the files and commit them. Returns the short name of the commit."""
        for name, text in commit.files.items():
            (self.folder / name).write_text(text)
        self._git("add", "--all")
        self._git(*_PERSON, "commit", "--quiet", "--allow-empty", f"--message={commit.message}")
        return self._git("rev-parse", "--short=7", "HEAD")

    def push(self) -> Iterator[str]:
        """Push, and give what the remote says line by line as it says it. Raises BerthError where git fails."""
        with subprocess.Popen(
            ["git", "push", REMOTE, f"HEAD:{BRANCH}"],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            assert process.stderr is not None
            words = ""
            for line in process.stderr:
                if line.startswith("remote: "):
                    yield line.removeprefix("remote: ").rstrip()
                else:
                    words = line.strip() or words
        if process.returncode:
            raise BerthError(f"git push failed: {words}")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise BerthError(f"git {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout.strip()
