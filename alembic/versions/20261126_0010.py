"""Materialized timelines in SQL, for the backend `table`

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import BigId

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    unlogged = ["UNLOGGED"] if op.get_context().dialect.name == "postgresql" else []
    op.create_table(
        "timeline_runs",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("site", sa.String(16), nullable=False),
        sa.Column("shelf", sa.BigInteger, nullable=False),
        sa.Column("checkpoint", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline_runs")),
        sa.UniqueConstraint("site", name=op.f("uq_timeline_runs_site")),
        prefixes=unlogged,
    )
    op.create_table(
        "timelines",
        sa.Column("id", BigId, nullable=False),
        sa.Column("shelf", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("owner", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("token", sa.String(32)),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timelines")),
        sa.UniqueConstraint("shelf", "kind", "owner", name=op.f("uq_timelines_shelf_kind_owner")),
        prefixes=unlogged,
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_timelines_used"), "timelines", ["used"])
    op.create_table(
        "timeline_entries",
        sa.Column("timeline_id", BigId, autoincrement=False, nullable=False),
        sa.Column("tweet_id", BigId, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("timeline_id", "tweet_id", name=op.f("pk_timeline_entries")),
        prefixes=unlogged,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("timeline_entries")
    op.drop_table("timelines")
    op.drop_table("timeline_runs")
