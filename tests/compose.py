"""What a compose file says once it is read, and Compose's own opinion of it."""

from __future__ import annotations

import dataclasses
import functools
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.project import Project, Template


def as_read(project: Project) -> Project:
    """The project with defaults in the places of variables, as reading its file gives it."""
    services = {
        name: dataclasses.replace(
            service,
            environment={key: _filled(value) for key, value in service.environment.items()},
        )
        for name, service in project.services.items()
    }
    return dataclasses.replace(project, services=services)


def _filled(value: str | None) -> str | None:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) if isinstance(value, Template) else value


@functools.cache
def compose_command() -> tuple[str, ...] | None:
    """Docker's plug-in, or the program of the same name that distributions have; None where there is neither."""
    try:
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
            return ("docker", "compose")
    except FileNotFoundError:
        pass
    return ("docker-compose",) if shutil.which("docker-compose") else None


# what `docker-compose config -q` does, for many files in one process: starting it takes a second
_LOAD = """\
import pathlib, sys
from compose.config import config
from compose.config.environment import Environment
from compose.config.errors import ConfigurationError

for path in sys.stdin.read().split("\\0"):
    folder = str(pathlib.Path(path).parent)
    try:
        config.load(config.find(folder, [path], Environment()))
        text = ""
    except ConfigurationError as error:
        text = str(error) or type(error).__name__
    print(text.replace("\\n", " "))
"""


def complaints(files: Sequence[Path]) -> dict[Path, str]:
    """What Compose says against each file that it does not accept. Skips the test where there is no Compose."""
    command = compose_command()
    if command is None:
        pytest.skip("there is no Compose: neither Docker's plug-in nor Debian's package docker-compose")
    if len(command) == 1 and len(files) > 1:
        interpreter = Path(shutil.which(command[0]) or "").read_text().splitlines()[0].removeprefix("#!").split()
        done = subprocess.run(
            [*interpreter, "-c", _LOAD],
            input="\0".join(map(str, files)), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
    else:
        said = [_complaint(command, file) for file in files]
    return {file: text for file, text in zip(files, said, strict=True) if text}


def _complaint(command: Sequence[str], file: Path) -> str:
    done = subprocess.run(
        [*command, "-f", str(file), "config", "-q"], capture_output=True, text=True, timeout=60, check=False
    )
    return (done.stderr or f"exit code {done.returncode}") if done.returncode else ""
