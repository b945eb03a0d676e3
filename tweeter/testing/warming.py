"""Contract tests for the optional IWarmingStore and ITogetherStore."""

from zope.interface.verify import verifyObject

from tweeter.interfaces import ITogetherStore, IWarmingStore
from tweeter.testing.references import END
from tweeter.values import Slice


class WarmingTimelines:
    """Requires the fixture `store` of the TimelineStoreSuite."""

    def test_many_cold_timelines_are_backfilled_at_once(self, store):
        if not IWarmingStore.providedBy(store):
            return
        verifyObject(IWarmingStore, store)
        assert store.backfill("home:1", store.begin_backfill("home:1"), [7], 0)
        token = store.begin_backfill("home:2")
        keys = [f"home:{number}" for number in range(1, 1202)]

        def read():
            store.add(["home:3"], 9, 2)  # between the snapshot and the backfill
            return Slice([5, 6], 4, None, {6: 1})

        store.backfill_all(keys, read)
        assert store.read("home:1", END, 10).ids == [7]
        assert store.read("home:2", END, 10) is None
        assert store.backfill("home:2", token, [8], 0)
        late = store.read("home:3", END, 10)
        assert late is None or late == Slice([9, 6, 5], 4, None, {9: 2, 6: 1})
        for key in keys[3:]:
            assert store.read(key, END, 10) == Slice([6, 5], 4, None, {6: 1})

    def test_timelines_that_are_read_together_are_those_read_one_by_one(self, store):
        if not ITogetherStore.providedBy(store):
            return
        verifyObject(ITogetherStore, store)
        store.backfill("home:1", store.begin_backfill("home:1"), [3, 9, 5, 7], 0, {9: 1, 5: 2})
        store.backfill("_celebrities", store.begin_backfill("_celebrities"), [8, 6, 4], 4)
        store.begin_backfill("_celebrities:1")
        wanted = [("home:1", 8, 2), ("_celebrities:1", END, 20), ("_celebrities", END, 20)]
        assert store.read_together(wanted) == [store.read(*each) for each in wanted]
        found = [Slice([7, 5], 0, None, {5: 2}), None, Slice([8, 6, 4], 4)]
        assert store.read_together(wanted) == found
