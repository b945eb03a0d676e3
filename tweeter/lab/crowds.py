"""Test accounts with 10, 1,000 or 20,000 followers, created and removed in bulk, one chunk per transaction.

They have no password; their names and bios say what they are. A follower and its follow are inserted in the same
transaction, before its timeline can have been read. So no materialized timeline changes, and no event is needed.
"""

from collections import Counter
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from tweeter.bulk.rows import in_parts
from tweeter.db.chunks import in_chunks
from tweeter.db.sessions import insert_new, write
from tweeter.errors import Refused
from tweeter.lab.jobs import Job
from tweeter.models import Relationship, User
from tweeter.services.actions import actions_of
from tweeter.services.closing import remove_some

NAMES = {10: "lab_ten", 1_000: "lab_thousand", 20_000: "lab_crowd"}
BIO = "A test account of the lab. A button of the lab removes it."
CHUNK = 1_000  # accounts per transaction


def author_id(session: Session, size: int) -> int:
    """The id of the account with so many followers. Creates it if it is missing.

    Raises Refused if another user has the name.
    """
    name = NAMES[size]
    insert_new(session, User, username=name, username_key=name, display_name=f"Lab, {size:,} followers", bio=BIO)
    user = session.scalars(select(User).where(User.username_key == name)).one()
    if user.bio != BIO or user.password_hash:
        raise Refused(f"The username {name} is taken; the lab needs it.")
    return user.id


def gather(registry: Registry, size: int, job: Job) -> tuple[int, list[int]]:
    """The id of the account with so many followers, and their ids. Creates missing ones."""
    writing = registry.database.writing_sessions
    with writing.begin() as session:
        author = author_id(session, size)
        ours = User.username_key.startswith(f"{NAMES[size]}_", autoescape=True)
        there = set(session.scalars(select(User.username_key).where(ours)))
    names = (f"{NAMES[size]}_{number:05}" for number in range(1, size + 1))
    if missing := [name for name in names if name not in there]:
        phase = job.phase("Accounts created", len(missing), "accounts")
        for chunk in in_parts(missing, CHUNK):
            with writing.begin() as session:
                _make(session, author, chunk)
            phase.advance(len(chunk))
    with registry.database.sessions() as session:
        followers = session.scalars(
            select(Relationship.from_user_id)
            .join(User, User.id == Relationship.from_user_id)
            .where(Relationship.to_user_id == author, *_followers())
            .order_by(User.id)
        )
        return author, list(followers)


def _make(session: Session, author: int, names: list[str]) -> None:
    rows = [{"username": n, "username_key": n, "display_name": n, "bio": BIO, "following_count": 1} for n in names]
    made = list(session.scalars(insert(User).returning(User.id), rows))
    session.execute(insert(Relationship), [{"from_user_id": id_, "to_user_id": author} for id_ in made])
    _count(session, author, len(made))


def _count(session: Session, author: int, step: int) -> None:
    write(session, update(User).where(User.id == author).values(followers_count=User.followers_count + step))


def how_many(session: Session) -> int:
    """The number of the lab's accounts."""
    return session.scalar(select(func.count()).select_from(User).where(*_ours())) or 0


def _ours() -> tuple[Any, ...]:
    return User.username_key.startswith("lab_", autoescape=True), User.bio == BIO, User.password_hash == ""


def _followers() -> tuple[Any, ...]:
    """Lab accounts that follow one account and have no tweets: their timelines hold only that account's tweets."""
    return *_ours(), User.following_count == 1, User.tweets_count == 0


def tidy(registry: Registry, job: Job) -> None:
    """Removes all accounts of the lab. Those with other follows or tweets are closed like any account."""
    writing = registry.database.writing_sessions
    with registry.database.sessions() as session:
        phase = job.phase("Accounts removed", how_many(session), "accounts")
    while removed := _remove_chunk(writing):
        phase.advance(removed)
    while True:
        with writing.begin() as session:
            user_id = session.scalar(select(User.id).where(*_ours()).limit(1))
            if user_id is None:
                return
            actions_of(registry, session).close_account(user_id)
        for _ in in_chunks(registry.database.sessions, remove_some):
            pass
        phase.advance(1)


def _remove_chunk(writing: sessionmaker[Session]) -> int:
    """Removes a chunk of silent followers: they follow one lab account, have no followers, and have no tweets."""
    with writing.begin() as session:
        authors = select(User.id).where(User.username_key.in_(list(NAMES.values())), User.bio == BIO)
        rows = session.execute(
            select(Relationship.from_user_id, Relationship.to_user_id)
            .join(User, User.id == Relationship.from_user_id)
            .where(*_followers(), Relationship.to_user_id.in_(authors), User.followers_count == 0)
            .limit(CHUNK)
        ).all()
        ids = [follower for follower, _ in rows]
        for author, followers in Counter(followee for _, followee in rows).items():
            _count(session, author, -followers)
        if ids:
            write(session, delete(Relationship).where(Relationship.from_user_id.in_(ids)))
            write(session, delete(User).where(User.id.in_(ids)))
    return len(rows)
