"""Reads Dockerfiles: stages, base images, ports, and whether there is something to run.

A parser for what https://docs.docker.com/reference/dockerfile/ describes: continued lines, comments in between, parser
directives, here-documents, ``ARG`` defaults. It tolerates anything and never raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_MAX_INSTRUCTIONS = 2_000
# images that start nothing useful by themselves
_BARE = frozenset(
    {"scratch", "debian", "ubuntu", "alpine", "busybox", "centos", "fedora", "amazonlinux", "rockylinux", "almalinux"}
    | {"archlinux", "oraclelinux", "buildpack-deps", "gcc", "node", "python", "ruby", "golang", "rust", "openjdk"}
    | {"eclipse-temurin", "amazoncorretto", "php", "perl", "elixir", "erlang", "bun", "deno"}
)
# the ports of images that serve HTTP by themselves, as EXPOSE in their own Dockerfiles has them
_LISTENS = (
    dict.fromkeys(("nginx", "httpd", "caddy", "php", "wordpress", "drupal", "joomla", "nextcloud", "matomo"), 80)
    | dict.fromkeys(("nginx-unprivileged", "tomcat", "jetty", "adminer"), 8080)
    | {"solr": 8983, "kong": 8000, "ghost": 2368, "grafana": 3000, "gitea": 3000, "metabase": 3000, "node-red": 1880}
    | {"directus": 8055, "n8n": 5678}
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction with its arguments; ``line`` is where it starts."""

    name: str  # in capitals
    text: str  # what follows, its lines joined
    line: int


@dataclass(slots=True)
class Stage:
    """One ``FROM``: ``base`` is the reference with variables filled in, or the name or number of an earlier stage."""

    base: str
    name: str | None
    line: int
    parent: Stage | None = None  # the earlier stage that it is built upon
    instructions: list[Instruction] = field(default_factory=list)

    def lineage(self) -> Iterator[Stage]:
        """This stage and those beneath it."""
        stage: Stage | None = self
        while stage:
            yield stage
            stage = stage.parent

    def last(self, *names: str) -> Instruction | None:
        """The last of these instructions that is in effect, here or in a stage beneath."""
        for stage in self.lineage():
            for instruction in reversed(stage.instructions):
                if instruction.name in names:
                    return instruction
        return None


@dataclass(slots=True)
class Dockerfile:
    """Stages, the ``ARG`` values before the first of them, and what is wrong with the file."""

    stages: list[Stage]
    arguments: dict[str, str]
    problems: list[str]

    @property
    def final(self) -> Stage | None:
        """The stage that a build without ``--target`` gives."""
        return self.stages[-1] if self.stages else None

    def base_images(self) -> tuple[str, ...]:
        """References of images that are not stages, also those of ``COPY --from`` and ``RUN --mount=from``, sorted."""
        own = {stage.name.lower() for stage in self.stages if stage.name}
        found = {stage.base for stage in self.stages if stage.parent is None}
        for stage in self.stages:
            for instruction in stage.instructions:
                if instruction.name in ("COPY", "ADD", "RUN"):
                    for match in re.finditer(r"(?:^|\s)--(?:from=|mount=\S*?\bfrom=)([^\s,]+)", instruction.text):
                        name = expand(match[1], self.arguments)
                        if name.lower() not in own and not name.isdigit():
                            found.add(name)
        return tuple(sorted(image for image in found if image and image.lower() != "scratch"))


def parse(text: str, build_args: Mapping[str, str] | None = None) -> Dockerfile:
    """Stages of a Dockerfile; ``build_args`` win over the defaults of ``ARG`` lines before the first ``FROM``."""
    result = Dockerfile([], {}, [])
    given = dict(build_args or {})
    for count, instruction in enumerate(_instructions(text)):
        if count > _MAX_INSTRUCTIONS:
            result.problems.append(f"more than {_MAX_INSTRUCTIONS} instructions")
            break
        if instruction.name == "FROM":
            stage = _stage(instruction, result)
            if stage:
                result.stages.append(stage)
            else:
                result.problems.append(f"line {instruction.line}: FROM without an image")
        elif result.stages:
            result.stages[-1].instructions.append(instruction)
        elif instruction.name == "ARG":
            for word in _words(instruction.text):
                name, equals, value = word.partition("=")
                if name in given:
                    result.arguments[name] = given[name]
                elif equals:
                    result.arguments[name] = expand(value, result.arguments)
        else:
            result.problems.append(f"line {instruction.line}: {instruction.name} before the first FROM")
    if not result.stages:
        result.problems.append("no FROM")
    return result


def _stage(instruction: Instruction, so_far: Dockerfile) -> Stage | None:
    words = [word for word in instruction.text.split() if not word.startswith("--")]
    if not words:
        return None
    base = expand(words[0].strip("\"'"), so_far.arguments)
    name = words[2] if len(words) >= 3 and words[1].lower() == "as" else None
    parent = next(
        (stage for stage in reversed(so_far.stages) if stage.name and stage.name.lower() == base.lower()), None
    )
    return Stage(base, name, instruction.line, parent) if base else None


