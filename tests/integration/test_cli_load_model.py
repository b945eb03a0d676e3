"""`tweeter load`: any files, in any parts, repeated and interrupted, equal a model in plain Python."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from tests.support.loads import NOON, _no_breath, check_counters, write  # noqa: F401
from tweeter import ids
from tweeter.bulk import database as bulk
from tweeter.bulk.load import links, load
from tweeter.console.commands import CommandError, Site
from tweeter.console.progress import Lines
from tweeter.db.sessions import make_sessions
from tweeter.models import Mention, Relationship, Tweet, User
from tweeter.models.imported import Imported, Unlinked
from tweeter.text import entities


class Lines_(NamedTuple):
    follows: list[tuple[str, str]]
    tweets: list[dict[str, Any]]


NAMES = st.sampled_from(["1", "ann", "ANN", "@bob", "cy", "no!"])
FOLLOWS = st.tuples(NAMES, NAMES)
IDS = st.sampled_from(["x", "y", 7, 8, "9"])
TWEETS = st.fixed_dictionaries(
    {
        "user": NAMES,
        "date": st.sampled_from([NOON, NOON + 1, NOON + 0.001, NOON - 1, 0]),
        "message": st.sampled_from(["a", "b @ann", "@u1 @bob @nobody", ""]),
    },
    optional={"id": IDS, "parent": st.one_of(IDS, st.just("7"), st.just("z"))},
)
FILES = st.lists(st.builds(Lines_, st.lists(FOLLOWS, max_size=5), st.lists(TWEETS, max_size=7)), min_size=1, max_size=2)


class Model:
    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.follows: set[tuple[str, str]] = set()
        self.tweets: dict[int, list[Any]] = {}  # id: [user, ms, message, parent]
        self.mentions: set[tuple[int, str]] = set()
        self.sources: dict[str, int] = {}
        self.unlinked: dict[int, str] = {}

    def load(self, lines: Lines_) -> bool:
        """False if a file has only bad lines, so nothing is loaded."""
        pairs = [(clean(a), clean(b)) for a, b in lines.follows]
        pairs = [(a, b) for a, b in pairs if a.lower() != b.lower() and "!" not in a + b]
        rows = [
            t | {"user": clean(t["user"])} for t in lines.tweets if t["date"] and t["message"] and t["user"] != "no!"
        ]
        if (lines.follows and not pairs) or (lines.tweets and not rows):
            return False
        for name in [name for pair in pairs for name in pair] + [row["user"] for row in rows]:
            self.users.setdefault(name.lower(), name)
        self.follows |= {(a.lower(), b.lower()) for a, b in pairs}
        every, named = rows, [str(row["id"]) if "id" in row else None for row in rows]
        rows = [row for n, row in enumerate(rows) if named[n] is None or named[n] not in named[:n]]
        rows = in_order(rows, every)
        there, ids_, fresh = sorted(self.tweets.items()), [], []
        for row in rows:
            user, ms = row["user"].lower(), round(row["date"] * 1000)
            twins = [id_ for id_, old in there if old[:3] == [user, ms, row["message"]] and id_ not in ids_]
            first = ids.first_id_of_ms(ms)
            id_ = twins[0] if twins else max([first - 1, *(i for i in self.tweets if i >> 12 == first >> 12)]) + 1
            if not twins:
                self.tweets[id_] = [user, ms, row["message"], None]
                self.mentions |= {(id_, name) for name in entities(row["message"]).mentions if name in self.users}
                fresh.append(id_)
            ids_.append(id_)
        own = {str(row["id"]): id_ for row, id_ in zip(rows, ids_, strict=True) if "id" in row}
        wanted = {
            i: {**self.sources, **own}.get(str(r["parent"])) for r, i in zip(rows, ids_, strict=True) if "parent" in r
        }
        for ready in (True, False):  # parents written before their replies; then the others, unless they create a cycle
            for id_, parent in sorted(wanted.items(), key=lambda link: ids_.index(link[0])):
                before = parent not in ids_ or ids_.index(parent) < ids_.index(id_)
                if parent is None or self.tweets[id_][3] is not None:
                    continue
                if (id_ in fresh and before) if ready else (id_ not in self.above(parent)):
                    self.tweets[id_][3] = parent
        for row, id_ in zip(rows, ids_, strict=True):
            if "parent" in row and wanted[id_] is None and self.tweets[id_][3] is None:
                self.unlinked[id_] = str(row["parent"])
        self.sources |= own
        for id_ in sorted(self.unlinked) if own else ():
            if (parent := self.sources.get(self.unlinked[id_])) is not None:
                del self.unlinked[id_]
                if self.tweets[id_][3] is None and id_ not in self.above(parent):
                    self.tweets[id_][3] = parent
        return True

    def above(self, id_: int | None) -> Iterator[int]:
        while id_:
            yield id_
            id_ = self.tweets[id_][3]


def in_order(rows: list[dict[str, Any]], every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in the order of their dates, ids, lines and parents; `every` includes rows with existing ids."""

    def number(row: dict[str, Any]) -> int | None:
        return int(row["id"]) if str(row.get("id")).isdigit() else None

    def sign(steps: Iterable[bool]) -> int:
        steps = list(steps)
        return -1 if 2 * sum(steps) < len(steps) else 1

    pairs = [(a, b) for a, b in pairwise(every) if a["date"] != b["date"]]
    downwards = sign(a["date"] < b["date"] for a, b in pairs)
    against = sign(
        (number(a) < number(b)) == (a["date"] < b["date"])  # type: ignore[operator]
        for a, b in pairs
        if number(a) is not None and number(b) is not None
    )
    found: list[dict[str, Any]] = []
    for date in sorted({row["date"] for row in rows}):
        same = [row for row in rows if row["date"] == date]
        numbers = [number(row) for row in same]
        ranks = [downwards * n if None in numbers else against * (numbers[n] or 0) for n in range(len(same))]
        place = {str(row["id"]): n for n, row in enumerate(same) if "id" in row}

        def key(n: int, same: Any = same, ranks: Any = ranks, place: Any = place) -> tuple[float, ...]:
            chain = [n]
            while (above := place.get(str(same[chain[-1]].get("parent")), chain[-1])) not in chain:
                chain.append(above)
            circle = above != chain[-1]
            return max(ranks[a] for a in chain), len(same) + 1 if circle else len(chain), ranks[n], n

        found += [same[n] for n in sorted(range(len(same)), key=key)]
    return found


