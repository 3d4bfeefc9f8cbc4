"""Deployments by their numbers: looked at, made, started, stopped, deleted; and the other objects of the API."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from bot.deploy.masking import Masker
from bot.store.tables import (
    applications,
    deliveries,
    deployments,
    environments,
    images,
    instances,
    outbox,
    services,
    work,
)
from bot.web import api
from tests.web.conftest import SHA, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def pushed(rig: Rig, repository_id: int, folder: Path, branch: str = "main", **files: str) -> str:
    """A commit with these files on the branch of a repository of the local forge."""
    folder.mkdir(exist_ok=True)

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git("add", ".")
    git("commit", "-q", "-m", "What it is", "--allow-empty")
    git("push", "-q", str(rig.berth.config.data_dir / "git" / f"{repository_id}.git"), f"HEAD:refs/heads/{branch}")
    return git("rev-parse", "HEAD")


async def post(rig: Rig, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
    return await rig.client.post(f"/api/deployments/{path}", json=body or {})


async def test_a_commit_is_looked_at_without_being_deployed(rig: Rig, tmp_path: Path) -> None:
    repository = await rig.repository()
    sha = pushed(rig, repository["id"], tmp_path / "work", index_html="<h1>Hello</h1>")
    answer = await post(rig, "detect", {"repository_id": repository["id"]})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["sha"], found["message"]) == (sha, "What it is")
    assert found["detection"]["stack"] == "static"
    assert "FROM" in found["files"]["Dockerfile"]
    assert "docker-compose.yml" in found["files"]
    assert any(one["path"] == "index.html" for one in found["evidence"])
    assert found["explanation"]
    assert (await post(rig, "detect", {"repository_id": repository["id"], "sha": sha})).json() == found
    assert await rig.berth.store.all(sa.select(deployments)) == []
    assert list((rig.berth.config.data_dir / "tmp").iterdir()) == []


async def test_a_folder_of_a_branch_is_looked_at(rig: Rig, tmp_path: Path) -> None:
    repository = await rig.repository()
    pushed(rig, repository["id"], tmp_path / "work", "feature/x", site__index_html="<p>", README_md="# Hello")
    body = {"repository_id": repository["id"], "ref": "feature/x", "root": "site"}
    assert (await post(rig, "detect", body)).json()["detection"]["stack"] == "static"
    wrong = await post(rig, "detect", body | {"root": "nowhere"})
    assert wrong.status_code == 400
    assert "nowhere" in wrong.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ref": "no-such-branch"}, 404),
        ({"ref": "--upload-pack=touch"}, 400),
        ({"ref": "a..b"}, 400),
        ({"sha": "f" * 40}, 400),
        ({"sha": "main"}, 422),
        ({"sha": "F" * 40}, 422),
        ({"ref": "a b"}, 422),
        ({"branch": "main"}, 422),
        ({"repository_id": 99}, 404),
        ({"repository_id": "1"}, 422),
    ],
)
async def test_what_cannot_be_looked_at_is_refused(rig: Rig, tmp_path: Path, body: dict[str, Any], status: int) -> None:
    repository = await rig.repository()
    pushed(rig, repository["id"], tmp_path / "work", index_html="x")
    answer = await post(rig, "detect", {"repository_id": repository["id"]} | body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


async def test_what_was_created_waits_to_be_started(rig: Rig, tmp_path: Path) -> None:
    repository = await rig.repository()
    head = pushed(rig, repository["id"], tmp_path / "work", index_html="x")
    made = await post(rig, "create", {"application_id": repository["application_id"]})
    assert made.status_code == 201, made.text
    created = made.json()
    assert (created["state"], created["sha"], created["ref"], created["cause"]) == ("created", head, "main", "api")
    assert (created["environment"], created["actor"]) == ("production", "operator")
    assert await rig.berth.store.all(sa.select(work)) == []
    assert await rig.berth.store.all(sa.select(outbox)) == []
    started = await post(rig, "start", {"deployment_id": created["id"]})
    assert (started.status_code, started.json()["state"]) == (202, "queued")
    rows = await rig.berth.store.all(sa.select(work.c.deployment_id, work.c.kind))
    assert rows == [{"deployment_id": created["id"], "kind": "deploy"}]
    assert await rig.berth.store.all(sa.select(outbox))
    again = await post(rig, "start", {"deployment_id": created["id"]})
    assert again.status_code == 409
    assert "queued" in again.json()["detail"]


async def test_starting_supersedes_what_is_queued(rig: Rig) -> None:
    environment, _ = await rig.seed_live()
    first, second = [
        (await post(rig, "create", {"environment_id": environment, "sha": sha * 40})).json()["id"] for sha in "ab"
    ]
    await post(rig, "start", {"deployment_id": second})
    await post(rig, "start", {"deployment_id": first})
    states = [(await rig.client.get(f"/api/deployments/{one}")).json()["state"] for one in (first, second)]
    assert states == ["queued", "superseded"]


async def test_started_twice_at_once_it_is_queued_once(rig: Rig) -> None:
    environment, _ = await rig.seed_live()
    made = (await post(rig, "create", {"environment_id": environment, "sha": SHA})).json()
    answers = await asyncio.gather(*(post(rig, "start", {"deployment_id": made["id"]}) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [202, 409, 409, 409, 409]
    assert len(await rig.berth.store.all(sa.select(work))) == 1


async def test_a_branch_gets_a_preview_and_the_default_branch_production(rig: Rig) -> None:
    repository = await rig.repository()
    body = {"application_id": repository["application_id"], "sha": SHA}
    made = [(await post(rig, "create", body | ref)).json() for ref in ({}, {"ref": "main"}, {"ref": "feature/x"})]
    assert [one["environment"] for one in made] == ["production", "production", "preview/feature/x"]
    both = await post(rig, "create", body | {"environment_id": made[0]["environment_id"]})
    assert both.status_code == 422
    assert (await post(rig, "create", {})).status_code == 422
    assert (await post(rig, "create", {"application_id": 99, "sha": SHA})).status_code == 404
    assert (await post(rig, "create", body | {"ref": "bad..name"})).status_code == 400


@pytest.mark.parametrize("kind", ["stop", "restart"])
async def test_stop_and_restart_are_for_what_is_live(rig: Rig, kind: str) -> None:
    environment, live = await rig.seed_live()
    old = await rig.deployment(environment, "retired")
    answer = await post(rig, f"{kind}/{old}")
    assert answer.status_code == 409
    assert f"deployment {live} is what is live" in answer.json()["detail"]
    accepted = await post(rig, f"{kind}/{live}")
    assert accepted.status_code == 202
    row = await rig.berth.store.one(sa.select(work).where(work.c.id == accepted.json()["work_id"]))
    assert row is not None
    assert (row["kind"], row["environment_id"]) == (kind, environment)
    assert (await post(rig, f"{kind}/99")).status_code == 404


async def test_stop_where_nothing_is_live_says_so(rig: Rig) -> None:
    repository = await rig.repository()
    failed = await rig.deployment(await rig.environment(repository["application_id"]), "failed")
    answer = await post(rig, f"stop/{failed}")
    assert (answer.status_code, "nothing is live" in answer.json()["detail"]) == (409, True)


async def test_rollback_goes_back_to_the_one_named(rig: Rig) -> None:
    environment, first = await rig.seed_live()
    second = await rig.deployment(environment, "live")
    failed = await rig.deployment(environment, "failed")
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.update(deployments).where(deployments.c.id == first).values(state="retired"))
    answer = await post(rig, f"rollback/{first}")
    assert answer.status_code == 202
    assert answer.json()["source_deployment_id"] == first
    assert (await post(rig, f"rollback/{second}")).status_code == 409
    assert (await post(rig, f"rollback/{failed}")).status_code == 409


@pytest.mark.parametrize(("query", "volumes"), [("", "false"), ("?volumes=false", "false"), ("?volumes=true", "true")])
async def test_deleting_the_live_one_removes_its_environment(rig: Rig, query: str, volumes: str) -> None:
    _, live = await rig.seed_live()
    answer = await rig.client.delete(f"/api/deployments/{live}{query}")
    assert answer.status_code == 202
    row = await rig.berth.store.one(sa.select(work).where(work.c.id == answer.json()["work_id"]))
    assert row is not None
    assert row["kind"] == "remove"
    assert f'"volumes": {volumes}' in row["arguments_json"]
    assert (await rig.client.get(f"/api/deployments/{live}")).status_code == 200


async def test_deleting_another_deletes_its_record_log_and_image(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, live = await rig.seed_live()
    removed: list[str] = []

    async def remove_image(image_id: str) -> bool:
        removed.append(image_id)
        return True

    monkeypatch.setattr(rig.berth.engine, "remove_image", remove_image)
    shared = [await rig.deployment(environment, "retired", image_id="sha256:shared") for _ in range(2)]
    alone = await rig.deployment(environment, "retired", image_id="sha256:alone")
    values = {"key": "k", "repository_id": 1, "image_id": "sha256:alone", "created_at": 1.0}
    async with rig.berth.store.begin() as tx:
        await tx.run(images.insert().values(values))
    writer = await rig.berth.logs.open_deployment(alone, Masker(()))
    writer.write("hello", source="berth")
    await writer.close()
    folder = rig.berth.config.data_dir / "logs" / str(alone)
    assert folder.is_dir()
    assert (await rig.client.delete(f"/api/deployments/{alone}")).status_code == 204
    assert not folder.exists()
    assert removed == ["sha256:alone"]
    assert await rig.berth.store.all(sa.select(images)) == []
    assert (await rig.client.get(f"/api/deployments/{alone}")).status_code == 404
    assert (await rig.client.delete(f"/api/deployments/{alone}")).status_code == 404
    assert (await rig.client.delete(f"/api/deployments/{shared[0]}")).status_code == 204
    assert removed == ["sha256:alone"]
    assert (await rig.client.get(f"/api/deployments/{live}")).status_code == 200


@pytest.mark.parametrize("state", ["queued", "running"])
async def test_what_is_under_way_is_not_deleted(rig: Rig, state: str) -> None:
    environment, _ = await rig.seed_live()
    one = await rig.deployment(environment, state)
    answer = await rig.client.delete(f"/api/deployments/{one}")
    assert (answer.status_code, state in answer.json()["detail"]) == (409, True)


async def test_what_still_drains_is_not_deleted(rig: Rig) -> None:
    environment, _ = await rig.seed_live()
    service = (await rig.berth.store.all(sa.select(services.c.id)))[0]["id"]
    one = await rig.deployment(environment, "retired")
    values = {"slot": 0, "address": "10.0.0.2", "state": "draining", "created_at": 1.0}
    async with rig.berth.store.begin() as tx:
        await tx.run(instances.insert().values(deployment_id=one, service_id=service, **values))
    assert (await rig.client.delete(f"/api/deployments/{one}")).status_code == 409


async def test_the_history_of_a_repository_in_pages(rig: Rig) -> None:
    environment, live = await rig.seed_live()
    repository = (await rig.client.get("/api/repositories")).json()[0]
    preview = await rig.environment(repository["application_id"], "branch", "x")
    made = [live]
    for number in range(5):
        made.append(await rig.deployment(environment, "failed", created_at=1_000.0 + number))
        made.append(await rig.deployment(preview, "retired", ref="x", created_at=2_000.0 + number))
    path = f"/api/deployments/repo/{repository['id']}"

    async def listed(**query: Any) -> list[int]:
        found: list[int] = []
        while True:
            answer = await rig.client.get(path, params=query)
            assert answer.status_code == 200, answer.text
            found += [one["id"] for one in answer.json()["items"]]
            if answer.json()["next_cursor"] is None:
                return found
            query["cursor"] = answer.json()["next_cursor"]

    assert await listed() == made[::-1]
    assert await listed(limit=3) == made[::-1]
    assert await listed(limit=11) == made[::-1]
    assert len(await listed(branch="x", limit=2)) == 5
    assert await listed(state="live") == [live]
    assert len(await listed(application=repository["application_id"])) == 11
    assert await listed(application=99) == []
    assert len(await listed(until="1970-01-01T00:16:42Z")) == 2
    assert len(await listed(since="1970-01-01T00:33:20Z", until="1970-01-01T01:00:00+00:00")) == 5
    items = (await rig.client.get(path, params={"state": "live"})).json()["items"]
    assert (items[0]["environment"], items[0]["application"], items[0]["url"]) == (
        "production",
        "shop",
        "http://127.0.0.1:20007",
    )
    for wrong in (
        "state=happy",
        "since=yesterday",
        "cursor=x",
        "cursor=2147483648",  # more than a column of PostgreSQL holds
        "limit=0",
        "limit=501",
        "colour=red",
        "limit=1&limit=2",
    ):
        assert (await rig.client.get(f"{path}?{wrong}")).status_code == 422, wrong


async def test_logs_are_the_last_hundred_lines_unless_said_otherwise(rig: Rig) -> None:
    _, live = await rig.seed_live()
    writer = await rig.berth.logs.open_deployment(live, Masker(("hunter22",)))
    for number in range(150):
        writer.write(f"line {number} hunter22", source="build")
    await writer.close()
    path = f"/api/deployments/{live}/logs"
    page = (await rig.client.get(path)).json()
    assert len(page["lines"]) == 100
    assert page["lines"][-1]["text"].startswith("line 149")
    assert "hunter22" not in str(page)
    assert (await rig.client.get(path, params={"offset": page["next_offset"]})).json()["lines"] == []
    assert len((await rig.client.get(path, params={"tail": 7})).json()["lines"]) == 7
    assert (await rig.client.get("/api/deployments/99/logs")).status_code == 404


async def test_applications_are_added_and_removed(rig: Rig) -> None:
    repository = await rig.repository()
    body = {"repository_id": repository["id"], "name": "api", "root": "services//api/"}
    made = await rig.client.post("/api/applications", json=body)
    assert (made.status_code, made.json()["root"]) == (201, "services/api")
    assert (await rig.client.post("/api/applications", json=body)).status_code == 409
    bad = await rig.client.post("/api/applications", json=body | {"name": "b", "root": "../x"})
    assert bad.status_code == 400
    assert len(await rig.berth.store.all(sa.select(applications))) == 2
    listed = (await rig.client.get("/api/applications", params={"repository": repository["id"]})).json()
    assert [one["name"] for one in listed] == ["api", "shop"]
    assert (await rig.client.get("/api/applications?repository=99")).json() == []
    settings = (await rig.client.get(f"/api/applications/{made.json()['id']}/settings")).json()
    assert next(one["value"] for one in settings if one["key"] == "root") == "services/api"
    assert (await rig.client.delete(f"/api/applications/{made.json()['id']}")).status_code == 204
    only = await rig.client.delete(f"/api/applications/{repository['application_id']}")
    assert (only.status_code, "only application" in only.json()["detail"]) == (409, True)


async def test_ports_are_reserved_allocated_and_released(rig: Rig) -> None:
    environment, _ = await rig.seed_live()
    made = await rig.client.post("/api/ports/reserve", json={"port": 20_050, "note": "ours"})
    assert (made.status_code, made.json()["state"], made.json()["note"]) == (201, "reserved", "ours")
    assert (await rig.client.get("/api/ports/20050")).json() == made.json()
    assert (await rig.client.get("/api/ports/20051")).status_code == 404
    assert (await rig.client.post("/api/ports/reserve", json={"port": 20_007})).status_code == 400
    assert (await rig.client.post("/api/ports/reserve", json={"port": 80})).status_code == 400
    assert [one["port"] for one in (await rig.client.get("/api/ports?state=reserved")).json()] == [20_050]
    allocated = await rig.client.post("/api/ports/allocate", json={"environment_id": environment})
    assert allocated.json() == {"port": 20_007}
    other = {"environment_id": environment, "service": "worker"}
    assert (await rig.client.post("/api/ports/allocate", json=other)).status_code == 404
    busy = await rig.client.post("/api/ports/release", json={"port": 20_007})
    assert (busy.status_code, "runs" in busy.json()["detail"]) == (409, True)
    async with rig.berth.store.begin() as tx:
        await tx.run(sa.text("UPDATE services SET live_slot = NULL"))
    assert (await rig.client.post("/api/ports/release", json={"port": 20_007})).status_code == 204
    assert (await rig.client.get("/api/ports/20007")).json()["state"] == "quarantined"
    assert (await rig.client.post("/api/ports/release", json={"port": 20_007})).status_code == 409
    assert (await rig.client.post("/api/ports/release", json={"port": 20_050})).status_code == 204
    assert (await rig.client.post("/api/ports/release", json={"port": 20_050})).status_code == 404
    again = (await rig.client.post("/api/ports/allocate", json={"environment_id": environment})).json()
    assert again["port"] != 20_007


async def test_deliveries_are_listed_with_their_decisions(rig: Rig) -> None:
    repository = await rig.repository()
    values = {"forge_id": rig.berth.forge.id, "hook_id": "1", "event": "push", "received_at": time.time()}
    async with rig.berth.store.begin() as tx:
        for number in range(5):
            one = {"delivery_id": str(number), "payload_json": '{"ref": "x"}', "repository_id": repository["id"]}
            decided = {"decision": "deploy" if number else "ignored", "reason": "because"}
            await tx.run(deliveries.insert().values(values | one | decided))
    page = (await rig.client.get("/api/deliveries", params={"limit": 3})).json()
    rest = (await rig.client.get("/api/deliveries", params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [one["delivery_id"] for one in page["items"] + rest["items"]] == ["4", "3", "2", "1", "0"]
    assert rest["next_cursor"] is None
    ignored = (await rig.client.get("/api/deliveries", params={"decision": "ignored"})).json()["items"]
    assert [one["delivery_id"] for one in ignored] == ["0"]
    shown = (await rig.client.get(f"/api/deliveries/{ignored[0]['id']}")).json()
    assert (shown["payload"], shown["reason"]) == ({"ref": "x"}, "because")
    assert (await rig.client.post("/api/deliveries/99/replay")).status_code == 404


async def test_the_document_and_the_page_describe_every_route(rig: Rig) -> None:
    stranger = {"Authorization": ""}
    made = (await rig.client.get("/openapi.json", headers=stranger)).json()
    assert made["openapi"] == "3.1.0"
    told = {(path, method.upper()) for path, methods in made["paths"].items() for method in methods}
    there = {(one.path.replace(":int", ""), one.method) for one in api.endpoints()}
    assert told == there
    identifiers = [one["operationId"] for methods in made["paths"].values() for one in methods.values()]
    assert len(set(identifiers)) == len(identifiers)
    page = await rig.client.get("/docs", headers=stranger)
    assert page.status_code == 200
    for path, method in there:
        assert f"{method} {path}" in page.text
    assert "http://" not in page.text.replace("http://127.0.0.1", "")
    assert "https://" not in page.text


async def test_what_is_not_there_is_refused_like_the_rest(rig: Rig) -> None:
    answer = await rig.client.get("/api/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    answer = await rig.client.put("/api/deployments/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_removed_environment_takes_no_deployment(rig: Rig) -> None:
    environment, live = await rig.seed_live()
    made = (await post(rig, "create", {"environment_id": environment, "sha": SHA})).json()
    async with rig.berth.store.begin() as tx:
        values = {"state": "removed", "live_deployment_id": None}
        await tx.run(sa.update(environments).values(values))
    assert (await post(rig, "create", {"environment_id": environment, "sha": SHA})).status_code == 409
    assert (await post(rig, "start", {"deployment_id": made["id"]})).status_code == 409
    assert (await post(rig, f"stop/{live}")).status_code == 409


async def test_what_was_only_created_is_not_the_newest(rig: Rig) -> None:
    environment, live = await rig.seed_live()
    made = (await post(rig, "create", {"environment_id": environment, "sha": "b" * 40})).json()
    shown = (await rig.client.get(f"/api/environments/{environment}")).json()
    assert shown["latest"]["id"] == live
    again = (await rig.client.post(f"/api/environments/{environment}/deploy", json={})).json()
    assert (again["sha"], again["id"] > made["id"]) == (SHA, True)
