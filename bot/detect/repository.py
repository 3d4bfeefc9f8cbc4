"""A read-only, bounded view of a repository's files: the only thing that detection looks at.

Nothing below it touches the disk. What it lists and reads is limited, links never lead outside, and odd encodings are
read as text, so that the code above needs no precautions of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import PurePosixPath

MAX_FILES = 200_000
MAX_DEPTH = 16
MAX_READ = 1_000_000  # bytes; nothing larger is read, so nothing larger is parsed
MAX_TOTAL_READ = 32_000_000

# folders that never hold an application's own source; `vendor` and `target` may, so stacks judge those themselves
IGNORED_FOLDERS = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        "node_modules",
        "bower_components",
        "jspm_packages",
        ".venv",
        "venv",
        "virtualenv",
        ".tox",
        ".nox",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".next",
        ".nuxt",
        ".svelte-kit",
        ".turbo",
        ".parcel-cache",
        ".yarn/cache",
        ".pnpm-store",
        ".gradle",
        ".idea",
        ".vscode",
        ".eggs",
        "site-packages",
        ".terraform",
        ".cache",
    ]
)


_ENVIRONMENT = "pyvenv.cfg"  # marks a virtual environment, whatever its folder is called


class _Disk:
    """Reads files below a folder of the machine; links may point only inside of it."""

    def __init__(self, top: str) -> None:
        self.top = os.path.realpath(top)

    def inside(self, path: str) -> str | None:
        """The real path of a file or link, or None when it leads outside or nowhere."""
        try:
            real = os.path.realpath(os.path.join(self.top, path), strict=True)
        except (OSError, ValueError):
            return None
        return real if real == self.top or real.startswith(self.top.rstrip("/") + "/") else None

    def read(self, path: str) -> bytes | None:
        real = self.inside(path)
        if real is None:
            return None
        try:
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_READ:
                return None
            try:
                content = file.read(MAX_READ + 1)
            except OSError:
                return None
        return content if len(content) <= MAX_READ else None

    def listing(self, max_files: int, max_depth: int) -> tuple[list[str], bool]:
        """All files, the shallow ones first, and whether the bounds cut the list short."""
        files: list[str] = []
        level = [""]
        for _ in range(max_depth):
            below: list[str] = []
            for folder in level:
                names, folders = self._scan(folder, max_files - len(files))
                files.extend(names)
                below.extend(folders)
                if len(files) >= max_files:
                    return files, True
            if not below:
                return files, False
            level = below
        return files, True

    def _scan(self, folder: str, room: int) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        prefix = folder + "/" if folder else ""
        try:
            entries = os.scandir(os.path.join(self.top, folder))
        except OSError:
            return files, folders
        with entries:
            for entry in entries:
                path = prefix + entry.name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in IGNORED_FOLDERS and path not in IGNORED_FOLDERS:
                            folders.append(path)
                    elif entry.is_file() and (not entry.is_symlink() or self.inside(path) is not None):
                        files.append(path)
                except OSError:
                    continue
                # a folder with millions of entries must not be held in memory; which ones are kept does not matter then
                if len(files) >= room or len(folders) >= room:
                    break
        if folder and prefix + _ENVIRONMENT in files:
            return [], []
        files.sort()
        folders.sort()
        return files, folders


class _Memory:
    """Files held in a dict: tests, and uploads that were never written to disk."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = {
            str(PurePosixPath(path)): content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
            for path, content in files.items()
        }

    def read(self, path: str) -> bytes | None:
        content = self.files.get(path)
        return content if content is not None and len(content) <= MAX_READ else None

    def listing(self, max_files: int, max_depth: int) -> tuple[list[str], bool]:
        skipped = tuple(path[: -len(_ENVIRONMENT)] for path in self.files if path.endswith("/" + _ENVIRONMENT))
        kept = [
            path
            for path in self.files
            if not (skipped and path.startswith(skipped))
            and not path.startswith(("/", "../"))
            and path.count("/") < max_depth
            and not _ignored(path)
        ]
        kept.sort(key=lambda path: (path.count("/"), path))
        return kept[:max_files], len(kept) > max_files


def _ignored(path: str) -> bool:
    folders = path.split("/")[:-1]
    return any(folder in IGNORED_FOLDERS for folder in folders) or path.startswith(".yarn/cache/")


