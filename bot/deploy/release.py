"""What is to run: a commit's project with its images and settings, and the containers that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bot.deploy import states
from bot.deploy.masking import Masker
from bot.deploy.platform import Platform
from bot.deploy.variables import Snapshot
from bot.engine.records import ContainerSpec, VolumeMount, default_capabilities
from bot.errors import BerthError
from bot.project import Project, ProjectError, Service, from_yaml, interpolate
from bot.store.database import Row


@dataclass(frozen=True)
class Release:
    """What is to run: a commit's project with its images, and the settings and variables of its deployment."""

    environment: Row
    deployment: Row
    repository: Row  # with application_id
    project: Project
    images: Mapping[str, str]  # service -> image id
    snapshot: Snapshot
    compose: str = ""  # the text of the project
    passwords: Mapping[str, str] = field(default_factory=dict)  # of its databases, by the variables of that text

    @property
    def masker(self) -> Masker:
        return Masker([*self.snapshot.secrets(), *self.passwords.values()])

    def with_passwords(self, passwords: Mapping[str, str]) -> Release:
        """The same with the passwords of the environment's databases in the places that the project keeps for them."""
        if not passwords:
            return self
        return replace(self, project=from_yaml(self.compose, passwords), passwords=dict(passwords))


def release_of(deployment: Row, environment: Row, repository: Row, snapshot: Snapshot) -> Release:
    """The release that a deployment's row describes. Raises BerthError when its project cannot be read."""
    try:
        compose = json.loads(deployment["files_json"])["docker-compose.yml"]
        project = from_yaml(compose)
    except ProjectError as error:
        raise BerthError(error.reason, error.fix) from error
    image = deployment["image_id"] or ""
    images = {name: image if service.build else service.image or "" for name, service in project.services.items()}
    return Release(environment, deployment, repository, project, images, snapshot, compose)


async def container_spec(
    platform: Platform, release: Release, service: Row, *, network: str, address: str, instance_id: int
) -> ContainerSpec:
    """The container of one instance. Raises BerthError when its image is gone."""
    told, environment_id = release.snapshot.settings, release.environment["id"]
    model = release.project.services[service["name"]]
    image = await platform.engine.image(release.images[service["name"]])
    if image is None:
        raise BerthError(f"The image of deployment {release.deployment['id']} is gone.", "Deploy the commit again.")
    return ContainerSpec(
        name=container_name(platform, environment_id, instance_id),
        image=image.id,
        labels={
            "berth.environment": str(environment_id),
            "berth.deployment": str(release.deployment["id"]),
            "berth.service": str(service["id"]),
        },
        command=model.command,
        entrypoint=model.entrypoint,
        user=model.user or "",
        working_dir=model.working_dir or "",
        stop_signal=model.stop_signal or "",
        volumes=await mounts_of(platform, environment_id, model),
        tmpfs=tuple(mount.target for mount in model.volumes if mount.kind == "tmpfs"),
        environment=_variables(release, service, model),
        network=network,
        address=address,
        memory=told.get("memory", platform.config.memory),
        cpus=told.get("cpus", platform.config.cpus),
        pids=told.get("pids", platform.config.pids),
        capabilities=default_capabilities(image),
        stop_grace=model.stop_grace_period or platform.config.stop_grace,
        aliases=(service["name"],),
        checked=model.healthcheck is None or model.healthcheck.test != ("NONE",),
    )


def container_name(platform: Platform, environment_id: int, instance_id: int) -> str:
    return f"berth-{platform.instance}-e{environment_id}-i{instance_id}"


def volume_name(platform: Platform, environment_id: int, source: str) -> str:
    """What a named volume of an environment's project is called: names are made by us, never from user text."""
    return f"berth-{platform.instance}-e{environment_id}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


async def mounts_of(platform: Platform, environment_id: int, model: Service) -> tuple[VolumeMount, ...]:
    """The service's named volumes, made where they are missing; they belong to the environment."""
    mounts = []
    for mount in model.volumes:
        if mount.kind != "volume" or not mount.source:
            continue
        name = volume_name(platform, environment_id, mount.source)
        await platform.engine.create_volume(name, {"berth.environment": str(environment_id)})
        mounts.append(VolumeMount(name, mount.target, mount.read_only))
    return tuple(mounts)


def _variables(release: Release, service: Row, model: Service) -> dict[str, str]:
    """Project < variables < what Berth itself says."""
    given = {variable.name: variable.value for variable in release.snapshot.variables}
    environment, deployment = release.environment, release.deployment
    values = {**interpolate(model.environment, given), **given}
    if service["container_port"]:
        values["PORT"] = str(service["container_port"])
    values |= {
        "BERTH_ENVIRONMENT": states.label(environment["kind"], environment["ref"]),
        "BERTH_BRANCH": deployment["ref"],
        "BERTH_SHA": deployment["sha"],
        "BERTH_DEPLOYMENT": str(deployment["id"]),
    }
    return values
