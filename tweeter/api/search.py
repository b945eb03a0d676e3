"""Search: the same as the page's."""

from urllib.parse import urlsplit

from pyramid.request import Request
from sqlalchemy import exists, select

from tweeter import text
from tweeter.api.accounts import found_people
from tweeter.api.endpoints import endpoint
from tweeter.api.entities import Search, Tag
from tweeter.api.entries import Shown, shown_of
from tweeter.api.errors import Failure
from tweeter.api.parameters import Id
from tweeter.api.statuses import without_blocks
from tweeter.api.writing import accounts, statuses, tag_url
from tweeter.db.sessions import time_limit
from tweeter.ids import MAX_ID
from tweeter.models import Hashtag
from tweeter.search.tweets import find_tweets
from tweeter.values import Cursor
from tweeter.web.viewers import viewer
from tweeter.web.views.search import LONGEST, SECONDS

DEFAULT, MOST, FARTHEST = 20, 40, 400


@endpoint("GET", "/api/v2/search", returns=Search, scope="read:search", anonymous=True, limit="search")
def search(
    request: Request, q: str, type: str = "", limit: int = DEFAULT, offset: int = 0, max_id: Id | None = None,
    min_id: Id | None = None, account_id: Id | None = None, following: bool = False, resolve: bool = False,
    exclude_unreviewed: bool = False,
) -> Search:  # fmt: skip
    """Accounts, tweets and hashtags. The address of a profile or a tweet finds what it shows."""
    limit, offset = max(1, min(limit, MOST)), max(0, min(offset, FARTHEST))
    window = slice(offset, offset + limit)
    words = text.clean_line(q)
    kinds = {type} if type else {"accounts", "statuses", "hashtags"}
    kind, target = _at(request, words)
    people: list[int] = []
    tweets: list[Shown] = []
    me = request.authenticated_userid
    if kind == "account":
        people = found_people(request, f"@{target}", following)[:1]
    elif kind == "status":
        with request.read_session() as session:
            tweets = shown_of(session, me, [int(target)])
        tweets = [*without_blocks(request, tweets)]
    else:
        if "accounts" in kinds:
            people = found_people(request, words[:LONGEST], following and request.identity is not None)
        if "statuses" in kinds and words and not words.startswith("@"):
            cursor = Cursor(min(max_id or MAX_ID + 1, MAX_ID + 1), offset + limit, min_id or 0)
            with request.registry.database.sessions() as session, time_limit(session, SECONDS):
                found = find_tweets(session, words[:LONGEST], cursor, viewer(request), account_id).page.tweets
                tweets = shown_of(session, me, [each.id for each in found if each.id > cursor.after])
    return Search(
        accounts=accounts(request, people[window]) if "accounts" in kinds else [],
        statuses=statuses(request, tweets[window]) if "statuses" in kinds else [],
        hashtags=_tags(request, words)[window] if "hashtags" in kinds and not kind else [],
    )


def _at(request: Request, words: str) -> tuple[str, str]:
    """What an address of this site shows: ("account", name), ("status", id) or ("", "")."""
    base = urlsplit(request.application_url)
    try:
        found = urlsplit(words)
    except ValueError:
        return "", ""
    path = found.path.removeprefix(base.path)
    if found.scheme not in ("http", "https") or found.netloc.lower() != base.netloc.lower():
        return "", ""
    if path.startswith("/@") and text.USERNAME.fullmatch(path[2:]):
        return "account", path[2:]
    number = path.removeprefix("/tweets/")
    return (
        ("status", number)
        if number != path and number.isascii() and number.isdecimal() and len(number) < 17
        else ("", "")
    )


def _tags(request: Request, words: str) -> list[Tag]:
    """The hashtag of exactly this name, if a tweet has it."""
    if not (name := text.written_hashtag(words)):
        return []
    with request.read_session() as session:
        known = session.scalar(select(exists().where(Hashtag.tag == name)))
    return [_tag(request, name)] if known else []


def _tag(request: Request, name: str) -> Tag:
    return Tag(id=name, name=name, url=tag_url(request.application_url, name))


@endpoint("GET", "/api/v1/tags/{hashtag}", returns=Tag)
def tag(request: Request, hashtag: str) -> Tag:
    """A hashtag."""
    if not (name := text.written_hashtag(hashtag)):
        raise Failure(404, "Record not found")
    return _tag(request, name)
