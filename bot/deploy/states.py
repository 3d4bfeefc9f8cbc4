"""The states of deployments and environments, what may follow what, and what the forge is told about each.

Every change of a deployment's state goes through :func:`change`: compare-and-set in the database, with the report to
the forge in the same transaction, so that none is lost and none is sent for something that did not happen.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any, Final

import sqlalchemy as sa

from bot.store.database import Row, Transaction
from bot.store.tables import applications, deployments, environments, outbox, pull_requests, repositories

PHASES: Final = ("fetch", "detect", "generate", "build", "start", "verify", "switch")

# state -> the states that may follow it
NEXT: Final[dict[str, frozenset[str]]] = {
    "created": frozenset({"waiting_approval", "queued", "cancelled", "superseded"}),
    "waiting_approval": frozenset({"queued", "cancelled", "superseded"}),
    "queued": frozenset({"running", "failed", "cancelled", "superseded"}),
    "running": frozenset({"live", "failed", "cancelled", "superseded"}),
    "live": frozenset({"retired"}),
    "retired": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "superseded": frozenset(),
}
ENDED: Final = frozenset({"live", "retired", "failed", "cancelled", "superseded"})
ENVIRONMENT_STATES: Final = frozenset(
    {"empty", "live", "crash_looping", "sleeping", "stopped", "port_conflict", "removed"}
)

# deployment state -> (state of the commit status, state of GitHub's deployment); empty: no change
FORGE: Final[dict[str, tuple[str, str]]] = {
    "created": ("", ""),
    "waiting_approval": ("pending", ""),
    "queued": ("pending", "queued"),
    "running": ("pending", "in_progress"),
    "live": ("success", "success"),
    "failed": ("failure", "failure"),
    "cancelled": ("error", "inactive"),
    "superseded": ("error", "inactive"),
    "retired": ("", "inactive"),
}
FAULT: Final = "A fault in Berth itself"  # how the reason of a failure begins that is ours
_FAULT_FORGE: Final = ("error", "error")
# A repository in which nothing was detected and of which nothing was ever deployed gets no red mark, and no green one,
# which would be a lie: its first commit's status stays pending and says that there is nothing to deploy, and further
# commits get none until something is detected.
_NOTHING_FORGE: Final = ("pending", "inactive")
_NOTHING_DETECTED: Final = '{"stack": "none"'  # how Detection.to_json() begins then

_every = applications.alias("every")
_SIBLINGS: Final = (  # how many applications the repository has
    sa.select(sa.func.count(_every.c.id))
    .where(_every.c.repository_id == applications.c.repository_id)
    .correlate(applications)
    .scalar_subquery()
    .label("siblings")
)
_PLACE_LIMIT: Final = 255  # characters of an environment's name on GitHub
DESCRIPTION_LIMIT: Final = 140  # https://docs.github.com/en/rest/commits/statuses


def label(kind: str, ref: str) -> str:
    """How an environment is shown: ``production``, ``preview/BRANCH`` or ``fork/pr-N``."""
    return {"production": "production", "branch": f"preview/{ref}", "fork_pr": f"fork/pr-{ref}"}[kind]


async def change(tx: Transaction, deployment_id: int, to: str, *, url: str = "", **values: Any) -> bool:
    """Moves a deployment to state ``to`` if the table of changes allows it from where it is; reports it.

    ``url``: where it answers, for the report; ``values``: further columns to set. Returns whether it was changed.
    """
    sources = [state for state, following in NEXT.items() if to in following]
    if to in ENDED and to != "retired":
        values.setdefault("finished_at", time.time())
    done = await tx.changed(
        sa.update(deployments)
        .where(deployments.c.id == deployment_id, deployments.c.state.in_(sources))
        .values(state=to, **values)
        .returning(deployments.c.id)
    )
    if done:
        await report(tx, deployment_id, url=url)
    return done


async def report(tx: Transaction, deployment_id: int, *, url: str = "", progress: bool = False) -> None:
    """Writes to the outbox what the forge shall say about a deployment now. ``url``: where it answers, once live.

    ``progress``: only the words of its commit status are new, not its state.
    """
    row = await tx.one(_reported().where(deployments.c.id == deployment_id))
    if row is None:
        return
    status, deployment = FORGE[row["state"]]
    description = describe(row, url)
    if row["state"] == "failed" and row["reason"].startswith(FAULT):
        status, deployment = _FAULT_FORGE
    if not _detected(row) and row["state"] not in {"live", "retired"}:
        nothing_live, nothing_found = await _was_nothing(tx, row)
        if nothing_live and nothing_found:
            return
        if nothing_live and row["state"] == "failed" and row["detection_json"]:
            status, deployment = _NOTHING_FORGE
            description = row["reason"]
    if status:
        await _post_status(tx, row, status, description, url, progress=progress)
    if deployment and not progress:
        await _post_deployment(tx, row, deployment, description if deployment in {"failure", "error"} else "")
    if not progress:
        await report_pull_requests(tx, row["repository_id"], row["kind"], row["environment_ref"])


async def report_environment(tx: Transaction, environment_id: int, state: str, description: str) -> None:
    """Commit status and deployment of an environment's live commit after its deployment ended: ``state`` is success or
    failure, for example of a crash loop."""
    live = deployments.c.id == environments.c.live_deployment_id
    row = await tx.one(_reported().where(environments.c.id == environment_id, live))
    if row is None:
        return
    await _post_status(tx, row, state, description)
    await _post_deployment(tx, row, state, description if state == "failure" else "")
    await report_pull_requests(tx, row["repository_id"], row["kind"], row["environment_ref"])


async def report_end(tx: Transaction, environment_id: int) -> None:
    """An environment was stopped or removed: its deployments are inactive; of a removed one nothing stays on the forge
    but commit statuses and comments."""
    row = await tx.one(
        sa.select(environments, applications.c.repository_id, applications.c.name.label("application"), _SIBLINGS)
        .join_from(environments, applications)
        .where(environments.c.id == environment_id)
    )
    if row is None:
        return
    row["environment_ref"] = row["ref"]
    if row["state"] == "removed":
        newest = sa.select(sa.func.max(deployments.c.id)).where(deployments.c.environment_id == environment_id)
        last = await tx.one(newest)
        body = {
            "environment_id": environment_id,
            "environment": place(row),
            "preview": row["kind"] != "production",
            "up_to": (next(iter(last.values())) if last else None) or 0,
        }
        await post(tx, row["repository_id"], "removal", str(environment_id), body)
    elif row["live_deployment_id"] is not None:
        await _post_deployment(tx, row | {"id": row["live_deployment_id"]}, "inactive")
    await report_pull_requests(tx, row["repository_id"], row["kind"], row["ref"])


async def report_pull_requests(tx: Transaction, repository_id: int, kind: str, ref: str) -> None:
    """The comments of the pull requests that show an environment have to be written again.

    These are the open ones from its branch, or the last one where all are closed.
    """
    numbers: list[int] = []
    if kind == "fork_pr":
        numbers = [int(ref)]
    elif kind == "branch":
        rows = await tx.all(
            sa.select(pull_requests.c.number, pull_requests.c.state)
            .join(repositories, repositories.c.id == pull_requests.c.repository_id)
            .where(
                pull_requests.c.repository_id == repository_id,
                pull_requests.c.head_ref == ref,
                pull_requests.c.head_repository_id == repositories.c.forge_repository_id,
            )
            .order_by(pull_requests.c.number.desc())
        )
        numbers = [row["number"] for row in rows if row["state"] == "open"] or [row["number"] for row in rows[:1]]
    for number in numbers:
        await report_pull_request(tx, repository_id, number)


async def report_comments(tx: Transaction, environment_id: int) -> None:
    """An environment changed in a way that only comments of pull requests tell."""
    row = await tx.one(
        sa.select(environments.c.kind, environments.c.ref, applications.c.repository_id)
        .join_from(environments, applications)
        .where(environments.c.id == environment_id)
    )
    if row is not None:
        await report_pull_requests(tx, row["repository_id"], row["kind"], row["ref"])


async def report_pull_request(tx: Transaction, repository_id: int, number: int) -> None:
    """The comment of a pull request has to be written again; what it says is decided when it is sent."""
    await post(tx, repository_id, "comment", str(number), {"number": number})


async def post(tx: Transaction, repository_id: int, kind: str, subject: str, body: dict[str, Any]) -> None:
    """Puts one report into the outbox. Of several about one subject only the latest needs to arrive."""
    await tx.run(
        outbox.insert().values(
            repository_id=repository_id,
            kind=kind,
            subject=f"{kind}:{subject}",
            body_json=json.dumps(body),
            created_at=time.time(),
        )
    )


def describe(row: Row, url: str = "") -> str:
    """One sentence about a deployment, the same on every surface."""
    state, reason = row["state"], row["reason"]
    if state == "running":
        return ": ".join(part for part in (f"running, {row['phase'] or 'preparing'}", row["step"]) if part)
    if state == "live":
        return f"live at {url}" if url else "live"
    if state == "failed":
        return f"failed in {row['phase']}: {reason}" if row["phase"] else f"failed: {reason}"
    if state in {"cancelled", "superseded"}:
        return str(reason or state)
    return "waiting for approval" if state == "waiting_approval" else str(state)


def shorten(text: str, limit: int = DESCRIPTION_LIMIT) -> str:
    """``text`` in one line of at most ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def place(row: Row) -> str:
    """What an environment is called on the forge. ``row``: as :func:`label`, ``application``, ``siblings``."""
    name = label(row["kind"], row["environment_ref"]) + _among(row)
    if len(name) <= _PLACE_LIMIT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: _PLACE_LIMIT - 13]}-{digest}"


