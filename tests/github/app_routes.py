"""The fake's API about the App, its installations and deliveries, and people."""

from __future__ import annotations

import secrets
import time
from typing import Any

from tests.github.calls import LEVELS, Answer, Call, Page, Refusal, flags, paged, route
from tests.github.state import (
    Installation,
    Repository,
    Token,
    stamp,
)
from tests.github.validation import description

TOKEN_SECONDS = 3600.0
NOT_ACCESSIBLE = "There is at least one repository that does not exist or is not accessible to the parent installation."


@route("post", "/app-manifests/{code}/conversions", "nobody")
def convert(call: Call) -> Answer:
    made = call.github.convert_manifest(call.path("code"))
    if made is None:
        raise Refusal(404, "Not Found")
    return 201, made


@route("get", "/app", "app")
def get_app(call: Call) -> Answer:
    return 200, call.github.app_body()


@route("get", "/app/hook/config", "app")
def hook_config(call: Call) -> Answer:
    return 200, call.github.hook_config()


@route("patch", "/app/hook/config", "app")
def set_hook_config(call: Call) -> Answer:
    call.github.set_hook_config(call.body)
    return 200, call.github.hook_config()


@route("get", "/app/hook/deliveries", "app")
def deliveries(call: Call) -> Answer:
    wanted = call.query.get("status")
    if wanted not in (None, "success", "failure"):
        raise Refusal(422, "no such status", violation=True)
    found = [one for one in reversed(list(call.github.deliveries)) if wanted in (None, one.outcome)]
    if before := call.query.get("cursor"):
        found = [one for one in found if one.id < int(before.removeprefix("v1_"))]
    size = int(call.query.get("per_page", 30))
    page, rest = found[:size], found[size:]
    following = ""
    if rest:
        query = "".join(f"&{key}={value}" for key, value in call.query.items() if key != "cursor")
        following = f"{call.github.api_url}/app/hook/deliveries?cursor=v1_{page[-1].id}{query}"
    return 200, Page([one.item() for one in page], following)


@route("get", "/app/hook/deliveries/{delivery_id}", "app")
def delivery(call: Call) -> Answer:
    found = next((one for one in call.github.deliveries if one.id == call.integer("delivery_id")), None)
    if found is None:
        raise Refusal(404, "Not Found")
    return 200, found.whole()


@route("post", "/app/hook/deliveries/{delivery_id}/attempts", "app")
def redeliver(call: Call) -> Answer:
    found = next((one for one in call.github.deliveries if one.id == call.integer("delivery_id")), None)
    if found is None:
        raise Refusal(404, "Not Found")
    call.github.redeliver_soon(found)
    return 202, {}


@route("get", "/app/installations", "app")
def installations(call: Call) -> Answer:
    return 200, [call.github.shapes.installation(one) for one in list(call.github.installations.values())]


@route("get", "/app/installations/{installation_id}", "app")
def installation(call: Call) -> Answer:
    return 200, call.github.shapes.installation(_installation(call))


