"""Variables of an application: encrypted, in three scopes, and the snapshot that a deployment keeps."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from bot.deploy.settings import require_application
from bot.errors import BerthError, NotFoundError
from bot.store.crypto import Vault
from bot.store.database import Store, Transaction
from bot.store.tables import variables

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
VALUE_LIMIT = 64_000  # characters; Linux takes at most 128 KiB for one environment string
Scope = Literal["application", "previews", "environment"]


@dataclass(frozen=True)
class Variable:
    name: str
    value: str
    scope: Scope = "application"
    environment_id: int = 0
    secret: bool = False
    build: bool = False
    version: int = 1
    updated_at: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """What one deployment uses. ``settings``: explicit ones only; ``variables``: resolved, one per name."""

    settings: dict[str, Any] = field(default_factory=dict)
    variables: tuple[Variable, ...] = ()

    def to_json(self) -> str:
        return json.dumps({"settings": self.settings, "variables": [asdict(variable) for variable in self.variables]})

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        data = json.loads(text)
        return cls(data["settings"], tuple(Variable(**variable) for variable in data["variables"]))

    def secrets(self) -> list[str]:
        """The values that no log may show."""
        return [variable.value for variable in self.variables if variable.secret]


async def list_variables(store: Store | Transaction, vault: Vault, application_id: int) -> list[Variable]:
    rows = await store.all(
        sa.select(variables)
        .where(variables.c.application_id == application_id)
        .order_by(variables.c.name, variables.c.id)
    )
    return [
        Variable(
            name=row["name"],
            value=vault.decrypt(row["value_enc"]),
            scope=row["scope"],
            environment_id=row["environment_id"],
            secret=bool(row["secret"]),
            build=bool(row["build"]),
            version=row["version"],
            updated_at=row["updated_at"],
        )
        for row in rows
    ]


async def set_variables(store: Store, vault: Vault, application_id: int, given: Iterable[Variable]) -> None:
    """Sets variables, all or none. Raises BerthError that names the first one at fault."""
    given = list(given)
    for variable in given:
        check_variable(variable)
    async with store.begin() as tx:
        await require_application(tx, application_id)
        for variable in given:
            where = _variable(application_id, variable.name, variable.scope, variable.environment_id)
            old = await tx.one(sa.select(variables).where(*where))
            values = {
                "value_enc": vault.encrypt(variable.value),
                "secret": variable.secret,
                "build": variable.build,
                "version": old["version"] + 1 if old else 1,
                "updated_at": time.time(),
            }
            if old:
                await tx.run(sa.update(variables).where(*where).values(**values))
            else:
                await tx.run(
                    variables.insert().values(
                        application_id=application_id,
                        scope=variable.scope,
                        environment_id=variable.environment_id,
                        name=variable.name,
                        **values,
                    )
                )


async def unset_variable(
    store: Store, application_id: int, name: str, scope: Scope = "application", environment_id: int = 0
) -> None:
    """Raises NotFoundError when there is no such variable in that scope."""
    async with store.begin() as tx:
        where = _variable(application_id, name, scope, environment_id)
        if not await tx.changed(sa.delete(variables).where(*where).returning(variables.c.id)):
            raise NotFoundError(f"There is no variable {name} in scope {scope}.")


def check_variable(variable: Variable) -> None:
    if not VARIABLE_NAME.fullmatch(variable.name):
        raise BerthError(
            f"{variable.name[:60]!r} is no name for a variable.",
            "Use letters, digits and underscores, not starting with a digit.",
        )
    if variable.name == "PORT":
        raise BerthError("PORT is given to the application by Berth.", "Set the port with the setting `port`.")
    if variable.name.startswith("BERTH_"):
        raise BerthError(
            f"{variable.name[:60]} is not set: names that start with BERTH_ are Berth's own.", "Choose another name."
        )
    if "\0" in variable.value or len(variable.value) > VALUE_LIMIT:
        raise BerthError(
            f"The value of {variable.name} holds a NUL character or more than {VALUE_LIMIT} characters.", "Shorten it."
        )
    if (variable.scope == "environment") != bool(variable.environment_id):
        raise BerthError(f"Variable {variable.name}: scope environment and an environment belong together.")


def resolve_variables(given: Iterable[Variable], environment_kind: str, environment_id: int) -> tuple[Variable, ...]:
    """The variables that one environment sees: application < previews < environment. A fork sees none."""
    if environment_kind == "fork_pr":
        return ()
    seen: dict[str, Variable] = {}
    order = {"application": 0, "previews": 1, "environment": 2}
    for variable in sorted(given, key=lambda variable: order[variable.scope]):
        if variable.scope == "previews" and environment_kind == "production":
            continue
        if variable.scope == "environment" and variable.environment_id != environment_id:
            continue
        seen[variable.name] = variable
    return tuple(seen[name] for name in sorted(seen))


def _variable(application_id: int, name: str, scope: str, environment_id: int) -> tuple[Any, ...]:
    return (
        variables.c.application_id == application_id,
        variables.c.scope == scope,
        variables.c.environment_id == environment_id,
        variables.c.name == name,
    )
