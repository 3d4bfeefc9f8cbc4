"""How commands show what they take: plain names instead of the types and brackets of the library."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

_TYPE = re.compile(r" <(?P<words>[^<>]+)>$")
_WIDTH = 66  # characters of a command's first sentence in a list


class Command(TyperCommand):
    """A command whose usage reads ``berth logs [OPTIONS] TARGET``."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [re.sub(r"\{([^{}]*)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments, options = [], []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            name, text = record[0], record[1].replace("[required]", "").strip()
            if parameter.param_type_name == "argument":
                if text:
                    arguments.append((_TYPE.sub("", name), text))
            else:
                options.append((_TYPE.sub(r" \g<words>", name), text))
        for heading, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class Sections(TyperGroup):
    """Help with the commands under headings; typer does that only with rich, which takes long to load."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                heading = str(getattr(command, "rich_help_panel", None) or "Commands")
                sections.setdefault(heading, []).append((name, command.get_short_help_str(_WIDTH)))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)
