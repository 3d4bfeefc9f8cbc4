"""The fake's API for what Berth reports: commit statuses, deployments, environments."""

from __future__ import annotations

from tests.github.calls import Answer, Call, Refusal, paged, route
from tests.github.state import (
    Deployment,
    DeploymentStatus,
    Status,
    new_id,
)


@route("post", "R/statuses/{sha}", needs="statuses:write")
def create_status(call: Call) -> Answer:
    sha, body, repository = call.path("sha"), call.body, call.repository
    if repository.sha(sha) != sha:
        raise Refusal(422, f"No commit found for SHA: {sha}", violation=True)
    context = body.get("context", "default")
    status = Status(sha, body["state"], context, body.get("description"), body.get("target_url"), call.github.app_user)
    if sum(one.sha == sha and one.context.lower() == context.lower() for one in repository.statuses) >= 1000:
        raise Refusal(422, "This SHA and context has reached the maximum number of statuses.", violation=True)
    repository.statuses.append(status)
    return 201, call.github.shapes.status(repository, status)


@route("get", "R/commits/{ref}/statuses", needs="statuses:read")
def list_statuses(call: Call) -> Answer:
    sha = call.repository.sha(call.path("ref"))
    found = [one for one in reversed(call.repository.statuses) if one.sha == sha]
    return 200, [call.github.shapes.status(call.repository, one) for one in paged(call, found)]


@route("post", "R/deployments", needs="deployments:write")
def create_deployment(call: Call) -> Answer:
    body, repository = call.body, call.repository
    sha = repository.sha(body["ref"])
    if not sha:
        raise Refusal(422, f"No ref found for: {body['ref']}")
    if body.get("auto_merge", True):
        raise Refusal(409, "auto_merge would merge the default branch into this one", violation=True)
    latest = {one.context: one.state for one in repository.statuses if one.sha == sha}
    required = body.get("required_contexts")
    if any(latest.get(one) != "success" for one in (latest if required is None else required)):
        raise Refusal(409, "Conflict: Commit status checks failed for the ref", violation=True)
    environment = body.get("environment", "production")
    deployment = Deployment(
        body["ref"],
        sha,
        environment,
        call.github.app_user,
        transient=body.get("transient_environment", False),
        production=body.get("production_environment", environment == "production"),
        description=body.get("description"),
        task=body.get("task", "deploy"),
        payload=body.get("payload", {}),
    )
    repository.deployments[deployment.id] = deployment
    repository.environments.setdefault(environment, new_id())
    return 201, call.github.shapes.deployment(repository, deployment)


@route("get", "R/deployments", needs="deployments:read")
def list_deployments(call: Call) -> Answer:
    wanted = {key: call.query[key] for key in ("sha", "ref", "task", "environment") if key in call.query}
    found = [
        one
        for one in reversed(list(call.repository.deployments.values()))
        if all(getattr(one, key) == value for key, value in wanted.items())
    ]
    return 200, [call.github.shapes.deployment(call.repository, one) for one in paged(call, found)]


def _deployment(call: Call) -> Deployment:
    found = call.repository.deployments.get(call.integer("deployment_id"))
    if found is None:
        raise Refusal(404, "Not Found")
    return found


@route("get", "R/deployments/{deployment_id}", needs="deployments:read")
def get_deployment(call: Call) -> Answer:
    return 200, call.github.shapes.deployment(call.repository, _deployment(call))


@route("delete", "R/deployments/{deployment_id}", needs="deployments:write")
def delete_deployment(call: Call) -> Answer:
    deployment = _deployment(call)
    if deployment.state != "inactive" and len(call.repository.deployments) > 1:
        raise Refusal(422, "We cannot delete an active deployment unless it is the only deployment.", violation=True)
    del call.repository.deployments[deployment.id]
    return 204, None


@route("get", "R/deployments/{deployment_id}/statuses", needs="deployments:read")
def list_deployment_statuses(call: Call) -> Answer:
    deployment = _deployment(call)
    found = paged(call, list(reversed(deployment.statuses)))
    return 200, [call.github.shapes.deployment_status(call.repository, deployment, one) for one in found]


@route("post", "R/deployments/{deployment_id}/statuses", needs="deployments:write")
def create_deployment_status(call: Call) -> Answer:
    deployment, body = _deployment(call), call.body
    status = DeploymentStatus(
        body["state"],
        body.get("description", ""),
        body.get("environment", deployment.environment),
        body.get("environment_url", ""),
        body.get("log_url") or body.get("target_url", ""),
        call.github.app_user,
    )
    deployment.statuses.append(status)
    if status.state == "success" and body.get("auto_inactive", True):
        for other in list(call.repository.deployments.values()):
            plain = not (other.transient or other.production)
            if other is not deployment and plain and other.environment == deployment.environment:
                other.statuses.append(DeploymentStatus("inactive", "", other.environment, "", "", status.creator))
    return 201, call.github.shapes.deployment_status(call.repository, deployment, status)


@route("get", "R/environments", needs="actions:read environments:read deployments:read")
def list_environments(call: Call) -> Answer:
    names = list(call.repository.environments)
    shown = [call.github.shapes.environment(call.repository, name) for name in paged(call, names)]
    return 200, {"total_count": len(names), "environments": shown}


def _environment(call: Call) -> str:
    name = call.path("environment_name")
    if name not in call.repository.environments:
        raise Refusal(404, "Not Found")
    return name


@route("get", "R/environments/{environment_name}", needs="actions:read environments:read deployments:read")
def get_environment(call: Call) -> Answer:
    return 200, call.github.shapes.environment(call.repository, _environment(call))


@route("delete", "R/environments/{environment_name}", needs="environments:write administration:write")
def delete_environment(call: Call) -> Answer:
    del call.repository.environments[_environment(call)]
    return 204, None
