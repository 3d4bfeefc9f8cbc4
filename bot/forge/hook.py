"""What runs inside a ``git push`` to the local forge, as git's post-receive hook.

It hands each pushed branch to the server as a GitHub-shaped push delivery, and shows the deployment's progress to
whoever pushed. It never makes a push fail: what the server did not get, it finds out by itself when it compares
branches with deliveries.

Only the standard library and little of it: every push waits for this to start.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time

from bot.source.refs import BRANCH_PREFIX, ZERO_SHA, printable

TYPE_CHECKING = False  # typing's own takes a while to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, BinaryIO

    Facts = Mapping[str, Any]  # the payload's object `repository`

MAX_LINE = 1_000_000  # bytes of the server's answers
MAX_COMMITS = 20  # told of in one delivery
MAX_MESSAGE = 8_000  # characters of a commit message

_STARTED = time.monotonic()
_FIELDS = ("id", "tree_id", "timestamp", "author", "author_email", "committer", "committer_email", "message")
_FORMAT = "%H%x00%T%x00%cI%x00%an%x00%ae%x00%cn%x00%ce%x00%B"


def main() -> None:
    """The hook, as git starts it: in the repository, with lines ``OLD NEW REF`` on standard input."""
    try:
        lines = [os.fsdecode(line).rstrip("\n").split(" ", 2) for line in sys.stdin.buffer]
        deliver_all([(old, new, ref) for old, new, ref in lines])
    except Exception as error:  # the push is done: nothing here may make it look failed
        say(f" !     Berth's hook stumbled ({type(error).__name__}). The push is stored and will be picked up.")


def say(text: str) -> None:
    """A line for the pusher; git puts ``remote: `` before it. Quiet when the pusher has gone."""
    try:
        sys.stdout.write("".join(c if c.isprintable() or c == "\t" else " " for c in text) + "\n")
        sys.stdout.flush()
    except (OSError, UnicodeError):
        return


# --- the delivery


def push_payload(
    facts: Facts, before: str, after: str, ref: str, *, cwd: str = ".", env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A push event as GitHub sends it (https://docs.github.com/webhooks/webhook-events-and-payloads#push).

    ``cwd`` is the bare repository. Not filled in: the lists of changed files.
    """

    def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(("git", *arguments), cwd=cwd, env=env, capture_output=True, timeout=60, check=False)

    commits: list[dict[str, Any]] = []
    head: dict[str, Any] | None = None
    if after != ZERO_SHA:
        # of a new branch only what no other branch has
        known = [before] if before != ZERO_SHA else [f"--exclude={ref.removeprefix('refs/heads/')}", "--branches"]
        log = ("log", "-z", f"--format=tformat:{_FORMAT}")
        commits = _commits(git(*log, f"--max-count={MAX_COMMITS}", after, "--not", *known, "--").stdout, facts)
        newest = commits[:1] if commits else _commits(git(*log, "--max-count=1", after, "--").stdout, facts)
        head = newest[0] if newest else None
    moved = ZERO_SHA not in {before, after}
    person = {"name": "git", "email": ""}
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "created": before == ZERO_SHA,
        "deleted": after == ZERO_SHA,
        "forced": moved and git("merge-base", "--is-ancestor", before, after).returncode != 0,
        "base_ref": None,
        "compare": f"{facts['html_url']}/compare/{before[:12]}...{after[:12]}",
        "commits": commits[::-1],
        "head_commit": head,
        "repository": dict(facts),
        "pusher": {"name": head["committer"]["name"], "email": head["committer"]["email"]} if head else person,
        "sender": {"login": "git", "id": 0, "type": "User"},
    }


def _commits(output: bytes, facts: Facts) -> list[dict[str, Any]]:
    values = output.decode(errors="replace").split("\0")[:-1]
    rows = [values[start : start + len(_FIELDS)] for start in range(0, len(values), len(_FIELDS))]
    return [_commit(dict(zip(_FIELDS, row, strict=True)), facts) for row in rows]


