"""Fetching one commit, above all of hostile repositories."""

import asyncio
import os
import shutil
import ssl
import time
from pathlib import Path

import pytest

from bot.errors import BerthError
from bot.source import git
from bot.source.git import fetch
from bot.source.process import run_git
from tests.source.conftest import Repository

pytestmark = pytest.mark.anyio


async def test_fetches_exactly_the_commit(repository: Repository, tmp_path: Path) -> None:
    first = repository.files(a__txt=b"one")
    tree = repository.git("rev-parse", "main^{tree}")
    repository.files(a__txt=b"two")
    checkout = await fetch(repository.path, first, tmp_path / "out")
    assert (tmp_path / "out/a.txt").read_bytes() == b"one"
    assert (checkout.sha, checkout.tree, checkout.subject, checkout.author) == (first, tree, "Subject", "ada")
    assert (checkout.files, checkout.bytes, checkout.submodules) == (1, 3, ())
    assert sorted(os.listdir(tmp_path)) == ["origin.git", "out"]
    assert not (tmp_path / "out/.git").exists()


async def test_subtree(repository: Repository, tmp_path: Path) -> None:
    leaf = repository.tree(("100644", repository.blob(), b"index.html"))
    app = repository.tree(("40000", leaf, b"web"))
    link = repository.blob(b"app/web")
    sha = repository.commit(repository.tree(("40000", app, b"app"), ("120000", link, b"link")))
    checkout = await fetch(str(repository.path), sha, tmp_path / "out")
    assert checkout.subtree("") == checkout.subtree(".") == checkout.tree
    assert checkout.subtree("app/web") == checkout.subtree("./app/web/") == leaf
    for root in ("link", "app/web/index.html", "../out", "app/../app", "none"):
        with pytest.raises(BerthError, match="has no folder"):
            checkout.subtree(root)


async def test_symlinks_are_kept_and_lead_nowhere_for_us(repository: Repository, tmp_path: Path) -> None:
    passwd, up = repository.blob(b"/etc/passwd"), repository.blob(b"../victim")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    sha = repository.commit(repository.tree(("120000", up, b"dir"), ("120000", passwd, b"passwd")))
    await fetch(repository.path, sha, tmp_path / "out")
    assert os.readlink(tmp_path / "out/passwd") == "/etc/passwd"
    with pytest.raises(FileExistsError):
        await fetch(repository.path, sha, tmp_path / "out")
    assert (tmp_path / "out/dir").is_symlink()
    assert (victim / "kept").read_text() == "kept"


async def test_nothing_is_written_through_a_symlink(repository: Repository, tmp_path: Path) -> None:
    """The same name as a symlink and as a folder: what git would have to write through the link must not land there."""
    victim = tmp_path / "victim"
    victim.mkdir()
    inner = repository.tree(("100644", repository.blob(b"evil"), b"file"))
    link = repository.blob(str(victim).encode())
    sha = repository.commit(repository.tree(("120000", link, b"a"), ("40000", inner, b"a")))
    assert await _refusal(repository, sha, tmp_path / "out") in ("", f"The files of {sha[:7]} cannot be checked out")
    assert os.listdir(victim) == []


@pytest.mark.parametrize("name", [b".git", b".GIT", b"..", b".", b"a/b", "\u200c.git".encode(), b"git~1"])
async def test_names_that_reach_out_of_the_checkout_are_refused(
    repository: Repository, tmp_path: Path, name: bytes
) -> None:
    inner = repository.tree(("100644", repository.blob(b"[core]\n\tfsmonitor = touch /tmp/pwned"), b"config"))
    sha = repository.commit(repository.tree(("40000", inner, name)))
    reason = await _refusal(repository, sha, tmp_path / "out")
    if name == b"a/b" and not reason:  # git may take it for a folder in a folder, which is harmless
        assert (tmp_path / "out/a/b/config").exists()
    else:
        assert reason == f"The files of {sha[:7]} cannot be checked out"
        assert os.listdir(tmp_path) == ["origin.git"]


async def test_submodules_stay_empty_and_are_named(repository: Repository, tmp_path: Path) -> None:
    marker = tmp_path / "pwned"
    modules = f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% {marker}\n\tupdate = !touch {marker}\n'
    entries = (("100644", repository.blob(modules.encode()), b".gitmodules"), ("160000", "1" * 40, b"x"))
    sha = repository.commit(repository.tree(*entries))
    checkout = await fetch(repository.path, sha, tmp_path / "out")
    assert checkout.submodules == ("x",)
    assert list((tmp_path / "out/x").iterdir()) == []
    assert not marker.exists()


