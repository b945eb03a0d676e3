"""Lists, and ids of hashtags

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

from tweeter.models.base import UTCDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "tags",
        sa.Column("id", Id, nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("tag", name="uq_tags_tag"),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO tags (tag) SELECT DISTINCT tag FROM hashtags")
    op.create_table(
        "lists",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("private", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("date", UTCDateTime, nullable=False),
        _to("users", "lists", "user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lists"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lists_user_id_id", "lists", ["user_id", "id"])
    op.create_table(
        "list_members",
        sa.Column("list_id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        _to("lists", "list_members", "list_id"),
        _to("users", "list_members", "user_id"),
        sa.PrimaryKeyConstraint("list_id", "user_id", name="pk_list_members"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_list_members_user_id_list_id", "list_members", ["user_id", "list_id"], unique=True)


def downgrade() -> None:
    for table in ("list_members", "lists", "tags"):
        op.drop_table(table)


def _to(other: str, table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], ondelete="CASCADE", name=f"fk_{table}_{column}_{other}")
