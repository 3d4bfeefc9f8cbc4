"""The shapes that several routes take or answer. What no model names never leaves the server."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from bot.web.http import MAX_ID


def digits(value: object) -> object:
    """Numbers in a query: pydantic alone would take `` 1_000 `` for one."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 20):
        raise ValueError("must be a whole number")
    return value


def _truth(value: object) -> object:
    """``true`` and ``false``, and 1 and 0."""
    if isinstance(value, str):
        known = {"true": True, "1": True, "false": False, "0": False}
        if value not in known:
            raise ValueError("must be true or false")
        return known[value]
    return value


def whole(value: object) -> object:
    """Numbers in JSON: 1.0 is one there, ``"1"`` and ``true`` are none."""
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


def moment(value: object) -> object:
    """Times as RFC 3339 has them; pydantic alone would take numbers too."""
    if isinstance(value, str) and not _TIME.fullmatch(value):
        raise ValueError("must be a time with its zone, for example 2026-01-31T12:00:00Z")
    return value


_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
Time = Annotated[AwareDatetime, BeforeValidator(moment)]
Id = Annotated[int, Field(ge=1, le=MAX_ID), BeforeValidator(whole)]
# the limits stand before the validator, or the JSON schema would not tell them
QueryId = Annotated[int, Field(ge=1, le=MAX_ID), BeforeValidator(digits)]
QueryNumber = Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(digits)]
QueryOffset = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(digits)]
QueryLimit = Annotated[int, Field(ge=1, le=500), BeforeValidator(digits)]
QueryTail = Annotated[int, Field(ge=0, le=100_000), BeforeValidator(digits)]
Flag = Annotated[bool, BeforeValidator(_truth)]
Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
Sha = Annotated[str, Field(pattern="^[0-9a-f]{40}$", description="A full commit id")]
Moment = Annotated[str | None, Field(description="ISO 8601, UTC")]


class Body(BaseModel):
    """Of a request: what is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Query(BaseModel):
    """The parameters of a request: what is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """Of an answer: what is not named is left out."""

    model_config = ConfigDict(extra="ignore")


class Problem(Answer):
    """Why a request was refused (RFC 9457), and in ``fix`` what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    fix: str


class WorkRequested(Answer):
    """``work_id``: see ``GET /api/work/{id}``."""

    work_id: int


class DeploymentSummary(Answer):
    id: int
    environment_id: int
    sha: str
    ref: str
    message: str
    actor: str
    cause: str
    state: str
    phase: str | None
    step: str
    reason: str
    fix: str
    source_deployment_id: int | None
    created_at: Moment
    started_at: Moment
    finished_at: Moment
    duration: float | None = Field(description="Seconds")
    url: str | None = Field(description="Of the live deployment")


class ListedDeployment(DeploymentSummary):
    application_id: int
    application: str
    environment: str


class DeploymentPage(Answer):
    """``next_cursor``: give it as ``cursor`` for what comes after; null at the end."""

    items: list[ListedDeployment]
    next_cursor: str | None


class Phase(Answer):
    phase: str
    started_at: Moment
    finished_at: Moment
    seconds: float | None


class Instance(Answer):
    id: int
    service: str
    slot: int
    address: str
    state: str
    exit_code: int | None
    restarts: int
    oom_killed: bool
    created_at: Moment
    ended_at: Moment


class Deployment(DeploymentSummary):
    environment: str
    repository: str
    phases: list[Phase]
    detection: dict[str, Any] | None
    image_id: str | None
    instances: list[Instance]


class Service(Answer):
    name: str
    role: str
    strategy: str
    protocol: str
    container_port: int | None
    live_slot: int | None
    port: int | None
    url: str | None
    image: str | None = Field(description="Of a database: what made its data")
    state: str = Field(description="live, starting or stopped; of a release command also done or failed")


class Environment(Answer):
    id: int
    application_id: int
    application: str
    repository_id: int
    repository: str
    kind: str
    ref: str
    label: str
    state: str
    reason: str
    url: str | None
    services: list[Service]
    live: DeploymentSummary | None
    latest: DeploymentSummary | None
    created_at: Moment


class Evidence(Answer):
    path: str
    line: int | None
    seen: str
    says: str


class Files(Answer):
    """What a deployment is built from: the files by name, and what in the repository led to them."""

    files: dict[str, str]
    evidence: list[Evidence]


class Found(Answer):
    """What a commit was taken for; ``files`` null: nothing that Berth can deploy."""

    repository_id: int
    sha: str
    message: str
    detection: dict[str, Any]
    files: dict[str, str] | None
    evidence: list[Evidence]
    explanation: list[str]


class LogLine(Answer):
    offset: int
    at: Moment
    source: str
    kind: str
    step: str
    text: str


class Log(Answer):
    """``next_offset``: where to go on reading."""

    lines: list[LogLine]
    next_offset: int


class Repository(Answer):
    id: int
    name: str
    forge: Literal["local", "github"]
    application_id: int | None
    default_branch: str
    remote_url: str | None = Field(description="Where to push, with its token; only for those who may deploy")
    source_path: str


class Application(Answer):
    id: int
    name: str
    repository_id: int
    repository: str
    root: str = Field(description="Its folder in the repository, as far as that was set in Berth")
    created_at: Moment


class Setting(Answer):
    key: str
    value: Any
    source: str
    description: str


class Variable(Answer):
    """``value`` is null for a secret: that can only be written. What a service gives has its password masked."""

    name: str
    value: str | None
    scope: str
    environment: str | None
    environment_id: int | None
    secret: bool
    build: bool
    updated_at: Moment
    service: str | None = Field(description="The database beside the application that gives it; null: it was set")


class Port(Answer):
    port: int
    state: str
    repository: str | None
    environment_id: int | None
    service: str | None
    note: str
    since: Moment
    until: Moment


class AllocatedPort(Answer):
    port: int


class Work(Answer):
    """``outcome``: empty, or why it did not succeed."""

    id: int
    kind: str
    state: Literal["queued", "running", "done"]
    outcome: str


class EngineHealth(Answer):
    ok: bool
    version: str
    error: str


class EdgeHealth(EngineHealth):
    workers: int = 0
    ports: list[int] = []
    blocked: list[int] = []
    connections: int | None = None


class QueueLength(Answer):
    queued: int
    running: int


class System(Answer):
    version: str
    instance: str
    data_dir: str
    public_url: str
    apps_host: str
    engine: EngineHealth
    edge: EdgeHealth
    disk_free: int
    queue: QueueLength
    problem: str


class Token(Answer):
    """Never with the token itself, of which only a hash is kept."""

    id: int
    name: str
    scope: str
    repository_id: int | None
    repository: str | None
    created_by: str
    created_at: Moment
    expires_at: Moment
    last_used_at: Moment
    revoked_at: Moment


class NewToken(Token):
    token: str = Field(description="Shown this once")


class Delivery(Answer):
    id: int
    event: str
    action: str
    sender: str
    delivery_id: str
    repository_id: int | None
    repository: str | None
    received_at: Moment
    decision: str
    reason: str
    deployment_id: int | None


class DeliveryPage(Answer):
    items: list[Delivery]
    next_cursor: str | None


class FullDelivery(Delivery):
    payload: Any


class Replayed(Answer):
    """What was decided this time."""

    decision: str
    reason: str
    deployment_ids: list[int]
