"""GitHub's deliveries, well-formed and hostile, on a real database."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette

from bot.config import Config
from bot.deploy import settings
from bot.deploy.admission import Limits
from bot.errors import ConflictError, NotFoundError
from bot.forge import github_forge, inbox, webhook
from bot.forge.github_forge import REMEMBERED_SECONDS, WEBHOOK_PATH, GitHubForge
from bot.forge.intake import Intake
from bot.forge.webhook import MAX_BODY
from bot.store.database import Store
from bot.store.tables import deliveries
from tests.forge.github_rig import INSTALLATION, PEOPLE, ZERO, GitHubRig, Hub, credentials, sha

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ONE, TWO, THREE = sha("1"), sha("2"), sha("3")


async def opened(store: Store, limits: Limits) -> GitHubForge:
    forge = GitHubForge(Config(), store, Intake(limits))
    await forge.open()
    forge.credentials = credentials()
    return forge


@pytest.fixture
async def rig(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GitHubRig]:
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 0.0)
    forge = await opened(store, Limits(previews=3))
    yield GitHubRig(forge, store)
    await forge.close()


@pytest.fixture
def hub() -> Hub:
    return Hub()


def seen(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


# the endpoint


async def test_a_push_of_a_repository_never_heard_of_is_deployed(rig: GitHubRig, hub: Hub) -> None:
    row = await rig.send("push", hub.push("main", ONE, "Subject\n\nBody"))
    assert (row["decision"], row["reason"]) == ("deploy", "1111111 was pushed to main.")
    assert (row["event"], row["action"], row["sender"]) == ("push", "", "ada")
    assert (row["ref"], row["sha"]) == ("main", ONE)
    repository = await rig.repository()
    assert row["repository_id"] == repository["id"]
    facts = {name: repository[name] for name in ("name", "default_branch", "installation_id", "private", "removed_at")}
    assert facts == {
        "name": "acme/shop",
        "default_branch": "main",
        "installation_id": INSTALLATION,
        "private": True,
        "removed_at": None,
    }
    [made] = await rig.deployments()
    assert (made["sha"], made["kind"], made["cause"], made["actor"], made["message"], made["state"]) == (
        ONE,
        "production",
        "push",
        "ada",
        "Subject",
        "queued",
    )
    assert made["delivery_id"] == row["id"]


async def test_the_answer_is_given_before_the_decision(rig: GitHubRig, hub: Hub) -> None:
    body = json.dumps(hub.push("main", ONE)).encode()
    first = await rig.post("push", body, x_github_delivery="guid")
    assert first.status == 202
    assert first.body == {
        "delivery": "guid",
        "decision": "received",
        "reason": "",
        "deployment_id": None,
        "deployment_ids": [],
    }
    again = await rig.send("push", json.loads(body), x_github_delivery="guid")
    answer = await rig.post("push", body, x_github_delivery="guid")
    assert (answer.status, answer.body["decision"]) == (200, "deploy")
    assert answer.body["deployment_ids"] == [again["deployment_id"]] == [answer.body["deployment_id"]]
    assert len(await rig.deployments()) == 1


async def test_over_http(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    forge = GitHubForge(Config(), store, Intake(Limits()))
    await forge.open()
    transport = httpx2.ASGITransport(app=Starlette(routes=forge.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://berth.test") as client:
        unready = await client.post(WEBHOOK_PATH, content=b"{}")
        assert (unready.status_code, unready.json()["error"]) == (503, "No GitHub App is configured.")
        forge.credentials = credentials()
        assert (await client.post(WEBHOOK_PATH, content=b"{}")).status_code == 401
        assert (await client.get(WEBHOOK_PATH)).status_code == 405

        async def flood() -> AsyncIterator[bytes]:
            for _ in range(MAX_BODY // 1_000_000 + 2):
                yield bytes(1_000_000)

        assert (await client.post(WEBHOOK_PATH, content=flood())).status_code == 413
        announced = {"content-length": str(MAX_BODY + 1)}
        assert (await client.post(WEBHOOK_PATH, content=flood(), headers=announced)).status_code == 413
        monkeypatch.setattr(webhook, "READ_SECONDS", 0.05)

        async def drip() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(10)

        assert (await client.post(WEBHOOK_PATH, content=drip())).status_code == 408
    assert await GitHubRig(forge, store).deliveries() == []
    await forge.close()


async def test_what_is_not_signed_by_the_app_is_refused_unread(
    rig: GitHubRig, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps(hub.push("main", ONE, "do-not-log-me")).encode()
    for signature in (None, "", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "sha256=" + "é" * 64):
        for content in (body, b"do-not-log-me" + b"[" * 100_000, b"\xff"):
            answer = await rig.post("push", content, x_hub_signature_256=signature)
            assert (answer.status, answer.body) == (401, {"error": "The signature is missing or wrong."})
    truncated = await rig.post("push", body)
    assert truncated.status == 202
    signed = "sha256=" + "0" * 64
    assert (await rig.post("push", body[:-10], x_hub_signature_256=signed)).status == 401
    assert len(await rig.deliveries()) == 1
    out = capsys.readouterr()
    assert "do-not-log-me" not in out.out + out.err


async def test_an_app_without_a_secret_takes_nothing(rig: GitHubRig, hub: Hub) -> None:
    rig.forge.credentials = replace(credentials(), webhook_secret="")
    body = json.dumps(hub.push("main", ONE)).encode()
    signature = "sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest()
    assert (await rig.post("push", body, x_hub_signature_256=signature)).status == 401


async def test_bodies_that_cannot_be_read(rig: GitHubRig) -> None:
    for body, why in (
        (b"", "is not JSON"),
        (b'{"ref": "refs/heads/ma', "is not JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[]", "is not a JSON object"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": NaN}', "contains NaN"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "cannot be read"),
    ):
        answer = await rig.post("push", body)
        assert answer.status == 400
        assert why in answer.body["error"]
    for changes in ({"x_github_event": None}, {"x_github_delivery": "a b"}, {"content_type": "text/plain"}):
        assert (await rig.post("push", b"{}", **changes)).status == 400
    assert await rig.deliveries() == []


async def test_both_content_types(rig: GitHubRig, hub: Hub) -> None:
    body = urlencode({"payload": json.dumps(hub.push("main", ONE, "é+&="))}).encode()
    answer = await rig.post("push", body, content_type="application/x-www-form-urlencoded")
    assert answer.status == 202
    async with asyncio.timeout(10):
        while not await rig.deployments():
            await asyncio.sleep(0.01)
    assert (await rig.deployments())[0]["message"] == "é+&="


async def test_ping_and_events_that_mean_nothing(rig: GitHubRig, hub: Hub) -> None:
    assert (await rig.post("ping", b'{"zen": "x", "hook_id": 1}')).status == 200
    answer = await rig.post("star", json.dumps(hub.about("created")).encode())
    assert answer.status == 202
    row = await rig.send("star", hub.about("created"))
    assert (row["decision"], row["reason"], row["action"]) == (
        "ignored",
        "Events of the kind 'star' cause nothing.",
        "created",
    )
    assert (await rig.deliveries())[0]["reason"] == "The forge asked whether Berth is there: it is."


async def test_a_delivery_without_a_hook_id(rig: GitHubRig, hub: Hub) -> None:
    row = await rig.send("push", hub.push("main", ONE), x_github_hook_id=None)
    assert (row["hook_id"], row["decision"]) == ("app", "deploy")


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        ("push", {"repository": None}),
        ("push", {"repository": {"id": "9001"}}),
        ("push", {"repository": {"id": 2**70, "full_name": "a/b"}}),
        ("push", {"repository": {"id": 5, "full_name": "../../etc"}}),
        ("push", {"installation": None}),
        ("push", {"installation": {"id": True}}),
        ("push", {"ref": "refs/tags/v1"}),
        ("push", {"ref": "refs/heads/-x"}),
        ("push", {"ref": "refs/heads/a\nb"}),
        ("push", {"ref": None, "after": None}),
        ("push", {"after": "short"}),
        ("push", {"ref": "refs/heads/never-there", "after": ZERO, "deleted": True, "head_commit": None}),
        ("pull_request", {"pull_request": None}),
        ("pull_request", {"pull_request": {"number": -1}}),
        ("pull_request", {"pull_request": {"number": 2**40, "head": {"sha": ONE}}}),
        ("pull_request", {"action": "opened", "pull_request": {"number": 1, "head": {"sha": ONE, "repo": None}}}),
        (
            "pull_request",
            {"action": "closed", "pull_request": {"number": 1, "head": {"sha": ONE, "ref": "..", "repo": 1}}},
        ),
        ("issue_comment", {"action": "created", "comment": {}, "issue": {}}),
        ("issue_comment", {"action": "created", "comment": {"user": {"type": "User"}}, "issue": {"pull_request": {}}}),
        ("installation", {"action": "created", "installation": {"id": 1}, "repositories": [None, {"id": "x"}, {}]}),
        ("installation", {"action": "deleted", "installation": {}}),
        ("installation_repositories", {"action": "removed", "installation": {"id": 1}, "repositories_removed": "all"}),
        ("installation_target", {"installation": {"id": 77}, "account": {"login": "../x"}}),
        ("repository", {"action": ["x"]}),
        ("x" * 64, {}),
    ],
)
async def test_what_makes_no_sense_is_ignored_with_a_reason(
    rig: GitHubRig, hub: Hub, event: str, changes: dict[str, Any]
) -> None:
    row = await rig.send(event, hub.push("main", ONE) | changes)
    assert row["decision"] == "ignored"
    assert row["reason"]
    assert "stumbled" not in row["reason"]
    assert await rig.deployments() == []
    assert (await rig.send("push", hub.push("main", TWO)))["decision"] == "deploy"


async def test_a_long_payload_is_decided_all_the_same(rig: GitHubRig, hub: Hub) -> None:
    commits = [{"id": ONE, "message": "x" * 1_000}] * 2_000
    row = await rig.send("push", hub.push("main", ONE, commits=commits))
    assert row["decision"] == "deploy"
    await rig.send("pull_request", hub.pull("opened", "topic", TWO))
    comment = hub.comment("/deploy status\n\n" + "é" * 65_000)
    comment["issue"]["body"] = "ü" * 300_000
    assert (await rig.send("issue_comment", comment))["decision"] == "command"
    assert all(len(row["payload_json"]) < 300_000 for row in await rig.deliveries())


async def test_a_fault_of_ours_stops_no_other_delivery(
    rig: GitHubRig, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(github_forge.events, "decide", broken)
        row = await rig.send("push", hub.push("main", ONE))
    assert (row["decision"], row["reason"]) == ("ignored", "Berth stumbled over this delivery; its log says why.")
    assert (await rig.send("push", hub.push("main", TWO)))["decision"] == "deploy"


async def test_what_was_stored_before_a_crash_is_decided_after_it(rig: GitHubRig, hub: Hub) -> None:
    await rig.forge.close()
    rig.forge._inbox._tasks = [asyncio.create_task(rig.forge._inbox._store_all())]  # dies before it decides
    assert (await rig.post("push", json.dumps(hub.push("main", ONE)).encode())).status == 202
    await rig.forge.close()
    assert await rig.deployments() == []
    other = await opened(rig.store, Limits())
    async with asyncio.timeout(10):
        while not await rig.deployments():
            await asyncio.sleep(0.01)
    await other.close()


# installations, repositories


async def test_installations_bring_and_take_repositories(rig: GitHubRig, hub: Hub) -> None:
    row = await rig.send("installation", hub.installed("created"))
    assert row["reason"] == "1 repository can be deployed from now on."
    await rig.send("push", hub.push("main", ONE))
    await rig.send("push", hub.push("topic", TWO))
    row = await rig.send("installation_repositories", hub.installed("removed"))
    assert (row["decision"], row["reason"]) == ("teardown", "The App lost 1 repository: 2 environments are removed.")
    assert (await rig.repository())["removed_at"]
    kinds = {row["id"]: row["kind"] for row in await rig.environments()}
    volumes = {
        kinds[row["environment_id"]]: json.loads(row["arguments_json"])["volumes"] for row in await rig.removals()
    }
    assert volumes == {"production": False, "branch": True}  # nobody loses production's data with a click
    late = await rig.send("push", hub.push("main", THREE))
    assert (late["decision"], late["reason"]) == ("ignored", "The App was removed from this repository.")
    await rig.send("installation_repositories", hub.installed("added"))
    assert (await rig.send("push", hub.push("main", sha("4"))))["decision"] == "deploy"
    row = await rig.send("installation", {"action": "deleted", "installation": {"id": INSTALLATION}})
    assert row["decision"] == "teardown"
    assert (await rig.repository())["removed_at"]


async def test_another_installation_takes_nothing_of_this_one(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    for event, action in (("installation", "deleted"), ("installation_repositories", "removed")):
        row = await rig.send(event, hub.installed(action, installation={"id": 78}))
        assert row["decision"] == "ignored"
    assert (await rig.repository())["removed_at"] is None


async def test_suspension_leaves_what_runs(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    assert "what runs stays" in (await rig.send("installation", hub.installed("suspend")))["reason"]
    assert await rig.removals() == []


async def test_a_renamed_and_a_transferred_repository_stay_what_they_were(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    before = await rig.repository()
    hub.name = "acme/store"
    row = await rig.send("repository", hub.about("renamed", changes={"repository": {"name": {"from": "shop"}}}))
    assert row["reason"] == "The repository is called acme/store now."
    hub.name = "other/store"
    await rig.send("repository", hub.about("transferred", installation={"id": 99}))
    late = await rig.send("installation_repositories", hub.installed("removed"))  # of the old owner's App
    after = await rig.repository()
    assert (after["id"], after["name"], after["installation_id"], after["removed_at"]) == (
        before["id"],
        "other/store",
        99,
        None,
    )
    assert late["decision"] == "ignored"
    assert (await rig.send("push", hub.push("main", TWO, installation={"id": 99})))["decision"] == "deploy"
    assert len({row["environment_id"] for row in await rig.deployments()}) == 1


async def test_a_renamed_owner(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    payload = {"action": "renamed", "installation": {"id": INSTALLATION}, "account": {"login": "emca"}}
    await rig.send("installation_target", payload)
    assert (await rig.repository())["name"] == "emca/shop"


async def test_old_news_of_a_repository_change_nothing(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    newer = hub.repository(full_name="acme/new", updated_at="2026-02-01T00:00:00Z")
    await rig.send("repository", hub.about("renamed", repository=newer))
    await rig.send("star", hub.about("created"))
    assert (await rig.repository())["name"] == "acme/new"


async def test_visibility(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    hub.private = False
    assert "public now" in (await rig.send("repository", hub.about("publicized")))["reason"]
    assert (await rig.repository())["private"] is False
    hub.private = True
    await rig.send("repository", hub.about("privatized"))
    assert (await rig.repository())["private"] is True


async def test_a_deleted_repository(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    row = await rig.send("repository", hub.about("deleted"))
    assert (row["decision"], row["reason"]) == ("teardown", "acme/shop was deleted: 1 environment is removed.")
    again = await rig.send("installation_repositories", hub.installed("removed"))
    assert again["decision"] == "ignored"
    assert len(await rig.removals()) == 1


async def test_production_follows_the_default_branch(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("main", ONE))
    await rig.send("push", hub.push("trunk", TWO))
    hub.default_branch = "trunk"
    await rig.send("repository", hub.about("edited", changes={"default_branch": {"from": "main"}}))
    production, preview = await rig.environments()
    assert (production["kind"], production["ref"]) == ("production", "trunk")
    assert [row["environment_id"] for row in await rig.removals()] == [preview["id"]]
    assert (await rig.repository())["default_branch"] == "trunk"
    await rig.send("push", hub.push("trunk", THREE))
    assert (await rig.deployments())[-1]["environment_id"] == production["id"]
    gone = await rig.send("push", hub.push("main", ZERO))
    assert gone["decision"] == "ignored"
    assert len(await rig.removals()) == 1


async def test_the_allow_list(store: Store, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 0.0)
    config = Config(repositories="Other/*, acme/shop")  # type: ignore[call-arg]
    rig = GitHubRig(await opened(store, Limits.of(config)), store)
    for number, name, decision in ((1, "acme/shop", "deploy"), (2, "other/x", "deploy"), (3, "acme/shop2", "ignored")):
        row = await rig.send("push", Hub(number, name).push("main", ONE))
        assert row["decision"] == decision
    assert row["reason"] == "BERTH_REPOSITORIES does not name acme/shop2."
    listed = [{"id": 4, "full_name": "acme/y"}, {"id": 5, "full_name": "other/y"}]
    row = await rig.send("installation", hub.installed("created", repositories=listed))
    assert row["reason"] == "1 repository can be deployed from now on, and 1 not, because of BERTH_REPOSITORIES."
    hub = Hub(1, "stranger/shop")  # it was allowed before it got this name
    assert (await rig.send("push", hub.push("main", TWO)))["decision"] == "ignored"
    assert (await rig.send("push", hub.push("topic", ZERO)))["decision"] == "ignored"
    await rig.forge.close()


# what is deployed, when


async def test_the_most_previews_of_a_repository(rig: GitHubRig, hub: Hub) -> None:
    for branch in "abc":
        assert (await rig.send("push", hub.push(branch, ONE)))["decision"] == "deploy"
    row = await rig.send("push", hub.push("d", TWO))
    why = "acme/shop has 3 previews already, and 3 is the most: delete a branch, or raise the setting previews."
    assert (row["decision"], row["reason"]) == ("ignored", why)
    [status] = [body for body in await rig.reports("status") if body["sha"] == TWO]
    assert (status["context"], status["state"], status["description"]) == ("berth/preview", "error", why)
    assert (await rig.send("push", hub.push("a", TWO)))["decision"] == "deploy"  # it has a place already
    assert (await rig.send("push", hub.push("main", TWO)))["decision"] == "deploy"
    await rig.send("push", hub.push("b", ZERO))
    assert (await rig.send("push", hub.push("d", THREE)))["decision"] == "deploy"
    application = (await rig.environments())[0]["application_id"]
    await settings.set_settings(rig.store, application, {"previews": 4})
    assert (await rig.send("push", hub.push("e", THREE)))["decision"] == "deploy"


async def test_every_application_of_the_repository(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("installation", hub.installed())
    worker = await rig.add_application("worker")
    row = await rig.send("push", hub.push("main", ONE), x_github_delivery="both")
    first, second = await rig.deployments()
    assert [first["delivery_id"], second["delivery_id"]] == [row["id"]] * 2
    assert (row["deployment_id"], second["application_id"]) == (first["id"], worker)
    again = await rig.post("push", json.dumps(hub.push("main", ONE)).encode(), x_github_delivery="both")
    assert again.body["deployment_ids"] == [first["id"], second["id"]]
    await settings.set_settings(rig.store, worker, {"mode": "off"})
    row = await rig.send("push", hub.push("topic", TWO))
    assert row["reason"] == ("2222222 was pushed to topic. worker: The mode of worker is off, so nothing is deployed.")
    await settings.set_settings(rig.store, worker, {"mode": "pull_request"})
    await rig.send("pull_request", hub.pull("opened", "topic", TWO))
    assert [row["application_id"] for row in await rig.deployments()][-1] == worker
    closed = await rig.send("pull_request", hub.pull("closed", "topic", TWO))
    assert closed["reason"] == (
        "Pull request #1 was closed. Its environment is removed. "
        "shop: What runs of topic stays until the branch is deleted."
    )
    [removal] = await rig.removals()
    assert removal["environment_id"] == (await rig.deployments())[-1]["environment_id"]


async def test_a_commit_is_deployed_once_whichever_event_comes_first(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("pull_request", hub.pull("opened", "topic", ONE))
    assert (await rig.send("push", hub.push("topic", ONE)))["decision"] == "ignored"
    await rig.send("push", hub.push("topic", TWO))
    assert (await rig.send("pull_request", hub.pull("synchronize", "topic", TWO)))["decision"] == "ignored"
    assert seen(await rig.deployments(), "sha", "cause") == [(ONE, "pull_request"), (TWO, "push")]
    # back to an earlier commit by force, which both events tell of
    assert (await rig.send("push", hub.push("topic", ONE, forced=True)))["decision"] == "deploy"
    assert (await rig.send("pull_request", hub.pull("synchronize", "topic", ONE)))["decision"] == "ignored"


async def test_news_that_come_late(rig: GitHubRig, hub: Hub) -> None:
    old, new = hub.push("main", ONE), hub.push("main", TWO)
    await rig.send("push", new)
    row = await rig.send("push", old)
    assert (row["decision"], row["reason"]) == ("ignored", "A newer push to main was delivered before this one.")
    opened, closed = hub.pull("opened", "topic", ONE), hub.pull("closed", "topic", ONE)
    await rig.send("pull_request", closed)
    row = await rig.send("pull_request", opened)
    assert (row["decision"], row["reason"]) == (
        "ignored",
        "A newer state of this pull request was delivered before.",
    )
    assert (await rig.pulls())[0]["state"] == "closed"
    assert len(await rig.deployments()) == 1


async def test_a_bot_with_a_prefix_of_its_own(rig: GitHubRig, hub: Hub) -> None:
    row = await rig.send("push", hub.push("deps/left-pad", ONE, who="dependabot"))
    assert (row["decision"], row["sender"]) == ("ignored", "dependabot[bot]")
    assert "is a bot's branch" in row["reason"]
    assert (await rig.send("push", hub.push("main", ONE, who="dependabot")))["decision"] == "deploy"


async def test_pull_requests_are_kept(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("push", hub.push("topic", ONE))
    assert await rig.reports("comment") == []
    await rig.send("pull_request", hub.pull("opened", "topic", ONE))
    await rig.send("pull_request", hub.pull("opened", "main", TWO, number=2, fork="gone"))
    await rig.send("pull_request", hub.pull("edited", "topic", ONE, title="Best"))
    kept = seen(await rig.pulls(), "number", "title", "author", "state", "head_ref", "head_sha", "head_repository_id")
    assert kept == [
        (1, "Best", "ada", "open", "topic", ONE, hub.number),
        (2, "Better", "ada", "open", "main", TWO, None),
    ]
    assert await rig.reports("comment") == [{"number": 1}]  # although the push had deployed it already
    await rig.send("pull_request", hub.pull("closed", "topic", ONE))
    assert await rig.reports("comment") == [{"number": 1}] * 2
    assert (await rig.pulls())[0]["state"] == "closed"


async def test_a_forks_branch_is_no_reason_to_deploy_ours_of_that_name(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("installation", hub.installed())
    await rig.mode("pull_request")
    for fork in ("fork", "gone"):
        await rig.send("pull_request", hub.pull("opened", "topic", ONE, fork=fork))
        assert (await rig.send("push", hub.push("topic", TWO)))["decision"] == "ignored"


async def test_a_command_is_stored_once(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("pull_request", hub.pull("opened", "topic", ONE))
    payload = hub.comment("Please:\n/deploy stop")
    row = await rig.send("issue_comment", payload)
    assert (row["decision"], row["reason"]) == ("command", "ada wrote /deploy stop on pull request #1.")
    await rig.send("issue_comment", payload)
    [command] = await rig.commands()
    assert (command["verb"], command["actor"], command["actor_id"], command["number"], command["delivery_id"]) == (
        "stop",
        "ada",
        5,
        1,
        row["id"],
    )
    assert command["commented_at"] == 1_767_225_600.0
    refused = await rig.send("issue_comment", hub.comment("/deploy --force"))
    assert (refused["decision"], (await rig.commands())[-1]["verb"]) == ("command", "refused")


async def test_comments_that_are_no_commands(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("pull_request", hub.pull("opened", "topic", ONE))
    text = "/deploy"
    for payload in (
        hub.comment(text, action="edited"),
        hub.comment(text, action="deleted"),
        hub.comment(text, issue={"number": 1}),
        hub.comment(text, sender=PEOPLE["other bot"]),
        hub.comment(text, sender={**PEOPLE["person"], "id": 8}),
        hub.comment(text, sender=None),
        hub.comment(text, who="other bot", sender=PEOPLE["person"]),
    ):
        assert (await rig.send("issue_comment", payload))["decision"] == "ignored"
    assert await rig.commands() == []


# replay, forgetting


async def test_replay_decides_again(rig: GitHubRig, hub: Hub) -> None:
    await rig.send("installation", hub.installed())
    await rig.mode("off")
    row = await rig.send("push", hub.push("main", ONE))
    assert row["decision"] == "ignored"
    await rig.mode("all")
    answer = await rig.forge.replay(row["id"], "operator")
    assert (answer.status, answer.body["decision"]) == (202, "deploy")
    assert answer.body["delivery"].startswith("replay-")
    once_more = await rig.forge.replay(row["id"], "operator")  # somebody wants it: that it is there does not count
    assert once_more.body["decision"] == "deploy"
    assert seen(await rig.deliveries(), "event", "sender", "decision") == [
        ("installation", "ada", "ignored"),
        ("push", "ada", "ignored"),
        ("push", "operator", "deploy"),
        ("push", "operator", "deploy"),
    ]
    newer = await rig.send("push", hub.push("main", TWO))
    assert newer["decision"] == "deploy"


async def test_what_cannot_be_replayed(rig: GitHubRig, hub: Hub) -> None:
    row = await rig.send("installation", hub.installed())
    with pytest.raises(ConflictError, match="may have changed since"):
        await rig.forge.replay(row["id"], "operator")
    with pytest.raises(NotFoundError):
        await rig.forge.replay(999, "operator")
    async with rig.store.begin() as tx:
        await tx.run(sa.update(deliveries).values(payload_json='{"berth": "too long"}', event="push"))
    with pytest.raises(ConflictError, match="too long"):
        await rig.forge.replay(row["id"], "operator")


async def test_forgetting_keeps_what_github_may_send_again(rig: GitHubRig, hub: Hub) -> None:
    rows = [await rig.send("push", hub.push("main", digit * 40)) for digit in "123"]
    now = time.time()
    async with rig.store.begin() as tx:
        for row, age in zip(rows, (REMEMBERED_SECONDS + 60, REMEMBERED_SECONDS - 60, 0), strict=True):
            change = sa.update(deliveries).where(deliveries.c.id == row["id"])
            await tx.run(change.values(received_at=now - age))
    assert await rig.forge.forget(now) == 1
    assert [row["id"] for row in await rig.deliveries()] == [row["id"] for row in rows[1:]]
    assert len(await rig.deployments()) == 3
