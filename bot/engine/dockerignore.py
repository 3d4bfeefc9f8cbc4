"""Which files a ``.dockerignore`` leaves out.

The rules are those of https://docs.docker.com/build/concepts/context/#dockerignore-files and, where that is silent, of
Docker's own matcher (https://github.com/moby/patternmatcher): Go's ``filepath.Match`` within a path component, ``**``
for any number of folders, ``!`` for exceptions, the last rule that matches wins, and a rule that matches a folder holds
for everything in it.

Patterns come from strangers, so they are not handed to a backtracking regular expression: each becomes an automaton
whose states are computed when first needed, and a path is matched in time proportional to its length. A folder's states
are kept while its entries are looked at, so each name is read once, and a folder below which no exception can match
need not be walked.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from bot.errors import BerthError

_MAX_RULES = 2000
_MAX_LENGTH = 1000
_MAX_STATES = 5000  # of one automaton; beyond, they are forgotten and computed anew

# What a position of a pattern may be, besides a character
_ONE = object()  # any character but /
_STAR = object()  # any number of characters but /
_REST = object()  # any number of characters
_FOLDERS = object()  # nothing, or anything that ends in / (it takes two positions, the second is _INSIDE)
_INSIDE = object()


@dataclass(frozen=True)
class _Class:
    """``[a-z]`` or ``[^a-z]``: ranges of characters."""

    negated: bool
    ranges: tuple[tuple[str, str], ...]

    def holds(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated


class _Automaton:
    """One pattern. A state is a set of positions in its tokens, written as the bits of an integer; 0 leads nowhere."""

    def __init__(self, tokens: list[object]) -> None:
        self._tokens = tokens
        self._accept = 1 << len(tokens)
        self._next: dict[tuple[int, str], int] = {}
        self.start = self._closure(1)

    def accepts(self, state: int) -> bool:
        return bool(state & self._accept)

    def read(self, state: int, text: str) -> int:
        known = self._next
        for character in text:
            if not state:
                return 0
            following = known.get((state, character))
            if following is None:
                if len(known) >= _MAX_STATES:
                    known.clear()
                following = known[state, character] = self._step(state, character)
            state = following
        return state

    def _closure(self, state: int) -> int:
        """Add the positions that are reached without reading anything."""
        for position, token in enumerate(self._tokens):
            if state >> position & 1:
                if token is _STAR or token is _REST:
                    state |= 2 << position
                elif token is _FOLDERS:
                    state |= 4 << position
        return state

    def _step(self, state: int, character: str) -> int:
        following = 0
        for position, token in enumerate(self._tokens):
            if state >> position & 1:
                following |= _advance(token, character) << position
        return self._closure(following)


def _advance(token: object, character: str) -> int:
    """Where ``token`` leads: bit 0 stays, bit 1 is the next position, bit 2 the one after."""
    slash = character == "/"
    if token is _REST:
        return 1
    if token is _STAR:
        return 0 if slash else 1
    if token is _ONE:
        return 0 if slash else 2
    if token is _FOLDERS:
        return 6 if slash else 2
    if token is _INSIDE:
        return 3 if slash else 1
    holds = token.holds(character) if isinstance(token, _Class) else token == character
    return 2 if holds else 0


def _tokens(pattern: str) -> list[object]:
    """The positions of a pattern. Raises ValueError where Go's ``filepath.Match`` finds its syntax wrong."""
    if pattern.startswith("**") and not any(special in pattern[2:] for special in "*?\\[]"):
        # A quirk of Docker's matcher: such a pattern is compared with the end of the path, so **foo holds for a/xfoo.
        rest = pattern[2:]
        return [_FOLDERS, _INSIDE, *rest[1:]] if rest.startswith("/") else [_REST, *rest]
    tokens: list[object] = []
    place = 0
    while place < len(pattern):
        character = pattern[place]
        place += 1
        if character == "*" and pattern[place : place + 1] == "*":
            place += 2 if pattern[place + 1 : place + 2] == "/" else 1
            tokens += [_REST] if place >= len(pattern) else [_FOLDERS, _INSIDE]
        elif character == "*":
            tokens.append(_STAR)
        elif character == "?":
            tokens.append(_ONE)
        elif character == "[":
            found, place = _class(pattern, place)
            tokens.append(found)
        elif character == "\\":
            tokens.append(_at(pattern, place))
            place += 1
        else:
            tokens.append(character)
    return tokens


