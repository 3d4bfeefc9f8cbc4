"""The built-in forge: bare repositories in the data folder.

A repository is its row; its folder is named by the row's id, so a name is only a label.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

import bot
from bot.config import Config
from bot.errors import BerthError, UnavailableError
from bot.forge.pushes import Pushes
from bot.forge.reports import MAX_DESCRIPTION
from bot.forge.webhook import Apply
from bot.source.process import environment, run_git
from bot.source.refs import printable, validate_ref
from bot.store.crypto import Vault
from bot.store.database import Row, Store
from bot.store.tables import applications, forges, repositories, statuses

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)

# hook -> the Python that it is
_HOOKS = {
    "pre-receive": """\
import os, sys
from bot.source.refs import BerthError, validate_deleted, validate_pushed
changes = [os.fsdecode(line).rstrip("\\n").split(" ", 2) for line in sys.stdin.buffer]
try:
    validate_pushed([ref for _, _, ref in changes])
    if deleted := [ref for _, new, ref in changes if not new.strip("0")]:
        import json  # takes as long as all the rest
        validate_deleted(deleted, json.loads(os.environ.get("BERTH_HOOK_REPOSITORY", "{}")))
except BerthError as error:
    sys.exit(f" !     {error}")
""",
    "post-receive": """\
from bot.forge.hook import main
main()
""",
}


class LocalForge:
    """``open()`` first. What is pushed is :attr:`pushes`' affair.

    ``apply`` turns a decision into work, in the delivery's transaction; ``wake`` is called when that is committed.
    """

    id: int  # of its row in `forges`
    progress_seconds = 0.0  # its statuses cost nothing

    def __init__(
        self,
        config: Config,
        store: Store,
        vault: Vault,
        apply: Apply | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.store = store
        self.vault = vault
        self.pushes = Pushes(self, apply, wake)
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Make the forge's row, its folders and its hooks, and any bare repository that is missing. Repeatable."""
        insert = sqlite.insert if self.store.sqlite else postgresql.insert
        async with self.store.begin() as tx:
            await tx.run(insert(forges).values(kind="local", host="local").on_conflict_do_nothing())
            row = await tx.one(sa.select(forges.c.id).where(forges.c.kind == "local", forges.c.host == "local"))
        assert row is not None
        self.id = row["id"]
        await asyncio.to_thread(self._make_hooks)
        for repository in await self.repositories():
            await self._make_bare(repository)

    async def sweep(self) -> int:
        """Make up the deliveries that got lost; see :meth:`bot.forge.pushes.Pushes.sweep`."""
        return await self.pushes.sweep()

    async def repositories(self) -> list[Row]:
        """All repositories that are not removed, by name."""
        return await self.store.all(self.query().order_by(repositories.c.name))

    async def find(self, name: str) -> Row | None:
        """The repository's row; upper and lower case are the same."""
        return await self.store.one(self.query().where(repositories.c.name == name.lower()))

    async def create_repository(self, name: str, source_path: str = "", default_branch: str = "main") -> Row:
        """The repository named ``name``, made with its application where it does not exist. Raises BerthError."""
        name = validate_name(name)
        validate_ref(default_branch)
        async with self._changing:
            row = await self.find(name) or await self._insert(name, source_path, default_branch)
            await self._make_bare(row)
        return row

    async def remove_repository(self, row: Row) -> None:
        """Forget the repository and delete its commits; its name is free again. What runs must have been removed."""
        async with self._changing:
            change = sa.update(repositories).where(repositories.c.id == row["id"], repositories.c.removed_at.is_(None))
            async with self.store.begin() as tx:
                await tx.run(change.values(removed_at=time.time(), push_token_enc="", webhook_secret_enc=""))
            await asyncio.to_thread(shutil.rmtree, self.clone_path(row), ignore_errors=True)

    def clone_path(self, row: Row) -> Path:
        """The bare repository's folder."""
        return self.config.data_dir / "git" / f"{row['id']}.git"

    def remote_url(self, row: Row, base: str = "") -> str:
        """The address to push to, with its token. ``base`` is how the server is reached, by default its public URL."""
        url = urlsplit(base or self.config.effective_public_url)
        return url._replace(
            netloc=f"berth:{quote(self.push_token(row), safe='')}@{url.netloc}",
            path=f"{url.path.rstrip('/')}/git/{row['name']}.git",
        ).geturl()

    def push_token(self, row: Row) -> str:
        return self.vault.decrypt(row["push_token_enc"])

    async def report(self, repository: Row, kind: str, body: Mapping[str, Any]) -> None:
        """Keep a commit status where `berth` shows it. Deployments and comments have no place here: nothing to do."""
        if kind != "status":
            return
        key = {"repository_id": repository["id"], "sha": body["sha"], "context": body["context"]}
        shown = {
            "state": body["state"],
            "description": body["description"][:MAX_DESCRIPTION],
            "target_url": body.get("target_url") or "",
            "updated_at": time.time(),
        }
        insert = sqlite.insert if self.store.sqlite else postgresql.insert
        query = insert(statuses).values(key | shown)
        async with self.store.begin() as tx:
            await tx.run(query.on_conflict_do_update(index_elements=list(key), set_=shown))

    def query(self) -> sa.Select[Any]:
        """All repositories that are not removed."""
        return sa.select(repositories).where(repositories.c.forge_id == self.id, repositories.c.removed_at.is_(None))

    async def _insert(self, name: str, source_path: str, default_branch: str) -> Row:
        now = time.time()
        values = {
            "forge_id": self.id,
            "forge_repository_id": -secrets.randbits(62),  # until it has an id: the forge's number is that
            "name": name,
            "default_branch": default_branch,
            "source_path": source_path,
            "webhook_secret_enc": self.vault.encrypt(secrets.token_hex(32)),
            "push_token_enc": self.vault.encrypt(secrets.token_urlsafe(24)),
            "created_at": now,
        }
        async with self.store.begin() as tx:
            number = await tx.insert(sa.insert(repositories).values(values).returning(repositories.c.id))
            change = sa.update(repositories).where(repositories.c.id == number).values(forge_repository_id=number)
            rows = await tx.all(change.returning(*repositories.c))
            await tx.run(sa.insert(applications).values(repository_id=number, name=name, created_at=now))
        return rows[0]

    async def _make_bare(self, row: Row) -> None:
        path = self.clone_path(row)
        if await asyncio.to_thread((path / "HEAD").exists):
            return
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        branch = f"--initial-branch={row['default_branch']}"
        done = await run_git("init", "--quiet", "--bare", "--template=", branch, "--", str(path), env=environment())
        if done.code:
            reason = f"The repository {row['name']} cannot be made: {printable(done.err.strip())}."
            raise UnavailableError(reason, "Look at the disk of the data folder, and free space.")

    def _make_hooks(self) -> None:
        folder = self.config.data_dir / "hooks"
        for made in (self.config.data_dir / "git", folder):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, code in _HOOKS.items():
            path = folder / f".{name}.new"
            path.write_text(_script(code))
            path.chmod(0o755)
            path.replace(folder / name)


def validate_name(name: str) -> str:
    """The repository name in lower case. Raises BerthError."""
    lower = name.lower()
    if not _NAME.fullmatch(lower) or lower.endswith((".git", ".lock")):
        raise BerthError(
            f"{printable(name, 80)!r} cannot be the name of a repository.",
            "Use up to 63 letters, digits, dots, dashes and underscores, a letter or digit first, without .git.",
        )
    return lower


def _script(code: str) -> str:
    """A script for this very Python; -I and -S keep the environment and site-packages out and make the start quick."""
    python, root = sys.executable, str(Path(bot.__file__).parents[1])
    head = f"#!{python} -IS\n"
    if " " in python or len(python) > 120:  # impossible after #!; this is what pip does then
        head = f"#!/bin/sh\n'''exec' {shlex.quote(python)} -IS \"$0\" \"$@\"\n' '''\n"
    return f"{head}import sys\nsys.path.append({root!r})\n{code}"
