"""An installation: its data folder, its lock, its random id, its key, its operator token."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from bot.config import Config
from bot.errors import BerthError
from bot.store.crypto import Vault, read_secret, write_secret
from bot.store.database import Store
from bot.store.tables import installation

log = structlog.get_logger()

KEY_CHECK = "berth"  # encrypted at the first start, decrypted at every later one


def make_folders(data_dir: Path) -> None:
    """The data folder and those in it, which only their owner may enter, whatever the data folder itself allows."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("logs", "git", "edge", "tmp", "hooks"):
            (data_dir / name).mkdir(exist_ok=True)
            with suppress(PermissionError):  # somebody else's, who let us in
                (data_dir / name).chmod(0o700)
    except OSError as error:
        raise BerthError(
            f"The data folder {data_dir} cannot be used: {error.strerror}.", "Set BERTH_DATA_DIR to a folder of yours."
        ) from error


def make_database(path: Path | None) -> None:
    """The database's file, for its owner only; SQLite gives those beside it the same mode. None: it is no file."""
    if path is not None and path.parent.is_dir():
        with suppress(PermissionError):
            path.touch(mode=0o600)
            path.chmod(0o600)


def lock(data_dir: Path) -> Any:
    """Holds the data folder for this process. Returns what lets go of it; raises BerthError when another one has it."""
    try:
        file = (data_dir / "berth.lock").open("a+")
    except OSError as error:
        raise BerthError(
            f"The data folder {data_dir} cannot be used: {error.strerror}.", "Set BERTH_DATA_DIR to a folder of yours."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise BerthError(
            f"Another berth serve (process {holder}) uses the data folder {data_dir}.",
            "Stop it first, or set BERTH_DATA_DIR to another folder.",
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file.close


async def identify(store: Store, vault: Vault) -> str:
    """The installation's random id, made at the first start. Raises BerthError when the encryption key is not its."""
    async with store.begin() as tx:
        rows = {row["key"]: row["value"] for row in await tx.all(sa.select(installation))}
        if "id" not in rows:
            rows = {"id": secrets.token_hex(4), "key_check": vault.encrypt(KEY_CHECK)}
            for key, value in rows.items():
                await tx.run(installation.insert().values(key=key, value=value))
    try:
        vault.decrypt(rows["key_check"])
    except BerthError as error:
        raise BerthError(
            "The encryption key is not the one that this database was made with.",
            "Put the old key back: BERTH_SECRET_KEYS or secret.key in the data folder; new keys stand before old ones.",
        ) from error
    return str(rows["id"])


def operator_token(data_dir: Path) -> str:
    """The token of the installation's operator, made where there is none. It is shown to a person, never to a log."""
    path = data_dir / "operator-token"
    if not read_secret(path):
        token = f"berth_{secrets.token_urlsafe(24)}"
        write_secret(path, token)
        shown = f": {token}" if sys.stdout.isatty() else ""
        print(f"Operator token (kept in {path}){shown}", flush=True)  # noqa: T201 - for a person
    return read_secret(path)


def announce(config: Config) -> Any:
    """Tells the command line where the server is. Returns what takes that back."""
    path = config.data_dir / "server.json"
    host = f"[{config.host}]" if ":" in config.host else config.host
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    path.write_text(json.dumps({"url": f"http://{host}:{config.port}", "pid": os.getpid(), "started": time.time()}))
    return lambda: path.unlink(missing_ok=True)


def warn_about_hosts(config: Config) -> None:
    if config.shares_host:
        log.warning(
            "pages and applications share a host name, so browsers send Berth's cookies to applications",
            host=config.apps_host,
            fix="set BERTH_PUBLIC_URL or BERTH_APPS_HOST to another name",
        )


def first_port(config: Config, instance: str) -> int:
    """Where this installation begins to look for ports: apart from others on the same host."""
    span = min(config.port_max, 32_767) - config.port_min + 1
    return config.port_min + (int(instance, 16) % (span // 100) * 100 if span > 100 else 0)
