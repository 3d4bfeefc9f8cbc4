"""Generators of sites that need no application of Node.js; Jekyll's row is in the table of Ruby."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework


def _static(name: str, *packages: str, build: str, output: str) -> Framework:
    return Framework(name, "static", packages, serves=False, port=8080, build=build, output=(output,), spa=False)


STATIC: tuple[Framework, ...] = (
    _static("hugo", build="hugo --gc --minify", output="public"),
    _static("zola", build="zola build", output="public"),
    _static("mkdocs", "mkdocs", build="mkdocs build", output="site"),
)
