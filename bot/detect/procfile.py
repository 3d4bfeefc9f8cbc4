"""Commands of a Procfile for programs that are compiled: which they start, and what they are inside of the image."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.detect.parse import shell_parts
from bot.detect.scan import Scan

PLACE = "/app/"  # where the image has them


@dataclass(frozen=True, slots=True)
class Compiled:
    """``start`` is the web process, "" where it starts something else. ``programs``: all that must be compiled."""

    start: str
    processes: tuple[tuple[str, str], ...]
    programs: frozenset[str]


def compiled(scan: Scan, programs: Collection[str], chosen: str) -> Compiled:
    """What a Procfile asks of a repository with these programs, of which the chosen one is the web process."""
    places = {name: PLACE + name for name in programs}
    needed = {chosen}
    found: dict[str, str] = {}
    for process, (command, _) in scan.procfile.items():
        known = dict(places)
        if process == "web" and (unknown := _only_program(scan, command, known)):
            known[unknown] = PLACE + chosen  # a file of another name, that a build of their own makes
        if told := in_image(command, known):
            found[process] = told
            needed |= {name for name in programs if places[name] in told.split()}
    return Compiled(found.pop("web", ""), tuple(found.items()), frozenset(needed))


def in_image(command: str, places: Mapping[str, str]) -> str:
    """The command with its programs where the image has them; "" where it starts anything else."""
    told = ""
    rest = command
    parts = shell_parts(command)
    for part in parts:
        place = places.get(posixpath.basename(part[0]))
        match = re.search(rf"(?<![^\s;&|]){re.escape(part[0])}(?![^\s;&|])", rest)
        if place is None or match is None:
            return ""
        told += rest[: match.start()] + place
        rest = rest[match.end() :]
    return told + rest if parts else ""


def _only_program(scan: Scan, command: str, known: Collection[str]) -> str:
    """The name of the program that a simple command starts from a folder in which the repository has no such file.

    "" where one of ours is named: what stands before it is a wrapper.
    """
    parts = shell_parts(command)
    words = parts[0] if len(parts) == 1 else [""]
    path = posixpath.normpath(words[0])
    if "/" not in words[0] or scan.has(path) or "." in path.lstrip("./"):
        return ""
    return "" if any(posixpath.basename(word) in known for word in words) else posixpath.basename(path)
