"""The grammar of commands in comments: ``/deploy stop web``. Pure functions of a text that may be hostile.

A command is a line of its own that starts with ``/deploy`` in the first column, where a reader sees it as plain text:
not in a quote, a list, code, a table, a comment or an element of HTML. What a reader sees is decided by the same rules
as on the forge (https://github.github.com/gfm/): a scanner for fences alone is led astray by quotes that go on lazily,
fences in lists, or code that spans lines.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.source.refs import printable

WORD = "/deploy"
VERBS = ("deploy", "stop", "start", "restart", "logs", "status", "rollback", "help")
REFUSED = "refused"  # the verb of a refusal
MAX_BODY = 262_144  # characters; GitHub accepts 65,536 (and was seen to accept this many bytes)
MAX_LINE = 200
MAX_LINES = 200  # of a log
MAX_NAME = 100  # characters of an application's name

# words that mean something elsewhere: never taken for the name of an application, so that nobody gets what they did
# not mean
_NOT_YET = frozenset(
    {
        *("approve", "cancel", "destroy", "down", "eject", "keep", "kill", "lock", "plan", "preview", "prod"),
        *("production", "rebuild", "redeploy", "remove", "reset-db", "shutdown", "undeploy", "unlock", "up", "wake"),
    }
)
_START = re.compile(rf"^{re.escape(WORD)}(?=[ \t]|$)", re.MULTILINE | re.ASCII)
_QUOTE = re.compile(r"[ \t>*+.)0-9-]*>", re.ASCII)
_MOST_LOOKS = 50_000  # what a reader takes a third of a second for
_NEWLINES = re.compile(r"\r\n?")
_COMMIT = re.compile(r"[0-9a-f]{7,40}", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"#([0-9]{1,9})|([0-9]{1,6})", re.ASCII)  # more digits are those of a commit
_TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*)", re.IGNORECASE | re.ASCII)
# elements in which text is quoted, code, folded away or struck out
_APART = frozenset(
    {
        *("blockquote", "cite", "code", "del", "details", "dl", "kbd", "li", "ol", "pre", "q", "s", "samp", "script"),
        *("strike", "style", "summary", "table", "tbody", "td", "template", "textarea", "th", "tr", "tt", "ul", "var"),
    }
)
_MARK = "\ue000"  # a private character of Unicode, put behind the word to find it again in what was read
_MARKED = re.compile(f"{re.escape(WORD)}{_MARK}([0-9]+){_MARK}")


@dataclass(frozen=True)
class Command:
    """``verb`` is one of :data:`VERBS`; ``arguments`` are the words behind it, which :func:`options` understands."""

    verb: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Somebody meant a command that cannot be carried out: ``reason`` for people, ``line`` as it was written.

    It is stored like a command, so that it is answered like one.
    """

    reason: str
    line: str

    @property
    def verb(self) -> str:
        return REFUSED

    @property
    def arguments(self) -> tuple[str, ...]:
        return (self.reason, self.line)


@dataclass(frozen=True)
class Options:
    """What the words behind a verb say."""

    application: str = ""  # name of one; empty: all of the repository
    commit: str = ""  # 7 to 40 hexadecimal digits in lower case
    deployment: int | None = None  # number of an earlier one
    log: str = ""  # build | run; empty: whichever says more
    lines: int | None = None  # of the log, 1 to MAX_LINES


class NotUnderstood(Exception):  # noqa: N818 - an answer to people, who get its text
    """The words behind a verb make no sense."""


def parse(body: str) -> Command | Refusal | None:
    """The command in a new comment; None where there is none. Never raises.

    Takes about a third of a second for the worst body that is read: one of thousands of lines with quotes and
    without a blank line between, where every quote might go on to the end, is not read.
    """
    if WORD not in body or len(body) > MAX_BODY:
        return None
    text = _NEWLINES.sub("\n", body)
    starts = [match.start() for match in _START.finditer(text)]
    if not starts or _looks(text) > _MOST_LOOKS:
        return None
    seen = list(_plain(text))
    if not seen:
        return None
    line = text[starts[seen[0]] :].partition("\n")[0]
    if len(seen) > 1:
        return Refusal("One comment, one command: this comment has several.", _shown(line))
    return _read(line)


def options(verb: str, arguments: tuple[str, ...]) -> Options:
    """What the words behind a verb say. Raises NotUnderstood."""
    result, names = Options(), []
    words = iter(arguments)
    for word in words:
        if verb == "logs" and word == "-n":
            result = replace(result, lines=_count(next(words, "")))
        elif verb == "logs" and word in {"build", "run"} and not result.log:
            result = replace(result, log=word)
        elif verb == "rollback" and (number := _NUMBER.fullmatch(word)) and result.deployment is None:
            result = replace(result, deployment=int(number[1] or number[2]))
        elif verb in {"deploy", "rollback"} and _COMMIT.fullmatch(word) and not result.commit:
            result = replace(result, commit=word.lower())
        else:
            names.append(word)
    if result.deployment is not None and result.commit:
        raise NotUnderstood("Name either a deployment or a commit to go back to.")
    if not names:
        return result
    if verb == "help" or len(names) > 1:
        raise NotUnderstood(f"{names[-1]!r} is a word too many for `{usage(verb)}`.")
    return replace(result, application=_name(verb, names[0]))


