"""The fake's REST API: who may ask, whether the request is right, and the answer in GitHub's form."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jwt
from starlette.responses import Response

from tests.github import app_routes, report_routes, repository_routes
from tests.github.calls import LEVELS, ROUTES, Call, Moved, Page, Raw, Recorded, Refusal, Route
from tests.github.state import Repository, Token
from tests.github.validation import Operation, description

if TYPE_CHECKING:
    from tests.github.fake import FakeGitHub

TABLES = (app_routes, repository_routes, report_routes)  # they fill ROUTES when they are imported
VERSIONS = {"2022-11-28", "2026-03-10"}
# a pull request whose fork is gone has no head repository, whatever the description says
_INACCURATE = re.compile(r"(^|/)head/(repo|user): None")


class Api:
    """Answers one request after the other; the state is the fake's."""

    def __init__(self, github: FakeGitHub) -> None:
        self.github = github

    def handle(self, asked: Recorded) -> Response:
        """The answer to a request, which is recorded."""
        method, path = asked.method, asked.path
        try:
            operation, status, answer = self._perform(asked)
        except Refusal as refusal:
            status, operation = refusal.status, None
            answer = {"message": refusal.message, "documentation_url": "https://docs.github.com/rest"}
            if refusal.errors:
                answer["errors"] = refusal.errors
            if refusal.violation:
                self.github.violations.append(f"{method} {path}: {refusal.message}")
        except Moved as moved:
            code = 301 if method == "GET" else 307  # which keeps method and body
            self.github.requests.append(replace(asked, status=code))
            return Response(b'{"message":"Moved Permanently"}', code, {"location": moved.location})
        self.github.requests.append(replace(asked, status=status))
        if operation is not None:
            following = answer.following if isinstance(answer, Page) else ""
            answer = operation.complete(status, answer)
            answer = Page(answer, following) if following else answer
            problems = operation.answer_problems(status, answer)
            self.github.mistakes.extend(
                f"{method} {operation.template} {status}: {one}" for one in problems if not _INACCURATE.search(one)
            )
        return self._response(asked, status, answer)

    def _response(self, asked: Recorded, status: int, answer: Any) -> Response:
        more = {
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": "4999",
            "x-ratelimit-reset": str(int(time.time()) + 3600),
            "x-github-request-id": secrets.token_hex(8).upper(),
        }
        if answer is None:
            return Response(None, status, more)
        if isinstance(answer, Raw):
            return Response(answer.content, status, more | {"content-type": "application/vnd.github.raw"})
        if isinstance(answer, Page) and answer.following:
            more["link"] = f'<{answer.following}>; rel="next"'
        content = json.dumps(answer).encode()
        if asked.method == "GET" and status == 200:
            more["etag"] = f'W/"{hashlib.sha256(content).hexdigest()}"'
            if asked.headers.get("if-none-match") == more["etag"]:
                return Response(None, 304, more)
        return Response(content, status, more, media_type="application/json; charset=utf-8")

    def _perform(self, asked: Recorded) -> tuple[Operation, int, Any]:
        path, found = self._locate(asked.path)
        operation = description().operation(asked.method, path)
        if operation is None:
            raise Refusal(404, "Not Found", violation=True)
        route = ROUTES.get((operation.method, operation.template))
        if route is None:
            raise Refusal(501, f"The fake does not know {operation.method} {operation.template}", violation=True)
        self._check_headers(asked.headers)
        call = Call(self.github, operation, asked.query, asked.headers, asked.body, found)
        self._authorise(call, route)
        problems = operation.problems(asked.query, asked.body) + _unwritten_rules(operation, asked.body)
        if problems:
            raise Refusal(422, "Validation Failed: " + "; ".join(problems), violation=True, errors=problems)
        status, answer = route.handler(call)
        return operation, status, answer

    def _locate(self, path: str) -> tuple[str, Repository | None]:
        """The path with the repository's present name, and the repository; old names lead to its id."""
        if match := re.match(r"/repositories/(\d+)(/.*)?$", path):
            known = self.github.repositories.get(int(match[1]))
            if known is None or known.deleted:
                raise Refusal(404, "Not Found")
            return f"/repos/{quote(known.owner.login)}/{quote(known.name)}{match[2] or ''}", known
        if match := re.match(r"/repos/([^/]+)/([^/]+)(/.*)?$", path):
            found = self.github.named(f"{match[1]}/{match[2]}")
            if found is not None and found.full_name.lower() != f"{match[1]}/{match[2]}".lower():
                raise Moved(f"{self.github.api_url}/repositories/{found.id}{match[3] or ''}")
            return path, found
        return path, None

    def _check_headers(self, headers: dict[str, str]) -> None:
        version = headers.get("x-github-api-version")
        if version is None:
            raise Refusal(400, "The header X-GitHub-Api-Version is missing", violation=True)
        if version not in VERSIONS:
            raise Refusal(400, f"{version} is no version of the API", violation=True)
        if not headers.get("user-agent"):
            raise Refusal(403, "Request forbidden by administrative rules: no User-Agent header", violation=True)

    def _authorise(self, call: Call, route: Route) -> None:
        given = call.headers.get("authorization", "")
        scheme, _, value = given.partition(" ")
        if route.who == "nobody":
            return
        if route.who == "client":
            self._check_client(scheme, value)
            return
        if not value:
            raise Refusal(401, "Requires authentication", violation=True)
        if scheme.lower() not in ("bearer", "token"):
            raise Refusal(401, "Bad credentials", violation=True)
        if value.count(".") == 2 and not value.startswith("gh"):
            self.check_jwt(value)
            if route.who != "app":
                raise Refusal(401, "A JSON web token is no installation token", violation=True)
            return
        if route.who == "app":
            raise Refusal(401, "A JSON web token could not be decoded", violation=True)
        call.token = token = self.github.token(value)
        if token is None:
            raise Refusal(401, "Bad credentials")
        if token.installation is not None and token.installation.suspended:
            raise Refusal(403, "This installation has been suspended")
        if route.who == "user" and token.user is None:
            raise Refusal(403, "Resource not accessible by integration", violation=True)
        if call.operation.template.startswith("/repos/"):
            self._check_repository(call, token, route)

    def _check_repository(self, call: Call, token: Token, route: Route) -> None:
        if call.found is None or call.found.deleted or not self.github.may_see(token, call.found):
            raise Refusal(404, "Not Found")
        if token.user is not None:
            raise Refusal(403, "Resource not accessible by integration", violation=True)
        for need in route.needs:
            name, _, level = need.partition(":")
            if LEVELS.index(token.permissions.get(name, "none")) >= LEVELS.index(level):
                return
        if route.needs:
            raise Refusal(403, "Resource not accessible by integration")

    def check_jwt(self, value: str) -> None:
        """https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app"""
        app = self.github.app
        try:
            claims = jwt.decode(
                value, self.github.public_key, algorithms=["RS256"], options={"require": ["exp", "iat"]}
            )
        except jwt.ExpiredSignatureError as error:
            raise Refusal(401, "'Expiration time' claim ('exp') must be a numeric value in the future") from error
        except jwt.PyJWTError as error:
            raise Refusal(401, "A JSON web token could not be decoded") from error
        if claims.get("iss") not in (app.app_id, app.client_id):
            raise Refusal(401, "Integration not found")
        if claims["exp"] > time.time() + 600:
            raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future", violation=True)

    def _check_client(self, scheme: str, value: str) -> None:
        try:
            given = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            given = ""
        if scheme.lower() != "basic" or given != f"{self.github.app.client_id}:{self.github.app.client_secret}":
            raise Refusal(404, "Not Found", violation=True)


def _unwritten_rules(operation: Operation, body: Any) -> list[str]:
    """What GitHub refuses although its description allows it."""
    if not isinstance(body, dict):
        return []
    problems = []
    if len(str(body.get("description") or "")) > 140:
        problems.append("description is too long (maximum is 140 characters)")
    if "/comments" in operation.template and len(str(body.get("body") or "")) > 65_536:
        problems.append("body is too long (maximum is 65536 characters)")
    problems += [
        f"{name} must use http(s) scheme"
        for name in ("target_url", "log_url", "environment_url")
        if body.get(name) and not re.match(r"https?://", str(body[name]))
    ]
    if len(str(body.get("environment") or "")) > 255 or len(str(body.get("context") or "")) > 255:
        problems.append("is too long (maximum is 255 characters)")
    return problems
