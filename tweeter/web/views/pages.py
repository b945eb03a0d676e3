"""Timeline pages: home, public, mentions; and polling for newer tweets."""

from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPBadRequest, HTTPForbidden, HTTPNotFound
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from tweeter import ids
from tweeter.interfaces import ITimelineKinds
from tweeter.timelines.kinds import Kinds
from tweeter.values import Cursor, Page, Timeline
from tweeter.web.routes import at
from tweeter.web.security import SIGNED_IN
from tweeter.web.viewers import page_of
from tweeter.web.views import drafts
from tweeter.web.views.forms import GREATEST_PAGE, Form, number, page_cursor, page_url, parameter
from tweeter.web.views.frames import Frames
from tweeter.web.views.shared import shared
from tweeter.web.views.suggestions import people_to_follow

HOME, PUBLIC = "home.jinja2", "public.jinja2"


@view_config(route_name="index", request_method="GET", renderer=HOME)
def index(request: Request) -> Response | dict[str, Any]:
    if request.identity is None:
        return public_timeline(request, HOME)
    return framed(request, HOME, home(request))


@view_config(route_name="public", request_method="GET", renderer=PUBLIC)
def public(request: Request) -> Response | dict[str, Any]:
    return public_timeline(request, PUBLIC)


def framed(request: Request, template: str, values: dict[str, Any]) -> Response | dict[str, Any]:
    """The page, assembled from the reader's frame if frames are enabled."""
    frames: Frames | None = request.registry.get("frames")
    return values if frames is None else frames.page(request, template, values)


def public_timeline(request: Request, template: str) -> Response | dict[str, Any]:
    """The public timeline; for signed-out readers as a response that may be cached."""
    page = framed(request, template, timeline_page(request, Timeline("public"), "Public"))
    if request.identity:
        return page
    if not isinstance(page, Response):
        page = render_to_response(template, page, request, response=request.response)
    return shared(request, page)


def home(request: Request, form: Form | None = None) -> dict[str, Any]:
    """The home page; with a form, its values and errors."""
    # A rejected form is shown at the form's URL, which has no other pages.
    values = timeline_page(request, Timeline("home", request.identity.id), "Home", path="/")
    values["people"] = [] if values["tweets"] or not values["first"] else people_to_follow(request)
    return values | {"form": form or Form(drafts.take(request, "tweets") if values["first"] else {})}


def timeline_page(request: Request, timeline: Timeline, title: str, path: str = "", **query: int) -> dict[str, Any]:
    """The values of a timeline's template. Only its newest page polls for newer tweets."""
    page = page_of(request, timeline, page_cursor(request))
    first = "before" not in request.GET
    poll = None
    kind = request.registry.getUtility(ITimelineKinds)[timeline.kind]
    if first and not kind.refers:  # only the viewer's own acts add to such a timeline
        user = f"&user={timeline.owner}" if kind.owned and not kind.private else ""
        since = _since(page, request.authenticated_userid)
        poll = at(request, f"/newer?timeline={timeline.kind}{user}&{since}")
    return {
        "title": title,
        "tweets": page.tweets,
        "marks": page,
        "among": "you follow" if kind.private else "",
        "older": page_url(request, path, **query, before=page.older),
        "poll": poll,
        "page": (at(request, path) if path else request.path) + (f"?{urlencode(query)}" if query else ""),
        "first": first,
    }


def no_tweets(request: Request, title: str) -> dict[str, Any]:
    """The values of a timeline's template for a timeline that does not exist yet."""
    return {
        "title": title,
        "tweets": (),
        "marks": Page((), None),
        "older": None,
        "poll": None,
        "page": request.path,
        "first": "before" not in request.GET,
    }


def _since(page: Page, me: int | None) -> str:
    """The newest entry that is not ahead of the clock; later ones count as newer. Those ahead are listed as seen.

    The viewer's own tweets and reposts do not count: they appear before tweets that others posted just earlier.
    """
    now = ids.latest_id()
    entries = _entries(page)
    ahead = [id_ for id_, _ in entries if id_ > now]
    past = [entry for entry in entries if entry[0] <= now]
    since = next((id_ for id_, author in past if author != me), past[-1][0] if past else now if ahead else 0)
    seen = f"&seen={'+'.join(map(str, ahead))}" if ahead else ""
    return f"since={since}{seen}"


def _entries(page: Page) -> list[tuple[int, int]]:
    """The id and the author of each entry: of the repost, if one places the tweet."""
    if not page.places:
        return [(each.id, each.user_id) for each in page.tweets]
    return [(page.place(each), page.reposts.get(each.id, each).user_id) for each in page.tweets]


@view_config(route_name="mentions", request_method="GET", renderer="mentions.jinja2", permission=SIGNED_IN)
def mentions(request: Request) -> dict[str, Any]:
    """Tweets that mention the current user."""
    return timeline_page(request, Timeline("mentions", request.identity.id), "Mentions")


@view_config(route_name="timeline", request_method="GET", renderer="timeline.jinja2")
def any_timeline(request: Request) -> dict[str, Any]:
    """A timeline of any kind, for kinds without a page of their own."""
    timeline = timeline_of(request, request.matchdict["kind"])
    if timeline is None:
        raise HTTPForbidden
    query = {"user": timeline.owner} if timeline.owner and "user" in request.GET else {}
    return timeline_page(request, timeline, timeline.kind.capitalize(), "", **query)


@view_config(route_name="newer", request_method="GET")
def newer(request: Request) -> Response:
    """Counts tweets and reposts of others after `since`, up to now. Browsers poll it, so most responses are 304.

    It backfills no store, because any visitor can request any profile.
    """
    timeline = timeline_of(request, request.GET.get("timeline", ""))
    if timeline is None:
        return Response(json_body={"error": "signed out"}, status=401, charset="UTF-8")
    now = ids.latest_id()
    since = min(parameter(request, "since", least=0), now)
    cursor = Cursor(before=now + 1, after=since, limit=GREATEST_PAGE, backfill=False)
    seen = {number(id_, "seen") for id_ in request.GET.get("seen", "").split()}
    me = request.authenticated_userid
    page = page_of(request, timeline, cursor)
    found = [id_ for id_, author in _entries(page) if author != me and id_ not in seen]
    answer: dict[str, Any] = {"count": len(found)}
    if "ids" in request.GET:  # for pages with a stream, whose events may repeat some
        answer["ids"] = [str(id_) for id_ in found]
    response = Response(json_body=answer, charset="UTF-8")
    response.etag = f"{timeline.key}-{cursor.after}-{found if 'ids' in answer else len(found)}".replace(" ", "")
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary = ("Cookie",)
    response.conditional_response = True
    return response


def timeline_of(request: Request, name: str) -> Timeline | None:
    """The requested timeline; None if it is private and no user is signed in."""
    kinds: Kinds = request.registry.getUtility(ITimelineKinds)
    if name not in kinds:
        raise HTTPBadRequest(f"“timeline” must be one of: {', '.join(sorted(kinds))}.")
    if not kinds[name].owned:
        return Timeline(name)
    if kinds[name].private:
        return Timeline(name, request.identity.id) if request.identity else None
    timeline = Timeline(name, number(request.GET.get("user", ""), "user"))
    if not kinds[name].of_users:
        with request.read_session() as session:
            if not kinds[name].may_read(session, timeline.owner, request.authenticated_userid or 0):
                raise HTTPNotFound(f"There is no such {name}.")
    return timeline
