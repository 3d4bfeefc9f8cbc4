"""A real server that is an App on the fake GitHub."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Server, get, running, until
from tests.github.fake import FakeGitHub
from tests.github.people import FakeRepository
from tests.github.state import Deployment, Status

SMALL: dict[str, str | None] = {name: dedent(text) for name, text in PLAIN.items()}


def slow(seconds: int = 20) -> dict[str, str | None]:
    """A change that makes the next build take so long."""
    dockerfile = (SMALL["Dockerfile"] or "").replace("USER", f"RUN echo {uuid.uuid4().hex} && sleep {seconds}\nUSER")
    return {**SMALL, "Dockerfile": dockerfile}


@dataclass
class Place:
    """The server and its GitHub."""

    server: Server
    github: FakeGitHub

    def repository(self, name: str, **values: Any) -> FakeRepository:
        """``acme/NAME-RANDOM``, to which the App is added as on GitHub: with an event."""
        made = self.github.create_repository(f"acme/{name}-{uuid.uuid4().hex[:6]}", installed=False, **values)
        self.github.add_repositories(self.github.installation_for(made.owner), made)
        assert self.github.last.status in (200, 202), self.github.last
        return made

    def live(self, repository: FakeRepository, label: str = "production", seconds: float = 120) -> dict[str, Any]:
        """The environment, once its newest deployment is live."""
        settled = self.server.settled(repository.full_name, label, seconds)
        assert settled["latest"]["state"] == "live", (settled, self.server.log[-3000:])
        return settled

    def phase(self, repository: FakeRepository, phase: str, label: str = "production") -> None:
        """Waits until the newest deployment is there."""
        until(lambda: self.server.phase(repository.full_name, label) == phase, f"{label} is in {phase}", 90)

    def status(self, sha: str, state: str, seconds: float = 60) -> Status:
        """The newest status of a commit, once it is ``state``."""

        def newest() -> Status | None:
            found = self.github.statuses(sha)
            return found[-1] if found and found[-1].state == state else None

        what = f"the status of {sha[:7]} is {state}; of {[one.state for one in self.github.statuses(sha)]}"
        found: Status = until(newest, f"{what}; log: {self.server.log[-2000:]}", seconds)
        return found

    def deployment(self, sha: str, state: str, seconds: float = 60) -> Deployment:
        """GitHub's deployment of a commit, once it is ``state``."""

        def there() -> Deployment | None:
            found = [one for one in self.github.deployments if one.sha == sha]
            return found[-1] if found and found[-1].state == state else None

        found: Deployment = until(
            there, f"the deployment of {sha[:7]} is {state}; log: {self.server.log[-2000:]}", seconds
        )
        return found

    def serves(self, url: str, body: str) -> None:
        """The edge leads there: a moment after the database says that it is live."""
        until(lambda: get(url).body == body, f"{url} answers {body!r}", 5)

    def is_well(self) -> None:
        """Neither side has anything to complain about."""
        self.server.is_well()
        assert self.github.violations == []
        assert self.github.mistakes == []
        written = self.server.log + "".join(
            path.read_text(errors="replace") for path in self.server.data_dir.rglob("*.log") if path.is_file()
        )
        tokens = [*self.github.tokens, *self.github.revoked]
        assert [token for token in tokens if token in written] == [], "a token in a log"


@contextlib.contextmanager
def connected(folder: Path, **variables: str) -> Iterator[Place]:
    """Both are ended afterwards, with all that they made."""
    with FakeGitHub() as github, running(folder, **github.variables(folder / "app"), **variables) as server:
        github.hook_url = f"{server.url}/api/github/webhooks"
        yield Place(server, github)
