"""Branch names against git's own judgement."""

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.errors import BerthError
from bot.source.refs import MAX_BYTES, MAX_PUSHED, validate_pushed, validate_ref, validate_sha

PIECES = st.sampled_from(
    ["/", ".", "..", "@", "@{", "-", ".lock", "\\", "*", "[", "?", "~", "^", ":", " ", "a", "é", "\x7f"]
)
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.lists(PIECES, max_size=6).map("".join),
)


def accepted(name: str) -> bool:
    try:
        return validate_ref(name) == name
    except BerthError:
        return False


def git_accepts(name: str) -> bool:
    done = subprocess.run(("git", "check-ref-format", "--branch", name), cwd="/", capture_output=True, check=False)
    return done.returncode == 0 and done.stdout == name.encode() + b"\n"


def ours_is_stricter(name: str) -> bool:
    control = any("\x80" <= character <= "\x9f" or character in "\u2028\u2029" for character in name)
    return control or name == "@" or len(name.encode()) > MAX_BYTES


@settings(max_examples=150, deadline=None)
@given(NAMES)
@example("@")
@example("@{-1}")
@example("HEAD")
@example("refs/heads/x")
@example("a.lock/b")
@example("a/.b")
@example("a//b")
@example("a.")
@example("x" * 256)
@example("a\nb")
def test_agrees_with_git(name: str) -> None:
    if ours_is_stricter(name):
        assert not accepted(name)
    else:
        assert accepted(name) == git_accepts(name)


@given(st.text(max_size=300))
def test_every_refusal_has_a_printable_reason(name: str) -> None:
    text = ""
    try:
        validate_ref(name)
    except BerthError as error:
        text = str(error)
    assert not text or text.isprintable()
    assert len(text) < 1_000


@pytest.mark.parametrize("name", ["\ud800", "a\udcffb", ""])
def test_not_text(name: str) -> None:
    assert not accepted(name)


@pytest.mark.parametrize("sha", ["", "0" * 40, "a" * 39, "A" * 40, "g" * 40, "a" * 40 + "\n", "٣" * 40, "a" * 64])
def test_bad_commit_ids(sha: str) -> None:
    with pytest.raises(BerthError, match="not a full commit id"):
        validate_sha(sha)


def test_good_commit_id() -> None:
    assert validate_sha("0" * 39 + "a") == "0" * 39 + "a"


def test_pushed_refs() -> None:
    validate_pushed(["refs/heads/a", "refs/tags/v1"])
    validate_pushed([f"refs/heads/{number}" for number in range(MAX_PUSHED)])
    for refs in (["refs/heads/"], ["refs/pull/1/head"], ["HEAD"], [f"refs/heads/{n}" for n in range(MAX_PUSHED + 1)]):
        with pytest.raises(BerthError):
            validate_pushed(refs)
