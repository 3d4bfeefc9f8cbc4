"""Frameworks of Elixir: rows are found by package."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework

ELIXIR: tuple[Framework, ...] = (
    Framework("phoenix", "elixir", ("phoenix", "phoenix_live_view"), supersedes=("plug",), port=4000, weight=40),
    Framework("plug", "elixir", ("plug", "plug_cowboy", "bandit"), port=4000, weight=20),
)
