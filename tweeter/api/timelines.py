"""Timelines: home, public and tag, and the statuses of an account. They are the timelines of the pages."""

from collections.abc import Callable, Sequence
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
MOST_TAGS = 4


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
    any: list[str] = [], all: list[str] = [], none: list[str] = [],
) -> Any:  # fmt: skip
    """Tweets with a hashtag or one of `any`, which also have `all` and have `none`; of each at most four count."""
    wanted, unwanted = (set(map(text.written_hashtag, names[:MOST_TAGS])) for names in (all, none))
    names = dict.fromkeys(map(text.written_hashtag, [hashtag, *any[:MOST_TAGS]]))
    timelines = [timeline for name in names if (timeline := tag_timeline(request, name)) is not None]
    if remote or only_media or not timelines:
        return []
    read = _merged([reader(request, timeline) for timeline in timelines])
    if wanted or unwanted:
        read = _filtered(read, lambda shown: wanted <= (has := _tags(shown)) and not unwanted & has)
    return statuses(request, paged(request, read, min(limit, MOST), max_id, since_id, min_id))


def _tags(shown: Shown) -> set[str]:
    return text.entities(shown.tweet.message).hashtags


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
        read = _filtered(read, lambda shown: wanted in _tags(shown))
    return statuses(request, paged(request, read, min(limit, MOST), max_id, since_id, min_id))


def user_of(request: Request, id: int, suspended: bool = False) -> User:
    """The account with this id. Suspended ones are found with `suspended` only. Raises Failure."""
    with request.read_session() as session:
        user = session.get(User, id)
    if user is None or (user.closed and not (suspended and user.suspended)):
        raise Failure(404, "Record not found")
    return user


def reader(request: Request, timeline: Timeline) -> Read:
    """Reads the entries of a timeline."""

    def read(cursor: Cursor) -> Found:
        page = page_of(request, timeline, cursor)
        return Found(shown_on(page), page.older is not None)

    return read


def _merged(reads: Sequence[Read]) -> Read:
    """Reads the entries that one of several timelines has."""

    def merged(cursor: Cursor) -> Found:
        pages = [read(cursor) for read in reads]
        # Below the end of a page that goes on, entries of its timeline are not known yet.
        end = max((page.items[-1].id for page in pages if page.more and page.items), default=0)
        entries = {each.id: each for page in pages for each in page.items if each.id >= end}
        found = [entries[id_] for id_ in sorted(entries, reverse=True)]
        more = len(found) > cursor.limit or any(page.more for page in pages)
        return Found(found[: cursor.limit], more)

    return reads[0] if len(reads) == 1 else merged


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
