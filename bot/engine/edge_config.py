"""What HAProxy is told: its configuration as a pure function of the routes.

One frontend and one backend for each published port. A backend has two servers, ``blue`` (slot 0) and ``green``
(slot 1), with the fixed addresses of the two slots, and no health check: taking the only live server out helps nobody.
Which of the two is live, and what a visitor reads while none is, can be changed at run time without a reload; so only
ports that come or go need one.

Keywords: https://docs.haproxy.org/2.6/configuration.html
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, get_args

Protocol = Literal["http", "tcp"]

SERVERS = ("blue", "green")
"""Names of the servers of a backend, by slot."""

KEEP_ALIVE_SECONDS = 10.0
"""How long an idle client connection is kept; so long may one that a former worker holds still send a request."""

BASE = "/berth"
"""Where HAProxy sees the folder that it shares with Berth."""

CONFIG_FILE = "haproxy.cfg"
STATES_FILE = "states.map"
MASTER_SOCKET = "master.sock"
WORKER_SOCKET = "worker.sock"

HARD_STOP = "12h"
"""How long a former worker may finish what it has."""

MAX_DESCRIPTORS = 65_536
"""Upper bound of open files; HAProxy takes the engine's limit where that is lower, and computes ``maxconn`` from it."""

MAX_CONNECTIONS_PER_PORT = 4_000
"""So that one application can't use up the connections of all; more wait in the listen queue."""

_LIVE = "live"
_SENTENCES = {
    "deploying": "This application is being deployed.",
    "stopped": "This application is stopped.",
    "sleeping": "This application is asleep.",
    "crash_looping": "This application keeps crashing.",
    "removed": "This application was removed.",
}
_OTHER_SENTENCE = "This application is not running."
_NO_ANSWER = "This application does not answer."

# also a log-format string of HAProxy: no percent sign may stand in it
_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5"><title>{sentence}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32rem;padding:0 1rem;color:#334}}</style>
</head><body><p>{sentence}</p><p>This page tries again every few seconds.</p></body></html>
"""


@dataclass(frozen=True)
class Route:
    """A stable port and the two slots that it can lead to.

    ``addresses``: the fixed IP addresses of slot 0 (blue) and slot 1 (green). ``container_port``: the port there.
    ``live_slot``: 0, 1 or None (nobody answers: visitors read what ``state`` means, with status 503).
    """

    service_id: int
    port: int
    protocol: Protocol
    addresses: tuple[str, str]
    container_port: int
    live_slot: int | None
    state: str = "deploying"

    def __post_init__(self) -> None:
        """Refuse everything that could say something else in the file than what was meant. Raises ValueError."""
        if self.service_id < 1:
            raise ValueError(f"service id {self.service_id!r} is not positive")
        for port in (self.port, self.container_port):
            if not 1 <= port <= 65_535:
                raise ValueError(f"port {port!r} is not between 1 and 65535")
        if self.protocol not in get_args(Protocol):
            raise ValueError(f"protocol {self.protocol!r} is neither http nor tcp")
        if len(self.addresses) != len(SERVERS):
            raise ValueError(f"{len(self.addresses)} addresses instead of {len(SERVERS)}")
        for address in self.addresses:
            _check_address(address)
        if self.live_slot not in (None, 0, 1):
            raise ValueError(f"slot {self.live_slot!r} is neither 0 nor 1")

    @property
    def backend(self) -> str:
        return f"svc{self.service_id}"

    @property
    def frontend(self) -> str:
        """Says all that can't be changed at run time, so a running HAProxy tells by its names what it was given."""
        return f"{self.backend}-{self.protocol}-{self.port}"

    @property
    def notice(self) -> str:
        """What visitors read; ``live`` if an instance answers them."""
        return _LIVE if self.live_slot is not None else _SENTENCES.get(self.state, _OTHER_SENTENCE)


def parse_frontend(name: str) -> tuple[int, str, int] | None:
    """Service id, protocol and port of a frontend's name; None for a name that is not one of ours."""
    match = re.fullmatch(r"svc([1-9][0-9]*)-(http|tcp)-([1-9][0-9]*)", name)
    return (int(match[1]), match[2], int(match[3])) if match else None


