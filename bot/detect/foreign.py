"""Languages that no Dockerfile is written for: pages of a program in one of them are not a static site."""

from __future__ import annotations

from collections import Counter

from bot.detect.repository import Repository
from bot.detect.stacks.dotnet import other_language

# manifests at the root
_MANIFESTS = {
    "Package.swift": "Swift",
    "Podfile": "Swift",
    "stack.yaml": "Haskell",
    "cabal.project": "Haskell",
    "shard.yml": "Crystal",
    "build.zig": "Zig",
    "dune-project": "OCaml",
    "pubspec.yaml": "Dart",
    "gleam.toml": "Gleam",
    "rebar.config": "Erlang",
    "project.clj": "Clojure",
    "deps.edn": "Clojure",
    "bb.edn": "Clojure",
    "shadow-cljs.edn": "Clojure",
    "CMakeLists.txt": "C or C++",
    "meson.build": "C or C++",
    "configure.ac": "C or C++",
    "platformio.ini": "C or C++",
    "cpanfile": "Perl",
    "Makefile.PL": "Perl",
    "Build.PL": "Perl",
    "dist.ini": "Perl",
    "renv.lock": "R",
    "NAMESPACE": "R",
    "Manifest.toml": "Julia",
    "JuliaProject.toml": "Julia",
    "v.mod": "V",
    "dub.json": "D",
    "dub.sdl": "D",
    "fpm.toml": "Fortran",
    "alire.toml": "Ada",
    "elm.json": "Elm",
    "spago.yaml": "PureScript",
    "info.rkt": "Racket",
    "foundry.toml": "Solidity",
    "project.godot": "Godot",
}
_MANIFEST_ENDINGS = {
    ".cabal": "Haskell",
    ".nimble": "Nim",
    ".rockspec": "Lua",
    ".Rproj": "R",
    ".opam": "OCaml",
    ".vcxproj": "C or C++",
    ".ino": "C or C++",
    ".uproject": "Unreal",
    ".asd": "Lisp",
    ".lpi": "Pascal",
    ".dpr": "Pascal",
}
_SOURCES = {
    "swift": "Swift",
    "hs": "Haskell",
    "lhs": "Haskell",
    "cr": "Crystal",
    "ecr": "Crystal",
    "zig": "Zig",
    "ml": "OCaml",
    "mli": "OCaml",
    "dart": "Dart",
    "gleam": "Gleam",
    "erl": "Erlang",
    "clj": "Clojure",
    "cljs": "Clojure",
    "cljc": "Clojure",
    "c": "C or C++",
    "cc": "C or C++",
    "cpp": "C or C++",
    "cxx": "C or C++",
    "h": "C or C++",
    "hpp": "C or C++",
    "pl": "Perl",
    "pm": "Perl",
    "psgi": "Perl",
    "cgi": "Perl",
    "r": "R",
    "jl": "Julia",
    "lua": "Lua",
    "moon": "Lua",
    "nim": "Nim",
    "d": "D",
    "f90": "Fortran",
    "f": "Fortran",
    "adb": "Ada",
    "pas": "Pascal",
    "rkt": "Racket",
    "scm": "Scheme",
    "lisp": "Lisp",
    "elm": "Elm",
    "purs": "PureScript",
    "hx": "Haxe",
    "sol": "Solidity",
    "asm": "assembler",
    "cob": "COBOL",
    "tcl": "Tcl",
    "odin": "Odin",
    "idr": "Idris",
}
_PAGES = frozenset({"html", "htm", "css", "scss", "js", "mjs", "ts", "jsx", "tsx", "vue", "svelte"})
_PLACES = frozenset(
    {"", "src", "source", "sources", "Sources", "lib", "app", "bin", "cmd", "server", "R", "script", "lua"}
)
_APART = ("vendor/", "third_party/", "node_modules/", "examples/", "example/", "docs/", "doc/", "test/", "tests/")
_MOST_FILES = 20_000


def find_foreign(repository: Repository) -> tuple[str, str] | None:
    """A file that speaks of a program in such a language, and the language: a manifest, or most of the sources."""
    for path in repository.inside(""):
        if path in _MANIFESTS:
            return path, _MANIFESTS[path]
        ending = "." + path.rsplit(".", 1)[-1]
        if ending in _MANIFEST_ENDINGS:
            return path, _MANIFEST_ENDINGS[ending]
    return other_language(repository) or _by_sources(repository)


def _by_sources(repository: Repository) -> tuple[str, str] | None:
    """With a page at the root the sources have to be more than the pages' files; otherwise a program is enough."""
    first: dict[str, str] = {}
    found: Counter[str] = Counter()
    pages, placed = 0, ""
    for path in repository.files[:_MOST_FILES]:
        ending = path.rsplit(".", 1)[-1].lower()
        if ending in _PAGES:
            pages += not path.startswith(_APART)
        elif ending in _SOURCES and not path.startswith(_APART) and "/vendor/" not in path:
            language = _SOURCES[ending]
            found[language] += 1
            first.setdefault(language, path)
            if path.rpartition("/")[0] in _PLACES:
                placed = placed or path
    if not found:
        return None
    language = min(found, key=lambda name: (-found[name], name))
    made = language == "C or C++" and "Makefile" in repository.inside("")
    if found.total() > pages - made or (placed and "index.html" not in repository.inside("")):
        return first[language], language
    return None
