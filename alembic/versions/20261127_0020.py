"""Search indexes of tweets and accounts: trigrams by GIN on PostgreSQL, by FTS5 on SQLite

Revision ID: 0020
Revises: 0019
Create Date: 2026-11-27
"""

import sqlite3

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# The code points of a gram are the bits of its number, so neither locale nor extension matters. COST keeps the planner
# from computing the grams of every row.
POSTGRESQL = [
    """
    CREATE FUNCTION search_grams(folded text) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
    DECLARE
        grams bigint[] = '{}';
        gram bigint = 0;
        seen int = 0;
        letter text;
    BEGIN
        FOREACH letter IN ARRAY string_to_array(folded, NULL) LOOP
            gram = ((gram & 4398046511103) << 21) | ascii(letter);
            seen = seen + 1;
            IF seen > 2 THEN grams = grams || gram; END IF;
        END LOOP;
        RETURN grams;
    END $$
    """,
    """
    CREATE FUNCTION search_windows(id bigint) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT ARRAY[(id >> 33 << 6) + 33, (id >> 36 << 6) + 36, (id >> 39 << 6) + 39,
            (id >> 42 << 6) + 42, (id >> 45 << 6) + 45, (id >> 48 << 6) + 48]
    $$
    """,
    # For a post, the pending list is five times as fast as the index. But each search reads the whole list.
    """
    CREATE INDEX ix_tweets_search ON tweets USING gin (search_windows(id), search_grams(folded))
    WITH (gin_pending_list_limit = 512) WHERE folded <> ''
    """,
    "CREATE INDEX ix_users_search ON users USING gin (search_grams(username_key || ' ' || folded_name))",
]
# FTS5 holds no texts of its own: it reads those of the tables, so it must be told the old ones.
SQLITE = [
    """
    CREATE VIRTUAL TABLE {table}_search USING fts5(
        {columns}, content='{table}', content_rowid='id', tokenize='trigram case_sensitive 1', detail=none, columnsize=0
    )
    """,
    """
    CREATE TRIGGER {table}_search_insert AFTER INSERT ON {table} BEGIN
        INSERT INTO {table}_search (rowid, {columns}) VALUES (NEW.id, {new});
    END
    """,
    """
    CREATE TRIGGER {table}_search_delete AFTER DELETE ON {table} BEGIN
        INSERT INTO {table}_search ({table}_search, rowid, {columns}) VALUES ('delete', OLD.id, {old});
    END
    """,
    """
    CREATE TRIGGER {table}_search_update AFTER UPDATE OF {columns} ON {table} BEGIN
        INSERT INTO {table}_search ({table}_search, rowid, {columns}) VALUES ('delete', OLD.id, {old});
        INSERT INTO {table}_search (rowid, {columns}) VALUES (NEW.id, {new});
    END
    """,
    "INSERT INTO {table}_search ({table}_search) VALUES ('rebuild')",
]
INDEXED = {"tweets": ("folded",), "users": ("username_key", "folded_name")}


def upgrade() -> None:
    postgresql = op.get_context().dialect.name == "postgresql"
    digits = sa.Computed("length(CAST(followers_count AS text))", persisted=postgresql)
    op.add_column("users", sa.Column("followers_digits", sa.Integer, digits))
    op.create_index(op.f("ix_users_followers_digits_id"), "users", ["followers_digits", "id"])
    if postgresql:
        for statement in POSTGRESQL:
            op.execute(statement)
        return
    if sqlite3.sqlite_version_info < (3, 34):
        raise RuntimeError("Search needs SQLite 3.34 or later. Use a newer Python or SQLite.")
    for table, columns in INDEXED.items():
        new, old = (", ".join(f"{row}.{column}" for column in columns) for row in ("NEW", "OLD"))
        for statement in SQLITE:
            op.execute(statement.format(table=table, columns=", ".join(columns), new=new, old=old))


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP INDEX ix_users_search")
        op.execute("DROP INDEX ix_tweets_search")
        op.execute("DROP FUNCTION search_windows(bigint)")
        op.execute("DROP FUNCTION search_grams(text)")
    else:
        for table in INDEXED:
            for event in ("insert", "delete", "update"):
                op.execute(f"DROP TRIGGER {table}_search_{event}")
            op.execute(f"DROP TABLE {table}_search")
    op.drop_index(op.f("ix_users_followers_digits_id"), "users")
    op.drop_column("users", "followers_digits")
