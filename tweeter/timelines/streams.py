"""Long events, applied step by step: large fan-outs, and invalidation of thousands of cached tweets."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, repeat

from sqlalchemy.exc import SQLAlchemyError

from tweeter.db.sessions import SessionFactory
from tweeter.errors import BackendUnavailable
from tweeter.ids import MAX_ID
from tweeter.interfaces import IBulkStore, ITimelineStore
from tweeter.timelines import followers, queries
from tweeter.timelines.celebrities import mark
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import CELEBRITIES, Kinds
from tweeter.values import AccountClosed, Event, ProfileChanged, Timeline, TweetCreated, TweetsDeleted

STRETCH = 8000  # followers per read from SQL (the first reads are smaller), and per second read after the write
CHUNK = 2000  # followers per write to the store; tweets per read


class Stream:
    """A long event that is applied step by step, in turns with others.

    `resume` is the id up to which its followers (or tweets) are done: a resumed stream continues after it. While it
    `waits` for others, a step would do nothing.
    """

    waits = False

    def __init__(self, event: Event, resume: int, steps: Callable[[int], Iterator[int]]) -> None:
        self.event = event
        self.resume = resume
        self._steps = steps(resume)

    def step(self) -> bool:
        """Does the next step; returns False if none was left."""
        done = next(self._steps, None)
        if done is None:
            return False
        self.resume = done
        return True

    def close(self) -> None:
        """Abandons the stream."""
        self._steps.close()  # type: ignore[attr-defined]  # all are generators


class Streams:
    """Makes the streams of one store and cache. `guard` is Projector's.

    `marked` is called for a celebrity when each follower's celebrities contain them.
    """

    def __init__(
        self,
        store: ITimelineStore,
        hydrator: Hydrator,
        sessions: SessionFactory,
        kinds: Kinds,
        guard: Callable[[], None],
        marked: Callable[[int], None] = lambda user_id: None,
    ) -> None:
        self._store = store
        self._hydrator = hydrator
        self._cache = hydrator.cache
        self._sessions = sessions
        self._kinds = kinds
        self._guard = guard
        self._marked = marked

    def of(self, event: Event, resume: int = 0, marks: bool = False) -> Stream:
        """The stream of a long event, from its beginning or continued after `resume`.

        `marks`: the fan-out of a tweet also adds its author to the celebrities of each follower.
        """
        match event:
            case TweetCreated(tweet_id, user_id, _, of):
                return Stream(
                    event,
                    resume,
                    lambda after: self._fan_out(tweet_id, user_id, of, after, self._stretches(user_id, after), marks),
                )
            case TweetsDeleted(tweet_ids):
                return Stream(event, resume, lambda after: self._forget_replies(tweet_ids, after))
            case ProfileChanged(user_id):
                return Stream(event, resume, lambda before: self._forget_author(user_id, before, replies=False))
            case AccountClosed(user_id):
                # Tweets that are removed from SQL already have TweetsDeleted events of their own.
                return Stream(event, resume, lambda before: self._forget_author(user_id, before, replies=True))
        raise TypeError(f"{event!r} is never a stream")

    def fan_out_between(self, tweet_id: int, user_id: int, first: int, last: int) -> None:
        """Fans out to the followers in a range of ids, unless the tweet was deleted."""
        if tweet := self._hydrator.tweets([tweet_id])[tweet_id]:
            with self._sessions() as session:
                stretch = followers.between(session, user_id, first, last)
            for _ in self._fan_out(tweet_id, user_id, tweet.repost_of or 0, first, [stretch] if stretch else []):
                pass

    def _fan_out(
        self, tweet_id: int, user_id: int, of: int, after: int, stretches: Iterable[Sequence[int]], marks: bool = False
    ) -> Generator[int, None, None]:
        """Fans out to the followers in `stretches`; yields the id up to which all above `after` have the tweet."""
        begun: deque[Sequence[int]] = deque()
        written = 0
        writing: list[Generator[Sequence[int], None, None]] = [self._cut(stretches, begun)]
        for kind in self._kinds.of_followers(reposts=bool(of)):
            writing.append(self._add_to_each(kind, writing[-1], tweet_id, of))
        if marks:
            writing.append(self._add_to_each(CELEBRITIES, writing[-1], mark(user_id)))
        try:
            for chunk in writing[-1]:
                written += len(chunk)
                if written == len(begun[0]):
                    self._recheck(begun[0], user_id)
                    after = begun.popleft()[-1]
                    written = 0
                    if not self._hydrator.tweets([tweet_id])[tweet_id]:
                        return  # the tweet was deleted; read repair removes the ids delivered so far
                yield after
            if marks:
                self._marked(user_id)
        finally:
            for each in reversed(writing):
                each.close()
            for stretch in begun:  # not empty if the stream is abandoned midway
                self._recheck_or_drop(stretch, user_id)

    def _recheck(self, stretch: Sequence[int], user_id: int) -> None:
        """Reads the followers of this stretch again after the write, and drops the timelines of those who left."""
        with self._sessions() as session:
            still = followers.between(session, user_id, stretch[0], stretch[-1])
        if still != stretch:
            self._store.drop(self._kinds.keys_to_drop(set(stretch).difference(still)))

    def _recheck_or_drop(self, stretch: Sequence[int], user_id: int) -> None:
        """Like `_recheck`, for a relay that gives up: suppresses errors of SQL and the store."""
        with suppress(BackendUnavailable):
            try:
                self._recheck(stretch, user_id)
            except SQLAlchemyError:
                self._store.drop(self._kinds.keys_to_drop(stretch))

    def _add_to_each(
        self, kind: str, chunks: Iterator[Sequence[int]], tweet_id: int, of: int = 0
    ) -> Generator[Sequence[int], None, None]:
        chunks = self._guarded(chunks)
        if IBulkStore.providedBy(self._store):
            yield from self._store.add_to_each(kind, chunks, tweet_id, of)
            return
        for chunk in chunks:
            self._store.add([Timeline(kind, follower_id).key for follower_id in chunk], tweet_id, of)
            yield chunk

    def _stretches(self, user_id: int, after: int) -> Iterator[Sequence[int]]:
        """The followers in ascending order; each stretch is read in a transaction of its own.

        The first stretches are shorter, so that the store has work early while the next stretch is read.
        """
        for limit in chain(range(CHUNK, STRETCH, CHUNK), repeat(STRETCH)):
            with self._sessions() as session:
                stretch = followers.after(session, user_id, after, limit)
            if stretch:
                yield stretch
                after = stretch[-1]
            if len(stretch) < limit:
                return

    def _cut(
        self, stretches: Iterable[Sequence[int]], begun: deque[Sequence[int]]
    ) -> Generator[Sequence[int], None, None]:
        """Cuts the stretches into chunks; appends each stretch to `begun` before its first chunk."""
        for stretch in stretches:
            begun.append(stretch)
            for first in range(0, len(stretch), CHUNK):
                yield stretch[first : first + CHUNK]

    def _guarded(self, chunks: Iterator[Sequence[int]]) -> Iterator[Sequence[int]]:
        """Calls `guard` before the write of each chunk. The writes of several kinds may be seconds apart."""
        for chunk in chunks:
            self._guard()
            yield chunk

    def _forget_author(self, user_id: int, before: int, replies: bool) -> Iterator[int]:
        """Invalidates all cached tweets of an author, newest first, and with `replies` the replies to them."""
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
        """Invalidates the cached replies to these tweets.

        Mostly there are few, and one statement finds them. Many are read tweet by tweet, so that every statement is an
        index scan. Only the stream of a single tweet can resume after a reply; one of several tweets starts over.
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
