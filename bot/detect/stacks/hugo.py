"""Hugo: a configuration of its own name, or the older config.toml beside the folders of a site."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from bot.detect import releases, versions
from bot.detect.facts import NodeFacts, SiteFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.model import Evidence
from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks import node_manager as managing
from bot.detect.stacks import node_package as packages
from bot.detect.stacks.python_version import find_version
from bot.detect.stacks.site_versions import asked_version

_ENDINGS = ("toml", "yaml", "yml", "json")
_OWN = tuple(
    f"{folder}hugo.{ending}" for folder in ("", "config/_default/", "config/production/") for ending in _ENDINGS
)
_OLD = tuple(f"{folder}config.{ending}" for folder in ("", "config/_default/") for ending in _ENDINGS)
_MARKS = ("archetypes", "content", "themes", "layouts", "assets", "data", "i18n", "static")
_ONLY_HUGO = ("archetypes", "themes", "layouts")
# keys of a configuration that Zola and others do not have, in lower case
_KEYS = frozenset(
    {"baseurl", "theme", "languagecode", "params", "paginate", "pagination", "disablekinds", "publishdir", "menu"}
    | {"menus", "languages", "defaultcontentlanguage", "module", "enablerobotstxt", "contentdir", "locale"}
)
_TOOLS = re.compile(r"prettier|eslint|stylelint|markdownlint|husky|lint-staged|commitlint|cspell|textlint|remark")
MOST_THEMES = 10


def find(scan: Scan) -> Finding | None:
    """A site of Hugo, however its configuration is called."""
    own = scan.repository.first(_OWN)
    path = own or scan.repository.first(_OLD)
    if path is None:
        return None
    settings = _settings(scan, path)
    marks = [name for name in _MARKS if name in scan.repository.folders]
    keys = _KEYS & settings.keys()
    if own is None and not _is_site(marks, keys, settings, scan):
        return None
    finding = Finding("static", "hugo", serves=True, answer=lambda given: _answer(scan, path, settings, given))
    finding.add(60 if own else 45, scan.seen(path, "", "configures a site of Hugo"))
    for name in marks[:4]:
        inside = next((file for file in scan.repository.files if file.startswith(f"{name}/")), name)
        finding.add(12, scan.seen(inside, "", f"Hugo's folder {name}"))
    return finding


def _is_site(marks: list[str], keys: frozenset[str], settings: dict[str, Any], scan: Scan) -> bool:
    """Any program may have a config.toml; Zola's says base_url."""
    if "base_url" in settings or "_config.yml" in scan.repository.inside(""):
        return False
    if scan.has("theme.toml") and not keys:
        return False
    wanted = any(name in marks for name in _ONLY_HUGO) or (scan.has(".gitmodules") and "baseurl" in keys)
    wanted = wanted or "module" in keys
    return bool(marks) and (bool(keys) or len(marks) > 1) and (wanted or "content" in marks)


def _settings(scan: Scan, path: str) -> dict[str, Any]:
    """The configuration's first level; Hugo does not mind how keys are written."""
    if path.endswith(".toml"):
        data = scan.toml(path)
    elif path.endswith(".json"):
        data = scan.json(path) or {}
    else:
        data = table(parse_yaml(scan.text(path))[0])
    return {key.lower(): value for key, value in data.items()}


def _answer(scan: Scan, path: str, settings: dict[str, Any], given: Overrides) -> Answer:
    evidence: list[Evidence] = []
    version = _version(scan, settings, evidence)
    named = posixpath.normpath(text_of(settings.get("publishdir")) or "public")
    inside = named not in (".", "") and not named.startswith(("..", "/"))
    output = named if inside else "public"
    if named != "public" and inside:
        evidence.append(scan.seen(path, named, "the configured output folder"))
    assets = _assets(scan, evidence)
    build = "hugo --gc --minify" if inside else "hugo --gc --minify --destination public"
    if assets and assets.build:
        build = assets.build if _builds_hugo(scan) else f"{assets.build} && {build}"
    build = text_of(given.get("build_command")) or build
    facts = SiteFacts(
        generator="hugo",
        version=version,
        python=find_version(scan, None, None)[0],
        build=build,
        output=output,
        themes=tuple(submodules(scan, evidence)),
        modules=_modules(scan, settings),
        assets=assets,
    )
    return Answer(
        facts, "hugo", language_version=version, build_command=build, output_dir=output, port=8080, evidence=evidence
    )


