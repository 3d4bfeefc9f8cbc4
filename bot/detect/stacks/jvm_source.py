"""Sources of Java, Kotlin and Scala: which language a module is written in, where it starts, what it listens on."""

from __future__ import annotations

import itertools
import posixpath
import re
from dataclasses import dataclass, field

from bot.detect.frameworks.jvm import JVM
from bot.detect.model import Evidence
from bot.detect.parse import strip_js_comments
from bot.detect.scan import Scan
from bot.detect.stacks.jvm_build import Module

LANGUAGES = {".java": "java", ".kt": "kotlin", ".scala": "scala", ".groovy": "groovy"}
MOST_READ = 60  # files of a module that are read
MOST_TEXT = 100_000  # of one file
MOST_OF_ALL = 1_500_000  # of a module
MOST_IMPORTS = 200  # of a file
_FEW = 4  # files of each module, where there are many
# sources that are no part of the program
_APART = re.compile(
    r"^project/|(^|/)(tests?|testing|androidTest|[a-zA-Z]+Test|integration-?tests?|it|e2e|testFixtures|jmh|buildSrc|build-logic"
    r"|target|build|out|bin|archetype-resources|benchmarks?|\.[^/]+)(/|$)"
)
_ASIDE = re.compile(
    r"(^|/)(examples?|docs?|samples?|demos?|tools?|scripts?)/", re.IGNORECASE
)  # what starts there is less likely it
_IN_MAIN = re.compile(r"^.*?src/(?:main|jvmMain|commonMain|[a-zA-Z]*Main)/[a-z]+/")  # below it, folders are packages
_LIKELY = re.compile(
    r"(Application|Main|App|Server|Bootstrap|Launcher|Starter|Service|Verticle|Routes?|Module|Config)$"
)
_PACKAGE = re.compile(r"^\s*package\s+([\w.`]+)", re.MULTILINE)
_IMPORT = re.compile(r"^\s*import\s+(?:static\s+)?([\w.`]+)", re.MULTILINE)
_JAVA_MAIN = re.compile(
    r"(?:\bstatic\s+(?:final\s+)?void|\bvoid\s+static)\s+main\s*\(\s*(?:final\s+)?String|^\s*void\s+main\s*\(\s*\)",
    re.MULTILINE,
)
_KOTLIN_MAIN = re.compile(r"^(?:suspend\s+)?fun\s+main\s*\(|@JvmStatic\s+(?:suspend\s+)?fun\s+main\s*\(", re.MULTILINE)
_SCALA_MAIN = re.compile(
    r"^\s*(?:case\s+)?object\s+(\w+)\s+extends\s+(?:[^\n{]*\b)?(?:App|IOApp(?:\.Simple)?|ZIOAppDefault|ZIOApp|TaskApp"
    r"|ResourceApp\S*|cask\.Main\S*)\b|@main\s+def\s+(\w+)|def\s+main\s*\(\s*\w+\s*:\s*Array\s*\[\s*String",
    re.MULTILINE,
)
_SPRING = re.compile(r"@(?:SpringBootApplication|EnableAutoConfiguration)\b")
SERVING = (
    *("com.sun.net.httpserver.", "java.net.ServerSocket", "io.netty.", "org.eclipse.jetty.", "io.undertow."),
    *("org.apache.catalina.startup.", "spark.", "io.grpc.", "org.glassfish.grizzly.", "fi.iki.elonen.", "cask."),
    *("jakarta.servlet.", "javax.servlet.", "org.takes.", "rawhttp.", "com.twitter.finagle.", "io.activej.http."),
    *("java.nio.channels.ServerSocketChannel", "java.net.*", "org.glassfish.jersey.", "io.jooby.", "ratpack."),
)
_NUMBER = r"(\d{2,5})\b"
_PORTS = tuple(
    re.compile(pattern)
    for pattern in (
        # System.getenv().getOrDefault("PORT", "8080"), sys.env.getOrElse("PORT", "8080"), getenv("PORT") ?: "8080"
        r'"(?:\w+_)?PORT"\s*,\s*"?' + _NUMBER,
        r'"(?:\w+_)?PORT"\s*\)\s*(?:\?\.\w+\(\)\s*|\.\w+(?:\(_\.toInt\)|\(\)|\([\w:]+\))\s*)*(?:\?:|\.getOrElse\(|\.orElse\()\s*"?'
        + _NUMBER,
        r'"(?:\w+_)?PORT"\s*\)[^;\n]{0,120}(?::|\belse\b|orElse\(|getOrElse\()\s*"?' + _NUMBER,
        r'new\s+InetSocketAddress\(\s*(?:"[^"\n]*"\s*,\s*)?' + _NUMBER,
        r'InetSocketAddress\(\s*(?:"[^"\n]*"\s*,\s*)?' + _NUMBER,
        # start(7070), asServer(Netty(9000)), listen(8080), bindHttp(8080), embeddedServer(Netty, port = 8080)
        r"\b(?:start|listen|setPort|withPort|bindHttp|port|defaultWithPort|Jetty|Netty|SunHttp|Undertow|KtorCIO|KtorNetty"
        r"|ApacheServer|ServerSocket|fromInt|Server|addHttpListener)\(\s*(?:port\s*=\s*)?" + _NUMBER,
        r'\bport"' + _NUMBER + '"',
        r"(?:newServerAt|bindAndHandle|bind|bindHttp|addHttpListener|listen)\([^()\n]{0,80},\s*(?:port\s*=\s*)?"
        + _NUMBER,
        r'"(?:https?\.|server\.)?port"\s*,\s*"?' + _NUMBER,
        r"(?i)\b(?:http|server|default|app)?_?port\b\s*(?::\s*Int\s*)?=\s*\"?" + _NUMBER,
    )
)
_NOT_HTTP = (3306, 5432, 6379, 27017, 5672, 9092, 9200, 2181, 1433, 1521, 6432)
_HEALTH = re.compile(
    r"(?:get|GET|Get|GetMapping|Path|RequestMapping|path|route|bind|Route)\s*\(\s*(?:value\s*=\s*|path\s*=\s*)?"
    r'"(/?(?:api/)?(?:healthz?|health-?check|readyz|livez|ping|status)(?:/(?:live|ready))?)"'
)
_PORT_READ = re.compile(r'"PORT"')


