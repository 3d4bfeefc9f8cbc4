"""``berth base-images``: stand-ins for official base images where Docker Hub cannot be reached."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bot.cli import UsageError
from bot.cli.help import Command, Sections

app = typer.Typer(cls=Sections, help="Base images for machines that cannot reach Docker Hub.", no_args_is_help=True)


@app.command(cls=Command)
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="Such as python:3.11-slim; the usual ones by default", show_default=False),
    ] = None,
    if_needed: Annotated[bool, typer.Option("--if-needed", help="Only where Docker Hub cannot be reached")] = False,
) -> None:
    """Build those that are missing or out of date.

    They are made from Debian packages, under names that start with berth.local/.
    """
    from bot.config import load_config
    from bot.engine.base_images import PREFIX, RECIPES, USUAL, ensure, hub_reachable, known_image

    if unknown := [name for name in names or () if not known_image(name)]:
        raise UsageError(
            f"There is no recipe for {', '.join(unknown)}.", f"There are recipes for {', '.join(RECIPES)}."
        )
    config = load_config()
    engine = config.effective_docker_host
    if if_needed and asyncio.run(hub_reachable(engine)):
        print("Docker Hub can be reached: no stand-ins are needed.")
        return
    asyncio.run(ensure(engine, names or list(USUAL), lambda line: print(line, flush=True)))
    if config.base_image_prefix != PREFIX:
        print(f"Ready. Berth uses them when it is started with BERTH_BASE_IMAGE_PREFIX={PREFIX}")


@app.command(name="list", cls=Command)
def list_images() -> None:
    """Show what can be built, and whether it is there."""
    from bot.cli.output import table
    from bot.config import load_config
    from bot.engine.base_images import RECIPES, missing

    absent = {recipe.name for recipe in asyncio.run(missing(load_config().effective_docker_host))}
    rows = [(recipe.tag, "missing" if recipe.name in absent else "ok", recipe.about) for recipe in RECIPES.values()]
    table(("image", "state", "what"), rows)


@app.command(cls=Command)
def prefix() -> None:
    """Print what BERTH_BASE_IMAGE_PREFIX should be on this machine.

    Nothing where Docker Hub can be reached, berth.local/ where it cannot.
    """
    from bot.config import load_config
    from bot.engine.base_images import PREFIX, hub_reachable

    config = load_config()
    print(config.base_image_prefix or ("" if asyncio.run(hub_reachable(config.effective_docker_host)) else PREFIX))
