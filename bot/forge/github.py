"""GitHub's REST API as the App: tokens, pacing, conditional requests, and GitHub's rules of retrying.

One :class:`GitHub` per process. Rules: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
and https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import structlog
from gidgethub import HTTPException, sansio
from gidgethub.apps import get_jwt
from yarl import URL

from bot import __version__
from bot.config import Config
from bot.errors import UnavailableError
from bot.forge.github_app import AppCredentials
from bot.source.refs import printable

log = structlog.get_logger()

ACCEPT = "application/vnd.github+json"
WRITE_INTERVAL = 1.0  # seconds between two writes of one installation
TIMEOUT = 30.0  # seconds for one request
SHORT_WAIT = 5.0  # seconds; GitHub's longer waits are the caller's
TOKEN_RESERVE = 300.0  # seconds before its end from which a token is not used any more
_JWT_SECONDS = 300.0  # that one is used; it is good for 480
_ATTEMPTS = 4
_PATIENCE = 10.0  # seconds after which no further attempt begins
_MOST_BYTES = 30_000_000  # of an answer
_MOST_CACHED = 500  # answers, and tokens
_CACHED_BYTES = 50_000  # of an answer that is kept
_SECONDARY_WAIT = 60.0  # seconds, doubled for each further refusal in a row
_LONGEST_WAIT = 3_600.0
_REDIRECTS = {301, 302, 307, 308}
_PASSING = {500, 502, 503, 504}

Permissions = Mapping[str, str]
# installation (0: none, the App itself), repositories, permissions
_Key = tuple[int, tuple[int, ...], tuple[tuple[str, str], ...]]


class GitHubError(UnavailableError):
    """GitHub refused or failed (``status`` is HTTP's), or did not answer (0).

    ``retry_after``: seconds that it asks to wait. ``message``: its own words.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None, fix: str = "") -> None:
        text = printable(message, 300).rstrip(".")
        super().__init__(f"GitHub answered {status}: {text}." if status else f"GitHub did not answer: {text}.", fix)
        self.status = status
        self.message = message
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later, with nothing changed by anybody."""
        return self.retry_after is not None or self.status == 0 or self.status >= 500


@dataclass
class _Token:
    """The token of one key; the lock lets one request for it fly at a time."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    value: str = field(default="", repr=False)
    until: float = 0.0  # monotonic


