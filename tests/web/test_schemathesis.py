"""schemathesis asks the whole server, over HTTP, what its description allows and much that it does not.

Left out are the two streams, which go on for ever by design.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from bot.deploy.queue import Queue
from bot.web import api
from bot.web.api import repositories
from bot.web.openapi import document
from tests.web.served import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

schema = schemathesis.openapi.from_dict(document(api.endpoints())).exclude(
    path=["/api/deployments/{id}/stream", "/api/environments/{id}/logs"]
)
# what fits the description may still be refused for what it means: a branch that git would not have
schema.config.checks.positive_data_acceptance.expected_statuses += ["400"]
schema.config.checks.not_a_server_error.expected_statuses += ["503"]  # there is no engine here


def fill(server: Served) -> None:
    """A repository in which there is something of everything."""
    with httpx2.Client(base_url=server.url, headers=server.headers) as client:
        assert client.post("/api/repositories", json={"name": "shop"}).status_code == 201
        body: dict[str, Any] = {"application_id": 1, "sha": "1" * 40}
        for _ in range(3):
            assert client.post("/api/deployments/create", json=body).status_code == 201
        assert client.post("/api/deployments/start", json={"deployment_id": 3}).status_code == 202
        assert client.post("/api/ports/reserve", json={"port": 20_001}).status_code == 201


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    patch = pytest.MonkeyPatch()
    patch.setattr(repositories, "_REMOVAL", 0.1)  # seconds: nothing ends here, so nobody needs to wait for it
    wait = Queue.wait
    patch.setattr(Queue, "wait", lambda queue, work, _: wait(queue, work, 0.05))
    server = Served(tmp_path_factory.mktemp("served"))
    fill(server)
    yield server
    server.close()
    patch.undo()


@schema.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_the_server_keeps_to_its_description(case: Any, served: Served) -> None:
    case.call_and_validate(base_url=served.url, headers=served.headers, timeout=20)


def test_all_checks_are_made() -> None:
    names = set(CHECKS.get_all_names())
    assert {"not_a_server_error", "response_schema_conformance", "negative_data_rejection"} <= names
