"""Reads scripts of Gradle (Groovy and Kotlin) and sbt into statements, without running anything.

A tokenizer that knows strings and comments of both languages, and the blocks that a statement stands in. What a script
computes is not known afterwards; what it states is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_TEXT = 200_000  # of a script that is read
MOST_TOKENS = 12_000
DEEPEST = 30
_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<long>'{3}.*?(?:'{3}|\Z)|"{3}.*?(?:"{3}|\Z))
    |(?P<string>"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)
    |(?P<name>`[^`\n]+`|[A-Za-z_$][\w$]*)
    |(?P<number>\d[\w.]*)
    |(?P<line>\n)
    |(?P<blank>[ \t\f]+)
    |(?P<mark>%{1,3}|\+{1,2}=|:=|->|=>|==|[^\s\w])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is name, string, number, mark or line; a string's text is what stands between its quotes."""

    kind: str
    text: str
    line: int


@dataclass(slots=True)
class Statement:
    """Tokens up to the end of a line or to a brace, and the heads of the blocks around them, outermost first."""

    blocks: tuple[str, ...]
    tokens: list[Token] = field(default_factory=list)
    opens: bool = False  # a block follows

    @property
    def line(self) -> int:
        """Its first line."""
        return self.tokens[0].line if self.tokens else 0

    @property
    def head(self) -> str:
        """Its first name with what is called on it: ``tasks.named``."""
        words: list[str] = []
        for token in self.tokens:
            if token.kind == "name" or (token.text == "." and words):
                if token.kind == "name" and words and words[-1] != ".":
                    break
                words.append(token.text)
            else:
                break
        return "".join(words)

    @property
    def strings(self) -> list[Token]:
        """The strings in it."""
        return [token for token in self.tokens if token.kind == "string"]

    @property
    def text(self) -> str:
        """About how it stands there."""
        shown = self.tokens[:60]
        words = [f'"{token.text[:200]}"' if token.kind == "string" else token.text for token in shown]
        return re.sub(r" ?([.(]) ?| (?=[),:])", r"\1", " ".join(words))


def tokens(text: str) -> list[Token]:
    """The tokens of a script, without comments and blanks."""
    found: list[Token] = []
    line = 1
    for match in _TOKEN.finditer(text[:MOST_TEXT]):
        kind, value = match.lastgroup or "mark", match[0]
        if kind in ("string", "long"):
            width = 3 if kind == "long" else 1
            inner = value[width:-width] if len(value) >= 2 * width and value.endswith(value[0]) else value[width:]
            found.append(Token("string", inner, line))
        elif kind == "line":
            found.append(Token("line", "\n", line))
        elif kind not in ("comment", "blank"):
            found.append(Token(kind, value.strip("`") if kind == "name" else value, line))
        line += value.count("\n")
        if len(found) >= MOST_TOKENS:
            break
    return found


def statements(words: list[Token]) -> Iterator[Statement]:
    """The statements of a script in order; blocks that are nested too deeply are seen as one."""
    blocks: list[str] = []
    depths: list[int] = []  # of parentheses and brackets, outside of each block
    current: list[Token] = []
    depth = deeper = 0
    for token in words:
        mark = token.text if token.kind == "mark" else ""
        ends = mark in ("{", "}", ";") or (token.kind == "line" and depth == 0 and not _goes_on(current))
        if not ends:
            if token.kind != "line":
                depth = max(0, depth + (mark in ("(", "[")) - (mark in (")", "]")))
                current.append(token)
            continue
        if current:
            yield Statement(tuple(blocks), current, opens=mark == "{")
        if mark == "{" and len(blocks) < DEEPEST:
            blocks.append(Statement((), current).text[:200])
            depths.append(depth)
            depth = 0
        elif mark == "{":
            deeper += 1
        elif mark == "}" and deeper:
            deeper -= 1
        elif mark == "}" and blocks:
            blocks.pop()
            depth = depths.pop()
        current = []
    if current:
        yield Statement(tuple(blocks), current)


def _goes_on(current: list[Token]) -> bool:
    """Whether a line's end does not end the statement."""
    return bool(current) and current[-1].kind == "mark" and current[-1].text in (",", "=", ".", "+", ":", ":=")
