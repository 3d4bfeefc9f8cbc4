"""How an application of Deno is started in production, and on which port it listens."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from bot.detect.model import Evidence
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks import node_port
from bot.detect.stacks.deno_config import STARTS, Config, deno_code, serves
from bot.detect.stacks.node_package import Package

_USUAL = ("--allow-net", "--allow-env", "--allow-read")
# what else the code asks for
_MORE = (
    (
        "--allow-write",
        re.compile(r"\bDeno\.(?:write\w+|mkdir|remove|rename|create|makeTemp\w+|copyFile)\b|node:sqlite"),
    ),
    ("--allow-run", re.compile(r"\bDeno\.(?:Command|run)\b|node:child_process")),
    ("--allow-ffi", re.compile(r"\bDeno\.dlopen\b|jsr:@db/sqlite")),
    ("--unstable-kv", re.compile(r"\bDeno\.openKv\b")),
)
_ALLOWED = re.compile(r"(^|\s)(-A|--allow-\S+|-P\S*|--permission-set\S*|-[RWNESIF]*[RWN][RWNESIF]*)(=\S*)?(\s|$)")
_WATCHES = re.compile(r"(^|\s)--(watch|watch-hmr|hmr|watch-exclude|inspect)(=\S*)?(\s|$)")
_DEVELOPMENT = re.compile(
    r"(^|[\s/:])(dev\.tsx?|denon|nodemon|vite(@[\w.^~-]+)?(\s+(dev|serve|preview|--.*))?\s*$)|\blume\b"
)
_TAKES_VALUE = frozenset(
    {"--port", "--host", "-c", "--config", "--import-map", "-L", "--log-level", "--location", "--cert", "--env-file"}
)
_PORTS = (
    re.compile(r"""Deno\.env\.get\(\s*["'`]\w*PORT["'`]\s*\)\s*(?:\|\||\?\?)\s*["'`]?(\d{2,5})"""),
    re.compile(r"""\benv\.(?:get\(["'`])?\w*PORT\b[^\n]{0,20}?(?:\|\||\?\?)\s*["'`]?(\d{2,5})"""),
    re.compile(r"\bDeno\.(?:serve|listen)\(\s*\{[^{}]{0,300}?\bport\s*:\s*(\d{2,5})\b"),
    re.compile(r"\bserve\([^;]{0,300}?\{[^{}]{0,100}?\bport\s*:\s*(\d{2,5})\b"),
)
_READS_PORT = re.compile(r"""["'`]PORT["'`]|\benv\.PORT\b|\bprocess\.env\b""")


@dataclass(frozen=True, slots=True)
class Start:
    """A command, the file that it runs as seen from the root, and where it stands."""

    text: str
    entry: str | None = None
    seen: Evidence | None = None


def choose_start(scan: Scan, config: Config, entry: str | None, folder: str, permissions: str) -> Start | None:
    """The Procfile's, a task that is no development server, the configured or usual entry."""
    web = scan.procfile.get("web")
    if web:
        return Start(web[0], _file_of(web[0], folder))
    for name in STARTS:
        text = _followed(config, config.tasks.get(name, ""))
        if text and not _WATCHES.search(text) and not _DEVELOPMENT.search(text):
            text = _listening(_permitted(text, permissions))
            return Start(text, _file_of(text, folder), scan.seen(config.path, f'"{name}"', f"task {name}"))
    named = text_of(table(config.data.get("deploy")).get("entrypoint"))
    path = posixpath.normpath(posixpath.join(folder, named)) if named else ""
    if path and scan.has(path):
        return Start(
            _command(scan, path, folder, permissions), path, scan.seen(config.path, named, "the configured entry")
        )
    if entry and (serves(scan.code(entry)) or deno_code(scan, entry)) and not entry.endswith("mod.ts"):
        return Start(_command(scan, entry, folder, permissions), entry)
    if entry and serves(scan.code(entry)):
        return Start(_command(scan, entry, folder, permissions), entry)
    return None


def permissions_of(scan: Scan, files: list[str], *, foreign: bool, everything: bool) -> str:
    """Options that let the program do what its code does; ``foreign`` are packages of npm, which look at the system."""
    if everything:
        return "--allow-all"
    more = [option for option, pattern in _MORE if any(pattern.search(scan.code(path)) for path in files)]
    return " ".join([*_USUAL, *(["--allow-sys"] if foreign else []), *more])


def _followed(config: Config, text: str, depth: int = 0) -> str:
    match = re.fullmatch(r"deno\s+task\s+(?:-q\s+|--quiet\s+)?([\w:.-]+)", text.strip())
    if match and match[1] in config.tasks and depth < 3:
        return _followed(config, config.tasks[match[1]], depth + 1)
    return text


def _permitted(text: str, permissions: str) -> str:
    """Without any permission Deno would ask, and nobody is there to answer."""
    if _ALLOWED.search(text):
        return text
    return re.sub(r"\bdeno (run|serve)\b", rf"deno \1 {permissions}", text, count=1)


def _listening(text: str) -> str:
    """``deno serve`` takes its port from its options alone."""
    if re.search(r"\bdeno serve\b", text) and "--port" not in text:
        return re.sub(r"\bdeno serve\b", "deno serve --port ${PORT}", text, count=1)
    return text


def _command(scan: Scan, path: str, folder: str, permissions: str) -> str:
    local = posixpath.relpath(path, folder or ".")
    code = scan.code(path)
    exported = re.search(r"\bexport\s+default\b", code) and not re.search(r"Deno\.serve|\.listen\s*\(|\bserve\(", code)
    plain = local if re.fullmatch(r"[\w./@+-]+", local) else "main.ts"
    return f"deno serve --port ${{PORT}} {permissions} {plain}" if exported else f"deno run {permissions} {plain}"


def _file_of(text: str, folder: str) -> str | None:
    """The file that the last ``deno run`` or ``deno serve`` of a command is given."""
    found = None
    for part in shell_parts(text):
        if part[0].split("/")[-1] != "deno" or part[1:2] not in (["run"], ["serve"]):
            continue
        words = iter(part[2:])
        for word in words:
            if word in _TAKES_VALUE:
                next(words, None)
            elif not word.startswith("-"):
                found = posixpath.normpath(posixpath.join(folder, word))
                break
    return found if found and re.fullmatch(r"[\w][\w./@+-]*", found) else None


def find_port(scan: Scan, config: Config, files: list[str], evidence: list[Evidence]) -> int | None:
    """Of a task's option, else of the code."""
    for name in STARTS:
        match = re.search(r"--port[= ](\d{2,5})", config.tasks.get(name, ""))
        if match:
            evidence.append(scan.seen(config.path, match[0], f"listens on port {match[1]}"))
            return int(match[1])
    for path in files:
        code = scan.code(path)
        for pattern in _PORTS:
            match = pattern.search(code)
            if match and 0 < int(match[1]) < 65536:
                line = code.count("\n", 0, match.start(1)) + 1
                evidence.append(scan.seen(path, match[0], f"listens on port {match[1]}", line))
                return int(match[1])
    found = node_port.find_port(scan, Package("package.json", {}), files, None)
    if found:
        evidence.append(found[1])
        return found[0]
    return None


def reads_port(scan: Scan, files: list[str], start: str) -> bool:
    """Whether the application itself takes its port from ``PORT``."""
    return "PORT" in start or any(_READS_PORT.search(scan.code(path)) for path in files)
