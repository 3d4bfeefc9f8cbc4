"""What the fake GitHub knows: people, repositories with real git, pull requests, and what Berth has posted."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

ZERO = "0" * 40
ROLES = ("none", "read", "triage", "write", "maintain", "admin")
_numbers = itertools.count(7001)


def new_id() -> int:
    """A new id, unlike every other in this process."""
    return next(_numbers)


def stamp(moment: float | None = None) -> str:
    """GitHub's way to write a time: UTC, whole seconds."""
    return datetime.fromtimestamp(time.time() if moment is None else moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class User:
    login: str
    type: str = "User"  # User | Bot | Organization
    id: int = field(default_factory=new_id)


@dataclass
class Installation:
    account: User
    permissions: dict[str, str]
    events: list[str]
    id: int = field(default_factory=new_id)
    repositories: set[int] = field(default_factory=set)
    suspended: bool = False
    created: float = field(default_factory=time.time)


@dataclass
class Token:
    """Of an installation, or of a person (then ``user`` is set)."""

    value: str
    expires_at: float
    installation: Installation | None = None
    repositories: set[int] | None = None  # None: all of the installation's
    permissions: dict[str, str] = field(default_factory=dict)
    user: User | None = None


@dataclass
class Status:
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    id: int = field(default_factory=new_id)
    at: float = field(default_factory=time.time)


@dataclass
class DeploymentStatus:
    state: str
    description: str
    environment: str
    environment_url: str
    log_url: str
    creator: User
    id: int = field(default_factory=new_id)
    at: float = field(default_factory=time.time)


@dataclass
class Deployment:
    ref: str
    sha: str
    environment: str
    creator: User
    transient: bool
    production: bool
    description: str | None
    task: str
    payload: Any
    id: int = field(default_factory=new_id)
    at: float = field(default_factory=time.time)
    statuses: list[DeploymentStatus] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.statuses[-1].state if self.statuses else "pending"


@dataclass
class Reaction:
    content: str
    user: User
    id: int = field(default_factory=new_id)


@dataclass
class Comment:
    number: int
    body: str
    user: User
    id: int = field(default_factory=new_id)
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    edits: int = 0
    reactions: list[Reaction] = field(default_factory=list)


@dataclass
class PullRequest:
    number: int
    head_ref: str
    head_sha: str
    base_ref: str
    user: User
    title: str
    head_repository_id: int
    head_label: str
    id: int = field(default_factory=new_id)
    state: str = "open"
    merged: bool = False
    draft: bool = False
    created: float = field(default_factory=time.time)
    closed: float | None = None


class Repository:
    """State and git of one repository; ``fake.FakeRepository`` adds what people do with it."""

    def __init__(self, folder: Path, owner: User, name: str, *, private: bool, default_branch: str = "main") -> None:
        self.id = new_id()
        self.folder, self.owner, self.name = folder / f"{self.id}.git", owner, name
        self.private, self.default_branch = private, default_branch
        self.fork_of: int | None = None
        self.archived = False
        self.deleted = False
        self.roles: dict[int, str] = {}  # user id -> one of ROLES
        self.statuses: list[Status] = []
        self.deployments: dict[int, Deployment] = {}
        self.environments: dict[str, int] = {}  # name -> id
        self.pulls: dict[int, PullRequest] = {}
        self.comments: dict[int, Comment] = {}
        self._last_issue = 0
        self.folder.mkdir(parents=True)
        self.git("init", "-q", "--bare", "-b", default_branch)
        for key in ("uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"):
            self.git("config", key, "true")

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def next_number(self) -> int:
        self._last_issue += 1
        return self._last_issue

    def git(
        self,
        *arguments: str,
        stdin: str | None = None,
        check: bool = True,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout.strip() if done.returncode == 0 else ""

    def sha(self, ref: str) -> str:
        """The commit that a branch, tag or commit id leads to; "" where there is none."""
        for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref):
            if found := self.git("rev-parse", "-q", "--verify", f"{name}^{{commit}}", check=False):
                return found
        return ""

    def branches(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
        return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}

    def message(self, sha: str) -> str:
        return self.git("log", "-1", "--format=%B", sha)

    def file(self, ref: str, path: str) -> tuple[str, bytes] | None:
        """Blob id and content of a file."""
        sha = self.git("rev-parse", "-q", "--verify", f"{self.sha(ref)}:{path}", check=False)
        if not sha or self.git("cat-file", "-t", sha) != "blob":
            return None
        done = subprocess.run(["git", "-C", str(self.folder), "cat-file", "blob", sha], capture_output=True, check=True)
        return sha, done.stdout

    def commit(self, parent: str, files: Mapping[str, str | None], message: str, author: User) -> str:
        """A commit on ``parent`` ("": the first of a history) with ``files`` changed; None removes one."""
        file = self.folder / f"index-{new_id()}"
        index = {"GIT_INDEX_FILE": str(file)}
        if parent:
            self.git("read-tree", parent, variables=index)
        for path, text in files.items():
            if text is None:
                self.git("update-index", "--force-remove", path, variables=index)
            else:
                blob = self.git("hash-object", "-w", "--stdin", stdin=text)
                self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", variables=index)
        tree = self.git("write-tree", variables=index)
        file.unlink(missing_ok=True)
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", author.login), ("EMAIL", f"{author.login}@example.com"))
        }
        return self.git("commit-tree", tree, *(("-p", parent) if parent else ()), "-m", message, variables=who)
