"""The page of notifications, and the choice of what notifies."""

import logging
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy.exc import DBAPIError

from tweeter import ids
from tweeter.models import Notifies
from tweeter.services.notifications import MOST_OTHERS, mark_read, read_groups
from tweeter.timelines.queries import load_tweets
from tweeter.web.rendering import dates
from tweeter.web.security import IDENTITY, SIGNED_IN
from tweeter.web.views.acts import marked
from tweeter.web.views.forms import page_cursor, page_url, see

log = logging.getLogger(__name__)

# What the page says that the actor did, and the icon beside it.
SAID = {
    Notifies.REPLY: ("replied to you", "reply"),
    Notifies.MENTION: ("mentioned you", "mentions"),
    Notifies.LIKE: ("liked your tweet", "like"),
    Notifies.REPOST: ("reposted your tweet", "repost"),
    Notifies.FOLLOW: ("followed you", "me"),
}


@view_config(route_name="notifications", request_method="GET", renderer="notifications.jinja2", permission=SIGNED_IN)
def notifications(request: Request) -> dict[str, Any]:
    """Groups of notifications, newest first. The newest page marks all as read.

    It is read on the primary, like the number of unread ones, so that both agree.
    """
    me, cursor = request.identity, page_cursor(request)
    with request.registry.database.read_sessions() as session:
        found, older = read_groups(session, me.id, cursor)
        tweets = load_tweets(session, {each.tweet_id for each in found if each.tweet_id})
        marks = marked(session, me.id, tweets)
    first = "before" not in request.GET
    if first and found:
        _mark_read(request, found[0].id)
    # A tweet may have been deleted in between.
    shown = [each for each in found if not each.tweet_id or each.tweet_id in tweets]
    return {
        "title": "Notifications",
        "notices": [(each, tweets.get(each.tweet_id), *dates(ids.date_of(each.id))) for each in shown],
        "said": SAID,
        "most_others": MOST_OTHERS,
        "marks": marks,
        "older": page_url(request, before=older),
        "first": first,
    }


def _mark_read(request: Request, newest_id: int) -> None:
    """Marks the notifications of the page as read, unless the browser only fetches it in advance.

    A statement of its own: the page is shown even if it fails.
    """
    me, in_advance = request.identity, "prefetch" in request.headers.get("Sec-Purpose", "")
    if newest_id <= me.notifications_read_id or in_advance or request.method != "GET":
        return
    try:
        with request.registry.database.read_sessions() as session:
            mark_read(session, me.id, newest_id)
    except DBAPIError as error:  # the database is read-only or locked: the next page tries again
        log.warning("marking notifications as read failed: %s", error.orig)
        return
    request.__dict__[IDENTITY] = me._replace(unread=0)


def change_notifies(request: Request) -> Response:
    """The form of the settings: each checked box is one of Notifies, in small letters."""
    chosen = Notifies(0)
    for name in request.POST.getall("notifies"):
        if not isinstance(name, str) or name.upper() not in Notifies.__members__:
            raise HTTPBadRequest("The form contains an unknown kind of notification.")
        chosen |= Notifies[name.upper()]
    request.actions.change_notifies(request.identity.id, chosen)
    request.session.flash("Your notifications were changed.")
    return see(request, "/settings")
