"""Statuses: read, post and delete tweets, and read the conversation around one."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any

import msgspec
from pyramid.request import Request
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tweeter.api.endpoints import endpoint
from tweeter.api.entities import Context, DeletedStatus, Status, StatusEdit, StatusSource
from tweeter.api.entries import Shown, shown_of
from tweeter.api.errors import Failure
from tweeter.api.parameters import Id
from tweeter.api.writing import statuses
from tweeter.db.sessions import insert_new, write
from tweeter.models import PostedKey, Tweet, closed_users
from tweeter.models.base import now
from tweeter.timelines.kind import not_hidden
from tweeter.values import Viewer
from tweeter.web.viewers import relations, viewer
from tweeter.web.views.tweets import ancestor_ids

KEY_LASTS = timedelta(hours=24)
PRUNED = 100
# Of a conversation: the ancestors, the descendants and their depth, for applications of a user and for others.
MOST, MOST_ANONYMOUS = (4096, 4096, 4096), (40, 60, 20)


@endpoint("POST", "/api/v1/statuses", returns=Status, scope="write:statuses", limit="post")
def post(
    request: Request, status: str = "", in_reply_to_id: Id | None = None, spoiler_text: str = "",
    visibility: str = "public", media_ids: list[Any] = [], sensitive: bool = False, language: str | None = None,
    poll: dict[str, Any] | None = None, scheduled_at: str | None = None,
) -> Any:  # fmt: skip
    """Posts a tweet; a reply if a parent is given.

    A request with an Idempotency-Key that was used in the last day gets the tweet of the first one. A `spoiler_text`
    becomes the first paragraph.
    """
    if visibility in ("private", "direct"):
        raise Failure(422, "Validation failed: all tweets of this site are public")
    if media_ids or any((poll or {}).values()) or scheduled_at:
        raise Failure(422, "Validation failed: this site has no media, polls or scheduled tweets")
    message = f"{spoiler_text}\n\n{status}" if spoiler_text else status
    session, me = request.dbsession, request.identity.id
    key = request.headers.get("Idempotency-Key", "")
    key_hash = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32).digest() if key else b""
    if key and not _is_first(session, me, key_hash):
        posted = session.scalar(select(PostedKey.tweet_id).filter_by(user_id=me, key_hash=key_hash))
        return status_of(request, posted, session)
    tweet = request.actions.post(me, message, in_reply_to_id)
    if key:
        mine = (PostedKey.user_id == me) & (PostedKey.key_hash == key_hash)
        write(session, update(PostedKey).where(mine).values(tweet_id=tweet.id))
    return status_of(request, tweet.id, session)


def _is_first(session: Session, user_id: int, key_hash: bytes) -> bool:
    """Whether this is the first request with that key. A concurrent one waits here for the first."""
    old = select(PostedKey.key_hash).where(PostedKey.date < now() - KEY_LASTS).limit(PRUNED)
    write(session, delete(PostedKey).where(PostedKey.key_hash.in_(old), PostedKey.date < now() - KEY_LASTS))
    return insert_new(session, PostedKey, user_id=user_id, key_hash=key_hash, tweet_id=0, date=now())


@endpoint("GET", "/api/v1/statuses/{id}", returns=Status, scope="read:statuses", anonymous=True)
def show(request: Request, id: Id) -> Any:
    """A tweet."""
    return statuses(request, [find(request, id)])[0]


@endpoint("GET", "/api/v1/statuses", returns=list[Status], scope="read:statuses", anonymous=True)
def several(request: Request, id: list[Id] = []) -> Any:
    """The tweets of these ids that exist."""
    with request.read_session() as session:
        shown = shown_of(session, request.authenticated_userid, id[:40])
    return statuses(request, without_blocks(request, shown))


@endpoint("DELETE", "/api/v1/statuses/{id}", returns=DeletedStatus, scope="write:statuses", limit="delete")
def remove(request: Request, id: Id) -> Any:
    """Deletes a tweet of the user, or undoes a repost; the answer contains its text."""
    tweet = _load(request, request.dbsession, id)
    shown = statuses(request, [tweet])[0]
    request.actions.delete(request.identity.id, id)
    return msgspec.Raw(bytes(shown)[:-1] + b',"text":' + msgspec.json.encode(tweet.tweet.message) + b"}")


@endpoint("GET", "/api/v1/statuses/{id}/history", returns=list[StatusEdit], scope="read:statuses", anonymous=True)
def history(request: Request, id: Id) -> list[StatusEdit]:
    """The only version of a tweet: tweets are not edited."""
    return [msgspec.json.decode(show(request, id), type=StatusEdit)]


@endpoint("GET", "/api/v1/statuses/{id}/source", returns=StatusSource, scope="read:statuses")
def source(request: Request, id: Id) -> Any:
    """The text of a tweet."""
    return StatusSource(id=str(id), text=find(request, id).tweet.message)


@endpoint("GET", "/api/v1/statuses/{id}/context", returns=Context, scope="read:statuses", anonymous=True)
def context(request: Request, id: Id) -> Any:
    """The tweets to which a tweet replies, and all replies below it, each followed by its own replies."""
    ancestors, descendants, depth = MOST if request.identity else MOST_ANONYMOUS
    me = viewer(request)
    id = find(request, id).tweet.id
    with request.read_session() as session:
        above = shown_of(session, me.id, ancestor_ids(session, id, ancestors))
        below = shown_of(session, me.id, descendant_ids(session, id, descendants, depth, me))
    above = [each for each in above if each.tweet.user_id not in me.hidden]
    return Context(ancestors=statuses(request, above), descendants=statuses(request, below))


def descendant_ids(session: Session, id_: int, most: int, depth: int, viewer: Viewer) -> list[int]:
    """The replies below a tweet in the order of reading; at most so many, at most so deep.

    Those of authors hidden from the viewer are left out, with the replies below them.
    """
    replies: dict[int | None, list[int]] = {}
    level, found = [id_], 0
    while level and depth and found < most:
        query = select(Tweet.parent_id, Tweet.id).where(
            Tweet.parent_id.in_(level), Tweet.user_id.not_in(closed_users), *not_hidden(Tweet.id, viewer)
        )
        rows = session.execute(query.order_by(Tweet.id).limit(most - found)).all()
        for parent, reply in rows:
            replies.setdefault(parent, []).append(reply)
        level, found, depth = [reply for _, reply in rows], found + len(rows), depth - 1
    ordered, stack = [], [id_]
    while stack:
        ordered.append(stack.pop())
        stack += reversed(replies.get(ordered[-1], []))
    return ordered[1:]


def find(request: Request, id_: int) -> Shown:
    """The tweet or repost of this id. Raises Failure, also if the user has a block with its author."""
    with request.read_session() as session:
        found = _load(request, session, id_)
    for shown in without_blocks(request, [found]):
        return shown
    raise Failure(404, "Record not found")


def _load(request: Request, session: Session, id_: int) -> Shown:
    for shown in shown_of(session, request.authenticated_userid, [id_]):
        return shown
    raise Failure(404, "Record not found")


def without_blocks(request: Request, shown: Sequence[Shown]) -> Sequence[Shown]:
    """Those by authors and reposters with whom the user has no block."""
    between = relations(request, {user_id for each in shown for user_id in each.by})
    blocked = {user_id for user_id, relation in between.items() if relation.blocked}
    return [each for each in shown if blocked.isdisjoint(each.by)]


def status_of(request: Request, id_: int | None, session: Session) -> Any:
    """The Status of this id after an act of the user. Raises Failure."""
    return statuses(request, [_load(request, session, id_ or 0)])[0]
