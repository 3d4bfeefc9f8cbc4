"""Ruby: applications of Rack and Rails by their Gemfile, sites of Jekyll, and sources without a manifest."""

from __future__ import annotations

import re

from bot.detect import versions
from bot.detect.facts import RubyFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.model import Evidence
from bot.detect.scan import Scan, text_of
from bot.detect.stacks.node_assets import find_assets
from bot.detect.stacks.ruby_app import SITE_FOLDERS, App, read_app
from bot.detect.stacks.ruby_gems import TOOLS
from bot.detect.stacks.ruby_needs import find_health, find_needs, find_port, libraries
from bot.detect.stacks.ruby_start import added_gems, environment, find_database, find_start, prepared

# files that may mean an application in their folder
MANIFESTS = ("Gemfile", "gems.rb", "config.ru")

_ASSETS = frozenset(
    {"sprockets", "sprockets-rails", "propshaft", "webpacker", "shakapacker", "vite_rails", "jsbundling-rails"}
    | {"cssbundling-rails", "tailwindcss-rails", "dartsass-rails", "importmap-rails"}
)
# beside them, settings of Jekyll alone make a page about the program
_PROGRAMS = (
    *("package.json", "setup.py", "pyproject.toml", "requirements.txt", "go.mod", "Cargo.toml", "composer.json"),
    *("pom.xml", "build.gradle", "build.gradle.kts", "mix.exs", "build.sbt", "deno.json"),
)


def find(scan: Scan) -> Finding | None:
    """A Gemfile, a config.ru, a site of Jekyll, or a Ruby file that serves or has a usual name."""
    app = read_app(scan)
    if app is None:
        return None
    row = app.framework
    serves = bool(app.serves or scan.has("config.ru") or (row and (row.serves or row.name == "jekyll")))
    stack = "static" if app.site else "ruby"
    finding = Finding(stack, app.name or None, serves, lambda given: _answer(app, given))
    _weigh(app, finding)
    return finding


def _weigh(app: App, finding: Finding) -> None:
    scan, row = app.scan, app.framework
    if app.site:
        finding.add(40, scan.seen("_config.yml", "", "a site of Jekyll, without a Gemfile"))
        inside = next((path for path in scan.repository.files if path.partition("/")[0] in SITE_FOLDERS), None)
        inside = inside or scan.repository.first(("index.md", "index.markdown"))
        if inside:
            finding.add(30, scan.seen(inside, "", "a folder of Jekyll's"))
        elif other := scan.repository.first(_PROGRAMS):
            finding.limit = 25
            finding.add(0, scan.seen(other, "", "the pages describe this program"))
        return
    if app.gemfile is not None:
        finding.add(35, scan.seen(app.gemfile.path, "", f"a {app.gemfile.path}"))
        gem = next((app.gemfile.gems[name] for name in (row.packages if row else ()) if name in app.gemfile.gems), None)
        if gem and row:
            finding.add(30, scan.seen(gem.path, gem.text, f"asks for {gem.name}: {row.name}", gem.line))
        names = app.gemfile.gems.keys()
        tools = names <= TOOLS and (names or app.gemfile.development)
        if not row and not app.entry and tools and not scan.has("config.ru"):
            # rake alone, with tasks beside it, is a program of its own
            finding.limit = 40 if "rake" in names <= {"rake", "bundler"} and scan.has("Rakefile") else 20
    for path, says in (("config/application.rb", "a Rails application"), ("config.ru", "what Rack starts")):
        if scan.has(path):
            whole = app.name == "rails" and path != "config.ru"  # with whatever Node.js serves beside it
            finding.add(30 if app.gemfile is None or whole else 20, scan.seen(path, "", says))
    if row and row.name == "jekyll" and scan.has("_config.yml"):
        finding.add(25, scan.seen("_config.yml", "", "settings of the site"))
    if app.entry and app.serves:
        finding.add(50 if app.gemfile is None else 15, scan.seen(app.entry, app.entry_line, "a program that serves"))
    elif app.entry:
        finding.add(35 if app.gemfile is None else 10, scan.seen(app.entry, "", "a program of a usual name"))
    web = scan.procfile.get("web")
    if web and re.search(r"\b(ruby|rails|puma|rackup|unicorn|hanami)\b", web[0]):
        finding.add(25, scan.seen("Procfile", web[0], "the Procfile starts Ruby", web[1]))


