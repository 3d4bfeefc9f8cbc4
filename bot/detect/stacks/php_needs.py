"""What a PHP application needs: extensions, services, environment variables."""

from __future__ import annotations

import re

from bot.detect.model import Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.scan import Scan
from bot.detect.stacks import php_composer as composers
from bot.detect.stacks.php_app import App

MOST_FILES = 40  # that are read of an application without Composer
# what stands in code, the extension that it needs, the service that it speaks to
_CALLS = (
    (re.compile(r"\bmysqli_\w+\s*\(|\bnew\s+\\?mysqli\b"), "mysqli"),
    (re.compile(r"""["']mysql:"""), "pdo_mysql"),
    (re.compile(r"""["']pgsql:"""), "pdo_pgsql"),
    (re.compile(r"\bpg_(?:p?connect|query)\s*\("), "pgsql"),
    (re.compile(r"\bnew\s+\\?Redis\s*\("), "redis"),
    (re.compile(r"\bnew\s+\\?MongoDB\\"), "mongodb"),
    (re.compile(r"\bimage(?:create|png|jpeg|copy)\w*\s*\("), "gd"),
    (re.compile(r"\bnew\s+\\?ZipArchive\b"), "zip"),
    (re.compile(r"\bnew\s+\\?(?:NumberFormatter|IntlDateFormatter)\b"), "intl"),
    (re.compile(r"\bbc(?:add|sub|mul|div)\s*\("), "bcmath"),
)
_NEEDS = {
    "wordpress": ("mysqli", "gd", "exif", "intl", "zip", "bcmath"),
    "drupal": ("gd", "pdo_mysql"),
    "codeigniter": ("intl", "mysqli"),
    "cakephp": ("intl", "pdo_mysql"),
    "symfony": ("intl",),
    "yii": ("intl", "gd", "pdo_mysql"),
}
_DRIVERS = {"mysql": "pdo_mysql", "mariadb": "pdo_mysql", "pgsql": "pdo_pgsql", "mysqli": "mysqli"}
_DSN = re.compile(r"(mysql|mariadb|pgsql|postgres(?:ql)?)://")
# keys of Laravel's own example file that its configuration does without
_OPTIONAL = re.compile(
    r"(AWS|PUSHER|MAIL|MAILGUN|REDIS|MEMCACHED|VITE|MIX|LOG|ABLY|REVERB|POSTMARK|SESSION|DB)_\w+|SQS_\w+|BCRYPT_ROUNDS"
)


def find_extensions(app: App, evidence: list[Evidence]) -> set[str]:
    """ext-* of the manifests, what the framework needs, the database that .env.example names, calls in the code."""
    scan, name = app.scan, app.name
    wanted = set(_NEEDS.get(name, ()))
    for one, path in app.composer.extensions.items() if app.composer else ():
        if one in composers.KNOWN:
            wanted.add(one)
            evidence.append(scan.seen(path, f"ext-{one}", f"needs the extension {one}"))
        elif one not in composers.BUILT_IN:
            scan.warn(f"{scan.repository.full(path)} asks for the extension {one}, which is not added")
    _databases(scan, name, wanted, evidence)
    if name in ("laravel", "lumen") and not wanted & {"pdo_mysql", "pdo_pgsql"}:
        wanted.add("pdo_mysql")
    if name in ("", "slim"):
        _called(scan, wanted, evidence)
    return wanted


def _databases(scan: Scan, name: str, wanted: set[str], evidence: list[Evidence]) -> None:
    for key, value, path, line in scan.env_examples:
        driver = _DRIVERS.get(value.lower()) if key in ("DB_CONNECTION", "DB_DRIVER", "DB_TYPE") else None
        match = _DSN.match(value.lower())
        if match:
            driver = "pdo_pgsql" if match[1].startswith(("pg", "postgres")) else "pdo_mysql"
        if driver:
            wanted.add(driver)
            evidence.append(scan.seen(path, key, f"{key} needs the extension {driver}", line))
    kept = scan.text(".env") if name == "symfony" and scan.has(".env") else ""
    for match in re.finditer(r"^DATABASE_URL=[\"']?(mysql|postgresql)", kept, re.MULTILINE):
        driver = "pdo_mysql" if match[1] == "mysql" else "pdo_pgsql"
        wanted.add(driver)
        evidence.append(scan.seen(".env", match[0], f"needs the extension {driver}"))


def _called(scan: Scan, wanted: set[str], evidence: list[Evidence]) -> None:
    """What the code itself calls; frameworks say it in their manifests."""
    files = [path for path in scan.repository.files if path.endswith(".php") and not path.startswith("vendor/")]
    for path in files[:MOST_FILES]:
        code = scan.text(path)
        for pattern, one in _CALLS:
            match = pattern.search(code)
            if match and one not in wanted:
                wanted.add(one)
                line = code.count("\n", 0, match.start()) + 1
                evidence.append(scan.seen(path, match[0], f"needs the extension {one}", line))


def find_needs(app: App, extensions: set[str], evidence: list[Evidence]) -> tuple[list[str], list[str]]:
    """Services, and environment variables."""
    scan, name = app.scan, app.name
    packages = app.composer.packages if app.composer else {}
    dependencies = {one: scan.seen("composer.json", f'"{one}"', one) for one in packages}
    told = {item.says.rpartition(" ")[2]: item for item in evidence if "extension" in item.says}
    dependencies |= {f"ext-{one}": item for one, item in told.items() if one in extensions}
    if name in ("wordpress", "drupal"):
        path = "composer.json" if app.composer else scan.repository.files[0]
        dependencies.setdefault("ext-mysqli", scan.seen(path, "", f"{name} stores everything in MySQL"))
    found = find_services(scan, dependencies)
    if name in ("laravel", "lumen"):
        used = any(
            value.lower() == "redis"
            for key, value, _, _ in scan.env_examples
            if key.endswith(("_DRIVER", "_STORE", "N"))
        )
        asked = used or {"predis/predis", "ext-redis"} & dependencies.keys()
        found = [one for one in found if one[0] != "redis" or asked]
    evidence += [item for _, item in found]
    required = find_required(scan)
    if name in ("laravel", "lumen"):
        required = [one for one in required if not _OPTIONAL.fullmatch(one[0])]
    evidence += [item for _, item in required]
    keys = [key for key, _ in required]
    if name == "wordpress" and app.composer is None and not scan.has(f"{app.docroot}/wp-config.php".lstrip("/")):
        keys += [f"WORDPRESS_DB_{part}" for part in ("HOST", "USER", "PASSWORD", "NAME")]
    return [service for service, _ in found], keys
