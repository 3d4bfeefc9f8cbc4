"""GitHub's JSON of what the fake knows: the same objects in answers and in webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.github.state import (
    Comment,
    Deployment,
    DeploymentStatus,
    Installation,
    PullRequest,
    Reaction,
    Repository,
    Status,
    User,
    stamp,
)
from tests.github.validation import description

if TYPE_CHECKING:
    from tests.github.fake import FakeGitHub


class Shapes:
    """Needs the fake for its addresses, and for the repositories that pull requests come from."""

    def __init__(self, github: FakeGitHub) -> None:
        self._github = github

    def user(self, user: User) -> dict[str, Any]:
        name = user.login.replace("[bot]", "")
        urls = {
            f"{kind}_url": f"{self._github.api_url}/users/{name}/{kind}"
            for kind in (
                *("followers", "following", "gists", "starred", "subscriptions", "organizations", "repos"),
                *("events", "received_events"),
            )
        }
        return {
            "login": user.login,
            "id": user.id,
            "node_id": f"U_{user.id}",
            "avatar_url": f"{self._github.url}/avatars/{user.id}",
            "gravatar_id": "",
            "url": f"{self._github.api_url}/users/{name}",
            "html_url": f"{self._github.url}/{name}",
            **urls,
            "type": user.type,
            "site_admin": False,
        }

    def repository(self, repository: Repository, *, whole: bool = False) -> dict[str, Any]:
        """``whole``: what GET /repos/{owner}/{repo} answers, else as lists and webhooks have it."""
        base = f"{self._github.api_url}/repos/{repository.full_name}"
        pushed = stamp()
        body = {
            "id": repository.id,
            "node_id": f"R_{repository.id}",
            "name": repository.name,
            "full_name": repository.full_name,
            "private": repository.private,
            "visibility": "private" if repository.private else "public",
            "owner": self.user(repository.owner),
            "html_url": f"{self._github.url}/{repository.full_name}",
            "description": None,
            "fork": repository.fork_of is not None,
            "url": base,
            "statuses_url": f"{base}/statuses/{{sha}}",
            "contents_url": f"{base}/contents/{{+path}}",
            "clone_url": f"{self._github.url}/{repository.full_name}.git",
            "default_branch": repository.default_branch,
            "archived": repository.archived,
            "disabled": False,
            "created_at": pushed,
            "updated_at": pushed,
            "pushed_at": pushed,
        }
        return description().component("full-repository" if whole else "repository", body)

    def short_repository(self, repository: Repository) -> dict[str, Any]:
        """As in events about installations."""
        return {
            "id": repository.id,
            "node_id": f"R_{repository.id}",
            "name": repository.name,
            "full_name": repository.full_name,
            "private": repository.private,
        }

    def installation(self, installation: Installation) -> dict[str, Any]:
        api = self._github.api_url
        body = {
            "id": installation.id,
            "account": self.user(installation.account),
            "repository_selection": "selected",
            "access_tokens_url": f"{api}/app/installations/{installation.id}/access_tokens",
            "repositories_url": f"{api}/installation/repositories",
            "html_url": f"{self._github.url}/settings/installations/{installation.id}",
            "app_id": int(self._github.app.app_id),
            "app_slug": self._github.app.slug,
            "target_id": installation.account.id,
            "target_type": installation.account.type,
            "permissions": dict(installation.permissions),
            "events": list(installation.events),
            "created_at": stamp(installation.created),
            "updated_at": stamp(installation.created),
            "single_file_name": None,
            "suspended_by": None,
            "suspended_at": stamp() if installation.suspended else None,
        }
        return description().component("installation", body)

    def pull_request(self, repository: Repository, pull: PullRequest) -> dict[str, Any]:
        base_url = f"{self._github.api_url}/repos/{repository.full_name}"
        html = f"{self._github.url}/{repository.full_name}/pull/{pull.number}"
        head_repository = self._github.repositories.get(pull.head_repository_id)
        if head_repository is not None and head_repository.deleted:
            head_repository = None
        owner = head_repository.owner if head_repository else None
        body = {
            "url": f"{base_url}/pulls/{pull.number}",
            "id": pull.id,
            "node_id": f"PR_{pull.id}",
            "html_url": html,
            "issue_url": f"{base_url}/issues/{pull.number}",
            "comments_url": f"{base_url}/issues/{pull.number}/comments",
            "statuses_url": f"{base_url}/statuses/{pull.head_sha}",
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "user": self.user(pull.user),
            "body": None,
            "created_at": stamp(pull.created),
            "updated_at": stamp(),
            "closed_at": stamp(pull.closed) if pull.closed else None,
            "merged_at": stamp(pull.closed) if pull.merged and pull.closed else None,
            "merge_commit_sha": None,
            "draft": pull.draft,
            "merged": pull.merged,
            "mergeable": None,
            "head": {
                "label": pull.head_label,
                "ref": pull.head_ref,
                "sha": pull.head_sha,
                "user": self.user(owner) if owner else None,
                "repo": self.repository(head_repository) if head_repository else None,
            },
            "base": {
                "label": f"{repository.owner.login}:{pull.base_ref}",
                "ref": pull.base_ref,
                "sha": repository.sha(pull.base_ref),
                "user": self.user(repository.owner),
                "repo": self.repository(repository),
            },
            "author_association": "CONTRIBUTOR",
            "auto_merge": None,
        }
        return description().component("pull-request", body)

    def issue(self, repository: Repository, pull: PullRequest) -> dict[str, Any]:
        """The pull request as an event about comments tells of it: without its head."""
        url = f"{self._github.api_url}/repos/{repository.full_name}"
        html = f"{self._github.url}/{repository.full_name}/pull/{pull.number}"
        return {
            "url": f"{url}/issues/{pull.number}",
            "repository_url": url,
            "comments_url": f"{url}/issues/{pull.number}/comments",
            "html_url": html,
            "id": pull.id + 1_000_000,
            "node_id": f"I_{pull.id}",
            "number": pull.number,
            "title": pull.title,
            "user": self.user(pull.user),
            "labels": [],
            "state": pull.state,
            "locked": False,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "comments": sum(comment.number == pull.number for comment in repository.comments.values()),
            "created_at": stamp(pull.created),
            "updated_at": stamp(),
            "closed_at": stamp(pull.closed) if pull.closed else None,
            "author_association": "CONTRIBUTOR",
            "active_lock_reason": None,
            "draft": pull.draft,
            "pull_request": {
                "url": f"{url}/pulls/{pull.number}",
                "html_url": html,
                "diff_url": f"{html}.diff",
                "patch_url": f"{html}.patch",
                "merged_at": None,
            },
            "body": None,
        }

    def comment(self, repository: Repository, comment: Comment) -> dict[str, Any]:
        url = f"{self._github.api_url}/repos/{repository.full_name}/issues"
        html = f"{self._github.url}/{repository.full_name}/pull/{comment.number}"
        return {
            "url": f"{url}/comments/{comment.id}",
            "html_url": f"{html}#issuecomment-{comment.id}",
            "issue_url": f"{url}/{comment.number}",
            "id": comment.id,
            "node_id": f"IC_{comment.id}",
            "user": self.user(comment.user),
            "created_at": stamp(comment.created),
            "updated_at": stamp(comment.updated),
            "author_association": "NONE",
            "body": comment.body,
            "performed_via_github_app": None,
        }

    def reaction(self, reaction: Reaction) -> dict[str, Any]:
        return {
            "id": reaction.id,
            "node_id": f"REA_{reaction.id}",
            "user": self.user(reaction.user),
            "content": reaction.content,
            "created_at": stamp(),
        }

    def status(self, repository: Repository, status: Status) -> dict[str, Any]:
        return {
            "url": f"{self._github.api_url}/repos/{repository.full_name}/statuses/{status.sha}",
            "avatar_url": None,
            "id": status.id,
            "node_id": f"SC_{status.id}",
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": stamp(status.at),
            "updated_at": stamp(status.at),
            "creator": self.user(status.creator),
        }

    def deployment(self, repository: Repository, deployment: Deployment) -> dict[str, Any]:
        url = f"{self._github.api_url}/repos/{repository.full_name}"
        return {
            "url": f"{url}/deployments/{deployment.id}",
            "id": deployment.id,
            "node_id": f"DE_{deployment.id}",
            "sha": deployment.sha,
            "ref": deployment.ref,
            "task": deployment.task,
            "payload": deployment.payload,
            "original_environment": deployment.environment,
            "environment": deployment.environment,
            "description": deployment.description,
            "creator": self.user(deployment.creator),
            "created_at": stamp(deployment.at),
            "updated_at": stamp(deployment.at),
            "statuses_url": f"{url}/deployments/{deployment.id}/statuses",
            "repository_url": url,
            "transient_environment": deployment.transient,
            "production_environment": deployment.production,
        }

    def deployment_status(
        self, repository: Repository, deployment: Deployment, status: DeploymentStatus
    ) -> dict[str, Any]:
        url = f"{self._github.api_url}/repos/{repository.full_name}"
        return {
            "url": f"{url}/deployments/{deployment.id}/statuses/{status.id}",
            "id": status.id,
            "node_id": f"DES_{status.id}",
            "state": status.state,
            "creator": self.user(status.creator),
            "description": status.description,
            "environment": status.environment,
            "target_url": status.log_url,
            "created_at": stamp(status.at),
            "updated_at": stamp(status.at),
            "deployment_url": f"{url}/deployments/{deployment.id}",
            "repository_url": url,
            "environment_url": status.environment_url,
            "log_url": status.log_url,
        }

    def environment(self, repository: Repository, name: str) -> dict[str, Any]:
        return {
            "id": repository.environments[name],
            "node_id": f"EN_{repository.environments[name]}",
            "name": name,
            "url": f"{self._github.api_url}/repos/{repository.full_name}/environments/{name}",
            "html_url": f"{self._github.url}/{repository.full_name}/deployments/{name}",
            "created_at": stamp(),
            "updated_at": stamp(),
            "protection_rules": [],
            "deployment_branch_policy": None,
        }
