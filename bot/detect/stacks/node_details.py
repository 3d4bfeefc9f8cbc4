"""What else a Node application asks for: port, health path, variables, services."""

from __future__ import annotations

import re

from bot.detect.finding import Answer
from bot.detect.frameworks import BY_NAME
from bot.detect.model import Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.scan import Scan
from bot.detect.stacks import node_env, node_port
from bot.detect.stacks import node_source as source
from bot.detect.stacks.node_package import Package


def add_source_details(scan: Scan, package: Package, files: list[str], answer: Answer) -> None:
    """Port and health path of a server."""
    row = BY_NAME.get(answer.framework or "")
    answer.port = (row.port if row else None) or 3000
    if port := node_port.find_port(scan, package, files, answer.start_command):
        answer.port = port[0]
        answer.evidence.append(port[1])
    if health := node_port.find_health_path(scan, package, files):
        answer.health_path = health[0]
        answer.evidence.append(health[1])
    source.warn_local_only(scan, files)


_PUBLIC = re.compile(
    r"(?:process\.env|import\.meta\.env)\.((?:NEXT_PUBLIC|VITE|REACT_APP|VUE_APP|GATSBY|PUBLIC|EXPO_PUBLIC|STORYBOOK)_"
    r"[A-Z0-9_]{1,80})\b"
)
MOST_VARIABLES = 20


def public_variables(scan: Scan, package: Package) -> tuple[str, ...]:
    """Variables whose values a build writes into the scripts of a page: later it is too late to set them."""
    found: set[str] = set()
    for path in source.sources(scan, package.folder):
        code = scan.code(path)
        found.update(_PUBLIC.findall(code) if "_" in code and ".env" in code else ())
    return tuple(sorted(found))[:MOST_VARIABLES]


def add_needs(scan: Scan, package: Package, files: list[str], answer: Answer) -> None:
    """Services and variables; a folder of built files needs none while it is served."""
    if answer.output_dir and not answer.start_command:
        return
    dependencies: dict[str, Evidence] = {
        name: scan.seen(package.path, f'"{name}"', f"depends on {name}") for name in package.dependencies
    }
    services = dict(find_services(scan, dependencies))
    for name, evidence in node_env.databases(scan, package):
        services.setdefault(name, evidence)
        scan.speaks.setdefault(name, evidence)
    for service, evidence in services.items():
        answer.services.append(service)
        answer.evidence.append(evidence)
    for name, evidence in find_required(scan, node_env.demanded(scan, package, files)):
        answer.required_env.append(name)
        answer.evidence.append(evidence)
