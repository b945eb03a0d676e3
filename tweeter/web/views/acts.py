"""Reposting and liking tweets, and the pages that tell who did. The buttons are made by `tweeter.web.marking`."""

from collections.abc import Collection, Sequence
from typing import Any

from pyramid.httpexceptions import HTTPFound, HTTPNoContent, HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from tweeter.models import Like, Tweet, User, hidden_from
from tweeter.timelines import queries
from tweeter.values import Cursor, Page, Viewer
from tweeter.web.marking import UNMARKED
from tweeter.web.routes import at
from tweeter.web.security import SIGNED_IN
from tweeter.web.viewers import viewer
from tweeter.web.views.forms import page_before, page_cursor, page_url, wants_json
from tweeter.web.views.people import followed

# By the kind in the URL: the user, the tweet and the id of what they did.
DONE = {
    "reposts": (Tweet.user_id, Tweet.repost_of_id, Tweet.id),
    "likes": (Like.user_id, Like.tweet_id, Like.id),
}


@view_config(route_name="act", request_method="POST", permission=SIGNED_IN, limit="act")
def act(request: Request) -> Response:
    """Reposts or likes a tweet, or undoes that. Leads back to the page with the button; a script gets 204."""
    do = {
        "repost": request.actions.repost,
        "unrepost": request.actions.undo_repost,
        "like": request.actions.like,
        "unlike": request.actions.unlike,
    }[request.matchdict["act"]]
    id_ = int(request.matchdict["id"])
    do(request.identity.id, id_)
    if wants_json(request):
        return HTTPNoContent()
    return HTTPSeeOther(f"{page_before(request) or at(request, f'/tweets/{id_}')}#tweet-{id_}")


@view_config(route_name="admirers", request_method="GET", renderer="admirers.jinja2")
def admirers(request: Request) -> dict[str, Any] | Response:
    """Who reposted a tweet, or who likes it."""
    id_, kind, cursor = int(request.matchdict["id"]), request.matchdict["kind"], page_cursor(request)
    me = viewer(request)
    with request.read_session() as session:
        tweet = queries.load_tweets(session, [id_]).get(id_)
        found = people(session, kind, id_, cursor, me) if tweet else []
    if tweet is None:
        raise HTTPNotFound("There is no such tweet.")
    if tweet.repost_of is not None:
        return HTTPFound(at(request, f"/tweets/{tweet.repost_of}/{kind}"))
    shown = found[: cursor.limit]
    return {
        "title": f"{'Reposted' if kind == 'reposts' else 'Liked'} by · {tweet.display_name}",
        "tweet": tweet,
        "kind": kind,
        "people": [user for user, _ in shown],
        "followed": followed(request, [user.id for user, _ in shown]),
        "older": page_url(request, before=shown[-1][1] if len(found) > len(shown) else None),
        "first": "before" not in request.GET,
    }


def people(session: Session, kind: str, tweet_id: int, cursor: Cursor, viewer: Viewer) -> Sequence[tuple[User, int]]:
    """A page of those who reposted or like a tweet, newest first, and one more; with the id of the repost or like.

    Without those who are hidden from the viewer.
    """
    user_id, of, done = DONE[kind]
    query = (
        select(User, done)
        .join(User, User.id == user_id)
        .where(of == tweet_id, done < cursor.before, done > cursor.after, ~User.closed)
        .order_by(done.desc())
        .limit(cursor.limit + 1)
    )
    if viewer.hidden:
        query = query.where(user_id.not_in(hidden_from(literal(viewer.id))))
    return [(user, id_) for user, id_ in session.execute(query)]


def marked(session: Session, me: int, ids: Collection[int]) -> Page:
    """A page without tweets whose `liked` and `reposted` say which of these the viewer likes and reposted."""
    if not me or not ids:
        return UNMARKED
    liked, reposted = queries.marks(session, me, ids)
    return UNMARKED._replace(liked=liked, reposted=reposted)
