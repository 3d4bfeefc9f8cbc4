"""Zola: a config.toml (or zola.toml) with base_url beside templates and content."""

from __future__ import annotations

import posixpath

from bot.detect import releases, versions
from bot.detect.facts import SiteFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.model import Evidence
from bot.detect.scan import Scan, text_of
from bot.detect.stacks.hugo import submodules
from bot.detect.stacks.site_versions import asked_version

_KEYS = ("compile_sass", "build_search_index", "generate_feed", "generate_feeds", "highlight_code", "minify_html")
_MARKS = ("templates", "content", "sass", "themes", "static")


def find(scan: Scan) -> Finding | None:
    """https://www.getzola.org/documentation/getting-started/configuration/"""
    path = scan.repository.first(("zola.toml", "config.toml"))
    if path is None:
        return None
    settings = scan.toml(path)
    marks = [name for name in _MARKS if name in scan.repository.folders]
    told = [key for key in _KEYS if key in settings]
    if "base_url" not in settings or not (told or "templates" in marks or "content" in marks or "themes" in marks):
        return None
    finding = Finding("static", "zola", serves=True, answer=lambda given: _answer(scan, path, given))
    finding.add(60, scan.seen(path, "base_url", "configures a site of Zola"))
    for name in marks[:3]:
        inside = next(file for file in scan.repository.files if file.startswith(f"{name}/"))
        finding.add(12, scan.seen(inside, "", f"Zola's folder {name}"))
    return finding


def _answer(scan: Scan, path: str, given: Overrides) -> Answer:
    evidence: list[Evidence] = []
    asked = asked_version(scan, "zola", "ZOLA_VERSION", "zola-version")
    version = releases.ZOLA_DEFAULT
    if asked:
        resolved = versions.resolve_zola(asked[0])
        version = resolved.tag
        evidence.append(asked[1])
        if resolved.warning:
            scan.warn(f"{asked[1].path}: {resolved.warning}")
    named = posixpath.normpath(text_of(scan.toml(path).get("output_dir")) or "public")
    output = "public" if named.startswith((".", "/")) else named
    if output != "public":
        evidence.append(scan.seen(path, named, "the configured output folder"))
    build = text_of(given.get("build_command")) or "zola build"
    facts = SiteFacts(
        generator="zola", version=version, build=build, output=output, themes=tuple(submodules(scan, evidence))
    )
    return Answer(
        facts, "zola", language_version=version, build_command=build, output_dir=output, port=8080, evidence=evidence
    )
