"""Figures of the edge that do not fall back when a worker ends.

Each worker counts for itself, from zero; a reload starts a new one, and the former one takes its counters with it when
it ends. So what a worker said last is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.engine.edge_answers import number

_COUNTERS = ("requests", "errors", "bytes_in", "bytes_out")


@dataclass(frozen=True)
class RouteStats:
    """What went to an application since Berth first asked. Sizes are bytes.

    ``requests``: HTTP requests, or connections of a TCP service. ``errors_5xx``: answers of the application, and
    requests that got none from it. ``last_session_seconds``: since the last one began, None if none is known.
    """

    requests: int = 0
    errors_5xx: int = 0
    sessions: int = 0
    last_session_seconds: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass
class _Count:
    requests: int = 0
    errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, other: _Count) -> None:
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Tally:
    """Sums rows of ``show stat`` (servers) over workers that come and go."""

    def __init__(self) -> None:
        self._ended: dict[int, _Count] = {}  # by service: what workers counted that have ended
        self._last: dict[int, dict[int, _Count]] = {}  # by process id, by service: what a worker said last
        self._seen: dict[int, float] = {}  # by service: when the last request began

    def update(self, rows_by_worker: Mapping[int, Iterable[Mapping[str, str]]], now: float) -> dict[int, RouteStats]:
        """Take in what all workers say at ``now`` (seconds since 1970); the figures by service id."""
        sessions: dict[int, int] = {}
        current: dict[int, dict[int, _Count]] = {}
        for pid, rows in rows_by_worker.items():
            counts = current[pid] = {}
            for row in rows:
                service = row["pxname"].removeprefix("svc")
                if not service.isdigit():
                    continue
                self._take(counts.setdefault(int(service), _Count()), row)
                sessions[int(service)] = sessions.get(int(service), 0) + number(row, "scur")
                if row.get("lastsess", "-1") not in ("", "-1"):
                    began = now - number(row, "lastsess")
                    self._seen[int(service)] = max(began, self._seen.get(int(service), began))
        self._bury(current)
        self._last = current
        return {service: self._sum(service, count, now) for service, count in sessions.items()}

    @staticmethod
    def _take(count: _Count, row: Mapping[str, str]) -> None:
        """Add one server. Requests that it gave no answer to are in its errors only (measured with 2.6)."""
        refused, silent = number(row, "econ"), number(row, "eresp")
        if row.get("mode") == "http":
            count.requests += number(row, "req_tot") + refused + silent
            count.errors += number(row, "hrsp_5xx") + refused + silent
        else:
            count.requests += number(row, "stot")
            count.errors += refused
        count.bytes_in += number(row, "bin")
        count.bytes_out += number(row, "bout")

    def _bury(self, current: Mapping[int, Mapping[int, _Count]]) -> None:
        """Keep what ended workers said. A process id that counts less than before belongs to a new worker."""
        for pid, counts in self._last.items():
            now = current.get(pid, {})
            if any(service not in now or now[service].requests < count.requests for service, count in counts.items()):
                for service, count in counts.items():
                    self._ended.setdefault(service, _Count()).add(count)

    def _sum(self, service: int, sessions: int, now: float) -> RouteStats:
        total = _Count()
        for count in (self._ended.get(service), *(counts.get(service) for counts in self._last.values())):
            if count is not None:
                total.add(count)
        seen = self._seen.get(service)
        idle = None if seen is None else max(0.0, now - seen)
        return RouteStats(total.requests, total.errors, sessions, idle, total.bytes_in, total.bytes_out)
