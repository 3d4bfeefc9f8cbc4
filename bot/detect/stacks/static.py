"""Files that only have to be handed out, and sites that a generator makes: Hugo, Zola, MkDocs."""

from __future__ import annotations

from bot.detect.facts import StaticFacts
from bot.detect.finding import Answer, Finding
from bot.detect.scan import Scan
from bot.detect.stacks import hugo, mkdocs, zola

# files that may mean an application in their folder
MANIFESTS = (
    *("hugo.toml", "hugo.yaml", "hugo.yml", "hugo.json", "config.toml", "mkdocs.yml", "mkdocs.yaml"),
    *("_config.yml", "index.html"),
)

_FOLDERS = (
    *("", "public", "dist", "build", "_site", "site", "www", "html", "static", "docs", "web", "src", "app"),
    *("htdocs", "public_html", "webroot", "output", "out", "_build/html"),
)
_WEIGHTS = {"": 55, "public": 45, "dist": 45, "_site": 45, "build": 40, "site": 40, "www": 40, "html": 40}
_OWN = ("package.json", "requirements.txt", "pyproject.toml", "go.mod", "composer.json", "Gemfile", "deno.json")
_INDEX = ("index.html", "index.htm")  # what nginx looks for, in any spelling
_FIRST = ("home", "main", "default", "start", "welcome")


def find(scan: Scan) -> Finding | None:
    """What a generator's configuration says, otherwise a page at the root or where a site usually lies."""
    return hugo.find(scan) or zola.find(scan) or mkdocs.find(scan) or _pages(scan)


def _pages(scan: Scan) -> Finding | None:
    if "manifest_version" in (scan.json("manifest.json") or {}):
        return None  # pages of an extension for browsers
    declared = _staticfile(scan)
    folders = _FOLDERS if declared is None else (declared,)
    for folder in folders:
        index = _index(scan, folder)
        if index and not (folder and any(scan.has(f"{folder}/{name}") for name in _OWN)):
            break
    else:
        return _without_index(scan, declared or "")
    name = index.rpartition("/")[2]
    first = "" if name in _INDEX else name
    finding = Finding("static", None, serves=True, answer=lambda _: _answer(scan, folder, first))
    finding.add(_WEIGHTS.get(folder, 30), scan.seen(index, "", "a page to hand out"))
    if scan.has("Staticfile"):
        finding.add(30, scan.seen("Staticfile", "", "declares a static site"))
    if scan.has("CNAME") or scan.has(".nojekyll"):
        finding.add(10, scan.seen("CNAME" if scan.has("CNAME") else ".nojekyll", "", "made for static hosting"))
    return finding


def _index(scan: Scan, folder: str) -> str | None:
    """The page that answers for a folder; ``INDEX.HTML`` is one as well."""
    inside = scan.repository.inside(folder)
    usual = scan.repository.first(f"{folder}/{name}".lstrip("/") for name in _INDEX)
    return usual or next((path for path in inside if path.rpartition("/")[2].lower() in _INDEX), None)


def _without_index(scan: Scan, folder: str) -> Finding | None:
    """Pages, none of which is called index.html: one of them has to answer for the folder."""
    pages = [path for path in scan.repository.inside(folder) if path.lower().endswith((".html", ".htm"))]
    names = [path.rpartition("/")[2] for path in pages]
    if not names or names == ["404.html"]:
        return None
    first = next((name for stem in _FIRST for name in names if name.lower().rpartition(".")[0] == stem), names[0])

    def answer(_: object) -> Answer:
        scan.warn(f"there is no index.html; {first} answers for the folder")
        return _answer(scan, folder, first)

    finding = Finding("static", None, serves=False, answer=answer)
    finding.add(30, scan.seen(f"{folder}/{first}".lstrip("/"), "", "a page, but no index.html"))
    return finding


def _staticfile(scan: Scan) -> str | None:
    for line in scan.text("Staticfile").split("\n") if scan.has("Staticfile") else ():
        key, _, value = line.partition(":")
        folder = value.strip().strip("\"'").strip("/").removeprefix("./")
        if key.strip() == "root" and folder in scan.repository.folders:
            return folder
    return None


def _answer(scan: Scan, folder: str, first: str) -> Answer:
    page = f"{folder}/404.html".lstrip("/")
    not_found = "/404.html" if scan.has(page) else None
    facts = StaticFacts(folder=folder, not_found_page=not_found, first_page=first)
    return Answer(facts, output_dir=folder or ".", port=8080)
