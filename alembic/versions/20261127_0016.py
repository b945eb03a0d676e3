"""Entries of stored timelines may refer to a tweet

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("timeline_entries", sa.Column("of_id", sa.BigInteger, nullable=True))


def downgrade() -> None:
    op.drop_column("timeline_entries", "of_id")
