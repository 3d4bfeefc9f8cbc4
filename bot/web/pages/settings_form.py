"""The form of an application's settings: its fields, what was filled in, and what a change will alter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from bot.deploy.settings import EffectiveSetting, Settings, check_settings

_GROUPS = {
    "Branches": ("mode", "previews", "log_excerpts"),
    "Build": ("root", "framework", "build_command"),
    "Run": ("start_command", "port", "protocol", "health_path", "strategy", "services"),
    "Limits and patience": ("memory", "cpus", "pids", "drain_seconds", "verify_seconds"),
}
# these are read when something happens; all others become part of a deployment
AT_THE_NEXT_EVENT = {"mode": "next push", "previews": "next push", "log_excerpts": "next report"}
_LABELS = {
    "root": "Folder",
    "mode": "Deployed branches",
    "previews": "Previews at most",
    "log_excerpts": "Log excerpts in comments",
    "cpus": "CPUs",
    "pids": "Processes",
    "services": "Databases",
    "drain_seconds": "Time to end requests",
    "verify_seconds": "Time to answer",
}
_CHOICES = {
    "all": "all: default branch and every other",
    "pull_request": "pull_request: default branch and open pull requests",
    "off": "off: nothing",
    "blue_green": "blue_green: no gap",
    "recreate": "recreate: stop the old first",
    "true": "yes",
    "false": "no",
}
PREFIX = "set."


@dataclass(frozen=True)
class FormField:
    """One setting in the form. ``given``: what is set in Berth, as text, empty where nothing is.

    ``choices``: (value, words), empty for free text. ``inherited``: what holds without it.
    """

    key: str
    label: str
    description: str
    given: str
    value: str
    source: str
    inherited: str
    choices: tuple[tuple[str, str], ...]
    numeric: bool


@dataclass(frozen=True)
class Change:
    """One line of what saving will alter. ``effect``: when it takes effect; ``deploys``: only a deployment uses it."""

    key: str
    label: str
    given: str
    old: str
    old_source: str
    new: str
    new_source: str
    effect: str
    deploys: bool


def fields(
    stored: Mapping[str, Any], effective: list[EffectiveSetting], inherited: list[EffectiveSetting]
) -> list[tuple[str, list[FormField]]]:
    """The form's groups. ``inherited``: the effective settings as they would be if nothing were set in Berth."""
    below = {one.key: one for one in inherited}
    made = {one.key: _field(one, stored, below[one.key]) for one in effective}
    grouped = [(title, [made.pop(key) for key in keys if key in made]) for title, keys in _GROUPS.items()]
    if made:
        grouped.append(("Other", list(made.values())))
    return grouped


def _field(one: EffectiveSetting, stored: Mapping[str, Any], inherited: EffectiveSetting) -> FormField:
    types = _types(one.key)
    words = [str(word) for kind in types if get_origin(kind) is Literal for word in get_args(kind)]
    if bool in types:
        words = ["true", "false"]
    return FormField(
        key=one.key,
        label=label(one.key),
        description=one.description,
        given=in_words(one.key, stored.get(one.key)),
        value=in_words(one.key, one.value),
        source=one.source if one.value is not None else "",
        inherited=in_words(one.key, inherited.value),
        choices=tuple((word, _CHOICES.get(word, word)) for word in words),
        numeric=bool({int, float} & set(types)) and one.key != "memory" and not words,
    )


def _types(key: str) -> tuple[Any, ...]:
    """The types in ``Annotated[int, …] | None``."""
    annotation = Settings.model_fields[key].annotation
    parts = [kind for kind in get_args(annotation) if kind is not type(None)] or [annotation]
    return tuple(kind.__origin__ if hasattr(kind, "__metadata__") else kind for kind in parts)


def label(key: str) -> str:
    return _LABELS.get(key, key.replace("_", " ").capitalize())


def in_words(key: str, value: Any) -> str:
    """A setting's value as people write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if key == "memory" and isinstance(value, int) and value % 1024**2 == 0:
        return f"{value // 1024**2}m"
    return f"{value:g}" if isinstance(value, float) else str(value)


def filled_in(form: Mapping[str, str], stored: Mapping[str, Any]) -> dict[str, Any]:
    """What the form changes of what is set in Berth: key -> new value, or None to take it back.

    Raises BerthError that names the first field at fault.
    """
    texts = {name.removeprefix(PREFIX): text.strip() for name, text in form.items() if name.startswith(PREFIX)}
    wanted = {key: text for key, text in texts.items() if text != in_words(key, stored.get(key))}
    checked = check_settings({key: text for key, text in wanted.items() if text})
    changed = {key: checked.get(key) for key in wanted}
    return {key: value for key, value in changed.items() if value != stored.get(key)}


def changes(given: Mapping[str, Any], before: list[EffectiveSetting], after: list[EffectiveSetting]) -> list[Change]:
    """What saving ``given`` alters, from the effective settings before and after."""
    old, new = {one.key: one for one in before}, {one.key: one for one in after}
    return [
        Change(
            key=key,
            label=label(key),
            given=in_words(key, value),
            old=in_words(key, old[key].value),
            old_source=old[key].source if old[key].value is not None else "",
            new=in_words(key, new[key].value),
            new_source=new[key].source if new[key].value is not None else "",
            effect=f"at the {AT_THE_NEXT_EVENT[key]}" if key in AT_THE_NEXT_EVENT else "with the next deployment",
            deploys=key not in AT_THE_NEXT_EVENT,
        )
        for key, value in given.items()
    ]
