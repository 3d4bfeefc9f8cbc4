"""Packages of a program without a manifest, from what it imports.

Only names that are known stand here: a package is never guessed from the name of a module, because anybody may own it.
"""

from __future__ import annotations

import ast
import posixpath
import sys

from bot.detect.stacks.python_source import Sources

# module -> requirement; a release line that the code of today was written for
KNOWN: dict[str, str] = {
    "flask": "flask~=3.0",
    "flask_cors": "flask-cors~=5.0",
    "flask_login": "flask-login~=0.6",
    "flask_migrate": "flask-migrate~=4.0",
    "flask_restful": "flask-restful~=0.3",
    "flask_socketio": "flask-socketio~=5.3",
    "flask_sqlalchemy": "flask-sqlalchemy~=3.1",
    "flask_wtf": "flask-wtf~=1.2",
    "django": "django~=5.2",
    "rest_framework": "djangorestframework~=3.15",
    "corsheaders": "django-cors-headers~=4.4",
    "whitenoise": "whitenoise~=6.7",
    "environ": "django-environ~=0.11",
    "decouple": "python-decouple~=3.8",
    "dj_database_url": "dj-database-url~=2.2",
    "fastapi": "fastapi~=0.115",
    "starlette": "starlette~=0.41",
    "litestar": "litestar~=2.12",
    "falcon": "falcon~=4.0",
    "bottle": "bottle~=0.13",
    "sanic": "sanic~=24.12",
    "tornado": "tornado~=6.4",
    "aiohttp": "aiohttp~=3.10",
    "pyramid": "pyramid~=2.0",
    "streamlit": "streamlit~=1.39",
    "gradio": "gradio~=5.0",
    "fasthtml": "python-fasthtml~=0.12",
    "quart": "quart~=0.20",
    "dash": "dash~=2.18",
    "nicegui": "nicegui~=2.5",
    "uvicorn": "uvicorn~=0.32",
    "waitress": "waitress~=3.0",
    "gunicorn": "gunicorn~=23.0",
    "werkzeug": "werkzeug~=3.0",
    "jinja2": "jinja2~=3.1",
    "markdown": "markdown~=3.7",
    "itsdangerous": "itsdangerous~=2.2",
    "pydantic": "pydantic~=2.9",
    "pydantic_settings": "pydantic-settings~=2.6",
    "dotenv": "python-dotenv~=1.0",
    "requests": "requests~=2.32",
    "httpx": "httpx~=0.27",
    "aiofiles": "aiofiles~=24.1",
    "yaml": "pyyaml~=6.0",
    "bs4": "beautifulsoup4~=4.12",
    "lxml": "lxml~=5.3",
    "PIL": "pillow~=11.0",
    "cv2": "opencv-python-headless~=4.10",
    "numpy": "numpy~=2.1",
    "pandas": "pandas~=2.2",
    "matplotlib": "matplotlib~=3.9",
    "plotly": "plotly~=5.24",
    "altair": "altair~=5.4",
    "sklearn": "scikit-learn~=1.5",
    "scipy": "scipy~=1.14",
    "sqlalchemy": "sqlalchemy~=2.0",
    "psycopg2": "psycopg2-binary~=2.9",
    "psycopg": "psycopg[binary]~=3.2",
    "pymysql": "pymysql~=1.1",
    "pymongo": "pymongo~=4.10",
    "redis": "redis~=5.2",
    "celery": "celery~=5.4",
    "jwt": "pyjwt~=2.9",
    "bcrypt": "bcrypt~=4.2",
    "openai": "openai~=1.54",
    "discord": "discord.py~=2.4",
    "telegram": "python-telegram-bot~=21.7",
    "telebot": "pytelegrambotapi~=4.24",
    "aiogram": "aiogram~=3.14",
    "slack_bolt": "slack-bolt~=1.21",
}
_MOST = 20  # files that are followed


def imported_packages(sources: Sources, first: list[str]) -> tuple[dict[str, str], list[str]]:
    """Requirements of the files and of what they import of this repository; and modules that nobody knows here."""
    wanted: dict[str, str] = {}
    unknown: dict[str, None] = {}
    waiting, seen = list(first), set(first)
    while waiting and len(seen) < _MOST:
        path = waiting.pop(0)
        module = sources.module(path)
        for name in _tops(module.nodes) if module else ():
            local = _local(sources, path, name)
            if local:
                waiting += [local] if local not in seen else []
                seen.add(local)
            elif name in KNOWN:
                wanted.setdefault(name, KNOWN[name])
            elif name.split(".")[0] not in sys.stdlib_module_names:
                unknown.setdefault(name)
    return dict(sorted(wanted.items())), list(unknown)


def _tops(nodes: tuple[ast.AST, ...]) -> list[str]:
    found: dict[str, None] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update((alias.name.split(".")[0], None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.setdefault(node.module.split(".")[0])
    return list(found)


def _local(sources: Sources, path: str, name: str) -> str | None:
    folder = posixpath.dirname(path)
    scan = sources.scan
    for where in dict.fromkeys((folder, "", "src")):
        base = f"{where}/{name}" if where else name
        if found := scan.repository.first((f"{base}.py", f"{base}/__init__.py")):
            return found
        if base in scan.repository.folders:
            return f"{base}/"  # a package without __init__.py: ours, whatever is in it
    return None
