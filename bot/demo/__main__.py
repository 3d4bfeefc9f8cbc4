"""The demo itself: ``make demo``, or ``python -m bot.demo``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from bot.demo import sample
from bot.demo.asker import Asker, ask
from bot.demo.docker_engine import ensure_engine
from bot.demo.leftovers import remove, stop_containers
from bot.demo.repository import BRANCH, REMOTE, Repository
from bot.demo.screen import Outcome, Screen
from bot.demo.server import Server, serving
from bot.engine.base_images import PREFIX, ensure, hub_reachable
from bot.errors import BerthError

DATA = Path(__file__).parents[2] / ".berth" / "demo"
BASE_IMAGES = ("python:3.11-slim", "haproxy:lts")  # of the sample application and of the edge


def main() -> int:
    """0 when everything held, 1 when something did not, 130 after Ctrl-C in the middle."""
    parser = argparse.ArgumentParser(prog="python -m bot.demo", description="Berth from nothing to a running URL.")
    parser.add_argument("--data", type=Path, default=DATA, help="data folder of the demo's server")
    parser.add_argument("--remove", action="store_true", help="remove everything that earlier demos left")
    arguments = parser.parse_args()
    screen = Screen()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that the server ends with us
    try:
        engine = ensure_engine(screen.say)
        if arguments.remove:
            asyncio.run(remove(engine, arguments.data))
            return 0
        return 0 if run(screen, engine, arguments.data.absolute()) else 1
    except BerthError as error:
        screen.problem(error.reason, error.fix)
        return 1
    except KeyboardInterrupt:
        screen.say("Interrupted.")
        return 130


def run(screen: Screen, engine: str, data: Path) -> bool:
    """The whole story; whether everything held. Leaves nothing running."""
    began = time.monotonic()
    screen.chapter("Berth: push a branch, get a running URL")
    prefix = prepare_base_images(screen, engine)
    with contextlib.ExitStack() as stack:
        # stopped when the server has ended, which would start them again
        stop = stack.enter_context(contextlib.ExitStack())
        server = stack.enter_context(serving(data, engine, prefix))
        stop.callback(lambda: asyncio.run(stop_containers(engine, data)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-demo-")))

        screen.command("berth serve")
        screen.say(f"Berth runs at {server.url} (operator token: {server.token_file.read_text().strip()})")
        screen.command(f"berth remote {sample.NAME}")
        url = server.berth("remote", sample.NAME, "--url-only")
        screen.command(f"git remote add {REMOTE} {url}")
        held = tell(screen, server, Repository(folder, url))
        if not held:
            screen.problem("Not everything held: see above.", f"The server's log: {server.log}")
            return False
        screen.chapter(f"Everything held, in {time.monotonic() - began:.0f} s")
        if not os.environ.get("CI"):
            stay(screen, server)
        return True


def prepare_base_images(screen: Screen, engine: str) -> str:
    """What has to stand before the names of base images: nothing, or the prefix of a mirror or of our stand-ins."""
    if mirror := os.environ.get("BERTH_BASE_IMAGE_PREFIX"):
        screen.aside(f"Base images come from {mirror} (BERTH_BASE_IMAGE_PREFIX).")
        return mirror
    with screen.busy("Looking for Docker Hub"):
        reachable = asyncio.run(hub_reachable(engine))
    if reachable:
        return ""
    screen.say(f"Docker Hub cannot be reached: base images are stand-ins made from Debian packages ({PREFIX}…).")
    with screen.busy("Building base images (a minute or two, the first time)"):
        asyncio.run(ensure(engine, BASE_IMAGES, screen.aside))
    return PREFIX


def tell(screen: Screen, server: Server, repository: Repository) -> bool:
    """Three pushes: one that goes live, one that nobody notices, one that fails and harms nobody."""
    screen.chapter("1. A first push")
    outcome = push(screen, repository, sample.FIRST)
    if not outcome.url:
        show_failure(screen, outcome)
        return False
    url = outcome.url
    answer = ask(url)
    screen.say(f"{url} is live on port {url.rpartition(':')[2].strip('/')} and says: {answer}")
    held = [screen.check("The application answers.", answer == sample.FIRST.answer)]

    screen.chapter("2. A second push, while somebody asks all the time")
    with Asker(url) as asker:
        outcome = push(screen, repository, sample.SECOND)
        time.sleep(1)  # of requests to the new one
    for answer, count in asker.answers.items():
        screen.say(f"{count:5} times: {answer}")
    for reason, count in asker.failures.items():
        screen.say(f"{count:5} times: {reason}")
    no_failure = f"{asker.requests} requests, {asker.failures.total()} failed, at the same URL."
    held.append(screen.check(no_failure, not asker.failures and asker.requests > 0))
    answer = ask(url)
    held.append(screen.check("The change is there.", answer == sample.SECOND.answer and outcome.url == url))

    screen.chapter("3. A third push, which does not start")
    outcome = push(screen, repository, sample.THIRD)
    show_failure(screen, outcome)
    held.append(screen.check("It failed, and Berth says why.", bool(outcome.problem) and not outcome.url))
    state = server.environment_of(sample.NAME)["state"]
    still = state == "live" and ask(url) == sample.SECOND.answer
    held.append(screen.check("The one before it is still live, and answers.", still))
    return all(held)


def push(screen: Screen, repository: Repository, commit: sample.Commit) -> Outcome:
    name = repository.commit(commit)
    screen.command(f"git commit -m '{commit.message}'   # {name}")
    screen.command(f"git push {REMOTE} {BRANCH}")
    return screen.follow(repository.push(), findings=commit is sample.FIRST)


def show_failure(screen: Screen, outcome: Outcome) -> None:
    for line in outcome.problem or ["The push ended without a word about its deployment."]:
        screen.warn(line)
    for line in outcome.last_lines:
        screen.aside(f"│ {line}")


def stay(screen: Screen, server: Server) -> None:
    """Until Ctrl-C."""
    application = server.environment_of(sample.NAME)["url"]
    screen.say(f"Berth's pages: {server.url}   the application: {application}   Ctrl-C ends it all.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        screen.console.print()
    screen.say("`make demo` goes on from here, `make clean` removes what it made.")


if __name__ == "__main__":
    sys.exit(main())
