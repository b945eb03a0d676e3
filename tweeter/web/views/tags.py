"""The tweets with a hashtag."""

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import bindparam, select

from tweeter import text
from tweeter.models import Tag
from tweeter.values import Timeline
from tweeter.web.views.pages import no_tweets, timeline_page

_TAG = select(Tag.id).where(Tag.tag == bindparam("tag"))


@view_config(route_name="tag", request_method="GET", renderer="tag.jinja2")
def tag(request: Request) -> dict[str, Any]:
    """The name may be written in any case."""
    name = request.matchdict["name"]
    if not (folded := text.hashtag(name)):
        raise HTTPNotFound("This is not a hashtag.")
    timeline, title = tag_timeline(request, folded), f"#{text.clean_line(name)}"
    return timeline_page(request, timeline, title) if timeline else no_tweets(request, title)


def tag_timeline(request: Request, folded: str) -> Timeline | None:
    """The timeline of a hashtag, by its folded name; None if no tweet ever had it."""
    with request.read_session() as session:
        id_ = session.scalar(_TAG, {"tag": folded})
    return None if id_ is None else Timeline("tag", id_)
