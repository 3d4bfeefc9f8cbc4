"""The fake itself: that it is strict, keeps state, and answers as GitHub's description says."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.github.fake import FakeGitHub
from tests.github.people import FakeRepository

pytestmark = pytest.mark.slow

VERSION = {"X-GitHub-Api-Version": "2022-11-28", "User-Agent": "test"}


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as github:
        yield github
        assert not github.mistakes, github.mistakes


@pytest.fixture
def shop(github: FakeGitHub) -> FakeRepository:
    return github.create_repository("acme/shop")


def ask(
    github: FakeGitHub, method: str, path: str, token: str = "", body: Any = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Status, decoded body and headers of an API request."""
    request = urllib.request.Request(
        github.api_url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={**VERSION, **({"Authorization": f"Bearer {token}"} if token else {}), **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.loads(reply.read() or b"null"), {k.lower(): v for k, v in reply.headers.items()}
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else None, {k.lower(): v for k, v in error.headers.items()}


def as_app(github: FakeGitHub, **claims: Any) -> str:
    now = int(time.time())
    payload = {"iat": now - 60, "exp": now + 540, "iss": github.app.client_id, **claims}
    return jwt.encode(payload, github.app.private_key, algorithm="RS256")


def minted(github: FakeGitHub, repository: FakeRepository, **permissions: str) -> str:
    installation = github.installation_for(repository.owner)
    body = {"repository_ids": [repository.id], "permissions": permissions}
    path = f"/app/installations/{installation.id}/access_tokens"
    status, answer, _ = ask(github, "POST", path, as_app(github), body)
    assert status == 201, answer
    return str(answer["token"])


def test_a_status_is_kept(github: FakeGitHub, shop: FakeRepository) -> None:
    sha = shop.push("main", {"index.html": "one"})
    token = minted(github, shop, statuses="write")
    body = {"state": "pending", "context": "berth/production", "description": "Building", "target_url": "http://b/1"}
    assert ask(github, "POST", f"/repos/acme/shop/statuses/{sha}", token, body)[0] == 201
    (kept,) = github.statuses(sha)
    assert (kept.state, kept.context, kept.description) == ("pending", "berth/production", "Building")
    assert github.violations == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"state": "banana"}, "state"),
        ({}, "state"),
        ({"state": "success", "description": "x" * 141}, "140"),
        ({"state": "success", "colour": "red"}, "colour"),
        ({"state": "success", "target_url": "ftp://x"}, "scheme"),
    ],
)
def test_a_wrong_request_is_refused_and_noted(
    github: FakeGitHub, shop: FakeRepository, body: dict[str, str], words: str
) -> None:
    sha = shop.push()
    token = minted(github, shop, statuses="write")
    assert ask(github, "POST", f"/repos/acme/shop/statuses/{sha}", token, body)[0] == 422
    (violation,) = github.violations
    assert words in violation
    assert github.statuses(sha) == []


def test_tokens_are_narrow(github: FakeGitHub, shop: FakeRepository) -> None:
    other = github.create_repository("acme/other")
    sha = shop.push()
    path = f"/repos/acme/shop/statuses/{sha}"
    body = {"state": "success"}
    assert ask(github, "POST", path, minted(github, shop, contents="read"), body)[0] == 403
    assert ask(github, "POST", path, minted(github, other, statuses="write"), body)[0] == 404
    assert ask(github, "POST", path, "", body)[0] == 401
    assert ask(github, "POST", path, as_app(github), body)[0] == 401
    token = minted(github, shop, statuses="write")
    github.expire_tokens()
    assert ask(github, "POST", path, token, body)[0] == 401
    token = minted(github, shop, statuses="write")
    assert ask(github, "DELETE", "/installation/token", token)[0] == 204
    assert ask(github, "POST", path, token, body)[0] == 401
    mint = f"/app/installations/{github.installation_for(shop.owner).id}/access_tokens"
    assert ask(github, "POST", mint, as_app(github), {"permissions": {"administration": "write"}})[0] == 422
    assert ask(github, "POST", mint, as_app(github), {"repository_ids": [1]})[0] == 422
    assert ask(github, "POST", mint, token, {})[0] == 401


@pytest.mark.parametrize("claims", [{"exp": int(time.time()) - 1}, {"exp": int(time.time()) + 4000}, {"iss": "nobody"}])
def test_a_wrong_app_token_is_refused(github: FakeGitHub, claims: dict[str, Any]) -> None:
    assert ask(github, "GET", "/app", as_app(github, **claims))[0] == 401
    assert ask(github, "GET", "/app", as_app(github))[1]["slug"] == github.app.slug


