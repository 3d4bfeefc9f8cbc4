"""Making this installation a GitHub App: GitHub's manifest flow, or an App that exists already; and what it lacks."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from bot.config import Config
from bot.errors import BerthError, ConflictError
from bot.forge.github import GitHub, GitHubError
from bot.forge.github_app import NOBODY, AppCredentials, check_app, save_app
from bot.forge.manifest import (
    Lack,
    lacks_of_address,
    lacks_of_app,
    lacks_of_hook,
    manifest_for,
    missing_permissions,
    webhook_url,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger()

LIFETIME = 3_600.0  # seconds that GitHub gives for all steps of the manifest flow
_MOST = 100  # flows under way
_ORGANIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)

Connect = Callable[[AppCredentials], Awaitable[None]]


@dataclass(frozen=True)
class Registration:
    """A form that a browser posts to GitHub: the field ``manifest`` to ``action``."""

    action: str
    manifest: str  # JSON


class Setup:
    """The flows that are under way, in memory. ``connect`` makes a running server work as the App."""

    def __init__(self, config: Config, connect: Connect, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._connect = connect
        self._clock = clock
        self._tokens: dict[str, float] = {}  # one-time tokens of the page -> when they end
        self._states: dict[str, float] = {}
        self._adopting = asyncio.Lock()

    def begin(self) -> str:
        """The address of our page for one setup, good for an hour. Whoever has it decides which App Berth is."""
        return f"{self._config.effective_public_url}/setup?token={self._issue(self._tokens)}"

    def admits(self, token: str) -> bool:
        """Whether ``token`` opens the page."""
        return self._tokens.get(token, 0.0) > self._clock()

    def register(self, organization: str = "") -> Registration:
        """What makes the App on GitHub, for a person's own account or for an organisation. Raises BerthError."""
        self._require_free()
        if organization and not _ORGANIZATION.fullmatch(organization):
            raise BerthError("That is no name of an organisation.", "It is what follows github.com/ in its address.")
        where = f"/organizations/{organization}" if organization else ""
        state = self._issue(self._states)
        action = f"{self._config.github_url.rstrip('/')}{where}/settings/apps/new?state={state}"
        return Registration(action, json.dumps(manifest_for(self._config)))

    async def complete(self, code: str, state: str) -> AppCredentials:
        """What GitHub's redirect brings becomes the App that Berth works as. Raises BerthError.

        A state is good once, whatever becomes of it: https://datatracker.ietf.org/doc/html/rfc6749#section-10.12.
        """
        if self._states.pop(state, 0.0) <= self._clock():
            raise BerthError(
                "This answer of GitHub's belongs to no setup that Berth began, or came after more than an hour.",
                "Begin again with `berth init`.",
            )
        self._require_free()
        if not _CODE.fullmatch(code):
            raise BerthError("GitHub sent no code.", "Begin again with `berth init`.")
        async with _client(self._config, NOBODY) as github:
            made = await github.request(
                "POST", f"/app-manifests/{quote(code, safe='')}/conversions", installation_id=None
            )
        credentials = _converted(made)
        secret = credentials.webhook_secret or secrets.token_hex(32)
        adopted = replace(credentials, webhook_secret=secret)
        await self._adopt(adopted)
        if not credentials.webhook_secret:
            await self._set_hook(adopted)
        return adopted

    async def import_app(self, credentials: AppCredentials) -> AppCredentials:
        """Take an App that exists already, once GitHub has confirmed the key. Raises BerthError."""
        self._require_free()
        await asyncio.to_thread(check_app, credentials)
        # the key proves the App by its number; a client id could be another App's
        async with _client(self._config, replace(credentials, client_id="")) as github:
            app = await github.request("GET", "/app", installation_id=None)
        if not isinstance(app, dict) or str(app.get("id")) != credentials.app_id:
            raise BerthError(f"GitHub does not know App {credentials.app_id} by this key.", "Look at both again.")
        client_id = str(app.get("client_id") or "")
        if credentials.client_id and client_id and credentials.client_id != client_id:
            raise BerthError("The client ID is that of another App.", f"App {credentials.app_id} has {client_id}.")
        credentials = replace(
            credentials,
            slug=str(app.get("slug") or ""),
            html_url=str(app.get("html_url") or ""),
            client_id=client_id or credentials.client_id,
        )
        await self._adopt(credentials)
        return credentials

    async def _adopt(self, credentials: AppCredentials) -> None:
        async with self._adopting:
            await asyncio.to_thread(save_app, self._config, credentials)
            self._tokens.clear()
            self._states.clear()
            await self._connect(credentials)
        log.info("the GitHub App is set up", app=credentials.app_id, slug=credentials.slug)

    async def _set_hook(self, credentials: AppCredentials) -> None:
        """https://docs.github.com/rest/apps/webhooks#update-a-webhook-configuration-for-an-app"""
        body = {
            "url": webhook_url(self._config),
            "content_type": "json",
            "secret": credentials.webhook_secret,
            "insecure_ssl": "0",
        }
        async with _client(self._config, credentials) as github:
            await github.request("PATCH", "/app/hook/config", installation_id=None, body=body)

    def _require_free(self) -> None:
        if self._config.github_app_id:
            raise ConflictError(
                f"BERTH_GITHUB_APP_ID says already that Berth is App {self._config.github_app_id}.",
                "Unset the variable first, and start Berth again.",
            )

    def _issue(self, into: dict[str, float]) -> str:
        now = self._clock()
        for old in [key for key, end in into.items() if end <= now]:
            del into[old]
        while len(into) >= _MOST:
            del into[next(iter(into))]
        key = secrets.token_urlsafe(32)
        into[key] = now + LIFETIME
        return key


