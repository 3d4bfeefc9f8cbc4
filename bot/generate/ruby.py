"""Dockerfiles for Ruby: gems and assets are made in one stage; sites of Jekyll are served by nginx."""

from __future__ import annotations

from bot.detect.facts import RubyFacts
from bot.generate import images, node, write
from bot.generate.recipe import Lines, Recipe, apt, base_user, environment, healthcheck, labels, probe_ruby
from bot.generate.static import nginx_stage

_BUNDLE = "/usr/local/bundle"
_GEMS = "/opt/gems"  # a Gemfile with what is added, beside the repository's own
# a database that is named and never asked: Rails loads its adapter while it builds assets
_NONE = {
    "pg": "postgresql://127.0.0.1/none",
    "mysql2": "mysql2://127.0.0.1/none",
    "trilogy": "trilogy://127.0.0.1/none",
    "sqlite3": "sqlite3:/root/none.sqlite3",
}


def dockerfile(recipe: Recipe, facts: RubyFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(images.ruby(facts.version))
    why = [f"Ruby {facts.version} on Debian's slim image: {base}"]
    out = Lines()
    what = " ".join(part for part in (recipe.detection.framework, f"on Ruby {facts.version}") if part)
    if _bare(facts):
        out.add(write.comment(f"{what}, without gems. Written by Berth; yours to keep and change."))
        _run_stage(out, recipe, facts, base, why)
        return out.render(), why
    out.add(write.comment(f"{what}, gems by bundler. Written by Berth; yours to keep and change."))
    out.add(f"FROM {base} AS build", "WORKDIR /app")
    packages = {"build-essential", "git", "libyaml-dev", "pkg-config", *facts.build_packages}
    out.add(write.comment("to compile gems; not in the final image"), apt(packages))
    out.add(*environment(_settings(facts)), *recipe.arguments())
    _gems(out, recipe, facts, why)
    if facts.assets:
        _node(out, recipe, facts)
        why.append(f"Node.js {facts.assets.version} is there while assets are built, and not afterwards")
    if not facts.install_needs_source:
        out.add("COPY . .")
    _build(out, recipe, facts, why)
    if facts.site:
        nginx_stage(out, recipe, ["COPY --from=build /site /usr/share/nginx/html"])
        why.append("the pages are served by nginx: no Ruby in the final image")
    else:
        _run_stage(out, recipe, facts, base, why)
    return out.render(), why


def _bare(facts: RubyFacts) -> bool:
    """Whether there is nothing to install or to build, so that one stage does."""
    return not (facts.has_gemfile or facts.add or facts.build)


def _settings(facts: RubyFacts) -> list[tuple[str, str]]:
    if _bare(facts):
        return list(facts.environment)
    pairs = [("BUNDLE_PATH", _BUNDLE), ("BUNDLE_WITHOUT", "test" if facts.site else "development:test")]
    if facts.add:
        pairs.append(("BUNDLE_GEMFILE", f"{_GEMS}/{_gemfile(facts)}"))
    elif facts.lockfile:
        pairs.append(("BUNDLE_DEPLOYMENT", "1"))
    return [*pairs, *facts.environment]


def _gemfile(facts: RubyFacts) -> str:
    return "gems.rb" if "gems.rb" in facts.manifests else "Gemfile"


def _gems(out: Lines, recipe: Recipe, facts: RubyFacts, why: list[str]) -> None:
    if facts.install_needs_source:
        out.add(write.comment("gems of this repository are installed, so its source is needed first"), "COPY . .")
    elif facts.manifests:
        out.add(write.comment("before the source, so that only changed manifests install again"))
        out.add(write.copy(facts.manifests, "./"))
        why.append("gems are installed before the source is copied")
    cache = [recipe.cache("bundler", "/root/.bundle/cache")]
    prune = f"rm -rf {_BUNDLE}/cache {_BUNDLE}/ruby/*/cache"
    install = f"bundle config set --global global_gem_cache true \\\n    && bundle install \\\n    && {prune}"
    if facts.add:
        added = " ".join(facts.add)
        out.add(write.comment(f"{added}: no manifest names them, and they are needed to serve"))
        why.append(f"{', '.join(facts.add)} added, because no manifest brings them")
        copied = f"cp {' '.join(facts.manifests)} {_GEMS}/" if facts.has_gemfile and facts.manifests else ""
        if facts.install_needs_source:
            copied = f"cp -r . {_GEMS}"
        first = copied or f"echo \"source 'https://rubygems.org'\" >{_GEMS}/{_gemfile(facts)}"
        install = f"mkdir -p {_GEMS} && {first} \\\n    && bundle add --skip-install {added} \\\n    && {install}"
    out.add(recipe.step(install, cache, ours=True))


def _node(out: Lines, recipe: Recipe, facts: RubyFacts) -> None:
    assets = facts.assets
    assert assets is not None
    out.add(write.comment("Node.js, for the packages that the assets need"))
    node.program(out, recipe, assets)
    node.install_stage(out, recipe, assets)


def _build(out: Lines, recipe: Recipe, facts: RubyFacts, why: list[str]) -> None:
    if not facts.build:
        return
    why.append(f"built by: {facts.build}")
    if facts.site:
        out.add(recipe.step(f"{facts.build} --destination /site"))
        return
    if facts.build != "bundle exec rails assets:precompile":
        out.add(recipe.step(facts.build))
        return
    given = "SECRET_KEY_BASE_DUMMY=1 SECRET_KEY_BASE=only-for-assets "
    if facts.database:
        given += f"DATABASE_URL={_NONE[facts.database]} "
    keys = [key for key in recipe.detection.required_env if key not in ("SECRET_KEY_BASE", "DATABASE_URL")]
    given += "".join(f"{key}=only-for-assets " for key in keys if key != "RAILS_MASTER_KEY")
    steps = ["bundle exec bootsnap precompile --gemfile app/ lib/"] if facts.bootsnap else []
    steps += [f"{given}{facts.build}", "rm -rf node_modules tmp/cache"]
    out.add(write.comment("the settings want values that exist only at run time; assets use none of them"))
    out.add(recipe.step(" \\\n    && ".join(steps), ours=True))


def _run_stage(out: Lines, recipe: Recipe, facts: RubyFacts, base: str, why: list[str]) -> None:
    bare = _bare(facts)
    out.part(f"FROM {base}", *labels(recipe))
    if facts.packages:
        out.add(write.comment("libraries that the gems load while they run"), apt(facts.packages))
        why.append(f"Debian packages at run time: {', '.join(facts.packages)}")
    out.add(write.comment("an unprivileged user who may write beside the source: SQLite files, uploads, tmp"))
    out.add(base_user(), "WORKDIR /app")
    if not bare:
        out.add(f"COPY --from=build {_BUNDLE} {_BUNDLE}")
    if facts.add:
        out.add(f"COPY --from=build {_GEMS} {_GEMS}")
    out.add(f"COPY --chown={images.USER} . ./" if bare else f"COPY --chown={images.USER} --from=build /app ./")
    out.add(*environment([*_settings(facts), ("PORT", str(recipe.port))]))
    out.add("USER " + images.USER, f"EXPOSE {recipe.port}", *healthcheck(probe_ruby(recipe.detection.health_path)))
    start = recipe.detection.start_command or facts.start
    if facts.prepare:
        out.add(write.comment("made at each start: an image is no place for keys"))
        start = f"{facts.prepare} && {start}"
        why.append("a key that nobody sets is made when it starts, and ends with the container")
    out.add(write.command(start))
    why.append(f"started by: {recipe.detection.start_command}")


_IGNORED = (
    *(".bundle", "vendor/bundle", "**/node_modules", "log/*", "tmp/*", "_site"),
    *("config/master.key", "config/credentials/*.key"),
)


def probe(recipe: Recipe, facts: RubyFacts) -> list[str] | None:
    """The words of a check from inside; the web server of a site has nothing to run it."""
    return None if facts.site else probe_ruby(recipe.detection.health_path)


def ignored(_facts: RubyFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    return (("installed and built in the image", _IGNORED),)
