"""Writes the compose model as a person would write the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.project.model import Build, Mount, Port, Project, Service, Template

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@-]*|\.|\./[A-Za-z0-9_./@-]+")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"])


def to_yaml(project: Project, comments: Mapping[str, str] | None = None) -> str:
    """The file as a person would write it.

    ``comments`` maps a dotted path (``services.web.ports``) to the text above it, "" to the head of the file.
    """
    notes = comments or {}
    lines = [f"# {_comment(line)}".rstrip() for line in notes.get("", "").splitlines()]
    if project.name:
        lines.append(f"name: {_scalar(project.name)}")
    lines.append("services:")
    for service in project.services.values():
        _write(lines, notes, f"services.{service.name}", service.name, _service(service))
    if project.volumes:
        lines.append("volumes:")
        lines.extend(f"  {_scalar(volume)}:" for volume in project.volumes)
    return "\n".join(lines) + "\n"


def _service(service: Service) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if service.image:
        out["image"] = service.image
    if service.build:
        out["build"] = _build(service.build)
    out["command"] = list(service.command) if service.command is not None else None
    out["entrypoint"] = list(service.entrypoint) if service.entrypoint is not None else None
    out["user"] = service.user
    out["working_dir"] = service.working_dir
    out["init"] = True
    out["environment"] = dict(service.environment) or None
    out["ports"] = [_port(port) for port in service.ports] or None
    out["volumes"] = [_mount(mount) for mount in service.volumes] or None
    out["depends_on"] = {name: {"condition": condition} for name, condition in service.depends_on.items()} or None
    if service.healthcheck and service.healthcheck.test == ("NONE",):
        out["healthcheck"] = {"disable": True}
    elif service.healthcheck:
        check = service.healthcheck
        out["healthcheck"] = {
            "test": list(check.test),
            "interval": _duration(check.interval),
            "timeout": _duration(check.timeout),
            "start_period": _duration(check.start_period),
            "retries": check.retries,
        }
    out["stop_signal"] = service.stop_signal
    out["stop_grace_period"] = None if service.stop_grace_period is None else _duration(service.stop_grace_period)
    out["restart"] = "no" if service.role == "release" else "unless-stopped"
    extra: dict[str, Any] = {"role": service.role}
    if service.health_path != "/":
        extra["health_path"] = service.health_path
    if service.protocol != "http":
        extra["protocol"] = service.protocol
    if service.strategy != "blue_green":
        extra["strategy"] = service.strategy
    if service.password:
        extra["password"] = service.password
    out["x-berth"] = extra
    return {key: value for key, value in out.items() if value is not None}


def _build(build: Build) -> str | dict[str, Any]:
    if build == Build(context=build.context):
        return build.context
    out = {
        "context": build.context,
        "dockerfile": build.dockerfile,
        "target": build.target,
        "args": dict(build.args) or None,
    }
    return {key: value for key, value in out.items() if value is not None}


def _port(port: Port) -> str:
    suffix = "/udp" if port.transport == "udp" else ""
    return Template(f"{port.host}:{port.container}{suffix}" if port.host else f"{port.container}{suffix}")


def _mount(mount: Mount) -> dict[str, Any] | str:
    if mount.kind == "tmpfs":
        return {"type": "tmpfs", "target": mount.target}
    if mount.kind == "volume" and not mount.source:
        return mount.target
    source = mount.source if mount.kind == "volume" else _dotted(mount.source)
    return f"{source}:{mount.target}" + (":ro" if mount.read_only else "")


def _dotted(path: str) -> str:
    return path if path.startswith(".") else f"./{path}"


def _write(lines: list[str], notes: Mapping[str, str], path: str, key: str, value: Any, *, pad: str = "  ") -> None:
    lines.extend(f"{pad}# {_comment(line)}" for line in notes.get(path, "").splitlines())
    name = _scalar(key)
    if value is None:
        lines.append(f"{pad}{name}:")
    elif isinstance(value, dict):
        lines.append(f"{pad}{name}:")
        for inner, item in value.items():
            _write(lines, notes, f"{path}.{inner}", inner, item, pad=pad + "  ")
    elif isinstance(value, list) and key in ("command", "entrypoint", "test"):
        lines.append(f"{pad}{name}: [{', '.join(_quoted(item) for item in value)}]")
    elif isinstance(value, list):
        lines.append(f"{pad}{name}:")
        for item in value:
            if isinstance(item, dict):
                first, *rest = item.items()
                lines.append(f"{pad}  - {_scalar(first[0])}: {_scalar(first[1])}")
                lines.extend(f"{pad}    {_scalar(inner)}: {_scalar(below)}" for inner, below in rest)
            else:
                lines.append(f"{pad}  - {_quoted(item) if key == 'ports' else _scalar(item)}")
    else:
        lines.append(f"{pad}{name}: {_scalar(value)}")


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _quoted(value)


def _quoted(value: object) -> str:
    text = str(value)
    if not isinstance(value, Template):
        text = text.replace("$", "$$")  # otherwise Compose would interpolate it
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 0x20 <= code < 0x7F:
            out.append(char)
        elif 0xD800 <= code <= 0xDFFF:
            out.append("\\ufffd")
        else:
            out.append(f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(out) + '"'


def _duration(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 1000}s" if whole % 1000 == 0 else f"{whole}ms"
