"""``berth doctor``: what is wrong with this machine and installation, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import output
from bot.errors import BerthError

if TYPE_CHECKING:
    from bot.config import Config
    from bot.deploy.doctor import Finding


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a finding")] = False,
) -> None:
    """Check the machine and the installation.

    git, Docker, disk, database, encryption key, edge, ports and host names; each finding with what to do about it. Exit
    code 1 if something is broken.
    """
    import asyncio
    from dataclasses import asdict

    from bot.config import load_config
    from bot.deploy.doctor import examine

    config = load_config()
    findings = [*asyncio.run(examine(config)), server_finding(config), *github_findings(config)]
    if as_json:
        for finding in findings:
            print(json.dumps(asdict(finding)))
    else:
        output.table(("check", "result", "found"), [[one.check, one.level, one.text] for one in findings])
        for one in findings:
            if one.fix:
                print(f"{one.check}: {one.fix}")
    if any(one.level == "error" for one in findings):
        raise typer.Exit(1)


def github_findings(config: Config) -> list[Finding]:
    """What the App of a running server lacks; nothing where no server runs."""
    from bot.cli.client import running
    from bot.deploy.doctor import Finding

    try:
        client = running(config.data_dir)
        app = client.get("/api/github", {"check": "true"}, timeout=60.0) if client else None
    except BerthError:
        return []  # the server's finding tells
    if app is None:
        return []
    if not app["configured"]:
        return [Finding("github", "ok", "No GitHub App is set up", "`berth init` makes one.")]
    if app["problem"]:
        return [Finding("github", "error", app["problem"])]
    name = app["slug"] or app["app_id"]
    lacks = [Finding("github", one["level"], one["text"], one["fix"]) for one in app["lacks"]]
    return lacks or [Finding("github", "ok", f"Berth is the GitHub App {name}")]


def server_finding(config: Config) -> Finding:
    """Whether a server runs on the data folder, and what it says of itself."""
    from bot.cli.client import running
    from bot.deploy.doctor import Finding

    try:
        client = running(config.data_dir)
        if client is None:
            return Finding("server", "ok", "No server runs on this data folder", "`berth serve` starts one.")
        system = client.get("/api/system")
    except BerthError as error:
        return Finding("server", "error", error.reason, error.fix)
    if system["problem"]:
        return Finding("server", "error", f"The server at {client.url} cannot deploy: {system['problem']}")
    blocked = ", ".join(map(str, system["edge"].get("blocked", ())))
    if blocked:
        return Finding(
            "server", "warning", f"Strangers listen on ports of ours: {blocked}.", "Stop what listens there."
        )
    return Finding("server", "ok", f"Berth {system['version']} runs at {client.url}")
