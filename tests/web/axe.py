"""axe-core, the checker of accessibility, from npm: fetched when a test wants it, kept in a cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

VERSION = "4.10.3"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")


class AxeMissingError(Exception):
    """npm is absent, or gives no axe-core; the text says which."""


def fetch() -> str:
    """The source of axe-core. Raises AxeMissingError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "berth-tests"
    script = cache / f"axe-core-{VERSION}.js"
    if script.exists():
        return script.read_text()
    npm = shutil.which("npm")
    if npm is None:
        raise AxeMissingError("npm is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [npm, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", str(cache)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cache)
        except subprocess.TimeoutExpired as error:
            raise AxeMissingError("npm does not answer") from error
        archive = cache / f"axe-core-{VERSION}.tgz"
        if done.returncode or not archive.exists():
            raise AxeMissingError(f"npm has no axe-core {VERSION}: {done.stderr.strip()[-200:]}")
        with tarfile.open(archive) as packed:
            member = packed.extractfile("package/axe.min.js")
            assert member is not None
            script.write_bytes(member.read())
        archive.unlink()
    return script.read_text()


# the passes have an entry for each element of the page: only their number leaves the browser
_RUN = """async tags => {
  const { violations, passes } = await axe.run(document, { runOnly: { type: 'tag', values: tags } });
  return { violations, passes: passes.length };
}"""


async def violations(page: Any, source: str) -> list[str]:
    """What on the page goes against WCAG 2.1 AA, in words; empty when nothing does."""
    await page.evaluate(source)  # not a script element: the page's policy allows only its own
    found = await page.evaluate(_RUN, list(TAGS))
    assert found["passes"], "axe looked at nothing"
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} ({node.get('failureSummary', '')[:300]})"
        for one in found["violations"]
        for node in one["nodes"]
    ]
