"""What runs, and what can be done with it; ``berth remote``, which makes a repository to push to."""

from __future__ import annotations

import json
import sys
from http.client import CONFLICT
from typing import Annotated

import typer

from bot.cli import UsageError, output
from bot.cli.client import JSON, ApiError, Client, connect
from bot.cli.targets import Target, find_environment, target_of
from bot.errors import BerthError


def ps(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="One environment: its deployments", show_default=False)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
) -> None:
    """List environments, or the deployments of one.

    Environments with state, URL, commit and age; deployments with number, state, commit and how they came to be.
    """
    client = connect()
    if target:
        _history(client.get(f"/api/environments/{find_environment(client, target)['id']}/deployments"), as_json)
        return
    environments = client.get("/api/environments")
    if as_json:
        for environment in environments:
            print(json.dumps(environment))
        return
    if not environments:
        print("Nothing is deployed yet: `berth deploy PATH` begins.")
        return
    names = ["target", "state", "url", "commit", "age", "newest deployment"]
    rows = [_row(one) for one in environments]
    beside = [_beside(one) for one in environments]
    if any(beside):
        names.append("beside it")
        rows = [[*row, text] for row, text in zip(rows, beside, strict=True)]
    output.table(names, rows)


def _history(deployments: list[JSON], as_json: bool) -> None:
    if as_json:
        for one in deployments:
            print(json.dumps(one))
        return
    rows = [
        [
            str(one["id"]),
            one["state"],
            one["sha"][:7],
            one["message"].partition("\n")[0][:60],
            one["cause"],
            output.duration(one["duration"]),
            output.age(one["created_at"]),
            one["reason"] if one["state"] == "failed" else "",
        ]
        for one in deployments
    ]
    output.table(("number", "state", "commit", "message", "cause", "took", "age", "reason"), rows)


def _row(environment: JSON) -> list[str]:
    live, latest = environment["live"], environment["latest"]
    shown = live or latest
    told = latest and environment["reason"] == latest["reason"]  # it stands beside the newest deployment
    return [
        target_of(environment),
        environment["state"] + (f" ({environment['reason']})" if environment["reason"] and not told else ""),
        environment["url"] or "" if environment["state"] != "empty" else "",
        shown["sha"][:7] if shown else "",
        output.age(shown["finished_at"] or shown["created_at"]) if shown else "",
        _newest(latest) if latest and (not live or latest["id"] != live["id"]) else "",
    ]


def _beside(environment: JSON) -> str:
    """Workers and databases with their state."""
    shown = [one for one in environment["services"] if one["role"] in {"worker", "database"}]
    return ", ".join(f"{one['name']} {one['state']}" for one in shown)


def _newest(deployment: JSON) -> str:
    words = {"running": f"{deployment['phase'] or 'running'}: {deployment['step']}".rstrip(": ")}
    return f"{deployment['sha'][:7]} {words.get(deployment['state']) or output.outcome(deployment)}"


def remote(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the repository; made if it is new")],
    url_only: Annotated[bool, typer.Option("--url-only", help="Print the URL alone, for scripts")] = False,
) -> None:
    """Create a repository to push to, and print how."""
    repository = connect().post("/api/repositories", {"name": name})
    if url_only:
        print(repository["remote_url"])
        return
    print(f"git remote add berth {repository['remote_url']}")
    print(f"git push berth HEAD:{repository['default_branch']}")


def logs(
    target: Target,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come")] = False,
    number: Annotated[
        int, typer.Option("--tail", "-n", metavar="LINES", min=0, max=100_000, help="Lines of the past")
    ] = 100,
    service: Annotated[
        str, typer.Option("--service", "-s", metavar="NAME", help="Of a worker or a database", show_default=False)
    ] = "",
    build: Annotated[
        bool, typer.Option("--build", help="The newest deployment's own log instead of the application's")
    ] = False,
) -> None:
    """Print what an application wrote, or how it was deployed."""
    client = connect()
    environment = find_environment(client, target)
    if not build:
        query = {"tail": number, **({"follow": 1} if follow else {}), **({"service": service} if service else {})}
        for line in client.stream(f"/api/environments/{environment['id']}/logs", query):
            _print_line(line["text"])
        return
    if environment["latest"] is None:
        raise BerthError(f"{target} has no deployment yet.")
    path = f"/api/deployments/{environment['latest']['id']}"
    page = client.get(f"{path}/logs", {"tail": number})
    for line in page["lines"]:
        _print_event(line)
    if follow:
        for event in client.stream(f"{path}/stream", {"offset": page["next_offset"]}):
            _print_event(event)


