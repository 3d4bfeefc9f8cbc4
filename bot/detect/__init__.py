"""What is this repository? Synchronous and pure: no Docker, no network, no clock, no code of the repository is run."""

from bot.detect.decide import detect
from bot.detect.model import Application, Candidate, Detection, Evidence
from bot.detect.repository import Repository

__all__ = ["Application", "Candidate", "Detection", "Evidence", "Repository", "detect"]
