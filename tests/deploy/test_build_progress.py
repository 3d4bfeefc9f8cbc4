"""What a build leaves in the log: every step once, the cached ones marked, nothing that is over before it is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.deploy.build_progress import BuildProgress, label, short_name
from bot.engine.build import BuildEvent, StepCached, StepDone, StepFailed, StepOutput, StepStarted

pytestmark = pytest.mark.anyio

COPY, PIP = "[build 4/5] COPY requirements.txt ./", "[build 5/5] RUN --mount=type=cache,id=x,target=/c pip install x"
SHORT_PIP = "[build 5/5] RUN pip install x"


class Lines:
    """Stands where the log's writer is."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def write(self, text: str, *, kind: str, step: str, **_rest: Any) -> None:
        self.lines.append((kind, step, text))


async def written(*moments: list[BuildEvent]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """The lines that events leave which come together in each of the moments, and the steps that were told."""
    lines: Any = Lines()
    told: list[str] = []

    async def tell(step: str) -> None:
        told.append(step)

    progress = BuildProgress(lines, tell)
    for moment in moments:
        for event in moment:
            progress.on_event(event)
        await asyncio.sleep(0)
    await progress.close()
    return lines.lines, told


async def test_a_step_is_told_when_it_starts_and_when_it_took_long() -> None:
    lines, told = await written(
        [StepStarted(COPY, 1, 5)], [StepDone(COPY, 0.1), StepStarted(PIP, 2, 5)], [StepDone(PIP, 3.62)]
    )
    assert lines == [
        ("step", COPY, "started"),
        ("step", SHORT_PIP, "started"),
        ("step", "[build 5/5]", "done in 3.6 s"),
    ]
    assert told == [COPY]


async def test_what_is_cached_has_one_line_that_says_so() -> None:
    lines, _ = await written([StepStarted(COPY, 1, 5), StepCached(COPY), StepStarted(PIP, 2, 5), StepCached(PIP)])
    assert lines == [("step", COPY, "cached"), ("step", SHORT_PIP, "cached")]


async def test_a_step_found_in_the_cache_late_has_both() -> None:
    lines, _ = await written([StepStarted(COPY, 1, 5)], [StepCached(COPY)])
    assert lines == [("step", COPY, "started"), ("step", COPY, "cached")]


async def test_output_comes_after_the_start_of_its_step() -> None:
    lines, _ = await written([StepStarted(PIP, 1, 5), StepOutput(PIP, "Collecting x", "stdout")])
    assert lines == [("step", SHORT_PIP, "started"), ("line", SHORT_PIP, "Collecting x")]


async def test_the_engines_own_work_is_told_only_when_it_was_slow() -> None:
    quick, slow = "[internal] load build context", "[internal] load metadata for python:3.13-slim"
    lines, told = await written(
        [StepStarted(quick, 0, 0), StepDone(quick, 0.2), StepStarted(slow, 0, 0)],
        [StepDone(slow, 5.0), StepStarted("exporting to image", 0, 0), StepCached("exporting to image")],
    )
    assert lines == [("step", slow, "done in 5.0 s")]
    assert told == [quick]


async def test_a_failure_is_always_told() -> None:
    lines, _ = await written([StepStarted(PIP, 1, 5), StepFailed(PIP, "exit code: 1")])
    assert lines == [("step", SHORT_PIP, "started"), ("step", "[build 5/5]", "failed: exit code: 1")]


async def test_names_for_people() -> None:
    assert short_name("[2/3] RUN --network=none --mount=type=secret,id=A make") == "[2/3] RUN make"
    assert len(short_name("[2/3] RUN " + "x" * 300)) == 96
    assert (label("[2/3] RUN make"), label("[internal] load"), label("exporting")) == (
        "[2/3]",
        "[internal] load",
        "exporting",
    )
