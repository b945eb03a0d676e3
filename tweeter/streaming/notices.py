"""The notifications of a batch of events, for those users who listen."""

from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.models import Notification, Notifies
from tweeter.services.notifications import Notice, read_notices
from tweeter.streaming.among import Among
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
    actors, tweets = {actor for actor, _, _ in acts}, {tweet for _, _, tweet in acts}
    kinds = {int(kind) for _, kind, _ in acts}
    for user, id_, kind, actor, tweet in _ROWS.rows(session, actors=actors, kinds=kinds, tweets=tweets, users=users):
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


_ROWS = Among(
    lambda within: (
        select(Notification.user_id, Notification.id, Notification.kind, Notification.actor_id, Notification.tweet_id)
        .where(
            within(Notification.actor_id, "actors"),
            within(Notification.kind, "kinds"),
            within(Notification.tweet_id, "tweets"),
            within(Notification.user_id, "users"),
        )
        .order_by(Notification.id)
    )
)
