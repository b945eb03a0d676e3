"""Closed accounts, whose rows are removed later

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("closed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_users_closed", "users", ["id"], sqlite_where=sa.text("closed = 1"), postgresql_where=sa.text("closed")
    )


def downgrade() -> None:
    # Removes rows of closed accounts that the site has not removed yet; otherwise they would reappear.
    for counter, one, other in (
        ("followers_count", "to_user_id", "from_user_id"), ("following_count", "from_user_id", "to_user_id"),
    ):  # fmt: skip
        gone = f"SELECT count(*) FROM relationships r JOIN users c ON c.id = r.{other} WHERE c.closed AND r.{one}"  # noqa: S608
        op.execute(
            f"UPDATE users SET {counter} = {counter} - ({gone} = users.id) WHERE id IN "  # noqa: S608
            f"(SELECT r.{one} FROM relationships r JOIN users c ON c.id = r.{other} WHERE c.closed)"
        )
    op.execute("DELETE FROM users WHERE closed")
    op.drop_index("ix_users_closed", "users")
    op.drop_column("users", "closed")
