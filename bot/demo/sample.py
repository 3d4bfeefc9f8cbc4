"""The application of the demo: a small Flask service, and the three commits of its short life."""

from __future__ import annotations

from dataclasses import dataclass

NAME = "demo-app"

_APP = """\
from flask import Flask

app = Flask(__name__)
GREETING = "{greeting}"


@app.get("/")
def home() -> str:
    return GREETING + "\\n"
"""
_FAULT = """

import os

DATABASE = os.environ["DATABASE_URL"]  # nobody has set it
"""


@dataclass(frozen=True)
class Commit:
    """A commit of the application. ``answer`` is what it says to a visitor; empty when it does not even start."""

    message: str
    files: dict[str, str]
    answer: str = ""


FIRST = Commit(
    message="A small Flask application",
    files={
        ".python-version": "3.11\n",
        "requirements.txt": "flask==3.1.3\ngunicorn==23.0.0\n",
        "app.py": _APP.format(greeting="Hello from Berth."),
    },
    answer="Hello from Berth.",
)
SECOND = Commit(
    message="Greet in another way",
    files={"app.py": _APP.format(greeting="Hello again, and nobody noticed the change.")},
    answer="Hello again, and nobody noticed the change.",
)
THIRD = Commit(
    message="Read the address of the database",
    files={"app.py": _APP.format(greeting="Hello from the database.") + _FAULT},
)
