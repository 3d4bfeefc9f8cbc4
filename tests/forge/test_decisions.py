"""Who does what, to a branch of the repository or to a fork, in which mode: the walk over all of it, as one table.

``-`` begins what is ignored, with the reason. ``*`` stands for every value. Each combination has exactly one row.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from bot.config import Config
from bot.deploy.admission import Limits
from bot.forge import inbox
from bot.forge.github_forge import GitHubForge
from bot.forge.intake import Intake
from bot.store.database import Row, Store
from tests.forge.github_rig import ZERO, GitHubRig, Hub, Payload, credentials, sha

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TABLE = """
event                              | head | who        | all        | pull_request | off
-----------------------------------|------|------------|------------|--------------|-----------
push to the default branch         | own  | *          | deploy     | deploy       | - off
push to a branch                   | own  | person     | deploy     | - mode       | - off
push to a branch                   | own  | other bot  | deploy     | - mode       | - off
push to a branch                   | own  | dependabot | - bot      | - bot        | - off
push with a skip word              | own  | *          | - skip     | - skip       | - skip
push to an open pull request       | own  | *          | deploy     | deploy       | - off
push of a tag                      | own  | *          | - tag      | - tag        | - tag
push deletes a branch              | own  | person     | teardown   | - nothing    | - nothing
push deletes a branch              | own  | other bot  | teardown   | - nothing    | - nothing
push deletes a branch              | own  | dependabot | - nothing  | - nothing    | - nothing
push deletes the default branch    | own  | *          | - default  | - default    | - default
opened                             | own  | *          | deploy     | deploy       | - off
opened                             | fork | *          | - fork     | - fork       | - fork
opened                             | gone | *          | - fork     | - fork       | - fork
opened after the push              | own  | person     | - known    | deploy       | - off
opened after the push              | own  | other bot  | - known    | deploy       | - off
opened after the push              | own  | dependabot | deploy     | deploy       | - off
opened after a push with skip word | own  | *          | - skip     | - skip       | - skip
opened from the default branch     | own  | *          | - default  | - default    | - default
opened from the default branch     | fork | *          | - fork     | - fork       | - fork
opened from the default branch     | gone | *          | - fork     | - fork       | - fork
synchronize                        | own  | *          | deploy     | deploy       | - off
synchronize                        | fork | *          | - fork     | - fork       | - fork
synchronize                        | gone | *          | - fork     | - fork       | - fork
synchronize after the push         | own  | *          | - known    | - known      | - off
closed                             | own  | person     | - stays    | teardown     | - stays
closed                             | own  | other bot  | - stays    | teardown     | - stays
closed                             | own  | dependabot | teardown   | teardown     | - stays
closed                             | fork | *          | - fork     | - fork       | - fork
closed                             | gone | *          | - fork     | - fork       | - fork
closed, another one has the branch | own  | *          | - stays    | - stays      | - stays
reopened                           | own  | person     | - known    | deploy       | - off
reopened                           | own  | other bot  | - known    | deploy       | - off
reopened                           | own  | dependabot | deploy     | deploy       | - off
reopened                           | fork | *          | - fork     | - fork       | - fork
reopened                           | gone | *          | - fork     | - fork       | - fork
labeled                            | *    | *          | - nothing  | - nothing    | - nothing
comment with a command             | *    | person     | command    | command      | - off
comment with a command             | *    | other bot  | - bots     | - bots       | - bots
comment with a command             | *    | dependabot | - bots     | - bots       | - bots
comment without a command          | *    | person     | - command  | - command    | - command
comment without a command          | *    | other bot  | - bots     | - bots       | - bots
comment without a command          | *    | dependabot | - bots     | - bots       | - bots
"""

# what the reason says
WORDS = {
    "off": "is off, so nothing is deployed",
    "mode": "has no open pull request",
    "bot": "is a bot's branch",
    "skip": "the commit message says [skip ci]",
    "tag": "Tags are not deployed",
    "default": "the default branch",
    "fork": "forks need an approval that is not there yet, and nothing of it was fetched",
    "known": "already",
    "stays": "stays until the branch is deleted",
    "nothing": ("is left to remove", "which causes nothing"),
    "bots": "Only comments of people",
    "command": "has no command",
}
MODES = ("all", "pull_request", "off")
PEOPLE = ("person", "other bot", "dependabot")
ONE, TWO = sha("1"), sha("2")
Events = list[tuple[str, Payload]]


class Scene:
    """Events of one repository; the last one is judged."""

    def __init__(self, hub: Hub, who: str, head: str) -> None:
        self.hub, self.who, self.head = hub, who, head
        self.branch = "dependabot/npm/left-pad" if who == "dependabot" else "topic"

    def push(self, commit: str = ONE, branch: str = "", message: str = "Change") -> Events:
        return [("push", self.hub.push(branch or self.branch, commit, message, self.who))]

    def pull(self, action: str, commit: str = ONE, branch: str = "", number: int = 1) -> Events:
        payload = self.hub.pull(action, branch or self.branch, commit, number=number, who=self.who, fork=self.head)
        return [("pull_request", payload)]

    def comment(self, body: str) -> Events:
        return [*self.pull("opened"), ("issue_comment", self.hub.comment(body, who=self.who))]


SKIP = "Typo [skip ci]"
SCENES: dict[str, Callable[[Scene], Events]] = {
    "push to the default branch": lambda s: s.push(branch="main"),
    "push to a branch": lambda s: s.push(),
    "push with a skip word": lambda s: s.push(message=SKIP),
    "push to an open pull request": lambda s: s.pull("opened") + s.push(TWO),
    "push of a tag": lambda s: [("push", s.hub.push("x", ONE, who=s.who, ref="refs/tags/v1"))],
    "push deletes a branch": lambda s: s.push() + s.push(ZERO),
    "push deletes the default branch": lambda s: s.push(branch="main") + s.push(ZERO, "main"),
    "opened": lambda s: s.pull("opened"),
    "opened after the push": lambda s: s.push() + s.pull("opened"),
    "opened after a push with skip word": lambda s: s.push(message=SKIP) + s.pull("opened"),
    "opened from the default branch": lambda s: s.pull("opened", branch="main"),
    "synchronize": lambda s: s.pull("opened") + s.pull("synchronize", TWO),
    "synchronize after the push": lambda s: s.pull("opened") + s.push(TWO) + s.pull("synchronize", TWO),
    "closed": lambda s: s.pull("opened") + s.pull("closed"),
    "closed, another one has the branch": lambda s: (
        s.pull("opened") + s.pull("opened", number=2) + s.pull("closed", number=2)
    ),
    "reopened": lambda s: s.pull("opened") + s.pull("closed") + s.pull("reopened"),
    "labeled": lambda s: s.pull("opened") + s.pull("labeled"),
    "comment with a command": lambda s: s.comment("/deploy"),
    "comment without a command": lambda s: s.comment("Please /deploy this\n\n> /deploy\n\n```\n/deploy\n```"),
}
# a fork's own branches, and what is pushed to them, are no events of ours
OF_FORKS = {
    "opened",
    "opened from the default branch",
    "synchronize",
    "closed",
    "reopened",
    "labeled",
    "comment with a command",
    "comment without a command",
}


def rows() -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()[2:]]


def combinations() -> list[tuple[str, str, str]]:
    found = itertools.product(SCENES, ("own", "fork", "gone"), PEOPLE)
    return [(event, head, who) for event, head, who in found if head == "own" or event in OF_FORKS]


def expected(event: str, head: str, who: str) -> list[str]:
    matching = [row for row in rows() if row[0] == event and row[1] in {head, "*"} and row[2] in {who, "*"}]
    assert len(matching) == 1, (event, head, who, matching)
    return matching[0][3:]


def test_the_table_has_each_combination_once_and_nothing_else() -> None:
    used = set()
    for event, head, who in combinations():
        expected(event, head, who)
        used |= {tuple(row[:3]) for row in rows() if row[0] == event and row[1] in {head, "*"} and row[2] in {who, "*"}}
    assert used == {tuple(row[:3]) for row in rows()}


@pytest.mark.parametrize("event", SCENES)
async def test_every_decision_of_the_table(store: Store, event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 0.0)
    forge = GitHubForge(Config(), store, Intake(Limits()))
    await forge.open()
    forge.credentials = credentials()
    rig = GitHubRig(forge, store)
    cases = [
        (Hub(number, f"acme/r{number}"), *case)
        for number, case in enumerate(itertools.product([c for c in combinations() if c[0] == event], MODES), 1)
    ]
    await rig.send("installation", Hub().installed(repositories=[hub.repository() for hub, *_ in cases]))
    for hub, _, mode in cases:
        await rig.mode(mode, hub.number)
    wrong = []
    for hub, (_, head, who), mode in cases:
        *before, (name, payload) = SCENES[event](Scene(hub, who, head))
        for other, earlier in before:
            await rig.post(other, json.dumps(earlier).encode())
        row = await rig.send(name, payload)  # after those before
        cell = expected(event, head, who)[MODES.index(mode)]
        if not fits(row, cell):
            wrong.append((head, who, mode, cell, row["decision"], row["reason"]))
    await forge.close()
    assert wrong == []


def fits(row: Row, cell: str) -> bool:
    if not cell.startswith("-"):
        return bool(row["decision"] == cell and (row["deployment_id"] is not None) == (cell == "deploy"))
    words = WORDS[cell.removeprefix("- ")]
    known = (words,) if isinstance(words, str) else words
    return bool(row["decision"] == "ignored" and row["deployment_id"] is None) and any(
        word in row["reason"] for word in known
    )
