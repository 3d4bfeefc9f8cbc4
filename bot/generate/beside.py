"""Services beside the application, as the compose file has them: databases, and the processes of a Procfile."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.detect.connections import PORTS
from bot.detect.facts import DenoFacts, DockerfileFacts, Facts, GoFacts, NodeFacts, PhpFacts, PythonFacts, RubyFacts
from bot.detect.model import Beside, Detection
from bot.detect.service_versions import TITLES, postgres_version
from bot.generate.recipe import Recipe
from bot.generate.write import needs_shell, with_exec
from bot.project import Build, HealthCheck, Mount, Service, Template

USER = NAME = "app"
# process types that people start by hand
_BY_HAND = frozenset({"console", "rake", "shell", "test", "dev", "debug", "postdeploy", "build", "seed"})
_SHELL = ("/bin/sh", "-c")
THROW_AWAY = "throw-away"  # the password where nobody gives another one: for a person's own machine


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a service of one kind is written. ``test`` is its health check, ``data`` the folder of its volume."""

    name: str
    password: str | None
    environment: Mapping[str, str]
    test: tuple[str, ...]
    data: str
    command: tuple[str, ...] | None = None


def _shape(beside: Beside) -> _Shape:
    """https://hub.docker.com/_/postgres, /_/mysql, /_/mariadb, /_/mongo, /_/redis

    A check goes over TCP where the entry point starts a server for itself first, which listens on a socket only.
    """
    image = "postgres" if beside.service == "postgresql" else beside.image.partition(":")[0]
    match image:
        case "postgres":
            # since 18 the image keeps the data of each version in a folder of its own below this one
            newer = int(postgres_version(beside.image)) >= 18
            return _Shape(
                "postgres",
                "POSTGRES_PASSWORD",
                {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": "{password}", "POSTGRES_DB": NAME},
                ("CMD", "pg_isready", "--host=127.0.0.1", f"--username={USER}", f"--dbname={NAME}"),
                "/var/lib/postgresql" if newer else "/var/lib/postgresql/data",
            )
        case "mysql" | "mariadb":
            prefix = image.upper()
            program = "mysqladmin" if image == "mysql" else "mariadb-admin"
            environment = {
                f"{prefix}_USER": USER,
                f"{prefix}_PASSWORD": "{password}",
                f"{prefix}_DATABASE": NAME,
                f"{prefix}_RANDOM_ROOT_PASSWORD": "yes",
            }
            test = ("CMD", program, "ping", "--host=127.0.0.1", f"--user={USER}", "--silent")
            return _Shape(image, f"{prefix}_PASSWORD", environment, test, "/var/lib/mysql")
        case "mongo":
            return _Shape(
                "mongo",
                "MONGO_PASSWORD",
                {"MONGO_INITDB_ROOT_USERNAME": USER, "MONGO_INITDB_ROOT_PASSWORD": "{password}"},
                ("CMD-SHELL", 'mongosh --quiet --host "$HOSTNAME" --eval "db.adminCommand(\'ping\').ok" | grep -q 1'),
                "/data/db",
            )
        case _:
            return _Shape(
                "redis",
                None,  # nobody else reaches it
                {},
                ("CMD-SHELL", "redis-cli ping | grep -q PONG"),
                "/data",
                ("redis-server", "--appendonly", "yes"),
            )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``databases`` and ``processes`` by name; ``environment`` is what the application is told about the databases."""

    databases: Mapping[str, Service]
    processes: Mapping[str, Service]
    environment: Mapping[str, str]
    volumes: tuple[str, ...]
    explanation: tuple[str, ...]
    notes: Mapping[str, str]  # service -> why it is there


def surroundings(recipe: Recipe, given: Collection[str] = ()) -> Surroundings:
    """What stands beside the web service. ``given`` are names of variables that have a value in Berth already."""
    detection = recipe.detection
    databases: dict[str, Service] = {}
    environment: dict[str, str] = {}
    explanation = []
    notes: dict[str, str] = {}
    for beside in detection.beside:
        title = TITLES[beside.service]
        known = sorted({name for name, _ in beside.variables} & set(given))
        if known and not beside.asked:
            explanation.append(f"no {title} is started: {known[0]} has a value already")
            continue
        shape = _shape(beside)
        databases[shape.name] = _database(recipe, beside, shape)
        environment |= _told(beside, shape)
        explanation.append(f"{title} ({beside.image}) runs beside it as {shape.name}: {beside.reason}")
        notes[shape.name] = beside.reason + (
            "\nits throw-away password is for your own machine: Berth makes one of its own" if shape.password else ""
        )
    processes = _processes(detection, databases, environment)
    for service in processes.values():
        notes[service.name] = _said(service, detection)
        explanation.append(notes[service.name])
    started = {name for name, _ in _started(detection, databases)}
    if left := [name for name, _ in detection.processes if name not in started]:
        explanation.append(f"not started, though the Procfile has them: {', '.join(left)}")
    volumes = tuple(mount.source for service in databases.values() for mount in service.volumes)
    return Surroundings(databases, processes, environment, volumes, tuple(explanation), notes)


def _database(recipe: Recipe, beside: Beside, shape: _Shape) -> Service:
    password = _password(shape)
    return Service(
        name=shape.name,
        role="database",
        image=recipe.image(beside.image),
        command=shape.command,
        environment={
            name: Template(value.replace("{password}", password)) if "{password}" in value else value
            for name, value in shape.environment.items()
        },
        volumes=(Mount(shape.data, f"{shape.name}-data"),),
        healthcheck=HealthCheck(shape.test, interval=5, start_period=60, retries=5),
        protocol="tcp",
        password=shape.password,
    )


def _password(shape: _Shape) -> str:
    return f"${{{shape.password}:-{THROW_AWAY}}}" if shape.password else ""


def _told(beside: Beside, shape: _Shape) -> dict[str, str]:
    """The variables by which the application finds the service."""
    parts = {
        "{user}": USER,
        "{password}": _password(shape),
        "{host}": shape.name,
        "{port}": str(PORTS[beside.service]),
        "{name}": NAME,
    }
    told = {}
    for variable, template in beside.variables:
        value = re.sub(r"\{\w+\}", lambda match: parts[match[0]], template)
        told[variable] = Template(value) if "{password}" in template else value
    return told


def depends_on(databases: Collection[str], processes: Mapping[str, Service]) -> dict[str, str]:
    """What has to be there before the application starts."""
    first = dict.fromkeys(databases, "service_healthy")
    release = {one.name: "service_completed_successfully" for one in processes.values() if one.role == "release"}
    return first | release


def _processes(
    detection: Detection, databases: Mapping[str, Service], environment: Mapping[str, str]
) -> dict[str, Service]:
    """The lines of a Procfile besides ``web``: ``release`` runs once, the others as workers from the same image."""
    found: dict[str, Service] = {}
    told: dict[str, str | None] = {**dict.fromkeys(detection.required_env), **environment}
    prepare = getattr(detection.facts, "prepare", "")
    for name, command in sorted(_started(detection, databases), key=lambda one: one[0] != "release"):
        key = _service_name(name, {"web", *databases, *found})
        found[key] = Service(
            name=key,
            role="release" if name == "release" else "worker",
            build=Build(),
            command=_words(detection.facts, f"{prepare} && {command}" if prepare else command),
            environment=told,
            depends_on=depends_on(databases, found),
            healthcheck=HealthCheck(("NONE",)),  # that of the Dockerfile asks a web server
        )
    return found


def _started(detection: Detection, databases: Mapping[str, Service]) -> list[tuple[str, str]]:
    """The processes that are started, with their commands."""
    runs = detection.processes if _holds_source(detection.facts) else getattr(detection.facts, "processes", ())
    found = [(name, command) for name, command in runs if name.lower() not in _BY_HAND]
    if migration := _migration(detection, databases):
        found.append(("release", migration))
    return found


def _words(facts: Facts | None, command: str) -> tuple[str, ...]:
    """In exec form. Go's image has no shell where none of its commands needs one."""
    if isinstance(facts, GoFacts) and not needs_shell(command):
        return tuple(command.split())
    return (*_SHELL, with_exec(command))


def _migration(detection: Detection, databases: Mapping[str, Service]) -> str:
    """Django's tables are made before it starts, unless somebody takes care of that. Others do so at each start."""
    facts = detection.facts
    taken_care = "migrate" in (detection.start_command or "") or any(
        name == "release" for name, _ in detection.processes
    )
    sql = any(one.service in ("postgresql", "mysql") for one in detection.beside) and databases
    if detection.framework != "django" or not isinstance(facts, PythonFacts) or taken_care or not sql:
        return ""
    return f"python {shlex.quote(facts.manage)} migrate --noinput"


def _holds_source(facts: Facts | None) -> bool:
    """Whether the image can run the Procfile's other commands: not one that holds pages or a single program."""
    match facts:
        case NodeFacts():
            return facts.serve == "server"
        case RubyFacts():
            return not facts.site
        case PythonFacts() | DenoFacts() | PhpFacts() | DockerfileFacts():
            return True
        case _:
            return False


def _service_name(name: str, taken: Collection[str]) -> str:
    """A name that Compose and DNS accept, and that nothing else has."""
    plain = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:40] or "worker"
    if plain not in taken:
        return plain
    return next(one for number in range(2, 1000) if (one := f"{plain}-{number}") not in taken)


def _said(service: Service, detection: Detection) -> str:
    words = service.command or ("",)
    command = words[-1].rpartition("&& ")[2].removeprefix("exec ") if words[:2] == _SHELL else " ".join(words)
    if service.role != "release":
        return f"`{command}` runs beside it as {service.name} (Procfile)"
    whose = "Procfile" if any(name == "release" for name, _ in detection.processes) else "Django's tables"
    return f"`{command}` runs once before each new version starts ({whose})"
