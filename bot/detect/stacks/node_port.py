"""The port and the health path of a Node application, from its code, its configuration and its start command."""

from __future__ import annotations

import re

from bot.detect.model import Evidence
from bot.detect.parse import line_of
from bot.detect.scan import Scan
from bot.detect.stacks.node_package import Package

Found = tuple[int, Evidence]

_NUMBER = r"(?:Number\(|parseInt\(|\+|Number\.parseInt\()?\s*[\"'`]?(\d{2,5})\b"
_VARIABLE = (
    r"(?:process\.env|import\.meta\.env|env|Env|Bun\.env)"
    r"(?:\.|\[[\"'])(?:APP_|SERVER_|HTTP_|API_|WEB_)?PORT(?:[\"']\])?"
)
# the variable with what is taken without it, the most telling first
_DEFAULTS = (
    re.compile(rf"{_VARIABLE}\s*\)?\s*(?:\|\||\?\?)\s*{_NUMBER}"),
    re.compile(rf"{_VARIABLE}\s*,\s*10\s*\)\s*(?:\|\||\?\?)\s*{_NUMBER}"),
    re.compile(rf"{_VARIABLE}\s*(?:!==?\s*undefined\s*)?\?[^:;\n]{{1,80}}:\s*{_NUMBER}"),
    re.compile(
        rf"\{{[^{{}}]{{0,200}}\bPORT\s*(?::\s*\w+\s*)?=\s*{_NUMBER}[^{{}}]{{0,200}}\}}\s*=\s*(?:process\.)?env\b"
    ),
    re.compile(r"\benv(?:\.int|\.get|\.number)?\(\s*[\"'](?:\w+_)?PORT[\"']\s*,\s*[\"']?(\d{2,5})\b"),
    re.compile(
        r"\.get(?:OrThrow)?(?:<\w+>)?\(\s*[\"'`](?:[\w.]+[._])?port[\"'`]\s*,\s*[\"']?(\d{2,5})\b", re.IGNORECASE
    ),
    re.compile(r"\bPORT\s*:\s*(?:z|Joi|joi|yup|v|t)?\.?[^,\n]{0,120}?\.default\(\s*[\"']?(\d{2,5})\b"),
    re.compile(r"\bPORT\s*:\s*(?:port|num)\(\s*\{[^{}]{0,120}?\bdefault\s*:\s*(\d{2,5})\b"),
)
_LITERAL = (
    re.compile(r"\.listen\(\s*[\"'`]?(\d{2,5})\b"),
    re.compile(r"\.listen\(\s*\{[^{}]{0,200}?\bport\s*:\s*[\"'`]?(\d{2,5})\b"),
    re.compile(r"\b(?:serve|createServer|Bun\.serve|Server|server)\(\s*\{[^{}]{0,300}?\bport\s*:\s*[\"'`]?(\d{2,5})\b"),
    re.compile(r"\bnew\s+WebSocketServer\(\s*\{[^{}]{0,200}?\bport\s*:\s*(\d{2,5})\b"),
    re.compile(r"\blisten\s*:\s*\{[^{}]{0,200}?\bport\s*:\s*(\d{2,5})\b"),
)
_LISTENED = (
    re.compile(r"\.listen\(\s*(?:Number\(|parseInt\(|\+)?\s*([A-Za-z_$][\w$.]{0,60})"),
    re.compile(r"\.listen\(\s*\{[^{}]{0,200}?\bport\s*:\s*(?:Number\(|parseInt\()?\s*([A-Za-z_$][\w$.]{0,60})"),
    re.compile(r"\b(?:serve|Server|server)\(\s*\{[^{}]{0,300}?\bport\s*:\s*([A-Za-z_$][\w$.]{0,60})"),
    re.compile(r"\.listen\(\s*\{[^{}]{0,200}?\b(port)\b\s*[,}]"),
)
_FLAG = re.compile(r"(?:\s(?:-p|--port|-l|--listen|-P)[ =]|\bPORT=)[\"']?(?:tcp://)?(?:[\d.]+:)?(\d{2,5})\b")
_CONFIGURATION = (
    *("config/server.ts", "config/server.js", "config/default.json", "config/default.js", "config/default.ts"),
    *("config.js", "config.json", "config/config.js", "config/index.js", "config/index.ts", "src/config.js"),
    *(
        "src/config.ts",
        "src/config/index.ts",
        "src/config/index.js",
        "src/env.ts",
        "src/env.js",
        "env.ts",
        "start/env.ts",
    ),
    *("config/production.json", "config/local.js", "src/config/env.ts", "src/config/config.ts", "src/lib/env.ts"),
)
_HEALTH = re.compile(
    r"""["'`](/?(?:api/(?:v\d/)?)?(?:healthz?|_health|livez|readyz|health-?check|status/health|healthz?/live))["'`]"""
)
_HEALTH_FILES = (
    *(
        (f"{base}app/{path}/route.{end}", path)
        for base in ("", "src/")
        for path in ("api/health", "api/healthz", "health", "healthz", "api/healthcheck")
        for end in ("ts", "js")
    ),
    *(
        (f"{base}pages/{path}{inner}.{end}", path)
        for base in ("", "src/")
        for path in ("api/health", "api/healthz", "api/healthcheck")
        for inner in ("", "/index")
        for end in ("ts", "js")
    ),
    *(
        (f"server/{kind}/{name}{verb}.{end}", f"api/{name}" if kind == "api" else name)
        for kind in ("api", "routes")
        for name in ("health", "healthz")
        for verb in ("", ".get")
        for end in ("ts", "js")
    ),
    *(
        (f"src/routes/{path}/+server.{end}", path)
        for path in ("health", "healthz", "api/health")
        for end in ("ts", "js")
    ),
    *(
        (f"app/routes/{path}.{end}", path)
        for path in ("healthcheck", "health", "healthz")
        for end in ("tsx", "ts", "js")
    ),
    *((f"src/pages/{path}.{end}", path) for path in ("health", "healthz", "api/health") for end in ("ts", "js")),
)


