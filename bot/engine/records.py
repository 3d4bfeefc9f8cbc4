"""What the engine is told about a container, and what it tells us about containers, images and volumes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from bot.engine.frames import parse_time

INSTANCE = "berth.instance"
# on containers that Berth itself has made: they inherit the labels of their image, and so do those that a person starts
MADE = "berth.made"
ENVIRONMENT = "berth.environment"
DEPLOYMENT = "berth.deployment"
SERVICE = "berth.service"
CONFIG = "berth.config"


@dataclass(frozen=True)
class EngineInfo:
    version: str
    api_version: str
    buildkit: bool
    root_dir: str
    cpus: int
    memory: int  # bytes


@dataclass(frozen=True)
class VolumeMount:
    name: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """One container. ``network`` is the name or id of a network (or ``host``), ``address`` its IPv4 address there.

    Memory is bytes (0: no limit), ``cpus`` may be a fraction (0: all), ``stop_grace`` seconds. ``command`` None keeps
    the command of the image. ``tmpfs`` are paths, ``binds`` are ``/host:/container[:ro]`` (only for containers of
    Berth's own).
    """

    name: str
    image: str
    labels: dict[str, str]
    command: tuple[str, ...] | None
    environment: dict[str, str]
    network: str
    address: str
    memory: int
    cpus: float
    pids: int
    capabilities: tuple[str, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    stop_grace: float = 10.0
    aliases: tuple[str, ...] = ()
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    restart: str = "no"
    checked: bool = True  # False: the image's own health check is not run


@dataclass(frozen=True)
class ContainerState:
    """What the engine says about a container; times are seconds since 1970, None where it never happened."""

    id: str
    name: str
    labels: dict[str, str]
    running: bool
    pid: int
    exit_code: int | None
    oom_killed: bool
    started_at: float | None
    finished_at: float | None
    restarts: int
    address: str
    image_id: str
    status: str = ""  # created | running | paused | restarting | removing | exited | dead
    error: str = ""


@dataclass(frozen=True)
class ContainerEvent:
    at: float
    action: str
    container_id: str
    labels: dict[str, str]
    exit_code: int | None


@dataclass(frozen=True)
class ImageInfo:
    id: str
    user: str
    exposed_ports: tuple[int, ...]
    size: int  # bytes
    labels: dict[str, str]
    command: tuple[str, ...]
    entrypoint: tuple[str, ...]
    tags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListedImage:
    id: str
    tags: tuple[str, ...]
    labels: dict[str, str]
    size: int  # bytes
    created_at: float


@dataclass(frozen=True)
class VolumeInfo:
    name: str
    labels: dict[str, str]


# What images that start as root and then drop to a user of their own need (measured with nginx, apache, redis, mariadb
# and postgres): change owners and modes of their data, become another user, signal their workers, bind a low port.
ROOT_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "KILL", "NET_BIND_SERVICE")


# the same for official images of databases, which bind no low port
DATABASE_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")


def default_capabilities(image: ImageInfo) -> tuple[str, ...]:
    """The capabilities that a container of ``image`` gets: none where it does not start as root."""
    user = image.user.partition(":")[0]
    return ROOT_CAPABILITIES if user in {"", "0", "root"} else ()


def container_state(raw: dict[str, Any]) -> ContainerState:
    state = raw.get("State") or {}
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    configured = ((network.get("IPAMConfig") or {}).get("IPv4Address") for network in networks.values())
    current = (network.get("IPAddress") for network in networks.values())
    running = bool(state.get("Running"))
    finished = parse_time(state.get("FinishedAt", ""))
    return ContainerState(
        id=raw["Id"],
        name=str(raw.get("Name", "")).removeprefix("/"),
        labels=dict((raw.get("Config") or {}).get("Labels") or {}),
        running=running,
        pid=int(state.get("Pid", 0)),
        exit_code=None if running or finished is None else int(state.get("ExitCode", 0)),
        oom_killed=bool(state.get("OOMKilled")),
        started_at=parse_time(state.get("StartedAt", "")),
        finished_at=finished,
        restarts=int(raw.get("RestartCount", 0)),
        address=next((address for address in (*current, *configured) if address), ""),
        image_id=str(raw.get("Image", "")),
        status=str(state.get("Status", "")),
        error=str(state.get("Error", "")),
    )


def container_event(raw: dict[str, Any]) -> ContainerEvent:
    actor = raw.get("Actor") or {}
    attributes = dict(actor.get("Attributes") or {})
    code = attributes.pop("exitCode", None)
    return ContainerEvent(
        at=raw.get("timeNano", 0) / 1e9,
        action=str(raw.get("Action", "")),
        container_id=str(actor.get("ID", "")),
        labels={name: value for name, value in attributes.items() if name.startswith("berth.")},
        exit_code=int(code) if code is not None else None,
    )


def image_info(raw: dict[str, Any]) -> ImageInfo:
    config = raw.get("Config") or {}
    ports = (re.match(r"\d+", port) for port in config.get("ExposedPorts") or {})
    return ImageInfo(
        id=raw["Id"],
        user=str(config.get("User") or ""),
        exposed_ports=tuple(sorted(int(port[0]) for port in ports if port)),
        size=int(raw.get("Size", 0)),
        labels=dict(config.get("Labels") or {}),
        command=tuple(config.get("Cmd") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        tags=tuple(raw.get("RepoTags") or ()),
        environment=dict(pair.partition("=")[::2] for pair in config.get("Env") or ()),
        working_dir=str(config.get("WorkingDir") or ""),
        volumes=tuple(config.get("Volumes") or ()),
    )


def container_body(spec: ContainerSpec, instance: str) -> dict[str, Any]:
    """The body of the request that makes this container for the installation ``instance``.

    Its label ``berth.config`` is a hash of all the rest, unless the spec brings its own.
    """
    host = spec.network == "host"
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": {**spec.labels, INSTANCE: instance, MADE: "true"},
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "User": spec.user,
        "WorkingDir": spec.working_dir,
        "StopTimeout": max(1, round(spec.stop_grace)),
        "HostConfig": {
            "NetworkMode": spec.network,
            "RestartPolicy": {"Name": spec.restart},
            "Init": True,
            "CapDrop": ["ALL"],
            "CapAdd": list(spec.capabilities),
            "SecurityOpt": ["no-new-privileges"],
            "Memory": spec.memory,
            "MemorySwap": spec.memory,  # the sum: no swap on top of the memory
            "NanoCpus": round(spec.cpus * 1e9),
            "PidsLimit": spec.pids,
            "ReadonlyRootfs": spec.read_only,
            "Tmpfs": dict.fromkeys(spec.tmpfs, ""),
            "Binds": list(spec.binds),
            "Mounts": [
                {"Type": "volume", "Source": mount.name, "Target": mount.target, "ReadOnly": mount.read_only}
                for mount in spec.volumes
            ],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
            "PublishAllPorts": False,
        },
    }
    if spec.command is not None:
        body["Cmd"] = list(spec.command)
    if spec.entrypoint is not None:
        body["Entrypoint"] = list(spec.entrypoint)
    if not spec.checked:
        body["Healthcheck"] = {"Test": ["NONE"]}
    if spec.stop_signal:
        body["StopSignal"] = spec.stop_signal
    if not host:
        endpoint: dict[str, Any] = {"Aliases": list(spec.aliases)}
        if spec.address:
            endpoint["IPAMConfig"] = {"IPv4Address": spec.address}
        body["NetworkingConfig"] = {"EndpointsConfig": {spec.network: endpoint}}
    made_from = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    body["Labels"].setdefault(CONFIG, made_from)
    return body


def split_reference(ref: str) -> tuple[str, str]:
    """``registry:5000/name:tag`` into name and tag (or digest); the tag may be empty."""
    if "@" in ref:
        name, _, digest = ref.partition("@")
        return name, digest
    head, _, tag = ref.rpartition(":")
    return (head, tag) if head and "/" not in tag else (ref, "")
