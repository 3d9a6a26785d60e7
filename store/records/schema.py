"""The tables, once, for SQLite and PostgreSQL. Changes go through migrations/.

Ids are text, times BIGINT milliseconds. A row with work to do has `due_at`; the sweep finds it by
that and starts flow `kind-id-attempt`, so whoever reschedules a row also counts `attempt` up.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Json = sa.JSON().with_variant(JSONB(), "postgresql")


def _id(name: str = "id") -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _ref(name: str, target: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(target), nullable=null, index=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, default="")


def _time(name: str, *, null: bool = False, index: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, index=index)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, default=0)


def _flag(name: str, *, default: bool) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, default=default)


def _work() -> list[sa.Column[int]]:
    """The columns by which the sweep knows a row."""
    return [_time("due_at", null=True, index=True), _count("attempt"), _count("failures")]


labs = sa.Table("labs", metadata, _id(), _text("name"), _time("created_at"))

members = sa.Table(
    "members",
    metadata,
    _id(),
    _ref("lab_id", "labs.id"),
    sa.Column("address", sa.Text, nullable=False, unique=True),
    _text("name"),
    _text("company"),
    _time("created_at"),
    _time("disabled_at", null=True),
    # What they agreed to, and who said so: themselves, or the operator for them.
    sa.Column("consent_version", sa.Text, nullable=True),
    sa.Column("consent_by", sa.Text, nullable=True),
    _time("consent_at", null=True),
    # The second factor: its secret, sealed, and the last step of time whose code was spent.
    sa.Column("code_secret", sa.LargeBinary, nullable=True),
    _time("code_since", null=True),
    _time("code_step", null=True),
    _time("code_locked_at", null=True),
)

# Other addresses from which a member may write; letters go to the registered one all the same.
aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    _ref("member_id", "members.id"),
    _time("created_at"),
)

backup_codes = sa.Table(
    "backup_codes",
    metadata,
    _id("hash"),
    _ref("member_id", "members.id"),
    _time("used_at", null=True),
)

wrong_codes = sa.Table("wrong_codes", metadata, _id(), _ref("member_id", "members.id"), _time("at"))

mails = sa.Table(
    "mails",
    metadata,
    _id(),
    _time("received_at"),
    _text("state"),
    _text("sender"),
    _text("author"),
    _ref("member_id", "members.id", null=True),
    _text("strength"),
    _text("proof"),
    sa.Column("signature", sa.Text, nullable=True, index=True),
    sa.Column("recipients", Json, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False, index=True),
    _text("header_sha256"),
    _text("body_sha256"),
    _count("size"),
    sa.Column("case_id", sa.Text, nullable=True, index=True),
    sa.Column("duplicate_of", sa.Text, sa.ForeignKey("mails.id"), nullable=True),
    sa.Column("source", sa.Text, nullable=True, unique=True),
    sa.Column("files", Json, nullable=True),
    _text("outcome"),
    *_work(),
)

cases = sa.Table(
    "cases",
    metadata,
    _id(),
    sa.Column("public_id", sa.Text, nullable=False, unique=True),
    _ref("lab_id", "labs.id"),
    _ref("owner_id", "members.id"),
    sa.Column("code", sa.Text, nullable=False, index=True),
    _text("title"),
    _text("note"),
    _text("state"),
    _time("created_at"),
    _time("expires_at"),
    _time("reminded_at", null=True),
    _time("ended_at", null=True),
    _text("subject"),
    sa.Column("thread", Json, nullable=False),
    sa.Column("access", sa.Text, nullable=False, default="bound"),
    _text("password"),
    _flag("downloads", default=True),
    _flag("tells_views", default=False),
    *_work(),
)

# Apart from the cases, so that long-lived copies of the database can leave the keys out.
case_keys = sa.Table(
    "case_keys",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id"), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

versions = sa.Table(
    "versions",
    metadata,
    _id(),
    _ref("case_id", "cases.id"),
    _count("number"),
    sa.Column("mail_id", sa.Text, sa.ForeignKey("mails.id"), nullable=False, unique=True),
    _time("created_at"),
    sa.Column("picture", sa.Boolean, nullable=False, default=False),
    sa.Column("frame", Json, nullable=True),
    sa.Column("contacts", Json, nullable=True),
    sa.Column("left_out", Json, nullable=False),
    _text("note"),
    sa.Column("follows", sa.Text, nullable=True),  # the version it carries from
    _time("shared_at", null=True),
    sa.UniqueConstraint("case_id", "number"),
)

scans = sa.Table(
    "scans",
    metadata,
    _id(),
    _ref("version_id", "versions.id"),
    _count("number"),
    _text("state"),
    _text("format"),
    _text("original_name"),
    _text("path"),
    _count("original_size"),
    sa.Column("original_sha256", sa.Text, nullable=False, index=True),
    _text("role"),
    _text("label"),
    _text("problem"),
    sa.Column("report", Json, nullable=True),
    sa.Column("arch", Json, nullable=True),
    _text("copy_suffix"),
    _count("copy_size"),
    _text("copy_sha256"),
    _count("preview_size"),
    _count("medium_size"),
    _count("full_size"),
    _count("map_size"),
    _text("unit"),
    # Where its objects lie, if an earlier version brought it: that version's id and its number there.
    _text("home_version"),
    _count("home_number"),
    sa.Column("change", Json, nullable=True),
    _count("change_size"),
    sa.UniqueConstraint("version_id", "number"),
)

people = sa.Table(
    "people",
    metadata,
    _id(),
    _ref("case_id", "cases.id"),
    _text("kind"),
    _text("address"),
    _text("name"),
    _count("generation"),
    _time("created_at"),
    _time("revoked_at", null=True),
    _count("views"),
    _time("first_view_at", null=True),
    _time("last_view_at", null=True),
    _text("trouble"),
    _time("trouble_at", null=True),
    _text("away"),
    _time("away_at", null=True),
    _time("bound_at", null=True),
    _count("wrong_tries"),
    _time("locked_until", null=True),
    sa.UniqueConstraint("case_id", "kind", "address"),
)

# What people have said about a case: comments and verdicts, in the order they came.
remarks = sa.Table(
    "remarks",
    metadata,
    _id(),
    _ref("case_id", "cases.id"),
    _ref("person_id", "people.id", null=True),
    _ref("version_id", "versions.id", null=True),
    _text("kind"),
    _text("author"),
    _text("text"),
    sa.Column("files", Json, nullable=False),
    _time("at"),
    # From the page: why changes, what was measured, where it is pinned, how it was seen, its picture.
    sa.Column("reasons", Json, nullable=True),
    sa.Column("marks", Json, nullable=True),
    sa.Column("view", Json, nullable=True),
    _count("picture_size"),
    *_work(),
)

# What somebody has measured on the page, until they remove it.
marks = sa.Table(
    "marks",
    metadata,
    _id(),
    _ref("person_id", "people.id"),
    _ref("version_id", "versions.id"),
    _text("kind"),
    sa.Column("geometry", Json, nullable=False),
    _time("created_at"),
)

# Who wants no more letters of a lab.
suppressions = sa.Table(
    "suppressions",
    metadata,
    sa.Column("lab_id", sa.Text, sa.ForeignKey("labs.id"), primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    _text("reason"),
    _time("at"),
)

# What waits for a click of the person who got the letter.
confirmations = sa.Table(
    "confirmations",
    metadata,
    _id(),
    sa.Column("token", sa.Text, nullable=False, unique=True),
    _text("kind"),
    _text("state"),
    _ref("member_id", "members.id", null=True),
    _ref("mail_id", "mails.id", null=True),
    _ref("case_id", "cases.id", null=True),
    _text("address"),
    sa.Column("context", Json, nullable=False),
    _time("created_at"),
    _time("expires_at"),
    _time("confirmed_at", null=True),
    *_work(),
)

# Hashes outlive the case, so that a dead link can say 410 and a dead address is still known.
tokens = sa.Table(
    "tokens",
    metadata,
    _id("hash"),
    _text("purpose"),
    _ref("person_id", "people.id"),
    _count("generation"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    _id(),
    _ref("person_id", "people.id"),
    _time("created_at"),
    _time("last_seen_at"),
    _time("ended_at", null=True),
    _time("viewed_at", null=True),
    _text("proof"),
    _time("opened_at"),  # on this device; created_at is that of the first session it goes on from
)

# Somebody asked to be let in on another device: by a mailed code, or by a picture to scan.
knocks = sa.Table(
    "knocks",
    metadata,
    _id(),
    _ref("person_id", "people.id"),
    _text("kind"),
    sa.Column("right", sa.Boolean, nullable=False),
    _time("created_at"),
    _time("expires_at"),
    _time("used_at", null=True),
    *(_count("tries"), sa.Column("session_id", sa.Text, nullable=True)),
)

# Files that are too large for mail come by a page, piece by piece, and become a mail.
uploads = sa.Table(
    "uploads",
    metadata,
    _id(),
    sa.Column("token", sa.Text, nullable=False, unique=True),
    _ref("member_id", "members.id"),
    _ref("case_id", "cases.id", null=True),
    *map(_text, ("state", "reviewers", "subject", "note")),
    sa.Column("key", sa.LargeBinary, nullable=True),
    _time("created_at"),
    _time("expires_at"),
    sa.Column("mail_id", sa.Text, nullable=True),
    *_work(),
)

upload_files = sa.Table(
    "upload_files",
    metadata,
    _id(),
    _ref("upload_id", "uploads.id"),
    _count("number"),
    _text("name"),
    _count("size"),
    _count("received"),
    sa.Column("pieces", Json, nullable=False),
    sa.UniqueConstraint("upload_id", "number"),
)

letters = sa.Table(
    "letters",
    metadata,
    _id(),
    _text("kind"),
    _ref("case_id", "cases.id", null=True),
    sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=True),
    sa.Column("version", sa.BigInteger, nullable=True),  # the newest when it was written
    _text("recipient"),
    _text("recipient_name"),
    sa.Column("message_id", sa.Text, nullable=False, unique=True),
    sa.Column("bounce_token", sa.Text, nullable=True, unique=True),
    _text("fate"),
    _text("subject"),
    _text("in_reply_to"),
    sa.Column("thread", Json, nullable=False),
    sa.Column("context", Json, nullable=True),
    _text("state"),
    _time("created_at"),
    _time("sent_at", null=True),
    _count("tries"),
    _text("answer"),
    *_work(),
    sa.Index("ix_letters_recipient", "recipient", "sent_at"),  # the gate counts by it
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    _time("at"),
    _text("actor"),
    _text("action"),
    sa.Column("lab_id", sa.Text, nullable=True, index=True),
    sa.Column("case_id", sa.Text, nullable=True, index=True),
    sa.Column("detail", Json, nullable=False),
    _text("previous"),
    _text("hash"),
)

# One row: the end of the audit chain, and the lock by which lines get their order.
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    _count("number"),
    _text("hash"),
)
