"""A front end inside another stack's repository: Node.js builds it, and is not there at run time."""

from __future__ import annotations

from bot.detect.facts import NodeFacts
from bot.detect.model import Evidence
from bot.detect.scan import Scan
from bot.detect.stacks import node_manager as managing
from bot.detect.stacks import node_package as packages
from bot.detect.stacks import node_workspaces

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
