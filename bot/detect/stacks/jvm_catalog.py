"""Version catalogs of Gradle: names for libraries, plugins and bundles that the build scripts use."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.jvm_build import plain_name
from bot.detect.stacks.jvm_script import Statement


@dataclass(slots=True)
class Catalog:
    """A version catalog: libraries, plugins and bundles by their accessor."""

    libraries: dict[str, tuple[str, str]] = field(default_factory=dict)  # group:artifact, version
    plugins: dict[str, tuple[str, str]] = field(default_factory=dict)  # id, version
    bundles: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def accessor(alias: str) -> str:
    """How a script names what a catalog calls so."""
    return re.sub(r"[-_.]", ".", alias)


def read_catalogs(scan: Scan, settings: Iterable[Statement]) -> dict[str, Catalog]:
    """https://docs.gradle.org/current/userguide/version_catalogs.html, as files and in the settings."""
    catalogs: dict[str, Catalog] = {}
    for path in scan.repository.inside("gradle"):
        if path.endswith(".versions.toml"):
            name = posixpath.basename(path).removesuffix(".versions.toml")
            catalogs[name] = _catalog(scan.toml(path))
    catalog = catalogs.setdefault("libs", Catalog())
    for statement in settings:
        if "versionCatalogs" not in " ".join(statement.blocks):
            continue
        words = [token.text for token in statement.strings]
        if statement.head.startswith(("library", "alias")) and len(words) >= 2:
            if ":" in words[1]:
                group, _, rest = words[1].partition(":")
                artifact, _, version = rest.partition(":")
            else:
                group, artifact, version = words[1], words[2] if len(words) > 2 else "", ""
            catalog.libraries[accessor(words[0])] = plain_name(group, artifact), version
        elif statement.head.startswith("plugin") and len(words) >= 2:
            catalog.plugins[accessor(words[0])] = words[1], words[2] if len(words) > 2 else ""
        elif statement.head == "bundle" and words:
            catalog.bundles[accessor(words[0])] = [accessor(word) for word in words[1:]]
    return catalogs


def _catalog(data: dict[str, object]) -> Catalog:
    catalog = Catalog()
    for name, value in table(data.get("versions")).items():
        catalog.versions[name] = text_of(value) or next(
            (text_of(table(value).get(key)) for key in ("strictly", "require", "prefer") if table(value).get(key)), ""
        )

    def version(entry: dict[str, object]) -> str:
        given = entry.get("version")
        ref = text_of(table(given).get("ref"))
        return catalog.versions.get(ref, "") if ref else text_of(given) or text_of(table(given).get("strictly"))

    for alias, value in table(data.get("libraries")).items():
        if isinstance(value, str):
            group, _, rest = value.partition(":")
            artifact, _, number = rest.partition(":")
        else:
            entry = table(value)
            group, _, artifact = text_of(entry.get("module")).partition(":")
            group, artifact = group or text_of(entry.get("group")), artifact or text_of(entry.get("name"))
            number = version(entry)
        catalog.libraries[accessor(alias)] = plain_name(group, artifact), number
    for alias, value in table(data.get("plugins")).items():
        if isinstance(value, str):
            name, _, number = value.partition(":")
        else:
            name, number = text_of(table(value).get("id")), version(table(value))
        catalog.plugins[accessor(alias)] = name, number
    for alias, value in table(data.get("bundles")).items():
        listed = value if isinstance(value, list) else []
        catalog.bundles[accessor(alias)] = [accessor(text_of(one)) for one in listed]
    return catalog