@dataclass(slots=True)
class Start:
    """A place where a program starts: its class, file, line, language."""

    name: str
    path: str
    line: int
    language: str
    spring: bool = False


@dataclass(slots=True)
class Sources:
    """What the sources of one module say."""

    files: dict[str, list[str]] = field(default_factory=dict)  # by language
    texts: dict[str, str] = field(default_factory=dict)  # without comments, those that were read
    imports: dict[str, tuple[str, int]] = field(default_factory=dict)  # imported name -> file, line
    starts: list[Start] = field(default_factory=list)

    @property
    def language(self) -> str:
        """That of the program's start; Java where both are there and nothing starts; "" without sources."""
        likely = [one.language for one in self.starts if one.spring] or [one.language for one in self.starts]
        if likely and len(set(likely)) == 1:
            return likely[0]
        for language in ("java", "scala", "kotlin", "groovy"):
            if self.files.get(language):
                return "java" if language == "groovy" else language
        return ""

    @property
    def serves(self) -> bool:
        """Whether something that answers is imported."""
        rows = tuple(prefix for row in JVM for prefix in row.imports)
        return any(name.startswith((*SERVING, *rows)) for name in self.imports)

    @property
    def reads_port(self) -> bool:
        """Whether the code asks the environment for PORT."""
        return any(_PORT_READ.search(text) for text in self.texts.values())


def all_sources(scan: Scan) -> dict[str, str]:
    """Every source file that is part of a program, with its language."""
    found: dict[str, str] = {}
    for path in scan.repository.files:
        ending = path[path.rfind(".") :]
        if ending in LANGUAGES:
            inside = _IN_MAIN.match(path)  # a package may be called test, a folder of sources not
            if not _APART.search(inside[0] if inside else posixpath.dirname(path) + "/"):
                found[path] = LANGUAGES[ending]
    return found


def by_module(everything: dict[str, str], modules: list[Module]) -> dict[str, list[str]]:
    """Source files by the folder of the module that they are part of: the nearest one above them."""
    folders = {module.folder for module in modules}
    elsewhere = {folder: module.folder for module in modules for folder in module.sources}
    found: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    for path in everything:
        folder = path.rpartition("/")[0]
        if folder not in owners:
            above = folder
            while above and above not in folders and above not in elsewhere:
                above = above.rpartition("/")[0]
            owners[folder] = elsewhere.get(above, above)
        if not _aside(path[len(owners[folder]) :].lstrip("/")):
            found.setdefault(owners[folder], []).append(path)
    return found


