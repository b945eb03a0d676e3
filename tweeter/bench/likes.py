"""Likes of one tweet by many people at once, beside the same likes spread over many tweets.

Processes with several threads like tweets and take the likes back as fast as they can. Each action has another user and
a transaction of its own. Each process also counts the likes in the background, like every process of a site. If
transactions that like one tweet waited for each other, it would have fewer likes a second than many tweets have.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import func, select

import tweeter
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, percentile, rotate
from tweeter.bench.scratch import Scratch
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.ids import generate_id
from tweeter.models import CounterChange, Like
from tweeter.services.actions import acting
from tweeter.services.counters import count_some
from tweeter.timelines.queries import load_tweets

LIKERS = 500  # of each thread
RATE = 1000  # likes a second, the target
OF_MANY = 0.9  # target: likes of one tweet, relative to likes of many
WARM_UP = 1.0  # seconds
ONE, MANY = "one tweet", "many tweets"

_registry: Any = None  # of this process
_liked: set[tuple[int, int]] = set()  # users and tweets, of the likes that this process has not taken back


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=count, default=2, metavar="N", help="processes that like (default 2)")
    parser.add_argument("--threads", type=count, default=8, metavar="N", help="threads of each process (default 8)")
    parser.add_argument("--tweets", type=count, default=1000, metavar="N", help="the many tweets (default 1000)")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="seconds per measurement (default 3)")
    parser.add_argument("--runs", type=count, default=5, metavar="N", help="measurements of each, in turns (default 5)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures("Likes, and likes taken back", "a second")
    latencies: dict[str, list[float]] = {ONE: [], MANY: []}
    with ExitStack() as stack:
        registry = stack.enter_context(scratch.machinery("sql"))
        tweets, likers = _fill(scratch, registry, args)
        children = [stack.enter_context(_liking(scratch.settings("sql"))) for _ in range(args.processes)]

        def contender(name: str, some: Sequence[int]) -> Callable[[], float]:
            def measure() -> float:
                for number, child in enumerate(children):
                    child.begin(like_some, some, likers[number :: args.processes], args.seconds)
                took = [seconds for child in children for seconds in child.result()]
                latencies[name] += took
                return len(took) / args.seconds

            return measure

        for number, child in enumerate(children):  # its first statements are compiled
            child.begin(like_some, tweets, likers[number :: args.processes], WARM_UP)
        for child in children:
            child.result()
        contenders = {ONE: contender(ONE, tweets[:1]), MANY: contender(MANY, tweets[1:])}
        figures.add(rotate(scratch.progress, contenders, args.runs, "Likes"))
        liked = Counter(tweet for child in children for _, tweet in child.call(still_liked))
        pending = _check(registry, tweets, liked)
    figures.claim("likes of one tweet", sorted(figures.runs[ONE])[args.runs // 2], least=RATE, unit="a second")
    figures.compare(f"{ONE} / {MANY}", ONE, MANY, least=OF_MANY)
    for name, took in latencies.items():
        for percent in (50, 99):
            claim = f"{name}: {percent}th percentile of the time of a like"
            figures.claim(claim, 1000 * percentile(took, percent), unit="ms")
    figures.notes.append(
        f"All counts are exact: {sum(liked.values()):,} likes are left, {liked[tweets[0]]:,} of them of the one tweet; "
        f"{pending:,} changes were not added to the tweets' rows at the end, then all were."
    )
    return figures


def _fill(scratch: Scratch, registry: Registry, args: argparse.Namespace) -> tuple[list[int], list[range]]:
    """The ids of the tweets, and those of the likers of each thread."""
    threads = args.processes * args.threads
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        people = rows.people(1 + threads * LIKERS)
        tweets = [generate_id() for _ in range(1 + args.tweets)]
        rows.tweets(((id_, people[0], "Of everyday size.") for id_ in tweets), len(tweets))
    return tweets, [people[first : first + LIKERS] for first in range(1, len(people), LIKERS)]


def _check(registry: Registry, tweets: Sequence[int], liked: Mapping[int, int]) -> int:
    """Raises CommandError unless the count of each tweet is exact, before and after all changes are added.

    Returns the number of changes that were not added before.
    """
    with registry.database.sessions() as session:
        pending = session.scalars(select(func.count(CounterChange.id))).one()
    for added in (False, True):
        while added and count_all(registry):
            pass
        with registry.database.sessions() as session:
            shown = {id_: view.likes for id_, view in load_tweets(session, tweets).items()}
            counted = session.execute(select(Like.tweet_id, func.count()).group_by(Like.tweet_id)).all()
            rows = {tweet_id: likes for tweet_id, likes in counted}  # noqa: C416 (dict() misunderstands a row)
        for tweet in tweets:
            if not shown[tweet] == rows.get(tweet, 0) == liked.get(tweet, 0):
                raise CommandError(
                    f"Tweet {tweet} shows {shown[tweet]} likes, has {rows.get(tweet, 0)}, and should have "
                    f"{liked.get(tweet, 0)}."
                )
    return pending


def count_all(registry: Registry) -> int:
    """Adds some changes to the counters. Returns their number."""
    with registry.database.writing_sessions.begin() as session:
        return count_some(session)


@contextmanager
def _liking(settings: dict[str, Any]) -> Any:
    """A process of the site that likes tweets."""
    with closing(Child()) as child:
        child.call(begin, settings)
        yield child
        child.call(end)


def begin(settings: Mapping[str, Any]) -> None:
    """Starts a site in this process."""
    global _registry
    _registry = tweeter.make_registry(settings)
    tweeter.start(_registry)


def end() -> None:
    tweeter.shut_down(_registry)


def still_liked() -> list[tuple[int, int]]:
    """The likes that this process has not taken back: users and tweets."""
    return list(_liked)


def like_some(tweets: Sequence[int], likers: Sequence[Sequence[int]], seconds: float) -> list[float]:
    """Likes tweets, or takes the likes back, a thread per group of users. Returns the seconds of each action."""
    deadline = time.perf_counter() + seconds
    with ThreadPoolExecutor(len(likers)) as threads:
        return [one for took in threads.map(lambda users: _toggle(tweets, users, deadline), likers) for one in took]


def _toggle(tweets: Sequence[int], users: Sequence[int], deadline: float) -> list[float]:
    took = []
    turn = 0
    while (began := time.perf_counter()) < deadline:
        pair = user, tweet = users[turn % len(users)], tweets[users[turn % len(users)] % len(tweets)]
        with acting(_registry) as actions:
            if pair in _liked:
                actions.unlike(user, tweet)
            else:
                actions.like(user, tweet)
        took.append(time.perf_counter() - began)
        _liked.symmetric_difference_update([pair])
        turn += 1
    return took
