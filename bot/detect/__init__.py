"""What is this repository? Synchronous and pure: no Docker, no network, no clock, no code of the repository is run."""

from typing import TYPE_CHECKING, Any

from bot.detect.model import Application, Candidate, Detection, Evidence
from bot.detect.repository import Repository

__all__ = ["Application", "Candidate", "Detection", "Evidence", "Repository", "detect"]

if TYPE_CHECKING:
    from bot.detect.decide import detect
else:

    def __getattr__(name: str) -> Any:
        """``detect`` with all of the stacks, when it is wanted: the server leaves that to its workers."""
        if name != "detect":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from bot.detect.decide import detect  # noqa: PLC0415

        return detect