def test_the_version_must_be_named(github: FakeGitHub) -> None:
    assert ask(github, "GET", "/app", as_app(github), **{"X-GitHub-Api-Version": "2020-01-01"})[0] == 400
    assert len(github.violations) == 1


def test_unknown_operations_are_violations(github: FakeGitHub, shop: FakeRepository) -> None:
    token = minted(github, shop, contents="read")
    assert ask(github, "GET", "/repos/acme/shop/nothing", token)[0] == 404
    assert github.violations == ["GET /repos/acme/shop/nothing: Not Found"]


def test_etags(github: FakeGitHub, shop: FakeRepository) -> None:
    token = minted(github, shop)
    etag = ask(github, "GET", "/repos/acme/shop", token)[2]["etag"]
    assert ask(github, "GET", "/repos/acme/shop", token, **{"If-None-Match": etag})[0] == 304
    shop.default_branch = "trunk"
    assert ask(github, "GET", "/repos/acme/shop", token, **{"If-None-Match": etag})[0] == 200


def test_deployments_live_and_go(github: FakeGitHub, shop: FakeRepository) -> None:
    shop.push()
    token = minted(github, shop, deployments="write", environments="write")
    wish = {"ref": "main", "environment": "preview/x", "auto_merge": False, "required_contexts": []}
    status, first, _ = ask(
        github, "POST", "/repos/acme/shop/deployments", token, {**wish, "transient_environment": True}
    )
    assert status == 201
    _, second, _ = ask(github, "POST", "/repos/acme/shop/deployments", token, wish)
    path = f"/repos/acme/shop/deployments/{first['id']}"
    for state in ("in_progress", "success"):
        assert (
            ask(github, "POST", f"{path}/statuses", token, {"state": state, "environment_url": "http://x/"})[0] == 201
        )
    assert ask(github, "DELETE", path, token)[0] == 422, "it is active"
    assert ask(github, "POST", f"{path}/statuses", token, {"state": "inactive"})[0] == 201
    assert ask(github, "DELETE", path, token)[0] == 204
    assert [one.id for one in github.deployments] == [second["id"]]
    assert github.environments == ["preview/x"]
    assert ask(github, "DELETE", "/repos/acme/shop/environments/preview%2Fx", token)[0] == 204
    assert ask(github, "DELETE", "/repos/acme/shop/environments/preview%2Fx", token)[0] == 404
    assert github.environments == []


def test_a_deployment_must_not_merge(github: FakeGitHub, shop: FakeRepository) -> None:
    shop.push()
    token = minted(github, shop, deployments="write")
    assert ask(github, "POST", "/repos/acme/shop/deployments", token, {"ref": "main"})[0] == 409
    assert "auto_merge" in github.violations[0]


def test_comments_and_reactions(github: FakeGitHub, shop: FakeRepository) -> None:
    shop.push()
    pull = shop.open_pull_request("feature")
    token = minted(github, shop, pull_requests="write")
    path = f"/repos/acme/shop/issues/{pull.number}/comments"
    status, made, _ = ask(github, "POST", path, token, {"body": "hello"})
    assert status == 201
    edit = f"/repos/acme/shop/issues/comments/{made['id']}"
    assert ask(github, "PATCH", edit, token, {"body": "hello again"})[1]["body"] == "hello again"
    assert ask(github, "PATCH", edit, token, {"body": "x" * 65_537})[0] == 422
    (comment,) = github.own_comments(pull.number)
    assert (comment.body, comment.edits) == ("hello again", 1)
    theirs = pull.comment("/deploy")
    react = f"/repos/acme/shop/issues/comments/{theirs.id}/reactions"
    assert ask(github, "POST", react, token, {"content": "eyes"})[0] == 201
    assert ask(github, "POST", react, token, {"content": "eyes"})[0] == 200
    assert ask(github, "POST", react, token, {"content": "party"})[0] == 422
    assert github.reactions(theirs.id) == ["eyes"]
    assert len(ask(github, "GET", path, token)[1]) == 2


def test_pull_requests(github: FakeGitHub, shop: FakeRepository) -> None:
    base = shop.push()
    fork = shop.fork("mallory/shop")
    pull = shop.open_pull_request("evil", {"a": "b"}, fork=fork, author="mallory")
    token = minted(github, shop, pull_requests="read")
    path = f"/repos/acme/shop/pulls/{pull.number}"
    answer = ask(github, "GET", path, token)[1]
    assert (answer["head"]["sha"], answer["base"]["sha"]) == (pull.head_sha, base)
    assert (answer["head"]["repo"]["id"], answer["base"]["repo"]["id"]) == (fork.id, shop.id)
    fork.delete()
    assert ask(github, "GET", path, token)[1]["head"]["repo"] is None
    assert len(ask(github, "GET", "/repos/acme/shop/pulls?state=open", token)[1]) == 1
    pull.close()
    assert ask(github, "GET", "/repos/acme/shop/pulls?state=open", token)[1] == []


