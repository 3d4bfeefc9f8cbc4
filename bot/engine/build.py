"""Building an image with the engine's BuildKit: a streamed context in, decoded progress out, and a real end.

``POST /build?version=2`` with a tar and no session, as in
https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild. Secrets need a session, so a
build with secrets goes through the docker client instead.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from bot.engine.build_errors import BuildFailed, explain
from bot.engine.build_secrets import build_with_client, find_client
from bot.engine.buildkit import decode_status
from bot.engine.context import Context
from bot.engine.docker import Engine, EngineRefused
from bot.engine.dockerignore import IgnoreRules
from bot.engine.progress import (
    BuildEvent,
    Progress,
    StepCached,
    StepDone,
    StepFailed,
    StepOutput,
    StepStarted,
)
from bot.engine.wire import json_lines, to_the_end
from bot.errors import BerthError

__all__ = [
    "BuildEvent",
    "BuildFailed",
    "BuildRequest",
    "BuildResult",
    "Builder",
    "StepCached",
    "StepDone",
    "StepFailed",
    "StepOutput",
    "StepStarted",
]

log = structlog.get_logger()

_STOP_SECONDS = 10.0  # how long the engine may take to end a build that was cancelled
_CANCEL_SECONDS = 0.3  # until it is told again


@dataclass(frozen=True)
class BuildRequest:
    """What to build: the folder ``context`` with the text of a Dockerfile and of a ``.dockerignore`` (None: none).

    ``args`` become part of the image's history; ``secrets`` are only mounted (``RUN --mount=type=secret,id=NAME``).
    ``network`` is that of RUN steps: None (the default one), ``none`` or ``host``.
    """

    context: Path
    dockerfile: str
    dockerignore: str | None
    tag: str
    labels: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    target: str | None = None
    network: str | None = None


@dataclass(frozen=True)
class BuildResult:
    image_id: str
    steps: int
    cached_steps: int


class Builder:
    """Builds images on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._client: tuple[str, ...] | None = None  # the docker client that builds with secrets, once it was found

    async def build(self, request: BuildRequest, on_event: Callable[[BuildEvent], None], timeout: float) -> BuildResult:
        """Build an image and return its id. ``timeout`` is seconds for all of it.

        Raises BuildFailed with the reason. When the task is cancelled, or the time is over, the build is ended on the
        engine too, and this returns only after that.
        """
        rules = await asyncio.to_thread(IgnoreRules, request.dockerignore or "")
        context = Context(request.context, request.dockerfile, rules)
        progress = Progress(on_event, once=bool(request.secrets))
        build_id = "" if request.secrets else secrets.token_hex(16)
        work = asyncio.create_task(
            self._exchange(request, context, progress, build_id)
            if build_id
            else self._with_client(request, context, progress)
        )
        try:
            async with asyncio.timeout(timeout):
                image_id = await asyncio.shield(work)
        except TimeoutError as error:
            step = progress.current
            await to_the_end(self._stop(work, build_id, request.tag))
            raise BuildFailed(
                f"The build took longer than {timeout:.0f} s and was ended.",
                "Let it do less (a smaller context, cached dependencies), or raise BERTH_BUILD_TIMEOUT.",
                step=step,
            ) from error
        except asyncio.CancelledError:
            await to_the_end(self._stop(work, build_id, request.tag))
            raise
        except EngineRefused as error:
            message = f"no space left on device: {error.message}" if progress.disk_full else error.message
            raise explain(message, progress.failed, rules, request.dockerfile) from error
        finally:
            await to_the_end(context.close())
        return BuildResult(image_id, progress.steps, progress.cached_steps)

    async def _exchange(self, request: BuildRequest, context: Context, progress: Progress, build_id: str) -> str:
        """Send the context, read the progress, and return the id of the image. Raises EngineRefused when it fails."""
        image_id = ""
        params = _parameters(request, build_id, self._engine.instance)
        headers = {"Content-Type": "application/x-tar"}
        try:
            async with self._engine.stream(
                "POST", "build", params=params, data=context.pieces(), headers=headers
            ) as response:
                async for line in json_lines(response):
                    if line.get("id") == "moby.buildkit.trace":
                        _follow(progress, line.get("aux"))
                    elif line.get("id") == "moby.image.id":
                        image_id = str(line["aux"]["ID"])
                    elif "error" in line:
                        message = str((line.get("errorDetail") or {}).get("message") or line["error"])
                        raise EngineRefused(message, message=message)
        except BerthError as error:
            if context.error is not None:
                raise context.error from error
            raise
        finally:
            progress.finish()
        if not image_id:
            raise EngineRefused("the engine ended the build without an image")
        return image_id

    async def _with_client(self, request: BuildRequest, context: Context, progress: Progress) -> str:
        self._client = self._client or await find_client()
        host = self._engine.docker_host
        options = _options(request, self._engine.instance)
        try:
            return await build_with_client(
                self._client, options, host, request.secrets, context=context, progress=progress
            )
        finally:
            progress.finish()

    async def _stop(self, work: asyncio.Task[str], build_id: str, tag: str) -> None:
        """End the build on the engine and wait for it; no image is left of it, however far it had come."""
        deadline = time.monotonic() + _STOP_SECONDS
        while build_id and not work.done() and time.monotonic() < deadline:
            # asked again: the engine knows the id of a build only once it has the context
            with contextlib.suppress(BerthError):
                await self._engine.call("POST", "build/cancel", params={"id": build_id}, seconds=_STOP_SECONDS)
            await asyncio.wait([work], timeout=_CANCEL_SECONDS)
        work.cancel()  # closes the connection, which ends it as well
        await asyncio.wait([work])
        if not work.cancelled() and work.exception() is None:
            with contextlib.suppress(BerthError):
                await self._engine.remove_image(tag)


def _follow(progress: Progress, aux: Any) -> None:
    try:
        status = decode_status(base64.b64decode(aux))
    except (ValueError, TypeError) as error:
        log.warning("progress of a build could not be decoded", error=str(error))
        return
    progress.update(status)


def _parameters(request: BuildRequest, build_id: str, instance: str) -> dict[str, str]:
    """What to build, for the Engine API."""
    parameters = {
        "version": "2",
        "t": request.tag,
        "buildid": build_id,
        "labels": json.dumps({**request.labels, "berth.instance": instance}),
        "buildargs": json.dumps(request.args),
    }
    if request.target:
        parameters["target"] = request.target
    if request.network:
        parameters["networkmode"] = request.network
    return parameters


def _options(request: BuildRequest, instance: str) -> list[str]:
    """The same for the docker client."""
    options = [f"--tag={request.tag}", f"--label=berth.instance={instance}"]
    options += [f"--label={name}={value}" for name, value in request.labels.items()]
    options += [f"--build-arg={name}={value}" for name, value in request.args.items()]
    if request.target:
        options.append(f"--target={request.target}")
    if request.network:
        options.append(f"--network={request.network}")
    return options
