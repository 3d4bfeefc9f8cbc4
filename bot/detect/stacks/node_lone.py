"""JavaScript and TypeScript without a package.json."""

from __future__ import annotations

import re
from functools import partial

from bot.detect.facts import NodeFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import NODE
from bot.detect.parse import js_imports
from bot.detect.scan import Scan, text_of
from bot.detect.stacks import node_manager as managing
from bot.detect.stacks import node_package as packages
from bot.detect.stacks import node_source as source
from bot.detect.stacks.node_details import add_source_details
from bot.detect.stacks.node_package import Package

_OWN = frozenset(
    {"http", "https", "http2", "net", "fs", "path", "os", "url", "crypto", "child_process", "events", "stream", "util"}
    | {"cluster", "worker_threads", "readline", "zlib", "dgram", "process", "fs/promises", "perf_hooks", "assert"}
)
_MANIFESTS = (*packages.NAMES, "deno.json", "deno.jsonc", "bunfig.toml", "Dockerfile")
_FOREIGN = re.compile(r"\bDeno\.|\bBun\.|[\"'](?:https?://|jsr:|npm:|bun:|bun[\"'])|\bdocument\.|\bwindow\.")


def find_lone(scan: Scan) -> Finding | None:
    """A ``server.js`` that uses Node itself, or sources beside a lockfile whose package.json is missing."""
    locks = [file for file, _ in managing.LOCKFILES if scan.has(file)]
    best: Finding | None = None
    for path in _entries(scan):
        code = scan.code(path)
        modules = js_imports(code)
        if not code or _FOREIGN.search(code):
            continue
        imports = source.packages_of(scan, path)
        row = next((row for row in NODE if row.serves and set(row.packages) & imports - _OWN), None)
        own = {name.removeprefix("node:") for name in modules} & _OWN
        serves = source.serves_http(scan, path)
        if not (row or own or "require(" in code or locks):
            continue
        finding = Finding("node", row.name if row else None, serves or bool(row), partial(_lone, scan, path))
        if serves and (own or row):
            finding.add(60, scan.seen(path, "", "creates an HTTP server"))
        else:
            finding.add(20 if row or own or locks else 10, scan.seen(path, "", "a program for Node.js"))
            finding.limit = 50
        if row:
            finding.add(15, scan.seen(path, row.packages[0], f"imports {row.packages[0]}: {row.name}"))
        if locks:
            finding.add(20, scan.seen(locks[0], "", "a lockfile, though there is no package.json"))
        if not scan.repository.named("index.html", 1):
            finding.add(15, scan.seen(path, "", "no page that it would belong to"))
        if best is None or finding.score > best.score:
            best = finding
    if best is None and locks:
        best = Finding("node", None, serves=False, answer=partial(_lone, scan, ""), limit=35)
        best.add(35, scan.seen(locks[0], "", "a lockfile, though there is no package.json"))
    return best


def _entries(scan: Scan) -> list[str]:
    usual = [path for path in source.ENTRIES if path.count("/") <= 1 and scan.has(path)]
    # a folder with a manifest is an application by itself
    usual = [path for path in usual if not any(scan.has(f"{path.rpartition('/')[0]}/{name}") for name in _MANIFESTS)]
    rest = [path for path in scan.repository.inside("") if path.endswith((".js", ".mjs", ".cjs", ".ts", ".mts"))]
    others = [path for path in rest if path not in usual and not re.search(r"\.(config|d|test|spec|min)\.", path)]
    return [*usual, *others[:10]]


def _lone(scan: Scan, path: str, overrides: Overrides) -> Answer:
    package = Package("package.json", {})
    version, evidence = packages.find_version(scan, None)
    manager = managing.find_manager(scan, package)
    start = text_of(overrides.get("start_command")) or (f"node {path}" if path else None)
    imports = source.packages_of(scan, path) - _OWN if path else set()
    row = next((row for row in NODE if row.serves and set(row.packages) & imports), None)
    answer = Answer(None, row.name if row else None, manager.name, version, start)
    answer.evidence = [item for item in (evidence, manager.evidence) if item]
    if imports:
        named = ", ".join(sorted(imports)[:5])
        scan.warn(f"there is no package.json, but {path} needs {named}: add one that names them (`npm init`)")
    elif start:
        answer.facts = NodeFacts(version=version, start=start, has_dependencies=False)
    add_source_details(scan, package, [path] if path else [], answer)
    return answer
