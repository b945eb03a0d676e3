"""Source ids of loaded tweets

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-23
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import BigId

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported",
        sa.Column("source_id", sa.String(100), nullable=False),
        sa.Column("tweet_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["tweet_id"], ["tweets.id"], name=op.f("fk_imported_tweet_id_tweets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_imported")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_imported_tweet_id"), "imported", ["tweet_id"])


def downgrade() -> None:
    op.drop_table("imported")
