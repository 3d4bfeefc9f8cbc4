"""The whole server over HTTP, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path

import uvicorn

from bot.app import create_app
from bot.config import load_config


class Served:
    """The server on a port of its own; no engine answers."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        config = load_config(data_dir=folder, docker_host=f"unix://{folder}/none.sock", log_level="error", port=8420)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(create_app(config), log_level="error"))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.05)
        self.headers = {"Authorization": f"Bearer {(folder / 'operator-token').read_text().strip()}"}

    def _run(self) -> None:
        asyncio.run(self._server.serve([self.socket]))

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
