"""What Berth asks of GitHub: the App's manifest (``app.yml``), and what an existing App lacks of it. Pure functions."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

import bot
from bot.config import Config

WEBHOOK_PATH = "/api/github/webhooks"
SETUP_CALLBACK_PATH = "/setup/callback"
SIGN_IN_CALLBACK_PATH = "/sign-in/github/callback"
_LONGEST_NAME = 34  # characters of an App's name
_RANKS = {"": 0, "none": 0, "read": 1, "write": 2, "admin": 3}


@dataclass(frozen=True)
class Lack:
    """Something that an App lacks. ``error``: nothing works without it; ``warning``: something does not."""

    level: Literal["error", "warning"]
    text: str
    fix: str


def load_manifest() -> dict[str, Any]:
    """``app.yml`` of the checkout, else the one that was packaged with Berth."""
    package = Path(bot.__file__).resolve().parent
    checkout = package.parent / "app.yml"
    path = checkout if checkout.is_file() else package / "_templates/app.yml"
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def webhook_url(config: Config) -> str:
    return config.effective_public_url + WEBHOOK_PATH


def manifest_for(config: Config) -> dict[str, Any]:
    """The manifest of this installation's App: ``app.yml`` with the installation's name and addresses.

    https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest#github-app-manifest-parameters
    """
    base = config.effective_public_url
    return load_manifest() | {
        "name": f"Berth {urlsplit(base).hostname}"[:_LONGEST_NAME].rstrip("-. "),
        "url": base,
        "hook_attributes": {"url": webhook_url(config), "active": True},
        "redirect_url": base + SETUP_CALLBACK_PATH,
        "callback_urls": [base + SIGN_IN_CALLBACK_PATH],
        "setup_url": base + "/",
        "request_oauth_on_install": False,
    }


def lacks_of_app(app: Mapping[str, Any]) -> list[Lack]:
    """What the answer of ``GET /app`` lacks of the manifest."""
    wanted = load_manifest()
    page = f"{app.get('html_url') or 'the App'}: its owner opens the App's settings, Permissions & events"
    found = []
    for name, level in missing_permissions(app.get("permissions")).items():
        severity: Literal["error", "warning"] = "error" if name in {"metadata", "contents"} else "warning"
        text = f"The App may not {'write' if level == 'write' else 'read'} {name.replace('_', ' ')}."
        found.append(Lack(severity, text, f"Set {name.replace('_', ' ')} to {level} there ({page})."))
    events = app.get("events")
    subscribed = set(events) if isinstance(events, list) else set()
    for event in wanted["default_events"]:
        if event not in subscribed:
            severity = "error" if event == "push" else "warning"
            found.append(Lack(severity, f"The App does not get the event {event}.", f"Subscribe to it there ({page})."))
    return found


def missing_permissions(granted: Any) -> dict[str, str]:
    """The permissions of the manifest that ``granted`` (GitHub's object of names and levels) has not, with levels."""
    has = granted if isinstance(granted, Mapping) else {}
    return {
        name: level
        for name, level in load_manifest()["default_permissions"].items()
        if _RANKS.get(str(has.get(name, "")), 0) < _RANKS[level]
    }


def lacks_of_hook(hook: Mapping[str, Any], config: Config) -> list[Lack]:
    """What is wrong with the answer of ``GET /app/hook/config``."""
    found = []
    url = webhook_url(config)
    if str(hook.get("url") or "").rstrip("/") != url:
        shown = f"to {hook['url']}" if hook.get("url") else "nowhere"
        found.append(
            Lack(
                "error",
                f"The App's deliveries go {shown}.",
                f"Set its webhook URL to {url}, or BERTH_PUBLIC_URL to where Berth is reached.",
            )
        )
    if not hook.get("secret"):
        fix = "Set it to Berth's webhook secret."
        found.append(Lack("error", "The App's webhook has no secret, so its deliveries are refused.", fix))
    if str(hook.get("insecure_ssl", "0")) not in {"0", "0.0"}:
        found.append(Lack("warning", "GitHub does not check Berth's certificate.", "Enable SSL verification."))
    return found


def lacks_of_address(config: Config) -> list[Lack]:
    """Whether GitHub can reach ``BERTH_PUBLIC_URL`` at all, as far as its text tells."""
    parts = urlsplit(config.effective_public_url)
    host = parts.hostname or ""
    if not _is_private(host) or urlsplit(config.github_url).hostname != "github.com":
        return []
    return [
        Lack(
            "error",
            f"GitHub cannot send deliveries to {config.effective_public_url}.",
            "Set BERTH_PUBLIC_URL to an address that the internet reaches, through a proxy with HTTPS or a tunnel.",
        )
    ]


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host
