"""What one module of a stack found: a claim with evidence, and how to work it out if it is the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.detect.facts import Facts
from bot.detect.model import Application, Candidate, Evidence

Overrides = Mapping[str, object]


@dataclass(slots=True)
class Answer:
    """Everything that a stack knows about the chosen application; :mod:`bot.detect.decide` makes a Detection of it."""

    facts: Facts | None
    framework: str | None = None
    package_manager: str | None = None
    language_version: str | None = None
    start_command: str | None = None
    build_command: str | None = None
    output_dir: str | None = None
    spa_fallback: bool = False
    port: int | None = None
    health_path: str | None = None
    required_env: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    applications: list[Application] = field(default_factory=list)


@dataclass(slots=True)
class Finding:
    """A stack that may be it. ``score`` is the sum of what the evidence weighs, at most 100."""

    stack: str
    framework: str | None
    serves: bool  # whether something was found that answers HTTP
    answer: Callable[[Overrides], Answer]
    weights: list[tuple[int, Evidence]] = field(default_factory=list)
    limit: int = 100
    below: bool = False  # it lies in a folder of its own: that one is to be built, not the whole

    def add(self, weight: int, evidence: Evidence) -> None:
        """Count one observation; a weight may be 0."""
        self.weights.append((weight, evidence))

    @property
    def score(self) -> int:
        """Confidence, 0 to 100."""
        return max(0, min(self.limit, self.sum))

    @property
    def sum(self) -> int:
        """All weights together, to tell apart those that are as confident."""
        return sum(weight for weight, _ in self.weights)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was observed, in the order of looking."""
        return tuple(evidence for _, evidence in self.weights)

    def candidate(self) -> Candidate:
        """The claim as it is shown."""
        return Candidate(self.stack, self.framework, self.score, self.evidence)
