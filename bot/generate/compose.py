"""The compose model of a detected application."""

from __future__ import annotations

from bot.detect.facts import DockerfileFacts
from bot.detect.model import Detection
from bot.generate.beside import Surroundings, depends_on, surroundings
from bot.generate.recipe import Recipe
from bot.generate.write import with_exec
from bot.generate.writers import WRITERS
from bot.project import Build, HealthCheck, Port, Project, Service, to_yaml

__all__ = ["WEB", "compose_file", "project", "surroundings"]

WEB = "web"


def project(recipe: Recipe, around: Surroundings) -> Project:
    """A service ``web`` that is built here and published, and what runs beside it."""
    detection = recipe.detection
    environment: dict[str, str | None] = {"PORT": str(recipe.port)}
    environment |= dict.fromkeys(detection.required_env)
    environment |= around.environment
    service = Service(
        name=WEB,
        role="web",
        build=Build(),
        command=_command(detection),
        environment=environment,
        ports=(Port(recipe.port, f"${{PORT:-{recipe.port}}}"),),
        depends_on=depends_on(around.databases, around.processes),
        healthcheck=_healthcheck(recipe),
        health_path=detection.health_path,
    )
    return Project({WEB: service, **around.processes, **around.databases}, around.volumes)


def _command(detection: Detection) -> tuple[str, ...] | None:
    """A start command that was set goes before the Dockerfile's own; ours has it in its CMD already."""
    if isinstance(detection.facts, DockerfileFacts) and any(
        item.path == "settings" and item.says == "set: start_command" for item in detection.evidence
    ):
        return ("/bin/sh", "-c", with_exec(detection.start_command or ""))
    return None


def _healthcheck(recipe: Recipe) -> HealthCheck | None:
    """The probe of the Dockerfile again, for those who read only this file; none where no program could run it."""
    facts = recipe.detection.facts
    words = WRITERS[type(facts)].probe(recipe, facts) if facts is not None else None
    return HealthCheck(("CMD", *words), interval=10, start_period=30) if words else None


def compose_file(recipe: Recipe, model: Project, around: Surroundings) -> str:
    """The file, with a word on what has to be filled in, and why each service is there."""
    detection = recipe.detection
    notes = {"": "Written by Berth; yours to keep and change.\n`docker compose up --build` runs the same application."}
    path = f"services.{WEB}.environment"
    notes |= {f"services.{name}": text for name, text in around.notes.items()}
    for name in detection.required_env:
        if name in around.environment:
            continue
        seen = next((item for item in detection.evidence if item.says.startswith(f"{name} ")), None)
        where = f" ({seen.path}, line {seen.line})" if seen and seen.line else ""
        notes[f"{path}.{name}"] = f"needs a value, from the shell or a file .env{where}"
    return to_yaml(model, notes)
