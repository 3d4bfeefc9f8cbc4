"""``python -m tests.web.screenshots`` takes the pictures of ``.github/pictures/``: pages of a small team."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
from playwright.async_api import async_playwright

from bot.config import load_config
from bot.store.tables import metadata
from tests.web.conftest import Rig, open_rig
from tests.web.sample import Sample, seed
from tests.web.test_browser import CHROMIUM, open_browser

PICTURES = Path(__file__).parents[2] / ".github" / "pictures"
LIMIT = 150_000  # bytes of a picture


def shots(sample: Sample) -> list[tuple[str, str, str, int, int]]:
    """(file, page, light or dark, width, height)."""
    return [
        ("environments", "/", "light", 1200, 640),
        ("environment", f"/environments/{sample.production}", "light", 1200, 760),
        ("deployment", f"/deployments/{sample.running}", "dark", 1200, 900),
        ("failed", f"/deployments/{sample.failed}", "light", 1200, 900),
        ("settings", f"/repositories/{sample.repository}", "light", 1200, 900),
        ("deliveries", "/deliveries", "dark", 1200, 560),
        ("ports", "/ports", "light", 1200, 560),
        ("system", "/system", "dark", 1200, 640),
        ("tokens", "/tokens", "light", 1200, 560),
        ("phone", "/", "dark", 390, 780),
    ]


@asynccontextmanager
async def sample_server(folder: Path) -> AsyncIterator[tuple[Rig, Sample]]:
    database = folder / "empty.db"
    engine = sa.create_engine(f"sqlite:///{database}")
    metadata.create_all(engine)
    engine.dispose()
    config = load_config(data_dir=folder, docker_host=f"unix://{folder}/no-docker.sock")
    async with open_rig(config, database) as rig:
        yield rig, await seed(rig.berth, well=True)


async def main(target: Path) -> int:
    await asyncio.to_thread(target.mkdir, exist_ok=True)
    too_large = []
    with tempfile.TemporaryDirectory() as folder:
        async with (
            sample_server(Path(folder)) as (rig, sample),
            async_playwright() as playwright,
            open_browser(rig, playwright) as browser,
        ):
            for name, path, scheme, width, height in shots(sample):
                page = await browser.page(
                    color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce"
                )
                await page.goto(path)
                await page.wait_for_timeout(300)
                picture = target / f"{name}.png"
                await page.screenshot(path=picture)
                await page.context.close()
                size = picture.stat().st_size
                print(f"{picture.name} {size // 1000} kB")
                if size > LIMIT:
                    too_large.append(picture.name)
    if too_large:
        print(f"larger than {LIMIT} bytes: {', '.join(too_large)}")
    return 1 if too_large else 0


if __name__ == "__main__":
    if not CHROMIUM:
        sys.exit("chromium is not installed: apt-get install chromium")
    sys.exit(asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)))
