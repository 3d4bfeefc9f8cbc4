"""Nothing from a repository can become an instruction."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.detect import dockerfile
from bot.generate import write

TEXT = st.text(max_size=60) | st.text("a \\\"'`$(){}[]&|;<>\n\r\t#=*?!~%-", max_size=40)


def only_instruction(line: str) -> dockerfile.Instruction:
    """The line between two others must still be exactly one instruction."""
    parsed = dockerfile.parse(f"FROM a\n{line}\nUSER last\n")
    assert not parsed.problems
    assert parsed.final
    first, last = parsed.final.instructions
    assert (last.name, last.text) == ("USER", "last")
    return first


@settings(max_examples=400, deadline=None)
@given(TEXT)
def test_values_stay_one_instruction(text: str) -> None:
    assert only_instruction(f"LABEL a={write.quoted(text)}").name == "LABEL"
    assert only_instruction(write.copy([text], "./")).name == "COPY"
    assert only_instruction(f"WORKDIR /{write.path(text)}").name == "WORKDIR"
    assert only_instruction(write.run(text or "true")).name == "RUN"
    assert only_instruction(write.command(text)).name == "CMD"
    parsed = dockerfile.parse(f"FROM a\n{write.comment(text)}\nUSER last\n")
    assert parsed.final
    assert [one.name for one in parsed.final.instructions] == ["USER"]


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_a_command_keeps_its_text(text: str) -> None:
    words = json.loads(only_instruction(write.command(text)).text)
    clean = text.replace("\0", "").encode("utf-8", "replace").decode().strip()
    if words[:2] == ["/bin/sh", "-c"]:
        assert _bare(words[2]) == _bare(clean)
    else:
        assert words == clean.split()


def _bare(text: str) -> str:
    return "".join(text.replace("exec env ", "").replace("exec ", "").split())


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("node server.js", ["node", "server.js"]),
        ("gunicorn --bind 0.0.0.0:${PORT} a:b", ["/bin/sh", "-c", "exec gunicorn --bind 0.0.0.0:${PORT} a:b"]),
        ("python m.py && gunicorn a", ["/bin/sh", "-c", "python m.py && exec gunicorn a"]),
        ("cd app && python x.py", ["/bin/sh", "-c", "cd app && exec python x.py"]),
        ("A=1 python x.py", ["/bin/sh", "-c", "exec env A=1 python x.py"]),
        ('echo "a && b"', ["/bin/sh", "-c", 'exec echo "a && b"']),
        ("a | b", ["/bin/sh", "-c", "a | b"]),
        ("a & b", ["/bin/sh", "-c", "a & b"]),
        ("a; b", ["/bin/sh", "-c", "a; b"]),
        ("a || b", ["/bin/sh", "-c", "a || b"]),
        ("exec a $B", ["/bin/sh", "-c", "exec a $B"]),
        ("if true; then a; fi", ["/bin/sh", "-c", "if true; then a; fi"]),
        ("a $(b)", ["/bin/sh", "-c", "a $(b)"]),
        ("a\nb", ["/bin/sh", "-c", "a\nb"]),
        ("a && export B=1", ["/bin/sh", "-c", "a && export B=1"]),
        ("node 'a b.js'", ["/bin/sh", "-c", "exec node 'a b.js'"]),
    ],
)
def test_signals_reach_the_application(start: str, words: list[str]) -> None:
    assert json.loads(only_instruction(write.command(start)).text) == words


@pytest.mark.parametrize(
    "start", ["echo $((1+1)) && A=b sh -c 'echo $A$0' x", "true && echo 'a;b' \"c|d\"", 'A="x y" env']
)
def test_exec_does_not_change_what_runs(start: str) -> None:
    plain, replaced = (
        subprocess.run(
            ["/bin/sh", "-c", text], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
        )
        for text in (start, write.with_exec(start))
    )
    assert "exec" in write.with_exec(start) or "$(" in start
    without = sorted(line for line in plain.stdout.splitlines() if not line.startswith("_="))
    assert sorted(line for line in replaced.stdout.splitlines() if not line.startswith("_=")) == without


@pytest.mark.parametrize(
    ("sources", "line"),
    [
        (["package.json", "yarn.lock"], "COPY package.json yarn.lock ./"),
        (["a b"], 'COPY ["a b", "./"]'),
        (["--from=x"], 'COPY ["--from=x", "./"]'),
        (["[a]*?"], r'COPY ["\\[a\\]\\*\\?", "./"]'),
        (["$HOME"], r'COPY ["\\$HOME", "./"]'),
        (["a\nRUN evil"], r'COPY ["a\nRUN evil", "./"]'),
    ],
)
def test_copies_names_as_they_are(sources: list[str], line: str) -> None:
    assert write.copy(sources, "./") == line


def test_run_gives_odd_commands_to_the_shell_as_one_word() -> None:
    assert write.run("npm run build") == "RUN npm run build"
    assert write.run("a && b", ["type=cache,target=/c"]) == "RUN --mount=type=cache,target=/c \\\n    a && b"
    assert write.run("echo $(id)\nUSER root") == 'RUN ["/bin/sh", "-c", "echo $(id)\\nUSER root"]'
