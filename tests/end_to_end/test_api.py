"""A deployment through the API alone: looked at, created, started, stopped, restarted, deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Server, Work, get, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Make = Callable[[str], Work]


def deployments(server: Server, what: str, body: Any = None, method: str = "POST") -> Any:
    return server.api(method, f"/api/deployments/{what}", body)


def work_done(server: Server, accepted: dict[str, Any]) -> None:
    done = until(lambda: server.api("GET", f"/api/work/{accepted['work_id']}?wait=20")["state"] == "done", "it ends")
    assert done
    assert server.api("GET", f"/api/work/{accepted['work_id']}")["outcome"] == ""


def test_the_life_of_a_deployment_by_its_number(server: Server, work: Make) -> None:
    shop = work("api-shop")
    first_sha = shop.commit(PLAIN)
    shop.push()
    first = server.settled(shop.name)["live"]
    second_sha = shop.commit({"index.html": "two\n"})
    shop.push()
    environment = server.settled(shop.name)
    second = environment["live"]
    assert get(environment["url"]).body == "two\n"

    found = deployments(server, "detect", {"repository_id": environment["repository_id"], "sha": first_sha})
    assert found["sha"] == first_sha
    assert found["detection"]["stack"] == "dockerfile"
    assert "docker-compose.yml" in found["files"]

    made = deployments(server, "create", {"environment_id": environment["id"]})
    assert (made["sha"], made["state"]) == (second_sha, "created")
    again = deployments(server, "create", {"environment_id": environment["id"], "sha": first_sha})
    deployments(server, "start", {"deployment_id": again["id"]})
    until(lambda: deployments(server, str(again["id"]), method="GET")["state"] == "live", "it is live", 120)
    assert get(environment["url"]).body == "one\n"

    back = deployments(server, f"rollback/{second['id']}")
    until(lambda: deployments(server, str(back["id"]), method="GET")["state"] == "live", "it is live", 120)
    assert get(environment["url"]).body == "two\n"
    work_done(server, deployments(server, f"restart/{back['id']}"))
    assert get(environment["url"]).body == "two\n"
    work_done(server, deployments(server, f"stop/{back['id']}"))
    assert server.api("GET", f"/api/environments/{environment['id']}")["state"] == "stopped"

    listed = deployments(server, f"repo/{environment['repository_id']}?limit=3", method="GET")
    assert [one["id"] for one in listed["items"]] == [back["id"], again["id"], made["id"]]
    assert listed["next_cursor"]
    deployments(server, str(first["id"]), method="DELETE")
    deployments(server, str(made["id"]), method="DELETE")
    listed = deployments(server, f"repo/{environment['repository_id']}", method="GET")
    assert {one["id"] for one in listed["items"]} == {second["id"], again["id"], back["id"]}
    work_done(server, deployments(server, f"{back['id']}?volumes=true", method="DELETE"))
    assert server.api("GET", f"/api/environments/{environment['id']}")["state"] == "removed"
    assert server.environment_of(shop.name) is None
