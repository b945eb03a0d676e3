"""The statements of the store, on both databases.

`GIVEN` is a list of (owner, tweet_id, of_id), passed as arrays on PostgreSQL and as JSON on SQLite; `of_id` may be
missing. CROSS JOIN keeps SQLite from reading the timelines first.
"""

# ruff: noqa: S608 (the statements are put together from constants)

import json
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    String,
    TextClause,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import aliased, outerjoin

from tweeter.ids import MAX_ID
from tweeter.models import StoredTimeline, TimelineEntry, TimelineRun
from tweeter.values import NOTHING

Pairs = Sequence[tuple[int, int]]

_GIVEN = {
    # unnest fills the shorter arrays with NULL.
    "postgresql": "unnest(CAST(:firsts AS bigint[]), CAST(:seconds AS bigint[]), CAST(:thirds AS bigint[]))"
    " AS given(owner, tweet_id, of_id)",
    "sqlite": "(SELECT json_extract(value, '$[0]') AS owner, json_extract(value, '$[1]') AS tweet_id,"
    " json_extract(value, '$[2]') AS of_id FROM json_each(:pairs)) AS given",
}
_NOW = {
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS integer)",
}
_TIMELINE = "shelf = :shelf AND kind = :kind AND owner = :owner"
_OF_GIVEN = "GIVEN CROSS JOIN timelines WHERE shelf = :shelf AND kind = :kind AND timelines.owner = given.owner"


class Statements(NamedTuple):
    """`:run` and `:shelf` are those of the TimelineRun. Times are milliseconds of the database's clock."""

    # The run's id. It writes, because the caller must know that it can.
    begin_run: TextClause
    shelf: TextClause
    checkpoint: TextClause
    set_checkpoint: TextClause
    clear: TextClause
    begin_backfill: TextClause
    end_backfill: TextClause
    fill: TextClause
    add: TextClause
    # The id of each timeline, and the newest one of the ids beyond its capacity. OFFSET counts to there in the index,
    # so each write looks at one timeline in `:period`.
    surplus: TextClause
    raise_floor: TextClause
    forget: TextClause
    remove: TextClause
    drop: TextClause
    drop_entries: TextClause
    discard: TextClause
    use: TextClause
    next_timelines: TextClause
    truncate: TextClause
    # Timelines of a former shelf or of another site's, and those that were not read for long.
    garbage: tuple[TextClause, ...]


def statements(dialect: str) -> Statements:
    def made(sql: str) -> TextClause:
        return text(sql.replace("GIVEN", _GIVEN[dialect]).replace("NOW", _NOW[dialect]))

    garbage = "SELECT id FROM timelines WHERE {} LIMIT :limit"
    return Statements(
        begin_run=made(
            "INSERT INTO timeline_runs (id, site, shelf) VALUES (:id, :site, :id)"
            " ON CONFLICT (site) DO UPDATE SET site = excluded.site RETURNING id"
        ),
        shelf=made("SELECT shelf, NOW FROM timeline_runs WHERE id = :run"),
        checkpoint=made("SELECT checkpoint FROM timeline_runs WHERE id = :run"),
        set_checkpoint=made("UPDATE timeline_runs SET checkpoint = :value WHERE id = :run"),
        clear=made("UPDATE timeline_runs SET shelf = :new WHERE id = :run"),
        begin_backfill=made(
            "INSERT INTO timelines (shelf, kind, owner, floor, token, used)"
            " VALUES (:shelf, :kind, :owner, 0, :token, :now)"
            " ON CONFLICT (shelf, kind, owner) DO UPDATE SET token = excluded.token, used = excluded.used"
            " WHERE timelines.token IS NOT NULL AND abs(excluded.used - timelines.used) > :lasts RETURNING id"
        ),
        end_backfill=made(
            f"UPDATE timelines SET token = NULL, floor = :floor, used = :now WHERE {_TIMELINE} AND token = :token"
            " RETURNING id"
        ),
        fill=made(
            "INSERT INTO timeline_entries (timeline_id, tweet_id, of_id)"
            " SELECT given.owner, given.tweet_id, given.of_id FROM GIVEN WHERE true ON CONFLICT DO NOTHING"
        ),
        add=made(
            "INSERT INTO timeline_entries (timeline_id, tweet_id, of_id)"
            f" SELECT timelines.id, given.tweet_id, given.of_id FROM {_OF_GIVEN}"
            " AND given.tweet_id >= timelines.floor ON CONFLICT DO NOTHING"
        ),
        surplus=made(
            "SELECT DISTINCT timelines.id, (SELECT tweet_id FROM timeline_entries WHERE timeline_id = timelines.id"
            f" ORDER BY tweet_id DESC LIMIT 1 OFFSET :capacity) FROM {_OF_GIVEN}"
            " AND token IS NULL AND timelines.id % :period = :chosen"
        ),
        raise_floor=made("UPDATE timelines SET floor = :floor WHERE id = :id AND floor BETWEEN 0 AND :floor"),
        forget=made("DELETE FROM timeline_entries WHERE timeline_id = :id AND tweet_id < :floor"),
        remove=made(
            "DELETE FROM timeline_entries WHERE tweet_id IN (SELECT tweet_id FROM GIVEN)"
            f" AND timeline_id = (SELECT id FROM timelines WHERE {_TIMELINE})"
        ),
        drop=made(f"DELETE FROM timelines WHERE id IN (SELECT id FROM {_OF_GIVEN}) RETURNING id"),
        drop_entries=made("DELETE FROM timeline_entries WHERE timeline_id IN (SELECT owner FROM GIVEN)"),
        discard=made("DELETE FROM timelines WHERE id = :id"),
        use=made("UPDATE timelines SET used = :now WHERE id = :id"),
        next_timelines=made(
            "SELECT id FROM timelines WHERE shelf = :shelf AND id > :after AND token IS NULL ORDER BY id LIMIT :limit"
        ),
        truncate=made(
            "DELETE FROM timeline_entries WHERE tweet_id < :floor AND timeline_id IN (SELECT owner FROM GIVEN)"
            " RETURNING timeline_id"
        ),
        garbage=tuple(
            made(garbage.format(each)) for each in ("shelf < :shelf", "shelf > :shelf", "used < :now - :idle")
        ),
    )


