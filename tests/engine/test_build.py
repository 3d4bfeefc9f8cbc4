"""Builds on the real engine: what succeeds, what fails and how that is said, and what is left when one is ended."""

import asyncio
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.engine.build import (
    Builder,
    BuildEvent,
    BuildFailed,
    BuildRequest,
    BuildResult,
    StepCached,
    StepDone,
    StepFailed,
    StepOutput,
    StepStarted,
)
from bot.engine.docker import Engine, EngineUnavailable
from bot.errors import BerthError

pytestmark = [pytest.mark.anyio, pytest.mark.docker]


class Builds:
    """Builds in a folder of their own, with the events that they told."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.builder = Builder(engine)
        self.events: list[BuildEvent] = []
        self.tag = f"berth-{engine.instance}/app:v1"

    async def __call__(self, dockerfile: str, timeout: float = 120, **more: object) -> BuildResult:
        self.events.clear()
        request = BuildRequest(self.folder, dockerfile, tag=self.tag, **{"dockerignore": None, **more})  # type: ignore[arg-type]
        return await self.builder.build(request, self.events.append, timeout)

    async def fails(self, dockerfile: str, timeout: float = 120, **more: object) -> BuildFailed:
        with pytest.raises(BuildFailed) as failure:
            await self(dockerfile, timeout, **more)
        return failure.value

    def output(self, step: str = "") -> list[str]:
        return [event.text for event in self.events if isinstance(event, StepOutput) and step in event.step]

    async def until(self, text: str) -> None:
        """Wait until a running build has printed ``text``."""
        async with asyncio.timeout(30):
            while text not in self.output():
                await asyncio.sleep(0.02)

    def steps(self, kind: type[BuildEvent]) -> list[str]:
        return [event.step for event in self.events if isinstance(event, kind) and re.match(r"\[.*\d/\d\]", event.step)]


@pytest.fixture
def build(engine: Engine, folder: Path) -> Builds:
    return Builds(engine, folder)


@pytest.fixture
def base(busybox_image: str) -> str:
    """A FROM line, and a line that makes everything after it new in each test."""
    return f"FROM {busybox_image}\nENV NONCE={secrets.token_hex(8)}\n"


def processes_with(text: str) -> list[str]:
    found = subprocess.run(["pgrep", "-af", text], capture_output=True, text=True, check=False).stdout.splitlines()
    return [line for line in found if "pgrep" not in line]


async def test_an_image_is_built_with_its_labels_args_and_files(build: Builds, base: str) -> None:
    (build.folder / "file.txt").write_text("content")
    (build.folder / "run.sh").write_text("#!/bin/sh\necho ran")
    (build.folder / "run.sh").chmod(0o700)
    dockerfile = base + (
        "ARG COLOUR\nWORKDIR /app\nCOPY . .\n"
        "RUN echo colour $COLOUR; cat file.txt; ./run.sh; stat -c '%a %u:%g %n' file.txt run.sh; echo oops >&2\n"
    )
    result = await build(dockerfile, args={"COLOUR": "dark blue"}, labels={"berth.environment": "7"})
    image = await build.engine.image(build.tag)
    assert image is not None
    assert image.id == result.image_id
    assert image.labels == {
        "berth.environment": "7",
        "berth.instance": build.engine.instance,
        "berth.test": "busybox",
    }
    # The two streams of a step may overtake each other.
    printed = [(event.stream, event.text) for event in build.events if isinstance(event, StepOutput)]
    assert [text for stream, text in printed if stream == "stdout"] == [
        "colour dark blue",
        "contentran",
        "644 0:0 file.txt",
        "755 0:0 run.sh",
    ]
    assert [text for stream, text in printed if stream == "stderr"] == ["oops"]
    assert result.steps == 4
    assert result.cached_steps <= 1  # the base may have been used before
    assert [event.number for event in build.events if isinstance(event, StepStarted) and event.number] == [1, 2, 3, 4]
    assert {event.total for event in build.events if isinstance(event, StepStarted) and event.number} == {4}
    assert len(build.steps(StepDone) + build.steps(StepCached)) == 4

    again = await build(dockerfile, args={"COLOUR": "dark blue"}, labels={"berth.environment": "7"})
    assert again.image_id == result.image_id
    assert again.steps == 4
    assert again.cached_steps >= 3  # BuildKit does not look at the base again when all that follows is known
    assert len(build.steps(StepCached)) == again.cached_steps
    assert sorted(build.steps(StepDone) + build.steps(StepCached)) == sorted(build.steps(StepStarted))


async def test_a_target_and_stages(build: Builds, base: str) -> None:
    first = f"{base.replace('FROM', 'FROM', 1).splitlines()[0]} AS one\n{base.splitlines()[1]}\nRUN echo one > /one\n"
    dockerfile = first + f"{base.splitlines()[0]} AS two\nCOPY --from=one /one /two\nRUN exit 9\n"
    await build(dockerfile, target="one")
    assert [step for step in build.steps(StepStarted) if "RUN" in step] == ["[one 2/2] RUN echo one > /one"]
    failure = await build.fails(dockerfile)
    assert failure.step == "[two 3/3] RUN exit 9"


async def test_a_command_that_fails(build: Builds, base: str) -> None:
    failure = await build.fails(base + "RUN echo before; exit 42\nRUN echo never\n")
    assert failure.exit_code == 42
    assert failure.step == "[2/3] RUN echo before; exit 42"
    assert failure.reason == "`RUN echo before; exit 42` failed with exit code 42."
    assert build.output() == ["before"]
    assert build.steps(StepFailed) == [failure.step]
    assert await build.engine.image(build.tag) is None


async def test_a_full_disk_is_named(build: Builds, base: str) -> None:
    failure = await build.fails(base + "RUN echo 'write /x: No space left on device' >&2; exit 1\n")
    assert failure.reason == "There is no space left on the Docker host."


async def test_a_program_that_is_not_there(build: Builds, base: str) -> None:
    failure = await build.fails(base + "RUN bundle install\n")
    assert failure.exit_code == 127
    assert "no such program" in failure.fix


async def test_a_command_that_is_killed(build: Builds, base: str) -> None:
    failure = await build.fails(base + "RUN sh -c 'kill -9 $$; true'; exit $?\n")
    assert failure.exit_code == 137
    assert "memory" in failure.reason


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        ("FROM scratch\nFOO bar\n", r"The Dockerfile is wrong in line 2: unknown instruction: FOO"),
        ("", "no FROM line"),
        ("# only a comment\n", "no FROM line"),
        ("FROM scratch\nRUN --mount=type=what true\n", "The Dockerfile is wrong in line 2|invalid mount type|what"),
        ("FROM scratch\nCOPY\n", "line 2"),
        ("ARG BASE\nFROM $BASE\n", r"FROM names no image: \$BASE is empty"),
    ],
)
async def test_a_dockerfile_that_is_wrong(build: Builds, dockerfile: str, reason: str) -> None:
    failure = await build.fails(dockerfile)
    assert failure.exit_code is None
    assert re.search(reason, failure.reason), failure.reason


async def test_a_file_that_is_not_there(build: Builds, base: str) -> None:
    failure = await build.fails(base + "COPY package.json /app/\n")
    assert failure.reason == "The Dockerfile copies /package.json (`COPY package.json /app/`), which does not exist."
    assert "committed" in failure.fix


async def test_a_file_that_the_dockerignore_leaves_out(build: Builds, base: str) -> None:
    (build.folder / "dist").mkdir()
    (build.folder / "dist/app.js").write_text("1")
    failure = await build.fails(base + "COPY dist/app.js /app/\n", dockerignore="# made files\n\ndist\n")
    assert "the .dockerignore leaves it out" in failure.reason
    assert "line 3 (dist)" in failure.fix


async def test_a_file_that_another_stage_does_not_have(build: Builds, base: str) -> None:
    dockerfile = (
        base.replace("busybox:1", "busybox:1 AS made") + f"{base.splitlines()[0]}\nCOPY --from=made /dist /app\n"
    )
    failure = await build.fails(dockerfile)
    assert "copies /dist from made" in failure.reason


async def test_a_base_image_that_cannot_be_had(build: Builds) -> None:
    failure = await build.fails("FROM berth-test-none:1.2\nRUN true\n")
    assert failure.missing_image == "berth-test-none:1.2"
    assert "base image berth-test-none:1.2" in failure.reason
    assert "BERTH_BASE_IMAGE_PREFIX" in failure.fix


async def test_other_images_that_cannot_be_had(build: Builds, base: str) -> None:
    failure = await build.fails(base + "COPY --from=berth-test-none:3 /a /b\n")
    assert failure.missing_image == "berth-test-none:3"
    failure = await build.fails("# syntax=berth-test-none/dockerfile:9\n" + base)
    assert failure.missing_image == "berth-test-none/dockerfile:9"
    assert "# syntax=" in failure.fix


async def test_a_stage_and_a_user_that_are_not_there(build: Builds, base: str) -> None:
    assert (await build.fails(base, target="nope")).reason == "The Dockerfile has no stage named nope."
    failure = await build.fails(base + "USER nobody9\nRUN true\n")
    assert failure.reason == "The image has no user named nobody9."


async def test_the_engine_applies_no_dockerignore_of_its_own(build: Builds, base: str) -> None:
    (build.folder / ".dockerignore").write_text("file\n")
    (build.folder / "file").write_text("there")
    await build(base + "COPY . /all\nRUN cat /all/file\n")
    assert build.output("RUN") == ["there"]


async def test_a_cancelled_build_is_gone(build: Builds, base: str) -> None:
    mark = secrets.randbelow(100_000) + 500_000
    task = asyncio.create_task(build(base + f"RUN echo running; sleep {mark}\n"))
    await build.until("running")
    assert processes_with(f"sleep {mark}")
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not processes_with(f"sleep {mark}")
    assert time.monotonic() - began < 5
    assert build.steps(StepFailed)


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.05, 0.2])
async def test_a_build_cancelled_while_the_context_is_sent(build: Builds, base: str, moment: float) -> None:
    for number in range(40):
        (build.folder / f"{number}").write_bytes(os.urandom(1_000_000))
    task = asyncio.create_task(build(base + "COPY . /all\n"))
    await asyncio.sleep(moment)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert "build context" not in [thread.name for thread in threading.enumerate()]
    assert await build.engine.image(build.tag) is None


async def test_a_build_that_takes_too_long_is_ended(build: Builds, base: str) -> None:
    mark = secrets.randbelow(100_000) + 600_000
    failure = await build.fails(base + f"RUN sleep {mark}\n", timeout=2)
    assert failure.reason == "The build took longer than 2 s and was ended."
    assert failure.step == f"[2/2] RUN sleep {mark}"
    assert not processes_with(f"sleep {mark}")


async def test_two_builds_at_once_do_not_disturb_each_other(build: Builds, base: str, engine: Engine) -> None:
    other = Builds(engine, build.folder)
    other.tag = build.tag + "b"
    slow = asyncio.create_task(build(base + "RUN sleep 2; echo shared\n"))
    same = asyncio.create_task(other(base + "RUN sleep 2; echo shared\n"))
    await asyncio.sleep(1)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await same).image_id


async def test_output_of_every_kind(build: Builds, base: str) -> None:
    script = (
        "printf 'no newline'; sleep 0.3; printf ' but more\\n'; printf 'half \\303'; sleep 0.3; printf '\\244\\n'; "
        "printf 'bad \\377\\n'; printf '10%%\\r50%%\\r100%%\\n'; printf 'last'"
    )
    await build(base + f"RUN {script}\n")
    assert build.output("RUN") == ["no newline but more", "half ä", "bad �", "100%", "last"]


async def test_a_line_without_end_is_split(build: Builds, base: str) -> None:
    await build(base + "RUN head -c 300000 /dev/zero | tr '\\0' x\n")
    output = build.output("RUN")
    assert max(map(len, output)) <= 16_384
    assert sum(line.count("x") for line in output) > 100_000


async def test_a_flood_of_output_does_not_stop_the_build(build: Builds, base: str) -> None:
    await build(base + "RUN seq 300000\n")
    assert build.output("RUN")[:3] == ["1", "2", "3"]


async def test_a_context_of_twenty_thousand_files(build: Builds, base: str) -> None:
    for number in range(20_000):
        if number % 1000 == 0:
            (build.folder / f"d{number}").mkdir()
        (build.folder / f"d{number - number % 1000}/{number}").write_text(str(number))
    await build(base + "COPY . /all\nRUN find /all -type f | wc -l; cat /all/d19000/19999\n", dockerignore="d0\n")
    assert build.output("RUN") == ["19001", "19999"]  # and the Dockerfile


async def test_hostile_names(build: Builds, base: str) -> None:
    names = [b"new\nline", b"-rf", b"not utf-8 \xff\xfe", "ümlaut".encode(), b"with space", b"$(id)", b"a" * 255]
    for name in names:
        (build.folder / os.fsdecode(name)).write_text("x")
    os.symlink("/etc/passwd", build.folder / "absolute")
    os.symlink("../../../../etc/passwd", build.folder / "above")
    os.mkfifo(build.folder / "pipe")
    await build(base + 'COPY . /all\nRUN cd /all; ls -1 | wc -l; for f in *; do echo "$f" | od -c | head -2; done\n')
    assert build.output("RUN")[0] == str(len(names) + 2 + 1)  # a name with a newline is two lines of ls
    assert await build.engine.image(build.tag) is not None


async def test_an_engine_that_goes_away_during_a_build(
    build: Builds, base: str, relay: Any, folder: Path, instance: str
) -> None:
    (folder / "big").write_bytes(os.urandom(3_000_000))
    async with Engine(relay.url, instance) as far:
        build.builder = Builder(far)
        task = asyncio.create_task(build(base + "COPY . /x\nRUN echo running; sleep 60\n"))
        await build.until("running")
        await relay.stop()
        with pytest.raises(EngineUnavailable):
            await asyncio.wait_for(task, 10)
        assert "build context" not in [thread.name for thread in threading.enumerate()]


async def test_a_context_that_cannot_be_read(build: Builds, base: str) -> None:
    build.folder = build.folder / "missing"
    with pytest.raises(BerthError, match="The build context cannot be read"):
        await build(base)


SECRET = "RUN --mount=type=secret,id=TOKEN "


async def test_a_secret_is_mounted_and_stays_nowhere(build: Builds, base: str, docker: Callable[..., str]) -> None:
    (build.folder / "file").write_text("x")
    value = f"hunter2 {secrets.token_hex(8)}\nsecond line"
    dockerfile = base + "ARG COLOUR\nCOPY . /app\n" + SECRET + "wc -c </run/secrets/TOKEN; echo $COLOUR; ls /app\n"
    result = await build(dockerfile, secrets={"TOKEN": value}, args={"COLOUR": "red"}, labels={"a": "b c"})
    assert build.output("RUN") == [str(len(value)), "red", "Dockerfile", "file"]
    image = await build.engine.image(build.tag)
    assert image is not None
    assert image.id == result.image_id
    assert (image.labels["a"], image.labels["berth.instance"]) == ("b c", build.engine.instance)
    assert (result.steps, len(build.steps(StepStarted))) == (3, 3)
    assert len(build.steps(StepDone) + build.steps(StepCached)) == 3
    assert value.split()[1] not in docker("history", "--no-trunc", build.tag) + docker("inspect", build.tag)
    again = await build(dockerfile, secrets={"TOKEN": "another"}, args={"COLOUR": "red"}, labels={"a": "b c"})
    assert again.cached_steps >= 2


async def test_failures_with_secrets_are_told_alike(build: Builds, base: str) -> None:
    failure = await build.fails(base + SECRET + "echo before; exit 5\n", secrets={"TOKEN": "x"})
    assert (failure.exit_code, failure.step) == (5, f"[2/2] {SECRET}echo before; exit 5")
    assert build.output("RUN") == ["before"]
    assert build.steps(StepFailed) == [failure.step]
    failure = await build.fails("FROM scratch\nFOO\n", secrets={"TOKEN": "x"})
    assert "line 2" in failure.reason
    failure = await build.fails("FROM berth-test-none:1\n" + SECRET + "true\n", secrets={"TOKEN": "x"})
    assert failure.missing_image == "berth-test-none:1"
    failure = await build.fails(base + "COPY none /\n" + SECRET + "true\n", secrets={"TOKEN": "x"})
    assert "copies /none" in failure.reason


async def test_a_secret_that_is_not_set_is_named(build: Builds, base: str) -> None:
    failure = await build.fails(base + "RUN --mount=type=secret,id=TOKEN,required cat /run/secrets/TOKEN\n")
    assert "build secret" in failure.reason


async def test_secrets_that_cannot_be_passed_are_refused(build: Builds, base: str) -> None:
    for name, value in (("a,src=/etc/shadow", "x"), ("TOKEN", "a\0b"), ("TOKEN", "x" * 200_000), ("", "x")):
        with pytest.raises(BerthError, match=r"name of a build secret|longer than 128 KB"):
            await build(base, secrets={name: value})


@pytest.mark.parametrize("deadline", [None, 3.0])
async def test_a_build_with_secrets_is_ended_for_sure(build: Builds, base: str, deadline: float | None) -> None:
    mark = secrets.randbelow(100_000) + 700_000
    dockerfile = base + SECRET + f"echo running; sleep {mark}\n"
    task = asyncio.create_task(build(dockerfile, deadline or 60, secrets={"TOKEN": "x"}))
    await build.until("running")
    assert processes_with(f"sleep {mark}")
    if deadline is None:
        task.cancel()
    with pytest.raises((asyncio.CancelledError, BuildFailed)):
        await task
    assert not processes_with(f"sleep {mark}")
    assert not processes_with(build.tag)


async def test_a_client_that_ends_before_it_has_read_the_context(build: Builds, base: str) -> None:
    for number in range(20):
        (build.folder / f"{number}").write_bytes(os.urandom(1_000_000))
    build.tag = "NOT/A:VALID:TAG"
    failure = await build.fails(base, secrets={"TOKEN": "x"})
    assert "invalid" in failure.reason
