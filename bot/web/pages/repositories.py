"""Repositories: their applications, settings and variables, and what a change alters before it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

import sqlalchemy as sa
from starlette.responses import Response

from bot.deploy import lifecycle, settings, views
from bot.deploy import variables as stored_variables
from bot.deploy.service_variables import service_variables
from bot.deploy.settings import EffectiveSetting
from bot.deploy.states import label
from bot.deploy.variables import Scope, Variable
from bot.errors import BerthError, NotFoundError
from bot.store.database import Row
from bot.store.tables import applications, environments, forges, repositories
from bot.store.tables import settings as settings_table
from bot.web.access import Level
from bot.web.pages import settings_form
from bot.web.pages.frame import PageRoute, Visit


async def index(visit: Visit) -> Response:
    store = visit.berth.store
    seen = await visit.visible()
    rows = await store.all(
        sa.select(repositories, forges.c.kind.label("forge"), forges.c.host)
        .join(forges, forges.c.id == repositories.c.forge_id)
        .where(repositories.c.removed_at.is_(None))
        .order_by(repositories.c.name)
    )
    counts = await store.all(
        sa.select(
            applications.c.repository_id,
            sa.func.count(sa.distinct(applications.c.id)).label("applications"),
            sa.func.count(environments.c.id).label("environments"),
        )
        .join_from(
            applications,
            environments,
            sa.and_(environments.c.application_id == applications.c.id, environments.c.state != "removed"),
            isouter=True,
        )
        .group_by(applications.c.repository_id)
    )
    counted = {row["repository_id"]: row for row in counts}
    modes = await store.all(
        sa.select(applications.c.repository_id, settings_table.c.value_json)
        .join_from(applications, settings_table)
        .where(settings_table.c.key == "mode")
    )
    mode = {row["repository_id"]: row["value_json"].strip('"') for row in modes}
    return visit.page(
        "repositories.html",
        repositories=[
            {
                **{key: row[key] for key in ("id", "name", "default_branch", "private", "forge", "host")},
                "applications": counted.get(row["id"], {}).get("applications", 0),
                "environments": counted.get(row["id"], {}).get("environments", 0),
                "mode": mode.get(row["id"], "all"),
            }
            for row in rows
            if seen is None or row["id"] in seen
        ],
    )


async def one(visit: Visit) -> Response:
    """``?application=``: which one, where there are several."""
    repository = await _repository(visit)
    berth = visit.berth
    mine = await berth.store.all(
        sa.select(applications).where(applications.c.repository_id == visit.id).order_by(applications.c.id)
    )
    if not mine:
        return visit.page("repository.html", repository=repository, applications=[], application=None)
    wanted = visit.request.query_params.get("application", "")
    application = next((row for row in mine if str(row["id"]) == wanted), mine[0])
    stored = await settings.stored_settings(berth.store, application["id"])
    effective, inherited, problem = await _effective(visit, application["id"], {})
    return visit.page(
        "repository.html",
        repository=repository,
        applications=mine,
        application=application,
        groups=settings_form.fields(stored, effective, inherited),
        problem=problem,
        environments=await _environments(visit, application["id"]),
        variables=await _variables(visit, application["id"]),
        scopes=await _scopes(visit, application["id"]),
    )


async def _repository(visit: Visit) -> Row:
    row = await visit.berth.store.one(
        sa.select(repositories, forges.c.kind.label("forge"), forges.c.host)
        .join(forges, forges.c.id == repositories.c.forge_id)
        .where(repositories.c.id == visit.repository_id)
    )
    if row is None:
        raise NotFoundError(f"There is no repository {visit.repository_id}.")
    return row


async def _effective(
    visit: Visit, application_id: int, changed: Mapping[str, Any]
) -> tuple[list[EffectiveSetting], list[EffectiveSetting], str]:
    """The effective settings now, those with ``changed`` alone set in Berth, and why the file's part is missing."""
    berth = visit.berth
    try:
        now = await berth.effective_settings(application_id)
        return now, await berth.effective_settings(application_id, changed), ""
    except BerthError as error:
        now = await settings.effective_settings(berth.store, application_id)
        then = await settings.effective_settings(berth.store, application_id, stored=changed)
        return now, then, f"What `{settings.REPOSITORY_FILE}` says is missing here: {error.reason}"


async def _environments(visit: Visit, application_id: int) -> list[views.View]:
    """Those of the application that a deployment could go to, production first."""
    found = await views.environment_views(visit.berth.store, visit.berth.config)
    return [one for one in found if one["application_id"] == application_id]


async def _variables(visit: Visit, application_id: int) -> list[dict[str, Any]]:
    """Without the values of secret ones; those of others are for people who may deploy."""
    berth = visit.berth
    names = dict(await _scopes(visit, application_id))
    given = await stored_variables.list_variables(berth.store, berth.vault, application_id)
    may = visit.level >= Level.WRITE
    told = [
        {
            "name": one.name,
            "value": one.value if may else None,
            "secret": False,  # its password is masked
            "build": False,
            "scope": _scope_key("environment", one.environment_id),
            "seen_by": names.get(_scope_key("environment", one.environment_id), ""),
            "service": one.service,
        }
        for one in await service_variables(berth.store, application_id, given)
    ]
    return told + [
        {
            "name": variable.name,
            "value": variable.value if not variable.secret and visit.level >= Level.WRITE else None,
            "secret": variable.secret,
            "build": variable.build,
            "scope": _scope_key(variable.scope, variable.environment_id),
            "seen_by": names.get(_scope_key(variable.scope, variable.environment_id), "an environment that is gone"),
            "updated_at": variable.updated_at,
            "service": "",
        }
        for variable in given
    ]


