"""Timelines: home, public and tag, and the statuses of an account. They are the timelines of the pages."""

from collections.abc import Callable
from typing import Any

from pyramid.request import Request

from tweeter import text
from tweeter.api.endpoints import endpoint
from tweeter.api.entities import Status
from tweeter.api.entries import Shown, shown_on
from tweeter.api.errors import Failure
from tweeter.api.paging import DEFAULT, MOST, Found, Read, paged
from tweeter.api.parameters import Id
from tweeter.api.writing import statuses
from tweeter.models import User
from tweeter.values import Cursor, Timeline
from tweeter.web.viewers import page_of
from tweeter.web.views.tags import tag_timeline

READS = 20  # pages that a filtered page reads at most
SCANNED = 100  # tweets of each


@endpoint("GET", "/api/v1/timelines/home", returns=list[Status], scope="read:statuses")
def home(
    request: Request,
    limit: int = DEFAULT,
    max_id: Id | None = None,
    since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:
    """The tweets and reposts of the user and of those whom they follow."""
    read = reader(request, Timeline("home", request.identity.id))
    return statuses(request, paged(request, read, min(limit, MOST), max_id, since_id, min_id))


@endpoint("GET", "/api/v1/timelines/public", returns=list[Status], scope="read:statuses", anonymous=True)
def public(
    request: Request, limit: int = DEFAULT, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None, local: bool = False, remote: bool = False, only_media: bool = False,
) -> Any:  # fmt: skip
    """All tweets. There are no remote ones, and none with media."""
    if remote or only_media:
        return []
    return statuses(
        request, paged(request, reader(request, Timeline("public")), min(limit, MOST), max_id, since_id, min_id)
    )


@endpoint(
    "GET",
    "/api/v1/timelines/tag/{hashtag}",
    returns=list[Status],
    scope="read:statuses",
    anonymous=True,
)
def tag(
    request: Request, hashtag: str, limit: int = DEFAULT, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None, local: bool = False, remote: bool = False, only_media: bool = False,
) -> Any:  # fmt: skip
    """Tweets with a hashtag."""
    timeline = tag_timeline(request, text.hashtag(text.clean_line(hashtag).lstrip("#")))
    if remote or only_media or timeline is None:
        return []
    return statuses(request, paged(request, reader(request, timeline), min(limit, MOST), max_id, since_id, min_id))


@endpoint("GET", "/api/v1/accounts/{id}/statuses", returns=list[Status], scope="read:statuses", anonymous=True)
def of_account(
    request: Request, id: Id, limit: int = DEFAULT, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None, exclude_replies: bool = False, exclude_reblogs: bool = False, only_media: bool = False,
    pinned: bool = False, tagged: str = "",
) -> Any:  # fmt: skip
    """The tweets and reposts of an account. None has media or is pinned."""
    user_of(request, id)
    if only_media or pinned:
        return []
    read = reader(request, Timeline("profile", id))
    if exclude_replies:
        read = _filtered(read, lambda shown: shown.repost is not None or shown.tweet.parent_id is None)
    if exclude_reblogs:
        read = _filtered(read, lambda shown: shown.repost is None)
    if tagged:
        wanted = text.fold(tagged)
        read = _filtered(read, lambda shown: wanted in text.entities(shown.tweet.message).hashtags)
    return statuses(request, paged(request, read, min(limit, MOST), max_id, since_id, min_id))


def user_of(request: Request, id: int) -> User:
    """The account with this id. Raises Failure."""
    with request.read_session() as session:
        user = session.get(User, id)
    if user is None or user.closed:
        raise Failure(404, "Record not found")
    return user


def reader(request: Request, timeline: Timeline) -> Read:
    """Reads the entries of a timeline."""

    def read(cursor: Cursor) -> Found:
        page = page_of(request, timeline, cursor)
        return Found(shown_on(page), page.older is not None)

    return read


def _filtered(read: Read, wanted: Callable[[Shown], bool]) -> Read:
    """Reads on until a page is full; it may be shorter after READS pages."""

    def filtered(cursor: Cursor) -> Found:
        found: list[Shown] = []
        before = cursor.before
        for _ in range(READS):
            page = read(cursor._replace(before=before, limit=SCANNED))
            found += filter(wanted, page.items)
            if not page.more or len(found) > cursor.limit:
                break
            before = page.items[-1].id
        return Found(found[: cursor.limit], len(found) > cursor.limit or page.more)

    return filtered
