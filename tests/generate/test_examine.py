"""The process that looks at a checkout: its limits, and what is said when it exceeds them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.generate import examine as module
from bot.generate.examine import ExaminationFailed, examine, ready_worker
from tests.detect.samples import ALL

pytestmark = pytest.mark.anyio


def write(folder: Path, name: str) -> Path:
    for path, content in ALL[name].files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


async def test_gives_detection_and_files(tmp_path: Path) -> None:
    found = await examine(
        write(tmp_path, "express"),
        {"port": 4000},
        image_prefix="mirror.example/",
        cache_id="r9",
        build_secrets=("TOKEN",),
    )
    assert (found.detection.framework, found.detection.port) == ("express", 4000)
    assert found.files
    assert set(found.files) == {"Dockerfile", ".dockerignore", "docker-compose.yml"}
    assert "id=r9-npm" in found.files["Dockerfile"]
    assert "id=TOKEN" in found.files["Dockerfile"]
    assert found.base_images == ("mirror.example/node:22-slim",)
    assert found.explanation


async def test_versions_fit_the_images_that_can_be_had(tmp_path: Path) -> None:
    found = await examine(write(tmp_path, "plain server without a manifest"), {}, images={"python:3.11-slim"})
    assert found.base_images == ("python:3.11-slim",)


async def test_nothing_to_deploy_is_an_answer(tmp_path: Path) -> None:
    found = await examine(tmp_path, {})
    assert found.files is None
    assert found.detection.stack == "none"
    assert found.detection.warnings


async def test_a_folder_below_is_looked_at_with_its_own_dockerignore(tmp_path: Path) -> None:
    write(tmp_path, "one application in a folder")
    (tmp_path / "server" / ".dockerignore").write_text("x")
    found = await examine(tmp_path, {})
    assert found.detection.root == "server"
    assert found.files
    assert ".dockerignore" not in found.files


async def test_is_killed_when_it_is_late(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for number in range(3000):
        (tmp_path / f"{number}.html").write_text("")
    start = time.monotonic()
    with pytest.raises(ExaminationFailed, match=r"within 0\.01 seconds"):
        await examine(tmp_path, {}, timeout=0.01)
    assert time.monotonic() - start < 5
    assert children() == []


async def test_is_killed_when_the_caller_is_cancelled(tmp_path: Path) -> None:
    task = asyncio.create_task(examine(tmp_path, {}))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


async def test_a_worker_that_was_started_ahead(tmp_path: Path) -> None:
    async with ready_worker() as worker:
        found = await examine(write(tmp_path, "express"), {}, worker=worker)
        assert found.detection.framework == "express"
    async with ready_worker() as unused:
        assert unused.returncode is None
        assert children() != []
    assert children() == []


async def test_a_worker_that_is_late_ends_with_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "worker.py"
    program.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(module, "WORKER", (str(program),))
    with pytest.raises(ExaminationFailed, match=r"within 0\.1 seconds"):
        async with ready_worker() as worker:
            await examine(tmp_path, {}, timeout=0.1, worker=worker)
    assert children() == []


@pytest.mark.slow
async def test_limits_of_memory_and_time_have_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's program is replaced by one that misbehaves after it has set the same limits."""
    worker = tmp_path / "worker.py"
    monkeypatch.setattr(module, "WORKER", (str(worker),))
    limits = "import json, os, sys\nfrom bot.generate import worker\nworker.limit(1)\n"
    for code, words in {
        "x = bytearray(3 * 1024 ** 3)": "more memory",
        "while True: pass": "processor time",
        "open('/tmp/x', 'w').write('x')": "could not be read",
        "print('no json')": "could not be read",
        "os.kill(os.getpid(), 11)": "could not be read",
        "sys.exit(3)": "could not be read",
    }.items():
        worker.write_text(limits + code + "\n")
        with pytest.raises(ExaminationFailed, match=words) as caught:
            await examine(tmp_path, {}, timeout=10)
        assert caught.value.fix


async def test_has_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import os, sys\nsys.exit(','.join(sorted(os.environ)))\n")
    monkeypatch.setattr(module, "WORKER", (str(worker),))
    monkeypatch.setenv("BERTH_SECRET_KEYS", "secret")
    with pytest.raises(ExaminationFailed) as caught:
        await examine(tmp_path, {})
    assert "LANG,LC_CTYPE,PATH" in caught.value.reason or "LANG,PATH" in caught.value.reason


@pytest.mark.slow
async def test_starts_quickly(tmp_path: Path) -> None:
    write(tmp_path, "flask")
    took = []
    for _ in range(5):
        start = time.monotonic()
        await examine(tmp_path, {})
        took.append(time.monotonic() - start)
    assert min(took) < 4  # about 0.12 on a machine that does nothing else


def children() -> list[str]:
    """Workers of this process that are still there."""
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    return [line for line in listed if "bot.generate.worker" in line and sys.executable in line]
