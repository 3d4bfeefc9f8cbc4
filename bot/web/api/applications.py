"""Applications: those of a repository, their settings and variables."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, JsonValue, StrictBool, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from bot.deploy import settings
from bot.deploy import variables as stored
from bot.deploy.service_variables import ServiceVariable, service_variables
from bot.deploy.states import label
from bot.deploy.variables import VALUE_LIMIT, Scope, Variable
from bot.deploy.views import iso
from bot.errors import ConflictError, NotFoundError
from bot.store.database import Row, Store
from bot.store.tables import applications, environments, repositories
from bot.store.tables import settings as kept
from bot.web import access
from bot.web.access import Level
from bot.web.api import models
from bot.web.api.models import Body, Flag, Id, Query, QueryId, QueryNumber
from bot.web.api.repositories import remove_environments
from bot.web.http import SIGNED_IN, Needs, asked, berth_of, endpoint, given, principal_of

_Name = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]


class ApplicationBody(Body):
    """Another application of a repository, which is built from the folder ``root``."""

    repository_id: Id
    name: _Name
    root: str = Field(
        "", max_length=1024, pattern=r"^[^\x00-\x1f]*$", description="Its folder, for example services/web"
    )

    def subject(self) -> tuple[str, int]:
        return "repository", self.repository_id


class ListQuery(Query):
    repository: QueryId | None = Field(None, description="The number of a repository")


class RemoveQuery(Query):
    volumes: Flag = Field(False, description="Delete the volumes of its environments too")


class UnsetQuery(Query):
    scope: Scope = "application"
    environment: QueryNumber = Field(0, description="The number of the environment, where that is the scope")


class VariableBody(Body):
    """One variable to set. ``environment``: the id of the one that sees it, where that is the scope; else absent."""

    name: str = Field(pattern="^[A-Za-z_][A-Za-z0-9_]{0,254}$")
    value: str = Field(max_length=VALUE_LIMIT, pattern=r"^[^\x00]*$")
    scope: Scope = "application"
    environment: Id | None = None
    secret: StrictBool = False
    build: StrictBool = False


Variables = Annotated[list[VariableBody], Field(max_length=1_000)]
Values = dict[Annotated[str, Field(max_length=64)], JsonValue]


async def list_applications(request: Request) -> Any:
    """The applications that the token may see."""
    berth, wanted = berth_of(request), asked(request, ListQuery)
    seen = await access.visible(berth, principal_of(request))
    query = _SELECTED.order_by(repositories.c.name, applications.c.name)
    if seen is not None:
        query = query.where(repositories.c.id.in_(seen))
    if wanted.repository is not None:
        query = query.where(repositories.c.id == wanted.repository)
    rows = await berth.store.all(query)
    return [await _shown(berth.store, row) for row in rows]


_SELECTED = (
    sa.select(applications.c.id, applications.c.name, applications.c.repository_id, applications.c.created_at)
    .add_columns(repositories.c.name.label("repository"))
    .join(repositories, repositories.c.id == applications.c.repository_id)
    .where(repositories.c.removed_at.is_(None))
)


async def _shown(store: Store, row: Row) -> dict[str, Any]:
    told = await settings.stored_settings(store, row["id"])
    return {**row, "created_at": iso(row["created_at"]), "root": told.get("root", "")}


async def get_application(request: Request) -> Any:
    """One application."""
    return await _shown(berth_of(request).store, await _application(request))


async def create(request: Request) -> Any:
    """Add an application to a repository; from now on each push deploys it too."""
    store, wanted = berth_of(request).store, given(request, ApplicationBody)
    checked = settings.check_settings({"root": wanted.root or None})
    async with store.begin() as tx:
        repository = await tx.one(sa.select(repositories.c.removed_at).where(repositories.c.id == wanted.repository_id))
        if repository is None or repository["removed_at"] is not None:
            raise NotFoundError(f"There is no repository {wanted.repository_id}.")
        where = (applications.c.repository_id == wanted.repository_id, applications.c.name == wanted.name)
        if await tx.one(sa.select(applications.c.id).where(*where)) is not None:
            raise ConflictError(f"The repository has an application {wanted.name} already.", "Choose another name.")
        values = {"repository_id": wanted.repository_id, "name": wanted.name, "created_at": time.time()}
        identifier = await tx.insert(applications.insert().values(values).returning(applications.c.id))
        for key, value in checked.items():
            row_values = {"application_id": identifier, "key": key, "value_json": json.dumps(value)}
            await tx.run(kept.insert().values(**row_values, updated_at=time.time()))
    row = await store.one(_SELECTED.where(applications.c.id == identifier))
    assert row is not None
    return await _shown(store, row)


async def remove(request: Request) -> Response:
    """Remove an application with its environments, whose end is waited for, its settings, variables and history."""
    store, row = berth_of(request).store, await _application(request)
    of_repository = sa.select(applications.c.id).where(applications.c.repository_id == row["repository_id"])

    async def check() -> None:
        if len(await store.all(of_repository)) < 2:
            raise ConflictError(
                f"{row['name']} is the only application of its repository.",
                "Remove the repository, or set the application's mode to off.",
            )

    await check()
    volumes = asked(request, RemoveQuery).volumes
    name = f"The application {row['name']}"
    await remove_environments(request, name, applications.c.id == row["id"], volumes=volumes)
    await check()
    async with store.begin() as tx:
        await tx.run(sa.delete(applications).where(applications.c.id == row["id"]))
    return Response(status_code=204)


async def get_settings(request: Request) -> Any:
    """Every setting with its effective value and where that comes from."""
    application = await _application(request)
    found = await berth_of(request).effective_settings(application["id"])
    return [asdict(setting) for setting in found]


async def put_settings(request: Request) -> Any:
    """Set some settings in Berth; null takes one back. All or nothing."""
    application = await _application(request)
    await settings.set_settings(berth_of(request).store, application["id"], request.state.body)
    return await get_settings(request)


async def list_variables(request: Request) -> Any:
    """The application's variables, of secrets everything but the value; and what databases beside it are told by."""
    berth = berth_of(request)
    application = await _application(request)
    names = await _environment_labels(berth.store, application["id"])
    found = await stored.list_variables(berth.store, berth.vault, application["id"])
    told = await service_variables(berth.store, application["id"], found)
    return [*(_variable(variable, names) for variable in found), *(_of_service(one, names) for one in told)]


