"""How a Ruby application is started, and what that needs: a server, keys, settings of the environment."""

from __future__ import annotations

import re

from bot.detect.model import Evidence
from bot.detect.stacks.ruby_app import App

_SERVERS = ("puma", "falcon", "unicorn", "thin", "webrick", "iodine", "passenger")


def added_gems(app: App, *, site: bool) -> tuple[str, ...]:
    """Gems that no manifest brings: those of sources without one, and a server for production."""
    if site:
        return () if app.gemfile else ("github-pages",)
    added = sorted(app.gems) if app.gemfile is None else []
    web = app.scan.procfile.get("web")
    if (web and "rack" not in web[0]) or not (app.framework or app.scan.has("config.ru")):
        return tuple(added)
    if not app.gems & set(_SERVERS):
        added.append("puma")
    old = app.gemfile is not None and app.gemfile.locked.get("rack", "").startswith(("1.", "2."))
    # what `ruby app.rb` of Sinatra 4 and the command rackup need since Rack 3; other servers do without it
    alone = app.framework is not None and app.framework.name == "sinatra" and not app.scan.has("config.ru")
    called = (
        app.scan.has("config.ru")
        and not app.gems & {"falcon", "unicorn", "thin"}
        and not {"puma"} & {*app.gems, *added}
    )
    if (alone or called) and "rackup" not in app.gems and not old:
        added.append("rackup")
    return tuple(dict.fromkeys(added))


def find_start(app: App, added: tuple[str, ...], evidence: list[Evidence]) -> str | None:
    """The Procfile's, Rails' own, a server for config.ru, or the program itself."""
    scan = app.scan
    web = scan.procfile.get("web")
    if web:
        return web[0]
    if app.name == "rails":
        return "bundle exec rails server -b 0.0.0.0 -p ${PORT}"
    if scan.has("config.ru"):
        evidence.append(scan.seen("config.ru", "", "started as an application of Rack"))
        server = next(
            (one for one in ("puma", "falcon", "unicorn", "thin") if one in app.gems or one in added), "rackup"
        )
        return {
            "puma": "bundle exec puma -b tcp://0.0.0.0:${PORT}",
            "falcon": "bundle exec falcon serve --bind http://0.0.0.0:${PORT}",
            "unicorn": "bundle exec unicorn -o 0.0.0.0 -p ${PORT}",
            "thin": "bundle exec thin start -a 0.0.0.0 -p ${PORT}",
        }.get(server, "bundle exec rackup -o 0.0.0.0 -p ${PORT}")
    if not app.entry or not re.fullmatch(r"[\w./-]+", app.entry):
        return None
    return f"bundle exec ruby {app.entry}" if app.gemfile or added else f"ruby {app.entry}"


def find_database(app: App) -> str:
    """The gem that speaks to the database, or ""."""
    return next((gem for gem in ("pg", "mysql2", "trilogy", "sqlite3") if gem in app.gems), "")


def prepared(app: App) -> str:
    """What has to be done at each start: keys are made there, because a layer of an image is no place for them."""
    if app.name != "rails":
        return ""
    key = (
        "rm -f tmp/pids/server.pid; "  # of the same container before its restart
        '[ -n "$SECRET_KEY_BASE$RAILS_MASTER_KEY" ]'
        ' || { SECRET_KEY_BASE="$(head -c 48 /dev/urandom | base64 -w 0)" && export SECRET_KEY_BASE; }'
    )
    database = find_database(app)
    if not database or not app.scan.has("config/database.yml"):
        return key
    if database == "sqlite3":
        return f"{key}; bundle exec rails db:prepare"
    return f'{key}; {{ [ -z "$DATABASE_URL" ] || bundle exec rails db:prepare; }}'


def environment(name: str) -> tuple[tuple[str, str], ...]:
    """What a framework is told by variables."""
    if name == "jekyll":
        return (("JEKYLL_ENV", "production"),)
    if name == "rails":
        return (("RAILS_ENV", "production"), ("RAILS_LOG_TO_STDOUT", "1"), ("RAILS_SERVE_STATIC_FILES", "1"))
    if name == "hanami":
        return (("HANAMI_ENV", "production"), ("HANAMI_SERVE_ASSETS", "true"), ("RACK_ENV", "production"))
    return (("APP_ENV", "production"), ("RACK_ENV", "production"))
