"""MkDocs: mkdocs.yml, with the packages that its theme, plugins and extensions come from."""

from __future__ import annotations

import posixpath
from typing import Any

from bot.detect import mkdocs_packages as known
from bot.detect.facts import PythonFacts, SiteFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.model import Evidence
from bot.detect.parse import normalise, parse_yaml, requirement
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.python_native import native_packages
from bot.detect.stacks.python_packages import read_manifests
from bot.detect.stacks.python_requirements import Manifests
from bot.detect.stacks.python_version import find_version

_REQUIREMENTS = (
    *("docs/requirements.txt", "requirements-docs.txt", "requirements_docs.txt", "docs-requirements.txt"),
    *("requirements/docs.txt", "requirements.docs.txt", "doc/requirements.txt", "requirements-dev.txt"),
)
# beside them, mkdocs.yml describes the documents of something else
_OTHERS = (
    *("go.mod", "Cargo.toml", "Gemfile", "composer.json", "pom.xml", "build.gradle", "build.gradle.kts", "mix.exs"),
    *("setup.py", "manage.py", "build.sbt", "deno.json"),
)


def find(scan: Scan) -> Finding | None:
    """A site of MkDocs; less likely where it only documents a program."""
    path = scan.repository.first(("mkdocs.yml", "mkdocs.yaml"))
    if path is None:
        return None
    data, problem = parse_yaml(scan.text(path))
    settings = table(data)
    if problem:
        scan.warn(f"{scan.repository.full(path)} was not understood: {problem}")
    folder = posixpath.normpath(text_of(settings.get("docs_dir")) or "docs")
    finding = Finding("static", "mkdocs", serves=True, answer=lambda given: _answer(scan, path, settings, given))
    finding.add(45, scan.seen(path, "site_name" if "site_name" in settings else "", "configures a site of MkDocs"))
    page = scan.repository.first(f"{folder}/{name}" for name in ("index.md", "README.md"))
    page = page or next((file for file in scan.repository.files if file.startswith(f"{folder}/")), None)
    if page:
        finding.add(20, scan.seen(page, "", "documents for it"))
    other = scan.repository.first(_OTHERS) or _program(scan, folder)
    if other:
        finding.limit = 25
        finding.add(0, scan.seen(other, "", "it documents this program"))
    else:
        finding.add(20, scan.seen(path, "", "there is nothing but documents"))
    return finding


def _program(scan: Scan, docs: str) -> str | None:
    """A package of Python, one of Node.js that can be imported, or packages that are no part of MkDocs."""
    package = scan.json("package.json") or {}
    if any(key in package for key in ("main", "exports", "bin", "module")):
        return "package.json"
    for path in ("requirements.txt", "Pipfile"):
        if scan.has(path) and "mkdocs" not in scan.text(path):
            return path
    built = scan.has("pyproject.toml") and "build-system" in scan.toml("pyproject.toml")
    if built and any(file.endswith(".py") for file in (*scan.repository.inside(""), *scan.repository.inside("src"))):
        return "pyproject.toml"
    return next(
        (
            file
            for file in scan.repository.named("__init__.py", 2)
            if not file.startswith((f"{docs}/", "hooks/", "overrides/", "tests/", "plugins/", "macros/"))
        ),
        None,
    )


def _answer(scan: Scan, path: str, settings: dict[str, Any], given: Overrides) -> Answer:
    evidence: list[Evidence] = []
    manifests = _manifests(scan)
    plugins = _names(settings.get("plugins"))
    listed = set(manifests.names) if manifests else set()
    wanted = _wanted(scan, settings, plugins)
    add = tuple(one for one in wanted if normalise(one.partition("=")[0].partition("[")[0]) not in listed)
    if manifests and any(one.startswith("mkdocs") for one in listed):
        # what a manifest names brings MkDocs itself, in the version that it wants
        add = tuple(one for one in add if one != known.MKDOCS)
    if add:
        evidence.append(scan.seen(path, "", f"needs {', '.join(add)}"))
    version, asked = find_version(scan, manifests, None)
    evidence += [item for item in (manifests.evidence if manifests else None, asked) if item]
    named = posixpath.normpath(text_of(settings.get("site_dir")) or "site")
    inside = named not in (".", "") and not named.startswith(("..", "/"))
    output = named if inside else "site"
    build = text_of(given.get("build_command")) or ("mkdocs build" if inside else "mkdocs build --site-dir site")
    history = bool(known.NEED_HISTORY.intersection(plugins))
    if history:
        scan.warn(f"{scan.repository.full(path)}: dates and authors come from Git's history, which a build has not")
    facts = SiteFacts(
        generator="mkdocs",
        python=version,
        build=build,
        output=output,
        history=history,
        packages=_packages(manifests or Manifests(), version, add),
    )
    return Answer(
        facts,
        "mkdocs",
        package_manager=manifests.manager if manifests else None,
        language_version=version,
        build_command=build,
        output_dir=output,
        port=8080,
        evidence=evidence,
    )


