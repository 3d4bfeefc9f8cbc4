"""NAME and NAME@BRANCH."""

from __future__ import annotations

from typing import Any

import pytest

from bot.cli import UsageError
from bot.cli.deploy import locate, valid_name
from bot.cli.targets import Wanted, find_environment, parse, target_of
from bot.forge.local import validate_name


class Listing:
    """What `find_environment` needs of a client."""

    def __init__(self, *environments: dict[str, Any]) -> None:
        self.environments = environments

    def get(self, _path: str) -> list[dict[str, Any]]:
        return list(self.environments)


def environment(repository: str, kind: str, ref: str) -> dict[str, Any]:
    return {"repository": repository, "kind": kind, "ref": ref}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("app", Wanted("app", None)), ("app@x", Wanted("app", "x")), ("app@feature/a@b", Wanted("app", "feature/a@b"))],
)
def test_parse(text: str, expected: Wanted) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "@x", "app@"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_what_is_printed_is_found_again() -> None:
    known = [
        environment("app", "production", "main"),
        environment("app", "branch", "x"),
        environment("b", "branch", "x"),
    ]
    client: Any = Listing(*known)
    for one in known:
        assert find_environment(client, target_of(one)) == one
    assert find_environment(client, "app@main") == known[0]


def test_a_fork_is_never_meant_by_a_branch() -> None:
    client: Any = Listing(environment("app", "fork_pr", "7"))
    with pytest.raises(UsageError) as caught:
        find_environment(client, "app@7")
    assert "app@7" in caught.value.reason


def test_a_wrong_target_lists_what_there_is() -> None:
    client: Any = Listing(environment("app", "production", "main"), environment("app", "branch", "x"))
    with pytest.raises(UsageError) as caught:
        find_environment(client, "ap")
    assert caught.value.fix == "There is: app, app@x."


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("/home/me/My Project", "my-project"),
        ("/srv/web.example.org/", "web.example.org"),
        ("https://github.com/Owner/Repo", "repo"),
        ("/tmp/…", "app"),
        ("/", "app"),
        ("/srv/x.git", "x"),
        ("/srv/" + "a" * 90, "a" * 50),
    ],
)
def test_names_are_valid(key: str, name: str) -> None:
    assert valid_name(key) == name
    assert validate_name(name) == name


def test_addresses_are_told_apart_from_folders() -> None:
    assert locate("https://user:secret@Host/o/r.git/") == ("https://user:secret@Host/o/r.git/", "https://host/o/r")
    assert locate("/tmp") == ("/tmp", "/tmp")
    assert locate("file:///tmp") == ("/tmp", "/tmp")
    for wrong in ("http://host/x", "git@github.com:o/r.git", "ssh://host/x", "https://", "/nonexistent/x"):
        with pytest.raises(UsageError):
            locate(wrong)
