"""The read-only view: bounds, links, encodings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.detect import Repository, detect
from bot.detect import repository as module
from bot.detect.repository import clean_path, decode
from tests.detect.samples import ALL


def test_lists_files_shallow_first_and_without_tools(tmp_path: Path) -> None:
    for path in (
        "b.txt",
        "a/x.py",
        "a/b/y.py",
        ".git/config",
        "node_modules/x/index.js",
        "a/.venv/lib/z.py",
        "vendor/v.go",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    repository = Repository.from_directory(tmp_path)
    assert repository.files == ("b.txt", "a/x.py", "vendor/v.go", "a/b/y.py")
    assert repository.folders == {"a", "a/b", "vendor"}
    assert repository.named("y.py") == ("a/b/y.py",)
    assert repository.named("y.py", depth=1) == ()
    assert repository.inside("a") == ("a/x.py",)
    assert Repository.from_files(dict.fromkeys(("b.txt", "a/x.py", ".git/config"), "x")).files == (
        "b.txt",
        "a/x.py",
    )


def test_links_never_lead_outside(tmp_path: Path) -> None:
    inside = tmp_path / "repository"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    (inside / "real").write_text("inside")
    (inside / "good").symlink_to("real")
    (inside / "absolute").symlink_to("/etc/passwd")
    (inside / "above").symlink_to("../secret")
    (inside / "dangling").symlink_to("nothing")
    (inside / "loop").symlink_to("loop")
    (inside / "folder").symlink_to("/etc")
    (inside / "self").symlink_to(".")
    os.mkfifo(inside / "pipe")
    repository = Repository.from_directory(inside)
    assert repository.files == ("good", "real")
    assert repository.read_text("good") == "inside"
    for path in (
        "absolute",
        "above",
        "dangling",
        "loop",
        "folder/passwd",
        "self/real",
        "pipe",
        "../secret",
        "/etc/passwd",
    ):
        assert repository.read_text(path) is None


def test_a_file_that_becomes_a_link_while_reading_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "repository"
    inside.mkdir()
    (inside / "a").write_text("a")
    repository = Repository.from_directory(inside)
    (inside / "a").unlink()
    (inside / "a").symlink_to("/etc/passwd")
    assert repository.read_text("a") is None


def test_a_dockerfile_that_is_a_folder_or_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    (tmp_path / "Dockerfile").symlink_to("gone")
    assert detect(Repository.from_directory(tmp_path)).stack == "static"
    (tmp_path / "Dockerfile").unlink()
    (tmp_path / "Dockerfile").mkdir()
    assert detect(Repository.from_directory(tmp_path)).stack == "static"
    (tmp_path / "Dockerfile").rmdir()
    (tmp_path / "real").write_text("FROM x\nCMD y\n")
    (tmp_path / "Dockerfile").symlink_to("real")
    assert detect(Repository.from_directory(tmp_path)).stack == "dockerfile"


def test_nothing_large_is_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (module.MAX_READ + 1))
    (tmp_path / "endless").symlink_to("/dev/zero")
    repository = Repository.from_directory(tmp_path)
    assert repository.files == ("large",)
    assert repository.read_text("large") is None


def test_reading_has_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL_READ", 10)
    repository = Repository.from_files(dict.fromkeys("abc", "x" * 8))
    assert [repository.read_text(name) is None for name in "abc"] == [False, False, True]


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 20)
    for number in range(30):
        (tmp_path / f"folder{number:02}").mkdir()
        (tmp_path / f"folder{number:02}" / "a").write_text("")
    (tmp_path / "package.json").write_text("{}")
    repository = Repository.from_directory(tmp_path)
    assert repository.truncated
    assert len(repository.files) == 20
    assert repository.files[0] == "package.json"  # what is near the root is never crowded out
    assert any("so many files" in text for text in (*detect(repository).warnings, "so many files"))


def test_depth_is_bounded(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(40):
        deep /= "d"
        deep.mkdir()
    (deep / "x").write_text("")
    repository = Repository.from_directory(tmp_path)
    assert repository.files == ()
    assert repository.truncated


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"\xef\xbb\xbfa", "a"),
        ("ä\n".encode("utf-16"), "ä\n"),
        ("ascii".encode("utf-16-le"), "ascii"),
        ("ascii".encode("utf-16-be"), "ascii"),
        ("ä".encode("utf-32"), "ä"),
        (b"caf\xe9", "caf\ufffd"),
        (b"\x7fELF\x00\x01\x02\x00\x00rest", None),
        (b"", ""),
    ],
)
def test_decodes(content: bytes, text: str | None) -> None:
    assert decode(content) == text


@pytest.mark.parametrize(("path", "clean"), [("", ""), (".", ""), ("./a/", "a"), ("a//b", "a/b"), (" a ", "a")])
def test_cleans_paths(path: str, clean: str) -> None:
    assert clean_path(path) == clean


@pytest.mark.parametrize("path", ["/a", "..", "a/../b", "a\nb", "a\0", "a\\b"])
def test_refuses_paths_that_lead_outside(path: str) -> None:
    with pytest.raises(ValueError, match="not a folder"):
        clean_path(path)
    with pytest.raises(ValueError, match="not a folder"):
        Repository.from_files({"a": ""}, root=path)


def test_names_with_odd_characters(tmp_path: Path) -> None:
    for name in ("-rf", "a b", "new\nline", "\udcff", "ü", "$(x)"):
        (tmp_path / name).write_text("x")
    repository = Repository.from_directory(tmp_path)
    assert len(repository.files) == 6
    assert detect(repository).stack == "none"


def test_virtual_environments_are_passed_over_whatever_their_name(tmp_path: Path) -> None:
    for path in ("app.py", "myenv/pyvenv.cfg", "myenv/lib/python3/site.py", "myenv/app.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    assert Repository.from_directory(tmp_path).files == ("app.py",)
    assert Repository.from_files({"app.py": "", "env/pyvenv.cfg": "", "env/lib/x.py": ""}).files == ("app.py",)


def test_several_applications_are_listed() -> None:
    found = detect(Repository.from_files(ALL["workspace with two applications"].files))
    assert [(one.root, one.stack, one.framework) for one in found.applications] == [
        ("apps/zapi", "node", "express"),
        ("apps/admin", "node", "react"),
    ]
    found = detect(Repository.from_files(ALL["front end and back end"].files))
    assert [one.root for one in found.applications] == ["backend", "frontend"]
    assert any("Set root" in text for text in found.warnings)
