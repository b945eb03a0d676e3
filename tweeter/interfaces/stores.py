"""The contracts of stores of timelines, and of caches of tweets."""

from zope.interface import Attribute, Interface


class ITimelineStore(Interface):
    """Ordered ids under a timeline's key ("home:42"). Independent of SQL, tweets and users.

    A key is missing (cold), in backfill (a token and the ids that fan-out appended since), or warm. Only keys that
    exist take new ids, so inactive users cost nothing. Any key may vanish at any time.

    A damaged value (of another type, cut short, written by others) makes its own key cold and affects nothing else: the
    method that finds it drops it, continues, and reports it with `tweeter.metrics.count_damaged`.
    Every method raises BackendUnavailable if the store as a whole fails.

    An id may refer to a tweet with another id: a repost's id does. The store keeps that tweet's id beside it, as long
    as it keeps the id, and returns both. An id always refers to the same tweet.
    """

    private = Attribute("True where the store belongs to this process alone.")
    identity = Attribute("Names the store: what another process with the same settings would share.")

    def set_site(site_id):
        """Selects the site: its id (ASCII letters and digits) must be part of each key's name from now on.

        Several sites, each with its own database, may share a server, even with the same settings. `clear` and
        `truncate` affect only this site's keys. Called before any other method; until then those raise SiteUnknown, a
        BackendUnavailable. Called again when the id changes: keys under another id belong to another site. A private
        store does nothing.
        """

    def run_id():
        """A text that identifies the run of the store's servers: it changes when the data may not be the last written.

        A restarted server comes back with data that it saved earlier. The relay calls this to probe the store, also
        while the circuit is open. So it must check that the store can be written, not only reached.
        """

    def fence(run_id):
        """Fencing: every other method must raise BackendUnavailable if it meets another run from now on."""

    def checkpoint():
        """The value of the last `set_checkpoint`; of several servers the least; None if any server has none."""

    def set_checkpoint(value):
        """Stores a value (bytes) beside the data, on every server, unconditionally; `clear` keeps it.

        Values are compared as bytes.
        """

    def read(key, before, limit):
        """A Slice of the newest `limit` ids below `before`; None unless the key is warm.

        The slice contains the checkpoint of the server that holds the key, read in the same exchange.
        """

    def begin_backfill(key):
        """Puts a backfill token into a missing key, atomically, and returns it; None if the key exists.

        A token that is older than the time limit of a backfill counts as missing.
        """

    def backfill(key, token, ids, floor, of={}):
        """Replaces the token by the ids, atomically, and keeps the ids that were added behind it. True if it did.

        `of` has the tweet of each id that is not a tweet's own: {id of a repost: id of the tweet}.
        Does nothing, and returns False, if the key has no token or another one.
        """

    def add(keys, id, of=0):
        """Adds the id to those of the keys that exist. Idempotent; ids may come in any order.

        `of` is the tweet that the id refers to, 0 if it is the tweet's own.

        A timeline that exceeds its capacity is trimmed: it loses its oldest ids, and its floor rises above them. A
        store may trim late, at up to twice the capacity.
        """

    def remove(key, ids, of={}):
        """Removes the ids from the key's timeline, if they are there; `of` as in `backfill`."""

    def drop(keys):
        """Makes the keys cold; backfills in progress there will do nothing."""

    def truncate(before_id):
        """Removes all ids below `before_id` from every timeline; floors rise where ids were lost."""

    def clear():
        """Makes every key cold."""


class IBulkStore(ITimelineStore):
    """A store that adds many ids in few exchanges. Optional: for other stores `add` is called."""

    def add_batch(ids_by_key, of={}):
        """Like `add`, for each {key: ids}; `of` as in `backfill`."""

    def add_to_each(kind, chunks, id, of=0):
        """Adds the id to the keys `kind:number` of the numbers in all chunks, as `add` would.

        Yields each chunk once it is written; it may have read some later chunks before that. A chunk is a sequence of
        distinct numbers greater than 0. The generator may be closed before its end.
        """


class IWarmingStore(ITimelineStore):
    """A store that backfills many timelines with the same ids in few exchanges. Optional; used by the lab."""

    def backfill_all(keys, read):
        """`begin_backfill` for all cold keys, then `backfill` of each with the Slice that `read()` returns.

        As with `backfill`, ids that were added in between are kept, or the timeline stays cold.
        """


class IPageStore(ITimelineStore):
    """A store that has ids and tweets on one server. Optional: a page then takes one exchange instead of two."""

    def read_page(key, limit, beside=()):
        """The result of `read` for the newest ids, {id: TweetView or None} from the ITweetCache, and further timelines.

        If one of the newest ids refers to another tweet, the slice has all ids of the timeline, and the tweets are
        those of the newest; that may take a second exchange. The checkpoint is not newer than the tweets. Tweets may be
        missing for any reason: the caller reads those from the cache. The last part of the result has all ids of each
        timeline in `beside`, None unless it is warm.
        """


class ITogetherStore(ITimelineStore):
    """A store that reads several timelines in one exchange. Optional: for other stores `read` is called for each."""

    def read_together(wanted):
        """The results of `read` for each (key, before, limit), in this order."""


class ITweetCache(Interface):
    """Tweets by id, many at a time.

    It is filled without locks, as timelines are: after a miss the reader takes a stale-set guard before reading
    SQL, and the fill omits ids that were invalidated since. An id that SQL does not have becomes a tombstone (None).

    A damaged value, or one of another version of TweetView, is a miss: it is dropped and reported as in ITimelineStore.
    `tweeter.timelines.packing` packs tweets so that both are detected.
    Every method raises BackendUnavailable if the cache as a whole fails.
    """

    def set_site(site_id):
        """See ITimelineStore."""

    def get_many(ids):
        """{id: TweetView, or None for a tombstone}; misses are omitted."""

    def guard(ids):
        """Guards missing ids (stale-set guard), before SQL is read for them; `fill` needs the result."""

    def fill(guard, tweets):
        """Stores {id: TweetView or None}, except for ids that were invalidated or guarded again since."""

    def invalidate(ids):
        """Removes the ids; guards on them become void."""

    def clear():
        """Removes everything."""
