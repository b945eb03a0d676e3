"""The notifications of the demo account, made of what the demo's people did. The newest are unread."""

from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session, aliased

from tweeter import ids
from tweeter.db.sessions import write
from tweeter.models import Like, Mention, Notification, Notifies, Relationship, Tweet, User

UNREAD = 3  # tweets, reposts and likes that are unread


def write_notifications(session: Session, user_id: int, start_ms: int, end_ms: int) -> None:
    """Inserts them. Follows have no date: they are spread over the time from the start to the end."""
    own, reply = aliased(Tweet), aliased(Tweet)
    replies = select(reply.id, reply.user_id, reply.id).join(own, own.id == reply.parent_id)
    replied = select(reply.id).join(own, own.id == reply.parent_id).where(own.user_id == user_id)
    mentions = select(Tweet.id, Tweet.user_id, Tweet.id).join(Mention, Mention.tweet_id == Tweet.id)
    reposts = select(Tweet.id, Tweet.user_id, own.id).join(own, own.id == Tweet.repost_of_id)
    likes = select(Like.id, Like.user_id, own.id).join(own, own.id == Like.tweet_id)
    found: dict[Notifies, Any] = {
        Notifies.REPLY: replies.where(own.user_id == user_id, reply.user_id != user_id),
        Notifies.MENTION: mentions.where(
            Mention.user_id == user_id, Tweet.user_id != user_id, Tweet.id.not_in(replied)
        ),
        Notifies.REPOST: reposts.where(own.user_id == user_id, Tweet.user_id != user_id),
        Notifies.LIKE: likes.where(own.user_id == user_id, Like.user_id != user_id),
    }
    rows = [(*row, kind) for kind, query in found.items() for row in session.execute(query)]
    followers = select(Relationship.from_user_id).where(Relationship.to_user_id == user_id)
    actors = session.scalars(followers.order_by(Relationship.from_user_id)).all()
    taken = {id_ for id_, _, _, _ in rows}
    for number, actor_id in enumerate(actors):
        id_ = ids.first_id_of_ms(start_ms + (end_ms - start_ms) * number // len(actors))
        while id_ in taken:
            id_ += 1
        taken.add(id_)
        rows.append((id_, actor_id, 0, Notifies.FOLLOW))
    if rows:
        session.execute(
            insert(Notification),
            [
                {"user_id": user_id, "id": id_, "kind": int(kind), "actor_id": actor_id, "tweet_id": tweet_id}
                for id_, actor_id, tweet_id, kind in rows
            ],
        )
    newest = sorted(taken, reverse=True)[UNREAD : UNREAD + 1]
    write(session, update(User).where(User.id == user_id).values(notifications_read_id=newest[0] if newest else 0))
