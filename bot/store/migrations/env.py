"""Run by alembic with the connection that :func:`bot.store.migrate.migrate` opened."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from bot.store.tables import metadata


def _render(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Booleans' defaults in every dialect's own words; alembic would write down those of the database at hand."""
    if kind == "server_default" and isinstance(getattr(item, "arg", None), (sa.False_, sa.True_)):
        return f"sa.{'true' if isinstance(item.arg, sa.True_) else 'false'}()"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
