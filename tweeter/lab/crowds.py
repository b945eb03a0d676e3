"""Test accounts with 10 to 1,000,000 followers, created and removed in bulk.

A follower and its follow are inserted in the same transaction, before its timeline can have been read. So no
materialized timeline changes, and no event is needed.
"""

from contextlib import closing
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from tweeter.batches import batched
from tweeter.bulk.database import BulkDatabase
from tweeter.db.sessions import write
from tweeter.lab import accounts
from tweeter.lab.jobs import Job, Phase
from tweeter.models import Mention, Relationship, User

NAMES = {10: "lab_ten", 1_000: "lab_thousand", 20_000: "lab_crowd", 200_000: "lab_city", 1_000_000: "lab_million"}
CHUNK = 20_000  # accounts per transaction


def gather(registry: Registry, size: int, job: Job) -> tuple[int, list[int]]:
    """The id of the account with so many followers, and their ids. Creates missing ones."""
    stem = NAMES[size]
    author = accounts.one(registry, stem)
    with registry.database.sessions() as session:
        digits = max(5, len(str(size)))
        names = [f"{stem}_{number:0{digits}}" for number in range(1, size + 1)]
        own = select(func.count()).where(User.username_key.startswith(f"{stem}_", autoescape=True), *accounts.ours())
        missing = [] if session.scalar(own) == size else accounts.missing(session, f"{stem}_", names)
    if missing:
        phase = job.phase("Accounts created", len(missing), "accounts")
        with closing(BulkDatabase(registry.database.engine)) as database:
            for chunk in batched(missing, CHUNK):
                database.commit(lambda _, chunk=chunk: _make(database, author, chunk))  # type: ignore[misc]
                phase.advance(len(chunk))
            database.analyze("users", "relationships")
    with registry.database.sessions() as session:
        followers = session.scalars(
            select(Relationship.from_user_id)
            .join(User, User.id == Relationship.from_user_id)
            .where(Relationship.to_user_id == author, *_silent())
            .order_by(User.id)
        )
        return author, list(followers)


def _make(database: BulkDatabase, author: int, names: list[str]) -> None:
    last = database.execute("SELECT coalesce(max(id), 0) FROM users").scalar_one()
    accounts.add(database, names, followees=1)
    database.execute(
        "INSERT INTO relationships (from_user_id, to_user_id) SELECT id, :author FROM users "
        "WHERE id > :last AND bio = :bio AND following_count = 1",
        author=author, last=last, bio=accounts.BIO,
    )  # fmt: skip
    database.execute(
        "UPDATE users SET followers_count = followers_count + :n WHERE id = :author", n=len(names), author=author
    )


def _silent() -> tuple[Any, ...]:
    """Lab accounts that follow one account and have no tweets: their timelines hold only that account's tweets."""
    return *accounts.ours(), User.following_count == 1, User.tweets_count == 0


def remove(registry: Registry, phase: Phase) -> None:
    """Removes silent followers, a chunk at a time: they follow one lab account and have no followers or mentions."""
    for name in NAMES.values():
        with registry.database.sessions() as session:
            author = session.scalar(select(User.id).where(User.username_key == name, *accounts.ours()))
        while author is not None and (removed := _remove_chunk(registry, author)):
            phase.advance(removed)


def _remove_chunk(registry: Registry, author: int) -> int:
    with registry.database.writing_sessions.begin() as session:
        ids = (
            select(Relationship.from_user_id)
            .join(User, User.id == Relationship.from_user_id)
            .where(Relationship.to_user_id == author, *_silent(), User.followers_count == 0)
            .where(~select(Mention).where(Mention.user_id == User.id).exists())
            .order_by(Relationship.from_user_id)
            .limit(CHUNK)
        )
        found = list(session.scalars(ids))
        if found:
            # Subqueries and ranges: there may be more ids than a statement may have parameters.
            mine = Relationship.from_user_id.in_(ids)
            write(session, delete(Relationship).where(Relationship.to_user_id == author, mine))
            _count(session, author, -len(found))
            gone = User.id.between(found[0], found[-1]), *_silent(), User.followers_count == 0
            follows = select(Relationship).where(Relationship.from_user_id == User.id).exists()
            mentioned = select(Mention).where(Mention.user_id == User.id).exists()
            write(session, delete(User).where(*gone, ~follows, ~mentioned))
    return len(found)


def _count(session: Session, author: int, step: int) -> None:
    write(session, update(User).where(User.id == author).values(followers_count=User.followers_count + step))
