"""The applications that are really built, each stack's in a module of its own beside this one: ``stacks_NAME.py``.

Such a module has a dict ``APPLICATIONS``; this one finds it. A name leads to ``(base images, files)`` or, where there
is more to say, to an :class:`Application`::

    from tests.generate.stacks import Application, Applications

    APPLICATIONS: Applications = {
        "gin": (("golang:1.26-bookworm",), {"go.mod": …, "main.go": …}),
        "spring-boot": Application(("maven:3.9-…", "eclipse-temurin:17-jre"), {…}, answer="hello one"),
        "laravel": Application((), {…}, not_built="no stand-in for Composer's registry", instructions=("FROM php", …)),
    }

Each answers at ``path`` with 200 and with ``answer`` in the text, on the port that ``PORT`` names. ``answer`` holds the
word ``one``; a change of the source makes it ``two``, in the only file that is no manifest and has that word, or in
``source``.  ``test_stacks.py`` pushes each of them to a server, changes it, measures it and looks at its image.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

Files = dict[str, str]

_MANIFEST = re.compile(
    r"(^|/)(package(-lock)?\.json|go\.(mod|sum)|Cargo\.(toml|lock)|composer\.(json|lock)|Gemfile(\.lock)?|pom\.xml"
    r"|build\.gradle(\.kts)?|settings\.gradle(\.kts)?|gradle\.properties|build\.sbt|mix\.(exs|lock)|deno\.jsonc?"
    r"|pyproject\.toml|requirements[^/]*\.txt|[^/]+\.(csproj|fsproj|sln|slnx|lock|xml|properties)|tsconfig[^/]*\.json"
    r"|pnpm-lock\.yaml|Procfile|\.[^/]+)$"
)


@dataclass(frozen=True)
class Application:
    """``images``: base images by their official names, for those that are not found in the generated Dockerfile."""

    images: tuple[str, ...]
    files: Files
    answer: str = "one"
    path: str = "/"
    source: str = ""  # the file in which ``answer`` stands; "": the first one that is no manifest and has it
    development: tuple[str, ...] = ()  # packages that the final image must not hold, beyond those of the manifests
    compiled: bool | None = None  # whether a bundler or a compiler runs; None: told by the stack and its build command
    environment: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))  # that it needs
    services: tuple[str, ...] = ()  # that it is given and that it really uses
    not_built: str = ""  # why it is only generated, linted and read instruction by instruction
    instructions: tuple[str, ...] = ()  # expressions that fit instructions of its Dockerfile, in this order

    def change(self) -> Files:
        """A change of the source alone, after which it answers ``two`` instead of ``one``."""
        path = self.source or next(
            (path for path, text in self.files.items() if not _MANIFEST.search(path) and self._word.search(text)), ""
        )
        text = self.files.get(path, "")
        assert self._word.search(text), f"no source has the word of {self.answer!r}: name it by `source`"
        return {path: self._word.sub("two", text)}

    @property
    def changed_answer(self) -> str:
        """The answer after :meth:`change`."""
        return re.sub(r"\bone\b", "two", self.answer)

    @property
    def _word(self) -> re.Pattern[str]:
        return re.compile(r"\bone\b")


Applications = dict[str, tuple[tuple[str, ...], Files] | Application]


def application(given: tuple[tuple[str, ...], Files] | Application) -> Application:
    """The long form of what a module has."""
    return given if isinstance(given, Application) else Application(*given)


@functools.cache
def applications() -> MappingProxyType[str, Application]:
    """All of them by name, those of one module together."""
    found: dict[str, Application] = {}
    for path in sorted(Path(__file__).parent.glob("stacks_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for name, given in module.APPLICATIONS.items():
            unique = name if name not in found else f"{name} ({path.stem.removeprefix('stacks_')})"
            found[unique] = application(given)
    return MappingProxyType(found)


def development_packages(one: Application) -> frozenset[str]:
    """What the manifests name for development alone, and the application itself."""
    found = {name.lower().replace("_", "-") for name in one.development}
    for path, text in one.files.items():
        file = path.rpartition("/")[2]
        if file == "package.json":
            found |= json.loads(text).get("devDependencies", {}).keys()
        elif file == "composer.json":
            found |= json.loads(text).get("require-dev", {}).keys()
        elif file == "pyproject.toml":
            groups = tomllib.loads(text).get("dependency-groups", {})
            found |= {re.split(r"[^A-Za-z0-9_.-]", item)[0].lower() for item in groups.get("dev", ())}
        elif file == "requirements-dev.txt":
            found |= {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in text.split("\n") if line[:1].isalpha()}
    return frozenset(found)
