"""What an application in Elixir asks of its surroundings: version, port, keys, services, the path for checks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.detect import versions
from bot.detect.model import Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.scan import table

if TYPE_CHECKING:
    from bot.detect.stacks.elixir import App

_PORT_VARIABLE = re.compile(
    r'\b(?:System\.get_env|env!|System\.fetch_env!|get_env)\s*\(\s*"PORT"\s*(?:,\s*(?::\w+\s*,\s*)?"?(\d{2,5}))?'
    r'[^)\n]*\)(?:\s*\|\|\s*"?(\d{2,5}))?'
)
_PORTS = (
    re.compile(r"\b(?:http|options|thousand_island_options):\s*\[[^\]]*?\bport:\s*(\d{2,5})"),
    re.compile(r"\b(?:Bandit|Plug\.Cowboy)\b[^\n]*?\bport:\s*(\d{2,5})"),
    re.compile(r":gen_tcp\.listen\(\s*(\d{2,5})"),
    re.compile(r":inets\.start\(\s*:httpd\b[^)]*?\bport:\s*(\d{2,5})"),
)
_RAISES = re.compile(r'\bSystem\.get_env\s*\(\s*"(\w+)"\s*\)\s*\|\|\s*raise\b|\bSystem\.fetch_env!\s*\(\s*"(\w+)"')
_HEALTH = re.compile(
    r'^\s*get\s*\(?\s*"(/(?:health|healthz|healthcheck|health_check|up|ping|status|livez|readyz))"', re.M
)
_OUR_KEYS = {"SECRET_KEY_BASE", "PHX_SERVER", "PHX_HOST"}


def find_version(app: App, evidence: list[Evidence]) -> str:
    """.tool-versions > mise.toml > elixir_buildpack.config > mix.exs."""
    scan = app.scan
    asked: dict[str, tuple[str, str, int | None]] = {}
    for path in (".tool-versions", "elixir_buildpack.config"):
        for number, line in enumerate(scan.text(path).split("\n"), 1) if scan.has(path) else ():
            match = re.match(r"\s*(elixir|erlang|elixir_version|erlang_version)\s*[=\s]\s*v?(\d[\w.-]*)", line)
            if match:
                asked.setdefault(match[1].removesuffix("_version"), (path, match[2], number))
    for path in ("mise.toml", ".mise.toml"):
        tools = table(scan.toml(path).get("tools")) if scan.has(path) else {}
        for key in ("elixir", "erlang"):
            if isinstance(tools.get(key), str):
                asked.setdefault(key, (path, tools[key], None))
    if "elixir" not in asked and app.mix and app.mix.elixir:
        asked["elixir"] = "mix.exs", app.mix.elixir[0], app.mix.elixir[1]
    path, text, line_number = asked.get("elixir", ("", "", None))
    otp = asked.get("erlang", ("", "", None))[1]
    suffix = re.search(r"-otp-(\d+)", text)
    resolved = versions.resolve_elixir(text, suffix[1] if suffix else otp, scan.images)
    if resolved.warning:
        scan.warn(f"{scan.repository.full(path)}: {resolved.warning}" if path else resolved.warning)
    if path:
        evidence.append(scan.seen(path, text, f"asks for Elixir {text}: {resolved.tag} is used", line_number))
    return resolved.tag


def find_port(app: App, code: dict[str, str], evidence: list[Evidence]) -> int:
    """The port that it listens on where PORT says nothing, or says it in vain."""
    usual = (app.framework.port if app.framework else None) or 4000
    for pattern in (_PORT_VARIABLE, *_PORTS):
        for path, text in code.items():
            match = pattern.search(text)
            if not match:
                continue
            number = int(next(filter(None, match.groups()), usual))
            if 0 < number < 65536:
                fixed = pattern is not _PORT_VARIABLE
                says = f"listens on port {number}" + ("" if fixed else " where PORT is not set")
                evidence.append(app.scan.seen(path, match[0].split("\n", 1)[0], says))
                if fixed:
                    app.scan.warn(f"{app.scan.repository.full(path)}: the port {number} is fixed, whatever PORT says")
                return number
    return usual


def find_needs(app: App, code: dict[str, str], evidence: list[Evidence]) -> tuple[list[str], list[str]]:
    """Environment keys that must be set, and services that it asks for."""
    scan = app.scan
    packages = {
        name: scan.seen(one.path, one.text, name, one.line) for name, one in app.dependencies.items() if one.at_run_time
    }
    services = find_services(scan, packages)
    wanted = []
    for path, text in code.items():
        for match in _RAISES.finditer(text):
            name = match[1] or match[2]
            if name not in _OUR_KEYS:
                wanted.append((name, scan.seen(path, f'"{name}"', f"{name} is required")))
        if '"PHX_HOST"' in text:
            wanted.append(("PHX_HOST", scan.seen(path, '"PHX_HOST"', "PHX_HOST is the name that visitors use")))
    required = find_required(scan, wanted)
    evidence += [item for _, item in (*services, *required)]
    return [name for name, _ in required if name not in ("SECRET_KEY_BASE", "PHX_SERVER")], [
        name for name, _ in services
    ]


def find_health(app: App, code: dict[str, str], evidence: list[Evidence]) -> str | None:
    """A route of a usual name, in a Plug router or where Phoenix's scope is the root."""
    for path, text in code.items():
        match = _HEALTH.search(text)
        if not match:
            continue
        scopes = re.findall(r'^\s*scope\s*\(?\s*"([^"]*)"', text[: match.start()], re.MULTILINE)
        if not scopes or scopes[-1] == "/":
            evidence.append(app.scan.seen(path, match[0].strip(), "answers for checks"))
            return match[1]
    return None
