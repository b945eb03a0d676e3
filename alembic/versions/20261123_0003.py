"""Checkpoints of shared stores; the request that recorded an event

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-23
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("request_id", sa.String(32), nullable=True))
    op.create_table(
        "consumers",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.Text, nullable=False),
        sa.Column("incarnation", sa.Text, nullable=False),
        sa.Column("holder", sa.String(40), nullable=False),
        sa.Column("held_until", UTCDateTime, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_consumers")),
    )


def downgrade() -> None:
    op.drop_table("consumers")
    op.drop_column("outbox", "request_id")
