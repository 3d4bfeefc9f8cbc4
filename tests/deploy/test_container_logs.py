"""The copying of containers' output: against a real engine, and against one whose log is played by hand."""

import asyncio
import contextlib
import itertools
import random
import secrets
import subprocess
import time
from dataclasses import dataclass, field

import psutil
import pytest

from bot.deploy.logs import ContainerLogs, LogStore
from bot.deploy.masking import MASK, Masker
from bot.engine.docker import EngineRefused, EngineUnavailable
from bot.engine.frames import LogLine

pytest_plugins = ["tests.engine.conftest", "tests.deploy.log_fixtures"]
pytestmark = [pytest.mark.anyio, pytest.mark.slow]
NOBODY = Masker(())


# ---------------------------------------------------------------- a log played by hand


@dataclass
class PlayedEngine:
    """One container's log as the engine tells it: all that is there, then what comes, until the container ends."""

    lines: list[LogLine] = field(default_factory=list)
    running: bool = True
    away: bool = False
    gone: bool = False
    followers: int = 0
    most_followers: int = 0
    asked: list[float | None] = field(default_factory=list)

    async def logs(self, container_id, since, follow):
        self.asked.append(since)
        self.followers += 1
        self.most_followers = max(self.followers, self.most_followers)
        try:
            for position in itertools.count():
                while position >= len(self.lines) and not self.away:
                    if not (follow and self.running):
                        return
                    await asyncio.sleep(0.005)
                if self.gone:
                    raise EngineRefused("There is no such container.", status=404)
                if self.away:
                    raise EngineUnavailable("The engine does not answer.")
                line = self.lines[position]
                if since is None or line.at > since:
                    yield line
        finally:
            self.followers -= 1

    def say(self, *texts, stream="stdout", at=None):
        for text in texts:
            self.lines.append(LogLine(time.time() if at is None else at, stream, text))


async def _texts(kept, deployment=1, instance=5):
    return [line.text for line in (await kept.read(deployment, instance, tail=1_000_000)).lines]


async def _until(condition, seconds=5.0):
    begun = time.monotonic()
    while not await condition():
        assert time.monotonic() - begun < seconds
        await asyncio.sleep(0.02)


async def test_one_reader_however_many_look_on(kept):
    engine = PlayedEngine()
    containers = ContainerLogs(engine, kept)
    engine.say("starting with hunter22")
    await asyncio.gather(*(containers.attach(5, 1, "c1", Masker(["hunter22"])) for _ in range(3)))

    async def look_on():
        return [line.text async for line in kept.follow(1, 5)]

    viewers = [asyncio.create_task(look_on()) for _ in range(10)]
    await asyncio.sleep(0.1)
    engine.say("listening", stream="stderr")
    await asyncio.sleep(0.1)
    engine.say("last words")
    engine.running = False
    await containers.detach(5)
    await containers.detach(5)
    expected = [f"starting with {MASK}", "listening", "last words"]
    assert await asyncio.gather(*viewers) == [expected] * 10
    page = await kept.read(1, 5)
    assert [line.source for line in page.lines] == ["stdout", "stderr", "stdout"]
    assert page.closed
    assert engine.most_followers == 1
    assert engine.followers == 0


