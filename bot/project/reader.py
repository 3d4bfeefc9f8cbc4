"""Reads a compose file strictly: what is not on the list is refused with the line that asks for it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, cast

import yaml

from bot.project.keys import LEFT_OUT, REFUSED, UNDERSTOOD
from bot.project.model import (
    CONDITIONS,
    DATABASE_IMAGES,
    ROLES,
    Build,
    HealthCheck,
    Mount,
    MountKind,
    Port,
    Project,
    ProjectError,
    Protocol,
    Role,
    Service,
    Strategy,
)
from bot.project.nodes import Nodes, is_null, is_scalar, is_sequence, line, parse

MAX_SERVICES = 50
_NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# keys of x-berth whose values are not one of a few: what they look like, and an example
_FREE = {
    "health_path": (r"/[!-~]{0,500}", "a path like /health"),
    "password": (r"[A-Z_][A-Z0-9_]{0,99}", "a name like POSTGRES_PASSWORD"),
}


def from_yaml(text: str, variables: Mapping[str, str] | None = None) -> Project:
    """Read a compose file. ``variables`` fills ``${NAME}``; nothing is taken from this process's environment.

    Raises ProjectError, with the line, for whatever is not on the list.
    """
    return _Reader(variables or {}).project(text)


class _Reader(Nodes):
    """Makes the compose model of the nodes."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.notes: list[str] = []

    def project(self, text: str) -> Project:
        top = self.mapping(parse(text), "the file")
        known = {"services", "volumes", "networks", "name", "version"}
        for key, node in top.items():
            if key not in known and not key.startswith("x-"):
                raise ProjectError(f"`{key}` is not supported.", "Take it out of the file.", line(node))
        self.networks(top.get("networks"))
        volumes = self.volume_names(top.get("volumes"))
        if "services" not in top:
            raise ProjectError("The file has no `services`.", "Describe at least one service.", 1)
        entries = self.mapping(top["services"], "services")
        if not 0 < len(entries) <= MAX_SERVICES:
            raise ProjectError(
                f"The file has {len(entries)} services.",
                f"Between 1 and {MAX_SERVICES} are possible.",
                line(top["services"]),
            )
        services = {name: self.service(name, node, volumes) for name, node in entries.items()}
        for name, service in services.items():
            for other in service.depends_on:
                if other not in services:
                    raise ProjectError(
                        f"`{name}` depends on `{other}`, which is no service of the file.", "", line(entries[name])
                    )
        title = self.text(top["name"]) if "name" in top else None
        return Project(services, tuple(volumes), title, tuple(self.notes))

    def networks(self, node: Any) -> None:
        for name, below in self.mapping(node, "networks").items():
            for key, value in self.mapping(below, name).items():
                if key == "external" or (key == "driver" and self.text(value) not in ("bridge", "overlay")):
                    raise ProjectError(
                        f"The network `{name}` belongs to the machine.",
                        "Each environment has a network of its own.",
                        line(value),
                    )

    def volume_names(self, node: Any) -> list[str]:
        names = []
        for name, below in self.mapping(node, "volumes").items():
            for key, value in self.mapping(below, name).items():
                if key not in ("labels", "name") and not (key == "driver" and self.text(value) == "local"):
                    raise ProjectError(
                        f"`{key}` of the volume `{name}` is not supported.",
                        "Only plain named volumes are.",
                        line(value),
                    )
            names.append(name)
        return names

    def service(self, name: str, node: Any, volumes: list[str]) -> Service:
        if not _NAME.fullmatch(name):
            raise ProjectError(
                f"{name!r} cannot be the name of a service.",
                "Letters, digits, `-`, `_` and `.` are possible.",
                line(node),
            )
        keys = self.mapping(node, name)
        for key, value in keys.items():
            self.check(name, key, value)
        build = self.build(keys["build"]) if "build" in keys else None
        image = self.text(keys["image"]) if "image" in keys else None
        if build is None and not image:
            raise ProjectError(f"`{name}` has neither `build` nor `image`.", "Add one of them.", line(node))
        ports = tuple(self.port(item) for item in self.sequence(keys.get("ports")))
        mounts = [self.mount(item, volumes) for item in self.sequence(keys.get("volumes"))]
        mounts += [Mount(self.text(item).partition(":")[0], kind="tmpfs") for item in self.words(keys.get("tmpfs"))]
        own = self.extension(keys.get("x-berth"))
        return Service(
            name=name,
            role=own.get("role") or _role(image, build, ports),
            image=image,
            build=build,
            command=self.command(keys.get("command")),
            entrypoint=self.command(keys.get("entrypoint")),
            environment=self.environment(keys.get("environment")),
            ports=ports,
            volumes=tuple(mounts),
            depends_on=self.depends_on(keys.get("depends_on")),
            healthcheck=self.healthcheck(keys.get("healthcheck")),
            user=self.text(keys["user"]) if "user" in keys else None,
            working_dir=self.text(keys["working_dir"]) if "working_dir" in keys else None,
            stop_signal=self.text(keys["stop_signal"]) if "stop_signal" in keys else None,
            stop_grace_period=self.seconds(keys["stop_grace_period"]) if "stop_grace_period" in keys else None,
            health_path=own.get("health_path", "/"),
            protocol=cast("Protocol", own.get("protocol", "http")),
            strategy=cast("Strategy", own.get("strategy", "blue_green")),
            password=own.get("password"),
        )

    def check(self, service: str, key: str, node: Any) -> None:
        if key == "security_opt" and all(
            self.text(item).startswith("no-new-privileges") for item in self.sequence(node)
        ):
            return
        if key in ("privileged", "use_api_socket") and self.text(node).lower() == "false":
            return
        if key in REFUSED:
            raise ProjectError(
                f"`{key}` of `{service}` is refused. {REFUSED[key]}", "Take it out of the file.", line(node)
            )
        if key in LEFT_OUT:
            if key not in ("init", "restart"):
                self.notes.append(f"line {line(node)}: `{key}` of `{service}` is left out")
        elif key not in UNDERSTOOD and not key.startswith("x-"):
            raise ProjectError(f"`{key}` of `{service}` is not supported.", "Take it out of the file.", line(node))

    def build(self, node: Any) -> Build:
        if is_scalar(node):
            return Build(self.inside(node, "build"))
        keys = self.mapping(node, "build")
        for key, value in keys.items():
            if key not in ("context", "dockerfile", "target", "args", "cache_from", "labels"):
                raise ProjectError(f"`{key}` of `build` is not supported.", "Take it out of the file.", line(value))
        return Build(
            self.inside(keys["context"], "context") if "context" in keys else ".",
            self.inside(keys["dockerfile"], "dockerfile") if "dockerfile" in keys else "Dockerfile",
            self.text(keys["target"]) if "target" in keys else None,
            {name: value or "" for name, value in self.environment(keys.get("args")).items()},
        )

    def inside(self, node: Any, what: str) -> str:
        """A path that stays in the project."""
        text = self.text(node)
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if not text or text[0] in "/~\\" or ":" in text or ".." in parts or not text.isprintable():
            raise ProjectError(
                f"`{what}: {text}` leads outside of the project.", "Use a path inside of it.", line(node)
            )
        return "/".join(parts) or "."

    def port(self, node: Any) -> Port:
        host: str | None
        if not is_scalar(node):
            keys = self.mapping(node, "ports")
            target = self.number(keys["target"]) if "target" in keys else 0
            host = self.raw(keys["published"]) if "published" in keys else None
            kind = self.text(keys["protocol"]) if "protocol" in keys else "tcp"
        else:
            raw = str(node.value)
            text, _, kind = self.text(node).partition("/")
            last = text.rpartition(":")[2]
            target = int(last) if last.isdigit() and len(last) < 6 else 0
            # the host's side is kept as it stands there, for writing it back
            host = _before_last_colon(raw) or None
        if not 0 < target < 65536 or (kind or "tcp") not in ("tcp", "udp"):
            raise ProjectError("This is not one port.", 'Write "HOST:CONTAINER", for example "8000:8000".', line(node))
        return Port(target, host, "udp" if kind == "udp" else "tcp")

    def mount(self, node: Any, volumes: list[str]) -> Mount:
        if is_scalar(node):
            parts = self.text(node).split(":")
            source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
            kind = "bind" if source[:1] in ("/", ".", "~", "\\") else "volume"
            read_only = len(parts) > 2 and "ro" in parts[2].split(",")
        else:
            keys = self.mapping(node, "volumes")
            kind = self.text(keys["type"]) if "type" in keys else "volume"
            source = self.text(keys["source"]) if "source" in keys else ""
            target = self.text(keys["target"]) if "target" in keys else ""
            read_only = "read_only" in keys and self.text(keys["read_only"]).lower() == "true"
        if not target.startswith("/") or kind not in ("volume", "bind", "tmpfs"):
            raise ProjectError("This is not a mount.", 'Write "VOLUME:/absolute/folder".', line(node))
        if kind == "bind":
            parts = [part for part in source.split("/") if part not in ("", ".")]
            if source[:1] in ("/", "~", "\\") or ".." in parts or not source.isprintable():
                raise ProjectError(
                    f"The mount of `{source}` leads outside of the project.", "Use a named volume.", line(node)
                )
            source = "./" + "/".join(parts)
        elif kind == "volume" and source and source not in volumes:
            raise ProjectError(
                f"The volume `{source}` is not declared.", f"Add `{source}:` below `volumes:`.", line(node)
            )
        return Mount(target, source if kind != "tmpfs" else "", cast("MountKind", kind), read_only)

    def environment(self, node: Any) -> dict[str, str | None]:
        out: dict[str, str | None] = {}
        if node is None:
            return out
        entries: list[tuple[str, Any, str | None]] = []
        if is_sequence(node):
            for item in self.sequence(node):
                name, equals, value = str(item.value).partition("=") if is_scalar(item) else ("", "", "")
                entries.append((name, item, value if equals else None))
        else:
            for name, item in self.mapping(node, "environment").items():
                entries.append((name, item, None if is_null(item) else self.raw(item)))
        for name, item, text in entries:
            if not _ENV_NAME.fullmatch(name):
                raise ProjectError(f"{name!r} cannot be the name of a variable.", "", line(item))
            out[name] = None if text is None else self.outside(text, item)
        return out

    def outside(self, value: str, node: Any) -> str | None:
        """The value, or None where it is nothing but a variable that nobody has set."""
        whole = re.fullmatch(r"\$(?:\{([A-Za-z_]\w*)(?::?\?[^}]*)?\}|([A-Za-z_]\w*))", value)
        if whole:
            return self.variables.get(whole[1] or whole[2])
        return self.interpolate(value, node)

    def depends_on(self, node: Any) -> dict[str, str]:
        if node is None or is_sequence(node):
            return {self.text(item): "service_started" for item in self.sequence(node)}
        out = {}
        for name, below in self.mapping(node, "depends_on").items():
            keys = self.mapping(below, name)
            condition = self.text(keys["condition"]) if "condition" in keys else "service_started"
            if condition not in CONDITIONS:
                raise ProjectError(
                    f"`{condition}` is not a condition.", f"One of {', '.join(CONDITIONS)}.", line(below)
                )
            out[name] = condition
        return out

    def healthcheck(self, node: Any) -> HealthCheck | None:
        if node is None:
            return None
        keys = self.mapping(node, "healthcheck")
        if "disable" in keys and self.text(keys["disable"]).lower() == "true":
            return HealthCheck(("NONE",))
        if "test" not in keys:
            return None
        test = (
            tuple(self.text(item) for item in self.sequence(keys["test"]))
            if is_sequence(keys["test"])
            else ("CMD-SHELL", self.text(keys["test"]))
        )
        if not test or test[0] not in ("CMD", "CMD-SHELL", "NONE"):
            raise ProjectError("`test` starts with CMD, CMD-SHELL or NONE.", "", line(keys["test"]))
        times = {key: self.seconds(keys[key]) for key in ("interval", "timeout", "start_period") if key in keys}
        return HealthCheck(test, **times, retries=self.number(keys["retries"]) if "retries" in keys else 3)

    def extension(self, node: Any) -> dict[str, Any]:
        allowed: dict[str, tuple[str, ...] | None] = {
            "role": ROLES,
            "protocol": ("http", "tcp"),
            "strategy": ("blue_green", "recreate"),
            "health_path": None,
            "password": None,
        }
        out = {}
        for key, value in self.mapping(node, "x-berth").items():
            text = self.text(value)
            if key not in allowed:
                raise ProjectError(
                    f"`{key}` is not known in `x-berth`.", f"Known are {', '.join(allowed)}.", line(value)
                )
            choices = allowed[key]
            pattern, example = _FREE.get(key, ("", ""))
            if text not in choices if choices else not re.fullmatch(pattern, text):
                raise ProjectError(
                    f"`{key}: {text}` is not possible.", f"One of {', '.join(choices or (example,))}.", line(value)
                )
            out[key] = text
        return out

    def command(self, node: Any) -> tuple[str, ...] | None:
        if node is None or is_null(node):
            return None
        return tuple(self.text(item) for item in self.words(node))

    def words(self, node: Any) -> list[Any]:
        """A list, or a line that is cut into words as a shell does."""
        if node is None or not is_scalar(node):
            return self.sequence(node)

        try:
            words = shlex.split(self.text(node))
        except ValueError as error:
            raise ProjectError(f"The command cannot be read: {error}.", "", line(node)) from error
        return [yaml.ScalarNode("tag:yaml.org,2002:str", word.replace("$", "$$"), node.start_mark) for word in words]


def _role(image: str | None, build: Build | None, ports: tuple[Port, ...]) -> Role:
    if build is None and image and image.split("@")[0].rpartition("/")[2].partition(":")[0] in DATABASE_IMAGES:
        return "database"
    return "web" if ports else "worker"


def _before_last_colon(text: str) -> str:
    """What stands before the last colon that is not part of a variable: ``${A:-1}:80`` gives ``${A:-1}``."""
    blank = re.sub(r"\$\{[^}]*\}", lambda match: "x" * len(match[0]), text)
    return text[: max(0, blank.rfind(":"))]
