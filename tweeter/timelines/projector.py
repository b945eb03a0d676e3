"""The projector: applies events of the outbox to a store and its tweet cache.

Applying an event is idempotent, and events may be applied in any order: an id that is added twice is stored once, and a
timeline that cannot be merged without a race is dropped, because cold is always right.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from tweeter.batches import batched
from tweeter.db.sessions import SessionFactory
from tweeter.interfaces import IBulkStore, ITimelineStore
from tweeter.timelines import followers, queries, streams
from tweeter.timelines.celebrities import Celebrities
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import CELEBRITIES, Kinds
from tweeter.timelines.streams import Stream, Streams
from tweeter.values import (
    NOTHING,
    AccountClosed,
    AnyEvent,
    AuthorHidden,
    Event,
    ProfileChanged,
    Reloaded,
    Timeline,
    Truncated,
    TweetCreated,
    TweetLiked,
    TweetsCounted,
    TweetsDeleted,
    TweetUnliked,
    Unfollowed,
)

SMALL = 500  # followers; the fan-outs of authors with more are streams
REMEMBERED = 5000  # authors with few followers, whose followers are remembered

_NOBODY: Sequence[int] = array("q")


class Projector:
    """Applies events to one store and cache.

    `guard` is called before and after each write and raises once the relay has lost its lease. A process that was
    stopped just before a write writes late, perhaps to readers who unfollowed in between: the timelines it wrote are
    dropped. Writes that only make timelines cold need no guard, because cold is always right.
    """

    def __init__(self, store: ITimelineStore, hydrator: Hydrator, sessions: SessionFactory, kinds: Kinds) -> None:
        self.kinds = kinds
        self.guard: Callable[[], None] = lambda: None
        self._store = store
        self._hydrator = hydrator
        self._cache = hydrator.cache
        self._sessions = sessions
        self._celebrities = Celebrities(sessions, kinds.celebrity_followers)
        self._streams = Streams(store, hydrator, sessions, kinds, lambda: self.guard(), self._celebrities.marked)
        self._fan_out: Callable[[TweetCreated, int], Stream] = self.own_stream
        # The followers of authors with few, as last read. Unfollowed and AuthorHidden remove the author's entry:
        # otherwise former followers would see the next tweet until the followers are read again.
        self._audience: dict[int, Sequence[int]] = {}

    def begin(self, guard: Callable[[], None], fan_out: Callable[[TweetCreated, int], Stream] | None = None) -> None:
        """Begins a new lease. Other holders may have applied events since the followers were remembered.

        `fan_out` makes the streams of large fan-outs; without it this process does them.
        """
        self.guard = guard
        self._fan_out = fan_out or self.own_stream
        self._audience.clear()
        self._celebrities.forget()

    def cleared(self) -> None:
        """Called when the store was cleared."""
        self._celebrities.forget()

    def apply(self, events: Sequence[Event]) -> list[Stream]:
        """Applies a batch of events in few round trips; returns streams for the long ones, which are still to be done.

        Raises BackendUnavailable and SQLAlchemy's errors: then the whole batch must be applied again.
        """
        if unknown := [event for event in events if not isinstance(event, AnyEvent)]:
            raise TypeError(f"no rule for {unknown[0]!r}")
        if cold := {key for event in events for key in self.kinds.made_cold(event)}:
            self._store.drop(cold)
        for event in events:
            self._change_everything(event)
            match event:
                case Unfollowed(_, author) | AuthorHidden(_, author):
                    self._audience.pop(author, None)
        long = [self._streams.of(event) for event in events if isinstance(event, ProfileChanged | AccountClosed)]
        long += self._withdraw([event for event in events if isinstance(event, TweetsDeleted)])
        self._add_entries(events)
        created = [event for event in events if isinstance(event, TweetCreated)]
        return long + self._fan_out_small(created)

    def stream(self, event: Event, resume: int) -> Stream:
        """The stream of a long event, continued after `resume`."""
        return self._fan_out(event, resume) if isinstance(event, TweetCreated) else self._streams.of(event, resume)

    def own_stream(self, event: TweetCreated, resume: int) -> Stream:
        """The stream of a large fan-out that this process does itself."""
        return self._streams.of(event, resume)

    def fan_out_between(self, event: TweetCreated, first: int, last: int, guard: Callable[[], None]) -> None:
        """Fans out to the followers in a range of ids, for a worker, whose guard is its own."""
        streams_ = Streams(self._store, self._hydrator, self._sessions, self.kinds, guard)
        streams_.fan_out_between(event.tweet_id, event.user_id, first, last)

    def deliver(self, event: Event) -> Iterator[None]:
        """Applies one event completely, step by step."""
        for stream in self.apply([event]):
            while stream.step():
                yield

    def _change_everything(self, event: Event) -> None:
        match event:
            case Truncated(before_id):
                self.guard()
                self._store.truncate(before_id)
            case Reloaded():
                self.guard()
                self._audience.clear()
                self._celebrities.forget()
                self._store.clear()
                self._cache.clear()

    def _add_entries(self, events: Sequence[Event]) -> None:
        """Adds the entries of events that add one to the timeline of one owner.

        An event that is repeated may add an entry that was removed since: that timeline is dropped. A removal after
        this check drops it, too.
        """
        for name, kind in self.kinds.items():
            if entries := [entry for event in events if (entry := kind.added(event))]:
                keys = {id_: Timeline(name, owner).key for owner, id_, _ in entries}
                added: dict[str, list[int]] = {}
                for id_, key in keys.items():
                    added.setdefault(key, []).append(id_)
                self._add(added, {id_: tweet_id for _, id_, tweet_id in entries})
                with self._sessions() as session:
                    lasting = kind.lasting(session, keys)
                if gone := {key for id_, key in keys.items() if id_ not in lasting}:
                    self._store.drop(gone)
        if liked := list({event.tweet_id for event in events if isinstance(event, TweetLiked | TweetUnliked)}):
            self._cache.invalidate(liked)  # they show how many likes they have
            self._hydrator.load(liked)
        if counted := [id_ for event in events if isinstance(event, TweetsCounted) for id_ in event.tweet_ids]:
            self._cache.invalidate(counted)

    def _withdraw(self, deleted: Sequence[TweetsDeleted]) -> list[Stream]:
        """Removes deleted tweets; returns streams for those with very many replies.

        Home timelines keep the ids until read repair: fanning out deletes would cost as much as fanning out the tweets.
        """
        by_author: dict[int, list[int]] = {}
        for event in deleted:
            by_author.setdefault(event.user_id, []).extend(event.tweet_ids)
        if not by_author:
            return []
        tweet_ids = [id_ for ids in by_author.values() for id_ in ids]
        with self._sessions() as session:
            replies = queries.some_reply_ids(session, tweet_ids, streams.CHUNK)  # they show that the parent is deleted
        self.guard()
        parents = {parent for event in deleted for parent in event.parent_ids}  # they show how many replies they have
        self._cache.invalidate([*tweet_ids, *replies, *parents])
        of = {event.tweet_ids[0]: event.of for event in deleted if event.of}
        for key, ids in self._with_all_of(by_author, of).items():
            self._store.remove(key, ids, of)
        return [] if len(replies) < streams.CHUNK else [self._streams.of(event) for event in deleted]

    def _fan_out_small(self, created: Sequence[TweetCreated]) -> list[Stream]:
        """Fans out the tweets of authors with few followers in one batch; returns streams for the other authors'.

        It writes to the followers of each author as last read, and then reads them again. It drops the timelines of
        those who left, writes to those who came, and repeats until the followers are unchanged. Mostly that is one
        write and one statement.
        """
        if not created:
            return []
        tweets: dict[int, list[int]] = {}
        for event in created:
            tweets.setdefault(event.user_id, []).append(event.tweet_id)
        of = {event.tweet_id: event.of for event in created if event.of}
        added = self._with_all_of(tweets, of)
        merged, promoted = self._celebrities.sort(tweets)
        if merged:
            added[CELEBRITIES] = [id_ for author in merged for id_ in tweets[author]]
        written = {author: self._audience.get(author, _NOBODY) for author in tweets.keys() - merged - promoted}
        new = written
        while True:
            for author, ids in new.items():
                for reposts in (False, True):
                    if theirs := [id_ for id_ in tweets[author] if (id_ in of) == reposts]:
                        for key in self.kinds.keys_of_followers(ids, reposts):
                            added.setdefault(key, []).extend(theirs)
            self._add(added, of)
            small = self._read_audience(written.keys())
            self._drop_former_followers(written, small)
            new = {author: ids for author, ids in small.items() if ids != written[author]}
            if not new:
                break
            new = {author: array("q", set(ids).difference(written[author])) for author, ids in new.items()}
            written, added = written | small, {}
        related = self._related(created)
        for keys in batched(related, streams.CHUNK):  # an author may be on very many lists
            self._add({key: related[key] for key in keys}, of)
        self.guard()
        # Parents show how many replies they have, tweets how many reposts.
        if parents := {event.of or event.parent_id or 0 for event in created} - {0}:
            self._cache.invalidate(parents)
        # Fills the cache before the first read.
        loaded = self._hydrator.load(list({*parents, *(event.tweet_id for event in created)}))
        return [
            self._streams.of(event, marks=True) if event.user_id in promoted else self._fan_out(event, 0)
            for event in created
            if event.user_id not in small and event.user_id not in merged and loaded[event.tweet_id] is not None
        ]

    def _read_audience(self, authors: Collection[int]) -> dict[int, Sequence[int]]:
        """The followers of each author with few followers; remembers them."""
        if not authors:
            return {}
        with self._sessions() as session:
            found = followers.of_each(session, sorted(authors), SMALL + 1)
        small: dict[int, Sequence[int]] = {author: ids for author, ids in found.items() if len(ids) <= SMALL}
        if len(self._audience) + len(small) > REMEMBERED:
            self._audience.clear()
        self._audience |= small
        return small

    def _add(self, added: Mapping[str, Sequence[int]], of: Mapping[int, int] = NOTHING) -> None:
        self.guard()
        try:
            if IBulkStore.providedBy(self._store):
                self._store.add_batch(added, of)
            else:
                by_id: dict[int, list[str]] = {}
                for key, ids in added.items():
                    for id_ in ids:
                        by_id.setdefault(id_, []).append(key)
                for id_, keys in by_id.items():
                    self._store.add(keys, id_, of.get(id_, 0))
        finally:
            self._check_in_time(added)

    def _check_in_time(self, keys: Iterable[str]) -> None:
        """Called after a write to these keys: drops them if it was too late."""
        try:
            self.guard()
        except Exception:
            self._store.drop(keys)
            raise

    def _drop_former_followers(self, written: Mapping[int, Sequence[int]], now: Mapping[int, Sequence[int]]) -> None:
        """Drops the timelines of followers that were written to and who do not follow the author any more.

        They may have been dropped and backfilled before the write. An unfollow after this second read drops the
        timeline after the write.
        """
        left = {
            follower_id
            for author, ids in written.items()
            if ids != now.get(author)
            for follower_id in set(ids).difference(now.get(author, ()))
        }
        if left:
            self._store.drop(self.kinds.keys_to_drop(left))

    def _with_all_of(self, tweets: Mapping[int, Sequence[int]], of: Collection[int]) -> dict[str, list[int]]:
        """The keys of the timelines that contain all tweets of an author, with the ids of theirs ({author: ids}).

        Only some contain reposts, the ids in `of`.
        """
        keys: dict[str, list[int]] = {}
        for author, ids in tweets.items():
            posts = [id_ for id_ in ids if id_ not in of]
            for name, kind in self.kinds.items():
                if theirs := ids if kind.reposts else posts:
                    for owner in kind.owners(author):
                        keys.setdefault(Timeline(name, owner).key, []).extend(theirs)
        return keys

    def _related(self, created: Sequence[TweetCreated]) -> dict[str, list[int]]:
        """The ids by the keys of the timelines that only SQL finds."""
        keys: dict[str, list[int]] = {}
        for name, kind in self.kinds.items():
            if kind.related:
                with self._sessions() as session:
                    found = kind.related_owners(session, [each for each in created if kind.reposts or not each.of])
                for tweet_id, owners in found.items():
                    for owner in owners:
                        keys.setdefault(Timeline(name, owner).key, []).append(tweet_id)
        return keys
