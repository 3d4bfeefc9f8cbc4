import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.busybox import ensure_busybox
from tests.end_to_end.harness import Server, Work, clone, running


@pytest.fixture(scope="session", autouse=True)
def busybox() -> None:
    """The base image of the small applications."""
    ensure_busybox()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def work(server: Server, tmp_path: Path) -> Callable[[str], Work]:
    """Makes a repository whose name begins as asked."""

    def make(name: str) -> Work:
        return clone(server, tmp_path, f"{name}-{uuid.uuid4().hex[:6]}")

    return make
