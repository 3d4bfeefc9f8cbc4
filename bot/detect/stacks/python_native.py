"""Debian packages that Python packages want.

Names that the Debian releases of the official images share: where a library's package was renamed (``libmagic1t64``),
a small program that depends on it stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.detect.parse import Requirement

_C = ("gcc", "libc6-dev")
_CPP = ("g++", "libc6-dev", "make")

# what has no wheel, or loads a library or a program at run time: name -> (to build, to run)
NATIVE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "psycopg2": ((*_C, "libpq-dev"), ("libpq5",)),
    "psycopg": ((), ("libpq5",)),
    "psycopg-c": ((*_C, "libpq-dev"), ("libpq5",)),
    "mysqlclient": ((*_C, "pkg-config", "default-libmysqlclient-dev"), ("libmariadb3",)),
    "pdf2image": ((), ("poppler-utils",)),
    "pydub": ((), ("ffmpeg",)),
    "moviepy": ((), ("ffmpeg",)),
    "ffmpeg-python": ((), ("ffmpeg",)),
    "openai-whisper": ((), ("ffmpeg",)),
    "yt-dlp": ((), ("ffmpeg",)),
    "python-magic": ((), ("file",)),
    "opencv-python": ((), ("libgl1", "libglib2.0-bin")),
    "opencv-contrib-python": ((), ("libgl1", "libglib2.0-bin")),
    "weasyprint": ((), ("libharfbuzz-subset0", "libpango-1.0-0", "libpangoft2-1.0-0")),
    "cairosvg": ((), ("libcairo2",)),
    "pycairo": ((*_C, "pkg-config", "libcairo2-dev"), ("libcairo2",)),
    "rlpycairo": ((*_C, "pkg-config", "libcairo2-dev"), ("libcairo2",)),
    "xhtml2pdf": ((*_C, "pkg-config", "libcairo2-dev"), ("libcairo2",)),
    "pytesseract": ((), ("tesseract-ocr",)),
    "pyzbar": ((), ("zbar-tools",)),
    "pyaudio": ((*_C, "portaudio19-dev"), ("libportaudio2",)),
    "graphviz": ((), ("graphviz",)),
    "pygraphviz": ((*_C, "pkg-config", "libgraphviz-dev"), ("graphviz",)),
    "pyenchant": ((), ("libenchant-2-2",)),
    "gdal": ((*_CPP, "libgdal-dev"), ("gdal-bin",)),
    "xmlsec": ((*_C, "pkg-config", "libxmlsec1-dev"), ("xmlsec1",)),
    "python3-saml": ((*_C, "pkg-config", "libxmlsec1-dev"), ("xmlsec1",)),
    "pycurl": ((*_C, "libcurl4-openssl-dev", "libssl-dev"), ("curl",)),
    "pyodbc": ((), ("unixodbc",)),
    "uwsgi": (_C, ()),
    "python-ldap": ((*_C, "libldap-dev", "libsasl2-dev"), ("ldap-utils",)),
    "django-auth-ldap": ((*_C, "libldap-dev", "libsasl2-dev"), ("ldap-utils",)),
    "dlib": ((*_CPP, "cmake"), ()),
    "face-recognition": ((*_CPP, "cmake"), ()),
    "pygobject": ((*_C, "pkg-config", "libgirepository1.0-dev", "libcairo2-dev"), ("gir1.2-glib-2.0", "libcairo2")),
    "selenium": ((), ("chromium", "chromium-driver")),
    "pyppeteer": ((), ("chromium",)),
    "gitpython": ((), ("git",)),
    "pypandoc": ((), ("pandoc",)),
}
# another package of the same project brings the library, or needs none
_INSTEAD = {
    "psycopg2": ("psycopg2-binary",),
    "psycopg": ("psycopg-binary",),
    "opencv-python": ("opencv-python-headless",),
}


def native_packages(
    found: Iterable[Requirement], *, git: bool, spatial: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Debian packages to build with, and to run with."""
    build: set[str] = set()
    run: set[str] = set()
    names = {item.name for item in found}
    for item in found:
        # psycopg[binary] brings its own library
        if item.name in NATIVE and "binary" not in item.extras and not names & {*_INSTEAD.get(item.name, ())}:
            build.update(NATIVE[item.name][0])
            run.update(NATIVE[item.name][1])
            if item.name == "psycopg" and "c" in item.extras:
                build.update((*_C, "libpq-dev"))
    if git:
        build.update(("ca-certificates", "git"))
    if spatial:  # of Django, which loads GDAL and GEOS by name
        run.add("gdal-bin")
    return tuple(sorted(build)), tuple(sorted(run))
