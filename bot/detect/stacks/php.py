"""PHP: Composer projects, and files that a web server only has to be pointed at."""

from __future__ import annotations

import re

from bot.detect import versions
from bot.detect.facts import PhpFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.model import Evidence
from bot.detect.scan import Scan, text_of
from bot.detect.stacks.node_assets import find_assets
from bot.detect.stacks.php_app import App
from bot.detect.stacks.php_composer import read_composer
from bot.detect.stacks.php_docroot import find_docroot, own_server
from bot.detect.stacks.php_frame import find_framework
from bot.detect.stacks.php_needs import find_extensions, find_needs

# files that may mean an application in their folder
MANIFESTS = ("composer.json", "index.php")

APACHE = "apache2-foreground"
_WRITABLE = {
    "laravel": (
        *("storage/app/public", "storage/framework/cache/data", "storage/framework/sessions"),
        *("storage/framework/views", "storage/logs", "bootstrap/cache"),
    ),
    "lumen": ("storage/framework/cache/data", "storage/framework/views", "storage/logs"),
    "symfony": ("var/cache", "var/log"),
    "cakephp": ("tmp", "logs"),
    "codeigniter": ("writable/cache", "writable/logs", "writable/session", "writable/uploads"),
    "yii": ("runtime",),
    "laminas": ("data/cache",),
}


def find(scan: Scan) -> Finding | None:
    """A composer.json, an index.php, PHP files at the root or in a usual docroot, a part of WordPress."""
    marks = scan.has("composer.json") or scan.has("style.css")
    if not marks and not any(path.endswith((".php", ".info.yml")) for path in scan.repository.files):
        return None
    composer = read_composer(scan)
    framed = find_framework(scan, composer)
    docroot, named = find_docroot(scan, composer, framed)
    app = App(scan, composer, framed, docroot, named, own_server(scan))
    if composer is None and framed.framework is None and docroot is None and app.server is None:
        return None
    serves = docroot is not None or app.server is not None
    finding = Finding("php", app.name or None, serves, lambda given: _answer(app, given))
    _weigh(app, finding)
    return finding


def _weigh(app: App, finding: Finding) -> None:
    scan, row = app.scan, app.framed.framework
    required = app.composer.packages if app.composer else {}
    if app.composer is not None:
        useful = required or finding.serves
        finding.add(45 if useful else 20, scan.seen("composer.json", "", "a Composer project"))
    name = next((name for name in (row.packages if row else ()) if name in required), None)
    if row and name:
        finding.add(30, scan.seen("composer.json", f'"{name}"', f"requires {name}: {row.name}"))
    elif row:
        part = app.framed.target is not None
        says = f"a part of {row.name}" if part else f"a file that only {row.name} has"
        finding.add(60, scan.seen(app.framed.path, "", says))
    if app.named:
        finding.add(25 if app.composer or row else 60, app.named)
    elif app.docroot is not None:
        made = "composer.json" if app.composer else app.framed.path
        first = next((path for path in scan.repository.files if path.endswith(".php")), made)
        finding.add(15, scan.seen(first, "", f"the docroot is {app.docroot or '.'}"))
    if app.server:
        finding.add(25 if app.composer else 60, app.server[1])
    if scan.has("artisan") and row:
        finding.add(5, scan.seen("artisan", "", "Laravel's command"))


def _answer(app: App, given: Overrides) -> Answer:
    scan, composer = app.scan, app.composer
    name = app.name
    evidence: list[Evidence] = []
    version = _version(app, evidence)
    extensions = find_extensions(app, evidence)
    services, required = find_needs(app, extensions, evidence)
    start = text_of(given.get("start_command")) or (app.server[0] if app.server else None)
    if app.docroot is None and not start:
        scan.warn("nothing for a web server was found: no index.php in any usual folder. Add one, or set start_command")
    if composer is not None and composer.packages and not scan.has("composer.lock"):
        scan.warn("composer.json requires packages, but there is no composer.lock: commit it for repeatable builds")
    assets = find_assets(scan, app.docroot or "")
    if assets:
        evidence.append(assets[1])
    dotenv = name == "symfony" and scan.has(".env")
    facts = PhpFacts(
        version=version,
        docroot=app.docroot or "",
        composer=composer is not None,
        lockfile=scan.has("composer.lock"),
        manifests=tuple(path for path in ("composer.json", "composer.lock", "symfony.lock") if scan.has(path)),
        install_needs_source=composer is not None and composer.local,
        extensions=tuple(sorted(extensions)),
        writable=_WRITABLE.get(name, ()),
        scripts=("post-install-cmd",)
        if name == "symfony" and composer and "post-install-cmd" in composer.scripts
        else (),
        dotenv=dotenv,
        placeholder_dotenv=name == "symfony" and not dotenv,
        core=_core(app),
        core_target=app.framed.target or "",
        assets=assets[0] if assets else None,
        build=text_of(given.get("build_command")) or None,
        start=start or "",
        prepare=_prepare(app),
        environment=_environment(name),
    )
    install = "composer install --no-dev --optimize-autoloader" if composer is not None else None
    return Answer(
        facts if app.docroot is not None or start else None,
        framework=name or None,
        package_manager="composer" if composer is not None else None,
        language_version=version,
        start_command=start or APACHE,
        build_command=text_of(given.get("build_command")) or (assets[0].build if assets else install),
        port=_port(start or ""),
        health_path=_health(app),
        required_env=required,
        services=services,
        evidence=evidence,
    )


