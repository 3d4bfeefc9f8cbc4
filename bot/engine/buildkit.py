"""What BuildKit says while it builds: the protobuf of ``moby.buildkit.trace``.

The messages are ``StatusResponse`` and its parts in
https://github.com/moby/buildkit/blob/master/api/services/control/control.proto. Unknown fields are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = tuple[int, int | bytes]


@dataclass(frozen=True)
class Vertex:
    """One step of the build; sent again whenever something about it changes. Times are seconds since 1970."""

    digest: str
    inputs: tuple[str, ...]
    name: str
    cached: bool
    started: float | None
    completed: float | None
    error: str


@dataclass(frozen=True)
class VertexStatus:
    """Progress inside a step: bytes of a download, files of an export."""

    id: str
    vertex: str
    name: str
    current: int
    total: int


@dataclass(frozen=True)
class VertexLog:
    vertex: str
    at: float
    stream: int  # 1 stdout, 2 stderr
    message: bytes  # may end in the middle of a line, and of a character


@dataclass(frozen=True)
class Status:
    vertexes: list[Vertex] = field(default_factory=list)
    statuses: list[VertexStatus] = field(default_factory=list)
    logs: list[VertexLog] = field(default_factory=list)


def decode_status(raw: bytes) -> Status:
    """Decode one ``StatusResponse``. Raises ValueError if it is not one."""
    status = Status()
    for number, value in _fields(raw):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            status.vertexes.append(_vertex(value))
        elif number == 2:
            status.statuses.append(_vertex_status(value))
        elif number == 3:
            status.logs.append(_vertex_log(value))
    return status


def _vertex(raw: bytes) -> Vertex:
    one, inputs = _collect(raw, repeated=2)
    return Vertex(
        digest=_text(one, 1),
        inputs=tuple(value.decode("utf-8", "replace") for value in inputs),
        name=_text(one, 3),
        cached=bool(_number(one, 4)),
        started=_time(one, 5),
        completed=_time(one, 6),
        error=_text(one, 7),
    )


def _vertex_status(raw: bytes) -> VertexStatus:
    one, _ = _collect(raw)
    return VertexStatus(_text(one, 1), _text(one, 2), _text(one, 3), _number(one, 4), _number(one, 5))


def _vertex_log(raw: bytes) -> VertexLog:
    one, _ = _collect(raw)
    message = one.get(4, b"")
    return VertexLog(
        _text(one, 1), _time(one, 2) or 0.0, _number(one, 3), message if isinstance(message, bytes) else b""
    )


def _collect(raw: bytes, repeated: int = 0) -> tuple[dict[int, int | bytes], list[bytes]]:
    """The last value of every field, and all values of the one that is ``repeated``."""
    one: dict[int, int | bytes] = {}
    many = []
    for number, value in _fields(raw):
        if number == repeated and isinstance(value, bytes):
            many.append(value)
        one[number] = value
    return one, many


def _text(one: dict[int, int | bytes], number: int) -> str:
    value = one.get(number, b"")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _number(one: dict[int, int | bytes], number: int) -> int:
    value = one.get(number, 0)
    return value if isinstance(value, int) else 0


def _time(one: dict[int, int | bytes], number: int) -> float | None:
    raw = one.get(number)
    if not isinstance(raw, bytes):
        return None
    parts, _ = _collect(raw)
    return _number(parts, 1) + _number(parts, 2) / 1e9


def _fields(raw: bytes) -> Iterator[Field]:
    """The fields of a message: number, and an int (varint) or bytes. Fixed-width numbers are skipped."""
    place = 0
    while place < len(raw):
        key, place = _varint(raw, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(raw, place)
            yield number, value
        elif kind == _BYTES:
            size, place = _varint(raw, place)
            if place + size > len(raw):
                raise ValueError("a field is longer than its message")
            yield number, raw[place : place + size]
            place += size
        elif kind in {_FIXED64, _FIXED32}:
            place += 8 if kind == _FIXED64 else 4
            if place > len(raw):
                raise ValueError("a field is longer than its message")
        else:
            raise ValueError(f"wire type {kind}")


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(raw) and shift < 64:
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("a number does not end")