async def _scopes(visit: Visit, application_id: int) -> list[tuple[str, str]]:
    """(value in the form, words): who can see a variable."""
    rows = await visit.berth.store.all(
        sa.select(environments)
        .where(environments.c.application_id == application_id, environments.c.state != "removed")
        .order_by(environments.c.kind.desc(), environments.c.ref)
    )
    own = [(f"environment:{row['id']}", f"{label(row['kind'], row['ref'])} only") for row in rows]
    return [("application", "all environments"), ("previews", "previews"), *own]


def _scope_key(scope: str, environment_id: int) -> str:
    return f"environment:{environment_id}" if scope == "environment" else scope


async def preview(visit: Visit) -> Response:
    """What saving will alter, and the button that saves."""
    berth = visit.berth
    application_id = visit.id
    stored = await settings.stored_settings(berth.store, application_id)
    given = settings_form.filled_in(visit.form, stored)
    if not given:
        return visit.go(_address(visit, application_id), "unchanged")
    then = {key: value for key, value in (stored | given).items() if value is not None}
    before, after, problem = await _effective(visit, application_id, then)
    return visit.page(
        "settings_preview.html",
        repository=await _repository(visit),
        application_id=application_id,
        changes=settings_form.changes(given, before, after),
        environments=[one for one in await _environments(visit, application_id) if one["latest"]],
        problem=problem,
        back=_address(visit, application_id),
    )


async def save(visit: Visit) -> Response:
    """``way``: save or redeploy; ``environment``: those that are then deployed again."""
    berth = visit.berth
    application_id = visit.id
    stored = await settings.stored_settings(berth.store, application_id)
    given = settings_form.filled_in(visit.form, stored)
    chosen = visit.form.getlist("environment") if visit.form.get("way") == "redeploy" else []
    mine = {str(one["id"]): int(one["id"]) for one in await _environments(visit, application_id)}
    if any(one not in mine for one in chosen):
        raise NotFoundError("This application has no such environment.")
    await settings.set_settings(berth.store, application_id, given)
    for one in chosen:
        await lifecycle.redeploy(berth.store, mine[one], actor=visit.actor)
    if chosen:
        berth.queue.wake()
        return visit.go(_address(visit, application_id), "saved-redeployed")
    deploys = any(key not in settings_form.AT_THE_NEXT_EVENT for key in given)
    return visit.go(_address(visit, application_id), "saved" if deploys else "saved-at-once")


async def set_variable(visit: Visit) -> Response:
    scope, environment_id = await _chosen_scope(visit)
    variable = Variable(
        name=visit.form.get("name", "").strip(),
        # browsers send line ends as CRLF: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html
        value=visit.form.get("value", "").replace("\r\n", "\n"),
        scope=scope,
        environment_id=environment_id,
        secret=visit.form.get("secret") == "yes",
        build=visit.form.get("build") == "yes",
    )
    await stored_variables.set_variables(visit.berth.store, visit.berth.vault, visit.id, [variable])
    return visit.go(_address(visit, visit.id, "variables"), "variable-set")


async def remove_variable(visit: Visit) -> Response:
    scope, environment_id = await _chosen_scope(visit)
    name = visit.form.get("name", "")[:255]
    await stored_variables.unset_variable(visit.berth.store, visit.id, name, scope, environment_id)
    return visit.go(_address(visit, visit.id, "variables"), "variable-removed")


async def _chosen_scope(visit: Visit) -> tuple[Scope, int]:
    """The form's ``scope``: one of the words, or ``environment:ID``."""
    chosen = visit.form.get("scope", "application")
    scope, _, number = chosen.partition(":")
    known = number.isascii() and number.isdigit() and len(number) < 10
    gone = visit.request.url.path.endswith("/remove") and scope == "environment" and known
    if scope not in get_args(Scope) or not (gone or chosen in dict(await _scopes(visit, visit.id))):
        raise BerthError("Nobody would see this variable: there is no such environment.", "Choose who sees it.")
    return cast("Scope", scope), int(number) if number else 0


def _address(visit: Visit, application_id: int, fragment: str = "") -> str:
    return f"/repositories/{visit.repository_id}?application={application_id}" + (f"#{fragment}" if fragment else "")


ROUTES = [
    PageRoute("/repositories", index, Level.READ, "anything"),
    PageRoute("/repositories/{id:int}", one, Level.READ, "repository"),
    PageRoute("/applications/{id:int}/settings/preview", preview, Level.ADMIN, "application", "POST"),
    PageRoute("/applications/{id:int}/settings", save, Level.ADMIN, "application", "POST"),
    PageRoute("/applications/{id:int}/variables", set_variable, Level.ADMIN, "application", "POST"),
    PageRoute("/applications/{id:int}/variables/remove", remove_variable, Level.ADMIN, "application", "POST"),
]
