"""Long events, applied a step at a time: large fan-outs, and tweets that leave the cache by the thousand."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, repeat

from sqlalchemy.exc import SQLAlchemyError

from tweeter.errors import BackendUnavailable
from tweeter.ids import MAX_ID
from tweeter.interfaces import IBulkStore, ITimelineStore
from tweeter.models.meta import SessionFactory
from tweeter.timelines import followers, queries
from tweeter.timelines.hydrate import Hydrator
from tweeter.values import AccountClosed, Event, ProfileChanged, Timeline, TweetCreated, TweetsDeleted

STRETCH = 8000  # followers read from SQL at a time (fewer at first), and read again once they are written
CHUNK = 2000  # of them, written to the store at a time; and tweets read


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


class Streams:
    """Makes the streams of one store and cache. `guard` is as of Projector."""

    def __init__(
        self, store: ITimelineStore, hydrator: Hydrator, sessions: SessionFactory, guard: Callable[[], None]
    ) -> None:
        self._store = store
        self._hydrator = hydrator
        self._cache = hydrator.cache
        self._sessions = sessions
        self._guard = guard

    def of(self, event: Event, resume: int = 0) -> Stream:
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
        """The followers in ascending order, each stretch read in a transaction of its own.

        The first ones are shorter, so that the store has work while the next one is read.
        """
        for limit in chain(range(CHUNK, STRETCH, CHUNK), repeat(STRETCH)):
            with self._sessions() as session:
                stretch = followers.after(session, user_id, after, limit)
            if stretch:
                yield stretch
                after = stretch[-1]
            if len(stretch) < limit:
                return

    def _cut(self, stretches: Iterable[Sequence[int]], begun: deque[Sequence[int]]) -> Iterator[Sequence[int]]:
        """The stretches in chunks; notes which stretches were begun."""
        for stretch in stretches:
            begun.append(stretch)
            for first in range(0, len(stretch), CHUNK):
                self._guard()
                yield stretch[first : first + CHUNK]

    def _forget_author(self, user_id: int, before: int, replies: bool) -> Iterator[int]:
        """Takes all tweets of an author out of the cache, newest first, and the replies to them."""
        before = before or MAX_ID + 1
        while True:
            with self._sessions() as session:
                ids = queries.tweet_ids(session, user_id, before, CHUNK)
            if not ids:
                return
            self._guard()
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
            self._guard()
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
                self._guard()
                self._cache.invalidate(ids)
                last = ids[-1]
                yield last if single else 0
