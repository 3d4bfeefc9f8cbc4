"""What stays out of the build: history, secrets, and what the build makes itself."""

from __future__ import annotations

from bot.detect.facts import DockerfileFacts, Facts
from bot.generate.writers import WRITERS

_SECRETS = ("**/.env", "**/.env.*", "!**/.env.example", "!**/.env.production", "**/id_rsa*")
_TOOLS = (".git", ".github", ".gitlab", ".vscode", ".idea", "**/.DS_Store")
_OURS = ("Dockerfile", ".dockerignore", "docker-compose*.yml", "compose*.yaml", "compose*.yml", ".berth.yml")


def dockerignore(facts: Facts) -> str:
    """Patterns of https://docs.docker.com/build/concepts/context/#dockerignore-files."""
    groups: list[tuple[str, tuple[str, ...]]] = [
        ("history and tools", _TOOLS),
        ("secrets: values belong into the environment", _SECRETS),
        *WRITERS[type(facts)].ignored(facts),
    ]
    if not isinstance(facts, DockerfileFacts):
        groups.append(("not part of the application", _OURS))
    return "\n\n".join("\n".join([f"# {title}", *dict.fromkeys(patterns)]) for title, patterns in groups) + "\n"
