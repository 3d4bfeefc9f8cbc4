"""The table of frameworks: pure data. A new framework is a new row.

``packages`` are exact names of dependencies. ``supersedes`` are frameworks that a row builds upon: where both are
found, the row is the answer. ``serves`` says that it answers HTTP by itself; otherwise it is a front end whose build is
served as files. Ports are what the framework listens on when nobody says otherwise.
"""

from __future__ import annotations

from bot.detect.frameworks.deno import DENO
from bot.detect.frameworks.dotnet import DOTNET
from bot.detect.frameworks.elixir import ELIXIR
from bot.detect.frameworks.go import GO
from bot.detect.frameworks.jvm import JVM
from bot.detect.frameworks.model import Framework
from bot.detect.frameworks.node import NODE
from bot.detect.frameworks.php import PHP
from bot.detect.frameworks.python import PYTHON
from bot.detect.frameworks.ruby import RUBY
from bot.detect.frameworks.rust import RUST
from bot.detect.frameworks.static import STATIC

__all__ = [
    "BY_NAME",
    "DENO",
    "DOTNET",
    "ELIXIR",
    "GO",
    "JVM",
    "NODE",
    "PHP",
    "PYTHON",
    "RUBY",
    "RUST",
    "STATIC",
    "Framework",
    "remaining",
]

NAMED_JVM = tuple(row for row in JVM if row.named)
BY_NAME: dict[str, Framework] = {
    row.name: row
    for rows in (NODE, PYTHON, GO, RUST, PHP, RUBY, NAMED_JVM, DOTNET, ELIXIR, STATIC, DENO)
    for row in rows
}


def remaining(found: set[str], rows: tuple[Framework, ...]) -> list[Framework]:
    """The rows that were found and that no other found row builds upon, the weightiest first."""
    present = [row for row in rows if row.name in found]
    beneath = {name for row in present for name in row.supersedes}
    return sorted((row for row in present if row.name not in beneath), key=lambda row: (-row.weight, row.name))
