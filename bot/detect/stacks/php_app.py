"""Everything that was seen of one PHP application."""

from __future__ import annotations

from dataclasses import dataclass

from bot.detect.model import Evidence
from bot.detect.scan import Scan
from bot.detect.stacks.php_composer import Composer
from bot.detect.stacks.php_frame import Framed


@dataclass(frozen=True, slots=True)
class App:
    """``docroot``: what a web server hands out, "" the root; ``server``: the command of a server in PHP itself."""

    scan: Scan
    composer: Composer | None
    framed: Framed
    docroot: str | None
    named: Evidence | None  # what names the docroot
    server: tuple[str, Evidence] | None

    @property
    def name(self) -> str:
        """The framework's name, or ""."""
        return self.framed.name

    def at_docroot(self, file: str) -> str:
        """A path below the docroot."""
        return f"{self.docroot}/{file}".lstrip("/")
