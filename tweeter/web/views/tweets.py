"""Posting and deleting tweets, and the page of one tweet with its ancestors and replies."""

from typing import Any

from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import literal, select
from sqlalchemy.orm import Session, aliased

from tweeter.errors import Missing, Refused
from tweeter.models import Tweet, closed_users
from tweeter.timelines.kind import not_hidden
from tweeter.timelines.queries import load_tweets
from tweeter.web.routes import at
from tweeter.web.security import SIGNED_IN
from tweeter.web.viewers import Relation, relation, viewer
from tweeter.web.views import drafts, pages
from tweeter.web.views.acts import marked
from tweeter.web.views.forms import Form, number, page_limit, page_url, parameter, posted, refused, see

GREATEST_DEPTH = 20


@view_config(route_name="tweets", request_method="POST", renderer="home.jinja2", permission=SIGNED_IN, limit="post")
def post(request: Request) -> dict[str, Any] | Response:
    """Posts a tweet and redirects to it, or shows a rejected one in the form it was typed into."""
    message, parent = posted(request, "message"), posted(request, "parent_id")
    parent_id = number(parent, "parent_id") if parent else None
    try:
        tweet = request.actions.post(request.identity.id, message, parent_id)
    except Missing as error:
        if error.field != "parent_id":
            raise
        form = refused(request, error, {"message": message}, parent_id="message")
        form.errors["message"] += " You can post your text as a new tweet."
        return pages.home(request, form)
    except Refused as error:
        form = refused(request, error, {"message": message})
        page = tweet_page(request, parent_id, form) if parent_id is not None else {"tweet": None}
        request.response.status_int = 400
        if page["tweet"] is None:
            return pages.home(request, form)
        request.override_renderer = "tweet.jinja2"
        return page
    if parent_id is not None:
        request.session.flash("Your reply was posted.")
        return see(request, f"/tweets/{tweet.id}")
    request.session.flash("Posted.")
    return see(request, "/")


@view_config(route_name="tweet", request_method="GET", renderer="tweet.jinja2")
def show(request: Request) -> dict[str, Any] | Response:
    """The page of a tweet. The id of a repost leads to the tweet, as long as it is not undone."""
    id_ = int(request.matchdict["id"])
    page = tweet_page(request, id_)
    if page["tweet"] and page["tweet"].id != id_:
        return HTTPFound(at(request, f"/tweets/{page['tweet'].id}"))
    return page


@view_config(route_name="delete", request_method="POST", permission=SIGNED_IN, limit="delete")
def delete(request: Request) -> Response:
    """Deletes one of the current user's tweets; `tweeter.services.actions` checks the owner."""
    request.actions.delete(request.identity.id, int(request.matchdict["id"]))
    request.session.flash("Your tweet was deleted.")
    return see(request, f"/@{request.identity.username}")


def tweet_page(request: Request, id_: int, form: Form | None = None) -> dict[str, Any]:
    """A tweet, its ancestors above it, its replies below it, oldest first. Deleted tweets have a page, too.

    Ancestors and replies of authors hidden from the viewer are left out. The tweet itself is shown unless there is a
    block between its author and the viewer: then the page says so.

    A reply may have a lower id than its parent: a loaded one with an earlier date, or one from a slower clock.
    """
    limit, me = page_limit(request), viewer(request)
    after = parameter(request, "after", least=0)
    replies_to = (
        select(Tweet.id)
        .where(Tweet.parent_id == id_, Tweet.id > after, Tweet.user_id.not_in(closed_users), *not_hidden(Tweet.id, me))
        .order_by(Tweet.id)
        .limit(limit + 1)
    )
    with request.read_session() as session:
        above = ancestor_ids(session, id_)
        below = session.scalars(replies_to).all()
        tweets = load_tweets(session, {id_, *above, *below})
        marks = marked(session, me.id, tweets)
    tweet, blocked = tweets.get(id_), None
    if tweet and tweet.repost_of is not None:
        return tweet_page(request, tweet.repost_of, form)
    if tweet is None:
        request.response.status_int = 404
    between = relation(request, tweet.user_id) if tweet else Relation()
    if between.blocked:
        tweet, blocked = None, tweet
    ancestors = [tweets[each] for each in above if each in tweets and tweets[each].user_id not in me.hidden]
    replies = [tweets[reply] for reply in below[:limit] if reply in tweets]
    more = below[limit - 1] if len(below) > limit else None  # from the ids: a tweet may be deleted in between
    return {
        "title": f"{tweet.display_name}: {tweet.message}"[:80] if tweet else "Tweet" if blocked else "Tweet not found",
        "tweet": tweet,
        "blocked": blocked,
        "relation": between,
        "marks": marks,
        "ancestors": ancestors,
        "earlier": tweets[above[0]].parent_id if len(above) == GREATEST_DEPTH and above[0] in tweets else None,
        "replies": replies,
        "more": page_url(request, f"/tweets/{id_}", after=more),
        "first": "after" not in request.GET,
        "form": form or Form(drafts.take(request, "tweets") if tweet and request.identity else {}),
    }


def ancestor_ids(session: Session, id_: int, depth: int = GREATEST_DEPTH) -> list[int]:
    """The parent, its parent, and so on; the oldest first."""
    chain = (
        select(Tweet.id, Tweet.parent_id, literal(0).label("depth"))
        .where(Tweet.id == id_, Tweet.user_id.not_in(closed_users))
        .cte("chain", recursive=True)
    )
    parent = aliased(Tweet, name="ancestor")
    chain = chain.union_all(
        select(parent.id, parent.parent_id, chain.c.depth + 1)
        .join(chain, parent.id == chain.c.parent_id)
        .where(chain.c.depth < depth, parent.user_id.not_in(closed_users))
    )
    rows = session.execute(select(chain.c.id).where(chain.c.depth > 0).order_by(chain.c.depth.desc()))
    return [id_ for (id_,) in rows]
