"""Users, relationships, tweets, mentions and the outbox

Revision ID: 0001
Revises:
Create Date: 2026-11-23
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import BigId, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", BigId, nullable=False),
        sa.Column("username", sa.String(20), nullable=False),
        sa.Column("username_key", sa.String(20), nullable=False),
        sa.Column("display_name", sa.String(200), nullable=False),
        sa.Column("bio", sa.Text, nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("auth_version", sa.Integer, nullable=False),
        sa.Column("tweets_count", sa.Integer, nullable=False),
        sa.Column("followers_count", sa.Integer, nullable=False),
        sa.Column("following_count", sa.Integer, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        sa.CheckConstraint("tweets_count >= 0", op.f("ck_users_tweets_count")),
        sa.CheckConstraint("followers_count >= 0", op.f("ck_users_followers_count")),
        sa.CheckConstraint("following_count >= 0", op.f("ck_users_following_count")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username_key", name=op.f("uq_users_username_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "relationships",
        sa.Column("from_user_id", BigId, nullable=False),
        sa.Column("to_user_id", BigId, nullable=False),
        sa.CheckConstraint("from_user_id <> to_user_id", op.f("ck_relationships_not_oneself")),
        _references("relationships", "from_user_id", "users"),
        _references("relationships", "to_user_id", "users"),
        sa.PrimaryKeyConstraint("from_user_id", "to_user_id", name=op.f("pk_relationships")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_relationships_to_user_id_from_user_id"), "relationships", ["to_user_id", "from_user_id"], unique=True
    )
    op.create_table(
        "tweets",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        sa.Column("parent_id", BigId, nullable=True),
        _references("tweets", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tweets")),
    )
    op.create_index(op.f("ix_tweets_user_id_id"), "tweets", ["user_id", "id"])
    answers = sa.text("parent_id IS NOT NULL")
    op.create_index(
        "ix_tweets_parent_id_id", "tweets", ["parent_id", "id"], sqlite_where=answers, postgresql_where=answers
    )
    op.create_table(
        "mentions",
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("tweet_id", BigId, autoincrement=False, nullable=False),
        _references("mentions", "user_id", "users"),
        _references("mentions", "tweet_id", "tweets"),
        sa.PrimaryKeyConstraint("user_id", "tweet_id", name=op.f("pk_mentions")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_mentions_tweet_id"), "mentions", ["tweet_id"])
    # The id of the transaction that records an event. SQLite needs none, because its writers take turns.
    transaction = (
        sa.text("(pg_current_xact_id()::text::bigint)") if op.get_context().dialect.name == "postgresql" else None
    )
    op.create_table(
        "outbox",
        sa.Column("id", BigId, nullable=False),
        sa.Column("transaction_id", sa.BigInteger, server_default=transaction, nullable=True),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_outbox_transaction_id"), "outbox", ["transaction_id"])
    op.create_index(op.f("ix_outbox_date"), "outbox", ["date"])


def downgrade() -> None:
    for table in ("outbox", "mentions", "tweets", "relationships", "users"):
        op.drop_table(table)


def _references(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}_{other}"), ondelete="CASCADE"
    )
