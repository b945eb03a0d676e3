"""A third-party timeline kind: `tweeter.timelines.kinds = tests.thirdparty.replies`.

A user's `replies` timeline contains the replies to the user's tweets.
"""

from sqlalchemy import select
from sqlalchemy.orm import aliased

from tweeter.models import Tweet, closed_users
from tweeter.timelines.kind import TimelineKind
from tweeter.values import TweetsDeleted

PARENT = aliased(Tweet)


class Replies(TimelineKind):
    name = "replies"

    def tweets(self, owner):
        replies = select(Tweet.id).join(PARENT, PARENT.id == Tweet.parent_id)
        return replies.where(PARENT.user_id == owner, Tweet.user_id.not_in(closed_users))

    def contains(self, site, owner, tweet_id):
        _, _, parent_id = site.tweets[tweet_id]
        return parent_id in site.tweets and site.author(parent_id) == owner

    def related_owners(self, session, created):
        parents = select(Tweet.id, PARENT.user_id).join(PARENT, PARENT.id == Tweet.parent_id)
        rows = session.execute(parents.where(Tweet.id.in_([event.tweet_id for event in created])))
        return {tweet_id: [owner] for tweet_id, owner in rows}

    def made_cold(self, event):
        # The replies to a deleted tweet leave its author's timeline.
        return (event.user_id,) if isinstance(event, TweetsDeleted) else super().made_cold(event)


def includeme(config):
    config.add_timeline_kind(Replies())
