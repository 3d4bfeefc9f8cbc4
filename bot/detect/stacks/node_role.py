"""What one package of a repository is: an application, or something that applications are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.detect.frameworks import Framework
from bot.detect.scan import Scan, text_of
from bot.detect.stacks import node_framework as frameworks
from bot.detect.stacks import node_frontend as frontend
from bot.detect.stacks import node_source as source
from bot.detect.stacks import node_start as starting
from bot.detect.stacks.node_framework import META, Seen
from bot.detect.stacks.node_package import Package

_PAGES = ("index.html", "public/index.html", "src/index.html", "app/index.html", "src/index.ejs", "index.ejs")
_DOCUMENTS = re.compile(r"(^|/)(docs?|documentation|website|storybook|playground|examples?|demos?|e2e)(-\w+)?(/|$)")
_APART = re.compile(r"(^|/)(examples?|e2e|tests?|fixtures|templates?|playgrounds?|benchmarks?|demos?)(/|$)|-e2e$")


@dataclass(slots=True)
class Role:
    """One package, and what was found out about it."""

    package: Package
    framework: Framework | None = None
    start: starting.Start | None = None
    entry: str | None = None
    files: list[str] = field(default_factory=list)  # the entry and what it imports
    server: bool = False  # its code serves HTTP
    bundled: bool = False  # a front end without a framework
    page: bool = False  # there is an index.html to begin with

    @property
    def serves(self) -> bool:
        """Whether something answers HTTP in the end, be it a web server that hands out what was built."""
        return bool(self.framework) or self.server or self.bundled

    @property
    def really_starts(self) -> bool:
        """Whether a script starts a server for production."""
        start = self.start
        return bool(start and not start.development and start.static is None and start.delegates is None)

    @property
    def application(self) -> bool:
        """Whether it can be deployed by itself; a library for a framework, or a collection of tools, cannot."""
        row, start = self.framework, self.start
        runs = bool(start and start.delegates is None and not _tool(start.text))
        if row and row.weight >= META:
            return True
        if row and row.serves:
            return self.server or runs or bool(self.entry)
        if row:
            return self.page or runs or "build" in frameworks.programs(self.package) or _builds_pages(self)
        return (self.server and (runs or bool(self.entry))) or (self.bundled and self.page)


def _tool(text: str) -> bool:
    """Whether a start script only shows components or watches files."""
    return (
        re.search(r"\b(storybook|start-storybook|tsc|tsup|jest|vitest|rollup|microbundle|styleguidist)\b", text)
        is not None
    )


def _builds_pages(role: Role) -> bool:
    """Whether its scripts run a bundler as an application does; a library has an entry for others to import."""
    data = role.package.data
    library = any(key in data for key in ("module", "exports", "types", "typings", "peerDependencies", "files"))
    return not library and bool(frameworks.programs(role.package))


def look(scan: Scan, package: Package, root: Package) -> Role:
    """Find out what a package is. The root lends its dependencies to the packages of its workspace."""
    role = Role(package, start=starting.find_start(scan, package))
    found = frameworks.candidates(scan, package, root)
    role.page = scan.repository.first(package.in_folder(path) for path in _PAGES) is not None
    role.entry = _entry(scan, role)
    if role.entry:
        role.files = source.reachable(scan, role.entry)
    role.server = any(source.serves_http(scan, path) for path in role.files)
    imports = {name for path in role.files for name in source.packages_of(scan, path)}
    first = source.packages_of(scan, role.entry) if role.entry else set()
    starts = _starts(role)
    role.framework = frameworks.choose(
        scan, package, found, Seen(first, imports, starts, role.page, role.really_starts and not role.page)
    )
    bundles = bool(frontend.bundler(package)) or "parcel" in package.all
    role.bundled = not role.framework and not role.server and "build" in package.scripts and bundles
    return role


def _starts(role: Role) -> bool:
    """Whether the entry is what runs in production: a script says so, or no script says anything else."""
    if role.really_starts:
        return bool(role.start and (role.start.entry or role.server))
    main = text_of(role.package.data.get("main"))
    return role.start is None and role.server and not (role.page and "build" in role.package.scripts and not main)


def _entry(scan: Scan, role: Role) -> str | None:
    """The file that is started: of the start script, then ``main``, then the usual names."""
    package, start = role.package, role.start
    named = start.entry if start else None
    for path in (named, text_of(package.data.get("main"))):
        if path and len(path) < 300:
            found = source.resolve_file(scan, package.in_folder(path)) or starting.source_of(scan, package, path)
            if found:
                return found
    prefix = f"{package.folder}/" if package.folder else ""
    usual = scan.repository.first(prefix + path for path in source.ENTRIES)
    return usual if usual and source.owner(scan, usual) == package.folder else None


def rank(role: Role, wanted: set[str]) -> tuple[object, ...]:
    """Order of applications: what the root's scripts name, then servers, then front ends, documents last."""
    package, row = role.package, role.framework
    named = package.folder in wanted or package.name in wanted
    server = role.server or bool(row and row.serves)
    return (not named, bool(_DOCUMENTS.search(package.folder)), not server, not role.really_starts, package.folder)


def is_apart(folder: str) -> bool:
    """Whether a folder holds what only shows or tests the others."""
    return _APART.search(folder) is not None
