"""What is answered to commands: short comments. Pure; every text of others is shown as what it is and means nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.forge.commands import usage, written
from bot.forge.comment import words
from bot.forge.markdown import code, fenced, link, sentence, text

MARK = "<!-- berth:reply -->"  # at the end, so that our one comment of a pull request is not mistaken for a reply
WRITE_VERBS = ("deploy", "stop", "start", "restart", "rollback", "logs")
_MEANINGS = {
    "deploy": "deploy the newest commit of this pull request",
    "stop": "stop what runs; address, volumes and history stay",
    "start": "start again what was stopped",
    "restart": "new instances of what is live, switched to when they answer",
    "rollback": "make an earlier deployment live again, without a build",
    "logs": "the last lines of the build or of what runs",
    "status": "what is deployed of this pull request",
    "help": "this list",
}
_MOST_CHARACTERS = 60_000


def reply(verb: str, arguments: tuple[str, ...], content: str) -> str:
    """A comment that quotes the command and then says ``content`` (Markdown)."""
    return f"> {code(written(verb, arguments))}\n\n{content[:_MOST_CHARACTERS]}\n\n{MARK}"


def refusal(reasons: Sequence[str]) -> str:
    """``reasons`` are sentences, perhaps with what others wrote in them."""
    return "\n\n".join(sentence(reason) for reason in reasons)


def help_text(*, writer: bool, note: str) -> str:
    """The commands that somebody may use here. ``note``: what is special about the pull request."""
    verbs = (*(WRITE_VERBS if writer else ()), "status", "help")
    lines = ["| Command | What it does |", "| --- | --- |"]
    # a bar would end the cell, in code too
    lines += [f"| {code(usage(verb)).replace('|', chr(92) + '|')} | {_MEANINGS[verb]} |" for verb in verbs]
    end = "" if writer else "The other commands need permission to write to this repository."
    more = "Write a command in a new comment, on a line of its own. Without an application it is for all of them."
    return "\n\n".join(part for part in (sentence(note) if note else "", "\n".join(lines), end, more) if part)


def status(views: Sequence[Mapping[str, Any]], pages: str) -> str:
    """A table of environments as :mod:`bot.deploy.views` has them; ``pages``: where the page of a deployment is."""
    lines = ["| Application | State | Address | Commit | Deployment |", "| --- | --- | --- | --- | --- |"]
    reasons = []
    for view in views:
        latest, live = view["latest"], view["live"]
        shown = latest or live
        state = view["state"] if shown is None or shown["state"] in {"live", "retired"} else shown["state"]
        cells = [
            text(view["application"]),
            words(state),
            link(view["url"], view["url"]) if view["url"] and view["state"] in {"live", "crash_looping"} else "",
            code(shown["sha"][:7]) if shown else "",
            link(f"{shown['id']}", f"{pages}{shown['id']}") if shown else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        if live is not None and shown is not None and live["id"] != shown["id"]:
            reasons.append(f"{text(view['application'])}: {code(live['sha'][:7])} is {words(view['state'])} meanwhile.")
    return "\n\n".join(part for part in ("\n".join(lines), "\n".join(f"- {one}" for one in reasons)) if part)


def log(application: str, title: str, excerpt: str, page: str) -> str:
    """The last lines of a log. ``excerpt`` comes from :func:`bot.forge.markdown.excerpt`."""
    head = f"**{text(application)}**, {title} ({link('all of it', page)})"
    return f"{head}:\n\n{fenced(excerpt)}" if excerpt else f"{head}: nothing yet."
