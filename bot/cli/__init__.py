"""The ``berth`` command: :func:`main`. Everything that needs more than typer is imported inside the commands."""

from __future__ import annotations

import os
import sys
from typing import Any

from bot.errors import BerthError

USAGE = 2  # exit code: the command was used wrongly, or what it names does not exist
FAILED = 1  # exit code: the command was right, and what it asked for did not succeed


class UsageError(BerthError):
    """The command line asks for something that cannot be: exit code 2."""


def main() -> None:
    """Run the command line. Errors are one line on stderr; no traceback unless ``BERTH_DEBUG`` is set."""
    try:
        from bot.cli.app import app

        sys.exit(app(prog_name="berth", standalone_mode=False))
    except BerthError as error:
        sys.exit(report(error))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away: `berth logs x | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own: the command line is wrong
            sys.exit(_wrong_usage(error))
        if type(error).__name__ == "Abort":  # somebody answered no
            print("Nothing was done.", file=sys.stderr)
            sys.exit(FAILED)
        if os.environ.get("BERTH_DEBUG"):
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"berth: a mistake inside Berth: {text} (BERTH_DEBUG=1 shows where)", file=sys.stderr)
        sys.exit(FAILED)


def _wrong_usage(error: Any) -> int:
    """Print what is wrong with the command line on one line of stderr, or the help that was asked for by no words."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return USAGE
    from bot.wording import plainly

    message = str(error.format_message()).strip()
    head, colon, rest = message.partition(": ")
    message = (
        f"{head}{': it ' if plainly(rest) != rest and not rest.startswith('Value error') else colon}{plainly(rest)}"
    )
    context = getattr(error, "ctx", None)
    shows = f"`{context.command_path if context else 'berth'} --help` shows how it is used."
    message = " ".join(message.split())
    return report(UsageError(message if message.endswith(("?", ".")) else f"{message}.", shows))


def report(error: BerthError) -> int:
    """Print the error on one line of stderr; the exit code that it deserves."""
    from bot.cli.output import printable

    print(f"berth: {printable(str(error))}", file=sys.stderr)
    return USAGE if isinstance(error, UsageError) else FAILED
