"""What the one comment of a pull request says. Pure: :mod:`bot.forge.github_comment` gathers what it is about.

The text may come from anybody: names of branches, reasons, log lines, files. Nothing of it means anything in Markdown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bot.forge.markdown import code, excerpt, fenced, folded, link, sentence, text

__all__ = ["LIMIT", "MARK", "Facts", "Shown", "excerpt", "fenced", "render"]

LIMIT = 65_000  # bytes of UTF-8; GitHub takes 65,536 characters
MARK = "<!-- berth: pull request -->"  # by which an attempt finds what the one before it wrote
_MOST_ROWS = 50
_FILE_LIMIT = 20_000  # characters of one generated file
_MOST_EVIDENCE = 40
_LANGUAGES = {"Dockerfile": "dockerfile", "docker-compose.yml": "yaml"}

# what needs somebody's attention first gives the comment its heading
_ORDER = (
    *("failed", "crash_looping", "port_conflict", "waiting_approval", "running", "queued", "created"),
    *("cancelled", "superseded", "stopped", "sleeping", "live", "empty", "retired", "removed"),
)
_BAD = frozenset({"failed", "crash_looping", "port_conflict"})


@dataclass(frozen=True)
class Shown:
    """One application as the pull request shows it: its environment, and the newest deployment there.

    ``state`` is one of the product's names for states. ``live_sha``: the commit that is still live (in the state
    ``live_state``) where that is another one. ``log``: the last lines, empty where they may not be shown. ``files``:
    name -> text. What could hold a secret is masked already.
    """

    application: str
    environment: str
    state: str
    sha: str = ""
    url: str = ""
    page: str = ""
    deployment_id: int = 0
    phase: str = ""
    reason: str = ""
    fix: str = ""
    seconds: float | None = None
    live_sha: str = ""
    live_state: str = ""
    log: Sequence[str] = ()
    log_withheld: bool = False
    detection: Mapping[str, Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    beside: Sequence[tuple[str, str, str]] = ()  # workers and databases: name, what it is, state
    nothing: bool = False  # nothing was detected, and nothing was ever live


@dataclass(frozen=True)
class Facts:
    """All that a comment says. ``note``: a sentence for closed pull requests; ``updated``: seconds since 1970."""

    shown: Sequence[Shown]
    ref: str
    note: str = ""
    updated: float = 0.0

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to tell anybody of."""
        return all(one.nothing for one in self.shown)


def render(facts: Facts) -> str:
    """The comment's Markdown, of at most LIMIT bytes: what matters less is left out first, and it says so."""
    shown = sorted(facts.shown, key=lambda one: one.application)
    worst = min((one.state for one in shown), key=_rank, default="empty")
    head = [MARK, f"### {words(worst)}: preview of {code(facts.ref)}", _table(shown)]
    if facts.note:
        head.append(sentence(facts.note))
    when = datetime.fromtimestamp(facts.updated, UTC).strftime("%Y-%m-%d %H:%M UTC")
    foot = f"<sub>Updated {when} · a comment `/deploy help` tells what comments can ask for</sub>"
    left_out = "*The rest does not fit here: see the page of the deployment.*"
    parts = [*head]
    room = LIMIT - len("\n\n".join([*head, left_out, foot]).encode()) - 4
    for block in _blocks(shown):
        size = len(block.encode()) + 2
        if size > room:
            parts.append(left_out)
            break
        parts.append(block)
        room -= size
    return "\n\n".join([*parts, foot])


def words(state: str) -> str:
    """A state as the beginning of a sentence: ``Crash looping``."""
    return state.replace("_", " ").capitalize()


def took(seconds: float | None) -> str:
    """A duration: ``48 s``, ``1 min 12 s``, ``2 h 5 min``."""
    if seconds is None:
        return ""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _rank(state: str) -> int:
    return _ORDER.index(state) if state in _ORDER else len(_ORDER)


