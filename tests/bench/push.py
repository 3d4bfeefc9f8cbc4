"""From the start of ``git push`` to the first good answer on the stable port, and the same by hand.

Berth's own share is all of it, less the build (phase ``build``, where something was built) and less the application's
own start. That counts as long as it takes by hand in the same run of the benchmark, from the start of its process to
its first answer, and at most as long as it took: a slow probe is Berth's own fault. Starting a container is a part of
Berth's share, as of the work by hand.
"""

from __future__ import annotations

import os
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.by_hand import Hand, Timed, first_answer, moment
from tests.bench.figures import Figure
from tests.end_to_end.harness import Server, Work, clone, docker, get, until

COLD_GOAL, WARM_GOAL = 1.5, 1.0  # seconds of Berth's own share
CASES = ("cold", "source changed", "unchanged", "rollback")
_GOALS = {"cold": COLD_GOAL, "unchanged": WARM_GOAL, "rollback": WARM_GOAL}


@dataclass(frozen=True)
class App:
    """An application to deploy. ``files(text)`` answers ``text``; ``manifest`` is the file that a dependency layer is
    made from (none: everything is source), ``source`` the one that says ``text``."""

    name: str
    files: Callable[[str], dict[str, str]]
    source: str
    manifest: str = ""
    comment: str = "\n# {}\n"


def _flask(text: str) -> dict[str, str]:
    return {
        ".python-version": "3.11\n",
        "requirements.txt": "flask==3.1.0\n",
        "app.py": f"""\
            from flask import Flask

            app = Flask(__name__)

            @app.get("/")
            def index():
                return "{text}"
            """,
    }


def _busybox(text: str) -> dict[str, str]:
    return {
        "Dockerfile": """\
            FROM berth.test/busybox:1
            COPY . /www
            EXPOSE 8080
            USER 1000
            CMD ["busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
            """,
        "index.html": f"{text}\n",
    }


FLASK = App("Flask from PyPI", _flask, "app.py", "requirements.txt")
BUSYBOX = App("a Dockerfile, 2 MB", _busybox, "index.html")


@dataclass(frozen=True)
class Deployed:
    """One deployment by Berth; seconds. ``before`` and ``after`` lie outside of its phases."""

    whole: float
    before: float
    phases: Mapping[str, float]
    after: float
    start: float  # of the application, as it was seen: from the start of its process to the end of phase `verify`
    processor: float  # of Berth and of what it started and that has ended
    built: bool

    def share(self, start: float) -> float:
        """Berth's own, where the application's start takes ``start`` seconds by hand."""
        return self.whole - (self.phases.get("build", 0.0) if self.built else 0.0) - min(start, self.start)


