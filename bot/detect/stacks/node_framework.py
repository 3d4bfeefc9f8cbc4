"""Which framework a package is an application of, where several are among its dependencies."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from bot.detect.frameworks import NODE, Framework, remaining
from bot.detect.frameworks.node_signs import CONFIGS, EXECUTORS, PLUGINS, PROGRAMS
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan
from bot.detect.stacks import node_source as source
from bot.detect.stacks.node_package import Package

META = 30  # rows of this weight bring a structure of their own; below are libraries for servers and pages
_MAIN_SCRIPT = re.compile(r"(build|start|dev|develop|serve|generate|preview|prod|production)(:(?!docs|storybook).*)?$")


@dataclass(slots=True)
class Seen:
    """What is known of a package's code and scripts when its framework is chosen."""

    entry_imports: Collection[str] = ()  # packages that the entry file imports
    imports: Collection[str] = ()  # packages that it and what it imports import
    starts_server: bool = False  # a real start command runs the entry
    has_page: bool = False  # an index.html that a bundler begins with
    only_serves: bool = False  # a real start command, and no page


def programs(package: Package) -> set[str]:
    """Rows whose own program the main scripts run."""
    found = set()
    for name, text in package.scripts.items():
        if _MAIN_SCRIPT.match(name):
            for part in shell_parts(text[:2000]):
                words = [word for word in part if not word.startswith("-") and "=" not in word]
                if words and words[0] in ("npx", "pnpx", "bunx", "dlx", "exec", "pnpm", "yarn"):
                    words = [word for word in words[1:] if word not in ("dlx", "exec")]
                program = words[0].rsplit("/", 1)[-1] if words and not words[0].startswith("@") else "".join(words[:1])
                if program in PROGRAMS:
                    found.add(PROGRAMS[program])
    return found


def candidates(scan: Scan, package: Package, root: Package) -> set[str]:
    """Rows that a package depends on; inside a workspace also through the root, where its files or targets say so."""
    found = _own(package)
    if "react-native" in package.all and not {"react-dom", "react-native-web"} & package.all.keys():
        found.discard("react")  # it draws on telephones
    peers = package.data.get("peerDependencies")
    if isinstance(peers, dict):  # a library for a framework is no application of it
        run, own = programs(package), package.dependencies
        for row in NODE:
            lent = any(name in peers for name in row.packages) and not any(name in own for name in row.packages)
            if lent and row.name not in run and (row.weight >= META or row.serves):
                found.discard(row.name)
    if package is not root:
        found |= _inherited(scan, package, root)
    return found


def _own(package: Package) -> set[str]:
    return {row.name for row in NODE if any(name in package.all for name in row.packages)}


def configured(scan: Scan, package: Package) -> set[str]:
    """Rows whose configuration lies in the package's folder."""
    stems = (path.rsplit("/", 1)[-1].rsplit(".", 1)[0] for path in scan.repository.inside(package.folder))
    return {CONFIGS[stem] for stem in stems if stem in CONFIGS}


def _inherited(scan: Scan, package: Package, root: Package) -> set[str]:
    shared = _own(root)
    if not shared:
        return set()
    wanted = configured(scan, package)
    pages = "vite" in wanted or scan.has(package.in_folder("index.html"))
    targets = package.data.get("targets") or package.data.get("architect")
    for target in targets.values() if isinstance(targets, dict) else ():
        executor = target.get("executor") or target.get("builder") if isinstance(target, dict) else None
        if isinstance(executor, str):
            words = re.split(r"[/:@]", executor)
            wanted |= {EXECUTORS[word] for word in words if word in EXECUTORS}
    if not _own(package) - {"vite"}:
        for path in source.sources(scan, package.folder, 12):
            wanted |= {row.name for row in NODE if set(row.packages) & source.packages_of(scan, path)}
        if pages and not wanted - {"vite"}:
            wanted |= {PLUGINS[name] for name in root.all if name in PLUGINS}
    return shared & wanted


def choose(scan: Scan, package: Package, found: set[str], seen: Seen) -> Framework | None:
    """The row that a package is an application of; None where only libraries of it are there."""
    run = programs(package)
    found = (found - _unused(scan, package, found, seen)) | run
    rows = remaining(_without_documents(found, run, seen), NODE)
    metas = [row for row in rows if row.serves and row.weight >= META]
    small = [row for row in rows if row.serves and row.weight < META]
    fronts = [row for row in rows if not row.serves]
    if metas:
        return next((row for row in metas if row.name in run), metas[0])
    heavy = next((row for row in fronts if row.weight >= META), None)
    small.sort(key=lambda row: not set(row.packages) & set(seen.entry_imports))
    if small and fronts:
        used = any(set(row.packages) & set(seen.imports) for row in small)
        return small[0] if used and seen.starts_server else heavy or _page(package, fronts)
    if not small and not heavy and seen.only_serves and not any(_needed(package, row) for row in fronts):
        return None  # a server whose own pages want some libraries while they are built
    return small[0] if small else heavy or _page(package, fronts)


def _needed(package: Package, row: Framework) -> bool:
    return any(name in package.dependencies for name in row.packages)


def _page(package: Package, rows: list[Framework]) -> Framework | None:
    """Among libraries for pages: that of the bundler's plugin, then that which is needed in production."""
    named = {PLUGINS[name] for name in package.all if name in PLUGINS}
    rows = sorted(rows, key=lambda row: (row.name not in named, not _needed(package, row)))
    return next(iter(rows), None)


DOCUMENTS = frozenset({"vitepress", "vuepress", "docusaurus", "eleventy", "hexo", "gatsby", "astro"})


def _without_documents(found: set[str], run: set[str], seen: Seen) -> set[str]:
    """Without generators that only write the documents beside an application."""
    beside = (found & DOCUMENTS) - run
    if beside and (run - {"vite"} or seen.starts_server or (run and seen.has_page)):
        return found - beside
    return found


def _unused(scan: Scan, package: Package, found: set[str], seen: Seen) -> set[str]:
    """Libraries for servers that nothing imports: an entry of package.json alone makes no server."""
    small = [row for row in NODE if row.name in found and row.serves and row.weight < META]
    if not small:
        return set()
    unused = set()
    everywhere: set[str] | None = None
    for row in small:
        if set(row.packages) & set(seen.imports):
            continue
        if not any(name in package.dependencies for name in row.packages):
            unused.add(row.name)
            continue
        if everywhere is None:
            paths = source.sources(scan, package.folder)
            everywhere = {name for path in paths for name in source.packages_of(scan, path)}
        if not set(row.packages) & everywhere and (everywhere or seen.imports):
            unused.add(row.name)
    return unused


def imported(scan: Scan, paths: Collection[str]) -> set[str]:
    """The packages, and parts of Node itself, that files import."""
    return {name for path in paths for name in source.packages_of(scan, path)} - {""}
