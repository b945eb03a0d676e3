"""Suspended accounts

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("suspended", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    # Suspended accounts return. Otherwise the earlier version would remove their rows.
    op.execute(
        """INSERT INTO outbox (payload, date) SELECT '{"type":"Reloaded"}', CURRENT_TIMESTAMP
        WHERE EXISTS (SELECT 1 FROM users WHERE suspended)"""
    )
    op.execute("UPDATE users SET closed = false WHERE suspended")
    op.drop_column("users", "suspended")
