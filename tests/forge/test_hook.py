"""What a pusher reads."""

import asyncio
import io
import subprocess
import sys
from typing import Any

import pytest

from bot.forge import hook, local
from bot.forge.hook import Screen, say, signed_headers
from bot.forge.webhook import signature_fits
from tests.forge.conftest import Rig, Work


def shown(*events: dict[str, Any]) -> list[str]:
    screen = Screen("main")
    return [line for event in events for line in screen.lines(event)]


def test_phases_steps_and_lines() -> None:
    assert shown(
        {"kind": "state", "state": "queued", "reason": "Waiting for another build."},
        {"kind": "phase", "phase": "fetch"},
        {"kind": "phase", "phase": "fetch"},
        {"kind": "step", "step": "30 files"},
        {"kind": "step", "step": "30 files"},
        {"kind": "step", "step": "[2/5] RUN npm ci", "text": "started"},
        {"kind": "step", "step": "[2/5]", "text": "done in 3.6 s"},
        {"kind": "step", "step": "[3/5] COPY . .", "text": "cached"},
        {"kind": "line", "text": "10%\r50%\r100% done\n"},
        {"kind": "line", "text": ""},
        {"kind": "state", "state": "running"},
        {"kind": "phase", "phase": "polish"},
        {"kind": "unknown"},
        {},
    ) == [
        "       Waiting for another build.",
        "-----> Fetching the commit",
        "       30 files",
        "       [2/5] RUN npm ci",
        "       [2/5] done in 3.6 s",
        "       [3/5] COPY . . (cached)",
        "       100% done",
        "-----> polish",
    ]


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        ({"state": "live", "url": "http://h:1"}, ["=====> main is live at http://h:1"]),
        ({"state": "live"}, ["=====> main is live"]),
        (
            {"state": "failed", "phase": "build", "reason": "npm ci failed.", "fix": "Commit package-lock.json."},
            [" !     Failed in build: npm ci failed.", " !     Commit package-lock.json."],
        ),
        ({"state": "failed", "reason": "x"}, [" !     Failed: x"]),
        (
            {"state": "failed", "reason": "x", "goes_on": {"sha": "a" * 40, "url": "http://h:1"}},
            [" !     Failed: x", " !     What ran before goes on: aaaaaaa at http://h:1"],
        ),
        ({"state": "superseded", "reason": "by abc"}, [" !     Superseded: by abc"]),
        ({"state": "superseded", "reason": "superseded by abc"}, [" !     Superseded by abc"]),
        ({"state": "cancelled"}, [" !     Cancelled"]),
    ],
)
def test_ends(event: dict[str, Any], lines: list[str]) -> None:
    screen = Screen("main")
    assert screen.lines({"kind": "state"} | event) == lines
    assert screen.ended


def test_failure_names_the_phase_that_was_shown() -> None:
    assert shown({"kind": "phase", "phase": "verify"}, {"kind": "state", "state": "failed", "reason": "r"})[-1] == (
        " !     Failed in verify: r"
    )


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b]0;evil\x07b\nc\u202ed\té")
    assert capsys.readouterr().out == "a ]0;evil b c d\té\n"


def test_headers_are_signed_and_new_each_time() -> None:
    one, two = signed_headers("s", b"body", "7"), signed_headers("s", b"body", "7")
    assert signature_fits("s", b"body", one["X-Hub-Signature-256"])
    assert one["X-GitHub-Delivery"] != two["X-GitHub-Delivery"]
    assert len(one["X-GitHub-Delivery"]) == 36


