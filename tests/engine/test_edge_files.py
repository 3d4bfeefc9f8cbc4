"""Files that are replaced in one step, and ports that somebody else holds."""

import os
import socket
import stat

import pytest

from bot.engine import edge_files
from bot.errors import BerthError

pytestmark = pytest.mark.anyio


def listener(address="127.0.0.1", port=0):
    opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
    opened.bind((address, port))
    opened.listen()
    return opened


def test_only_files_that_differ_are_written(tmp_path):
    edge_files.prepare(tmp_path / "edge")
    folder = tmp_path / "edge"
    edge_files.write(folder, {"haproxy.cfg": "one", "states.map": "two"})
    first = {path.name: path.stat().st_ino for path in folder.iterdir()}
    edge_files.write(folder, {"haproxy.cfg": "one", "states.map": "three"})
    second = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert set(first) == set(second) == {"haproxy.cfg", "states.map"}
    assert first["haproxy.cfg"] == second["haproxy.cfg"]
    assert first["states.map"] != second["states.map"]
    assert edge_files.read(folder) == {"haproxy.cfg": "one", "states.map": "three"}
    assert stat.S_IMODE((folder / "haproxy.cfg").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_belong_to_the_owner_of_the_folder(tmp_path):
    os.chown(tmp_path, 1234, 2345)
    edge_files.write(tmp_path, {"haproxy.cfg": "one"})
    found = (tmp_path / "haproxy.cfg").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)
    assert edge_files.owner(tmp_path) == "1234:2345"


@pytest.mark.parametrize(
    ("bind", "stranger"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.7"),
        ("*", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("::1", "::1"),
    ],
)
async def test_a_port_that_a_stranger_holds(bind, stranger):
    with listener(stranger) as held, listener("127.0.0.9") as other:
        port, free = held.getsockname()[1], other.getsockname()[1]
        other.close()
        assert edge_files.find_taken(bind, {port, free}) == {port}
    assert edge_files.find_taken(bind, {port, free}) == set()


async def test_a_connection_that_lingers_does_not_count():
    held = listener()
    port = held.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    served, _ = held.accept()
    served.close()  # the side that closes first keeps TIME_WAIT
    client.close()
    held.close()
    assert edge_files.find_taken("127.0.0.1", {port}) == set()


async def test_an_address_that_this_machine_does_not_have():
    with pytest.raises(BerthError, match="no such address"):
        edge_files.find_taken("203.0.113.7", {20_001})


async def test_whether_somebody_answers():
    with listener("0.0.0.0") as held:
        port = held.getsockname()[1]
        assert await edge_files.answers("0.0.0.0", port)
        assert await edge_files.answers("*", port)
        assert await edge_files.answers("127.0.0.1", port)
    assert not await edge_files.answers("127.0.0.1", port)
