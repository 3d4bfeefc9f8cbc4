"""Wrong command lines end with 2 and one line; every help is plain and fits a terminal."""

from __future__ import annotations

import sys

import pytest

from bot.cli import main
from bot.wording import plainly

COMMANDS = (
    *("deploy", "remote", "detect", "generate", "ps", "logs", "stop", "start", "restart", "rollback", "redeploy", "rm"),
    *("set", "env set", "env import", "env unset", "env list", "serve", "doctor", "version"),
    *("base-images build", "base-images list", "base-images prefix"),
)


def run(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
    monkeypatch.setattr(sys, "argv", ["berth", *line.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nope", "No such command 'nope'. `berth --help` shows"),
        ("env nope", "No such command 'nope'. `berth env --help` shows"),
        ("sto", "Did you mean"),
        ("--nope", "No such option: --nope"),
        ("logs", "Missing argument 'TARGET'. `berth logs --help` shows"),
        ("logs x -n -1", "it must be at least 0"),
        ("logs x --tail some", "it must be a whole number"),
        ("rollback x --to last", "it must be a whole number"),
        ("rollback x --to 0", "it must be at least 1"),
        ("env set x A=1 --scope all", "'all' is not one of 'application', 'previews', 'environment'"),
        ("env set x =1", "is not of the form NAME=VALUE"),
        ("set x port", "is not of the form KEY=VALUE"),
        ("set x@topic port=1", "Settings belong to the application"),
        ("ps extra more", "extra argument"),
        ("serve --port 1", "No such option: --port"),
        ("deploy /nowhere", "is not a folder"),
        ("base-images build nope", "There is no recipe for nope"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, line) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("berth: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert "Value error" not in captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_plain(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, f"{command} --help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: berth {command} ")
    assert not set("{}<>") & set(shown.replace("0<=x<=", "").replace("x>=", ""))
    assert "..." not in shown.partition("\n")[2]  # no sentence is cut off
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("group", ["", "env", "base-images"])
def test_groups_list_their_commands(
    group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, f"{group} --help") == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        if command.startswith(group) and (group or " " not in command):
            assert f"\n  {command.removeprefix(group).strip()} " in shown
    assert "..." not in shown.partition("\n")[2]


def test_words_of_a_library_said_plainly() -> None:
    assert plainly("Input should be a valid integer, unable to parse string as an integer") == "must be a whole number"
    assert plainly("Value error, must start with /") == "must start with /"
    assert plainly("Input should be 'a' or 'b'") == "must be 'a' or 'b'"
    assert plainly("String should have at most 64000 characters") == "must have at most 64000 characters"
    assert plainly("anything else") == "anything else"
