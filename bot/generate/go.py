"""Dockerfiles for Go: compiled in one stage; the final image holds the program, certificates and nothing else."""

from __future__ import annotations

import posixpath
import re

from bot.detect.facts import GoFacts
from bot.generate import images, node, write
from bot.generate.recipe import Lines, Recipe, apt, base_user, environment, labels

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_FLAGS = "-trimpath -ldflags='-s -w'"


def dockerfile(recipe: Recipe, facts: GoFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(images.go(facts.version))
    commands = (facts.start, *(command for _, command in facts.processes))
    plain = not facts.cgo and not any(write.needs_shell(command) for command in commands)
    why = [f"Go {facts.version}, only to compile: {base}"]
    out = Lines()
    what = " ".join(part for part in (recipe.detection.framework, f"on Go {facts.version}") if part)
    out.add(write.comment(f"{what}. Written by Berth; yours to keep and change."))
    if facts.front_end:
        node.front_end_stage(out, recipe, facts.front_end, "/src", facts.front_end_folder)
        why.append(f"the front end in {facts.front_end_folder} is built by Node.js first: {facts.front_end.build}")
    (out.part if facts.front_end else out.add)(f"FROM {base} AS build", "WORKDIR /src")
    cgo = "1" if facts.cgo else "0"
    out.add(*environment((("CGO_ENABLED", cgo), ("GOTOOLCHAIN", "local"))), *recipe.arguments())
    caches = [recipe.cache("go-mod", "/go/pkg/mod"), recipe.cache("go-build", "/root/.cache/go-build")]
    if plain:
        out.add(
            write.comment("all that the final image holds beside the program"),
            "RUN install -d -m 1777 /out/tmp \\\n"
            "    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt -t /out/etc/ssl/certs",
        )
    _modules(out, recipe, facts, caches, why)
    out.add("COPY --from=assets /src ./" if facts.front_end else "COPY . .")
    first = ""
    if not facts.has_module:
        first = "go mod init app && go mod tidy && "
        why.append("there is no go.mod: one is made while building")
    elif facts.sums_missing and not facts.vendored:
        first = "go mod tidy && "
        why.append("there is no go.sum: it is made while building, so modules are not checked")
    vendor = " -mod=vendor" if facts.vendored else ""
    tags = "" if facts.cgo else " -tags timetzdata"
    if facts.build:
        out.add(recipe.step(f"{first}mkdir -p /out/app && {facts.build}", caches))
    else:
        programs = ((facts.binary, facts.package), *facts.others)
        compiled = " \\\n    && ".join(
            f"go build{vendor} {_FLAGS}{tags} -o /out/app/{binary} {package}" for binary, package in programs
        )
        out.add(recipe.step(first + compiled, caches, ours=all(_PLAIN.fullmatch(package) for _, package in programs)))
    if facts.cgo:
        why.append("it needs C libraries, so it runs on Debian's slim image")
    _run_stage(out, recipe, facts, why, plain=plain)
    return out.render(), why


def _modules(out: Lines, recipe: Recipe, facts: GoFacts, caches: list[str], why: list[str]) -> None:
    if facts.vendored or not facts.has_module:
        if facts.vendored:
            why.append("modules come from vendor/")
        return
    out.add(write.comment("before the source, so that only changed modules are fetched again"))
    folders: dict[str, list[str]] = {}
    for file in facts.manifests:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    out.add(*(write.copy(files, f"./{folder}/" if folder else "./") for folder, files in folders.items()))
    out.add(recipe.step("go mod download", caches[:1], ours=True))
    why.append("modules are fetched before the source is copied")


def _run_stage(out: Lines, recipe: Recipe, facts: GoFacts, why: list[str], *, plain: bool) -> None:
    if plain:
        out.part("FROM scratch", *labels(recipe), "COPY --from=build /out/tmp /tmp", "COPY --from=build /out/etc /etc")
        why.append("the final image is empty but for the program and certificates; time zones are compiled into it")
    else:
        base = recipe.image(images.DEBIAN)
        out.part(f"FROM {base}", *labels(recipe), apt(("ca-certificates", "tzdata")), base_user())
        why.append(f"runs on {base}")
    out.add("WORKDIR /app", f"COPY --from=build --chown={images.USER} /out/app ./")
    for folder in facts.assets:
        out.add(write.copy(["/src/" + folder], f"./{folder}/", options="--from=build"))
    if facts.assets:
        why.append(f"read at run time, so copied: {', '.join(facts.assets)}")
    mode = (("GIN_MODE", "release"),) if recipe.detection.framework == "gin" else ()
    out.add(*environment((*mode, ("PORT", str(recipe.port)))))
    out.add("USER " + images.USER, f"EXPOSE {recipe.port}")
    out.add(write.comment("no HEALTHCHECK: the image has no program for it; the platform probes from outside"))
    out.add(write.command(facts.start))
    why.append(f"started by: {facts.start}")
