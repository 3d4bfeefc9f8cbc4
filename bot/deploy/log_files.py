"""The files of a log: a folder of segments, each named after the offset of its first byte.

An offset counts the bytes ever written to the log, so it only grows. When a log becomes larger than allowed, its oldest
segments but the first are deleted; whoever reads across such a hole gets one line of kind ``gap`` that says how much
is missing. So the beginning and the end of a log are kept. Everything here blocks: it runs in threads.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

LINE_LIMIT = 8192  # characters that are kept of a line
PAGE_BYTES = 1_000_000
_BLOCK = 65_536
_SEGMENT = re.compile(r"\d{16}\.ndjson")
# colours (SGR) stay; other escape sequences (ECMA-48), control characters and marks that turn text round go
_CONTROLS = re.compile(
    r"(\x1b\[[0-9;:]{0,64}m)"
    r"|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"
    r"|\x1b[ -/]{0,8}[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


@dataclass(frozen=True)
class LogLine:
    """``at``: seconds since 1970. ``next_offset``: where the line after this one begins."""

    offset: int
    next_offset: int
    at: float
    source: str
    text: str
    kind: str = "line"
    step: str = ""
    phase: str = ""


def clean(text: str) -> str:
    """One line as a terminal would end up showing it: what stands after the last carriage return, colours kept."""
    if text.isprintable():
        return text
    if "\r" in text:
        text = text.rstrip("\r").rpartition("\r")[2]
    return _CONTROLS.sub(lambda match: match[1] or "", text)


def encode(line: LogLine) -> bytes:
    """``line`` (its offsets do not matter) as it is stored, with its text cut to LINE_LIMIT characters."""
    text = line.text
    if len(text) > LINE_LIMIT:
        text = f"{text[:LINE_LIMIT]}… ({len(text) - LINE_LIMIT} more characters)"
    row: dict[str, object] = {"t": line.at, "s": line.source, "m": text}
    row |= {"k": line.kind} if line.kind != "line" else {}
    row |= {"n": line.step} if line.step else {}
    row |= {"phase": line.phase} if line.phase else {}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def _decode(raw: bytes, offset: int) -> LogLine:
    following = offset + len(raw)
    try:
        row = json.loads(raw)
        at, source, text = float(row["t"]), str(row["s"]), str(row["m"])
        return LogLine(
            offset, following, at, source, text, row.get("k", "line"), row.get("n", ""), row.get("phase", "")
        )
    except (ValueError, KeyError, TypeError):
        return LogLine(offset, following, 0.0, "berth", "(this line of the log is damaged)", "gap")


def _segments(folder: Path) -> list[tuple[int, Path]]:
    try:
        names = sorted(name for name in os.listdir(folder) if _SEGMENT.fullmatch(name))
    except FileNotFoundError:
        return []
    return [(int(name[:16]), folder / name) for name in names]


class LogFile:
    """The end of a log where lines are appended. One at a time may exist of a folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Opens the log or makes it. A last line without its end, left by a kill, is cut off."""
        self._folder = folder
        self._max_bytes = max_bytes
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        segments = _segments(folder)
        self._start, self.end = 0, 0
        if segments:
            self._start, path = segments[-1]
            with path.open("r+b") as file:
                self.end = self._start + _cut_torn_line(file.fileno())

    def append(self, lines: Iterable[bytes]) -> None:
        """Writes whole lines. Raises OSError when the disk does not take them; :attr:`end` says how far it came."""
        batch: list[bytes] = []
        room = self._room()
        for line in lines:
            if room <= 0:
                self._write(b"".join(batch))
                batch, self._start = [], self.end
                room = self._room()
                self._delete_middle()
            batch.append(line)
            room -= len(line)
        self._write(b"".join(batch))

    def _room(self) -> int:
        """The first segment may have a quarter of all that is allowed, the others an eighth each."""
        return self._max_bytes // (8 if self._start else 4) - (self.end - self._start)

    def _write(self, data: bytes) -> None:
        if not data:
            return
        path = self._folder / f"{self._start:016d}.ndjson"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            os.ftruncate(descriptor, self.end - self._start)
            raise
        finally:
            os.close(descriptor)
        self.end += len(data)

    def _delete_middle(self) -> None:
        segments = _segments(self._folder)
        sizes = [path.stat().st_size for _, path in segments]
        surplus = sum(sizes) + self._max_bytes // 8 - self._max_bytes
        for (_, path), size in zip(segments[1:], sizes[1:], strict=True):
            if surplus <= 0:
                break
            path.unlink()
            surplus -= size


def _cut_torn_line(descriptor: int) -> int:
    """The size of the file after its last newline, to which it is cut."""
    size = os.fstat(descriptor).st_size
    whole = size
    while whole:
        block = os.pread(descriptor, min(_BLOCK, whole), max(0, whole - _BLOCK))
        newline = block.rfind(b"\n")
        if newline >= 0:
            whole += newline + 1 - len(block)
            break
        whole -= len(block)
    if whole < size:
        os.ftruncate(descriptor, whole)
    return whole


def read_lines(
    folder: Path, offset: int, limit: int, *, end: int | None = None, most: float = PAGE_BYTES
) -> list[LogLine]:
    """Up to ``limit`` lines from the first that begins at ``offset`` or later, of those that end at ``end`` or before.

    Stops after about ``most`` bytes. A hole counts as a line.
    """
    lines: list[LogLine] = []
    read = 0
    for line in _lines(folder, offset, end):
        lines.append(line)
        read += len(line.text)
        if len(lines) >= limit or read > most:
            break
    return _dated(lines)


def _dated(lines: list[LogLine]) -> list[LogLine]:
    """A hole has the time of the line after it, or before it where there is none."""
    at = next((line.at for line in reversed(lines) if line.at), 0.0)
    for index in range(len(lines) - 1, -1, -1):
        if not lines[index].at:
            lines[index] = replace(lines[index], at=at)
        at = lines[index].at
    return lines


def _lines(folder: Path, offset: int, end: int | None) -> Iterator[LogLine]:
    segments = _segments(folder)
    for index, (start, path) in enumerate(segments):
        if index + 1 < len(segments) and segments[index + 1][0] <= offset:
            continue
        try:
            with path.open("rb") as file:
                if start > offset:
                    yield LogLine(offset, start, 0.0, "berth", f"… {_size(start - offset)} left out …", "gap")
                    offset = start
                if offset > start:
                    file.seek(offset - start - 1)
                    offset += max(0, len(file.readline()) - 1)
                while (raw := file.readline()).endswith(b"\n") and (end is None or offset + len(raw) <= end):
                    line = _decode(raw, offset)
                    offset = line.next_offset
                    yield line
        except FileNotFoundError:  # deleted since it was listed: the next segment finds the hole
            continue


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{max(1, count // 1000)} kB"


def tail_offset(folder: Path, count: int) -> int:
    """The offset of the ``count``-th line from the end, or of the first one where there are fewer."""
    wanted = count + 1  # newlines, with the one that ends the line before
    for start, path in reversed(_segments(folder)):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            break
        try:
            position = os.fstat(descriptor).st_size
            while position:
                block = os.pread(descriptor, min(_BLOCK, position), max(0, position - _BLOCK))
                position -= len(block)
                found = block.count(b"\n")
                if found >= wanted:
                    at = len(block)
                    for _ in range(wanted):
                        at = block.rindex(b"\n", 0, at)
                    return start + position + at + 1
                wanted -= found
        finally:
            os.close(descriptor)
    return 0
