"""Pushes on GitHub: what is deployed, and what GitHub shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.github import SMALL, Place, connected, slow
from tests.end_to_end.harness import get, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with connected(tmp_path_factory.mktemp("push")) as place:
        yield place
        place.is_well()


def test_a_push_is_deployed_and_told(place: Place) -> None:
    shop = place.repository("shop")
    sha = shop.push("main", SMALL, message="the first")
    assert place.github.last.status in (200, 202), place.github.last.answer
    live = place.live(shop)
    place.serves(live["url"], "one\n")

    status = place.status(sha, "success")
    assert status.context == "berth/production"
    assert status.target_url == f"http://localhost:{place.server.port}/deployments/{live['latest']['id']}"
    assert place.github.statuses(sha)[0].state == "pending"
    page = get(place.server.url + urlsplit(status.target_url).path)
    assert page.status in (200, 303, 401), page

    deployment = place.deployment(sha, "success")
    assert (deployment.environment, deployment.production, deployment.transient) == ("production", True, False)
    assert deployment.statuses[-1].environment_url.rstrip("/") == live["url"].rstrip("/")
    assert deployment.statuses[-1].log_url
    assert place.github.revoked, "the token of the clone ended with it"
    assert all(with_token for *_, with_token in place.github.git_requests)


def test_a_second_push_during_the_build_of_a_preview(place: Place) -> None:
    shop = place.repository("twice")
    shop.push("main", SMALL, send=False)
    first = shop.push("topic", slow(40))
    place.phase(shop, "build", "preview/topic")
    second = shop.push("topic", {**SMALL, "index.html": "second\n"})
    live = place.live(shop, "preview/topic")
    assert live["latest"]["sha"] == second
    place.serves(live["url"], "second\n")
    place.status(second, "success")
    assert second[:7] in (place.status(first, "error").description or ""), "it says by what it was superseded"
    place.deployment(second, "success")
    assert not [one for one in place.github.deployments if one.sha == first and one.state != "inactive"]


def test_a_second_push_during_the_build_of_production(place: Place) -> None:
    shop = place.repository("finishes")
    first = shop.push("main", slow(6))
    place.phase(shop, "build")
    second = shop.push("main", {**SMALL, "index.html": "second\n"})
    place.status(first, "success", 90)  # frequent pushes must not keep production from ever changing
    place.status(second, "success", 90)
    place.serves(place.live(shop)["url"], "second\n")
    place.deployment(first, "inactive")
    place.deployment(second, "success")


def test_a_forced_push(place: Place) -> None:
    shop = place.repository("forced")
    shop.push("main", {**SMALL, "index.html": "before\n"})
    lost = shop.push("main", {"index.html": "lost\n"})
    place.status(lost, "success", 120)
    sha = shop.push("main", {"index.html": "after\n"}, force=True)
    place.status(sha, "success", 120)
    place.serves(place.live(shop)["url"], "after\n")
    place.deployment(sha, "success")
    place.deployment(lost, "inactive")


def test_a_branch_deleted_while_it_is_built(place: Place) -> None:
    shop = place.repository("deleted")
    shop.push("main", SMALL, send=False)
    sha = shop.push("topic/one", slow(40))
    label = "preview/topic/one"
    place.phase(shop, "build", label)
    place.status(sha, "pending")
    environment = place.server.environment_of(shop.full_name, label)
    assert environment is not None
    shop.delete_branch("topic/one")
    until(lambda: place.server.environment_of(shop.full_name, label) is None, "the preview is removed", 60)
    place.status(sha, "error")

    def left() -> list[str]:
        ours = place.server.containers()
        return [one["Name"] for one in ours if one["Config"]["Labels"]["berth.environment"] == str(environment["id"])]

    until(lambda: left() == [], "no container is left", 30)
    until(lambda: not [one for one in place.github.deployments if one.sha == sha], "GitHub's deployment is gone", 60)
    until(lambda: label not in shop.environments, "GitHub's environment is gone", 60)


def test_a_preview_comes_and_goes(place: Place) -> None:
    shop = place.repository("preview")
    shop.push("main", SMALL, send=False)
    sha = shop.push("topic", {"index.html": "topic\n"})
    live = place.live(shop, "preview/topic")
    place.serves(live["url"], "topic\n")
    assert place.status(sha, "success").context == "berth/preview"
    deployment = place.deployment(sha, "success")
    assert (deployment.environment, deployment.production, deployment.transient) == ("preview/topic", False, True)
    shop.delete_branch("topic")
    until(lambda: place.server.environment_of(shop.full_name, "preview/topic") is None, "the preview is removed", 60)
    until(lambda: list(shop.environments) == [], "GitHub's environment is gone", 60)
    assert shop.deployments == {}
    with pytest.raises(OSError, match="refused"):
        get(live["url"])


def test_a_renamed_repository_is_the_same(place: Place) -> None:
    shop = place.repository("before")
    shop.push("main", {**SMALL, "index.html": "before\n"})
    live = place.live(shop)
    shop.rename(shop.name.replace("before", "after"))
    assert place.github.last.status in (200, 202), place.github.last.answer
    until(lambda: place.server.environment_of(shop.full_name), "it is known by its new name", 30)
    sha = shop.push("main", {"index.html": "after\n"})
    place.status(sha, "success", 120)
    again = place.live(shop)
    assert (again["id"], again["url"]) == (live["id"], live["url"])
    place.serves(again["url"], "after\n")


def test_a_repository_that_the_app_loses(place: Place) -> None:
    shop = place.repository("lost")
    shop.push("main", SMALL)
    live = place.live(shop)
    place.status(shop.sha("main"), "success")
    place.github.remove_repositories(place.github.installation_for(shop.owner), shop)
    until(lambda: place.server.environment_of(shop.full_name) is None, "nothing of it is left", 60)

    def refused() -> bool:
        try:
            get(live["url"])
        except OSError:
            return True
        return False

    until(refused, "its port is closed", 30)