@dataclass
class _Pace:
    """What one installation (or the App itself) may do when."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    last_write: float = float("-inf")  # monotonic
    blocked_until: float = 0.0  # monotonic; GitHub asked for silence until then
    refusals: int = 0  # secondary limits in a row


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _Call:
    method: str
    url: str
    key: _Key
    body: Any = None
    accept: str = ACCEPT
    cached: bool = False

    @property
    def as_app(self) -> bool:
        return self.key[0] == 0


class GitHub:
    """``await open()`` first. Safe for any number of tasks."""

    def __init__(
        self,
        config: Config,
        credentials: AppCredentials,
        *,
        write_interval: float | None = None,
        timeout: float | None = None,
    ) -> None:
        self.credentials = credentials
        self.api_url = config.effective_github_api_url
        self.url = config.github_url.rstrip("/")
        self._version = config.github_api_version
        self._write_interval = WRITE_INTERVAL if write_interval is None else write_interval
        self._timeout = timeout or TIMEOUT
        self._session: aiohttp.ClientSession | None = None
        self._tokens: dict[_Key, _Token] = defaultdict(_Token)
        self._paces: dict[int, _Pace] = defaultdict(_Pace)
        self._jwt, self._jwt_until = "", 0.0  # monotonic
        self._answers: OrderedDict[tuple[_Key, str, str], tuple[str, _Answer]] = OrderedDict()

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=50),  # GitHub allows 100 at the same time
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self.api_url),
        )

    async def close(self) -> None:
        """Idempotent. Tokens are forgotten; they end by themselves within the hour."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._tokens.clear()
        self._answers.clear()

    async def request(
        self,
        method: str,
        path: str,
        *,
        installation_id: int | None,
        repository_ids: tuple[int, ...] = (),
        permissions: Permissions | None = None,
        body: Any = None,
        accept: str = ACCEPT,
        params: Mapping[str, str | int] | None = None,
        etag_cache: bool = True,
    ) -> Any:
        """The decoded JSON of the answer, None where it has no body.

        ``path`` begins with ``/`` and is quoted already. ``installation_id`` None: as the App itself. The token is
        limited to ``repository_ids`` and ``permissions`` (empty: all that the installation has). With ``etag_cache`` a
        GET is conditional, which GitHub does not count; the answer is as new as without. A GET is repeated after a
        failure that may pass, a write only where GitHub says that it did not take effect. Raises GitHubError.
        """
        key = _key(installation_id, repository_ids, permissions)
        call = _Call(method, self._url(path, params), key, body, accept, etag_cache and method == "GET")
        return _decode(await self._perform(call), accept)[0]

    async def collect(
        self,
        path: str,
        *,
        installation_id: int | None,
        items: str = "",
        repository_ids: tuple[int, ...] = (),
        permissions: Permissions | None = None,
        params: Mapping[str, str | int] | None = None,
        most: int = 5_000,
    ) -> list[Any]:
        """All objects of a list, page by page; ``items`` names the list where the answer is an object.

        At least ``most`` where there are so many. Raises GitHubError.
        """
        key = _key(installation_id, repository_ids, permissions)
        url: str | None = self._url(path, {"per_page": 100} | dict(params or {}))
        found: list[Any] = []
        while url and len(found) < most:
            page, url = _decode(await self._perform(_Call("GET", self._own(url), key, cached=True)))
            found.extend((page or {}).get(items, []) if items else (page or []))
        return found

    async def token(self, installation_id: int, repository_ids: tuple[int, ...], permissions: Permissions) -> str:
        """An installation token with just that, which lives for five more minutes at least. Raises GitHubError."""
        return await self._token(_key(installation_id, repository_ids, permissions))

    @asynccontextmanager
    async def one_time_token(
        self, installation_id: int, repository_ids: tuple[int, ...], permissions: Permissions
    ) -> AsyncIterator[str]:
        """A token that nobody else uses, and that is revoked at the end of the block. Raises GitHubError."""
        value, _ = await self._mint(_key(installation_id, repository_ids, permissions))
        try:
            yield value
        finally:
            await asyncio.shield(self.revoke(value))

    async def revoke(self, token: str) -> None:
        """End a token now. Never raises: it would end by itself within the hour."""
        for entry in self._tokens.values():
            if entry.value == token:
                entry.value = ""
        try:
            headers = {"authorization": f"token {token}"}
            answer = await self._send("DELETE", self._url("/installation/token"), headers)
            if answer.status not in (204, 401):
                log.warning("a token could not be revoked", status=answer.status)
        except GitHubError as error:
            log.warning("a token could not be revoked", reason=error.message)

    def _url(self, path: str, params: Mapping[str, str | int] | None = None) -> str:
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError("the path begins with one slash")
        return self.api_url + path + (f"?{urlencode(params)}" if params else "")

    async def _perform(self, call: _Call) -> _Answer:
        """The good answer to a call, after as many attempts as the rules allow."""
        pace = self._paces[call.key[0]]
        async with AsyncExitStack() as stack:
            if call.method != "GET":
                await stack.enter_async_context(pace.lock)
                await asyncio.sleep(pace.last_write + self._write_interval - time.monotonic())
            try:
                return await self._attempts(call, pace)
            finally:
                if call.method != "GET":
                    pace.last_write = time.monotonic()

    async def _attempts(self, call: _Call, pace: _Pace) -> _Answer:
        renewed = False
        patience = time.monotonic() + _PATIENCE
        for attempt in range(1, _ATTEMPTS + 1):
            error = _blocked(pace)
            if error is None:
                try:
                    answer = await self._authorised(call)
                    error = self._error(call, answer, pace)
                except GitHubError as failure:
                    error = failure
                else:
                    if error is None:
                        pace.refusals = 0
                        return answer
            wait = _pause(call, error, attempt)
            if error.status == 401 and not call.as_app and not renewed:
                renewed, wait = True, 0.0  # revoked or ended early; one that is minted now is good
                self._tokens[call.key].value = ""
            if wait is None or attempt == _ATTEMPTS or time.monotonic() > patience:
                raise error
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _authorised(self, call: _Call) -> _Answer:
        """One attempt with the right credentials, and with what is known of the answer already."""
        headers = await self._authorisation(call)
        known = self._answers.get((call.key, call.accept, call.url)) if call.cached else None
        if known is not None:
            headers["if-none-match"] = known[0]
        answer = await self._send(call.method, call.url, headers, call.body)
        if answer.status == 304 and known is not None:
            self._answers.move_to_end((call.key, call.accept, call.url))
            return known[1]
        etag = answer.headers.get("etag")
        if call.cached and answer.status == 200 and etag and len(answer.body) <= _CACHED_BYTES:
            self._answers[call.key, call.accept, call.url] = etag, answer
            while len(self._answers) > _MOST_CACHED:
                self._answers.popitem(last=False)
        return answer

    async def _authorisation(self, call: _Call) -> dict[str, str]:
        if not self.credentials.app_id:
            return {"accept": call.accept}
        if call.as_app:
            if time.monotonic() >= self._jwt_until:
                self._jwt = await asyncio.to_thread(self._sign)
                self._jwt_until = time.monotonic() + _JWT_SECONDS
            return {"authorization": f"bearer {self._jwt}", "accept": call.accept}
        return {"authorization": f"token {await self._token(call.key)}", "accept": call.accept}

    def _sign(self) -> str:
        """https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app"""
        issuer = self.credentials.client_id or self.credentials.app_id
        return get_jwt(app_id=issuer, private_key=self.credentials.private_key, expiration=540)

    async def _token(self, key: _Key) -> str:
        if len(self._tokens) > _MOST_CACHED:
            now = time.monotonic()
            for old in [old for old, entry in self._tokens.items() if entry.until < now and not entry.lock.locked()]:
                del self._tokens[old]
        entry = self._tokens[key]
        async with entry.lock:
            if not entry.value or time.monotonic() >= entry.until - TOKEN_RESERVE:
                entry.value, entry.until = await self._mint(key)
            return entry.value

    async def _mint(self, key: _Key) -> tuple[str, float]:
        """A new token and its end on the monotonic clock.

        What the installation was not granted is answered with 422, which becomes what the call itself would have been
        answered: 403, or 404 for repositories that it does not have.
        """
        installation_id, repository_ids, permissions = key
        body: dict[str, Any] = {}
        if repository_ids:
            body["repository_ids"] = list(repository_ids)
        if permissions:
            body["permissions"] = dict(permissions)
        url = self._url(f"/app/installations/{installation_id}/access_tokens")
        try:
            answer = await self._attempts(_Call("POST", url, _key(None, (), None), body), self._paces[0])
        except GitHubError as error:
            if error.status != 422:
                raise
            missing = 404 if "repositor" in error.message.lower() else 403
            fix = "Accept the App's new permissions on the page of its installation." if missing == 403 else ""
            raise GitHubError(missing, error.message, fix=fix) from error
        made, _ = _decode(answer)
        try:
            end = datetime.fromisoformat(made["expires_at"]).timestamp()
            return str(made["token"]), time.monotonic() + end - _date(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise GitHubError(answer.status, "the answer holds no token") from error

    async def _send(self, method: str, url: str, headers: dict[str, str], body: Any = None) -> _Answer:
        """One exchange, after redirects within the API (renamed repositories). Raises GitHubError without an answer."""
        if self._session is None:
            raise GitHubError(0, "the client is closed")
        headers = {"user-agent": f"berth/{__version__}", "accept": ACCEPT} | headers
        if self._version:
            headers["x-github-api-version"] = self._version
        try:
            for _ in range(5):
                async with self._session.request(
                    method, URL(url, encoded=True), headers=headers, json=body, allow_redirects=False
                ) as response:
                    content = await _read(response)
                    answer = _Answer(response.status, response.headers, content)
                target = answer.headers.get("location")
                if answer.status not in _REDIRECTS or not target:
                    return answer
                url = self._own(urljoin(url, target), answer.status)
        except TimeoutError as error:
            raise GitHubError(0, f"no answer within {self._timeout:g} seconds") from error
        except (aiohttp.ClientError, OSError) as error:
            fix = "Look at the network, and at BERTH_GITHUB_API_URL."
            raise GitHubError(0, f"{type(error).__name__} {error}", fix=fix) from error
        raise GitHubError(answer.status, "too many redirects")

    def _own(self, url: str, status: int = 200) -> str:
        """``url`` if it is of this API: nobody else may get our tokens. Raises GitHubError."""
        wanted, given = urlsplit(self.api_url), urlsplit(url)
        if (given.scheme, given.netloc) != (wanted.scheme, wanted.netloc):
            raise GitHubError(status, f"it leads to another host, {given.netloc}")
        return url

    def _error(self, call: _Call, answer: _Answer, pace: _Pace) -> GitHubError | None:
        """What is wrong with the answer; None for a good one. Notes when GitHub asks for silence."""
        status = answer.status
        if status < 300:
            return None
        message = _message(answer)
        wait = _limit(answer, message, pace)
        if wait is not None:
            pace.blocked_until = time.monotonic() + wait
            log.warning("GitHub asks us to wait", seconds=round(wait), status=status, installation=call.key[0])
        elif status == 401 and call.as_app:
            self._jwt_until = 0.0
            skew = _date(answer) - time.time()
            fix = "Look whether App ID and private key belong together."
            if abs(skew) > 30:
                fix = f"This machine's clock differs from GitHub's by {abs(skew):.0f} seconds: correct it."
            return GitHubError(status, message, fix=fix)
        if status in _PASSING and wait is None:
            wait = _seconds(answer.headers.get("retry-after"))
        return GitHubError(status, message, wait)


def _proxy(url: str) -> str | None:
    """The proxy for ``url`` as the usual variables say; aiohttp's own reading of them brings ~/.netrc with it."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > _MOST_BYTES:
            raise GitHubError(0, f"its answer has more than {_MOST_BYTES} bytes")
    return bytes(content)


def _decode(answer: _Answer, accept: str = ACCEPT) -> tuple[Any, str | None]:
    """The content of a good answer, and the address of the next page."""
    try:
        content, _, following = sansio.decipher_response(answer.status, answer.headers, answer.body)
    except (ValueError, LookupError, HTTPException) as error:
        raise GitHubError(answer.status, "the answer is no JSON") from error
    if accept == ACCEPT and isinstance(content, str):
        raise GitHubError(answer.status, "the answer is no JSON", fix="Look at BERTH_GITHUB_API_URL.")
    return content, following


def _message(answer: _Answer) -> str:
    """GitHub's words for what is wrong, with the fields that a 422 names."""
    try:
        known = HTTPStatus(answer.status)
    except ValueError:  # 520 and its like, of proxies
        known = HTTPStatus.BAD_GATEWAY
    try:
        sansio.decipher_response(known, answer.headers, answer.body)
    except HTTPException as error:
        text = str(error)
        return text if text and text != known.phrase else known.phrase
    except Exception:  # an answer that is no JSON, or JSON of another shape
        return known.phrase
    return known.phrase


def _limit(answer: _Answer, message: str, pace: _Pace) -> float | None:
    """Seconds that a limit of GitHub's asks to wait; None where the answer is no limit."""
    if answer.status not in (403, 429):
        return None
    asked = _seconds(answer.headers.get("retry-after"))
    if asked is not None:
        return asked
    reset = _seconds(answer.headers.get("x-ratelimit-reset"))
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return min(max(reset - _date(answer), 0.0) + 1.0, _LONGEST_WAIT)
    if answer.status == 429 or "rate limit" in message.lower() or "abuse" in message.lower():
        pace.refusals += 1
        return min(_SECONDARY_WAIT * 2.0 ** (pace.refusals - 1), _LONGEST_WAIT)
    return None


def _key(installation_id: int | None, repository_ids: tuple[int, ...], permissions: Permissions | None) -> _Key:
    return (installation_id or 0, tuple(sorted(repository_ids)), tuple(sorted((permissions or {}).items())))


def _blocked(pace: _Pace) -> GitHubError | None:
    """While GitHub asks for silence nothing is sent: whoever goes on is banned for longer."""
    rest = pace.blocked_until - time.monotonic()
    return GitHubError(429, "a rate limit is exhausted, nothing was sent", rest) if rest > 0 else None


def _pause(call: _Call, error: GitHubError, attempt: int) -> float | None:
    """Seconds until the next attempt; None where the caller must decide.

    A write that got no answer, or a 5xx, may have taken effect: only its caller knows whether it may be repeated.
    """
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= SHORT_WAIT else None
    harmless = call.method == "GET" or call.url.endswith("/access_tokens")
    if harmless and (error.status == 0 or error.status in _PASSING):
        return 0.5 * attempt
    return None


def _seconds(text: str | None) -> float | None:
    """The number in a header; None where there is none, or none that can be."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e11 else None


def _date(answer: _Answer) -> float:
    """The server's time, so that a wrong clock here does no harm; ours where it does not tell."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return time.time()
