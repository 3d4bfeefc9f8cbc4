"""What the sources and settings files of a .NET program say: addresses, health checks, required values."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from bot.detect.model import Evidence
from bot.detect.scan import Scan, table, text_of

_NOISE = re.compile(
    r'(?P<text>"""(?:[^"]|"(?!""))*+"""|\$?@\$?"(?:[^"]|"")*+"|"(?:\\.|[^"\\\n])*+"|\'(?:\\.|[^\'\\\n])++\')'
    r"|//[^\n]*|/\*.*?(?:\*/|\Z)",
    re.DOTALL,
)
_FIXED_PORTS = (
    re.compile(r'\bUseUrls\s*\(\s*\$?"https?://[^":]*:(\d{2,5})'),
    re.compile(r'\b(?:app|App|host)\.Run(?:Async)?\s*\(\s*\$?"https?://[^":]*:(\d{2,5})'),
    re.compile(r'\bUrls\.Add\s*\(\s*\$?"https?://[^":]*:(\d{2,5})'),
    re.compile(r"\bListen(?:AnyIP|Localhost)\s*\(\s*(\d{2,5})"),
    re.compile(r"\bListen\s*\(\s*IPAddress\.\w+\s*,\s*(\d{2,5})"),
    re.compile(r'\bPrefixes\.Add\s*\(\s*\$?"https?://[^":]*:(\d{2,5})'),
    re.compile(r"\bnew\s+TcpListener\s*\(\s*IPAddress\.\w+\s*,\s*(\d{2,5})"),
)
_PORT_VARIABLE = re.compile(r'\bGetEnvironmentVariable\s*\(\s*"PORT"\s*\)(?:\s*\?\?\s*"?(\d{2,5}))?')
_BLAZOR = re.compile(
    r"\b(AddServerSideBlazor|AddRazorComponents|MapRazorComponents|MapBlazorHub|AddInteractiveServerComponents"
    r"|UseBlazorFrameworkFiles)\b"
)
_HEALTH = re.compile(r'\b(?:MapHealthChecks|UseHealthChecks)\s*\(\s*"(/[\w/.-]{0,200})"')
_SPA = re.compile(r'\bRootPath\s*=\s*"([\w/.-]{1,100})"')
_THROWS = r"\s*\?\?\s*throw\b"
_REQUIRED = (
    (re.compile(rf'\bGetEnvironmentVariable\s*\(\s*"(\w+)"\s*\)\s*!?{_THROWS}'), "{}"),
    (re.compile(rf'\bGetConnectionString\s*\(\s*"(\w+)"\s*\)\s*!?{_THROWS}'), "ConnectionStrings__{}"),
    (re.compile(rf'\b[cC]onfiguration\s*\[\s*"([\w:]+)"\s*\]\s*!?{_THROWS}'), "{}"),
)
_SERVES = re.compile(r"\b(WebApplication\.Create\w*|ConfigureWebHost\w*|CreateDefaultBuilder|WebHost\.Create\w*)")
# names of files below the top of a project in which services and addresses are set up
_SETUP = re.compile(r"(program|startup|extension|hosting|configur|dependencyinjection|kestrel|middleware)", re.I)
_PLACEHOLDER = re.compile(
    r"\$\{\w+\}|#\{.+\}#?|%\w+%|<[^<>]+>|\[[A-Z][^\[\]]*\]|\{\{.+\}\}|your[-_ ].+|todo|xxx+"
    r"|.*\b(your|change|replace)[-_ ]?(me|this|\w*key|\w*here|\w*secret|\w*password)\b.*",
    re.IGNORECASE,
)
_THIS_MACHINE = re.compile(
    r"(?:^|;)\s*(?:server|data source|host|datasource|address|addr)\s*=\s*"
    r"(?:tcp:)?(?:localhost|127\.0\.0\.1|\(local(?:db)?\)|\.(?=[\\;]|$))|^(?:localhost|127\.0\.0\.1)(?::\d+)?(?:,|$)"
    r"|^\w+://(?:[^@/]*@)?(?:localhost|127\.0\.0\.1)\b",
    re.IGNORECASE,
)
MOST_FILES = 40


def strip_comments(text: str) -> str:
    """C# without its comments; line numbers stay the same."""
    return _NOISE.sub(lambda match: match[0] if match["text"] else "\n" * match[0].count("\n"), text)


@dataclass(slots=True)
class Sources:
    """The files of one program that set it up, without comments, and what they say."""

    scan: Scan
    folder: str
    code: dict[str, str] = field(default_factory=dict)

    def search(self, pattern: re.Pattern[str], says: str) -> tuple[re.Match[str], Evidence] | None:
        """The first place where a pattern is found; ``{}`` in the text stands for its first group."""
        for path, code in self.code.items():
            match = pattern.search(code)
            if match:
                line = code.count("\n", 0, match.start()) + 1
                group = match[1] if match.groups() and match[1] else ""
                return match, self.scan.seen(path, match[0], says.replace("{}", group), line)
        return None

    def blazor(self) -> Evidence | None:
        found = self.search(_BLAZOR, "renders components of Blazor")
        return found[1] if found else None

    def serves(self) -> Evidence | None:
        found = self.search(_SERVES, "a host that answers HTTP")
        return found[1] if found else None

    def health(self) -> tuple[str, Evidence] | None:
        found = self.search(_HEALTH, "health checks answer at {}")
        return (found[0][1], found[1]) if found else None

    def spa_folder(self) -> str | None:
        found = self.search(_SPA, "")
        return found[0][1].strip("/") if found else None

    def port_variable(self) -> tuple[int | None, Evidence] | None:
        """Whether the code itself reads PORT, and what it takes otherwise."""
        found = self.search(_PORT_VARIABLE, "the code reads PORT itself")
        return (int(found[0][1]) if found[0][1] else None, found[1]) if found else None

    def fixed_port(self) -> tuple[int, Evidence] | None:
        """A port that the code insists on."""
        for pattern in _FIXED_PORTS:
            found = self.search(pattern, "listens on port {}")
            if found and 0 < int(found[0][1]) < 65536:
                return int(found[0][1]), found[1]
        return None

    def required(self) -> list[tuple[str, Evidence]]:
        """Values without which the code throws."""
        found = []
        for pattern, shape in _REQUIRED:
            for path, code in self.code.items():
                for match in pattern.finditer(code):
                    name = shape.format(match[1].replace(":", "__"))
                    line = code.count("\n", 0, match.start()) + 1
                    found.append((name, self.scan.seen(path, match[0], f"{name} is required", line)))
        return found


def read_sources(scan: Scan, folder: str) -> Sources:
    """Files at the top of the project, and below it those of telling names."""
    prefix = folder + "/" if folder else ""
    top = [path for path in scan.repository.inside(folder) if path.endswith((".cs", ".fs"))]
    below = [
        path
        for path in scan.repository.files
        if path.startswith(prefix)
        and path.endswith(".cs")
        and posixpath.dirname(path) != folder
        and path.count("/") <= prefix.count("/") + 3
        and _SETUP.search(posixpath.basename(path))
        and not re.search(r"(^|/)(obj|bin|tests?)/", path[len(prefix) :], re.IGNORECASE)
    ]
    top.sort(key=lambda path: (not re.search(r"(^|/)(Program|Startup)\.", path), path))
    return Sources(scan, folder, {path: strip_comments(scan.text(path)) for path in [*top[:30], *below][:MOST_FILES]})


@dataclass(slots=True)
class Settings:
    """appsettings.json and appsettings.Production.json of a project."""

    endpoints: dict[str, tuple[str, Evidence]] = field(default_factory=dict)  # of Kestrel
    urls: tuple[str, Evidence] | None = None
    required: list[tuple[str, Evidence]] = field(default_factory=list)


def read_settings(scan: Scan, folder: str) -> Settings:
    """Addresses, and values that somebody has to fill in."""
    found = Settings()
    for name in ("appsettings.json", "appsettings.Production.json"):
        path = posixpath.join(folder, name)
        data = scan.json(path)
        if not data:
            continue
        kestrel = table(table(data.get("Kestrel")).get("Endpoints"))
        for key, endpoint in kestrel.items():
            url = text_of(table(endpoint).get("Url"))
            if url:
                found.endpoints[key] = url, scan.seen(path, url, f"Kestrel's endpoint {key} listens on {url}")
        for key, value in data.items():
            if key.lower() == "urls" and isinstance(value, str):
                found.urls = value, scan.seen(path, value, f"listens on {value}")
        _required(scan, path, data, (), found.required)
    return found


def _required(
    scan: Scan, path: str, data: dict[str, Any], above: tuple[str, ...], found: list[tuple[str, Evidence]]
) -> None:
    for key, value in data.items():
        name = "__".join((*above, key))
        if isinstance(value, dict) and len(above) < 6:
            _required(scan, path, table(value), (*above, key), found)
        elif isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*", name):
            connection = bool(above) and above[0].lower() == "connectionstrings"
            if _PLACEHOLDER.fullmatch(value) or (connection and not value):
                found.append((name, scan.seen(path, f'"{key}"', f"{name} has no value of its own")))
            elif connection and _THIS_MACHINE.search(value):
                found.append((name, scan.seen(path, f'"{key}"', f"{name} names a server on the developer's machine")))


def port_of(url: str) -> int | None:
    """The port of ``http://*:5000`` and the like, the first of several."""
    match = re.match(r"http://(?:\[[^\]]*\]|[^:/]*):(\d{1,5})", url.strip().split(";")[0])
    return int(match[1]) if match and 0 < int(match[1]) < 65536 else None
