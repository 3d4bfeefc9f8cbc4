"""The container that HAProxy runs in: on the host network, without any right, with one folder of the host."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from bot.engine import edge_files
from bot.engine.docker import CONFIG, INSTANCE, ContainerSpec, Engine
from bot.engine.edge_config import BASE, CONFIG_FILE, MASTER_SOCKET

ROLE = "berth.role"
_GRACE_SECONDS = 2.0


class EdgeContainer:
    """The container ``name`` of ``image``, which shares ``folder``. ``bind``: made anew when that changes."""

    def __init__(self, engine: Engine, *, name: str, image: str, folder: Path, bind: str) -> None:
        self.name = name
        self._engine, self._image, self._folder, self._bind = engine, image, folder, bind

    async def find(self) -> str | None:
        """The id of the running container if it is made as it would be now."""
        state = await self._engine.inspect(self.name)
        same = state is not None and state.running and state.labels.get(CONFIG) == self._spec().labels[CONFIG]
        return state.id if state is not None and same else None

    async def create(self) -> str:
        """Start a container in the place of a former one; its id. It is not restarted yet when it ends."""
        if await self._engine.image(self._image) is None:
            await self._engine.pull(self._image)
        return await self._engine.create_and_start(self._spec())

    async def keep(self, container: str) -> None:
        """From now on it comes back when it ends, and after a restart of the machine."""
        await self._engine.set_restart_policy(container, "unless-stopped")

    async def runs(self, container: str) -> bool:
        state = await self._engine.inspect(container)
        return state is not None and state.running

    async def remove(self) -> None:
        """Stop and remove the container, so that its ports are free. Fine if there is none, or one of a stranger."""
        await self.stop()
        state = await self._engine.inspect(self.name)
        if state is not None and state.labels.get(INSTANCE) == self._engine.instance:
            await self._engine.remove(state.id)

    async def stop(self) -> None:
        state = await self._engine.inspect(self.name)
        if state is not None and state.labels.get(INSTANCE) == self._engine.instance:
            await self._engine.stop(state.id, _GRACE_SECONDS)

    async def last_words(self, since: float | None = None) -> str:
        """What HAProxy complained about ``since`` that time (seconds since 1970), in one line."""
        words = []
        async for line in self._engine.logs(self.name, since, follow=False):
            level, _, text = line.text.partition(" : ")
            if level.startswith("[ALERT]"):
                words.append(text.strip())
        return "; ".join(dict.fromkeys(words))[:2000]

    def _spec(self) -> ContainerSpec:
        spec = ContainerSpec(
            name=self.name,
            image=self._image,
            labels={ROLE: "edge"},
            entrypoint=("haproxy",),
            command=("-W", "-db", "-S", f"{BASE}/{MASTER_SOCKET}", "-f", f"{BASE}/{CONFIG_FILE}"),
            environment={},
            network="host",
            address="",
            user=edge_files.owner(self._folder),
            binds=(f"{self._folder}:{BASE}",),
            read_only=True,
            memory=0,
            cpus=0,
            pids=512,
            stop_signal="SIGTERM",  # the image's own is SIGUSR1, which waits for the last connection
            stop_grace=_GRACE_SECONDS,
        )
        made_from = hashlib.sha256(f"{spec!r} {self._bind}".encode()).hexdigest()[:16]
        return dataclasses.replace(spec, labels={**spec.labels, CONFIG: made_from})
