"""What a build of Rust needs beside the source: manifests, Debian packages, files that the program reads."""

from __future__ import annotations

import posixpath
import re

from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.rust_crates import Crate

_ASSETS = ("templates", "static", "public", "assets", "views", "migrations", "config", "www", "dist", "locales")
_ASSET_FILES = ("Rocket.toml", "config.toml", "log4rs.yaml")
_OPENSSL = {"openssl", "native-tls", "reqwest", "lettre", "diesel", "sqlx", "hyper-tls"}
# crates that link to a C library: (to build, to run)
NATIVE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openssl": (("libssl-dev", "pkg-config"), ("libssl3",)),
    "diesel": (("libpq-dev",), ("libpq5",)),
    "rdkafka": (("cmake", "g++", "make"), ()),
    "prost-build": (("protobuf-compiler",), ()),
    "tonic-build": (("protobuf-compiler",), ()),
}


def packages(crates: list[Crate]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Debian packages: to compile the crates, and those that the program loads."""
    wanted = {name for crate in crates for name in crate.dependencies}
    build_time = {name for crate in crates for name in table(crate.data.get("build-dependencies"))}
    keys = {name for name in NATIVE if name in wanted | build_time}
    if wanted & _OPENSSL:
        keys.add("openssl")
    if "postgres" not in str([crate.data.get("dependencies") for crate in crates]):
        keys.discard("diesel")
    build = {package for key in keys for package in NATIVE[key][0]}
    return tuple(sorted(build)), tuple(sorted({package for key in keys for package in NATIVE[key][1]}))


def manifests(scan: Scan, crates: list[Crate]) -> list[str]:
    """What Cargo reads before it fetches crates."""
    found = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain", ".cargo/config.toml"]
    found += [crate.manifest for crate in crates if crate.folder]
    return [path for path in found if scan.has(path)]


def placeholders(crates: list[Crate]) -> list[str]:
    """Files that Cargo wants to see before it fetches anything: the crates' programs and libraries."""
    found = []
    for crate in crates:
        found += [binary.path for binary in crate.binaries]
        library = text_of(table(crate.data.get("lib")).get("path")) or "src/lib.rs"
        if crate.has_library:
            found.append(posixpath.normpath(posixpath.join(crate.folder, library)))
    return [path for path in found if re.fullmatch(r"[A-Za-z0-9_./-]+", path) and ".." not in path]


def assets(scan: Scan, code: dict[str, str]) -> list[str]:
    """Folders and files at the root that the code names, or that the framework reads by itself."""
    text = "\n".join(code.values())
    rocket = "rocket" in text
    found = [
        name for name in _ASSET_FILES if scan.has(name) and (f'"{name}' in text or (rocket and name == "Rocket.toml"))
    ]
    for folder in _ASSETS:
        if folder not in scan.repository.folders:
            continue
        named = re.search(rf'"(?:\./)?{folder}(?:/|")', text)
        if named or (folder == "templates" and rocket):
            found.append(folder)
    return found
