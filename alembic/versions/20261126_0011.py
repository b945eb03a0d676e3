"""The number of replies to a tweet

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tweets", sa.Column("replies_count", sa.Integer, nullable=False, server_default="0"))
    op.execute(
        "UPDATE tweets SET replies_count = found.replies FROM ("
        "SELECT parent_id AS id, count(*) AS replies FROM tweets WHERE parent_id IS NOT NULL GROUP BY parent_id"
        ") AS found WHERE tweets.id = found.id"
    )


def downgrade() -> None:
    op.drop_column("tweets", "replies_count")
