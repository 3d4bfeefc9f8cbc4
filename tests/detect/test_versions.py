"""Versions: what people write, and the image tag that it leads to."""

from __future__ import annotations

import pytest

from bot.detect import Repository, detect
from bot.detect.versions import (
    NODE,
    NODE_DEFAULT,
    PYTHON,
    PYTHON_DEFAULT,
    Release,
    matching,
    resolve_node,
    resolve_python,
)
from tests.detect.samples_basic import EXPRESS_SERVER, FLASK_APP, package


@pytest.mark.parametrize(
    ("text", "tag", "warns"),
    [
        ("22", "22", False),
        ("v22.11.0", "22", False),
        ("24.x", "24", False),
        (">=18", NODE_DEFAULT, False),
        ("^20.5.0", "20", True),
        ("~22.1", "22", False),
        ("18 || 20", "20", True),
        ("18 || 24", "24", False),
        (">=16 <21", "20", True),
        ("<23", "22", False),
        ("16 - 24", NODE_DEFAULT, False),
        ("lts/*", NODE_DEFAULT, False),
        ("lts/krypton", "24", False),
        ("Jod", "22", False),
        ("node", NODE_DEFAULT, False),
        ("*", NODE_DEFAULT, False),
        ("14", "22", True),
        ("99", "24", True),
        ("", NODE_DEFAULT, False),
        ("what?", NODE_DEFAULT, True),
        ("lts/nothing", NODE_DEFAULT, True),
    ],
)
def test_node(text: str, tag: str, warns: bool) -> None:
    found = resolve_node(text)
    assert (found.tag, found.warning is not None) == (tag, warns)


@pytest.mark.parametrize(
    ("text", "tag", "warns"),
    [
        ("3.12", "3.12", False),
        ("3.12.4", "3.12", False),
        ("python-3.11.9", "3.11", False),
        (">=3.8", PYTHON_DEFAULT, False),
        (">=3.9,<3.12", "3.11", False),
        (">=3.14", "3.14", False),
        ("^3.9", PYTHON_DEFAULT, False),
        ("~=3.10", PYTHON_DEFAULT, False),
        ("~=3.11.2", "3.11", False),
        ("~3.12", "3.12", False),
        ("==3.11.*", "3.11", False),
        (">=3.8,!=3.13.*", "3.14", False),
        (">=3.12.1,<3.13", "3.12", False),
        ("<=3.12", "3.12", False),
        ("3.9", "3.9", True),
        ("3.6.1", "3.11", True),
        ("2.7", "3.11", True),
        ("3.99", "3.14", True),
        ("three", PYTHON_DEFAULT, True),
    ],
)
def test_python(text: str, tag: str, warns: bool) -> None:
    found = resolve_python(text)
    assert (found.tag, found.warning is not None) == (tag, warns)


def test_the_table_is_in_order() -> None:
    for table, default in ((NODE, NODE_DEFAULT), (PYTHON, PYTHON_DEFAULT)):
        assert sorted(table, key=lambda row: row.number) == list(table)
        assert sorted(row.ends for row in table) == [row.ends for row in table]
        assert default in {row.tag for row in table if not row.ended}


def test_ranges_keep_every_line_that_fits() -> None:
    def tags(text: str, table: tuple[Release, ...], *, python: bool = False) -> list[str]:
        return [row.tag for row in matching(text, table, python=python)]

    assert tags(">=20.11 <24", NODE) == ["20", "22"]
    assert tags("20.11.1", NODE) == ["20"]
    assert tags(">=3.10,<3.13", PYTHON, python=True) == ["3.10", "3.11", "3.12"]
    assert tags(">3.11", PYTHON, python=True)[-1] == "3.14"


NODE_FILES = {"package.json": package({"express": "4"}, engines={"node": "24"}), "server.js": EXPRESS_SERVER}
PYTHON_FILES = {"requirements.txt": "flask\n", "app.py": FLASK_APP}


@pytest.mark.parametrize(
    ("files", "version", "path", "line"),
    [
        (NODE_FILES, "24", "package.json", 8),
        ({**NODE_FILES, ".nvmrc": "\n# ours\nv22\n"}, "22", ".nvmrc", 3),
        ({**NODE_FILES, ".node-version": "22\n"}, "22", ".node-version", 1),
        ({**NODE_FILES, "package.json": package({"express": "4"}, volta={"node": "22.1.0"})}, "22", "package.json", 8),
        (
            {**NODE_FILES, "package.json": package({"express": "4"}), ".tool-versions": "ruby 3\nnodejs 24.1 # x\n"},
            "24",
            ".tool-versions",
            2,
        ),
        (
            {**NODE_FILES, "package.json": package({"express": "4"}), "mise.toml": "[tools]\nnode = ['24', '22']\n"},
            "24",
            "mise.toml",
            2,
        ),
        ({**PYTHON_FILES, ".python-version": "3.12"}, "3.12", ".python-version", 1),
        ({**PYTHON_FILES, "runtime.txt": "python-3.12.1\n"}, "3.12", "runtime.txt", 1),
        ({**PYTHON_FILES, ".tool-versions": "python 3.11.4\n"}, "3.11", ".tool-versions", 1),
        ({**PYTHON_FILES, ".mise.toml": "[tools.python]\nversion = '3.12'\n"}, "3.12", ".mise.toml", 2),
        ({**PYTHON_FILES, "pyproject.toml": "[project]\nrequires-python = '~=3.12.0'\n"}, "3.12", "pyproject.toml", 2),
    ],
)
def test_says_which_file_asks(files: dict[str, str], version: str, path: str, line: int) -> None:
    found = detect(Repository.from_files(dict(files)))
    assert found.language_version == version
    assert any((item.path, item.line) == (path, line) for item in found.evidence)


def test_versions_are_chosen_among_the_images_that_can_be_had() -> None:
    images = {"python:3.11-slim", "node:20-slim", "node:24-slim", "nginx:stable"}
    assert resolve_python("", images).tag == "3.11"
    assert resolve_python(">=3.9", images) == resolve_python("3.11", images)
    assert resolve_python("3.13", images).warning == "Python 3.13 has no supported image here; 3.11 is used instead"
    assert resolve_node("", images).tag == "24"
    assert resolve_node(">=18", images).tag == "24"
    assert resolve_node("", {"python:3.11-slim"}).tag == NODE_DEFAULT
    found = detect(Repository.from_files(dict(PYTHON_FILES)), images=images)
    assert found.language_version == "3.11"
    below = detect(Repository.from_files({f"web/{path}": text for path, text in PYTHON_FILES.items()}), images=images)
    assert (below.root, below.language_version) == ("web", "3.11")
