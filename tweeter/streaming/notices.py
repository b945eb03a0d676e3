"""The notifications of a batch of events, for those users who listen."""

from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.models import Notification, Notifies
from tweeter.services.notifications import Notice, read_notices
from tweeter.values import Cursor, Event, Followed, TweetCreated, TweetLiked

_Act = tuple[int, Notifies, int]  # actor, kind, id of the tweet


def new_notices(session: Session, events: Iterable[Event], users: Collection[int]) -> Iterator[tuple[int, Notice]]:
    """(user, Notice) for each notification that these events made, and that the user's page shows."""
    acts: set[_Act] = set()
    followed: set[tuple[int, int]] = set()
    for event in events:
        acts.update(_acts(event))
        if isinstance(event, Followed):
            followed.add((event.follower_id, event.followee_id))
    if not acts or not users:
        return
    actors, kinds, tweets = (list(set(column)) for column in zip(*acts, strict=True))
    values = {"actors": actors, "kinds": kinds, "tweets": tweets, "users": list(users)}
    for user, id_, kind, actor, tweet in session.execute(_ROWS, values).all():
        if (actor, kind, tweet) in acts and (kind != Notifies.FOLLOW or (actor, user) in followed):
            for notice in read_notices(session, user, Cursor(before=id_ + 1, after=id_ - 1, limit=1)):
                yield user, notice


def _acts(event: Event) -> list[_Act]:
    match event:
        case TweetCreated(tweet_id, user_id, _, 0):
            return [(user_id, Notifies.REPLY, tweet_id), (user_id, Notifies.MENTION, tweet_id)]
        case TweetCreated(_, user_id, _, of):
            return [(user_id, Notifies.REPOST, of)]
        case TweetLiked(_, user_id, tweet_id):
            return [(user_id, Notifies.LIKE, tweet_id)]
        case Followed(follower_id, _):
            return [(follower_id, Notifies.FOLLOW, 0)]
    return []


_ROWS = (
    select(Notification.user_id, Notification.id, Notification.kind, Notification.actor_id, Notification.tweet_id)
    .where(
        Among(Notification.actor_id, "actors"),
        Among(Notification.kind, "kinds"),
        Among(Notification.tweet_id, "tweets"),
        Among(Notification.user_id, "users", many=True),
    )
    .order_by(Notification.id)
)
