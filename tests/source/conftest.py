"""Repositories made by real git, hostile ones object by object."""

import os
import subprocess
from pathlib import Path

import pytest


class Repository:
    """A bare repository whose objects are written one by one, past everything that git would refuse in a work tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        subprocess.run(("git", "init", "-q", "--bare", "-b", "main", str(path)), check=True)

    def git(self, *arguments: str, data: bytes = b"") -> str:
        keys = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
        env = {"PATH": os.environ["PATH"], "GIT_DIR": str(self.path)} | {f"GIT_{key}": "ada" for key in keys}
        done = subprocess.run(("git", *arguments), env=env, input=data, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def blob(self, data: bytes = b"x") -> str:
        return self.git("hash-object", "-w", "--stdin", data=data)

    def tree(self, *entries: tuple[str, str, bytes]) -> str:
        """``entries``: mode, object id, name; written as they are, in this order."""
        raw = b"".join(
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(identifier) for mode, identifier, name in entries
        )
        return self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", data=raw)

    def commit(self, tree: str, message: str = "Subject\n\nBody", branch: str = "main") -> str:
        sha = self.git("commit-tree", tree, data=message.encode())
        self.git("update-ref", f"refs/heads/{branch}", sha)
        return sha

    def files(self, **files: bytes) -> str:
        """A commit of files; ``__`` in a name stands for a dot."""
        entries = sorted((name.replace("__", "."), data) for name, data in files.items())
        return self.commit(self.tree(*(("100644", self.blob(data), name.encode()) for name, data in entries)))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "origin.git")