async def examine(github: GitHub, config: Config) -> list[Lack]:
    """Everything that the App lacks, asked of GitHub now. Raises GitHubError."""
    app = await github.request("GET", "/app", installation_id=None)
    hook = await github.request("GET", "/app/hook/config", installation_id=None)
    installations = await github.collect("/app/installations", installation_id=None)
    found = [*lacks_of_address(config), *lacks_of_app(app), *lacks_of_hook(hook, config)]
    if not installations:
        fix = f"Open {app.get('html_url')}/installations/new and choose repositories."
        found.append(Lack("warning", "The App is installed nowhere.", fix))
    for one in installations:
        found.extend(_lacks_of_installation(one))
    if not github.credentials.client_secret:
        fix = "Generate a client secret on the App's settings page, and set BERTH_GITHUB_CLIENT_SECRET."
        found.append(Lack("warning", "Nobody can sign in with GitHub: the client secret is missing.", fix))
    return found


def _lacks_of_installation(one: dict[str, Any]) -> list[Lack]:
    account = one.get("account") or {}
    owner = account.get("login") or account.get("slug") or one.get("id")
    if one.get("suspended_at"):
        fix = "Its owner unsuspends it there, or removes it."
        return [Lack("warning", f"The installation of {owner} is suspended ({one.get('html_url')}).", fix)]
    missing = missing_permissions(one.get("permissions"))
    if not missing:
        return []
    names = ", ".join(f"{name.replace('_', ' ')} ({level})" for name, level in missing.items())
    fix = "Its owner accepts the App's new permissions there."
    return [Lack("warning", f"{owner} has not granted: {names} ({one.get('html_url')}).", fix)]


def install_url(credentials: AppCredentials) -> str:
    """Where a person chooses the repositories that Berth may see; empty where the App's address is not known."""
    return f"{credentials.html_url}/installations/new" if credentials.html_url else ""


def _converted(made: Any) -> AppCredentials:
    """https://docs.github.com/rest/apps/apps#create-a-github-app-from-a-manifest"""
    try:
        return AppCredentials(
            app_id=str(made["id"]),
            slug=str(made.get("slug") or ""),
            client_id=str(made["client_id"]),
            client_secret=str(made["client_secret"]),
            webhook_secret=str(made.get("webhook_secret") or ""),
            private_key=str(made["pem"]),
            html_url=str(made["html_url"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise GitHubError(201, "the new App's credentials are not in the answer") from error


@asynccontextmanager
async def _client(config: Config, credentials: AppCredentials) -> AsyncIterator[GitHub]:
    github = GitHub(config, credentials)
    await github.open()
    try:
        yield github
    finally:
        await github.close()
