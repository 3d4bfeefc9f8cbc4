"""Dockerfiles for Rust: compiled in one stage; the final image is Debian's slim one with the program."""

from __future__ import annotations

import posixpath

from bot.detect.facts import RustFacts
from bot.generate import images, node, write
from bot.generate.recipe import Lines, Recipe, apt, base_user, environment, labels

_COMPILERS = ("gcc", "libc6-dev")  # are in the image already


def dockerfile(recipe: Recipe, facts: RustFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base, runs_on = recipe.image(images.rust(facts.version)), recipe.image(images.DEBIAN)
    why = [f"Rust {facts.version}, only to compile: {base}", f"runs on {runs_on}, which has the C library it needs"]
    out = Lines()
    what = " ".join(part for part in (recipe.detection.framework, f"on Rust {facts.version}") if part)
    out.add(write.comment(f"{what}. Written by Berth; yours to keep and change."))
    if facts.front_end:
        node.front_end_stage(out, recipe, facts.front_end, "/src", facts.front_end_folder)
        why.append(f"the front end in {facts.front_end_folder} is built by Node.js first: {facts.front_end.build}")
    (out.part if facts.front_end else out.add)(f"FROM {base} AS build", "WORKDIR /src")
    packages = [name for name in facts.build_packages if name not in _COMPILERS]
    if packages:
        out.add(write.comment("C libraries that crates link to"), apt(packages))
        why.append(f"Debian packages to build with: {', '.join(packages)}")
    out.add(*recipe.arguments())
    registry = recipe.cache("cargo", "/usr/local/cargo/registry")
    _fetch(out, facts, registry, why)
    out.add("COPY --from=assets /src ./" if facts.front_end else "COPY . .")
    target = recipe.cache("cargo-target", "/src/target", locked=True)
    locked = " --locked" if facts.locked else ""
    programs = (facts.binary, *facts.others)
    install = " ".join(("install -D -t /out", *(f"target/release/{name}" for name in programs)))
    if facts.build:
        out.add(recipe.step(facts.build, [registry, target]))
        out.add(write.shell(install, [target]))
    else:
        compiled = " ".join((f"cargo build --release{locked}", *(f"--bin {name}" for name in programs)))
        out.add(write.comment("compiled crates stay in a cache; the program is copied out of it"))
        out.add(recipe.step(f"{compiled} \\\n    && {install}", [registry, target], ours=True))
    out.part(f"FROM {runs_on}", *labels(recipe))
    out.add(apt(("ca-certificates", "tzdata", *facts.packages)), base_user(), "WORKDIR /app")
    out.add(f"COPY --from=build --chown={images.USER} /out ./")
    for path in facts.assets:
        where = posixpath.dirname(path)
        is_file = "." in posixpath.basename(path)
        out.add(write.copy([f"/src/{path}"], f"./{where}" if is_file else f"./{path}/", options="--from=build"))
    if facts.assets:
        why.append(f"read at run time, so copied: {', '.join(facts.assets)}")
    out.add(*environment((*facts.environment, ("PORT", str(recipe.port)))))
    out.add("USER " + images.USER, f"EXPOSE {recipe.port}")
    out.add(write.comment("no HEALTHCHECK: the image has no program for it; the platform probes from outside"))
    out.add(write.command(facts.start))
    why.append(f"started by: {facts.start}")
    return out.render(), why


def _fetch(out: Lines, facts: RustFacts, registry: str, why: list[str]) -> None:
    out.add(write.comment("before the source, so that only changed manifests fetch crates again"))
    folders: dict[str, list[str]] = {}
    for file in facts.manifests:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    out.add(*(write.copy(files, f"./{folder}/" if folder else "./") for folder, files in folders.items()))
    made = sorted({posixpath.dirname(path) for path in facts.placeholders} - {""})
    empty = f"mkdir -p {' '.join(made)} && touch {' '.join(sorted(facts.placeholders))} && " if made else ""
    # without a lock this makes one, which stays until a manifest changes
    out.add(write.shell(f"{empty}cargo fetch{' --locked' if facts.locked else ''}", [registry]))
    why.append("crates are fetched before the source is copied")


def ignored(_facts: RustFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    return (("compiled in the image", ("target",)),)
