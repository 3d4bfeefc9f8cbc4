"""Dockerfiles for Python: an environment is made in one stage and copied into a clean one."""

from __future__ import annotations

import posixpath
import shlex

from bot.detect.facts import PythonFacts
from bot.generate import images, node, write
from bot.generate.python_install import CONDA, VENV, conda, install, makes_environment
from bot.generate.recipe import Lines, Recipe, apt, base_user, environment, healthcheck, labels, probe_python

_BROWSERS = "/opt/browsers"


def dockerfile(recipe: Recipe, facts: PythonFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(images.DEBIAN if facts.manager == "conda" else images.python(facts.version))
    out = Lines()
    what = " ".join(part for part in (recipe.detection.framework, f"on Python {facts.version}") if part)
    out.add(write.comment(f"{what}, packages by {facts.manager}. Written by Berth; yours to keep and change."))
    if facts.manager == "conda":
        why = [f"Python {facts.version} of conda's packages on {base}, which needs no Python of its own"]
        out.add(f"FROM {recipe.image(images.MICROMAMBA)} AS build", "WORKDIR /app")
        if facts.build_packages:
            out.add("USER 0")
            _build_packages(out, facts, why)
            out.add(f"USER {images.MICROMAMBA_USER}")
        out.add(*recipe.arguments())
        conda(out, recipe, facts, why)
    else:
        why = [f"Python {facts.version} on Debian's slim image: {base}"]
        out.add(f"FROM {base} AS build", "WORKDIR /app")
        _build_packages(out, facts, why)
        settings = (("PIP_DISABLE_PIP_VERSION_CHECK", "1"), ("PIP_ROOT_USER_ACTION", "ignore"))
        versions = facts.build_environment if facts.install_needs_source or facts.manager == "uv" else ()
        out.add(*environment((*settings, *versions)), *recipe.arguments())
        if not makes_environment(facts):  # uv makes it, without pip
            out.add(write.comment("one folder that the final image can copy as a whole"))
            out.add(*([f"RUN python -m venv {VENV}"] if facts.has_dependencies else []))
        install(out, recipe, facts, why)
    if facts.assets:
        if facts.assets_folder:
            node.front_end_stage(out, recipe, facts.assets, "/app", facts.assets_folder)
        else:
            out.part(f"FROM {recipe.image(images.node(facts.assets.version))} AS assets", "WORKDIR /app")
            node.assets_stage(out, recipe, facts.assets, before=[])
        why.append(f"assets are built by Node.js: {facts.assets.build}")
    _run_stage(out, recipe, facts, base, why)
    return out.render(), why


def _build_packages(out: Lines, facts: PythonFacts, why: list[str]) -> None:
    if facts.build_packages:
        out.add(write.comment("to compile packages that have no wheel, or to fetch them with git"))
        out.add(apt(facts.build_packages))
        why.append(f"Debian packages to build with: {', '.join(facts.build_packages)}")


def _run_stage(out: Lines, recipe: Recipe, facts: PythonFacts, base: str, why: list[str]) -> None:
    folder = CONDA if facts.manager == "conda" else VENV
    out.part(f"FROM {base}", *labels(recipe))
    if facts.packages:
        out.add(write.comment("libraries and programs that the packages use while they run"), apt(facts.packages))
        why.append(f"Debian packages at run time: {', '.join(facts.packages)}")
    out.add(write.comment("an unprivileged user who may write beside the source, where SQLite files and uploads go"))
    out.add(base_user(), "WORKDIR /app", f"COPY --from=build {folder} {folder}")
    if facts.browsers:
        out.add(write.comment("a browser, and the libraries that it wants, as Playwright itself installs them"))
        out.add(*environment((("PLAYWRIGHT_BROWSERS_PATH", _BROWSERS),)))
        out.add(f"RUN {folder}/bin/playwright install --with-deps chromium && rm -rf /var/lib/apt/lists/*")
        why.append("Chromium is installed for Playwright")
    source = ["/app"] if facts.assets else ["."]
    out.add(write.copy(source, "./", options=f"--chown={images.USER}" + (" --from=assets" if facts.assets else "")))
    pairs = [
        ("PATH", f"{folder}/bin:$PATH"),
        ("PYTHONUNBUFFERED", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ]
    if facts.import_folder:
        pairs.append(("PYTHONPATH", posixpath.join("/app", facts.import_folder)))
    out.add(*environment([*pairs, *facts.environment, ("PORT", str(recipe.port))]))
    out.add("USER " + images.USER)
    if facts.collect_static:
        _collect_static(out, facts, why)
    out.add(f"EXPOSE {recipe.port}", *healthcheck(probe_python(recipe.detection.health_path)))
    out.add(write.command(facts.start or ""))
    why.append(f"started by: {facts.start}")


def _collect_static(out: Lines, facts: PythonFacts, why: list[str]) -> None:
    given = " ".join(f"{key}={value}" for key, value in facts.placeholders)
    out.add(write.comment("the settings want values that exist only at run time; collectstatic uses none of them"))
    command = f"{given} DATABASE_URL=sqlite:////tmp/none.db python {shlex.quote(facts.manage)} collectstatic --noinput"
    out.add(write.run(command.strip()))
    why.append("static files are collected into the image: STATIC_ROOT is set")


_IGNORED = (
    *("**/__pycache__", "**/*.pyc", "**/.venv", "**/venv", "**/.pytest_cache", "**/.mypy_cache", "**/.ruff_cache"),
    *("**/.tox", "**/.nox", "**/*.egg-info", "**/.ipynb_checkpoints", "**/node_modules"),
)


def probe(recipe: Recipe, _facts: PythonFacts) -> list[str]:
    """The words of a check from inside."""
    return probe_python(recipe.detection.health_path)


def ignored(_facts: PythonFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    return (("made by Python, or installed in the image", _IGNORED),)