@dataclass
class Bench:
    """Deploys in turn with Berth and by hand, and keeps both by (application, case)."""

    server: Server
    folder: Path
    hand: Hand
    after_each: Callable[[], None]
    deployed: dict[tuple[str, str], list[Deployed]] = field(default_factory=lambda: defaultdict(list))
    by_hand: dict[tuple[str, str], list[Timed]] = field(default_factory=lambda: defaultdict(list))
    _files: dict[str, dict[str, str]] = field(default_factory=dict)
    _known: int = 0

    def round(self, app: App) -> None:
        """A new repository: its first push, a change, a push that changes nothing, a rollback."""
        work = clone(self.server, self.folder, f"bench-{secrets.token_hex(4)}")
        first, second = secrets.token_hex(6), secrets.token_hex(6)
        files = app.files(first)
        if app.manifest:  # new to every cache: nobody has installed from this very file
            files[app.manifest] += app.comment.format(secrets.token_hex(8))
        work.commit(files)
        self._push(app, "cold", work, first)
        self._build_by_hand(app, "cold", work, first)
        work.commit({app.source: app.files(second)[app.source]})
        self._push(app, "source changed", work, second)
        again = secrets.token_hex(8)
        self._build_by_hand(app, "source changed", work, second, again)
        work.commit()
        self._push(app, "unchanged", work, second)
        self._build_by_hand(app, "unchanged", work, second, again)
        self._roll_back(app, work, first)
        self._start_by_hand(app, work, first)

    def figures(self) -> tuple[list[Figure], list[Figure], list[Figure]]:
        """Berth's own share, the whole, and processor time."""
        shares, wholes, processor = [], [], []
        for (app, case), deployed in self.deployed.items():
            hand = self.by_hand[app, case]
            start = statistics.median(timed.start for timed in hand)
            name = f"{app}, {case}"
            own = tuple(each.share(start) for each in deployed)
            handling = tuple(timed.handling for timed in hand)
            shares.append(Figure("own share", name, "s", own, handling, _ratios(own, handling), _GOALS.get(case)))
            processor.append(Figure("processor time", name, "s", tuple(each.processor for each in deployed)))
            whole, whole_by_hand = tuple(each.whole for each in deployed), tuple(timed.whole for timed in hand)
            wholes.append(Figure("push to answer", name, "s", whole, whole_by_hand, _ratios(whole, whole_by_hand)))
        return shares, wholes, processor

    def parts(self) -> list[tuple[str, dict[str, float]]]:
        """Where the time of each case goes: medians in seconds, in the order in which it happens."""
        rows = []
        for (app, case), deployed in self.deployed.items():
            row = {"before": statistics.median(each.before for each in deployed)}
            for phase in deployed[0].phases:
                row[phase] = statistics.median(each.phases.get(phase, 0.0) for each in deployed)
            row["after"] = statistics.median(each.after for each in deployed)
            rows.append((f"{app}, {case}", row))
        return rows

    # ------------------------------------------------------------------------------------------------- Berth

    def _push(self, app: App, case: str, work: Work, text: str) -> None:
        self._settle()
        used, began = self._processor_seconds(), time.time()
        output = work.push()
        url = next((line.split()[-1] for line in output.splitlines() if " is live at " in line), "")
        if not url or text not in get(url).body:
            raise SystemExit(f"the push did not lead to an answer:\n{output}\n{self.server.log[-2000:]}")
        self._keep(app, case, work, began, time.time(), used)

    def _roll_back(self, app: App, work: Work, text: str) -> None:
        self._settle()
        environment = self._environment(work)
        history = self.server.api("GET", f"/api/environments/{environment['id']}/deployments")
        used, began = self._processor_seconds(), time.time()
        path = f"/api/environments/{environment['id']}/rollback"
        self.server.api("POST", path, {"deployment_id": history[-1]["id"]})
        answered = first_answer(environment["url"], text, pause=0.02)
        self.server.settled(work.name)
        self._keep(app, "rollback", work, began, answered, used)

    def _keep(self, app: App, case: str, work: Work, began: float, answered: float, used: float) -> None:  # noqa: PLR0917
        environment = self._environment(work)
        view = self._ended(environment["latest"]["id"])
        self._settle()
        phases = view["phases"]
        instance = f"berth-{self.server.instance}-e{environment['id']}-i{view['instances'][-1]['id']}"
        started = moment(docker("inspect", "-f", "{{.State.StartedAt}}", instance).strip())
        verified = next(moment(phase["finished_at"]) for phase in phases if phase["phase"] == "verify")
        self.deployed[app.name, case].append(
            Deployed(
                whole=answered - began,
                before=moment(phases[0]["started_at"]) - began,
                phases={phase["phase"]: phase["seconds"] for phase in phases},
                after=max(0.0, answered - moment(phases[-1]["finished_at"])),
                start=max(0.0, verified - started),
                processor=self._processor_seconds() - used,
                built=case in {"cold", "source changed"},
            )
        )
        if case == "cold" and app.name not in self._files:
            self._files[app.name] = self._generated(view["id"])
        self._known = view["id"]
        self.after_each()

    def _ended(self, deployment: int) -> dict[str, Any]:
        """The deployment, once its last phase is over: it is live, and answers, a little before."""

        def ended() -> dict[str, Any] | None:
            view: dict[str, Any] = self.server.api("GET", f"/api/deployments/{deployment}")
            return view if view["phases"] and view["phases"][-1]["finished_at"] else None

        found: dict[str, Any] = until(ended, "the last phase is over", 60)
        return found

    def _processor_seconds(self) -> float:
        """So far, with ended children and theirs: fields 14 to 17 of /proc/PID/stat (man 5 proc)."""
        assert self.server.process is not None
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def _settle(self) -> None:
        """No instance drains: what a deployment left behind is not the next one's cost."""

        def calm() -> bool:
            live = sum(1 for each in self.server.api("GET", "/api/environments") if each["state"] == "live")
            there = docker("ps", "-aq", "--filter", f"label=berth.instance={self.server.instance}").split()
            return len(there) == live + 1  # and the edge

        until(calm, "old instances have ended", 60, 0.3)

    def _environment(self, work: Work) -> dict[str, Any]:
        environment = self.server.environment_of(work.name)
        assert environment is not None
        return environment

    def _generated(self, deployment: int) -> dict[str, str]:
        found = self.server.api("GET", f"/api/deployments/{deployment}/files")
        files: dict[str, str] = found.get("files", found)
        return files

    # ---------------------------------------------------------------------------------------------- by hand

    def _build_by_hand(self, app: App, case: str, work: Work, text: str, marker: str = "") -> None:
        """Caches are as Berth met them: cold, a manifest and a cache mount that nobody has used; else a new source."""
        self._settle()
        environment = self._environment(work)
        files, marker = dict(self._generated(self._known)), marker or secrets.token_hex(8)
        edited = (app.manifest if case == "cold" else "") or app.source
        if case == "cold" and "Dockerfile" in files:
            cache = f"berth-{self.server.instance}-r{environment['repository_id']}"
            files["Dockerfile"] = files["Dockerfile"].replace(cache, f"hand-{marker}")

        def edit(path: Path) -> None:
            with (path / edited).open("a") as file:
                file.write(app.comment.format(marker))

        bare = self.server.data_dir / "git" / f"{environment['repository_id']}.git"
        sha = work.git("rev-parse", "HEAD").strip()
        port = environment["services"][0]["container_port"]
        self.by_hand[app.name, case].append(self.hand.deploy(bare, sha, files, edit, port=port, wanted=text))

    def _start_by_hand(self, app: App, work: Work, text: str) -> None:
        self._settle()
        port = self._environment(work)["services"][0]["container_port"]
        self.by_hand[app.name, "rollback"].append(self.hand.start(self.hand.images[-3], port, text))


def _ratios(ours: tuple[float, ...], theirs: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(our / their for our, their in zip(ours, theirs, strict=True))