def _version(scan: Scan, settings: dict[str, Any], evidence: list[Evidence]) -> str:
    """What pip can bring: whole releases of the line that is asked for."""
    asked = asked_version(scan, "hugo", "HUGO_VERSION", "hugo-version")
    if asked is None:
        least = text_of(table(table(settings.get("module")).get("hugoversion")).get("min"))
        dependency = _dependency(scan)
        if dependency:
            asked = dependency
        elif versions.newer(least, releases.HUGO_DEFAULT):
            return versions.resolve_hugo(least).tag
    if asked is None:
        return releases.HUGO_DEFAULT
    resolved = versions.resolve_hugo(asked[0])
    if resolved.warning:
        scan.warn(f"{asked[1].path}: {resolved.warning}")
    evidence.append(asked[1])
    return resolved.tag


def _dependency(scan: Scan) -> tuple[str, Evidence] | None:
    """npm's hugo-extended has Hugo's own version numbers."""
    package = packages.read_package(scan)
    text = package.all.get("hugo-extended", "") if package else ""
    match = re.search(r"\d+\.\d+(\.\d+)?", text)
    return (match[0], scan.seen("package.json", '"hugo-extended"', f"asks for Hugo {match[0]}")) if match else None


def _modules(scan: Scan, settings: dict[str, Any]) -> str:
    """The Go release that fetches modules; "" where there are none, or where they are vendored."""
    imports = table(settings.get("module")).get("imports")
    listed = scan.has("go.mod") and re.search(r"^\s*(require\b|[\w.-]+/\S+\s+v\d)", scan.text("go.mod"), re.MULTILINE)
    if scan.has("_vendor/modules.txt") or not (imports or listed):
        return ""
    asked = re.search(r"^go\s+(\d+\.\d+)", scan.text("go.mod"), re.MULTILINE) if scan.has("go.mod") else None
    return versions.resolve_go(asked[1] if asked else "", scan.images).tag


def submodules(scan: Scan, evidence: list[Evidence]) -> list[tuple[str, str]]:
    """Submodules that a checkout does not bring: they are fetched while the site is built."""
    found = []
    if not scan.has(".gitmodules"):
        return []
    for part in scan.text(".gitmodules")[:20_000].split("[submodule ")[1 : MOST_THEMES + 1]:
        values = dict(re.findall(r"^\s*(path|url)\s*=\s*(\S+)\s*$", part, re.MULTILINE))
        folder, url = posixpath.normpath(values.get("path", "..")), values.get("url", "")
        url = re.sub(r"^git@([\w.-]+):", r"https://\1/", url)
        plain = re.fullmatch(r"[\w][\w./-]*", folder) and re.fullmatch(r"https://[\w.-]+/[\w./~-]+", url)
        if plain and ".." not in folder and folder not in scan.repository.folders:
            found.append((folder, url))
            evidence.append(scan.seen(".gitmodules", values["path"], f"{folder} is fetched from {url}"))
    if found:
        names = ", ".join(folder for folder, _ in found)
        scan.warn(f"{names}: a Git submodule is not part of the checkout; the build fetches its newest commit")
    return found


def _assets(scan: Scan, evidence: list[Evidence]) -> NodeFacts | None:
    """Packages of Node.js that Hugo's pipes call (PostCSS, Tailwind), or that are mounted."""
    package = packages.read_package(scan)
    if package is None:
        return None
    used = [name for name in package.all if not _TOOLS.search(name) and not name.startswith("hugo-")]
    if not used and "build" not in package.scripts:
        return None
    manager = managing.find_manager(scan, package)
    version, _ = packages.find_version(scan, package)
    evidence.append(scan.seen("package.json", f'"{used[0]}"' if used else '"build"', "the pages need Node.js to build"))
    return NodeFacts(
        version=version,
        manager=manager.name,
        manager_version=manager.version,
        yarn_berry=manager.berry,
        lockfile=manager.lockfile,
        manifests=managing.install_files(scan, manager, package, []),
        has_dependencies=bool(package.all),
        install_needs_source=managing.install_needs_source(scan, package, []) is not None,
        build=f"{manager.name} run build" if "build" in package.scripts else None,
        serve="static",
    )


def _builds_hugo(scan: Scan) -> bool:
    package = packages.read_package(scan)
    scripts = package.scripts if package else {}
    return any(re.search(r"(^|[\s;&|/])hugo(\s|$)", text) for name, text in scripts.items() if name.startswith("build"))
