"""${message}."""
# ruff: noqa: PLR0915 (a migration is one long list; there is no way back but a backup, hence no downgrade)

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
