"""Images by key: what was built from the same tree, Dockerfile and settings is used again; old ones are removed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import structlog

from bot.deploy.build_progress import BuildProgress
from bot.deploy.logs import LogWriter
from bot.deploy.queue import BuildSlots
from bot.deploy.variables import Snapshot
from bot.engine import base_images
from bot.engine.build import Builder, BuildRequest
from bot.engine.docker import Engine
from bot.errors import BerthError
from bot.generate.images import base_images_of
from bot.store.database import Row, Store
from bot.store.tables import deployments, environments, images, instances, services

log = structlog.get_logger()


@dataclass(frozen=True)
class Image:
    key: str
    image_id: str
    built: bool


@dataclass
class ImageStore:
    store: Store
    engine: Engine
    builder: Builder
    builds: BuildSlots
    instance: str
    build_timeout: float
    disk_min_free: int
    keep: int
    data_dir: Path

    def cache_id(self, repository: Row, environment: Row) -> str:
        """Cache mounts are shared by the whole daemon: one name per installation, repository and trust."""
        return f"berth-{self.instance}-r{repository['id']}" + ("-fork" if environment["kind"] == "fork_pr" else "")

    async def get_or_build(
        self,
        *,
        repository: Row,
        environment: Row,
        tree: str,
        context: Path,
        dockerfile: str,
        dockerignore: str | None,
        extra_files: Mapping[str, str],
        snapshot: Snapshot,
        labels: dict[str, str],
        writer: LogWriter,
        step: Callable[[str], Awaitable[None]],
    ) -> Image:
        """The image for these inputs, built if it is not there. Raises BuildFailed, or BerthError in words."""
        build = [variable for variable in snapshot.variables if variable.build]
        arguments = {variable.name: variable.value for variable in build if not variable.secret}
        secrets = {variable.name: variable.value for variable in build if variable.secret}
        bases = await self._bases(base_images_of(dockerfile, arguments), writer)
        trust = "fork" if environment["kind"] == "fork_pr" else "own"
        secret_versions = sorted((v.name, v.scope, v.version, v.updated_at) for v in build if v.secret)
        parts = [repository["id"], trust, tree, dockerfile, dockerignore, dict(extra_files), arguments]
        key = hashlib.sha256(json.dumps([*parts, secret_versions, bases]).encode()).hexdigest()
        if image_id := await self._find(key):
            writer.write("nothing changed that matters to the image: it is used again", source="berth", phase="build")
            return Image(key, image_id, built=False)
        await self._check_disk()
        if self.builds.full:
            await step("waiting for another build to end")
            writer.write("waiting for another build to end", source="berth", phase="build")
        async with self.builds.slot(repository["id"]):
            request = BuildRequest(
                context=context,
                dockerfile=dockerfile,
                dockerignore=dockerignore,
                tag=f"berth-{self.instance}/r{repository['id']}:{key[:16]}",
                labels=labels,
                args=arguments,
                secrets=secrets,
            )
            progress = BuildProgress(writer, step)
            try:
                result = await self.builder.build(request, progress.on_event, self.build_timeout)
            finally:
                await progress.close()
        async with self.store.begin() as tx:
            await tx.run(sa.delete(images).where(images.c.key == key))
            await tx.run(
                images.insert().values(
                    key=key, repository_id=repository["id"], image_id=result.image_id, created_at=time.time()
                )
            )
        return Image(key, result.image_id, built=True)

    async def collect(self) -> None:
        """Removes every image of ours that no environment keeps for rollback; never one that something uses."""
        running = sa.select(deployments.c.id).where(deployments.c.state == "running").limit(1)
        listed = await self.engine.list_images()
        kept = await self._pinned()
        for image in listed:
            if image.id in kept:
                continue
            if await self.store.one(running):
                return  # it may have found this very image, or built one that is not in the tables yet
            await self._forget(image.id)

    async def _pinned(self) -> set[str]:
        """Images of what is live, queued, running or starting, and the newest ``keep`` per environment."""
        active = await self.store.all(
            sa.select(deployments.c.image_id).where(deployments.c.state.in_(("queued", "running", "live")))
        )
        used = await self.store.all(
            sa.select(deployments.c.image_id)
            .join(instances, instances.c.deployment_id == deployments.c.id)
            .join(services, services.c.id == instances.c.service_id)
            .where(instances.c.state != "gone", services.c.role != "database")
        )
        pinned = {row["image_id"] for row in (*active, *used)}
        for environment in await self.store.all(sa.select(environments.c.id).where(environments.c.state != "removed")):
            rows = await self.store.all(
                sa.select(deployments.c.image_id, sa.func.max(deployments.c.id).label("newest"))
                .where(
                    deployments.c.environment_id == environment["id"],
                    deployments.c.state.in_(("live", "retired")),
                    deployments.c.image_id.is_not(None),
                )
                .group_by(deployments.c.image_id)
                .order_by(sa.desc("newest"))
                .limit(self.keep)
            )
            pinned |= {row["image_id"] for row in rows}
        return pinned

    async def _forget(self, image_id: str) -> None:
        if await self.engine.remove_image(image_id):
            async with self.store.begin() as tx:
                await tx.run(sa.delete(images).where(images.c.image_id == image_id))

    async def _find(self, key: str) -> str | None:
        row = await self.store.one(sa.select(images).where(images.c.key == key))
        if row is None or await self.engine.image(row["image_id"]) is None:
            return None
        return str(row["image_id"])

    async def _bases(self, references: tuple[str, ...], writer: LogWriter) -> list[list[str]]:
        """The ids of the base images; those that are missing are pulled first."""
        found = []
        for reference in references:
            image = await self.engine.image(reference)
            if image is None and reference.startswith(base_images.PREFIX):
                fix = (
                    "Build it with `berth base-images build`, or ask for a version that `berth base-images list` names."
                )
                raise BerthError(f"The base image {reference} is not on this machine, and no registry has it.", fix)
            if image is None:
                writer.write(f"pulling {reference}", source="berth", phase="build")
                await self.engine.pull(reference)
                image = await self.engine.image(reference)
            found.append([reference, image.id if image else ""])
        return found

    async def _check_disk(self) -> None:
        root = Path((await self.engine.info()).root_dir)
        folder = root if await asyncio.to_thread(root.exists) else self.data_dir
        free = (await asyncio.to_thread(shutil.disk_usage, folder)).free
        if free < self.disk_min_free:
            raise BerthError(
                f"Only {free / 1e9:.1f} GB are free below {folder}, a build needs {self.disk_min_free / 1e9:.1f}.",
                "Free some space: `docker system df` shows what takes it.",
            )
