"""Why a build failed, in a sentence, and what to do about it.

The texts of BuildKit that are matched here were collected from engines 20.10 to 28.
"""

from __future__ import annotations

import re

from bot.engine.dockerignore import IgnoreRules
from bot.errors import BerthError

_EXIT_CODE = re.compile(r"exit code: (\d+)")
_SYNTAX = re.compile(r"(?:dockerfile|Dockerfile) parse error (?:on )?line (\d+): (.*)", re.S)
_NOT_FOUND = re.compile(
    r'"([^"]+)"(?:: | )not found|lstat \S*?/(?:buildkit-mount\d+|merged|fs)/([^:]+): no such file or directory'
)
_FROM = re.compile(r"--from=(\S+)")
_MIRROR = "set BERTH_BASE_IMAGE_PREFIX to a mirror that has it"
# The steps that fetch a base image, by what follows: its name in a FROM, or in COPY --from
_BASE = re.compile(r"(?:load metadata for|^FROM) (\S+)$")
_FRONTEND = re.compile(r"resolve image config for (?:docker-image://)?(\S+)")
_RESOLVE = re.compile(r"failed to resolve source metadata for (\S+?):? ")
# What needs no more than its words: pattern, reason, fix; {1} is the first group
_KNOWN = (
    (
        "no space left on device",
        "There is no space left on the Docker host.",
        "Free disk space: `docker system df` shows what uses it, `docker builder prune` empties the build cache.",
    ),
    (
        "Dockerfile cannot be empty|no build stage in|file with no instructions",
        "The Dockerfile has no FROM line.",
        "Start it with the base image: FROM NAME:TAG.",
    ),
    (
        r"base name \((.*)\) should not be blank",
        "The Dockerfile's FROM names no image: {1} is empty.",
        "Give the ARG a default value before that FROM.",
    ),
    (
        r"target stage \"?([^\s\"]+)\"? could not be found",
        "The Dockerfile has no stage named {1}.",
        "Set the build target to the name after AS in one of its FROM lines.",
    ),
    (
        r"unable to find user (\S+): no matching entries",
        "The image has no user named {1}.",
        "Create it in an earlier step (RUN useradd …), or give a numeric USER.",
    ),
    (
        "no active sessions?|secret .*not found",
        "The Dockerfile asks for a build secret that is not set.",
        "Set a variable of that name and mark it for the build.",
    ),
)
# a path inside of the image, as the engine sees it on its own disk
_HOST_PATH = re.compile(r"/\S*?/(?:merged|buildkit-mount\d+|fs)(?=/)")
_STAGE = re.compile(r"\[[^\]]*\] ")
_MESSAGE, _STEP = 2000, 400  # characters
_SOLVE = re.compile(
    r"^(?:failed to solve(?: with frontend [\w.]+)?: |failed to create LLB definition: |rpc error: code = \w+ desc = )+"
)


class BuildFailed(BerthError):  # noqa: N818
    """The image could not be built.

    ``step`` is the step that failed, ``exit_code`` that of its command, ``missing_image`` the base image that could not
    be had; each is None where it does not apply.
    """

    def __init__(
        self,
        reason: str,
        fix: str = "",
        *,
        step: str | None = None,
        exit_code: int | None = None,
        missing_image: str | None = None,
    ) -> None:
        super().__init__(reason, fix)
        self.step = step
        self.exit_code = exit_code
        self.missing_image = missing_image


def explain(message: str, step: str | None, rules: IgnoreRules, dockerfile: str = "") -> BuildFailed:
    """What BuildKit's ``message`` means; ``step`` is the name of the step that failed, if one did.

    Both may hold a command of a stranger's Dockerfile, a megabyte long: they are cut before anything is looked for.
    """
    text = _SOLVE.sub("", _cut(message.strip(), _MESSAGE))
    step = None if step is None else _cut(step, _STEP)
    for pattern, reason, fix in _KNOWN:
        if found := re.search(pattern, text):
            return BuildFailed(reason.replace("{1}", found[1] if found.groups() else ""), fix, step=step)
    if found := _FRONTEND.search(step or ""):
        return _missing_frontend(_short(found[1]), text, step)
    if found := _BASE.search(step or "") or _RESOLVE.search(text):
        return missing_base(found[1], text, step)
    if found := _SYNTAX.search(text):
        return _wrong_line(found[1], found[2].strip(), step, dockerfile)
    if found := _EXIT_CODE.search(text):
        return _command_failed(int(found[1]), step)
    if found := _NOT_FOUND.search(text):
        return _not_found("/" + (found[1] or found[2]).strip("/"), step, rules)
    if text.endswith("context canceled"):
        return BuildFailed("The build was cancelled.", "Deploy again.", step=step)
    where = f" in `{_plain(step)}`" if step else ""
    text = _HOST_PATH.sub("", text)
    return BuildFailed(f"The build failed{where}: {text}.", step=step)


