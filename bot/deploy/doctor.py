"""Is this machine and installation fit to run Berth? For ``berth doctor`` and the server's readiness.

Each check stands alone, looks without changing anything, and says what to do about what it found. :func:`examine` runs
them together, whether a server runs or not.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import shutil
import socket
import sqlite3
import stat
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import sqlalchemy as sa

from bot.config import Config
from bot.engine.docker import Engine, EngineInfo, EngineUnavailable
from bot.engine.edge import Edge
from bot.engine.listeners import Listener, parse_tcp_table
from bot.errors import BerthError
from bot.store.crypto import Vault, load_keys, read_secret
from bot.store.database import Store
from bot.store.tables import installation

Level = Literal["ok", "warning", "error"]
_TIMEOUT = 15.0  # seconds for one check
_GIT_OLDEST = (2, 31)  # the first that takes settings from GIT_CONFIG_COUNT
_API_OLDEST = (1, 41)
_GB = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """``check``: what was looked at; ``text``: what was found; ``fix``: what to do about it, where anything is."""

    check: str
    level: Level
    text: str
    fix: str = ""


Check = Callable[[Config], Coroutine[Any, Any, list[Finding]]]


async def examine(config: Config) -> list[Finding]:
    """All findings, in the order of :data:`CHECKS`. Raises nothing: a check that breaks is a finding too."""
    found = await asyncio.gather(*(_guarded(name, check, config) for name, check in CHECKS.items()))
    return [finding for findings in found for finding in findings]


async def _guarded(name: str, check: Check, config: Config) -> list[Finding]:
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await check(config)
    except TimeoutError:
        return [Finding(name, "error", f"It gave no answer within {_TIMEOUT:.0f} s.")]
    except BerthError as error:
        return [Finding(name, "error", error.reason, error.fix)]
    except Exception as error:
        return [Finding(name, "error", f"The check failed: {type(error).__name__}: {error}")]


async def check_git(_config: Config) -> list[Finding]:
    path = shutil.which("git")
    if path is None:
        return [Finding("git", "error", "git is not installed.", "Install it: apt-get install git")]
    version = await _output(path, "version")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    found = []
    if numbers < _GIT_OLDEST:
        fix = f"Upgrade git to {_GIT_OLDEST[0]}.{_GIT_OLDEST[1]} or newer."
        found.append(Finding("git", "error", f"{version} is too old: settings cannot be given by environment.", fix))
    backend = Path(await _output(path, "--exec-path")) / "git-http-backend"
    if not backend.is_file():
        found.append(Finding("git", "error", f"{backend} is missing, so nobody can push.", "Install git as a whole."))
    return found or [Finding("git", "ok", version)]


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace").strip()


async def check_docker(config: Config) -> list[Finding]:
    host = config.effective_docker_host
    if (refused := _socket_refused(host)) is not None:
        return [refused]
    async with Engine(host, "doctor") as engine:
        try:
            info = await engine.info()
        except EngineUnavailable as error:
            fix = "Start it: `systemctl start docker`, or `dockerd` as root; or set BERTH_DOCKER_HOST."
            return [Finding("docker", "error", error.reason, fix)]
        return [*_engine_findings(info), *await _base_images(engine, config)]


def _socket_refused(host: str) -> Finding | None:
    """The finding for a socket that is not there or not for us: the engine's client only says "cannot connect"."""
    scheme, _, path = host.partition("://")
    if scheme != "unix":
        return None
    if not Path(path).exists():
        fix = "Install Docker (apt-get install docker.io) and start it, or set BERTH_DOCKER_HOST."
        return Finding("docker", "error", f"There is no socket {path}: Docker is not installed or does not run.", fix)
    if not os.access(path, os.R_OK | os.W_OK):
        fix = "Run as root, or join its group and sign in again: usermod -aG docker $USER"
        return Finding("docker", "error", f"This user may not use {path}.", fix)
    return None


