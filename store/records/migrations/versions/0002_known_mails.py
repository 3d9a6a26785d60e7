"""Mails remember where they were fetched from and what files they brought, so that none counts twice."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("mails") as table:
        table.add_column(sa.Column("source", sa.Text(), nullable=True))
        table.add_column(sa.Column("files", JSON, nullable=True))
        table.create_unique_constraint("uq_mails_source", ["source"])
