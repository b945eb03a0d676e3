"""Hashtags; folded messages and names for search

Mentions are updated to the current rules; a display name without visible characters becomes the username.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-26
"""

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from tweeter import text
from tweeter.models.base import BigId, UTCDateTime, now

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 5_000
NAMES_AT_ONCE = 10_000  # SQLite allows 32,766 parameters per statement

log = logging.getLogger("alembic.runtime.migration")

# Table definitions of this revision, independent of later models.
users = sa.table(
    "users", sa.column("id"), sa.column("username"), sa.column("username_key"), sa.column("display_name"),
    sa.column("folded_name"), sa.column("password_hash"), sa.column("date", UTCDateTime()),
)  # fmt: skip
tweets = sa.table(
    "tweets", sa.column("id"), sa.column("message"), sa.column("folded"), sa.column("date", UTCDateTime())
)
mentions = sa.table("mentions", sa.column("user_id"), sa.column("tweet_id"))
hashtags = sa.table("hashtags", sa.column("tag"), sa.column("tweet_id"))
outbox = sa.table("outbox", sa.column("payload"), sa.column("date", UTCDateTime()))


def upgrade() -> None:
    op.create_table(
        "hashtags",
        sa.Column("tag", sa.String(text.LONGEST_HASHTAG), nullable=False),
        sa.Column("tweet_id", BigId, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["tweet_id"], ["tweets.id"], name=op.f("fk_hashtags_tweet_id_tweets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tag", "tweet_id", name=op.f("pk_hashtags")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_hashtags_tweet_id"), "hashtags", ["tweet_id"])
    op.add_column("tweets", sa.Column("folded", sa.Text, server_default="", nullable=False))
    op.add_column("users", sa.Column("folded_name", sa.Text, server_default="", nullable=False))
    if context.is_offline_mode():
        log.warning("Printed SQL does not fill the new columns: what is there already can't be searched then.")
        return
    for table, work in ((users, _fold_names), (tweets, _fold_messages)):
        for rows in _chunks(table):
            work(op.get_bind(), rows)


def downgrade() -> None:
    op.drop_column("users", "folded_name")
    op.drop_column("tweets", "folded")
    op.drop_table("hashtags")


def _chunks(table: sa.TableClause) -> Iterator[Sequence[sa.Row[Any]]]:
    """The rows in the order of their ids, in chunks, with progress."""
    connection = op.get_bind()
    total = connection.scalar(sa.select(sa.func.count()).select_from(table))
    done, last = 0, 0
    query = sa.select(table).order_by(table.c.id).limit(ROWS_AT_ONCE)
    while rows := connection.execute(query.where(table.c.id > last)).all():
        yield rows
        done, last = done + len(rows), rows[-1].id
        log.info("%s: %s of %s", table.name, f"{done:,}", f"{total:,}")


def _fold_names(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
    names = {row.id: row.display_name if text.clean_line(row.display_name) else row.username for row in rows}
    values = [{"key": id_, "folded_name": text.fold(name), "display_name": name} for id_, name in names.items()]
    connection.execute(sa.update(users).where(users.c.id == sa.bindparam("key")), values)
    events = [
        {"payload": json.dumps({"type": "ProfileChanged", "user_id": row.id}), "date": now()}
        for row in rows
        if names[row.id] != row.display_name
    ]
    _insert(connection, outbox, events)


def _fold_messages(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
    values = [{"key": row.id, "folded": text.fold(row.message)} for row in rows]
    connection.execute(sa.update(tweets).where(tweets.c.id == sa.bindparam("key")), values)
    entities = [(row, text.entities(row.message)) for row in rows]
    _insert(
        connection, hashtags, [{"tag": tag, "tweet_id": row.id} for row, found in entities for tag in found.hashtags]
    )
    known = _users(connection, sorted({name for _, found in entities for name in found.mentions}))
    linked = {
        (known[name].id, row.id): known[name] for row, found in entities for name in found.mentions & known.keys()
    }
    of_these = mentions.c.tweet_id.between(rows[0].id, rows[-1].id)
    there = {(user_id, tweet_id) for user_id, tweet_id in connection.execute(sa.select(mentions).where(of_these))}
    dates = {row.id: row.date for row in rows}
    # A mention can't mean an account created after the tweet, except a loaded account: its date is that of the load.
    new = [
        {"user_id": user_id, "tweet_id": tweet_id}
        for (user_id, tweet_id), user in linked.items()
        if (user_id, tweet_id) not in there and (user.date <= dates[tweet_id] or not user.password_hash)
    ]
    _insert(connection, mentions, new)
    gone = [{"user": user_id, "tweet": tweet_id} for user_id, tweet_id in there - linked.keys()]
    if gone:
        one = (mentions.c.user_id == sa.bindparam("user")) & (mentions.c.tweet_id == sa.bindparam("tweet"))
        connection.execute(sa.delete(mentions).where(one), gone)


def _users(connection: sa.Connection, names: Sequence[str]) -> dict[str, sa.Row[Any]]:
    found = {}
    for start in range(0, len(names), NAMES_AT_ONCE):
        query = sa.select(users).where(users.c.username_key.in_(names[start : start + NAMES_AT_ONCE]))
        found.update({row.username_key: row for row in connection.execute(query)})
    return found


def _insert(connection: sa.Connection, table: sa.TableClause, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)