def _commit(row: dict[str, str], facts: Facts) -> dict[str, Any]:
    return {
        "id": row["id"],
        "tree_id": row["tree_id"],
        "distinct": True,
        "message": row["message"].rstrip("\n")[:MAX_MESSAGE],
        "timestamp": row["timestamp"],
        "url": f"{facts['html_url']}/commit/{row['id']}",
        "author": {"name": row["author"][:200], "email": row["author_email"][:200]},
        "committer": {"name": row["committer"][:200], "email": row["committer_email"][:200]},
    }


def signed_headers(secret: str, body: bytes, hook_id: str) -> dict[str, str]:
    """The headers of a push delivery with a new id."""
    number = os.urandom(16).hex()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Berth-Hook",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": "-".join((number[:8], number[8:12], number[12:16], number[16:20], number[20:])),
        "X-GitHub-Hook-ID": hook_id,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def deliver_all(changes: list[tuple[str, str, str]]) -> None:
    """Hand over every changed branch first, the default branch at the head; then show what comes of them."""
    facts = json.loads(os.environ["BERTH_HOOK_REPOSITORY"])
    default = BRANCH_PREFIX + facts["default_branch"]
    branches = sorted(
        (change for change in changes if change[2].startswith(BRANCH_PREFIX)), key=lambda c: c[2] != default
    )
    if not branches:
        say("       Tags are stored; only branches are deployed.")
    watched: list[tuple[str, int]] = []
    for before, after, ref in branches:
        branch = ref.removeprefix(BRANCH_PREFIX)
        try:
            answer = _post(json.dumps(push_payload(facts, before, after, ref)).encode(), str(facts["id"]))
        except (OSError, ValueError) as error:
            say(f" !     Berth does not answer ({printable(str(error), 100)}).")
            say(f" !     The push of {branch} is stored and will be picked up when Berth runs again.")
            continue
        if answer.get("deployment_id") is None:
            say(f"-----> {branch}: {answer.get('reason') or answer.get('error') or answer.get('decision')}")
        else:
            watched.append((branch, answer["deployment_id"]))
    for branch, deployment in watched:
        watch(branch, deployment)


def _post(body: bytes, hook_id: str) -> dict[str, Any]:
    """The server's answer. Raises OSError when there is none, ValueError when it makes no sense."""
    headers = signed_headers(os.environ["BERTH_HOOK_SECRET"], body, hook_id)
    _, lines = _ask("POST", os.environ["BERTH_HOOK_URL"], headers, body, timeout=30)
    answer = json.loads(b"\n".join(lines))
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")
    return answer


