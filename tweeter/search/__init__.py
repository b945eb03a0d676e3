"""Search: tweets that contain a text, newest first, and people by their names, most followers first.

Texts and queries are folded by `text.fold`. The database indexes the grams of folded texts: PostgreSQL in GIN indexes,
SQLite in FTS5 tables that triggers update; migration 0020 creates both. An index names candidates, which contain all
grams of the query. The candidates' texts are then compared with the query, so both databases find the same.
"""