def test_permissions_of_people(github: FakeGitHub, shop: FakeRepository) -> None:
    token = minted(github, shop)
    shop.grant("mo", "maintain")
    github.user("eve")
    found = {
        login: ask(github, "GET", f"/repos/acme/shop/collaborators/{login}/permission", token)
        for login in ("ann", "mo", "eve", "nobody")
    }
    assert (found["ann"][1]["permission"], found["mo"][1]["permission"]) == ("write", "write")
    assert (found["mo"][1]["role_name"], found["mo"][1]["user"]["id"]) == ("maintain", github.user("mo").id)
    assert found["eve"][1]["permission"] == "none"
    assert found["nobody"][0] == 404


def test_a_renamed_repository_is_found_by_its_old_name(github: FakeGitHub, shop: FakeRepository) -> None:
    shop.push("main", {"berth.yml": "a: 1\n"})
    token = minted(github, shop, contents="read")
    shop.rename("store")
    assert ask(github, "GET", "/repos/acme/shop", token)[1]["full_name"] == "acme/store"
    assert ask(github, "GET", "/repos/acme/shop/contents/berth.yml", token)[1]["encoding"] == "base64"
    assert ask(github, "GET", f"/repositories/{shop.id}", token)[1]["full_name"] == "acme/store"
    assert github.violations == []


