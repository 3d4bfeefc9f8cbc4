"""``FakeGitHub``: a server on a free port of this machine, and what people do on it.

    with FakeGitHub() as github:
        shop = github.create_repository("acme/shop")
        github.hook_url = f"{berth}/api/github/webhooks"
        sha = shop.push("main", {"index.html": "one"})     # sends a signed push event
        pull = shop.open_pull_request("feature", {"index.html": "two"}, author="ann")
        pull.comment("/deploy", author="ann")
        assert github.statuses(sha)[-1].state == "success"
        assert not github.violations

Berth finds it with ``github.variables(folder)`` (``BERTH_GITHUB_*``).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bot.forge.github_app import AppCredentials
from tests.github.api import Api
from tests.github.calls import Recorded
from tests.github.people import FakeRepository
from tests.github.sender import Delivery, Sender
from tests.github.shapes import Shapes
from tests.github.state import (
    Comment,
    Deployment,
    Installation,
    Repository,
    Status,
    Token,
    User,
    stamp,
)
from tests.github.validation import description
from tests.github.web import Web

API = "/api/v3"  # as on GitHub Enterprise Server, so that one address does
PERMISSIONS = {
    "metadata": "read",
    "contents": "read",
    "issues": "read",
    "statuses": "write",
    "checks": "write",
    "deployments": "write",
    "pull_requests": "write",
    "environments": "write",
}
EVENTS = ["push", "pull_request", "issue_comment", "check_run", "check_suite", "delete", "repository"]
UNASKED = {"installation", "installation_repositories", "github_app_authorization", "ping"}


@dataclass
class Fault:
    """Requests whose path matches are answered so, or not at all."""

    pattern: re.Pattern[str]
    method: str
    status: int
    headers: dict[str, str]
    times: int | None
    delay: float
    body: str
    hits: int = 0


class FakeGitHub:
    """A GitHub of one's own.

    ``violations``: requests that GitHub would not take. ``mistakes``: answers of the fake that are not GitHub's.
    ``deliveries``: webhooks that were sent, ``last`` the last of them.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="fake-github-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.api_url = self.url + API
        self.users: dict[str, User] = {}
        self.repositories: dict[int, FakeRepository] = {}
        self.old_names: dict[str, int] = {}
        self.installations: dict[int, Installation] = {}
        self.tokens: dict[str, Token] = {}
        self.revoked: list[str] = []
        self.requests: list[Recorded] = []
        self.git_requests: list[tuple[str, str, bool]] = []  # method, repository and path, whether with a token
        self.violations: list[str] = []
        self.mistakes: list[str] = []
        self.oauth_errors: list[str] = []
        self.signed_in: User | None = None
        self.callback_urls: list[str] = []
        self.permissions = dict(PERMISSIONS)
        self.events = list(EVENTS)
        self._faults: list[Fault] = []
        self._threads: list[threading.Thread] = []
        self._app_ids = itertools.count(41)
        self.app = self._new_app("Berth of tests")
        self.app_user = self.user(f"{self.app.slug}[bot]", "Bot")
        self.sender = Sender(lambda: self.app.app_id, lambda: self.app.webhook_secret)
        self.shapes = Shapes(self)
        self.api = Api(self)
        self.web = Web(self)
        self._server = self._make_server()
        self._thread = threading.Thread(target=self._run, name="fake-github", daemon=True)

    def __enter__(self) -> FakeGitHub:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the fake does not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(15)
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(15)
        self._socket.close()
        if self._temporary:
            self._temporary.cleanup()

    def variables(self, folder: Path, **more: str) -> dict[str, str]:
        """``BERTH_GITHUB_*`` that make Berth this App; the key is written to ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "github-app.pem"
        key.write_text(self.app.private_key)
        key.chmod(0o600)
        return {
            "BERTH_GITHUB_URL": self.url,
            "BERTH_GITHUB_APP_ID": self.app.app_id,
            "BERTH_GITHUB_PRIVATE_KEY_FILE": str(key),
            "BERTH_GITHUB_WEBHOOK_SECRET": self.app.webhook_secret,
            "BERTH_GITHUB_CLIENT_ID": self.app.client_id,
            "BERTH_GITHUB_CLIENT_SECRET": self.app.client_secret,
            **more,
        }

    # people, repositories, installations

    def user(self, login: str, kind: str = "") -> User:
        """The account of that name, made if need be; ``…[bot]`` is a bot."""
        kind = kind or ("Bot" if login.endswith("[bot]") else "User")
        return self.users.setdefault(login.lower(), User(login, kind))

    def sign_in(self, login: str | None) -> None:
        """Who uses the browser; None: nobody agrees to sign in."""
        self.signed_in = self.user(login) if login else None

    def create_repository(
        self,
        full_name: str,
        *,
        private: bool = True,
        installed: bool = True,
        default_branch: str = "main",
        writer: str = "ann",
    ) -> FakeRepository:
        """On the account before the slash. ``installed``: the App has it; nothing is sent (see :meth:`install`)."""
        owner, _, name = full_name.partition("/")
        account = self.user(owner, "Organization") if owner.lower() not in self.users else self.user(owner)
        repository = FakeRepository(self._folder, account, name, private=private, default_branch=default_branch)
        repository.github = self
        self.repositories[repository.id] = repository
        if writer:
            repository.grant(writer, "write")
        if installed:
            self.installation_for(repository.owner).repositories.add(repository.id)
        return repository

    def named(self, full_name: str) -> FakeRepository | None:
        """By its name, or one that it had."""
        for repository in list(self.repositories.values()):
            if repository.full_name.lower() == full_name.lower() and not repository.deleted:
                return repository
        return self.repositories.get(self.old_names.get(full_name.lower(), 0))

    def role(self, repository: Repository, user: User) -> str:
        """What a person may do there."""
        if user is repository.owner:
            return "admin"
        return repository.roles.get(user.id, "none" if repository.private else "read")

    def installation_for(self, account: User) -> Installation:
        """The installation on an account, made if need be; nothing is sent."""
        for installation in self.installations.values():
            if installation.account is account:
                return installation
        made = Installation(account, dict(self.permissions), list(self.events))
        self.installations[made.id] = made
        return made

    def installation_of(self, repository: Repository | None) -> Installation | None:
        """The one that has the repository."""
        found = (one for one in list(self.installations.values()) if repository and repository.id in one.repositories)
        return next(found, None)

    def install(self, *repositories: FakeRepository, author: str = "ann") -> Installation:
        """The App is installed for these repositories of one account; sends installation.created."""
        installation = self.installation_for(repositories[0].owner)
        installation.repositories |= {one.id for one in repositories}
        shown = [self.shapes.short_repository(one) for one in repositories]
        self.send_installation(installation, "created", author, repositories=shown, requester=None)
        return installation

    def uninstall(self, installation: Installation, author: str = "ann") -> None:
        shown = [self.shapes.short_repository(self.repositories[one]) for one in sorted(installation.repositories)]
        del self.installations[installation.id]
        for token in list(self.tokens.values()):
            if token.installation is installation:
                del self.tokens[token.value]
        self.send_installation(installation, "deleted", author, repositories=shown)

    def suspend(self, installation: Installation, author: str = "ann", *, suspended: bool = True) -> None:
        installation.suspended = suspended
        self.send_installation(installation, "suspend" if suspended else "unsuspend", author)

    def add_repositories(self, installation: Installation, *repositories: FakeRepository) -> None:
        installation.repositories |= {one.id for one in repositories}
        self.send_installation_repositories(installation, added=list(repositories))

    def remove_repositories(self, installation: Installation, *repositories: FakeRepository) -> None:
        installation.repositories -= {one.id for one in repositories}
        self.send_installation_repositories(installation, removed=list(repositories))

    # what Berth has done

    def statuses(self, sha: str) -> list[Status]:
        """Commit statuses, oldest first."""
        return [status for one in list(self.repositories.values()) for status in one.statuses if status.sha == sha]

    @property
    def deployments(self) -> list[Deployment]:
        return [deployment for one in list(self.repositories.values()) for deployment in list(one.deployments.values())]

    @property
    def environments(self) -> list[str]:
        return sorted(name for one in list(self.repositories.values()) for name in one.environments)

    def comments(self, pull_number: int, repository: Repository | None = None) -> list[Comment]:
        """Of a pull request, those of people too."""
        places = [repository] if repository else list(self.repositories.values())
        return [one for place in places for one in list(place.comments.values()) if one.number == pull_number]

    def own_comments(self, pull_number: int, repository: Repository | None = None) -> list[Comment]:
        """Those that Berth wrote."""
        return [one for one in self.comments(pull_number, repository) if one.user is self.app_user]

    def reactions(self, comment_id: int) -> list[str]:
        found = [one.comments[comment_id].reactions for one in self.repositories.values() if comment_id in one.comments]
        return [reaction.content for reaction in (found[0] if found else [])]

    # faults

    def fail(
        self,
        match: str = ".*",
        status: int = 500,
        *,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        method: str = "",
        delay: float = 0.0,
        body: str = '{"message": "a fault of the test"}',
    ) -> Fault:
        """Requests whose path (without the API's prefix) matches are answered so; 0: the connection breaks.

        ``times`` None: until :meth:`heal`. ``delay``: seconds before the answer; with status -1 the request is then
        served as usual. git's paths look like ``/acme/shop.git/info/refs``.
        """
        fault = Fault(re.compile(match), method.upper(), status, dict(headers or {}), times, delay, body)
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        self._faults.clear()

    def expire_tokens(self) -> None:
        """All installation tokens end now."""
        for token in self.tokens.values():
            if token.user is None:
                token.expires_at = 0.0

    def token(self, value: str) -> Token | None:
        found = self.tokens.get(value)
        return found if found is not None and found.expires_at > time.time() else None

    def may_see(self, token: Token, repository: Repository) -> bool:
        if token.user is not None:
            return self.role(repository, token.user) != "none"
        if token.installation is None or repository.deleted:
            return False
        granted = token.repositories is None or repository.id in token.repositories
        return granted and repository.id in token.installation.repositories

    # webhooks

    @property
    def hook_url(self) -> str:
        """Where Berth takes deliveries; "" keeps them as failed."""
        return self.sender.url

    @hook_url.setter
    def hook_url(self, url: str) -> None:
        self.sender.url = url

    @property
    def deliveries(self) -> list[Delivery]:
        return self.sender.deliveries

    @property
    def last(self) -> Delivery:
        return self.sender.deliveries[-1]

    def send(self, event: str, repository: Repository, payload: dict[str, Any], author: str) -> Delivery | None:
        """As GitHub: only where the App is installed and asked for such events."""
        installation = self.installation_of(repository)
        if installation is None or installation.suspended or event not in {*installation.events, *UNASKED}:
            return None
        whole = {**payload, "repository": self.shapes.repository(repository), "sender": self._sender(author)}
        if repository.owner.type == "Organization":
            whole["organization"] = {"login": repository.owner.login, "id": repository.owner.id}
        whole["installation"] = {"id": installation.id, "node_id": f"I_{installation.id}"}
        return self.sender.send(event, whole)

    def send_comment(self, repository: Repository, comment: Comment, action: str, **more: Any) -> Delivery | None:
        payload = {
            "action": action,
            "issue": self.shapes.issue(repository, repository.pulls[comment.number]),
            "comment": self.shapes.comment(repository, comment),
            **more,
        }
        return self.send("issue_comment", repository, payload, comment.user.login)

    def send_comment_soon(self, repository: Repository, comment: Comment) -> None:
        """A comment of an App's is an event as well."""
        self._later(lambda: self.send_comment(repository, comment, "created"))

    def send_installation(self, installation: Installation, action: str, author: str, **more: Any) -> Delivery:
        payload = {"action": action, "installation": self.shapes.installation(installation), **more}
        return self.sender.send("installation", {**payload, "sender": self._sender(author)})

    def send_installation_repositories(
        self,
        installation: Installation,
        *,
        added: list[FakeRepository] | None = None,
        removed: list[FakeRepository] | None = None,
        author: str = "ann",
    ) -> Delivery:
        payload = {
            "action": "added" if added else "removed",
            "installation": self.shapes.installation(installation),
            "repository_selection": "selected",
            "repositories_added": [self.shapes.short_repository(one) for one in added or []],
            "repositories_removed": [self.shapes.short_repository(one) for one in removed or []],
            "requester": None,
            "sender": self._sender(author),
        }
        return self.sender.send("installation_repositories", payload)

    def ping(self) -> Delivery:
        """As when a hook is made."""
        hook = {"type": "App", "id": self.sender.hook_id, "name": "web", "active": True, "events": self.events}
        payload = {"zen": "Design for failure.", "hook_id": self.sender.hook_id, "hook": hook}
        return self.sender.send("ping", payload)

    def redeliver(self, delivery: Delivery) -> Delivery:
        return self.sender.send(delivery.event, delivery.payload, guid=delivery.guid, redelivery=True)

    def redeliver_soon(self, delivery: Delivery) -> None:
        self._later(lambda: self.redeliver(delivery))

    def _sender(self, login: str) -> dict[str, Any]:
        return self.shapes.user(self.user(login))

    def _later(self, act: Any) -> None:
        thread = threading.Thread(target=act, daemon=True)
        self._threads.append(thread)
        thread.start()

    # the App

    @property
    def public_key(self) -> str:
        return _key_pair()[1]

    def _new_app(self, name: str) -> AppCredentials:
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return AppCredentials(
            app_id=str(next(self._app_ids)),
            slug=slug,
            client_id=f"Iv23li{secrets.token_hex(7)}",
            client_secret=secrets.token_hex(20),
            webhook_secret=secrets.token_hex(20),
            private_key=_key_pair()[0],
            html_url=f"{self.url}/apps/{slug}",
        )

    def app_body(self) -> dict[str, Any]:
        body = {
            "id": int(self.app.app_id),
            "slug": self.app.slug,
            "client_id": self.app.client_id,
            "node_id": f"A_{self.app.app_id}",
            "owner": self.shapes.user(self.user("ann")),
            "name": self.app.slug,
            "description": None,
            "external_url": "https://berth.example",
            "html_url": self.app.html_url,
            "created_at": stamp(),
            "updated_at": stamp(),
            "permissions": dict(self.permissions),
            "events": list(self.events),
            "installations_count": len(self.installations),
        }
        return description().component("integration", body)

    def hook_config(self) -> dict[str, Any]:
        kind = "form" if self.sender.form else "json"
        return {"content_type": kind, "insecure_ssl": "0", "secret": "********", "url": self.sender.url}

    def set_hook_config(self, body: dict[str, Any]) -> None:
        self.sender.url = body.get("url", self.sender.url)
        self.sender.form = body.get("content_type", "json") == "form"

    def convert_manifest(self, code: str) -> dict[str, Any] | None:
        """The App that a manifest made takes the place of the one before. None: no such code, or too old."""
        found = self.web.manifests.pop(code, None)
        if found is None or found.until < time.time():
            return None
        manifest = found.manifest
        self.app = self._new_app(manifest["name"])
        self.app_user = self.user(f"{self.app.slug}[bot]", "Bot")
        self.permissions = {**manifest.get("default_permissions", {}), "metadata": "read"}
        self.events = list(manifest.get("default_events", []))
        self.callback_urls = list(manifest.get("callback_urls", []))
        self.sender.url = manifest["hook_attributes"]["url"]
        secrets_of = ("client_id", "client_secret", "webhook_secret")
        return self.app_body() | {key: getattr(self.app, key) for key in secrets_of} | {"pem": self.app.private_key}

    # the server

    def _make_server(self) -> uvicorn.Server:
        routes = [Route(API + "/{path:path}", self._api, methods=["GET", "POST", "PATCH", "PUT", "DELETE"])]
        app = Starlette(routes=[*routes, *self.web.routes()])

        async def with_faults(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and await self._faulty(scope, receive, send):
                return
            await app(scope, receive, send)

        config = uvicorn.Config(
            with_faults,
            http=_Protocol,
            loop="asyncio",
            lifespan="off",
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    async def _api(self, request: Request) -> Response:
        raw_path = request.scope["raw_path"].decode().partition("?")[0].removeprefix(API)
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = _decoded(await request.body())
            return self.api.handle(Recorded(request.method, raw_path, dict(request.query_params), headers, body))
        except Exception as error:
            self.mistakes.append(f"{request.method} {raw_path}: {error!r}")
            return JSONResponse({"message": f"the fake failed: {error!r}"}, 500)

    async def _faulty(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether a fault has answered."""
        path = scope["raw_path"].decode().partition("?")[0].removeprefix(API)
        for fault in list(self._faults):
            if fault.times == fault.hits or (fault.method and fault.method != scope["method"]):
                continue
            if not fault.pattern.search(path):
                continue
            fault.hits += 1
            await asyncio.sleep(fault.delay)
            if fault.status < 0:
                return False
            headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
            self.requests.append(Recorded(scope["method"], path, {}, headers, None, fault.status))
            if fault.status == 0:
                scope["fake.transport"].abort()
                await asyncio.sleep(0.05)  # until the server knows that it is gone
            else:
                request = Request(scope, receive)
                with contextlib.suppress(Exception):
                    await request.body()
                more = {"content-type": "application/json", **fault.headers}
                await Response(fault.body, fault.status, more)(scope, receive, send)
            return True
        return False


class _Protocol(HttpToolsProtocol):
    """Shows the connection to the application, which may break it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["fake.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")


@cache
def _key_pair() -> tuple[str, str]:
    """Private and public key in PEM form; one pair for all tests of a process."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
