"""XML that stands in repositories: read into plain elements with their lines, bounded, without any entity or DTD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

MOST_ELEMENTS = 20_000
DEEPEST = 60
LONGEST_TEXT = 10_000  # characters of one element


@dataclass(slots=True)
class Element:
    """An element without its namespace: its text without blanks around it, its line, what is inside."""

    name: str
    line: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    above: tuple[str, ...] = ()  # names of the elements around it, the outermost first
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """It and every element inside, as they stand in the file."""
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, *path: str) -> Iterator[Element]:
        """Every element that a path of names leads to."""
        if not path:
            yield self
            return
        for child in self.children:
            if child.name == path[0]:
                yield from child.all(*path[1:])

    def first(self, *path: str) -> Element | None:
        """The first element that a path of names leads to."""
        return next(self.all(*path), None)

    def value(self, *path: str) -> str:
        """The text of the first element that a path leads to, "" without one."""
        found = self.first(*path)
        return found.text if found else ""


class _RefusedError(Exception):
    """The file asks for something that is not read."""


def parse_xml(text: str) -> tuple[Element | None, str | None]:
    """The root element, or None and what is wrong with the file."""
    root, problem = read_xml(text)
    return (None if problem else root), problem


def read_xml(text: str) -> tuple[Element | None, str | None]:
    """The root element, and what is wrong with the file: then it holds what stands before the fault.

    A document type is refused: entities can grow without bound.
    """
    skipped = len(text) - len(text.lstrip())  # a declaration may stand nowhere but first
    offset = text.count("\n", 0, skipped)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    top = Element("", 0)
    stack = [top]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > MOST_ELEMENTS or len(stack) > DEEPEST:
            raise _RefusedError("it is too long or nested too deeply")
        above = tuple(one.name for one in stack[1:])
        element = Element(name.rpartition(":")[2], parser.CurrentLineNumber + offset, attributes, above)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_name: str) -> None:
        element = stack.pop()
        element.text = element.text.strip()

    def characters(data: str) -> None:
        if len(stack[-1].text) < LONGEST_TEXT:
            stack[-1].text += data

    def refuse(*_: object) -> None:
        raise _RefusedError("it declares a document type, which is not read")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    problem = None
    try:
        parser.Parse(text[skipped:], True)
    except (expat.ExpatError, _RefusedError, ValueError) as error:
        problem = str(error)
    return (top.children[0], problem) if top.children else (None, problem or "it is empty")
