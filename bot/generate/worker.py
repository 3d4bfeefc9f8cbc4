"""The process that looks at one repository: ``python -m bot.generate.worker`` with one JSON request on stdin.

A hostile file can make any parser hang or eat memory; this process has limits of its own and can be killed. The request
holds ``path, settings, image_prefix, images, cache_id, build_args, build_secrets, variables,
seconds``, the answer ``detection,
files, explanation, base_images``, where ``files`` is null when nothing can be generated.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

from bot.detect import Repository, detect
from bot.generate import generate

MEMORY = 1024 * 1024 * 1024  # bytes of address space


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Detect and generate for one request."""
    repository = Repository.from_directory(request["path"])
    detection = detect(repository, request.get("settings") or {}, images=frozenset(request.get("images", ())))
    root = "" if detection.root == "." else detection.root
    existing = frozenset(repository.at(root).inside("")) if detection.facts else frozenset()
    generated = generate(
        detection,
        image_prefix=request.get("image_prefix", ""),
        cache_id=request.get("cache_id", "app"),
        build_args=tuple(request.get("build_args", ())),
        build_secrets=tuple(request.get("build_secrets", ())),
        existing=existing,
        variables=frozenset(request.get("variables", ())),
    )
    return {
        "detection": detection.to_json(),
        "files": generated.files if generated else None,
        "explanation": list(generated.explanation) if generated else [],
        "base_images": list(generated.base_images) if generated else [],
    }


def limit(seconds: int) -> None:
    """From here on, this process may use only so much processor time, and memory, and can write no file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> None:
    """Read the request, set the limits, write the answer."""
    request = json.load(sys.stdin)
    limit(max(1, int(request.get("seconds", 30))))
    text = json.dumps(answer(request))
    sys.stdout.write(text.encode("utf-8", "replace").decode("utf-8"))
    sys.stdout.flush()
    os._exit(0)  # nothing to tidy up


if __name__ == "__main__":
    main()
