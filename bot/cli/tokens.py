"""``berth token``: bearer tokens for programs that use the API."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from bot.cli import UsageError, output
from bot.cli.client import Client, connect
from bot.cli.help import Command, Sections

app = typer.Typer(cls=Sections, help="Tokens for programs that use the API.", no_args_is_help=True)


class Scope(StrEnum):
    """What a token may do."""

    read = "read"
    write = "write"
    admin = "admin"


@app.command(cls=Command)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for", show_default=False)],
    scope: Annotated[
        Scope, typer.Option(help="read sees, write deploys and stops, admin changes settings and secrets")
    ] = Scope.read,
    repository: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this repository", show_default=False)
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, metavar="DAYS", help="How long it is good for", show_default=False)
    ] = None,
) -> None:
    """Make a token and print it, this once."""
    client = connect()
    body: dict[str, object] = {"name": name, "scope": scope.value}
    if repository is not None:
        body["repository_id"] = _repository_id(client, repository)
    if days is not None:
        body["days"] = days
    print(client.post("/api/tokens", body)["token"])


@app.command("list", cls=Command)
def list_tokens(
    as_json: Annotated[bool, typer.Option("--json", help="One object a line")] = False,
) -> None:
    """Show the tokens, without themselves."""
    found = connect().get("/api/tokens")
    if as_json:
        for one in found:
            print(json.dumps(one, ensure_ascii=False))
        return
    rows = [
        [
            str(one["id"]),
            one["name"],
            one["scope"],
            one["repository"] or "all",
            "revoked" if one["revoked_at"] else (one["expires_at"] or "never")[:10],
            output.age(one["last_used_at"]) if one["last_used_at"] else "never",
        ]
        for one in found
    ]
    output.table(("id", "name", "scope", "repository", "ends", "last used"), rows)


@app.command(cls=Command)
def revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="See `berth token list`", show_default=False)],
) -> None:
    """End a token."""
    connect().request("DELETE", f"/api/tokens/{number}")
    print(f"Token {number} opens nothing any more.")


def _repository_id(client: Client, name: str) -> int:
    row = next((row for row in client.get("/api/repositories") if row["name"] == name), None)
    if row is None:
        raise UsageError(f"There is no repository {name!r}.", "`berth ps` lists what runs.")
    return int(row["id"])
