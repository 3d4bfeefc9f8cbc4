"""Which framework a PHP application is written with: by its packages, by files, by what stands in files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.detect.frameworks import Framework, remaining
from bot.detect.frameworks.php import CONTENTS, MARKS, PHP
from bot.detect.scan import Scan
from bot.detect.stacks.php_composer import Composer

_ROWS = {row.name: row for row in PHP}
_WORDPRESS_PACKAGES = ("wpackagist-plugin/", "wpackagist-theme/")


@dataclass(frozen=True, slots=True)
class Framed:
    """``path`` is the file that only this framework has, "" where a package says it; ``docroot`` is what that file
    means. ``target`` is where a repository that holds a part of WordPress belongs in it."""

    framework: Framework | None
    path: str = ""
    docroot: str | None = None
    target: str | None = None
    extends: bool = False  # an extension for a site that is not there

    @property
    def name(self) -> str:
        """The framework's name, or ""."""
        return self.framework.name if self.framework else ""


def find_framework(scan: Scan, composer: Composer | None) -> Framed:
    """Packages and files that nothing else has; then what index.php and the like say; then parts of WordPress."""
    required = composer.packages if composer else {}
    found = {row.name for row in PHP if any(name in required for name in row.packages)}
    marked = next(((path, name, docroot) for path, name, docroot in MARKS if scan.has(path)), None)
    if marked is None and not found:
        marked = next(
            (
                (path, name, docroot)
                for path, pattern, name, docroot in CONTENTS
                if scan.has(path) and re.search(pattern, scan.text(path)[:20_000])
            ),
            None,
        )
    if marked:
        found.add(marked[1])
    if found:
        framework = next(iter(remaining(found, PHP)), None)
        return Framed(framework, marked[0], marked[2]) if marked else Framed(framework)
    part = _wordpress_part(scan) or _typed_part(composer)
    if part is not None:
        return Framed(_ROWS["wordpress"], part[0], "", part[1])
    extension = _drupal_extension(scan, composer)
    if extension is not None:
        return Framed(_ROWS["drupal"], extension, extends=True)
    return Framed(None)


def _typed_part(composer: Composer | None) -> tuple[str, str] | None:
    """What composer.json calls itself: https://github.com/composer/installers#current-supported-package-types"""
    kind = composer.kind if composer else ""
    folder = {"wordpress-theme": "themes", "wordpress-plugin": "plugins", "wordpress-muplugin": "mu-plugins"}.get(kind)
    if folder:
        return "composer.json", f"wp-content/{folder}/app"
    wanted = composer.packages if composer else {}
    return ("composer.json", "") if any(name.startswith(_WORDPRESS_PACKAGES) for name in wanted) else None


def _drupal_extension(scan: Scan, composer: Composer | None) -> str | None:
    """The file that says that this is a module, a theme or a profile for Drupal."""
    if composer and re.fullmatch(r"drupal-(custom-)?(module|theme|profile)", composer.kind):
        return "composer.json"
    for path in scan.repository.inside(""):
        if path.endswith(".info.yml") and re.search(r"^core(_version_requirement)?:", scan.text(path), re.MULTILINE):
            return path
    return None


def _wordpress_part(scan: Scan) -> tuple[str, str] | None:
    """What says that a repository holds only a part of WordPress, and where that belongs; None when it is no part."""
    folders = scan.repository.folders
    for inside in ("wp-content/themes", "wp-content/plugins"):
        if inside in folders:
            first = next(path for path in scan.repository.files if path.startswith(inside + "/"))
            return first, ""
    style = scan.text("style.css")[:4000] if scan.has("style.css") else ""
    if re.search(r"^[ \t*]*Theme Name:", style, re.MULTILINE):
        return "style.css", "wp-content/themes/app"
    for path in scan.repository.inside(""):
        head = scan.text(path)[:8000] if path.endswith(".php") else ""
        if re.search(r"^[ \t*/#]*Plugin Name:[ \t]*\S", head, re.MULTILINE):
            return path, "wp-content/plugins/app"
    if "themes" in folders and "plugins" in folders and scan.has("index.php") and len(scan.text("index.php")) < 100:
        return "index.php", "wp-content"
    return None
