"""Frameworks of Rust: rows are found by crate name."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework


def _rust(name: str, *, port: int, weight: int, supersedes: tuple[str, ...] = ()) -> Framework:
    return Framework(name, "rust", (name,), supersedes=supersedes, port=port, weight=weight)


RUST: tuple[Framework, ...] = (
    _rust("actix-web", port=8080, weight=30),
    _rust("axum", port=3000, weight=30),
    _rust("rocket", port=8000, weight=30),
    _rust("poem", port=3000, weight=25),
    _rust("salvo", port=5800, weight=25),
    _rust("warp", port=3030, weight=20),
    _rust("tide", port=8080, weight=20),
)
