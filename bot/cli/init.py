"""``berth init``: makes a running server a GitHub App, and checks the one that it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli import UsageError
from bot.cli.client import JSON, Client, connect
from bot.errors import BerthError

_POLL = 2.0  # seconds
_PATIENCE = 3_600.0  # seconds that GitHub gives for making the App


def init(
    import_app: Annotated[bool, typer.Option("--import", help="Use an App that exists already")] = False,
    app_id: Annotated[str, typer.Option(help="With --import: the App's ID", show_default=False)] = "",
    private_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --import: the App's private key", show_default=False)
    ] = None,
    webhook_secret: Annotated[str, typer.Option(help="With --import; default: asked for", show_default=False)] = "",
    client_secret: Annotated[str, typer.Option(help="With --import; default: asked for", show_default=False)] = "",
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the App is made")] = True,
) -> None:
    """Set up Berth's GitHub App, or check the one that it has.

    The server must run. It shows the address of a page with a button: that makes the App on GitHub with all that Berth
    needs. Afterwards, and for an App that is there already, it says what is missing. Exit code 1 if something
    is broken.
    """
    client = connect()
    app = client.get("/api/github")
    if import_app:
        body = _entered(app_id, private_key, webhook_secret, client_secret)
        app = client.request("PUT", "/api/github/app", body=body, timeout=60.0)
    elif app["configured"]:
        app = client.get("/api/github", {"check": "true"}, timeout=60.0)
    else:
        _print_lacks(app)
        _make(client, wait=wait)
        if not wait:
            return
        app = client.get("/api/github", {"check": "true"}, timeout=60.0)
    _tell(app)


def _make(client: Client, *, wait: bool) -> None:
    url = client.post("/api/github/setup")["url"]
    print(f"Open this address in a browser, within an hour; whoever has it decides which App Berth is:\n\n  {url}\n")
    if not wait:
        return
    print("Waiting until the App is made (Ctrl-C ends the waiting, not the setup) …", flush=True)
    deadline = time.monotonic() + _PATIENCE
    while not client.get("/api/github")["configured"]:
        if time.monotonic() > deadline:
            raise BerthError("The App was not made within an hour.", "Run `berth init` again.")
        time.sleep(_POLL)


def _entered(app_id: str, private_key: Path | None, webhook_secret: str, client_secret: str) -> JSON:
    """What an App needs to be imported, asked for where it is not given. Raises UsageError."""
    asked = not (app_id and private_key and webhook_secret)
    app_id = app_id or _ask("App ID")
    path = private_key or Path(_ask("File with the private key (.pem)"))
    try:
        key = path.expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', '') or 'it is no text'}.") from error
    webhook_secret = webhook_secret or _ask("Webhook secret", hidden=True)
    if asked and not client_secret:
        client_secret = _ask("Client secret (for signing in with GitHub; may be empty)", hidden=True, optional=True)
    return {
        "app_id": app_id.strip(),
        "private_key": key,
        "webhook_secret": webhook_secret,
        "client_secret": client_secret,
    }


def _ask(question: str, *, hidden: bool = False, optional: bool = False) -> str:
    answer: Any = typer.prompt(
        question, hide_input=hidden, default="" if optional else None, show_default=False, err=True
    )
    return str(answer).strip()


def _tell(app: JSON) -> None:
    print(f"Berth is the GitHub App {app['slug'] or app['app_id']}.")
    if app["install_url"]:
        print(f"Choose its repositories: {app['install_url']}")
    _print_lacks(app)
    if app["problem"]:
        raise BerthError(app["problem"])
    if not app["lacks"]:
        print("Nothing is missing.")
    if any(one["level"] == "error" for one in app["lacks"]):
        raise typer.Exit(1)


def _print_lacks(app: JSON) -> None:
    from bot.cli.output import printable

    for one in app["lacks"]:
        print(f"{one['level']}: {printable(one['text'])} {printable(one['fix'])}")
