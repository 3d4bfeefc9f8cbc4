"""Decisions are pure: payload in, decision out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.forge.events import SKIP_WORDS, Context, decide, when

SHA, OLD, ZERO = "a" * 40, "b" * 40, "0" * 40
CONTEXT = Context("main")


def push(**changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "ref": "refs/heads/main",
        "before": OLD,
        "after": SHA,
        "deleted": False,
        "head_commit": {"id": SHA, "message": "Subject\x1b[0m\n\nBody"},
        "pusher": {"name": "ada"},
    }
    return payload | changes


def test_push_to_the_default_branch() -> None:
    decision = decide("push", push(), CONTEXT)
    assert (decision.kind, decision.ref, decision.sha, decision.environment_kind) == (
        "deploy",
        "main",
        SHA,
        "production",
    )
    assert (decision.message, decision.actor) == ("Subject[0m", "ada")
    assert decision.reason == "aaaaaaa was pushed to main."


def test_push_to_another_branch() -> None:
    decision = decide("push", push(ref="refs/heads/feature/x"), CONTEXT)
    assert (decision.kind, decision.ref, decision.environment_kind) == ("deploy", "feature/x", "branch")


@pytest.mark.parametrize("changes", [{"deleted": True, "after": ZERO, "head_commit": None}, {"after": ZERO}])
def test_deleted_branch(changes: dict[str, Any]) -> None:
    decision = decide("push", push(ref="refs/heads/x", **changes), CONTEXT)
    assert (decision.kind, decision.ref, decision.sha) == ("teardown", "x", OLD)


@pytest.mark.parametrize("word", SKIP_WORDS)
def test_skip_words(word: str) -> None:
    for text in (f"Docs {word}", f"Docs\n\n{word.upper()}"):
        decision = decide("push", push(head_commit={"message": text}), CONTEXT)
        assert (decision.kind, decision.reason) == ("ignored", f"Not deployed: the commit message says {word}.")
        assert decision.ref == "main"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ref": "refs/tags/v1"}, "Tags are not deployed"),
        ({"ref": "refs/pull/1/head"}, "is not a branch"),
        ({"ref": None}, "is not a branch"),
        ({"ref": ["refs/heads/x"]}, "is not a branch"),
        ({"ref": "refs/heads/-x"}, "starts with a dash"),
        ({"ref": "refs/heads/\ud800"}, "is not valid UTF-8"),
        ({"ref": "refs/heads/a\nb"}, r"contains '\n'"),
        ({"after": "short"}, "not a full commit id"),
        ({"after": 5}, "not a full commit id"),
        ({"after": None}, "not a full commit id"),
    ],
)
def test_ignored_with_the_reason(changes: dict[str, Any], why: str) -> None:
    decision = decide("push", push(**changes), CONTEXT)
    assert decision.kind == "ignored"
    assert why in decision.reason


def test_what_was_delivered_before() -> None:
    again = decide("push", push(), Context("main", {"main": SHA}))
    assert (again.kind, again.reason) == ("ignored", "This state of main was delivered before.")
    assert decide("push", push(), Context("main", {"main": OLD})).kind == "deploy"
    gone = push(after=ZERO, deleted=True)
    assert decide("push", gone, Context("main", {"main": ZERO})).kind == "ignored"
    assert decide("push", gone, Context("main", {})).kind == "ignored"
    assert decide("push", gone, Context("main", {"main": OLD})).kind == "teardown"


@pytest.mark.parametrize("event", ["ping", "delete", "create", "star", "x" * 1000])
def test_other_events(event: str) -> None:
    decision = decide(event, push(), CONTEXT)
    assert decision.kind == "ignored"
    assert len(decision.reason) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["ref", "before", "after", "deleted", "head_commit", "pusher", "sender"]), JSON))
def test_never_raises_and_says_why(payload: dict[str, Any]) -> None:
    decision = decide("push", payload, CONTEXT)
    assert decision.reason
    for text in (decision.reason, decision.ref, decision.message, decision.actor):
        text.encode()
        assert "\0" not in text


@given(
    st.sampled_from(["pull_request", "issue_comment", "push", "installation", "repository"]),
    st.dictionaries(
        st.sampled_from(["action", "pull_request", "repository", "issue", "comment", "sender", "ref", "after"]),
        JSON
        | st.sampled_from(["opened", "closed", "created"])
        | st.dictionaries(
            st.sampled_from(["id", "number", "head", "user", "type", "state", "body", "pull_request"]), JSON
        ),
    ),
)
def test_no_payload_is_a_fault(event: str, payload: dict[str, Any]) -> None:
    decision = decide(event, payload, Context("main", protected=True))
    assert decision.reason
    for text in (decision.reason, decision.ref, decision.message, decision.actor):
        text.encode()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600.0),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600.0),
        (1_767_225_600, 1_767_225_600.0),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        (True, None),
        (-1, None),
        (1 << 80, None),
        (None, None),
    ],
)
def test_times_as_github_writes_them(value: object, seconds: float | None) -> None:
    assert when(value) == seconds
