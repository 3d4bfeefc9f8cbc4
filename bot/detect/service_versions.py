"""Databases that can run beside an application: official images, the tags that exist and when they end.

This table is the one place to update. Dates: https://endoflife.date/postgresql, /mysql, /mariadb, /mongodb, /redis.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from bot.detect.releases import Release

_OPEN = date(2099, 12, 31)  # no end has been announced


@dataclass(frozen=True, slots=True)
class Image:
    """An official image: its name on Docker Hub, its release lines, and the usual one."""

    name: str
    releases: tuple[Release, ...]
    usual: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of service. ``names``: what people call it; ``images``: the first one is the usual."""

    service: str
    title: str
    names: tuple[str, ...]
    images: tuple[Image, ...]


_POSTGRES = Image(
    "postgres",
    (
        Release("13", date(2025, 11, 13)),
        Release("14", date(2026, 11, 12)),
        Release("15", date(2027, 11, 11)),
        Release("16", date(2028, 11, 9)),
        Release("17", date(2029, 11, 8)),
        Release("18", date(2030, 11, 14)),
    ),
    "17",
)
_MYSQL = Image("mysql", (Release("8.0", date(2026, 4, 30)), Release("8.4", date(2032, 4, 30))), "8.4")
_MARIADB = Image(
    "mariadb",
    (
        Release("10.6", date(2026, 7, 6)),
        Release("10.11", date(2028, 2, 16)),
        Release("11.4", date(2029, 5, 29)),
        Release("11.8", date(2028, 6, 4)),
    ),
    "11.4",
)
_MONGO = Image(
    "mongo",
    (Release("6.0", date(2025, 7, 31)), Release("7.0", date(2027, 8, 31)), Release("8.0", date(2029, 10, 31))),
    "8.0",
)
_REDIS = Image("redis", (Release("6", date(2025, 2, 28)), Release("7", date(2026, 11, 30)), Release("8", _OPEN)), "8")

KINDS = (
    Kind("postgresql", "PostgreSQL", ("postgresql", "postgres", "pg"), (_POSTGRES,)),
    Kind("mysql", "MySQL", ("mysql", "mariadb"), (_MYSQL, _MARIADB)),
    Kind("mongodb", "MongoDB", ("mongodb", "mongo"), (_MONGO,)),
    Kind("redis", "Redis", ("redis",), (_REDIS,)),
)
BY_SERVICE = {kind.service: kind for kind in KINDS}
BY_NAME = {name: kind for kind in KINDS for name in kind.names}
TITLES = {kind.service: kind.title for kind in KINDS}


# PostgreSQL with extensions: images made from the official one, which are used like it. The group is its version.
_EXTENDED = {
    "postgis/postgis": re.compile(r"(\d{2})(?:-[\w.-]{1,40})?", re.ASCII),
    "imresamu/postgis": re.compile(r"(\d{2})(?:-[\w.-]{1,40})?", re.ASCII),
    "pgvector/pgvector": re.compile(r"(?:[\d.]{1,20}-)?pg(\d{2})(?:-[a-z]{1,20})?", re.ASCII),
    "timescale/timescaledb": re.compile(r"[\w.]{1,20}-pg(\d{2})(?:-oss)?", re.ASCII),
}


def postgres_version(image: str) -> str:
    """The version of PostgreSQL in an image with its tag, official or with extensions; "" for any other image."""
    name, _, tag = image.partition(":")
    match = (_EXTENDED[name] if name in _EXTENDED else re.compile(r"(\d{1,2})\b.*")).fullmatch(tag)
    return match[1] if match and (name == "postgres" or name in _EXTENDED) else ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """``tag``: the image with its tag, as Docker Hub has it; ``warning``: a sentence on what is odd about it."""

    tag: str
    warning: str | None = None


def choose_image(service: str, name: str = "", version: str = "", images: Collection[str] = ()) -> Chosen:
    """The image for a service.

    ``name`` is what somebody called it (``mariadb`` is another image than ``mysql``), ``version`` what they asked for
    (``16``, ``16.4``, ``15-alpine``; empty: the usual one); an image of PostgreSQL with extensions is taken with its
    tag as it is. ``images`` are those that can be had; none at all: all.
    """
    kind = BY_SERVICE[service]
    if name in _EXTENDED:
        if not images or f"{name}:{version}" in images:
            return Chosen(f"{name}:{version}")
        plain = choose_image(service, "", postgres_version(f"{name}:{version}"), images)
        return Chosen(plain.tag, f"there is no image of {name} here: {plain.tag} is used, without its extensions")
    wanted = next((image for image in kind.images if image.name == name), kind.images[0])
    had = [image for image in (wanted, *kind.images) if _tags(image, images)]
    image = had[0] if had else wanted
    tags = _tags(image, images) or [release.tag for release in image.releases]
    asked = re.match(r"\d+(\.\d+)?", version)
    usual = image.usual if image.usual in tags else tags[-1]
    if image is not wanted:
        return Chosen(f"{image.name}:{usual}", f"there is no image of {wanted.name} here, {image.name} is used instead")
    if asked is None:
        return Chosen(f"{image.name}:{usual}")
    tag = next((one for one in (asked[0], asked[0].partition(".")[0]) if one in tags), None)
    if tag is None and "." not in asked[0]:  # `8` is the newest that is no later than 8
        tag = next((one for one in reversed(tags) if one.partition(".")[0] == asked[0]), None)
    if tag is None:
        return Chosen(f"{image.name}:{usual}", f"{kind.title} {asked[0]} has no image here; {usual} is used instead")
    release = next(release for release in image.releases if release.tag == tag)
    ended = f"{kind.title} {tag} has had no fixes since {release.ends}" if release.ended else None
    return Chosen(f"{image.name}:{tag}", ended)


def _tags(image: Image, images: Collection[str]) -> list[str]:
    """The tags that can be had, oldest first."""
    return [release.tag for release in image.releases if not images or f"{image.name}:{release.tag}" in images]


_ASKED = re.compile(r"([a-z]+)(?::([0-9][0-9.]{0,9}))?")


def parse_services(text: str) -> list[tuple[str, str, str]]:
    """What the setting ``services`` asks for: service, name and version of each; nothing for ``none``.

    Raises ValueError in words for anything else.
    """
    if text.strip().lower() in ("none", ""):
        return []
    found: dict[str, tuple[str, str, str]] = {}
    for part in text.split(","):
        match = _ASKED.fullmatch(part.strip().lower())
        if match is None or match[1] not in BY_NAME:
            known = ", ".join(kind.names[0] for kind in KINDS)
            raise ValueError(f"must be none or a list of {known}, each with a version if need be: postgresql:16,redis")
        kind = BY_NAME[match[1]]
        if kind.service in found:
            raise ValueError(f"names {kind.title} twice")
        if match[2]:
            warning = choose_image(kind.service, match[1], match[2]).warning
            if warning and "no image" in warning:
                name = match[1] if any(image.name == match[1] for image in kind.images) else kind.images[0].name
                tags = next(image for image in kind.images if image.name == name).releases
                raise ValueError(f"names {part.strip()}, but there is {', '.join(tag.tag for tag in tags)}")
        found[kind.service] = (kind.service, match[1], match[2] or "")
    return list(found.values())
