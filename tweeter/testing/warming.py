"""Contract test for IWarmingStore, which is optional."""

from zope.interface.verify import verifyObject

from tweeter.interfaces import IWarmingStore
from tweeter.testing.damage import END


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
            store.add(["home:3"], 9)  # between the snapshot and the backfill
            return [5, 6], 4

        store.backfill_all(keys, read)
        assert store.read("home:1", END, 10).ids == [7]
        assert store.read("home:2", END, 10) is None
        assert store.backfill("home:2", token, [8], 0)
        late = store.read("home:3", END, 10)
        assert late is None or late.ids == [9, 6, 5]
        for key in keys[3:]:
            assert store.read(key, END, 10)[:2] == ([6, 5], 4)