def _instructions(text: str) -> Iterator[Instruction]:
    lines = text.split("\n")
    escape = "\\"
    place = 0
    while place < len(lines) and (directive := re.match(r"#\s*(\w+)\s*=\s*(\S+)\s*$", lines[place].strip())):
        if directive[1].lower() == "escape" and directive[2] in ("\\", "`"):
            escape = directive[2]
        place += 1
    while place < len(lines):
        line = lines[place].strip()
        start = place + 1
        place += 1
        if not line or line.startswith("#"):
            continue
        parts = []
        while True:
            if not line.endswith(escape):
                parts.append(line)
                break
            parts.append(line[:-1].rstrip())
            while place < len(lines) and (not lines[place].strip() or lines[place].strip().startswith("#")):
                place += 1
            if place >= len(lines):
                break
            line = lines[place].strip()
            place += 1
        whole = " ".join(parts)
        name, _, rest = whole.partition(" ")
        if name.upper() in ("RUN", "COPY", "ADD"):
            for marker in _heredocs(rest):
                while place < len(lines) and lines[place].strip() != marker:
                    place += 1
                place += 1
        yield Instruction(name.upper(), rest.strip(), start)


def _heredocs(text: str) -> list[str]:
    """The words that end the here-documents of an instruction; in exec form there are none."""
    if re.sub(r"^(?:--\S+\s+)+", "", text.lstrip()).startswith("["):
        return []
    return [match[2] for match in re.finditer(r"(?:^|\s)\d*<<-?([\"']?)([A-Za-z_]\w*)\1(?=\s|$)", text)]


def expand(text: str, values: Mapping[str, str]) -> str:
    """``$NAME``, ``${NAME}``, ``${NAME:-default}``, ``${NAME:+other}`` filled in; unknown names become empty."""

    def one(match: re.Match[str]) -> str:
        name, operator, rest = match[1] or match[4], match[2], match[3] or ""
        value = values.get(name, "")
        if operator in (":-", "-"):
            return value or rest
        if operator in (":+", "+"):
            return rest if value else ""
        return value

    return re.sub(r"\$\{(\w+)(?:(:?[-+])([^{}]*))?\}|\$(\w+)", one, text[:2000])


def _words(text: str) -> list[str]:
    return [word.strip("\"'") if "=" not in word else _unquoted(word) for word in text.split()]


def _unquoted(word: str) -> str:
    name, _, value = word.partition("=")
    return f"{name}={value.strip(chr(34) + chr(39))}"


def ports(file: Dockerfile) -> list[tuple[int, int]]:
    """Ports that the final stage exposes over TCP, with their line, in the order of the file."""
    if not file.final:
        return []
    found: list[tuple[int, int]] = []
    for stage in file.final.lineage():
        values = dict(file.arguments)
        for instruction in stage.instructions:
            if instruction.name in ("ARG", "ENV"):
                values |= _assignments(instruction.text, values)
            elif instruction.name == "EXPOSE":
                for word in expand(instruction.text, values).split():
                    number, _, kind = word.partition("/")
                    first = number.partition("-")[0].strip("\"'")
                    if kind.lower() in ("", "tcp") and first.isdigit() and 0 < int(first[:6]) < 65536:
                        found.append((int(first), instruction.line))
    return list(dict.fromkeys(found))


def _assignments(text: str, values: Mapping[str, str]) -> dict[str, str]:
    if "=" not in text.split(" ", 1)[0]:
        name, _, value = text.partition(" ")
        return {name: expand(value.strip(), values)} if value else {}
    pairs = re.findall(r"(\w+)=(\"(?:\\.|[^\"])*\"|'[^']*'|\S*)", text)
    return {name: expand(value.strip("\"'"), values) for name, value in pairs}


def environment_port(file: Dockerfile) -> tuple[int, int] | None:
    """``ENV PORT=…`` of the final stage, with its line."""
    for stage in file.final.lineage() if file.final else ():
        for instruction in reversed(stage.instructions):
            value = _assignments(instruction.text, file.arguments).get("PORT", "") if instruction.name == "ENV" else ""
            if value.isdigit() and 0 < int(value[:6]) < 65536:
                return int(value), instruction.line
    return None


def base_port(file: Dockerfile) -> tuple[int, str, int] | None:
    """The port that a well-known base image listens on, its name, and the line that names it."""
    if not file.final:
        return None
    name, tag = _image(file.final)
    if name not in _LISTENS or (name == "php" and "apache" not in tag):
        return None
    return _LISTENS[name], name, list(file.final.lineage())[-1].line


def _image(stage: Stage) -> tuple[str, str]:
    """Name and tag of the image that the stage comes from, without registry and owner."""
    base = list(stage.lineage())[-1].base.split("@")[0].rpartition("/")[2].lower()
    name, _, tag = base.partition(":")
    return name, tag


def runnable(file: Dockerfile) -> bool:
    """Whether a container of the final stage has something to run: a command of its own, or a base image with one."""
    if not file.final:
        return False
    command = file.final.last("CMD", "ENTRYPOINT")
    if command:
        return not _empty(command.text)
    name, tag = _image(file.final)
    return name not in _BARE or (name == "php" and "apache" in tag)


def _empty(text: str) -> bool:
    try:
        return not text or json.loads(text) == []
    except (ValueError, RecursionError):
        return False


def runs_as_root(file: Dockerfile) -> bool:
    """Whether the final stage names no user, or root."""
    user = file.final.last("USER") if file.final else None
    return user is None or user.text.split(":")[0].strip("\"' ") in ("", "root", "0")
