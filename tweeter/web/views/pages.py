"""Timeline pages: home, public, mentions; and polling for newer tweets."""

from typing import Any

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import select

from tweeter import ids
from tweeter.models import Mention, Tweet, closed_users
from tweeter.timelines.queries import load_tweets
from tweeter.values import Cursor, Page, Timeline
from tweeter.web.security import SIGNED_IN
from tweeter.web.views import drafts
from tweeter.web.views.forms import GREATEST_PAGE, Form, number, page_cursor, page_url, parameter, written
from tweeter.web.views.frames import Frames

HOME, PUBLIC = "home.jinja2", "public.jinja2"


@view_config(route_name="index", request_method="GET", renderer=HOME)
def index(request: Request) -> Response | dict[str, Any]:
    if request.identity is None:
        return everybody(request)
    return framed(request, HOME, home(request))


@view_config(route_name="public", request_method="GET", renderer=PUBLIC)
def public(request: Request) -> Response | dict[str, Any]:
    return framed(request, PUBLIC, everybody(request))


def framed(request: Request, template: str, values: dict[str, Any]) -> Response | dict[str, Any]:
    """The page, assembled from the reader's frame if frames are enabled."""
    frames: Frames | None = request.registry.get("frames")
    return values if frames is None else frames.page(request, template, values)


def everybody(request: Request) -> dict[str, Any]:
    """The public timeline."""
    timeline = Timeline.public()
    page = request.timelines.page(timeline, page_cursor(request), written(request))
    return timeline_page(request, page, timeline, "Public")


def home(request: Request, form: Form | None = None) -> dict[str, Any]:
    """The home page; with a form, its values and errors."""
    timeline = Timeline.home(request.identity.id)
    page = request.timelines.page(timeline, page_cursor(request), written(request))
    # A rejected form is shown at the form's URL, which has no other pages.
    values = timeline_page(request, page, timeline, "Home", path="/")
    return values | {"form": form or Form(drafts.take(request, "tweets") if values["first"] else {})}


def timeline_page(
    request: Request, page: Page, timeline: Timeline | None, title: str, path: str = ""
) -> dict[str, Any]:
    """The values of a timeline's template. Only its newest page polls for newer tweets."""
    first = "before" not in request.GET
    poll = None
    if timeline and first:
        poll = _poll_url(timeline, page, request.authenticated_userid)
    return {
        "title": title,
        "tweets": page.tweets,
        "older": page_url(request, path, before=page.older),
        "poll": poll,
        "page": path or request.path,
        "first": first,
    }


def _poll_url(timeline: Timeline, page: Page, me: int | None) -> str:
    """The URL to poll, after the newest tweet that is not ahead of the clock. Those ahead are listed as seen.

    The viewer's own tweets do not count: they appear before tweets that others posted just earlier.
    """
    now = ids.latest_id()
    ahead = [tweet.id for tweet in page.tweets if tweet.id > now]
    past = [tweet for tweet in page.tweets if tweet.id <= now]
    since = next((tweet.id for tweet in past if tweet.user_id != me), past[-1].id if past else now if ahead else 0)
    user = f"&user={timeline.user_id}" if timeline.kind == "profile" else ""
    seen = f"&seen={'+'.join(map(str, ahead))}" if ahead else ""
    return f"/newer?timeline={timeline.kind}&since={since}{user}{seen}"


@view_config(route_name="mentions", request_method="GET", renderer="mentions.jinja2", permission=SIGNED_IN)
def mentions(request: Request) -> dict[str, Any]:
    """Tweets that mention the current user."""
    cursor = page_cursor(request)
    query = (
        select(Mention.tweet_id)
        .join(Tweet, Tweet.id == Mention.tweet_id)
        .where(Mention.user_id == request.identity.id, Mention.tweet_id < cursor.before)
        .where(Tweet.user_id.not_in(closed_users))
        .order_by(Mention.tweet_id.desc())
        .limit(cursor.limit + 1)
    )
    with request.read_session() as session:
        found = session.scalars(query).all()
        tweets = load_tweets(session, found)
    page = Page.cut([tweets[id_] for id_ in found if id_ in tweets], cursor.limit)
    return timeline_page(request, page, None, "Mentions")


@view_config(route_name="newer", request_method="GET")
def newer(request: Request) -> Response:
    """Counts tweets of others after `since`, up to now. Browsers poll it, so most responses are 304.

    It backfills no store, because anybody can request any profile.
    """
    timeline = _timeline(request)
    if timeline is None:
        return Response(json_body={"error": "signed out"}, status=401, charset="UTF-8")
    now = ids.latest_id()
    since = min(parameter(request, "since", least=0), now)
    cursor = Cursor(before=now + 1, after=since, limit=GREATEST_PAGE, backfill=False)
    seen = {number(id_, "seen") for id_ in request.GET.get("seen", "").split()}
    me = request.authenticated_userid
    tweets = request.timelines.page(timeline, cursor, written(request)).tweets
    count = sum(tweet.user_id != me and tweet.id not in seen for tweet in tweets)
    response = Response(json_body={"count": count}, charset="UTF-8")
    response.etag = f"{timeline.key}-{cursor.after}-{count}"
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary = ("Cookie",)
    response.conditional_response = True
    return response


def _timeline(request: Request) -> Timeline | None:
    """The requested timeline; None for a home timeline without a signed-in user."""
    kind = request.GET.get("timeline", "")
    if kind == "public":
        return Timeline.public()
    if kind == "home":
        return Timeline.home(request.identity.id) if request.identity else None
    if kind == "profile":
        return Timeline.profile(number(request.GET.get("user", ""), "user"))
    raise HTTPBadRequest("“timeline” must be home, public or profile.")
