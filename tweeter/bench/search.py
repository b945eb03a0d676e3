"""Searches of a large site: words, parts of words and hashtags, from frequent to absent.

The frequencies of the words follow Zipf's law, and the tweets are spread over ten years. Each search reads the first
page of 20 tweets, without the web application. On PostgreSQL the same texts are also searched with ILIKE and a plain
index of pg_trgm, if that extension is available. Both find the same tweets, unless a search ended early, which is
reported.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from tweeter.bench.figures import Figures, percentile, rotate
from tweeter.bench.scratch import Scratch
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import count
from tweeter.db.sessions import make_sessions
from tweeter.ids import EPOCH_MS, SEQUENCE_BITS
from tweeter.search.grams import pattern
from tweeter.search.tweets import MOST, find_tweets
from tweeter.values import Cursor

PEOPLE = 1000
WORDS = 20_000
LENGTH = 9  # words of a tweet
YEARS = 10
RARE = 10  # tweets that contain the rare word
LONGEST = 250  # milliseconds, the target of the worst search
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
PLAIN = """
    SELECT id FROM tweets WHERE folded ILIKE :pattern AND user_id NOT IN (SELECT id FROM users WHERE closed)
    ORDER BY id DESC LIMIT 21
    """


class Query(NamedTuple):
    name: str
    words: str


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tweets", type=count, default=1_000_000, metavar="N", help="tweets (default 1000000)")
    parser.add_argument("--runs", type=count, default=9, metavar="N", help="searches per text, in turns (default 9)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"Searches among {args.tweets:,} tweets", "milliseconds")
    with scratch.machinery("sql") as registry:
        engine = registry.database.engine
        queries = _fill(scratch, engine, args.tweets)
        found: dict[str, list[int]] = {}
        ended: dict[str, int] = {}
        contenders = {query.name: _search(engine, query, found, ended) for query in queries}
        others: dict[str, list[int]] = {}
        if _index_plainly(scratch, engine, figures):
            texts = [query for query in queries if not query.words.startswith("#")]
            contenders |= {_plainly(query): _search_plainly(engine, query, others) for query in texts}
        figures.add(rotate(scratch.progress, contenders, args.runs, "Searches"))
    for query in queries:
        if (name := _plainly(query)) in figures.runs:
            figures.compare(f"{query.name}: plain pg_trgm / search", name, query.name)
            if found[query.name] != others[name] and query.name not in ended:
                figures.notes.append(f"{query.name}: pg_trgm finds other tweets.")
        early = f"; it ended early, at {MOST:,} tweets or after its time" if query.name in ended else ""
        figures.notes.append(f"{query.name}, {query.words!r}: {len(found[query.name])} tweets on the page{early}")
    worst = max(max(figures.runs[query.name]) for query in queries)
    figures.claim("the worst search", worst, most=LONGEST, unit="ms")
    for percent in (50, 95):
        values = [value for query in queries for value in figures.runs[query.name]]
        figures.claim(f"{percent}th percentile of all searches", percentile(values, percent), unit="ms")
    return figures


def _fill(scratch: Scratch, engine: Engine, tweets: int) -> list[Query]:
    """Adds the tweets. Returns what is searched for."""
    chance = random.Random(1)  # noqa: S311 (no secret)
    vocabulary: list[str] = []
    while len(vocabulary) < WORDS:
        word = "".join(chance.choices(SYLLABLES, k=chance.randint(2, 4)))
        if word not in vocabulary[:100]:
            vocabulary.append(word)
    weights = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))
    end = time.time_ns() // 1_000_000 - EPOCH_MS << SEQUENCE_BITS
    first = end - (YEARS * 365 * 86_400_000 << SEQUENCE_BITS)
    rare = set(chance.sample(range(tweets), min(RARE, tweets)))

    def messages(people: Sequence[int]) -> Iterator[tuple[int, int, str]]:
        for n in range(tweets):
            words = chance.choices(vocabulary, cum_weights=weights, k=LENGTH)
            if n % 20 == 0:
                words[-1] = f"#{words[-1]}"
            if n in rare:
                words[0] = "quixotry"
            yield first + n * (end - first) // tweets, people[n % len(people)], " ".join(words)

    with bulk_rows(engine, scratch.progress, indexes=False) as rows:
        rows.tweets(messages(rows.people(PEOPLE)), tweets)
    middle, seldom = vocabulary[300], vocabulary[-1]
    return [
        Query("a frequent word", vocabulary[0]),
        Query("a word of the middle", middle),
        Query("a seldom word", seldom),
        Query("a rare word", "quixotry"),
        Query("a part of a frequent word", vocabulary[1][1:4]),
        Query("a part of the rare word", "uixotr"),
        Query("two words in a row", f"{vocabulary[0]} {middle}"),
        Query("two letters", "qu"),
        Query("an absent word", "xylophonq"),
        Query("an absent word of frequent parts", vocabulary[0] + vocabulary[1] + vocabulary[2]),
        Query("a frequent hashtag", f"#{vocabulary[0]}"),
        Query("an absent hashtag", "#xylophonq"),
    ]


def _search(engine: Engine, query: Query, found: dict[str, list[int]], ended: dict[str, int]) -> Callable[[], float]:
    sessions = make_sessions(engine)

    def measure() -> float:
        with sessions() as session:
            session.connection()
            began = time.perf_counter()
            page = find_tweets(session, query.words, Cursor(limit=20))
            took = 1000 * (time.perf_counter() - began)
        found[query.name] = [view.id for view in page.page.tweets]
        if page.looked_until is not None:
            ended[query.name] = page.looked_until
        return took

    return measure


def _plainly(query: Query) -> str:
    return f"pg_trgm: {query.name}"


def _index_plainly(scratch: Scratch, engine: Engine, figures: Figures) -> bool:
    """Creates a plain index of trigrams. Returns False if that is not possible."""
    if engine.dialect.name != "postgresql":
        return False
    scratch.progress.phase("The index of pg_trgm", None)
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            connection.execute(text("CREATE INDEX plain_trigrams ON tweets USING gin (folded gin_trgm_ops)"))
            sizes = {
                name: connection.execute(text("SELECT pg_relation_size(CAST(:name AS regclass))"), {"name": name})
                .scalar_one() / 1e6
                for name in ("ix_tweets_search", "plain_trigrams")
            }  # fmt: skip
    except SQLAlchemyError as error:
        figures.notes.append(
            f"pg_trgm is not available, so nothing is compared with it: {getattr(error, 'orig', error)}"
        )
        return False
    search, plain = sizes.values()
    figures.notes.append(f"The index of search has {search:,.0f} MB, that of pg_trgm {plain:,.0f} MB.")
    return True


def _search_plainly(engine: Engine, query: Query, found: dict[str, list[int]]) -> Callable[[], float]:
    values: dict[str, Any] = {"pattern": pattern(query.words)}

    def measure() -> float:
        with engine.connect() as connection:
            began = time.perf_counter()
            found[_plainly(query)] = list(connection.execute(text(PLAIN), values).scalars())[:20]
            return 1000 * (time.perf_counter() - began)

    return measure
