"""The chunks of fan-outs that workers were given

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import UTCDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fan_out_chunks",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("store", sa.String(200), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fan_out_chunks")),
    )


def downgrade() -> None:
    op.drop_table("fan_out_chunks")
