"""Configuration files of applications of the JVM: .properties, YAML and HOCON, flattened to dotted keys."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.detect.model import Evidence
from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan

_NAMES = ("application", "bootstrap", "microprofile-config", "config")
_FOLDERS = ("src/main/resources", "src/main/resources/config", "config", "resources", "src/main/resources/META-INF")
_MORE = ("conf", "", "src/main/webapp/WEB-INF", "jvmMain/resources", "src/jvmMain/resources")
_ENDINGS = (".properties", ".yml", ".yaml", ".conf")
_PROFILES = ("", "-prod", "-production", "-docker")
_PLACEHOLDER = re.compile(r"\$\{(\??)([^:}${]{1,100})(?:(:)([^}]{0,200}))?\}")
_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,80}")
_HOCON = re.compile(r'^\s*"?([\w.\-]+)"?\s*(?:[:=]\s*|(?=\{))(.*)$')
MOST_FILES = 24
MOST_ENTRIES = 3000
MOST_TEXT = 200_000  # of one file
MOST_VALUE = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as it stands, with its place."""

    key: str
    value: str
    path: str
    line: int


@dataclass(slots=True)
class Configuration:
    """All values of an application; what a file for production says goes before the rest."""

    entries: dict[str, Entry] = field(default_factory=dict)
    every: list[Entry] = field(default_factory=list)

    def find(self, *keys: str) -> Entry | None:
        """The first of the keys that has a value; ``server.port`` is also ``serverPort`` and ``server-port``."""
        return next((self.entries[_loose(key)] for key in keys if _loose(key) in self.entries), None)

    def text(self, *keys: str) -> str:
        """Its value with defaults filled in, "" where there is none or only the environment knows it."""
        found = self.find(*keys)
        return filled(found.value) if found else ""


def _loose(key: str) -> str:
    return re.sub(r"[-_]", "", key).lower()


def filled(value: str) -> str:
    """A value with the defaults of its placeholders; a placeholder without one becomes nothing."""
    for _ in range(4):
        if "${" not in value:
            break
        value = _PLACEHOLDER.sub(lambda match: (match[4] or "").strip("`"), value)
    return value.strip().strip("\"'")


def read(scan: Scan, folders: list[str]) -> Configuration:
    """The configuration files of some modules; profiles other than production's are left out."""
    found = Configuration()
    count = 0
    for folder in folders:
        prefix = folder + "/" if folder else ""
        for place in (*_FOLDERS, *_MORE):
            base = (prefix + place).strip("/")
            for path in scan.repository.inside(base):
                name = path.rpartition("/")[2]
                stem, dot, ending = name.rpartition(".")
                profile = next(
                    (
                        p
                        for p in reversed(_PROFILES)
                        if stem.removesuffix(p) in _NAMES and (p == "" or stem.endswith(p))
                    ),
                    None,
                )
                if not dot or "." + ending not in _ENDINGS or profile is None or count >= MOST_FILES:
                    continue
                if place == "" and stem == "config":
                    continue  # anything may be called so
                count += 1
                for entry in _entries(scan, path):
                    if len(found.every) >= MOST_ENTRIES:
                        break
                    found.every.append(entry)
                    if profile in ("-prod", "-production") or _loose(entry.key) not in found.entries:
                        found.entries[_loose(entry.key)] = entry
    return found


def _entries(scan: Scan, path: str) -> Iterator[Entry]:
    text = scan.text(path)[:MOST_TEXT]
    if path.endswith(".properties"):
        yield from _properties(text, path)
    elif path.endswith(".conf"):
        yield from _hocon(text, path)
    else:
        yield from _yaml(scan, text, path)


def _properties(text: str, path: str) -> Iterator[Entry]:
    """https://docs.oracle.com/javase/8/docs/api/java/util/Properties.html#load-java.io.Reader-"""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        start = number
        line = lines[number].strip()
        number += 1
        if line.startswith(("#", "!")):
            continue
        while line.endswith("\\") and not line.endswith("\\\\") and number < len(lines):
            line = line[:-1] + lines[number].strip()
            number += 1
        match = re.match(r"((?:\\.|[^\s:=\\])+)\s*[:=\s]\s*(.*)$", line)
        if match:
            # Quarkus: a profile before the key
            profile = re.match(r"%([\w,]+)\.", match[1])
            if profile and "prod" not in profile[1].split(","):
                continue
            yield Entry(
                match[1][profile.end() :] if profile else match[1], match[2].strip()[:MOST_VALUE], path, start + 1
            )


def _yaml(scan: Scan, text: str, path: str) -> Iterator[Entry]:
    """Several documents in one file; what Maven fills in (``@name@``) is no YAML."""
    plain = re.sub(r"@([\w.-]+)@", r"\1", text)
    for document in re.split(r"^---[ \t]*$", plain, flags=re.MULTILINE)[:20]:
        data, problem = parse_yaml(document)
        if problem:
            scan.warn(f"{scan.repository.full(path)} was not understood: {problem}")
        entries = list(itertools.islice(_flat(data, "", 0), MOST_ENTRIES))
        profile = next((v for k, v in entries if k in ("spring.config.activate.on-profile", "spring.profiles")), "")
        if not profile or "prod" in profile:
            for key, value in entries:
                yield Entry(key, value[:MOST_VALUE], path, 0)


