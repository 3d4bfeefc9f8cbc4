"""Bun as what runs the application, not only what installs its packages: those alone leave it one of Node.js."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from functools import partial

from bot.detect import versions
from bot.detect.facts import NodeFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import Framework
from bot.detect.model import Evidence
from bot.detect.parse import js_imports, shell_parts
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks import node_port, node_source
from bot.detect.stacks.node_package import Package, first_line, tool_version
from bot.detect.stacks.node_start import followed
from bot.detect.stacks.site_versions import asked_version

# files that may mean an application in their folder; most have a package.json
MANIFESTS = ()

LOCKFILES = ("bun.lock", "bun.lockb")
_STARTS = ("start:prod", "start:production", "start", "serve", "server", "prod", "production")
_DEVELOPS = ("dev", "develop", "watch", "start:dev")
_NODE = frozenset({"node", "tsx", "ts-node", "nodemon", "ts-node-dev", "tsnd", "babel-node", "pm2", "pm2-runtime"})
_OTHER_RUNTIMES = ("wrangler", "@hono/node-server", "@elysiajs/node", "@hono/vite-dev-server")
_API = re.compile(r"(?<![\w.])Bun\.(?:serve|file|write|env|password|sql|redis|\$|SQL|spawn|argv|main|listen)\b")
_DEFAULT = re.compile(r"\bexport\s+default\b|\bexport\s*\{[^{}]{0,200}\bas\s+default\b")
_WATCHES = ("--watch", "--hot", "--no-clear-screen", "--inspect")


def find(scan: Scan) -> Finding | None:
    """A lone file that serves by Bun's own interface; with a package.json the module of Node.js asks this one."""
    if scan.has("package.json"):
        return None
    for path in (entry for entry in node_source.ENTRIES if entry.count("/") <= 1):
        if scan.has(path) and re.search(r"(?<![\w.])Bun\.(?:serve|listen)\s*\(", scan.code(path)):
            finding = Finding("bun", None, serves=True, answer=partial(_lone, scan, path))
            finding.add(60, scan.seen(path, "Bun.", "serves by Bun"))
            return finding
    return None


def find_reason(scan: Scan, package: Package, files: list[str], row: Framework | None) -> Evidence | None:
    """Why Bun runs the application, or None where Node.js does.

    ``row`` is its framework: what is built by Node.js stays there, unless its start names a file for Bun.
    """
    web = scan.procfile.get("web")
    if web and (decided := _program(web[0])):
        return scan.seen("Procfile", web[0], "the Procfile starts Bun", web[1]) if decided == "bun" else None
    built = row is not None and (row.weight >= 40 or not row.serves)
    for names in (_STARTS, _DEVELOPS):
        for name in names:
            decided = _program(followed(package, package.scripts.get(name, "")))
            if decided == "bun":
                return scan.seen(package.path, f'"{name}"', f"script {name} runs Bun: {package.scripts[name]}")
            if decided == "node":
                return None
        if built:
            return None
    if any(name in package.all for name in _OTHER_RUNTIMES):
        return None
    for path in files:
        code = scan.code(path)
        match = _API.search(code)
        if match:
            return scan.seen(path, match[0], "uses Bun's own interface")
        module = next((name for name in js_imports(code) if name == "bun" or name.startswith("bun:")), None)
        if module:
            return scan.seen(path, module, "imports a part of Bun")
    return _by_packages(scan, package, files) or (_as_begun(scan, package) if row is None else None)


def _as_begun(scan: Scan, package: Package) -> Evidence | None:
    """The layout of ``bun init``: a module in TypeScript as the entry, which Node.js would not start."""
    module = text_of(package.data.get("module"))
    started = any(name in package.scripts for name in _STARTS) or "main" in package.data
    if module.endswith((".ts", ".tsx")) and scan.has(module) and not started and scan.repository.first(LOCKFILES):
        return scan.seen(package.path, f'"{module}"', "the entry of a project that Bun began")
    return None


def _by_packages(scan: Scan, package: Package, files: list[str]) -> Evidence | None:
    for name in ("elysia", "bun-types", "@types/bun"):
        if name in package.all:
            return scan.seen(package.path, f'"{name}"', f"{name} is made for Bun")
    bunfig = scan.toml("bunfig.toml") if scan.has("bunfig.toml") else {}
    if table(bunfig.get("run")).get("bun") is True:
        return scan.seen("bunfig.toml", "bun", "bunfig.toml runs scripts by Bun")
    lock = scan.repository.first(LOCKFILES)
    if lock and "hono" in package.all and files and _DEFAULT.search(scan.code(files[0])):
        return scan.seen(files[0], "export default", "Hono as the default export is served by Bun")
    return None


def _program(command: str) -> str | None:
    """ "bun" where the last program of a command is Bun with a file, "node" where it is Node.js or a relative."""
    parts = shell_parts(command)
    words = parts[-1] if parts else []
    name = posixpath.basename(words[0]) if words else ""
    if name in ("npx", "bunx", "dotenvx") and len(words) > 1:
        name, words = posixpath.basename(words[1]), words[1:]
    if name in _NODE:
        return "bun" if name in ("pm2", "pm2-runtime") and "bun" in words else "node"
    return "bun" if name == "bun" and _file(words[1:]) else None