async def test_resumes_after_a_restart_without_loss_or_duplicates(kept, database, log_folder):
    """Times repeat and are a little out of order, as they are where two streams are copied side by side."""
    engine = PlayedEngine()
    chance = random.Random(1)
    begun = time.time()

    def say(first, last):
        for number in range(first, last):
            stream = chance.choice(["stdout", "stderr"])
            engine.say(f"line {number}", stream=stream, at=begun + number // 3 * 0.001 - chance.choice([0, 0.003]))

    for part in range(6):
        kept_now = LogStore(log_folder, database, max_bytes=10_000_000, keep_days=1)
        containers = ContainerLogs(engine, kept_now)
        say(part * 1000, part * 1000 + 500)
        await containers.attach(5, 1, "c1", NOBODY)
        await asyncio.sleep(0.15)
        say(part * 1000 + 500, part * 1000 + 900)
        await asyncio.sleep(chance.random() * 0.1)
        await containers.close()  # Berth stops
        say(part * 1000 + 900, part * 1000 + 1000)
    kept_now = LogStore(log_folder, database, max_bytes=10_000_000, keep_days=1)
    containers = ContainerLogs(engine, kept_now)
    await containers.attach(5, 1, "c1", NOBODY)
    engine.running = False
    await containers.detach(5)
    assert await _texts(kept_now) == [f"line {number}" for number in range(6000)]
    assert engine.asked[0] is None
    assert engine.asked[-1] > begun, "it does not ask for everything again"


async def test_engine_that_goes_away(kept):
    engine = PlayedEngine()
    containers = ContainerLogs(engine, kept)
    engine.say("before")
    await containers.attach(5, 1, "c1", NOBODY)
    await asyncio.sleep(0.2)
    engine.away = True
    engine.say("while it was away")
    await asyncio.sleep(0.3)
    engine.away = False

    async def there():
        return await _texts(kept) == ["before", "while it was away"]

    await _until(there)
    await containers.close()
    assert engine.followers == 0


async def test_container_that_restarts(kept):
    """Docker keeps one log over the restarts of a container; a stream of it ends with each of its lives."""
    engine = PlayedEngine()
    containers = ContainerLogs(engine, kept)
    await containers.attach(5, 1, "c1", NOBODY)
    for life in range(3):
        engine.running = True
        engine.say(f"life {life}")
        await asyncio.sleep(0.1)
        engine.running = False
        await asyncio.sleep(0.1)

    async def there():
        return await _texts(kept) == ["life 0", "life 1", "life 2"]

    await _until(there)
    await containers.close()


async def test_container_that_is_gone(kept):
    engine = PlayedEngine(gone=True)
    engine.say("never seen")
    containers = ContainerLogs(engine, kept)
    await containers.attach(5, 1, "c1", NOBODY)
    await asyncio.sleep(0.1)
    await containers.detach(5)
    page = await kept.read(1, 5)
    assert (page.lines, page.closed) == ([], True)


async def test_detach_has_a_deadline(kept, monkeypatch):
    monkeypatch.setattr("bot.deploy.logs._DRAIN_SECONDS", 0.2)
    engine = PlayedEngine()
    containers = ContainerLogs(engine, kept)
    await containers.attach(5, 1, "c1", NOBODY)
    engine.say("kept")
    await asyncio.sleep(0.2)

    async def endless(container_id, since, follow):
        await asyncio.sleep(3600)
        yield LogLine(0, "stdout", "never")

    engine.logs = endless
    async with asyncio.timeout(2):
        await containers.detach(5)
    page = await kept.read(1, 5)
    assert ([line.text for line in page.lines], page.closed) == (["kept", "… the rest was not read …"], True)


async def test_another_container_of_the_same_instance(kept):
    first, containers = PlayedEngine(), None
    containers = ContainerLogs(first, kept)
    first.say("first")
    await containers.attach(5, 1, "c1", NOBODY)
    first.running = False
    first.say("second", at=time.time() + 1)
    await containers.attach(5, 1, "c2", NOBODY)
    await asyncio.sleep(0.2)
    assert await _texts(kept) == ["first", "second"]
    assert not (await kept.read(1, 5)).closed
    await containers.close()
    assert (await kept.read(1, 5)).closed


# ---------------------------------------------------------------- a real engine


@pytest.fixture
def run(busybox_image, instance):
    """Starts a container that runs a shell script; returns its id. All are removed afterwards."""
    started = []

    def start(script, *options):
        name = f"berth-{instance}-{secrets.token_hex(3)}"
        command = ["docker", "run", "-d", "--name", name, *options, busybox_image, "sh", "-c", script]
        started.append(name)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    yield start
    for name in started:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


@pytest.mark.docker
async def test_log_of_an_instance_that_died_is_kept(kept, engine, run):
    containers = ContainerLogs(engine, kept)
    container = run("echo out; echo err >&2; printf 'no newline, password hunter22'; exit 3")
    await containers.attach(5, 1, container, Masker(["hunter22"]))
    await engine.wait(container)
    await containers.detach(5)
    await engine.remove(container)
    page = await kept.read(1, 5)
    assert sorted(line.text for line in page.lines) == ["err", f"no newline, password {MASK}", "out"]
    assert {line.text: line.source for line in page.lines}["err"] == "stderr"
    assert page.closed


@pytest.mark.docker
async def test_restarts_of_berth_and_of_the_container(database, log_folder, engine, run):
    script = "i=0; while [ $i -lt 400 ]; do echo line $i; echo line $i >&2; i=$((i+1)); usleep 5000; done; sleep 60"
    container = run(script)
    begun = time.monotonic()
    while time.monotonic() - begun < 4:
        kept = LogStore(log_folder, database, max_bytes=1_000_000, keep_days=14)
        containers = ContainerLogs(engine, kept)
        await containers.attach(5, 1, container, NOBODY)
        await asyncio.sleep(0.4)
        await containers.close()
    containers = ContainerLogs(engine, kept)
    await containers.attach(5, 1, container, NOBODY)
    await engine.kill(container)
    await engine.start(container)

    async def second_life():
        return (await _texts(kept)).count("line 30") == 4

    await _until(second_life, 15)
    await engine.kill(container)
    await containers.detach(5)
    page = await kept.read(1, 5, tail=1_000_000)
    for source in ("stdout", "stderr"):
        texts = [line.text for line in page.lines if line.source == source]
        first = texts.index("line 0", 1)
        assert texts[:first] == [f"line {number}" for number in range(400)]
        assert texts[first:] == [f"line {number}" for number in range(len(texts) - first)]


@pytest.mark.docker
@pytest.mark.slow
async def test_container_that_floods_its_log(kept, engine, run, monkeypatch):
    """100 MB. The loop must go on turning, memory must not grow, and the last words must be there."""
    monkeypatch.setattr("bot.deploy.logs._DRAIN_SECONDS", 60.0)  # a busy machine needs longer to read it to the end
    limits = ("--log-opt", "max-size=10m", "--log-opt", "max-file=2")  # as Berth starts its containers
    text = "flood flood flood flood flood flood flood flood flood flood"
    container = run(f"yes '{text}' | head -c 100000000; echo; echo the end", *limits)
    containers = ContainerLogs(engine, kept)
    await containers.attach(5, 1, container, Masker(["some-secret-value", "another-secret"]))
    turns, waiting = [], asyncio.create_task(engine.wait(container))
    before_flood = psutil.Process().memory_info().rss
    largest = 0
    begun = time.perf_counter()
    while not waiting.done():
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        turns.append(time.perf_counter() - before)
        largest = max(largest, psutil.Process().memory_info().rss)
    ended = time.perf_counter()
    await containers.detach(5)
    print(f"detached in {time.perf_counter() - ended:.1f} s")
    grown = largest - before_flood
    turns.sort()
    print(f"flood of 100 MB: {time.perf_counter() - begun:.1f} s, {grown / 1e6:.0f} MB more memory,")
    print(f"turns of the loop: median {turns[len(turns) // 2] * 1000:.0f} ms, longest {turns[-1] * 1000:.0f} ms")
    assert grown < 60_000_000
    assert turns[len(turns) // 2] < 0.5, "the loop hung"
    assert (await _texts(kept))[-1] == "the end"
