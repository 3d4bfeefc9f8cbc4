"""The build context: a folder as a tar, made while it is sent.

The tar is sorted, without owners, and in GNU format: dockerd takes a tar whose first entry has a PAX
header for a Dockerfile. It also applies no ``.dockerignore`` to a context that arrives as a tar, so that is done here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import tarfile
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.engine.dockerignore import Entry, IgnoreRules
from bot.errors import BerthError

DOCKERFILE = "Dockerfile"

_PIECE = 256 * 1024  # bytes handed over at a time
_AHEAD = 8  # pieces that may wait to be sent
_BLOCK = tarfile.BLOCKSIZE


class _StoppedError(Exception):
    pass


@dataclass
class _Folder:
    """A folder that is being walked; its own entry is written when something in it is wanted."""

    path: str
    name: str  # in the tar, with a slash at the end; empty for the context itself
    entry: Entry
    children: Iterator[os.DirEntry[str]]
    written: bool


class Context:
    """The tar of ``folder``, with a Dockerfile of the text ``dockerfile`` first, in place of one in the folder.

    ``pieces`` is iterated over once; a thread reads the files meanwhile. ``close`` ends it, wherever it is. ``.git`` is
    always left out, and so is what is neither a file, a folder nor a symbolic link.

    Every file bears the time of the build, in whole seconds: BuildKit's cache looks at contents only, but web servers
    make ETags, and cargo and make their decisions, from sizes and times.
    """

    def __init__(self, folder: Path, dockerfile: str, rules: IgnoreRules) -> None:
        self._folder = folder
        self._dockerfile = dockerfile
        self._rules = rules
        self._time = int(time.time())
        self._stop = threading.Event()
        self._room = threading.Semaphore(_AHEAD)
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._ended.set()
        self._thread: threading.Thread | None = None
        self._buffer = bytearray()
        self.error: BaseException | None = None
        self.files = 0
        self.bytes = 0

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The tar, piece by piece. Raises BerthError when a file cannot be read (it is then in ``error`` as well)."""
        self._ended.clear()
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="build context", daemon=True)
        self._thread.start()
        try:
            while (piece := await self._pieces.get()) is not None:
                self._room.release()
                self.bytes += len(piece)
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self._give_up()

    async def close(self) -> None:
        """Stop reading; returns when the thread has ended."""
        self._give_up()
        await self._ended.wait()
        if self._thread is not None:
            self._thread.join()  # at once: the event was the last thing that it did

    def _give_up(self) -> None:
        self._stop.set()
        self._room.release()

    # ------------------------------------------------------------------------------------------ in the thread

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._write(loop)
        except _StoppedError:
            pass
        except OSError as error:
            name = os.fsencode(error.filename or "").decode("utf-8", "replace")
            self.error = BerthError(f"The build context cannot be read: {name}: {error.strerror or error}.")
        except Exception as error:
            self.error = error
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(self._pieces.put_nowait, None)
            loop.call_soon_threadsafe(self._ended.set)

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        text = self._dockerfile.encode("utf-8", "surrogateescape")
        self._emit(loop, self._header(DOCKERFILE, tarfile.REGTYPE, 0o644, len(text)) + text + _padding(len(text)))
        root = str(self._folder)
        walk = [_Folder(root, "", self._rules.root, _sorted(root), written=True)]
        while walk:
            child = next(walk[-1].children, None)
            if child is None:
                walk.pop()
                continue
            if child.name == ".git" or (len(walk) == 1 and _is_dockerfile(child)):
                continue
            entry = self._rules.enter(walk[-1].entry, child.name)
            if _is_folder(child):
                if not self._rules.skips(entry):
                    name = f"{walk[-1].name}{child.name}/"
                    walk.append(_Folder(child.path, name, entry, _sorted(child.path), written=False))
                    if not entry.ignored:
                        self._emit(loop, self._missing_folders(walk))
            elif not entry.ignored:
                self._add(loop, walk, child)
            if self._stop.is_set():
                raise _StoppedError
        self._emit(loop, b"\0" * 2 * _BLOCK)
        self._hand_over(loop)

    def _add(self, loop: asyncio.AbstractEventLoop, walk: list[_Folder], child: os.DirEntry[str]) -> None:
        name = walk[-1].name + child.name
        if child.is_symlink():
            self._emit(
                loop,
                self._missing_folders(walk) + self._header(name, tarfile.SYMTYPE, 0o777, 0, os.readlink(child.path)),
            )
            self.files += 1
        elif child.is_file(follow_symlinks=False):
            self._emit(loop, self._missing_folders(walk))
            self._add_file(loop, name, child.path)
            self.files += 1

    def _add_file(self, loop: asyncio.AbstractEventLoop, name: str, path: str) -> None:
        # Not blocking and not following: the entry may have become a pipe or a link since it was looked at.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return
            mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
            self._emit(loop, self._header(name, tarfile.REGTYPE, mode, found.st_size))
            left = found.st_size
            while left:
                data = file.read(min(left, _PIECE))
                if not data:
                    raise OSError(0, "it became shorter while it was read", path)
                left -= len(data)
                self._emit(loop, data)
            self._emit(loop, _padding(found.st_size))

    def _missing_folders(self, walk: list[_Folder]) -> bytes:
        """The entries of the folders on the way that were not written yet."""
        headers = b""
        for folder in walk:
            if not folder.written:
                headers += self._header(folder.name, tarfile.DIRTYPE, 0o755, 0)
                folder.written = True
        return headers

    def _header(self, name: str, kind: bytes, mode: int, size: int, target: str = "") -> bytes:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.size, entry.linkname = kind, mode, size, target
        entry.mtime = self._time
        return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")

    def _emit(self, loop: asyncio.AbstractEventLoop, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self._hand_over(loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        self._room.acquire()
        if self._stop.is_set():
            raise _StoppedError
        loop.call_soon_threadsafe(self._pieces.put_nowait, bytes(self._buffer))
        self._buffer.clear()


def _sorted(path: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return iter(sorted(entries, key=lambda entry: os.fsencode(entry.name)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_dockerfile(entry: os.DirEntry[str]) -> bool:
    """Whether ours stands in for this entry of the context's root."""
    if entry.name == DOCKERFILE and _is_folder(entry):
        raise BerthError(
            "The application has a folder named Dockerfile where its Dockerfile would be.", "Rename that folder."
        )
    return entry.name == DOCKERFILE


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)
