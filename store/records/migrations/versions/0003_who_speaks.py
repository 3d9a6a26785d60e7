"""Who speaks: proof of senders, second factors, clicks that are waited for, bounces, remarks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _extend_members()
    _extend_mails()
    _extend_people()
    _extend_letters()
    _create_codes()
    _create_remarks()
    _create_suppressions()
    _create_confirmations()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="")


def _time(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=True)


def _extend_members() -> None:
    with op.batch_alter_table("members") as table:
        table.add_column(sa.Column("consent_version", sa.Text(), nullable=True))
        table.add_column(sa.Column("consent_by", sa.Text(), nullable=True))
        table.add_column(_time("consent_at"))
        table.add_column(sa.Column("code_secret", sa.LargeBinary(), nullable=True))
        table.add_column(_time("code_since"))
        table.add_column(_time("code_step"))
        table.add_column(_time("code_locked_at"))


def _extend_mails() -> None:
    with op.batch_alter_table("mails") as table:
        table.alter_column("member_id", existing_type=sa.Text(), nullable=True)
        table.add_column(_text("strength"))
        table.add_column(_text("proof"))
        table.add_column(sa.Column("signature", sa.Text(), nullable=True))
        table.create_index("ix_mails_signature", ["signature"])


def _extend_people() -> None:
    with op.batch_alter_table("people") as table:
        table.add_column(_text("trouble"))
        table.add_column(_time("trouble_at"))
        table.add_column(_text("away"))
        table.add_column(_time("away_at"))


def _extend_letters() -> None:
    with op.batch_alter_table("letters") as table:
        table.add_column(sa.Column("bounce_token", sa.Text(), nullable=True))
        table.add_column(_text("fate"))
        table.create_unique_constraint("uq_letters_bounce_token", ["bounce_token"])
        table.create_index("ix_letters_recipient", ["recipient", "sent_at"])


def _create_codes() -> None:
    op.create_table(
        "aliases",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_aliases_member_id_members"),
        sa.PrimaryKeyConstraint("address", name="pk_aliases"),
    )
    op.create_index("ix_aliases_member_id", "aliases", ["member_id"])
    op.create_table(
        "backup_codes",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        _time("used_at"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_backup_codes_member_id_members"
        ),
        sa.PrimaryKeyConstraint("hash", name="pk_backup_codes"),
    )
    op.create_index("ix_backup_codes_member_id", "backup_codes", ["member_id"])
    op.create_table(
        "wrong_codes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_wrong_codes_member_id_members"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_wrong_codes"),
    )
    op.create_index("ix_wrong_codes_member_id", "wrong_codes", ["member_id"])


def _create_remarks() -> None:
    op.create_table(
        "remarks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("files", JSON, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_remarks_case_id_cases"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="fk_remarks_person_id_people"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["versions.id"], name="fk_remarks_version_id_versions"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_remarks"),
    )
    for column in ("case_id", "person_id", "version_id"):
        op.create_index(f"ix_remarks_{column}", "remarks", [column])


def _create_suppressions() -> None:
    op.create_table(
        "suppressions",
        sa.Column("lab_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lab_id"], ["labs.id"], name="fk_suppressions_lab_id_labs"),
        sa.PrimaryKeyConstraint("lab_id", "address", name="pk_suppressions"),
    )


def _create_confirmations() -> None:
    op.create_table(
        "confirmations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=True),
        sa.Column("mail_id", sa.Text(), nullable=True),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("context", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        _time("confirmed_at"),
        _time("due_at"),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_confirmations_member_id_members"
        ),
        sa.ForeignKeyConstraint(["mail_id"], ["mails.id"], name="fk_confirmations_mail_id_mails"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_confirmations_case_id_cases"),
        sa.PrimaryKeyConstraint("id", name="pk_confirmations"),
        sa.UniqueConstraint("token", name="uq_confirmations_token"),
    )
    for column in ("member_id", "mail_id", "case_id", "due_at"):
        op.create_index(f"ix_confirmations_{column}", "confirmations", [column])
