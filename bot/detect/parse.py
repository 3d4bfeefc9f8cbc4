"""Tolerant parsers for what stands in repositories. None of them raises: a broken file gives None and a reason."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from bot.detect.loose import without_conflicts

LONGEST_COMMAND = 8000  # characters; nobody reads more of a command
DEEP = "it is nested too deeply"
_Fastest: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where there is one


class _Loader(_Fastest):  # type: ignore[misc]
    """Tags of programs (``!ENV``, ``!!python/name:…``) are passed over: what they stand on is kept as plain data."""


def _untagged(loader: Any, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_constructor(None, _untagged)
_JSON_NOISE = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\\n])*"|,(?=\s*[}\]])')
_LONG_KEY = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){50}")
_JS_NOISE = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|//[^\n]*|/\*.*?(?:\*/|\Z)""", re.DOTALL
)


def parse_json(text: str) -> tuple[Any, str | None]:
    """JSON, also with comments and trailing commas (JSONC); and what is wrong with it otherwise."""
    try:
        return json.loads(text), None
    except RecursionError:
        return None, DEEP
    except ValueError as error:
        problem = str(error)
    relaxed = _JSON_NOISE.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)
    relaxed = _TRAILING_COMMA.sub(lambda match: match[0] if match[0].startswith('"') else "", relaxed)
    try:
        return json.loads(relaxed), None
    except (ValueError, RecursionError):
        return None, problem


def parse_toml(text: str) -> tuple[dict[str, Any], str | None]:
    """TOML, and what is wrong with it."""
    if _LONG_KEY.search(text):
        return {}, "a key has too many parts"  # the parser's time grows with the square of their number
    try:
        return tomllib.loads(text), None
    except RecursionError:
        return {}, "it is nested too deeply"
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        return _without_broken_lines(text), str(error)


def _without_broken_lines(text: str) -> dict[str, Any]:
    """What can be read where a merge left its markers, or a few lines are no TOML."""
    lines = without_conflicts(text).split("\n")
    for _ in range(5):
        try:
            return tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"at line (\d+)", str(error))
            if place is None or int(place[1]) > len(lines):
                return {}
            lines[int(place[1]) - 1] = ""
        except (RecursionError, ValueError, TypeError, AttributeError, IndexError, KeyError):
            return {}
    return {}


def strip_js_comments(text: str) -> str:
    """JavaScript without its comments; line numbers stay the same."""
    return _JS_NOISE.sub(lambda match: match[0] if match["text"] else "\n" * match[0].count("\n"), text)


def strip_js_strings(text: str) -> str:
    """Code without comments whose string contents are blank; line numbers stay the same."""
    return _JS_NOISE.sub(lambda match: '""' + "\n" * match[0].count("\n"), text)


_JS_IMPORT = re.compile(
    r"""(?:\brequire\s*\(|\bfrom|\bimport\s*\(|\bimport)\s*(?P<quote>["'`])(?P<name>[^"'`\n]{1,200})(?P=quote)"""
)


def js_imports(code: str) -> dict[str, int]:
    """Modules that a JavaScript or TypeScript file (without comments) imports, with the first line of each."""
    found: dict[str, int] = {}
    line, place = 1, 0
    for match in _JS_IMPORT.finditer(code):
        line, place = line + code.count("\n", place, match.start()), match.start()
        found.setdefault(match["name"], line)
    return found


def package_of(module: str) -> str | None:
    """The npm package of an imported module; None for a local file or a part of Node itself."""
    if module.startswith((".", "/", "node:", "#")):
        return None
    parts = module.split("/")
    return "/".join(parts[:2]) if module.startswith("@") else parts[0]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One Python requirement; ``name`` is normalised as PEP 503 says."""

    name: str
    extras: tuple[str, ...]
    line: int
    path: str
    text: str


_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*([<>=!~;@ (].*)?$")


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(text: str, path: str, line: int) -> Requirement | None:
    """One PEP 508 requirement, or None for something else. A URL with ``#egg=NAME`` counts as NAME."""
    body = re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
    if egg := re.search(r"#egg=([A-Za-z0-9._-]+)", text):
        return Requirement(normalise(egg[1]), (), line, path, text.strip())
    match = _REQUIREMENT.match(body)
    if not match:
        return None
    extras = tuple(normalise(extra.strip()) for extra in (match[2] or "").split(",") if extra.strip())
    return Requirement(normalise(match[1]), extras, line, path, body)


_PROCFILE = re.compile(r"^([A-Za-z0-9_-]+):\s*(\S.*)$")


def parse_procfile(text: str) -> dict[str, tuple[str, int]]:
    """Process types with their command and line."""
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _PROCFILE.match(line.strip())
        if match:
            found.setdefault(match[1], (match[2].strip(), number))
    return found


_DOTENV = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")


def parse_dotenv(text: str) -> Iterator[tuple[str, str, int]]:
    """Names, values and lines of a ``.env`` file."""
    for number, line in enumerate(text.split("\n"), 1):
        match = _DOTENV.match(line)
        if match:
            value = match[2]
            quoted = re.match(r"""(["'])(.*?)\1""", value)
            value = quoted[2] if quoted else re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
            yield match[1], value, number


def shell_words(command: str) -> list[str]:
    """The words of a command; split at blanks where its quotes do not close."""
    try:
        return shlex.split(command[:LONGEST_COMMAND])
    except ValueError:
        return command[:LONGEST_COMMAND].split()


def shell_parts(command: str) -> list[list[str]]:
    """The simple commands of a command line (between ``&&``, ``||``, ``;``, ``|``), as words without assignments."""
    lexer = shlex.shlex(command[:LONGEST_COMMAND], posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    parts: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word and not word.strip(";&|"):
                parts.append([])
            else:
                parts[-1].append(word)
    except ValueError:
        return [command[:LONGEST_COMMAND].split()]
    for part in parts:
        while part and (re.match(r"[A-Za-z_]\w*=", part[0]) or part[0] in ("exec", "env", "cross-env", "dotenv", "--")):
            part.pop(0)
    return [part for part in parts if part]


def line_of(text: str, needle: str) -> int | None:
    """The line in which a text first stands."""
    place = text.find(needle)
    return None if place < 0 else text.count("\n", 0, place) + 1


def parse_yaml(text: str, most: int = 20_000, deepest: int = 40) -> tuple[Any, str | None]:
    """YAML of bounded size and depth and without aliases, which can grow without bound; and what is wrong with it."""
    depth = 0
    try:
        for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if count > most or depth > deepest:
                return None, "it is too long or nested too deeply"
            if isinstance(event, yaml.AliasEvent):
                return _without_aliases(text)
        return _load(text), None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, KeyError, IndexError) as error:
        return None, str(error).split("\n", 1)[0]


def _load(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _without_aliases(text: str) -> tuple[Any, str | None]:
    """Aliases share what they point at, so a loaded file stays small; walking it would not, so few are allowed."""
    if text.count("*") > 200:
        return None, "it has too many aliases"
    return _load(text), None