@route("post", "/app/installations/{installation_id}/access_tokens", "app")
def mint(call: Call) -> Answer:
    installation = _installation(call)
    if installation.suspended:
        raise Refusal(403, "This installation has been suspended")
    body = call.body or {}
    wanted = body.get("permissions") or dict(installation.permissions)
    for name, level in wanted.items():
        if LEVELS.index(level) > LEVELS.index(installation.permissions.get(name, "none")):
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    ids = _wanted_repositories(call, body, installation)
    if any(one not in installation.repositories for one in ids):
        raise Refusal(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    if body.get("repository_ids") is not None and len(body["repository_ids"]) > 500:
        raise Refusal(422, "Too many repositories", violation=True)
    token = Token(
        f"ghs_{call.github.app.app_id}_{secrets.token_urlsafe(180)}.{secrets.token_urlsafe(100)}",
        time.time() + TOKEN_SECONDS,
        installation,
        set(ids) if ids else None,
        {**wanted, "metadata": "read"},
    )
    call.github.tokens[token.value] = token
    answer = {
        "token": token.value,
        "expires_at": stamp(token.expires_at),
        "permissions": token.permissions,
        "repository_selection": "selected",
    }
    return 201, answer


def _wanted_repositories(call: Call, body: dict[str, Any], installation: Installation) -> list[int]:
    ids = list(body.get("repository_ids") or [])
    for name in body.get("repositories") or []:
        found = call.github.named(f"{installation.account.login}/{name}")
        ids.append(found.id if found else -1)
    return ids


def _installation(call: Call) -> Installation:
    found = call.github.installations.get(call.integer("installation_id"))
    if found is None:
        raise Refusal(404, "Not Found")
    return found


@route("delete", "/installation/token")
def revoke(call: Call) -> Answer:
    assert call.token is not None
    del call.github.tokens[call.token.value]
    call.github.revoked.append(call.token.value)
    return 204, None


@route("get", "/installation/repositories")
def installed_repositories(call: Call) -> Answer:
    assert call.token is not None
    token = call.token
    found = [one for one in list(call.github.repositories.values()) if call.github.may_see(token, one)]
    shown = paged(call, found)
    answer = {
        "total_count": len(found),
        "repository_selection": "selected",
        "repositories": [call.github.shapes.repository(one) for one in shown],
    }
    return 200, answer


@route("get", "/rate_limit", "any")
def rate_limit(call: Call) -> Answer:
    core = {"limit": 5000, "remaining": 4999, "reset": int(time.time()) + 3600, "used": 1}
    return 200, {"resources": {"core": core, "search": core}, "rate": core}


@route("get", "/user", "user")
def user(call: Call) -> Answer:
    assert call.token is not None
    assert call.token.user is not None
    more = {"name": call.token.user.login.title(), "email": None, "user_view_type": "public"}
    body = call.github.shapes.user(call.token.user) | more
    return 200, description().component("public-user", body)


@route("get", "/user/installations", "user")
def user_installations(call: Call) -> Answer:
    found = [one for one in list(call.github.installations.values()) if _user_repositories(call, one)]
    shown = [call.github.shapes.installation(one) for one in paged(call, found)]
    return 200, {"total_count": len(found), "installations": shown}


@route("get", "/user/installations/{installation_id}/repositories", "user")
def user_installation_repositories(call: Call) -> Answer:
    found = _user_repositories(call, _installation(call))
    shown = [
        call.github.shapes.repository(one) | {"permissions": flags(_role(one, call))} for one in paged(call, found)
    ]
    return 200, {"total_count": len(found), "repositories": shown}


def _role(repository: Repository, call: Call) -> str:
    assert call.token is not None
    assert call.token.user is not None
    return call.github.role(repository, call.token.user)


def _user_repositories(call: Call, installation: Installation) -> list[Repository]:
    found = [call.github.repositories[one] for one in sorted(installation.repositories)]
    return [one for one in found if _role(one, call) != "none"]


@route("delete", "/applications/{client_id}/token", "client")
def delete_user_token(call: Call) -> Answer:
    value = call.body["access_token"]
    if call.github.tokens.pop(value, None) is None:
        raise Refusal(422, "Validation Failed")
    call.github.revoked.append(value)
    return 204, None


@route("get", "R/collaborators/{username}/permission", needs="metadata:read")
def permission(call: Call) -> Answer:
    user = call.github.users.get(call.path("username").lower())
    if user is None:
        raise Refusal(404, f"{call.path('username')} is not a user")
    role = call.github.role(call.repository, user)
    permission = {"maintain": "write", "triage": "read"}.get(role, role)
    shown = call.github.shapes.user(user) | {"role_name": role, "permissions": flags(role)}
    return 200, {"permission": permission, "role_name": role, "user": shown}
