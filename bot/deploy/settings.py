"""What people say about an application: its settings, their layers and their sources.

Layers, lowest first: default < detected < ``.berth.yml`` of the default branch < set in Berth. Each deployment keeps a
snapshot of what it used, which a rollback uses again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import sqlalchemy as sa
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bot.detect.frameworks import BY_NAME
from bot.detect.service_versions import parse_services
from bot.errors import BerthError, NotFoundError
from bot.store.database import Store, Transaction
from bot.store.tables import applications, settings
from bot.wording import plainly

REPOSITORY_FILE = ".berth.yml"
REPOSITORY_FILE_LIMIT = 64_000  # bytes
_DEPTH = 10  # of lists and mappings in each other
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?\Z", re.IGNORECASE)


FRAMEWORKS = frozenset((*BY_NAME, "dockerfile", "node", "python", "static"))  # frameworks, or whole stacks


class Settings(BaseModel):
    """The settings of an application. Every field may be absent: then the layer below decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(max_length=255)] | None = Field(
        None, description="Folder of the application in the repository"
    )
    framework: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Framework, where detection is wrong"
    )
    build_command: Annotated[str, Field(max_length=2000)] | None = Field(None, description="Command that builds it")
    start_command: Annotated[str, Field(max_length=2000)] | None = Field(None, description="Command that starts it")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port that it listens on in its container"
    )
    health_path: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="Path that a healthy instance answers"
    )
    services: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Databases beside it, for example postgresql:16,redis; none for no database"
    )
    protocol: Literal["http", "tcp"] | None = Field(None, description="http, or tcp for what is not HTTP")
    strategy: Literal["blue_green", "recreate"] | None = Field(
        None, description="blue_green, or recreate: stop the old first"
    )
    mode: Literal["all", "pull_request", "off"] | None = Field(None, description="Which branches are deployed")
    memory: int | None = Field(None, description="Memory limit of an instance, for example 512m")
    cpus: Annotated[float, Field(gt=0, le=1024)] | None = Field(None, description="CPU limit of an instance, in cores")
    pids: Annotated[int, Field(ge=16, le=65536)] | None = Field(None, description="Process limit of an instance")
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] | None = Field(
        None, description="Time for old requests to end"
    )
    verify_seconds: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        None, description="Time for a new instance to answer"
    )
    previews: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        None, description="Previews of the repository at most, at the same time"
    )
    log_excerpts: bool | None = Field(
        None, description="Whether comments of a public repository may show lines of logs; private ones always do"
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _memory(cls, value: object) -> object:
        if isinstance(value, str):
            match = _SIZE.fullmatch(value.strip())
            if match is None:
                raise ValueError("must be a size, for example 512m or 2g")
            value = int(float(match[1]) * 1024 ** " kmg".index(match[2].lower() or " "))
        if isinstance(value, int) and not 6 * 1024 * 1024 <= value <= 1 << 44:
            raise ValueError("must be at least 6m, for example 512m or 2g")
        return value

    @field_validator("root")
    @classmethod
    def _root(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = [part for part in value.replace("\\", "/").split("/") if part not in {"", "."}]
        if value.startswith("/") or ".." in parts or any(ord(char) < 32 for char in value):
            raise ValueError("must be a folder inside the repository, for example services/web")
        return "/".join(parts)

    @field_validator("build_command", "start_command", "framework")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and any(ord(char) < 32 and char != "\t" for char in value):
            raise ValueError("must be one line without control characters")
        return value

    @field_validator("framework")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in FRAMEWORKS:
            raise ValueError(f"must be one of {', '.join(sorted(FRAMEWORKS))}")
        return value

    @field_validator("services", mode="before")
    @classmethod
    def _services(cls, value: object) -> object:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = ",".join(value)  # as a list in .berth.yml
        if isinstance(value, str):
            asked = parse_services(value)
            value = ",".join(f"{name}:{version}" if version else name for _, name, version in asked) or "none"
        return value

    @field_validator("health_path")
    @classmethod
    def _health_path(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"/[!-~]*", value):
            raise ValueError("must start with / and hold no blanks, for example /healthz")
        return value


DEFAULTS: dict[str, Any] = {
    "protocol": "http",
    "strategy": "blue_green",
    "mode": "all",
    "root": "",
    "log_excerpts": False,
}
# decided by who owns the repository, not by who can push to it
ONLY_IN_BERTH = ("mode", "previews", "log_excerpts")


@dataclass(frozen=True)
class EffectiveSetting:
    """``source``: "set in Berth", ".berth.yml", "detected" or "default"; ``value`` None: nothing is said about it."""

    key: str
    value: Any
    source: str
    description: str


def check_settings(values: Mapping[str, object], source: str = "") -> dict[str, Any]:
    """The given settings, validated; None values are left out. Raises BerthError that names the first one at fault."""
    try:
        model = Settings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = f"{source}: " if source else ""
        if first["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            raise BerthError(f"{where}there is no setting {key!r}.", f"Settings are: {known}.") from error
        raise BerthError(f"{where}the setting {key} {plainly(first['msg'])}.", "Correct the value.") from error
    return model.model_dump(exclude_none=True)


def read_repository_file(text: str) -> dict[str, Any]:
    """The settings in the text of a ``.berth.yml``. Raises BerthError in words when it is not what it should be."""
    if len(text.encode()) > REPOSITORY_FILE_LIMIT:
        raise BerthError(f"{REPOSITORY_FILE} has more than {REPOSITORY_FILE_LIMIT} bytes.", "Shorten it.")
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise BerthError(f"{REPOSITORY_FILE} uses YAML aliases, which are not read.", "Write the values out.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH:
                raise RecursionError
        data = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # libyaml has a limit of its own since 0.2.6, which its reading ahead may reach before us
        if isinstance(error, RecursionError) or "nesting depth" in str(getattr(error, "problem", "")):
            raise BerthError(f"{REPOSITORY_FILE} is nested too deeply.", "It holds keys and values.") from error
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = f" line {line + 1}" if line is not None else ""
        raise BerthError(f"{REPOSITORY_FILE}{place} is not valid YAML.", "Correct it on the default branch.") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise BerthError(f"{REPOSITORY_FILE} must hold keys and values.", "For example: port: 3000")
    for key in ONLY_IN_BERTH:
        if key in data:
            raise BerthError(
                f"{REPOSITORY_FILE}: {key} is not read from the repository.", f"Use `berth set TARGET {key}=…`."
            )
    return check_settings({str(key): value for key, value in data.items()}, REPOSITORY_FILE)


async def stored_settings(store: Store | Transaction, application_id: int) -> dict[str, Any]:
    rows = await store.all(sa.select(settings).where(settings.c.application_id == application_id))
    return {row["key"]: json.loads(row["value_json"]) for row in rows}


async def set_settings(store: Store, application_id: int, values: Mapping[str, object | None]) -> None:
    """Sets the given settings; None takes one back. Raises BerthError for an unknown or invalid one; all or nothing."""
    checked = check_settings(values)
    async with store.begin() as tx:
        await require_application(tx, application_id)
        for key in values:
            where = (settings.c.application_id == application_id, settings.c.key == key)
            await tx.run(sa.delete(settings).where(*where))
            if key in checked:
                await tx.run(
                    settings.insert().values(
                        application_id=application_id,
                        key=key,
                        value_json=json.dumps(checked[key]),
                        updated_at=time.time(),
                    )
                )


async def effective_settings(
    store: Store,
    application_id: int,
    repository_file: Mapping[str, Any] | None = None,
    detection: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    *,
    stored: Mapping[str, Any] | None = None,
) -> list[EffectiveSetting]:
    """Every setting with its effective value and where it comes from.

    ``detection``: of the newest deployment. ``defaults``: those of this server. ``stored``: as if these were set in
    Berth, instead of what is.
    """
    layers = (
        ("set in Berth", await stored_settings(store, application_id) if stored is None else stored),
        (REPOSITORY_FILE, repository_file or {}),
        ("detected", _detected(detection or {})),
        ("default", {**DEFAULTS, **(defaults or {})}),
    )
    result = []
    for key, info in Settings.model_fields.items():
        source, value = next(((name, layer[key]) for name, layer in layers if key in layer), ("default", None))
        result.append(EffectiveSetting(key, value, source, info.description or ""))
    return result


def _detected(detection: Mapping[str, Any]) -> dict[str, Any]:
    """What a detection says about settings."""
    found = {key: value for key, value in detection.items() if value is not None}
    found.pop("services", None)  # all that the code asks for; what is started is another matter
    beside = [one for one in found.get("beside", []) if not one["asked"]]
    if beside:
        found["services"] = ",".join(f"{one['service']}:{one['image'].partition(':')[2]}" for one in beside)
    return found


async def require_application(tx: Transaction, application_id: int) -> None:
    if await tx.one(sa.select(applications.c.id).where(applications.c.id == application_id)) is None:
        raise NotFoundError(f"There is no application {application_id}.")
