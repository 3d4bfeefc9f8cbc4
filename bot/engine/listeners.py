"""Which TCP ports the processes of a container listen on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_LISTEN = "0A"  # TCP_LISTEN, https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html
_DOCKER_DNS = "127.0.0.11"  # Docker's own name server inside every container of a user network


@dataclass(frozen=True, order=True)
class Listener:
    port: int
    address: str  # 0.0.0.0, ::, 127.0.0.1, …

    @property
    def only_local(self) -> bool:
        """Whether nobody outside the container can reach it."""
        return ip_address(self.address).is_loopback

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def parse_tcp_table(text: str) -> list[Listener]:
    """The listening sockets in the text of ``/proc/net/tcp`` or ``tcp6`` (or both, one after the other)."""
    found = set()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == _LISTEN and ":" in fields[1]:
            host, _, port = fields[1].rpartition(":")
            address = _address(host)
            if address is not None and address != _DOCKER_DNS:
                found.add(Listener(int(port, 16), address))
    return sorted(found)


def _address(digits: str) -> str | None:
    """The address of its hexadecimal form: words of 32 bits in the byte order of the machine."""
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    if len(raw) not in {4, 16}:
        return None
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    if len(raw) == 4:
        return str(IPv4Address(raw))
    long = IPv6Address(raw)
    return str(long.ipv4_mapped or long)


def listening_ports(pid: int, address: str = "") -> list[Listener] | None:
    """What listens in the network namespace of the process ``pid``, as seen from this host.

    None if ``/proc`` does not show that process. With ``address``, also None if that address is not one of the
    namespace's own: Berth may run in a container, where the host's process numbers mean something else.
    """
    folder = Path(f"/proc/{pid}/net")
    try:
        if address and not _owns(_read(folder / "fib_trie").splitlines(), address):
            return None
        return parse_tcp_table(_read(folder / "tcp") + _read(folder / "tcp6", optional=True))
    except OSError:
        return None


def _owns(trie: Iterable[str], address: str) -> bool:
    """Whether ``/proc/net/fib_trie`` has ``address`` as a local one: a leaf followed by ``/32 host LOCAL``."""
    leaf = ""
    for line in trie:
        stripped = line.strip()
        if stripped.startswith("|--"):
            leaf = stripped.removeprefix("|--").strip()
        elif leaf == address and stripped == "/32 host LOCAL":
            return True
    return False


def _read(path: Path, *, optional: bool = False) -> str:
    try:
        return path.read_text("ascii", errors="replace")
    except OSError:
        if optional:  # no IPv6 on this host
            return ""
        raise
