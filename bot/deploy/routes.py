"""What the edge shall do, as a function of the database."""

from __future__ import annotations

import sqlalchemy as sa

from bot.engine.edge_config import Route
from bot.engine.networks import slot_address
from bot.store.database import Store
from bot.store.tables import environments, ports, services


async def load_routes(store: Store) -> list[Route]:
    """One route per published service that has a port and whose environment has a network."""
    rows = await store.all(
        sa.select(
            services.c.id,
            services.c.position,
            services.c.protocol,
            services.c.container_port,
            services.c.live_slot,
            environments.c.subnet,
            environments.c.state,
            ports.c.port,
        )
        .join_from(services, environments)
        .join(ports, ports.c.service_id == services.c.id)
        .where(
            ports.c.state == "leased",
            environments.c.subnet.is_not(None),
            environments.c.state != "removed",
            services.c.container_port.is_not(None),
        )
        .order_by(ports.c.port)
    )
    return [
        Route(
            service_id=row["id"],
            port=row["port"],
            protocol="tcp" if row["protocol"] == "tcp" else "http",
            addresses=(
                slot_address(row["subnet"], row["position"], 0),
                slot_address(row["subnet"], row["position"], 1),
            ),
            container_port=row["container_port"],
            live_slot=row["live_slot"],
            state="deploying" if row["state"] == "empty" else row["state"],
        )
        for row in rows
    ]
