"""People to follow: on an empty home timeline, and in the right column.

The right column is a page part of its own that browsers request after the page, so it costs the page nothing.
"""

from collections.abc import Sequence
from typing import Any

from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import select

from tweeter.models import Relationship, User
from tweeter.values import Cursor, Timeline
from tweeter.web.security import SIGNED_IN
from tweeter.web.viewers import page_of
from tweeter.web.views.forms import GREATEST_PAGE

SUGGESTED = 5
CACHED = 300  # seconds; the URL changes with each follow, mute and block


def people_to_follow(request: Request) -> Sequence[User]:
    """Authors of the newest tweets whom the current user does not follow, mute or block; most followers first."""
    me = request.identity.id
    newest = page_of(request, Timeline("public"), Cursor(limit=GREATEST_PAGE)).tweets
    follows = select(1).where(Relationship.from_user_id == me, Relationship.to_user_id == User.id)
    shown = (
        select(User)
        .where(User.id.in_({tweet.user_id for tweet in newest} - {me}), ~User.closed, ~follows.exists())
        .order_by(User.followers_count.desc(), User.id)
        .limit(SUGGESTED)
    )
    with request.read_session() as session:
        return session.scalars(shown).all()


@view_config(route_name="suggestions", request_method="GET", renderer="suggestions.jinja2", permission=SIGNED_IN)
def suggestions(request: Request) -> dict[str, Any]:
    people = people_to_follow(request)
    request.response.cache_control = f"private, max-age={CACHED if people else 0}"
    request.response.vary = ("Cookie",)
    return {"people": people}
