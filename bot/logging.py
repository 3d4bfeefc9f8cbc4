"""The server's own log: text for a terminal, JSON for machines; secrets that look like tokens are masked."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from bot.config import Config
from bot.deploy.masking import Masker


class _Stream:
    """Standard error, which may be a file on a full disk: what cannot be written is lost, and no reason to fail."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(config: Config) -> None:
    """Sets structlog up for the whole process."""
    masker = Masker(())

    def mask(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: masker.mask(value) if isinstance(value, str) else value for key, value in event.items()}

    renderer: Any = structlog.processors.JSONRenderer()
    if config.log_format == "text":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, config.log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Stream())),
        cache_logger_on_first_use=True,
    )
