"""Dockerfiles for Elixir: a release is made in one stage; the final image holds it and Erlang's runtime within it."""

from __future__ import annotations

import posixpath
import re
from itertools import groupby

from bot.detect.facts import ElixirFacts
from bot.generate import images, node, write
from bot.generate.recipe import Lines, Recipe, apt, base_user, environment, healthcheck, labels, probe_bash

_LIBRARIES = ("ca-certificates", "libncurses6", "libstdc++6", "openssl")


def dockerfile(recipe: Recipe, facts: ElixirFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(images.elixir(facts.version))
    out = Lines()
    elixir, _, otp = facts.version.partition("-otp-")
    what = " ".join(part for part in (recipe.detection.framework, f"on Elixir {elixir} and Erlang/OTP {otp}") if part)
    packages = ", packages by mix" if facts.has_dependencies else ""
    out.add(write.comment(f"{what}{packages}. Written by Berth; yours to keep and change."))
    if facts.script:
        return _script(out, recipe, facts, base)
    why = [f"Elixir {elixir}, only to compile: {base}"]
    out.add(f"FROM {base} AS build", "WORKDIR /app")
    if facts.has_dependencies:
        out.add(write.comment("to fetch and compile packages; not in the final image"), apt(("build-essential", "git")))
    out.add(*environment((("MIX_ENV", "prod"), ("LANG", "C.UTF-8"))), *recipe.arguments())
    _packages(out, recipe, facts, why)
    _build(out, recipe, facts, why)
    _run_stage(out, recipe, facts, why)
    return out.render(), why


def _caches(recipe: Recipe) -> list[str]:
    return [recipe.cache("hex", "/root/.hex/packages"), recipe.cache("rebar3", "/root/.cache/rebar3")]


def _packages(out: Lines, recipe: Recipe, facts: ElixirFacts, why: list[str]) -> None:
    if facts.has_dependencies:
        out.add("RUN mix local.hex --force && mix local.rebar --force")
        if facts.install_needs_source:
            out.add(
                write.comment("packages of this repository are compiled, so its source is needed first"), "COPY . ."
            )
        else:
            out.add(write.comment("before the source, so that only changed manifests fetch and compile packages again"))
            out.add(*_copies(facts.manifests))
            why.append("packages are fetched and compiled before the source is copied")
        above = posixpath.dirname(facts.assets_folder)
        steps = [("", "mix deps.compile"), *([(above, facts.setup)] if facts.setup else [])]
        fetch = ("", "mix deps.get --only prod")
        if facts.settings and not facts.install_needs_source:
            _steps(out, recipe, [fetch], _caches(recipe))
            out.add(write.copy(facts.settings, "./config/"))
            _steps(out, recipe, steps, [])
        else:
            _steps(out, recipe, [fetch, *steps], _caches(recipe))
    if facts.assets:
        out.add(write.comment("Node.js, for the packages that the assets need"))
        node.program(out, recipe, facts.assets)
        out.add(f"WORKDIR {write.path(posixpath.join('/app', facts.assets_folder))}")
        node.install_stage(out, recipe, facts.assets, facts.assets_folder)
        out.add("WORKDIR /app")
        why.append(f"Node.js {facts.assets.version} is there while assets are made, and not afterwards")


def _copies(files: tuple[str, ...]) -> list[str]:
    folders: dict[str, list[str]] = {}
    for file in files:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    return [write.copy(names, f"./{folder}/" if folder else "./") for folder, names in folders.items()]


def _steps(out: Lines, recipe: Recipe, steps: list[tuple[str, str]], mounts: list[str], *, back: bool = True) -> None:
    """Commands in their folders, those of one folder in one ``RUN``."""
    place = ""
    for folder, group in groupby(steps, key=lambda step: step[0]):
        if folder != place:
            out.add(f"WORKDIR {write.path(posixpath.join('/app', folder).rstrip('/'))}")
        out.add(recipe.step(" \\\n    && ".join(command for _, command in group), mounts, ours=True))
        place = folder
    if place and back:
        out.add("WORKDIR /app")


def _build(out: Lines, recipe: Recipe, facts: ElixirFacts, why: list[str]) -> None:
    if not (facts.has_dependencies and facts.install_needs_source):
        out.add("COPY . .")
    if facts.build:
        out.add(write.comment("a command that was set: the release that it leaves in /out is run"))
        out.add(recipe.step(facts.build))
        why.append(f"built by: {facts.build}")
        return
    steps = [("", "mix compile"), *facts.deploy]
    named = f"mix release {facts.release}" if facts.release else "mix release"  # Mix knows the names of mix.exs alone
    steps.append((facts.release_folder, f"{named} --path /out --overwrite"))
    _steps(out, recipe, steps, [], back=False)
    if facts.deploy:
        why.append(f"assets are made by: {', '.join(command for _, command in facts.deploy)}")
    why.append("the release holds the application with Erlang's runtime")


def _run_stage(out: Lines, recipe: Recipe, facts: ElixirFacts, why: list[str]) -> None:
    otp = int(facts.version.rpartition("-")[2] or 0) if re.search(r"-\d+$", facts.version) else 0
    # a release runs on the Debian that it was made on, or on a newer one
    base = recipe.image(images.DEBIAN if otp <= 27 else images.DEBIAN_NEXT)
    out.part(f"FROM {base}", *labels(recipe))
    out.add(write.comment("libraries of Erlang's runtime"), apt((*_LIBRARIES, *facts.packages)))
    out.add(write.comment("an unprivileged user who may write beside the release: settings made at start, uploads"))
    out.add(base_user(), "WORKDIR /app", f"COPY --chown={images.USER} --from=build /out ./")
    pairs = [("LANG", "C.UTF-8"), *facts.environment, ("PORT", str(recipe.port))]
    out.add(*environment(pairs))
    out.add("USER " + images.USER, f"EXPOSE {recipe.port}", *healthcheck(probe_bash(recipe.detection.health_path)))
    start = facts.start
    if facts.prepare:
        out.add(write.comment("made at each start: an image is no place for keys"))
        start = f"{facts.prepare} && {start}"
        why.append("a key that nobody sets is made when it starts, and ends with the container")
    out.add(write.command(start))
    if dict(facts.environment).get("PHX_HOST"):
        why.append("PHX_HOST is localhost until it is set: LiveView refuses sockets from pages of another name")
    why.append(f"runs on {base}, as a user without rights")
    why.append(f"started by: {facts.start}")


def _script(out: Lines, recipe: Recipe, facts: ElixirFacts, base: str) -> tuple[str, list[str]]:
    """A script is compiled when it starts, so it needs the compiler."""
    out.add(f"FROM {base}", *labels(recipe), base_user(), "WORKDIR /app")
    out.add(*environment((("LANG", "C.UTF-8"), ("HOME", "/app"), ("PORT", str(recipe.port)))))
    out.add("USER " + images.USER)
    if facts.has_dependencies:
        out.add("RUN mix local.hex --force && mix local.rebar --force")
    out.add(write.copy(["."], "./", options=f"--chown={images.USER}"))
    if facts.build:
        out.add(recipe.step(facts.build))
    out.add(f"EXPOSE {recipe.port}", *healthcheck(probe_bash(recipe.detection.health_path)))
    out.add(write.command(facts.start))
    return out.render(), [f"a script, compiled when it starts: {base}", f"started by: {facts.start}"]


def probe(recipe: Recipe, _facts: ElixirFacts) -> list[str]:
    """The words of a check from inside."""
    return probe_bash(recipe.detection.health_path)


def ignored(_facts: ElixirFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    return (("fetched and built in the image", ("_build", "deps", "**/node_modules", ".elixir_ls")),)
