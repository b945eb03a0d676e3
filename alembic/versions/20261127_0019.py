"""Notifications

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("users", sa.Column("notifications_read_id", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("users", sa.Column("notifies", sa.SmallInteger, nullable=False, server_default="63"))
    op.create_table(
        "notifications",
        sa.Column("user_id", Id, autoincrement=False, nullable=False),
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("actor_id", Id, nullable=False),
        sa.Column("tweet_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["users.id"], name=op.f("fk_notifications_actor_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_notifications")),
        sqlite_with_rowid=False,
    )
    for columns, unique in (
        (["actor_id", "kind", "tweet_id", "user_id"], True),
        (["user_id", "kind", "tweet_id", "id", "actor_id"], False),
        (["id"], False),
    ):
        op.create_index(op.f(f"ix_notifications_{'_'.join(columns)}"), "notifications", columns, unique=unique)


def downgrade() -> None:
    op.drop_table("notifications")
    op.drop_column("users", "notifies")
    op.drop_column("users", "notifications_read_id")
