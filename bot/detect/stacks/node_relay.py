"""A root that installs, builds and starts what lies below it: a server, and the front end that the server hands out."""

from __future__ import annotations

import posixpath

from bot.detect.scan import Scan
from bot.detect.stacks import node_role as roles
from bot.detect.stacks.node_assets import find_front_end
from bot.detect.stacks.node_client import POSTBUILD
from bot.detect.stacks.node_package import Package, read_package
from bot.detect.stacks.node_role import Role

# packages for development build the front end, and installs in production leave them out
INSTALLS_ALL = ("NPM_CONFIG_INCLUDE", "dev")


def find_relay(scan: Scan, root: Package, own: Role) -> Role | None:
    """The server that the root's start script hands over to; None where the root's build does not make all of it.

    Without a front end beside it, the server's folder is an application by itself.
    """
    handed = own.start.delegates if own.start else None
    folder = posixpath.normpath(handed) if handed else ""
    build = root.scripts.get("build") or root.scripts.get(POSTBUILD) or ""
    if not folder or folder not in build or not scan.has(f"{folder}/package.json"):
        return None
    package = read_package(scan, f"{folder}/package.json")
    if package is None:
        return None
    role = roles.look(scan, package, package)
    front = find_front_end(scan, {path: scan.text(path) for path in role.files}) if role.server else None
    return role if front is not None and front.folder in build else None
