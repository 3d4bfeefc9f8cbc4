"""One look at one folder of a repository: parsed manifests are kept, and what was odd about them is noted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bot.detect.loose import read_loose
from bot.detect.model import Evidence
from bot.detect.parse import (
    DEEP,
    Requirement,
    line_of,
    parse_dotenv,
    parse_json,
    parse_procfile,
    parse_toml,
    strip_js_comments,
)
from bot.detect.repository import Repository

ENV_EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", "example.env")


class Scan:
    """What the modules of the stacks look through. Nothing here raises; oddities become ``warnings``."""

    def __init__(self, repository: Repository, images: Collection[str] = ()) -> None:
        self.repository = repository
        self.images = images  # base images that can be had, official names with tags; none at all means all
        self.warnings: list[str] = []
        self.speaks: dict[str, Evidence] = {}  # service -> the dependency that speaks to it
        self.packages: frozenset[str] = frozenset()  # names of all dependencies
        self._json: dict[str, dict[str, Any] | None] = {}
        self._toml: dict[str, dict[str, Any]] = {}
        self._code: dict[str, str] = {}
        self._procfile: dict[str, tuple[str, int]] | None = None
        self._dotenv: list[tuple[str, str, str, int]] | None = None
        self.kept: dict[str, Any] = {}  # what a stack's modules work out once

    def warn(self, text: str) -> None:
        """Note an oddity once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return self.repository.has(path)

    def text(self, path: str) -> str:
        """A file's text, "" when there is none; a listed file that cannot be read is noted."""
        text = self.repository.read_text(path)
        if text is None and self.has(path):
            self.warn(f"{self.repository.full(path)} was not read: it is binary, larger than 1 MB, or leads nowhere")
        return text or ""

    def json(self, path: str) -> dict[str, Any] | None:
        """A JSON object; {} for a file that holds something else, None when there is no such file."""
        if path not in self._json:
            self._json[path] = self._read_json(path) if self.has(path) else None
        return self._json[path]

    def _read_json(self, path: str) -> dict[str, Any]:
        text = self.text(path)
        data, problem = parse_json(text) if text.strip() else (None, "it is empty")
        if isinstance(data, dict):
            return data
        rest = read_loose(text) if problem and problem != DEEP else None
        if rest and path.endswith(".json5"):
            return rest
        what = f"{self.repository.full(path)} is not a JSON object: {problem or 'it holds something else'}"
        self.warn(f"{what}; what can be read of it is used" if rest else what)
        return rest or {}

    def toml(self, path: str) -> dict[str, Any]:
        """A TOML table, {} when missing or broken."""
        if path not in self._toml:
            data, problem = parse_toml(self.text(path)) if self.has(path) else ({}, None)
            if problem:
                self.warn(f"{self.repository.full(path)} is not valid TOML: {problem}")
            self._toml[path] = data
        return self._toml[path]

    def code(self, path: str) -> str:
        """JavaScript or TypeScript without comments."""
        if path not in self._code:
            self._code[path] = strip_js_comments(self.text(path))
        return self._code[path]

    def seen(self, path: str, seen: str, says: str, line: int | None = None) -> Evidence:
        """Evidence from a file; the line is looked up by what was seen when it is not given."""
        if line is None and seen:
            text = self.repository.read_text(path) if self.has(path) else None
            line = line_of(text, seen) if text else None
        return Evidence(self.repository.full(path), line, _short(seen), says)

    @property
    def procfile(self) -> Mapping[str, tuple[str, int]]:
        """Process types of the Procfile with command and line."""
        if self._procfile is None:
            self._procfile = parse_procfile(self.text("Procfile")) if self.has("Procfile") else {}
        return self._procfile

    @property
    def env_examples(self) -> list[tuple[str, str, str, int]]:
        """Name, value, path and line of every variable in the example environment files."""
        if self._dotenv is None:
            self._dotenv = [
                (name, value, path, line)
                for path in ENV_EXAMPLES
                if self.has(path)
                for name, value, line in parse_dotenv(self.text(path))
            ]
        return self._dotenv


def _short(text: str, limit: int = 160) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def table(value: object) -> dict[str, Any]:
    """The value if it is a dict with text keys, otherwise {}: manifests hold anything anywhere."""
    return {key: item for key, item in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}


def text_of(value: object) -> str:
    """The value if it is text, otherwise ""."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """The texts of a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def names(requirements: list[Requirement]) -> dict[str, Requirement]:
    """The first requirement of each name."""
    found: dict[str, Requirement] = {}
    for item in requirements:
        found.setdefault(item.name, item)
    return found
