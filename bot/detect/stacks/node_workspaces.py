"""Repositories of several packages: workspaces of npm, Yarn, Bun, pnpm, Lerna and Rush, projects of Nx."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan, table, text_of, texts
from bot.detect.stacks.node_package import NAMES, Package, read_package

MAX_WORKSPACES = 60


def patterns(scan: Scan, package: Package) -> list[str]:
    """The globs of folders that belong to a workspace, from wherever they are declared."""
    declared = package.data.get("workspaces")
    found = texts(declared) or texts(table(declared).get("packages"))
    if scan.has("pnpm-workspace.yaml"):
        found += texts(table(parse_yaml(scan.text("pnpm-workspace.yaml"))[0]).get("packages"))
    if scan.has("lerna.json") and not found:
        found = texts(table(scan.json("lerna.json")).get("packages")) or ["packages/*"]
    if scan.has("rush.json"):
        projects = table(scan.json("rush.json")).get("projects")
        rows = projects[:MAX_WORKSPACES] if isinstance(projects, list) else []
        found += [text_of(table(row).get("projectFolder")) for row in rows]
    if scan.has("turbo.json") and not found:
        found = ["apps/*", "packages/*"]
    return [one for one in found if one][:100]


def find_workspaces(scan: Scan, package: Package) -> list[Package]:
    """The packages of a workspace, and the projects of Nx, which take their dependencies from the root."""
    globs = patterns(scan, package)
    keep = [_pattern(one) for one in globs if not one.startswith("!")]
    drop = [_pattern(one[1:]) for one in globs if one.startswith("!")]
    found: dict[str, Package] = {}
    for path in _named(scan, NAMES) if keep else ():
        folder = posixpath.dirname(path)
        if folder in found or any(one.fullmatch(folder) for one in drop):
            continue
        if folder and any(one.fullmatch(folder) for one in keep):
            one = read_package(scan, path)
            if one:
                found[folder] = one
        if len(found) >= MAX_WORKSPACES:
            break
    for one in nx_projects(scan):
        found.setdefault(one.folder, one)
    return sorted(found.values(), key=lambda one: one.folder)[:MAX_WORKSPACES]


def nx_projects(scan: Scan) -> list[Package]:
    """Folders with a ``project.json``, which have no package.json of their own: the root's names what they use."""
    if not (scan.has("nx.json") or scan.has("workspace.json")):
        return []
    paths = [path for path in _named(scan, ("project.json",)) if posixpath.dirname(path)]
    found = []
    for path in paths[:MAX_WORKSPACES]:
        folder = posixpath.dirname(path)
        if scan.repository.first(f"{folder}/{name}" for name in NAMES):
            continue
        data = table(scan.json(path))
        found.append(_nx_package(path, {"name": posixpath.basename(folder), **data}))
    listed = table(table(scan.json("workspace.json")).get("projects")) if scan.has("workspace.json") else {}
    for name, data in sorted(listed.items())[:MAX_WORKSPACES]:
        folder = posixpath.normpath(text_of(table(data).get("root")) or ".")
        if isinstance(data, dict) and not folder.startswith((".", "/")) and folder in scan.repository.folders:
            found.append(_nx_package(f"{folder}/project.json", {**data, "name": name}))
    return found


def _nx_package(path: str, data: dict[str, object]) -> Package:
    # what it depends on is known from its imports only: `node_role` picks it from the root's dependencies
    one = Package(path, {**data, "nx": True})
    targets = table(data.get("targets")) or table(data.get("architect"))
    if "build" in targets:
        one.scripts["build"] = f"nx build {one.name}"
    if "serve" in targets:
        one.scripts["dev"] = f"nx serve {one.name}"
    return one


def _named(scan: Scan, names: Iterable[str]) -> list[str]:
    found = [path for name in names for path in scan.repository.named(name, 6)]
    return sorted(found, key=lambda path: (path.count("/"), path))


def _pattern(text: str) -> re.Pattern[str]:
    """A glob of a workspace (``packages/*``, ``apps/**``, ``{apps,libs}/*``) as a pattern for folders."""
    clean = posixpath.normpath(text.strip("/")[:200])
    parts = [_part(part) for part in clean.split("/")[:8]]
    return re.compile("/".join(parts))


def _part(text: str) -> str:
    if text == "**":
        return ".+"
    escaped = re.escape(text).replace(r"\*\*", ".+").replace(r"\*", "[^/]*")
    return re.sub(r"\\\{([\w,\\-]*)\\\}", lambda match: "(?:" + match[1].replace(",", "|") + ")", escaped)


def beneath(package: Package, members: list[Package]) -> list[Package]:
    """The packages of the workspace that an application uses, directly or through others, in the order of building."""
    by_name = {one.name: one for one in members}
    found: dict[str, Package] = {}
    open_: list[tuple[Package, bool]] = [(package, False)]
    seen = set()
    while open_:
        one, done = open_.pop()
        if done:
            found.setdefault(one.name, one)
        elif one.name not in seen:
            seen.add(one.name)
            open_.append((one, True))
            open_ += [(by_name[name], False) for name in sorted(one.all, reverse=True) if name in by_name]
    return [one for name, one in found.items() if name != package.name]
