"""A request to the fake on its way, who may make it, and the table of what is answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.github.state import Repository, Token
from tests.github.validation import Operation

if TYPE_CHECKING:
    from tests.github.fake import FakeGitHub

LEVELS = ("none", "read", "write", "admin")


class Refusal(Exception):  # noqa: N818 - an answer
    """An answer that is no success. ``violation``: the request should never have been made."""

    def __init__(self, status: int, message: str, *, violation: bool = False, errors: Any = None) -> None:
        super().__init__(message)
        self.status, self.message, self.violation, self.errors = status, message, violation, errors


@dataclass(frozen=True)
class Recorded:
    """A request as it came; ``path`` without the API's prefix, still quoted; ``body`` decoded, None: there was none."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int = 0  # of the answer
    at: float = field(default_factory=time.monotonic)


@dataclass
class Call:
    """What a request is about, and who asks."""

    github: FakeGitHub
    operation: Operation
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    found: Repository | None = None
    token: Token | None = None

    @property
    def repository(self) -> Repository:
        assert self.found is not None
        return self.found

    def path(self, name: str) -> str:
        return self.operation.parameters[name]

    def integer(self, name: str) -> int:
        return int(self.path(name))


Answer = tuple[int, Any]
Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    handler: Handler
    who: str  # app | installation | user | any | nobody | client
    needs: tuple[str, ...] = field(default=())  # one of them is enough: "contents:read"


ROUTES: dict[tuple[str, str], Route] = {}


def route(method: str, path: str, who: str = "installation", needs: str = "") -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        whole = path.replace("R", "/repos/{owner}/{repo}", 1) if path.startswith("R") else path
        ROUTES[method, whole] = Route(handler, who, tuple(needs.split()))
        return handler

    return add


@dataclass(frozen=True)
class Raw:
    """An answer that is no JSON."""

    content: bytes


class Page(list[Any]):
    """A list with the address of the next page."""

    def __init__(self, items: list[Any], following: str) -> None:
        super().__init__(items)
        self.following = following


class Moved(Exception):  # noqa: N818 - an answer
    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def paged(call: Call, items: list[Any]) -> list[Any]:
    size, page = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
    if size > 100:
        raise Refusal(422, "per_page is at most 100", violation=True)
    return items[(page - 1) * size : page * size]


def flags(role: str) -> dict[str, bool]:
    """The role as the five flags that GitHub shows."""
    rank = ("none", "read", "triage", "write", "maintain", "admin").index(role)
    return {"pull": rank > 0, "triage": rank > 1, "push": rank > 2, "maintain": rank > 3, "admin": rank > 4}
