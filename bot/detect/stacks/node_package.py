"""package.json and its relatives: dependencies, scripts, and the version of Node.js that is asked for."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from bot.detect.model import Evidence
from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan, table, text_of, texts
from bot.detect.versions import resolve_node

# pnpm reads the other two as well (https://pnpm.io/package_json)
NAMES = ("package.json", "package.json5", "package.yaml")


@dataclass(slots=True)
class Package:
    """One package.json, read tolerantly."""

    path: str  # of the file
    data: dict[str, Any]
    dependencies: dict[str, str] = field(default_factory=dict)
    development: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder that the file lies in, "" for the root."""
        return posixpath.dirname(self.path)

    @property
    def name(self) -> str:
        """Its name, the folder's where it has none."""
        return text_of(self.data.get("name")) or self.folder

    @property
    def all(self) -> dict[str, str]:
        """All dependencies; those for production win."""
        return self.development | self.dependencies

    def in_folder(self, path: str) -> str:
        """A path from this package, as seen from the root."""
        return posixpath.normpath(posixpath.join(self.folder, path))


def read_package(scan: Scan, path: str = "") -> Package | None:
    """The package of a path, or that of the root; None where there is none."""
    path = path or scan.repository.first(NAMES) or NAMES[0]
    data = _yaml(scan, path) if path.endswith(".yaml") and scan.has(path) else scan.json(path)
    if data is None:
        return None
    package = Package(path, data)
    for key, target in (
        ("dependencies", package.dependencies),
        ("optionalDependencies", package.dependencies),
        ("peerDependencies", package.development),
        ("devDependencies", package.development),
    ):
        target.update({name: text_of(version) for name, version in table(data.get(key)).items()})
    package.scripts = {
        name: text[:4000].strip() for name, text in table(data.get("scripts")).items() if text_of(text).strip()
    }
    return package


def _yaml(scan: Scan, path: str) -> dict[str, Any]:
    data, problem = parse_yaml(scan.text(path))
    if problem:
        scan.warn(f"{scan.repository.full(path)} was not understood: {problem}")
    return table(data)


def find_version(scan: Scan, package: Package | None) -> tuple[str, Evidence | None]:
    """The Node image tag and what asks for it; a folder's own files go before those above it."""
    asked: list[tuple[str, Evidence]] = []
    if package:
        for key, where in (("volta", "volta"), ("engines", "engines")):
            text = text_of(table(package.data.get(key)).get("node"))
            if text:
                asked.append((text, scan.seen(package.path, text, f"{where}.node asks for Node.js {text}")))
    for file in (".node-version", ".nvmrc"):
        if scan.has(file) and (line := first_line(scan.text(file))):
            asked.insert(0, (line, scan.seen(file, line, f"asks for Node.js {line}")))
    if tool := tool_version(scan, "node", "nodejs"):
        asked.append(tool)
    if not asked:
        return resolve_node("", scan.images).tag, None
    text, evidence = asked[0]
    resolved = resolve_node(text, scan.images)
    if resolved.warning:
        scan.warn(f"{resolved.warning} ({evidence.path})")
    return resolved.tag, evidence


def first_line(text: str) -> str:
    """The first line that says something: comments and empty lines are passed over."""
    lines = (line.split("#")[0].strip() for line in text.split("\n")[:50])
    return next((line for line in lines if line), "")[:100]


def tool_version(scan: Scan, *tools: str) -> tuple[str, Evidence] | None:
    """What asdf's ``.tool-versions`` or mise's ``mise.toml`` says about a language."""
    if scan.has(".tool-versions"):
        for number, line in enumerate(scan.text(".tool-versions").split("\n")[:100], 1):
            words = line.split("#")[0].split()
            if len(words) > 1 and words[0] in tools:
                return words[1], scan.seen(".tool-versions", line, f"asks for {words[0]} {words[1]}", number)
    for file in ("mise.toml", ".mise.toml"):
        tool = table(scan.toml(file).get("tools")) if scan.has(file) else {}
        for name in tools:
            value = tool.get(name)
            text = text_of(value) or text_of(table(value).get("version")) or next(iter(texts(value)), "")
            if text:
                return text, scan.seen(file, text, f"asks for {name} {text}")
    return None


def is_local(version: str) -> bool:
    """Whether a dependency's version points into the repository."""
    return re.match(r"(file|link|portal|workspace):", version) is not None
