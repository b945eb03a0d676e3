"""Reposts, likes, mutes and blocks

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
REPOSTS = sa.text("repost_of_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("tweets", sa.Column("repost_of_id", Id, nullable=True))
    op.add_column("tweets", sa.Column("reposts_count", sa.Integer, nullable=False, server_default="0"))
    op.add_column("tweets", sa.Column("likes_count", sa.Integer, nullable=False, server_default="0"))
    op.add_column("users", sa.Column("hidden_version", sa.Integer, nullable=False, server_default="0"))
    op.create_index(
        "ix_tweets_repost_of_id_id",
        "tweets",
        ["repost_of_id", "id"],
        sqlite_where=REPOSTS,
        postgresql_where=REPOSTS,
    )
    op.create_index(
        "ix_tweets_user_id_repost_of_id",
        "tweets",
        ["user_id", "repost_of_id"],
        unique=True,
        sqlite_where=REPOSTS,
        postgresql_where=REPOSTS,
    )
    op.create_table(
        "likes",
        sa.Column("user_id", Id, nullable=False),
        sa.Column("tweet_id", Id, autoincrement=False, nullable=False),
        sa.Column("id", Id, nullable=False),
        _user("likes", "user_id"),
        sa.PrimaryKeyConstraint("user_id", "tweet_id", name=op.f("pk_likes")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_likes_user_id_id"), "likes", ["user_id", "id"], unique=True)
    op.create_index(op.f("ix_likes_tweet_id_id"), "likes", ["tweet_id", "id"])
    op.create_table(
        "counter_changes",
        sa.Column("id", Id, nullable=False),
        sa.Column("tweet_id", Id, nullable=False),
        sa.Column("likes", sa.Integer, nullable=False),
        sa.Column("reposts", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_changes")),
    )
    op.create_index(op.f("ix_counter_changes_tweet_id"), "counter_changes", ["tweet_id"])
    op.create_table(
        "deleted_tweets",
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_tweets")),
    )
    for name in ("mutes", "blocks"):
        op.create_table(
            name,
            sa.Column("from_user_id", Id, nullable=False),
            sa.Column("to_user_id", Id, nullable=False),
            _user(name, "from_user_id"),
            _user(name, "to_user_id"),
            sa.CheckConstraint("from_user_id <> to_user_id", name=op.f(f"ck_{name}_not_oneself")),
            sa.PrimaryKeyConstraint("from_user_id", "to_user_id", name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
        op.create_index(op.f(f"ix_{name}_to_user_id_from_user_id"), name, ["to_user_id", "from_user_id"], unique=True)
    op.create_table(
        "hidden",
        sa.Column("viewer_id", Id, nullable=False),
        sa.Column("author_id", Id, nullable=False),
        _user("hidden", "viewer_id"),
        _user("hidden", "author_id"),
        sa.PrimaryKeyConstraint("viewer_id", "author_id", name=op.f("pk_hidden")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_hidden_author_id_viewer_id"), "hidden", ["author_id", "viewer_id"], unique=True)


def _user(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["users.id"], name=op.f(f"fk_{table}_{column}_users"), ondelete="CASCADE")


def downgrade() -> None:
    for name in ("hidden", "blocks", "mutes", "deleted_tweets", "counter_changes", "likes"):
        op.drop_table(name)
    op.execute("DELETE FROM tweets WHERE repost_of_id IS NOT NULL")
    op.drop_index("ix_tweets_user_id_repost_of_id", "tweets")
    op.drop_index("ix_tweets_repost_of_id_id", "tweets")
    op.drop_column("users", "hidden_version")
    for column in ("likes_count", "reposts_count", "repost_of_id"):
        op.drop_column("tweets", column)