def _engine_findings(info: EngineInfo) -> list[Finding]:
    named = f"Docker Engine {info.version} (API {info.api_version})"
    fix = "Upgrade Docker to 20.10 or newer."
    if tuple(int(part) for part in re.findall(r"\d+", info.api_version)) < _API_OLDEST:
        return [Finding("docker", "error", f"{named} is too old.", fix)]
    if not info.buildkit:
        return [Finding("docker", "error", f"{named} has no BuildKit, which builds need.", fix)]
    found = [Finding("docker", "ok", f"{named} with BuildKit, {info.cpus} cores, {info.memory / _GB:.0f} GB memory")]
    folder = Path(info.root_dir)
    if folder.is_dir():  # not on another machine, and not where Berth runs in a container without it
        found.append(
            _disk("docker disk", folder, "Remove what is not needed: docker system df shows what takes space.")
        )
    return found


async def _base_images(engine: Engine, config: Config) -> list[Finding]:
    image = edge_image(config)
    if await engine.image(image) is not None:
        return []
    fix = "It is pulled when Berth starts; without a registry, build it: berth base-images build haproxy:lts"
    return [Finding("edge image", "warning", f"The image {image} is not there yet.", fix)]


def edge_image(config: Config) -> str:
    return f"{config.base_image_prefix}haproxy:lts"


async def check_data_folder(config: Config) -> list[Finding]:
    folder = config.data_dir
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        if not os.access(parent, os.W_OK):
            fix = "Set BERTH_DATA_DIR to a folder of yours."
            return [Finding("data folder", "error", f"{folder} cannot be made: {parent} is not ours.", fix)]
        return [Finding("data folder", "ok", f"{folder} is made at the first start")]
    if not os.access(folder, os.W_OK):
        fix = "Run as the user that owns it, or set BERTH_DATA_DIR."
        return [Finding("data folder", "error", f"{folder} may not be written to.", fix)]
    return [await asyncio.to_thread(_disk, "data folder", folder, "Free some space.", config.disk_min_free)]


def _disk(check: str, folder: Path, fix: str, least: int = _GB) -> Finding:
    usage = shutil.disk_usage(folder)
    text = f"{folder}: {usage.free / _GB:.1f} of {usage.total / _GB:.0f} GB free"
    if usage.free < least:
        return Finding(check, "error", f"{text}; builds need {least / _GB:.1f} GB.", fix)
    if usage.free < usage.total * 0.1:
        return Finding(check, "warning", text, fix)
    return Finding(check, "ok", text)


async def check_database(config: Config) -> list[Finding]:
    url = config.effective_database_url
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    shown = sa.make_url(url).render_as_string()
    if path is not None:
        if not path.exists():
            return [Finding("database", "ok", f"{path} is made at the first start")]
        broken = await asyncio.to_thread(_damage, path)
        if broken:
            fix = "Restore it from a backup; `sqlite3 FILE .recover` may save what is left."
            return [Finding("database", "error", f"{path} is damaged: {broken}", fix)]
    try:
        async with Store(url) as store:
            row = await store.one(sa.select(installation).where(installation.c.key == "key_check"))
    except Exception as error:
        return [Finding("database", "error", f"{shown} cannot be used: {error}", "Check BERTH_DATABASE_URL.")]
    found = Finding("database", "ok", shown if path is None else f"{path}, {path.stat().st_size / 1e6:.1f} MB, intact")
    return [found, *await asyncio.to_thread(_key, config, row["value"] if row else None)]


def _damage(path: Path) -> str:
    """What SQLite says is wrong with the file, in at most one line; empty where nothing is."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if answer == "ok" else answer


def _key(config: Config, check_value: str | None) -> list[Finding]:
    file = config.data_dir / "secret.key"
    if check_value is None:
        return []
    if not config.secret_keys and not read_secret(file):
        fix = "Put it back from a backup, or set BERTH_SECRET_KEYS: without it stored secrets cannot be read."
        return [Finding("encryption key", "error", f"{file} is {'empty' if file.exists() else 'missing'}.", fix)]
    try:
        Vault(load_keys(config.secret_keys, file)).decrypt(check_value)
    except BerthError as error:
        text = f"The encryption key is not the one that this database was made with: {error.reason}"
        return [Finding("encryption key", "error", text, error.fix)]
    if not config.secret_keys and stat.S_IMODE(file.stat().st_mode) & 0o077:
        return [Finding("encryption key", "warning", f"{file} may be read by others.", f"chmod 600 {file}")]
    return [Finding("encryption key", "ok", "It is the one that the database was made with")]


async def check_edge(config: Config) -> list[Finding]:
    """HAProxy's own sockets say whether it runs, also while no server does."""
    folder = config.data_dir / "edge"
    if not folder.is_dir():
        return [Finding("edge", "ok", "It starts with the first `berth serve`")]
    edge = Edge(
        folder=folder,
        bind=config.edge_bind,
        image=edge_image(config),
        engine=Engine(config.effective_docker_host, "doctor"),
        instance="doctor",
    )
    status = await edge.check()
    if not status.running:
        fix = "`berth serve` starts it, and its log says why where it cannot."
        return [Finding("edge", "warning", f"HAProxy does not run: {status.problem}", fix)]
    used = f"{status.connections} of {status.max_connections} connections"
    return [Finding("edge", "ok", f"HAProxy {status.version}, {len(status.ports)} ports, {used}")]


