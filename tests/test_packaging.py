"""``pip install .`` alone gives a working ``berth``: templates, migrations and the App's manifest come along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

CHECK = """
import asyncio, pathlib, sys
import bot
from bot.store.migrate import migrate, revisions
from bot.web import templates_dir

assert "site-packages" in bot.__file__, bot.__file__
folder = templates_dir()
for name in ("pages/base.html", "pages/static/style.css", "base-images/python/Dockerfile", "install/compose.yaml"):
    assert (folder / name).is_file(), name
url = f"sqlite:///{sys.argv[1]}/berth.db"
asyncio.run(migrate(url))
print(*revisions())
"""


def test_an_installed_berth_has_all_that_it_needs(tmp_path: Path) -> None:
    target = tmp_path / "site-packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(ROOT)]
    subprocess.run(install, check=True, timeout=300, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    migrations = sorted((ROOT / "bot/store/migrations/versions").glob("0*"))
    assert done.stdout.split() == [path.name[:4] for path in migrations]
    command = [str(target / "bin/berth"), "version"]
    version = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert version.stdout.strip()
