"""``python -m tests.github.trim``: GitHub's OpenAPI description, cut down to the operations that Berth may use.

Takes the npm package ``@octokit/openapi`` (MIT licence) and writes ``openapi.json`` beside this file. Prose and
examples are left out; what a request or an answer must look like is all there.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = "@octokit/openapi@23.0.2"
MEMBER = "package/generated/api.github.com.json"
TARGET = Path(__file__).with_name("openapi.json")

_REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS = """
    post /app-manifests/{code}/conversions
    get /app
    get /app/hook/config
    patch /app/hook/config
    get /app/hook/deliveries
    get /app/hook/deliveries/{delivery_id}
    post /app/hook/deliveries/{delivery_id}/attempts
    get /app/installations
    get /app/installations/{installation_id}
    post /app/installations/{installation_id}/access_tokens
    delete /applications/{client_id}/token
    get /installation/repositories
    delete /installation/token
    get /rate_limit
    get /user
    get /user/installations
    get /user/installations/{installation_id}/repositories
    get R
    get R/installation
    get R/branches
    get R/branches/{branch}
    get R/collaborators/{username}/permission
    get R/commits/{ref}
    get R/commits/{ref}/status
    get R/commits/{ref}/statuses
    get R/contents/{path}
    post R/statuses/{sha}
    get R/deployments
    post R/deployments
    get R/deployments/{deployment_id}
    delete R/deployments/{deployment_id}
    get R/deployments/{deployment_id}/statuses
    post R/deployments/{deployment_id}/statuses
    get R/environments
    get R/environments/{environment_name}
    delete R/environments/{environment_name}
    get R/pulls
    get R/pulls/{pull_number}
    get R/issues/{issue_number}/comments
    post R/issues/{issue_number}/comments
    get R/issues/comments/{comment_id}
    patch R/issues/comments/{comment_id}
    delete R/issues/comments/{comment_id}
    get R/issues/comments/{comment_id}/reactions
    post R/issues/comments/{comment_id}/reactions
    delete R/issues/comments/{comment_id}/reactions/{reaction_id}
"""
_PROSE = {"description", "summary", "externalDocs", "tags", "example", "examples", "operationId"}

_NAMED = {"properties", "responses", "headers"}  # objects whose keys are names


def operations() -> list[tuple[str, str]]:
    """Method and path of each."""
    found = (line.split() for line in OPERATIONS.strip().splitlines())
    return [(method, path.replace("R", _REPOSITORY, 1) if path.startswith("R") else path) for method, path in found]


def trimmed(whole: dict[str, Any]) -> dict[str, Any]:
    """The description with our operations and all that they refer to."""
    paths: dict[str, Any] = {}
    for method, path in operations():
        entry = paths.setdefault(path, {})
        entry[method] = _plain(_best_answers(whole["paths"][path][method]))
    result: dict[str, Any] = {
        "openapi": whole["openapi"],
        "info": {"title": whole["info"]["title"], "version": whole["info"]["version"], "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {},
    }
    waiting = set(_references(paths))
    known: set[str] = set()
    while waiting:
        reference = waiting.pop()
        known.add(reference)
        _, _, kind, name = reference.split("/")
        component = _plain({kind: {name: whole["components"][kind][name]}})[kind][name]
        result["components"].setdefault(kind, {})[name] = component
        waiting |= set(_references(component)) - known
    return result


def _best_answers(operation: dict[str, Any]) -> dict[str, Any]:
    """Without the shapes of errors, which all look the same."""
    answers = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    return {**operation, "responses": answers or {"default": {"description": ""}}}


def _plain(value: Any, *, names: bool = False) -> Any:
    """``value`` without prose; ``names``: its keys are names of properties and such, which may be called like prose."""
    if isinstance(value, dict):
        kept = {
            key: _plain(part, names=not names and key in _NAMED)
            for key, part in value.items()
            if names or not (key in _PROSE or key.startswith("x-"))
        }
        for answer in kept.get("responses", {}).values() if not names else ():
            if "$ref" not in answer:
                answer["description"] = ""  # it must have one
        return kept
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
            member = package.extractfile(MEMBER)
            assert member is not None
            whole = json.load(member)
    TARGET.write_text(json.dumps(trimmed(whole), indent=None, separators=(",", ":"), sort_keys=True) + "\n")
    print(f"{TARGET.name}: {len(operations())} operations, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