async def check_ports(config: Config) -> list[Finding]:
    first, last = config.port_min, config.port_max
    low, high = _numbers("/proc/sys/net/ipv4/ip_local_port_range") or (32_768, 60_999)
    found = []
    start, end = max(first, low), min(last, high)
    if start <= end and not are_reserved(_text("/proc/sys/net/ipv4/ip_local_reserved_ports"), start, end):
        text = f"Outgoing connections use the ports {low} to {high}, which overlap with ours ({first} to {last})."
        fix = f"Reserve them: sysctl -w net.ipv4.ip_local_reserved_ports={start}-{end} (and in /etc/sysctl.d)"
        found.append(Finding("ports", "warning", text, fix))
    taken = {one.port for one in await asyncio.to_thread(_listening)}
    if (config.data_dir / "server.json").exists() or config.port not in taken:
        found.append(Finding("ports", "ok", f"{first} to {last} for applications, {config.port} for Berth itself"))
    else:
        fix = "Stop what listens there, or set BERTH_PORT."
        found.append(Finding("ports", "error", f"Port {config.port}, which is for Berth itself, is taken.", fix))
    return found


def _numbers(path: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _text(path).split())


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # not Linux, or hidden
        return ""


def are_reserved(text: str, first: int, last: int) -> bool:
    """Whether ``text`` (``8080,9148-9200``) has all ports from ``first`` to ``last``.

    https://docs.kernel.org/networking/ip-sysctl.html: outgoing connections then take none of them.
    """
    missing = first
    for part in sorted(filter(None, text.strip().split(",")), key=lambda one: int(one.partition("-")[0])):
        start, _, end = part.partition("-")
        if int(start) <= missing <= int(end or start):
            missing = int(end or start) + 1
    return missing > last


def _listening() -> list[Listener]:
    tables = (Path(f"/proc/net/{name}") for name in ("tcp", "tcp6"))
    return parse_tcp_table("".join(table.read_text() for table in tables if table.exists()))


async def check_hosts(config: Config) -> list[Finding]:
    public = config.effective_public_url
    found = []
    if config.shares_host:
        text = (
            f"Pages and applications share the host {config.apps_host}: browsers send Berth's session to applications."
        )
        fix = "Give them two names: BERTH_PUBLIC_URL and BERTH_APPS_HOST."
        found.append(Finding("hosts", "warning", text, fix))
    if public.startswith("http://") and not _is_local(urlsplit(public).hostname or ""):
        text = f"{public} is not encrypted: whoever is on the way can read the operator token."
        fix = "Put a proxy with a certificate in front and set BERTH_PUBLIC_URL to https://…"
        found.append(Finding("hosts", "warning", text, fix))
    address = await _resolve(config.apps_host)
    if address is None:
        text = f"The name {config.apps_host}, under which applications are announced, does not resolve."
        found.append(Finding("hosts", "warning", text, "Correct BERTH_APPS_HOST, or the name's DNS entry."))
    elif _is_local(config.edge_bind) and not _is_local(address):
        text = f"Applications are announced under {config.apps_host}, but the edge listens on {config.edge_bind} only."
        found.append(Finding("hosts", "warning", text, "Set BERTH_EDGE_BIND to 0.0.0.0 or to that address."))
    return found or [Finding("hosts", "ok", f"pages: {public}; applications: {config.apps_host}")]


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _resolve(host: str) -> str | None:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return None
    return str(found[0][4][0])


CHECKS: dict[str, Check] = {
    "git": check_git,
    "docker": check_docker,
    "data folder": check_data_folder,
    "database": check_database,
    "edge": check_edge,
    "ports": check_ports,
    "hosts": check_hosts,
}