def clean(name: str) -> str:
    return "u1" if name == "1" else name.removeprefix("@")


class PlugPulled(Exception):
    pass


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=FILES, plugs=st.lists(st.integers(0, 12), min_size=8, max_size=8))
def test_any_files_with_any_interruptions_match_the_model(tmp_path, settings, engine, loads, plugs):
    site = Site("site.ini", settings, engine, make_sessions(engine))
    with engine.begin() as connection:
        for table in ("unlinked", "imported", "mentions", "relationships", "tweets", "users"):
            connection.execute(text(f"DELETE FROM {table}"))
    model = Model()
    for lines in [*loads, *loads]:
        good = model.load(lines)
        follows = Path(write(tmp_path, "f.txt", [" ".join(pair) for pair in lines.follows]))
        tweets = Path(write(tmp_path, "t.jsonl", lines.tweets))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bulk, "BATCH", {"sqlite": 2, "postgresql": 2})
            patch.setattr(links, "LINKS_AT_ONCE", 1)
            interrupt(patch, plugs.pop(), "breathe")
            interrupt(patch, plugs.pop(), "note_change")
            for attempt in range(100):
                try:
                    with nullcontext() if good else pytest.raises(CommandError, match="Every line of"):
                        load(site, Lines(), follows, tweets)
                    break
                except PlugPulled:
                    check_counters(engine)
                    if attempt > 1:
                        patch.undo()
        assert tables(site.sessions) == {
            "users": model.users,
            "follows": model.follows,
            "tweets": model.tweets,
            "mentions": model.mentions,
            "sources": model.sources,
            "unlinked": model.unlinked,
        }
        check_counters(engine)


def interrupt(patch: pytest.MonkeyPatch, after: int, method: str) -> None:
    """Every n-th call of the method raises an error."""
    calls = Counter[str]()
    original = getattr(bulk.BulkDatabase, method)

    def call(self: bulk.BulkDatabase) -> None:
        original(self)
        calls["all"] += 1
        if after and calls["all"] % (after + 2) == 0:
            raise PlugPulled

    patch.setattr(bulk.BulkDatabase, method, call)


def tables(sessions: sessionmaker[Session]) -> dict[str, Any]:
    with sessions() as session:
        key = {user.id: user.username_key for user in session.scalars(select(User))}
        return {
            "users": {user.username_key: user.username for user in session.scalars(select(User))},
            "follows": {(key[r.from_user_id], key[r.to_user_id]) for r in session.scalars(select(Relationship))},
            "tweets": {
                row.id: [key[row.user_id], round(row.date.timestamp() * 1000), row.message, row.parent_id]
                for row in session.scalars(select(Tweet))
            },
            "mentions": {(row.tweet_id, key[row.user_id]) for row in session.scalars(select(Mention))},
            "sources": {row.source_id: row.tweet_id for row in session.scalars(select(Imported))},
            "unlinked": {row.tweet_id: row.parent for row in session.scalars(select(Unlinked))},
        }