def test_scripts_run_with_a_python_at_an_awkward_place(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a 'b\" c"
    place.mkdir()
    (place / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    script = tmp_path / "hook"
    script.write_text(local._script("print(sys.argv[1:], sys.stdin.read())\n"))
    script.chmod(0o755)
    done = subprocess.run((str(script), "x y"), input="in", capture_output=True, text=True, check=True)
    assert done.stdout == "['x y'] in\n"


def test_hook_needs_little_of_the_standard_library() -> None:
    """Every push waits for the hook to start."""
    code = "import sys; sys.path.append('.'); import bot.forge.hook; print(*sys.modules)"
    done = subprocess.run((sys.executable, "-IS", "-c", code), capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"asyncio", "pydantic", "sqlalchemy", "starlette", "structlog", "dataclasses", "urllib", "http", "typing"}
    assert not loaded & heavy


async def run_hook(rig: Rig, monkeypatch: pytest.MonkeyPatch, changes: str, **environment: str) -> None:
    """The hook in this process, as git would start it."""
    row = await rig.forge.create_repository("shop")
    for name, value in (rig.forge.pushes.hook_variables(row, "token") | environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(rig.forge.clone_path(row))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(changes.encode())))
    await asyncio.to_thread(hook.main)


@pytest.mark.anyio
async def test_whole_hook(
    rig: Rig, work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = await rig.forge.create_repository("shop")
    first, second = work.commit("one"), work.commit("two")
    work("push", "-q", str(rig.forge.clone_path(row)), "main", f"{first}:refs/heads/old", "main:refs/tags/v1")
    zero = "0" * 40
    changes = f"{zero} {first} refs/heads/old\n{zero} {second} refs/tags/v1\n{zero} {second} refs/heads/main\n"
    await run_hook(rig, monkeypatch, changes)
    assert [decision.ref for decision, _ in rig.decisions] == ["main", "old"]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line[:4].isdigit()] == [  # the server's log is there too
        "-----> Deploying main (deployment 100)",
        "-----> Fetching the commit",
        "-----> Building",
        "       [2/5] RUN npm ci [31m",
        "=====> main is live at http://127.0.0.1:20000",
        "-----> Deploying old (deployment 101)",
        "-----> Fetching the commit",
        "-----> Building",
        "       [2/5] RUN npm ci [31m",
        "=====> old is live at http://127.0.0.1:20000",
    ]
    await run_hook(rig, monkeypatch, changes)
    assert "-----> main: This state of main was delivered before." in capsys.readouterr().out
    await run_hook(rig, monkeypatch, f"{second} {first} refs/heads/main\n")
    payload = (await rig.rows())[-1]["payload_json"]
    assert '"forced": true' in payload
    assert '"commits": []' in payload
    assert f'"head_commit": {{"id": "{first}"' in payload


@pytest.mark.anyio
async def test_chunks_are_put_together_and_a_broken_stream_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chunks end anywhere, in the middle of a line or of a character."""
    text = '{"kind": "line", "text": "Ärger"}\n\n{"kind": "phase", "phase": "build"}\n'.encode()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(text), 7):
            piece = text[start : start + 7]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        writer.write(b"20\r\n{")
        writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    monkeypatch.setenv("BERTH_HOOK_EVENTS", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await asyncio.to_thread(hook.watch, "main", 1)
    server.close()
    assert capsys.readouterr().out.splitlines() == [
        "-----> Deploying main (deployment 1)",
        "       Ärger",
        "-----> Building",
        " !     Lost contact with Berth (the answer broke off).",
        " !     The deployment goes on without this view: `berth ps` shows it.",
    ]


@pytest.mark.anyio
async def test_nobody_there_or_nonsense_there(
    rig: Rig, work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = await rig.forge.create_repository("shop")
    sha = work.commit()
    work("push", "-q", str(rig.forge.clone_path(row)), "main")
    change = f"{'0' * 40} {sha} refs/heads/main\n"

    await run_hook(rig, monkeypatch, change, BERTH_HOOK_URL="http://127.0.0.1:1/x")
    assert "will be picked up when Berth runs again" in capsys.readouterr().out

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    await run_hook(rig, monkeypatch, change, BERTH_HOOK_URL=url)
    assert "(no proper answer)" in capsys.readouterr().out
    server.close()

    await run_hook(rig, monkeypatch, change, BERTH_HOOK_SECRET="wrong")
    assert "main: The signature is missing or wrong." in capsys.readouterr().out

    await run_hook(rig, monkeypatch, change, BERTH_HOOK_EVENTS=f"{rig.base}/nowhere")
    said = capsys.readouterr().out
    assert "Lost contact with Berth (status 404)" in said
    assert "The deployment goes on without this view" in said

    await run_hook(rig, monkeypatch, change, BERTH_HOOK_REPOSITORY="{")
    assert "hook stumbled (JSONDecodeError)" in capsys.readouterr().out
