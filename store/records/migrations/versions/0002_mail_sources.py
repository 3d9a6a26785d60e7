"""Mails that were fetched from a mailbox remember their place in it, so that none is taken twice."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("mails") as table:
        table.add_column(sa.Column("source", sa.Text(), nullable=True))
        table.create_unique_constraint("uq_mails_source", ["source"])
