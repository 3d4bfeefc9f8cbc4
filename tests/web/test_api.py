"""The HTTP API: who may call it, what it answers, what it refuses."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from bot.store.tables import environments, work
from bot.web import api
from bot.web.http import BODY_LIMIT
from tests.web.conftest import SHA, TOKEN, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def api_routes() -> list[tuple[str, str]]:
    """All (method, path) of the API, with 1 for every parameter."""
    found = []
    for route in api.endpoints():
        path = route.path.replace("{id:int}", "1").replace("{port:int}", "20000").replace("{name}", "NAME")
        found.append((route.method, path))
    return found


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
async def test_every_route_but_the_probes_needs_a_token(rig: Rig, header: str | None) -> None:
    routes = api_routes()
    assert len(routes) > 25
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=rig.app), base_url="http://localhost:8420")
    async with client:
        for method, path in routes:
            answer = await client.request(method, path, headers={"Authorization": header} if header is not None else {})
            expected = {"/healthz": 200, "/readyz": 503}.get(path, 401)
            assert answer.status_code == expected, (method, path, answer.text)
            if expected == 401:
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.headers["content-type"] == "application/problem+json"


async def test_a_session_cookie_opens_no_route_of_the_api(rig: Rig) -> None:
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=rig.app), base_url="http://localhost:8420")
    async with client:
        form = {"token": TOKEN, "next": "/"}
        signed_in = await client.post("/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
        assert signed_in.status_code == 303
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/api/environments")).status_code == 401


async def test_every_route_answers_the_operator_without_a_fault(rig: Rig) -> None:
    """On an empty database: found or not found, refused or accepted, but never 401 or 5xx."""
    for method, path in api_routes():
        answer = await rig.client.request(method, path)
        fine = {503} if path == "/readyz" else {200, 201, 202, 204, 400, 404, 409, 422}
        assert answer.status_code in fine, (method, path, answer.text)


async def test_an_empty_token_opens_nothing_even_if_that_is_the_one_kept(rig: Rig) -> None:
    rig.berth.operator_token = ""
    for header in ("", "Bearer", "Bearer "):
        assert (await rig.client.get("/api/system", headers={"Authorization": header})).status_code == 401
    form = {"headers": {"Origin": "http://localhost:8420"}, "data": {"token": "", "next": "/"}}
    assert (await rig.client.post("/sign-in", **form)).status_code == 403  # type: ignore[arg-type]


async def test_a_stream_token_opens_the_deployments_of_its_repository_only(rig: Rig) -> None:
    mine, other = await rig.repository("mine"), await rig.repository("other")
    made = [await rig.environment(one["application_id"]) for one in (mine, other)]
    first, second = [await rig.deployment(one, "failed", reason="no") for one in made]
    headers = {"Authorization": f"Bearer {rig.berth.stream_tokens.issue(mine['id'])}"}
    assert (await rig.client.get(f"/api/deployments/{first}/stream", headers=headers)).status_code == 200
    assert (await rig.client.get(f"/api/deployments/{second}/stream", headers=headers)).status_code == 404
    assert (await rig.client.get("/api/deployments/99/stream", headers=headers)).status_code == 404
    assert (await rig.client.get(f"/api/deployments/{first}", headers=headers)).status_code == 401
    assert (await rig.client.get("/api/environments", headers=headers)).status_code == 401


async def test_repositories_are_made_once_and_keyed_by_their_source(rig: Rig) -> None:
    first = await rig.repository("shop")
    assert await rig.repository("Shop") == first
    assert first["remote_url"].startswith("http://berth:")
    assert first["remote_url"].endswith("@localhost:8420/git/shop.git")
    one = await rig.repository("shop", "/srv/a/shop")
    two = await rig.repository("shop", "/srv/b/shop")
    assert (one["name"], two["name"]) == ("shop-2", "shop-3")
    assert (await rig.repository("renamed", "/srv/a/shop"))["id"] == one["id"]
    listed = (await rig.client.get("/api/repositories")).json()
    assert [row["name"] for row in listed] == ["shop", "shop-2", "shop-3"]


async def test_at_the_same_time_a_source_gets_one_repository(rig: Rig) -> None:
    made = await asyncio.gather(*(rig.repository("shop", "/srv/shop") for _ in range(5)))
    assert len({row["id"] for row in made}) == 1


@pytest.mark.parametrize("name", ["../x", "", "a b", "-x", "x.git"])
async def test_bad_names_are_refused(rig: Rig, name: str) -> None:
    answer = await rig.client.post("/api/repositories", json={"name": name})
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert answer.json()["fix"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[]", 422),
        (b'{"name": 3}', 422),
        (b'{"name": "x", "colour": "red"}', 422),
        (b"\xff\xfe", 422),
        (b'{"name": "' + b"x" * BODY_LIMIT + b'"}', 413),
        (b"[" * 100_000, 422),
    ],
)
async def test_bad_bodies_are_refused_in_words(rig: Rig, body: bytes, status: int) -> None:
    answer = await rig.client.post("/api/repositories", content=body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "fix"}
    assert problem["status"] == status
    assert problem["detail"]


async def test_environments_and_deployments_are_shown(rig: Rig) -> None:
    environment, deployment = await rig.seed_live()
    listed = (await rig.client.get("/api/environments", params={"repository": "shop"})).json()
    assert [one["id"] for one in listed] == [environment]
    assert listed[0]["url"] == "http://127.0.0.1:20007"
    assert listed[0]["live"]["id"] == deployment
    assert (await rig.client.get("/api/environments", params={"repository": "other"})).json() == []
    assert (await rig.client.get(f"/api/environments/{environment}")).json() == listed[0]
    history = (await rig.client.get(f"/api/environments/{environment}/deployments")).json()
    assert [one["sha"] for one in history] == [SHA]
    full = (await rig.client.get(f"/api/deployments/{deployment}")).json()
    assert [phase["phase"] for phase in full["phases"]][-1] == "switch"
    files = (await rig.client.get(f"/api/deployments/{deployment}/files")).json()
    assert files["files"]["Dockerfile"] == "FROM scratch\n"
    assert files["evidence"][0]["path"] == "package.json"
    listed_ports = (await rig.client.get("/api/ports")).json()
    assert [(one["port"], one["repository"], one["service"]) for one in listed_ports] == [(20_007, "shop", "web")]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=1e3", "limit=99999999999999999999999"])
async def test_bad_numbers_are_refused(rig: Rig, query: str) -> None:
    environment, _ = await rig.seed_live()
    answer = await rig.client.get(f"/api/environments/{environment}/deployments?{query}")
    assert answer.status_code == 422


@pytest.mark.parametrize("kind", ["stop", "start", "restart"])
async def test_work_is_queued_and_can_be_waited_for(rig: Rig, kind: str) -> None:
    environment, _ = await rig.seed_live()
    answer = await rig.client.post(f"/api/environments/{environment}/{kind}")
    assert answer.status_code == 202
    work_id = answer.json()["work_id"]
    shown = (await rig.client.get(f"/api/work/{work_id}", params={"wait": 0})).json()
    assert shown == {"id": work_id, "kind": kind, "state": "queued", "outcome": ""}
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(work).values(state="done", outcome="no"))
    assert (await rig.client.get(f"/api/work/{work_id}?wait=30")).json()["outcome"] == "no"
    assert (await rig.client.get("/api/work/99?wait=1")).status_code == 404
    for path in ("work", "deployments", "environments"):
        assert (await rig.client.get(f"/api/{path}/{2**63}")).status_code == 404


async def test_removal_says_whether_volumes_go_too(rig: Rig) -> None:
    environment, _ = await rig.seed_live()
    await rig.client.delete(f"/api/environments/{environment}")
    await rig.client.delete(f"/api/environments/{environment}?volumes=true")
    rows = await rig.berth.store.all(sa.select(work.c.arguments_json).order_by(work.c.id))
    assert ['"volumes": true' in row["arguments_json"] for row in rows] == [False, True]


async def test_a_rollback_without_an_earlier_deployment_is_a_conflict(rig: Rig) -> None:
    environment, _ = await rig.seed_live()
    answer = await rig.client.post(f"/api/environments/{environment}/rollback", json={})
    assert answer.status_code == 409
    answer = await rig.client.post(f"/api/environments/{environment}/rollback", json={"deployment_id": 77})
    assert answer.status_code == 404


async def test_rollback_and_redeploy_make_deployments(rig: Rig) -> None:
    environment, first = await rig.seed_live()
    second = await rig.deployment(environment, "live")
    answer = await rig.client.post(f"/api/environments/{environment}/rollback", json={"deployment_id": first})
    assert answer.status_code == 202
    assert answer.json()["source_deployment_id"] == first
    answer = await rig.client.post(f"/api/environments/{environment}/deploy", json={})
    assert answer.status_code == 202
    assert answer.json()["id"] > second


async def test_cancelling_what_has_ended_is_a_conflict(rig: Rig) -> None:
    environment, live = await rig.seed_live()
    assert (await rig.client.post(f"/api/deployments/{live}/cancel")).status_code == 409
    queued = (await rig.client.post(f"/api/environments/{environment}/deploy", json={})).json()
    answer = await rig.client.post(f"/api/deployments/{queued['id']}/cancel")
    assert answer.status_code == 202
    assert answer.json()["state"] == "cancelled"


async def test_settings_are_set_shown_and_taken_back(rig: Rig) -> None:
    application = (await rig.repository())["application_id"]
    path = f"/api/applications/{application}/settings"
    answer = await rig.client.put(path, json={"port": "8080", "start_command": "node x.js"})
    assert answer.status_code == 200, answer.text
    shown = {one["key"]: one for one in answer.json()}
    assert shown["port"]["value"] == 8080
    assert shown["port"]["source"] == "set in Berth"
    await rig.client.put(path, json={"port": None})
    shown = {one["key"]: one for one in (await rig.client.get(path)).json()}
    assert shown["port"]["value"] is None
    assert shown["start_command"]["value"] == "node x.js"


@pytest.mark.parametrize("body", [{"colour": "red"}, {"port": "many"}, {"port": 0}, {"start_command": "a\nb"}])
async def test_wrong_settings_change_nothing(rig: Rig, body: dict[str, Any]) -> None:
    application = (await rig.repository())["application_id"]
    path = f"/api/applications/{application}/settings"
    before = (await rig.client.get(path)).json()
    answer = await rig.client.put(path, json={"health_path": "/up"} | body)
    assert answer.status_code == 400
    assert next(iter(body)) in answer.json()["detail"]
    assert (await rig.client.get(path)).json() == before


async def test_variables_keep_their_secrets(rig: Rig) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"], "branch", "x")
    path = f"/api/applications/{repository['application_id']}/variables"
    body = [
        {"name": "A", "value": "1"},
        {"name": "SECRET", "value": "hidden-value", "secret": True, "build": True},
        {"name": "A", "value": "2", "scope": "environment", "environment": environment},
    ]
    answer = await rig.client.put(path, json=body)
    assert answer.status_code == 200, answer.text
    assert "hidden-value" not in answer.text
    shown = {(one["name"], one["scope"]): one for one in answer.json()}
    assert shown["A", "application"]["value"] == "1"
    assert shown["A", "environment"]["environment"] == "preview/x"
    assert shown["SECRET", "application"]["value"] is None
    assert shown["SECRET", "application"]["build"] is True
    gone = await rig.client.delete(f"{path}/A", params={"scope": "environment", "environment": environment})
    assert gone.status_code == 204
    assert (await rig.client.delete(f"{path}/A?scope=previews")).status_code == 404
    assert (await rig.client.delete(f"{path}/A?scope=everywhere")).status_code == 422
    assert [one["name"] for one in (await rig.client.get(path)).json()] == ["A", "SECRET"]


async def test_variables_of_a_foreign_environment_are_refused(rig: Rig) -> None:
    mine, other = await rig.repository("mine"), await rig.repository("other")
    foreign = await rig.environment(other["application_id"])
    body = [{"name": "A", "value": "1", "scope": "environment", "environment": foreign}]
    answer = await rig.client.put(f"/api/applications/{mine['application_id']}/variables", json=body)
    assert answer.status_code == 404


async def test_system_says_what_is_wrong(rig: Rig) -> None:
    shown = (await rig.client.get("/api/system")).json()
    assert shown["engine"]["ok"] is False
    assert shown["edge"]["ok"] is False
    assert shown["queue"] == {"queued": 0, "running": 0}
    assert shown["disk_free"] > 0


async def test_health_is_public_and_notices_a_dead_database(rig: Rig) -> None:
    assert (await rig.client.get("/healthz", headers={"Authorization": ""})).text == "ok"
    await rig.berth.store.close()
    assert (await rig.client.get("/healthz")).status_code == 503
    answer = await rig.client.get("/api/environments")
    assert answer.status_code == 500
    assert answer.json()["detail"] == "A mistake inside Berth."


async def test_a_repository_is_removed_once_its_environments_are(rig: Rig) -> None:
    repository = await rig.repository()
    environment = await rig.environment(repository["application_id"])

    async def carry_out() -> None:
        for _ in range(500):
            if await rig.berth.store.one(sa.select(work.c.id)):
                break
            await asyncio.sleep(0.01)
        async with rig.berth.store.begin() as tx:
            await tx.run(sa.update(environments).where(environments.c.id == environment).values(state="removed"))
            await tx.run(sa.update(work).values(state="done", finished_at=time.time()))
        async with rig.berth.queue._changed:
            rig.berth.queue._changed.notify_all()

    worker = asyncio.create_task(carry_out())
    answer = await rig.client.delete(f"/api/repositories/{repository['id']}")
    await worker
    assert answer.status_code == 204, answer.text
    assert (await rig.client.get("/api/repositories")).json() == []
    assert (await rig.client.delete(f"/api/repositories/{repository['id']}")).status_code == 404