def _cut(text: str, length: int) -> str:
    """The beginning and the end of a text that is longer."""
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 2 :]}"


def _wrong_line(number: str, problem: str, step: str | None, dockerfile: str) -> BuildFailed:
    fix = "Correct that line."
    if "<<" in dockerfile and "unknown instruction" in problem:
        # BuildKit before 0.10 (Docker 20.10) takes the lines of a heredoc for instructions.
        fix += " If it belongs to a heredoc (<<), begin the Dockerfile with `# syntax=docker/dockerfile:1`."
    return BuildFailed(f"The Dockerfile is wrong in line {number}: {problem}.", fix, step=step)


def _command_failed(code: int, step: str | None) -> BuildFailed:
    command = _plain(step) if step else "A command"
    if code == 137:
        return BuildFailed(
            f"`{command}` was killed (exit code 137): most likely the Docker host ran out of memory.",
            "Give the host more memory or swap, build less at a time (BERTH_BUILDS), or let the command use less"
            " (for Node.js: NODE_OPTIONS=--max-old-space-size=1024).",
            step=step,
            exit_code=code,
        )
    fix = "The last lines that it printed say why."
    if code == 127:
        fix = "The image has no such program: install it in an earlier step, or correct its name."
    elif code == 126:
        fix = "The file is not executable: `git update-index --chmod=+x FILE`, or start it with its interpreter."
    return BuildFailed(f"`{command}` failed with exit code {code}.", fix, step=step, exit_code=code)


def _not_found(path: str, step: str | None, rules: IgnoreRules) -> BuildFailed:
    command = f" (`{_plain(step)}`)" if step else ""
    if stage := _FROM.search(step or ""):
        return BuildFailed(
            f"The Dockerfile copies {path} from {stage[1]}{command}, where it does not exist.",
            f"Check the path, and what the steps of {stage[1]} really produce.",
            step=step,
        )
    rule = rules.reason(path.strip("/")) if path.strip("/") else None
    if rule is not None:
        return BuildFailed(
            f"The Dockerfile copies {path}{command}, but the .dockerignore leaves it out.",
            f"Remove or narrow {rule} of the .dockerignore.",
            step=step,
        )
    return BuildFailed(
        f"The Dockerfile copies {path}{command}, which does not exist.",
        "Paths are relative to the root folder of the application; check the path, and whether the file is committed.",
        step=step,
    )


def missing_base(image: str, message: str, step: str | None) -> BuildFailed:
    """The base image ``image`` could not be had, for the reason in ``message``."""
    name, problem = _short(image), _registry_problem(message)
    if problem == "login":
        reason = f"The base image {name} does not exist, or its registry wants a login."
        fix = f"Check its name, log the Docker host in (`docker login`), or {_MIRROR}."
    elif problem == "network":
        reason = f"The registry of the base image {name} cannot be reached from the Docker host."
        fix = f"Check the host's network, or {_MIRROR}."
    else:
        reason = f"The base image {name} does not exist in its registry."
        fix = f"Correct the FROM line, or {_MIRROR}."
    return BuildFailed(reason, fix, step=step, missing_image=name)


def _missing_frontend(name: str, message: str, step: str | None) -> BuildFailed:
    problem = "cannot be reached" if _registry_problem(message) == "network" else "does not have it"
    return BuildFailed(
        f"The Dockerfile asks for the syntax {name}, and its registry {problem}.",
        "Remove its `# syntax=` line, which most Dockerfiles do not need, or pull that image on the Docker host.",
        step=step,
        missing_image=name,
    )


def _registry_problem(message: str) -> str:
    lower = message.lower()
    if any(word in lower for word in ("unauthorized", "denied", "authorization failed")):
        return "login"
    if any(word in lower for word in ("no such host", "dial tcp", "timeout", "refused", "unreachable", "tls", "x509")):
        return "network"
    return "missing"


def _short(image: str) -> str:
    return image.removeprefix("docker.io/").removeprefix("library/")


def _plain(step: str) -> str:
    """``[deps 2/4] RUN npm ci`` without the brackets."""
    return _STAGE.sub("", step, count=1)