def check_routes(routes: Iterable[Route]) -> dict[int, Route]:
    """The routes by service id, in the order of their ports. Raises ValueError if one has two."""
    by_service: dict[int, Route] = {}
    ports: set[int] = set()
    for route in sorted(routes, key=lambda route: route.port):
        if route.port in ports or route.service_id in by_service:
            raise ValueError(f"port {route.port} or service {route.service_id} has two routes")
        ports.add(route.port)
        by_service[route.service_id] = route
    return by_service


def bind_address(bind: str) -> str:
    """``bind`` as HAProxy writes addresses, without the port. Raises ValueError if it is neither an IP nor ``*``."""
    if bind == "*":
        return "*"
    return _bracketed(_check_address(bind.strip("[]")))


def render(
    routes: Sequence[Route],
    *,
    bind: str,
    folder: str | PurePath = BASE,
    maxconn: int = 0,
    threads: int = 0,
    cookie: str = "berth_session",
) -> str:
    """The configuration file for ``routes``.

    ``bind``: the IP address to listen on. ``folder``: where HAProxy sees the shared folder. ``maxconn``: connections
    in all; 0 lets HAProxy compute it from the limit of open files that it really has, so that it starts under any.
    ``threads``: 0 means one for each core. ``cookie``: Berth's own, which applications on the same host must neither
    read nor set. Raises ValueError.
    """
    address = bind_address(bind)
    by_service = check_routes(routes)
    fixed = _fixed_part(PurePath(folder), maxconn, threads, cookie)
    mark = hashlib.sha256("\0".join([address, fixed, *pages().values()]).encode()).hexdigest()[:16]
    parts = [fixed.replace("{mark}", mark)]
    for route in by_service.values():
        web = route.protocol == "http"
        parts.append(f"frontend {route.frontend} from {'web-in' if web else 'tcp-in'}")
        parts.append(f"    bind {address}:{route.port}")
        parts.append(f"    default_backend {route.backend}")
        parts.append(f"backend {route.backend} from {'web-out' if web else 'tcp-out'}")
        parts.extend(_server(route, slot) for slot in range(len(SERVERS)))
    return "\n".join(parts) + "\n"


def mark_of(config: str) -> str:
    """The mark in a rendered file: a hash of everything in it that is not about single routes."""
    return next((line.split()[-1] for line in config.splitlines() if line.strip().startswith("description ")), "")


def render_states(routes: Iterable[Route]) -> str:
    """The map file: for each backend the notice that visitors read instead of an answer, or that it is live.

    HAProxy's own ``nbsrv`` will not do: for a worker that a reload has retired it is 0, and so visitors with an open
    connection would read that nobody is there (measured with 2.6).
    """
    return "".join(f"{route.backend} {route.notice}\n" for route in sorted(routes, key=lambda route: route.port))


def pages() -> Mapping[str, str]:
    """Files beside the configuration, by name: what HAProxy itself answers. The first two are log-format strings."""
    return {
        "waiting.html": _HTML.format(sentence="%[var(txn.notice)]"),
        "waiting.txt": "%[var(txn.notice)]\n",
        "silent.html": _HTML.format(sentence=_NO_ANSWER),
    }


def _server(route: Route, slot: int) -> str:
    host = _bracketed(route.addresses[slot])
    return f"    server {SERVERS[slot]} {host}:{route.container_port}{'' if slot == route.live_slot else ' disabled'}"


