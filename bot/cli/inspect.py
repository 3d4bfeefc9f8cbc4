"""``berth detect`` and ``berth generate``: what a folder is, and the files that Berth makes for it. No server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import USAGE, UsageError, output, report
from bot.errors import BerthError

if TYPE_CHECKING:
    from bot.detect.model import Detection
    from bot.generate.examine import Examination

# the fields of `berth detect --json`, in this order
FIELDS = (
    "path",
    "stack",
    "underlying_stack",
    "framework",
    "package_manager",
    "language_version",
    "confidence",
    "root",
    "start_command",
    "build_command",
    "output_dir",
    "port",
    "health_path",
    "required_env",
    "services",
    "applications",
    "evidence",
    "candidates",
    "warnings",
)

_GIVEN = ("root", "framework", "build_command", "start_command", "port", "health_path")  # settings that detection takes


def detect(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Folders", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
) -> None:
    """Say what folders are, and how that was found out.

    A folder in which nothing is recognised is an answer too: stack `none`, with what was looked for.
    """
    wrong = False
    for path in paths:
        try:
            found = _detect(_folder(path))
        except BerthError as error:  # the other folders are answered all the same
            wrong = True
            report(error)
            continue
        if as_json:
            print(json.dumps(as_object(path, found)))
        else:
            _show(path, found)
    if wrong:
        raise typer.Exit(USAGE)


def _detect(folder: Path) -> Detection:
    from bot.detect import Repository
    from bot.detect import detect as look

    return look(Repository.from_directory(folder), settings_of(folder))


def settings_of(folder: Path) -> dict[str, Any]:
    """What the folder's ``.berth.yml`` says about detection and generation. Raises BerthError when it is malformed."""
    if not (folder / ".berth.yml").is_file():
        return {}
    from bot.deploy.settings import read_repository_file

    settings = read_repository_file((folder / ".berth.yml").read_text(errors="replace"))
    return {key: settings[key] for key in _GIVEN if key in settings}


def as_object(path: str, found: Detection) -> dict[str, Any]:
    """What ``--json`` prints for one folder."""
    data = found.to_json() | {"path": path}
    return {field: data[field] for field in FIELDS}


def _folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{path!r} is not a folder.")
    return folder


def _show(path: str, found: Detection) -> None:
    parts = [found.stack, found.underlying_stack, found.framework, found.package_manager, found.language_version]
    print(f"{path}: {' · '.join(filter(None, parts))} (confidence {found.confidence} of 100)")
    facts = (
        ("root", found.root if found.root != "." else None),
        ("build", found.build_command),
        ("start", found.start_command),
        ("output", found.output_dir),
        ("port", found.port),
        ("health path", found.health_path if found.stack != "none" else None),
        ("needs", ", ".join(found.required_env)),
        ("services", ", ".join(found.services)),
        ("applications", ", ".join(f"{one.root} ({one.stack})" for one in found.applications)),
    )
    for name, value in facts:
        if value:
            print(f"  {name:<12} {output.printable(str(value))}")
    for warning in found.warnings:
        print(f"  warning      {output.printable(warning)}")
    if found.evidence:
        rows = [[f"{one.path}:{one.line}" if one.line else one.path, one.seen, one.says] for one in found.evidence]
        output.table(("where", "seen", "says"), rows)


def generate(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A folder", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write the files there", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there")] = False,
) -> None:
    """Print or write the files that Berth makes for a folder.

    The Dockerfile, .dockerignore and docker-compose.yml, and why each choice was made.
    """
    found = _generate(_folder(path))
    if found.files is None:
        looked = "; ".join(found.detection.warnings) or "no manifest, no Dockerfile, no index.html"
        raise BerthError(f"Nothing that Berth can deploy was found in {path}: {looked}.", "Add a Dockerfile.")
    if out is None:
        for name, text in found.files.items():
            print(f"# ----- {name}\n{text.rstrip()}\n")
    else:
        _write(found.files, out, force)
    root = found.detection.root
    inside = () if root == "." else (f"the application is in {root}: these files belong there",)
    for line in (*inside, *found.explanation):
        print(output.printable(line), file=sys.stderr if out is None else sys.stdout)


def _generate(folder: Path) -> Examination:
    import asyncio

    from bot.config import load_config
    from bot.generate.examine import ExaminationFailed, examine

    config = load_config()
    try:
        return asyncio.run(
            examine(
                folder.resolve(),
                settings_of(folder),
                image_prefix=config.base_image_prefix,
                timeout=config.detect_timeout,
            )
        )
    except ExaminationFailed as error:
        raise BerthError(error.reason, error.fix) from error


def _write(files: dict[str, str], out: Path, force: bool) -> None:
    there = [name for name in files if (out / name).exists()]
    if there and not force:
        raise UsageError(f"{', '.join(there)} in {out} would be replaced.", "Add --force, or choose another --out.")
    try:
        for name, text in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text)
            print(f"Wrote {out / name}")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from error
