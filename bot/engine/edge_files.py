"""What the edge needs of this machine: the files that HAProxy reads, and which ports a stranger holds."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import itertools
import os
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from bot.engine import edge_config
from bot.engine.edge_config import Route
from bot.errors import BerthError

_MOST_HELD = 100  # each costs a file descriptor


def contents(config: str, routes: Iterable[Route]) -> dict[str, str]:
    """All files by name; the configuration comes last, because it names the others."""
    return {
        **edge_config.pages(),
        edge_config.STATES_FILE: edge_config.render_states(routes),
        edge_config.CONFIG_FILE: config,
    }


def prepare(folder: Path) -> None:
    """Make the folder that Berth and HAProxy share; only its owner may enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def owner(folder: Path) -> str:
    """``UID:GID`` of the folder: HAProxy runs as that user."""
    found = folder.stat()
    return f"{found.st_uid}:{found.st_gid}"


def read(folder: Path) -> dict[str, str]:
    """What lies there now, of the files that we write."""
    found = {}
    for name in contents("", ()):
        with contextlib.suppress(FileNotFoundError):
            found[name] = (folder / name).read_text(encoding="utf-8")
    return found


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Replace those that differ, each in one step, so that HAProxy never reads half a file, nor after a power cut."""
    status = folder.stat()
    former = read(folder)
    for name, text in files.items():
        if former.get(name) == text:
            continue
        new = folder / f".{name}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            if status.st_uid != os.geteuid():
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / name)


def find_taken(bind: str, ports: Collection[int]) -> set[int]:
    """Those of ``ports`` that can't be listened on at ``bind``. Raises BerthError if this machine has no such address.

    With SO_REUSEADDR, as HAProxy does: connections that linger after their listener has ended do not count.
    """
    family, address = _socket_address(bind)
    taken = set()
    for port in ports:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise BerthError(
                        f"The edge cannot listen on {bind}: this machine has no such address.",
                        "Set BERTH_EDGE_BIND to one that it has (`ip addr`), or to 0.0.0.0.",
                    ) from error
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                taken.add(port)
    return taken


@contextlib.contextmanager
def held(bind: str, ports: Iterable[int], folder: Path) -> Iterator[None]:
    """Keep strangers from ``ports`` until HAProxy listens there.

    A reload that finds one taken makes HAProxy try for two seconds, in which no port takes new connections (measured
    with 2.6). A socket that is bound with SO_REUSEPORT alone, and does not listen, lets in only those who set that too
    and belong to the same user, as HAProxy does (https://lwn.net/Articles/542629/).
    """
    family, address = _socket_address(bind)
    same_user = folder.stat().st_uid == os.geteuid()
    with contextlib.ExitStack() as stack:
        for port in itertools.islice(ports if same_user else (), _MOST_HELD):
            holder = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with contextlib.suppress(OSError):  # connections of a former listener linger: then it is not kept
                holder.bind((address, port))
        yield


async def answers(bind: str, port: int, seconds: float = 2.0) -> bool:
    """Whether somebody takes a connection there."""
    family, address = _socket_address(bind)
    if ipaddress.ip_address(address).is_unspecified:
        address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port, family=family)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _socket_address(bind: str) -> tuple[socket.AddressFamily, str]:
    address = ipaddress.ip_address("0.0.0.0" if bind == "*" else bind.strip("[]"))  # noqa: S104
    return (socket.AF_INET6 if address.version == 6 else socket.AF_INET), str(address)
