"""git against the local forge, over a real socket."""

import asyncio
import base64
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.forge import git_http
from bot.source.git import fetch
from bot.store.tables import repositories
from tests.forge.conftest import Rig, Work, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ZERO = "0" * 40


async def test_push_delivers_and_shows_the_progress(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    sha = work.commit("Add a shop\n\nWith a body.")
    code, said = await work.push(remote, "main")
    assert code == 0
    shown = [line.removeprefix("remote: ").rstrip() for line in said.splitlines() if line.startswith("remote: ")]
    assert shown == [
        "-----> Deploying main (deployment 100)",
        "-----> Fetching the commit",
        "-----> Building",
        "       [2/5] RUN npm ci [31m",
        "=====> main is live at http://127.0.0.1:20000",
    ]
    [(decision, name)] = rig.decisions
    assert (decision.kind, decision.sha, decision.ref, name) == ("deploy", sha, "main", "shop")
    assert (decision.environment_kind, decision.message) == ("production", "Add a shop")
    [row] = await rig.rows()
    assert (row["decision"], row["deployment_id"], row["event"]) == ("deploy", 100, "push")
    payload = json.loads(row["payload_json"])
    assert {"ref", "before", "after", "created", "deleted", "forced", "base_ref", "compare"} <= payload.keys()
    assert payload["before"] == ZERO
    assert payload["created"] is True
    assert payload["forced"] is False
    assert payload["head_commit"]["id"] == sha
    assert payload["head_commit"]["message"] == "Add a shop\n\nWith a body."
    assert payload["commits"] == [payload["head_commit"]]
    assert rig.streams == [(100, "Bearer stream-1")]


async def test_what_is_pushed_can_be_cloned(rig: Rig, work: Work, tmp_path: Path) -> None:
    remote = await rig.remote()
    sha = work.commit()
    await work.push(remote, "main")
    await asyncio.to_thread(work, "clone", "-q", remote, str(tmp_path / "clone"))
    assert work("-C", str(tmp_path / "clone"), "rev-parse", "HEAD") == sha


async def test_second_push_forced_push_and_deletion(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    first = work.commit("one")
    await work.push(remote, "main", "main:feature/x")
    second = work.commit("two")
    await work.push(remote, "main:feature/x")
    work("reset", "-q", "--hard", first)
    third = work.commit("other")
    code, said = await work.push(remote, "main:feature/x")
    assert code != 0
    assert "rejected" in said
    assert (await work.push("-f", remote, "main:feature/x"))[0] == 0
    assert (await work.push(remote, ":feature/x"))[0] == 0
    payloads = [json.loads(row["payload_json"]) for row in await rig.rows()]
    feature = [payload for payload in payloads if payload["ref"] == "refs/heads/feature/x"]
    assert [(one["before"], one["after"], one["forced"]) for one in feature] == [
        (ZERO, first, False),
        (first, second, False),
        (second, third, True),
        (third, ZERO, False),
    ]
    assert [one["commits"][0]["message"] for one in feature[1:3]] == ["two", "other"]
    last = rig.decisions[-1][0]
    assert (last.kind, last.ref, last.sha, last.environment_kind) == ("teardown", "feature/x", third, "branch")
    assert payloads[-1]["deleted"] is True
    assert payloads[-1]["head_commit"] is None


async def test_default_branch_cannot_be_deleted(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    await work.push(remote, "main")
    code, said = await work.push(remote, ":main")
    assert code != 0
    assert "'main' is the default branch, and what runs of it is production." in said
    assert "`berth rm shop` removes that" in said
    assert [decision.kind for decision, _ in rig.decisions] == ["deploy"]


async def test_first_branch_of_an_empty_repository_becomes_the_default(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    await work.push(remote, "main:trunk")
    await work.push(remote, "main:later")
    assert [(decision.ref, decision.environment_kind) for decision, _ in rig.decisions] == [
        ("trunk", "production"),
        ("later", "branch"),
    ]
    row = await rig.forge.find("shop")
    assert row is not None
    assert row["default_branch"] == "trunk"
    head = (rig.forge.clone_path(row) / "HEAD").read_text()
    assert head == "ref: refs/heads/trunk\n"


async def test_first_push_with_several_branches_prefers_the_usual_names(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    await work.push(remote, "main:develop", "main:master")
    kinds = {decision.ref: decision.environment_kind for decision, _ in rig.decisions}
    assert kinds == {"develop": "branch", "master": "production"}


async def test_wrong_token_is_refused(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    for login in ("", "git:wrong@", "git@", "git:%C3%A9@"):
        code, said = await work.push(f"http://{login}{remote.partition('@')[2]}", "main")
        assert code == 128
        assert "Authentication failed" in said or "could not read" in said
    assert rig.decisions == []


async def test_token_of_another_repository_is_refused(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    other = await rig.remote("other")
    work.commit()
    code, said = await work.push(remote.replace("/shop.git", "/other.git"), "main")
    assert code == 128
    assert "Authentication failed" in said
    assert other != remote


async def test_unknown_repository_looks_like_a_wrong_token(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    code, said = await work.push(remote.replace("/shop.git", "/nothing.git"), "main")
    assert code == 128
    assert "Authentication failed" in said


async def test_nothing_else_is_served(rig: Rig) -> None:
    remote = await rig.remote()
    head, _, _ = remote.partition("/git/shop.git")
    for path in (
        "git/shop.git/HEAD",
        "git/shop.git/config",
        "git/shop.git/info/refs",
        "git/shop.git/info/refs?service=git-upload-archive",
        "git/shop.git/objects/info/packs",
        "git/shop.git/../../key",
        "git/shop.git/%2e%2e/2.git/info/refs?service=git-upload-pack",
    ):
        command = ("curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", f"{head}/{path}")
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert (await process.communicate())[0] == b"404", path


async def test_huge_push_is_refused_in_words(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    (work.path / "big").write_bytes(os.urandom(8_000_000))
    work("add", "-A")
    work("commit", "-qm", "big")
    code, said = await work.push(remote, "main")
    assert code != 0
    assert "exceeds maximum allowed size" in said
    assert rig.decisions == []
    work("rm", "-q", "big")
    work("commit", "-q", "--amend", "--allow-empty", "-m", "small")
    assert (await work.push(remote, "main"))[0] == 0


async def test_weird_names_are_refused_in_words(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    for ref, why in (
        ("refs/heads/-x", "starts with a dash"),
        ("refs/heads/" + "é" * 127 + "/ab", "longer than 255 bytes"),
        ("refs/heads/a\u0085b", "contains '\\x85'"),
        ("refs/notes/x", "branches and tags"),
        ("refs/tags/-t", "starts with a dash"),
    ):
        code, said = await work.push(remote, f"HEAD:{ref}")
        assert code != 0
        assert why in said.replace("\nremote: ", "")
    assert await rig.rows() == []


async def test_harmless_odd_names_are_fine(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    names = ["main", "feature/é-1", "a'b\"c$(id);d", "x" * 200, "100%"]
    code, _ = await work.push(remote, *(f"main:refs/heads/{name}" for name in names))
    assert code == 0
    assert sorted(decision.ref for decision, _ in rig.decisions) == sorted(names)


async def test_tags_are_stored_and_not_deployed(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    work("tag", "v1")
    code, said = await work.push(remote, "v1")
    assert code == 0
    assert "only branches are deployed" in said
    assert rig.decisions == []


async def test_skip_words_are_told_to_the_pusher(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit("Docs [skip ci]")
    code, said = await work.push(remote, "main")
    assert code == 0
    assert "-----> main: Not deployed: the commit message says [skip ci]." in said
    assert rig.decisions == []


async def test_concurrent_pushes_all_arrive(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    shas = {}
    for number in range(6):
        shas[f"b{number}"] = work.commit(f"commit {number}")
    done = await asyncio.gather(*(work.push(remote, f"{sha}:refs/heads/{name}") for name, sha in shas.items()))
    assert [code for code, _ in done] == [0] * 6
    assert {decision.ref: decision.sha for decision, _ in rig.decisions} == shas
    assert len(await rig.rows()) == 6


async def test_pusher_who_goes_away_does_not_stop_anything(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    sha = work.commit()
    rig.hold.clear()
    rig.events = rig.events[:1]
    process = await asyncio.create_subprocess_exec(
        "git",
        "push",
        remote,
        "main",
        cwd=work.path,
        env=work.environment(),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await until(lambda: rig.streams)
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    await until(lambda: not rig.forge.pushes._running.total())
    assert [decision.sha for decision, _ in rig.decisions] == [sha]
    assert _git_processes(rig) == []


async def test_push_whose_hook_was_killed_is_delivered_afterwards(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    hook = rig.config.data_dir / "hooks/post-receive"
    hook.write_text("#!/bin/sh\nsleep 60\n")
    sha = work.commit()
    process = await asyncio.create_subprocess_exec(
        "git",
        "push",
        remote,
        "main",
        cwd=work.path,
        env=work.environment(),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    row = await rig.forge.find("shop")
    assert row is not None
    await until((rig.forge.clone_path(row) / "refs/heads/main").exists)
    assert rig.decisions == []
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    await until(lambda: rig.decisions)
    assert rig.decisions[0][0].sha == sha
    assert _git_processes(rig) == []


async def test_server_that_is_gone_during_the_push_finds_it_later(rig: Rig, work: Work) -> None:
    """The hook cannot reach the server: the push is kept, the pusher is told, and the next sweep delivers."""
    remote = await rig.remote()
    row = await rig.forge.find("shop")
    assert row is not None
    hook = rig.config.data_dir / "hooks/post-receive"
    hook.write_text(
        hook.read_text().replace("main()", "import os; os.environ['BERTH_HOOK_URL'] = 'http://127.0.0.1:1/x'; main()")
    )
    rig.forge.pushes._running[row["id"]] += 1  # as if the process had died: no sweep at the end
    sha = work.commit()
    code, said = await work.push(remote, "main")
    assert code == 0
    assert "The push of main is stored and will be picked up when Berth runs again." in said
    assert rig.decisions == []
    await until(lambda: rig.forge.pushes._running[row["id"]] == 1)  # the client may be done before the server is
    rig.forge.pushes._running.clear()
    assert await rig.forge.sweep() == 1
    assert rig.decisions[0][0].sha == sha
    assert await rig.forge.sweep() == 0


async def test_half_a_request_changes_nothing(rig: Rig, work: Work) -> None:
    remote = await rig.remote()
    work.commit()
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.config.port)
    login = remote.partition("//")[2].partition("@")[0]
    writer.write(
        b"POST /git/shop.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        b"Content-Type: application/x-git-receive-pack-request\r\n"
        b"Authorization: Basic " + base64.b64encode(login.encode()) + b"\r\n\r\n0094"
    )
    await writer.drain()
    await until(rig.forge.pushes._running.total)
    writer.close()
    await until(lambda: not rig.forge.pushes._running.total())
    assert _git_processes(rig) == []
    assert await rig.rows() == []
    del reader


async def test_gzipped_requests_are_understood(rig: Rig, work: Work, tmp_path: Path) -> None:
    """git compresses the request of a fetch that has much in common to tell."""
    remote = await rig.remote()
    work("fast-import", "--quiet", input=_many_commits(3))
    await work.push(remote, "main")
    clone = tmp_path / "clone"
    await asyncio.to_thread(work, "clone", "-q", remote, str(clone))
    work("checkout", "-qf", "main")
    work.commit("more")
    work("-C", str(clone), "fast-import", "--quiet", input=_many_commits(300).replace("heads/main", "heads/own"))
    await work.push(remote, "main")
    trace = await asyncio.to_thread(_fetch_traced, work, clone)
    assert "Content-Encoding: gzip" in trace
    assert work("-C", str(clone), "rev-parse", "origin/main") == work("rev-parse", "main")


async def test_renamed_label_keeps_folder_and_removed_name_is_free(rig: Rig, work: Work) -> None:
    first = await rig.forge.create_repository("shop")
    assert await rig.forge.create_repository("SHOP") == first
    await rig.forge.remove_repository(first)
    assert await rig.forge.find("shop") is None
    assert not rig.forge.clone_path(first).exists()
    second = await rig.forge.create_repository("shop")
    assert second["id"] != first["id"]
    rows = await rig.store.all(sa.select(repositories))
    assert [(row["forge_repository_id"] == row["id"], row["removed_at"] is None) for row in rows] == [
        (True, False),
        (True, True),
    ]


def _many_commits(count: int) -> str:
    lines = []
    for number in range(count):
        lines.append(f"commit refs/heads/main\ncommitter a <a@b> {1_700_000_000 + number} +0000\ndata 1\nx\n")
        lines.append(f"M 100644 inline f{number}\ndata 1\nx\n")
    return "".join(lines)


def _fetch_traced(work: Work, clone: Path) -> str:
    env = work.environment() | {"GIT_CURL_VERBOSE": "1", "GIT_TRACE_CURL_NO_DATA": "1"}
    command = ("git", "-c", "protocol.version=0", "-C", str(clone), "fetch")
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stderr


def _git_processes(rig: Rig) -> list[str]:
    """Processes that still work in this test's data folder."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.readlink(folder / "cwd").startswith(str(rig.config.data_dir)):
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found


async def test_push_from_a_shallow_clone(rig: Rig, work: Work, tmp_path: Path) -> None:
    """CI systems clone with depth 1 and push that."""
    remote = await rig.remote()
    for number in range(3):
        work.commit(f"commit {number}")
    shallow = Work(tmp_path / "shallow")
    await asyncio.to_thread(shallow, "fetch", "-q", "--depth=1", f"file://{work.path}", "main")
    sha = shallow("rev-parse", "FETCH_HEAD")
    code, said = await shallow.push(remote, f"{sha}:refs/heads/main")
    assert code == 0, said
    assert rig.decisions[0][0].sha == sha
    row = await rig.forge.find("shop")
    assert row is not None
    checkout = await fetch(rig.forge.clone_path(row), sha, tmp_path / "out")
    assert checkout.subject == "commit 2"
    later = work.commit("commit 3")
    assert (await work.push(remote, "main"))[0] == 0
    assert rig.decisions[1][0].sha == later


async def test_too_many_and_too_slow(rig: Rig, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = await rig.remote()
    work.commit()
    monkeypatch.setattr(git_http, "MOST", 0)
    code, said = await work.push(remote, "main")
    assert code == 128
    assert "503" in said
    monkeypatch.undo()
    monkeypatch.setattr(git_http, "SILENCE", 0.3)
    login = base64.b64encode(remote.partition("//")[2].partition("@")[0].encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.config.port)
    writer.write(
        b"POST /git/shop.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        b"Content-Type: application/x-git-upload-pack-request\r\nAuthorization: Basic " + login + b"\r\n\r\n0032"
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    assert not answer.endswith(b"0\r\n\r\n")  # cut off, so that nobody takes it for whole
    writer.close()
    assert _git_processes(rig) == []


async def test_push_that_outlasts_its_deadline_is_kept(rig: Rig, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = await rig.remote()
    sha = work.commit()
    monkeypatch.setattr(git_http.GitHttp, "_deadline", lambda *_: 1.5)
    hook = rig.config.data_dir / "hooks/post-receive"
    hook.write_text("#!/bin/sh\nsleep 60\n")
    code, _ = await work.push(remote, "main")
    assert code != 0
    await until(lambda: rig.decisions)
    assert rig.decisions[0][0].sha == sha
    assert _git_processes(rig) == []


async def test_view_ends_before_the_deadline(rig: Rig, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that takes for ever does not make the push fail."""
    monkeypatch.setattr(type(rig.forge.pushes), "watch_seconds", 0.0)
    remote = await rig.remote()
    work.commit()
    code, said = await work.push(remote, "main")
    assert code == 0
    assert "The deployment goes on without this view" in said


async def test_stream_that_breaks_off(rig: Rig, work: Work) -> None:
    rig.events = rig.events[:2]
    remote = await rig.remote()
    work.commit()
    code, said = await work.push(remote, "main")
    assert code == 0
    assert "The deployment goes on without this view" in said
