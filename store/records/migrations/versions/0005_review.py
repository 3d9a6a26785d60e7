"""The reviewer's page: versions, access, marks, remarks from the page, and uploads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _widen_cases()
    _widen_people()
    _widen_remarks()
    _add_marks_and_knocks()
    _add_uploads()


def _widen_cases() -> None:
    with op.batch_alter_table("cases") as table:
        table.add_column(sa.Column("access", sa.Text(), nullable=False, server_default="bound"))
        table.add_column(sa.Column("password", sa.Text(), nullable=False, server_default=""))
        table.add_column(_flag("downloads", sa.true()))
        table.add_column(_flag("tells_views", sa.false()))
    with op.batch_alter_table("versions") as table:
        table.add_column(sa.Column("shared_at", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("follows", sa.Text(), nullable=True))
    with op.batch_alter_table("letters") as table:
        table.add_column(sa.Column("version", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE versions SET shared_at = created_at WHERE case_id IN"
        " (SELECT id FROM cases WHERE state NOT IN ('waiting', 'preparing', 'held'))"
    )
    with op.batch_alter_table("scans") as table:
        table.add_column(sa.Column("home_version", sa.Text(), nullable=False, server_default=""))
        table.add_column(_count("home_number"))
        table.add_column(sa.Column("change", JSON, nullable=True))
        table.add_column(_count("change_size"))


def _widen_people() -> None:
    with op.batch_alter_table("people") as table:
        table.add_column(sa.Column("bound_at", sa.BigInteger(), nullable=True))
        table.add_column(_count("wrong_tries"))
        table.add_column(sa.Column("locked_until", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("sessions") as table:
        table.add_column(sa.Column("proof", sa.Text(), nullable=False, server_default="click"))
        table.add_column(
            sa.Column("opened_at", sa.BigInteger(), nullable=False, server_default="0")
        )


def _widen_remarks() -> None:
    with op.batch_alter_table("remarks") as table:
        for name in ("reasons", "marks", "view"):
            table.add_column(sa.Column(name, JSON, nullable=True))
        table.add_column(_count("picture_size"))
        table.add_column(sa.Column("due_at", sa.BigInteger(), nullable=True))
        table.add_column(_count("attempt"))
        table.add_column(_count("failures"))
        table.create_index("ix_remarks_due_at", ["due_at"])


def _add_marks_and_knocks() -> None:
    op.create_table(
        "marks",
        sa.Column("id", sa.Text(), primary_key=True),
        _ref("person_id", "people.id"),
        _ref("version_id", "versions.id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("geometry", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "knocks",
        sa.Column("id", sa.Text(), primary_key=True),
        _ref("person_id", "people.id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("right", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
    )


def _add_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("token", sa.Text(), nullable=False, unique=True),
        _ref("member_id", "members.id"),
        _ref("case_id", "cases.id", nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reviewers", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("mail_id", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True, index=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "upload_files",
        sa.Column("id", sa.Text(), primary_key=True),
        _ref("upload_id", "uploads.id"),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("pieces", JSON, nullable=False),
        sa.UniqueConstraint("upload_id", "number"),
    )


def _flag(name: str, default: sa.ColumnElement[bool]) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=default)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _ref(name: str, target: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), sa.ForeignKey(target), nullable=nullable, index=True)
