"""One attempt to make one commit live: fetch, detect, generate, build, start, verify, switch.

Every phase can be done again from its beginning, so an attempt that a crash or a shutdown cut off is simply repeated.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from bot.deploy import states
from bot.deploy.attempt import Attempt
from bot.deploy.lifecycle import get_environment, repository_of
from bot.deploy.masking import Masker
from bot.deploy.once import Once
from bot.deploy.platform import Platform
from bot.deploy.preparation import Preparation
from bot.deploy.queue import Lease, WorkCancelled, WorkPostponed
from bot.deploy.release import Release, release_of
from bot.deploy.rollout import Candidate, Rollout
from bot.deploy.settings import REPOSITORY_FILE, read_repository_file, stored_settings
from bot.deploy.variables import Snapshot, list_variables, resolve_variables
from bot.engine.docker import EngineUnavailable
from bot.engine.wire import to_the_end
from bot.errors import BerthError
from bot.store.database import Transaction
from bot.store.tables import deployments, environments, instances, ports

log = structlog.get_logger()

ENGINE_RETRY_SECONDS = 10.0


@dataclass
class Pipeline:
    platform: Platform
    rollout: Rollout
    preparation: Preparation
    once: Once

    async def run(self, lease: Lease) -> None:
        """Carries out a ``deploy`` work. Raises BerthError when the deployment failed; its row then says why."""
        attempt = await self._begin(lease)
        if attempt is None:
            return
        candidates: list[Candidate] = []
        try:
            await self._discard_earlier(attempt)
            release = await self._release(attempt)
            await self._go_live(attempt, release, candidates)
        except (asyncio.CancelledError, WorkCancelled) as stop:
            # the task may be cancelled again while it cleans up: the server is closing
            await to_the_end(self._clean_up(attempt, candidates))
            cancelled = stop if isinstance(stop, WorkCancelled) else lease.cancelled
            if cancelled is not None:
                await attempt.end(cancelled.state, cancelled.reason)
            raise
        except EngineUnavailable as error:
            if lease.committed:
                raise
            attempt.say(f"{error.reason} The deployment goes on when it is back.")
            await attempt.step("waiting for the Docker Engine")
            raise WorkPostponed(ENGINE_RETRY_SECONDS) from error
        except BerthError as error:
            await to_the_end(self._clean_up(attempt, candidates))
            await attempt.end("failed", error.reason, error.fix)
            raise
        except Exception as error:
            await to_the_end(self._clean_up(attempt, candidates))
            fault = f"{states.FAULT}: {type(error).__name__}."
            await attempt.end("failed", fault, "The server's log has the details.")
            raise
        finally:
            await asyncio.shield(attempt.writer.close())

    async def _begin(self, lease: Lease) -> Attempt | None:
        """Loads what the attempt is about; None when there is nothing left to do."""
        store = self.platform.store
        deployment_id = lease.row["deployment_id"]
        async with store.begin() as tx:
            await states.change(tx, deployment_id, "running", started_at=time.time(), phase=None, step="")
            deployment = await tx.one(sa.select(deployments).where(deployments.c.id == deployment_id))
            if deployment is None or deployment["state"] != "running":
                return None
            # a push may come between a removal's request and its end
            await tx.run(
                sa.update(environments)
                .where(environments.c.id == deployment["environment_id"], environments.c.state == "removed")
                .values(state="empty", reason="", removed_at=None)
            )
            environment = await get_environment(tx, deployment["environment_id"])
            repository = await repository_of(tx, environment["id"])
        snapshot = Snapshot()
        if deployment["source_deployment_id"]:
            source = await store.one(
                sa.select(deployments).where(deployments.c.id == deployment["source_deployment_id"])
            )
            if source is not None and source["snapshot_enc"]:
                snapshot = Snapshot.from_json(self.platform.vault.decrypt(source["snapshot_enc"]))
        else:
            variables = await list_variables(store, self.platform.vault, repository["application_id"])
            snapshot = Snapshot({}, resolve_variables(variables, environment["kind"], environment["id"]))
        passwords = await self.rollout.databases.passwords(environment["id"])
        masker = Masker([*snapshot.secrets(), *passwords.values()])
        writer = await self.platform.logs.open_deployment(deployment_id, masker)
        return Attempt(self.platform, lease, deployment, environment, repository, writer, snapshot)

    async def _discard_earlier(self, attempt: Attempt) -> None:
        """What an attempt before this one left behind."""
        for row in await self.platform.store.all(
            sa.select(instances).where(instances.c.deployment_id == attempt.id, instances.c.state == "starting")
        ):
            await self.rollout.drainer.remove(row, grace=0)

    async def _release(self, attempt: Attempt) -> Release:
        """The image and project of the commit: from an earlier deployment where that is possible, else built."""
        source_id = attempt.deployment["source_deployment_id"]
        if source_id:
            release = await self._earlier_release(attempt, source_id)
            if release is not None:
                return release
            attempt.say(f"the image of deployment {source_id} is gone, so the commit is built again")
        else:
            await self._take_snapshot(attempt)
        return await self.preparation.release(attempt)

    async def _earlier_release(self, attempt: Attempt, source_id: int) -> Release | None:
        source = await self.platform.store.one(sa.select(deployments).where(deployments.c.id == source_id))
        if source is None or not source["image_id"] or not source["files_json"]:
            return None
        if await self.platform.engine.image(source["image_id"]) is None:
            return None
        kept = ("detection_json", "files_json", "image_key", "image_id")
        await attempt.update(
            **{key: source[key] for key in kept},
            snapshot_enc=self.platform.vault.encrypt(attempt.snapshot.to_json()),
        )
        return release_of(attempt.deployment, attempt.environment, attempt.repository, attempt.snapshot)

    async def _take_snapshot(self, attempt: Attempt) -> None:
        """The settings that this deployment uses: ``.berth.yml`` of the default branch below what is set in Berth."""
        text = await self.platform.source.default_branch_file(attempt.repository, REPOSITORY_FILE)
        settings = read_repository_file(text) if text else {}
        settings |= await stored_settings(self.platform.store, attempt.repository["application_id"])
        attempt.snapshot = Snapshot(settings, attempt.snapshot.variables)
        await attempt.update(snapshot_enc=self.platform.vault.encrypt(attempt.snapshot.to_json()))

    async def _go_live(self, attempt: Attempt, release: Release, candidates: list[Candidate]) -> None:
        platform = self.platform
        again = bool(attempt.deployment["source_deployment_id"])  # its release command has run when it was built
        async with attempt.enter("start", self._start_limit(release)):
            if again:
                release = await self.rollout.prepare(release, attempt.say)
            await self.rollout.databases.bring_up(release, attempt.say)
            if not again:
                await self.once.run(attempt, release)
            candidates += await self.rollout.start(release, attempt.say)
        timeout = release.snapshot.settings.get("verify_seconds", platform.config.verify_timeout)
        async with attempt.enter("verify", timeout + 30):
            await self.rollout.verify(release, candidates, attempt.say)
            candidates += await self.rollout.start_workers(release, attempt.say)
        url = await self._url(candidates)

        async def commit(tx: Transaction) -> None:
            await attempt.lease.commit(tx)
            environment = await get_environment(tx, attempt.environment["id"])
            if environment["live_deployment_id"] and environment["live_deployment_id"] != attempt.id:
                await states.change(tx, environment["live_deployment_id"], "retired")
            if not await states.change(tx, attempt.id, "live", url=url, step=""):
                raise WorkCancelled("cancelled", "the deployment ended elsewhere")

        async with attempt.enter("switch", platform.config.switch_timeout):
            # once committed, nothing may interrupt what follows
            switching = asyncio.create_task(
                self.rollout.switch(release, candidates, commit), name=f"switch {attempt.id}"
            )
            try:
                await asyncio.shield(switching)
            except asyncio.CancelledError:
                await asyncio.wait([switching])
                if not attempt.lease.committed:
                    raise
                switching.result()
        attempt.writer.write(f"live at {url}" if url else "live", source="berth", kind="state", phase="switch")
        platform.wake_outbox()

    def _start_limit(self, release: Release) -> float:
        """Seconds for databases that have to get ready, the release command, and what is started then."""
        config = self.platform.config
        roles = [service.role for service in release.project.services.values()]
        limit = config.start_timeout + config.drain_seconds
        return (
            limit + roles.count("database") * config.service_timeout + roles.count("release") * config.release_timeout
        )

    async def _url(self, candidates: list[Candidate]) -> str:
        """Where people find what is about to be live; empty where nothing of it is published."""
        published = [candidate.service for candidate in candidates if candidate.service["role"] == "web"]
        if not published:
            return ""
        first = min(published, key=lambda service: int(service["position"]))
        row = await self.platform.store.one(sa.select(ports.c.port).where(ports.c.service_id == first["id"]))
        return self.platform.application_url(row["port"], first["protocol"]) if row else ""

    async def _clean_up(self, attempt: Attempt, candidates: list[Candidate]) -> None:
        """After a failure: the candidates' last words go into the log, the candidates go, what was live stays."""
        if attempt.lease.committed:
            return
        with suppress(BerthError):
            await self.rollout.discard(candidates)
            for candidate in candidates:
                for text in await self.rollout.tail(attempt.id, candidate.instance_id):
                    attempt.writer.write(text, source=candidate.service["name"], kind="line", phase=attempt.phase)
            await self.rollout.restore(attempt.environment["id"])
