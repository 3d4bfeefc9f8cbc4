"""What mix.exs says, read by its tokens. https://hexdocs.pm/mix/Mix.Project.html"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from bot.detect.scan import Scan

_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
    |(?P<heredoc>\"\"\"(?:[^"\\]|\\.|"(?!""))*+\"\"\")
    |~[a-zA-Z]+(?:\((?:\\.|[^)\\])*+\)|\[(?:\\.|[^\]\\])*+\]|\{(?:\\.|[^}\\])*+\}|"(?:\\.|[^"\\])*+"|/(?:\\.|[^/\\\n])*+/)
    |(?P<key>[A-Za-z_][\w@]*[?!]?(?=:[\s])|"(?:\\.|[^"\\\n])*+"(?=:[\s])):
    |:(?P<atom>[A-Za-z_][\w@]*[?!]?|"(?:\\.|[^"\\\n])*+")
    |(?P<string>"(?:\\.|[^"\\])*+")
    |'(?:\\.|[^'\\])*+'
    |(?P<word>[A-Za-z_@][\w.@]*[?!]?)
    |(?P<sign>[\[\]{}(),])
    |[^\s]
    """,
    re.VERBOSE | re.DOTALL,
)
_OPTIONS = frozenset(
    {"only", "git", "github", "gitlab", "path", "in_umbrella", "hex", "override", "runtime", "optional", "targets"}
    | {"organization", "repo", "app", "compile", "branch", "tag", "ref", "sparse", "manager", "env", "depth", "subdir"}
)
_CLOSING = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is key, atom, string, word or sign."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Dependency:
    """One entry of ``deps``."""

    name: str
    path: str
    line: int
    text: str
    only: frozenset[str] = frozenset()  # environments; none means all
    local: str = ""  # its folder, where it lies in the repository
    git: bool = False
    optional: bool = False

    @property
    def at_run_time(self) -> bool:
        return not self.only or "prod" in self.only


@dataclass(slots=True)
class Mix:
    """mix.exs, read."""

    path: str
    app: str = ""
    elixir: tuple[str, int] | None = None
    apps_path: str = ""  # of an umbrella
    starts: bool = False  # names a module that is started with it
    releases: list[str] = field(default_factory=list)
    default_release: str = ""
    aliases: set[str] = field(default_factory=set)
    dependencies: dict[str, Dependency] = field(default_factory=dict)


def tokens_of(text: str) -> list[Token]:
    """The tokens that matter, in their order; comments, heredocs, sigils and operators are left out."""
    found = []
    line, place = 1, 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind in (None, "comment", "heredoc"):
            continue
        line += text.count("\n", place, match.start())
        place = match.start()
        value = match[kind or 0]
        if value.startswith('"'):
            value = value[1:-1]
        found.append(Token(kind or "", value, line))
    return found


def read_mix(scan: Scan, path: str) -> Mix:
    """Everything that is known of a project; what makes no sense is passed over."""
    mix = Mix(path)
    tokens = tokens_of(scan.text(path))[:50_000]
    lines = scan.text(path).split("\n")
    for number, token in enumerate(tokens):
        after = tokens[number + 1] if number + 1 < len(tokens) else Token("", "", 0)
        if token.kind == "key":
            _setting(mix, token, after)
            if token.text == "releases" and after.text == "[":
                mix.releases += _keys(tokens, number + 1)
        elif token.kind == "sign" and token.text == "{" and after.kind == "atom":
            found = _dependency(tokens, number, path, lines)
            if found:
                mix.dependencies.setdefault(found.name, found)
        elif token.text in ("def", "defp") and after.text == "releases":
            start = next((i for i in range(number, min(number + 8, len(tokens))) if tokens[i].text == "["), None)
            mix.releases += _keys(tokens, start) if start is not None else []
    return mix


def _setting(mix: Mix, token: Token, after: Token) -> None:
    if token.text == "app" and after.kind == "atom" and not mix.app:
        mix.app = after.text
    elif token.text == "elixir" and after.kind == "string" and mix.elixir is None:
        mix.elixir = after.text, token.line
    elif token.text == "apps_path" and after.kind == "string":
        mix.apps_path = after.text.strip("/")
    elif token.text == "mod" and after.text == "{":
        mix.starts = True
    elif token.text == "default_release" and after.kind == "atom":
        mix.default_release = after.text
    elif token.text.startswith("assets."):
        mix.aliases.add(token.text)


def _keys(tokens: list[Token], start: int) -> list[str]:
    """The keys of a list, without those of the lists in it."""
    depth, found = 0, []
    for token in tokens[start:]:
        if token.kind == "sign":
            depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
            if depth == 0:
                break
        elif token.kind == "key" and depth == 1:
            found.append(token.text)
    return found


def _dependency(tokens: list[Token], start: int, path: str, lines: list[str]) -> Dependency | None:
    """``{:name, "~> 1.0", only: :dev}``: a tuple of a name with a version, or with options that only packages have."""
    name = tokens[start + 1]
    inner: list[Token] = []
    depth = 0
    for token in tokens[start : start + 60]:
        if token.kind == "sign":
            depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
            if depth == 0:
                break
        inner.append(token)
    rest = inner[2:]
    if len(rest) < 2 or rest[0].text != ",":
        return None
    options = {token.text for token in rest if token.kind == "key"}
    if rest[1].kind != "string" and not (options & _OPTIONS and rest[1].kind in ("key", "sign")):
        return None
    return Dependency(
        name=name.text,
        path=path,
        line=name.line,
        text=lines[name.line - 1].strip().rstrip(",") if name.line <= len(lines) else name.text,
        only=frozenset(_after(rest, "only", "atom")),
        local=next(iter(_after(rest, "path", "string")), ""),
        git=bool(options & {"git", "github", "gitlab"}),
        optional=any(token.text == "optional" and nxt.text == "true" for token, nxt in pairwise(rest)),
    )


def _after(tokens: list[Token], key: str, kind: str) -> list[str]:
    """The value of a key, or the values of its list."""
    place = next((i for i, token in enumerate(tokens) if token.kind == "key" and token.text == key), None)
    if place is None or place + 1 >= len(tokens):
        return []
    if tokens[place + 1].text != "[":
        return [tokens[place + 1].text] if tokens[place + 1].kind == kind else []
    found = []
    for token in tokens[place + 2 :]:
        if token.text == "]":
            break
        if token.kind == kind:
            found.append(token.text)
    return found
