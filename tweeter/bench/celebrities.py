"""Celebrities: a post and a warm home page, where tweets of authors with many followers are pushed and where merged.

Two sites share one database, and each has timelines of its own in Redis; one has `tweeter.celebrity_followers`. A
celebrity's tweet is delivered to N warm timelines on the first, and to the timeline of all celebrities on the second.
Readers follow few authors, and 0, 10 or 100 celebrities besides, whose tweets fill a timeline. Their pages are read
within one process, without the web application, and compared with those of SQL.
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from time import perf_counter
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import update

from tweeter.bench.figures import Figures, rotate
from tweeter.bench.given import redis_client
from tweeter.bench.machinery import PATIENT, by_hand, machinery, post
from tweeter.bench.scratch import Scratch
from tweeter.bench.warm import RedisKey, shuffled
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.ids import generate_id
from tweeter.interfaces import ITimelines
from tweeter.models import User
from tweeter.timelines.kinds import celebrities_key
from tweeter.values import Cursor, Timeline, TweetCreated

FOLLOWED = (0, 10, 100)  # celebrities whom a reader follows
FEW = 50  # other followees
PAGES = 200  # per measurement
PUSHED, MERGED = "pushed", "merged"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--followers", type=count, default=100_000, metavar="N", help="followers of the author (default 100000)"
    )
    parser.add_argument(
        "--tweets", type=count, default=8, metavar="N", help="of each celebrity (default 8: all fill a timeline)"
    )
    parser.add_argument("--runs", type=count, default=9, metavar="N", help="runs per contender, in turns (default 9)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures("Celebrities", "milliseconds")
    with ExitStack() as stack:
        sites = {
            name: stack.enter_context(machinery(_settings(scratch, name, args.followers))) for name in (PUSHED, MERGED)
        }
        timelines = {name: by_hand(registry) for name, registry in sites.items()}
        readers, celebrities, followers = _people(scratch, sites[PUSHED], args.followers)
        for reader in readers:
            for each in (timelines[MERGED], timelines[MERGED], timelines[PUSHED]):  # the second page reads the marks
                each.page(Timeline("home", reader), Cursor())
        _tweet(scratch, sites[PUSHED], timelines.values(), celebrities, readers, args.tweets)
        _check(sites, readers)
        first = timelines[PUSHED]
        first.page(Timeline("home", followers[0]), Cursor())
        with redis_client(scratch.redis) as client:
            [name] = client.scan_iter(match=f"{scratch.prefix}{PUSHED}:*home:{followers[0]}", count=1000)
            key = RedisKey(client, name)
            key.copy(key.stem, shuffled(followers, 1))
        contenders = {f"a post, {name}": _deliveries(registry, celebrities[0]) for name, registry in sites.items()} | {
            f"a page, {name}, {number} celebrities": _pages(timelines[name], reader)
            for reader, number in zip(readers, FOLLOWED, strict=True)
            for name in sites
        }
        figures.add(rotate(scratch.progress, contenders, args.runs))
    ratio = f"a post to {args.followers:,} followers: {PUSHED} / {MERGED}"
    figures.compare(ratio, f"a post, {PUSHED}", f"a post, {MERGED}")
    for number in FOLLOWED:
        one, other = (f"a page, {name}, {number} celebrities" for name in sites)
        figures.compare(f"a page, {number} celebrities: {MERGED} / {PUSHED}", other, one)
    figures.notes.append("A page is measured without the web application.")
    return figures


def _settings(scratch: Scratch, name: str, followers: int) -> dict[str, Any]:
    settings = scratch.settings("redis", **PATIENT)
    settings["tweeter.redis.prefix"] = f"{scratch.prefix}{name}:"
    return settings | {"tweeter.celebrity_followers": followers if name == MERGED else 0}


def _people(scratch: Scratch, registry: Registry, followers: int) -> tuple[list[int], list[int], range]:
    """The readers, the celebrities, and the followers of the first celebrity."""
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        people = rows.people(len(FOLLOWED) + FEW + max(FOLLOWED) + followers)
        readers, rest = people[: len(FOLLOWED)], people[len(FOLLOWED) :]
        few, celebrities, others = rest[:FEW], rest[FEW : FEW + max(FOLLOWED)], rest[FEW + max(FOLLOWED) :]
        pairs = [(reader, author) for reader in readers for author in few]
        for reader, number in zip(readers, FOLLOWED, strict=True):
            # The last ones: the first is the one with followers, whose posts are measured.
            pairs += [(reader, author) for author in celebrities[len(celebrities) - number :]]
        pairs += [(other, celebrities[0]) for other in others]
        rows.follows(pairs, len(pairs))
        rows.tweets(((generate_id(), author, "Of everyday size.") for author in few), len(few))
    with registry.database.writing_sessions.begin() as session:
        session.execute(update(User).where(User.id.in_(celebrities)).values(followers_count=followers))
    return list(readers), list(celebrities), others


def _tweet(
    scratch: Scratch, registry: Registry, timelines: Any, celebrities: list[int], readers: list[int], tweets: int
) -> None:
    """The celebrities tweet in turns, and between them the readers themselves."""
    scratch.progress.phase("Tweets of celebrities", tweets)
    authors = cycle(readers)
    for _ in range(tweets):
        for number, celebrity in enumerate(celebrities[1:]):
            for author in [celebrity, next(authors)] if number % 4 == 0 else [celebrity]:
                event = TweetCreated(post(registry, author), author)
                for each in timelines:
                    for _ in each.projector.deliver(event):
                        pass
        scratch.progress.advance(1)


def _check(sites: dict[str, Registry], readers: list[int]) -> None:
    """Raises CommandError unless both sites show the same pages, and one of them merged tweets into its pages."""
    for reader in readers:
        home = Timeline("home", reader)
        one, other = (registry.getUtility(ITimelines) for registry in sites.values())
        with sites[PUSHED].database.read_sessions() as session:
            expected = one._kinds["home"].read_ids(session, reader, Cursor().limit)
        if any([tweet.id for tweet in each.page(home, Cursor()).tweets] != expected for each in (one, other)):
            raise CommandError(f"The pages of user {reader} are not those of SQL.")
    merged = sites[MERGED].getUtility(ITimelines).store
    if not merged.read(celebrities_key(readers[-1]), Cursor().before, 1).ids:
        raise CommandError("No tweets were merged.")


def _deliveries(registry: Registry, author: int) -> Callable[[], float]:
    """Posts, and returns the milliseconds until the tweet is delivered."""
    projector = registry.getUtility(ITimelines).projector
    _deliver(projector, registry, author)

    def measure() -> float:
        return _deliver(projector, registry, author)

    return measure


def _deliver(projector: Any, registry: Registry, author: int) -> float:
    event = TweetCreated(post(registry, author), author)
    began = perf_counter()
    for _ in projector.deliver(event):
        pass
    return 1000 * (perf_counter() - began)


def _pages(timelines: Any, reader: int) -> Callable[[], float]:
    """The milliseconds of a warm page."""
    home = Timeline("home", reader)

    def measure() -> float:
        timelines.page(home, Cursor())
        began = perf_counter()
        for _ in range(PAGES):
            timelines.page(home, Cursor())
        return 1000 * (perf_counter() - began) / PAGES

    return measure
