"""Timeline kinds of unusual forms: a second one that fans out to followers, and one that the whole site shares."""

from sqlalchemy import select

from tweeter.models import Relationship, Tweet, closed_users, hidden_from
from tweeter.timelines.kind import TimelineKind


class Friends(TimelineKind):
    """The home timeline without the owner's own tweets."""

    name = "friends"
    to_followers = True

    def tweets(self, owner):
        followees = select(Relationship.to_user_id).where(Relationship.from_user_id == owner)
        shown = (
            Tweet.repost_of_id.is_(None), Tweet.user_id.not_in(closed_users), Tweet.user_id.not_in(hidden_from(owner)),
        )  # fmt: skip
        return select(Tweet.id).where(Tweet.user_id.in_(followees), *shown)

    def contains(self, site, owner, tweet_id):
        author = site.author(tweet_id)
        return (owner, author) in site.follows and not site.hides(owner, author)


class Conversations(TimelineKind):
    """All replies."""

    name = "conversations"
    owned = False

    def tweets(self, owner):
        return select(Tweet.id).where(Tweet.parent_id.is_not(None), Tweet.user_id.not_in(closed_users))

    def contains(self, site, owner, tweet_id):
        _, _, parent_id = site.tweets[tweet_id]
        return parent_id is not None

    def related_owners(self, session, created):
        replies = self.tweets(0).where(Tweet.id.in_([event.tweet_id for event in created]))
        return {tweet_id: [0] for tweet_id in session.scalars(replies)}


def includeme(config):
    config.add_timeline_kind(Friends())
    config.add_timeline_kind(Conversations())
