"""Frameworks of .NET: what a project is built with says more than its packages, so rows are named by the stack."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework

DOTNET: tuple[Framework, ...] = (
    Framework("asp.net-core", "csharp", port=8080, weight=30),
    Framework("blazor", "csharp", supersedes=("asp.net-core",), port=8080, weight=40),
    Framework(".net", "csharp", serves=False, port=8080, weight=10),
)
