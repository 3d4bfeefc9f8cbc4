"""Pages, the HTTP API, live streams, sign-in."""

from __future__ import annotations

from pathlib import Path


def templates_dir() -> Path:
    """The folder of templates: the checkout's own, else the one that was packaged with Berth."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "templates"
    return checkout if (checkout / "pages").is_dir() else package / "_templates"
