"""Writes Dockerfile lines so that nothing from a repository can become an instruction.

The rules are those of https://docs.docker.com/reference/dockerfile/: in ``ENV``, ``LABEL``, ``COPY`` and ``WORKDIR``
the builder expands ``$``, in ``RUN``, ``CMD`` and ``HEALTHCHECK`` not, and every instruction ends with its line.
Only the front end's 1.2 features are used: no here-documents, no ``COPY --link``, literal ids of cache mounts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

_PLAIN_PATH = re.compile(r"/?[A-Za-z0-9_.][A-Za-z0-9_./@+-]*")
_PLAIN_COMMAND = re.compile(r"[A-Za-z0-9_ ./:=@,+&-]+")
_OPERATOR = re.compile(r"[;&|<>()`$\"'\\\n#*?\[\]{}!~%]")


def comment(text: str) -> str:
    """A comment of one line."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return f"# {clean}".rstrip("\\")  # the last character must never continue the line


def quoted(value: str) -> str:
    """A value of ``ENV`` or ``LABEL`` in double quotes, without expansion."""
    clean = "".join(char if char.isprintable() else " " for char in value)
    return '"' + re.sub(r'([\\"$])', r"\\\1", clean) + '"'


def words(parts: Iterable[str]) -> str:
    """The exec form: a JSON array of words."""
    return "[" + ", ".join(json.dumps(_clean(part)) for part in parts) + "]"


def _clean(text: str) -> str:
    """Without NUL and lone surrogates, which neither JSON nor a process can carry."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def copy(sources: Sequence[str], target: str, *, options: str = "") -> str:
    """``COPY``; names that the builder would read as patterns, variables or options are written so that it does not."""
    flags = f"{options} " if options else ""
    paths = [*sources, target]
    if all(_PLAIN_PATH.fullmatch(path) for path in paths):
        return f"COPY {flags}{' '.join(paths)}"
    escaped = [re.sub(r"([*?\[\]\\])", r"\\\1", source) for source in sources]
    return f"COPY {flags}{words(part.replace('$', chr(92) + '$') for part in [*escaped, target])}"


def path(text: str) -> str:
    """A path for ``WORKDIR``, without expansion."""
    return text if _PLAIN_PATH.fullmatch(text) else quoted(text)


def plain_path(text: str) -> bool:
    """Whether a relative path means the same to every reader of patterns, and stays inside."""
    return text not in ("", ".") and all(char.isalnum() or char in "./_-" for char in text) and ".." not in text


def run(command: str, mounts: Sequence[str] = ()) -> str:
    """``RUN`` with its mounts on lines of their own. A command that is not plain is given to the shell as one word."""
    options = "".join(f"--mount={mount} \\\n    " for mount in mounts)
    if _PLAIN_COMMAND.fullmatch(command):
        return f"RUN {options}{command}"
    return f"RUN {options}{words(['/bin/sh', '-c', command])}"


def shell(command: str, mounts: Sequence[str] = ()) -> str:
    """``RUN`` with shell text that we wrote ourselves: nothing of it comes from a repository."""
    options = "".join(f"--mount={mount} \\\n    " for mount in mounts)
    return f"RUN {options}{command}"


def needs_shell(start: str) -> bool:
    """Whether a start command is more than a program and its words."""
    text = _clean(start).strip()
    return bool(_OPERATOR.search(text) or re.match(r"\s*(?:\w+=|cd\s|exec\s|source\s|\.\s|export\s|set\s)", text))


def command(start: str) -> str:
    """``CMD`` in exec form, so that signals reach the application: a shell that is needed gives its place to it."""
    text = _clean(start).strip()
    if not needs_shell(start):
        return f"CMD {words(text.split())}"
    return f"CMD {words(['/bin/sh', '-c', with_exec(text)])}"


def with_exec(text: str) -> str:
    """``exec`` before the last command of a chain of ``&&``, so that it takes the shell's place as process 1.

    Left as it is where that would change the meaning: pipes, lists, background jobs, subshells, several lines.
    """
    last = max((match.end() for match in re.finditer(r"&&", _outside_quotes(text))), default=0)
    rest = text[last:].strip()
    plain = _outside_quotes(rest)
    if not rest or re.search(r"[;|&()\n`<>]|\$\(", plain):
        return text
    if re.match(
        r"(?:exec|cd|export|set|source|\.|if|for|while|until|case|!|\{|:|true|false|exit|wait|trap|eval)(?:\s|$)", rest
    ):
        return text
    assigned = re.match(r"\w+=", rest)
    return f"{text[:last]} exec {'env ' if assigned else ''}{rest}".strip()


def _outside_quotes(text: str) -> str:
    """The text with what stands in quotes, or behind a backslash, as blanks, so that places stay the same."""
    pattern = r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\."
    return re.sub(pattern, lambda match: "x" * len(match[0]), text, flags=re.DOTALL)
