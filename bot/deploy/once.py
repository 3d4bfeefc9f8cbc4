"""The release command: it runs once per deployment, in the new image, before anything of the new version starts.

What is live goes on answering meanwhile, as with Heroku's release phase, whose rules these are
(https://devcenter.heroku.com/articles/release-phase): a failure ends the deployment and changes nothing that runs.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass

import sqlalchemy as sa

from bot.deploy.attempt import Attempt
from bot.deploy.drain import Drainer
from bot.deploy.logs import LogWriter
from bot.deploy.platform import Platform
from bot.deploy.release import Release, container_name, container_spec
from bot.engine.docker import EngineUnavailable
from bot.engine.wire import to_the_end
from bot.errors import BerthError
from bot.store.database import Row
from bot.store.tables import environments, instances, services


@dataclass
class Once:
    platform: Platform
    drainer: Drainer

    async def run(self, attempt: Attempt, release: Release) -> None:
        """Runs the release's commands to their end, their output in the deployment's log. Raises BerthError."""
        for name, model in release.project.services.items():
            if model.role != "release":
                continue
            service = await self.platform.store.one(
                sa.select(services, environments.c.network_id)
                .join_from(services, environments)
                .where(services.c.environment_id == release.environment["id"], services.c.name == name)
            )
            assert service is not None
            if await self._has_run(attempt, service):
                attempt.say(f"{name} has run already")
                continue
            writer = await self.platform.logs.open_deployment(attempt.id, release.masker)
            try:
                await self._run(attempt, release, service, writer)
            finally:
                await writer.close()

    async def _has_run(self, attempt: Attempt, service: Row) -> bool:
        """Whether an attempt of this deployment before this one, which was cut off later, came to its good end."""
        where = (
            instances.c.deployment_id == attempt.id,
            instances.c.service_id == service["id"],
            instances.c.state == "gone",
            instances.c.exit_code == 0,
        )
        return await self.platform.store.one(sa.select(instances.c.id).where(*where).limit(1)) is not None

    async def _run(self, attempt: Attempt, release: Release, service: Row, writer: LogWriter) -> None:
        platform, limit = self.platform, self.platform.config.release_timeout
        model = release.project.services[service["name"]]
        command = (model.command or ("",))[-1].removeprefix("exec ")
        await attempt.step(f"running {command}")
        writer.write(f"running {command}", source="berth", phase=attempt.phase)
        async with platform.store.begin() as tx:
            instance_id = await tx.insert(
                instances.insert()
                .values(
                    deployment_id=attempt.id,
                    service_id=service["id"],
                    slot=0,
                    address="",
                    state="starting",
                    created_at=time.time(),
                )
                .returning(instances.c.id)
            )
            name = container_name(platform, release.environment["id"], instance_id)
            await tx.run(sa.update(instances).where(instances.c.id == instance_id).values(container_id=name))
        began = time.monotonic()
        try:
            spec = await container_spec(
                platform, release, service, network=service["network_id"], address="", instance_id=instance_id
            )
            container_id = await platform.engine.create_and_start(spec)
            async with asyncio.timeout(limit):
                await self._copy(container_id, service["name"], writer, attempt.phase)
                code = await platform.engine.wait(container_id)
            state = await platform.engine.inspect(container_id)
        except EngineUnavailable:
            raise  # the row stays, and the next attempt removes what there is
        except TimeoutError as error:
            await to_the_end(self._end(instance_id, name, None))
            raise BerthError(
                f"The release command did not end within {limit:.0f} s: {command}.",
                "Make it quicker, or raise BERTH_RELEASE_TIMEOUT.",
            ) from error
        except BaseException:
            await to_the_end(self._end(instance_id, name, None))
            raise
        await to_the_end(self._end(instance_id, name, code))
        if state is not None and state.oom_killed:
            raise BerthError(
                f"The release command was killed because it used more memory than its limit: {command}.",
                "Raise the setting `memory`, or let it use less.",
            )
        if code != 0:
            raise BerthError(
                f"The release command ended with exit code {code}: {command}.",
                "Its last lines say why. What is live was left alone.",
            )
        writer.write(f"done after {time.monotonic() - began:.1f} s", source="berth", phase=attempt.phase)

    async def _copy(self, container_id: str, name: str, writer: LogWriter, phase: str) -> None:
        async with aclosing(self.platform.engine.logs(container_id, None, follow=True)) as lines:
            async for line in lines:
                writer.write(line.text, source=name, kind="line", phase=phase, at=line.at)

    async def _end(self, instance_id: int, container: str, code: int | None) -> None:
        """The container goes; ``code`` is kept, by which a repeated attempt knows that the command has run."""
        await self.platform.engine.kill(container)
        await self.platform.engine.remove(container)
        async with self.platform.store.begin() as tx:
            await tx.run(
                sa.update(instances)
                .where(instances.c.id == instance_id)
                .values(state="gone", exit_code=code, ended_at=time.time())
            )
