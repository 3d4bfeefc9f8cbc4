"""Environments and deployments as people and programs see them: one shape for API, pages and command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from bot.config import Config
from bot.deploy import states
from bot.errors import NotFoundError
from bot.store.database import Row, Store
from bot.store.tables import (
    applications,
    databases,
    deployments,
    environments,
    instances,
    ports,
    repositories,
    services,
)

View = dict[str, Any]

SUMMARY = (
    "id",
    "environment_id",
    "sha",
    "ref",
    "message",
    "actor",
    "cause",
    "state",
    "phase",
    "step",
    "reason",
    "fix",
    "source_deployment_id",
)


def iso(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


async def environment_views(
    store: Store, config: Config, *, repository: str | None = None, environment_id: int | None = None
) -> list[View]:
    """Environments that are not removed (one asked for by id: in any state), by repository, production first."""
    query = (
        sa.select(
            environments,
            applications.c.name.label("application"),
            repositories.c.id.label("repository_id"),
            repositories.c.name.label("repository"),
        )
        .join_from(environments, applications)
        .join(repositories, repositories.c.id == applications.c.repository_id)
        .order_by(repositories.c.name, environments.c.kind.desc(), environments.c.ref)
    )
    if environment_id is not None:
        query = query.where(environments.c.id == environment_id)
    else:
        query = query.where(environments.c.state != "removed", repositories.c.removed_at.is_(None))
    if repository is not None:
        query = query.where(repositories.c.name == repository)
    rows = await store.all(query)
    ids = [row["id"] for row in rows]
    served = await _services(store, config, ids)
    newest = sa.select(sa.func.max(deployments.c.id)).where(
        deployments.c.environment_id.in_(ids), deployments.c.state != "created"
    )
    wanted = [row["live_deployment_id"] for row in rows if row["live_deployment_id"]]
    found = await store.all(
        sa.select(*_summary_columns()).where(
            sa.or_(deployments.c.id.in_(wanted), deployments.c.id.in_(newest.group_by(deployments.c.environment_id)))
        )
    )
    views = []
    for row in rows:
        mine = served.get(row["id"], [])
        url = next((service["url"] for service in mine if service["url"]), None)
        summaries = [deployment_summary(entry, url) for entry in found if entry["environment_id"] == row["id"]]
        views.append(
            {
                "id": row["id"],
                "application_id": row["application_id"],
                "application": row["application"],
                "repository_id": row["repository_id"],
                "repository": row["repository"],
                "kind": row["kind"],
                "ref": row["ref"],
                "label": states.label(row["kind"], row["ref"]),
                "state": row["state"],
                "reason": row["reason"],
                "url": url,
                "services": mine,
                "live": _live(summaries, row["live_deployment_id"]),
                "latest": max(summaries, key=lambda entry: int(entry["id"]), default=None),
                "created_at": iso(row["created_at"]),
            }
        )
    return views


def _live(summaries: list[View], deployment_id: int | None) -> View | None:
    """What the deployments themselves say goes before the environment's row, which was read a moment earlier."""
    switched = next((entry for entry in summaries if entry["state"] == "live"), None)
    return switched or next((entry for entry in summaries if entry["id"] == deployment_id), None)


async def environment_view(store: Store, config: Config, environment_id: int) -> View:
    """Raises NotFoundError."""
    views = await environment_views(store, config, environment_id=environment_id)
    if not views:
        raise NotFoundError(f"There is no environment {environment_id}.")
    return views[0]


async def deployment_views(store: Store, config: Config, *, environment_id: int, limit: int = 100) -> list[View]:
    """The deployments of an environment, newest first."""
    rows = await store.all(
        sa.select(*_summary_columns())
        .where(deployments.c.environment_id == environment_id)
        .order_by(deployments.c.id.desc())
        .limit(limit)
    )
    url = (await environment_view(store, config, environment_id))["url"]
    return [deployment_summary(row, url) for row in rows]


