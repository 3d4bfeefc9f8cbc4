"""Signing in with GitHub: the App's user flow, once round, for no more than who somebody is.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
The token that GitHub gives is used for ``GET /user`` once, revoked at once and stored nowhere; what a person may do is
asked of GitHub with the App's own tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import structlog

from bot import __version__
from bot.config import Config
from bot.errors import BerthError, UnavailableError
from bot.forge.github_app import AppCredentials
from bot.source.refs import printable

log = structlog.get_logger()

_TIMEOUT = 15.0  # seconds for each of three requests
_REVOKE_TIMEOUT = 5.0
_MOST_BYTES = 1_000_000  # of an answer
_AGAIN = "Sign in once more."


@dataclass(frozen=True)
class Person:
    """A GitHub account of a human. ``login`` is a label that may change; ``id`` stays."""

    id: int
    login: str


def authorize_url(config: Config, credentials: AppCredentials, *, redirect_uri: str, state: str, verifier: str) -> str:
    """Where a browser asks its person. ``verifier``: 43 to 128 characters (RFC 7636), of which GitHub sees the hash."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "client_id": credentials.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{config.github_url.rstrip('/')}/login/oauth/authorize?{urlencode(query)}"


async def identify(
    config: Config, credentials: AppCredentials, *, code: str, redirect_uri: str, verifier: str
) -> Person:
    """Who came back with ``code``. Raises BerthError that says why not, UnavailableError without GitHub's answer."""
    url = config.github_url.rstrip("/")
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"berth/{__version__}", "Accept": "application/json"},
    ) as session:
        exchange = {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        status, answer = await _ask(session, "POST", f"{url}/login/oauth/access_token", data=exchange)
        token = answer.get("access_token")
        if status != 200 or not isinstance(token, str) or not token:
            raise _refused(status, answer)  # errors come with status 200
        try:
            return await _who(session, config, token)
        finally:
            await _revoke(session, config, credentials, token)


async def _who(session: aiohttp.ClientSession, config: Config, token: str) -> Person:
    headers = {**_api_headers(config), "Authorization": f"Bearer {token}"}
    status, answer = await _ask(session, "GET", f"{config.effective_github_api_url}/user", headers=headers)
    identifier, login = answer.get("id"), answer.get("login")
    if status != 200:
        raise UnavailableError(f"GitHub answered {status} when it was asked who you are.", _AGAIN)
    if type(identifier) is not int or identifier <= 0 or not isinstance(login, str) or not login:
        raise UnavailableError("GitHub's answer does not say who you are.", _AGAIN)
    if answer.get("type", "User") != "User":
        raise BerthError(f"{printable(login, 100)} is no person's account.", "Sign in with your own.")
    return Person(identifier, login)


async def _revoke(session: aiohttp.ClientSession, config: Config, credentials: AppCredentials, token: str) -> None:
    """A token that could not be revoked ends by itself within eight hours; nobody has it."""
    try:
        status, _ = await _ask(
            session,
            "DELETE",
            f"{config.effective_github_api_url}/applications/{quote(credentials.client_id, safe='')}/token",
            headers={
                **_api_headers(config),
                "Authorization": aiohttp.encode_basic_auth(credentials.client_id, credentials.client_secret),
            },
            json={"access_token": token},
            timeout=aiohttp.ClientTimeout(total=_REVOKE_TIMEOUT),
        )
    except UnavailableError as error:
        log.warning("a user's token could not be revoked", reason=error.reason)
    else:
        if status != 204:
            log.warning("a user's token could not be revoked", status=status)


def _api_headers(config: Config) -> dict[str, str]:
    version = {"X-GitHub-Api-Version": config.github_api_version} if config.github_api_version else {}
    return {"Accept": "application/vnd.github+json", **version}


async def _ask(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of the answer, an empty one where it is none. Redirects are not followed."""
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    try:
        async with session.request(method, url, proxy=proxy, allow_redirects=False, **options) as response:
            content = await response.content.read(_MOST_BYTES)
            status = response.status
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        reason = printable(str(error), 200) or "it took too long"
        raise UnavailableError(f"GitHub did not answer: {reason}.", _AGAIN) from error
    try:
        answer = json.loads(content or b"{}")
    except ValueError:
        answer = {}
    return status, answer if isinstance(answer, dict) else {}


def _refused(status: int, answer: dict[str, Any]) -> BerthError:
    error = str(answer.get("error", ""))
    if error == "bad_verification_code":
        return BerthError("GitHub says that this way of signing in was used already, or is too old.", _AGAIN)
    if error == "incorrect_client_credentials":
        return BerthError(
            "GitHub does not accept Berth's client secret.",
            "Whoever runs Berth: make a new one on the App's settings page, and set BERTH_GITHUB_CLIENT_SECRET.",
        )
    if error == "redirect_uri_mismatch":
        return BerthError(
            "The App does not know Berth's address.",
            "Whoever runs Berth: add BERTH_PUBLIC_URL/sign-in/github/callback to the callback URLs of the App.",
        )
    if error:
        words = printable(str(answer.get("error_description") or error), 300).rstrip(".")
        return BerthError(f"GitHub refused: {words}.", _AGAIN)
    return UnavailableError(f"GitHub answered {status}, without a token.", _AGAIN)
