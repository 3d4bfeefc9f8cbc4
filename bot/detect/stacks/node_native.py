"""Debian packages that packages of npm ask for: to be compiled with, and to be loaded with.

Most native packages bring a built file for glibc along; those that compile, or that call a program, stand here.
"""

from __future__ import annotations

import re

from bot.detect.stacks.node_package import Package

_COMPILER = ("g++", "make", "python3")
_CHROMIUM = ("chromium", "fonts-liberation")
# package of npm: (Debian packages to build with, Debian packages at run time)
_NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "node-sass": (_COMPILER, ()),
    "pg-native": ((*_COMPILER, "libpq-dev"), ("libpq5",)),
    "libpq": ((*_COMPILER, "libpq-dev"), ("libpq5",)),
    "isolated-vm": (_COMPILER, ()),
    "node-rdkafka": ((*_COMPILER, "libssl-dev", "zlib1g-dev"), ()),
    "kerberos": (("libkrb5-dev",), ("libgssapi-krb5-2",)),
    "odbc": ((*_COMPILER, "unixodbc-dev"), ("unixodbc",)),
    "usb": (("libudev-dev",), ("libudev1",)),
    "bcrypt-nodejs": ((), ()),
    "integer": (_COMPILER, ()),
    "iconv": (_COMPILER, ()),
    "microtime": (_COMPILER, ()),
    "hiredis": (_COMPILER, ()),
    "deasync": (_COMPILER, ()),
    "node-pty": (_COMPILER, ()),
    "robotjs": ((*_COMPILER, "libxtst-dev", "libpng-dev"), ("libxtst6",)),
    "sodium": ((*_COMPILER, "autoconf", "automake", "libtool"), ()),
    "mmmagic": (_COMPILER, ()),
    "gm": ((), ("graphicsmagick",)),
    "imagemagick": ((), ("imagemagick",)),
    "easyimage": ((), ("imagemagick",)),
    "pdf2pic": ((), ("ghostscript", "graphicsmagick")),
    "pdf-poppler": ((), ("poppler-utils",)),
    "node-poppler": ((), ("poppler-utils",)),
    "fluent-ffmpeg": ((), ("ffmpeg",)),
    "node-tesseract-ocr": ((), ("tesseract-ocr",)),
    "node-libcurl": ((), ("libcurl4",)),
    "puppeteer": ((), _CHROMIUM),
    "puppeteer-core": ((), _CHROMIUM),
    "simple-git": ((), ("ca-certificates", "git")),
}
_BRINGS = {"fluent-ffmpeg": ("ffmpeg-static", "@ffmpeg-installer/ffmpeg"), "puppeteer-core": ("@sparticuz/chromium",)}
# the browser of Debian instead of one that is downloaded while packages are installed
CHROMIUM = (("PUPPETEER_SKIP_DOWNLOAD", "true"), ("PUPPETEER_EXECUTABLE_PATH", "/usr/bin/chromium"))
_GIT = re.compile(r"git(\+|:|@)|(github|gitlab|bitbucket):|[\w-]+/[\w.-]+(#.*)?$|https?://[^/]+/.+\.git(#|$)")


def uses_prisma(package: Package) -> bool:
    """Whether a client has to be generated."""
    return "@prisma/client" in package.all or "prisma" in package.all


def needed(root: Package, package: Package) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Debian packages to build with, and those at run time."""
    build: set[str] = set()
    run: set[str] = set()
    everything = root.all | package.all
    for name in everything.keys() & _NEEDS.keys():
        if any(other in everything for other in _BRINGS.get(name, ())):
            continue
        build.update(_NEEDS[name][0])
        if name in package.dependencies:
            run.update(_NEEDS[name][1])
    if any(_GIT.match(version) for version in everything.values()):
        build |= {"ca-certificates", "git"}
    if uses_prisma(package) or uses_prisma(root):
        build.add("openssl")  # the generator looks for its version
        run.add("openssl")
    return tuple(sorted(build)), tuple(sorted(run))


def browser(package: Package) -> tuple[tuple[str, str], ...]:
    """Variables that point Puppeteer at the browser of the image."""
    return CHROMIUM if "puppeteer" in package.dependencies or "puppeteer-core" in package.dependencies else ()
