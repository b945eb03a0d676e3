"""The frozen values that cross an interface. Nothing here knows of a database, a store or a request."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from tweeter.ids import MAX_ID

Kind = Literal["public", "home", "profile"]


class Timeline(NamedTuple):
    """Which timeline: `Timeline.PUBLIC`, `Timeline.home(42)`, `Timeline.profile(42)`."""

    kind: Kind
    user_id: int = 0

    @property
    def key(self) -> str:
        """The name it has in every store: `public`, `home:42`, `profile:42`."""
        return f"{self.kind}:{self.user_id}" if self.user_id else self.kind

    @classmethod
    def public(cls) -> "Timeline":
        return cls("public")

    @classmethod
    def home(cls, user_id: int) -> "Timeline":
        return cls("home", user_id)

    @classmethod
    def profile(cls, user_id: int) -> "Timeline":
        return cls("profile", user_id)


class Cursor(NamedTuple):
    """Which part of a timeline: the newest `limit` tweets with `after < id < before`.

    Without `backfill` a cold timeline stays cold: SQL answers. So polls, which anybody can send, fill no store.
    """

    before: int = MAX_ID + 1
    limit: int = 20
    after: int = 0
    backfill: bool = True


class TweetView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tweet as every reader sees it: what one needs to render it, and nothing that depends on who reads it.

    `parent_username` is None where the tweet that was answered is gone (or nothing was answered).
    """

    id: int
    user_id: int
    username: str
    display_name: str
    message: str
    epoch_ms: int
    parent_id: int | None = None
    parent_username: str | None = None

    @property
    def date(self) -> datetime:
        return datetime.fromtimestamp(self.epoch_ms / 1000, UTC)


class Page(NamedTuple):
    """Tweets, newest first, and the cursor of the next page: its `before`, None at the end of the timeline."""

    tweets: tuple[TweetView, ...]
    older: int | None

    @classmethod
    def cut(cls, tweets: list[TweetView], limit: int) -> "Page":
        """A page out of one tweet more than it holds, if there is one more."""
        page = tuple(tweets[:limit])
        return cls(page, page[-1].id if len(tweets) > limit else None)


class Slice(NamedTuple):
    """What a store holds of a timeline: ids, newest first, none below `floor`.

    `floor` is the id down to which the timeline is complete, 0 where nothing is missing.
    Fewer ids than were asked for mean that the materialised timeline ends here. `checkpoint` is the store's, read in
    the same exchange.
    """

    ids: list[int]
    floor: int
    checkpoint: bytes | None = None


# What happened: the events of the outbox. Encoded as JSON with the class's name as "type".


class Event(msgspec.Struct, frozen=True, tag=True, tag_field="type"):
    """Something that was committed and that materialised timelines have to follow."""


class TweetCreated(Event, frozen=True):
    tweet_id: int
    user_id: int


class TweetsDeleted(Event, frozen=True):
    """Tweets of one author; many at once when a closed account is removed."""

    tweet_ids: tuple[int, ...]
    user_id: int


class Followed(Event, frozen=True):
    follower_id: int
    followee_id: int


class Unfollowed(Event, frozen=True):
    follower_id: int
    followee_id: int


class ProfileChanged(Event, frozen=True):
    """Something of the author that stands in every one of their tweets."""

    user_id: int


class AccountClosed(Event, frozen=True):
    """The account is gone with its tweets, whose rows are removed later; TweetsDeleted tells of that."""

    user_id: int


class Truncated(Event, frozen=True):
    """Materialised timelines shall forget what is older than this id (SQL does not)."""

    before_id: int


class Reloaded(Event, frozen=True):
    """So much changed (a bulk load) that every timeline is cold."""


AnyEvent = TweetCreated | TweetsDeleted | Followed | Unfollowed | ProfileChanged | AccountClosed | Truncated | Reloaded
