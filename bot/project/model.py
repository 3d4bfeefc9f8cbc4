"""The services of an application, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["web", "worker", "release", "database"]
Strategy = Literal["blue_green", "recreate"]
Protocol = Literal["http", "tcp"]
MountKind = Literal["volume", "bind", "tmpfs"]

ROLES: tuple[Role, ...] = ("web", "worker", "release", "database")
CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
DATABASE_IMAGES = frozenset(
    ["postgres", "mysql", "mariadb", "mongo", "redis", "valkey", "memcached", "elasticsearch", "rabbitmq", "minio"]
)


class Template(str):
    """Text with ``${NAME:-default}`` in it, which is written as it stands; read, it is what that makes of it."""

    __slots__ = ()


class ProjectError(Exception):
    """A compose file that Berth does not carry out: why, where (line from 1), and what to do about it."""

    def __init__(self, reason: str, fix: str = "", line: int | None = None) -> None:
        super().__init__(reason, fix, line)
        self.reason, self.fix, self.line = reason, fix, line

    def __str__(self) -> str:
        where = f"docker-compose.yml, line {self.line}: " if self.line else ""
        return f"{where}{self.reason} {self.fix}".strip()


@dataclass(frozen=True, slots=True)
class Build:
    """How the image of a service is made; ``context`` and ``dockerfile`` are relative paths inside the project."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """A published port. ``host`` is the other side as written, for people; the edge decides where it really listens."""

    container: int
    host: str | None = None
    transport: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class Mount:
    """``source`` is a named volume, or a path inside the project for a bind mount, or "" for tmpfs."""

    target: str
    source: str = ""
    kind: MountKind = "volume"
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """``test`` as Docker takes it: ``("CMD", …)``, ``("CMD-SHELL", text)`` or ``("NONE",)``; times in seconds."""

    test: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 5.0
    start_period: float = 0.0
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    An ``environment`` value of None has to come from outside: a variable, or the shell that runs ``docker compose``.
    ``password`` names the variable of the file in whose place Berth puts a password of its own.
    """

    name: str
    role: Role = "web"
    image: str | None = None
    build: Build | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    volumes: tuple[Mount, ...] = ()
    depends_on: Mapping[str, str] = field(default_factory=dict)  # service -> condition
    healthcheck: HealthCheck | None = None
    user: str | None = None
    working_dir: str | None = None
    stop_signal: str | None = None
    stop_grace_period: float | None = None  # seconds
    health_path: str = "/"
    protocol: Protocol = "http"
    strategy: Strategy = "blue_green"
    password: str | None = None

    @property
    def published(self) -> bool:
        """Whether the edge makes it reachable from outside of its environment."""
        return bool(self.ports)

    @property
    def port(self) -> int | None:
        """The port inside the container that is published, None for a service without one."""
        return next((port.container for port in self.ports if port.transport == "tcp"), None)


def interpolate(environment: Mapping[str, str | None], variables: Mapping[str, str]) -> dict[str, str]:
    """The environment with the values that come from outside; those that nobody has set are left out."""
    values = {name: variables.get(name) if value is None else value for name, value in environment.items()}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Project:
    """Services by name, and the named volumes that they use. ``notes`` says what reading the file left out."""

    services: Mapping[str, Service]
    volumes: tuple[str, ...] = ()
    name: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def web(self) -> Service | None:
        """The service that answers at the application's URL: the first published one of role ``web``."""
        found = [service for service in self.services.values() if service.role == "web"]
        return next((service for service in found if service.published), found[0] if found else None)
