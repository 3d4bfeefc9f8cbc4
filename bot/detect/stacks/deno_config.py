"""deno.json, import maps, tasks and module specifiers. https://docs.deno.com/runtime/fundamentals/configuration/"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from bot.detect.frameworks import NODE
from bot.detect.parse import js_imports, shell_parts
from bot.detect.scan import Scan, table, text_of, texts

CONFIGS = ("deno.json", "deno.jsonc")
# tasks that start it in production; those that only check or develop are no sign of an application
STARTS = ("start", "serve", "prod", "production", "server", "preview", "run")
_RUNNING = (*STARTS, "dev", "build", "develop", "watch")
_ENTRIES = tuple(
    f"{folder}{stem}.{ending}"
    for folder in ("", "src/", "server/", "app/", "api/", "backend/")
    for stem in ("main", "server", "app", "index", "mod")
    for ending in ("ts", "tsx", "js", "jsx", "mjs")
)
# what nobody but Deno offers; `typeof Deno` in a package that runs everywhere is no use of it
USES_DENO = re.compile(
    r"(?<![\w.])Deno\.(?:serve|serveHttp|listen|env|openKv|readTextFile|readFile|cwd|args|upgradeWebSocket|cron|exit)\b"
)
_ONLY_DENO = re.compile(r"(?:jsr:|npm:|https://(?:deno\.land|jsr\.io|esm\.sh|raw\.githubusercontent\.com)/).+")

_ONLY_DENO_EVER = re.compile(r"(?:jsr:|npm:|https://deno\.land/).+")  # browsers load the others as well


@dataclass(slots=True)
class Config:
    """A deno.json with its import map; ``path`` is "" where there is none."""

    path: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)  # alias: specifier
    reads: list[str] = field(default_factory=list)  # files that an install reads


def read_config(scan: Scan, folder: str = "") -> Config:
    """The configuration of a folder."""
    path = scan.repository.first(posixpath.join(folder, name) for name in CONFIGS)
    if path is None:
        return _import_map(scan, Config(), posixpath.join(folder, "import_map.json"))
    config = Config(path, scan.json(path) or {}, reads=[path])
    for name, task in table(config.data.get("tasks")).items():
        text = text_of(task) or text_of(table(task).get("command"))
        if text.strip():
            config.tasks[name] = text.strip()
    config.imports = {name: text for name, text in table(config.data.get("imports")).items() if text_of(text)}
    named = text_of(config.data.get("importMap"))
    return _import_map(scan, config, posixpath.normpath(posixpath.join(folder, named))) if named else config


def _import_map(scan: Scan, config: Config, path: str) -> Config:
    if not path.startswith(("..", "/")) and scan.has(path):
        imports = table(table(scan.json(path)).get("imports"))
        config.imports |= {name: text for name, text in imports.items() if text_of(text)}
        config.path = config.path or path
        config.reads.append(path)
    return config


def members(config: Config) -> list[str]:
    """The folders of a workspace."""
    declared = config.data.get("workspace", config.data.get("workspaces"))
    listed = texts(declared) or texts(table(declared).get("members"))
    clean = [posixpath.normpath(name) for name in listed[:40]]
    return [name for name in clean if name != "." and not name.startswith(("..", "/"))]


def package_name(specifier: str) -> str | None:
    """``npm:hono@4`` is npm:hono, ``https://deno.land/x/oak@v12/mod.ts`` is x:oak, ``jsr:/@std/fs/`` is jsr:@std/fs."""
    match = re.match(r"(npm|jsr):/?((?:@[\w.-]+/)?[\w.-]+)", specifier)
    if match:
        return f"{match[1]}:{match[2]}"
    match = re.match(r"https://deno\.land/x/([\w.-]+)", specifier)
    if match:
        return f"x:{match[1]}"
    match = re.match(r"https://(?:esm\.sh/jsr|jsr\.io)/(@[\w.-]+/[\w.-]+)", specifier)
    if match:
        return f"jsr:{match[1]}"
    match = re.match(
        r"https://(?:esm\.sh|cdn\.skypack\.dev|esm\.run|unpkg\.com|cdn\.jsdelivr\.net/npm)"
        r"/(?:v\d+/|stable/|\*)?((?:@[\w.-]+/)?[\w.-]+)",
        specifier,
    )
    return f"npm:{match[1]}" if match else None


def runs_deno(text: str) -> bool:
    """Whether a command starts a program with Deno, not only its tools."""
    for part in shell_parts(text):
        if part[0].split("/")[-1] == "deno" and part[1:2] and part[1] not in ("fmt", "lint", "test", "check", "bench"):
            return True
    return False


def find_entry(scan: Scan, folder: str = "") -> str | None:
    """The first file of a usual name that serves something, or that only Deno can load."""
    first = None
    for name in _ENTRIES:
        path = posixpath.join(folder, name)
        if scan.has(path) and not _apart(scan, folder, posixpath.dirname(path)):
            if serves(scan.code(path)):
                return path
            first = first or (path if deno_code(scan, path) else None)
    return first


def _apart(scan: Scan, folder: str, inner: str) -> bool:
    """Whether a folder below is an application of its own."""
    return inner != folder and any(scan.has(f"{inner}/{name}") for name in (*CONFIGS, "package.json"))


_SERVES = re.compile(
    r"(?<![\w.])Deno\.(?:serve|serveHttp|listen)\b|\.listen\s*\(|(?<![\w.])(?:listenAndServe|serve)\s*\("
    r"|\bstart\s*\(\s*manifest\b|\bexport\s+default\s+(?:app|server|handler|router)\b"
    r"|\bexport\s+default\s*\{[^{}]{0,400}?\bfetch\b|\bexport\s+const\s+app\s*=\s*new\s+App\b"
)


def serves(code: str) -> bool:
    """Whether a file answers HTTP by one of Deno's ways."""
    return _SERVES.search(code) is not None


def deno_code(scan: Scan, path: str) -> bool:
    """Whether only Deno can run a file: by its interface, or by what it imports."""
    code = scan.code(path)
    if USES_DENO.search(code):
        return True
    pattern = _ONLY_DENO if path.endswith((".ts", ".tsx")) else _ONLY_DENO_EVER
    return any(pattern.fullmatch(name) for name in js_imports(code))


def claims(scan: Scan) -> bool:
    """Whether the repository is Deno's; beside a package.json, by its tasks and by what its entry uses."""
    config = read_config(scan)
    if not scan.has("package.json"):
        if config.path in CONFIGS or scan.has("deno.lock"):
            return True
        if any(_ONLY_DENO_EVER.fullmatch(text) for text in config.imports.values()):
            return True  # an import map, which browsers know as well
        entry = find_entry(scan)
        files = (entry, "deps.ts", "src/deps.ts")  # modules of others are imported by a file of that name
        return entry is not None and any(deno_code(scan, path) for path in files if path and scan.has(path))
    package = scan.json("package.json") or {}
    scripts = {name: text_of(text) for name, text in table(package.get("scripts")).items()}
    if any(runs_deno(scripts.get(name, "")) for name in ("start", "serve", "dev")):
        return True
    tasks = any(runs_deno(config.tasks.get(name, "")) for name in _RUNNING)
    entry = find_entry(scan) if config.path or scan.has("deno.lock") else None
    code = entry is not None and deno_code(scan, entry)
    named = {**table(package.get("dependencies")), **table(package.get("devDependencies"))}
    node = "start" in scripts or any(name in named for row in NODE for name in row.packages)
    return tasks and code if node else tasks or code