def _print_event(event: JSON) -> None:
    """A line of a deployment's log, or an event of its stream."""
    if event["kind"] == "phase":
        _print_line(f"── {event['text']}")
    elif event["kind"] == "step":
        _print_line(output.step_text(event["step"], event["text"]))
    elif event["text"] or event["kind"] == "line":
        _print_line(event["text"])


def _print_line(text: str) -> None:
    print(output.printable(text, colours=output.interactive()), flush=True)


def stop(target: Target) -> None:
    """Stop an environment; its port and its data stay."""
    _work(target, "stop", "stopped")


def start(target: Target) -> None:
    """Start a stopped environment again."""
    _work(target, "start", "started")


def restart(target: Target) -> None:
    """Replace the running containers without an outage."""
    _work(target, "restart", "restarted")


def _work(target: str, kind: str, done: str) -> None:
    client = connect()
    environment = find_environment(client, target)
    _wait(client, client.post(f"/api/environments/{environment['id']}/{kind}"), target, done)
    url = client.get(f"/api/environments/{environment['id']}")["url"]
    print(f"{target} {done}." if kind == "stop" or not url else f"{target} {done}: {url}")


def _wait(client: Client, accepted: JSON, target: str, done: str) -> None:
    try:
        outcome = client.wait_for_work(int(accepted["work_id"]))
    except KeyboardInterrupt:
        print(f"\nThis goes on without you. `berth ps` shows whether {target} was {done}.", file=sys.stderr)
        raise typer.Exit(130) from None
    if outcome:
        raise BerthError(f"{target} was not {done}: {outcome}", f"`berth logs {target}` may say more.")


def rm(
    target: Target,
    volumes: Annotated[bool, typer.Option("--volumes", help="Its data too: volumes and databases")] = False,
    repository: Annotated[
        bool, typer.Option("--repository", help="All environments, and the repository itself")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Remove an environment: containers, port, network.

    Its data stays unless --volumes.
    """
    client = connect()
    if repository:
        _confirm(f"the repository {target} with its commits and all its environments", volumes, yes)
        client.request(
            "DELETE", f"/api/repositories/{_repository_id(client, target)}", query=_volumes(volumes), timeout=150
        )
    else:
        environment = find_environment(client, target)
        _confirm(target, volumes, yes)
        accepted = client.request("DELETE", f"/api/environments/{environment['id']}", query=_volumes(volumes))
        _wait(client, accepted, target, "removed")
    print(f"{target} removed.")


def _volumes(wanted: bool) -> dict[str, object]:
    return {"volumes": "true"} if wanted else {}


def _repository_id(client: Client, name: str) -> int:
    found = client.get("/api/repositories")
    for one in found:
        if one["name"] == name:
            return int(one["id"])
    raise UsageError(f"There is no repository {name}.", f"There is: {', '.join(one['name'] for one in found)}.")


def _confirm(what: str, volumes: bool, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("Nothing is removed without a question, and nobody can answer here.", "Add --yes.")
    typer.confirm(f"Remove {what}{', data included' if volumes else ' (data stays)'}?", abort=True)


def rollback(
    target: Target,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="NUMBER", min=1, help="An earlier deployment: `berth ps TARGET` lists them"),
    ] = None,
) -> None:
    """Make an earlier deployment live again.

    Its image, settings and variables; nothing is built. Data in volumes and databases is not rolled back.
    """
    client = connect()
    environment = find_environment(client, target)
    try:
        deployment = client.post(f"/api/environments/{environment['id']}/rollback", {"deployment_id": to} if to else {})
    except (UsageError, ApiError) as error:
        if isinstance(error, ApiError) and error.status != CONFLICT:
            raise
        raise UsageError(error.reason, f"`berth ps {target}` lists its deployments; --to names one.") from error
    _follow(client, deployment)


def redeploy(target: Target) -> None:
    """Repeat the newest deployment, with today's settings.

    The same commit; settings and variables that were changed since then take effect.
    """
    client = connect()
    environment = find_environment(client, target)
    _follow(client, client.post(f"/api/environments/{environment['id']}/deploy"))


def _follow(client: Client, deployment: JSON) -> None:
    from bot.cli.progress import follow

    code = follow(client, deployment)
    if code:
        raise typer.Exit(code)
