"""Applications of the API: registrations, codes, tokens, keys of posts, markers

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import UTCDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "applications",
        sa.Column("id", Id, nullable=False),
        sa.Column("client_id", sa.String(43), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("website", sa.Text, nullable=False),
        sa.Column("redirect_uris", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_applications")),
        sa.UniqueConstraint("client_id", name=op.f("uq_applications_client_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_applications_date"), "applications", ["date"])
    op.create_table(
        "authorization_codes",
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("application_id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("auth_version", sa.Integer, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("challenge", sa.String(128), nullable=False),
        sa.Column("challenge_method", sa.String(5), nullable=False),
        sa.Column("expires", UTCDateTime, nullable=False),
        _belongs_to("authorization_codes", "application"),
        _belongs_to("authorization_codes", "user"),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_authorization_codes")),
        sqlite_with_rowid=False,
    )
    for column in ("application_id", "user_id", "expires"):
        op.create_index(op.f(f"ix_authorization_codes_{column}"), "authorization_codes", [column])
    op.create_table(
        "access_tokens",
        sa.Column("id", Id, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("application_id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=True),
        sa.Column("auth_version", sa.Integer, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        _belongs_to("access_tokens", "application"),
        _belongs_to("access_tokens", "user"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_access_tokens_token_hash")),
    )
    for column in ("application_id", "user_id"):
        op.create_index(op.f(f"ix_access_tokens_{column}"), "access_tokens", [column])
    op.create_table(
        "posted_keys",
        sa.Column("user_id", Id, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        _belongs_to("posted_keys", "user"),
        sa.PrimaryKeyConstraint("user_id", "key_hash", name=op.f("pk_posted_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_posted_keys_date"), "posted_keys", ["date"])
    op.create_table(
        "markers",
        sa.Column("user_id", Id, nullable=False),
        sa.Column("timeline", sa.String(20), nullable=False),
        sa.Column("last_read_id", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        _belongs_to("markers", "user"),
        sa.PrimaryKeyConstraint("user_id", "timeline", name=op.f("pk_markers")),
        sqlite_with_rowid=False,
    )


def _belongs_to(table: str, owner: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{owner}_id_{owner}s")
    return sa.ForeignKeyConstraint([f"{owner}_id"], [f"{owner}s.id"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    for table in ("markers", "posted_keys", "access_tokens", "authorization_codes", "applications"):
        op.drop_table(table)
