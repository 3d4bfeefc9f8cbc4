"""What Cargo.toml says, alone or as a workspace. https://doc.rust-lang.org/cargo/reference/manifest.html"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from bot.detect.parse import line_of
from bot.detect.scan import Scan, table, text_of, texts

_APART = re.compile(r"(^|/)(target|vendor|examples?|tests?|benches|fixtures|xtask|fuzz)(/|$)")
MOST_MEMBERS = 100


@dataclass(frozen=True, slots=True)
class Binary:
    """A program of a crate, and the file with its main function (relative to the repository's root)."""

    name: str
    path: str


@dataclass(slots=True)
class Crate:
    """One Cargo.toml. ``folder`` is "" at the root; ``dependencies`` maps real crate names to the line that asks."""

    folder: str
    manifest: str
    name: str
    data: dict[str, Any]
    dependencies: dict[str, int | None] = field(default_factory=dict)
    features: dict[str, int | None] = field(default_factory=dict)  # "sqlx[postgres]", as ``dependencies``
    beside: list[str] = field(default_factory=list)  # folders of crates that it names by their path
    binaries: list[Binary] = field(default_factory=list)
    has_library: bool = False


def read_crates(scan: Scan) -> list[Crate]:
    """The root's crate, if it has one, the members of its workspace, and what they name by path.

    https://doc.rust-lang.org/cargo/reference/workspaces.html: such path dependencies are members by themselves.
    """
    data = scan.toml("Cargo.toml")
    workspace = table(data.get("workspace"))
    shared = table(workspace.get("dependencies"))
    crates = {"": _crate(scan, "", data, shared)} if "package" in data else {}
    left = _members(scan, texts(workspace.get("members")), texts(workspace.get("exclude")))
    left += [folder for crate in crates.values() for folder in crate.beside]
    for folder in left:  # grows while it is read
        if folder in crates or len(crates) > MOST_MEMBERS:
            continue
        member = scan.toml(f"{folder}/Cargo.toml") if folder else {}
        if "package" in member:
            crates[folder] = _crate(scan, folder, member, shared)
            left += crates[folder].beside
    return list(crates.values())


def used_by(crate: Crate, crates: list[Crate]) -> list[Crate]:
    """The crate itself, then the crates of this repository that it is made of, the near ones first."""
    known = {one.folder: one for one in crates}
    found = [crate.folder]
    for folder in found:  # grows while it is read
        found += [beside for beside in dict.fromkeys(known[folder].beside) if beside in known and beside not in found]
    return [known[folder] for folder in found]


def _members(scan: Scan, patterns: list[str], excluded: list[str]) -> list[str]:
    """https://doc.rust-lang.org/cargo/reference/workspaces.html#the-members-and-exclude-fields"""
    folders = [path[: -len("/Cargo.toml")] for path in scan.repository.named("Cargo.toml") if "/" in path]
    clean = [posixpath.normpath(pattern) for pattern in patterns]
    left_out = {posixpath.normpath(pattern) for pattern in excluded}
    return [
        folder
        for folder in folders
        if folder not in left_out
        and any(folder.count("/") == one.count("/") and fnmatch.fnmatchcase(folder, one) for one in clean)
    ]


def _crate(scan: Scan, folder: str, data: dict[str, Any], shared: dict[str, Any]) -> Crate:
    manifest = posixpath.join(folder, "Cargo.toml")
    name = text_of(table(data.get("package")).get("name")) or posixpath.basename(folder) or "app"
    crate = Crate(folder, manifest, name, data)
    text = scan.text(manifest)
    for kind, group in _groups(data):
        for key, wanted in group.items():
            inherited = table(wanted).get("workspace") is True
            given = table(shared.get(key)) if inherited else table(wanted)
            if kind == "dependencies":
                known, line = text_of(given.get("package")) or key, _line(text, key)
                crate.dependencies.setdefault(known, line)
                for feature in (*texts(given.get("features")), *texts(table(wanted).get("features"))):
                    crate.features.setdefault(f"{known}[{feature}]", line)
            path = text_of(given.get("path"))
            beside = posixpath.normpath(posixpath.join("" if inherited else folder, path)) if path else ""
            if beside and scan.has(f"{beside}/Cargo.toml"):
                crate.beside.append(beside)
    crate.has_library = scan.has(posixpath.join(folder, "src/lib.rs")) or "lib" in data
    crate.binaries = _binaries(scan, crate)
    return crate


def _groups(data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every table of dependencies with its kind, those of single platforms among them."""
    owners = [data, *(table(one) for one in table(data.get("target")).values())]
    kinds = ("dependencies", "build-dependencies", "dev-dependencies")
    return [(kind, table(owner.get(kind))) for owner in owners for kind in kinds]


def _line(text: str, key: str) -> int | None:
    found = re.search(rf"^[ \t]*(?:\[dependencies\.)?[\"']?{re.escape(key)}[\"']?[ \t]*(?:[.=\]])", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else line_of(text, key)


def _binaries(scan: Scan, crate: Crate) -> list[Binary]:
    """https://doc.rust-lang.org/cargo/guide/project-layout.html"""
    found: dict[str, Binary] = {}
    listed = crate.data.get("bin")
    for entry in listed if isinstance(listed, list) else []:
        name = text_of(table(entry).get("name"))
        path = text_of(table(entry).get("path"))
        path = posixpath.join(crate.folder, path) if path else _inferred(scan, crate, name)
        if name and path and ".." not in path.split("/"):
            found[name] = Binary(name, posixpath.normpath(path))
    main = posixpath.join(crate.folder, "src/main.rs")
    if scan.has(main) and main not in {one.path for one in found.values()}:
        found.setdefault(crate.name, Binary(crate.name, main))
    folder = posixpath.join(crate.folder, "src/bin")
    for path in scan.repository.inside(folder):
        if path.endswith(".rs"):
            found.setdefault(posixpath.basename(path)[:-3], Binary(posixpath.basename(path)[:-3], path))
    for path in scan.repository.named("main.rs"):
        if path.startswith(folder + "/") and path.count("/") == folder.count("/") + 2:
            name = path.split("/")[-2]
            found.setdefault(name, Binary(name, path))
    return [one for one in found.values() if not _APART.search(posixpath.dirname(one.path))]


def _inferred(scan: Scan, crate: Crate, name: str) -> str:
    options = (f"src/bin/{name}.rs", f"src/bin/{name}/main.rs", "src/main.rs")
    return scan.repository.first(posixpath.join(crate.folder, option) for option in options) or ""