def find_port(scan: Scan, package: Package, files: list[str], start: str | None) -> Found | None:
    """The port that it listens on when ``PORT`` is not set: of the start command, then of the code."""
    if start and (found := _of_command(scan, package, start)):
        return found
    configuration = [path for path in map(package.in_folder, _CONFIGURATION) if scan.has(path)][:6]
    for path in [*files, *(path for path in configuration if path not in files)]:
        code = scan.code(path)
        found = _first(scan, path, code, _DEFAULTS) or (_first(scan, path, code, _LITERAL) if path in files else None)
        if found := found or (_traced(scan, path, code) if path in files else _named(scan, path, code)):
            return found
    return None


def _of_command(scan: Scan, package: Package, start: str) -> Found | None:
    match = _FLAG.search(start)
    if match and _possible(match[1]):
        return int(match[1]), scan.seen(package.path, match[0].strip(), f"the start command says port {match[1]}")
    return None


def _first(scan: Scan, path: str, code: str, patterns: tuple[re.Pattern[str], ...]) -> Found | None:
    for pattern in patterns:
        for match in pattern.finditer(code):
            if _possible(match[1]):
                return _found(scan, path, code, match)
    return None


def _found(scan: Scan, path: str, code: str, match: re.Match[str]) -> Found:
    line = code.count("\n", 0, match.start(1)) + 1
    return int(match[1]), scan.seen(path, match[0], f"the code listens on {match[1]}", line)


def _traced(scan: Scan, path: str, code: str) -> Found | None:
    """The value of the variable that is listened on: ``const port = 5000; app.listen(port)``."""
    for pattern in _LISTENED:
        for listened in pattern.finditer(code):
            name = listened[1].rsplit(".", 1)[-1]
            match = re.search(
                rf"(?:\b(?:const|let|var)\s+|[\s,{{])[\"']?{re.escape(name)}[\"']?\s*(?::\s*\w+\s*)?[=:]\s*{_NUMBER}",
                code,
            )
            if match and _possible(match[1]):
                return _found(scan, path, code, match)
    return None


def _named(scan: Scan, path: str, code: str) -> Found | None:
    """``port: 8000`` in a file of configuration."""
    return _first(
        scan, path, code, (re.compile(r"(?<![\w.])[\"']?port[\"']?\s*[:=]\s*[\"']?(\d{2,5})\b", re.IGNORECASE),)
    )


def _possible(text: str) -> bool:
    return 0 < int(text) < 65536


def find_health_path(scan: Scan, package: Package, files: list[str]) -> tuple[str, Evidence] | None:
    """A route that is made for asking whether the application is well."""
    for name, route in _HEALTH_FILES:
        path = package.in_folder(name)
        if scan.has(path):
            return f"/{route}", scan.seen(path, "", f"/{route} is a health route")
    for path in files:
        code = scan.code(path)
        match = _HEALTH.search(code)
        if match and match[1].startswith("/"):
            return match[1], scan.seen(path, match[0], f"{match[1]} is a health route", line_of(code, match[0]))
        if controller := re.search(r"@Controller\(\s*[\"'`](health\w*)[\"'`]\s*\)", code):
            prefix = _nest_prefix(scan, files)
            return f"{prefix}/{controller[1]}", scan.seen(path, controller[0], "a controller for health checks")
    return None


def _nest_prefix(scan: Scan, files: list[str]) -> str:
    for path in files:
        if match := re.search(r"\.setGlobalPrefix\(\s*[\"'`]/?([\w/-]{1,60})[\"'`]\s*\)", scan.code(path)):
            return f"/{match[1]}"
    return ""
