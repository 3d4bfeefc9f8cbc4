"""What the engine's refusals mean for a person."""

from __future__ import annotations

import re

from bot.engine.records import ContainerSpec
from bot.engine.wire import EngineRefused
from bot.errors import BerthError


def create_error(error: EngineRefused, spec: ContainerSpec) -> BerthError:
    """Why this container could not be made or started."""
    text = error.message
    lower = text.lower()
    if "no such image" in lower:
        return BerthError(f"The image {spec.image} does not exist any more.", "Deploy again to build it.")
    if "executable file not found" in lower or ("no such file or directory" in lower and "exec" in lower):
        what = " ".join(spec.command or ()) or "the start command"
        return BerthError(f"The image has no such program: {what}.", "Correct the start command.")
    if found := re.search(r"unable to find (user|group) ([^\s:]+): no matching entries", text):
        return BerthError(
            f"The image has no {found[1]} named {found[2]}.",
            f"Create it in the Dockerfile (RUN {found[1]}add …), or give a numeric USER.",
        )
    if "address already in use" in lower and spec.address:
        return BerthError(
            f"The address {spec.address} is used by another container of the network {spec.network}.",
            "Remove that container; see `docker network inspect`.",
        )
    if "no space left" in lower:
        return BerthError("There is no space left on the Docker host.", "Free some disk space (`docker system df`).")
    if "network" in lower and "not found" in lower:
        return BerthError(f"The network {spec.network} does not exist any more.", "Deploy again to make it.")
    return BerthError(f"Docker cannot start the container {spec.name}: {text}.")


def pull_error(ref: str, message: str) -> BerthError:
    """What a failed pull of ``ref`` means, in words."""
    text = message.lower()
    mirror = "set BERTH_BASE_IMAGE_PREFIX to a mirror that has it"
    if "no space left" in text:
        return BerthError(
            f"There is no space left to pull the image {ref}.", "Free some disk space (`docker system df`)."
        )
    if any(word in text for word in ("unauthorized", "denied", "authentication required", "no basic auth")):
        return BerthError(
            f"The registry does not give out the image {ref}: it does not exist or needs a login.",
            f"Check its name, log the engine in, or {mirror}.",
        )
    if any(word in text for word in ("not found", "manifest unknown", "invalid reference", "no such image")):
        return BerthError(f"The image {ref} does not exist in its registry.", f"Check its name and tag, or {mirror}.")
    last = (message.strip().splitlines() or ["no reason given"])[-1]
    return BerthError(
        f"The registry of the image {ref} cannot be reached: {last}.",
        f"Check the network of the Docker host, or {mirror}; without any registry, see `berth base-images build`.",
    )
