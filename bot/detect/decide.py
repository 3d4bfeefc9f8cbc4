"""Chooses among what the stacks found, and puts the answer together."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from bot.detect.beside import find_beside, possible
from bot.detect.facts import DockerfileFacts
from bot.detect.finding import Answer, Finding
from bot.detect.foreign import find_foreign
from bot.detect.frameworks import BY_NAME
from bot.detect.model import Application, Candidate, Detection, Evidence
from bot.detect.needs import compose_port, find_required, find_services
from bot.detect.programs import stacks_of
from bot.detect.repository import Repository
from bot.detect.scan import Scan, text_of
from bot.detect.stacks import bun, deno, docker, dotnet, elixir, go, jvm, node, php, python, ruby, rust, static

STACKS = (docker, bun, deno, dotnet, elixir, go, jvm, node, php, python, ruby, rust, static)
ENOUGH = 30  # a stack with less is not an answer …
NAMED_ENOUGH = 15  # … but where the Procfile starts a program of it
LAST_ENOUGH = 20  # … or where there is nothing else and a framework is known
SERVER_ENOUGH = 60  # a server of which so much is known goes before a front end
SETTINGS = ("root", "framework", "build_command", "start_command", "port", "health_path", "services")
MAX_FOLDERS = 40
_JAVA = (("eclipse-temurin", "openjdk", "amazoncorretto"), 1)
# images that carry a language, and how many parts of their tags are its version
_LANGUAGES: dict[str, tuple[tuple[str, ...], int]] = {
    "node": (("node",), 1),
    "bun": (("bun",), 1),
    "python": (("python",), 2),
    "go": (("golang",), 2),
    "ruby": (("ruby",), 2),
    "php": (("php",), 2),
    "rust": (("rust",), 2),
    "elixir": (("elixir",), 2),
    "csharp": (("aspnet", "runtime", "sdk"), 2),
    **dict.fromkeys(("java", "kotlin", "scala"), _JAVA),
}


def detect(
    repository: Repository, overrides: Mapping[str, object] | None = None, *, images: Collection[str] = ()
) -> Detection:
    """What a repository is. Pure and synchronous; never raises.

    ``overrides`` are settings of a person: ``root`` (a folder), ``framework`` (a framework's or a stack's name),
    ``build_command``, ``start_command``, ``port``, ``health_path``. They win over everything that is found.
    ``images`` are the base images that can be had (``python:3.11-slim``), to choose versions among; no names means all.
    """
    given, warnings = _valid_settings(overrides or {})
    try:
        found = _detect(repository, given, images)
        return replace(found, warnings=(*warnings, *found.warnings)) if warnings else found
    except Exception as error:
        return Detection(warnings=(f"detection gave up: {type(error).__name__}: {str(error)[:200]}",))


def _detect(repository: Repository, given: dict[str, object], images: Collection[str]) -> Detection:
    root = text_of(given.get("root"))
    if root:
        try:
            repository = repository.at("/".join(part for part in (repository.root, root) if part))
        except ValueError as error:
            return Detection(root=root, warnings=(f"setting root: {error}",))
        if not repository.files:
            return Detection(root=root, warnings=(f"setting root: there is no folder {root!r} in the repository",))
    scan = Scan(repository, images)
    findings = look(scan)
    chosen = choose(findings, given, scan)
    if root and chosen is not None and chosen.stack == "node" and (outer := node.workspace_of(scan)):
        # it is installed and built where its workspace begins
        scan, findings = outer, [one for one in (node.find(outer),) if one]
        chosen = findings[0] if findings else None
    applications: tuple[Application, ...] = ()
    aside = chosen is not None and _is_page_below(chosen) and not given.get("framework")
    if chosen is None or chosen.below or (aside and not root):
        below = _below(repository, images)
        if find_foreign(repository):
            # servers beside a program in another language, not its pages
            below = [one for one in below if one[1].stack != "static" and _is_server(one[1])]
        elif aside and not (below and below[0][1].stack != "static" and _is_server(below[0][1])):
            below = []
        applications = tuple(
            Application(where.repository.root, where.repository.root, one.stack, one.framework, one.score)
            for where, one in below
        )
        if below:
            inner, chosen = below[0]
            unused = f"{inner.repository.root}/Dockerfile is not used"
            inner.warnings = [*(text for text in scan.warnings if not text.startswith(unused)), *inner.warnings]
            scan, findings = inner, look(inner)
            chosen = choose(findings, given, scan) or chosen
            if len(below) > 1:
                listed = ", ".join(f"{one.repository.root} ({found.stack})" for one, found in below[:8])
                scan.warn(f"several folders hold an application: {listed}. Set root to one of them")
    if chosen is None and not find_foreign(repository):
        # a little of one, where there is nothing else: a site's generator beside the tools of another language
        chosen = next((one for one in findings if one.framework and one.score >= LAST_ENOUGH), None)
    if chosen is None:
        return _nothing(scan, findings)
    return _assemble(scan, chosen, findings, applications, given)


def look(scan: Scan) -> list[Finding]:
    """What every stack finds, the most likely first; the order does not depend on the order of anything else."""
    findings = []
    for stack in STACKS:
        try:
            found = stack.find(scan)
        except Exception as error:
            scan.warn(
                f"{stack.__name__.rsplit('.', 1)[-1]} was not looked at: {type(error).__name__}: {str(error)[:120]}"
            )
            continue
        if found:
            findings.append(found)
    return sorted(findings, key=lambda one: (-one.score, not one.serves, -one.sum, one.stack))


def choose(findings: list[Finding], given: Mapping[str, object], scan: Scan) -> Finding | None:
    """The stack that a setting names, else a Dockerfile with something to run, else the one with the most evidence."""
    named = text_of(given.get("framework"))
    if named:
        stack = BY_NAME[named].stack if named in BY_NAME else named
        for finding in findings:
            alike = (stack, "kotlin", "scala") if stack == "java" and stack != named else (stack,)
            if named in (finding.stack, finding.framework) or finding.stack in alike:
                return finding
        scan.warn(f"setting framework: {named!r} does not fit what is in the repository")
    for finding in findings:
        if finding.stack == "dockerfile" and finding.score >= ENOUGH:
            return finding
    likely = _likely(findings, scan)
    web = scan.procfile.get("web")
    if web:
        stacks = stacks_of(web[0])
        for finding in findings:
            if finding.stack in stacks and finding.score >= NAMED_ENOUGH:
                finding.add(
                    0, scan.seen("Procfile", web[0], f"the web process is a program of {finding.stack}", web[1])
                )
                return finding
    # a front end at the root belongs to the server beside it
    if likely and not _is_server(likely[0]):
        return next((one for one in likely if _is_server(one) and one.score >= SERVER_ENOUGH), likely[0])
    return likely[0] if likely else None


def _likely(findings: list[Finding], scan: Scan) -> list[Finding]:
    """Those with enough evidence, but pages and tools of a program in another language, which are not the answer."""
    enough = [one for one in findings if one.score >= ENOUGH]
    apart = [one for one in enough if one.stack == "static" or (one.stack == "node" and not one.serves)]
    if apart and find_foreign(scan.repository):
        return [one for one in enough if one not in apart]
    return enough


_APART = re.compile(
    r"(^|/)(tests?|fixtures|examples?|docs?|samples?|templates?|vendor|third_party|\.[^/]+)(/|$)", re.IGNORECASE
)
_SITES = ("hugo.toml", "hugo.yaml", "mkdocs.yml", "config.toml")  # of generators, which lie where documents do
_DEMO = re.compile(r"(^|/)demo(/|$)", re.IGNORECASE)
MANIFESTS = tuple(dict.fromkeys(name for stack in STACKS for name in stack.MANIFESTS))


def _below(repository: Repository, images: Collection[str]) -> list[tuple[Scan, Finding]]:
    """Applications in folders, where the root holds none; the likeliest first."""
    folders: dict[str, None] = {}
    for mark in MANIFESTS:
        for path in repository.named(mark, 3):
            folder = path.rpartition("/")[0]
            if folder and (not _APART.search(folder) or (mark in _SITES and folder in ("docs", "doc"))):
                folders.setdefault(folder)
    for folder in sorted(set(dotnet.places(repository))):
        if folder and not _APART.search(folder):
            folders.setdefault(folder)
    # a demo is an example beside something else, and the application where it is all that there is
    folders = {folder: None for folder in folders if not _DEMO.search(folder)} or folders
    found: list[tuple[Scan, Finding]] = []
    for folder in sorted(folders, key=lambda name: (name.count("/"), name))[:MAX_FOLDERS]:
        if any(folder.startswith(where.repository.root + "/") for where, _ in found):
            continue  # part of an application that was found already
        scan = Scan(repository.at("/".join(part for part in (repository.root, folder) if part)), images)
        best = choose(look(scan), {}, scan)
        if best and not best.below:  # what lies further below has a folder of its own in the list
            found.append((scan, best))
    # what serves HTTP goes before pages, and a server before a front end that is built
    found.sort(
        key=lambda one: (
            one[1].stack == "static",
            not _is_server(one[1]) or _is_only_an_image(*one),
            -one[1].score,
            one[0].repository.root,
        )
    )
    return found


def _is_only_an_image(scan: Scan, finding: Finding) -> bool:
    """A folder with a Dockerfile for what lies elsewhere, or comes from elsewhere: no source is in it."""
    return finding.stack == "dockerfile" and len(look(scan)) == 1 and find_foreign(scan.repository) is None


def _is_page_below(finding: Finding) -> bool:
    """Pages in a folder, which say little where a server lies in another one."""
    return finding.stack == "static" and finding.framework is None and finding.score < 50


def _is_server(finding: Finding) -> bool:
    row = BY_NAME.get(finding.framework or "")
    return finding.stack == "dockerfile" or (
        finding.stack != "static" and finding.serves and (row is None or row.serves)
    )


def _nothing(scan: Scan, findings: list[Finding]) -> Detection:
    repository = scan.repository
    foreign = find_foreign(repository)
    if not repository.files:
        scan.warn("the repository is empty")
    elif foreign:
        where = repository.full(foreign[0])
        scan.warn(f"{where} says {foreign[1]}, for which no Dockerfile is written yet. Add a Dockerfile of your own")
    else:
        scan.warn(
            "nothing was found that can be deployed. Looked for: Dockerfile, the manifests of Node.js, Python, Go,"
            " Rust, PHP, Ruby, Java, C#, Elixir and Deno, programs in these languages, index.html;"
            " up to three folders deep"
        )
    candidates = tuple(finding.candidate() for finding in findings)
    return Detection(root=repository.root or ".", candidates=candidates, warnings=tuple(scan.warnings))


def _assemble(
    scan: Scan,
    chosen: Finding,
    findings: list[Finding],
    applications: tuple[Application, ...],
    given: dict[str, object],
) -> Detection:
    answer = chosen.answer(given)
    candidates = tuple(finding.candidate() for finding in findings)
    detection = Detection(
        stack=chosen.stack,
        framework=answer.framework,
        package_manager=answer.package_manager,
        language_version=answer.language_version,
        confidence=chosen.score,
        root=scan.repository.root or ".",
        start_command=answer.start_command,
        build_command=answer.build_command,
        output_dir=answer.output_dir,
        spa_fallback=answer.spa_fallback,
        port=answer.port,
        health_path=answer.health_path or "/",
        required_env=tuple(answer.required_env),
        services=tuple(answer.services),
        applications=applications or tuple(answer.applications),
        facts=answer.facts,
    )
    evidence = [*chosen.evidence, *answer.evidence]
    if chosen.stack == "dockerfile":
        detection = _beneath(scan, detection, findings, evidence)
    detection = _procfile(scan, detection, evidence)
    detection = _compose(scan, detection, answer, evidence)
    detection = _settings(detection, given, evidence)
    detection = replace(detection, beside=find_beside(scan, detection, text_of(given.get("services")), evidence))
    others = [one for one in candidates if one.stack != chosen.stack and one.confidence >= ENOUGH]
    if others and chosen.stack != "dockerfile" and others[0].confidence >= chosen.score - 10:
        scan.warn(_close(others[0]))
    if scan.repository.truncated:
        scan.warn("the repository has so many files that only the first ones were looked at")
    return replace(
        detection, evidence=tuple(dict.fromkeys(evidence)), candidates=candidates, warnings=tuple(scan.warnings)
    )


def _close(other: Candidate) -> str:
    seen = other.evidence[0].path if other.evidence else "its files"
    return f"{other.stack} was as likely ({seen}). Set framework to {other.stack!r} if that is meant"


def _beneath(scan: Scan, detection: Detection, findings: list[Finding], evidence: list[Evidence]) -> Detection:
    """What the Dockerfile packs: its stack, framework and package manager are worth knowing."""
    under = next((one for one in findings if one.stack not in ("dockerfile", "static") and one.score >= ENOUGH), None)
    under = under or next((one for one in findings if one.stack == "static" and one.score >= ENOUGH), None)
    if under is None or under.below:
        packed = [one for one in _below(scan.repository, scan.images) if one[1].stack != "dockerfile"]
        under = packed[0][1] if packed else under
    if under is None:
        required = [name for name, _ in find_required(scan)]
        services = find_services(scan, {})
        evidence.extend(item for _, item in services)
        return replace(detection, required_env=tuple(required), services=tuple(name for name, _ in services))
    kept = list(scan.warnings)
    below = under.answer({})
    scan.warnings = kept  # what is odd about a start command that is not used is of no interest
    evidence.extend(below.evidence)
    version, seen = _version_of_image(scan, detection, under.stack)
    evidence.extend(seen)
    return replace(
        detection,
        underlying_stack=under.stack,
        framework=below.framework,
        package_manager=below.package_manager,
        language_version=version or below.language_version,
        health_path=below.health_path or "/",
        required_env=tuple(below.required_env),
        services=tuple(below.services),
    )


def _version_of_image(scan: Scan, detection: Detection, stack: str) -> tuple[str, list[Evidence]]:
    """The version of the language that the Dockerfile's own images have: what it really runs on."""
    names, parts = _LANGUAGES.get(stack, ((), 0))
    for image in detection.facts.base_images if isinstance(detection.facts, DockerfileFacts) else ():
        name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
        match = re.match(rf"\d+(?:\.\d+){{0,{parts - 1}}}", tag)
        if name in names and match:
            return match[0], [scan.seen("Dockerfile", f"{name}:", f"the image has {stack} {match[0]}")]
    return "", []