def _table(shown: Sequence[Shown]) -> str:
    lines = ["| Application | State | URL | Commit | Took | Details |", "| --- | --- | --- | --- | --- | --- |"]
    for one in shown[:_MOST_ROWS]:
        cells = (
            text(one.application, 100),
            f"**{words(one.state)}**",
            link(one.url.partition("://")[2].rstrip("/"), one.url) if one.url else "",
            f"`{one.sha[:7]}`" if one.sha.isalnum() else "",
            took(one.seconds),
            link(f"deployment {one.deployment_id}", one.page) if one.page else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    if len(shown) > _MOST_ROWS:
        lines.append(f"| and {len(shown) - _MOST_ROWS} more | | | | | |")
    return "\n".join(lines)


def _blocks(shown: Sequence[Shown]) -> Iterator[str]:
    """What follows the table, the most important first."""
    several = len(shown) > 1
    for one in shown[:_MOST_ROWS]:
        if one.reason or one.live_sha:
            yield _told(one)
        if one.beside:
            of = f" {text(one.application, 100)}" if several else " it"
            listed = (f"{code(name)} ({text(what, 100)}, {words(state).lower()})" for name, what, state in one.beside)
            yield f"Beside{of}: {', '.join(listed)}."
        if one.log:
            lines = "line" if len(one.log) == 1 else f"{len(one.log)} lines"
            of = f" of {one.application}" if several else ""
            yield folded(f"Last {lines} of the log{of}", fenced("\n".join(one.log), "text"), opened=True)
    for one in shown[:_MOST_ROWS]:
        of = f" in {one.application}" if several else ""
        if one.detection:
            yield folded(f"What was detected{of}", _evidence(one.detection))
        if one.files:
            files = (
                f"{code(name)}\n\n{fenced(_cut(content), _LANGUAGES.get(name, ''))}"
                for name, content in one.files.items()
            )
            yield folded(f"Generated files{of}", "\n\n".join(files))


def _told(one: Shown) -> str:
    """Phase, reason and fix in a sentence or two, and what is live all the same."""
    where = f" in {text(one.phase, 40)}" if one.phase and one.state == "failed" else ""
    parts = [f"**{text(one.application, 100)}: {words(one.state).lower()}{where}.**"]
    if one.reason:
        parts.append(_ended(sentence(one.reason)))
    if one.fix:
        parts.append(f"To mend it: {_ended(sentence(one.fix))}")
    if one.live_sha:
        what = "is still live" if one.live_state == "live" else f"is {words(one.live_state).lower()}"
        parts.append(f"The commit before, `{one.live_sha[:7]}`, {what}.")
    if one.log_withheld and one.state in _BAD:
        parts.append(f"The log is {link('on its page', one.page)}." if one.page else "")
    return " ".join(part for part in parts if part)


def _evidence(detection: Mapping[str, Any]) -> str:
    keys = ("stack", "framework", "package_manager", "language_version")
    named = " · ".join(text(str(detection[key]), 60) for key in keys if detection.get(key))
    lines = [f"- Stack: {named} (confidence {int(detection.get('confidence') or 0)})"]
    for title, key in (("Folder", "root"), ("Build", "build_command"), ("Start", "start_command"), ("Port", "port")):
        value = detection.get(key)
        if value and value != ".":
            lines.append(f"- {title}: {code(str(value))}")
    for entry in list(detection.get("evidence") or ())[:_MOST_EVIDENCE]:
        line = f":{entry['line']}" if entry.get("line") else ""
        seen = f" ({code(str(entry['seen']), 120)})" if entry.get("seen") else ""
        lines.append(f"- {code(str(entry['path']) + line)}: {text(str(entry['says']), 200)}{seen}")
    lines += [f"- Warning: {sentence(str(warning), 300)}" for warning in list(detection.get("warnings") or ())[:20]]
    return "\n".join(lines)


def _cut(content: str) -> str:
    return content if len(content) <= _FILE_LIMIT else f"{content[:_FILE_LIMIT]}\n… (the rest is on the page)"


def _ended(told: str) -> str:
    """With a full stop."""
    return told if told.endswith((".", "…", "?", "!")) else f"{told}."
