"""Dockerfiles for .NET: published in the SDK's image, run on the runtime alone; Blazor in the browser by nginx."""

from __future__ import annotations

import posixpath
import re

from bot.detect.facts import DotnetFacts
from bot.generate import images, node, write
from bot.generate.recipe import Lines, Recipe, environment, healthcheck, labels, probe_bash
from bot.generate.static import nginx_stage

PROJECT = ".berth/app.csproj"
_CACHE = "/root/.nuget/packages"
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


def dockerfile(recipe: Recipe, facts: DotnetFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(images.dotnet("sdk", facts.sdk))
    why = [f"the SDK of .NET, only to compile: {base}"]
    out = Lines()
    what = " ".join(part for part in (recipe.detection.framework, f"on .NET {facts.version}") if part)
    out.add(write.comment(f"{what}, packages by nuget. Written by Berth; yours to keep and change."))
    out.add(f"FROM {base} AS build", "WORKDIR /src")
    out.add(*environment((("DOTNET_CLI_TELEMETRY_OPTOUT", "1"), ("DOTNET_NOLOGO", "1"))), *recipe.arguments())
    if facts.assets:
        _node(out, recipe, facts)
        why.append(f"Node.js {facts.assets.version} builds the front end, and is not there at run time")
    _restore(out, recipe, facts, why)
    _publish(out, recipe, facts, why)
    if facts.site:
        nginx_stage(out, recipe, ["COPY --from=build /out/wwwroot /usr/share/nginx/html"])
        why.append("it runs in the browser, so its files are served by nginx: no .NET in the final image")
    else:
        _run_stage(out, recipe, facts, why)
    return out.render(), why


def _node(out: Lines, recipe: Recipe, facts: DotnetFacts) -> None:
    assert facts.assets is not None
    out.add(write.comment("Node.js, for the front end; its packages come before the source"))
    node.program(out, recipe, facts.assets)
    if facts.assets_folder:
        out.add(f"WORKDIR {write.path(posixpath.join('/src', facts.assets_folder))}")
        node.install_stage(out, recipe, facts.assets, facts.assets_folder)
        out.add("WORKDIR /src")
    else:
        node.install_stage(out, recipe, facts.assets)


def _restore(out: Lines, recipe: Recipe, facts: DotnetFacts, why: list[str]) -> None:
    """Packages, before the source: of every project that is compiled."""
    if facts.file:
        return  # its packages stand in the source itself
    folders: dict[str, list[str]] = {}
    for file in facts.manifests:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    out.add(write.comment("before the source, so that only changed projects fetch packages again"))
    out.add(*(write.copy(files, f"./{folder}/" if folder else "./") for folder, files in folders.items()))
    if not facts.project:
        out.add(write.copy([PROJECT], "./"))
    locked = " --locked-mode" if facts.locked else ""
    command = f"dotnet restore {_target(facts)}{_switches(facts)}{locked}"
    out.add(_step(recipe, facts, command))
    why.append("packages are fetched before the source is copied")


def _publish(out: Lines, recipe: Recipe, facts: DotnetFacts, why: list[str]) -> None:
    out.add("COPY . .")
    if facts.assets and facts.assets_script:
        folder = posixpath.join("/src", facts.assets_folder)
        out.add(write.comment("the front end goes where the project publishes it from"))
        out.add(*([f"WORKDIR {write.path(folder)}"] if facts.assets_folder else []))
        out.add(recipe.step(facts.assets_script), *(["WORKDIR /src"] if facts.assets_folder else []))
        why.append(f"the front end in {facts.assets_folder or 'the project'} is built by: {facts.assets_script}")
    if facts.build:
        out.add(write.comment("a command that was set: what it leaves in /out is run"))
        out.add(recipe.step(facts.build, [recipe.cache("nuget", _CACHE)]))
        why.append(f"built by: {facts.build}")
        return
    framework = f" --framework {facts.framework}" if facts.framework else ""
    command = (
        f"dotnet publish {_target(facts)} --configuration Release{framework} --output /out"
        f" -p:UseAppHost=false{_switches(facts)}"
    )
    if not facts.file:
        out.add(write.comment("fetches nothing again, unless the cache was emptied in between"))
    out.add(_step(recipe, facts, command))
    if facts.pages:
        source = posixpath.join(posixpath.dirname(facts.project), facts.pages)
        target = posixpath.join("/out", facts.pages)
        above = posixpath.dirname(target)
        out.add(write.run(f"mkdir -p {above} && cp -r {source} {target}"))
        why.append(f"the front end's pages are copied to {facts.pages}, where the application looks for them")
    if facts.switches:
        why.append(f"set for the image: {', '.join(facts.switches)}")


def _step(recipe: Recipe, facts: DotnetFacts, command: str) -> str:
    plain = all(_PLAIN.fullmatch(part) for part in (_path(facts), facts.framework or "net"))
    return recipe.step(command, [recipe.cache("nuget", _CACHE)], ours=plain)


def _path(facts: DotnetFacts) -> str:
    return facts.file or facts.project or posixpath.basename(PROJECT)


def _target(facts: DotnetFacts) -> str:
    path = _path(facts)
    if _PLAIN.fullmatch(path) and not path.startswith("-"):
        return path
    return "'./" + path.replace("'", "'\\''") + "'"


def _switches(facts: DotnetFacts) -> str:
    return "".join(f" -p:{one}" for one in facts.switches)


def _run_stage(out: Lines, recipe: Recipe, facts: DotnetFacts, why: list[str]) -> None:
    base = recipe.image(images.dotnet("aspnet" if facts.web else "runtime", facts.version))
    out.part(f"FROM {base}", *labels(recipe))
    out.add(write.comment("an unprivileged user who may write beside the program: SQLite files, keys, uploads"))
    out.add("RUN install --directory --owner=1000 --group=1000 /app", "WORKDIR /app")
    out.add(f"COPY --chown={images.USER} --from=build /out ./")
    pairs = [("HOME", "/app")]
    if facts.web:
        pairs.append(("ASPNETCORE_FORWARDEDHEADERS_ENABLED", "true"))  # the platform ends TLS
    out.add(*environment([*pairs, ("PORT", str(recipe.port))]))
    out.add("USER " + images.USER, f"EXPOSE {recipe.port}")
    words = probe(recipe, facts)
    if words:
        out.add(*healthcheck(words))
    else:
        out.add(write.comment("no HEALTHCHECK: nothing in it is known to answer HTTP"))
    out.add(write.command(_listen(facts) + facts.start))
    why.append(f"runs on {base}, as a user without rights")
    why.append(f"started by: {facts.start}")


def _listen(facts: DotnetFacts) -> str:
    """Shell text that tells the application its port, in the ways in which it is configured."""
    values = ""
    for name in facts.listens:
        value = "${PORT}" if name.endswith("_PORTS") else "http://+:${PORT}"
        values += f' {name}="{value}"'
    return f"export{values} && " if values else ""


def project_file(facts: DotnetFacts) -> str:
    """A project for sources that nobody made one for."""
    sdk = "Microsoft.NET.Sdk.Web" if facts.web else "Microsoft.NET.Sdk"
    return f"""\
<!-- Written by Berth; yours to keep and change. -->
<Project Sdk="{sdk}">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net{facts.version}</TargetFramework>
    <ImplicitUsings>enable</ImplicitUsings>
  </PropertyGroup>
</Project>
"""


def probe(recipe: Recipe, facts: DotnetFacts) -> list[str] | None:
    """The words of a check from inside; programs that serve nothing have none, nor has the web server of a site."""
    return probe_bash(recipe.detection.health_path) if facts.web and not facts.site else None


def ignored(_facts: DotnetFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    return (("built in the image", ("**/bin", "**/obj", "**/node_modules", "**/TestResults", ".vs")),)
