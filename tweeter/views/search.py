"""Searching people and tweets, by LIKE: right on both databases, and quick enough for a small site."""

from collections.abc import Sequence
from typing import Any

from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from tweeter import text
from tweeter.models import Tweet, User, closed_users
from tweeter.timelines.queries import load_tweets
from tweeter.values import Cursor, Page
from tweeter.views.forms import page_cursor, page_url
from tweeter.views.people import followed

PEOPLE = 10
LONGEST = 100
ROWS_AT_ONCE = 200


@view_config(route_name="search", request_method="GET", renderer="tweeter:templates/search.jinja2")
def search(request: Request) -> dict[str, Any]:
    q = text.clean_line(request.GET.get("q", ""))[:LONGEST]
    cursor = page_cursor(request)
    first = "before" not in request.GET
    with request.read_session() as session:
        people = find_people(session, q) if q and first else []
        page = find_tweets(session, q, cursor) if q else Page((), None)
    return {
        "title": f"Search: {q}" if q else "Search",
        "q": q,
        "people": people,
        "followed": followed(request, [person.id for person in people]),
        "tweets": page.tweets,
        "older": page_url(request, q=q, before=page.older),
        "first": first,
    }


def find_people(session: Session, q: str) -> Sequence[User]:
    """Those whose username begins with it or whose name contains it; the most followed first."""
    if q.startswith("#"):
        return []
    name = q.removeprefix("@")
    if not name:
        return []
    matches: list[ColumnElement[bool]] = [User.username_key.startswith(name.lower(), autoescape=True)]
    if not q.startswith("@"):
        matches.append(_contains(session, User.display_name, name))
    query = select(User).where(or_(*matches), ~User.closed).order_by(User.followers_count.desc(), User.id.desc())
    return session.scalars(query.limit(PEOPLE)).all()


def find_tweets(session: Session, q: str, cursor: Cursor) -> Page:
    """Tweets that contain it, whatever the case; `#tag` finds the whole tag only, not the beginning of another."""
    tag = q[1:].casefold() if q.casefold()[1:] in text.hashtags(q) and q.startswith("#") else ""
    found = _contains(session, Tweet.message, q) & Tweet.user_id.not_in(closed_users)
    query = select(Tweet.id, Tweet.message).where(found).order_by(Tweet.id.desc())
    ids: list[int] = []
    before = cursor.before
    while len(ids) <= cursor.limit:
        rows = session.execute(query.where(Tweet.id < before).limit(ROWS_AT_ONCE if tag else cursor.limit + 1)).all()
        ids += [row.id for row in rows if not tag or tag in text.hashtags(row.message)]
        if not tag or len(rows) < ROWS_AT_ONCE:
            break
        before = rows[-1].id
    tweets = load_tweets(session, ids[: cursor.limit + 1])
    return Page.cut([tweets[id_] for id_ in ids[: cursor.limit + 1] if id_ in tweets], cursor.limit)


def _contains(session: Session, column: Any, words: str) -> ColumnElement[bool]:
    if session.get_bind().dialect.name != "sqlite":
        return column.icontains(words, autoescape=True)
    # SQLite knows the case of ASCII letters only, but can be taught.
    connection: Any = session.connection().connection.driver_connection
    connection.create_function("casefold", 1, str.casefold, deterministic=True)
    return func.casefold(column).contains(words.casefold(), autoescape=True)
