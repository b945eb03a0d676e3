"""Replies loaded before their parents

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import BigId

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unlinked",
        sa.Column("tweet_id", BigId, autoincrement=False, nullable=False),
        sa.Column("parent", sa.String(100), nullable=False),
        sa.ForeignKeyConstraint(
            ["tweet_id"], ["tweets.id"], name=op.f("fk_unlinked_tweet_id_tweets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tweet_id", name=op.f("pk_unlinked")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("unlinked")
