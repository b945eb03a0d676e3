"""Checkpoints of shared stores, the outbox in transaction order, last writes of accounts, the restore epoch

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import UTCDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Shared stores start cold: the old rows cannot be converted to the new format.
    op.drop_table("consumers")
    op.create_table(
        "consumers",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary, nullable=False),
        sa.Column("incarnation", sa.Text, nullable=False, server_default=""),
        sa.Column("holder", sa.String(40), nullable=False, server_default=""),
        sa.Column("held_until", UTCDateTime, nullable=False),
        sa.Column("date", UTCDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_consumers")),
    )
    op.create_index(op.f("ix_outbox_transaction_id_id"), "outbox", ["transaction_id", "id"])
    op.drop_index(op.f("ix_outbox_transaction_id"), "outbox")
    op.add_column("site", sa.Column("epoch", sa.Integer, nullable=False, server_default="0"))
    op.add_column("site", sa.Column("server", sa.String(40), nullable=False, server_default=""))
    op.add_column("users", sa.Column("last_write", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("users", "last_write")
    op.drop_column("site", "server")
    op.drop_column("site", "epoch")
    op.create_index(op.f("ix_outbox_transaction_id"), "outbox", ["transaction_id"])
    op.drop_index(op.f("ix_outbox_transaction_id_id"), "outbox")
    op.drop_table("consumers")
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