def _variable(variable: Variable, environments_by_id: dict[int, str]) -> dict[str, Any]:
    return {
        "name": variable.name,
        "value": None if variable.secret else variable.value,
        "scope": variable.scope,
        "environment": environments_by_id.get(variable.environment_id),
        "environment_id": variable.environment_id or None,
        "secret": variable.secret,
        "build": variable.build,
        "updated_at": iso(variable.updated_at),
        "service": None,
    }


def _of_service(one: ServiceVariable, environments_by_id: dict[int, str]) -> dict[str, Any]:
    return {
        "name": one.name,
        "value": one.value,
        "scope": "environment",
        "environment": environments_by_id.get(one.environment_id),
        "environment_id": one.environment_id,
        "secret": one.secret,
        "build": False,
        "updated_at": None,
        "service": one.service,
    }


async def put_variables(request: Request) -> Any:
    """Set variables; those that are not named stay as they are. All or nothing."""
    berth = berth_of(request)
    application = await _application(request)
    labels = await _environment_labels(berth.store, application["id"])
    variables = []
    for one in request.state.body:
        assert isinstance(one, VariableBody)
        if one.environment is not None and one.environment not in labels:
            raise NotFoundError(f"This application has no environment {one.environment}.")
        variables.append(
            Variable(
                name=one.name,
                value=one.value,
                scope=one.scope,
                environment_id=one.environment or 0,
                secret=one.secret,
                build=one.build,
            )
        )
    await stored.set_variables(berth.store, berth.vault, application["id"], variables)
    return await list_variables(request)


async def delete_variable(request: Request) -> Response:
    """Delete one variable in one scope."""
    berth, wanted = berth_of(request), asked(request, UnsetQuery)
    application = await _application(request)
    await stored.unset_variable(
        berth.store, application["id"], request.path_params["name"], wanted.scope, wanted.environment
    )
    return Response(status_code=204)


async def _application(request: Request) -> Row:
    identifier = request.path_params["id"]
    row = await berth_of(request).store.one(_SELECTED.where(applications.c.id == identifier))
    if row is None:
        raise NotFoundError(f"There is no application {identifier}.")
    return row


async def _environment_labels(store: Store, application_id: int) -> dict[int, str]:
    query = sa.select(environments.c.id, environments.c.kind, environments.c.ref)
    rows = await store.all(query.where(environments.c.application_id == application_id))
    return {row["id"]: label(row["kind"], row["ref"]) for row in rows}


_READ, _WRITE, _ADMIN = (Needs(level, "application") for level in (Level.READ, Level.WRITE, Level.ADMIN))
_ONE = "/api/applications/{id:int}"

ROUTES = [
    endpoint("/api/applications", list_applications, SIGNED_IN, query=ListQuery, answer=list[models.Application]),
    endpoint(
        "/api/applications",
        create,
        Needs(Level.ADMIN, "repository", named_in="body"),
        method="POST",
        body=ApplicationBody,
        answer=models.Application,
        status=201,
    ),
    endpoint(_ONE, get_application, _READ, answer=models.Application),
    endpoint(_ONE, remove, _ADMIN, method="DELETE", query=RemoveQuery, status=204),
    endpoint(f"{_ONE}/settings", get_settings, _READ, answer=list[models.Setting]),
    endpoint(f"{_ONE}/settings", put_settings, _ADMIN, method="PUT", body=Values, answer=list[models.Setting]),
    endpoint(f"{_ONE}/variables", list_variables, _WRITE, answer=list[models.Variable]),
    endpoint(f"{_ONE}/variables", put_variables, _ADMIN, method="PUT", body=Variables, answer=list[models.Variable]),
    endpoint(f"{_ONE}/variables/{{name}}", delete_variable, _ADMIN, method="DELETE", query=UnsetQuery, status=204),
]
