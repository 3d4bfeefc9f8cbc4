"""The multiplexed stream of a container's output, and the log lines in it.

Its format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Stream = Literal["stdout", "stderr"]

LINE_LIMIT = 16_384  # bytes; the engine's own log drivers split there as well
_HEADER = 8  # stream number, three zero bytes, length (big endian)


@dataclass(frozen=True)
class LogLine:
    at: float  # seconds since 1970
    stream: Stream
    text: str


def parse_time(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time with up to nine decimals; None for Go's zero time and for what is none."""
    if len(text) < 20 or text.startswith("0001-"):
        return None
    tail = 19
    while tail < len(text) and text[tail] in ".0123456789":
        tail += 1
    zone = text[tail:]
    try:
        seconds = datetime.fromisoformat(text[:19] + ("+00:00" if zone == "Z" else zone)).timestamp()
        return seconds + float(text[19:tail] or 0)
    except ValueError:
        return None


async def demultiplex(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[Stream, bytes], None]:
    """The frames of a stream that arrives in arbitrary chunks. A last one that is cut off is left out."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        start = 0
        while len(buffer) - start >= _HEADER:
            end = start + _HEADER + int.from_bytes(buffer[start + 4 : start + _HEADER], "big")
            if len(buffer) < end:
                break
            yield ("stderr" if buffer[start] == 2 else "stdout"), bytes(buffer[start + _HEADER : end])
            start = end
        del buffer[:start]


async def log_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[LogLine, None]:
    """The lines of a log that was asked for with timestamps.

    One frame is one entry of the log: a time, a space, the text. An entry without a newline is the first part of a line
    longer than LINE_LIMIT; each part is a line here. Bytes that are not UTF-8 become U+FFFD, also across two parts.
    """
    decoders = {"stdout": _decoder(), "stderr": _decoder()}
    continued = {"stdout": False, "stderr": False}
    async for stream, frame in demultiplex(chunks):
        stamp, _, body = frame.partition(b" ")
        at = parse_time(stamp.decode("ascii", "replace"))
        if at is None:
            continue
        complete = body.endswith(b"\n")
        body = body.removesuffix(b"\n").removesuffix(b"\r")
        while len(body) > LINE_LIMIT:
            yield LogLine(at, stream, decoders[stream].decode(body[:LINE_LIMIT]))
            body, continued[stream] = body[LINE_LIMIT:], True
        text = decoders[stream].decode(body, final=complete)
        if text or not continued[stream]:
            yield LogLine(at, stream, text)
        continued[stream] = not complete


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")