def _class(pattern: str, place: int) -> tuple[_Class, int]:
    """The character class whose ``[`` is before ``place``, and the place after its ``]``."""
    negated = _at(pattern, place) == "^"
    place += negated
    ranges: list[tuple[str, str]] = []
    while not ranges or _at(pattern, place) != "]":
        low, place = _class_character(pattern, place)
        high = low
        if _at(pattern, place) == "-":
            high, place = _class_character(pattern, place + 1)
        ranges.append((low, high))
    return _Class(negated, tuple(ranges)), place + 1


def _class_character(pattern: str, place: int) -> tuple[str, int]:
    if _at(pattern, place) in "-]":
        raise ValueError("a range of characters is not complete")
    place += pattern[place] == "\\"
    return _at(pattern, place), place + 1


def _at(pattern: str, place: int) -> str:
    if place >= len(pattern):
        raise ValueError("it ends too early")
    return pattern[place]


@dataclass(frozen=True)
class _Rule:
    line: int
    text: str
    exception: bool  # it began with !
    automaton: _Automaton


@dataclass(frozen=True)
class Entry:
    """What the rules say about one file or folder."""

    ignored: bool
    _states: tuple[int, ...]
    _held: tuple[bool, ...]  # per rule: it matches this entry or a folder above it
    _root: bool = False


class IgnoreRules:
    """The rules of one ``.dockerignore``. Raises BerthError for a pattern that is not valid."""

    def __init__(self, text: str) -> None:
        self._rules = tuple(_rules(text))
        self._exceptions = tuple(number for number, rule in enumerate(self._rules) if rule.exception)
        self.root = Entry(
            False, tuple(rule.automaton.start for rule in self._rules), (False,) * len(self._rules), _root=True
        )

    def enter(self, folder: Entry, name: str) -> Entry:
        """What holds for the entry ``name`` of ``folder``; ``root`` is the folder of the context itself."""
        text = name if folder._root else "/" + name
        ignored = False
        states, held = list(folder._states), list(folder._held)
        for number, rule in enumerate(self._rules):
            if not held[number]:
                states[number] = rule.automaton.read(states[number], text)
                held[number] = rule.automaton.accepts(states[number])
            if held[number]:
                ignored = not rule.exception
        return Entry(ignored, tuple(states), tuple(held))

    def skips(self, folder: Entry) -> bool:
        """Whether nothing below an ignored ``folder`` can be wanted, so that it need not be walked."""
        return folder.ignored and not any(
            folder._held[number] or self._rules[number].automaton.read(folder._states[number], "/")
            for number in self._exceptions
        )

    def ignores(self, path: str) -> bool:
        """Whether a path relative to the context (with slashes) is left out."""
        return self._look(path).ignored

    def reason(self, path: str) -> str | None:
        """The rule that leaves ``path`` out, as ``line 3 (node_modules)``; None if it is not left out."""
        entry = self._look(path)
        if not entry.ignored:
            return None
        rule = [rule for rule, held in zip(self._rules, entry._held, strict=True) if held][-1]
        return f"line {rule.line} ({rule.text})"

    def _look(self, path: str) -> Entry:
        entry = self.root
        for name in path.strip("/").split("/"):
            entry = self.enter(entry, name)
        return entry


def _rules(text: str) -> Iterator[_Rule]:
    count = 0
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip()
        if line.startswith("#") or not stripped:
            continue
        exception = stripped.startswith("!")
        pattern = stripped[1:].strip() if exception else stripped
        count += 1
        try:
            if not pattern:
                raise ValueError("an exception needs a pattern")
            if len(pattern) > _MAX_LENGTH or count > _MAX_RULES:
                raise ValueError(f"more than {_MAX_RULES} rules, or one longer than {_MAX_LENGTH} characters")
            pattern = _clean(pattern)
            if exception and pattern == "/":
                raise ValueError("an exception needs a pattern")
            yield _Rule(number, stripped, exception, _Automaton(_tokens(pattern)))
        except ValueError as error:
            raise BerthError(
                f"Line {number} of the .dockerignore is not a valid pattern: {stripped[:80]!r} ({error}).",
                "Correct it; the syntax is at https://docs.docker.com/build/concepts/context/#dockerignore-files.",
            ) from error


def _clean(pattern: str) -> str:
    """Go's ``filepath.Clean``, and a leading slash is the context."""
    cleaned = posixpath.normpath(pattern)
    return cleaned.lstrip("/") or "/"
