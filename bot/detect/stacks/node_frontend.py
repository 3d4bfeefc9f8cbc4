"""Whether a Node application is a server or a folder of built files, and where those land."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bot.detect.frameworks import Framework
from bot.detect.js_config import Setting, find_setting, top_setting
from bot.detect.model import Evidence
from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.node_package import Package

if TYPE_CHECKING:
    from bot.detect.stacks.node_start import Start

Kind = Literal["server", "static", "next-standalone", "nitro"]
_CONFIG = (".ts", ".js", ".mjs", ".cjs", ".mts", ".cts")


@dataclass(slots=True)
class Serving:
    """How the result of a build is served."""

    kind: Kind = "server"
    output: str | None = None
    spa: bool = False
    fallback: str = "/index.html"  # the page of a single-page application that unknown paths get
    start: str | None = None
    build_scripts: tuple[str, ...] = ()
    build_environment: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    dist_folder: str = ""
    evidence: list[Evidence] = field(default_factory=list)


BUNDLERS = (
    *("webpack", "@rspack/core", "@rsbuild/core", "rollup", "esbuild", "gulp", "brunch", "snowpack", "microbundle"),
    *("browserify", "@stencil/core", "grunt", "laravel-mix", "@farmfe/core", "bun-plugin-html"),
)


def bundler(package: Package) -> str | None:
    """What bundles a front end that uses no framework of the table."""
    return next((name for name in BUNDLERS if name in package.all), None)


def plain(scan: Scan, package: Package, start: Start | None) -> Serving:
    """Without a framework: files where a bundler writes them and nothing else is started, otherwise a server."""
    if start and start.static and "build" in package.scripts:
        return Serving("static", safe(start.static, "dist"), spa="-s" in start.text.split())
    if "build" in package.scripts and (bundler(package) or "parcel" in package.all) and not own_server(start):
        folder, seen = _bundled(scan, package)
        return Serving("static", folder, evidence=[seen] if seen else [])
    return Serving()


def _bundled(scan: Scan, package: Package) -> tuple[str, Evidence | None]:
    path, code = config(
        scan,
        package,
        "webpack.config",
        "webpack.prod",
        "webpack.config.prod",
        "config/webpack.prod",
        "webpack/webpack.prod",
        "rollup.config",
        "rsbuild.config",
        "rspack.config",
        "stencil.config",
    )
    found = find_setting(code, "output", "path") or find_setting(code, "distPath", "root")
    if found and found.value.strip("/"):
        return safe(found.value.lstrip("/"), "dist"), seen_setting(scan, path, found, "the configured output folder")
    match = re.search(r"\b(?:file|dir)\s*:\s*[\"'`]([\w.-]+)(?:/[\w./-]*)?[\"'`]", code)
    if match:
        return safe(match[1], "dist"), scan.seen(path, match[0], "the configured output folder")
    return ("www" if "@stencil/core" in package.all else "dist"), None


def own_server(start: Start | None) -> bool:
    """Whether a script starts a program of the repository."""
    return bool(start and not start.development and start.static is None and start.entry)


def serves_files(command: str) -> bool:
    """Whether a command hands out built files, or only serves while somebody develops."""
    return re.match(r"(?:npx\s+)?(?:serve|http-server|sirv|vite|ng|react-scripts)\b", command) is not None


HASHED = ("assets", "static/js", "static/css", "static/media", "_astro", "_nuxt", "_next/static", "_app/immutable")


def hashed_folders(scan: Scan, package: Package) -> tuple[str, ...]:
    """Where bundlers put files named after their content, unless the repository puts files of its own there too."""
    own = scan.repository.folders
    return tuple(
        folder
        for folder in HASHED
        if not any(package.in_folder(f"{public}/{folder}") in own for public in ("public", "static"))
    )


def config(scan: Scan, package: Package, *stems: str) -> tuple[str, str]:
    """Path and code of the first configuration file of these names, with any ending."""
    for stem in stems:
        path = scan.repository.first(package.in_folder(stem + end) for end in _CONFIG)
        if path:
            return path, scan.code(path)
    return "", ""


def seen_setting(scan: Scan, path: str, found: Setting, says: str) -> Evidence:
    """Evidence of a setting in its line."""
    line = scan.code(path).count("\n", 0, found.place) + 1
    return scan.seen(path, f"{found.path[-1]}: {found.value}", says, line)


def safe(folder: str, fallback: str) -> str:
    """A folder inside the package."""
    clean = posixpath.normpath(folder.strip() or fallback)
    return fallback if clean.startswith(("/", "..")) or clean == "." or "$" in clean else clean


def files(scan: Scan, package: Package, framework: Framework, start: Start | None) -> Serving:
    """A front end of the table."""
    folder, seen = _output(scan, package, framework, start)
    spa = framework.spa
    if framework.name == "expo":
        web = table(table((scan.json(package.in_folder("app.json")) or {}).get("expo")).get("web"))
        spa = text_of(web.get("output")) not in ("static", "server")
    return Serving("static", folder, spa=spa, evidence=[seen] if seen else [])


_Found = tuple[str, Evidence | None]


def _output(scan: Scan, package: Package, framework: Framework, start: Start | None) -> _Found:
    own = {"eleventy": _eleventy, "hexo": _hexo, "vitepress": _documents, "vuepress": _documents, "parcel": _parcel}
    if framework.name in own:
        return own[framework.name](scan, package, framework)
    if start and start.static and start.script != "dev":
        return safe(start.static, "dist"), scan.seen(package.path, start.text, f"{start.text} serves this folder")
    if found := _configured(scan, package):
        return found
    build = package.scripts.get("build", "")
    if match := re.search(r"\bBUILD_PATH=[\"']?([\w./-]+)", build):
        return safe(match[1], "build"), scan.seen(package.path, match[0], "the build script names its output folder")
    for name in ("react-scripts", "react-app-rewired", "@craco/craco", "preact-cli"):
        if name in package.all:
            return "build", scan.seen(package.path, f'"{name}"', f"{name} writes to build/")
    if flag := re.search(r"(?:--outDir|--out-dir|--dist-dir|--output-path|--dest|-d|-o)[ =]([\w./-]+)", build):
        return safe(flag[1], "dist"), scan.seen(package.path, flag[0], "the build script names its output folder")
    if framework.name == "svelte" and "rollup" in build:
        return "public", scan.seen(package.path, "rollup", "Svelte's Rollup template writes into public/")
    if "vite" not in package.all and bundler(package):
        return _bundled(scan, package)
    return framework.output[0] if framework.output else "dist", None


def _configured(scan: Scan, package: Package) -> _Found | None:
    """What the bundler's configuration says; paths of Vite are relative to its ``root``."""
    path, code = config(
        scan, package, "vite.config", "config/vite.config", "vue.config", "rsbuild.config", "rspack.config"
    )
    if not code:
        return None
    root = top_setting(code, "root")
    top = root.value if root and not root.value.startswith("..") else ""
    named = find_setting(code, "build", "outDir") or find_setting(code, "outDir") or find_setting(code, "outputDir")
    if named:
        folder = posixpath.join(top, named.value)
        return safe(folder, "dist"), seen_setting(scan, path, named, "the configured output folder")
    if root and top.strip("./"):
        return safe(posixpath.join(top, "dist"), "dist"), seen_setting(
            scan, path, root, "the output is below this folder"
        )
    return None


