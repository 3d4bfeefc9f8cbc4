"""Dockerfiles for Deno: packages are fetched and pages built in one stage; what is not needed to run stays there."""

from __future__ import annotations

import posixpath

from bot.detect.facts import DenoFacts
from bot.generate import images, write
from bot.generate.recipe import Lines, Recipe, base_user, environment, healthcheck, labels, probe_deno
from bot.generate.static import nginx_stage

_STORE = "/deno-dir"  # where the official image keeps packages
_CACHE = "/var/cache/deno"
_LISTS = ("deno.json", "deno.jsonc", "package.json")  # what an install reads packages from


def dockerfile(recipe: Recipe, facts: DenoFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(images.deno(facts.version))
    why = [f"Deno {facts.version}, its official image on Debian: {base}"]
    out = Lines()
    framework = recipe.detection.framework
    what = f"{framework} on Deno {facts.version}" if framework else f"Deno {facts.version}"
    out.add(write.comment(f"{what}. Written by Berth; yours to keep and change."))
    builds = bool(facts.build or (facts.has_dependencies and not facts.known) or facts.fetch)
    builds = builds or (facts.has_dependencies and any(posixpath.basename(name) in _LISTS for name in facts.manifests))
    if builds:
        _build_stage(out, recipe, facts, base, why)
    if facts.output:
        folder = posixpath.normpath(posixpath.join("/app", facts.folder, facts.output))
        nginx_stage(out, recipe, [write.copy([folder], "/usr/share/nginx/html", options="--from=build")])
        why.append(f"the pages in {facts.output} are served by nginx: no Deno in the final image")
    else:
        _run_stage(out, recipe, facts, base, why, builds=builds)
    return out.render(), why


def _build_stage(out: Lines, recipe: Recipe, facts: DenoFacts, base: str, why: list[str]) -> None:
    out.add(f"FROM {base} AS build", "WORKDIR /app", *environment((("DENO_DIR", _STORE),)), *recipe.arguments())
    cache = [recipe.cache("deno", _CACHE)]
    listed = any(posixpath.basename(name) in _LISTS for name in facts.manifests)
    first = listed and facts.has_dependencies and not facts.version.startswith("1.")
    steps = []
    if first:
        out.add(write.comment("before the source, so that only changed manifests install again"))
        out.add(*_copies(facts.manifests))
        steps.append(f"DENO_DIR={_CACHE} deno install{' --frozen' if facts.locked else ''}")
        why.append("packages are fetched before the source is copied")
    if facts.known and facts.fetch:
        out.add(
            write.comment("what the sources import; named here, so that another change of them fetches nothing again")
        )
        steps.append(f"DENO_DIR={_CACHE} deno cache {' '.join(facts.fetch)}")
        why.append("modules that the source imports are fetched before it is copied")
    if steps:
        steps.append(f"mkdir -p {_STORE} && cp -r {_CACHE}/. {_STORE}")
        out.add(recipe.step(" \\\n    && ".join(steps), cache, ours=True))
    if facts.known:
        return
    out.add("COPY . .")
    where = posixpath.normpath(posixpath.join("/app", facts.folder))
    if facts.folder:
        out.add(f"WORKDIR {write.path(where)}")
    if facts.build:
        out.add(recipe.step(facts.build))
        why.append(f"built by: {facts.build}")
    if facts.entry and not facts.output:
        _entry(out, recipe, facts, cache, first=first)


def _entry(out: Lines, recipe: Recipe, facts: DenoFacts, cache: list[str], *, first: bool) -> None:
    """What the program itself imports; afterwards nothing is fetched while it starts."""
    entry = facts.entry
    plain = write.plain_path(entry)
    word = entry if plain else "main.ts"
    options = f"--import-map={facts.import_map} " if facts.import_map else ""
    major, _, rest = facts.version.partition(".")
    cleans = not options and (int(major), int(rest.partition(".")[0])) >= (2, 3)
    out.add(write.comment("what the program imports, and nothing else"))
    clean = f" \\\n    && deno clean --except {word}" if cleans else ""
    if first:
        out.add(recipe.step(f"deno cache {options}{word}{clean}", ours=True))
    else:
        filled = (
            f"DENO_DIR={_CACHE} deno cache {options}{word} \\\n    && mkdir -p {_STORE} && cp -r {_CACHE}/. {_STORE}"
        )
        out.add(recipe.step(f"{filled}{clean}", cache, ours=True))


def _copies(manifests: tuple[str, ...]) -> list[str]:
    """One ``COPY`` for the files of each folder, which keeps its place."""
    folders: dict[str, list[str]] = {}
    for file in manifests:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    return [write.copy(files, f"./{folder}/" if folder else "./") for folder, files in folders.items()]


def _run_stage(out: Lines, recipe: Recipe, facts: DenoFacts, base: str, why: list[str], *, builds: bool) -> None:
    head = [f"FROM {base}", *labels(recipe)]
    if builds:
        out.part(*head)
    else:
        out.add(*head)
    out.add(write.comment("an unprivileged user who may write beside the source: databases, uploads"))
    out.add(base_user(), "WORKDIR /app")
    owner = "--chown=" + images.USER
    if builds:
        source = write.copy(["."], "./", options=owner) if facts.known else f"COPY {owner} --from=build /app ./"
        out.add(f"COPY {owner} --from=build {_STORE} {_STORE}", source)
    else:
        out.add(write.copy(["."], "./", options=owner))
    if facts.folder:
        out.add(f"WORKDIR {write.path(posixpath.join('/app', facts.folder))}")
    store = _STORE if builds else "/tmp/deno"  # noqa: S108 - inside a container
    pairs = [("DENO_DIR", store), ("DENO_NO_UPDATE_CHECK", "1"), ("DENO_NO_PROMPT", "1"), ("PORT", str(recipe.port))]
    out.add(*environment(pairs), "USER " + images.USER, f"EXPOSE {recipe.port}")
    out.add(*healthcheck(probe_deno(recipe.detection.health_path)))
    start = facts.start
    if facts.address:
        # https://docs.deno.com/runtime/reference/env_variables/
        out.add(write.comment("the code does not ask for PORT: Deno.serve is told its address"))
        start = f"DENO_SERVE_ADDRESS=tcp:0.0.0.0:${{PORT}} {start}"
        why.append("Deno.serve is told the port, because the code does not ask for PORT")
    out.add(write.command(start))
    why.append(f"started by: {facts.start}")


def probe(recipe: Recipe, facts: DenoFacts) -> list[str] | None:
    """The words of a check from inside; the web server of built pages has nothing to run it."""
    return None if facts.output else probe_deno(recipe.detection.health_path)


def ignored(facts: DenoFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    built = (facts.output,) if facts.output and write.plain_path(facts.output) else ()
    return (("fetched and built in the image", ("**/node_modules", "_fresh", *built)),)
