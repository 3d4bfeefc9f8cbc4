"""``NAME`` and ``NAME@BRANCH``: which environment, and which application, a command means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from bot.cli import UsageError
from bot.cli.client import JSON, Client

Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="NAME (production) or NAME@BRANCH (its preview)", show_default=False)
]


@dataclass(frozen=True)
class Wanted:
    """What a TARGET says. ``branch`` is None for production."""

    name: str
    branch: str | None


def parse(target: str) -> Wanted:
    """Split at the first ``@``: names hold none, branches may. Raises UsageError for an empty part."""
    name, separator, branch = target.partition("@")
    if not name or (separator and not branch):
        raise UsageError(f"{target!r} is no target.", "Say NAME, or NAME@BRANCH for a preview.")
    return Wanted(name, branch if separator else None)


def target_of(environment: JSON) -> str:
    """How an environment is called on the command line."""
    name = str(environment["repository"])
    return name if environment["kind"] == "production" else f"{name}@{environment['ref']}"


def matches(environment: JSON, wanted: Wanted) -> bool:
    if environment["repository"] != wanted.name:
        return False
    if wanted.branch is None:
        return bool(environment["kind"] == "production")
    return bool(environment["ref"] == wanted.branch and environment["kind"] != "fork_pr")


def find_environment(client: Client, target: str) -> JSON:
    """The environment of ``target``. Raises UsageError that lists what there is."""
    wanted = parse(target)
    environments = client.get("/api/environments")
    for environment in environments:
        if matches(environment, wanted):
            return dict(environment)
    raise UsageError(f"There is no {target}.", _offer([target_of(environment) for environment in environments]))


def find_application(client: Client, target: str) -> JSON:
    """The application of ``target``, whose branch does not matter. Raises UsageError that lists what there is."""
    name = parse(target).name
    applications = client.get("/api/applications")
    for application in applications:
        if application["repository"] == name:
            return dict(application)
    raise UsageError(f"There is no {name}.", _offer([str(application["repository"]) for application in applications]))


def _offer(names: list[str]) -> str:
    names = sorted(set(names))
    if not names:
        return "Nothing is deployed yet: `berth deploy PATH` begins."
    return "There is: " + ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") + "."
