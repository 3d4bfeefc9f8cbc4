"""A base image for tests that need no stack: busybox (sh, httpd, nc …) in 2 MB. Made once per machine and kept."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

BUSYBOX = "berth.test/busybox:1"


def ensure_busybox() -> str:
    """The image's name; it has the user ``app`` (1000). Needs the Docker Engine, and apt-get where it is missing."""
    if not _docker("images", "-q", "--filter", "label=berth.test=busybox", BUSYBOX):
        with tempfile.TemporaryDirectory() as folder:
            tree = _image_of(_static_busybox(Path(folder)))
        changes = ['CMD ["sh"]', "ENV PATH=/bin", "LABEL berth.test=busybox"]
        options = [part for change in changes for part in ("--change", change)]
        _docker("import", *options, "-", BUSYBOX, stdin=tree)
    return BUSYBOX


def _docker(*arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, input=stdin)
    return done.stdout.decode().strip()


def _static_busybox(folder: Path) -> Path:
    """The program of Debian's busybox-static, without installing the package."""
    subprocess.run(["apt-get", "download", "-q", "busybox-static"], cwd=folder, check=True, capture_output=True)
    package = next(folder.glob("*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), "tree"], cwd=folder, check=True, capture_output=True)
    return next(path for path in (folder / "tree/bin/busybox", folder / "tree/usr/bin/busybox") if path.exists())


def _image_of(busybox: Path) -> bytes:
    names = subprocess.run([str(busybox), "--list"], check=True, capture_output=True, text=True).stdout.split()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for name, data, mode in (
            ("bin/busybox", busybox.read_bytes(), 0o755),
            ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n", 0o644),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
        for name in names:
            if name != "busybox":
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
    return content.getvalue()