async def deployment_view(store: Store, config: Config, deployment_id: int) -> View:
    """Everything about one deployment. Raises NotFoundError."""
    row = await store.one(sa.select(deployments).where(deployments.c.id == deployment_id))
    if row is None:
        raise NotFoundError(f"There is no deployment {deployment_id}.")
    environment = await environment_view(store, config, row["environment_id"])
    made = await store.all(
        sa.select(instances, services.c.name.label("service"))
        .join(services, services.c.id == instances.c.service_id)
        .where(instances.c.deployment_id == deployment_id)
        .order_by(instances.c.id)
    )
    view = deployment_summary(row, environment["url"])
    view |= {
        "environment": environment["label"],
        "repository": environment["repository"],
        "phases": [_phase(entry) for entry in json.loads(row["phases_json"])],
        "detection": json.loads(row["detection_json"]) if row["detection_json"] else None,
        "image_id": row["image_id"],
        "instances": [_instance(entry) for entry in made],
    }
    return view


def deployment_summary(row: Row, url: str | None) -> View:
    """``url`` is shown for the live deployment only."""
    started, finished = row["started_at"], row["finished_at"]
    return {
        **{key: row[key] for key in SUMMARY},
        "created_at": iso(row["created_at"]),
        "started_at": iso(started),
        "finished_at": iso(finished),
        "duration": round(finished - started, 3) if started and finished else None,
        "url": url if row["state"] == "live" else None,
    }


def _summary_columns() -> list[sa.ColumnElement[Any]]:
    return [deployments.c[name] for name in (*SUMMARY, "created_at", "started_at", "finished_at")]


async def _services(store: Store, config: Config, environment_ids: list[int]) -> dict[int, list[View]]:
    rows = await store.all(
        sa.select(services, ports.c.port, databases.c.image)
        .join_from(
            services, ports, sa.and_(ports.c.service_id == services.c.id, ports.c.state == "leased"), isouter=True
        )
        .join(databases, databases.c.service_id == services.c.id, isouter=True)
        .where(services.c.environment_id.in_(environment_ids))
        .order_by(services.c.position)
    )
    newest: dict[int, Row] = {}
    for row in await store.all(
        sa.select(instances.c.service_id, instances.c.state, instances.c.exit_code, instances.c.restarts)
        .join(services, services.c.id == instances.c.service_id)
        .where(services.c.environment_id.in_(environment_ids))
        .order_by((instances.c.state == "live"), instances.c.id)
    ):
        newest[row["service_id"]] = row
    found: dict[int, list[View]] = {}
    for row in rows:
        url = f"{row['protocol']}://{config.apps_host}:{row['port']}" if row["port"] else None
        keys = ("name", "role", "strategy", "protocol", "container_port", "live_slot", "port", "image")
        view = {**{key: row[key] for key in keys}, "url": url, "state": _service_state(row, newest.get(row["id"]))}
        found.setdefault(row["environment_id"], []).append(view)
    return found


def _service_state(service: Row, instance: Row | None) -> str:
    """In a word, from its newest instance: live, starting, stopped; of a release command done or failed."""
    if instance is None:
        return "stopped"
    if service["role"] == "release" and instance["state"] == "gone":
        return "done" if instance["exit_code"] == 0 else "failed"
    return {"live": "live", "starting": "starting"}.get(instance["state"], "stopped")


def _phase(entry: View) -> View:
    started, finished = entry["started_at"], entry["finished_at"]
    return {
        "phase": entry["phase"],
        "started_at": iso(started),
        "finished_at": iso(finished),
        "seconds": None if finished is None else round(finished - started, 3),
    }


def _instance(row: Row) -> View:
    keys = ("id", "service", "slot", "address", "state", "exit_code", "restarts")
    return {
        **{key: row[key] for key in keys},
        "oom_killed": bool(row["oom_killed"]),
        "created_at": iso(row["created_at"]),
        "ended_at": iso(row["ended_at"]),
    }
