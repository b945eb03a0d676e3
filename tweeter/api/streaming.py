"""Streams of server-sent events. Pushpin holds them: each takes the site one short request."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from pyramid.request import Request
from pyramid.response import Response

from tweeter import text
from tweeter.api.endpoints import Call, endpoint
from tweeter.api.errors import Failure
from tweeter.api.live import TOKEN
from tweeter.api.parameters import Id
from tweeter.errors import Missing
from tweeter.interfaces import ITimelineKinds
from tweeter.streaming import STREAMS
from tweeter.streaming.channels import API, UNNOTIFIED, Channel, Credential
from tweeter.values import Timeline
from tweeter.web.views.tags import tag_timeline

BEGINNING = ":)\n\n"
EVENTS = "text/event-stream"
_stream = partial(endpoint, "GET", returns=str, streams=True, media=EVENTS)


class Stream(NamedTuple):
    """What a stream needs: the scope of its token, and whether it needs a user."""

    scope: str
    anonymous: bool = False


# By the name that clients give in a WebSocket; in a path a slash replaces the colon.
STREAM_NAMES = {
    "user": Stream("read:statuses"),
    "user:notification": Stream("read:notifications"),
    "public": Stream("read:statuses", anonymous=True),
    "public:local": Stream("read:statuses", anonymous=True),
    "public:remote": Stream("read:statuses", anonymous=True),
    "hashtag": Stream("read:statuses", anonymous=True),
    "hashtag:local": Stream("read:statuses", anonymous=True),
    "list": Stream("read:lists"),
    "direct": Stream("read:statuses"),
}


def channels_of(request: Request, name: str, tag: str = "", list: int = 0) -> Iterator[str]:
    """The names of the channels of a stream for this request's user. Raises Failure."""
    context: Call = request.context
    viewer = request.identity.id if request.identity else 0
    timeline, label = _timeline(request, name, tag, list)
    form = API if context.access is None or context.access.allows("read:notifications") else UNNOTIFIED
    yield Channel(form, request.application_url, name, timeline.kind, timeline.owner, viewer, label).name
    if context.token:
        yield Credential(TOKEN, request.registry["tokens"].hash(context.token)).name


def _timeline(request: Request, name: str, tag: str, list_id: int) -> tuple[Timeline, str]:
    """The timeline of a stream, without a kind if it has none; and the label of its owner."""
    kind = name.partition(":")[0]
    if name == "user":
        return Timeline("home", request.identity.id), ""
    if name in ("public", "public:local"):
        return Timeline("public"), ""
    if kind == "hashtag":
        if not (folded := text.written_hashtag(tag)):
            raise Failure(400, "Missing or invalid parameter: tag")
        # Clients recognize their stream by the hashtag as they wrote it.
        return tag_timeline(request, folded) or Timeline("tag"), tag
    if name == "list":
        lists = request.registry.getUtility(ITimelineKinds)["list"]
        with request.read_session() as session, suppress(Missing):
            lists.check_owner(session, list_id)
            if lists.may_read(session, list_id, request.identity.id):
                return Timeline("list", list_id), str(list_id)
        raise Failure(404, "Record not found")
    return Timeline(""), ""  # this site has no remote tweets and no direct messages


def check_pushpin(request: Request) -> None:
    """Raises Failure if the request did not come through Pushpin: nobody would hold it."""
    from tweeter.streaming.grip import came_through

    if not came_through(request, request.registry[STREAMS].key):
        raise Failure(404, "This address does not stream: the request did not come through the site's Pushpin.")


def hold(request: Request, name: str, **parameters: Any) -> Response:
    """Answers with a stream of server-sent events."""
    from tweeter.streaming.grip import held

    check_pushpin(request)
    return held(channels_of(request, name, **parameters), BEGINNING)


@endpoint("GET", "/api/v1/streaming/health", returns=str, streams=True, media="text/plain")
def health(request: Request) -> Response:
    """The text OK if the site streams."""
    return Response("OK", content_type="text/plain", charset="UTF-8")


@_stream("/api/v1/streaming/user", scope="read:statuses")
def user(request: Request) -> Response:
    """The user's home timeline and notifications, as server-sent events."""
    return hold(request, "user")


@_stream("/api/v1/streaming/user/notification", scope="read:notifications")
def user_notification(request: Request) -> Response:
    """The user's notifications, as server-sent events."""
    return hold(request, "user:notification")


def _public(path: str) -> None:
    name = path.replace("/", ":")

    def public(request: Request, only_media: bool = False) -> Response:
        return hold(request, "public:remote" if only_media else name)

    public.__doc__ = "The public timeline, as server-sent events. There are no remote tweets, and none with media."
    public.__name__ = name.replace(":", "_")
    _stream(f"/api/v1/streaming/{path}", scope="read:statuses", anonymous=True)(public)


def _hashtag(path: str) -> None:
    name = path.replace("/", ":")

    def hashtag(request: Request, tag: str = "") -> Response:
        return hold(request, name, tag=tag)

    hashtag.__doc__ = "The tweets with a hashtag, as server-sent events."
    hashtag.__name__ = name.replace(":", "_")
    _stream(f"/api/v1/streaming/{path}", scope="read:statuses", anonymous=True)(hashtag)


for _path in ("public", "public/local", "public/remote"):
    _public(_path)
for _path in ("hashtag", "hashtag/local"):
    _hashtag(_path)


@_stream("/api/v1/streaming/list", scope="read:lists")
def of_list(request: Request, list: Id = 0) -> Response:
    """The timeline of a list, as server-sent events."""
    return hold(request, "list", list=list)


@_stream("/api/v1/streaming/direct", scope="read:statuses")
def direct(request: Request) -> Response:
    """Direct messages, as server-sent events: there are none."""
    return hold(request, "direct")
