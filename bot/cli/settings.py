"""``berth set`` and ``berth env``: settings and variables of an application."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli import UsageError, output
from bot.cli.client import JSON, Client, connect
from bot.cli.help import Command, Sections
from bot.cli.targets import Target, find_application, find_environment, parse

environment_app = typer.Typer(
    cls=Sections, no_args_is_help=True, help="Variables in the environment of the application."
)
_LONGEST = 64_000  # characters of a value
_APPLIES = "It takes effect with the next deployment; `berth redeploy {}` makes one now."


class Scope(StrEnum):
    """Who sees a variable."""

    APPLICATION = "application"
    PREVIEWS = "previews"
    ENVIRONMENT = "environment"


ScopeOption = Annotated[
    Scope | None,
    typer.Option(
        help="Who sees it: all environments, previews only, or that of TARGET; default: what TARGET says",
        show_default=False,
    ),
]
SecretOption = Annotated[bool, typer.Option("--secret", help="Never shown again, masked in logs")]
BuildOption = Annotated[bool, typer.Option("--build", help="The build sees it too")]


def set_settings(
    target: Target,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="KEY= takes a value back", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Show as JSON, one object a line")] = False,
) -> None:
    """Show or change an application's settings.

    Without values: each setting with its effective value and where that comes from.
    """
    given = dict(_setting(text) for text in values or ())
    if given and parse(target).branch is not None:
        raise UsageError("Settings belong to the application, not to a branch.", f"Say {parse(target).name}.")
    client = connect()
    path = f"/api/applications/{find_application(client, target)['id']}/settings"
    if given:
        client.request("PUT", path, body=given)
        print(f"Set {', '.join(given)}. {_APPLIES.format(target)}")
        return
    settings = client.get(path)
    if as_json:
        for setting in settings:
            print(json.dumps(setting))
        return
    rows = [
        [
            one["key"],
            _shown(one["key"], one["value"]),
            one["source"] if one["value"] is not None else "",
            one["description"],
        ]
        for one in settings
    ]
    output.table(("setting", "value", "source", "what it is"), rows)


def _setting(text: str) -> tuple[str, str | None]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"{text!r} is not of the form KEY=VALUE.", "KEY= takes a value back.")
    return key, value or None


def _shown(key: str, value: Any) -> str:
    if key == "memory" and isinstance(value, int):
        return f"{value // 1024**2}m" if value % 1024**2 == 0 else str(value)
    return "" if value is None else value if isinstance(value, str) else f"{value:g}"


@environment_app.command("set", cls=Command)
def set_variables(
    target: Target,
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE", help="NAME alone asks for the value, or reads it from stdin", show_default=False
        ),
    ],
    secret: SecretOption = False,
    build: BuildOption = False,
    scope: ScopeOption = None,
) -> None:
    """Set variables."""
    pairs = dict(_variable(text, secret) for text in values)
    _put(target, pairs, secret=secret, build=build, scope=scope)
    print(f"Set {', '.join(pairs)}. {_APPLIES.format(target)}")


def _variable(text: str, secret: bool) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name:
        raise UsageError(f"{text!r} is not of the form NAME=VALUE.")
    if separator:
        return name, value
    if sys.stdin.isatty():
        return name, str(typer.prompt(f"Value of {name}", hide_input=secret, err=True, default="", show_default=False))
    return name, sys.stdin.read().removesuffix("\n")


@environment_app.command("import", cls=Command)
def import_variables(
    target: Target,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .env file; - reads stdin")] = ".env",
    secret: SecretOption = False,
    build: BuildOption = False,
    scope: ScopeOption = None,
) -> None:
    """Set the variables of a .env file. Nothing in it is expanded."""
    from bot.cli.dotenv import parse as parse_dotenv

    pairs = parse_dotenv(_read(file))
    if pairs.pop("PORT", None) is not None:
        print("PORT is left out: Berth gives it to the application.", file=sys.stderr)
    if not pairs:
        raise UsageError(f"There is no variable in {file}.")
    _put(target, pairs, secret=secret, build=build, scope=scope)
    print(f"Set {', '.join(pairs)}. {_APPLIES.format(target)}")


def _read(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text.") from error


def _put(target: str, pairs: dict[str, str], *, secret: bool, build: bool, scope: Scope | None) -> None:
    for name, value in pairs.items():
        if len(value) > _LONGEST:
            raise UsageError(f"The value of {name} has more than {_LONGEST} characters.", "Shorten it.")
    client = connect()
    application, chosen, environment = _where(client, target, scope)
    body = [
        {
            "name": name,
            "value": value,
            "scope": chosen.value,
            "environment": environment,
            "secret": secret,
            "build": build,
        }
        for name, value in pairs.items()
    ]
    client.request("PUT", f"/api/applications/{application['id']}/variables", body=body)


def _where(client: Client, target: str, scope: Scope | None) -> tuple[JSON, Scope, int | None]:
    """The application, the scope, and the environment's id where the scope is one environment."""
    chosen = scope or (Scope.ENVIRONMENT if parse(target).branch is not None else Scope.APPLICATION)
    application = find_application(client, target)
    if chosen is not Scope.ENVIRONMENT:
        return application, chosen, None
    return application, chosen, int(find_environment(client, target)["id"])


@environment_app.command("unset", cls=Command)
def unset_variables(
    target: Target,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Its name", show_default=False)],
    scope: ScopeOption = None,
) -> None:
    """Remove variables."""
    client = connect()
    application, chosen, environment = _where(client, target, scope)
    query: dict[str, object] = {"scope": chosen.value} | ({"environment": environment} if environment else {})
    for name in names:
        client.request("DELETE", f"/api/applications/{application['id']}/variables/{name}", query=query)
    print(f"Removed {', '.join(names)}. {_APPLIES.format(target)}")


@environment_app.command("list", cls=Command)
def list_variables(
    target: Target,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
) -> None:
    """List variables; the values of secret ones stay hidden."""
    client = connect()
    application = find_application(client, target)
    found = client.get(f"/api/applications/{application['id']}/variables")
    if as_json:
        for variable in found:
            print(json.dumps(variable))
        return
    if not found:
        print(f"{target} has no variables: `berth env set {target} NAME=VALUE` sets one.")
        return
    rows = [
        [
            one["name"],
            "(secret)" if one["value"] is None else one["value"],
            one["scope"] if one["environment"] is None else str(one["environment"]),
            "yes" if one["build"] else "",
            f"by {one['service']}" if one["service"] else output.age(one["updated_at"]),
        ]
        for one in found
    ]
    output.table(("name", "value", "scope", "build", "set since"), rows)
