"""What a commit would be taken for and built from: fetched, detected, generated, but not deployed."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bot.deploy.platform import Platform
from bot.deploy.preparation import DETECTION_SETTINGS
from bot.engine import base_images
from bot.errors import BerthError, UnavailableError
from bot.generate.examine import Examination, ExaminationFailed, examine, ready_worker
from bot.source.git import Checkout
from bot.store.database import Row

MOST: Final = 4  # at the same time: each has a checkout on disk and a process of its own
_running: set[str] = set()  # folders


@dataclass(frozen=True)
class Inspection:
    checkout: Checkout
    examination: Examination


async def inspect(platform: Platform, repository: Row, sha: str, settings: Mapping[str, object]) -> Inspection:
    """Fetches exactly ``sha`` into a folder that is gone afterwards, and examines it in a process of its own.

    ``settings``: as they would be set in Berth. Raises BerthError, and UnavailableError where several run already.
    """
    config, root = platform.config, str(settings.get("root") or "")
    if len(_running) >= MOST:
        raise UnavailableError(f"{MOST} commits are looked at already.", "Try again in a moment.")
    folder = config.data_dir / "tmp" / f"detect-{secrets.token_hex(6)}"
    _running.add(folder.name)
    try:
        async with ready_worker() as worker:
            checkout = await platform.source.fetch(repository, sha, root, folder / "source")
            examination = await examine(
                checkout.path,
                {key: settings[key] for key in DETECTION_SETTINGS if settings.get(key) is not None},
                image_prefix=config.base_image_prefix,
                images=tuple(base_images.RECIPES) if config.base_image_prefix == base_images.PREFIX else (),
                timeout=config.detect_timeout,
                worker=worker,
            )
    except ExaminationFailed as error:
        raise BerthError(error.reason, error.fix) from error
    finally:
        _running.discard(folder.name)
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
    return Inspection(checkout, examination)
