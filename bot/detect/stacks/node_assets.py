"""A front end inside another stack's repository: Node.js builds it, and is not there at run time."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.detect.facts import NodeFacts
from bot.detect.model import Evidence
from bot.detect.scan import Scan
from bot.detect.stacks import node_manager as managing
from bot.detect.stacks import node_package as packages
from bot.detect.stacks import node_workspaces

_OUTPUTS = ("dist", "build", "out")  # where front ends are built to
_EMBED = re.compile(r"^//go:embed[ \t]+(.+)$", re.MULTILINE)
_SCRIPTS = ("build", "production", "prod", "build:prod", "encore:production")


def find_assets(scan: Scan, output: str, *, scripts: tuple[str, ...] = _SCRIPTS) -> tuple[NodeFacts, Evidence] | None:
    """What builds the assets into ``output``, and the script that says so; None where nothing has to be built.

    Without ``scripts``, the packages alone are wanted: another tool builds with them.
    """
    package = packages.read_package(scan)
    if package is None:
        return None
    script = next((name for name in scripts if name in package.scripts), None)
    if script is None and scripts:
        return None
    manager = managing.find_manager(scan, package)
    version, _ = packages.find_version(scan, package)
    workspaces = node_workspaces.find_workspaces(scan, package)
    facts = NodeFacts(
        version=version,
        manager=manager.name,
        manager_version=manager.version,
        yarn_berry=manager.berry,
        lockfile=manager.lockfile,
        manifests=managing.install_files(scan, manager, package, workspaces),
        has_dependencies=bool(package.all or workspaces),
        install_needs_source=managing.install_needs_source(scan, package, workspaces) is not None,
        build=f"{manager.name} run {script}" if script else None,
        output=output,
        serve="static",
    )
    if script is None:
        return facts, scan.seen("package.json", "", "packages that the assets need", 1)
    return facts, scan.seen("package.json", f'"{script}"', f"assets are built by the script {script}")


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """A front end in a folder of its own, which the server's code hands out from ``folder/output`` once it is built."""

    folder: str
    output: str
    facts: NodeFacts
    evidence: tuple[Evidence, Evidence]
    embedded: bool  # into a program of Go


def find_front_end(scan: Scan, code: Mapping[str, str]) -> FrontEnd | None:
    """The front end whose output the code (texts by path) names, where that output is not in the repository."""
    for folder in _front_ends(scan):
        for output in _OUTPUTS:
            place = f"{folder}/{output}"
            if any(path.startswith(place + "/") for path in scan.repository.files):
                continue  # it was built by hand, and stays so
            named = _named(_besides(code, folder), place)
            if named is None:
                continue
            inner = Scan(scan.repository.at("/".join(part for part in (scan.repository.root, folder) if part)))
            if found := find_assets(inner, output):
                for text in inner.warnings:
                    scan.warn(text)
                path, text = named
                seen = scan.seen(path, text, f"{place} is handed out")
                return FrontEnd(folder, output, found[0], (seen, found[1]), text.startswith("//go:embed"))
    return None


def _besides(code: Mapping[str, str], folder: str) -> dict[str, str]:
    """The server's code: what lies in the front end's folder is its own, except for Go."""
    return {path: text for path, text in code.items() if path.endswith(".go") or not path.startswith(f"{folder}/")}


def _front_ends(scan: Scan) -> list[str]:
    """Folders with a package.json, up to two below the root."""
    files = (path for path in scan.repository.files if path.endswith("/package.json"))
    return sorted(posixpath.dirname(path) for path in files if path.count("/") <= 2 and "node_modules" not in path)[:10]


def _named(code: Mapping[str, str], place: str) -> tuple[str, str] | None:
    """Where a folder is named: as a path, as its parts one after the other, or to be embedded by Go."""
    parts = r"""["']?[/,\s]+["']?""".join(re.escape(part) for part in place.split("/"))
    pattern = re.compile(rf"""(?<![\w-]){parts}(?![\w-])""")
    for path, text in code.items():
        if match := pattern.search(text):
            return path, match[0].partition("\n")[0]
        if not path.endswith(".go"):
            continue
        for match in _EMBED.finditer(text):
            for word in match[1].split():
                inside = word.strip('"`').removeprefix("all:")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(path), inside))
                if target == place or target.startswith(place + "/"):
                    return path, match[0]
    return None
