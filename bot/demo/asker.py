"""A visitor who asks all the time, and notices every request that fails."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from types import TracebackType
from urllib.parse import urlsplit

PAUSE = 0.005  # seconds between two requests


def ask(url: str, timeout: float = 10) -> str:
    """The text of the page, over a connection of its own. Raises OSError where there is no good answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except http.client.HTTPException as error:
        raise OSError(f"no proper answer ({type(error).__name__})") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise OSError(f"status {response.status}")
    return text


class Asker:
    """Requests ``url`` from another thread as long as the ``with`` block lasts.

    ``answers`` counts each text that came back, ``failures`` each reason why none did.
    """

    def __init__(self, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._url = url
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="asker", daemon=True)

    @property
    def requests(self) -> int:
        return self.answers.total() + self.failures.total()

    def __enter__(self) -> Asker:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._end.is_set():
            try:
                self.answers[ask(self._url)] += 1
            except OSError as error:
                self.failures[str(error)] += 1
            time.sleep(PAUSE)
