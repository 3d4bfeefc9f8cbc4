"""What answers HTTP in a PHP repository: the folder for the web server, or a server that is written in PHP."""

from __future__ import annotations

import re

from bot.detect.frameworks.php import DOCROOTS
from bot.detect.model import Evidence
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan
from bot.detect.stacks.php_composer import Composer, web_root
from bot.detect.stacks.php_frame import Framed

_FOLDERS = (
    "public",
    "web",
    "webroot",
    "htdocs",
    "public_html",
    "html",
    "www",
    "docroot",
    "httpdocs",
    "pub",
    "src/public",
)
_PLAIN = ("", *_FOLDERS, "src", "app", "site")
# made by Composer, or by the framework's own installer
_MADE = ("drupal", "laravel", "lumen", "symfony", "cakephp")
_SERVERS = ("server.php", "start.php", "main.php", "app.php", "index.php", "bin/server.php")
_SERVES = re.compile(
    r"new\s+\\?(?:Open)?Swoole\\(?:Http|HTTP|WebSocket)\\Server|\bReact\\(?:Http|Socket)\\|\bWorkerman\\Worker\b"
    r"|\bAmp\\Http\\Server\\|\bRatchet\\(?:App|Server\\IoServer)\b"
)


def find_docroot(scan: Scan, composer: Composer | None, framed: Framed) -> tuple[str | None, Evidence | None]:
    """The docroot ("" is the root), and what names it.

    Procfile > composer.json > where the framework has it > a folder with an index.php > PHP files at the root.
    """
    folders, name = scan.repository.folders, framed.name
    web = scan.procfile.get("web")
    told = procfile_root(web[0]) if web else None
    if web and told is not None and (told == "" or told in folders):
        return told, scan.seen("Procfile", web[0], f"the docroot is {told or '.'}", web[1])
    configured = web_root(composer) if composer and name in ("drupal", "symfony", "wordpress") else None
    if configured is not None:
        says = f"the docroot is {configured or '.'}"
        return configured, scan.seen("composer.json", configured.split("/")[0], says)
    if framed.target is not None:
        return "", None
    if framed.extends:
        return None, None
    usual = DOCROOTS.get(name, ())
    kept = next((folder for folder in usual if scan.has(f"{folder}/index.php")), None)
    if kept is None:
        kept = framed.docroot
    if kept is None and name == "wordpress":
        kept = "web" if "web" in folders else ""
    if kept is None and name in _MADE and not any(_has_index(scan, folder) for folder in _PLAIN):
        kept = usual[0]
    if kept is None:
        return _searched(scan, composer)
    return kept, _named(scan, kept)


def _searched(scan: Scan, composer: Composer | None) -> tuple[str | None, Evidence | None]:
    # a folder with a composer.json of its own is an application of its own
    apart = (
        {path.partition("/")[0] for path in scan.repository.named("composer.json", 1)} if composer is None else set()
    )
    order = (*_FOLDERS, *_PLAIN) if composer else _PLAIN
    fitting = [folder for folder in order if not folder or folder.partition("/")[0] not in apart]
    kept = next((folder for folder in fitting if _has_index(scan, folder)), None)
    if kept is not None:
        return kept, _named(scan, kept)
    for folder in fitting:
        pages = [path for path in scan.repository.inside(folder) if path.endswith(".php")]
        if pages and (folder in _FOLDERS or (composer is None and not folder)):
            return folder, scan.seen(pages[0], "<?php", "a PHP file for the web server")
    return None, None


def _has_index(scan: Scan, folder: str) -> bool:
    return scan.has(f"{folder}/index.php".lstrip("/"))


def _named(scan: Scan, folder: str) -> Evidence | None:
    index = f"{folder}/index.php".lstrip("/")
    return scan.seen(index, "<?php", f"the docroot is {folder or '.'}") if scan.has(index) else None


def procfile_root(command: str) -> str | None:
    """The docroot in ``vendor/bin/heroku-php-apache2 public/`` and ``php -S 0.0.0.0:$PORT -t public``."""
    for words in shell_parts(command):
        if re.search(r"heroku-php-(apache2|nginx)$", words[0]):
            rest = [word for word in words[1:] if not word.startswith("-") and not word.endswith((".conf", ".ini"))]
            return rest[-1].strip("/").removeprefix("./") if rest else ""
        if words[0] == "php" and "-S" in words:
            place = words.index("-t") + 1 if "-t" in words else len(words)
            return words[place].strip("/").removeprefix("./") if place < len(words) else ""
    return None


def own_server(scan: Scan) -> tuple[str, Evidence] | None:
    """The command of a server in PHP, where it is neither a web server for files nor PHP's own for development."""
    web = scan.procfile.get("web")
    if web:
        served = procfile_root(web[0]) is not None or re.search(r"(artisan|symfony|yii)\s+serve", web[0])
        if served or not re.search(r"\bphp\b", web[0]) or re.search(r"php-fpm|nginx|apache", web[0]):
            return None
        return web[0], scan.seen("Procfile", web[0], "the Procfile starts a server in PHP", web[1])
    for path in _SERVERS:
        found = _SERVES.search(scan.text(path)) if scan.has(path) else None
        if found:
            return f"php {path}", scan.seen(path, found[0], "a server in PHP")
    return None
