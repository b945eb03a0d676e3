"""The dial: test readers who follow 10, 100, 1,000 or 5,000 authors, so that the lab shows a cost that grows.

The authors tweeted in January 2006, before any real tweet, so on the site's own pages their tweets come last. They are
inserted in bulk. Afterwards all timelines are cold (`Reloaded`): a timeline may have been complete without them.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from tweeter import outbox
from tweeter.batches import batched
from tweeter.bulk.database import BulkDatabase
from tweeter.db.sessions import write
from tweeter.ids import EPOCH_MS, SEQUENCE_BITS, date_of, first_id_of_ms
from tweeter.lab import accounts
from tweeter.lab.jobs import Job, Phase
from tweeter.models import Mention, Relationship, Tweet, User
from tweeter.outbox.site import end_load
from tweeter.text import fold
from tweeter.values import Reloaded

READERS = {10: "lab_follows_10", 100: "lab_follows_100", 1_000: "lab_follows_1000", 5_000: "lab_follows_5000"}
STEM = "lab_author_"
AUTHORS = max(READERS)
TWEETS = 20  # of each author
SPACING = 20_000  # milliseconds between two tweets
CHUNK = 1_000  # authors per transaction
LAST = first_id_of_ms(EPOCH_MS + AUTHORS * TWEETS * SPACING)  # above all their ids


def ready(session: Session) -> bool:
    """Whether all readers exist and follow as many authors as they should."""
    rows = session.execute(
        select(User.username_key, User.following_count).where(User.username_key.in_(READERS.values()), *accounts.ours())
    )
    counts: dict[str, int] = {name: following for name, following in rows}  # noqa: C416 (mypy: dict takes no rows)
    return all(counts.get(name) == size for size, name in READERS.items())


def make(registry: Registry, job: Job) -> None:
    """Creates what is missing of the authors, their tweets and the readers. Raises Refused if a name is taken."""
    names = [_name(number) for number in range(AUTHORS)]
    with registry.database.sessions() as session:
        authors = accounts.missing(session, STEM, names)
        readers = accounts.missing(session, "lab_follows_", list(READERS.values()))
    with closing(BulkDatabase(registry.database.engine)) as database:
        phase = job.phase("Authors and their tweets", len(authors), "authors")
        for chunk in batched(authors, CHUNK):
            database.commit(lambda _, chunk=chunk: _add_authors(database, chunk))  # type: ignore[misc]
            phase.advance(len(chunk))
        phase = job.phase("Readers", len(readers), "readers")
        for size, name in READERS.items():
            if name in readers:
                database.commit(lambda _, size=size, name=name: _add_reader(database, name, size))  # type: ignore[misc]
                phase.advance(1)
        database.analyze("users", "relationships", "tweets")
    end_load(registry.database.sessions)


def _name(number: int) -> str:
    return f"{STEM}{number:04}"


def _add_authors(database: BulkDatabase, names: Sequence[str]) -> bool:
    accounts.add(database, names, tweets=TWEETS)
    there = database.execute(
        "SELECT username_key, id FROM users WHERE username_key BETWEEN :first AND :last AND bio = :bio",
        first=names[0], last=names[-1], bio=accounts.BIO,
    )  # fmt: skip
    ids = {name: id_ for name, id_ in there}  # noqa: C416
    rows = _tweets(((int(name.removeprefix(STEM)), ids[name]) for name in names), database.postgresql)
    database.insert_rows("tweets", ("id", "user_id", "message", "date", "folded"), rows)
    return True


def _tweets(authors: Iterator[tuple[int, int]], postgresql: bool) -> Iterator[tuple[Any, ...]]:
    """Rows of tweets by authors of these numbers and ids: all authors tweet once, then all of them again."""
    for number, user_id in authors:
        for n in range(TWEETS):
            id_ = (n * AUTHORS + number) * SPACING << SEQUENCE_BITS
            date = date_of(id_)
            message = f"Tweet {n + 1} of author {number}, for the dial of the lab."
            stored = date if postgresql else date.isoformat(" ", "microseconds")[:26]
            yield id_, user_id, message, stored, fold(message)


def _add_reader(database: BulkDatabase, name: str, size: int) -> bool:
    """A reader who follows so many of the authors, at equal distances."""
    accounts.add(database, [name], followees=size)
    reader = database.execute("SELECT id FROM users WHERE username_key = :name", name=name).scalar_one()
    followees = {_name(number) for number in range(0, AUTHORS, AUTHORS // size)}
    authors = database.execute(
        "SELECT username_key, id FROM users WHERE username_key BETWEEN :first AND :last AND bio = :bio",
        first=_name(0), last=_name(AUTHORS - 1), bio=accounts.BIO,
    )  # fmt: skip
    pairs = sorted((reader, id_) for key, id_ in authors if key in followees)
    database.insert_rows("relationships", ("from_user_id", "to_user_id"), pairs)
    database.execute(
        "UPDATE users SET followers_count = followers_count + 1 "
        "WHERE id IN (SELECT to_user_id FROM relationships WHERE from_user_id = :reader)",
        reader=reader,
    )
    return True


def remove(registry: Registry, phase: Phase) -> None:
    """Removes the readers and the authors, except accounts that other people follow or mention."""
    sessions = registry.database.writing_sessions
    name = ""
    while True:
        with sessions.begin() as session:
            rows = session.execute(
                select(User.username_key, User.id)
                .where(User.username_key.startswith(STEM, autoescape=True), User.username_key > name, *accounts.ours())
                .order_by(User.username_key)
                .limit(CHUNK)
            ).all()
            if not rows:
                break
            name = rows[-1][0]
            phase.advance(_remove_authors(session, [id_ for _, id_ in rows]))
    with sessions.begin() as session:
        phase.advance(_remove_unused(session, User.username_key.in_(READERS.values())))


def _remove_authors(session: Session, ids: list[int]) -> int:
    readers = select(User.id).where(User.username_key.in_(READERS.values()), *accounts.ours())
    follows = Relationship.to_user_id.in_(ids) & Relationship.from_user_id.in_(readers)
    for counter, column, own in (
        (User.followers_count, Relationship.to_user_id, ids),
        (User.following_count, Relationship.from_user_id, readers),
    ):
        number = select(func.count()).where(column == User.id, follows).scalar_subquery()
        write(session, update(User).where(User.id.in_(own)).values({counter: counter - number}))
    write(session, delete(Relationship).where(follows))
    made = Tweet.user_id.in_(ids) & (Tweet.id < LAST)
    number = select(func.count()).where(Tweet.user_id == User.id, Tweet.id < LAST).scalar_subquery()
    write(session, update(User).where(User.id.in_(ids)).values(tweets_count=User.tweets_count - number))
    write(session, delete(Tweet).where(made))
    outbox.record(session, Reloaded())  # caches have the tweets, too
    return _remove_unused(session, User.id.in_(ids))


def _remove_unused(session: Session, which: Any) -> int:
    mentioned = select(Mention).where(Mention.user_id == User.id).exists()
    unused = (User.tweets_count == 0) & (User.followers_count == 0) & (User.following_count == 0) & ~mentioned
    return write(session, delete(User).where(which, *accounts.ours(), unused))