def fetch(github: FakeGitHub, folder: Path, url: str, sha: str, token: str) -> subprocess.CompletedProcess[str]:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    options = ["-c", f"http.extraHeader=Authorization: bearer {token}"] if token else []
    return subprocess.run(
        ["git", "-C", str(folder), *options, "fetch", "-q", "--depth=1", url, sha],
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_git_needs_a_token_that_may_read(github: FakeGitHub, shop: FakeRepository, tmp_path: Path) -> None:
    sha = shop.push("main", {"index.html": "one"})
    token = minted(github, shop, contents="read")
    assert fetch(github, tmp_path / "a", shop.url, sha, "").returncode != 0
    assert fetch(github, tmp_path / "b", shop.url, sha, "ghs_wrong").returncode != 0
    done = fetch(github, tmp_path / "c", shop.url, sha, token)
    assert done.returncode == 0, done.stderr
    old = shop.url
    shop.rename("store")
    assert fetch(github, tmp_path / "d", old, sha, token).returncode == 0, "the old name leads to the new one"
    github.expire_tokens()
    assert fetch(github, tmp_path / "e", shop.url, sha, token).returncode != 0
    public = github.create_repository("acme/open", private=False)
    assert fetch(github, tmp_path / "f", public.url, public.push(), "").returncode == 0


def test_faults(github: FakeGitHub, shop: FakeRepository) -> None:
    token = minted(github, shop)
    github.fail("^/repos/acme/shop$", 403, headers={"retry-after": "7"}, times=1)
    status, _, headers = ask(github, "GET", "/repos/acme/shop", token)
    assert (status, headers["retry-after"]) == (403, "7")
    assert ask(github, "GET", "/repos/acme/shop", token)[0] == 200
    github.fail("^/repos/", 0, times=1)
    with pytest.raises(OSError):
        ask(github, "GET", "/repos/acme/shop", token)
    fault = github.fail("^/repos/", -1, delay=0.3)
    began = time.monotonic()
    assert ask(github, "GET", "/repos/acme/shop", token)[0] == 200
    assert time.monotonic() - began >= 0.3
    assert fault.hits == 1
    github.heal()


def test_what_is_not_received_can_be_delivered_again(github: FakeGitHub, shop: FakeRepository) -> None:
    github.hook_url = "http://127.0.0.1:1/nobody"
    shop.push()
    shop.push()
    app = as_app(github)
    status, failed, headers = ask(github, "GET", "/app/hook/deliveries?status=failure&per_page=1", app)
    assert (status, len(failed)) == (200, 1)
    rest = headers["link"].partition("<")[2].partition(">")[0].removeprefix(github.api_url)
    assert [one["event"] for one in ask(github, "GET", rest, app)[1]] == ["push"]
    assert ask(github, "GET", "/app/hook/deliveries?status=success", app)[1] == []
    assert ask(github, "POST", f"/app/hook/deliveries/{failed[0]['id']}/attempts", app)[0] == 202
    deadline = time.monotonic() + 10
    while len(github.deliveries) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert github.last.guid == failed[0]["guid"]
    assert github.last.redelivery


def test_events_are_those_of_the_installation(github: FakeGitHub, shop: FakeRepository) -> None:
    shop.push()
    shop.open_pull_request("feature").comment("hello")
    shop.push("feature")
    shop.delete_branch("feature")
    stranger = github.create_repository("eve/secret", installed=False)
    stranger.push()
    told = [(one.event, one.payload.get("action")) for one in github.deliveries]
    assert told == [
        *(("push", None), ("push", None), ("pull_request", "opened"), ("issue_comment", "created")),
        *(("push", None), ("pull_request", "synchronize"), ("push", None), ("delete", None)),
        ("pull_request", "closed"),
    ]
    assert all(one.payload["installation"]["id"] for one in github.deliveries)
    github.uninstall(github.installation_for(shop.owner))
    assert github.last.payload["action"] == "deleted"


def test_a_forced_push_replaces_the_newest_commit(github: FakeGitHub, shop: FakeRepository) -> None:
    first = shop.push("main", {"a": "1"})
    second = shop.push("main", {"a": "2"})
    third = shop.push("main", {"a": "3"}, force=True)
    assert github.last.payload["forced"] is True
    assert (github.last.payload["before"], github.last.payload["after"]) == (second, third)
    assert shop.git("rev-parse", f"{third}^") == first


def visit(url: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    """Status, parameters of the address that it leads to, and text; no redirect is followed."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    form = urllib.parse.urlencode(body) if body is not None else None
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    connection.request("POST" if body is not None else "GET", f"{parts.path}?{parts.query}", form, headers)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    query = urllib.parse.urlsplit(reply.headers.get("location") or "").query
    return reply.status, dict(urllib.parse.parse_qsl(query)), text


def test_people_sign_in(github: FakeGitHub) -> None:
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    back = "http://berth.test/callback"
    wish = {"client_id": github.app.client_id, "redirect_uri": back, "state": "s"}
    secured = {**wish, "code_challenge": challenge, "code_challenge_method": "S256"}
    address = f"{github.url}/login/oauth/authorize?"
    github.callback_urls = [back]
    assert visit(address + urllib.parse.urlencode(wish))[0] == 400, "no challenge"
    elsewhere = {**secured, "redirect_uri": "http://evil.test/"}
    assert visit(address + urllib.parse.urlencode(elsewhere))[0] == 400
    assert len(github.violations) == 2
    assert visit(address + urllib.parse.urlencode(secured))[1]["error"] == "access_denied"
    github.sign_in("ann")
    answer = visit(address + urllib.parse.urlencode(secured))[1]
    assert answer["state"] == "s"
    exchange = {
        "client_id": github.app.client_id,
        "client_secret": github.app.client_secret,
        "code": answer["code"],
        "redirect_uri": back,
        "code_verifier": verifier,
    }
    token = json.loads(visit(f"{github.url}/login/oauth/access_token", exchange)[2])["access_token"]
    assert ask(github, "GET", "/user", token)[1]["login"] == "ann"
    status, _, again = visit(f"{github.url}/login/oauth/access_token", exchange)
    assert (status, json.loads(again)["error"]) == (200, "bad_verification_code"), "a code works once"
    shop = github.create_repository("acme/shop")
    assert ask(github, "GET", "/repos/acme/shop", token)[0] == 403
    installation = github.installation_for(shop.owner)
    found = ask(github, "GET", f"/user/installations/{installation.id}/repositories", token)[1]["repositories"]
    assert [(one["full_name"], one["permissions"]["push"]) for one in found] == [("acme/shop", True)]


def test_an_app_is_made_from_a_manifest(github: FakeGitHub) -> None:
    manifest = {
        "name": "Berth here",
        "url": "http://berth.test",
        "hook_attributes": {"url": "http://berth.test/api/github/webhooks"},
        "redirect_url": "http://berth.test/setup/callback",
        "default_permissions": {"contents": "read", "statuses": "write"},
        "default_events": ["push"],
    }
    address = f"{github.url}/settings/apps/new?state=s"
    wrong = {**manifest, "default_permissions": {"everything": "write"}}
    assert visit(address, {"manifest": json.dumps(wrong)})[0] == 422
    status, answer, _ = visit(address, {"manifest": json.dumps(manifest)})
    assert (status, answer["state"]) == (302, "s")
    path = f"/app-manifests/{answer['code']}/conversions"
    status, made, _ = ask(github, "POST", path)
    assert (status, made["slug"]) == (201, "berth-here")
    assert ask(github, "POST", path)[0] == 404, "a code works once"
    assert (made["client_id"], made["webhook_secret"]) == (github.app.client_id, github.app.webhook_secret)
    assert github.hook_url == "http://berth.test/api/github/webhooks"
    assert ask(github, "GET", "/app", as_app(github))[1]["events"] == ["push"]
    assert ask(github, "GET", "/app/hook/config", as_app(github))[1]["url"] == github.hook_url
