"""Contract tests for ids that refer to a tweet with another id, as a repost's does."""

from collections.abc import Callable

from tweeter.ids import MAX_ID
from tweeter.interfaces import IBulkStore, IPageStore, ITimelineStore, ITogetherStore
from tweeter.values import Slice, referring

END = MAX_ID + 1
# Each second id of the tests refers to a tweet.
OF = {id_: MAX_ID - id_ if id_ % 4 else id_ // 4 for id_ in range(2, 100, 2)}


def read_each_way(store: ITimelineStore, key: str, limit: int = 1000, first: int = 0) -> Slice | None:
    """The newest ids, read in each way that the store offers, beginning with way `first`. All results are the same."""
    ways: list[Callable[[], Slice | None]] = [lambda: store.read(key, END, limit)]
    if ITogetherStore.providedBy(store):
        ways.append(lambda: store.read_together([(key, END, limit), ("none:1", END, 9), ("none:2", END, 9)])[0])
    if IPageStore.providedBy(store):
        ways.append(lambda: _cut(store.read_page(key, limit)[0], limit))
    first %= len(ways)
    result, *others = [way() for way in [*ways[first:], *ways[:first]]]
    assert others == [result] * len(others)
    return result


def _cut(found: Slice | None, limit: int) -> Slice | None:
    """The newest ids: a page store returns all of them if one of these refers to another tweet."""
    return found and found._replace(ids=found.ids[:limit], of=referring(found.ids[:limit], found.of))


class ReferringTimelines:
    """Requires the fixture `store` of the TimelineStoreSuite."""

    def test_references_are_returned_with_their_ids_and_with_no_others(self, store):
        assert store.backfill("home:1", store.begin_backfill("home:1"), [9, 7, 5, 3], 3, {9: 1, 5: MAX_ID, 8: 2})
        store.add(["home:1"], MAX_ID, 9)
        store.add(["home:1"], MAX_ID - 1)
        of = {MAX_ID: 9, 9: 1, 5: MAX_ID}
        for limit in range(1, 8):
            ids = [MAX_ID, MAX_ID - 1, 9, 7, 5, 3][:limit]
            assert read_each_way(store, "home:1", limit) == Slice(ids, 3, None, referring(ids, of))
        assert store.read("home:1", 9, 2) == Slice([7, 5], 3, None, {5: MAX_ID})
        assert store.read("home:1", 5, 2) == Slice([3], 3)

    def test_a_removed_id_loses_its_reference(self, store):
        assert store.backfill("home:1", store.begin_backfill("home:1"), [9, 7, 5], 0, {9: 1, 7: 2})
        store.remove("home:1", [9, 5], {9: 1})
        assert read_each_way(store, "home:1") == Slice([7], 0, None, {7: 2})
        store.remove("home:1", [7], {7: 2})
        assert read_each_way(store, "home:1") == Slice([], 0)
        store.add(["home:1"], 9, 1)
        assert read_each_way(store, "home:1") == Slice([9], 0, None, {9: 1})

    def test_each_timeline_of_a_batch_and_of_a_fan_out_has_the_references(self, store):
        if not IBulkStore.providedBy(store):
            return
        keys = [f"home:{number}" for number in (1, 30, 500)]
        for key in keys:
            assert store.backfill(key, store.begin_backfill(key), [1], 0)
        store.add_batch({key: [9, 8, 9] for key in keys}, {9: 3, 7: 4})
        assert list(store.add_to_each("home", [[500, 2], [1, 30]], 10, MAX_ID)) == [[500, 2], [1, 30]]
        for key in keys:
            assert read_each_way(store, key) == Slice([10, 9, 8, 1], 0, None, {10: MAX_ID, 9: 3})
        assert store.read("home:2", END, 20) is None
