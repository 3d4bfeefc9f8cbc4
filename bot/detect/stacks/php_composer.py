"""What composer.json and composer.lock say. https://getcomposer.org/doc/04-schema.md"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from bot.detect.scan import Scan, table, text_of

# what the official image has already; the extensions of Composer's polyfills count as there
BUILT_IN = frozenset(
    {"core", "ctype", "curl", "date", "dom", "fileinfo", "filter", "ftp", "hash", "iconv", "json", "libxml"}
    | {"mbstring", "mysqlnd", "openssl", "pcre", "pdo", "pdo_sqlite", "phar", "posix", "random", "readline"}
    | {"reflection", "session", "simplexml", "sodium", "spl", "sqlite3", "standard", "tokenizer", "xml", "xmlreader"}
    | {"xmlwriter", "zlib", "opcache", "xdebug", "pcov", "lexbor", "uri"}
)
# what can be added: by docker-php-ext-install, or from PECL
KNOWN = frozenset(
    {"bcmath", "bz2", "calendar", "dba", "exif", "ffi", "gd", "gettext", "gmp", "intl", "ldap", "mysqli", "pcntl"}
    | {"pdo_mysql", "pdo_pgsql", "pgsql", "shmop", "soap", "sockets", "sysvmsg", "sysvsem", "sysvshm", "tidy", "xsl"}
    | {"zip", "amqp", "apcu", "igbinary", "imagick", "memcached", "mongodb", "redis", "swoole", "openswoole"}
)
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(slots=True)
class Composer:
    """composer.json, read. ``packages`` and ``extensions`` map names to the constraint; platform packages apart."""

    data: dict[str, Any]
    packages: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, str] = field(default_factory=dict)  # name to the file that asks for it
    kind: str = ""  # library, project, wordpress-plugin …
    php: str = ""
    pinned: str = ""  # config.platform.php
    scripts: frozenset[str] = frozenset()
    local: bool = False  # a package lies in the repository


def read_composer(scan: Scan) -> Composer | None:
    """The manifest with what the locked packages need of PHP; None where there is none."""
    data = scan.json("composer.json")
    if data is None:
        return None
    found = Composer(data, kind=text_of(data.get("type")))
    for written, constraint in table(data.get("require")).items():
        name = written.lower()
        if name in {"php", "php-64bit"}:
            found.php = text_of(constraint)
        elif name.startswith("ext-"):
            found.extensions.setdefault(extension(name), "composer.json")
        elif "/" in name:
            found.packages[name] = text_of(constraint)
    found.pinned = text_of(table(table(data.get("config")).get("platform")).get("php"))
    found.scripts = frozenset(table(data.get("scripts")))
    repositories = data.get("repositories")
    listed = repositories if isinstance(repositories, list) else list(table(repositories).values())
    found.local = any(table(one).get("type") in ("path", "artifact") for one in listed)
    found.local = found.local or bool(table(table(data.get("extra")).get("patches")))
    if scan.has("composer.lock"):
        locked = (scan.json("composer.lock") or {}).get("packages")
        for one in locked if isinstance(locked, list) else []:
            for name in table(table(one).get("require")):
                if name.lower().startswith("ext-"):
                    found.extensions.setdefault(extension(name), "composer.lock")
    return found


def extension(name: str) -> str:
    """``ext-PDO_MySQL`` as PHP itself calls it."""
    return name.lower().removeprefix("ext-").replace("zend-opcache", "opcache").replace("-", "_")


def web_root(composer: Composer) -> str | None:
    """The docroot that composer.json names for Drupal, Symfony or WordPress."""
    extra = table(composer.data.get("extra"))
    scaffold = table(table(extra.get("drupal-scaffold")).get("locations")).get("web-root")
    install = text_of(extra.get("wordpress-install-dir"))
    named = text_of(scaffold) or text_of(extra.get("public-dir")) or posixpath.dirname(install.strip("/"))
    if not named:
        return None
    clean = posixpath.normpath(named.strip().strip("/") or ".")
    fits = not clean.startswith("..") and all(_NAME.fullmatch(part) for part in clean.split("/"))
    return ("" if clean == "." else clean) if fits else None
