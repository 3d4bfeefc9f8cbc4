"""From a commit to an image: fetch, detect, generate, build."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.deploy.attempt import Attempt
from bot.deploy.images import ImageStore
from bot.deploy.platform import Platform
from bot.deploy.release import Release, release_of
from bot.deploy.rollout import Rollout
from bot.engine import base_images
from bot.errors import BerthError
from bot.generate.examine import Examination, ExaminationFailed, examine, ready_worker
from bot.source.git import Checkout

DETECTION_SETTINGS = ("root", "framework", "build_command", "start_command", "port", "health_path", "services")
TEXT_LIMIT = 1_000_000  # bytes of a Dockerfile or .dockerignore, as detection has it
NOT_IN_CONTEXT = frozenset({"Dockerfile", ".dockerignore", "docker-compose.yml"})


@dataclass
class Preparation:
    platform: Platform
    rollout: Rollout
    images: ImageStore

    async def release(self, attempt: Attempt) -> Release:
        """Builds the attempt's commit, in a folder that is gone afterwards. Raises BerthError."""
        folder = Path(
            await asyncio.to_thread(tempfile.mkdtemp, prefix="build-", dir=self.platform.config.data_dir / "tmp")
        )
        try:
            return await self._build(attempt, folder)
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    async def _build(self, attempt: Attempt, folder: Path) -> Release:
        platform, settings = self.platform, attempt.snapshot.settings
        root = settings.get("root", "")
        async with ready_worker() as worker:
            async with attempt.enter("fetch", platform.config.fetch_timeout):
                checkout = await platform.source.fetch(
                    attempt.repository, attempt.deployment["sha"], root, folder / "source"
                )
            async with attempt.enter("detect", platform.config.detect_timeout):
                examination = await self._examine(attempt, checkout.path, worker)
        # an application further down is built there, one of a workspace where the workspace begins
        root = "" if examination.detection.root == "." else examination.detection.root
        async with attempt.enter("generate", platform.config.detect_timeout):
            files = dict(examination.files or {})
            await attempt.update(files_json=json.dumps(files))
            for line in examination.explanation:
                attempt.say(line)
            release = release_of(attempt.deployment, attempt.environment, attempt.repository, attempt.snapshot)
        # the network, the port and the edge's frontend are made while the image is built
        prepared = asyncio.create_task(self.rollout.prepare(release, attempt.say), name=f"prepare {attempt.id}")
        try:
            async with attempt.enter("build", platform.config.build_timeout + 60):
                image_id = await self._image(attempt, checkout, root, files)
            release = await prepared
        except BaseException:
            prepared.cancel()
            await asyncio.wait([prepared])
            raise
        await attempt.update(image_id=image_id)
        built = release_of(attempt.deployment, attempt.environment, attempt.repository, attempt.snapshot)
        return built.with_passwords(release.passwords)

    async def _examine(self, attempt: Attempt, context: Path, worker: asyncio.subprocess.Process) -> Examination:
        settings = attempt.snapshot.settings
        prefix = self.platform.config.base_image_prefix
        build_variables = [variable for variable in attempt.snapshot.variables if variable.build]
        try:
            examination = await examine(
                context,
                {key: settings[key] for key in DETECTION_SETTINGS if key in settings},
                image_prefix=prefix,
                images=tuple(base_images.RECIPES) if prefix == base_images.PREFIX else (),
                cache_id=self.images.cache_id(attempt.repository, attempt.environment),
                build_args=tuple(variable.name for variable in build_variables if not variable.secret),
                build_secrets=tuple(variable.name for variable in build_variables if variable.secret),
                variables=[variable.name for variable in attempt.snapshot.variables],
                timeout=self.platform.config.detect_timeout,
                worker=worker,
            )
        except ExaminationFailed as error:
            raise BerthError(error.reason, error.fix) from error
        detection = examination.detection
        await attempt.update(detection_json=json.dumps(detection.to_json()))
        named = " · ".join(
            str(part) for part in (detection.stack, detection.framework, detection.package_manager) if part
        )
        attempt.say(f"{named} (confidence {detection.confidence})")
        for warning in detection.warnings:
            attempt.say(f"warning: {warning}")
        given = {variable.name for variable in attempt.snapshot.variables}
        if unset := [name for name in detection.required_env if name not in given]:
            how = f"`berth env set {attempt.repository['name']} {unset[0]}=VALUE`"
            attempt.say(f"warning: {', '.join(unset)}: read without a default, and not set ({how})")
        if examination.files is None:
            looked = "; ".join(detection.warnings) or "no manifest, no Dockerfile, no index.html"
            raise BerthError(
                f"Nothing that Berth can deploy was found: {looked}.",
                "Add a Dockerfile, or set root or start_command.",
            )
        return examination

    async def _image(self, attempt: Attempt, checkout: Checkout, root: str, files: dict[str, str]) -> str:
        context = checkout.path / root
        extra = {name: text for name, text in files.items() if name not in NOT_IN_CONTEXT}
        await asyncio.to_thread(_write_files, context, extra)
        dockerfile = files.get("Dockerfile", "") or await asyncio.to_thread(_read_text, context, "Dockerfile")
        ignored = files.get(".dockerignore", "") or await asyncio.to_thread(_read_text, context, ".dockerignore")
        image = await self.images.get_or_build(
            repository=attempt.repository,
            environment=attempt.environment,
            tree=checkout.subtree(root),
            context=context,
            dockerfile=dockerfile,
            dockerignore="\n".join([ignored, *(f"!{name}" for name in extra)]),
            extra_files=extra,
            snapshot=attempt.snapshot,
            labels={
                "berth.environment": str(attempt.environment["id"]),
                "org.opencontainers.image.revision": attempt.deployment["sha"],
            },
            writer=attempt.writer,
            step=attempt.step,
        )
        await attempt.update(image_key=image.key)
        return image.image_id


def _read_text(folder: Path, name: str) -> str:
    """The text of a file in a checkout; empty where there is none, and for a link that leads out of it."""
    path = (folder / name).resolve()
    if not path.is_file() or not path.is_relative_to(folder.resolve()):
        return ""
    if path.stat().st_size > TEXT_LIMIT:
        raise BerthError(f"{name} has more than {TEXT_LIMIT} bytes.", "Shorten it.")
    return path.read_text(errors="replace")


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Puts generated files beside the sources. Raises BerthError where the commit has a link in their place."""
    for name, text in files.items():
        target = folder / name
        for part in (target, *target.relative_to(folder).parents[:-1]):
            if (folder / part).is_symlink():
                raise BerthError(f"{part} is a symbolic link, but Berth writes {name} there.", "Remove the link.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
