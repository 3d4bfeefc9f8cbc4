"""How a program of the JVM serves: its port and what says it from outside, its start, its health, what it reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.detect.frameworks.jvm import JVM
from bot.detect.model import Evidence
from bot.detect.parse import parse_yaml, shell_parts
from bot.detect.scan import table
from bot.detect.stacks import jvm_config, jvm_packing, jvm_source
from bot.detect.stacks.jvm_build import fits
from bot.detect.stacks.jvm_config import Configuration
from bot.detect.stacks.jvm_packing import Packing

if TYPE_CHECKING:
    from bot.detect.stacks.jvm import App, Part

# keys of the port, and what says the port from outside: words before the program, or after it
_PORTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "spring-boot": (("server.port",), "SERVER_PORT=$PORT", ""),
    "quarkus": (("quarkus.http.port",), "QUARKUS_HTTP_PORT=$PORT", ""),
    "micronaut": (("micronaut.server.port",), "MICRONAUT_SERVER_PORT=$PORT", ""),
    "helidon": (("server.port",), "SERVER_PORT=$PORT", ""),
    "ktor": (("ktor.deployment.port",), "", "-port=$PORT"),
    "play": (("play.server.http.port", "http.port"), "", "-Dhttp.port=$PORT"),
}
_OTHER_KEYS = ("server.port", "http.port", "app.port", "service.port", "app.http.port", "http.server.port", "port")
HOSTS = {
    "quarkus": (("QUARKUS_HTTP_HOST", "0.0.0.0"),),  # noqa: S104 - inside of a container
    "micronaut": (("MICRONAUT_SERVER_HOST", "0.0.0.0"),),  # noqa: S104
    "helidon": (("SERVER_HOST", "0.0.0.0"),),  # noqa: S104
}
_ASSETS = ("public", "static", "www", "web", "webroot", "views", "templates", "data", "config", "conf", "assets")


@dataclass(slots=True)
class Look:
    """One program while it is worked out, and what was seen meanwhile."""

    app: App
    part: Part
    framework: str | None
    configuration: Configuration
    packing: Packing
    evidence: list[Evidence] = field(default_factory=list)


def find_port(look: Look) -> tuple[int, str, str]:
    """The port, and what says it to the program: words before its command and after it."""
    scan, part, framework, evidence = look.app.scan, look.part, look.framework, look.evidence
    row = next((one for one in JVM if one.name == framework), None)
    usual = row.port if row and row.port else part.rows[0][0].port if part.rows and part.rows[0][0].port else 8080
    if look.packing.kind == "war":
        return 8080, "", ""
    keys, before, after = _PORTS.get(framework or "", (_OTHER_KEYS, "", ""))
    found = jvm_config.find_port(scan, look.configuration, *keys)
    code = jvm_source.find_port(scan, part.sources, part.sources.starts[0].path if part.sources.starts else None)
    if framework == "ktor" and not _engine_main(part):
        after = ""
        found = found if not code else None
    if found:
        port, seen, follows = found
        evidence.append(seen)
        if follows:
            before, after = "", after if framework == "play" else ""
        return port or usual, before, after
    if code and framework not in ("spring-boot", "quarkus", "micronaut", "helidon", "play"):
        evidence.append(code[1])
        return code[0], before, after
    if framework == "dropwizard":
        return _dropwizard_port(look.app, part, evidence), "", ""
    return usual, before, after


def _engine_main(part: Part) -> bool:
    return "EngineMain" in part.module.main_class or any("EngineMain" in text for text in part.sources.texts.values())


def dropwizard_file(app: App, part: Part) -> str:
    """The YAML file that a Dropwizard application is started with."""
    prefix = part.module.folder + "/" if part.module.folder else ""
    known = [
        path
        for folder in (prefix.rstrip("/"), prefix + "config", "config", "")
        for path in app.scan.repository.inside(folder)
    ]
    named = [
        path for path in known if path.endswith((".yml", ".yaml")) and "/." not in path and not path.startswith(".")
    ]
    for path in named:
        data = table(parse_yaml(app.scan.text(path))[0])
        if {"server", "logging", "database"} & data.keys() and "services" not in data:
            return path
    return ""


def _dropwizard_port(app: App, part: Part, evidence: list[Evidence]) -> int:
    path = dropwizard_file(app, part)
    server = table(table(parse_yaml(app.scan.text(path))[0]).get("server")) if path else {}
    listed = server.get("applicationConnectors")
    connector = table(listed[0]) if isinstance(listed, list) and listed else table(server.get("connector"))
    number = jvm_config.filled(str(connector.get("port", "")))
    if number.isdigit() and 0 < int(number) < 65536:
        evidence.append(app.scan.seen(path, f"port: {connector.get('port')}", f"listens on port {number}"))
        return int(number)
    return 8080


def start(look: Look, before: str, after: str) -> str:
    """The command, with what says the port."""
    app, part, packing = look.app, look.part, look.packing
    words = jvm_packing.start(packing)
    if "{launcher}" in words:
        new = jvm_packing.boot_version(app.build, part.module) >= (3, 2)
        words = words.replace("{launcher}", "launch.JarLauncher" if new else "JarLauncher")
    if part.framework and part.framework.name == "dropwizard":
        path = dropwizard_file(app, part)
        after = f"server {path}" if path else "server"
    if part.framework and part.framework.name == "play":
        after += ' -Dpidfile.path=/dev/null -Dplay.http.secret.key="$APPLICATION_SECRET"'
    if packing.kind in ("dist", "stage"):
        before = f"JAVA_OPTS=-XX:MaxRAMPercentage=75.0 {before}".strip()
    if packing.kind == "war":
        before = 'CATALINA_OPTS="-XX:MaxRAMPercentage=75.0 -Dport.http=$PORT"'
    return " ".join(part for part in (before, words, after) if part)


def with_procfile(look: Look, start: str) -> str:
    """The Procfile's command, as it is inside of the image, goes before ours."""
    scan, packing = look.app.scan, look.packing
    web = scan.procfile.get("web")
    if not web:
        return start
    told = "" if packing.layers == "layertools" else jvm_packing.from_procfile(web[0], packing)
    if not told or packing.kind == "war":
        scan.warn(f"the Procfile's command names what is not in the image, and was left out: {web[0][:80]}")
        return start
    return told