def _packages(manifests: Manifests, version: str, add: tuple[str, ...]) -> PythonFacts:
    """What a Dockerfile for Python would install, without any program."""
    return PythonFacts(
        version=version,
        manager=manifests.manager,
        lockfile=manifests.lockfile,
        manifests=tuple(manifests.files),
        requirements=manifests.requirements,
        listed=manifests.listed,
        local=manifests.local and not manifests.needs_source,
        install_needs_source=manifests.needs_source,
        has_dependencies=bool(manifests.files),
        workspace=bool(manifests.members),
        groups=tuple(manifests.groups),
        hashes=not manifests.git and not manifests.needs_source,
        add=add,
        build_packages=native_packages(manifests.found, git=manifests.git, spatial=False)[0],
    )


def _manifests(scan: Scan) -> Manifests | None:
    """The manifest that brings MkDocs: a list for the documents alone goes before that of a project."""
    for path in _REQUIREMENTS:
        if not scan.has(path):
            continue
        lines = scan.text(path).split("\n")
        found = [one for number, line in enumerate(lines, 1) if (one := requirement(line, path, number))]
        nested = any(line.strip().startswith(("-", ".")) for line in lines)
        if any(one.name.startswith("mkdocs") for one in found) and not nested:
            seen = scan.seen(path, "", "packages by pip")
            return Manifests(requirements=path, files=[path], found=found, evidence=seen)
    found_below = read_manifests(scan)
    if found_below is None or found_below.weak or found_below.manager == "conda":
        return None
    brings = any(name.startswith("mkdocs") for name in found_below.names)
    return found_below if brings or (found_below.requirements and not found_below.needs_source) else None


def _names(listed: object) -> list[str]:
    """Names in a list of texts and of mappings with one key, or the keys of a mapping."""
    if isinstance(listed, dict):
        return [name for name in listed if isinstance(name, str)]
    found = []
    for item in listed if isinstance(listed, list) else ():
        found += [item] if isinstance(item, str) else list(table(item))[:1]
    return found[:100]


def _wanted(scan: Scan, settings: dict[str, Any], plugins: list[str]) -> list[str]:
    theme = settings.get("theme")
    name = text_of(theme) or text_of(table(theme).get("name"))
    material = name == "material" or any(plugin.startswith("material/") for plugin in plugins)
    found = [known.MKDOCS]
    if "techdocs-core" in plugins:
        return [*found, known.PLUGINS["techdocs-core"]]
    if material:
        found.append(known.MATERIAL)
    elif name in known.THEMES:
        found.append(known.THEMES[name])
    elif name and name not in ("mkdocs", "readthedocs", "null"):
        scan.warn(f"the theme {name[:60]!r} of MkDocs is in no list of packages: name it in requirements.txt")
    for plugin in plugins:
        short = plugin.removeprefix("material/")
        if short in known.PLUGINS:
            found.append(known.PLUGINS[short])
        elif short != "search" and not (material and short in known.OF_MATERIAL):
            scan.warn(f"the plugin {plugin[:60]!r} of MkDocs is in no list of packages: name it in requirements.txt")
    for extension in _names(settings.get("markdown_extensions")):
        package = known.MARKDOWN.get(extension.partition(".")[0])
        if package and not (material and package == known.EXTENSIONS):
            found.append(package)
    return list(dict.fromkeys(found))
