"""What a demo leaves on the engine: stopped between two demos, removed by ``make clean``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from bot.engine.wire import EngineRefused, Wire
from bot.errors import BerthError

_GRACE = 2  # seconds between the stop signal and the kill


async def stop_containers(engine: str, data: Path) -> None:
    """Stop the containers of the installation in ``data``; its next server starts those that should run."""
    async with Wire(engine) as wire:
        running = await _ours(wire, data, "containers/json")
        stop = {"t": str(_GRACE)}
        await asyncio.gather(*(wire.call("POST", f"containers/{one['Id']}/stop", params=stop) for one in running))


async def remove(engine: str, data: Path) -> None:
    """Remove containers, networks, volumes and images of the installation in ``data``, and the folder."""
    async with Wire(engine) as wire:
        for container in await _ours(wire, data, "containers/json", all="1"):
            await _delete(wire, f"containers/{container['Id']}", force="1", v="1")
        for network in await _ours(wire, data, "networks"):
            await _delete(wire, f"networks/{network['Id']}")
        for volume in (await _ours(wire, data, "volumes") or {}).get("Volumes") or []:
            await _delete(wire, f"volumes/{volume['Name']}")
        for image in await _ours(wire, data, "images/json"):
            await _delete(wire, f"images/{image['Id']}", force="1")
    await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)


async def _ours(wire: Wire, data: Path, path: str, **parameters: str) -> Any:
    """A listing of the engine, of that only which carries the installation's label."""
    instance = await asyncio.to_thread(_instance, data)
    if not instance:
        return {} if path == "volumes" else []
    filters = json.dumps({"label": [f"berth.instance={instance}"]})
    return await wire.call("GET", path, params={**parameters, "filters": filters})


def _instance(data: Path) -> str:
    """The random id that the installation has given itself; empty when there is none yet."""
    database = data / "berth.db"
    if not database.is_file():
        return ""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT value FROM installation WHERE key = 'id'").fetchone()
    except sqlite3.Error as error:
        raise BerthError(f"{database} cannot be read: {error}.", f"Remove {data} by hand.") from error
    return str(found[0]) if found else ""


async def _delete(wire: Wire, path: str, **parameters: str) -> None:
    try:
        await wire.call("DELETE", path, params=parameters)
    except EngineRefused as error:
        if error.status != 404:
            raise