def decode(content: bytes) -> str | None:
    """Text in UTF-8 or UTF-16, with or without byte order mark, with LF line ends; None for binary content."""
    if content.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        text = content.decode("utf-32", "replace")
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    elif b"\x00" in content:
        sample = content[:2000]
        even, odd = sample[0::2].count(0), sample[1::2].count(0)
        if max(even, odd) < 0.3 * len(sample[0::2]) or min(even, odd) > 0.05 * len(sample[0::2]):
            return None
        text = content.decode("utf-16-le" if odd > even else "utf-16-be", "replace")
    else:
        text = content.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Repository:
    """The files below one folder of a repository. Paths are relative to it, with ``/``, and never start with one."""

    def __init__(
        self, source: _Disk | _Memory, files: Iterable[str], *, truncated: bool, root: str, budget: list[int]
    ) -> None:
        self._source = source
        self._all = tuple(files)
        self._budget = budget
        self._texts: dict[str, str | None] = {}
        self.truncated = truncated
        self.root = root  # "" for the repository itself, otherwise a folder such as "apps/web"

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str], root: str = "") -> Repository:
        """The files of a checkout. ``root`` is a folder inside of it; raises ValueError when it leads outside."""
        source = _Disk(os.fspath(path))
        files, truncated = source.listing(MAX_FILES, MAX_DEPTH)
        return cls(source, files, truncated=truncated, root="", budget=[MAX_TOTAL_READ]).at(root)

    @classmethod
    def from_files(cls, files: Mapping[str, str | bytes], root: str = "") -> Repository:
        """The same view of a dict of paths to contents."""
        source = _Memory(files)
        kept, truncated = source.listing(MAX_FILES, MAX_DEPTH)
        return cls(source, kept, truncated=truncated, root="", budget=[MAX_TOTAL_READ]).at(root)

    def at(self, root: str) -> Repository:
        """The view of a folder of the whole repository, not of this view's. Raises ValueError when it leads out."""
        clean = clean_path(root)
        if clean == self.root:
            return self
        return Repository(self._source, self._all, truncated=self.truncated, root=clean, budget=self._budget)

    def full(self, path: str) -> str:
        """The path relative to the whole repository, for people."""
        return f"{self.root}/{path}" if self.root else path

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Every file, sorted by depth, then by name."""
        prefix = self.root + "/" if self.root else ""
        below = (path[len(prefix) :] for path in self._all if path.startswith(prefix))
        return tuple(sorted(below, key=lambda path: (path.count("/"), path)))

    @cached_property
    def _set(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def _by_name(self) -> dict[str, tuple[str, ...]]:
        names: dict[str, list[str]] = {}
        for path in self.files:
            names.setdefault(path.rsplit("/", 1)[-1], []).append(path)
        return {name: tuple(paths) for name, paths in names.items()}

    @cached_property
    def _by_folder(self) -> dict[str, tuple[str, ...]]:
        folders: dict[str, list[str]] = {}
        for path in self.files:
            folders.setdefault(path.rpartition("/")[0], []).append(path)
        return {folder: tuple(paths) for folder, paths in folders.items()}

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that holds a file, directly or below."""
        found: set[str] = set()
        for folder in self._by_folder:
            above = folder
            while above and above not in found:
                found.add(above)
                above = above.rpartition("/")[0]
        return frozenset(found)

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self._set

    def first(self, paths: Iterable[str]) -> str | None:
        """The first of the paths that exists."""
        return next((path for path in paths if path in self._set), None)

    def named(self, name: str, depth: int = MAX_DEPTH) -> tuple[str, ...]:
        """Every file of that name at most so many folders deep (0 is the root), shallow ones first."""
        return tuple(path for path in self._by_name.get(name, ()) if path.count("/") <= depth)

    def inside(self, folder: str) -> tuple[str, ...]:
        """The files directly in a folder ("" is the root)."""
        return self._by_folder.get(folder, ())

    def read_bytes(self, path: str) -> bytes | None:
        """Content of a listed file; None when missing, larger than 1 MB, or the total reading budget is used up."""
        if path not in self._set or self._budget[0] <= 0:
            return None
        content = self._source.read(self.full(path))
        if content is not None:
            self._budget[0] -= len(content)
        return content

    def read_text(self, path: str) -> str | None:
        """Text with LF line ends; None when the file is missing, binary or too large."""
        if path not in self._texts:
            content = self.read_bytes(path)
            self._texts[path] = None if content is None else decode(content)
        return self._texts[path]


def clean_path(path: str) -> str:
    """A folder inside the repository as ``a/b``, "" for the repository itself. Raises ValueError for anything else."""
    text = path.strip()
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or any(ord(char) < 32 for char in text) or "\\" in text:
        raise ValueError(f"{path!r} is not a folder inside the repository")
    return "/".join(parts)
