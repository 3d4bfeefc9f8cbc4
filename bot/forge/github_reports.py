"""Reports to GitHub: commit statuses, deployments with their statuses, and the one comment of a pull request.

Every report may come twice, and after a crash it does: what is made is looked for first.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from bot.config import Config
from bot.deploy import views
from bot.deploy.states import shorten
from bot.forge.github import GitHub, GitHubError
from bot.forge.github_comment import PullRequestComment
from bot.forge.github_repository import ask
from bot.forge.reports import ReportDelayed, ReportRefused, ReportUnfinished
from bot.store.database import Row, Store
from bot.store.tables import deployments, environments, forge_deployments

log = structlog.get_logger()

STATUSES = {"statuses": "write"}
DEPLOYMENTS = {"deployments": "write"}
ENVIRONMENTS = {"environments": "write"}
REMOVED_AT_ONCE = 10  # deployments; others have their turn between
_GONE = frozenset({403, 404, 422})  # what is to be removed is not there, or not ours to remove
_AWAY = frozenset({0, 429, 502, 503, 504})


@dataclass
class GitHubReporter:
    """Implements ForgeReporter."""

    github: GitHub
    store: Store
    config: Config
    comment: PullRequestComment
    progress_seconds: float = 15.0

    async def report(self, repository: Row, kind: str, body: Mapping[str, Any]) -> None:
        """See :class:`bot.forge.reports.ForgeReporter`."""
        if repository["installation_id"] is None:
            raise ReportRefused("the App is not installed for this repository")
        async with _outcomes():
            match kind:
                case "status":
                    await self._status(repository, body)
                case "deployment":
                    await self._deployment(repository, body)
                case "comment":
                    await self.comment.write(repository, int(body["number"]))
                case "removal":
                    await self._removal(repository, body)
                case _:
                    raise ReportRefused(f"there is no report of kind {kind!r}")

    def page(self, deployment_id: int | None = None) -> str:
        """The address of a deployment's page."""
        return f"{self.config.effective_public_url}/{f'deployments/{deployment_id}' if deployment_id else ''}"

    # ------------------------------------------------------------------ commit statuses

    async def _status(self, repository: Row, body: Mapping[str, Any]) -> None:
        """https://docs.github.com/rest/commits/statuses#create-a-commit-status"""
        description = str(body["description"])
        if body["state"] == "success" and (url := await self._url(body.get("deployment_id"))):
            description = f"live at {url}"
        wanted = {
            "state": body["state"],
            "context": shorten(str(body["context"]), 255),
            "description": shorten(description),
            "target_url": self.page(body.get("deployment_id")),
        }
        await ask(
            self.github,
            repository,
            "POST",
            f"/statuses/{quote(str(body['sha']), safe='')}",
            permissions=STATUSES,
            body=wanted,
        )

    async def _url(self, deployment_id: int | None) -> str:
        """Where the environment of a deployment answers; empty where nothing is published."""
        row = await self.store.one(
            sa.select(deployments.c.environment_id).where(deployments.c.id == (deployment_id or 0))
        )
        if row is None:
            return ""
        url = (await views.environment_view(self.store, self.config, row["environment_id"]))["url"] or ""
        return url if re.match(r"https?://", url) else ""

    # ------------------------------------------------------------------ deployments

    async def _deployment(self, repository: Row, body: Mapping[str, Any]) -> None:
        """https://docs.github.com/rest/deployments"""
        deployment_id, state = int(body["deployment_id"]), str(body["state"])
        known = await self._known(deployment_id)
        if known is not None and known["state"] == state != "success":
            return
        row = await self.store.one(
            sa.select(deployments, environments.c.kind, environments.c.state.label("environment_state"))
            .join_from(deployments, environments, environments.c.id == deployments.c.environment_id)
            .where(deployments.c.id == deployment_id)
        )
        if row is None:
            return
        # what is over already need not be shown first, nor what was removed meanwhile
        over = state == "inactive" or (row["environment_state"] == "removed" and row["finished_at"] is not None)
        if known is not None:
            try:
                await self._set_state(repository, row, known["forge_deployment_id"], body)
                return
            except GitHubError as error:
                if error.status != 404:
                    raise
                await self._forget(deployment_id)  # somebody deleted it
        if not over:
            made = await self._make(repository, row, str(body["environment"]))
            await self._set_state(repository, row, made, body)

    async def _make(self, repository: Row, row: Row, environment: str) -> int:
        """The id of the deployment on GitHub, made if an attempt before this one did not."""
        found = await ask(
            self.github,
            repository,
            "GET",
            "/deployments",
            permissions=DEPLOYMENTS,
            params={"sha": row["sha"], "environment": environment, "per_page": 100},
        )
        made = next((one for one in found if _mark(one) == row["id"]), None)
        if made is None:
            preview = row["kind"] != "production"
            wanted = {
                "ref": row["sha"],
                "auto_merge": False,  # or GitHub merges the default branch into the pull request's
                "required_contexts": [],  # or it waits for our own status
                "environment": environment,
                "transient_environment": preview,
                "production_environment": not preview,
                "description": shorten(row["message"]),
                "payload": {"berth": row["id"]},
            }
            made = await ask(self.github, repository, "POST", "/deployments", permissions=DEPLOYMENTS, body=wanted)
        key = {"deployment_id": row["id"]}
        values = {
            "repository_id": repository["id"],
            "forge_deployment_id": made["id"],
            "environment": environment,
            "state": "",
        }
        insert = sqlite.insert if self.store.sqlite else postgresql.insert
        query = insert(forge_deployments).values(key | values)
        async with self.store.begin() as tx:
            await tx.run(query.on_conflict_do_update(index_elements=list(key), set_=values))
        return int(made["id"])

    async def _set_state(self, repository: Row, row: Row, forge_deployment_id: int, body: Mapping[str, Any]) -> None:
        state = str(body["state"])
        wanted: dict[str, Any] = {
            "state": state,
            "log_url": self.page(row["id"]),
            "description": shorten(str(body.get("description") or "")),
            "auto_inactive": False,  # we say which ones are
        }
        if state == "success" and (url := await self._url(row["id"])):
            wanted["environment_url"] = url
        await ask(
            self.github,
            repository,
            "POST",
            f"/deployments/{forge_deployment_id}/statuses",
            permissions=DEPLOYMENTS,
            body=wanted,
        )
        change = sa.update(forge_deployments).where(forge_deployments.c.deployment_id == row["id"])
        async with self.store.begin() as tx:
            await tx.run(change.values(state=state))

    async def _known(self, deployment_id: int) -> Row | None:
        return await self.store.one(
            sa.select(forge_deployments).where(forge_deployments.c.deployment_id == deployment_id)
        )

    async def _forget(self, deployment_id: int) -> None:
        async with self.store.begin() as tx:
            await tx.run(sa.delete(forge_deployments).where(forge_deployments.c.deployment_id == deployment_id))

    async def _removal(self, repository: Row, body: Mapping[str, Any]) -> None:
        """Deployments of a removed environment become inactive and go, then GitHub's environment, unless it is back."""
        rows = await self.store.all(
            sa.select(forge_deployments)
            .join(deployments, deployments.c.id == forge_deployments.c.deployment_id)
            .where(
                deployments.c.environment_id == body["environment_id"],
                forge_deployments.c.deployment_id <= body["up_to"],
            )
            .order_by(forge_deployments.c.deployment_id)
        )
        for row in rows[:REMOVED_AT_ONCE]:
            path = f"/deployments/{row['forge_deployment_id']}"
            if row["state"] != "inactive":
                await self._try(
                    repository, "POST", f"{path}/statuses", permissions=DEPLOYMENTS, body={"state": "inactive"}
                )
            await self._try(repository, "DELETE", path, permissions=DEPLOYMENTS)
            await self._forget(row["deployment_id"])
        if len(rows) > REMOVED_AT_ONCE:
            raise ReportUnfinished
        if not body["preview"]:
            return  # production may have secrets and rules of its owner
        name = str(body["environment"])
        back = await self.store.one(
            sa.select(environments.c.id).where(
                environments.c.id == body["environment_id"], environments.c.state != "removed"
            )
        )
        used = await self.store.one(
            sa.select(forge_deployments.c.deployment_id)
            .where(forge_deployments.c.repository_id == repository["id"], forge_deployments.c.environment == name)
            .limit(1)
        )
        if back is None and used is None:
            await self._try(repository, "DELETE", f"/environments/{quote(name, safe='')}", permissions=ENVIRONMENTS)

    async def _try(
        self, repository: Row, method: str, path: str, permissions: dict[str, str], body: Any = None
    ) -> None:
        """A request that may be in vain."""
        try:
            await ask(self.github, repository, method, path, permissions=permissions, body=body)
        except GitHubError as error:
            if error.status not in _GONE or error.retry_after is not None:
                raise
            log.info("GitHub had nothing to remove", path=path, status=error.status)


@asynccontextmanager
async def _outcomes() -> AsyncIterator[None]:
    """GitHub's refusals in the words of the outbox."""
    try:
        yield
    except GitHubError as error:
        if error.status in _AWAY or error.retry_after is not None:
            raise ReportDelayed(error.retry_after or 0.0, str(error), all_of_them=True) from error
        if error.status >= 500 or error.status == 401:
            raise
        # a commit may be known a moment later, a permission be granted
        raise ReportRefused(str(error), final=error.status in {410, 451}) from error


def _mark(made: Mapping[str, Any]) -> int | None:
    """Which deployment of ours one on GitHub is."""
    payload = made.get("payload")
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except ValueError:
            return None
    return payload.get("berth") if isinstance(payload, dict) else None
