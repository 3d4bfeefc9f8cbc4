"""The one comment of a pull request on GitHub: what is gathered for it, and how it is written and kept up to date.

https://docs.github.com/rest/issues/comments
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from bot.config import Config
from bot.deploy import views
from bot.deploy.logs import LogStore
from bot.deploy.masking import Masker
from bot.deploy.settings import stored_settings
from bot.deploy.variables import Snapshot, list_variables
from bot.forge.comment import MARK, Facts, Shown, excerpt, render
from bot.forge.github import GitHub, GitHubError
from bot.forge.github_repository import ask, collect
from bot.store.crypto import Vault
from bot.store.database import Row, Store
from bot.store.tables import applications, deployments, environments, pull_requests

COMMENTS = {"pull_requests": "write"}
_LOOKED_AT = 300  # lines at the end of a log, of which some are Berth's own
_KEPT = 200  # texts
_RUNS = frozenset({"live", "crash_looping"})


@dataclass
class PullRequestComment:
    """Writes comments. Of an unchanged one nothing is sent."""

    github: GitHub
    store: Store
    config: Config
    vault: Vault
    logs: LogStore
    _written: dict[int, str] = field(default_factory=dict)  # pull request -> what its comment says

    async def write(self, repository: Row, number: int) -> None:
        """Makes the comment of a pull request say what is true now. Raises GitHubError.

        One that somebody deleted is made again; for a closed pull request none is made.
        """
        query = sa.select(pull_requests).where(pull_requests.c.repository_id == repository["id"])
        pull_request = await self.store.one(query.where(pull_requests.c.number == number))
        if pull_request is None:
            return
        facts = await self.gather(repository, pull_request)
        is_open, comment_id = pull_request["state"] == "open", pull_request["comment_id"]
        if not facts.shown or (comment_id is None and (not is_open or facts.nothing)):
            return
        text = render(facts)
        if comment_id is not None and self._written.get(pull_request["id"]) == text:
            return
        if comment_id is None or not await self._edit(repository, comment_id, text):
            if not is_open:
                return
            comment_id = await self._make(repository, number, text)
            change = sa.update(pull_requests).where(pull_requests.c.id == pull_request["id"])
            async with self.store.begin() as tx:
                await tx.run(change.values(comment_id=comment_id))
        self._written[pull_request["id"]] = text
        while len(self._written) > _KEPT:
            del self._written[next(iter(self._written))]

    async def _edit(self, repository: Row, comment_id: int, text: str) -> bool:
        """False where the comment is not there any more."""
        try:
            await self._ask(repository, "PATCH", f"/issues/comments/{comment_id}", text)
        except GitHubError as error:
            if error.status not in {404, 410}:
                raise
            return False
        return True

    async def _make(self, repository: Row, number: int, text: str) -> int:
        """A new comment, unless an attempt before this one made it and could not keep its id."""
        path = f"/issues/{number}/comments"
        for one in await collect(self.github, repository, path, COMMENTS):
            ours = str(one.get("body")).startswith(MARK) and self._is_ours(one)
            if ours and await self._edit(repository, one["id"], text):
                return int(one["id"])
        made = await self._ask(repository, "POST", path, text)
        return int(made["id"])

    async def _ask(self, repository: Row, method: str, path: str, text: str) -> Any:
        return await ask(self.github, repository, method, path, permissions=COMMENTS, body={"body": text})

    def _is_ours(self, one: Mapping[str, Any]) -> bool:
        """Whether the App wrote a comment: people can write our mark too."""
        credentials = self.github.credentials
        app, user = one.get("performed_via_github_app") or {}, one.get("user") or {}
        if app.get("id") is not None:
            return str(app["id"]) == credentials.app_id
        name = f"{credentials.slug}[bot]" if credentials.slug else user.get("login")
        return bool(user.get("type") == "Bot" and user.get("login") == name)

    async def gather(self, repository: Row, pull_request: Row) -> Facts:
        """What there is to say: of each application that has, or had, an environment of this pull request."""
        same = pull_request["head_repository_id"] == repository["forge_repository_id"]
        kind, ref = ("branch", pull_request["head_ref"]) if same else ("fork_pr", str(pull_request["number"]))
        rows = await self.store.all(
            sa.select(environments, applications.c.name.label("application"))
            .join_from(environments, applications)
            .where(
                applications.c.repository_id == repository["id"], environments.c.kind == kind, environments.c.ref == ref
            )
            .order_by(applications.c.id)
        )
        shown = [one for row in rows if (one := await self._shown(repository, row)) is not None]
        note = ""
        if pull_request["state"] == "closed":
            note = "The pull request is closed."
            if any(row["state"] != "removed" for row in rows):
                note += " " + await self._what_stays(repository, pull_request, rows)
        moments = [row["removed_at"] or row["created_at"] for row in rows] or [pull_request["updated_at"]]
        moments += [at for _, at in shown]
        if note:
            moments.append(pull_request["updated_at"])
        return Facts([one for one, _ in shown], pull_request["head_ref"], note, max(moments))

    async def _what_stays(self, repository: Row, pull_request: Row, rows: list[Row]) -> str:
        other = await self.store.one(
            sa.select(pull_requests.c.number).where(
                pull_requests.c.repository_id == repository["id"],
                pull_requests.c.head_ref == pull_request["head_ref"],
                pull_requests.c.head_repository_id == pull_request["head_repository_id"],
                pull_requests.c.state == "open",
            )
        )
        if other is not None:
            return "The preview stays for another open pull request from this branch."
        modes = [(await stored_settings(self.store, row["application_id"])).get("mode", "all") for row in rows]
        if "all" in modes:
            return "The preview stays until its branch is deleted."
        return "The preview is about to be removed."

    async def _shown(self, repository: Row, environment: Row) -> tuple[Shown, float] | None:
        """The application in this environment, and when that became so; None where nothing was ever deployed there."""
        newest = await self.store.one(
            sa.select(deployments)
            .where(deployments.c.environment_id == environment["id"])
            .order_by(deployments.c.id.desc())
            .limit(1)
        )
        if newest is None:
            return None
        view = await views.environment_view(self.store, self.config, environment["id"])
        live, removed = view["live"], environment["state"] == "removed"
        mask = await self._masker(newest, environment["application_id"])
        of_environment = newest["state"] in {"live", "retired"}
        detection = json.loads(newest["detection_json"]) if newest["detection_json"] else None
        one = Shown(
            application=environment["application"],
            environment=view["label"],
            state=environment["state"] if removed or of_environment else newest["state"],
            sha=newest["sha"],
            url=(view["url"] or "") if environment["state"] in _RUNS else "",
            page=f"{self.config.effective_public_url}/deployments/{newest['id']}",
            deployment_id=newest["id"],
            phase=newest["phase"] or "",
            reason="" if removed else mask.mask(environment["reason"] if of_environment else newest["reason"]),
            fix="" if removed or of_environment else mask.mask(newest["fix"]),
            seconds=_seconds(newest),
            detection=_masked(mask, detection),
            files=_masked(mask, json.loads(newest["files_json"]) if newest["files_json"] else {}),
            beside=() if removed else _beside(view),
            nothing=bool(detection and detection.get("stack") == "none" and live is None),
        )
        if live is not None and live["id"] != newest["id"] and not removed:
            one = replace(one, live_sha=live["sha"], live_state=environment["state"])
        if one.state == "failed" and not one.nothing:
            one = await self._with_log(one, repository, environment, mask)
        times = (newest["created_at"], newest["started_at"], newest["finished_at"], environment["removed_at"])
        return one, max(at for at in times if at is not None)

    async def _with_log(self, one: Shown, repository: Row, environment: Row, mask: Masker) -> Shown:
        settings = await stored_settings(self.store, environment["application_id"])
        if not repository["private"] and not settings.get("log_excerpts", False):
            return replace(one, log_withheld=True)
        page = await self.logs.read(one.deployment_id, tail=_LOOKED_AT)
        lines = [line.text for line in page.lines if line.kind in {"line", "gap"} and line.source != "berth"]
        lines = lines or [line.text for line in page.lines if line.kind == "line"]
        text = excerpt(lines, mask)
        return replace(one, log=tuple(text.split("\n")) if text else ())

    async def _masker(self, deployment: Row, application_id: int) -> Masker:
        """Of the secrets that the deployment used, and of those that are set now."""
        secrets = [one.value for one in await list_variables(self.store, self.vault, application_id) if one.secret]
        if deployment["snapshot_enc"]:
            secrets += Snapshot.from_json(self.vault.decrypt(deployment["snapshot_enc"])).secrets()
        return Masker(secrets)


def _beside(view: views.View) -> tuple[tuple[str, str, str], ...]:
    shown = [one for one in view["services"] if one["role"] in {"worker", "database"}]
    return tuple((one["name"], one["image"] or one["role"], one["state"]) for one in shown)


def _masked(mask: Masker, value: Any) -> Any:
    """``value`` (JSON) with every text in it masked."""
    if isinstance(value, str):
        return mask.mask(value)
    if isinstance(value, list):
        return [_masked(mask, one) for one in value]
    if isinstance(value, dict):
        return {key: _masked(mask, one) for key, one in value.items()}
    return value


def _seconds(deployment: Row) -> float | None:
    started, finished = deployment["started_at"], deployment["finished_at"]
    return finished - started if started and finished else None
