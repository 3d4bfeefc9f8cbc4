"""What detection answers: plain data that survives a round trip through JSON."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union

from bot.detect.facts import FACTS, Facts


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation: where it was made, what stood there, and what follows from it."""

    path: str  # relative to the repository; "settings" for what a person set
    line: int | None
    seen: str
    says: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stack that was considered, with a confidence of 0 to 100."""

    stack: str
    framework: str | None
    confidence: int
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Application:
    """One of several applications in a repository. ``root`` is its folder, "." for the repository itself."""

    root: str
    name: str
    stack: str
    framework: str | None
    confidence: int = 0


@dataclass(frozen=True, slots=True)
class Beside:
    """A service that the application needs beside it.

    ``variables`` are the environment variables by which it finds it: name and template of the value. ``asked`` is true
    where a person asked for it, otherwise ``reason`` says what it was concluded from.
    """

    service: str  # postgresql | mysql | mongodb | redis
    image: str  # official name and tag: "postgres:17"
    variables: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Detection:
    """What a repository is, how it is built and started, and why we think so.

    ``stack`` is ``none`` where nothing fits; then ``warnings`` says what was looked for. ``root`` is the folder that is
    built, "." for the repository itself; the paths in ``evidence`` are relative to the repository. Commands are for
    ``sh -c`` in that folder. ``facts`` is what generation needs beyond that; None means that nothing can be generated.
    """

    stack: str = "none"
    underlying_stack: str | None = None
    framework: str | None = None
    package_manager: str | None = None
    language_version: str | None = None
    confidence: int = 0
    root: str = "."
    start_command: str | None = None
    build_command: str | None = None
    output_dir: str | None = None
    spa_fallback: bool = False
    port: int | None = None
    health_path: str = "/"
    required_env: tuple[str, ...] = ()
    services: tuple[str, ...] = ()  # postgresql | mysql | mongodb | redis | s3 ...
    beside: tuple[Beside, ...] = ()
    processes: tuple[tuple[str, str], ...] = ()  # Procfile lines other than web
    applications: tuple[Application, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: Facts | None = field(default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars; :meth:`from_json` gives an equal object back."""
        return typing.cast("dict[str, Any]", _plain(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Detection:
        """The reverse of :meth:`to_json`. Raises ValueError for anything that it cannot have written."""
        try:
            return _build(cls, data)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a detection: {error}") from error


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


_T = TypeVar("_T")
_hints: dict[type, dict[str, Any]] = {}


def _build(cls: type[_T], data: Mapping[str, Any]) -> _T:
    if cls not in _hints:
        _hints[cls] = typing.get_type_hints(cls)
    hints = _hints[cls]
    known = {name: _value(hints[name], value) for name, value in data.items() if name in hints}
    return cls(**known)


def _value(hint: Any, value: Any) -> Any:
    if hint == Facts | None:
        return None if value is None else _build(FACTS[value["kind"]], value)
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _value(next(option for option in typing.get_args(hint) if option is not type(None)), value)
    if origin is tuple:
        inner = typing.get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_value(inner[0], item) for item in value)
        return tuple(_value(kind, item) for kind, item in zip(inner, value, strict=True))
    if is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value)
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise ValueError(f"not a detection: {value!r} is not one of {typing.get_args(hint)}")
        return value
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"not a detection: {value!r} is not {hint}")
    return value
