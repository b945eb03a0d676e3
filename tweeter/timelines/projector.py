"""The projector: applies events of the outbox to a store and its tweet cache.

Every event is idempotent and may be applied in any order with others: adding an id twice adds it once, and what cannot
be merged without a race is dropped, because cold is always right.
"""

from array import array
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from tweeter.errors import BackendUnavailable
from tweeter.ids import MAX_ID
from tweeter.interfaces import IBulkStore, ITimelineStore
from tweeter.models.meta import SessionFactory
from tweeter.timelines import followers, queries
from tweeter.timelines.hydrate import Hydrator
from tweeter.values import (
    AccountClosed,
    Event,
    Followed,
    ProfileChanged,
    Reloaded,
    Timeline,
    Truncated,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

SMALL = 500  # followers; the fan-outs of authors with more are streams
REMEMBERED = 5000  # authors whose few followers are remembered
STRETCH = 8000  # followers read from SQL at a time, and read again once they are written
CHUNK = 2000  # of them, written to the store at a time; and tweets read

_NOBODY: Sequence[int] = array("q")
_KNOWN = TweetCreated | TweetsDeleted | Followed | Unfollowed | ProfileChanged | AccountClosed | Truncated | Reloaded


class Stream:
    """A long event that is applied a step at a time, in turns with others.

    `resume` is the id up to which its followers (or tweets) are done: a stream that is begun again goes on after it.
    """

    def __init__(self, event: Event, resume: int, steps: Callable[[int], Iterator[int]]) -> None:
        self.event = event
        self.resume = resume
        self._steps = steps(resume)

    def step(self) -> bool:
        """Does the next step; False if there was none left."""
        done = next(self._steps, None)
        if done is None:
            return False
        self.resume = done
        return True

    def close(self) -> None:
        """Gives up what is under way."""
        self._steps.close()  # type: ignore[attr-defined]  # all are generators


class Projector:
    """Applies events to one store and cache.

    `guard` is called before and after each write and may raise: a relay that lost its lease must not write any more.
    A process that was stopped just before a write makes it late, perhaps to readers who unfollowed in between: what it
    wrote is dropped. Nothing guards what only makes timelines cold, which is always right.
    """

    def __init__(
        self,
        store: ITimelineStore,
        hydrator: Hydrator,
        sessions: SessionFactory,
    ) -> None:
        self.guard: Callable[[], None] = lambda: None
        self._store = store
        self._hydrator = hydrator
        self._cache = hydrator.cache
        self._sessions = sessions
        # The few followers that authors had when they were last read. Unfollowed takes them out: else the next tweet
        # would be seen by those who left, until the followers are read again.
        self._audience: dict[int, Sequence[int]] = {}

    def begin(self, guard: Callable[[], None]) -> None:
        """Another holder applies events from now on: what was remembered may have missed some."""
        self.guard = guard
        self._audience.clear()

    def apply(self, events: Sequence[Event]) -> list[Stream]:
        """Applies a batch of events in few exchanges, but for the long ones, which come back as streams.

        Raises BackendUnavailable and SQLAlchemy's errors: then the whole batch has to be applied again.
        """
        if unknown := [event for event in events if not isinstance(event, _KNOWN)]:
            raise TypeError(f"no rule for {unknown[0]!r}")
        if cold := {key for event in events for key in _made_cold(event)}:
            self._store.drop(cold)
        for event in events:
            self._change_everything(event)
            if isinstance(event, Unfollowed):
                self._audience.pop(event.followee_id, None)
        streams = [self.stream(event) for event in events if isinstance(event, ProfileChanged | AccountClosed)]
        streams += self._withdraw([event for event in events if isinstance(event, TweetsDeleted)])
        created = [event for event in events if isinstance(event, TweetCreated)]
        return streams + [self.stream(event) for event in self._fan_out_small(created)]

    def stream(self, event: Event, resume: int = 0) -> Stream:
        """A long event, from its beginning or from where it was left."""
        match event:
            case TweetCreated(tweet_id, user_id):
                return Stream(event, resume, lambda after: self._fan_out(tweet_id, user_id, after))
            case TweetsDeleted(tweet_ids):
                return Stream(event, resume, lambda after: self._forget_replies(tweet_ids, after))
            case ProfileChanged(user_id):
                return Stream(event, resume, lambda before: self._forget_author(user_id, before, replies=False))
            case AccountClosed(user_id):
                # TweetsDeleted follows for what of the account was removed from SQL already.
                return Stream(event, resume, lambda before: self._forget_author(user_id, before, replies=True))
        raise TypeError(f"{event!r} is never a stream")

    def deliver(self, event: Event) -> Iterator[None]:
        """Applies one event to its end, a step at a time."""
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
                self._store.clear()
                self._cache.clear()

    def _withdraw(self, deleted: Sequence[TweetsDeleted]) -> list[Stream]:
        """Returns streams for tweets that have very many replies.

        Home timelines keep the ids until they are read: to fan out deletes would cost as much as the tweets did.
        """
        by_author: dict[int, list[int]] = {}
        for event in deleted:
            by_author.setdefault(event.user_id, []).extend(event.tweet_ids)
        if not by_author:
            return []
        tweet_ids = [id_ for ids in by_author.values() for id_ in ids]
        with self._sessions() as session:
            replies = queries.some_reply_ids(session, tweet_ids, CHUNK)  # they show that their parent is gone
        self.guard()
        self._cache.invalidate([*tweet_ids, *replies])
        self._store.remove(Timeline.public().key, tweet_ids)
        for author, ids in by_author.items():
            self._store.remove(Timeline.profile(author).key, ids)
        return [] if len(replies) < CHUNK else [self.stream(event) for event in deleted]

    def _fan_out_small(self, created: Sequence[TweetCreated]) -> Sequence[TweetCreated]:
        """Fans out the tweets of authors with few followers, all at once; returns those of the others.

        It writes to the followers that an author had when they were last read, and reads them again afterwards. The
        timelines of those who are not among them any more are dropped; as long as there are others, they are written to
        as well. Mostly that is one write and one statement.
        """
        if not created:
            return []
        tweets: dict[int, list[int]] = {}
        added: dict[str, list[int]] = {}
        for event in created:
            tweets.setdefault(event.user_id, []).append(event.tweet_id)
            for timeline in (Timeline.public(), Timeline.profile(event.user_id), Timeline.home(event.user_id)):
                added.setdefault(timeline.key, []).append(event.tweet_id)
        written = {author: self._audience.get(author, _NOBODY) for author in tweets}
        new = written
        while True:
            for author, ids in new.items():
                for follower_id in ids:
                    added.setdefault(f"home:{follower_id}", []).extend(tweets[author])
            self._add(added)
            small = self._read_audience(tweets)
            self._drop_those_who_left(written, small)
            new = {author: ids for author, ids in small.items() if ids != written[author]}
            if not new:
                break
            new = {author: array("q", set(ids).difference(written[author])) for author, ids in new.items()}
            written, added = written | small, {}
        self.guard()
        loaded = self._hydrator.load([event.tweet_id for event in created])  # for the first who read them
        return [event for event in created if event.user_id not in small and loaded[event.tweet_id] is not None]

    def _read_audience(self, authors: Collection[int]) -> dict[int, Sequence[int]]:
        """The followers of those authors who have few."""
        with self._sessions() as session:
            found = followers.of_each(session, sorted(authors), SMALL + 1)
        small: dict[int, Sequence[int]] = {author: ids for author, ids in found.items() if len(ids) <= SMALL}
        if len(self._audience) + len(small) > REMEMBERED:
            self._audience.clear()
        self._audience |= small
        return small

    def _add(self, added: Mapping[str, Sequence[int]]) -> None:
        self.guard()
        try:
            if IBulkStore.providedBy(self._store):
                self._store.add_batch(added)
            else:
                by_id: dict[int, list[str]] = {}
                for key, ids in added.items():
                    for id_ in ids:
                        by_id.setdefault(id_, []).append(key)
                for id_, keys in by_id.items():
                    self._store.add(keys, id_)
        finally:
            self._check_in_time(added)

    def _check_in_time(self, keys: Iterable[str]) -> None:
        """Called after a write to these keys."""
        try:
            self.guard()
        except Exception:
            self._store.drop(keys)
            raise

    def _drop_those_who_left(self, written: Mapping[int, Sequence[int]], now: Mapping[int, Sequence[int]]) -> None:
        """Drops the timelines that were written to and do not follow their author now.

        They may have been dropped and backfilled before the write. Whoever unfollows later than this second read has
        the timeline dropped later than the write.
        """
        left = {
            Timeline.home(follower_id).key
            for author, ids in written.items()
            if ids != now.get(author)
            for follower_id in set(ids).difference(now.get(author, ()))
        }
        if left:
            self._store.drop(left)

    def _fan_out(self, tweet_id: int, user_id: int, after: int) -> Iterator[int]:
        """To the followers with an id above `after`; yields the ids up to which all have it."""
        begun: deque[Sequence[int]] = deque()
        written = 0
        writing = self._add_to_each(self._cut(self._stretches(user_id, after), begun), tweet_id)
        try:
            for chunk in writing:
                written += len(chunk)
                if written == len(begun[0]):
                    self._look_again(begun[0], user_id)
                    after = begun.popleft()[-1]
                    written = 0
                    if not self._hydrator.tweets([tweet_id])[tweet_id]:
                        return  # deleted: readers leave out what was delivered
                yield after
        finally:
            writing.close()
            for stretch in begun:  # it is given up in the middle of them
                self._drop_who_left_or_all(stretch, user_id)

    def _look_again(self, stretch: Sequence[int], user_id: int) -> None:
        """As `_drop_those_who_left`, for a stretch of one author's followers."""
        with self._sessions() as session:
            still = followers.between(session, user_id, stretch[0], stretch[-1])
        if still != stretch:
            self._store.drop([Timeline.home(follower_id).key for follower_id in set(stretch).difference(still)])

    def _drop_who_left_or_all(self, stretch: Sequence[int], user_id: int) -> None:
        """As `_look_again`, for a relay that gives up: never raises what SQL or the store raise."""
        with suppress(BackendUnavailable):
            try:
                self._look_again(stretch, user_id)
            except SQLAlchemyError:
                self._store.drop([Timeline.home(follower_id).key for follower_id in stretch])

    def _add_to_each(self, chunks: Iterator[Sequence[int]], tweet_id: int) -> Generator[Sequence[int], None, None]:
        if IBulkStore.providedBy(self._store):
            yield from self._store.add_to_each("home", chunks, tweet_id)
            return
        for chunk in chunks:
            self._store.add([Timeline.home(follower_id).key for follower_id in chunk], tweet_id)
            yield chunk

    def _stretches(self, user_id: int, after: int) -> Iterator[Sequence[int]]:
        """The followers in ascending order, each stretch read in a transaction of its own."""
        full = True
        while full:
            with self._sessions() as session:
                stretch = followers.after(session, user_id, after, STRETCH)
            full = len(stretch) == STRETCH
            if stretch:
                yield stretch
                after = stretch[-1]

    def _cut(self, stretches: Iterable[Sequence[int]], begun: deque[Sequence[int]]) -> Iterator[Sequence[int]]:
        """The stretches in chunks; notes which stretches were begun."""
        for stretch in stretches:
            begun.append(stretch)
            for first in range(0, len(stretch), CHUNK):
                self.guard()
                yield stretch[first : first + CHUNK]

    def _forget_author(self, user_id: int, before: int, replies: bool) -> Iterator[int]:
        """Takes all tweets of an author out of the cache, newest first, and the replies to them."""
        before = before or MAX_ID + 1
        while True:
            with self._sessions() as session:
                ids = queries.tweet_ids(session, user_id, before, CHUNK)
            if not ids:
                return
            self.guard()
            self._cache.invalidate(ids)
            for _ in self._forget_replies(ids, 0) if replies else ():
                yield before
            before = ids[-1]
            yield before

    def _forget_replies(self, tweet_ids: Sequence[int], after: int) -> Iterator[int]:
        """Takes the replies to these tweets out of the cache.

        Most tweets have few, which one statement finds. Where there are many each tweet is read by itself, so that
        every statement follows the index; only a single one can go on after a reply, several begin anew.
        """
        with self._sessions() as session:
            some = queries.some_reply_ids(session, tweet_ids, CHUNK)
        if len(some) < CHUNK:
            self.guard()
            self._cache.invalidate(some)
            return
        single = len(tweet_ids) == 1
        for tweet_id in tweet_ids:
            last = after if single else 0
            while True:
                with self._sessions() as session:
                    ids = queries.reply_ids(session, tweet_id, last, CHUNK)
                if not ids:
                    break
                self.guard()
                self._cache.invalidate(ids)
                last = ids[-1]
                yield last if single else 0


def _made_cold(event: Event) -> Iterator[str]:
    match event:
        case Followed(follower_id) | Unfollowed(follower_id):
            # To merge or unmerge would race with the fan-out of either side.
            yield Timeline.home(follower_id).key
        case AccountClosed(user_id):
            yield Timeline.home(user_id).key
            yield Timeline.profile(user_id).key
