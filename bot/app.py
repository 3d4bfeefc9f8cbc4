"""The server: everything that there is one of in the process, put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa
import structlog
from starlette.applications import Starlette

from bot import installation, logging
from bot.config import Config
from bot.deploy import lifecycle, settings
from bot.deploy.admission import Limits
from bot.deploy.databases import Databases
from bot.deploy.drain import Drainer
from bot.deploy.images import ImageStore
from bot.deploy.logs import ContainerLogs, LogStore
from bot.deploy.monitor import Monitor
from bot.deploy.once import Once
from bot.deploy.operations import Operations
from bot.deploy.pipeline import Pipeline
from bot.deploy.platform import Platform
from bot.deploy.preparation import Preparation
from bot.deploy.queue import BuildSlots, Lease, Queue, WorkPostponed
from bot.deploy.reconcile import Reconciler
from bot.deploy.rollout import Rollout
from bot.deploy.routes import load_routes
from bot.engine.build import Builder
from bot.engine.docker import Engine, EngineUnavailable
from bot.engine.edge import Edge
from bot.engine.networks import Networks
from bot.engine.ports import PortManager, set_port_manager
from bot.errors import BerthError
from bot.forge import git_http
from bot.forge.command_acts import CommandActs
from bot.forge.command_worker import CommandWorker
from bot.forge.github import GitHub
from bot.forge.github_app import AppCredentials, load_app
from bot.forge.github_comment import PullRequestComment
from bot.forge.github_forge import GitHubForge
from bot.forge.github_reports import GitHubReporter
from bot.forge.github_rows import GitHubRows
from bot.forge.intake import Intake
from bot.forge.inventory import Inventory
from bot.forge.local import LocalForge
from bot.forge.permissions import Permissions
from bot.forge.recovery import Recovery
from bot.forge.reports import OutboxSender
from bot.forge.setup import Setup
from bot.forge.source import ForgeSource
from bot.forge.webhook import Answer
from bot.store.crypto import Vault, load_keys
from bot.store.database import Store
from bot.store.migrate import migrate
from bot.store.tables import deliveries
from bot.web import api, log_stream, pages, sessions
from bot.web.http import end_streams
from bot.web.stream_tokens import StreamTokens

log = structlog.get_logger()

RETRY_SECONDS = 5.0  # until the engine is asked again
QUIET_SECONDS = 1.0  # between two comparisons at least


class Berth:
    """The running server. Made by :func:`open_berth`, which also closes it."""

    def __init__(self, config: Config, store: Store, vault: Vault, instance: str, operator_token: str) -> None:
        self.config = config
        self.store = store
        self.vault = vault
        self.instance = instance
        self.operator_token = operator_token
        self.stream_tokens = StreamTokens()
        self._look = asyncio.Event()  # something is not as the database says
        self.engine = Engine(config.effective_docker_host, instance)
        self.edge = Edge(
            folder=config.data_dir / "edge",
            bind=config.edge_bind,
            image=f"{config.base_image_prefix}haproxy:lts",
            engine=self.engine,
            instance=instance,
        )
        self.ports = PortManager(
            store,
            first=config.port_min,
            last=config.port_max,
            bind=config.edge_bind,
            quarantine=config.port_quarantine,
            start=installation.first_port(config, instance),
        )
        self.logs = LogStore(
            config.data_dir / "logs", store, max_bytes=config.log_max_bytes, keep_days=config.log_keep_days
        )
        container_logs = ContainerLogs(self.engine, self.logs)
        intake = Intake(Limits.of(config))
        self.forge = LocalForge(config, store, vault, intake.apply, self.wake)
        self.github_forge = GitHubForge(config, store, intake, self.wake)
        self.github: GitHub | None = None  # and what works with it: None without an App, see connect_github
        self.permissions: Permissions | None = None
        self.recovery: Recovery | None = None
        self.commands: CommandWorker | None = None
        self.setup = Setup(config, self._connect_github)
        self.source = ForgeSource(config, self.forge, lambda: self.github)
        self.outbox = OutboxSender(store, {})
        builds = BuildSlots(config.effective_builds)
        self.platform = Platform(
            config=config,
            instance=instance,
            store=store,
            vault=vault,
            engine=self.engine,
            networks=Networks(self.engine, config.network_pool),
            builder=Builder(self.engine),
            edge=self.edge,
            ports=self.ports,
            logs=self.logs,
            container_logs=container_logs,
            builds=builds,
            source=self.source,
            wake_outbox=self.outbox.wake,
            wake_keeper=self._look.set,
        )
        self.drainer = Drainer(store, self.engine, self.edge, container_logs, config.stop_grace)
        rollout = Rollout(self.platform, self.drainer, Databases(self.platform, self.drainer))
        images = ImageStore(
            store=store,
            engine=self.engine,
            builder=self.platform.builder,
            builds=builds,
            instance=instance,
            build_timeout=config.build_timeout,
            disk_min_free=config.disk_min_free,
            keep=config.keep_images,
            data_dir=config.data_dir,
        )
        self._pipeline = Pipeline(
            self.platform, rollout, Preparation(self.platform, rollout, images), Once(self.platform, self.drainer)
        )
        self._operations = Operations(self.platform, rollout)
        self.queue = Queue(store, self._execute, owner=f"{instance}-{os.getpid()}", lease_seconds=config.lease_seconds)
        self.reconciler = Reconciler(self.platform, rollout, images, self.queue)
        self.monitor = Monitor(self.platform)
        self.problem = "The server is starting."  # why nothing can be deployed now; empty when all is well

    async def replay(self, delivery_row_id: int, actor: str) -> Answer:
        """Decide again on a delivery. Raises NotFoundError, and ConflictError where it cannot be repeated."""
        row = await self.store.one(sa.select(deliveries.c.forge_id).where(deliveries.c.id == delivery_row_id))
        forge = self.github_forge if row is not None and row["forge_id"] == self.github_forge.id else self.forge.pushes
        return await forge.replay(delivery_row_id, actor)

    async def _connect_github(self, credentials: AppCredentials) -> None:
        await connect_github(self, credentials)

    def wake(self) -> None:
        """There is new work, or there are new reports."""
        self.queue.wake()
        self.outbox.wake()
        if self.commands is not None:
            self.commands.wake()

    async def effective_settings(
        self, application_id: int, stored: Mapping[str, Any] | None = None
    ) -> list[settings.EffectiveSetting]:
        """The settings of an application as the next deployment would use them, with their sources.

        ``stored``: as if these were set in Berth, instead of what is.
        """
        repository = await lifecycle.repository_of_application(self.store, application_id)
        text = await self.source.default_branch_file(repository, settings.REPOSITORY_FILE)
        row = await lifecycle.newest_deployment(self.store, application_id)
        detection = json.loads(row["detection_json"]) if row and row["detection_json"] else None
        in_file = settings.read_repository_file(text) if text else {}
        config = self.config
        defaults = {
            "memory": config.memory,
            "cpus": config.cpus or None,
            "pids": config.pids,
            "drain_seconds": config.drain_seconds,
            "verify_seconds": config.verify_timeout,
            "previews": config.previews,
        }
        return await settings.effective_settings(
            self.store, application_id, in_file, detection, defaults, stored=stored
        )

    async def keep(self) -> None:
        """Until cancelled: waits for the engine, starts edge and queue, then compares database and engine regularly.

        Without an engine nothing is lost: pushes are stored, and deployed when it is there.
        """
        started = False
        while True:
            self._look.clear()
            try:
                await self._check_engine()
                if not started:
                    await self.edge.start(self._routes)
                    await self.reconciler.sweep()
                    await self.queue.start()
                    started = True
                    log.info("ready to deploy", engine=(await self.engine.info()).version)
                else:
                    await self.reconciler.sweep()
                    await self.monitor.sweep()
                await self.forge.sweep()
                for forge in (self.forge.pushes, self.github_forge):
                    await forge.forget(time.time() - self.config.log_keep_days * 86_400)
                self.queue.wake()
                self.problem = ""
                await asyncio.sleep(QUIET_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.config.reconcile_seconds):
                        await self._look.wait()
            except BerthError as error:
                if self.problem != str(error):
                    log.error("nothing can be deployed now", reason=error.reason, fix=error.fix)
                self.problem = str(error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("the comparison of database and engine stumbled")
                await asyncio.sleep(RETRY_SECONDS)

    async def _routes(self) -> Any:
        return await load_routes(self.store)

    async def _check_engine(self) -> None:
        info = await self.engine.info()
        if not info.buildkit:
            raise BerthError(
                f"Docker Engine {info.version} has no BuildKit, which builds need.", "Upgrade Docker to 20.10 or newer."
            )

    async def _execute(self, lease: Lease) -> None:
        if lease.row["kind"] == "deploy":
            await self._pipeline.run(lease)
            return
        try:
            await self._operations.run(lease)
        except EngineUnavailable as error:
            raise WorkPostponed(RETRY_SECONDS) from error


@asynccontextmanager
async def open_berth(config: Config) -> AsyncIterator[Berth]:
    """Starts everything in order and stops it in reverse. Raises BerthError when the installation is not fit to run."""
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(installation.make_folders, config.data_dir)
        stack.callback(installation.lock(config.data_dir))
        keys = await asyncio.to_thread(load_keys, config.secret_keys, config.data_dir / "secret.key")
        vault = Vault(keys)
        store = Store(config.effective_database_url)
        await asyncio.to_thread(installation.make_database, store.path)
        await migrate(store.url)
        await stack.enter_async_context(store)
        instance = await installation.identify(store, vault)
        token = await asyncio.to_thread(installation.operator_token, config.data_dir)
        await sessions.heed_operator_token(store, token)
        berth = Berth(config, store, vault, instance, token)
        await berth.engine.open()
        stack.push_async_callback(berth.engine.close)
        set_port_manager(berth.ports)
        stack.callback(set_port_manager, None)
        await berth.forge.open()
        await berth.github_forge.open()
        stack.push_async_callback(berth.github_forge.close)
        berth.outbox.forges.update({berth.forge.id: berth.forge})
        stack.push_async_callback(connect_github, berth, None)
        await connect_github(berth, await asyncio.to_thread(load_app, config))
        await berth.reconciler.at_start()
        await berth.outbox.start()
        stack.push_async_callback(berth.outbox.close)
        stack.push_async_callback(berth.platform.container_logs.close)
        stack.push_async_callback(berth.drainer.close)
        stack.push_async_callback(berth.queue.close)
        for name, run in (("keeper", berth.keep), ("monitor", berth.monitor.run)):
            stack.push_async_callback(_stop, asyncio.create_task(run(), name=name))
        stack.callback(installation.announce(config))
        installation.warn_about_hosts(config)
        yield berth


async def connect_github(berth: Berth, credentials: AppCredentials | None) -> None:
    """Work as this App from now on, instead of the one before; with None as none. A running server may call it."""
    # what works as the App (commands, reports, recovery) ends here, and before its client
    if berth.commands is not None:
        await berth.commands.close()
    if berth.recovery is not None:
        await berth.recovery.close()
    if berth.github is not None:
        await berth.github.close()
    berth.github, berth.permissions, berth.recovery, berth.commands = None, None, None, None
    berth.github_forge.credentials = credentials
    berth.outbox.forges.pop(berth.github_forge.id, None)
    if credentials is None:
        return
    github = GitHub(berth.config, credentials)
    await github.open()
    permissions = Permissions(github)
    berth.github, berth.permissions = github, permissions
    # and begins here
    comment = PullRequestComment(github, berth.store, berth.config, berth.vault, berth.logs)
    berth.outbox.forges[berth.github_forge.id] = GitHubReporter(github, berth.store, berth.config, comment)
    berth.outbox.wake()
    rows = GitHubRows(berth.github_forge.id, Limits.of(berth.config))
    berth.recovery = Recovery(github, berth.store, Inventory(github, berth.store, rows, berth.wake))
    await berth.recovery.start()
    acts = CommandActs(berth.store, berth.config, berth.vault, berth.logs, github, permissions, wake=berth.wake)
    berth.commands = CommandWorker(berth.store, github, acts)
    await berth.commands.start()
    log.info("works as a GitHub App", app=credentials.app_id, api=github.api_url)


def create_app(config: Config) -> Starlette:
    """The ASGI application; its lifespan is the server's."""
    logging.configure(config)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_berth(config) as berth:
            app.state.berth = berth
            app.router.routes.extend(
                [
                    *git_http.routes(berth.forge, berth.stream_tokens.issue),
                    *berth.github_forge.routes(),
                    *api.routes(berth),
                    *log_stream.routes(berth),
                    *pages.routes(berth),
                    api.LAST,
                ]
            )
            yield
            end_streams()

    return Starlette(lifespan=lifespan)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
