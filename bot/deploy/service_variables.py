"""What an application is told about the databases beside it, for people: passwords are not in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from bot.deploy.masking import MASK
from bot.deploy.variables import Variable, resolve_variables
from bot.project import Project, ProjectError, from_yaml
from bot.store.database import Row, Store
from bot.store.tables import databases, deployments, environments, services


@dataclass(frozen=True)
class ServiceVariable:
    """A variable that a service gives. ``value``: with the password masked; ``secret``: whether there was one."""

    name: str
    value: str
    service: str
    environment_id: int
    secret: bool


async def service_variables(store: Store, application_id: int, given: Sequence[Variable]) -> list[ServiceVariable]:
    """Those of the application's environments, as their newest deployment has them.

    ``given`` are the variables that are set: they go before those of a service, which are left out then.
    """
    rows = await store.all(
        sa.select(environments.c.id, environments.c.kind, environments.c.live_deployment_id).where(
            environments.c.application_id == application_id, environments.c.state != "removed"
        )
    )
    found = []
    for row in rows:
        named = await store.all(
            sa.select(databases.c.password_name, services.c.name)
            .join_from(databases, services)
            .where(services.c.environment_id == row["id"])
        )
        if not named:
            continue
        deployment = await _newest(store, row)
        if deployment is not None:
            taken = {one.name for one in resolve_variables(given, row["kind"], row["id"])}
            found += [one for one in _told(deployment, named, row["id"]) if one.name not in taken]
    return sorted(found, key=lambda one: (one.name, one.environment_id))


async def _newest(store: Store, environment: Row) -> Row | None:
    """The live deployment, or without one the newest that came as far as having files."""
    query = sa.select(deployments.c.files_json, deployments.c.detection_json).where(
        deployments.c.environment_id == environment["id"], deployments.c.files_json.is_not(None)
    )
    if environment["live_deployment_id"]:
        query = query.where(deployments.c.id == environment["live_deployment_id"])
    return await store.one(query.order_by(deployments.c.id.desc()).limit(1))


def _told(deployment: Row, named: Sequence[Row], environment_id: int) -> list[ServiceVariable]:
    text = json.loads(deployment["files_json"]).get("docker-compose.yml", "")
    names = [row["password_name"] for row in named if row["password_name"]]
    try:
        plain = from_yaml(text)
        web, masked = plain.web, from_yaml(text, dict.fromkeys(names, MASK)).web
    except ProjectError:
        return []
    if web is None or masked is None:
        return []
    found = []
    for service in json.loads(deployment["detection_json"] or "{}").get("beside", []):
        database = _database(plain, service["image"])
        for name, _ in service["variables"] if database else ():
            value = masked.environment.get(name)
            if value is not None:
                secret = value != web.environment.get(name)
                found.append(ServiceVariable(name, value, database, environment_id, secret))
    return found


def _database(project: Project, image: str) -> str:
    """The service that runs an image, which may have a prefix there."""
    databases_ = (one for one in project.services.values() if one.role == "database")
    return next((one.name for one in databases_ if (one.image or "").endswith(image)), "")
