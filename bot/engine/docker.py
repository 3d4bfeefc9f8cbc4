"""Containers, images and volumes of this installation on one Docker Engine.

Everything that is made here carries the label ``berth.instance``; every listing filters on it, and nothing without it
is ever touched. The Engine API is described at https://docs.docker.com/reference/api/engine/ (1.41 or newer).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Mapping, Set
from urllib.parse import quote

from bot.engine.docker_errors import create_error, pull_error
from bot.engine.frames import LogLine, demultiplex, log_lines
from bot.engine.records import (
    CONFIG,
    DEPLOYMENT,
    ENVIRONMENT,
    INSTANCE,
    MADE,
    SERVICE,
    ContainerEvent,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ImageInfo,
    ListedImage,
    VolumeInfo,
    VolumeMount,
    container_body,
    container_event,
    container_state,
    default_capabilities,
    image_info,
    split_reference,
)
from bot.engine.wire import CALL_SECONDS, EngineRefused, EngineUnavailable, Wire, json_lines, to_the_end
from bot.errors import BerthError

__all__ = [
    "CONFIG",
    "DEPLOYMENT",
    "ENVIRONMENT",
    "INSTANCE",
    "SERVICE",
    "ContainerEvent",
    "ContainerSpec",
    "ContainerState",
    "Engine",
    "EngineInfo",
    "EngineRefused",
    "EngineUnavailable",
    "ImageInfo",
    "ListedImage",
    "LogLine",
    "VolumeInfo",
    "VolumeMount",
    "default_capabilities",
]

_LIFE = ["create", "start", "restart", "die", "oom", "kill", "stop", "pause", "unpause", "destroy", "health_status"]


class Engine(Wire):
    """The Docker Engine at ``docker_host`` (``unix:///…`` or ``tcp://…``) as seen by the installation ``instance``.

    Every method raises EngineUnavailable while the engine cannot be reached, and EngineRefused (with the status of its
    answer) for what is not said otherwise.
    """

    def __init__(self, docker_host: str, instance: str) -> None:
        super().__init__(docker_host)
        self.instance = instance

    # -------------------------------------------------------------------------------------------- the engine

    async def info(self) -> EngineInfo:
        """Version and size of the engine.

        BuildKit is part of every Linux dockerd since API 1.39 (https://docs.docker.com/build/buildkit/), not of Podman.
        """
        version, info = await asyncio.gather(self.call("GET", "version"), self.call("GET", "info"))
        api = str(version.get("ApiVersion", "0"))
        podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or [])
        numbers = tuple(int(number) for number in re.findall(r"\d+", api))
        return EngineInfo(
            version=str(version.get("Version", "")),
            api_version=api,
            buildkit=numbers >= (1, 39) and info.get("OSType", "linux") == "linux" and not podman,
            root_dir=str(info.get("DockerRootDir", "")),
            cpus=int(info.get("NCPU", 0)),
            memory=int(info.get("MemTotal", 0)),
        )

    # -------------------------------------------------------------------------------------------- containers

    async def create_and_start(self, spec: ContainerSpec) -> str:
        """Make and start a container, and return its id.

        A left-over of the same name is replaced if it is ours. Nothing half-made is left behind, not even when
        cancelled. Raises BerthError in words.
        """
        try:
            container_id = await to_the_end(self._create(spec))
            await to_the_end(self._start_new(container_id, spec))
        except BaseException:
            with contextlib.suppress(BerthError):
                await to_the_end(self._remove_ours(spec.name))
            raise
        return container_id

    async def _create(self, spec: ContainerSpec) -> str:
        body = container_body(spec, self.instance)
        for attempt in (1, 2):
            try:
                made = await self.call("POST", "containers/create", params={"name": spec.name}, body=body)
            except EngineRefused as error:
                if error.status == 409 and attempt == 1:
                    await self._remove_ours(spec.name)
                    continue
                raise create_error(error, spec) from error
            return str(made["Id"])
        raise AssertionError("unreachable")

    async def _start_new(self, container_id: str, spec: ContainerSpec) -> None:
        try:
            await self.call("POST", f"containers/{container_id}/start")
        except EngineRefused as error:
            raise create_error(error, spec) from error

    async def _remove_ours(self, name: str) -> None:
        state = await self.inspect(name)
        if state is None:
            return
        if state.labels.get(INSTANCE) != self.instance:
            raise BerthError(
                f"A container named {name} exists already and is not part of this installation.",
                f"Remove it or give it another name (`docker rename {name} NEW`), then deploy again.",
            )
        await self.remove(state.id)

    async def inspect(self, container_id: str) -> ContainerState | None:
        """The state of one container (by id or name), None if there is none."""
        try:
            return container_state(await self.call("GET", f"containers/{_path(container_id)}/json"))
        except EngineRefused as error:
            if error.status == 404:
                return None
            raise

    async def list_containers(self) -> list[ContainerState]:
        """All containers that this installation has made, in every state, ordered by name.

        Not those that a person has started from one of its images.
        """
        filters = self._ours(f"{MADE}=true")
        rows = await self.call("GET", "containers/json", params={"all": "1", "filters": filters})
        gate = asyncio.Semaphore(8)

        async def look(container_id: str) -> ContainerState | None:
            async with gate:
                return await self.inspect(container_id)

        states = await asyncio.gather(*(look(row["Id"]) for row in rows))
        return sorted((state for state in states if state is not None), key=lambda state: state.name)

    async def start(self, container_id: str) -> None:
        """Start a stopped container; one that runs is left alone."""
        await self._act("POST", f"containers/{_path(container_id)}/start")

    async def stop(self, container_id: str, grace_seconds: float) -> None:
        """Stop signal, and kill after ``grace_seconds``; returns when it has ended. One that is gone is fine."""
        grace = max(0, round(grace_seconds))
        path = f"containers/{_path(container_id)}/stop"
        await self._act("POST", path, params={"t": str(grace)}, fine={404}, seconds=grace + CALL_SECONDS)

    async def kill(self, container_id: str) -> None:
        """End a container at once; one that is gone or does not run is fine."""
        await self._act("POST", f"containers/{_path(container_id)}/kill", fine={404, 409})

    async def remove(self, container_id: str) -> None:
        """Remove a container, running or not, with its anonymous volumes; returns when it is gone."""
        path = f"containers/{_path(container_id)}"
        await self._act("DELETE", path, params={"force": "1", "v": "1"}, fine={404, 409})
        for _ in range(100):  # 409: somebody else is removing it already
            if await self.inspect(container_id) is None:
                return
            await asyncio.sleep(0.1)
        raise BerthError(f"Docker does not remove the container {container_id[:12]}.", "Look at `docker ps -a`.")

    async def set_restart_policy(self, container_id: str, name: str) -> None:
        """``unless-stopped`` or ``no``, from now on."""
        await self._act("POST", f"containers/{_path(container_id)}/update", body={"RestartPolicy": {"Name": name}})

    async def wait(self, container_id: str) -> int:
        """Wait until the container does not run (any more) and return its exit code. No deadline of its own."""
        async with self.stream("POST", f"containers/{_path(container_id)}/wait") as response:
            return int(json.loads(await response.read())["StatusCode"])

    async def execute(self, container_id: str, command: tuple[str, ...], seconds: float = 10.0) -> tuple[int, bytes]:
        """Run a command in a running container: its exit code and what it wrote (at most 1 MB)."""
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        made = await self.call("POST", f"containers/{_path(container_id)}/exec", body=body)
        output = bytearray()
        try:
            async with (
                asyncio.timeout(seconds),
                self.stream("POST", f"exec/{made['Id']}/start", data=b'{"Detach":false,"Tty":false}') as response,
            ):
                async for _, chunk in demultiplex(response.content.iter_any()):
                    output += chunk
                    if len(output) > 1_000_000:
                        break
        except TimeoutError as error:
            raise BerthError(f"{command[0]} did not end within {seconds:.0f} s in the container.") from error
        end = await self.call("GET", f"exec/{made['Id']}/json")
        return int(end.get("ExitCode") or 0), bytes(output)

    async def _act(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        fine: Set[int] = frozenset(),
        seconds: float = CALL_SECONDS,
    ) -> bool:
        """A request without an answer; False if the engine refused it with a status that is ``fine``."""
        try:
            await self.call(method, path, params=params, body=body, seconds=seconds)
        except EngineRefused as error:
            if error.status in fine:
                return False
            raise
        return True

    # ------------------------------------------------------------------------------------------ logs, events

    async def logs(self, container_id: str, since: float | None, follow: bool) -> AsyncGenerator[LogLine, None]:
        """The lines of a container's log that are newer than ``since`` (seconds since 1970; None: all).

        ``follow`` goes on until the container ends. The connection is closed when the loop is left or cancelled;
        whoever keeps the iterator after a ``break`` closes it with ``contextlib.aclosing``.
        """
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1" if follow else "0"}
        if since is not None:
            # A float holds a time of today to a quarter of a microsecond: ask for a little more and leave it out below.
            params["since"] = f"{max(0.0, since - 1e-6):.9f}"
        async with self.stream("GET", f"containers/{_path(container_id)}/logs", params=params) as response:
            async for line in log_lines(response.content.iter_any()):
                if since is None or line.at > since:
                    yield line

    async def events(self, since: float | None) -> AsyncGenerator[ContainerEvent, None]:
        """What happens to our containers, from ``since`` (seconds since 1970) or from now on.

        Ends or raises EngineUnavailable when the engine goes away; the caller comes back with the last event's time.
        """
        params = {"filters": self._ours(type=["container"], event=_LIFE)}
        if since is not None:
            params["since"] = f"{since:.9f}"
        async with self.stream("GET", "events", params=params) as response:
            async for line in json_lines(response):
                yield container_event(line)

    # ------------------------------------------------------------------------------------------------ images

    async def image(self, ref: str) -> ImageInfo | None:
        """An image by name or id, None if the engine does not have it."""
        try:
            return image_info(await self.call("GET", f"images/{quote(ref, safe='/:@')}/json"))
        except EngineRefused as error:
            if error.status == 404:
                return None
            raise

    async def list_images(self) -> list[ListedImage]:
        """The images that carry our label."""
        rows = await self.call("GET", "images/json", params={"filters": self._ours()})
        return [
            ListedImage(
                id=row["Id"],
                tags=tuple(tag for tag in row.get("RepoTags") or [] if tag != "<none>:<none>"),
                labels=dict(row.get("Labels") or {}),
                size=int(row.get("Size", 0)),
                created_at=float(row.get("Created", 0)),
            )
            for row in rows
        ]

    async def pull(self, ref: str, auth: Mapping[str, str] | None = None) -> None:
        """Fetch an image from its registry. ``auth``: username, password, serveraddress. Raises BerthError in words."""
        name, tag = split_reference(ref)
        headers = {}
        if auth is not None:
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()
        try:
            async with self.stream(
                "POST", "images/create", params={"fromImage": name, "tag": tag or "latest"}, headers=headers
            ) as response:
                async for line in json_lines(response):
                    if "error" in line:
                        raise EngineRefused(str(line["error"]), message=str(line["error"]))
        except EngineRefused as error:
            raise pull_error(ref, error.message) from error

    async def tag(self, image_id: str, ref: str) -> None:
        """Give an image the name ``ref`` (``name:tag``)."""
        name, tag = split_reference(ref)
        params = {"repo": name, "tag": tag or "latest"}
        await self._act("POST", f"images/{quote(image_id, safe='/:@')}/tag", params=params)

    async def remove_image(self, ref: str) -> bool:
        """Remove an image or a name of it: False if a container still uses it, True if it is gone."""
        try:
            await self.call("DELETE", f"images/{quote(ref, safe='/:@')}", seconds=300)
        except EngineRefused as error:
            if error.status == 409:
                return False
            if error.status != 404:
                raise
        return True

    # ----------------------------------------------------------------------------------------------- volumes

    async def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a volume; one of ours of that name is kept. Raises BerthError if somebody else's has the name."""
        made = await self.call(
            "POST", "volumes/create", body={"Name": name, "Labels": {**labels, INSTANCE: self.instance}}
        )
        if (made.get("Labels") or {}).get(INSTANCE) != self.instance:
            raise BerthError(
                f"A volume named {name} exists already and is not part of this installation.",
                f"If nobody needs it: `docker volume rm {name}`.",
            )

    async def list_volumes(self) -> list[VolumeInfo]:
        answer = await self.call("GET", "volumes", params={"filters": self._ours()})
        return [VolumeInfo(row["Name"], dict(row.get("Labels") or {})) for row in answer.get("Volumes") or []]

    async def remove_volume(self, name: str) -> bool:
        """Remove one of our volumes: False if a container still uses it, True if it is gone. Strangers' are refused."""
        try:
            found = await self.call("GET", f"volumes/{_path(name)}")
        except EngineRefused as error:
            if error.status == 404:
                return True
            raise
        if (found.get("Labels") or {}).get(INSTANCE) != self.instance:
            raise BerthError(f"The volume {name} is not part of this installation; it is left alone.")
        return await self._act("DELETE", f"volumes/{_path(name)}", fine={409})

    def _ours(self, *labels: str, **more: list[str]) -> str:
        return json.dumps({"label": [f"{INSTANCE}={self.instance}", *labels], **more})


def _path(identifier: str) -> str:
    return quote(identifier, safe="")
