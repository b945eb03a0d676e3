"""Export of all data of the current user as JSON.

It is written to a temporary file first; then the server sends the file. A client that reads slowly, or never, holds
neither a thread nor an SQL connection; the server closes the file when the client disconnects.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import BufferedWriter, FileIO
from typing import Any, BinaryIO

import msgspec
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPServiceUnavailable, HTTPTooManyRequests
from pyramid.request import Request
from pyramid.response import FileIter, Response
from pyramid.view import view_config
from sqlalchemy import func, select

from tweeter import ids
from tweeter.db.sessions import SessionFactory
from tweeter.errors import Missing
from tweeter.models import (
    AccessToken,
    Application,
    Block,
    Like,
    List,
    ListMember,
    Marker,
    Mention,
    Mute,
    Notification,
    Notifies,
    Relationship,
    Tweet,
    User,
)
from tweeter.web.security import SIGNED_IN

ROWS_AT_ONCE = 1000
WRITERS = 2  # exports written concurrently: writing is CPU-bound
UNREAD = 50  # exports being written or downloaded; each is a file on disk
BLOCK = 262_144  # bytes

_json = msgspec.json.encode


class Exports:
    """The exports of this process: one per account at a time, and a limit for all together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: set[int] = set()  # accounts whose export is being written or downloaded
        self._writers = threading.Semaphore(WRITERS)

    def file(self, user_id: int) -> "ExportFile":
        """The file for an export. An account gets another only after this one is closed. Raises an HTTPException."""
        with self._lock:
            if user_id in self._accounts:
                raise HTTPTooManyRequests(
                    "An export of your data is already running. Wait until that download has finished.",
                    headers=[("Retry-After", "60")],
                )
            if len(self._accounts) >= UNREAD:
                raise _busy()
            self._accounts.add(user_id)
        return ExportFile(lambda: self._accounts.discard(user_id))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Surrounds the writing of an export. Raises HTTPServiceUnavailable if too many others are written."""
        if not self._writers.acquire(blocking=False):
            raise _busy()
        try:
            yield
        finally:
            self._writers.release()


class ExportFile(FileIO):
    """An unnamed file that vanishes when closed. Calls `closed_by` once, also if the garbage collector closes it."""

    def __init__(self, closed_by: Callable[[], None]) -> None:
        with closing(tempfile.TemporaryFile(buffering=0)) as file:
            super().__init__(os.dup(file.fileno()), "r+")
        self._closed_by = closed_by

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._closed_by()

    def __del__(self) -> None:
        self.close()


def _busy() -> HTTPServiceUnavailable:
    return HTTPServiceUnavailable(
        "Too many exports are running. Please try again in a moment.", headers=[("Retry-After", "10")]
    )


@view_config(route_name="export", request_method="GET", permission=SIGNED_IN, limit="export")
def export(request: Request) -> Response:
    """A single file, for any number of tweets."""
    me = request.identity
    exports: Exports = request.registry["exports"]
    file = exports.file(me.id)
    try:
        with exports.writing():
            writer = BufferedWriter(file)
            write_export(request.registry.database.page_sessions, me.id, writer)
            writer.detach()
        length = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    response = Response(
        content_type="application/json",
        charset="UTF-8",
        content_disposition=f'attachment; filename="tweeter-{me.username}.json"',
    )
    wrapper = request.environ.get("wsgi.file_wrapper", FileIter)
    response.app_iter = wrapper(file, BLOCK)
    response.content_length = length
    return response


def write_export(sessions: SessionFactory, user_id: int, file: BinaryIO) -> None:
    """Writes a JSON object: the profile, and the lists of `_parts`. Reads the rows in chunks.

    Raises Missing.
    """
    with sessions() as session:
        user = session.get(User, user_id)
    if user is None or user.closed:
        raise Missing("This account is closed.")
    profile = {
        "username": user.username,
        "display_name": user.display_name,
        "bio": user.bio,
        "joined": user.date.isoformat(),
        "notifies": _names(user.notifies),
    }
    file.write(b'{"profile": ' + _json(profile))
    for name, (query, key, row_of) in _parts(user_id).items():
        before = b',\n"' + name.encode() + b'": [\n'
        for rows in _walk(sessions, query, key):
            file.write(before + b",\n".join(_json(row_of(row)) for row in rows))
            before = b",\n"
        file.write(b"]" if before == b",\n" else before + b"]")
    file.write(b"}\n")


def _parts(user_id: int) -> dict[str, tuple[Any, Any, Callable[[Any], Any]]]:
    """The lists of an export by name: the query, the key of its keyset pagination, and the value of a row."""
    mine = Tweet.user_id == user_id
    tweets = select(Tweet.id, Tweet.date, Tweet.message, Tweet.parent_id).where(mine, Tweet.repost_of_id.is_(None))
    reposts = select(Tweet.id, Tweet.date, Tweet.repost_of_id.label("tweet_id"))
    likes = select(Like.id, Like.tweet_id).where(Like.user_id == user_id)
    people = select(User.id, User.username).where(~User.closed)
    follower, followee = Relationship.from_user_id, Relationship.to_user_id
    mentions = (
        select(Tweet.id, Tweet.date, User.username, Tweet.message)
        .join(Mention, Mention.tweet_id == Tweet.id)
        .join(User, User.id == Tweet.user_id)
        .where(Mention.user_id == user_id, ~User.closed)
    )
    notifications = (
        select(Notification.id, Notification.kind, User.username, Notification.tweet_id)
        .join(User, User.id == Notification.actor_id)
        .where(Notification.user_id == user_id, ~User.closed)
    )
    applications = (
        select(AccessToken.id, AccessToken.date, AccessToken.scopes, Application.name)
        .join(Application, Application.id == AccessToken.application_id)
        .where(AccessToken.user_id == user_id)
    )
    lists = select(List.id, List.name, List.private, List.date, _MEMBERS.label("members")).where(
        List.user_id == user_id
    )
    markers = select(Marker.last_read_id.label("id"), Marker.timeline).where(Marker.user_id == user_id)
    return {
        "tweets": (tweets, Tweet.id, _dated),
        "reposts": (reposts.where(mine, Tweet.repost_of_id.is_not(None)), Tweet.id, _dated),
        "likes": (likes, Like.id, lambda row: row._asdict() | {"date": ids.date_of(row.id).isoformat()}),
        "followers": (people.join(Relationship, follower == User.id).where(followee == user_id), User.id, _username),
        "following": (people.join(Relationship, followee == User.id).where(follower == user_id), User.id, _username),
        "muted": (
            people.join(Mute, Mute.to_user_id == User.id).where(Mute.from_user_id == user_id),
            User.id,
            _username,
        ),
        "blocked": (
            people.join(Block, Block.to_user_id == User.id).where(Block.from_user_id == user_id),
            User.id,
            _username,
        ),
        "lists": (lists, List.id, lambda row: _dated(row) | {"members": (row.members or "").split()}),
        "mentions": (mentions, Tweet.id, _dated),
        "notifications": (notifications, Notification.id, _notification),
        "applications": (applications, AccessToken.id, _dated),
        "read_up_to": (markers, Marker.last_read_id, lambda row: {"timeline": row.timeline, "id": row.id}),
    }


_MEMBERS = (
    select(func.aggregate_strings(User.username, " "))
    .join(ListMember, ListMember.user_id == User.id)
    .where(ListMember.list_id == List.id, ~User.closed)
    .scalar_subquery()
)


def _dated(row: Any) -> dict[str, Any]:
    return row._asdict() | {"date": row.date.isoformat()}


def _notification(row: Any) -> dict[str, Any]:
    [kind], tweet = _names(row.kind), {"tweet_id": row.tweet_id} if row.tweet_id else {}
    return {"id": row.id, "kind": kind, "username": row.username, "date": ids.date_of(row.id).isoformat()} | tweet


def _names(notifies: int) -> list[str]:
    return [each.name.lower() for each in Notifies if each & notifies and each.name]


def _username(row: Any) -> str:
    return str(row.username)


def _walk(sessions: SessionFactory, query: Any, key: Any) -> Iterator[Any]:
    """All rows, newest first, by keyset pagination: 1,000 rows at a time, each chunk in a session of its own."""
    query = query.order_by(key.desc()).limit(ROWS_AT_ONCE)
    below = query
    while True:
        with sessions() as session:
            rows = session.execute(below).all()
        if rows:
            yield rows
        if len(rows) < ROWS_AT_ONCE:
            return
        below = query.where(key < rows[-1].id)


def includeme(config: Configurator) -> None:
    config.registry["exports"] = Exports()