def _core(app: App) -> str:
    """What the repository lacks of WordPress: all of it, its configuration, or nothing."""
    row = app.framed.framework
    if row is None or row.name != "wordpress" or (app.composer and app.composer.packages.keys() & set(row.packages)):
        return ""
    if not app.scan.has(app.at_docroot("wp-load.php")):
        return "all"
    return "" if app.scan.has(app.at_docroot("wp-config.php")) else "config"


def _port(start: str) -> int:
    match = re.search(r"--port[= ](\d{2,5})|:(\d{2,5})\b", start)
    number = int(match[1] or match[2]) if match else 0
    return number if 80 <= number < 65536 else 8080


def _health(app: App) -> str | None:
    """Laravel 11 and later answer at /up where bootstrap/app.php says so."""
    code = app.scan.text("bootstrap/app.php") if app.scan.has("bootstrap/app.php") else ""
    match = re.search(r"""\bhealth:\s*["'](/[\w./-]*)["']""", code)
    return match[1] if match else None


def _version(app: App, evidence: list[Evidence]) -> str:
    """config.platform.php > require.php > .php-version > .tool-versions."""
    scan, asked = app.scan, []
    if app.composer:
        asked += [("composer.json", text) for text in (app.composer.pinned, app.composer.php) if text]
    for path in (".php-version", ".tool-versions"):
        for line in scan.text(path).split("\n") if scan.has(path) else ():
            word = re.fullmatch(r"(?:php\s+)?v?(\d[\w.]*)", line.partition("#")[0].strip())
            if word:
                asked.append((path, word[1]))
                break
    if not asked:
        return versions.resolve_php("", scan.images).tag
    path, text = asked[0]
    resolved = versions.resolve_php(text, scan.images)
    if resolved.warning:
        scan.warn(f"{scan.repository.full(path)}: {resolved.warning}")
    evidence.append(scan.seen(path, text, f"asks for PHP {text}: {resolved.tag} is used"))
    return resolved.tag


def _prepare(app: App) -> str:
    """What has to be done at each start: keys are made there, because a layer of an image is no place for them."""
    name = app.name
    if name in ("laravel", "lumen"):
        key = '[ -n "$APP_KEY" ] || { APP_KEY="base64:$(head -c 32 /dev/urandom | base64)" && export APP_KEY; }'
        if name == "lumen" or not app.scan.has("artisan"):
            return key
        # SQLite where nobody names a database, so that a preview works
        sqlite = (
            '[ -n "$DB_CONNECTION$DB_HOST$DB_URL$DATABASE_URL" ]'
            " || { export DB_CONNECTION=sqlite && mkdir -p database && touch database/database.sqlite; }"
        )
        return f"{key}; {sqlite}; php artisan migrate --force && php artisan config:cache"
    if name == "symfony":
        return '[ -n "$APP_SECRET" ] || { APP_SECRET="$(head -c 24 /dev/urandom | base64)" && export APP_SECRET; }'
    return ""


def _environment(name: str) -> tuple[tuple[str, str], ...]:
    if name in ("laravel", "lumen"):
        return (("APP_ENV", "production"), ("APP_DEBUG", "false"), ("LOG_CHANNEL", "stderr"))
    if name == "symfony":
        return (("APP_ENV", "prod"), ("APP_DEBUG", "0"))
    if name == "codeigniter":
        return (("CI_ENVIRONMENT", "production"), ("CI_ENV", "production"))
    return ()
