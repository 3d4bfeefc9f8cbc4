"""The front end in a folder beside a server of Node.js, which hands out what is built of it."""

from __future__ import annotations

import posixpath

from bot.detect.parse import shell_parts
from bot.detect.scan import Scan
from bot.detect.stacks.node_assets import FrontEnd, find_front_end
from bot.detect.stacks.node_package import Package

_MANAGERS = ("npm", "yarn", "pnpm")
_INSTALLS = ("install", "i", "ci")
_ELSEWHERE = ("--prefix", "--cwd", "-C", "--dir")
# what Heroku runs instead of `build`: https://devcenter.heroku.com/articles/nodejs-support#customizing-the-build-process
POSTBUILD = "heroku-postbuild"


def find_client(
    scan: Scan, package: Package, files: list[str], build: str | None
) -> tuple[FrontEnd | None, str | None]:
    """The front end, and what remains of the server's own build: nothing, where that builds the front end alone.

    A build that does more than that is left as it is, and there is no front end of its own then.
    """
    script = (build or "").rpartition("run ")[2]
    text = package.scripts.get(script, "") if build else ""
    front = None
    if any(path.endswith("/package.json") for path in scan.repository.files):
        front = find_front_end(scan, {path: scan.text(path) for path in files})
    if front is None:
        return None, build or (f"npm run {POSTBUILD}" if POSTBUILD in package.scripts else None)
    if front.folder not in text:
        return front, build
    return (front, None) if _builds_only(text, front.folder) else (None, build)


def _builds_only(text: str, folder: str) -> bool:
    """Whether a script installs and builds in this folder, and does nothing else."""
    where = ""
    for words in shell_parts(text):
        program, *rest = words
        if program == "cd" and rest:
            where = posixpath.normpath(posixpath.join(where, rest[0]))
            where = "" if where == "." else where
            if where not in ("", folder):
                return False
            continue
        if program not in _MANAGERS:
            return False
        inside = where == folder or any(
            posixpath.normpath(value) == folder
            for name, value in zip(rest, [*rest[1:], ""], strict=True)
            if name in _ELSEWHERE
        )
        if not inside and not (not rest or rest[0] in _INSTALLS):
            return False
    return True
