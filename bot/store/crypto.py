"""Secrets at rest: MultiFernet, with the id of the key stored beside each ciphertext."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from bot.errors import BerthError


class Vault:
    """Encrypts and decrypts stored values. The first key encrypts; all keys decrypt."""

    def __init__(self, keys: list[str]) -> None:
        """``keys``: urlsafe base64 Fernet keys, newest first. Raises BerthError for one that is malformed."""
        try:
            self._fernets = {key_id(key): Fernet(key.encode()) for key in keys}
        except ValueError as error:
            raise BerthError(
                "An encryption key is not a Fernet key (32 bytes in urlsafe base64).",
                "Correct BERTH_SECRET_KEYS or the key file.",
            ) from error
        if not keys:
            raise BerthError("There is no encryption key.", "Set BERTH_SECRET_KEYS.")
        self._newest = key_id(keys[0])

    def encrypt(self, text: str) -> str:
        return f"{self._newest}:{self._fernets[self._newest].encrypt(text.encode()).decode()}"

    def decrypt(self, stored: str) -> str:
        """Raises BerthError when the key that made ``stored`` is not among ours."""
        identifier, _, token = stored.partition(":")
        fernet = self._fernets.get(identifier)
        if fernet is None:
            raise BerthError(
                f"A stored secret was encrypted with key {identifier}, which this installation does not have.",
                "Put that key back into BERTH_SECRET_KEYS or the key file; newer keys stand before it.",
            )
        try:
            return fernet.decrypt(token.encode()).decode()
        except InvalidToken as error:
            raise BerthError("A stored secret is damaged.", "Restore the database or set the value again.") from error


def key_id(key: str) -> str:
    """The first 8 hex digits of the key's SHA-256: names a key without telling it."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def load_keys(configured: str, key_file: Path) -> list[str]:
    """The keys from ``BERTH_SECRET_KEYS``, else from the file, which is made with one new key where it holds none."""
    if configured:
        return [key.strip() for key in configured.split(",") if key.strip()]
    if not read_secret(key_file):
        write_secret(key_file, Fernet.generate_key().decode())
    return [line.strip() for line in read_secret(key_file).splitlines() if line.strip()]


def read_secret(path: Path) -> str:
    """What the file holds, without white space round it; empty where there is no such file."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def write_secret(path: Path, text: str) -> None:
    """Makes the file, for its owner only, in one step: after a kill or on a full disk it is there whole or not."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