def _ask(
    method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout: float
) -> tuple[int, Iterator[bytes]]:
    """Status and lines of an answer. Raises OSError, then and while the lines are read.

    As much of HTTP/1.1 (RFC 9112) as our own server speaks: http.client takes as long to import as all else here.
    """
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.rpartition(":")
    fields = {"Host": host, "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = [f"{method} /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    with socket.create_connection((name.strip("[]"), int(port)), timeout) as connection:
        connection.sendall("\r\n".join(head).encode() + body)
        answer = connection.makefile("rb")  # keeps the connection open
    version, status, *_ = [*answer.readline(MAX_LINE).split(), b"", b""]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise OSError("no proper answer")
    chunked = False
    while field := answer.readline(MAX_LINE).strip():
        chunked = chunked or field.lower() == b"transfer-encoding: chunked"
    return int(status), _lines(_chunks(answer) if chunked else iter(lambda: answer.read(MAX_LINE), b""))


def _chunks(answer: BinaryIO) -> Iterator[bytes]:
    while size := int(answer.readline(MAX_LINE).partition(b";")[0] or b"-1", 16):
        piece = answer.read(size)
        if len(piece) != size or answer.readline(MAX_LINE) != b"\r\n":
            raise OSError("the answer broke off")
        yield piece


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest


# --- the progress


def watch(branch: str, deployment: int) -> None:
    """Show the deployment's events until it has ended."""
    screen = Screen(branch)
    until = _STARTED + float(os.environ.get("BERTH_HOOK_SECONDS", "3600"))
    say(f"-----> Deploying {branch} (deployment {deployment})")
    try:
        for event in _events(deployment):
            for line in screen.lines(event):
                say(line)
            if screen.ended:
                return
            if time.monotonic() > until:
                break
    except (OSError, ValueError) as error:
        say(f" !     Lost contact with Berth ({printable(str(error), 100)}).")
    say(" !     The deployment goes on without this view: `berth ps` shows it.")


def _events(deployment: int) -> Iterator[dict[str, Any]]:
    """The server's stream: one JSON object per line; an empty one for each empty line, its sign of life."""
    headers = {"Authorization": f"Bearer {os.environ.get('BERTH_HOOK_TOKEN', '')}"}
    status, lines = _ask("GET", f"{os.environ['BERTH_HOOK_EVENTS']}/{deployment}/stream", headers, timeout=90)
    if status != 200:
        raise OSError(f"status {status}")
    for line in lines:
        event = json.loads(line) if line.strip() else {}
        if isinstance(event, dict):
            yield event


class Screen:
    """Turns a deployment's events into lines in the style of Heroku and Dokku. ``ended`` after its final state."""

    TITLES = {  # noqa: RUF012 - never changed
        "fetch": "Fetching the commit",
        "detect": "Detecting what it is",
        "generate": "Generating Dockerfile and docker-compose.yml",
        "build": "Building",
        "start": "Starting",
        "verify": "Checking that it answers",
        "switch": "Switching over",
    }
    FINAL = frozenset({"live", "retired", "failed", "cancelled", "superseded"})

    def __init__(self, branch: str) -> None:
        self.ended = False
        self._branch = branch
        self._phase = ""
        self._last = ""

    def lines(self, event: Mapping[str, Any]) -> list[str]:
        kind = _text(event, "kind")
        if kind == "phase" and (phase := _text(event, "phase")) != self._phase:
            self._phase = phase
            return [f"-----> {self.TITLES.get(phase, phase)}"]
        if kind == "step":
            return self._detail(_step(_text(event, "step"), _text(event, "text")))
        if kind == "line":
            return self._detail(_text(event, "text"))
        return self._state(event) if kind == "state" else []

    def _detail(self, text: str) -> list[str]:
        text = text.rstrip().rpartition("\r")[2]
        if not text or text == self._last:
            return []
        self._last = text
        return [f"       {text}"]

    def _state(self, event: Mapping[str, Any]) -> list[str]:
        state, reason, fix = _text(event, "state"), _text(event, "reason"), _text(event, "fix")
        self.ended = state in self.FINAL
        if state in {"live", "retired"}:
            url = _text(event, "url")
            return [f"=====> {self._branch} is live at {url}" if url else f"=====> {self._branch} is live"]
        if state == "failed":
            phase = _text(event, "phase") or self._phase
            head = f" !     Failed in {phase}: {reason}" if phase else f" !     Failed: {reason}"
            goes_on = event.get("goes_on")
            told = [f" !     {fix}"] if fix else []
            if isinstance(goes_on, dict):
                told.append(f" !     What ran before goes on: {_text(goes_on, 'sha')[:7]} at {_text(goes_on, 'url')}")
            return [head, *told]
        if self.ended:  # the reason often says it already: superseded by a1b2c3d
            head = reason if reason.startswith(state) else f"{state}: {reason}".rstrip(": ")
            return [f" !     {head[:1].upper()}{head[1:]}"]
        if state in {"queued", "waiting_approval"}:
            return self._detail(reason or state.replace("_", " for ").capitalize())
        return []


def _step(step: str, text: str) -> str:
    """``[2/5] RUN npm ci`` when it starts, ``[2/5] RUN npm ci (cached)``, ``[2/5] done in 3.6 s``."""
    if not step or not text or text == "started":
        return step or text
    return f"{step} (cached)" if text == "cached" else f"{step} {text}"


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""
