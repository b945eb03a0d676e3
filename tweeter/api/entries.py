"""The entries of a list of statuses: tweets, what placed them there, and what the viewer did with them."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy.orm import Session

from tweeter.timelines.queries import load_tweets
from tweeter.values import Page, Repost, TweetView
from tweeter.web.views.acts import marked


class Shown(NamedTuple):
    """A tweet, the id of its entry, the repost that places it, and whether the viewer likes it and reposted it."""

    tweet: TweetView
    id: int
    repost: Repost | None = None
    liked: bool = False
    reposted: bool = False

    @property
    def by(self) -> tuple[int, ...]:
        """The ids of the author and of the reposter."""
        return (self.tweet.user_id, self.repost.user_id) if self.repost else (self.tweet.user_id,)


def shown_on(page: Page) -> list[Shown]:
    """The tweets of a page with its reposts and marks."""
    reposts, liked, reposted = page.reposts, page.liked, page.reposted
    return [
        Shown(each, page.place(each), reposts.get(each.id), each.id in liked, each.id in reposted)
        for each in page.tweets
    ]


def shown_of(session: Session, me: int | None, ids: Iterable[int]) -> list[Shown]:
    """The tweets and reposts of these ids that exist, in this order."""
    wanted = list(dict.fromkeys(ids))
    found = load_tweets(session, wanted)
    reposted = {each.repost_of for each in found.values() if each.repost_of is not None}
    tweets = found | load_tweets(session, reposted)
    marks = marked(session, me or 0, [each.id for each in tweets.values()])
    shown = []
    for entry in (found[id_] for id_ in wanted if id_ in found):
        tweet, repost = tweets.get(entry.repost_of or entry.id), None
        if entry.repost_of is not None:
            repost = Repost(entry.id, entry.user_id, entry.username, entry.display_name)
        if tweet is not None:
            shown.append(Shown(tweet, entry.id, repost, tweet.id in marks.liked, tweet.id in marks.reposted))
    return shown
