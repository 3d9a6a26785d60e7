"""Scans: a level for small devices, the unit that was asked for, and what their check found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("scans") as table:
        table.add_column(
            sa.Column("medium_size", sa.BigInteger(), nullable=False, server_default="0")
        )
        table.add_column(sa.Column("map_size", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("path", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("unit", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("versions") as table:
        table.add_column(sa.Column("contacts", JSON, nullable=True))