def _answer(app: App, given: Overrides) -> Answer:
    scan, gemfile = app.scan, app.gemfile
    name = app.name
    evidence: list[Evidence] = []
    version = _version(app, evidence)
    site = name == "jekyll" and not text_of(given.get("start_command"))
    added = added_gems(app, site=site)
    start = None if site else text_of(given.get("start_command")) or find_start(app, added, evidence)
    locked = gemfile is not None and scan.has(gemfile.lock)
    if gemfile is not None and not locked:
        scan.warn(f"there is no {gemfile.lock}: commit it, so that builds are repeatable")
    if not start and not site:
        scan.warn("no start command was found. Add config.ru, or a Procfile with a line `web:`, or set start_command")
    assets = find_assets(scan, "public") if name == "rails" or (name == "hanami" and scan.has("config.ru")) else None
    if assets:
        evidence.append(assets[1])
    # before Rails 7, Sprockets comes with it, whatever the Gemfile says
    sprockets = scan.has("app/assets/config/manifest.js")
    precompile = name == "rails" and bool(_ASSETS & app.gems or assets or sprockets)
    build = "bundle exec jekyll build" if site else "bundle exec rails assets:precompile" if precompile else None
    build = text_of(given.get("build_command")) or build
    build_packages, packages = libraries(app)
    required, services = find_needs(app, evidence)
    facts = RubyFacts(
        version=version,
        has_gemfile=gemfile is not None,
        lockfile=locked,
        manifests=tuple(path for path in (gemfile.path, gemfile.lock, *gemfile.reads) if scan.has(path))
        if gemfile
        else (),
        install_needs_source=gemfile is not None and gemfile.local,
        add=added,
        build=build,
        database=find_database(app),
        bootsnap=name == "rails" and "bootsnap" in app.gems,
        assets=assets[0] if assets else None,
        site=site,
        not_found_page="/404.html" if site and (scan.has("404.html") or scan.has("404.md")) else None,
        start=start or "",
        prepare=prepared(app) if not given.get("start_command") else "",
        environment=environment(name),
        packages=packages,
        build_packages=build_packages,
    )
    return Answer(
        facts if start or site else None,
        framework=name or None,
        package_manager="bundler" if gemfile is not None or not site else None,
        language_version=version,
        start_command=start or None,
        build_command=build,
        output_dir="_site" if site else None,
        port=8080 if site else find_port(app, evidence),
        health_path=find_health(scan, name),
        required_env=required,
        services=services,
        evidence=evidence,
    )


def _version(app: App, evidence: list[Evidence]) -> str:
    """.ruby-version > .tool-versions > Gemfile > the lock. Bundler refuses any other patch than the Gemfile names."""
    scan, gemfile = app.scan, app.gemfile
    asked: list[tuple[str, str, int | None]] = []
    for file in (".ruby-version", ".tool-versions"):
        for number, line in enumerate(scan.text(file).split("\n"), 1) if scan.has(file) else ():
            word = re.fullmatch(r"(?:ruby[-\s]+)?v?(\d[\w.]*)", line.partition("#")[0].strip())
            if word:
                asked.append((file, word[1], number))
                break
    if gemfile and gemfile.ruby:
        asked.append((gemfile.path, *gemfile.ruby))
    locked = (
        re.search(r"^RUBY VERSION\n\s+ruby (\d+\.\d+\.\d+)", scan.text(gemfile.lock), re.MULTILINE) if gemfile else None
    )
    if gemfile and locked:
        asked.append((gemfile.lock, locked[1], None))
    if not asked:
        return versions.resolve_ruby("", scan.images).tag
    pinned = bool(gemfile and gemfile.ruby and re.fullmatch(r"=?\s*\d+\.\d+\.\d+", gemfile.ruby[0]))
    strict = pinned or bool(gemfile and gemfile.ruby_file)
    path, text, where = next((one for one in asked if gemfile and pinned and one[0] == gemfile.path), asked[0])
    resolved = versions.resolve_ruby(text, scan.images, exact=strict)
    if resolved.warning:
        scan.warn(f"{scan.repository.full(path)}: {resolved.warning}")
    evidence.append(scan.seen(path, text, f"asks for Ruby {text}: {resolved.tag} is used", where))
    return resolved.tag
