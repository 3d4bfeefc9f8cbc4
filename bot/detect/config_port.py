"""The port in a program's own settings file, for programs that do not read it from the environment."""

from __future__ import annotations

import re

from bot.detect.model import Evidence
from bot.detect.scan import Scan

_FILE = re.compile(
    r"(?:(?:\w+/)?(?:config|configs|configuration|conf|settings|server|etc)/)?"
    r"(?P<name>base|default|defaults|config|app|application|settings|server|production|development|\w+(?=\.conf))"
    r"\.(?:ya?ml|toml|json|conf)(?:[.-](?:sample|example|dist|default))?"
)
_FIRST = ("production", "base", "default", "defaults", "config", "app", "application")
_PORTS = (
    re.compile(r"(?i)(?:^|[\s{,])[\"']?(?:http|server|listen)?_?port[\"']?\s*[:=]\s*[\"']?:?(\d{2,5})\b"),
    re.compile(
        r"(?i)(?:^|[\s{,])[\"']?(?:listen|address|addr|bind|http_addr)[\"']?\s*[:=]\s*[\"'][\w.\-\[\]]*:(\d{2,5})"
    ),
)
# of databases, caches, queues, and mail
_OTHERS = frozenset({3306, 5432, 6379, 27017, 5672, 9092, 9200, 11211, 25, 465, 587, 1025, 2525})


def find_config_port(scan: Scan) -> tuple[int, Evidence] | None:
    """The first port that a settings file of a usual name has, and is none of a database's."""
    found = [(path, match["name"]) for path in scan.repository.files if (match := _FILE.fullmatch(path))]
    found.sort(key=lambda one: (_FIRST.index(one[1]) if one[1] in _FIRST else len(_FIRST), one[0]))
    for path, _ in found[:6]:
        text = scan.text(path)
        for pattern in _PORTS:
            for match in pattern.finditer(text):
                number = int(match[1])
                if 80 <= number < 65536 and number not in _OTHERS:
                    line = text.count("\n", 0, match.start(1)) + 1
                    seen = match[0].strip(" \t\n{,")
                    return number, scan.seen(path, seen, f"listens on port {number}", line)
    return None
