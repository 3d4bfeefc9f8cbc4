"""Debian 12 as a tar, made by debootstrap: what the official image ``debian:bookworm-slim`` holds.

The tree exists only while it is read. Needs root, because a Debian tree has files of several users.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from pathlib import Path

from bot.errors import BerthError

_CA_FOLDER = Path("/usr/local/share/ca-certificates")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SKIP_PERMISSION = "or set BERTH_BASE_IMAGE_PREFIX to a mirror of Docker Hub."
_LEFT_OUT = (  # caches, documentation and translations, as the official slim image leaves them out
    *("./dev/*", "./proc/*", "./sys/*", "./tmp/*", "./var/log/*.log", "./var/log/apt/*", "./var/lib/apt/lists/*"),
    *("./var/cache/apt/*.bin", "./var/cache/apt/archives/*.deb", "./var/cache/ldconfig/*"),
    *("./usr/share/man/*", "./usr/share/info/*", "./usr/share/locale/*", "./usr/share/lintian/*"),
)
_APT = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
"""
_DPKG = """\
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
"""


async def debian_tar(on_progress: Callable[[str], None]) -> AsyncGenerator[bytes, None]:
    """The tar of a fresh Debian 12 in chunks; half a minute passes before the first one.

    debootstrap is installed where it is missing and that is possible. Raises BerthError that says what to do otherwise,
    and with the end of debootstrap's output where it fails.
    """
    await _require_debootstrap(on_progress)
    tree = Path(tempfile.mkdtemp(prefix="berth-debian-", dir="/var/tmp"))  # /tmp is often mounted without devices
    try:
        await _bootstrap(tree)
        async for chunk in _read_tar(tree):
            yield chunk
    finally:
        # never across a mount that an interrupted debootstrap may have left behind
        await asyncio.shield(_run("rm", "-rf", "--one-file-system", str(tree)))


def certificates() -> list[Path]:
    """Certificates that this machine trusts beyond Debian's: behind the same proxy or mirror, images need them too."""
    return sorted(_CA_FOLDER.glob("*.crt"))


def sources() -> str:
    """The apt sources of the tree: the mirrors of this machine where it is a Debian, the public ones elsewhere."""
    archive, security = _own_mirrors()
    rest = f"Components: main\nSigned-By: {_KEYRING}\n"
    return (
        f"Types: deb\nURIs: {archive}\nSuites: bookworm bookworm-updates\n{rest}\n"
        f"Types: deb\nURIs: {security}\nSuites: bookworm-security\n{rest}"
    )


def _own_mirrors() -> tuple[str, str]:
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    used = [
        path.read_text(errors="replace") for path in lists if path.suffix in {".list", ".sources"} and path.is_file()
    ]
    return mirrors(used, system.get("VERSION_CODENAME", "") if system.get("ID") == "debian" else "")


def mirrors(files: Iterable[str], codename: str) -> tuple[str, str]:
    """The addresses of Debian's archive and of its security archive in the texts of apt's source files.

    ``codename`` tells Debian's own entries from those of other vendors (Docker's address ends in ``/debian`` as well);
    where it is empty or nothing fits, the public addresses are returned. Both formats of sources.list(5) are read.
    """
    found = {"": "http://deb.debian.org/debian", "-security": "http://deb.debian.org/debian-security"}
    for addresses, suites, components in reversed([entry for text in files for entry in _entries(text)]):
        for kind in found:
            if codename and codename + kind in suites and "main" in components and addresses[0].startswith("http"):
                found[kind] = addresses[0].rstrip("/")
    return found[""], found["-security"]


def _entries(text: str) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Addresses, suites and components of each entry of a source file."""
    for address, suite, components in re.findall(
        r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#\n]+)", text, re.MULTILINE
    ):
        yield [address], [suite], components.split()
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)):
        fields = dict(re.findall(r"^(URIs|Suites|Components):\s*(.*)$", stanza, re.MULTILINE))
        if len(fields) == 3 and fields["URIs"].strip():
            yield fields["URIs"].split(), fields["Suites"].split(), fields["Components"].split()


async def _require_debootstrap(on_progress: Callable[[str], None]) -> None:
    if os.geteuid() != 0:
        raise BerthError(
            "Making base images from Debian packages needs root.",
            f"Run `sudo berth base-images build` once, {_SKIP_PERMISSION}",
        )
    if shutil.which("debootstrap"):
        return
    if not shutil.which("apt-get"):
        raise BerthError(
            "debootstrap is missing.", f"Install it with this system's package manager, {_SKIP_PERMISSION}"
        )
    on_progress("installing debootstrap")
    packages = ["debootstrap", "debian-archive-keyring"]
    try:
        await _run("apt-get", "update", "-qq")
        await _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    except BerthError as error:
        raise BerthError(
            f"debootstrap is missing and could not be installed: {error.reason}",
            f"Try `apt-get install {' '.join(packages)}`, {_SKIP_PERMISSION}",
        ) from error


async def _bootstrap(tree: Path) -> None:
    archive, _ = _own_mirrors()
    command = ["debootstrap", f"--keyring={_KEYRING}", "--variant=minbase", "--include=ca-certificates"]
    await _run(*command, "bookworm", str(tree), archive)
    files = {
        "etc/apt/apt.conf.d/docker-clean": _APT,
        "etc/apt/sources.list": "",
        "etc/apt/sources.list.d/debian.sources": sources(),
        "etc/dpkg/dpkg.cfg.d/docker": _DPKG,
        "etc/hostname": "localhost\n",
        "etc/resolv.conf": "",
        "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    }
    for path, text in files.items():
        tree.joinpath(path).write_text(text)
    tree.joinpath("usr/sbin/policy-rc.d").chmod(0o755)
    for certificate in certificates():
        shutil.copy(certificate, tree / "usr/local/share/ca-certificates")
    # a folder for temporary files that was chosen for this machine is not in the tree
    await _run("chroot", str(tree), "env", "-u", "TMPDIR", "update-ca-certificates", "--fresh")
    await _run("find", str(tree / "usr/share/doc"), "-type", "f", "!", "-name", "copyright", "-delete")


async def _read_tar(tree: Path) -> AsyncGenerator[bytes, None]:
    excluded = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    command = ["tar", "-C", str(tree), "--one-file-system", *excluded, "-c", "."]
    tar = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert tar.stdout is not None
    try:
        while chunk := await tar.stdout.read(1 << 20):
            yield chunk
        if await tar.wait():
            raise BerthError("The Debian tree could not be read.", "See what tar says above.")
    finally:
        if tar.returncode is None:
            tar.kill()
            await tar.wait()


async def _run(*command: str) -> None:
    """Run a command to its end; it is killed with this task. Raises BerthError with the last lines that it printed."""
    environment: Mapping[str, str] = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        tail = " / ".join(output.decode(errors="replace").split("\n")[-4:]).strip(" /")
        raise BerthError(f"{command[0]} ended with exit code {process.returncode}: {tail}")
