"""What a Ruby repository holds: an application of Rack or Rails, a program, or a site of Jekyll."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.detect.frameworks import Framework, remaining
from bot.detect.frameworks.ruby import RUBY
from bot.detect.scan import Scan, table
from bot.detect.stacks.ruby_gems import Gemfile, read_gemfile

_ENTRIES = ("app.rb", "main.rb", "server.rb", "web.rb", "application.rb", "index.rb", "hello.rb", "api.rb", "myapp.rb")
_SERVES = re.compile(r"""^\s*require\s+["'](sinatra(?:/base)?|webrick|rack|roda|grape|puma|socket)["']""", re.MULTILINE)
_REQUIRE = re.compile(r"""^\s*require\s+["']([\w./-]+)["']""", re.MULTILINE)
SITE_FOLDERS = frozenset({"_posts", "_layouts", "_includes", "_data", "_pages", "_sass", "_drafts"})
# what a required file belongs to, where there is no Gemfile; the rest of Ruby's own library needs no gem
_GEM_OF = {"sinatra": "sinatra", "roda": "roda", "grape": "grape", "rack": "rack", "webrick": "webrick", "pg": "pg"} | {
    name: name for name in ("redis", "mysql2", "sequel", "sqlite3", "httparty", "faraday", "nokogiri", "puma", "haml")
}


@dataclass(slots=True)
class App:
    """Everything that was seen of one Ruby application."""

    scan: Scan
    gemfile: Gemfile | None
    framework: Framework | None = None
    entry: str | None = None
    entry_line: str = ""
    serves: bool = False  # the entry does
    gems: set[str] = field(default_factory=set)  # that will be there
    site: bool = False  # of Jekyll, without a Gemfile

    @property
    def name(self) -> str:
        """The framework's name, or ""."""
        return self.framework.name if self.framework else ""


def read_app(scan: Scan) -> App | None:
    """A Gemfile, a config.ru, a site of Jekyll, or a Ruby file; None for anything else."""
    known = scan.has("config.ru") or scan.has("_config.yml")
    gemfile = read_gemfile(scan)
    if gemfile is None and not known and not any(path.endswith(".rb") for path in scan.repository.inside("")):
        return None
    app = App(scan, gemfile)
    app.gems = gemfile.all if gemfile else set()
    _enter(app)
    app.site = gemfile is None and _is_site(scan)
    if gemfile is None and not scan.has("config.ru") and app.entry is None and not app.site:
        return None
    _frame(app)
    return app


def _is_site(scan: Scan) -> bool:
    """A site for GitHub Pages: Jekyll without a Gemfile. Hexo has a _config.yml too, but its posts lie elsewhere."""
    package = scan.json("package.json") or {}
    if not scan.has("_config.yml") or "hexo" in {**table(package.get("dependencies")), **package}:
        return False
    if scan.has("_toc.yml"):  # a book of Jupyter Book has a _config.yml, too
        return False
    if scan.repository.folders & SITE_FOLDERS:
        return True
    pages = [path for path in ("index.md", "index.markdown", "index.html") if scan.has(path)]
    if any(scan.text(path).startswith("---\n") for path in pages):
        return True
    return re.search(r"^(remote_theme:|theme:\s*(jekyll|minima))", scan.text("_config.yml"), re.MULTILINE) is not None


def _enter(app: App) -> None:
    """The program: one that serves, otherwise one of a usual name."""
    scan = app.scan
    usual = [path for path in _ENTRIES if scan.has(path)]
    others = [path for path in scan.repository.inside("") if path.endswith(".rb") and path not in _ENTRIES]
    for path in (*usual, *others[:10]):
        match = _SERVES.search(scan.text(path))
        if match:
            app.entry, app.entry_line, app.serves = path, match[0].strip(), True
            return
    if usual and not scan.has("config.ru"):
        app.entry = usual[0]


def _frame(app: App) -> None:
    asked = set(app.gemfile.gems) if app.gemfile else set()
    if app.gemfile and not asked & {gem for row in RUBY for gem in row.packages}:
        asked |= {gem for gem in app.gemfile.development if gem in ("jekyll", "github-pages")}
        asked |= {"rails"} & app.gems if app.scan.has("config/application.rb") else set()
    if app.gemfile and not asked and app.scan.has("_config.yml") and app.scan.repository.folders & SITE_FOLDERS:
        asked.add("jekyll")  # by the gemspec of a theme
    if app.gemfile is None and app.entry:
        for name in _REQUIRE.findall(app.scan.text(app.entry)):
            gem = _GEM_OF.get(name.split("/")[0])
            if gem:
                app.gems.add(gem)
                asked.add(gem)
    if app.site:
        asked.add("jekyll")
    found = {row.name for row in RUBY if any(gem in asked for gem in row.packages)}
    if app.scan.has("config.ru") and not found:
        found.add("rack")
    if "jekyll" in found and len(found) > 1 and app.scan.has("config.ru"):
        found.discard("jekyll")
    app.framework = next(iter(remaining(found, RUBY)), None)
    if app.framework and app.framework.name == "rack" and not app.scan.has("config.ru"):
        app.framework = None
