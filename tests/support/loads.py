"""Files for `tweeter load`, and what a site has after a load."""

import gzip
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, aliased

from tests.conftest import check_searchable, settings_of, write_ini
from tweeter.bulk import database as bulk
from tweeter.cli import main
from tweeter.console.commands import Site
from tweeter.db.engines import make_engine
from tweeter.db.sessions import make_sessions
from tweeter.models import Like, Relationship, Tweet, User

NOON = 1341144000  # seconds: 2012-07-01T12:00:00Z


@pytest.fixture(autouse=True)
def _no_breath(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BREATH", 0)


@pytest.fixture
def ini(tmp_path: Path, database_url: str) -> str:
    return write_ini(tmp_path, database_url)


def write(folder: Path, name: str, lines: Sequence[str | bytes | dict[str, Any]]) -> str:
    path = folder / name
    encoded = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    content = b"".join(line + b"\n" for line in encoded)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def tweet(user: Any, message: str, date: Any = NOON, **more: Any) -> dict[str, Any]:
    return {"user": user, "date": date, "message": message, **more}


def repost(user: Any, of: Any, date: Any = NOON, **more: Any) -> dict[str, Any]:
    return {"user": user, "date": date, "repost": of, **more}


def like(user: Any, of: Any, date: Any = NOON, **more: Any) -> dict[str, Any]:
    return {"user": user, "date": date, "like": of, **more}


def load_tweets(folder: Path, ini: str, *lines: Any, options: Sequence[str] = (), name: str = "tweets.jsonl") -> int:
    return main(["load", ini, "--tweets", write(folder, name, lines), *options])


def load_follows(folder: Path, ini: str, *lines: str | bytes, options: Sequence[str] = ()) -> int:
    return main(["load", ini, "--follows", write(folder, "follows.txt", lines), *options])


def messages(session: Session) -> list[str]:
    """Oldest first."""
    return list(session.scalars(select(Tweet.message).order_by(Tweet.id)))


def usernames(session: Session) -> list[str]:
    return list(session.scalars(select(User.username).order_by(User.username)))


def parents(session: Session) -> dict[str, str | None]:
    by_id = {row.id: row for row in session.scalars(select(Tweet))}
    return {row.message: by_id[row.parent_id].message if row.parent_id is not None else None for row in by_id.values()}


def acts(session: Session) -> dict[str, list[tuple[str, str]]]:
    """The user and the message of each repost, and of each like, in the order of their ids."""
    user, of = aliased(User), aliased(Tweet)
    reposts = select(user.username, of.message).join_from(Tweet, of, of.id == Tweet.repost_of_id)
    likes = select(user.username, of.message).join_from(Like, of, of.id == Like.tweet_id)
    found = {
        "reposts": reposts.join(user, user.id == Tweet.user_id).order_by(Tweet.id),
        "likes": likes.join(user, user.id == Like.user_id).order_by(Like.id),
    }
    return {name: [(who, message) for who, message in session.execute(rows)] for name, rows in found.items()}


def check_counters(engine: Engine) -> None:
    with make_sessions(engine)() as session:
        rows = select(Tweet.id, Tweet.replies_count, Tweet.reposts_count, Tweet.likes_count)
        counted = {id_: counts for id_, *counts in session.execute(rows)}
        counting = (Tweet.parent_id, Tweet.repost_of_id, Like.tweet_id)
        true = [Counter(session.scalars(select(column))) for column in counting]
        assert counted == {id_: [count[id_] for count in true] for id_ in counted}
        wrong = session.scalars(
            select(User.username).where(
                (User.tweets_count != count_of(Tweet.user_id, Tweet.repost_of_id.is_(None)))
                | (User.following_count != count_of(Relationship.from_user_id))
                | (User.followers_count != count_of(Relationship.to_user_id))
            )
        ).all()
        assert not wrong
    check_searchable(engine)


def count_of(column: Any, *where: Any) -> Any:
    return select(func.count()).where(column == User.id, *where).correlate(User).scalar_subquery()


def killed_load(commits: int, *arguments: str) -> int:
    """Kills a load within the `commits`th transaction that changes rows. Returns the exit code."""
    program = f"""
import os, signal, sys
from tweeter.cli import main
from tweeter.bulk import database
database.BATCH = {{"sqlite": 5, "postgresql": 5}}
note, commits = database.BulkDatabase.note_change, []
def killed(self):
    note(self)
    commits.append(1)
    if len(commits) == int(sys.argv[1]):
        os.kill(os.getpid(), {signal.SIGKILL:d})
database.BulkDatabase.note_change = killed
main(sys.argv[2:])
"""
    command = [sys.executable, "-c", program, str(commits), *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode


def make_site(url: str) -> Site:
    engine = make_engine(url)
    return Site("site.ini", settings_of(url), engine, make_sessions(engine))
