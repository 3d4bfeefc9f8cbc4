"""What people and programs are shown of environments."""

from __future__ import annotations

from typing import Any

import pytest

from bot.config import Config
from bot.deploy import views
from tests.deploy.conftest import World

pytestmark = pytest.mark.anyio


async def test_a_switch_between_two_looks_is_not_half_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.set_live(await world.push("a" * 40))
    second = await world.push("b" * 40)
    services_of = views._services

    async def switched_meanwhile(*arguments: Any) -> Any:
        await world.set_live(second)
        return await services_of(*arguments)

    monkeypatch.setattr(views, "_services", switched_meanwhile)
    (view,) = await views.environment_views(world.store, Config(_env_file=None))  # type: ignore[call-arg]
    assert view["latest"]["state"] == "live"
    assert view["live"] == view["latest"]
