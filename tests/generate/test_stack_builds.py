"""What only some applications show, of those that :mod:`tests.generate.test_stacks` builds through a server."""

from __future__ import annotations

import asyncio
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import load_config
from bot.engine import base_images
from tests.generate.stacks import applications
from tests.generate.test_builds import Files, Running

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.stacks]
# those of the modules stacks_NAME.py: see stacks.py
APPLICATIONS: dict[str, tuple[tuple[str, ...], Files]] = {
    name: (one.images, one.files) for name, one in applications().items() if not one.not_built
}


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    images, files = APPLICATIONS[request.param]
    asyncio.run(base_images.ensure(load_config().effective_docker_host, images, print))
    application = Running(files, base_images.PREFIX, tmp_path, cache_id="berth-test-stacks")
    try:
        application.build()
        application.start(7123)
        yield application
    finally:
        application.remove()


@pytest.mark.parametrize("running", ["php"], indirect=True)
def test_php_is_served_from_its_docroot(running: Running) -> None:
    assert running.get("/some/page")[:2] == (200, "one /some/page 7123 intl")
    assert running.get("/style.css")[:2] == (200, "body {}\n")
    assert running.get("/.secret")[0] == 403
    assert "private" not in running.get("/src/inside.php")[1]
    assert running.docker("exec", running.name, "id", "-u") == "1000"


@pytest.mark.parametrize("running", ["go, net/http"], indirect=True)
def test_the_final_image_of_go_holds_the_program_and_what_it_reads(running: Running, tmp_path: Path) -> None:
    _, text, _ = running.get("/")
    assert "<p>page</p>" in text
    assert "Europe/Berlin <nil>" in text
    image = json.loads(running.docker("image", "inspect", running.name))[0]
    assert image["Size"] < 20_000_000
    names = running.docker("export", "--output", str(tmp_path / "tree.tar"), running.name)
    assert not names

    with tarfile.open(tmp_path / "tree.tar") as tree:
        files = {
            entry.name for entry in tree if entry.isfile() and not entry.name.startswith(("dev/", "proc/", "etc/"))
        }
    assert files - {".dockerenv", "sbin/docker-init"} == {"app/shop", "app/templates/page.html"}
