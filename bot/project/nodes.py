"""The nodes of a YAML file, which know their lines: bounded, with variables filled in and ``<<`` merged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from bot.project.model import ProjectError

MAX_TEXT = 256 * 1024  # characters of a compose file
MAX_NODES = 20_000  # after aliases are followed
MAX_DEPTH = 40


class Nodes:
    """Reads plain values out of nodes. Each reading of a node counts, so that aliases cannot multiply without end."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.visited = 0

    def count(self, node: Any) -> None:
        """Count a visit. Raises ProjectError when there were too many."""
        self.visited += 1
        if self.visited > MAX_NODES:
            raise ProjectError("The file is too large once its aliases are followed.", "", line(node))

    def mapping(self, node: Any, what: str, depth: int = 0) -> dict[str, Any]:
        """Keys to nodes, with ``<<`` merged in. Nothing for an empty node."""
        if node is None or is_null(node):
            return {}
        if not is_mapping(node) or depth > MAX_DEPTH:
            raise ProjectError(f"`{what}` is not a mapping.", "", line(node))
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            self.count(value)
            if not is_scalar(key):
                raise ProjectError("A key is not a word.", "", line(key))
            if key.tag == "tag:yaml.org,2002:merge":
                for source in value.value if is_sequence(value) else [value]:
                    for name, item in self.mapping(source, "<<", depth + 1).items():
                        merged.setdefault(name, item)
            elif key.value in own:
                raise ProjectError(f"`{key.value}` stands there twice.", "Keep one of them.", line(key))
            else:
                own[key.value] = value
        return own | {name: item for name, item in merged.items() if name not in own}

    def sequence(self, node: Any) -> list[Any]:
        """The items of a list; nothing for an empty node."""
        if node is None or is_null(node):
            return []
        if not is_sequence(node):
            raise ProjectError("A list is needed here.", "", line(node))
        for item in node.value:
            self.count(item)
        return list(node.value)

    def raw(self, node: Any) -> str:
        """A plain value as it is written."""
        self.count(node)
        if not is_scalar(node):
            raise ProjectError("A plain value is needed here.", "", line(node))
        return str(node.value)

    def text(self, node: Any) -> str:
        """A plain value with variables filled in."""
        return self.interpolate(self.raw(node), node)

    def number(self, node: Any) -> int:
        """A whole number that is not negative."""
        text = self.text(node)
        if not text.isdigit() or len(text) > 9:
            raise ProjectError(f"`{text}` is not a number.", "", line(node))
        return int(text)

    def seconds(self, node: Any) -> float:
        """A duration such as 1m30s."""
        text = self.text(node)
        if not re.fullmatch(r"(\d{1,9}(\.\d{1,9})?(h|ms|us|m|s))+", text):
            raise ProjectError(f"`{text}` is not a duration.", "Write for example 30s or 1m30s.", line(node))
        units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}
        return round(sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(h|ms|us|m|s)", text)), 6)

    def interpolate(self, text: str, node: Any, depth: int = 0) -> str:
        """Fill in variables as Compose does.

        https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
        """
        if "$" not in text or depth > 5:
            return text
        out: list[str] = []
        place = 0
        while (at := text.find("$", place)) >= 0:
            out.append(text[place:at])
            following = text[at + 1 : at + 2]
            if following == "$":
                out.append("$")
                place = at + 2
            elif following == "{":
                end = _closing(text, at + 1)
                if end < 0:
                    raise ProjectError(
                        f"`{text}` has a `${{` without `}}`.", "Write $$ for a plain dollar sign.", line(node)
                    )
                out.append(self.variable(text[at + 2 : end], node, depth))
                place = end + 1
            elif name := re.match(r"[A-Za-z_]\w*", text[at + 1 :]):
                out.append(self.variables.get(name[0], ""))
                place = at + 1 + len(name[0])
            else:
                raise ProjectError(f"`{text}` has a lone `$`.", "Write $$ for a plain dollar sign.", line(node))
        return "".join(out) + text[place:]

    def variable(self, inner: str, node: Any, depth: int) -> str:
        """The value of what stands between ``${`` and ``}``."""
        match = re.fullmatch(r"([A-Za-z_]\w*)(?:(:?[-+?])(.*))?", inner, re.DOTALL)
        if not match:
            raise ProjectError(f"`${{{inner}}}` is not a variable.", "Write $$ for a plain dollar sign.", line(node))
        name, operator, rest = match[1], match[2] or "", match[3] or ""
        value = self.variables.get(name)
        given = value is not None and (value != "" or not operator.startswith(":"))
        if operator.endswith("+"):
            return self.interpolate(rest, node, depth + 1) if given else ""
        if not given and operator.endswith("-"):
            return self.interpolate(rest, node, depth + 1)
        return value or ""


def _closing(text: str, start: int) -> int:
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return -1


def parse(text: str) -> Any:
    """The file's nodes. Size and depth are checked on the flat stream of events, before anything nests."""

    if len(text) > MAX_TEXT:
        raise ProjectError(f"The file has more than {MAX_TEXT} characters.")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or count > MAX_NODES:
                raise ProjectError("The file is nested too deeply or too long.", "", mark_line(event.start_mark))
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = mark_line(getattr(error, "problem_mark", None))
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ProjectError(f"The file is not valid YAML: {problem}.", "", mark) from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"The file is not valid YAML: {error}.") from error
    if node is None:
        raise ProjectError("The file is empty.", "Describe at least one service.", 1)
    return node


def mark_line(mark: Any) -> int | None:
    """The line of a mark, from 1."""
    return int(mark.line) + 1 if mark else None


def line(node: Any) -> int:
    """The line of a node, from 1."""
    return int(node.start_mark.line) + 1


def is_scalar(node: Any) -> bool:
    """Whether it is a plain value."""
    return bool(node.id == "scalar")


def is_sequence(node: Any) -> bool:
    """Whether it is a list."""
    return bool(node.id == "sequence")


def is_mapping(node: Any) -> bool:
    """Whether it is a mapping."""
    return bool(node.id == "mapping")


def is_null(node: Any) -> bool:
    """Whether nothing is written there."""
    return bool(node.id == "scalar" and node.tag == "tag:yaml.org,2002:null")
