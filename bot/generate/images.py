"""Base images and the tools that are installed while building: the one place to update.

Language versions, with their end-of-life dates, are in :mod:`bot.detect.releases`.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.detect import dockerfile

DEBIAN = "debian:bookworm-slim"
DEBIAN_NEXT = "debian:trixie-slim"
COMPOSER = "composer:2"
MICROMAMBA = "mambaorg/micromamba:2"  # only builds; a single program, without a base environment of its own
WORDPRESS = "wordpress:6-apache"  # only files of it are copied
MICROMAMBA_USER = "57439:57439"  # of that image, who may write below /opt/conda
NGINX = "nginx:stable"  # on Debian; without apk or envsubst, which a stand-in may not have
ZOLA = "ghcr.io/getzola/zola"  # Zola's own image; it is on no other registry, and only a program is copied out of it
PNPM_DEFAULT = "10"
YARN_BERRY = "4"
BUN_DEFAULT = "1"
UV = "uv==0.9.9"
POETRY = ("poetry==2.2.1", "poetry-plugin-export==1.9.0")
PIPENV = "pipenv==2025.0.4"
SBT = "1.11.7"
PDM = "pdm==2.29.4"

USER = "1000:1000"  # the user of the official Node image; the others get one of that number


def python(version: str) -> str:
    """The official image of a Python version."""
    return f"python:{version}-slim"


def node(version: str) -> str:
    """The official image of a Node.js version."""
    return f"node:{version}-slim"


def go(version: str) -> str:
    """The official image of a Go version, on the Debian release of :data:`DEBIAN`."""
    return f"golang:{version}-bookworm"


def rust(version: str) -> str:
    """The official image of a Rust version, on the Debian release of :data:`DEBIAN`."""
    return f"rust:{version}-slim-bookworm"


def deno(version: str) -> str:
    """The official image of a Deno release, on Debian."""
    return f"denoland/deno:debian-{version}"


def bun(version: str) -> str:
    """The official image of a Bun release, on Debian."""
    return f"oven/bun:{version}-slim"


def php(version: str) -> str:
    """The official image of a PHP version with Apache, on the Debian release of :data:`DEBIAN`."""
    return f"php:{version}-apache-bookworm"


def ruby(version: str) -> str:
    """The official image of a Ruby version, on the Debian release of :data:`DEBIAN`."""
    return f"ruby:{version}-slim-bookworm"


def java(version: str, kind: str) -> str:
    """The official image of a Java version; ``kind`` is jdk or jre."""
    return f"eclipse-temurin:{version}-{kind}"


def maven(version: str) -> str:
    """The official image of Maven on a Java version."""
    return f"maven:3-eclipse-temurin-{version}"


def gradle(version: str) -> str:
    """The official image of Gradle on a Java version; the newest Java needs the newest Gradle."""
    return f"gradle:{9 if int(version) > 24 else 8}-jdk{version}"


def servlets(server: str, version: str) -> str:
    """The official image of a servlet container, such as ``tomcat:10.1`` or ``tomee:10-plus``, on a Java version."""
    name, _, flavour = server.partition("-")
    if name.startswith("tomee"):
        return f"{name}-jre17-{flavour}"  # the newest that all of its flavours have
    least = {"tomcat:10.1": 11, "tomcat:11": 17}.get(name, 8)
    return f"{name}-jre{max(int(version), least)}"


def dotnet(kind: str, version: str) -> str:
    """Microsoft's image of a .NET version: ``sdk``, ``aspnet`` or ``runtime``. They lie in a registry of their own."""
    return f"mcr.microsoft.com/dotnet/{kind}:{version}"


def elixir(version: str) -> str:
    """The official image of a version of Elixir and of Erlang/OTP: ``1.18-otp-27``."""
    return f"elixir:{version}-slim"


def zola(version: str) -> str:
    """The image that Zola's project publishes for a version."""
    return f"{ZOLA}:v{version}"


def base_images_of(text: str, build_args: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Every image that a Dockerfile starts from or copies from, sorted; stages, ``scratch`` and variables resolved.

    Tolerates anything: what cannot be read names no image.
    """
    return dockerfile.parse(text, build_args).base_images()
