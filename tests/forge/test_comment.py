"""The comment of a pull request, as text."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.deploy import states
from bot.forge import comment
from bot.forge.comment import LIMIT, MARK, Facts, Shown, render, took
from tests.forge.test_markdown import HOSTILE

MARKDOWN = MarkdownIt("commonmark").enable(["table"])
DETECTION = {
    "stack": "node",
    "framework": "express",
    "confidence": 95,
    "port": 3000,
    "root": "web",
    "start_command": "node server.js",
    "evidence": [{"path": "package.json", "line": 7, "seen": '"express": "^4"', "says": "Express"}],
    "warnings": ["PORT is read without a default"],
}
SHOWN = Shown(
    "shop",
    "preview/topic",
    "live",
    sha="a1b2c3d" + "0" * 33,
    url="http://127.0.0.1:20413",
    page="https://berth.example/deployments/318",
    deployment_id=318,
    seconds=72,
    detection=DETECTION,
    files={"Dockerfile": "FROM node:22-slim\n"},
)


def test_state_first_then_a_row_for_each_application() -> None:
    worker = replace(SHOWN, application="worker", state="running", url="", seconds=None, detection=None, files={})
    body = render(Facts([worker, SHOWN], "topic", updated=1_790_000_000))
    lines = body.split("\n")
    assert lines[0] == MARK
    assert lines[2] == "### Running: preview of `topic`"
    assert (
        "| shop | **Live** | [127.0.0.1:20413](<http://127.0.0.1:20413>) | `a1b2c3d` | 1 min 12 s "
        "| [deployment 318](<https://berth.example/deployments/318>) |"
    ) in lines
    assert "| worker | **Running** |  | `a1b2c3d` |  |" in body
    assert "<summary>What was detected in shop</summary>" in body
    assert '- `package.json:7`: Express (`"express": "^4"`)' in body
    assert "```dockerfile\nFROM node:22-slim\n```" in body
    assert lines[-1].startswith("<sub>Updated 2026-09-21 ")


def test_what_runs_beside_an_application_is_named_with_its_state() -> None:
    beside = (("postgres", "postgres:17", "live"), ("worker", "worker", "starting"))
    one = replace(SHOWN, beside=beside)
    assert "Beside it: `postgres` (postgres:17, live), `worker` (worker, starting)." in render(Facts([one], "topic"))
    other = replace(SHOWN, application="docs")
    assert "Beside shop: `postgres`" in render(Facts([one, other], "topic"))
    assert "Beside" not in render(Facts([SHOWN], "topic"))


def test_a_failure_says_phase_reason_fix_and_lines() -> None:
    failed = replace(
        SHOWN,
        state="failed",
        phase="build",
        reason="npm ci ended with exit code 1",
        fix="Run `npm install` and commit `package-lock.json`.",
        url="",
        log=["npm error", "```", "</details> @ann"],
        live_sha="b" * 40,
        live_state="live",
    )
    body = render(Facts([failed], "topic"))
    assert (
        "**shop: failed in build.** npm ci ended with exit code 1. To mend it: Run `npm install` and commit "
        "`package-lock.json`. The commit before, `bbbbbbb`, is still live."
    ) in body
    assert "<summary>Last 3 lines of the log</summary>\n\n````text\nnpm error\n```\n</details> @ann\n````" in body


def test_what_does_not_fit_is_left_out_and_said() -> None:
    big = replace(SHOWN, files={"Dockerfile": "é" * 50_000, "docker-compose.yml": "x\n" * 30_000}, application="a")
    shown = [replace(big, application=f"app{number}") for number in range(80)]
    body = render(Facts(shown, "topic"))
    assert len(body.encode()) <= LIMIT
    assert "The rest does not fit here" in body
    assert "and 30 more" in body
    assert body.count("<details") == body.count("</details>")
    one = render(Facts([replace(SHOWN, reason="r" * 9_000, log=["l" * 500] * 8, state="failed")], "b" * 300))
    assert len(one.encode()) <= LIMIT


@given(
    st.builds(
        Shown,
        application=HOSTILE,
        environment=HOSTILE,
        state=st.sampled_from(["live", "failed", "running", "crash_looping"]),
        sha=st.sampled_from(["a" * 40, "", "x|y"]),
        url=st.one_of(st.just(""), HOSTILE.map(lambda text: f"http://h/{text}")),
        page=HOSTILE,
        phase=HOSTILE,
        reason=HOSTILE,
        fix=HOSTILE,
        log=st.lists(HOSTILE.map(lambda text: text.replace("\n", " ")), max_size=3),
        detection=st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {
                    "stack": HOSTILE,
                    "start_command": HOSTILE,
                    "warnings": st.lists(HOSTILE, max_size=2),
                    "evidence": st.lists(
                        st.fixed_dictionaries({"path": HOSTILE, "line": st.none(), "seen": HOSTILE, "says": HOSTILE}),
                        max_size=2,
                    ),
                }
            ),
        ),
        files=st.dictionaries(HOSTILE, HOSTILE, max_size=2),
    ),
    HOSTILE,
)
def test_no_text_changes_the_comment_s_shape(shown: Shown, ref: str) -> None:
    body = render(Facts([shown], ref, note="The pull request is closed."))
    assert len(body.encode()) <= LIMIT
    tokens = MARKDOWN.parse(body)
    kinds = [token.type for token in tokens]
    assert kinds.count("heading_open") == kinds.count("table_open") == 1
    assert kinds.count("td_open") == 6
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert blocks[0].rstrip() == MARK
    for block in blocks[1:]:
        assert re.fullmatch(
            r"(<details( open)?>\n<summary>[^<>]*</summary>|</details>|<sub>Updated [^<>]*</sub>)", block.rstrip()
        )
    opened = sum(block.startswith("<details") for block in blocks)
    assert opened == sum(block.startswith("</details>") for block in blocks)
    inline = [child for token in tokens for child in token.children or []]
    allowed = {"text", "text_special", "code_inline", "strong_open", "strong_close", "link_open", "link_close"}
    allowed |= {"softbreak", "em_open", "em_close", "html_inline"}
    assert {child.type for child in inline} <= allowed
    tags = {child.content for child in inline if child.type == "html_inline"}
    assert tags <= {"<sub>", "</sub>"}
    for token in tokens:
        if token.type == "inline":  # nobody is called, nothing is referred to
            plain = "".join(child.content for child in token.children or [] if child.type.startswith("text"))
            assert not re.search(r"[@#][A-Za-z0-9]|://", plain)


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (0.2, "1 s"), (48.4, "48 s"), (72, "1 min 12 s"), (7_512, "2 h 5 min")]
)
def test_durations(seconds: float | None, words: str) -> None:
    assert took(seconds) == words


def test_every_state_has_its_place() -> None:
    assert set(comment._ORDER) >= set(states.NEXT) | set(states.ENVIRONMENT_STATES)
    assert comment.words("crash_looping") == "Crash looping"
