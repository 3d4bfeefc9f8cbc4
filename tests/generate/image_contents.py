"""What lies in an image: compilers, packages for development and caches, and how much of it is the bare base image."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from dataclasses import dataclass

from bot.detect import dockerfile as dockerfiles

_COMPILER = re.compile(
    r"(^|/)s?bin/(gcc|g\+\+|cc|c\+\+|clang|cpp|as|ld|make|cmake|javac|jshell|kotlinc|scalac|sbt|mvn|gradle"
    r"|cargo|rustc|rustup|go|gofmt|tsc|erlc|elixirc|mix|dotnet-sdk|composer|uv|poetry|pipenv|pdm)(-\d[\d.]*)?$"
    r"|(^|/)usr/share/dotnet/sdk/"
)
# a part of every release of Erlang; what it would call is what the runtime itself compiles scripts with
_RUNTIME = re.compile(r"(^|/)erts-[\d.]+/bin/erlc$")
_CACHE = re.compile(
    r"^root/(\.cache|\.npm|\.m2|\.gradle|\.ivy2|\.sbt|\.nuget|\.cargo|\.composer|\.bundle/cache|\.bun|\.hex|\.mix)/."
    r"|^(go/pkg|usr/local/cargo/registry|usr/local/share/\.cache|tmp)/.*[^/]$|^var/cache/apt/.*\.deb$"
    r"|^var/lib/apt/lists/.*(Packages|Sources|InRelease|Release)[^/]*$"
    r"|/node_modules/\.cache/|/\.next/cache/.|(^|/)__pypackages__/|/usr/local/bundle/(ruby/[^/]+/)?cache/."
)
_NODE_PACKAGE = re.compile(r"(^|/)node_modules/((@[^/]+/)?[^/]+)/package\.json$")
_PYTHON_PACKAGE = re.compile(r"/site-packages/([^/]+?)-[^/-]+\.(dist|egg)-info/")
_GEM = re.compile(r"/specifications/(?:default/)?([^/]+)-\d[^/-]*\.gemspec$")
_PHP_PACKAGE = re.compile(r"(^|/)app/vendor/([^/]+/[^/]+)/composer\.json$")


@dataclass(frozen=True)
class Contents:
    """Paths without the leading slash, and sizes in MB; what the base image brings is left out of the sets."""

    size: float
    base: str  # "scratch" or an image
    base_size: float
    compilers: frozenset[str]
    caches: frozenset[str]
    packages: frozenset[str]  # npm, pip, bundler and composer packages, lower case


def contents(image: str, dockerfile: str, prefix: str = "") -> Contents:
    """Look at an image; its base is that of the last stage of ``dockerfile``."""
    final = dockerfiles.parse(dockerfile).final
    assert final is not None
    base = [stage.base for stage in final.lineage()][-1]
    files, size = _files(image), _size(image)
    held, base_size = (frozenset[str](), 0.0) if base == "scratch" else (_files(base), _size(base))
    return Contents(
        size=size,
        base=base.removeprefix(prefix),
        base_size=base_size,
        compilers=frozenset(path for path in files - held if _COMPILER.search(path) and not _RUNTIME.search(path)),
        caches=frozenset(path for path in files - held if _CACHE.search(path)),
        packages=frozenset(name for path in files - held for name in packages_of(path)),
    )


def packages_of(path: str) -> list[str]:
    """The package that a file in an image proves, by the places of npm, pip, bundler and composer."""
    found = []
    for pattern, group in ((_NODE_PACKAGE, 2), (_PYTHON_PACKAGE, 1), (_GEM, 1), (_PHP_PACKAGE, 2)):
        match = pattern.search(path)
        if match:
            found.append(match[group].lower().replace("_", "-"))
    return found


def _size(image: str) -> float:
    return float(json.loads(_docker("image", "inspect", image))[0]["Size"]) / 1e6


def _files(image: str) -> frozenset[str]:
    """Every file and link of an image, without running it."""
    # not the image's own label: the server removes containers of its own that it does not know
    container = _docker("create", "--label", "berth.instance=by-hand", image, "true").strip()
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export:
            assert export.stdout is not None
            with tarfile.open(fileobj=export.stdout, mode="r|") as tree:
                return frozenset(entry.name for entry in tree if not entry.isdir())
    finally:
        _docker("rm", "--force", container)


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