async def test_filters_and_hooks_do_not_run(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filter drivers and templates of the person or system that runs the server stay unused."""
    marker = tmp_path / "pwned"
    home = tmp_path / "home"
    (home / "template/hooks").mkdir(parents=True)
    hook = home / "template/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[filter "evil"]\n\tsmudge = touch {marker}\n\trequired = true\n[init]\n\ttemplateDir = {home}/template\n'
        f"[core]\n\thooksPath = {home}/template/hooks\n\tfsmonitor = touch {marker}\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    sha = repository.files(__gitattributes=b"* filter=evil\n*.bin filter=lfs\n", a__txt=b"plain", b__bin=b"pointer")
    await fetch(repository.path, sha, tmp_path / "out")
    assert (tmp_path / "out/a.txt").read_bytes() == b"plain"
    assert (tmp_path / "out/b.bin").read_bytes() == b"pointer"
    assert not marker.exists()


async def test_path_names_with_newlines_and_bytes(repository: Repository, tmp_path: Path) -> None:
    names = [b"a\nb", b"c\xff", b"d\t\xc3\xa9", b"e 0\x01"]
    sha = repository.commit(repository.tree(*(("100644", repository.blob(), name) for name in names)))
    checkout = await fetch(repository.path, sha, tmp_path / "out")
    assert sorted(os.listdir(os.fsencode(tmp_path / "out"))) == sorted(names)
    assert checkout.files == 4


async def test_too_many_files_are_refused_before_they_are_written(repository: Repository, tmp_path: Path) -> None:
    blob = repository.blob()
    hundred_thousand = repository.tree(*(("100644", blob, b"%06d" % number) for number in range(100_000)))
    sha = repository.commit(hundred_thousand)
    started = time.monotonic()
    with pytest.raises(BerthError, match="more than 50000 files and folders"):
        await fetch(repository.path, sha, tmp_path / "out", max_files=50_000)
    assert time.monotonic() - started < 5
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.git").exists()


async def test_tree_bomb_is_refused(repository: Repository, tmp_path: Path) -> None:
    """Ten objects that stand for ten thousand million files."""
    tree = repository.tree(*(("100644", repository.blob(), b"%d" % number) for number in range(10)))
    for _ in range(9):
        tree = repository.tree(*(("40000", tree, b"%d" % number) for number in range(10)))
    with pytest.raises(BerthError, match="too large: more than 20000 files"):
        await fetch(repository.path, repository.commit(tree), tmp_path / "out", max_files=20_000)


async def test_large_files_are_refused_before_they_are_written(repository: Repository, tmp_path: Path) -> None:
    sha = repository.files(zeros=bytes(30_000_000))  # a few kilobytes when packed
    with pytest.raises(BerthError, match="more than 20 MB of files"):
        await fetch(repository.path, sha, tmp_path / "out", max_bytes=20_000_000)
    assert not (tmp_path / "out").exists()


async def test_large_downloads_are_refused(repository: Repository, tmp_path: Path) -> None:
    sha = repository.files(noise=os.urandom(3_000_000))
    with pytest.raises(BerthError, match="more than 1 MB packed"):
        await fetch(repository.path, sha, tmp_path / "out", max_bytes=1_000_000)
    assert not (tmp_path / "out.git").exists()


async def test_endless_download_is_ended_on_the_way(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher ends git while it still downloads."""
    sha = repository.files(noise=b"x")
    programs = _slow_git(tmp_path, "head -c 2000000 /dev/urandom > $GIT_DIR/objects/pack/tmp_pack_x; sleep 60")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    started = time.monotonic()
    with pytest.raises(BerthError, match="more than 1 MB packed"):
        await fetch(repository.path, sha, tmp_path / "out", max_bytes=1_000_000)
    assert time.monotonic() - started < 10
    assert not (tmp_path / "out.git").exists()


async def test_deadline_and_cancellation_end_everything(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = repository.files(a=b"x")
    programs = _slow_git(tmp_path, "sleep 61 & sleep 62")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(BerthError, match=r"took longer than 0.3 seconds.*BERTH_FETCH_TIMEOUT"):
        await fetch(repository.path, sha, tmp_path / "out", timeout=0.3)
    task = asyncio.create_task(fetch(repository.path, sha, tmp_path / "out"))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.git").exists()
    assert _running(str(programs)) == []


async def test_errors_in_words(repository: Repository, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BerthError, match="The repository is empty"):
        await fetch(repository.path, "1" * 40, out)
    sha = repository.files(a=b"x")
    with pytest.raises(BerthError, match="1111111 is not in the repository any more"):
        await fetch(repository.path, "1" * 40, out)
    with pytest.raises(BerthError, match="There is no repository"):
        await fetch(tmp_path / "none", sha, out)
    (tmp_path / "plain").mkdir()
    with pytest.raises(BerthError, match="The repository was not found"):
        await fetch(tmp_path / "plain", sha, out)
    blob = repository.blob(b"x")
    with pytest.raises(BerthError, match=r"is not a commit|was not found|could not fetch"):
        await fetch(repository.path, blob, out)
    assert not out.exists()


async def test_disk_and_git_itself_at_fault(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = repository.files(a=b"x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BerthError, match="The checkout could not be written: Not a directory"):
        await fetch(repository.path, sha, tmp_path / "file/out")
    with pytest.raises(BerthError, match="The checkout could not be written: File name too long"):
        await fetch(repository.path, sha, tmp_path / ("x" * 253))
    for said, meant in (
        ("fatal: write error: No space left on device", "There is no space left"),
        ("fatal: unable to access 'x': The requested URL returned error: 403", "refused to let Berth read"),
        ("fatal: unable to access 'x': The requested URL returned error: 301", "has moved"),
        ("remote: Repository not found.", "was not found"),
        ("fatal: something \x1b[31mnew", r"git could not fetch .......: something \[31mnew\."),
    ):
        programs = _slow_git(tmp_path / said[-3:], f"printf '%s' \"{said}\" >&2; exit 128")
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        with pytest.raises(BerthError, match=meant):
            await fetch(repository.path, sha, tmp_path / "out")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BerthError, match="git is not installed"):
        await fetch(repository.path, sha, tmp_path / "out")


async def test_a_checkout_that_does_not_fit_is_not_begun(repository: Repository, tmp_path: Path) -> None:
    large = repository.blob(bytes(10_000_000))
    # the same blob under many names: more than any disk holds, in a repository of some KB
    names = [f"{number:06}".encode() for number in range(shutil.disk_usage(tmp_path).free // 10_000_000 + 10)]
    sha = repository.commit(repository.tree(*(("100644", large, name) for name in names)))
    with pytest.raises(BerthError, match="no space left for the checkout: its files have"):
        await fetch(repository.path, sha, tmp_path / "out", max_bytes=10**15)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "address",
    [
        "http://github.com/a/b",
        "https://evil.example/a/b",
        "https://user:pass@github.com/a/b",
        "https://github.com:444/a/b",
        "https://github.com/a?b",
        "git@github.com:a/b",
        "ssh://github.com/a/b",
        "ext::sh -c id",
        "file:///etc",
        "relative/path",
        "--upload-pack=id",
        "",
        "https://github.com/a\nb",
    ],
)
async def test_other_addresses_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(BerthError):
        await fetch(address, "1" * 40, tmp_path / "out", allowed_hosts=["github.com"])
    assert not (tmp_path / "out").exists()


async def test_token_goes_to_its_host_only_and_into_no_argument(tmp_path: Path) -> None:
    address, config = git._address("https://GitHub.com/a/b", ["github.com"], "s3cret")
    assert "s3cret" not in address
    assert dict(config)["http.https://github.com/.extraHeader"].startswith("Authorization: Basic ")
    assert dict(config)["protocol.https.allow"] == "always"
    assert "protocol.file.allow" not in dict(config)


async def test_unreachable_host_and_bad_certificate(tmp_path: Path) -> None:
    """A TLS server that nobody knows: the token stays at home."""
    with pytest.raises(BerthError, match="could not be reached"):
        await fetch("https://localhost:1/a", "1" * 40, tmp_path / "out", allowed_hosts=["localhost:1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1")
    process = await asyncio.create_subprocess_exec(*command, "-keyout", str(key), "-out", str(certificate), stderr=-3)
    assert await process.wait() == 0
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    host = f"localhost:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(BerthError, match="certificate is not trusted"):
        await fetch(f"https://{host}/a", "1" * 40, tmp_path / "out", token="t", allowed_hosts=[host])
    server.close()


async def test_own_share_is_small(repository: Repository, tmp_path: Path) -> None:
    """The goal is 150 ms on an idle machine; this fails when something becomes slower by an order."""
    sha = repository.commit(
        repository.tree(*(("100644", repository.blob(b"%d" % number), b"%02d" % number) for number in range(30)))
    )
    taken = []
    for number in range(3):
        started = time.monotonic()
        await fetch(repository.path, sha, tmp_path / str(number))
        taken.append(time.monotonic() - started)
    assert min(taken) < 1.0


async def test_output_is_bounded(repository: Repository) -> None:
    blob = repository.blob(bytes(5_000_000))
    env = {"PATH": os.environ["PATH"], "GIT_DIR": str(repository.path)}
    done = await run_git("cat-file", "blob", blob, env=env, max_output=1_000)
    assert len(done.out) == 1_000


async def _refusal(repository: Repository, sha: str, into: Path) -> str:
    """The first words of the reason why the commit cannot be fetched; "" when it can."""
    try:
        await fetch(repository.path, sha, into)
    except BerthError as error:
        return error.reason.partition(":")[0]
    return ""


def _slow_git(tmp_path: Path, then: str) -> Path:
    """A folder with a `git` whose fetch does something else."""
    folder = tmp_path / "bin"
    folder.mkdir(parents=True)
    script = folder / "git"
    script.write_text(f'#!/bin/sh\ncase $1 in fetch) {then};; *) exec /usr/bin/env -S git "$@";; esac\n')
    script.chmod(0o755)
    return folder


def _running(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word in (folder / "environ").read_bytes().decode(errors="replace"):
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found
