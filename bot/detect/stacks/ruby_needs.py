"""What a Ruby application needs: a port, libraries, services, environment variables."""

from __future__ import annotations

import re

from bot.detect.model import Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.scan import Scan
from bot.detect.stacks.ruby_app import App

_PORTS = (
    re.compile(r"^\s*set\s+:port,\s*(\d{2,5})", re.MULTILINE),
    re.compile(r"""ENV\.fetch\(["']PORT["']\s*(?:,\s*|\)\s*\{\s*)["']?(\d{2,5})"""),
    re.compile(r"""ENV\[["']PORT["']\]\s*\|\|\s*["']?(\d{2,5})"""),
    re.compile(r"\bPort:\s*(\d{2,5})|:Port\s*=>\s*(\d{2,5})"),
    re.compile(r"^\s*port\s+(\d{2,5})\s*$", re.MULTILINE),
)
_FETCHED = re.compile(r"""ENV\.fetch\(\s*["'](\w+)["']\s*\)(?!\s*(?:\{|do\b))""")
# gems: Debian packages to compile them with, and those that they load
_LIBRARIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pg": (("libpq-dev",), ("libpq5",)),
    "mysql2": (("default-libmysqlclient-dev",), ("libmariadb3",)),
    "sqlite3": (("libsqlite3-dev",), ("libsqlite3-0",)),
    "ruby-vips": ((), ("libvips42",)),
    "rmagick": (("libmagickwand-dev",), ("libmagickwand-6.q16-6",)),
    "mini_magick": ((), ("imagemagick",)),
    "charlock_holmes": (("libicu-dev", "zlib1g-dev"), ("libicu72",)),
    "curb": (("libcurl4-openssl-dev",), ("libcurl4",)),
    "rugged": (("cmake", "libssl-dev"), ()),
    "ffi": (("libffi-dev",), ("libffi8",)),
    "wkhtmltopdf-binary": ((), ("libxrender1", "libjpeg62-turbo")),
    "tiny_tds": (("freetds-dev",), ("libsybdb5",)),
}
MOST_FILES = 60


def _code(scan: Scan) -> dict[str, str]:
    """Files that configure: those at the root and in config/, not those for development and tests."""
    files = [
        path
        for path in scan.repository.files
        if path.endswith((".rb", ".ru"))
        and (path.count("/") == 0 or path.startswith("config/"))
        and not re.search(r"config/environments/(development|test|staging)|(_spec|_test)\.rb$", path)
    ]
    return {path: scan.text(path) for path in files[:MOST_FILES]}


def find_port(app: App, evidence: list[Evidence]) -> int:
    """The port that the code names, or the framework's."""
    for path, code in _code(app.scan).items():
        for pattern in _PORTS:
            match = pattern.search(code)
            number = int(next(filter(None, match.groups()))) if match else 0
            if match and 80 <= number < 65536:
                line = code.count("\n", 0, match.start()) + 1
                evidence.append(app.scan.seen(path, match[0].strip(), f"listens on port {number}", line))
                return number
    return (app.framework.port if app.framework else None) or 8080


def find_health(scan: Scan, name: str) -> str | None:
    """The path of Rails' own health check, where the routes have it."""
    routes = scan.text("config/routes.rb") if name == "rails" and scan.has("config/routes.rb") else ""
    match = re.search(
        r"""^\s*get\s*\(?["']/?([\w/-]+)["']\s*(?:=>|,\s*to:)\s*["']rails/health#show""", routes, re.MULTILINE
    )
    return f"/{match[1]}" if match else None


def find_needs(app: App, evidence: list[Evidence]) -> tuple[list[str], list[str]]:
    """Environment variables, and services."""
    scan = app.scan
    path = app.gemfile.path if app.gemfile else app.entry or "config.ru"
    gems = app.gemfile.gems if app.gemfile else {}
    dependencies = {
        name: scan.seen(one.path, one.text, name, one.line) if one else scan.seen(path, name, name)
        for name, one in ((name, gems.get(name)) for name in (gems if app.gemfile else app.gems))
    }
    services = find_services(scan, dependencies)
    fetched = [
        (match[1], scan.seen(file, match[0], f"{match[1]} is required", code.count("\n", 0, match.start()) + 1))
        for file, code in _code(scan).items()
        for match in _FETCHED.finditer(code)
    ]
    required = find_required(scan, fetched)
    production = "config/environments/production.rb"
    master = (
        re.search(r"^\s*config\.require_master_key\s*=\s*true", scan.text(production), re.M)
        if scan.has(production)
        else None
    )
    if master:
        required.append(("RAILS_MASTER_KEY", scan.seen(production, master[0].strip(), "RAILS_MASTER_KEY is required")))
    evidence += [item for _, item in (*services, *required)]
    return list(dict.fromkeys(key for key, _ in required)), [service for service, _ in services]


def libraries(app: App) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Debian packages: to compile the gems, and those that they load."""
    found = [_LIBRARIES[gem] for gem in sorted(app.gems) if gem in _LIBRARIES]
    build, run = ({one for pair in found for one in pair[place]} for place in (0, 1))
    return tuple(sorted(build)), tuple(sorted(run))
