"""From git push to an answer, and everything that people then do with it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Asker, Server, Work, docker, get, processes, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Make = Callable[[str], Work]


def test_first_push_second_push_failing_push_and_rollback(server: Server, work: Make) -> None:
    shop = work("shop")
    shop.commit(PLAIN)
    output = shop.push()
    first = server.settled(shop.name)
    assert first["state"] == "live"
    assert first["url"] in output
    assert 20_000 <= first["services"][0]["port"] <= 40_000
    assert get(first["url"]).body == "one\n"

    with Asker(first["url"]) as asker:
        shop.commit({"index.html": "two\n"})
        shop.push()
        assert get(first["url"]).body == "two\n"
        shop.commit({"Dockerfile": PLAIN["Dockerfile"] + 'CMD ["sh", "-c", "echo no database >&2; exit 3"]\n'})
        output = shop.push()
        failed = server.settled(shop.name)
        assert "exit code 3" in output
        assert "no database" in output
        assert (failed["state"], failed["latest"]["state"], failed["latest"]["phase"]) == ("live", "failed", "verify")
        assert get(first["url"]).body == "two\n"
        server.berth("rollback", shop.name)
        assert get(first["url"]).body == "one\n"
        time.sleep(0.2)
    assert asker.failures == []
    assert asker.asked > 20
    assert asker.bodies == ["one\n", "two\n"]

    history = server.api("GET", f"/api/environments/{first['id']}/deployments")
    assert [entry["state"] for entry in history] == ["live", "failed", "retired", "retired"]
    back = server.api("GET", f"/api/deployments/{history[0]['id']}")
    assert back["cause"] == "rollback"
    assert [phase["phase"] for phase in back["phases"]] == ["start", "verify", "switch"]
    # the log of the instance that died is kept
    lines = server.api("GET", f"/api/deployments/{history[1]['id']}/logs?tail=200")["lines"]
    assert any("no database" in line["text"] for line in lines)


def test_an_unchanged_tree_is_not_built_again(server: Server, work: Make) -> None:
    shop = work("same")
    shop.commit(PLAIN)
    shop.push()
    image = server.api("GET", f"/api/deployments/{server.settled(shop.name)['live']['id']}")["image_id"]
    shop.commit(message="nothing changed")
    assert "used again" in shop.push()
    again = server.api("GET", f"/api/deployments/{server.settled(shop.name)['live']['id']}")
    assert again["image_id"] == image


def test_stop_start_restart(server: Server, work: Make) -> None:
    shop = work("stops")
    shop.commit(PLAIN)
    shop.push()
    url = server.settled(shop.name)["url"]
    server.berth("stop", shop.name)
    stopped = get(url)
    assert (stopped.status, "stopped" in stopped.body) == (503, True)
    environment = server.environment_of(shop.name)
    assert environment is not None
    assert environment["state"] == "stopped"
    mine = [
        one for one in server.containers() if one["Config"]["Labels"]["berth.environment"] == str(environment["id"])
    ]
    assert mine == []
    server.berth("start", shop.name)
    assert get(url).body == "one\n"
    with Asker(url) as asker:
        server.berth("restart", shop.name)
    assert asker.failures == []
    assert server.settled(shop.name)["live"]["id"] == environment["live"]["id"]


def test_branches_are_environments_and_their_deletion_removes_everything(server: Server, work: Make) -> None:
    shop = work("branches")
    shop.commit(PLAIN)
    shop.push()
    shop.commit({"index.html": "topic\n"})
    shop.push("topic/one")
    production = server.settled(shop.name)
    preview = server.settled(shop.name, "preview/topic/one")
    assert get(production["url"]).body == "one\n"
    assert get(preview["url"]).body == "topic\n"
    assert production["url"] != preview["url"]

    shop.git("push", "-q", "berth", ":refs/heads/topic/one")
    until(lambda: server.environment_of(shop.name, "preview/topic/one") is None, "the preview is removed")

    def left() -> list[str]:
        label = f"label=berth.environment={preview['id']}"
        ours = f"label=berth.instance={server.instance}"
        return [
            docker("ps", "-aq", "--filter", label, "--filter", ours),
            docker("network", "ls", "-q", "--filter", label, "--filter", ours),
        ]

    until(lambda: left() == ["", ""], "containers and network of the preview are gone")
    with pytest.raises(OSError, match="refused"):
        get(preview["url"])
    assert get(production["url"]).body == "one\n"


def test_a_variable_and_a_setting_without_touching_the_repository(server: Server, work: Make) -> None:
    shop = work("variables")
    start = """\
        test -n "$SECRET_KEY" || { echo SECRET_KEY is not set; exit 1; }
        mkdir -p /tmp/www
        echo $GREETING > /tmp/www/index.html
        echo my key is $SECRET_KEY
        exec busybox httpd -f -p ${PORT:-8080} -h /tmp/www
        """
    dockerfile = 'FROM berth.test/busybox:1\nCOPY start.sh /\nEXPOSE 8080\nCMD ["sh", "/start.sh"]\n'
    shop.commit({"Dockerfile": dockerfile, "start.sh": start})
    assert "SECRET_KEY is not set" in shop.push()
    server.berth("env", "set", shop.name, "--secret", "SECRET_KEY=correct-horse-battery")
    server.berth("env", "set", shop.name, "GREETING=hello")
    server.berth("set", shop.name, "port=9000")
    shop.commit(message="again")
    shop.push()
    environment = server.settled(shop.name)
    assert environment["state"] == "live", environment
    assert get(environment["url"]).body == "hello\n"
    assert environment["services"][0]["container_port"] == 9000
    log = server.berth("logs", shop.name).stdout
    assert "my key is" in log
    assert "correct-horse" not in log
    for file in (server.data_dir / "logs").rglob("*"):
        assert not file.is_file() or b"correct-horse" not in file.read_bytes()
    assert b"correct-horse" not in (server.data_dir / "berth.db").read_bytes()

    server.berth("env", "set", shop.name, "GREETING=changed")
    server.api("POST", f"/api/environments/{environment['id']}/deploy", {})
    until(lambda: get(environment["url"]).body == "changed\n", "the new value is used")
    # a rollback uses the values of its deployment
    server.berth("rollback", shop.name)
    assert get(environment["url"]).body == "hello\n"


def test_berth_yml_of_the_default_branch_is_below_what_is_set(server: Server, work: Make) -> None:
    shop = work("file")
    start = "mkdir /tmp/w; echo $PORT > /tmp/w/index.html; exec busybox httpd -f -p $PORT -h /tmp/w"
    dockerfile = f'FROM berth.test/busybox:1\nCMD ["sh", "-c", "{start}"]\n'
    shop.commit({"Dockerfile": dockerfile, ".berth.yml": "port: 7001\n"})
    shop.push()
    assert get(server.settled(shop.name)["url"]).body == "7001\n"
    shop.commit({".berth.yml": "port: 7002\n"})
    shop.push("topic")  # the file of the default branch counts, not that of the preview
    assert get(server.settled(shop.name, "preview/topic")["url"]).body == "7001\n"
    server.berth("set", shop.name, "port=7003")
    shop.push("again")
    assert get(server.settled(shop.name, "preview/again")["url"]).body == "7003\n"


def test_two_pushes_in_quick_succession(server: Server, work: Make) -> None:
    slow = PLAIN["Dockerfile"].replace("EXPOSE", "RUN sleep 3217 # {mark}\n        EXPOSE")
    shop = work("quick")
    shop.commit(PLAIN)
    shop.push()
    shop.commit({**PLAIN, "Dockerfile": slow.format(mark="first")})
    first = shop.push_in_background("topic")
    until(lambda: server.phase(shop.name, "preview/topic") == "build", "the first builds", 30)
    shop.commit({**PLAIN, "index.html": "two\n"})
    shop.push("topic")
    first.wait()
    environment = server.settled(shop.name, "preview/topic")
    assert get(environment["url"]).body == "two\n"
    history = server.api("GET", f"/api/environments/{environment['id']}/deployments")
    assert [(entry["state"], entry["reason"]) for entry in history] == [
        ("live", ""),
        ("superseded", f"superseded by {history[0]['sha'][:7]}"),
    ]
    assert processes("sleep 3217") == []


def deployments_of(server: Server, name: str) -> list[dict[str, Any]]:
    environment = server.environment_of(name)
    assert environment is not None
    found: list[dict[str, Any]] = server.api("GET", f"/api/environments/{environment['id']}/deployments")
    return found


def test_production_finishes_what_it_has_begun(server: Server, work: Make) -> None:
    slow = PLAIN["Dockerfile"].replace("EXPOSE", "RUN sleep 6 # {mark}\n        EXPOSE")
    shop = work("prod")
    shop.commit({**PLAIN, "Dockerfile": slow.format(mark="first"), "index.html": "first\n"})
    pushes = [shop.push_in_background()]
    until(lambda: server.phase(shop.name) == "build", "the first builds", 30)
    shop.commit({**PLAIN, "index.html": "second\n"})
    pushes.append(shop.push_in_background())
    until(lambda: len(deployments_of(server, shop.name)) == 2, "the second is queued", 30)
    shop.commit({**PLAIN, "index.html": "third\n"})
    pushes.append(shop.push_in_background())
    for push in pushes:
        push.wait(120)
    environment = server.settled(shop.name)
    history = server.api("GET", f"/api/environments/{environment['id']}/deployments")
    assert [entry["state"] for entry in history] == ["live", "superseded", "retired"]
    assert get(environment["url"]).body == "third\n"


def test_nothing_to_deploy_is_said(server: Server, work: Make) -> None:
    notes = work("notes")
    notes.commit({"README.txt": "notes\n"})
    output = notes.push()
    assert "Nothing that Berth can deploy was found" in output


def test_ps_and_the_page_know_it(server: Server, work: Make) -> None:
    shop = work("seen")
    sha = shop.commit(PLAIN, "what people see")
    shop.push()
    shown = [json.loads(line) for line in server.berth("ps", "--json").stdout.splitlines()]
    mine = next(one for one in shown if one["repository"] == shop.name)
    assert mine["live"]["sha"] == sha
    assert mine["live"]["message"] == "what people see"
    files = server.api("GET", f"/api/deployments/{mine['live']['id']}/files")
    assert "docker-compose.yml" in json.dumps(files)


def test_removing(server: Server, work: Make) -> None:
    shop = work("gone")
    shop.commit(PLAIN)
    shop.push()
    url = server.settled(shop.name)["url"]
    server.berth("rm", shop.name, "--yes", "--volumes")
    with pytest.raises(OSError, match="refused"):
        get(url)
    assert server.environment_of(shop.name) is None
    shop.commit(message="back again")
    shop.push()
    assert get(server.settled(shop.name)["url"]).body == "one\n"


def test_strategy_recreate_never_runs_two_and_comes_back_after_a_failure(server: Server, work: Make) -> None:
    shop = work("recreate")
    shop.commit(PLAIN)
    shop.push()
    url = server.settled(shop.name)["url"]
    server.berth("set", shop.name, "strategy=recreate")
    shop.commit({"index.html": "two\n"})
    output = shop.push()
    assert "is stopped first" in output
    assert get(url).body == "two\n"
    shop.commit({"Dockerfile": PLAIN["Dockerfile"] + 'CMD ["false"]\n'})
    assert "exit code 1" in shop.push()
    assert get(url).body == "two\n"
    environment = server.environment_of(shop.name)
    assert environment is not None
    assert environment["state"] == "live"