def _seen(scan: Scan, entry: Entry, says: str) -> Evidence:
    """Evidence of a value; the line of one from YAML is looked up by its last key."""
    line = entry.line
    if not line:
        last = re.escape(entry.key.rpartition(".")[2])
        for number, text in enumerate(scan.text(entry.path).split("\n")[:20_000], 1):
            if entry.value[:40] in text and re.search(rf"(^|[\s\"'.]){last}[\"']?\s*:", text):
                line = number
                break
    return scan.seen(entry.path, f"{entry.key} = {entry.value}", says, line or 1)


def _flat(data: object, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > 20:
        return
    if isinstance(data, dict):
        for key, value in list(data.items())[:2000]:
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    elif isinstance(data, list):
        for number, value in enumerate(data[:200]):
            yield from _flat(value, f"{prefix}[{number}]", depth + 1)
    elif data is not None and prefix:
        yield prefix, str(data).lower() if isinstance(data, bool) else str(data)


def _hocon(text: str, path: str) -> Iterator[Entry]:
    """The part of HOCON that is used: nested objects, ``a.b = c``, ``${?NAME}`` after a value."""
    blocks: list[str] = []
    for number, raw in enumerate(text.split("\n")[:5000], 1):
        line = re.split(r"(?:^|\s)(?://|#)", raw, maxsplit=1)[0][:MOST_VALUE].rstrip().rstrip(",")
        for part in _parts(line):
            if part == "}":
                if blocks:
                    blocks.pop()
                continue
            match = _HOCON.match(part)
            if match and match[2].strip() == "{":
                blocks.append(match[1])
            elif part.strip() == "{":
                blocks.append("")
            elif match and match[2].strip():
                key = ".".join([*(block for block in blocks if block), match[1]])
                yield Entry(key, match[2].strip()[:MOST_VALUE], path, number)


def _parts(line: str) -> list[str]:
    """``a { b = 1 }`` in pieces, whatever line its braces stand on; braces of ``${x}`` stay."""
    if not line:
        return []
    kept = re.sub(r"\$\{([^}${]{0,200})\}", "\0\\1\1", line)
    pieces = re.split(r"(?<=\{)|(?=\})|(?<=\})" + ("" if re.search(r"[\[\"']", kept) else "|,"), kept)
    return [re.sub("\0([^\1]*)\1", r"${\1}", piece).strip() for piece in pieces if piece.strip()]


def find_port(scan: Scan, found: Configuration, *keys: str) -> tuple[int, Evidence, bool] | None:
    """The port that the configuration names, and whether it follows PORT by itself."""
    entry = found.find(*keys)
    if entry is None:
        return None
    names = [match[2] for match in _PLACEHOLDER.finditer(entry.value)]
    twice = any(
        one.key == entry.key and one.path == entry.path and re.search(r"\$\{\??PORT\}", one.value)
        for one in found.every
    )
    follows = "PORT" in names or twice
    number = filled(entry.value)
    if not number.isdigit():
        before = [one for one in found.every if one.key == entry.key and filled(one.value).isdigit()]
        number = filled(before[0].value) if before else ""
    port = int(number) if number.isdigit() and 0 < int(number) < 65536 else 0
    says = f"listens on port {port}" if port else "the port comes from the environment"
    return port, _seen(scan, entry, says), follows


def find_required(scan: Scan, found: Configuration) -> list[tuple[str, Evidence]]:
    """``${NAME}`` without a default: the application does not start without it."""
    keys: dict[str, Evidence] = {}
    given = {_loose(entry.key) for entry in found.every}
    for entry in found.every:
        for match in _PLACEHOLDER.finditer(entry.value):
            name = match[2].strip()
            if (
                match[1]
                or match[3]
                or not _KEY.fullmatch(name)
                or _loose(name) in given
                or name in ("PORT", "SERVER_PORT")
            ):
                continue
            says = f"{name} is required"
            keys.setdefault(name, _seen(scan, entry, says))
    return list(keys.items())


_URLS = (
    (
        "postgresql",
        re.compile(r"(?:jdbc|r2dbc):(?:tracing:|pool:)?postgres(?:ql)?:|postgres(?:ql)?://|vertx-reactive:postgresql"),
    ),
    ("mysql", re.compile(r"(?:jdbc|r2dbc):(?:pool:)?(?:mysql|mariadb):|mysql://")),
    ("mongodb", re.compile(r"mongodb(?:\+srv)?://")),
    ("redis", re.compile(r"rediss?://")),
)


def find_services(scan: Scan, found: Configuration) -> list[tuple[str, Evidence]]:
    """Services that a URL of the configuration names."""
    services: dict[str, Evidence] = {}
    for entry in found.entries.values():
        for service, pattern in _URLS:
            if pattern.search(entry.value):
                says = f"{entry.key} names {service}"
                services.setdefault(service, _seen(scan, entry, says))
    return list(services.items())
