"""A deployment's events on a terminal and in a pipe, and connections that break meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from bot.cli import progress
from bot.cli.client import ApiError, UnreachableError
from bot.cli.output import step_text
from bot.cli.progress import Drawn, Plain, Progress, events, follow

AT = "2026-01-01T00:00:{:02d}.000+00:00"
STORY: list[dict[str, Any]] = [
    {"kind": "state", "state": "queued", "at": AT.format(0), "offset": None},
    {"kind": "phase", "phase": "fetch", "at": AT.format(1), "offset": 0},
    {"kind": "phase", "phase": "build", "at": AT.format(3), "offset": 10},
    {"kind": "step", "step": "RUN npm ci", "at": AT.format(4), "offset": 20},
    {"kind": "line", "text": "added 1 package\x1b[2J", "at": AT.format(5), "offset": 30},
    {"kind": "state", "state": "live", "url": "http://h:1", "at": AT.format(9), "offset": None},
]
LIVE = {"id": 5, "environment_id": 1, "state": "live", "phase": "switch", "url": "http://h:1", "duration": 8.0}
FAILED = {
    "id": 5,
    "environment_id": 1,
    "state": "failed",
    "phase": "verify",
    "reason": "Nothing listens on port 3000.",
    "fix": "Set `port`.",
    "duration": 8.0,
}


class Server:
    """A client whose streams are given; an exception in one breaks it there."""

    def __init__(self, deployment: dict[str, Any], *streams: list[Any]) -> None:
        self.deployment = deployment
        self.streams = list(streams)

    def get(self, path: str) -> Any:
        if path.startswith("/api/environments"):
            return {"live": {"sha": "a" * 40}, "state": "live", "url": "http://h:2"}
        return self.deployment if not self.streams else self.deployment | {"state": "running"}

    def stream(self, _path: str) -> Iterator[dict[str, Any]]:
        for item in self.streams.pop(0):
            if isinstance(item, Exception):
                raise item
            yield item


def client(deployment: dict[str, Any], *streams: list[Any]) -> Any:
    return Server(deployment, *streams)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def test_phases_have_their_times() -> None:
    seen = Progress()
    for event in STORY:
        seen.take(event)
    assert (seen.seconds("fetch"), seen.seconds("build"), seen.seconds("verify")) == (2.0, 6.0, None)
    assert (seen.state, seen.phase, seen.step) == ("live", "build", "RUN npm ci")


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain()
    for event in STORY:
        plain.show(event)
    assert capsys.readouterr().out.splitlines() == [
        "deployment queued",
        "fetch      done in 2.0 s",
        "build      RUN npm ci",
        "build      | added 1 package",
        "build      done in 6.0 s",
    ]


def test_steps_read_as_people_say_them() -> None:
    assert step_text("[2/5] RUN npm ci", "started") == "[2/5] RUN npm ci"
    assert step_text("[2/5] RUN npm ci", "cached") == "[2/5] RUN npm ci (cached)"
    assert step_text("[2/5]", "done in 3.6 s") == "[2/5] done in 3.6 s"
    assert step_text("", "waiting for another build to end") == "waiting for another build to end"


def test_what_is_drawn_names_phases_step_and_output() -> None:
    drawn = Drawn()
    for event in STORY[:-1]:
        drawn.show(event)
    console = Console(width=80, force_terminal=False, record=True, file=StringIO())
    console.print(drawn.render())
    text = console.export_text()
    assert "✓ fetch" in text
    assert "RUN npm ci" in text
    assert "│ added 1 package" in text
    assert "\x1b[2J" not in text


def test_success_ends_with_the_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(client(LIVE, STORY), {"id": 5}) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Live in 8.0 s: http://h:1"


def test_failure_ends_with_reason_fix_and_last_lines(capsys: pytest.CaptureFixture[str]) -> None:
    story = [*STORY[:-1], {"kind": "state", "state": "failed", "at": AT.format(9), "offset": None}]
    assert follow(client(FAILED, story), {"id": 5}) == 1
    told = capsys.readouterr().err
    assert "  | added 1 package\n" in told
    assert "Deployment 5 failed in phase verify: Nothing listens on port 3000.\nWhat to do: Set `port`.\n" in told
    assert "What ran before goes on: aaaaaaa at http://h:2" in told


@pytest.mark.parametrize("state", ["superseded", "cancelled"])
def test_whatever_is_not_live_is_no_success(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = FAILED | {"state": state, "reason": f"{state} by a1b2c3d"}
    assert follow(client(ended, [{"kind": "state", "state": state}]), {"id": 5}) == 1
    assert f"Deployment 5 {state} by a1b2c3d\n" in capsys.readouterr().err


def test_interrupting_leaves_the_deployment_running(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted(Server):
        def stream(self, _path: str) -> Iterator[dict[str, Any]]:
            yield STORY[0]
            raise KeyboardInterrupt

    interrupted: Any = Interrupted(LIVE)
    assert follow(interrupted, {"id": 5}) == 130
    assert "goes on without you" in capsys.readouterr().err


def test_a_broken_stream_is_resumed_without_repetition() -> None:
    gone = UnreachableError("gone")
    server = client(LIVE, [*STORY[:3], gone], [gone], [*STORY[:4]], STORY)
    seen = list(events(server, 5))
    offsets = [event["offset"] for event in seen if event["offset"] is not None]
    assert offsets == [0, 10, 20, 30]


def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE", -1.0)
    with pytest.raises(UnreachableError):
        list(events(client(LIVE, [UnreachableError("gone")]), 5))


def test_a_refusal_is_not_retried() -> None:
    with pytest.raises(ApiError):
        list(events(client(LIVE, [ApiError(403, "no")]), 5))
