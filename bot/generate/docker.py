"""A repository's own Dockerfile: nothing is written, and what is odd about it is said."""

from __future__ import annotations

from bot.detect.facts import DockerfileFacts
from bot.generate.recipe import Recipe


def dockerfile(_recipe: Recipe, facts: DockerfileFacts) -> tuple[str, list[str]]:
    """No text, and why."""
    why = ["the repository's own Dockerfile is used as it is"]
    if facts.runs_as_root:
        why.append("it runs as root: add a USER to its last stage")
    return "", why


def ignored(_facts: DockerfileFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What no Dockerfile wants."""
    return (("installed in the image", ("**/node_modules", "**/__pycache__", "**/.venv")),)
