"""The README's tables are true: run as a program, this writes those of the configuration and of the frameworks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from bot.cli.app import app
from bot.config import Config
from bot.deploy.settings import Settings
from bot.detect import frameworks

README = Path(__file__).parent.parent / "README.md"
TABLE = re.compile(r"(<!-- (configuration|frameworks): [^\n]* -->\n).*?(<!-- /\2 -->)", re.DOTALL)
# what is in one row, what brings its packages, and its frameworks
STACKS = (
    ("Node.js, Bun", "npm, Yarn 1 and later, pnpm, Bun", frameworks.NODE),
    ("Deno", "Deno", frameworks.DENO),
    ("Python", "pip, uv, Poetry, PDM, Pipenv, conda", frameworks.PYTHON),
    ("PHP", "Composer", frameworks.PHP),
    ("Ruby", "Bundler", frameworks.RUBY),
    ("Go", "modules, workspaces, vendor", frameworks.GO),
    ("Rust", "Cargo, workspaces", frameworks.RUST),
    ("Java, Kotlin, Scala", "Maven, Gradle, sbt", frameworks.NAMED_JVM),
    ("C#", "NuGet, solutions", frameworks.DOTNET),
    ("Elixir", "Mix, umbrellas", frameworks.ELIXIR),
    ("static sites", "", frameworks.STATIC),
)


def configuration_table() -> str:
    lines = ["| variable | default | what it is |", "| --- | --- | --- |"]
    for name, info in Config.model_fields.items():
        default = "" if info.default_factory or info.default in ("", None) else f"`{info.default}`"
        if name == "data_dir":
            default = "`/var/lib/berth` (root)"
        lines.append(f"| `BERTH_{name.upper()}` | {default} | {info.description} |")
    return "\n".join(lines) + "\n"


def framework_table() -> str:
    lines = ["| stack | packages by | frameworks |", "| --- | --- | --- |"]
    for title, packages, rows in STACKS:
        lines.append(f"| {title} | {packages} | {', '.join(sorted({row.name for row in rows}))} |")
    return "\n".join(lines) + "\n"


TABLES = {"configuration": configuration_table, "frameworks": framework_table}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_true(name: str) -> None:
    found = {match[2]: match[0] for match in TABLE.finditer(README.read_text())}
    assert TABLES[name]() in found[name], "run `python -m tests.test_readme`"


def test_every_framework_has_a_row() -> None:
    assert {row.name for _, _, rows in STACKS for row in rows} == frameworks.BY_NAME.keys()


def test_every_command_is_in_the_table() -> None:
    text = README.read_text()
    names = get_command(app).commands  # type: ignore[attr-defined]
    for name in names:
        assert re.search(rf"`(berth )?{name}\b", text), f"berth {name} is missing in the README"


def test_every_setting_is_named() -> None:
    text = README.read_text()
    for name in Settings.model_fields:
        assert f"`{name}`" in text, f"the setting {name} is missing in the README"


def test_every_variable_is_described() -> None:
    for name, info in Config.model_fields.items():
        assert info.description, f"BERTH_{name.upper()} has no description"


if __name__ == "__main__":
    README.write_text(TABLE.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", README.read_text()))
