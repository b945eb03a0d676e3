"""Timelines of many authors by two query plans: the same ids as the talk's join, for any graph."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from tweeter.models import Hidden, List, ListMember, Relationship, Tweet, User
from tweeter.models.base import now
from tweeter.timelines import plans
from tweeter.timelines.kinds import built_in_kinds
from tweeter.values import NOBODY, Cursor, Viewer

pytestmark = pytest.mark.slow
READER = 1
PEOPLE = range(1, 9)
LAST = 60

# The followees of the reader; the author of each tweet; the deleted tweets.
followees = st.sets(st.sampled_from(PEOPLE[1:]))
tweets = st.dictionaries(st.integers(1, LAST), st.sampled_from(PEOPLE), max_size=40)
deleted = st.sets(st.integers(1, LAST), max_size=10)
cursors = st.builds(Cursor, before=st.integers(1, LAST + 1), limit=st.integers(1, 12), after=st.integers(0, LAST))

any_graph = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def small(monkeypatch):
    """The limits of few, many and recent, scaled to test graphs."""
    for name, value in {
        "FEW": 1,
        "MANY": 4,
        "RECENT": 2,
        "RECENT_OF_MANY": 9,
        "SAMPLE": 2,
        "HEADS": 3,
        "LEAST": 2,
    }.items():
        monkeypatch.setattr(plans, name, value)


@pytest.fixture
def graph(sessions):
    """`with graph(followees, tweets, deleted) as session:` the tables hold just that."""

    def graph(followees, tweets, deleted):
        session = sessions()
        people = [{"username": f"u{id_}", "username_key": f"u{id_}", "display_name": "x", "id": id_} for id_ in PEOPLE]
        follows = {(READER, followee) for followee in followees} | {(2, other) for other in PEOPLE if other != 2}
        written = [{"id": id_, "user_id": author, "message": "x", "date": now()} for id_, author in tweets.items()]
        session.execute(insert(User), people)
        session.execute(insert(Relationship), [{"from_user_id": one, "to_user_id": other} for one, other in follows])
        session.execute(insert(List).values(id=READER, user_id=2, name="x"))
        if followees:
            session.execute(insert(ListMember), [{"list_id": READER, "user_id": each} for each in followees])
        if written:
            session.execute(insert(Tweet), written)
        session.execute(delete(Tweet).where(Tweet.id.in_(deleted)))
        return session  # nothing is committed: closing rolls back

    return graph


KINDS = [built_in_kinds()["home"], built_in_kinds()["list"]]
of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@of_each_kind
@any_graph
@given(followees, tweets, deleted, cursors, followees)
def test_page_equals_the_join(small, graph, kind, followees, tweets, deleted, cursor, hidden):
    viewer = Viewer(2, hidden=frozenset(hidden))
    with graph(followees, tweets, deleted) as session:
        if hidden:
            session.execute(insert(Hidden), [{"viewer_id": 2, "author_id": each} for each in hidden])
        for each in (NOBODY, viewer):
            page = kind.read_page(session, READER, cursor, each)
            assert kind.read_page_quickly(session, READER, cursor, each) == page


@of_each_kind
@any_graph
@given(followees, tweets, deleted, st.integers(1, 12))
@example({2, 3, 4, 5, 6}, dict.fromkeys(range(1, 30), 2), set(), 12)  # many followees, one of whom tweets a lot
@example(
    {2, 3, 4, 5, 6}, {1: 2, 2: 3} | dict.fromkeys(range(3, 40), 8), set(), 5
)  # many followees without recent tweets
@example({2, 3, 4}, dict.fromkeys(range(1, 60), 8) | {1: 2, 2: 3, 3: 4}, set(), 1)
def test_backfill_equals_the_join_down_to_its_floor(small, graph, kind, followees, tweets, deleted, capacity):
    with graph(followees, tweets, deleted) as session:
        ids, floor, *_ = kind.backfill(session, READER, capacity)
        every = kind.read_ids(session, READER, LAST)
    assert ids == [id_ for id_ in every if id_ >= floor]
    assert len(ids) <= capacity
    assert len(ids) >= min(plans.LEAST, len(followees) * 3 // 4, capacity, len(every))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@of_each_kind
@any_graph
@given(followees, tweets, deleted, cursors, st.integers(1, 12))
def test_each_plan_returns_what_it_guarantees(graph, kind, followees, tweets, deleted, cursor, number):
    with graph(followees, tweets, deleted) as session:
        every = _part(cursor, kind.read_ids(session, READER, LAST))
        looked_at = _part(cursor, sorted(tweets.keys() - deleted))[-number:]
        recent = kind.plans.recent(session, READER, cursor, number)
        heads = kind.plans.heads(session, READER, cursor, number)
    assert recent == [id_ for id_ in every if id_ in looked_at][: cursor.limit]
    assert heads == every[: len(heads)]
    assert len(heads) >= min(number, cursor.limit, len(every))


def _part(cursor, ids):
    return [id_ for id_ in ids if cursor.after < id_ < cursor.before]
