"""Counters without suspended accounts

Revision ID: 0021
Revises: 0020
Create Date: 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
COUNTERS = [
    ("users", "followers_count", "relationships", "to_user_id"),
    ("users", "following_count", "relationships", "from_user_id"),
    ("tweets", "likes_count", "likes", "tweet_id"),
    ("tweets", "reposts_count", "tweets", "repost_of_id"),
    ("tweets", "replies_count", "tweets", "parent_id"),
]


def upgrade() -> None:
    op.create_table(
        "recounts",
        sa.Column("user_id", Id, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
        sa.Column("last_key", sa.BigInteger, nullable=False),
        sa.Column("beginnings", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recounts_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_recounts")),
    )
    op.add_column("users", sa.Column("uncounted", sa.Boolean, nullable=False, server_default=sa.false()))
    for table in ("relationships", "likes", "tweets"):
        op.add_column(table, sa.Column("uncounted", sa.Boolean))
    # Housekeeping does the rest.
    op.execute("UPDATE users SET uncounted = true WHERE suspended")
    op.execute("INSERT INTO recounts SELECT id, 0, 0, 0 FROM users WHERE suspended")


def downgrade() -> None:
    # The earlier version counts the rows of suspended accounts, too.
    for owners, counter, rows, column in COUNTERS:
        op.execute(
            f"""UPDATE {owners} SET {counter} = {owners}.{counter} + found.n
            FROM (SELECT {column} AS id, count(*) AS n FROM {rows} WHERE uncounted GROUP BY {column}) AS found
            WHERE {owners}.id = found.id"""  # noqa: S608 (our own words)
        )
    op.execute(
        """INSERT INTO outbox (payload, date) SELECT '{"type":"Reloaded"}', CURRENT_TIMESTAMP
        WHERE EXISTS (SELECT 1 FROM users WHERE suspended)"""
    )
    for table in ("tweets", "likes", "relationships", "users"):
        op.drop_column(table, "uncounted")
    op.drop_table("recounts")
