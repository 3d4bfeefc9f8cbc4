"""Frameworks of Ruby: rows are found by gem."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework


def _ruby(name: str, *gems: str, port: int, weight: int, supersedes: tuple[str, ...] = ()) -> Framework:
    return Framework(name, "ruby", gems, supersedes=supersedes, port=port, weight=weight)


RUBY: tuple[Framework, ...] = (
    # mounted in a Rails application, these are parts of it
    _ruby(
        "rails",
        *("rails", "railties"),
        port=3000,
        weight=60,
        supersedes=("sinatra", "roda", "grape", "rack", "jekyll"),
    ),
    _ruby("hanami", "hanami", "hanami-router", port=2300, weight=50, supersedes=("sinatra", "rack")),
    _ruby("grape", "grape", port=9292, weight=37, supersedes=("rack",)),
    _ruby("roda", "roda", port=9292, weight=36, supersedes=("rack",)),
    _ruby("sinatra", "sinatra", port=4567, weight=35, supersedes=("rack",)),
    Framework("jekyll", "ruby", ("jekyll", "github-pages"), supersedes=("rack",), serves=False, port=8080, weight=30),
    _ruby("rack", "rack", "rackup", port=9292, weight=10),
)