def read(scan: Scan, everything: dict[str, str], own: list[str], *, few: bool = False) -> Sources:
    """The sources of a module; ``few`` reads only those that are likely to start something."""
    sources = Sources()
    for path in own:
        sources.files.setdefault(everything[path], []).append(path)
    ranked = sorted(own, key=lambda path: (not _LIKELY.search(_stem(path)), path.count("/"), path))
    if few:
        ranked = [path for path in ranked[:_FEW] if _LIKELY.search(_stem(path))] or ranked[:2]
    read = 0
    for path in ranked[:MOST_READ]:
        if read > MOST_OF_ALL:
            break
        _read_file(scan, sources, path, everything[path])
        read += len(sources.texts.get(path, ""))
    sources.starts.sort(key=lambda one: (_aside(one.path), not one.spring, _rank(one), one.path.count("/"), one.path))
    return sources


def _aside(path: str) -> bool:
    """Whether it lies in a folder of examples or tools; a package may have such a name."""
    inside = _IN_MAIN.match(path)
    return _ASIDE.search(inside[0] if inside else path) is not None


def _rank(start: Start) -> int:
    name = start.name.rpartition(".")[2].removesuffix("Kt")
    return next((i for i, end in enumerate(("Application", "Main", "App", "Server")) if name.endswith(end)), 9)


def _stem(path: str) -> str:
    return posixpath.basename(path).rpartition(".")[0]


def _read_file(scan: Scan, sources: Sources, path: str, language: str) -> None:
    text = scan.text(path)[:MOST_TEXT]
    if "import" not in text and "main" not in text and "App" not in text:
        return
    code = strip_js_comments(text)
    sources.texts[path] = code
    for match in itertools.islice(_IMPORT.finditer(code), MOST_IMPORTS):
        name = match[1].replace("`", "")
        name = name if code[match.end() : match.end() + 2] not in (".*", "._", ".{") else name + "."
        sources.imports.setdefault(name, (path, code.count("\n", 0, match.start(1)) + 1))
    package = _PACKAGE.search(code)
    prefix = package[1].replace("`", "") + "." if package else ""
    spring = _SPRING.search(code)
    found: re.Match[str] | None = None
    name = _stem(path)
    if language in ("java", "groovy"):
        found = _JAVA_MAIN.search(code)
    elif language == "kotlin":
        found = _KOTLIN_MAIN.search(code)
        if found:
            file_name = re.search(r'@file:JvmName\("(\w+)"\)', code)
            static = found[0].startswith("@JvmStatic")
            holder = re.search(r"^(?:class|object)\s+(\w+)", code, re.MULTILINE) if static else None
            name = file_name[1] if file_name else holder[1] if holder else f"{name[:1].upper()}{name[1:]}Kt"
    elif language == "scala":
        found = _SCALA_MAIN.search(code)
        if found:
            holder = re.search(r"^\s*object\s+(\w+)", code, re.MULTILINE)
            name = found[1] or found[2] or (holder[1] if holder else name)
    if found or spring:
        place = found or spring
        assert place is not None
        line = code.count("\n", 0, place.start()) + place[0].count("\n", 0, len(place[0]) - len(place[0].lstrip())) + 1
        sources.starts.append(
            Start(prefix + name, path, line, "java" if language == "groovy" else language, bool(spring))
        )


def find_port(scan: Scan, sources: Sources, first: str | None) -> tuple[int, Evidence] | None:
    """The port that the code names; the file of the program's start is asked first."""
    paths = sorted(sources.texts, key=lambda path: path != first)
    for pattern in _PORTS:
        for path in paths:
            for match in pattern.finditer(sources.texts[path]):
                number = int(match[1])
                if 80 <= number < 65536 and number not in _NOT_HTTP:
                    line = sources.texts[path].count("\n", 0, match.start(1)) + 1
                    return number, scan.seen(path, " ".join(match[0].split()), f"listens on port {number}", line)
    return None


def find_health(scan: Scan, sources: Sources) -> tuple[str, Evidence] | None:
    """A route that is there to be probed."""
    for path, code in sources.texts.items():
        for match in _HEALTH.finditer(code):
            line = code.count("\n", 0, match.start(1)) + 1
            route = "/" + match[1].lstrip("/")
            return route, scan.seen(path, " ".join(match[0].split()), f"answers on {route}", line)
    return None
