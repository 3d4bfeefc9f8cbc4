"""Pull requests on GitHub: one comment that is kept up to date, and commands in those of people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.github import SMALL, Place, connected, slow
from tests.end_to_end.harness import get, until
from tests.github.state import Comment

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with connected(tmp_path_factory.mktemp("pull-requests")) as place:
        yield place
        place.is_well()


def number_of_deployments(place: Place, environment_id: int) -> int:
    return len(place.server.api("GET", f"/api/environments/{environment_id}/deployments"))


def reacted(place: Place, comment: Comment, content: str, seconds: float = 60) -> None:
    """Waits until Berth has reacted so to a comment."""

    def there() -> bool:
        return content in place.github.reactions(comment.id)

    reactions = place.github.reactions(comment.id)
    until(there, f"{content} on {comment.body!r}, not {reactions}; log: {place.server.log[-2000:]}", seconds)


def test_opened_commented_and_closed(place: Place) -> None:
    shop = place.repository("shop")
    shop.push("main", SMALL, send=False)
    pull = shop.open_pull_request("topic", {"index.html": "topic\n"})
    live = place.live(shop, "preview/topic")
    assert number_of_deployments(place, live["id"]) == 1, "the push and the pull request are one deployment"

    def told(word: str) -> bool:
        return any(word in comment.body for comment in place.github.own_comments(pull.number, shop))

    until(lambda: told(live["url"]), "the comment shows the address", 60)
    (comment,) = place.github.own_comments(pull.number, shop)
    assert pull.head_sha[:7] in comment.body

    asked = pull.comment("/deploy", "ann")
    reacted(place, asked, "eyes", 30)
    reacted(place, asked, "rocket", 120)
    place.live(shop, "preview/topic")
    assert number_of_deployments(place, live["id"]) == 2

    second = shop.push("topic", {"index.html": "better\n"})
    place.status(second, "success", 120)
    until(lambda: told(second[:7]), "the comment shows the new commit", 60)
    assert len(place.github.own_comments(pull.number, shop)) == 1, "it is edited, not written again"
    place.serves(live["url"], "better\n")

    pull.close(merged=True)
    shop.delete_branch("topic")
    until(lambda: place.server.environment_of(shop.full_name, "preview/topic") is None, "the preview is removed", 60)
    until(lambda: not told(live["url"]), f"the comment says so; {comment.body}", 60)


def test_commands_of_people_who_may_not(place: Place) -> None:
    shop = place.repository("refused")
    shop.push("main", SMALL, send=False)
    shop.grant("rita", "read")
    pull = shop.open_pull_request("topic", {"index.html": "topic\n"})
    live = place.live(shop, "preview/topic")
    for author in ("rita", "stranger"):
        asked = pull.comment("/deploy stop", author)
        reacted(place, asked, "confused")
    place.serves(live["url"], "topic\n")
    quoted = pull.comment("> /deploy stop\n\nno, please", "ann")
    assert place.github.last.status in (200, 202)
    asked = pull.comment("/deploy stop", "ann")
    reacted(place, asked, "rocket")
    assert get(live["url"]).status == 503
    assert place.github.reactions(quoted.id) == []
    asked = pull.comment("/deploy start", "ann")
    reacted(place, asked, "rocket")
    place.serves(live["url"], "topic\n")


def test_nothing_of_a_fork_is_fetched(place: Place) -> None:
    shop = place.repository("forked", private=False)
    shop.push("main", SMALL, send=False)
    fork = shop.fork("mallory/shop-of-others")
    pull = shop.open_pull_request("evil", {"index.html": "evil\n"}, fork=fork, author="mallory")
    before = len(place.github.git_requests)
    asked = pull.comment("/deploy", "ann")
    reacted(place, asked, "confused")
    until(lambda: place.github.own_comments(pull.number, shop), "the refusal is explained", 30)
    assert any("fork" in comment.body for comment in place.github.own_comments(pull.number, shop))
    assert place.server.environment_of(shop.full_name, "preview/evil") is None
    assert len(place.github.git_requests) == before


def test_a_failing_build_is_explained(place: Place) -> None:
    shop = place.repository("failing")
    shop.push("main", SMALL, send=False)
    fence = "`" * 4
    bad = (SMALL["Dockerfile"] or "").replace("USER", f"RUN echo '{fence}' '@everyone' && exit 3\nUSER")
    pull = shop.open_pull_request("bad", {"Dockerfile": bad})
    place.status(pull.head_sha, "failure", 120)
    place.deployment(pull.head_sha, "failure")
    until(lambda: place.github.own_comments(pull.number, shop), "the comment is there", 60)
    until(lambda: "failed" in place.github.own_comments(pull.number, shop)[0].body, "it says so", 60)


def test_closed_while_it_is_built(place: Place) -> None:
    shop = place.repository("closed")
    shop.push("main", SMALL, send=False)
    pull = shop.open_pull_request("topic", slow(40))
    place.phase(shop, "build", "preview/topic")
    pull.close()
    shop.delete_branch("topic")
    until(lambda: place.server.environment_of(shop.full_name, "preview/topic") is None, "the preview is removed", 60)
    place.status(pull.head_sha, "error")
