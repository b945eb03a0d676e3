"""The test accounts of the lab: how they are recognized, created in bulk and removed.

They have no password; their names and bios say what they are.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tweeter.bulk.database import BulkDatabase
from tweeter.db.chunks import in_chunks
from tweeter.errors import Refused
from tweeter.lab.jobs import Phase
from tweeter.models import User
from tweeter.models.base import now
from tweeter.services.actions import actions_of
from tweeter.services.closing import remove_some

BIO = "A test account of the lab. A button of the lab removes it."


def ours() -> tuple[Any, ...]:
    """The conditions that only accounts of the lab meet."""
    return User.username_key.startswith("lab_", autoescape=True), User.bio == BIO, User.password_hash == ""


def how_many(session: Session) -> int:
    """The number of the lab's accounts."""
    return session.scalar(select(func.count()).select_from(User).where(*ours())) or 0


def missing(session: Session, stem: str, names: Sequence[str]) -> list[str]:
    """Those of the names, all of which begin with `stem`, that no account has.

    Raises Refused if another user has one of them.
    """
    like = User.username_key.startswith(stem, autoescape=True)
    taken = set(session.scalars(select(User.username_key).where(like)))
    own = set(session.scalars(select(User.username_key).where(like, *ours())))
    if others := sorted((taken - own).intersection(names)):
        raise Refused(f"The username {others[0]} is taken; the lab needs it.")
    return [name for name in names if name not in own]


def one(registry: Registry, name: str) -> int:
    """The id of the account of this name, which is added if there is none. Raises Refused if another user has it."""
    with registry.database.sessions() as session:
        new = missing(session, name, [name])
    if new:
        with closing(BulkDatabase(registry.database.engine)) as database:
            database.commit(lambda _: add(database, new))
    with registry.database.sessions() as session:
        return session.scalars(select(User.id).where(User.username_key == name)).one()


def add(database: BulkDatabase, names: Iterable[str], tweets: int = 0, followees: int = 0) -> None:
    """Inserts accounts, in the current transaction of the bulk load."""
    columns = (
        "username", "username_key", "display_name", "folded_name", "bio", "password_hash", "auth_version",
        "tweets_count", "followers_count", "following_count", "date",
    )  # fmt: skip
    date = now() if database.postgresql else now().isoformat(" ", "microseconds")[:26]
    rows = ((name, name, name, name, BIO, "", 0, tweets, 0, followees, date) for name in names)
    database.insert_rows("users", columns, rows)


def close_all(registry: Registry, phase: Phase) -> None:
    """Closes the remaining accounts of the lab like any account, one by one, and removes their rows."""
    while True:
        with registry.database.writing_sessions.begin() as session:
            user_id = session.scalar(select(User.id).where(*ours(), ~User.closed).limit(1))
            if user_id is None:
                return
            actions_of(registry, session).close_account(user_id)
        for _ in in_chunks(registry.database.sessions, remove_some):
            pass
        phase.advance(1)