def given(dialect: str, pairs: Pairs, of: Mapping[int, int]) -> dict[str, Any]:
    """The parameters of `GIVEN`. `of` has the tweets of those ids that refer to one."""
    if dialect == "sqlite":
        return {"pairs": json.dumps([(owner, id_, of.get(id_)) for owner, id_ in pairs] if of else pairs)}
    thirds = [of.get(second) for _, second in pairs] if of else []
    return {"firsts": [first for first, _ in pairs], "seconds": [second for _, second in pairs], "thirds": thirds}


def read(dialect: str, timelines: int) -> "Select[*tuple[Any, ...]]":
    """One row: the checkpoint, and of each timeline five columns (NULL if it is missing).

    The last of the five are the newest `limit0` ids below `before0`, of the first timeline. No row if the run is
    another one.
    """
    columns: list[Any] = []
    source: Any = TimelineRun
    for number in range(timelines):
        timeline = aliased(StoredTimeline)
        found = and_(
            timeline.shelf == TimelineRun.shelf,
            timeline.kind == bindparam(f"kind{number}", type_=String),
            timeline.owner == bindparam(f"owner{number}", type_=BigInteger),
        )
        source = outerjoin(source, timeline, found)
        columns += [timeline.id, timeline.floor, timeline.token, timeline.used, _ids(dialect, timeline, number)]
    statement = select(TimelineRun.checkpoint, *columns).select_from(source)
    return statement.where(TimelineRun.id == bindparam("run", type_=BigInteger))


def _ids(dialect: str, timeline: Any, number: int) -> ColumnElement[Any]:
    """The ids of a timeline, packed by the database, as in `tweeter.timelines.followers`.

    An id that refers to a tweet is negative, and the tweet's id follows.
    """
    entries = (
        select(TimelineEntry.tweet_id, TimelineEntry.of_id)
        .where(
            TimelineEntry.timeline_id == timeline.id,
            TimelineEntry.tweet_id >= timeline.floor,
            TimelineEntry.tweet_id < bindparam(f"before{number}", type_=BigInteger),
        )
        .order_by(TimelineEntry.tweet_id.desc())
        .limit(bindparam(f"limit{number}", type_=Integer))
        .offset(literal_column("0"))  # SQLite's dialect would add a parameter
        .correlate(timeline)
        .subquery("entries")
    )
    id_, of = entries.c.tweet_id, entries.c.of_id
    if dialect == "sqlite":
        each: Any = case((of.is_(None), id_), else_=func.printf(literal_column("'-%d,%d'"), id_, of))
        return select(func.group_concat(each, type_=String)).scalar_subquery()
    both = func.int8send(-id_).op("||")(func.int8send(of))
    each = case((of.is_(None), func.int8send(id_)), else_=both)
    return select(func.string_agg(each, literal_column("''::bytea"), type_=LargeBinary)).scalar_subquery()


def unpacked(packed: bytes | str | None) -> tuple[list[int], Mapping[int, int]]:
    """The ids of a row of `read`, and the tweets that some of them refer to. Raises ValueError if those are no ids."""
    if isinstance(packed, bytes):
        numbers = array("q", packed)
        numbers.byteswap()
        ids = numbers.tolist()
    else:
        ids = [int(number) for number in packed.split(",")] if packed else []
    if min(ids, default=1) > 0:
        return ids, NOTHING
    of = {-id_: tweet for id_, tweet in pairwise(ids) if id_ < 0}
    left = iter(ids)
    ids = [-id_ if id_ < 0 and next(left, 0) else id_ for id_ in left]
    if not of or not 0 < min(of.values()) <= max(of.values()) <= MAX_ID:
        raise ValueError("not a reference")
    return ids, of
