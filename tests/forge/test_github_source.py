"""Commits and files of a repository on GitHub: git over HTTP with a token that reads one repository and ends after."""

import asyncio
import base64
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.errors import BerthError
from bot.forge import source as source_module
from bot.forge.github import GitHub, GitHubError
from bot.forge.source import ForgeSource
from tests.forge.test_github import APP, config_for

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ROW = {
    "id": 3,
    "forge_id": 2,
    "name": "acme/shop",
    "installation_id": 5,
    "forge_repository_id": 7,
    "default_branch": "main",
    "removed_at": None,
}


@dataclass
class Host:
    """A GitHub with one repository, for which only the token of the moment is good."""

    bare: Path
    name: str = "acme/shop"
    url: str = ""
    tokens: list[str] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    minted: list[Any] = field(default_factory=list)
    git_requests: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)  # statuses that come first
    contents: dict[str, Any] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.failures:
            return web.json_response({"message": "Unicorn!"}, status=self.failures.pop(0))
        path = request.path
        if path.endswith("/access_tokens"):
            self.minted.append(await request.json())
            self.tokens.append(f"ghs_{len(self.tokens)}_secret")
            self.alive.add(self.tokens[-1])
            end = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            return web.json_response({"token": self.tokens[-1], "expires_at": end}, status=201)
        if path == "/installation/token":
            self.alive.discard(request.headers["authorization"].removeprefix("token "))
            return web.Response(status=204)
        if path.startswith("/repos/"):
            if "/contents/" in path:
                found = self.contents.get(f"{path.partition('/contents/')[2]}@{request.query['ref']}")
                return web.json_response(found or {"message": "Not Found"}, status=200 if found else 404)
            return web.json_response({"id": 7, "full_name": self.name})
        return await self._git(request)

    async def _git(self, request: web.Request) -> web.StreamResponse:
        self.git_requests.append(request.path)
        prefix = f"/{self.name}.git/"
        if not request.path.startswith(prefix):
            return web.Response(status=301, headers={"location": f"{self.url}{prefix}info/refs"})
        login = request.headers.get("authorization", "").removeprefix("Basic ")
        if base64.b64decode(login).decode().removeprefix("x-access-token:") not in self.alive:
            return web.Response(status=401, headers={"www-authenticate": "Basic"})
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.bare),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": "/" + request.path.removeprefix(prefix),
                "QUERY_STRING": request.query_string,
                "REQUEST_METHOD": request.method,
                "CONTENT_TYPE": request.headers.get("content-type", ""),
                "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "uploadpack.allowAnySHA1InWant",
                "GIT_CONFIG_VALUE_0": "true",
            },
        )
        out, _ = await process.communicate(await request.read())
        head, _, body = out.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return web.Response(body=body, headers={"content-type": headers["Content-Type"]})


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    server = Host(tmp_path / "shop.git")
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", "--bare", str(server.bare)], check=True)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    yield server
    await runner.cleanup()


@dataclass
class NoLocalForge:
    id: int = 1


@pytest.fixture
async def source(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ForgeSource]:
    monkeypatch.setattr(source_module, "FIRST_PAUSE", 0.05)
    config = config_for(tmp_path / "data", host.url)
    github = GitHub(config, APP, write_interval=0)
    await github.open()
    yield ForgeSource(config, NoLocalForge(), lambda: github)  # type: ignore[arg-type]
    await github.close()


def commit(bare: Path, text: bytes) -> str:
    """A commit with one file, which is not the newest of its branch."""

    def git(*arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=ada", "-c", "user.email=a@b", *arguments],
            cwd=bare,
            input=stdin,
            check=True,
            capture_output=True,
        )
        return done.stdout.decode().strip()

    blob = git("hash-object", "-w", "--stdin", stdin=text)
    tree = git("mktree", stdin=f"100644 blob {blob}\tindex.html\n".encode())
    sha = git("commit-tree", "-m", "Subject", tree)
    git("update-ref", "refs/heads/main", git("commit-tree", "-m", "Newer", "-p", sha, tree))
    return sha


async def test_a_commit_is_fetched_with_a_token_for_it_alone(host: Host, source: ForgeSource, tmp_path: Path) -> None:
    sha = commit(host.bare, b"hello")
    checkout = await source.fetch(ROW, sha, "", tmp_path / "out")
    assert (checkout.path / "index.html").read_bytes() == b"hello"
    assert host.minted == [{"repository_ids": [7], "permissions": {"contents": "read"}}]
    assert host.alive == set()  # revoked
    assert not holds(tmp_path, b"ghs_")


def holds(folder: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_renamed_repository_is_found(host: Host, source: ForgeSource, tmp_path: Path) -> None:
    sha = commit(host.bare, b"hello")
    host.name = "acme-corp/store"
    checkout = await source.fetch(ROW, sha, "", tmp_path / "out")
    assert checkout.sha == sha
    assert host.git_requests[0].startswith("/acme/shop.git/")
    reading, asking = {"contents": "read"}, {"metadata": "read"}
    assert [asked["permissions"] for asked in host.minted] == [reading, asking, reading]
    assert host.alive == {host.tokens[1]}  # those that read code are revoked


async def test_github_may_fail_for_a_while(host: Host, source: ForgeSource, tmp_path: Path) -> None:
    sha = commit(host.bare, b"hello")
    host.failures = [502] * 6
    assert (await source.fetch(ROW, sha, "", tmp_path / "out")).sha == sha


async def test_what_will_not_pass_is_said_at_once(host: Host, source: ForgeSource, tmp_path: Path) -> None:
    commit(host.bare, b"hello")
    with pytest.raises(BerthError, match="not in the repository any more"):
        await source.fetch(ROW, "a" * 40, "", tmp_path / "out")
    host.failures = [404]
    with pytest.raises(GitHubError) as caught:
        await source.fetch(ROW, "a" * 40, "", tmp_path / "out")
    assert caught.value.status == 404
    with pytest.raises(BerthError, match="lost access"):
        await source.fetch(ROW | {"installation_id": None}, "a" * 40, "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_without_an_app_nothing_is_fetched(tmp_path: Path) -> None:
    source = ForgeSource(config_for(tmp_path, "https://github.com"), NoLocalForge())  # type: ignore[arg-type]
    with pytest.raises(BerthError, match="berth init"):
        await source.default_branch_file(ROW, ".berth.yml")


async def test_files_of_the_default_branch(host: Host, source: ForgeSource) -> None:
    def entry(content: bytes, **more: Any) -> dict[str, Any]:
        text = base64.encodebytes(content).decode()
        return {"type": "file", "encoding": "base64", "size": len(content), "content": text} | more

    host.contents = {
        ".berth.yml@main": entry(b"root: web\n" * 20),
        "latin@main": entry(b"\xff"),
        "huge@main": entry(b"", encoding="none", size=2_000_000),
        "folder@main": [entry(b"")],
        "link@main": {"type": "symlink", "target": "/etc/passwd"},
    }
    assert await source.default_branch_file(ROW, ".berth.yml") == "root: web\n" * 20
    assert await source.default_branch_file(ROW, "none") is None
    assert await source.default_branch_file(ROW, "folder") is None
    assert await source.default_branch_file(ROW, "link") is None
    with pytest.raises(BerthError, match="UTF-8"):
        await source.default_branch_file(ROW, "latin")
    with pytest.raises(BerthError, match="more than 256000 bytes"):
        await source.default_branch_file(ROW, "huge")
    assert host.minted == [{"repository_ids": [7], "permissions": {"contents": "read"}}]
