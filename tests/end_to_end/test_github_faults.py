"""GitHub fails, refuses, is silent: deployments go on, and what it should have heard it hears later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.github import SMALL, Place, connected, slow
from tests.end_to_end.harness import until

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with connected(tmp_path_factory.mktemp("faults")) as place:
        yield place
        place.is_well()


@pytest.fixture(autouse=True)
def healed(place: Place) -> Iterator[None]:
    yield
    place.github.heal()


@pytest.mark.parametrize(
    ("status", "headers"),
    [(500, {}), (403, {"retry-after": "2"}), (429, {"retry-after": "1"}), (0, {})],
    ids=["500", "403 with retry-after", "429", "no answer"],
)
def test_reports_arrive_once_github_is_back(place: Place, status: int, headers: dict[str, str]) -> None:
    shop = place.repository("late")
    fault = place.github.fail(f"^/repos/{shop.full_name}/(statuses|deployments)", status, headers=headers, times=3)
    sha = shop.push("main", SMALL)
    live = place.live(shop)
    place.serves(live["url"], "one\n")  # that GitHub cannot be told holds up nothing
    place.status(sha, "success", 120)
    place.deployment(sha, "success", 120)
    assert fault.hits == 3


def test_nobody_wants_to_hear(place: Place) -> None:
    shop = place.repository("deaf")
    fault = place.github.fail(f"^/repos/{shop.full_name}/", 404)
    sha = shop.push("main", SMALL)
    place.serves(place.live(shop)["url"], "one\n")
    until(lambda: fault.hits > 0, "it was tried", 30)
    place.github.heal()
    sha = shop.push("main", {"index.html": "two\n"})
    place.status(sha, "success", 120)
    place.serves(place.live(shop)["url"], "two\n")


def test_a_token_that_ends_in_mid_deployment(place: Place) -> None:
    shop = place.repository("expired")
    sha = shop.push("main", slow(10))
    place.phase(shop, "build")
    place.status(sha, "pending")
    place.github.expire_tokens()
    place.live(shop)
    place.status(sha, "success", 60)
    place.deployment(sha, "success", 60)
    refused = [one for one in place.github.requests if one.status == 401]
    assert refused, "an ended token was used, and another one minted"


@pytest.mark.parametrize("status", [500, 0], ids=["500", "no answer"])
def test_git_that_fails_for_a_moment(place: Place, status: int) -> None:
    shop = place.repository("git")
    fault = place.github.fail(f"^/{shop.full_name}.git/", status, times=1)
    shop.push("main", SMALL)
    place.serves(place.live(shop)["url"], "one\n")
    assert fault.hits == 1


def test_no_token_for_a_moment(place: Place) -> None:
    shop = place.repository("tokens")
    place.github.expire_tokens()
    fault = place.github.fail("/access_tokens$", 503, times=2)
    sha = shop.push("main", SMALL)
    place.serves(place.live(shop)["url"], "one\n")
    place.status(sha, "success", 60)
    assert fault.hits == 2


def test_deliveries_missed_while_the_server_was_down(place: Place) -> None:
    shop = place.repository("missed")
    shop.push("main", SMALL)
    place.live(shop)
    place.server.kill()
    sha = shop.push("main", {"index.html": "missed\n"})
    assert place.github.last.status == 0
    place.server.start()
    place.status(sha, "success", 120)
    place.serves(place.live(shop)["url"], "missed\n")
