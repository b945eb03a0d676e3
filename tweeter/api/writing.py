"""Writes tweets and accounts as JSON.

The parts of a status that depend neither on readers nor on time are cached by the values of the tweet, as the HTML of
pages is. Accounts in statuses are cached for a few seconds, so a page of a timeline needs no further SQL.
"""

import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec.structs import replace
from pyramid.request import Request
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from tweeter import ids, text
from tweeter.api.endpoints import iso
from tweeter.api.entities import Account, Mention, Status, StatusTag
from tweeter.api.entries import Shown
from tweeter.db.sessions import SessionFactory
from tweeter.models import Tweet, User
from tweeter.values import TweetView
from tweeter.web.rendering import FRAGMENTS, text_html

LASTS = 5.0  # seconds
MOST = 20_000  # accounts in the cache

_encode = msgspec.json.encode
_hole = secrets.token_hex(16)  # random, so that no user can write it
_HOLE: Any = msgspec.Raw(f'"{_hole}"'.encode())
# In the order of their fields in Status.
_HOLES = ("reblogs_count", "favourites_count", "favourited", "reblogged", "reblog", "replies_count", "account")
_BOOL = (b"false", b"true")
UNCOUNTED = {"replies": 0, "reposts": 0, "likes": 0}

Known = tuple[tuple[int, str], ...]  # the ids and names of mentioned accounts


class Person(NamedTuple):
    """A cached account."""

    id: int
    username: str
    display_name: str
    json: bytes

    @property
    def raw(self) -> Any:
        """Its JSON, to be part of an entity."""
        return msgspec.Raw(self.json)


