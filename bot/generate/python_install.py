"""How the packages of a Python project get into its environment, for each package manager."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import replace

from bot.detect.facts import PythonFacts
from bot.generate import images, write
from bot.generate.recipe import Lines, Recipe, environment

VENV = "/opt/venv"
CONDA = "/opt/conda/envs/app"
_REST = "requirements-only.txt"  # without the project itself, beside the file that it is made of


def install(out: Lines, recipe: Recipe, facts: PythonFacts, why: list[str], *, missing: str = "") -> None:
    """Manifests before the source: this layer is made again only when they change.

    ``missing`` says of another stack why packages are added that no manifest names.
    """
    facts = replace(facts, reason=missing or facts.reason)
    if facts.install_needs_source:
        out.add(write.comment("packages of this repository are installed, so its source is needed first"), "COPY . .")
        why.append("the packages need the source: it is copied before they are installed")
    elif facts.has_dependencies:
        out.add(write.comment("before the source, so that only changed manifests install again"))
        out.add(*_copies(facts.manifests))
        why.append("packages are installed before the source is copied")
    if facts.has_dependencies:
        if more := (*facts.add, *facts.inline):
            why.append(f"{', '.join(more)} added: {_why_added(facts)}")
        _packages(out, recipe, facts, _added(facts))
    else:
        _without_manifest(out, recipe, facts, why)
    if _project_comes_later(facts) and not facts.install_needs_source:
        _project(out, recipe, facts, why)


def makes_environment(facts: PythonFacts) -> bool:
    """Whether the package manager makes the environment itself."""
    return facts.manager == "uv" and facts.has_dependencies and not facts.requirements


def pip_cache(recipe: Recipe) -> str:
    """Downloads of pip, kept between builds and out of the image."""
    return recipe.cache("pip", "/root/.cache/pip")


def _packages(out: Lines, recipe: Recipe, facts: PythonFacts, more: str) -> None:
    if makes_environment(facts):
        _uv(out, recipe, facts, more)
    elif facts.manager in ("poetry", "pdm", "pipenv") and not facts.requirements:
        _exported(out, recipe, facts, more)
    elif facts.listed:
        _listed(out, recipe, facts, more)
    elif facts.local and facts.requirements:
        _without_project(out, recipe, facts, more)
    else:
        wanted = f"-r {facts.requirements}" if facts.requirements else "."
        _note(out, facts)
        out.add(recipe.step(f"{VENV}/bin/pip install {wanted}{more}", [pip_cache(recipe)], ours=_is_plain(wanted)))


def _without_manifest(out: Lines, recipe: Recipe, facts: PythonFacts, why: list[str]) -> None:
    listed = (*facts.inline, *facts.add)
    if listed:
        usual = "what the code itself names or imports, and a server"
        out.add(write.comment(f"there is no manifest: {facts.reason or usual}"))
        why.append(f"{', '.join(listed)} added: no manifest names packages")
    installed = f" \\\n    && {VENV}/bin/pip install {_words(listed)}" if listed else ""
    out.add(recipe.step(f"python -m venv {VENV}{installed}", [pip_cache(recipe)] if listed else [], ours=True))


def _is_plain(wanted: str) -> bool:
    return re.fullmatch(r"(-r )?[A-Za-z0-9_./-]+", wanted) is not None


def _words(requirements: Iterable[str]) -> str:
    """Requirements as words of a shell, in quotes where they hold more than a name and a version."""
    return " ".join(text if re.fullmatch(r"[A-Za-z0-9._=-]+", text) else f'"{text}"' for text in requirements)


def _copies(manifests: tuple[str, ...]) -> list[str]:
    """One ``COPY`` for each folder, which keeps its place."""
    folders: dict[str, list[str]] = {}
    for file in manifests:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    return [write.copy(files, f"./{folder}/" if folder else "./") for folder, files in folders.items()]


def _listed(out: Lines, recipe: Recipe, facts: PythonFacts, more: str) -> None:
    """The list in pyproject.toml: pip would build the whole project to read it."""
    out.add(write.comment("uv reads the list of pyproject.toml; pip would need the project itself for that"))
    out.add(write.shell(f"pip install {images.UV}", [pip_cache(recipe)]))
    beside = f" -r {facts.requirements}" if facts.requirements else ""
    command = f"uv pip install --python {VENV}/bin/python -r pyproject.toml{beside}{more}"
    out.add(*environment((("UV_LINK_MODE", "copy"),)))
    _note(out, facts)
    out.add(recipe.step(command, [recipe.cache("uv", "/root/.cache/uv")], ours=_is_plain(f"-r {facts.requirements}")))


def _without_project(out: Lines, recipe: Recipe, facts: PythonFacts, more: str) -> None:
    """A requirements file that names this project: everything else first, so that it stays cached."""
    file = facts.requirements or ""
    rest = posixpath.join(posixpath.dirname(file), _REST)
    own = r"^[[:space:]]*((-e|--editable)[ =][[:space:]]*)?(file:)?\./?(\[|[[:space:]]|$)"
    command = f"sed -E '\\#{own}#d' {file} >{rest} \\\n    && {VENV}/bin/pip install -r {rest}{more}"
    out.add(write.comment("the file names this project as well, whose source comes later"))
    _note(out, facts)
    out.add(recipe.step(command, [pip_cache(recipe)], ours=_is_plain(f"-r {file}")))


def _uv(out: Lines, recipe: Recipe, facts: PythonFacts, more: str) -> None:
    # https://docs.astral.sh/uv/guides/integration/docker/
    out.add(write.comment("one folder that the final image can copy as a whole"))
    # the image's own Python: .python-version may name a patch that it is not
    pairs = [("UV_PROJECT_ENVIRONMENT", VENV), ("UV_PYTHON", "/usr/local/bin/python"), ("UV_PYTHON_DOWNLOADS", "0")]
    out.add(*environment([*pairs, ("UV_LINK_MODE", "copy")]))
    out.add(write.shell(f"pip install {images.UV}", [pip_cache(recipe)]))
    cache = [recipe.cache("uv", "/root/.cache/uv")]
    locked = "--locked " if facts.lockfile else ""
    member = f" --package {facts.member}" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", facts.member) else ""
    if facts.workspace and facts.lockfile and not facts.install_needs_source:
        # members of the workspace are not there yet, so the lock cannot be compared with them
        out.add(recipe.step(f"uv sync --frozen --no-dev --no-install-workspace{member}", cache, ours=True))
        out.add(write.comment("the members of the workspace are packages; what they need is there already"), "COPY . .")
        _note(out, facts)
        out.add(recipe.step(f"uv sync {locked}--no-dev --no-editable{member}{more}", cache, ours=True))
        return
    if not facts.install_project:
        _note(out, facts)
        out.add(recipe.step(f"uv sync {locked}--no-dev --no-install-project{member}{more}", cache, ours=True))
        return
    if not facts.install_needs_source:
        out.add(recipe.step(f"uv sync {locked}--no-dev --no-install-project{member}", cache, ours=True))
        out.add(write.comment("the project itself is a package; its dependencies are there already"), "COPY . .")
    _note(out, facts)
    out.add(recipe.step(f"uv sync {locked}--no-dev --no-editable{member}{more}", cache, ours=True))


def _exported(out: Lines, recipe: Recipe, facts: PythonFacts, more: str) -> None:
    """Poetry, PDM and Pipenv write the locked packages as a list, so that they themselves stay out of the image."""
    cache = [pip_cache(recipe)]
    tools = {"poetry": " ".join(images.POETRY), "pdm": images.PDM, "pipenv": images.PIPENV}
    groups = [name for name in facts.groups if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)]
    chosen = f" --with {','.join(groups)}" if groups else ""
    export = {
        "poetry": f"poetry export{chosen}{'' if facts.hashes else ' --without-hashes'} --output /tmp/requirements.txt",
        "pdm": f"pdm export --prod{'' if facts.hashes else ' --no-hashes'} --output /tmp/requirements.txt",
        "pipenv": "pipenv requirements >/tmp/requirements.txt",
    }[facts.manager]
    if not facts.lockfile:
        export = f"{facts.manager} lock && {export}"
    out.add(write.comment(f"{facts.manager} only writes the list of locked packages; it stays out of the final image"))
    out.add(write.shell(f"pip install {tools[facts.manager]}", cache))
    _note(out, facts)
    install_all = f"{VENV}/bin/pip install -r /tmp/requirements.txt{more}"
    out.add(recipe.step(f"{export} \\\n    && {install_all}", cache, ours=True))


def _added(facts: PythonFacts) -> str:
    """What no manifest names, by a command of its own: a locked list with hashes takes nothing beside it."""
    words = _words((*facts.add, *facts.inline))
    pip = f"uv pip install --python {VENV}/bin/python" if facts.manager == "uv" else f"{VENV}/bin/pip install"
    added = f" \\\n    && {pip} {words}" if words else ""
    if _project_comes_later(facts) and facts.install_needs_source:
        added += f" \\\n    && {pip} --no-deps ."
    return added


def _project_comes_later(facts: PythonFacts) -> bool:
    """Whether the project itself is installed after its dependencies, by pip."""
    at_once = facts.manager == "pip" and not facts.requirements and not facts.listed  # `pip install .`
    return facts.manager != "uv" and not at_once and (facts.install_project or facts.local)


def _note(out: Lines, facts: PythonFacts) -> None:
    if more := (*facts.add, *facts.inline):
        out.add(write.comment(f"{', '.join(more)}: {_why_added(facts)}"))


def _why_added(facts: PythonFacts) -> str:
    if facts.reason:
        return facts.reason
    return "the code uses it, and no manifest names it" if facts.inline else "no manifest names a server for production"


def _project(out: Lines, recipe: Recipe, facts: PythonFacts, why: list[str]) -> None:
    out.add(write.comment("the project itself is a package; its dependencies are there already"))
    out.add(*environment(facts.build_environment))
    out.add("COPY . .")
    out.add(recipe.step(f"{VENV}/bin/pip install --no-deps .", [pip_cache(recipe)], ours=True))
    why.append("the project itself is installed as a package")


def conda(out: Lines, recipe: Recipe, facts: PythonFacts, why: list[str]) -> None:
    """An environment of conda packages in a folder of its own, which the final image copies as a whole."""
    user, _, group = images.MICROMAMBA_USER.partition(":")
    cache = [f"{recipe.cache('conda', '/opt/conda/pkgs')},uid={user},gid={group}"]
    file = facts.manifests[0]
    if facts.install_needs_source:
        out.add(write.comment("packages of this repository are installed, so its source is needed first"))
        out.add(write.copy(["."], "./", options=f"--chown={images.MICROMAMBA_USER}"))
    else:
        out.add(write.comment("before the source, so that only a changed environment installs again"))
        out.add(*_copies(facts.manifests))
    create = f"micromamba create --yes --prefix {CONDA} --file {file}"
    clean = f"find {CONDA} -name '*.a' -delete"
    if more := (*facts.add, *facts.inline):
        out.add(write.comment(f"{', '.join(more)}: {_why_added(facts)}"))
        why.append(f"{', '.join(more)} added: {_why_added(facts)}")
        specs = " ".join(_conda_spec(text) for text in more)
        create += f" \\\n    && micromamba install --yes --prefix {CONDA} --channel conda-forge {specs}"
    out.add(recipe.step(f"{create} \\\n    && {clean}", cache, ours=_is_plain(f"-r {file}")))
    why.append("micromamba makes the environment: one small program, and none of conda in the final image")


def _conda_spec(requirement: str) -> str:
    """A requirement of pip as conda writes it, without extras."""
    return "'" + re.sub(r"\[.*\]", "", requirement).replace("==", "=").replace("~=", ">=") + "'"
