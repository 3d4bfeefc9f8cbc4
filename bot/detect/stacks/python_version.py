"""Which Python a project asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.detect.model import Evidence
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.node_package import first_line, tool_version
from bot.detect.stacks.python_requirements import Manifests, inline_metadata
from bot.detect.versions import resolve_python

_VERSION = re.compile(r"(?i)(?:c?python-?|pypy-?)?\s*[<>=~^!v]*\s*\d")


def find_version(scan: Scan, manifests: Manifests | None, script: str | None) -> tuple[str, Evidence | None]:
    """The image's version, and what asks for it; the usual one where nothing does."""
    for text, evidence in _asked(scan, manifests, script):
        if not _VERSION.match(text):
            scan.warn(f"{evidence.path}: {text[:40]!r} is no version of Python")
            continue
        resolved = resolve_python(text, scan.images)
        if resolved.warning:
            scan.warn(f"{resolved.warning} ({evidence.path})")
        return resolved.tag, evidence
    return resolve_python("", scan.images).tag, None


def _asked(scan: Scan, manifests: Manifests | None, script: str | None) -> Iterator[tuple[str, Evidence]]:
    """``.python-version`` > ``runtime.txt`` > ``.tool-versions`` > ``requires-python`` > Poetry > Pipfile > others."""
    for file in (".python-version", "runtime.txt"):
        line = first_line(scan.text(file)) if scan.has(file) else ""
        if line:
            yield line, scan.seen(file, line, f"asks for Python {re.sub('^c?python-', '', line)}")
    if tool := tool_version(scan, "python"):
        yield tool
    pyproject = scan.toml("pyproject.toml") if scan.has("pyproject.toml") else {}
    wanted = text_of(table(pyproject.get("project")).get("requires-python"))
    if wanted:
        yield wanted, scan.seen("pyproject.toml", wanted, f"requires-python {wanted}")
    poetry = text_of(table(table(table(pyproject.get("tool")).get("poetry")).get("dependencies")).get("python"))
    if poetry:
        yield poetry, scan.seen("pyproject.toml", poetry, f"Poetry asks for Python {poetry}")
    if scan.has("Pipfile"):
        requires = table(scan.toml("Pipfile").get("requires"))
        pinned = text_of(requires.get("python_full_version")) or text_of(requires.get("python_version"))
        if pinned:
            yield pinned, scan.seen("Pipfile", pinned, f"the Pipfile asks for Python {pinned}")
    if manifests and manifests.manager == "conda":
        file = manifests.files[0]
        match = re.search(
            r"^\s*-\s*[\"']?(?:[\w-]+::)?python\s*([=><~!]+\s*[\d.]+[\d.,<>=*]*)", scan.text(file), re.MULTILINE
        )
        if match:
            asked = match[1].lstrip("=").strip().removesuffix(".*")
            yield asked, scan.seen(file, match[0].strip(), f"asks for Python {asked}")
    for file, pattern in (
        ("setup.cfg", r"^python_requires\s*=\s*(\S.*)$"),
        ("setup.py", r"python_requires\s*=\s*[\"']([^\"'\n]+)"),
    ):
        match = re.search(pattern, scan.text(file), re.MULTILINE) if scan.has(file) else None
        if match:
            yield match[1].strip(), scan.seen(file, match[0].strip(), f"asks for Python {match[1].strip()}")
    inline = text_of(inline_metadata(scan.text(script)).get("requires-python")) if script and scan.has(script) else ""
    if script and inline:
        yield inline, scan.seen(script, inline, f"the script asks for Python {inline}")
