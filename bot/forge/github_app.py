"""The GitHub App that this installation is: its credentials, and where they are kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot.config import Config
from bot.errors import BerthError
from bot.store.crypto import read_secret, write_secret

FILE = "github-app.json"


@dataclass(frozen=True)
class AppCredentials:
    """What GitHub gave when the App was made. ``slug`` and ``html_url`` are empty where only the environment tells."""

    app_id: str
    slug: str
    client_id: str
    client_secret: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    private_key: str = field(repr=False)  # PEM
    html_url: str


NOBODY = AppCredentials("", "", "", "", "", "", "")  # before there is an App: requests carry no credentials


def app_file(config: Config) -> Path:
    return config.data_dir / FILE


def load_app(config: Config) -> AppCredentials | None:
    """The App from ``BERTH_GITHUB_*``, else from the file that `berth init` makes; None where there is neither.

    A variable wins over the file's value; a file of another App than ``BERTH_GITHUB_APP_ID`` is not read at all. Reads
    files. Raises BerthError for credentials that cannot work.
    """
    kept = _read_file(app_file(config))
    if config.github_app_id and kept.get("app_id") != config.github_app_id:
        kept = {}
    values = kept | {
        name: value
        for name, value in (
            ("app_id", config.github_app_id),
            ("client_id", config.github_client_id),
            ("client_secret", config.github_client_secret),
            ("webhook_secret", config.github_webhook_secret),
            ("private_key", _read_key(config.github_private_key_file)),
        )
        if value
    }
    if not values.get("app_id"):
        return None
    credentials = AppCredentials(**{name.name: values.get(name.name, "") for name in fields(AppCredentials)})
    check_app(credentials)
    return credentials


def save_app(config: Config, credentials: AppCredentials) -> None:
    """Keep the App in the data folder, readable by its owner only. Blocks on the disk. Raises BerthError."""
    check_app(credentials)
    path = app_file(config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(path, json.dumps(asdict(credentials), indent=1))
    except OSError as error:
        raise BerthError(
            f"The App's credentials cannot be kept in {path}: {error.strerror}.", "Look at that folder."
        ) from error


def check_app(credentials: AppCredentials) -> None:
    """Raises BerthError when something is missing without which nothing works."""
    if not credentials.app_id.isascii() or not credentials.app_id.isdigit():
        raise BerthError(
            f"{credentials.app_id[:40]!a} is no App ID: that is a number.",
            "It stands on the App's settings page, section About. Set BERTH_GITHUB_APP_ID to it.",
        )
    if not credentials.private_key:
        raise BerthError(
            f"The private key of App {credentials.app_id} is missing.",
            "Generate one on the App's settings page, and name the file in BERTH_GITHUB_PRIVATE_KEY_FILE.",
        )
    if not _is_rsa_key(credentials.private_key):
        raise BerthError(
            f"The private key of App {credentials.app_id} is not an unencrypted RSA key in PEM form.",
            "Generate one on the App's settings page, and name the file in BERTH_GITHUB_PRIVATE_KEY_FILE.",
        )
    if not credentials.webhook_secret:
        raise BerthError(
            f"The webhook secret of App {credentials.app_id} is missing, so its deliveries cannot be checked.",
            "Set one on the App's settings page, and the same in BERTH_GITHUB_WEBHOOK_SECRET.",
        )


def _is_rsa_key(text: str) -> bool:
    try:
        return isinstance(load_pem_private_key(text.encode(), password=None), RSAPrivateKey)
    except (ValueError, TypeError):
        return False


def _read_file(path: Path) -> dict[str, str]:
    try:
        text = read_secret(path)
        values = json.loads(text) if text else {}
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ValueError("it is no object of texts")
    except (OSError, ValueError) as error:
        raise BerthError(f"{path} cannot be read: {error}.", "Remove it and run `berth init` again.") from error
    return values


def _read_key(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "") or "it is no text"
        raise BerthError(
            f"The App's private key {path} cannot be read: {reason}.", "Correct BERTH_GITHUB_PRIVATE_KEY_FILE."
        ) from error