class People:
    """Accounts by id and by name, each for LASTS seconds. A name without an account is cached as well."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions
        self._known: dict[tuple[str, int | str], tuple[float, Person | None]] = {}

    def of(self, base: str, wanted: Iterable[int | str], fresh: Session | None = None) -> dict[int | str, Person]:
        """The accounts of ids and lower-case names that exist. With a session, all are read from SQL."""
        wanted, now = set(wanted), time.monotonic()
        found: dict[int | str, Person | None] = {}
        if fresh is None:
            for key in wanted:
                until, person = self._known.get((base, key), (0.0, None))
                if now < until:
                    found[key] = person
        if missing := wanted - found.keys():
            loaded = self._load(base, missing, fresh)
            found |= {key: loaded.get(key) for key in missing}
            if len(self._known) > MOST:
                self._known.clear()
            # Many tweets mention names without an account. An id without an account is that of a suspended user, who
            # may return.
            known = [key for key in missing if found[key] is not None or isinstance(key, str)]
            self._known.update({(base, key): (now + LASTS, found[key]) for key in known})
        return {key: person for key, person in found.items() if person is not None}

    def _load(self, base: str, wanted: set[int | str], fresh: Session | None) -> dict[int | str, Person]:
        numbers = [key for key in wanted if isinstance(key, int)]
        names = [key for key in wanted if isinstance(key, str)]
        among = [condition for given, condition in (
            (numbers, User.id.in_(numbers)), (names, User.username_key.in_(names)),
        ) if given]  # fmt: skip
        newest = select(func.max(Tweet.id)).where(Tweet.user_id == User.id).scalar_subquery()
        query = select(User, newest).where(or_(*among), ~User.closed)
        if fresh is not None:
            rows = fresh.execute(query.execution_options(populate_existing=True)).all()
        else:
            with self._sessions() as session:
                rows = session.execute(query).all()
        loaded: dict[int | str, Person] = {}
        for user, last in rows:
            json = _encode(Account(**account_values(base, user, last)))
            person = Person(user.id, user.username, user.display_name, json)
            loaded[user.id] = loaded[user.username_key] = person
        return loaded


def account_values(base: str, user: User, last: int | None) -> dict[str, Any]:
    """The fields of an Account; `last` is the id of its newest tweet."""
    url, avatar, header = f"{base}/@{user.username}", f"{base}/avatars/{user.username}.svg", f"{base}/static/robin.svg"
    return {
        "id": str(user.id),
        "username": user.username,
        "acct": user.username,
        "display_name": user.display_name,
        "created_at": iso(user.date),
        "note": html(user.bio, base) if user.bio else "",
        "url": url,
        "uri": url,
        "avatar": avatar,
        "avatar_static": avatar,
        "header": header,
        "header_static": header,
        "followers_count": user.followers_count,
        "following_count": user.following_count,
        "statuses_count": user.tweets_count,
        "last_status_at": ids.date_of(last).date().isoformat() if last else None,
    }


def html(message: str, base: str) -> str:
    """A text as pages show it, with absolute links and with `<br>` between lines."""
    shown = str(text_html(message)).replace("<span><br></span>", "<span></span>").replace("\n", "<br>")
    return shown.replace('href="/', f'href="{base}/')


def statuses(request: Request, shown: Sequence[Shown]) -> list[Any]:
    """The tweets as Statuses in JSON. A request that may have changed something reads the accounts again."""
    fresh = request.dbsession if is_write(request) else None
    return write_statuses(request.application_url, request.registry["people"], request.read_session, shown, fresh)


def write_statuses(
    base: str, people: People, sessions: SessionFactory, shown: Sequence[Shown], fresh: Session | None = None
) -> list[Any]:
    """The tweets as Statuses in JSON, for a site at the address `base`."""
    names = [_names(each.tweet.message, each.tweet.parent_username) for each in shown]
    authors = {by.user_id: by.display_name for each in shown for by in (each.tweet, each.repost) if by is not None}
    wanted: set[int | str] = {*authors}.union(*names)
    found = people.of(base, wanted, fresh) if wanted else {}
    renamed = {id_ for id_, name in authors.items() if id_ in found and found[id_].display_name != name}
    if renamed and fresh is None:
        with sessions() as session:
            found |= people.of(base, renamed, session)
    written = []
    for each, mentioned in zip(shown, names, strict=True):
        author, repost = found.get(each.tweet.user_id), each.repost
        if author is None:  # the account was closed after the tweet was read
            continue
        parent = found.get((each.tweet.parent_username or "").lower())
        known = tuple((found[name].id, found[name].username) for name in mentioned if name in found)
        about = (base, known, parent.id if parent else None, each.liked, each.reposted)
        json = _status(each.tweet, *about, author.json)
        if repost is not None and (reposter := found.get(repost.user_id)):
            json = _repost(each.tweet, *about, reposter.json, repost.id, json)
        written.append(msgspec.Raw(json))
    return written


@lru_cache(maxsize=FRAGMENTS)
def _status(
    tweet: TweetView, base: str, known: Known, parent_author: int | None, liked: bool, reposted: bool, author: bytes
) -> bytes:
    """The JSON of a tweet."""
    parts = _parts(replace(tweet, **UNCOUNTED), base, known, parent_author)
    return _filled(parts, tweet, liked, reposted, author)


def _repost(
    tweet: TweetView, base: str, known: Known, parent_author: int | None, liked: bool, reposted: bool, author: bytes,
    id_: int, reblog: bytes,
) -> bytes:  # fmt: skip
    """The JSON of a repost of a tweet: `id_` and `author` are its own."""
    made = replace(tweet, id=id_, epoch_ms=_milliseconds(id_), parent_id=None, parent_username=None, **UNCOUNTED)
    return _filled(_parts(made, base, known, None), tweet, liked, reposted, author, reblog)


def _filled(
    parts: Sequence[bytes], tweet: TweetView, liked: bool, reposted: bool, author: bytes, reblog: bytes = b"null"
) -> bytes:
    values = (
        b"%d" % tweet.reposts, b"%d" % tweet.likes, _BOOL[liked], _BOOL[reposted], reblog, b"%d" % tweet.replies, author
    )  # fmt: skip
    return b"".join([part for pair in zip(parts, values, strict=False) for part in pair]) + parts[-1]


def _milliseconds(id_: int) -> int:
    return round(ids.date_of(id_).timestamp() * 1000)


@lru_cache(maxsize=FRAGMENTS)
def _names(message: str, parent_username: str | None) -> tuple[str, ...]:
    """The names in a message in lower case; last the author to whom it replies, if it does."""
    names = dict.fromkeys(sorted(text.entities(message).mentions)) if "@" in message or not message.isascii() else {}
    return (*names, *((parent_username.lower(),) if parent_username and parent_username.lower() not in names else ()))


@lru_cache(maxsize=FRAGMENTS)
def _parts(tweet: TweetView, base: str, known: Known, parent_author: int | None) -> Sequence[bytes]:
    """The JSON of a tweet, split at its counts, at what the viewer did with it, at `reblog` and at its author."""
    url = f"{base}/tweets/{tweet.id}"
    written = text.entities(tweet.message)
    status = Status(
        id=str(tweet.id),
        created_at=iso(tweet.date),
        in_reply_to_id=str(tweet.parent_id) if tweet.parent_username else None,
        in_reply_to_account_id=str(parent_author) if parent_author else None,
        uri=url,
        url=url,
        content=html(tweet.message, base),
        mentions=[
            Mention(id=str(id_), username=name, url=f"{base}/@{name}", acct=name)
            for id_, name in known
            if name.lower() in written.mentions
        ],
        tags=[StatusTag(name=tag, url=tag_url(base, tag)) for tag in sorted(written.hashtags)],
        **dict.fromkeys(_HOLES, _HOLE),
    )
    return _encode(status).split(bytes(_HOLE))


def tag_url(base: str, tag: str) -> str:
    return f"{base}/tag/{quote(tag)}"


def accounts(request: Request, users: Iterable[int]) -> list[Any]:
    """The Accounts of these ids in JSON, in this order, read from SQL."""
    if not (wanted := list(users)):
        return []
    with nullcontext(request.dbsession) if is_write(request) else request.read_session() as session:
        found = request.registry["people"].of(request.application_url, wanted, session)
    return [found[id_].raw for id_ in wanted if id_ in found]


def is_write(request: Request) -> bool:
    """Whether the request has a transaction, in which everything must be read."""
    return request.method not in ("GET", "HEAD")