def _eleventy(scan: Scan, package: Package, framework: Framework) -> _Found:
    for text in package.scripts.values():
        if "eleventy" in text and (flag := re.search(r"--output[ =]([\w./-]+)", text)):
            return safe(flag[1], "_site"), scan.seen(package.path, flag[0], "a script names the output folder")
    path, code = config(scan, package, "eleventy.config", ".eleventy")
    found = find_setting(code, "dir", "output")
    if found:
        return safe(found.value, "_site"), seen_setting(scan, path, found, "the configured output folder")
    if match := re.search(r"\.setOutputDirectory\(\s*[\"'`]([\w./-]+)[\"'`]", code):
        return safe(match[1], "_site"), scan.seen(path, match[0], "the configured output folder")
    return framework.output[0], None


def _hexo(scan: Scan, package: Package, _framework: Framework) -> _Found:
    path = package.in_folder("_config.yml")
    named = text_of(table(parse_yaml(scan.text(path))[0]).get("public_dir")) if scan.has(path) else ""
    return safe(named, "public"), scan.seen(path, named, "the configured output folder") if named else None


def _parcel(scan: Scan, package: Package, _framework: Framework) -> _Found:
    for target in table(package.data.get("targets")).values():
        if named := text_of(table(target).get("distDir")):
            return safe(named, "dist"), scan.seen(package.path, named, "the configured output folder")
    build = package.scripts.get("build", "")
    if flag := re.search(r"(?:--dist-dir|--out-dir|-d)[ =]([\w./-]+)", build):
        return safe(flag[1], "dist"), scan.seen(package.path, flag[0], "the build script names its output folder")
    return "dist", None


def _documents(scan: Scan, package: Package, framework: Framework) -> _Found:
    """VitePress and VuePress write below the folder of the documents."""
    inner = f".{framework.name}"
    texts = [text for text in package.scripts.values() if re.search(rf"\b{framework.name}(?:-vite)?\s+build\b", text)]
    for text in texts:
        if flag := re.search(r"(?:--outDir|--dest|-d)[ =]([\w./-]+)", text):
            return safe(flag[1], "dist"), scan.seen(package.path, flag[0], "the build script names its output folder")
        folder = next((word for word in text.split() if package.in_folder(word) in scan.repository.folders), "")
        if folder:
            return f"{safe(folder, 'docs')}/{inner}/dist", scan.seen(package.path, text, "the folder of the documents")
        return f"{inner}/dist", None
    for folder in ("docs", "src", "doc", "documentation"):
        if package.in_folder(f"{folder}/{inner}") in scan.repository.folders:
            return f"{folder}/{inner}/dist", None
    return f"{inner}/dist", None
