"""Hostile text as GitHub's Markdown: it is shown as what it is, and means nothing.

Rules: https://github.github.com/gfm/ and https://docs.github.com/get-started/writing-on-github
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.deploy.log_files import clean
from bot.deploy.masking import Masker

EXCERPT_LINES = 30
EXCERPT_CHARACTERS = 4_000
_WIDTH = 500  # characters of one line of an excerpt
_LONGEST_RUN = 32  # backticks in a row that are kept
_NOTHING = "&#8203;"  # a space of no width: nothing is a mention, a reference or an address with it inside

_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
# control characters, marks that turn text round, halves of characters, and what ends a line elsewhere
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_RUNS = re.compile(r"`+")
_ACTIVE = re.compile(r"[\\`*_{}\[\]<>|~&$!\"]")
_ADDRESSES = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=gh)(?=-[0-9])", re.IGNORECASE)
_NO_MASK = Masker(())


def text(value: str, limit: int = 1_000) -> str:
    """``value`` as plain text within a line, of at most ``limit`` characters before it is escaped.

    Fit for tables and for HTML too. Neither format nor link, mention or reference comes of it.
    """
    line = _escaped(value, limit)
    # what would begin a list, a heading or a table where it is the first of its line
    return f"&#{ord(line[0])};{line[1:]}" if re.match(r"[-+=:0-9]", line) else line


def _escaped(value: str, limit: int) -> str:
    line = one_line(value, limit)
    # first marked with characters that one_line lets through nowhere, then written as what HTML calls them
    line = _ADDRESSES.sub("\x00", line)
    line = _ACTIVE.sub(lambda match: f"&\x01{ord(match[0])};", line)
    line = line.replace("#", f"&#35;{_NOTHING}").replace("@", f"&#64;{_NOTHING}")
    return line.replace("\x00", _NOTHING).replace("\x01", "#")


def code(value: str, limit: int = 300) -> str:
    """``value`` in code within a line (not in a table, where a bar would end the cell). Empty for nothing."""
    line = one_line(value, limit)
    if not line:
        return ""
    marks = "`" * (max((len(run) for run in _RUNS.findall(line)), default=0) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{marks}{pad}{line}{pad}{marks}"


def sentence(value: str, limit: int = 1_000) -> str:
    """``value`` as plain text in which what stands between two backticks is code."""
    parts = one_line(value, limit).split("`")
    if len(parts) % 2 == 0:
        return text(value, limit)
    return "".join(
        (code(part) if part.strip() else "") if index % 2 else _spaced(part) for index, part in enumerate(parts)
    )


def _spaced(part: str) -> str:
    """Plain text that keeps its blanks at both ends."""
    before, after = part[:1] == " ", part[-1:] == " " and len(part) > 1
    return f"{' ' * before}{text(part, len(part))}{' ' * after}"


def link(label: str, url: str) -> str:
    """A link of our own making; ``label`` may be hostile. Without an address only the label."""
    if not re.fullmatch(r"https?://[^\s]+", url):
        return text(label)
    target = re.sub(r"[^A-Za-z0-9:/?#\[\]@!$&'*+,;=.~%_-]", lambda match: _percent(match[0]), url)
    return f"[{_escaped(label, 300)}](<{target.replace('[', '%5B').replace(']', '%5D').replace('&', '&amp;')}>)"


def fenced(value: str, language: str = "") -> str:
    """``value`` as a block of code that it cannot break out of, to stand on lines of its own at the left margin.

    Colours and control characters are left out, and of very long rows of backticks the rest.
    """
    shown = _COLOURS.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    shown = _RUNS.sub(lambda match: match[0][:_LONGEST_RUN], _UNSEEN.sub("", shown)).rstrip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in _RUNS.findall(shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def excerpt(
    lines: Iterable[str],
    masker: Masker = _NO_MASK,
    *,
    most: int = EXCERPT_LINES,
    characters: int = EXCERPT_CHARACTERS,
) -> str:
    """The last ``most`` lines of a log, of ``characters`` characters at most, for :func:`fenced`.

    Masked again, although logs are when they are written: a colour in the middle of a secret hides it there.
    """
    shown = []
    for line in list(lines)[-most:]:
        plain = masker.mask(_UNSEEN.sub("", _COLOURS.sub("", clean(line.replace("\n", " "))))).rstrip()
        shown.append(plain if len(plain) <= _WIDTH else plain[: _WIDTH - 1] + "…")
    while shown and len("\n".join(shown)) > characters:
        shown.pop(0)
    return "\n".join(shown)


def folded(summary: str, content: str, *, opened: bool = False) -> str:
    """``content`` (Markdown) below a line that unfolds it. ``summary`` may be hostile."""
    start = "<details open>" if opened else "<details>"
    return f"{start}\n<summary>{text(summary)}</summary>\n\n{content}\n\n</details>"


def one_line(value: str, limit: int) -> str:
    """``value`` without control characters, in one line of at most ``limit`` characters."""
    line = " ".join(_UNSEEN.sub("", _COLOURS.sub("", " ".join(value[: 10 * limit].split()))).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))
