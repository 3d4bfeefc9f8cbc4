"""The commands, put together. Only signatures are loaded here: the work is imported when a command runs."""

from __future__ import annotations

import typer

from bot.cli import base_images, deploy, doctor, init, inspect, running, server, settings, tokens
from bot.cli.help import Command, Sections

app = typer.Typer(
    cls=Sections,
    help="Push a branch, get a running URL.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_DEPLOY, _RUNS, _SETTINGS, _TOOLS = "Deploy", "What runs", "Settings", "Server and tools"

app.command(cls=Command, rich_help_panel=_DEPLOY)(deploy.deploy)
app.command(cls=Command, rich_help_panel=_DEPLOY)(running.remote)
app.command(cls=Command, rich_help_panel=_DEPLOY)(inspect.detect)
app.command(cls=Command, rich_help_panel=_DEPLOY)(inspect.generate)
app.command(cls=Command, rich_help_panel=_RUNS)(running.ps)
app.command(cls=Command, rich_help_panel=_RUNS)(running.logs)
app.command(cls=Command, rich_help_panel=_RUNS)(running.stop)
app.command(cls=Command, rich_help_panel=_RUNS)(running.start)
app.command(cls=Command, rich_help_panel=_RUNS)(running.restart)
app.command(cls=Command, rich_help_panel=_RUNS)(running.rollback)
app.command(cls=Command, rich_help_panel=_RUNS)(running.redeploy)
app.command(cls=Command, rich_help_panel=_RUNS)(running.rm)
app.command("set", cls=Command, rich_help_panel=_SETTINGS)(settings.set_settings)
app.add_typer(settings.environment_app, name="env", rich_help_panel=_SETTINGS)
app.add_typer(tokens.app, name="token", rich_help_panel=_SETTINGS)
app.command(cls=Command, rich_help_panel=_TOOLS)(server.serve)
app.command(cls=Command, rich_help_panel=_TOOLS)(init.init)
app.command(cls=Command, rich_help_panel=_TOOLS)(doctor.doctor)
app.add_typer(base_images.app, name="base-images", rich_help_panel=_TOOLS)


@app.command(cls=Command, rich_help_panel=_TOOLS)
def version() -> None:
    """Print the version."""
    from bot import __version__

    print(__version__)
