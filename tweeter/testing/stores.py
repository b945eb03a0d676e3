"""Contract tests for ITimelineStore."""

import threading
import time
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from tweeter.ids import MAX_ID
from tweeter.interfaces import ITimelineStore
from tweeter.testing.damage import DamagedTimelines, many
from tweeter.testing.references import END, ReferringTimelines, read_each_way
from tweeter.testing.warming import WarmingTimelines
from tweeter.values import NOTHING, Slice, referring

MakeStore = Callable[..., ITimelineStore]
ids = st.integers(1, MAX_ID)


def fill(store: ITimelineStore, key: str, ids: list[int], floor: int = 0, of: Mapping[int, int] = NOTHING) -> None:
    """Makes a key warm."""
    assert store.backfill(key, store.begin_backfill(key), ids, floor, of)


class TimelineStoreSuite(DamagedTimelines, ReferringTimelines, WarmingTimelines):
    """Requires a fixture `make_store`: `make_store(capacity=…, backfill_seconds=…)` returns an empty store that has the
    id of its site; and `damages`, as in DamagedTimelines.
    """

    @pytest.fixture
    def store(self, make_store: MakeStore) -> ITimelineStore:
        return make_store(capacity=10)

    def test_provides_the_interface(self, store):
        verifyObject(ITimelineStore, store)

    # cold, filling, warm

    def test_a_missing_timeline_is_cold(self, store):
        assert store.read("home:1", END, 20) is None

    def test_a_timeline_in_backfill_is_not_warm(self, store):
        assert store.begin_backfill("home:1")
        assert store.read("home:1", END, 20) is None

    def test_an_empty_timeline_is_warm_and_not_cold(self, store):
        fill(store, "home:1", [])
        assert store.read("home:1", END, 20) == Slice([], 0)

    def test_a_filled_timeline_is_read_newest_first_in_any_part(self, store):
        fill(store, "home:1", [3, 9, 5, 7])
        assert store.read("home:1", END, 20) == Slice([9, 7, 5, 3], 0)
        assert store.read("home:1", END, 2) == Slice([9, 7], 0)
        assert store.read("home:1", 7, 2) == Slice([5, 3], 0)
        assert store.read("home:1", 3, 2) == Slice([], 0)

    def test_a_fill_keeps_its_floor(self, store):
        fill(store, "home:1", [9, 7, 5], floor=5)
        assert store.read("home:1", END, 20) == Slice([9, 7, 5], 5)

    def test_timelines_are_independent(self, store):
        fill(store, "home:1", [1])
        fill(store, "home:11", [11])
        store.add(["home:1"], 2)
        store.drop(["home:1"])
        assert store.read("home:1", END, 20) is None
        assert store.read("home:11", END, 20) == Slice([11], 0)

    def test_only_one_reader_gets_to_fill(self, store):
        token = store.begin_backfill("home:1")
        assert store.begin_backfill("home:1") is None
        assert store.backfill("home:1", token, [1], 0) is True
        assert store.begin_backfill("home:1") is None

    def test_a_fill_with_another_token_does_nothing(self, store):
        token = store.begin_backfill("home:1")
        store.drop(["home:1"])
        other = store.begin_backfill("home:1")
        assert store.backfill("home:1", token, [1], 0) is False
        assert store.read("home:1", END, 20) is None
        assert store.backfill("home:1", other, [2], 0) is True
        assert store.backfill("home:1", other, [3], 0) is False
        assert store.read("home:1", END, 20) == Slice([2], 0)

    def test_a_fill_after_a_drop_does_nothing(self, store):
        token = store.begin_backfill("home:1")
        store.drop(["home:1"])
        assert store.backfill("home:1", token, [1], 0) is False
        assert store.read("home:1", END, 20) is None

    def test_an_abandoned_token_expires(self, make_store):
        store = make_store(capacity=10, backfill_seconds=0.05)
        lost = store.begin_backfill("home:1")
        deadline = time.monotonic() + 5
        while (token := store.begin_backfill("home:1")) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert store.backfill("home:1", lost, [1], 0) is False
        assert store.backfill("home:1", token, [2], 0) is True
        assert store.read("home:1", END, 20) == Slice([2], 0)

    # fan-out

    def test_a_cold_timeline_takes_no_ids(self, store):
        store.add(["home:1"], 1)
        assert store.read("home:1", END, 20) is None
        assert store.begin_backfill("home:1")

    def test_ids_added_during_a_backfill_are_kept(self, store):
        token = store.begin_backfill("home:1")
        store.add(["home:1"], 9)
        assert store.backfill("home:1", token, [7, 5], 0)
        assert store.read("home:1", END, 20) == Slice([9, 7, 5], 0)

    def test_one_call_adds_to_many_timelines(self, store):
        for user in range(1, 51, 2):
            fill(store, f"home:{user}", [1])
        store.add([f"home:{user}" for user in range(1, 51)], 2)
        for user in range(1, 51):
            expected = Slice([2, 1], 0) if user % 2 else None
            assert store.read(f"home:{user}", END, 20) == expected

    def test_an_empty_list_of_keys_or_ids_changes_nothing(self, store):
        store.add([], 1)
        store.drop([])
        store.remove("home:1", [])

    def test_neighbouring_ids_of_53_bits_stay_apart(self, store):
        newest = [MAX_ID - n for n in range(8)]
        fill(store, "home:1", newest[4:])
        for id_ in newest[:4]:
            store.add(["home:1"], id_)
        assert store.read("home:1", END, 20) == Slice(newest, 0)
        assert store.read("home:1", newest[3], 2) == Slice(newest[4:6], 0)

    @many
    @given(filled=st.sets(ids, max_size=8), added=st.lists(ids, max_size=20), again=st.randoms())
    def test_ids_in_any_order_and_twice_and_a_floor_above_the_lost_ones(self, make_store, filled, added, again):
        store, everything = make_store(capacity=10), filled | set(added)
        of = {id_: again.randint(1, MAX_ID) for id_ in sorted(everything) if again.random() < 0.5}
        fill(store, "home:1", list(filled), of=of)
        deliveries = [*added, *added]
        again.shuffle(deliveries)
        for id_ in deliveries:
            store.add(["home:1"], id_, of.get(id_, 0))
        found = read_each_way(store, "home:1")
        assert found
        kept, floor = found.ids, found.floor
        assert found.of == referring(kept, of)
        # Complete down to the floor, and no shorter than necessary.
        assert kept == sorted((id_ for id_ in everything if id_ >= floor), reverse=True)
        assert len(kept) >= min(len(everything), 10)
        assert floor == 0 or len(everything) > 10

    def test_a_timeline_does_not_outgrow_twice_its_capacity(self, store):
        fill(store, "home:1", [])
        for id_ in range(1, 101):
            store.add(["home:1"], id_)
        kept, floor, *_ = store.read("home:1", END, 1000)
        assert kept == list(range(100, 100 - len(kept), -1))
        assert 10 <= len(kept) <= 20
        assert floor > 100 - 10 - 10

    def test_late_ids_below_the_floor_are_not_returned(self, store):
        fill(store, "home:1", list(range(100, 110)), floor=100)
        store.add(["home:1"], 50)
        kept, floor, *_ = store.read("home:1", END, 20)
        assert floor >= 100
        assert 50 not in kept
        assert kept == [id_ for id_ in range(109, 99, -1) if id_ >= floor]
        store.remove("home:1", [105, 106])
        store.add(["home:1"], 51)
        assert 51 not in store.read("home:1", END, 20).ids

    def test_late_ids_below_the_floor_of_a_backfill_are_not_returned(self, store):
        token = store.begin_backfill("home:1")
        store.add(["home:1"], 50)
        store.backfill("home:1", token, [102, 101, 100], 100)
        assert store.read("home:1", END, 20) == Slice([102, 101, 100], 100)

    # removal

    def test_removed_ids_are_gone_and_the_rest_stays(self, store):
        fill(store, "home:1", [9, 7, 5], floor=5)
        store.remove("home:1", [7, 8])
        assert store.read("home:1", END, 20) == Slice([9, 5], 5)
        store.remove("home:2", [7])
        assert store.read("home:2", END, 20) is None

    def test_dropping_many_makes_them_cold(self, store):
        fill(store, "home:1", [1])
        fill(store, "home:2", [2])
        store.drop(["home:1", "home:2", "home:3"])
        assert store.read("home:1", END, 20) is None
        assert store.read("home:2", END, 20) is None

    def test_truncation_raises_the_floor_where_ids_were_lost(self, store):
        fill(store, "home:1", [9, 7, 5, 3])
        fill(store, "home:2", [9, 8])
        fill(store, "home:3", [4, 2])
        store.truncate(6)
        assert store.read("home:1", END, 20) == Slice([9, 7], 6)
        assert store.read("home:2", END, 20) == Slice([9, 8], 0)
        assert store.read("home:3", END, 20) == Slice([], 6)

    def test_clearing_makes_everything_cold_and_fills_void(self, store):
        fill(store, "home:1", [1])
        token = store.begin_backfill("home:2")
        store.clear()
        assert store.read("home:1", END, 20) is None
        assert store.backfill("home:2", token, [1], 0) is False

    # other sites

    def test_another_site_with_the_same_settings_has_timelines_of_its_own(self, store):
        store.set_site("one")
        keys = ["home:1", "home:2", "public"]
        for key in keys:
            fill(store, key, [9, 7])
        token = store.begin_backfill("home:3")
        store.set_site("other")
        if store.private:
            assert store.read("home:1", END, 20) == Slice([9, 7], 0)
            return
        assert [store.read(key, END, 20) for key in keys] == [None, None, None]
        assert store.backfill("home:3", token, [1], 0) is False
        for key in keys:
            fill(store, key, [8, 6])
        store.set_site("one")
        store.add(keys, 10)
        store.remove("home:1", [7])
        store.drop(["home:2"])
        assert [store.read(key, END, 20) for key in keys] == [Slice([10, 9], 0), None, Slice([10, 9, 7], 0)]
        store.set_site("other")
        assert [store.read(key, END, 20) for key in keys] == [Slice([8, 6], 0)] * 3
        store.truncate(8)
        store.clear()
        store.set_site("one")
        assert [store.read(key, END, 20) for key in keys] == [Slice([10, 9], 0), None, Slice([10, 9, 7], 0)]
        assert store.backfill("home:3", token, [1], 0) is True
        store.set_site("other")
        assert [store.read(key, END, 20) for key in [*keys, "home:3"]] == [None] * 4

    # concurrency

    def test_threads_that_begin_to_fill_share_one_token(self, store):
        tokens = together(8, lambda n: store.begin_backfill("home:1"))
        assert sum(token is not None for token in tokens) == 1

    def test_no_id_is_lost_that_is_added_during_backfills_by_many_threads(self, make_store):
        store = make_store(capacity=1000)
        keys = [f"home:{user}" for user in range(5)]

        def work(n: int) -> None:
            for step in range(20):
                for key in keys:
                    if n % 2:
                        store.add(keys, 1000 + n * 100 + step)
                    elif (token := store.begin_backfill(key)) is not None:
                        store.add([key], 500)
                        store.backfill(key, token, [1, 2], 0)

        for key in keys:
            fill(store, key, [1, 2])
        store.drop(keys[:1])
        together(6, work)
        expected = {1, 2, *(1000 + n * 100 + step for n in (1, 3, 5) for step in range(20))}
        for key in keys[1:]:
            assert set(store.read(key, END, 1000).ids) == expected


def together(threads: int, work: Callable[[int], object]) -> list[object]:
    """Runs work(0), work(1) … concurrently. Returns their results, or raises the error of one of them."""
    results: list[object] = [None] * threads
    errors: list[BaseException] = []
    start = threading.Barrier(threads)

    def run(n: int) -> None:
        start.wait()
        try:
            results[n] = work(n)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(n,)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
    return results
