"""Tweets that contain a text, or have a hashtag; newest first, and at most MOST tweets compared per page.

The newest tweets are compared without the index: these alone fill the page of a frequent word. Older tweets are
searched in windows of time. After a window in which the index names few candidates comes one eight times as long, so a
rare word takes a few statements however old the site is. A window with more than CROWD candidates is divided by eight;
if it is the shortest, its tweets are compared without the index.
"""

from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    cast,
    column,
    exists,
    func,
    literal_column,
    select,
    table,
    true,
)
from sqlalchemy.orm import Session

from tweeter import text
from tweeter.ids import MAX_ID
from tweeter.models import Hashtag, Tweet, closed_users, hidden_from
from tweeter.search.grams import LENGTH, grams_query, has, number, pattern
from tweeter.timelines.kind import LIMIT, VIEWER, author_of, within
from tweeter.timelines.queries import load_tweets
from tweeter.values import NOBODY, Cursor, Entry, Page, Viewer

AT_ONCE = 10_000  # tweets that a statement compares without the index
CROWD = 2_000  # candidates
MOST = 200_000  # tweets compared per page
# The ids of a window have all bits but so many in common: 35 minutes, 5 hours, 37 hours, 12 days, 99 days, 2.2 years.
# Migration 0020 indexes these.
WINDOWS = range(33, 49, 3)
FEW = CROWD // 8
ENOUGH = 0.15  # seconds; then a page ends as if it had compared MOST tweets
QUICK, SLOW = 0.02, 0.06  # seconds: shorter statements may be followed by longer windows, longer ones by shorter


class Found(NamedTuple):
    """A page of a search. If it ended before it was full, `looked_until` is the id down to which it searched."""

    page: Page
    looked_until: int | None = None


def find_tweets(session: Session, q: str, cursor: Cursor, viewer: Viewer = NOBODY, author: int | None = None) -> Found:
    """Tweets that contain the text, or have it as their hashtag if it is one; newest first. `author` is a user's id.

    Those of authors hidden from the viewer are not found. Of one author the newest MOST tweets are compared.
    """
    parts = list(text.segments(q))
    values: dict[str, Any] = {"before": cursor.before, "after": cursor.after, "limit": cursor.limit + 1}
    values["viewer"] = viewer.id
    looked_until = None
    tagged = len(parts) == 1 and parts[0].kind == "hashtag"
    values |= {"tag": text.fold(parts[0].value)} if tagged else {}
    if author is not None:
        values |= {"author": author, "pattern": pattern(text.fold(q))}
        found = [] if author in viewer.hidden else list(session.scalars(_OF_AUTHOR[tagged], values))
    elif tagged:
        found = list(session.scalars(_TAGGED[bool(viewer.hidden)], values))
    else:
        found, looked_until = _containing(session, text.fold(q), values, bool(viewer.hidden))
    tweets = load_tweets(session, found)
    page = Page.cut([Entry(tweets[id_], id_) for id_ in found if id_ in tweets], cursor.limit)
    return Found(page._replace(older=looked_until), looked_until) if looked_until else Found(page)


def _containing(session: Session, words: str, values: dict[str, Any], hiding: bool) -> tuple[list[int], int | None]:
    """A page of ids and one more. If the work is bounded before that: fewer, and the id down to which it searched."""
    dialect = session.get_bind().dialect.name
    grams = grams_query(words) if dialect == "sqlite" else words
    values = values | {"pattern": pattern(words), "grams": grams, "skipped": AT_ONCE - 1, "crowd": CROWD + 1}
    found: list[int] = []
    wanted, compared, end = values["limit"], 0, monotonic() + ENOUGH
    size = -1  # an index of WINDOWS; negative: without the search index
    crowded = MAX_ID  # the end of the last window that had to be divided: longer ones begin below it
    while True:
        before = values["before"]
        if size < 0 or len(words) < LENGTH:
            first = session.scalar(_FIRST, values) or 0
            # One lower end: of two SQLite would take the first, and read all tweets.
            found += session.scalars(_SCANNED[hiding], values | {"after": max(values["after"], first - 1)})
            compared, size = compared + AT_ONCE, 0
        else:
            bits, began = WINDOWS[size], monotonic()
            window = before - 1 >> bits
            first = window << bits
            bounds = {"window": [(window << 6) + bits], "first": first, "last": first + (1 << bits) - 1}
            rows = session.execute(_WINDOW[dialect, hiding], values | bounds).all()
            took, candidates = monotonic() - began, rows[0].candidates
            compared += candidates
            if candidates > CROWD:
                crowded, first = first, before
                size -= 1
            else:
                found += [row.id for row in rows if row.id is not None]
                if took > SLOW:
                    size = max(size - 1, 0)
                elif candidates <= FEW and took < QUICK and first <= crowded:
                    size = min(size + 1, len(WINDOWS) - 1)
        values |= {"before": first, "limit": wanted - len(found)}
        if first <= values["after"] + 1 or len(found) >= wanted:
            return found, None
        if compared >= MOST or monotonic() > end:
            return found, first


