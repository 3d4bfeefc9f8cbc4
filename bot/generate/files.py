"""The files of a detected application."""

from __future__ import annotations

from dataclasses import dataclass

from bot.detect.facts import (
    DenoFacts,
    DockerfileFacts,
    DotnetFacts,
    Facts,
    NodeFacts,
    PhpFacts,
    RubyFacts,
    SiteFacts,
    StaticFacts,
)
from bot.detect.model import Detection
from bot.generate import dotnet, php, static
from bot.generate.compose import compose_file, project, surroundings
from bot.generate.ignore import dockerignore
from bot.generate.images import base_images_of
from bot.generate.recipe import Recipe
from bot.generate.writers import WRITERS
from bot.project import Project


@dataclass(frozen=True, slots=True)
class Generated:
    """``files`` maps paths, relative to the detection's root, to text; the root is the build's context."""

    files: dict[str, str]
    project: Project
    explanation: tuple[str, ...]
    base_images: tuple[str, ...]


def generate(
    detection: Detection,
    *,
    image_prefix: str = "",
    cache_id: str = "app",
    build_args: tuple[str, ...] = (),
    build_secrets: tuple[str, ...] = (),
    existing: frozenset[str] = frozenset(),
    variables: frozenset[str] = frozenset(),
) -> Generated | None:
    """The files for a detected application; None where nothing can be generated (``detection.facts`` is None).

    ``image_prefix`` is put before every official base image (``mirror.example/`` or ``berth.local/``). ``cache_id``
    belongs to the repository, so that no other one can fill its build caches. ``build_args`` and ``build_secrets`` are
    names of build variables. ``existing`` are paths in the root that are there already: its own .dockerignore stays.
    ``variables`` are names of variables that have a value: a database that one of them leads to is not started.
    """
    recipe = Recipe(detection, image_prefix, cache_id, build_args, build_secrets)
    facts = detection.facts
    files: dict[str, str] = {}
    if facts is None:
        return None
    writer = WRITERS[type(facts)]
    text, why = writer.dockerfile(recipe, facts)
    if text:
        files["Dockerfile"] = text
    files |= _configuration(recipe, facts)
    around = surroundings(recipe, variables)
    model = project(recipe, around)
    if ".dockerignore" not in existing:
        files[".dockerignore"] = dockerignore(facts)
    files["docker-compose.yml"] = compose_file(recipe, model, around)
    why.extend(around.explanation)
    why.append(f"it listens on port {recipe.port}, told to it as PORT")
    images = facts.base_images if isinstance(facts, DockerfileFacts) else base_images_of(files["Dockerfile"])
    return Generated(files, model, tuple(why), images)


def _configuration(recipe: Recipe, facts: Facts) -> dict[str, str]:
    """The file of the web server that the Dockerfile copies, where there is one."""
    spa = recipe.detection.spa_fallback
    hashed: tuple[str, ...] = ()
    not_found_page: str | None = None
    first_page = ""
    fallback = "/index.html"
    match facts:
        case PhpFacts():
            return {php.CONFIGURATION: php.apache_configuration(facts)}
        case DotnetFacts(file="", project=""):
            return {dotnet.PROJECT: dotnet.project_file(facts)}
        case NodeFacts(serve="static"):
            hashed, not_found_page, fallback = facts.hashed, facts.not_found_page, facts.fallback_page
        case DotnetFacts(site=True):
            pass
        case RubyFacts(site=True):
            spa, not_found_page = False, facts.not_found_page
        case StaticFacts():
            spa, not_found_page, first_page = False, facts.not_found_page, facts.first_page
        case DenoFacts(output=str()):
            not_found_page = "/404.html"
        case SiteFacts():
            spa, not_found_page = False, "/404.html"  # which all of the generators write
        case _:
            return {}
    text = static.nginx_configuration(
        recipe,
        spa=spa,
        hashed=hashed,
        not_found_page=not_found_page,
        first_page=first_page,
        fallback=fallback,
    )
    return {static.CONFIGURATION: text}
