"""The build context: what is in the tar, and that making it can always be ended."""

import asyncio
import io
import os
import socket
import tarfile
import threading
import time
from pathlib import Path

import pytest

from bot.engine.context import Context
from bot.engine.dockerignore import IgnoreRules
from bot.errors import BerthError

pytestmark = pytest.mark.anyio

DOCKERFILE = "FROM scratch\n"


async def tar_of(folder: Path, dockerignore: str = "", dockerfile: str = DOCKERFILE) -> bytes:
    context = Context(folder, dockerfile, IgnoreRules(dockerignore))
    try:
        return b"".join([piece async for piece in context.pieces()])
    finally:
        await context.close()


async def names_of(folder: Path, dockerignore: str = "") -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(await tar_of(folder, dockerignore))) as tar:
        return tar.getnames()


def make(folder: Path, *paths: str) -> None:
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path)


def helpers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "build context"]


async def test_entries_are_sorted_and_say_nothing_of_the_machine(tmp_path: Path) -> None:
    make(tmp_path, "b/two", "b/one", "a", "Dockerfile", ".env", "c/.git/config", ".git/HEAD")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a").chmod(0o4711)
    (tmp_path / "b/one").chmod(0o600)
    (tmp_path / "link").symlink_to("../outside")
    with tarfile.open(fileobj=io.BytesIO(await tar_of(tmp_path))) as tar:
        entries = tar.getmembers()
        assert tar.extractfile("Dockerfile").read() == DOCKERFILE.encode()  # type: ignore[union-attr]
        assert tar.extractfile("b/one").read() == b"b/one"  # type: ignore[union-attr]
    assert [entry.name for entry in entries] == [
        "Dockerfile",
        ".env",
        "a",
        "b",
        "b/one",
        "b/two",
        "c",
        "empty",
        "link",
    ]
    times = {entry.mtime for entry in entries}
    assert len(times) == 1
    assert abs(times.pop() - time.time()) < 60
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {(0, 0, "", "")}
    modes = {entry.name: oct(entry.mode) for entry in entries}
    assert (modes["a"], modes["b/one"], modes["b"]) == ("0o755", "0o644", "0o755")
    assert entries[-1].issym()
    assert entries[-1].linkname == "../outside"


async def test_the_same_tree_makes_the_same_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.context.time.time", lambda: 1_000_000.0)
    make(tmp_path / "one", "b/x", "a", "c/d/e")
    make(tmp_path / "two", "c/d/e", "a", "b/x")
    os.utime(tmp_path / "two/a", (1, 1))
    assert await tar_of(tmp_path / "one") == await tar_of(tmp_path / "two")


async def test_no_header_is_of_the_pax_kind(tmp_path: Path) -> None:
    long = "d" * 200 + "/" + "ü" * 120
    make(tmp_path, long)
    (tmp_path / "link").symlink_to("x" * 300)
    content = await tar_of(tmp_path)
    assert b"PaxHeader" not in content
    assert b"././@LongLink" in content
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert long in tar.getnames()
        assert tar.getmember("link").linkname == "x" * 300


async def test_names_of_every_kind_arrive(tmp_path: Path) -> None:
    names = [b"new\nline", b"-rf", b"\xff\xfe", b" ", b"a" * 255, "日本".encode(), b"*", b"\\"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_text("x")
    with tarfile.open(fileobj=io.BytesIO(await tar_of(tmp_path)), errors="surrogateescape") as tar:
        assert {os.fsencode(name) for name in tar.getnames()} == {*names, b"Dockerfile"}


async def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "file")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert await names_of(tmp_path) == ["Dockerfile", "file"]


async def test_the_dockerignore_is_applied(tmp_path: Path) -> None:
    make(tmp_path, "node_modules/a/b", "src/app.js", "src/app.test.js", "docs/keep/x", "docs/drop", "Dockerfile")
    ignore = "node_modules\n**/*.test.js\ndocs\n!docs/keep\nDockerfile\n"
    assert await names_of(tmp_path, ignore) == ["Dockerfile", "docs", "docs/keep", "docs/keep/x", "src", "src/app.js"]


async def test_a_folder_that_is_left_out_is_not_even_read(tmp_path: Path) -> None:
    make(tmp_path, "secret/x", "a")
    (tmp_path / "secret").chmod(0)
    assert await names_of(tmp_path, "secret") == ["Dockerfile", "a"]
    (tmp_path / "secret").chmod(0o755)


async def test_very_deep_folders(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    try:
        assert len(await names_of(tmp_path)) == 1501
    finally:
        remove = await asyncio.create_subprocess_exec("rm", "-rf", tmp_path / "d")  # too deep for Python's own way
        await remove.wait()


async def test_a_folder_named_dockerfile_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "Dockerfile/x")
    with pytest.raises(BerthError, match="folder named Dockerfile"):
        await tar_of(tmp_path)


async def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(BerthError, match=r"The build context cannot be read: .*none: No such file"):
        await tar_of(tmp_path / "none")
    assert helpers() == []


async def test_a_file_that_shrinks_is_said(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(20_000_000)
    context = Context(tmp_path, DOCKERFILE, IgnoreRules(""))
    pieces = context.pieces()
    await anext(pieces)
    with (tmp_path / "big").open("wb") as file:
        file.truncate(10)
    with pytest.raises(BerthError, match="became shorter"):
        async for _ in pieces:
            pass
    await context.close()


async def test_a_reader_that_stops_ends_the_thread(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(200_000_000)
    context = Context(tmp_path, DOCKERFILE, IgnoreRules(""))
    pieces = context.pieces()
    await anext(pieces)
    assert helpers() == ["build context"]
    await asyncio.wait_for(context.close(), 5)
    assert helpers() == []
    await pieces.aclose()
    assert context.bytes < 10_000_000, "no more is read ahead than a few pieces"


async def test_closing_what_was_never_started_does_nothing(tmp_path: Path) -> None:
    await asyncio.wait_for(Context(tmp_path, DOCKERFILE, IgnoreRules("")).close(), 1)
