"""What the build files of Maven, Gradle and sbt have in common: modules with dependencies and plugins."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SCALA_SUFFIX = re.compile(r"_(?:2\.1\d|3)(?:\.\d+)?$")
# folders of builds that hold no application of the repository
APART = re.compile(
    r"(^|/)(tests?|testing|it|fixtures?|examples?|docs?|samples?|templates?|archetype-resources|buildSrc"
    r"|build-logic|target|build|out|bin|node_modules|\.[^/]+|integration-?tests?|e2e|benchmarks?)(/|$)",
    re.IGNORECASE,
)
MOST_MODULES = 80
MOST_DEPENDENCIES = 1000  # of one module


@dataclass(frozen=True, slots=True)
class Used:
    """A dependency or a plugin: ``group:artifact`` or an id, and where it stands."""

    name: str
    path: str
    line: int
    text: str
    version: str = ""
    scope: str = "compile"  # compile | runtime | provided | bom | parent


@dataclass(slots=True)
class Module:
    """One module: a pom.xml, a Gradle project, an sbt project."""

    folder: str  # "" is the root
    path: str  # its build file
    name: str = ""
    packaging: str = "jar"  # jar | war | pom
    dependencies: list[Used] = field(default_factory=list)
    plugins: dict[str, Used] = field(default_factory=dict)
    # what asks for a version of Java, the strongest first: path, line, text
    asked: list[tuple[str, int, str]] = field(default_factory=list)
    main_class: str = ""
    siblings: set[str] = field(default_factory=set)  # folders of modules that it depends on
    layered: bool = True  # whether Spring Boot's jar has the usual layers
    sources: tuple[str, ...] = ()  # folders of sources where they are not the usual ones


@dataclass(slots=True)
class Build:
    """All modules of one build. ``tool`` is maven, gradle, sbt, or "" for sources alone."""

    tool: str
    path: str  # the file that says so
    modules: list[Module] = field(default_factory=list)
    wrapper: str = ""  # version of the tool that a complete wrapper brings
    tool_version: str = ""
    manifests: list[str] = field(default_factory=list)

    def closure(self, module: Module) -> list[Module]:
        """A module and those of the repository that it depends on."""
        by_folder = {one.folder: one for one in self.modules}
        found = [module]
        for one in found:
            for folder in sorted(one.siblings):
                other = by_folder.get(folder)
                if other and other not in found:
                    found.append(other)
        return found


def plain_name(group: str, artifact: str) -> str:
    """``group:artifact`` without the version of Scala that an artifact is for."""
    return f"{group}:{_SCALA_SUFFIX.sub('', artifact)}"


def fits(pattern: str, name: str) -> bool:
    """Whether a coordinate is meant: ``group:artifact``, ``group:start-*``, ``group`` (all of it), ``group.*``."""
    group, _, artifact = name.partition(":")
    wanted, _, wanted_artifact = pattern.partition(":")
    if wanted.endswith(".*"):
        if group != wanted[:-2] and not group.startswith(wanted[:-1]):
            return False
    elif group != wanted:
        return False
    if wanted_artifact.endswith("*"):
        return artifact.startswith(wanted_artifact[:-1])
    return not wanted_artifact or artifact == wanted_artifact