def _file(words: list[str]) -> str | None:
    """The file that Bun is told to run."""
    for word in words:
        if word.startswith("-") or word == "run":
            continue
        is_file = re.search(r"\.[cm]?[jt]sx?$", word) or word.startswith("./") or word == "."
        return word if is_file else None
    return None


def adjust(
    answer: Answer, scan: Scan, package: Package, *, entry: str | None, given: Overrides, reason: Evidence
) -> Answer:
    """What is known of the application, told for Bun: its image, its package manager, its start."""
    version, asked = _version(scan, package)
    answer.language_version = version
    answer.evidence = [item for item in answer.evidence if "Node.js" not in item.says] + ([asked] if asked else [])
    start = text_of(given.get("start_command")) or _start(scan, package, entry, answer.start_command)
    if start:
        scan.warnings = [text for text in scan.warnings if not text.startswith("no start command")]
    facts = answer.facts if isinstance(answer.facts, NodeFacts) else None
    if facts is None and start:
        facts = NodeFacts(has_dependencies=bool(package.all), manifests=("package.json",))
    if facts is not None:
        facts = _installed(scan, package, facts)
        build = facts.build
        if build and not text_of(given.get("build_command")):
            build = re.sub(r"^(npm|yarn|pnpm) run ", "bun run ", build)
        start = "" if facts.serve == "static" else start
        facts = replace(facts, bun=version, build=build, start=start or None, keep_development=False)
        answer.package_manager, answer.build_command = facts.manager, build
    else:
        answer.package_manager = "bun"
    answer.facts, answer.start_command = facts, start or None
    answer.evidence.append(reason)
    return answer


def _installed(scan: Scan, package: Package, facts: NodeFacts) -> NodeFacts:
    """By Bun, unless another package manager is declared or has the only lockfile."""
    lock = scan.repository.first(LOCKFILES)
    declared = text_of(package.data.get("packageManager")).startswith(("npm@", "yarn@", "pnpm@"))
    if facts.manager == "bun" or declared or (facts.lockfile and not lock):
        return facts
    scan.warnings = [re.sub(r"no lockfile of (npm|yarn|pnpm)", "no lockfile of bun", text) for text in scan.warnings]
    manifests = [name for name in facts.manifests if name != facts.lockfile]
    manifests[1:1] = [lock] if lock else []
    return replace(
        facts, manager="bun", manager_version=None, yarn_berry=False, lockfile=lock, manifests=tuple(manifests)
    )


def _start(scan: Scan, package: Package, entry: str | None, usual: str | None) -> str:
    """The Procfile's, a script's own text without what watches files, or the entry."""
    web = scan.procfile.get("web")
    if web:
        return web[0]
    for name in (*_STARTS, *_DEVELOPS):
        text = followed(package, package.scripts.get(name, ""))
        if _program(text) != "bun":
            continue
        if f"pre{name}" in package.scripts or f"post{name}" in package.scripts:
            return f"bun run {name}"
        words = text.split()
        kept = [word for word in words if not word.startswith(_WATCHES)]
        return " ".join(kept) if kept != words else text
    if entry:
        return f"bun run {posixpath.relpath(entry, package.folder or '.')}"
    return re.sub(r"^(npm|yarn|pnpm) run ", "bun run ", usual or "")


def _version(scan: Scan, package: Package | None) -> tuple[str, Evidence | None]:
    asked: tuple[str, Evidence] | None = None
    if scan.has(".bun-version") and (line := first_line(scan.text(".bun-version"))):
        asked = line, scan.seen(".bun-version", line, f"asks for Bun {line}")
    asked = asked or tool_version(scan, "bun")
    if asked is None and package:
        declared = re.match(r"bun@(\d[\w.]*)", text_of(package.data.get("packageManager")))
        engine = text_of(table(package.data.get("engines")).get("bun"))
        text = declared[1] if declared else engine
        asked = (text, scan.seen(package.path, text, f"asks for Bun {text}")) if text else None
    asked = asked or asked_version(scan, "bun", "BUN_VERSION", "bun-version")
    resolved = versions.resolve_bun(asked[0] if asked else "", scan.images)
    return resolved.tag, asked[1] if asked else None


def _lone(scan: Scan, path: str, given: Overrides) -> Answer:
    version, asked = _version(scan, None)
    start = text_of(given.get("start_command")) or f"bun run {path}"
    facts = NodeFacts(bun=version, manager="bun", start=start, has_dependencies=False)
    answer = Answer(facts, None, "bun", version, start, port=3000)
    answer.evidence = [asked] if asked else []
    port = node_port.find_port(scan, Package("package.json", {}), [path], start)
    if port:
        answer.port = port[0]
        answer.evidence.append(port[1])
    return answer
