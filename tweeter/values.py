"""The frozen values that cross an interface. Independent of databases, stores and requests."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from tweeter.ids import MAX_ID


class Timeline(NamedTuple):
    """Identifies a timeline: its kind, and its owner if it has one. `Timeline("home", 42)`, `Timeline("public")`."""

    kind: str
    owner: int = 0

    @property
    def key(self) -> str:
        """Its key in every store: `public`, `home:42`."""
        return f"{self.kind}:{self.owner}" if self.owner else self.kind


class Viewer(NamedTuple):
    """The user who reads a page. `written` is the number of their last write: the page contains it.

    `hidden` are the authors whose tweets the page does not show: those whom the viewer muted, and all blocked people
    in both directions.
    """

    id: int = 0
    written: int = 0
    hidden: frozenset[int] = frozenset()


NOBODY = Viewer()  # signed out


class Cursor(NamedTuple):
    """A part of a timeline (keyset pagination): the newest `limit` tweets with `after < id < before`.

    Without `backfill` a cold timeline stays cold and SQL serves the page: polls, which any client sends, fill no store.
    """

    before: int = MAX_ID + 1
    limit: int = 20
    after: int = 0
    backfill: bool = True


class TweetView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tweet as every reader sees it: everything needed to render it, and nothing that depends on the viewer.

    `parent_username` is None if the parent is deleted, or the tweet is not a reply.
    """

    id: int
    user_id: int
    username: str
    display_name: str
    message: str
    epoch_ms: int
    parent_id: int | None = None
    parent_username: str | None = None
    replies: int = 0
    reposts: int = 0
    likes: int = 0
    repost_of: int | None = None  # the tweet's id; then this is a repost, and its author the user who reposted

    @property
    def date(self) -> datetime:
        return datetime.fromtimestamp(self.epoch_ms / 1000, UTC)


NOTHING: Mapping[int, int] = MappingProxyType({})


class Repost(NamedTuple):
    """The newest repost that places a tweet in a timeline: its id and its author.

    `others` counts the other authors of the timeline who reposted the tweet, without the timeline's owner.
    """

    id: int
    user_id: int
    username: str
    display_name: str
    others: int = 0


class Entry(NamedTuple):
    """A tweet in a timeline, placed there by `id`: its own, that of a repost, or that of a like."""

    tweet: TweetView
    id: int
    repost: Repost | None = None


class Page(NamedTuple):
    """Tweets, newest entry first, and the cursor of the next page: its `before`, None at the end of the timeline.

    All other fields are by tweet id. `reposts` are those that place a tweet. `places` are the ids of the entries that
    have not the tweet's own. The viewer likes the tweets in `liked` and reposted those in `reposted`.
    """

    tweets: tuple[TweetView, ...]
    older: int | None
    reposts: Mapping[int, Repost] = MappingProxyType({})
    places: Mapping[int, int] = NOTHING
    liked: frozenset[int] = frozenset()
    reposted: frozenset[int] = frozenset()

    @classmethod
    def cut(cls, entries: Sequence[Entry], limit: int) -> "Page":
        """Makes a page from at most `limit` + 1 entries; the extra one shows that another page follows."""
        page = entries[:limit]
        older = page[-1].id if len(entries) > limit else None
        moved = [entry for entry in page if entry.id != entry.tweet.id]
        reposts = {entry.tweet.id: entry.repost for entry in moved if entry.repost}
        places = {entry.tweet.id: entry.id for entry in moved}
        return cls(tuple([entry.tweet for entry in page]), older, reposts, places)

    def place(self, tweet: TweetView) -> int:
        """The id of the tweet's entry."""
        return self.places.get(tweet.id, tweet.id)


def referring(ids: Iterable[int], of: Mapping[int, int]) -> Mapping[int, int]:
    """The part of `of` for these ids."""
    return {id_: of[id_] for id_ in ids if id_ in of} if of else NOTHING


class Slice(NamedTuple):
    """A part of a materialized timeline: ids, newest first, none below `floor`.

    `floor` is the id down to which the timeline is complete, 0 if nothing is missing. Fewer ids than requested mean
    that the materialized timeline ends here. `checkpoint` is the store's, read in the same exchange. `of` has the tweet
    of each id that is not a tweet's own: {id of a repost: id of the tweet}.
    """

    ids: list[int]
    floor: int
    checkpoint: bytes | None = None
    of: Mapping[int, int] = NOTHING


# The events of the outbox, encoded as JSON with the class name as "type".


class Event(msgspec.Struct, frozen=True, tag=True, tag_field="type"):
    """A committed change that must be applied to materialized timelines."""


class TweetCreated(Event, frozen=True):
    """A user posted a tweet, which may be a reply: its parent has one more then. Or reposted the tweet `of`."""

    tweet_id: int
    user_id: int
    parent_id: int | None = None
    of: int = 0


class TweetsDeleted(Event, frozen=True):
    """Tweets of one author; many at once when a closed account is removed. Their parents have fewer replies then.

    Or the undo of one repost of the tweet `of`. `reposted` says that others have reposted a tweet.
    """

    tweet_ids: tuple[int, ...]
    user_id: int
    parent_ids: tuple[int, ...] = ()
    of: int = 0
    reposted: bool = False


class TweetLiked(Event, frozen=True):
    """A user likes a tweet, which has one more like then. `like_id` is the like's place among the user's."""

    like_id: int
    user_id: int
    tweet_id: int


class TweetUnliked(Event, frozen=True):
    """A user does not like a tweet any more."""

    user_id: int
    tweet_id: int


class TweetsCounted(Event, frozen=True):
    """Counters of these tweets changed: an account that replied to, liked or reposted them is suspended, or returns.

    Or it was closed, and its likes are being removed.
    """

    tweet_ids: tuple[int, ...]


class Followed(Event, frozen=True):
    """The follower's home timeline gains the followee's tweets."""

    follower_id: int
    followee_id: int


class Unfollowed(Event, frozen=True):
    """The follower's home timeline loses the followee's tweets."""

    follower_id: int
    followee_id: int


class AuthorHidden(Event, frozen=True):
    """The viewer's timelines lose the author's tweets: a mute, or a block in either direction."""

    viewer_id: int
    author_id: int


class AuthorShown(Event, frozen=True):
    """No mute or block hides the author from the viewer any more: the viewer's timelines gain the author's tweets."""

    viewer_id: int
    author_id: int


class ListChanged(Event, frozen=True):
    """A list has another member, or one less; or it was deleted."""

    list_id: int


class ProfileChanged(Event, frozen=True):
    """A change of the author's data that each of their tweets contains."""

    user_id: int


class AccountClosed(Event, frozen=True):
    """The account is closed or suspended. Tweets that are removed later are recorded as TweetsDeleted."""

    user_id: int


class Truncated(Event, frozen=True):
    """Removes ids below `before_id` from materialized timelines, not from SQL."""

    before_id: int


class Reloaded(Event, frozen=True):
    """A bulk load, or the end of a suspension, changed so much that every timeline becomes cold."""


AnyEvent = (
    TweetCreated | TweetsDeleted | TweetLiked | TweetUnliked | TweetsCounted | Followed | Unfollowed | AuthorHidden
    | AuthorShown | ListChanged | ProfileChanged | AccountClosed | Truncated | Reloaded
)  # fmt: skip
