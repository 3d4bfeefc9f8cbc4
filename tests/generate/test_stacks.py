"""Every application of :mod:`tests.generate.stacks` through a real server: pushed, asked, changed, measured, inspected.

`make test-stacks` prints what was measured as a table. What has no base image on this machine, or needs a registry
that no stand-in replaces, is generated, linted and read instruction by instruction, and stands below the table.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.config import load_config
from bot.detect import Detection, Repository, detect
from bot.detect import dockerfile as dockerfiles
from bot.engine import base_images
from bot.generate import generate
from tests.end_to_end.harness import PREFIX, Server, Work, clone, docker, get, running, until
from tests.generate.image_contents import Contents, contents
from tests.generate.measured import ROWS, Row
from tests.generate.stacks import Application, applications, development_packages

HADOLINT = Path(sys.executable).with_name("hadolint")
# steps that fetch what manifests name, as the generated files spell them
INSTALLS = re.compile(
    r".*?\b(npm(?= (?:ci|install)\b)|yarn(?= (?:install|workspaces focus)\b)|(?:pnpm|bun|bundle)(?= install\b)"
    r"|apt-get(?= install\b)|docker-php-ext-install|pip(?= install\b)|uv(?= sync\b)"
    r"|go(?= mod download\b)|cargo(?= (?:fetch|build)\b)|composer(?= install\b)"
    r"|dotnet(?= restore\b)|mvnw?\b|gradlew?\b|sbt\b|mix(?= deps)|deno(?= (?:install|cache)\b)|conda\b|micromamba\b)",
    re.DOTALL,
)
COMPILED = {"go", "rust", "java", "kotlin", "scala", "csharp", "elixir"}
LONG = 6.0  # seconds of a cold build from which on shares of it say something
SHARE = 0.25
STARTED = {"live", "failed", "cancelled", "superseded", "retired"}

BUILT = {name: one for name, one in applications().items() if not one.not_built}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), BERTH_VERIFY_TIMEOUT="300") as started:
        yield started


@dataclass
class Pushed:
    """A repository on the server, and how its newest deployment went."""

    server: Server
    work: Work
    deployment: dict[str, Any]
    url: str

    def push(self) -> None:
        """Push HEAD, and wait for what becomes of it, however long it builds."""
        before = self.deployment.get("id")
        sender = self.work.push_in_background()

        def ended() -> dict[str, Any] | None:
            found = self.server.environment_of(self.work.name)
            latest = found["latest"] if found else None
            return found if latest and latest["id"] != before and latest["state"] in STARTED else None

        environment = until(ended, f"{self.work.name} has settled", 1500, 0.3)
        sender.wait(60)
        self.deployment = self.server.api("GET", f"/api/deployments/{environment['latest']['id']}")
        self.url = environment["url"] or ""
        assert self.deployment["state"] == "live", self.why()

    def why(self) -> str:
        """The reason for a failure, and the end of the log."""
        printed = "\n".join(line["text"] for line in self.server.lines(self.deployment["id"], 150))
        return f"{self.deployment['reason']} {self.deployment['fix']}\n{printed}"

    def seconds(self, *phases: str) -> float:
        """How long these phases of the newest deployment took."""
        return sum(entry["seconds"] or 0.0 for entry in self.deployment["phases"] if entry["phase"] in phases)

    def steps(self) -> list[tuple[str, str]]:
        """Steps of the newest build with what was said of them: ``started``, ``cached``, ``done in …``."""
        lines = self.server.lines(self.deployment["id"], 20_000)
        return [(line["step"] or "", line["text"]) for line in lines if line["kind"] == "step"]

    def files(self) -> dict[str, str]:
        """The generated files of the newest deployment."""
        found: dict[str, str] = self.server.api("GET", f"/api/deployments/{self.deployment['id']}/files")["files"]
        return found


def examined(one: Application) -> tuple[Detection, dict[str, str], tuple[str, ...]]:
    """What the application is, its files, and the base images that they name."""
    images = tuple(base_images.RECIPES) if PREFIX == base_images.PREFIX else ()
    found = detect(Repository.from_files(dict(one.files)), images=images)
    made = generate(found, image_prefix=PREFIX)
    assert made, found.warnings
    return found, dict(made.files), made.base_images


def lacking(images: tuple[str, ...]) -> list[str]:
    """Base images that neither are there nor have a recipe."""
    if PREFIX != base_images.PREFIX:
        return []
    return [image for image in images if not base_images.known_image(image)]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.stacks
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", BUILT)
def test_built_through_the_server(name: str, server: Server, tmp_path: Path) -> None:
    one = BUILT[name]
    found, files, images = examined(one)
    row = Row(name, found.stack, found.framework or "", found.package_manager or "")
    if missing := lacking(images):
        lint(files["Dockerfile"], tmp_path)
        ROWS.append(Row(row.name, row.stack, row.framework, row.manager, remark=f"no base image {', '.join(missing)}"))
        pytest.skip(f"generated and linted, not built: no base image {', '.join(missing)}")
    if PREFIX == base_images.PREFIX:
        asyncio.run(base_images.ensure(load_config().effective_docker_host, {*one.images, *images}, print))
    shop = clone(server, tmp_path, f"{re.sub('[^a-z0-9]+', '-', name.lower())[:30].strip('-')}-{uuid.uuid4().hex[:6]}")
    variables = {**dict.fromkeys(found.required_env, "value"), **one.environment}
    if variables:
        server.berth("env", "set", shop.name, *(f"{key}={value}" for key, value in variables.items()))
    pushed = Pushed(server, shop, {}, "")
    try:
        shop.commit(one.files)
        pushed.push()
        reply = get(pushed.url + one.path)
        assert (reply.status, one.answer in reply.body) == (200, True), reply
        cold, start = pushed.seconds("build"), pushed.seconds("start", "verify")

        shop.commit(one.change())
        pushed.push()
        assert one.changed_answer in get(pushed.url + one.path).body
        warm, text = pushed.seconds("build"), pushed.files().get("Dockerfile", "")
        cached = _dependencies_cached(text, pushed.steps())

        held = contents(pushed.deployment["image_id"], text, PREFIX)
        sizes = (held.size, held.base_size)
        row = Row(row.name, row.stack, row.framework, row.manager, cold, warm, cached, *sizes, start)
        ROWS.append(row)
        _goals(one, found, row)
        _clean(one, held)
        if not one.services:
            _obeys(pushed.deployment["image_id"], one, variables)
    finally:
        server.berth("rm", shop.name, check=False)


def _dependencies_cached(text: str, steps: list[tuple[str, str]]) -> bool | None:
    """Whether the first step of every tool that installs was cached; None without such a step.

    The same tool may compile, or install the project itself, in a later step.
    """
    first: dict[str, bool] = {}
    for stage in dockerfiles.parse(text).stages:
        for instruction in stage.instructions:
            match = INSTALLS.match(instruction.text) if instruction.name == "RUN" else None
            if match and match[1] not in first:
                command = " ".join(re.sub(r"--mount=\S+\s+", "", instruction.text).split())
                said = [told for step, told in steps if command.startswith(_command(step))]
                assert said, f"the log does not tell of {command}"
                first[match[1]] = said == ["cached"]
    return all(first.values()) if first else None


def _command(step: str) -> str:
    """The beginning of the command of a step of the log; what is no RUN begins nothing."""
    found = re.match(r"\[[^]]*\] RUN (.+?)…?$", step)
    return found[1] if found else "\n"


def _goals(one: Application, found: Detection, row: Row) -> None:
    assert row.cached is not False, "a change of the source alone installed the dependencies again"
    bundled = found.output_dir or getattr(found.facts, "build", None) or getattr(found.facts, "assets", None)
    compiled = one.compiled if one.compiled is not None else found.stack in COMPILED or bool(bundled)
    assert row.cold is not None
    assert row.warm is not None
    if not compiled and row.cold >= LONG:
        assert row.warm <= SHARE * row.cold, f"built again in {row.warm:.1f} s, at first in {row.cold:.1f} s"


def _clean(one: Application, held: Contents) -> None:
    assert not held.compilers, f"compilers and tools for building: {sorted(held.compilers)[:10]}"
    assert not held.caches, f"caches: {sorted(held.caches)[:10]}"
    unwanted = development_packages(one) & held.packages
    assert not unwanted, f"packages for development: {sorted(unwanted)}"


def _obeys(image: str, one: Application, variables: dict[str, str]) -> None:
    """By hand: another port, no capabilities, the check from inside, and a signal that reaches the application."""
    assert json.loads(docker("image", "inspect", image))[0]["Config"]["User"] == "1000:1000"
    name = f"berth-stacks-{uuid.uuid4().hex[:10]}"
    words = [part for pair in {**variables, "PORT": "7123"}.items() for part in ("--env", "=".join(pair))]
    rights = ("--init", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    # the image's label would make the container one of the server's, which removes what it does not know
    docker("run", "--detach", "--name", name, "--label", "berth.instance=by-hand", *rights, *words, image)
    try:
        state = json.loads(docker("inspect", name))[0]
        address = f"http://{state['NetworkSettings']['Networks']['bridge']['IPAddress']}:7123{one.path}"
        reply = until(lambda: get(address), f"{address} answers", 60)
        assert (reply.status, one.changed_answer in reply.body) == (200, True), reply
        check = state["Config"].get("Healthcheck")
        if check:
            docker("exec", name, *check["Test"][1:])
        began = time.monotonic()
        docker("stop", "--time", "20", name)
        assert time.monotonic() - began < 8, "the signal did not reach the application"
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


def lint(text: str, folder: Path) -> None:
    """What hadolint says at its default level, without configuration: nothing."""
    (folder / "Dockerfile").write_text(text)
    done = subprocess.run([HADOLINT, "--no-color", folder / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("name", applications())
def test_an_application_can_be_generated_and_changed(name: str) -> None:
    one = applications()[name]
    found = detect(Repository.from_files(dict(one.files)))
    assert generate(found), found.warnings
    if not one.not_built:
        changed = one.change()
        assert changed.keys() <= one.files.keys()
        assert one.changed_answer != one.answer


@pytest.mark.parametrize("name", [name for name, one in applications().items() if one.not_built])
def test_what_is_not_built_is_read_instruction_by_instruction(name: str, tmp_path: Path) -> None:
    one = applications()[name]
    made = generate(detect(Repository.from_files(dict(one.files))))
    assert made
    lint(made.files["Dockerfile"], tmp_path)
    left: list[str] = []
    for stage in dockerfiles.parse(made.files["Dockerfile"]).stages:
        left.append(f"FROM {stage.base}" + (f" AS {stage.name}" if stage.name else ""))
        left += [f"{instruction.name} {instruction.text}" for instruction in stage.instructions]
    for wanted in one.instructions:
        place = next((place for place, text in enumerate(left) if re.match(wanted, text, re.DOTALL)), None)
        assert place is not None, f"no {wanted} among {left}"
        left = left[place + 1 :]


def test_the_change_is_made_in_the_first_source_that_has_the_word() -> None:
    one = Application((), {"package.json": '"one"', "a.txt": "alone", "server.js": "one+one"})
    assert one.change() == {"server.js": "two+two"}
    assert Application((), one.files, source="package.json").change() == {"package.json": '"two"'}
    with pytest.raises(AssertionError, match="source"):
        Application((), {"a.txt": "alone"}).change()