def _check_address(address: str) -> str:
    """An IP address without a zone (``%eth0``), which may hold any character. Raises ValueError."""
    if "%" in address:
        raise ValueError(f"address {address!r} has a zone")
    return str(ipaddress.ip_address(address))


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _fixed_part(folder: PurePath, maxconn: int, threads: int, cookie: str) -> str:
    """Everything that does not depend on the routes.

    Time limits: a request's head must arrive within the keep-alive time, so that a connection which a former worker
    holds is used up or closed after it. A tunnel (websocket) lives on through deployments of others, as long as a
    former worker may. ``X-Forwarded-*`` of the visitor is believed only from this machine, where a proxy that ends TLS
    may stand before the edge. ``retries`` repeats connecting only: a request that may have reached the application is
    never sent twice.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", cookie) or not re.fullmatch(r"[A-Za-z0-9_./-]+", str(folder)):
        raise ValueError(
            f"cookie {cookie!r} or folder {str(folder)!r} has a character that HAProxy's file gives a meaning to"
        )
    idle = f"{KEEP_ALIVE_SECONDS:.0f}s"
    ours = f"(__(Host|Secure)-)?{cookie}"
    stripped = rf"%[req.fhdr(cookie),regsub('(^|;)[ \t]*{ours}[ \t]*=[^;]*','',g),regsub('^;[ \t]*','')]"
    local = "{ src 127.0.0.0/8 ::1 }"
    page, text = 'content-type "text/html; charset=utf-8"', 'content-type "text/plain; charset=utf-8"'
    fresh, later = "hdr Cache-Control no-store", "hdr Cache-Control no-store hdr Retry-After 5"
    silent = f"{page} file {folder}/silent.html"
    nobody = f"!{{ var(txn.notice) -m str {_LIVE} }}"
    limits = "".join(f"\n    {word} {value}" for word, value in (("maxconn", maxconn), ("nbthread", threads)) if value)
    return f"""# Written by Berth: changes are lost.
global
    description {{mark}}
    stats socket {folder}/{WORKER_SOCKET} mode 600 level admin expose-fd listeners
    hard-stop-after {HARD_STOP}
    mworker-max-reloads 20
    fd-hard-limit {MAX_DESCRIPTORS}{limits}
    tune.bufsize 16384
    tune.maxrewrite 1024
    tune.http.maxhdr 128
defaults all
    maxconn {MAX_CONNECTIONS_PER_PORT}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout client-fin 30s
    timeout server-fin 30s
    timeout tunnel {HARD_STOP}
    retries 3
defaults tcp-in from all
    mode tcp
defaults tcp-out from all
    mode tcp
defaults web from all
    mode http
    timeout http-request {idle}
    timeout http-keep-alive {idle}
    option idle-close-on-response
    http-reuse safe
    http-error status 502 {silent} {fresh}
    http-error status 503 {silent} {later}
    http-error status 504 {silent} {fresh}
defaults web-in from web
    option forwardfor
    http-request deny deny_status 400 if {{ req.fhdr_cnt(cookie) gt 1 }} {{ req.fhdr(cookie) -m sub {cookie} }}
    http-request set-header Cookie "{stripped}" if {{ req.fhdr(cookie) -m sub {cookie} }}
    http-request del-header Cookie if {{ req.fhdr(cookie) -m len 0 }}
    http-request del-header X-Forwarded-For unless {local}
    http-request del-header X-Real-IP unless {local}
    http-request del-header Forwarded unless {local}
    http-request set-header X-Forwarded-Proto http unless {local} {{ req.hdr(X-Forwarded-Proto) -m found }}
    http-request set-header X-Forwarded-Port %[dst_port] unless {local} {{ req.hdr(X-Forwarded-Port) -m found }}
    http-request set-header X-Forwarded-Host %[req.hdr(Host)] unless {local} {{ req.hdr(X-Forwarded-Host) -m found }}
defaults web-out from web
    http-request set-var(txn.notice) be_name,map_str({folder}/{STATES_FILE})
    http-request set-var(txn.wants_page) bool(true) if {nobody} {{ req.hdr(Accept) -m sub text/html }}
    http-request return status 503 {page} lf-file {folder}/waiting.html {later} if {{ var(txn.wants_page) -m bool }}
    http-request return status 503 {text} lf-file {folder}/waiting.txt {later} if {nobody}
    http-response replace-header Set-Cookie "^()[ \t=]*{ours}[ \t]*=.*" "\\1"
"""
