"""Containers, logs, events, images and volumes on the real engine."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import io
import itertools
import json
import os
import tarfile
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.engine.docker import (
    ContainerSpec,
    Engine,
    EngineRefused,
    EngineUnavailable,
    ImageInfo,
    LogLine,
    VolumeMount,
    default_capabilities,
)
from bot.engine.networks import Network, slot_address
from bot.errors import BerthError

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

Docker = Callable[..., str]


@pytest.fixture
def spec(network: Network, busybox_image: str, instance: str) -> ContainerSpec:
    return ContainerSpec(
        name=f"berth-{instance}-1",
        image=busybox_image,
        labels={"berth.environment": "1", "berth.service": "web"},
        command=("sleep", "600"),
        environment={"NAME": "a value = with signs"},
        network=network.name,
        address=slot_address(network.subnet, 0, 1),
        memory=64 * 1024 * 1024,
        cpus=0.5,
        pids=20,
        aliases=("web",),
    )


async def lines_of(engine: Engine, container_id: str) -> list[tuple[str, str]]:
    return [(line.stream, line.text) async for line in engine.logs(container_id, None, follow=False)]


async def first_lines(engine: Engine, container_id: str, count: int) -> AsyncGenerator[LogLine, None]:
    async with asyncio.timeout(20), contextlib.aclosing(engine.logs(container_id, None, follow=True)) as lines:
        async for line in lines:
            yield line
            count -= 1
            if not count:
                return


async def test_a_container_runs_with_its_limits_and_labels(engine: Engine, spec: ContainerSpec) -> None:
    container_id = await engine.create_and_start(spec)
    state = await engine.inspect(container_id)
    assert state is not None
    assert state.running
    assert state.pid > 1
    assert state.address == spec.address
    assert state.exit_code is None
    assert state.finished_at is None
    assert state.started_at is not None
    assert abs(state.started_at - time.time()) < 30
    assert state.labels["berth.instance"] == engine.instance
    assert state.labels["berth.service"] == "web"
    raw = await engine.call("GET", f"containers/{container_id}/json")
    host = raw["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 64 * 1024 * 1024
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == 20
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Init"]
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "2"}
    assert not raw["NetworkSettings"]["Ports"]
    script = 'echo "$NAME"; grep -i capeff /proc/1/status; exit 3'
    code, output = await engine.execute(container_id, ("sh", "-c", script))
    assert code == 3
    assert output.decode().splitlines() == ["a value = with signs", "CapEff:\t0000000000000000"]
    assert [found.id for found in await engine.list_containers()] == [container_id]


async def test_stop_start_and_restart_policy(engine: Engine, spec: ContainerSpec) -> None:
    container_id = await engine.create_and_start(replace(spec, command=("sh", "-c", "echo ready; exec sleep 600")))
    # A signal that comes before the first program of the container has started is lost, as process 1 ignores it.
    assert [line.text async for line in first_lines(engine, container_id, 1)] == ["ready"]
    await engine.set_restart_policy(container_id, "unless-stopped")
    raw = await engine.call("GET", f"containers/{container_id}/json")
    assert raw["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert raw["HostConfig"]["Memory"] == 64 * 1024 * 1024
    began = time.monotonic()
    await engine.stop(container_id, 10)
    assert time.monotonic() - began < 5
    state = await engine.inspect(container_id)
    assert state is not None
    assert not state.running
    assert state.exit_code == 143
    assert state.address == spec.address
    await engine.stop(container_id, 10)
    await engine.start(container_id)
    await engine.start(container_id)
    state = await engine.inspect(container_id)
    assert state is not None
    assert state.running
    waiting = asyncio.create_task(engine.wait(container_id))
    await asyncio.sleep(0.1)
    await engine.kill(container_id)
    assert await waiting == 137
    await engine.kill(container_id)
    await engine.remove(container_id)
    await engine.remove(container_id)
    await engine.stop(container_id, 1)
    assert await engine.inspect(container_id) is None


async def test_a_process_that_ignores_the_signal_is_killed_after_its_grace(engine: Engine, spec: ContainerSpec) -> None:
    stubborn = replace(spec, command=("sh", "-c", "trap '' TERM; echo ready; while true; do sleep 1; done"))
    container_id = await engine.create_and_start(stubborn)
    assert [line.text async for line in first_lines(engine, container_id, 1)] == ["ready"]
    began = time.monotonic()
    await engine.stop(container_id, 2)
    assert 1.5 < time.monotonic() - began < 6
    state = await engine.inspect(container_id)
    assert state is not None
    assert state.exit_code == 137


async def test_a_left_over_of_ours_is_replaced(engine: Engine, spec: ContainerSpec) -> None:
    first = await engine.create_and_start(spec)
    second = await engine.create_and_start(spec)
    assert first != second
    assert [found.id for found in await engine.list_containers()] == [second]


async def test_a_strangers_container_is_never_touched(engine: Engine, spec: ContainerSpec, docker: Docker) -> None:
    stranger = docker("create", "--name", spec.name, "--label", "berth.instance=another", spec.image, "true")
    try:
        with pytest.raises(BerthError, match="not part of this installation"):
            await engine.create_and_start(spec)
        assert await engine.list_containers() == []
        assert docker("inspect", "--format", "{{.Id}}", spec.name) == stranger
    finally:
        docker("rm", "-f", stranger)


async def test_what_a_person_starts_from_an_image_of_ours_is_theirs(
    engine: Engine, spec: ContainerSpec, docker: Docker
) -> None:
    """A container inherits the labels of its image, that of the installation among them."""
    ours = await engine.create_and_start(spec)
    theirs = docker("create", "--label", f"berth.instance={engine.instance}", spec.image, "true")
    try:
        assert [found.id for found in await engine.list_containers()] == [ours]
    finally:
        docker("rm", "-f", theirs)


async def test_nothing_half_made_stays_behind(engine: Engine, spec: ContainerSpec) -> None:
    taken = await engine.create_and_start(spec)
    with pytest.raises(BerthError, match=rf"The address {spec.address} is used by another container"):
        await engine.create_and_start(replace(spec, name=spec.name + "b"))
    with pytest.raises(BerthError, match="does not exist any more"):
        await engine.create_and_start(replace(spec, name=spec.name + "c", image="berth.test/none:1"))
    with pytest.raises(BerthError, match=r"network .* does not exist"):
        await engine.create_and_start(replace(spec, name=spec.name + "d", network="berth-test-none"))
    with pytest.raises(BerthError, match="memory"):
        await engine.create_and_start(replace(spec, name=spec.name + "e", memory=4096))
    with pytest.raises(BerthError, match="The image has no user named nobody-here"):
        await engine.create_and_start(replace(spec, name=spec.name + "f", user="nobody-here", address=""))
    assert [found.id for found in await engine.list_containers()] == [taken]


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.15, 0.3])
async def test_a_cancelled_start_leaves_nothing(engine: Engine, spec: ContainerSpec, moment: float) -> None:
    task = asyncio.create_task(engine.create_and_start(spec))
    await asyncio.sleep(moment)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await engine.list_containers() == []


async def test_out_of_memory_is_seen(engine: Engine, spec: ContainerSpec) -> None:
    greedy = replace(
        spec, command=("sh", "-c", "x=0123456789abcdef; while true; do x=$x$x; done"), memory=16 * 1024 * 1024
    )
    container_id = await engine.create_and_start(greedy)
    await asyncio.wait_for(engine.wait(container_id), 30)
    state = await engine.inspect(container_id)
    assert state is not None
    assert state.oom_killed
    assert state.exit_code == 137


async def test_the_process_limit_holds(engine: Engine, spec: ContainerSpec) -> None:
    forks = ("sh", "-c", "for i in $(seq 60); do sleep 5 & done; wait")
    container_id = await engine.create_and_start(replace(spec, command=forks))
    assert await asyncio.wait_for(engine.wait(container_id), 30) != 0
    assert any("fork" in text for _, text in await lines_of(engine, container_id))


async def test_read_only_with_a_writable_folder_and_another_user(engine: Engine, spec: ContainerSpec) -> None:
    command = ("sh", "-c", "id -u; touch /etc/x; touch /tmp/x && echo ok")
    narrow = replace(spec, command=command, read_only=True, tmpfs=("/tmp",), user="1000")
    container_id = await engine.create_and_start(narrow)
    await engine.wait(container_id)
    assert sorted(await lines_of(engine, container_id)) == [
        ("stderr", "touch: /etc/x: Read-only file system"),
        ("stdout", "1000"),
        ("stdout", "ok"),
    ]


async def test_log_lines_of_every_kind(engine: Engine, spec: ContainerSpec) -> None:
    script = r"""
        printf 'plain\n\nwith return\r\n'
        printf 'error\n' >&2; sleep 0.2
        printf 'bad \377 byte\n'; sleep 0.2
        printf 'ä%.0s' $(seq 20000); printf '\n'; sleep 0.2
        printf 'no newline at the end'
    """
    container_id = await engine.create_and_start(replace(spec, command=("sh", "-c", script)))
    await engine.wait(container_id)
    lines = await lines_of(engine, container_id)
    texts = [text for stream, text in lines if stream == "stdout"]
    assert ("stderr", "error") in lines
    assert texts[:4] == ["plain", "", "with return", "bad � byte"]
    assert texts[-1] == "no newline at the end"
    assert "".join(texts[4:-1]) == "ä" * 20_000
    assert all(len(text.encode()) <= 16_384 for text in texts)


async def test_the_log_goes_on_where_it_was_left(engine: Engine, spec: ContainerSpec) -> None:
    script = "for i in $(seq 100); do echo line $i; done; sleep 0.5; echo late; sleep 600"
    container_id = await engine.create_and_start(replace(spec, command=("sh", "-c", script)))
    seen = []
    async with contextlib.aclosing(engine.logs(container_id, None, follow=True)) as lines:
        async for line in lines:
            seen.append(line)
            if len(seen) == 40:
                break
    async with asyncio.timeout(20), contextlib.aclosing(engine.logs(container_id, seen[-1].at, follow=True)) as lines:
        async for line in lines:
            seen.append(line)
            if line.text == "late":
                break
    assert [line.text for line in seen] == [f"line {number}" for number in range(1, 101)] + ["late"]
    assert all(before.at <= after.at for before, after in itertools.pairwise(seen))


def sockets() -> int:
    links = (Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
    found = 0
    for link in links:
        with contextlib.suppress(OSError):
            found += os.readlink(link).startswith("socket:")
    return found


async def test_followed_logs_close_their_connections(engine: Engine, spec: ContainerSpec) -> None:
    container_id = await engine.create_and_start(replace(spec, command=("sh", "-c", "while true; do echo x; done")))

    async def follow() -> None:
        async for _ in engine.logs(container_id, None, follow=True):
            pass

    async def look() -> None:
        async for _ in engine.logs(container_id, None, follow=True):
            break

    before = sockets()
    tasks = [asyncio.create_task(follow()) for _ in range(30)]
    await asyncio.sleep(0.5)
    assert sockets() >= before + 30
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(30):
        await look()
    await asyncio.sleep(0.2)
    assert sockets() <= before + 1
    await engine.kill(container_id)


async def test_events_of_our_containers_only(engine: Engine, spec: ContainerSpec, docker: Docker) -> None:
    since = time.time() - 1
    docker("run", "--rm", "--network", "none", spec.image, "true")
    container_id = await engine.create_and_start(replace(spec, command=("sh", "-c", "exit 7")))
    seen = []
    async with asyncio.timeout(20), contextlib.aclosing(engine.events(since)) as events:
        async for event in events:
            seen.append(event)
            if event.action == "die":
                break
    assert [event.action for event in seen] == ["create", "start", "die"]
    assert {event.container_id for event in seen} == {container_id}
    assert seen[-1].exit_code == 7
    assert seen[-1].labels["berth.service"] == "web"
    assert abs(seen[-1].at - time.time()) < 30


async def test_volumes_keep_what_is_in_them(engine: Engine, spec: ContainerSpec) -> None:
    name = f"berth-{engine.instance}-data"
    await engine.create_volume(name, {"berth.environment": "1"})
    await engine.create_volume(name, {"berth.environment": "1"})
    mounted = replace(spec, volumes=(VolumeMount(name, "/data"),))
    writer = await engine.create_and_start(replace(mounted, command=("sh", "-c", "echo kept >/data/file")))
    await engine.wait(writer)
    assert await engine.remove_volume(name) is False
    await engine.remove(writer)
    reader = await engine.create_and_start(replace(mounted, command=("cat", "/data/file")))
    await engine.wait(reader)
    assert await lines_of(engine, reader) == [("stdout", "kept")]
    assert [volume.name for volume in await engine.list_volumes()] == [name]
    await engine.remove(reader)
    assert await engine.remove_volume(name) is True
    assert await engine.remove_volume(name) is True


async def test_a_strangers_volume_is_refused(engine: Engine, docker: Docker) -> None:
    name = f"stranger-{engine.instance}"
    docker("volume", "create", name)
    try:
        with pytest.raises(BerthError, match="not part of this installation"):
            await engine.create_volume(name, {})
        with pytest.raises(BerthError, match="not part of this installation"):
            await engine.remove_volume(name)
        assert docker("volume", "ls", "-q", "--filter", f"name={name}") == name
    finally:
        docker("volume", "rm", name)


async def test_images(engine: Engine, spec: ContainerSpec, busybox_image: str) -> None:
    assert await engine.image("berth.test/none:1") is None
    found = await engine.image(busybox_image)
    assert found is not None
    assert found.command == ("sh",)
    assert found.environment["PATH"] == "/bin"
    assert 500_000 < found.size < 10_000_000
    ref = f"berth-{engine.instance}/app:v1"
    await engine.tag(found.id, ref)
    tagged = await engine.image(ref)
    assert tagged is not None
    assert tagged.id == found.id
    assert await engine.remove_image(ref) is True
    assert await engine.remove_image(ref) is True
    assert await engine.image(ref) is None
    assert await engine.image(busybox_image) is not None
    assert await engine.list_images() == []


async def test_an_image_in_use_is_not_removed(engine: Engine, spec: ContainerSpec, docker: Docker) -> None:
    ref = f"berth-{engine.instance}/app:v1"
    docker("import", "--change", f"LABEL berth.instance={engine.instance}", "-", ref, stdin=b"\0" * 1024)
    docker("create", "--name", spec.name, "--label", f"berth.instance={engine.instance}", ref, "true")
    try:
        assert await engine.remove_image(ref) is False
        assert [image.tags for image in await engine.list_images()] == [(ref,)]
    finally:
        docker("rm", "-f", spec.name)


async def test_a_pull_that_cannot_work_says_what_to_do(engine: Engine) -> None:
    with pytest.raises(BerthError) as failure:
        await engine.pull("127.0.0.1:9/nothing/here:1")
    assert "cannot be reached" in failure.value.reason
    assert "BERTH_BASE_IMAGE_PREFIX" in failure.value.fix


async def test_info(engine: Engine) -> None:
    info = await engine.info()
    assert info.buildkit
    assert info.cpus >= 1
    assert info.memory > 100_000_000
    assert Path(info.root_dir).is_absolute()


async def test_refusals_carry_their_status(engine: Engine) -> None:
    with pytest.raises(EngineRefused) as failure:
        await engine.start("0" * 64)
    assert failure.value.status == 404


async def test_an_engine_that_is_down_is_unavailable_and_comes_back(relay: Any, instance: str) -> None:
    async with Engine(relay.url, instance) as engine:
        await relay.stop()
        with pytest.raises(EngineUnavailable, match="no such file"):
            await engine.info()
        with pytest.raises(EngineUnavailable):
            async for _ in engine.events(None):
                pass
        await relay.start()
        assert (await engine.info()).buildkit
        assert await engine.list_containers() == []

        async def watch() -> None:
            async for _ in engine.events(None):
                pass

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.2)
        await relay.stop()
        with contextlib.suppress(EngineUnavailable):
            await asyncio.wait_for(watching, 5)
        with pytest.raises(EngineUnavailable):
            await engine.list_containers()
        await relay.start()
        assert await engine.list_containers() == []


class Registry:
    """As much of a registry as a pull needs: https://distribution.github.io/distribution/spec/api/."""

    def __init__(self, blobs: dict[str, bytes], manifest: bytes, login: str = "") -> None:
        self.blobs, self.manifest, self.login = blobs, manifest, login

    async def answer(self, request: web.Request) -> web.Response:
        if self.login and request.headers.get("Authorization") != self.login:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        path = request.path
        if path == "/v2/":
            return web.json_response({})
        if path.startswith("/v2/app/manifests/") and path.endswith((":1", "/1", digest(self.manifest))):
            kind = "application/vnd.docker.distribution.manifest.v2+json"
            headers = {"Content-Type": kind, "Docker-Content-Digest": digest(self.manifest)}
            return web.Response(body=self.manifest, headers=headers)
        blob = self.blobs.get(path.rpartition("/")[2])
        if blob is None:
            return web.json_response(
                {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, status=404
            )
        return web.Response(body=blob, content_type="application/octet-stream")


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def small_image() -> tuple[dict[str, bytes], bytes]:
    """The blobs and the manifest of an image with one file that is new in every test."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        content = os.urandom(16)
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    packed = gzip.compress(layer.getvalue())
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": "1000", "ExposedPorts": {"8080/tcp": {}, "53/udp": {}}, "Entrypoint": ["/file"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer.getvalue())]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": digest(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(packed),
                    "digest": digest(packed),
                }
            ],
        }
    ).encode()
    return {digest(config): config, digest(packed): packed}, manifest


@contextlib.asynccontextmanager
async def serving(registry: Registry) -> AsyncGenerator[str, None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", registry.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_an_image_is_pulled(engine: Engine) -> None:
    async with serving(Registry(*small_image())) as host:
        ref = f"{host}/app:1"
        await engine.pull(ref)
        image = await engine.image(ref)
        assert image is not None
        assert (image.user, image.exposed_ports, image.entrypoint) == ("1000", (53, 8080), ("/file",))
        assert await engine.remove_image(ref)
        with pytest.raises(BerthError, match=f"The image {host}/app:2 does not exist in its registry"):
            await engine.pull(f"{host}/app:2")


async def test_an_image_is_pulled_with_a_login(engine: Engine) -> None:
    login = "Basic " + base64.b64encode(b"me:secret").decode()
    async with serving(Registry(*small_image(), login)) as host:
        ref = f"{host}/app:1"
        with pytest.raises(BerthError, match="needs a login"):
            await engine.pull(ref)
        await engine.pull(ref, {"username": "me", "password": "secret", "serveraddress": host})
        assert await engine.image(ref) is not None
        assert await engine.remove_image(ref)


async def test_an_address_that_is_none_is_refused(instance: str) -> None:
    with pytest.raises(EngineUnavailable, match="not an address"):
        await Engine("docker", instance).open()


def image_of(user: str) -> ImageInfo:
    return ImageInfo("sha256:0", user, (), 0, {}, (), ())


async def test_capabilities_follow_the_user_of_the_image() -> None:
    assert default_capabilities(image_of("1000:1000")) == ()
    assert default_capabilities(image_of("node")) == ()
    assert "SETUID" in default_capabilities(image_of(""))
    assert default_capabilities(image_of("root")) == default_capabilities(image_of("0:0"))