def _procfile(scan: Scan, detection: Detection, evidence: list[Evidence]) -> Detection:
    rest = tuple((name, command) for name, (command, _) in scan.procfile.items() if name != "web")
    web = scan.procfile.get("web")
    if web and detection.stack != "dockerfile" and detection.start_command == web[0]:
        evidence.append(scan.seen("Procfile", web[0], "the web process of the Procfile", web[1]))
    return replace(detection, processes=rest)


def _compose(scan: Scan, detection: Detection, answer: Answer, evidence: list[Evidence]) -> Detection:
    """The port of the repository's own compose file goes before what the code says, but not before EXPOSE."""
    found = compose_port(scan)
    exposed = isinstance(answer.facts, DockerfileFacts) and bool(answer.facts.ports)
    if found and not exposed and detection.stack != "static" and not (answer.output_dir and detection.port == 8080):
        evidence.append(found[1])
        return replace(detection, port=found[0])
    if detection.stack == "dockerfile" and detection.port is None:
        scan.warn("the Dockerfile has no EXPOSE: port 8080 is assumed, and told to it as PORT. Add EXPOSE or set port")
        return replace(detection, port=8080)
    return detection


def _valid_settings(overrides: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The settings that are possible, and a word about each of the others."""
    given: dict[str, object] = {}
    warnings = []
    for key in SETTINGS:
        value = overrides.get(key)
        if isinstance(value, str):
            value = value.strip()
        if value in (None, ""):
            continue
        if key == "port":
            fits = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
        elif key == "health_path":
            value = text_of(value) if text_of(value).startswith("/") else f"/{text_of(value)}"
            fits = re.fullmatch(r"[!-~]{1,500}", value) is not None  # what a request line can carry
        elif key == "services":
            fits = isinstance(value, str) and possible(value)
        else:
            fits = isinstance(value, str) and "\0" not in value
        if fits:
            given[key] = value
        else:
            warnings.append(f"setting {key}: {str(value)[:100]!r} is not possible and was left out")
    return given, warnings


def _settings(detection: Detection, given: Mapping[str, object], evidence: list[Evidence]) -> Detection:
    """What a person set goes before everything that was found."""
    for key, value in given.items():
        shown = "".join(char if char.isprintable() else " " for char in f"{key} = {value}"[:200])
        evidence.append(Evidence("settings", None, shown, f"set: {key}"))
    apart = ("root", "framework", "services")
    changes: dict[str, Any] = {key: value for key, value in given.items() if key not in apart}
    return replace(detection, **changes)