def _among(row: Row) -> str:
    """The application's name, where the repository has several."""
    return f" ({row['application']})" if row["siblings"] > 1 else ""


def _reported() -> sa.Select[Any]:
    """Deployments with what reports say of their environment, application and repository."""
    return (
        sa.select(
            deployments,
            environments.c.kind,
            environments.c.ref.label("environment_ref"),
            applications.c.repository_id,
            applications.c.name.label("application"),
            _SIBLINGS,
        )
        .join_from(deployments, environments, environments.c.id == deployments.c.environment_id)
        .join(applications, applications.c.id == environments.c.application_id)
    )


def _detected(row: Row) -> bool:
    return bool(row["detection_json"]) and not row["detection_json"].startswith(_NOTHING_DETECTED)


async def _was_nothing(tx: Transaction, row: Row) -> tuple[bool, bool]:
    """Of the deployment's repository: whether nothing of it was ever live, and whether an earlier deployment found
    nothing there."""
    of_it = (
        sa.select(deployments.c.id)
        .join_from(deployments, environments, environments.c.id == deployments.c.environment_id)
        .join(applications, applications.c.id == environments.c.application_id)
        .where(applications.c.repository_id == row["repository_id"], deployments.c.id != row["id"])
    )
    was_live = of_it.where(deployments.c.state.in_(("live", "retired"))).exists()
    begins = sa.func.substr(deployments.c.detection_json, 1, len(_NOTHING_DETECTED))
    empty = of_it.where(begins == _NOTHING_DETECTED).exists()
    found = await tx.one(sa.select(was_live.label("was_live"), empty.label("was_empty")))
    return (not found["was_live"], bool(found["was_empty"])) if found else (True, False)


async def _post_status(
    tx: Transaction, row: Row, state: str, description: str, url: str = "", *, progress: bool = False
) -> None:
    context = ("berth/production" if row["kind"] == "production" else "berth/preview") + _among(row)
    body = {
        "sha": row["sha"],
        "context": context,
        "state": state,
        "description": shorten(description),
        "target_url": url,
        "deployment_id": row["id"],
        "progress": progress,
    }
    await post(tx, row["repository_id"], "status", f"{row['sha']}:{context}", body)


async def _post_deployment(tx: Transaction, row: Row, state: str, description: str = "") -> None:
    body = {
        "deployment_id": row["id"],
        "state": state,
        "environment": place(row),
        "description": shorten(description),
    }
    await post(tx, row["repository_id"], "deployment", str(row["id"]), body)
