"""What monitors read: whether deployments can be made, and how many of everything there are."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from bot.store.tables import outbox
from tests.web.conftest import Rig

pytestmark = pytest.mark.anyio


async def test_readiness_names_what_is_missing(rig: Rig) -> None:
    answer = await rig.client.get("/readyz", headers={"Authorization": ""})
    assert answer.status_code == 503
    found = answer.json()
    assert found["ready"] is False
    assert found["database"] == "ok"
    assert found["engine"] == "unreachable"
    assert found["edge"] != "ok"
    await rig.berth.store.close()
    assert (await rig.client.get("/readyz")).json()["database"] == "broken"


async def samples(rig: Rig) -> dict[str, float]:
    answer = await rig.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name + "".join(f" {value}" for value in sample.labels.values())] = sample.value
    return found


async def test_metrics_count_what_is_in_the_database(rig: Rig) -> None:
    before = await samples(rig)
    assert before["berth_ready"] == 1
    assert before["berth_outbox_waiting"] == 0
    assert "berth_deployments live" not in before
    await rig.seed_live()
    async with rig.berth.store.begin() as tx:
        report = {"kind": "status", "subject": "status:x", "body_json": "{}", "created_at": time.time() - 100}
        await tx.run(sa.insert(outbox).values(repository_id=1, **report))
    rig.berth.problem = "no engine"
    after = await samples(rig)
    assert after["berth_deployments live"] == 1
    assert after["berth_environments live"] == 1
    assert after["berth_ports leased"] == 1
    assert after["berth_outbox_waiting"] == 1
    assert 99 < after["berth_outbox_oldest_seconds"] < 200
    assert after["berth_ready"] == 0
    assert after["process_resident_memory_bytes"] > 0
    assert any(name.startswith("berth_info") and rig.berth.instance in name for name in after)
