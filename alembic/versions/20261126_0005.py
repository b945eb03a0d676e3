"""The id of the site, which is part of every key in shared stores; whether a bulk load is in progress

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The row is inserted when the id is first needed: see tweeter.outbox.site.
    op.create_table(
        "site",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("loading_until", UTCDateTime, nullable=True),
        sa.CheckConstraint("number = 1", name=op.f("ck_site_one_row")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_site")),
    )


def downgrade() -> None:
    op.drop_table("site")
