"""What people do on the fake: pushing, opening, commenting, renaming. Every act sends the events that GitHub would."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.github.sender import Delivery
from tests.github.state import ROLES, ZERO, Comment, PullRequest, Repository, User, new_id, stamp

if TYPE_CHECKING:
    from tests.github.fake import FakeGitHub


class FakePullRequest:
    """A pull request, and what people do with it. Fields: those of :class:`state.PullRequest`."""

    def __init__(self, github: FakeGitHub, repository: FakeRepository, state: PullRequest) -> None:
        self._github, self.repository, self.state = github, repository, state

    @property
    def number(self) -> int:
        return self.state.number

    @property
    def head_sha(self) -> str:
        return self.state.head_sha

    @property
    def head_ref(self) -> str:
        return self.state.head_ref

    @property
    def comments(self) -> list[Comment]:
        return self._github.comments(self.number, self.repository)

    def comment(self, body: str, author: str = "ann") -> Comment:
        """A new comment by a person; sends issue_comment.created."""
        comment = Comment(self.number, body, self._github.user(author))
        self.repository.comments[comment.id] = comment
        self._github.send_comment(self.repository, comment, "created")
        return comment

    def edit_comment(self, comment: Comment, body: str) -> None:
        before, comment.body, comment.updated = comment.body, body, time.time()
        self._github.send_comment(self.repository, comment, "edited", changes={"body": {"from": before}})

    def close(self, author: str = "ann", *, merged: bool = False) -> Delivery | None:
        self.state.state, self.state.closed, self.state.merged = "closed", time.time(), merged
        return self.send("closed", author)

    def reopen(self, author: str = "ann") -> Delivery | None:
        self.state.state, self.state.closed = "open", None
        return self.send("reopened", author)

    def send(self, action: str, author: str, **more: Any) -> Delivery | None:
        payload = {
            "action": action,
            "number": self.number,
            "pull_request": self._github.shapes.pull_request(self.repository, self.state),
            **more,
        }
        return self._github.send("pull_request", self.repository, payload, author)


class FakeRepository(Repository):
    """A repository, and what people do in it. Every act sends the events that GitHub would.

    An act by default is Ann's, who may write.
    """

    github: FakeGitHub

    @property
    def url(self) -> str:
        """For git."""
        return f"{self.github.url}/{self.full_name}.git"

    def grant(self, login: str, role: str) -> User:
        """``role``: none | read | triage | write | maintain | admin."""
        assert role in ROLES
        user = self.github.user(login)
        self.roles[user.id] = role
        return user

    def push(
        self,
        branch: str = "main",
        files: Mapping[str, str | None] | None = None,
        *,
        message: str = "a change",
        author: str = "ann",
        force: bool = False,
        send: bool = True,
    ) -> str:
        """A commit on the branch (on the default branch's newest where it is new); returns its sha.

        ``force``: it replaces the newest commit of the branch. Open pull requests of the branch get it, too.
        """
        before = self.branches().get(branch, "")
        parent = before or self.branches().get(self.default_branch, "")
        if force and before:
            parent = self.git("rev-parse", "-q", "--verify", f"{before}^", check=False)
        elif force:
            parent = ""
        sha = self.commit(parent, files if files is not None else {"time": str(new_id())}, message, self.user(author))
        self.move(branch, sha, author=author, forced=bool(force and before), send=send)
        return sha

    def user(self, login: str) -> User:
        return self.github.user(login)

    def move(self, branch: str, sha: str, *, author: str = "ann", forced: bool = False, send: bool = True) -> None:
        """The branch leads to a commit that is there already."""
        before = self.branches().get(branch, "")
        self.git("update-ref", f"refs/heads/{branch}", sha)
        followers = [
            (base, pull)
            for base in list(self.github.repositories.values())
            for pull in list(base.pulls.values())
            if pull.state == "open" and (pull.head_repository_id, pull.head_ref) == (self.id, branch)
        ]
        for base, pull in followers:
            pull.head_sha = sha
            base.git("fetch", "-q", str(self.folder), f"+{sha}:refs/pull/{pull.number}/head")
        if not send:
            return
        self.send_push(branch, before or ZERO, sha, author, forced=forced)
        for base, pull in followers:
            FakePullRequest(self.github, base, pull).send("synchronize", author, before=before, after=sha)

    def send_push(self, branch: str, before: str, after: str, author: str, *, forced: bool = False) -> Delivery | None:
        deleted = after == ZERO
        commit = None
        if not deleted:
            who = {"name": author, "email": f"{author}@example.com", "username": author}
            commit = {
                "id": after,
                "tree_id": after,
                "distinct": True,
                "message": self.message(after),
                "timestamp": stamp(),
                "url": f"{self.github.url}/{self.full_name}/commit/{after}",
                "author": who,
                "committer": who,
                "added": [],
                "removed": [],
                "modified": [],
            }
        payload = {
            "ref": f"refs/heads/{branch}",
            "before": before,
            "after": after,
            "created": before == ZERO,
            "deleted": deleted,
            "forced": forced,
            "base_ref": None,
            "compare": f"{self.github.url}/{self.full_name}/compare/{before[:12]}...{after[:12]}",
            "commits": [commit] if commit else [],
            "head_commit": commit,
            "pusher": {"name": author, "email": f"{author}@example.com"},
        }
        return self.github.send("push", self, payload, author)

    def push_tag(self, tag: str, sha: str, author: str = "ann") -> Delivery | None:
        self.git("update-ref", f"refs/tags/{tag}", sha)
        payload = {
            "ref": f"refs/tags/{tag}",
            "before": ZERO,
            "after": sha,
            "created": True,
            "deleted": False,
            "forced": False,
            "base_ref": None,
            "compare": "",
            "commits": [],
            "head_commit": None,
            "pusher": {"name": author, "email": f"{author}@example.com"},
        }
        return self.github.send("push", self, payload, author)

    def delete_branch(self, branch: str, author: str = "ann") -> None:
        """Sends push and delete; open pull requests of the branch are closed, as by GitHub."""
        before = self.branches()[branch]
        self.git("update-ref", "-d", f"refs/heads/{branch}")
        self.send_push(branch, before, ZERO, author)
        payload = {"ref": branch, "ref_type": "branch", "master_branch": self.default_branch}
        self.github.send("delete", self, {**payload, "description": None, "pusher_type": "user"}, author)
        for base in list(self.github.repositories.values()):
            for pull in list(base.pulls.values()):
                if pull.state == "open" and (pull.head_repository_id, pull.head_ref) == (self.id, branch):
                    FakePullRequest(self.github, base, pull).close(author)

    def fork(self, full_name: str) -> FakeRepository:
        """A copy on somebody else's account, without the App."""
        copy = self.github.create_repository(full_name, private=self.private, installed=False)
        copy.fork_of = self.id
        copy.git("fetch", "-q", str(self.folder), "+refs/heads/*:refs/heads/*")
        return copy

    def open_pull_request(
        self,
        head: str = "feature",
        files: Mapping[str, str | None] | None = None,
        *,
        author: str = "ann",
        base: str = "",
        fork: FakeRepository | None = None,
        title: str = "A change",
        draft: bool = False,
        send: bool = True,
    ) -> FakePullRequest:
        """``files`` (or a branch that does not exist yet): pushed to ``head`` first. ``fork``: where the head is."""
        source = fork or self
        if files is not None or head not in source.branches():
            source.push(head, files, author=author, send=send)
        sha = source.branches()[head]
        pull = PullRequest(
            self.next_number(),
            head,
            sha,
            base or self.default_branch,
            self.github.user(author),
            title,
            source.id,
            f"{source.owner.login}:{head}",
            draft=draft,
        )
        self.pulls[pull.number] = pull
        self.git("fetch", "-q", str(source.folder), f"+{sha}:refs/pull/{pull.number}/head")
        result = FakePullRequest(self.github, self, pull)
        if send:
            result.send("opened", author)
        return result

    def rename(self, name: str, author: str = "ann") -> None:
        """Within its account; the old name leads to the new one from now on."""
        before = self.name
        self.github.old_names[self.full_name.lower()] = self.id
        self.name = name
        payload = {"action": "renamed", "changes": {"repository": {"name": {"from": before}}}}
        self.github.send("repository", self, payload, author)

    def transfer(self, owner: str, author: str = "ann", *, installed: bool = True) -> None:
        """To another account, whose installation hears of it; the old one's loses the repository."""
        old, before = self.owner, self.github.installation_of(self)
        self.github.old_names[self.full_name.lower()] = self.id
        if before is not None:
            before.repositories.discard(self.id)
            self.github.send_installation_repositories(before, removed=[self])
        self.owner = self.github.user(owner)
        if installed:
            self.github.installation_for(self.owner).repositories.add(self.id)
        changes = {"owner": {"from": {"user": self.github.shapes.user(old)}}}
        self.github.send("repository", self, {"action": "transferred", "changes": changes}, author)

    def set_private(self, private: bool, author: str = "ann") -> None:
        self.private = private
        self.github.send("repository", self, {"action": "privatized" if private else "publicized"}, author)

    def set_default_branch(self, branch: str, author: str = "ann") -> None:
        before, self.default_branch = self.default_branch, branch
        self.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        payload = {"action": "edited", "changes": {"default_branch": {"from": before}}}
        self.github.send("repository", self, payload, author)

    def delete(self, author: str = "ann") -> None:
        """Sends repository.deleted, and installation_repositories.removed."""
        installation = self.github.installation_of(self)
        self.github.send("repository", self, {"action": "deleted"}, author)
        self.deleted = True
        if installation is not None:
            installation.repositories.discard(self.id)
            self.github.send_installation_repositories(installation, removed=[self])