def processes(look: Look) -> tuple[tuple[str, str], ...]:
    """The Procfile's other lines that start what is packed here, as they are inside of the image."""
    packing, folder = look.packing, look.part.module.folder
    places = tuple(f"{folder}/{name}/".removeprefix("/") for name in ("target", "build", "out"))
    if packing.kind == "war" or packing.layers == "layertools":
        return ()
    found = []
    for name, (command, _) in look.app.scan.procfile.items():
        built = jvm_packing.built(command)
        here = all(path.removeprefix("./").startswith(places) for path in built)
        told = jvm_packing.from_procfile(command, packing) if built and here and name != "web" else ""
        if told and all(part[0] in ("java", "./bin/app") for part in shell_parts(told)):
            found.append((name, told))
    return tuple(found)


def find_health(look: Look) -> str | None:
    """Where its health is to be asked for, by what it depends on; else a route that the code has for it."""
    app, part, framework, configuration, evidence = (
        look.app,
        look.part,
        look.framework,
        look.configuration,
        look.evidence,
    )
    used = [one for module in app.build.closure(part.module) for one in module.dependencies if one.scope != "bom"]

    def by(*patterns: str) -> Evidence | None:
        one = next((one for one in used if any(fits(pattern, one.name) for pattern in patterns)), None)
        return app.scan.seen(one.path, one.text, "brings a health check", one.line) if one else None

    path: str | None = None
    seen: Evidence | None = None
    if framework == "spring-boot":
        context = configuration.text("server.servlet.context-path", "spring.webflux.base-path").rstrip("/")
        seen = by(
            "org.springframework.boot:spring-boot-starter-actuator", "org.springframework.boot:spring-boot-actuator*"
        )
        elsewhere = configuration.find("management.server.port")
        base = configuration.text("management.endpoints.web.base-path") or "/actuator"
        path = f"{context}{base.rstrip('/')}/health" if seen and not elsewhere else f"{context}/" if context else None
    elif framework == "quarkus" and (seen := by("io.quarkus:quarkus-smallrye-health")):
        root = configuration.text("quarkus.http.root-path").strip("/")
        base = configuration.text("quarkus.http.non-application-root-path") or "q"
        under = (
            base if base.startswith("/") else "/".join(part for part in ("", root, base.strip("/")) if part or not root)
        )
        path = f"/{under.strip('/')}/health"
    elif framework == "micronaut" and (seen := by("io.micronaut:micronaut-management")):
        base = configuration.text("endpoints.all.path").strip("/")
        path = f"/{base}/health" if base else "/health"
    elif framework == "helidon":
        seen = by("io.helidon.webserver.observe:helidon-webserver-observe-health")
        path = "/observe/health" if seen else None
        if seen is None and (
            seen := by("io.helidon.health", "io.helidon.microprofile.health", "io.helidon.microprofile.bundles")
        ):
            path = "/health"
    if path and re.fullmatch(r"/[\w./~-]*", path):
        if seen:
            evidence.append(seen)
        return path
    found = jvm_source.find_health(app.scan, part.sources)
    if found and not configuration.text("server.servlet.context-path"):
        evidence.append(found[1])
        return found[0]
    return None


def find_assets(look: Look) -> list[str]:
    """Files beside the program that it reads: Dropwizard's configuration, folders at the root that the code names."""
    app, part, framework = look.app, look.part, look.framework
    found = []
    if framework == "dropwizard" and (path := dropwizard_file(app, part)):
        found.append(path)
    code = "\n".join(part.sources.texts.values())
    opens = re.search(
        r"Path(?:s)?\.(?:of|get)\(|new File\(|File\(|FileInputStream\(|Location\.EXTERNAL|fromFile\(", code
    )
    if opens and not part.module.folder:
        for folder in _ASSETS:
            holds = any(
                path.startswith(folder + "/") and not path.endswith((".java", ".kt", ".scala"))
                for path in app.scan.repository.files
            )
            if holds and re.search(rf'"(?:\./)?{folder}(?:/[^"\n]*)?"', code):
                found.append(folder)
    return found
