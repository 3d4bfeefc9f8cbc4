"""Dockerfiles for Node.js: servers, and front ends that are built here and served by nginx."""

from __future__ import annotations

import posixpath
import re

from bot.detect.facts import NodeFacts
from bot.generate import images, write
from bot.generate.recipe import Lines, Recipe, apt, environment, healthcheck, labels, probe_bun, probe_node
from bot.generate.static import nginx_stage
from bot.generate.write import plain_path


def dockerfile(recipe: Recipe, facts: NodeFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    name, version = ("Bun", facts.bun) if facts.bun else ("Node.js", facts.version)
    base = recipe.image(images.bun(version) if facts.bun else images.node(version))
    why = [f"{name} {version} on Debian's slim image: {base}"]
    out = Lines()
    framework = recipe.detection.framework
    what = f"{framework} on {name} {version}" if framework else f"{name} {version}"
    packages = f", packages by {facts.manager}" if facts.has_dependencies else ""
    out.add(write.comment(f"{what}{packages}. Written by Berth; yours to keep and change."))
    builds = facts.has_dependencies or facts.build
    if builds:
        foreign = facts.bun and facts.has_dependencies and facts.manager != "bun"
        _build_stage(out, recipe, facts, recipe.image(images.node(facts.version)) if foreign else base, why)
    if facts.serve == "static":
        folder = posixpath.normpath(posixpath.join("/app", facts.folder, facts.output or "dist"))
        why.append(f"{facts.output} is served by nginx: no {name} in the final image")
        nginx_stage(out, recipe, [write.copy([folder], "/usr/share/nginx/html", options="--from=build")])
    else:
        _run_stage(out, recipe, facts, base, why)
    return out.render(), why


def _build_stage(out: Lines, recipe: Recipe, facts: NodeFacts, base: str, why: list[str]) -> None:
    out.add(f"FROM {base} AS build", "WORKDIR /app")
    if facts.build_packages:
        out.add(write.comment("what the install asks the system for"), apt(facts.build_packages))
        why.append(f"Debian packages to build with: {', '.join(facts.build_packages)}")
    out.add(*recipe.arguments())
    out.add(*_manager(facts))
    if facts.bun and facts.manager != "bun" and facts.build:
        out.add(write.comment("Bun builds what another package manager installs"))
        out.add(f"COPY --from={recipe.image(images.bun(facts.bun))} /usr/local/bin/bun /usr/local/bin/")
    everything = bool(facts.build or facts.prune or facts.keep_development or facts.prisma)
    prune = everything and facts.has_dependencies and facts.serve == "server" and not facts.keep_development
    # Prisma's client lies among the packages, and only a package for development writes it
    prune = prune and not (facts.prisma and facts.manager == "pnpm" and facts.workspace)
    at_once = prune and not facts.build and not facts.prisma
    if facts.has_dependencies:
        _install_step(out, recipe, facts, why, _install(facts, production=not everything), prune=at_once)
    if (facts.build or facts.prisma) and not (facts.has_dependencies and facts.install_needs_source):
        out.add("COPY . .")
    public = [name for name in facts.public_variables if name not in (*recipe.build_args, *recipe.build_secrets)]
    if public and facts.build:
        out.add(write.comment("the build writes their values into what browsers get; set them as build variables"))
        out.add(*(f"ARG {name}" for name in public))
    if facts.build:
        _build_step(out, recipe, facts)
        why.append(f"built by: {facts.build}")
    elif facts.prisma:
        out.add(recipe.step(f"{'bunx' if facts.bun and facts.manager == 'bun' else 'npx'} prisma generate"))
    if prune and not at_once:
        out.add(*(["WORKDIR /app"] if facts.folder and facts.build else []))
        out.add(write.comment("development packages end here"))
        out.add(recipe.step(_prune(facts), _caches(recipe, facts), ours=True))


def _install_step(out: Lines, recipe: Recipe, facts: NodeFacts, why: list[str], install: str, *, prune: bool) -> None:
    if facts.install_needs_source:
        out.add(write.comment("the install runs scripts or packages of this repository"), "COPY . .")
    else:
        out.add(write.comment("before the source, so that only changed manifests install again"))
        out.add(*_copies(facts.manifests))
        why.append("packages are installed before the source is copied")
    if prune:
        out.add(write.comment("scripts of the install need development packages; they end here"))
        install = f"{install} \\\n    && {_prune(facts)}"
    out.add(recipe.step(install, _caches(recipe, facts), ours=True))


def _build_step(out: Lines, recipe: Recipe, facts: NodeFacts) -> None:
    pairs = [("NODE_ENV", "production"), *facts.build_environment]
    if (facts.build or "").split(" ")[0] not in ("npm", "yarn", "pnpm", "bun"):
        pairs.append(("PATH", "/app/node_modules/.bin:$PATH"))  # where package managers would look for programs
    out.add(*environment(pairs))
    where = posixpath.join("/app", facts.folder)
    if facts.folder:
        out.add(f"WORKDIR {write.path(where)}")
    mounts = []
    if facts.writes_cache and (not facts.folder or plain_path(facts.folder)):  # nothing can quote a mount's target
        mounts = [recipe.cache("build", posixpath.join(where, facts.writes_cache))]
    out.add(recipe.step(facts.build or "", mounts))


def assets_stage(out: Lines, recipe: Recipe, facts: NodeFacts, *, before: list[str]) -> None:
    """The inside of a stage that builds the front end of another stack; ``before`` are lines before its build."""
    out.add(*_manager(facts))
    if facts.has_dependencies:
        _install_step(out, recipe, facts, [], _install(facts, production=False), prune=False)
    if not (facts.has_dependencies and facts.install_needs_source):
        out.add("COPY . .")
    out.add(*before)
    out.add(recipe.step(f"{facts.build} && rm -rf node_modules"))


def front_end_stage(out: Lines, recipe: Recipe, facts: NodeFacts, top: str, folder: str) -> None:
    """A stage that builds a front end in a folder of its own; the whole source is in ``top`` afterwards."""
    out.part(f"FROM {recipe.image(images.node(facts.version))} AS assets", f"WORKDIR {write.path(f'{top}/{folder}')}")
    install_stage(out, recipe, facts, folder)
    out.add(f"COPY . {top}/", *environment((("NODE_ENV", "production"),)))
    out.add(recipe.step(f"{facts.build} && rm -rf node_modules"))


def program(out: Lines, recipe: Recipe, facts: NodeFacts) -> None:
    """Node.js with npm in a stage of another stack on Debian or Ubuntu."""
    source = recipe.image(images.node(facts.version))
    out.add(f"COPY --from={source} /usr/local/bin/node /usr/local/bin/")
    out.add(f"COPY --from={source} /usr/local/lib/node_modules /usr/local/lib/node_modules")
    out.add(
        "RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\\n"
        "    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx"
    )


def install_stage(out: Lines, recipe: Recipe, facts: NodeFacts, folder: str = "") -> None:
    """Installs all packages in a stage of another stack, which builds with them; ``folder`` holds their manifests."""
    out.add(*_manager(facts))
    if facts.manager == "yarn" and not facts.yarn_berry:
        out.add("RUN npm install --global yarn@1.22.22")
    if not facts.has_dependencies:
        return
    install = _install(facts, production=False)
    if not folder:
        _install_step(out, recipe, facts, [], install, prune=False)
        return
    out.add(*([write.copy([folder], "./")] if facts.install_needs_source else _copies(facts.manifests, folder)))
    out.add(recipe.step(install, _caches(recipe, facts), ours=True))


MANIFESTS = ("package.json", "package.json5", "package.yaml")


def _copies(manifests: tuple[str, ...], folder: str = "") -> list[str]:
    """One ``COPY`` for the files of each folder; a folder has its own, because ``COPY`` copies what is in it."""
    lines: list[str] = []
    top = [name for name in manifests if "/" not in name and name not in ("patches", "prisma")]
    if top:
        lines.append(write.copy([posixpath.join(folder, name) for name in top], "./"))
    for name in manifests:
        if name in top:
            continue
        is_file = posixpath.basename(name) in MANIFESTS
        source = posixpath.join(folder, name)
        lines.append(write.copy([source], f"./{posixpath.dirname(name)}/" if is_file else f"./{name}/"))
    return lines


def _manager(facts: NodeFacts) -> list[str]:
    """How the package manager itself comes into the build stage."""
    if not facts.has_dependencies or (facts.bun and facts.manager == "bun"):
        return []
    if facts.manager == "pnpm":
        return [f"RUN npm install --global pnpm@{facts.manager_version or images.PNPM_DEFAULT}"]
    if facts.manager == "bun":
        return [f"RUN npm install --global bun@{facts.manager_version or images.BUN_DEFAULT}"]
    if facts.manager == "yarn" and facts.yarn_berry:
        return [
            write.comment("node_modules instead of Plug'n'Play: the server is started without Yarn"),
            *environment([("YARN_NODE_LINKER", "node-modules"), ("YARN_ENABLE_GLOBAL_CACHE", "true")]),
            # by npm, because corepack leaves Node.js (https://nodejs.org/api/corepack.html); it heeds `yarnPath`
            f"RUN npm install --global --force @yarnpkg/cli-dist@{facts.manager_version or images.YARN_BERRY}",
        ]
    return []


def _caches(recipe: Recipe, facts: NodeFacts) -> list[str]:
    if facts.manager == "pnpm":
        return [recipe.cache("pnpm", "/root/.local/share/pnpm/store")]
    if facts.manager == "bun":
        return [recipe.cache("bun", "/root/.bun/install/cache")]
    if facts.manager == "yarn":
        if facts.yarn_berry:
            return [recipe.cache("yarn", "/root/.yarn/berry/cache")]
        return [recipe.cache("yarn", "/usr/local/share/.cache/yarn", locked=True)]  # Yarn 1 does not share its cache
    return [recipe.cache("npm", "/root/.npm")]


_PACKAGE_NAME = re.compile(r"(@[A-Za-z0-9._~-]+/)?[A-Za-z0-9._~-]+")


def _chosen(facts: NodeFacts) -> str:
    """The name of the application's package in a workspace, where a command may hold it as it is."""
    return facts.workspace if _PACKAGE_NAME.fullmatch(facts.workspace) else ""


def _install(facts: NodeFacts, *, production: bool) -> str:
    locked = facts.lockfile is not None
    if facts.manager == "pnpm":
        only = f" --filter '{_chosen(facts)}...'" if production and _chosen(facts) else ""
        return (
            "pnpm install"
            + (" --frozen-lockfile" if locked else " --no-frozen-lockfile")
            + (f" --prod{only}" if production else "")
        )
    if facts.manager == "bun":
        return "bun install" + (" --frozen-lockfile" if locked else "") + (" --production" if production else "")
    if facts.manager == "yarn":
        if facts.yarn_berry:
            return _focus(facts) if production else "yarn install" + (" --immutable" if locked else "")
        return "yarn install" + (" --frozen-lockfile" if locked else "") + (" --production" if production else "")
    return ("npm ci" if locked else "npm install") + (" --omit=dev" if production else "")


def _prune(facts: NodeFacts) -> str:
    if facts.manager == "pnpm":
        if facts.workspace:  # `pnpm prune` knows no workspaces (https://pnpm.io/cli/prune)
            scripts = " --ignore-scripts" if facts.scripts_after_install else ""
            return (
                "find . -name node_modules -type d -prune -exec rm -rf '{}' + \\\n"
                f"    && {_install(facts, production=True)} --prefer-offline{scripts}"
            )
        return "pnpm prune --prod --ignore-scripts"
    if facts.manager == "bun":
        return "rm -rf node_modules && bun install --production --ignore-scripts"
    if facts.manager == "yarn":
        if facts.yarn_berry:
            return _focus(facts)
        return "yarn install --production --ignore-scripts --prefer-offline" + (
            " --frozen-lockfile" if facts.lockfile else ""
        )
    return "npm prune --omit=dev"


def _focus(facts: NodeFacts) -> str:
    """Production packages alone; a command of Yarn's own since 4, of a plug-in before."""
    plugin = "yarn plugin import workspace-tools && " if (facts.manager_version or "4")[0] in "23" else ""
    return f"{plugin}yarn workspaces focus {_chosen(facts) or '--all'} --production"


def _run_stage(out: Lines, recipe: Recipe, facts: NodeFacts, base: str, why: list[str]) -> None:
    if facts.front_end:
        front_end_stage(out, recipe, facts.front_end, "/app", facts.front_end_folder)
        why.append(f"the front end in {facts.front_end_folder} is built apart: {facts.front_end.build}")
    out.part(f"FROM {base}", *labels(recipe))
    if facts.packages:
        out.add(write.comment("libraries that the packages load while they run"), apt(facts.packages))
        why.append(f"Debian packages at run time: {', '.join(facts.packages)}")
    out.add(write.comment("the image's own unprivileged user may write beside the source: SQLite files, uploads"))
    out.add("RUN install --directory --owner=1000 --group=1000 /app", "WORKDIR /app")
    out.add(*_application(facts))
    if facts.front_end:
        built = posixpath.join(facts.front_end_folder, facts.front_end.output or "dist")
        out.add(write.copy([f"/app/{built}"], f"./{built}/", options=f"--chown={images.USER} --from=assets"))
    where = posixpath.normpath(posixpath.join("/app", facts.folder))
    if facts.folder and facts.serve == "server":
        out.add(f"WORKDIR {write.path(where)}")
    bins = f"{where}/node_modules/.bin:" if facts.folder else ""
    path = f"{bins}/app/node_modules/.bin:$PATH"
    pairs = [("NODE_ENV", "production"), ("PATH", path), *facts.environment, ("PORT", str(recipe.port))]
    out.add(*environment(pairs), "USER " + images.USER, f"EXPOSE {recipe.port}")
    out.add(*healthcheck(_probe(recipe, facts)))
    out.add(write.command(facts.start or ""))
    why.append(f"started by: {facts.start}")


def _application(facts: NodeFacts) -> list[str]:
    owner = "--chown=" + images.USER
    inner = posixpath.normpath(posixpath.join("/app", facts.folder))
    if facts.serve == "next-standalone":
        dist, local = facts.dist_folder or ".next", posixpath.normpath(facts.folder or ".")
        lines = [
            write.comment("Next.js has put the server and the packages that it needs into one folder"),
            write.copy([f"{inner}/{dist}/standalone"], "./", options=f"{owner} --from=build"),
            write.copy([f"{inner}/{dist}/static"], f"{local}/{dist}/static", options=f"{owner} --from=build"),
        ]
        if facts.public_folder:
            lines.append(write.copy([f"{inner}/public"], f"{local}/public", options=f"{owner} --from=build"))
        return lines
    if facts.serve == "nitro":
        return [
            write.comment("the output holds the server with its packages"),
            write.copy([f"{inner}/.output"], "./.output", options=f"{owner} --from=build"),
        ]
    if facts.build or facts.prisma or facts.install_needs_source:
        return [f"COPY {owner} --from=build /app ./"]
    if any(posixpath.dirname(name) for name in facts.manifests if posixpath.basename(name) in MANIFESTS):
        # packages of a workspace may have node_modules of their own
        return [f"COPY {owner} --from=build /app ./", write.copy(["."], "./", options=owner)]
    if facts.has_dependencies:
        return [f"COPY {owner} --from=build /app/node_modules ./node_modules", write.copy(["."], "./", options=owner)]
    return [write.copy(["."], "./", options=owner)]


_IGNORED = (
    *("**/node_modules", "**/npm-debug.log*", "**/yarn-error.log"),
    *(".next", ".nuxt", ".output", ".svelte-kit", ".turbo"),
)


def probe(recipe: Recipe, facts: NodeFacts) -> list[str] | None:
    """The words of a check from inside; the web server of a static build has nothing to run it."""
    return None if facts.serve == "static" else _probe(recipe, facts)


def _probe(recipe: Recipe, facts: NodeFacts) -> list[str]:
    return (probe_bun if facts.bun else probe_node)(recipe.detection.health_path)


def ignored(facts: NodeFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    built = (facts.output,) if facts.output and facts.build and plain_path(facts.output) else ()
    return (("installed and built in the image", (*_IGNORED, *built)),)
