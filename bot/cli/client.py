"""The command line's side of the HTTP API: :func:`connect` and :class:`Client`."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from bot.cli import UsageError
from bot.errors import BerthError

JSON = dict[str, Any]


class ApiError(BerthError):
    """The server refused. ``status`` is the HTTP status."""

    def __init__(self, status: int, reason: str, fix: str = "") -> None:
        super().__init__(reason, fix)
        self.status = status


class UnreachableError(BerthError):
    """There is no server at the address, or the connection to it broke."""


class Client:
    """Speaks with one server. Not for several threads."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is no address of a Berth server.", "Set BERTH_URL to http://HOST:PORT.")
        self.url = url.rstrip("/")
        self._token = token
        self._parts = parts

    def get(self, path: str, query: Mapping[str, object] | None = None, *, timeout: float = 30.0) -> Any:
        return self.request("GET", path, query=query, timeout=timeout)

    def post(self, path: str, body: object = None) -> Any:
        return self.request("POST", path, body={} if body is None else body)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        timeout: float = 30.0,
    ) -> Any:
        """The JSON answer, None for an empty one. Raises ApiError, UsageError (400, 404, 422) or UnreachableError."""
        connection = self._connection(timeout)
        try:
            answer = self._send(connection, method, path, query, body)
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        return json.loads(content) if content else None

    def stream(self, path: str, query: Mapping[str, object] | None = None) -> Iterator[JSON]:
        """The objects of an NDJSON answer, as they come. Empty lines are the server's signs of life."""
        connection = self._connection(60.0)
        try:
            answer = self._send(connection, "GET", path, query, None)
            while line := answer.readline():
                if line.strip():
                    yield json.loads(line)
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def wait_for_work(self, work_id: int, *, seconds: float = 600.0) -> str:
        """The outcome of a piece of work: empty when it succeeded, else why it did not."""
        waited = 0.0
        while waited < seconds:
            work = self.get(f"/api/work/{work_id}", {"wait": 20}, timeout=40.0)
            if work["state"] == "done":
                return str(work["outcome"])
            waited += 20
        return f"it has not ended after {int(seconds)} s; it goes on"

    def alive(self) -> bool:
        """Whether a server answers at the address within two seconds."""
        connection = self._connection(2.0)
        try:
            connection.request("GET", self._parts.path.rstrip("/") + "/healthz")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        assert self._parts.hostname
        return kind(self._parts.hostname, self._parts.port, timeout=timeout)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object,
    ) -> http.client.HTTPResponse:
        target = self._parts.path.rstrip("/") + quote(path) + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, target, content, headers)
        answer = connection.getresponse()
        if answer.status >= 300:
            _refuse(answer.status, answer.read(65_536))
        return answer

    def _unreachable(self, error: Exception) -> UnreachableError:
        cause = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return UnreachableError(
            f"No answer from the Berth server at {self.url}: {cause}.", "Is it running? `berth serve` starts one."
        )


def _refuse(status: int, content: bytes) -> None:
    try:
        problem = json.loads(content)
        reason, fix = str(problem.get("detail") or problem.get("title")), str(problem.get("fix") or "")
    except (ValueError, AttributeError):
        reason, fix = f"The server answered {status}.", ""
    if status == 401:
        raise UsageError(
            "The server does not accept the token.", "Set BERTH_TOKEN to the content of its file operator-token."
        )
    if status in (400, 404, 422):
        raise UsageError(reason, fix)
    raise ApiError(status, reason, fix)


def data_dir() -> Path:
    from bot.config import load_config

    return load_config().data_dir


def connect() -> Client:
    """The server of ``BERTH_URL``, else the one that runs on the data folder. Raises BerthError when there is none."""
    url, token = os.environ.get("BERTH_URL", ""), os.environ.get("BERTH_TOKEN", "")
    if url:
        if not token:
            raise UsageError(
                "BERTH_URL is set but BERTH_TOKEN is not.", "Set it to the content of the server's file operator-token."
            )
        return Client(url, token)
    client = running(data_dir())
    if client is None:
        raise BerthError(
            f"No Berth server runs on {data_dir()}.", "Start one with `berth serve`, or set BERTH_URL and BERTH_TOKEN."
        )
    return client


def running(folder: Path) -> Client | None:
    """The server that runs on this data folder, None when none answers. Raises BerthError when it is not ours."""
    try:
        address = json.loads((folder / "server.json").read_text())["url"]
        token = os.environ.get("BERTH_TOKEN") or (folder / "operator-token").read_text().strip()
    except PermissionError as error:
        raise BerthError(
            f"{error.filename} may not be read.", "Run this as the user that runs `berth serve`."
        ) from error
    except (OSError, ValueError, KeyError, TypeError):
        return None
    client = Client(str(address), token)
    return client if client.alive() else None
