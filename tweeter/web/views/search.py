"""Search for people, words and #tags.

Stored texts and queries are folded by `text.fold`, so both databases find the same. Tags have an index of their own.
Words and names are searched by scanning rows, so a page reads a bounded number of them.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from tweeter import ids, text
from tweeter.db.sessions import time_limit
from tweeter.models import Hashtag, Tweet, User, closed_users
from tweeter.services.people import find_user
from tweeter.timelines.kind import not_hidden
from tweeter.timelines.queries import load_tweets, marked
from tweeter.values import NOBODY, Cursor, Entry, Page, Viewer
from tweeter.web.viewers import viewer
from tweeter.web.views.forms import page_cursor, page_url
from tweeter.web.views.people import followed

PEOPLE = 10
LONGEST = text.LONGEST_HASHTAG + 1
ROWS_AT_ONCE = 50_000
MOST_ROWS = 500_000  # scanned tweets per page
MOST_PEOPLE = 500_000  # accounts whose names are scanned
ENOUGH = 0.25  # seconds; then a page ends as if it had scanned MOST_ROWS
SECONDS = 2.0  # limit of each statement


class Found(NamedTuple):
    """A page of a search. If it ended before it was full, `looked_until` is the id down to which it searched."""

    page: Page
    looked_until: int | None = None


@view_config(route_name="search", request_method="GET", renderer="search.jinja2", limit="search")
def search(request: Request) -> dict[str, Any]:
    q = text.clean_line(request.GET.get("q", ""))[:LONGEST]
    cursor = page_cursor(request)
    first = "before" not in request.GET
    # In a transaction, because PostgreSQL's time limit is set for one.
    me = viewer(request)
    with request.registry.database.page_transactions() as session, time_limit(session, SECONDS):
        people = find_people(session, q) if q and first else []
        page, looked_until = find_tweets(session, q, cursor, me) if q else Found(Page((), None))
        page = marked(session, page, me.id)
    return {
        "title": f"Search: {q}" if q else "Search",
        "q": q,
        "people": people,
        "followed": followed(request, [person.id for person in people]),
        "tweets": page.tweets,
        "marks": page,
        "older": page_url(request, q=q, before=page.older),
        "looked_until": looked_until and ids.date_of(looked_until),
        "first": first,
    }


def find_people(session: Session, q: str) -> Sequence[User]:
    """Users whose username begins with it or whose name contains it, most followers first.

    Scans the first MOST_PEOPLE accounts. The user with exactly this username is always included.
    """
    words = text.fold(q)
    name = words.removeprefix("@")
    if not name or words.startswith("#"):
        return []
    matches = [func.substr(User.username_key, 1, len(name)) == name]
    if words == name:
        matches.append(User.folded_name.contains(name, autoescape=True))
    query = select(User).where(User.id <= MOST_PEOPLE, or_(*matches), ~User.closed)
    people = session.scalars(query.order_by(User.followers_count.desc(), User.id.desc()).limit(PEOPLE)).all()
    exact = find_user(session, name)
    return people if exact is None or exact in people else [*people[: PEOPLE - 1], exact]


def find_tweets(session: Session, q: str, cursor: Cursor, viewer: Viewer = NOBODY) -> Found:
    """Tweets that contain the text, or have it as their hashtag if it is one; newest first.

    Those of authors hidden from the viewer are not found.
    """
    parts = list(text.segments(q))
    if len(parts) == 1 and parts[0].kind == "hashtag":
        found, looked_until = _tagged(session, text.fold(parts[0].value), cursor, viewer), None
    else:
        found, looked_until = _containing(session, text.fold(q), cursor, viewer)
    tweets = load_tweets(session, found)
    page = Page.cut([Entry(tweets[id_], id_) for id_ in found if id_ in tweets], cursor.limit)
    return Found(page._replace(older=looked_until), looked_until) if looked_until else Found(page)


def _tagged(session: Session, tag: str, cursor: Cursor, viewer: Viewer) -> list[int]:
    query = select(Hashtag.tweet_id).join(Tweet, Tweet.id == Hashtag.tweet_id)
    within = (Hashtag.tweet_id < cursor.before, Hashtag.tweet_id > cursor.after)
    query = query.where(
        Hashtag.tag == tag, *within, Tweet.user_id.not_in(closed_users), *not_hidden(Hashtag.tweet_id, viewer)
    )
    return list(session.scalars(query.order_by(Hashtag.tweet_id.desc()).limit(cursor.limit + 1)))


def _containing(session: Session, words: str, cursor: Cursor, viewer: Viewer) -> tuple[list[int], int | None]:
    """A page of ids and one more. If the work is bounded before that: fewer, and the id down to which it searched."""
    found: list[int] = []
    before, end = cursor.before, monotonic() + ENOUGH
    for _ in range(MOST_ROWS // ROWS_AT_ONCE):
        older = select(Tweet.id).where(Tweet.id < before).order_by(Tweet.id.desc())
        last = session.scalar(older.offset(ROWS_AT_ONCE - 1).limit(1))
        shown = (Tweet.user_id.not_in(closed_users), *not_hidden(Tweet.id, viewer))
        part = older.where(Tweet.id >= (last or 0), Tweet.folded.contains(words, autoescape=True), *shown)
        found += session.scalars(part.limit(cursor.limit + 1 - len(found)))
        if last is None or len(found) > cursor.limit:
            return found, None
        before = last
        if monotonic() > end:
            break
    return found, before