def usage(verb: str) -> str:
    """How a command is written."""
    behind = {
        "deploy": " [COMMIT]",
        "logs": " logs [build|run] [-n LINES]",
        "rollback": " rollback [DEPLOYMENT|COMMIT]",
        "help": " help",
    }
    return WORD + behind.get(verb, f" {verb}") + ("" if verb == "help" else " [APPLICATION]")


def written(verb: str, arguments: tuple[str, ...]) -> str:
    """The command in one line, to quote it."""
    if verb == REFUSED:
        return arguments[1] if len(arguments) > 1 else WORD
    return " ".join([WORD, *([] if verb == "deploy" else [verb]), *map(_quoted, arguments)])


def _read(line: str) -> Command | Refusal:
    shown = _shown(line)
    if len(line.rstrip()) > MAX_LINE:
        return Refusal(f"A command has at most {MAX_LINE} characters.", shown)
    line = line.rstrip().replace("\t", " ")
    if not line.isprintable():
        return Refusal("A command has no control characters or invisible ones.", shown)
    try:
        words = shlex.split(line.removeprefix(WORD))
    except ValueError:
        return Refusal("A quotation mark or a backslash has no counterpart.", shown)
    verb, arguments = "deploy", tuple(words)
    if words and words[0].isascii() and words[0].lower() in VERBS:
        verb, arguments = words[0].lower(), tuple(words[1:])
    try:
        options(verb, arguments)
    except NotUnderstood as error:
        return Refusal(str(error), shown)
    return Command(verb, arguments)


def _name(verb: str, word: str) -> str:
    """The name of an application, as far as that can be told from the word alone."""
    if verb == "deploy" and word.lower() in _NOT_YET:
        raise NotUnderstood(f"There is no command {word!r}.")
    if word.startswith("-"):
        raise NotUnderstood(f"There is no option {word!r} for `{usage(verb)}`.")
    if not word or len(word) > MAX_NAME:
        raise NotUnderstood(f"The name of an application has 1 to {MAX_NAME} characters.")
    return word


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 6 and int(word)):
        raise NotUnderstood(f"Behind -n there is a number from 1 to {MAX_LINES}.")
    return min(int(word), MAX_LINES)


def _quoted(word: str) -> str:
    return shlex.quote(word) if not word or any(character in " '\"\\" for character in word) else word


def _shown(line: str) -> str:
    return printable(line.replace("\t", " "), MAX_LINE).rstrip()


def _plain(text: str) -> Iterator[int]:
    """Which of the lines that start with the word, counted from 0, a reader sees as plain text."""
    count = iter(range(len(text)))
    marked = _START.sub(lambda _: f"{WORD}{_MARK}{next(count)}{_MARK}", text.replace(_MARK, "\ufffd"))
    elements: Counter[str] = Counter()  # that are open and set their text apart
    plain = False
    for token in _reader().parse(marked):
        if token.type == "html_block":
            _track(token.content, elements)
        elif token.type == "inline":
            yield from _in_text(token, elements, plain=plain)
        # a heading may be a paragraph with a signature's dashes below
        plain = token.type in {"paragraph_open", "heading_open"} and token.level == 0


def _looks(text: str) -> int:
    """How often, at most, a reader looks at a line to see whether a quote goes on there."""
    quotes = depth = run = longest = 0
    for line in text.split("\n") if ">" in text else ():
        match = _QUOTE.match(line)
        before, depth = depth, match[0].count(">") if match else 0
        quotes += max(0, depth - before)
        run = run + 1 if line.strip(" \t") else 0
        longest = max(longest, run)
    return quotes * longest


def _in_text(token: Token, elements: Counter[str], *, plain: bool) -> Iterator[int]:
    for child in token.children or ():
        if child.type == "html_inline":
            _track(child.content, elements)
        elif plain and child.type == "text" and not elements.total():
            yield from (int(match[1]) for match in _MARKED.finditer(child.content))


def _track(html: str, elements: Counter[str]) -> None:
    """Notes in which elements that set text apart one is after ``html``. Comments are not elements."""
    while html:
        before, comment, rest = html.partition("<!--")
        for end, name in _TAG.findall(before):
            if name.lower() in _APART:
                elements[name.lower()] = max(0, elements[name.lower()] + (-1 if end else 1))
        html = rest.partition("-->")[2] if comment else ""


def _reader() -> MarkdownIt:
    """A reader of GitHub's Markdown that tells text, code and HTML apart, and leaves out what cannot matter here."""
    return MarkdownIt("commonmark").enable("table").disable(["emphasis", "link", "image", "entity", "autolink"])
