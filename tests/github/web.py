"""The fake's pages: sign-in, the manifest flow, and git over HTTP."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import os
import re
import secrets
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.github.state import Repository, Token, User
from tests.github.validation import description

if TYPE_CHECKING:
    from tests.github.fake import FakeGitHub

CODE_SECONDS = 600.0
MANIFEST_SECONDS = 3600.0
_SERVICES = ("git-upload-pack", "git-receive-pack")
_MANIFEST_KEYS = {
    *("name", "url", "hook_attributes", "redirect_url", "callback_urls", "setup_url", "setup_on_update"),
    *("description", "public", "default_events", "default_permissions", "request_oauth_on_install"),
}


@dataclass
class _Code:
    """Of somebody's sign-in."""

    user: User
    redirect_uri: str
    challenge: str
    until: float


@dataclass
class ManifestCode:
    manifest: dict[str, Any]
    until: float


class Web:
    """Everything but the API."""

    def __init__(self, github: FakeGitHub) -> None:
        self._github = github
        self._codes: dict[str, _Code] = {}
        self.manifests: dict[str, ManifestCode] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/login/oauth/authorize", self.authorize),
            Route("/login/oauth/access_token", self.access_token, methods=["POST"]),
            Route("/settings/apps/new", self.new_app, methods=["POST"]),
            Route("/organizations/{owner}/settings/apps/new", self.new_app, methods=["POST"]),
            Route("/apps/{slug}", self.page),
            Route("/apps/{slug}/installations/new", self.page),
            Route("/{owner}/{name}/{path:path}", self.git, methods=["GET", "POST"]),
        ]

    async def page(self, request: Request) -> Response:
        return PlainTextResponse(f"A page of the fake: {request.url.path}\n")

    # sign-in: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app

    async def authorize(self, request: Request) -> Response:
        """Whoever is signed in to the fake (``FakeGitHub.signed_in``) agrees at once; nobody: refused."""
        query, app = request.query_params, self._github.app
        redirect_uri = query.get("redirect_uri", "")
        problems = []
        if query.get("client_id") != app.client_id:
            return PlainTextResponse("Not Found", 404)
        if redirect_uri not in self._github.callback_urls:
            problems.append(f"redirect_uri {redirect_uri} is not one of {self._github.callback_urls}")
        if not query.get("state"):
            problems.append("there is no state")
        if query.get("code_challenge_method") != "S256" or not re.fullmatch(
            r"[\w-]{43}", query.get("code_challenge", "")
        ):
            problems.append("there is no code_challenge of the method S256")
        if problems:
            self._github.violations += [f"authorize: {problem}" for problem in problems]
            return PlainTextResponse("\n".join(problems), 400)
        answer = {"state": query["state"]}
        if self._github.signed_in is None:
            answer |= {"error": "access_denied", "error_description": "The user has denied your application access."}
        else:
            code = secrets.token_hex(10)
            until = time.time() + CODE_SECONDS
            self._codes[code] = _Code(self._github.signed_in, redirect_uri, query["code_challenge"], until)
            answer["code"] = code
        joint = "&" if "?" in redirect_uri else "?"
        return RedirectResponse(f"{redirect_uri}{joint}{urlencode(answer)}", 302)

    async def access_token(self, request: Request) -> Response:
        """Errors come with status 200, as from GitHub."""
        raw = await request.body()
        if request.headers.get("content-type", "").startswith("application/json"):
            given = json.loads(raw)
        else:
            given = dict(parse_qsl(raw.decode()))
        answer = self._exchange(given)
        if "error" in answer:
            self._github.oauth_errors.append(answer["error"])
        if "json" in request.headers.get("accept", ""):
            return JSONResponse(answer)
        return Response(urlencode(answer), media_type="application/x-www-form-urlencoded")

    def _exchange(self, given: dict[str, str]) -> dict[str, Any]:
        app = self._github.app
        if (given.get("client_id"), given.get("client_secret")) != (app.client_id, app.client_secret):
            return {"error": "incorrect_client_credentials", "error_description": "The client_id is not valid."}
        code = self._codes.pop(given.get("code", ""), None)
        verifier = given.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if code is None or code.until < time.time() or not secrets.compare_digest(digest, code.challenge):
            return {"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
        if given.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
            return {"error": "redirect_uri_mismatch", "error_description": "The redirect_uri does not match."}
        token = Token(f"ghu_{secrets.token_hex(18)}", time.time() + 28_800, user=code.user)
        self._github.tokens[token.value] = token
        return {
            "access_token": token.value,
            "expires_in": 28_800,
            "refresh_token": f"ghr_{secrets.token_hex(38)}",
            "refresh_token_expires_in": 15_897_600,
            "token_type": "bearer",
            "scope": "",
        }

    # https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest

    async def new_app(self, request: Request) -> Response:
        """The person agrees at once, and is sent back with a code."""
        form = await request.form()
        manifest, problems = _read_manifest(str(form.get("manifest", "")))
        if not request.query_params.get("state"):
            problems.append("there is no state")
        if problems:
            self._github.violations += [f"manifest: {problem}" for problem in problems]
            return PlainTextResponse("\n".join(problems), 422)
        code = secrets.token_hex(20)
        self.manifests[code] = ManifestCode(manifest, time.time() + MANIFEST_SECONDS)
        query = urlencode({"code": code, "state": request.query_params["state"]})
        return RedirectResponse(f"{manifest['redirect_url']}?{query}", 302)

    # https://git-scm.com/docs/http-protocol

    async def git(self, request: Request) -> Response:
        """git's smart protocol: reading with a token that may read contents, pushing for nobody."""
        owner, name, path = (request.path_params[key] for key in ("owner", "name", "path"))
        service = request.query_params.get("service", "") if path == "info/refs" else path
        if service not in _SERVICES:
            return PlainTextResponse("Not Found", 404)
        wanted = f"{owner}/{name.removesuffix('.git')}"
        repository = self._github.named(wanted)
        given = _password(request.headers.get("authorization", ""))
        self._github.git_requests.append((request.method, f"{wanted}/{path}", bool(given)))
        if refusal := self._git_refusal(repository, given, service):
            return refusal
        assert repository is not None
        if repository.full_name.lower() != wanted.lower():
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{self._github.url}/{repository.full_name}.git/{path}{query}", 301)
        return await run_in_threadpool(_backend, repository, request, path, await request.body())

    def _git_refusal(self, repository: Repository | None, given: str, service: str) -> Response | None:
        challenge = {"WWW-Authenticate": 'Basic realm="GitHub"'}
        token = self._github.token(given) if given else None
        if given and (token is None or (token.installation is not None and token.installation.suspended)):
            return PlainTextResponse("Invalid username or token.", 401, challenge)
        visible = repository is not None and not repository.deleted
        if token is None and (repository is None or not visible or repository.private):
            return PlainTextResponse("Repository not found.", 401, challenge)
        if repository is None or not visible or (token is not None and not self._github.may_see(token, repository)):
            return PlainTextResponse("Repository not found.", 404)
        if token is not None and token.permissions.get("contents", "none") == "none":
            return PlainTextResponse("Write access to repository not granted.", 403)
        if service == "git-receive-pack":
            self._github.violations.append(f"git push to {repository.full_name}")
            return PlainTextResponse("Permission denied.", 403)
        return None


def _backend(repository: Repository, request: Request, path: str, body: bytes) -> Response:
    """One CGI call of ``git http-backend``."""
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    variables = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_PROJECT_ROOT": str(repository.folder.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.folder.name}/{path}",
        "QUERY_STRING": request.url.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
    }
    done = subprocess.run(
        ["git", "http-backend"], env=variables, input=body, capture_output=True, timeout=60, check=False
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    return Response(content, status, headers)


def _password(header: str) -> str:
    """The token in an Authorization header; "" where there is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return value
    try:
        return base64.b64decode(value).decode().partition(":")[2] if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _read_manifest(text: str) -> tuple[dict[str, Any], list[str]]:
    try:
        manifest = json.loads(text)
    except ValueError:
        return {}, ["the manifest is no JSON"]
    problems = [f"{key} is no key of a manifest" for key in manifest if key not in _MANIFEST_KEYS]
    problems += [f"{key} is missing" for key in ("name", "url", "redirect_url") if not manifest.get(key)]
    if not manifest.get("hook_attributes", {}).get("url"):
        problems.append("hook_attributes.url is missing")
    if len(manifest.get("name", "")) > 34:
        problems.append("Name is too long (maximum is 34 characters)")
    if len(manifest.get("callback_urls", [])) > 10:
        problems.append("there are more than 10 callback_urls")
    permissions = manifest.get("default_permissions", {})
    problems += description().problems(description().schema("app-permissions"), permissions)
    known = description().schema("app-permissions")["properties"]
    problems += [f"there is no permission {name}" for name in permissions if name not in known]
    return manifest, problems
