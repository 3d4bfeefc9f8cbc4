"""Which version of a site's generator is asked for: deployment settings, version files, workflows."""

from __future__ import annotations

import re

from bot.detect.model import Evidence
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.node_package import first_line, tool_version

_VERSION = r"[\"']?v?(\d+\.\d+(?:\.\d+)?)"
MOST_WORKFLOWS = 20


def asked_version(scan: Scan, tool: str, variable: str, key: str) -> tuple[str, Evidence] | None:
    """netlify.toml > version files > vercel.json > workflows, which name it by ``variable`` or by ``key``."""
    build = table(scan.toml("netlify.toml").get("build")) if scan.has("netlify.toml") else {}
    contexts = table(scan.toml("netlify.toml").get("context")) if scan.has("netlify.toml") else {}
    for values in (build, table(contexts.get("production")), table(contexts.get("deploy-preview"))):
        text = text_of(table(values.get("environment")).get(variable)).removeprefix("v")
        if re.match(r"\d+\.\d+", text):
            return text, scan.seen("netlify.toml", text, f"asks for {tool} {text}")
    for file in (f".{tool}-version", ".hvm"):
        line = first_line(scan.text(file)).removeprefix("v") if scan.has(file) else ""
        if re.match(r"\d+\.\d+", line):
            return line.partition("/")[0], scan.seen(file, line, f"asks for {tool} {line}")
    found = tool_version(scan, tool, f"{tool}-extended", f"{tool}_extended")
    if found:
        return re.sub(r"^(extended_|v)", "", found[0]), found[1]
    vercel = scan.json("vercel.json") or {}
    text = text_of(table(table(vercel.get("build")).get("env")).get(variable)).removeprefix("v")
    if re.match(r"\d+\.\d+", text):
        return text, scan.seen("vercel.json", text, f"asks for {tool} {text}")
    return _workflow(scan, tool, variable, key)


def _workflow(scan: Scan, tool: str, variable: str, key: str) -> tuple[str, Evidence] | None:
    pattern = re.compile(rf"^[ \t-]*(?:{re.escape(variable)}|{re.escape(key)})\s*[:=]\s*{_VERSION}", re.MULTILINE)
    files = [
        *(path for path in scan.repository.inside(".github/workflows") if path.endswith((".yml", ".yaml"))),
        *(path for path in (".gitlab-ci.yml",) if scan.has(path)),
    ]
    for path in files[:MOST_WORKFLOWS]:
        text = scan.text(path)
        match = pattern.search(text)
        if match:
            line = text.count("\n", 0, match.start(1)) + 1
            return match[1], scan.seen(path, match[0].strip(), f"asks for {tool} {match[1]}", line)
    return None
