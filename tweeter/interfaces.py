"""The contracts between the parts. Read this before any implementation.

A view asks ITimelines. `sql` answers from the tables (pull); every other backend is one class (push) over an
ITimelineStore, which keeps ids, and an ITweetCache, which keeps tweets. IDelivery tells them what was committed.
The values they speak in are in `tweeter.values`.
"""

from zope.interface import Attribute, Interface


class ITimelines(Interface):
    """Pages of timelines. All implementations answer with the same pages."""

    name = Attribute("What the pages' foot calls it: the last part of the backend's dotted name.")

    def page(timeline, cursor, written=0):
        """A Page of the Timeline: `public` has everybody's tweets, `profile` a user's own, `home` those and the tweets
        of everybody whom the user follows. Raises Missing where there is no such user.

        `written` is the number of the viewer's last write: the page contains it.
        """


class IMaterializedTimelines(ITimelines):
    """Timelines materialized in a store."""

    store = Attribute("The ITimelineStore.")
    projector = Attribute("Applies events to the store: see tweeter.timelines.projector.")
    circuit = Attribute("Whether pages read the store: see tweeter.delivery.circuit.")

    def live():
        """Whether a page would be read from the store now: it is reachable, and not behind the commits."""

    def set_site(site_id):
        """As of ITimelineStore, for the store and its cache."""

    def drop(timeline):
        """Makes one Timeline cold, and forgets the tweets in it."""

    def peek(timeline):
        """A Slice of all that is materialized of a Timeline; None if it is cold."""

    def clear():
        """Makes everything cold."""


class ITimelineStore(Interface):
    """Ordered ids under a timeline's key ("home:42"). Knows nothing of SQL, tweets or users.

    A key is missing (cold), being filled (a token and what fan-out appended since), or warm. Only warm and filling
    keys take new ids, so users who never come back cost nothing. Any key may vanish at any time.

    A value that is damaged (of another type, cut short, written by others) makes its own key cold, and nothing else
    fails: whichever method meets it drops it, goes on, and reports it with `tweeter.metrics.count_damaged`.
    Every method raises BackendUnavailable when the store as a whole can't be asked.
    """

    private = Attribute("True where the store belongs to this process alone.")
    identity = Attribute("Names the store: what another process with the same settings would share.")

    def set_site(site_id):
        """From now on every key is this site's: the id (ASCII letters and digits) has to be part of each key's name.

        Sites with databases of their own may share a server, also with the same settings. `clear` and `truncate`
        concern this site's keys only. Called before any other method; until then those raise SiteUnknown, a
        BackendUnavailable. Called again when the id changes: what was written under another id is another site's. A
        private store has nothing to do.
        """

    def incarnation():
        """A text that changes when what the store holds may not be what was last written to it.

        A server that is started again comes back with what it had saved at some time. Asked every half second, also
        while the store is not trusted, so it has to find out whether the store can be written to, not only reached.
        """

    def expect(incarnation):
        """Every other method is to raise BackendUnavailable as soon as it meets another incarnation."""

    def checkpoint():
        """The value of the last `set_checkpoint`; of several servers the least; None where any server has none."""

    def set_checkpoint(value):
        """Keeps a value (bytes) beside the data, on every server, whatever is there; `clear` leaves it.

        Values are compared as bytes.
        """

    def read(key, before, limit):
        """A Slice of the newest `limit` ids below `before`; None unless the key is warm.

        The slice has the checkpoint of the server that holds the key, read in the same exchange.
        """

    def begin_fill(key):
        """Puts a token into a missing key, atomically, and returns it; None if the key exists.

        A token that is older than the time a fill may take counts as missing.
        """

    def fill(key, token, ids, floor):
        """Swaps the token for the ids, in one step, and keeps what was added behind it. True if it did.

        Does nothing, and returns False, where the token is gone or another's.
        """

    def add(keys, id):
        """Adds the id to those of the keys that exist; in any order, any number of times.

        A timeline that outgrows its capacity loses its oldest ids, and its floor rises above all that it lost. A store
        may be lazy about it, up to twice the capacity.
        """

    def remove(key, ids):
        """Takes the ids out of the key's timeline, where they are there."""

    def drop(keys):
        """Makes the keys cold; fills that are under way there will do nothing."""

    def truncate(before_id):
        """Takes all ids below `before_id` out of every timeline; floors rise where something was lost."""

    def clear():
        """Makes every key cold."""


class IBulkStore(ITimelineStore):
    """A store that takes many ids in few exchanges. Optional: `add` does for all others."""

    def add_batch(ids_by_key):
        """As `add`, for each {key: ids}."""

    def add_to_each(kind, chunks, id):
        """Adds the id to the keys `kind:number` of the numbers in all chunks, as `add` would.

        Yields every chunk once it has been written; before that it may have asked for some of those after. A chunk is a
        sequence of numbers, greater than 0, none of them twice. May be closed before its end.
        """


class IPageStore(ITimelineStore):
    """A store that has ids and tweets on one server. Optional: a page then takes one exchange instead of two."""

    def read_page(key, limit):
        """What `read` answers for the newest ids, and {id: TweetView or None} of the ITweetCache.

        Both come from one exchange; the checkpoint is not newer than the tweets. Tweets may be missing for any reason:
        the caller asks the cache for those.
        """


class ITweetCache(Interface):
    """Tweets by id, many at a time.

    It is filled the way timelines are, without locks: whoever misses takes a lease before reading SQL, and the fill
    leaves out what was invalidated meanwhile. An id that SQL does not have is kept as gone (None).

    A value that is damaged, or of a version of TweetView that this process does not have, is a miss: it is dropped and
    reported as in ITimelineStore. `tweeter.timelines.packing` packs tweets so that all of these are noticed.
    Every method raises BackendUnavailable when the cache as a whole can't be asked.
    """

    def set_site(site_id):
        """As of ITimelineStore."""

    def get_many(ids):
        """{id: TweetView, or None if known to be gone}; misses are left out."""

    def lease(ids):
        """Takes a lease on missing ids, before SQL is read for them."""

    def fill(lease, tweets):
        """Keeps {id: TweetView or None}, but for ids that were invalidated or leased again since."""

    def invalidate(ids):
        """Forgets the ids; leases on them are void."""

    def clear():
        """Forgets everything."""


class IDelivery(Interface):
    """How committed events reach the materialized timelines."""

    def start():
        """Starts the threads of this process, unless they run."""

    def stop():
        """Ends the threads, and releases what they hold."""

    def restart():
        """Called in a forked process, which has none of its parent's threads: starts its own.

        What the parent holds stays the parent's.
        """

    def wake():
        """Called after a commit that recorded events: has them delivered soon. Returns at once and never raises."""

    def drain(seconds):
        """Waits until all that is committed is delivered and pages read the stores; False if that takes longer."""

    def observe():
        """Brings the metrics of the outbox up to date."""
