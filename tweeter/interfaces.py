"""The contracts between the parts. Read this before any implementation.

A view asks ITimelines. `sql` answers from the tables (pull); every other backend is one class (push) over an
ITimelineStore, which keeps ids, and an ITweetCache, which keeps tweets. IDelivery tells them what was committed.
The values they speak in are in `tweeter.values`.
"""

from zope.interface import Attribute, Interface


class ITimelines(Interface):
    """The three timelines. All answer with the same pages, whoever implements them."""

    name = Attribute("What the pages' foot calls it: the last part of the backend's dotted name.")

    def public(cursor):
        """A Page of everybody's tweets."""

    def home(user_id, cursor):
        """A Page of the tweets of those whom the user follows, and the user's own."""

    def profile(user_id, cursor):
        """A Page of the user's own tweets."""

    def page(timeline, cursor):
        """A Page of the Timeline; the three above in one."""


class IMaterializedTimelines(ITimelines):
    """Timelines that are kept ready, and so have to be told what happens."""

    private = Attribute("True where the store belongs to this process alone, so that each process has to deliver.")

    def apply(event):
        """Makes the materialised timelines right after a committed Event. Doing it twice changes nothing.

        Raises BackendUnavailable: then it has to be done again.
        """

    def drop(timeline):
        """Makes one Timeline cold, and forgets the tweets in it."""

    def peek(timeline):
        """A Slice of all that is materialised of a Timeline; None if it is cold."""

    def clear():
        """Makes everything cold."""


class ITimelineStore(Interface):
    """Ordered ids under a timeline's key ("home:42"). Knows nothing of SQL, tweets or users.

    A key is missing (cold), being filled (a token and what fan-out appended since), or warm. Only warm and filling
    keys take new ids, so users who never come back cost nothing. Any key may vanish at any time.
    Every method raises BackendUnavailable when the store can't be asked.
    """

    private = Attribute("True where the store belongs to this process alone.")

    def read(key, before, limit):
        """A Slice of the newest `limit` ids below `before`; None unless the key is warm."""

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


class ITweetCache(Interface):
    """Tweets by id, many at a time.

    It is filled the way timelines are, without locks: whoever misses takes a lease before reading SQL, and the fill
    leaves out what was invalidated meanwhile. An id that SQL does not have is kept as gone (None).
    Every method raises BackendUnavailable when the cache can't be asked.
    """

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
    """How committed events reach the materialised timelines."""

    def wake():
        """Called after a commit that recorded events: see to it that they are delivered. Must not raise."""

    def ready():
        """Called before a request reads timelines: a store that only this process keeps hears of what others did."""
