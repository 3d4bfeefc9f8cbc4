"""An application that answers at first and then keeps dying: restarted, counted, and said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.end_to_end.apps import PLAIN
from tests.end_to_end.harness import Server, Work, docker, get, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

DYING = 'CMD ["sh", "-c", "busybox httpd -p 8080 -h /www; sleep 4; echo out of luck; exit 7"]\n'


def test_a_crash_loop_is_said_and_ends_with_a_good_deployment(server: Server, work: Callable[[str], Work]) -> None:
    shop = work("dies")
    shop.commit({**PLAIN, "Dockerfile": PLAIN["Dockerfile"] + DYING})
    shop.push()
    assert server.settled(shop.name)["latest"]["state"] == "live"

    def looping() -> bool:
        found = server.environment_of(shop.name)
        return bool(found and found["state"] == "crash_looping")

    until(looping, "the environment says that it is crash looping", 90, 0.5)
    environment = server.environment_of(shop.name)
    assert environment is not None
    assert "exit code 7, 4 times" in environment["reason"]
    instances = server.api("GET", f"/api/deployments/{environment['live']['id']}")["instances"]
    assert instances[0]["restarts"] >= 4
    # each life's output is in the log
    log = server.berth("logs", shop.name).stdout
    assert log.count("out of luck") >= 3

    shop.commit(PLAIN)
    shop.push()
    assert server.settled(shop.name)["state"] == "live"


def test_a_build_secret_is_mounted_and_in_no_layer(server: Server, work: Callable[[str], Work]) -> None:
    shop = work("secret")
    dockerfile = (
        "FROM berth.test/busybox:1\nARG COLOUR\n"
        "RUN --mount=type=secret,id=TOKEN mkdir /www && wc -c < /run/secrets/TOKEN > /www/index.html\n"
        'RUN echo $COLOUR >> /www/index.html\nEXPOSE 8080\nCMD ["busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]\n'
    )
    shop.commit({"README.txt": "x"})
    shop.push()
    server.berth("env", "set", shop.name, "--build", "--secret", "TOKEN=swordfish-swordfish")
    server.berth("env", "set", shop.name, "--build", "COLOUR=green")
    shop.commit({"Dockerfile": dockerfile})
    shop.push()
    environment = server.settled(shop.name)
    assert get(environment["url"]).body == "19\ngreen\n"
    image = server.api("GET", f"/api/deployments/{environment['live']['id']}")["image_id"]
    assert "swordfish" not in docker("history", "--no-trunc", image) + docker("inspect", image)
