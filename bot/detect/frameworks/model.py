"""What a row of the table of frameworks holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Framework:
    """A row of the table."""

    name: str
    stack: str
    packages: tuple[str, ...] = ()
    supersedes: tuple[str, ...] = ()
    serves: bool = True
    port: int | None = None
    weight: int = 0  # among frameworks that are left, the greater one is the answer
    # front ends
    build: str = ""  # the build command where package.json names none
    output: tuple[str, ...] = ()  # where the build lands, the first that is configured or usual
    spa: bool = True  # whether unknown paths belong to index.html
    # servers of Node
    start: str = ""  # the production command where package.json names none; ${PORT} is filled in at start
    # servers of Python
    constructor: tuple[str, ...] = ()  # "module.Class" of the application object
    server: str = ""  # wsgi | asgi | own
    health_path: str = "/"
