"""The backfill benchmark, small: it reports its measurements, and they are correct."""

import pytest

from tests.conftest import check_searchable, engine_on
from tweeter.bench import fill
from tweeter.console.progress import Lines
from tweeter.db.sessions import make_sessions
from tweeter.timelines.kinds.home import Home

pytestmark = pytest.mark.slow


def test_readers_have_the_right_followees_and_every_plan_is_measured(postgresql_url):
    with engine_on(postgresql_url) as engine:
        author, home = fill.AUTHORS["power law"], Home()
        groups = fill.build(engine, author, 300, tweets=3000, followees=(10, 90), readers=2, progress=Lines())
        assert {group: len(readers) for group, readers in groups.items()} == {
            ("quiet", 10): 2, ("quiet", 90): 2, ("any", 10): 2, ("any", 90): 2, ("active", 10): 2, ("silent", 10): 2,
        }  # fmt: skip
        check_searchable(engine)
        with make_sessions(engine)() as session:
            for (kind, count), readers in groups.items():
                follows = count + (fill.SPEAKING if kind == "silent" else 0)
                for reader in readers:
                    assert home.plans.count(session, reader) == follows + 1
                    ids, floor, *_ = home.backfill(session, reader, 50)
                    every = home.read_ids(session, reader, 50)
                    assert ids == [id_ for id_ in every if id_ >= floor]
        row = fill.measure_readers(engine, "power law", "active", 10, groups["active", 10], runs=1, capacity=50)
    assert row.ids == 50
    assert all(0 < median <= late for median, late in row.milliseconds.values())
    assert fill.line(row).startswith("power law, active, 10 followees: fill ")
    assert f"join / fill {row.ratio:.1f}; 50 ids" in fill.line(row)