def _shown(hiding: bool, author: Any = Tweet.user_id) -> list[ColumnElement[bool]]:
    hidden = [author.not_in(hidden_from(VIEWER))] if hiding else []
    return [author.not_in(closed_users), *hidden]


def _newest(query: Select[Any], id_: Any) -> Select[Any]:
    return query.where(within(id_)).order_by(id_.desc()).limit(LIMIT)


def _window(candidates: Select[Any], hiding: bool) -> Select[Any]:
    """Rows with the number of candidates and the id of a match, newest first; one row with None if nothing matches."""
    some = candidates.limit(number("crowd")).cte("candidates")
    # EXISTS: in a join SQLite might read all tweets first, for a Bloom filter.
    matches = exists().where(Tweet.id == some.c.id, _CONTAINS, *_shown(hiding))
    newest = _newest(select(some.c.id).where(matches), some.c.id).subquery("matches")
    count = select(func.count().label("candidates")).select_from(some).subquery("count")
    return select(count.c.candidates, newest.c.id).outerjoin_from(count, newest, true()).order_by(newest.c.id.desc())


_CONTAINS = Tweet.folded.like(bindparam("pattern"), escape="\\")
_FTS = table("tweets_search", column("rowid"))
_CANDIDATES: dict[str, Select[Any]] = {
    "postgresql": select(Tweet.id).where(
        has(func.search_windows(Tweet.id), cast(bindparam("window"), ARRAY(BigInteger))),
        has(func.search_grams(Tweet.folded), func.search_grams(bindparam("grams"))),
        Tweet.folded != literal_column("''"),  # as in the index
    ),
    "sqlite": select(_FTS.c.rowid.label("id")).where(
        literal_column("tweets_search").bool_op("MATCH")(bindparam("grams")),
        _FTS.c.rowid.between(bindparam("first"), bindparam("last")),
    ),
}
# By whether authors are hidden from the viewer.
_WINDOW = {(name, hiding): _window(each, hiding) for name, each in _CANDIDATES.items() for hiding in (False, True)}
_FIRST = select(Tweet.id).where(within(Tweet.id)).order_by(Tweet.id.desc()).offset(number("skipped")).limit(1)
_SCANNED = {hiding: _newest(select(Tweet.id).where(_CONTAINS, *_shown(hiding)), Tweet.id) for hiding in (False, True)}
_WITH_TAG = select(Hashtag.tweet_id).where(Hashtag.tag == bindparam("tag"))
_AUTHOR = author_of(Hashtag.tweet_id)
_TAGGED = {hiding: _newest(_WITH_TAG.where(*_shown(hiding, _AUTHOR)), Hashtag.tweet_id) for hiding in (False, True)}
_NEWEST = select(Tweet.id).where(Tweet.user_id == bindparam("author"), within(Tweet.id)).order_by(Tweet.id.desc())
_OF_AUTHOR = {  # by whether the text is a hashtag
    tagged: select(Tweet.id)
    .where(Tweet.id.in_(select(_NEWEST.limit(MOST).subquery().c.id)), condition, *_shown(hiding=False))
    .order_by(Tweet.id.desc())
    .limit(LIMIT)
    for tagged, condition in ((False, _CONTAINS), (True, exists(_WITH_TAG.where(Hashtag.tweet_id == Tweet.id))))
}
