"""Detection is quick: 5 ms in the median, 1 s for a tree of 100,000 files. Limits leave room for a busy machine."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from bot.detect import Repository, detect
from tests.detect.samples import ALL

pytestmark = pytest.mark.slow


def test_samples_take_milliseconds() -> None:
    took = []
    for sample in ALL.values():
        start = time.perf_counter()
        detect(Repository.from_files(sample.files), sample.settings)
        took.append((time.perf_counter() - start) * 1000)
    print(print(f"median {statistics.median(took):.2f} ms, most {max(took):.2f} ms"))
    assert statistics.median(took) < 50
    assert max(took) < 2500


def test_a_large_repository(tmp_path: Path) -> None:
    for number in range(300):
        folder = tmp_path / f"package{number % 20}" / f"module{number}"
        folder.mkdir(parents=True)
        for name in ("main.py", "app.py", "index.js", "package.json", "readme.md", "util.py", "data.json"):
            (folder / name).write_text("import os\n" * 200 if name.endswith(".py") else "{}")
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "wsgi.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    start = time.perf_counter()
    found = detect(Repository.from_directory(tmp_path))
    took = time.perf_counter() - start
    assert found.framework == "flask"
    assert took < 5


def test_a_hundred_thousand_files(tmp_path: Path) -> None:
    for outer in range(100):
        folder = tmp_path / f"f{outer:02}"
        folder.mkdir()
        first = folder / "0000"
        first.write_text("")
        for inner in range(1, 1000):
            (folder / f"{inner:04}").hardlink_to(first)
    (tmp_path / "index.html").write_text("")
    start = time.perf_counter()
    found = detect(Repository.from_directory(tmp_path))
    took = time.perf_counter() - start
    print(f"{took:.2f} s")
    assert found.stack == "static"
    assert took < 10
