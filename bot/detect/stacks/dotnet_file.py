"""Programs of C# that are one file, and sources that nobody made a project for."""

from __future__ import annotations

import posixpath
import re
from functools import partial

from bot.detect import versions
from bot.detect.facts import DotnetFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.model import Evidence
from bot.detect.needs import find_required, find_services
from bot.detect.parse import line_of
from bot.detect.scan import Scan, text_of
from bot.detect.stacks.dotnet_answer import FEEDS, word
from bot.detect.stacks.dotnet_choice import App
from bot.detect.stacks.dotnet_project import (
    Workspace,
)
from bot.detect.stacks.dotnet_source import Sources, read_settings

_DIRECTIVE = re.compile(r"^#:(sdk|package|property|project)[ \t]+([^\s@]+)", re.MULTILINE)
_RUNS = re.compile(r"\bstatic\s+(?:async\s+)?(?:void|int|Task(?:<int>)?)\s+Main\s*\(|\bWebApplication\.Create", re.M)
_TOP_LEVEL = re.compile(r"^(?:await\s+)?(?:Console\.|var\s+\w+\s*=)", re.MULTILINE)


def find_file(scan: Scan) -> Finding | None:
    """A program of one file, or sources that nobody made a project for."""
    for path in sorted(
        (one for one in scan.repository.inside("") if one.endswith(".cs")),
        key=lambda name: (name != "Program.cs", name),
    )[:20]:
        text = scan.text(path)
        directives = _DIRECTIVE.findall(text)
        runs = _RUNS.search(text) or (path == "Program.cs" and _TOP_LEVEL.search(text))
        if not directives and not (text.startswith("#!") and "dotnet" in text.split("\n", 1)[0]) and not runs:
            continue
        app = App(scan, Workspace(), file=path)
        app.sources = Sources(scan, "", {path: text})
        web = any(name.lower() == "microsoft.net.sdk.web" for kind, name in directives if kind == "sdk")
        web = web or (not directives and "WebApplication.Create" in text)
        app.framework = "asp.net-core" if web else ".net"
        finding = Finding("csharp", app.framework, web, partial(answer_file, app, directives))
        if directives:
            first = f"#:{directives[0][0]} {directives[0][1]}"
            finding.add(75, scan.seen(path, first, "a program of one file", line_of(text, first)))
        else:
            seen = runs[0] if runs else text.split("\n", 1)[0]
            finding.add(45, scan.seen(path, seen.strip(), "a program without a project"))
        hosted = app.sources.serves()
        if hosted:
            finding.add(20, hosted)
        return finding
    return None


def answer_file(app: App, directives: list[tuple[str, str]], given: Overrides) -> Answer:
    scan, path, sources = app.scan, app.file, app.sources
    assert path is not None
    assert sources is not None
    evidence: list[Evidence] = []
    assembly = posixpath.splitext(path)[0] if directives else "app"
    web = app.framework == "asp.net-core"
    packages = {
        name.lower(): scan.seen(path, f"#:package {name}", name) for kind, name in directives if kind == "package"
    }
    services = find_services(scan, packages)
    settings = read_settings(scan, "")
    required = find_required(scan, [*sources.required(), *settings.required])
    evidence += [item for _, item in (*services, *required)]
    version = versions.resolve_dotnet("", scan.images).tag
    own, fixed = sources.port_variable(), sources.fixed_port()
    evidence += [found[1] for found in (own, fixed) if found]
    listens = ("ASPNETCORE_HTTP_PORTS",) if web and not own and not fixed else ()
    health = sources.health()
    start = text_of(given.get("start_command")) or f"dotnet {word(assembly + '.dll')}"
    build = text_of(given.get("build_command"))
    facts = DotnetFacts(
        version=version,
        sdk=version,
        file=path if directives else "",
        assembly=assembly,
        web=web,
        manifests=tuple(name for name in FEEDS if scan.has(name)),
        switches=("PublishAot=false",) if directives else (),  # the default of programs of one file
        listens=listens,
        build=build or None,
        start=start,
    )
    return Answer(
        facts,
        framework=app.framework,
        package_manager="nuget",
        language_version=version,
        start_command=start,
        build_command=build or (f"dotnet publish {word(path)} -c Release -o /out" if directives else "dotnet publish"),
        port=(own[0] if own and own[0] else None) or (fixed[0] if fixed else None) or 8080,
        health_path=health[0] if health else None,
        required_env=[name for name, _ in required],
        services=[name for name, _ in services],
        evidence=evidence,
    )
