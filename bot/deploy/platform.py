"""What the life of a deployment works with: one of each for the whole process, passed explicitly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.config import Config
from bot.deploy.logs import ContainerLogs, LogStore
from bot.deploy.queue import BuildSlots
from bot.engine.build import Builder
from bot.engine.docker import Engine
from bot.engine.edge import Edge
from bot.engine.networks import Networks
from bot.engine.ports import PortManager
from bot.source.git import Checkout
from bot.store.crypto import Vault
from bot.store.database import Row, Store


class Source(Protocol):
    """Where commits come from; the forge of a repository decides."""

    async def fetch(self, repository: Row, sha: str, root: str, into: Path) -> Checkout:
        """Checks out exactly ``sha`` into the new folder ``into``. Raises BerthError."""
        ...

    async def default_branch_file(self, repository: Row, path: str) -> str | None:
        """The text of a file on the default branch; None where there is none. Raises BerthError."""
        ...


@dataclass(frozen=True)
class Platform:
    config: Config
    instance: str  # random id of this installation
    store: Store
    vault: Vault
    engine: Engine
    networks: Networks
    builder: Builder
    edge: Edge
    ports: PortManager
    logs: LogStore
    container_logs: ContainerLogs
    builds: BuildSlots
    source: Source
    wake_outbox: Callable[[], None]
    wake_keeper: Callable[[], None]  # something is not as the database says: compare soon

    def application_url(self, port: int, protocol: str = "http") -> str:
        return f"{protocol}://{self.config.apps_host}:{port}"
