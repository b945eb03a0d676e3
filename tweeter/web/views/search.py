"""The page of a search for people, words and #tags."""

from typing import Any

from pyramid.request import Request
from pyramid.view import view_config

from tweeter import ids, text
from tweeter.db.sessions import time_limit
from tweeter.search.people import find_people
from tweeter.search.tweets import Found, find_tweets
from tweeter.timelines.queries import marked
from tweeter.values import Page
from tweeter.web.viewers import viewer
from tweeter.web.views.forms import page_cursor, page_url
from tweeter.web.views.people import followed

LONGEST = text.LONGEST_HASHTAG + 1
SECONDS = 2.0  # limit of each statement


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
