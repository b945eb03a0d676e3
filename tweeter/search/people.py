"""People by their names, most followers first: some thousand accounts compared at most."""

from typing import Any

from sqlalchemy import Integer, Select, bindparam, column, func, literal_column, or_, select, table
from sqlalchemy.orm import Session

from tweeter import text
from tweeter.models import User
from tweeter.search.grams import LENGTH, grams_query, has, number, pattern
from tweeter.services.people import find_user
from tweeter.timelines.kind import LIMIT

PEOPLE = 10
BEST = 5_000  # accounts with the most followers
CANDIDATES = 5_000  # of the index


def find_people(session: Session, q: str) -> list[User]:
    """Users whose username begins with it or whose name contains it: most followers first, then by username.

    It compares the BEST accounts with the most followers; if these are too few, CANDIDATES of the index, too. The user
    with exactly this username is always included.
    """
    words = text.fold(q)
    name = words.removeprefix("@")
    if not name or words.startswith("#"):
        return []
    dialect = session.get_bind().dialect.name
    values = {
        "name": name,
        "length": len(name),
        "pattern": pattern(words) if words == name else None,  # matches nothing
        "grams": grams_query(name) if dialect == "sqlite" else name,
        "best": BEST,
        "candidates": CANDIDATES,
        "limit": PEOPLE,
    }
    found = list(session.scalars(_OF_BEST[dialect], values))
    if len(found) < PEOPLE and len(name) >= LENGTH:
        found += session.scalars(_OF_INDEX[dialect], values)
    exact = find_user(session, name)
    people = sorted({user.id: user for user in found}.values(), key=_rank)[:PEOPLE]
    return people if exact is None or exact in people else [*people[: PEOPLE - 1], exact]


def _rank(user: User) -> tuple[int, str]:
    return -user.followers_count, user.username_key


def _matching(ids: Select[Any], dialect: str) -> Select[Any]:
    """The users among these who match, the best first."""
    some = ids.subquery("some")
    collation = {"postgresql": "C", "sqlite": "BINARY"}[dialect]
    order = User.followers_count.desc(), User.username_key.collate(collation)
    begins = func.substr(User.username_key, 1, bindparam("length", type_=Integer)) == bindparam("name")
    contains = User.folded_name.like(bindparam("pattern"), escape="\\")
    matches = select(User).join(some, some.c.id == User.id).where(or_(begins, contains), ~User.closed)
    return matches.order_by(*order).limit(LIMIT)


_BEST = select(User.id).order_by(User.followers_digits.desc(), User.id.desc()).limit(number("best"))
_FTS = table("users_search", column("rowid"))
_CANDIDATES: dict[str, Select[Any]] = {
    "postgresql": select(User.id).where(
        has(
            func.search_grams(User.username_key + literal_column("' '") + User.folded_name),
            func.search_grams(bindparam("grams")),
        )
    ),
    "sqlite": select(_FTS.c.rowid.label("id")).where(
        literal_column("users_search").bool_op("MATCH")(bindparam("grams"))
    ),
}
_OF_BEST = {dialect: _matching(_BEST, dialect) for dialect in _CANDIDATES}
_OF_INDEX = {dialect: _matching(each.limit(number("candidates")), dialect) for dialect, each in _CANDIDATES.items()}
