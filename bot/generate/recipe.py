"""What the Dockerfiles of all stacks share: the settings of one generation, and the parts that look alike."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from bot.detect.model import Detection
from bot.generate import write

_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:-]+(\$PATH)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One generation. ``cache_id`` is put before the ids of cache mounts, so that repositories do not share them."""

    detection: Detection
    image_prefix: str = ""
    cache_id: str = "app"
    build_args: tuple[str, ...] = ()
    build_secrets: tuple[str, ...] = ()

    def image(self, name: str) -> str:
        """An official image, through the prefix. The name of another registry stays behind it, as a folder.

        A mirror that is set is the only place that images come from: ``mirror.example/mcr.microsoft.com/dotnet/sdk``.
        """
        return self.image_prefix + name

    @property
    def port(self) -> int:
        """The port inside the container."""
        return self.detection.port or 8080

    def cache(self, name: str, target: str, *, locked: bool = False) -> str:
        """A cache mount of this repository. In front end 1.2 its id has to be literal, and ``$`` is not expanded.

        Raises ValueError for a target that would be read as more than a path.
        """
        if not re.fullmatch(r"/[A-Za-z0-9_./@+-]+", target):
            raise ValueError(f"no path for a cache mount: {target!r}")
        clean = re.sub(r"[^A-Za-z0-9_.-]", "-", self.cache_id) or "app"
        return f"type=cache,id={clean}-{name},target={target}" + (",sharing=locked" if locked else "")

    def secrets(self) -> list[str]:
        """Mounts of the build's secrets, readable in this step only."""
        return [f"type=secret,id={name}" for name in self.build_secrets if _ENV_NAME.fullmatch(name)]

    def step(self, command: str, mounts: Iterable[str] = (), *, ours: bool = False) -> str:
        """A ``RUN`` of the build, with the build's secrets as environment variables."""
        names = [name for name in self.build_secrets if _ENV_NAME.fullmatch(name)]
        everything = [*mounts, *self.secrets()]
        if not names:
            return write.shell(command, everything) if ours else write.run(command, everything)
        given = "".join(f'{name}="$(cat /run/secrets/{name})" && export {name} && ' for name in names)
        if ours or re.fullmatch(r"[A-Za-z0-9_ ./:=@,+&-]+", command):
            return write.shell(given + command, everything)
        return write.run(given + command, everything)

    def arguments(self) -> list[str]:
        """``ARG`` lines of the build variables that are no secrets."""
        names = [name for name in self.build_args if _ENV_NAME.fullmatch(name)]
        return [write.comment("set by build variables"), *(f"ARG {name}" for name in names)] if names else []


@dataclass(slots=True)
class Lines:
    """A Dockerfile that grows."""

    text: list[str] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        """More lines."""
        self.text.extend(lines)

    def part(self, *lines: str) -> None:
        """An empty line, then the lines."""
        self.text.extend(["", *lines])

    def render(self) -> str:
        """The whole text."""
        return "\n".join(self.text) + "\n"


def apt(packages: Iterable[str]) -> str:
    """Debian packages, without what they only recommend, and without the lists that apt needed for it.

    ``=*`` is apt's way of saying that any version of the image's own Debian release will do.
    """
    listed = " ".join(f"'{name}=*'" for name in sorted(packages))
    return (
        "RUN apt-get update \\\n"
        f"    && apt-get install --yes --no-install-recommends {listed} \\\n"
        "    && rm -rf /var/lib/apt/lists/*"
    )


def environment(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """One ``ENV`` for all, a line each. ``$PATH`` at the end of a plain value stands for what was there before."""
    rows = [f"{name}={value if _PLAIN_VALUE.fullmatch(value) else write.quoted(value)}" for name, value in pairs]
    return ["ENV " + " \\\n    ".join(rows)] if rows else []


def labels(recipe: Recipe) -> list[str]:
    """OCI labels that do not change with a commit.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    detection = recipe.detection
    title = " ".join(part for part in (detection.framework or detection.stack, "application") if part)
    return [
        f"LABEL org.opencontainers.image.title={write.quoted(title)} \\",
        '      org.opencontainers.image.vendor="built by Berth"',
    ]


def healthcheck(words: list[str]) -> list[str]:
    """A probe from inside, for `docker compose` and `docker ps`; Berth probes from outside as well."""
    return [f"HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD {write.words(words)}"]


def probe_python(path: str) -> list[str]:
    """Words that end with 0 when the application answers with less than 500."""
    code = (
        "import http.client,os; c=http.client.HTTPConnection('127.0.0.1',int(os.environ['PORT']),timeout=4);"
        f" c.request('GET',{path!a}); raise SystemExit(c.getresponse().status>=500)"
    )
    return ["python", "-c", code]


def probe_node(path: str) -> list[str]:
    """The same with Node's fetch, which is there since version 18."""
    literal = repr(path.encode("ascii", "backslashreplace").decode()) if path.isprintable() else "'/'"
    code = (
        f"fetch('http://127.0.0.1:'+process.env.PORT+{literal},{{redirect:'manual'}})"
        ".then(r=>process.exit(r.status<500?0:1),()=>process.exit(1))"
    )
    return ["node", "-e", code]


def probe_deno(path: str) -> list[str]:
    """The same with Deno's fetch; what is evaluated may do everything."""
    literal = repr(path.encode("ascii", "backslashreplace").decode()) if path.isprintable() else "'/'"
    code = (
        f"fetch('http://127.0.0.1:'+Deno.env.get('PORT')+{literal},{{redirect:'manual'}})"
        ".then(r=>Deno.exit(r.status<500?0:1),()=>Deno.exit(1))"
    )
    return ["deno", "eval", code]


def probe_bun(path: str) -> list[str]:
    """The same with Bun's fetch."""
    return ["bun", *probe_node(path)[1:]]


def probe_php(path: str) -> list[str]:
    """The same with PHP's sockets."""
    literal = path.replace("\\", "\\\\").replace("'", "\\'") if path.isprintable() else "/"
    code = (
        "$s=@fsockopen('127.0.0.1',(int)getenv('PORT'),$n,$e,4) or exit(1);"
        f" fwrite($s,'GET {literal}'.\" HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n\");"
        " $c=(int)substr((string)fgets($s),9,3); exit($c>0&&$c<500?0:1);"
    )
    return ["php", "-r", code]


def probe_ruby(path: str) -> list[str]:
    """The same with Ruby's sockets."""
    literal = path.replace("\\", "\\\\").replace("'", "\\'") if path.isprintable() else "/"
    code = (
        "s=TCPSocket.new('127.0.0.1',ENV['PORT'].to_i);"
        f" s.write('GET {literal}'+\" HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n\");"
        " c=s.gets.to_s[9,3].to_i; exit(c>0&&c<500)"
    )
    return ["ruby", "-rsocket", "-e", code]


def probe_bash(path: str) -> list[str]:
    """The same with bash, which is part of Debian and Ubuntu, where nothing else can speak HTTP."""
    asked = shlex.quote(path if path.isprintable() and path.isascii() else "/")
    code = (
        "exec 3<>/dev/tcp/127.0.0.1/$PORT"
        f" && printf 'GET %s HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' {asked} >&3"
        ' && read -r _ status _ <&3 && [ "$status" -lt 500 ]'
    )
    return ["bash", "-c", code]


def base_user(name: str = "app") -> str:
    """A user without rights, and a folder that it may write to."""
    return f"RUN useradd --uid 1000 --create-home {name} && install --directory --owner=1000 --group=1000 /app"
