"""Properties of damaged values: each is cold, or a miss, for its own key only; nothing else changes or fails."""

from collections.abc import Callable, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tweeter.interfaces import IBulkStore, ITimelineStore, ITweetCache
from tweeter.testing.references import END, OF, read_each_way
from tweeter.values import TweetView, referring

KEYS = ["home:1", "home:2", "public"]
COMMON = 4  # weight of a common step, relative to the rarer ones

# Hypothesis runs a test many times per fixture; each run creates its own store.
many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["fill"] * COMMON + ["damage"] * COMMON + ["add", "add to all", "add a batch", "fan out"]
            + ["read", "damage a fill", "remove", "drop", "truncate"]
        ),
        st.sampled_from(KEYS),
        st.integers(1, 60),
    ),
    max_size=40,
)  # fmt: skip


class _Timelines:
    """A store and a model of its expected contents: ids and a floor for each warm key. Ids refer to tweets as in OF."""

    def __init__(self, store: ITimelineStore, damages: Sequence[Callable[[ITimelineStore, str], object]]) -> None:
        self._store = store
        self._damages = damages
        self._warm: dict[str, tuple[set[int], int]] = {}
        self._truncated = 0

    def do(self, step: str, key: str, number: int) -> None:
        store = self._store
        match step:
            case "fill":
                self.check(key, number)
                if key not in self._warm:
                    ids, token = list(range(number, number + 5)), store.begin_backfill(key)
                    self._warm[key] = set(ids), number
                    for late in (number + 4, number + 7):
                        store.add([key], late, OF.get(late, 0))
                        self._added([key], late)
                    assert store.backfill(key, token, ids, number, OF)
            case "damage a fill":
                self.check(key)
                if key not in self._warm:
                    token = store.begin_backfill(key)
                    assert token
                    self._damage(key, number)
                    store.backfill(key, token, [number], 0, OF)
                    if store.read(key, END, 1000) is not None:  # the fill replaced the damaged value
                        self._warm[key] = {number}, 0
            case "damage":
                self._damage(key, number)
            case "read":
                self.check(key, number)
            case "add":
                store.add([key], number, OF.get(number, 0))
                self._added([key], number)
            case "add to all":
                store.add(KEYS, number, OF.get(number, 0))
                self._added(KEYS, number)
            case "add a batch":
                if IBulkStore.providedBy(store):
                    store.add_batch({key: [number, number + 1], "home:3": [number]}, OF)
                    self._added([key], number)
                    self._added([key], number + 1)
            case "fan out":
                if IBulkStore.providedBy(store):
                    chunks = [[2, 1], [3]]
                    assert list(store.add_to_each("home", chunks, number, OF.get(number, 0))) == chunks
                    self._added(["home:1", "home:2"], number)
            case "remove":
                store.remove(key, [number, number + 1], OF)
                if key in self._warm:
                    self._warm[key][0].difference_update((number, number + 1))
            case "drop":
                store.drop([key])
                self._warm.pop(key, None)
            case "truncate":
                store.truncate(number)
                self._truncated = max(self._truncated, number)

    def _damage(self, key: str, number: int) -> None:
        self._damages[number % len(self._damages)](self._store, key)
        self._warm.pop(key, None)

    def _added(self, keys: Sequence[str], id_: int) -> None:
        for key in keys:
            if key in self._warm and id_ >= self._warm[key][1]:
                self._warm[key][0].add(id_)

    def check(self, key: str, number: int = 0) -> None:
        """The store matches the model, down to the store's floor, which truncation may have raised."""
        found = read_each_way(self._store, key, first=number)
        if key not in self._warm:
            assert found is None
            return
        ids, floor = self._warm[key]
        assert found is not None
        assert floor <= found.floor <= max(floor, self._truncated)
        assert found.ids == sorted((id_ for id_ in ids if id_ >= found.floor), reverse=True)
        assert found.of == referring(found.ids, OF)


class DamagedTimelines:
    """Requires a fixture `damages`: a sequence of functions `damage(store, key)`.
    Each writes a damaged value under the key, whether it exists or not.
    """

    @many
    @given(steps=steps)
    def test_a_damaged_timeline_is_cold_and_changes_no_other(self, make_store, damages, steps):
        timelines = _Timelines(make_store(capacity=1000), damages)
        for step in steps:
            timelines.do(*step)
        for key in KEYS:
            timelines.check(key)

    def test_each_damage_is_cold_and_can_be_filled_again(self, make_store, damages):
        for number in range(1, len(damages) + 1):
            timelines = _Timelines(make_store(capacity=1000), damages)
            for key in KEYS:
                timelines.do("fill", key, 1)
            for step in ("damage", "read", "fill", "damage", "add to all", "fan out", "fill"):
                timelines.do(step, "home:1", number)
            for step in ("damage", "remove", "truncate", "fill", "drop", "damage a fill", "fill"):
                timelines.do(step, "home:1", number)
            for key in KEYS:
                timelines.check(key)


class DamagedTweets:
    """Requires a fixture `damages`: a sequence of functions `damage(cache, id)`.
    Each writes a damaged value under the id, whether it exists or not.
    """

    @many
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["fill", "fill", "damage", "damage", "damage a fill", "get", "invalidate", "gone"]),
                st.integers(1, 4),
                st.integers(0, 60),
            ),
            max_size=30,
        )
    )
    def test_a_damaged_tweet_is_a_miss_and_changes_no_other(self, make_cache, damages, steps):
        cache: ITweetCache = make_cache()
        known: dict[int, TweetView | None] = {}
        for step, id_, number in steps:
            view = TweetView(id_, 7, "ann", "Ann", f"number {number}", 1_341_100_972_123)
            if step in {"fill", "gone", "damage a fill"}:
                assert cache.get_many([id_]) == ({id_: known[id_]} if id_ in known else {})
                if id_ in known:
                    continue
                guard = cache.guard([id_])
                if step == "damage a fill":
                    damages[number % len(damages)](cache, id_)
                    cache.fill(guard, {id_: view})
                else:
                    known[id_] = view if step == "fill" else None
                    cache.fill(guard, {id_: known[id_]})
            elif step == "damage":
                damages[number % len(damages)](cache, id_)
                known.pop(id_, None)
            elif step == "invalidate":
                cache.invalidate([id_])
                known.pop(id_, None)
            else:
                assert cache.get_many(range(1, 6)) == known
        assert cache.get_many(range(1, 6)) == known

    def test_each_damage_is_a_miss_and_can_be_filled_again(self, make_cache, damages):
        view = TweetView(1, 7, "ann", "Ann", "hello", 1_341_100_972_123)
        for damage in damages:
            cache: ITweetCache = make_cache()
            for _ in range(2):
                damage(cache, 1)
                assert cache.get_many([1, 2]) == {}
                cache.fill(cache.guard([1]), {1: view})
                assert cache.get_many([1, 2]) == {1: view}
