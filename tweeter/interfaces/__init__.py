"""The contracts between the parts. Read this before any implementation.

Views read ITimelines. `sql` reads the tables (fan-out on read, pull); every other backend is one class (fan-out on
write, push) over an ITimelineStore, which keeps ids, and an ITweetCache, which keeps tweets. IDelivery brings committed
events to them. Their values are in `tweeter.values`.
"""

from zope.interface import Attribute, Interface

from tweeter.interfaces.stores import (
    IBulkStore,
    IPageStore,
    ITimelineStore,
    ITogetherStore,
    ITweetCache,
    IWarmingStore,
)

NOBODY: tuple[int, int, frozenset[int]] = (0, 0, frozenset())  # as in `tweeter.values`

__all__ = [
    "IBulkStore",
    "IDelivery",
    "IMaterializedTimelines",
    "IPageStore",
    "ITimelineKind",
    "ITimelineKinds",
    "ITimelineStore",
    "ITimelines",
    "ITogetherStore",
    "ITweetCache",
    "IWarmingStore",
]


class ITimelines(Interface):
    """Pages of timelines. All implementations return the same pages."""

    name = Attribute("What the pages' foot calls it: the last part of the backend's dotted name.")

    def page(timeline, cursor, viewer=NOBODY):
        """A Page of the Timeline, for a Viewer. Raises Missing if there is no such kind or owner.

        It contains the viewer's last write, and of authors hidden from the viewer only the owner's tweets.
        """


class ITimelineKind(Interface):
    """Which tweets a timeline contains: the definition in SQL, and what each event changes in materialized timelines.

    `tweeter.timelines.kind.TimelineKind` is a base class with defaults for all but `name`, `tweets` and `contains`.
    """

    name = Attribute("The kind in keys and URLs, `home` in `home:42`: small letters, digits, - and _.")
    owned = Attribute("True if each user has one, False if the site has one, whose owner is 0.")
    of_users = Attribute("False if the owners are no users, but for example hashtags; then `owned` is True.")
    private = Attribute("True if only its owner may read it.")
    to_followers = Attribute("True if it contains all tweets of the owner's followees, except hidden authors.")
    hides = Attribute("True if it lacks the authors hidden from its owner: private kinds and those `to_followers`.")
    reposts = Attribute("True if it contains reposts: see tweeter.timelines.reposts.")
    marks = Attribute("The field of Page with the tweets to which the viewer's own timeline refers; mostly empty.")
    refers = Attribute("True if `tweets` selects two columns: ids of entries, and the ids of their tweets.")
    related = Attribute("True if `related_owners` finds owners; the base class sets it if that method is overridden.")

    def tweets(owner):
        """The definition: a Select of the ids of all its tweets, without closed accounts. `owner` is a parameter.
        If it `hides`, also without the authors `tweeter.models.hidden_from(owner)`.
        """

    def contains(site, owner, tweet_id):
        """The definition in plain Python. The published property test compares SQL with it.

        `site` is the `tweeter.testing.Model` with all users, follows, mutes, blocks, tweets and mentions.
        """

    def filters(viewer):
        """Whether a page for this viewer must leave out authors: it lacks them only if it is private and `hides`."""

    def check_owner(session, owner):
        """Raises Missing if there is no such owner; called for empty timelines."""

    def owners_of(session, user):
        """The owners that belong to a user: the user, or for example the user's lists. For `tweeter verify` and the
        lab.
        """

    def may_read(session, owner, viewer):
        """Whether a user may read the timeline; 0 is nobody. Called if the owners are no users."""

    def owners(author):
        """The owners whose timelines contain all tweets of this author. Called for each TweetCreated and TweetsDeleted.

        Followers need not be listed: see `to_followers`. Other timelines lose deleted tweets by read repair.
        """

    def related_owners(session, created):
        """{tweet id: owners} of the other timelines that contain a tweet, read from SQL for a batch of TweetCreated.

        An event that later removes a tweet from such a timeline must make it cold.
        """

    def made_cold(event):
        """The owners whose timelines an event changes in another way than by adding or deleting tweets.

        The base class returns closed accounts and, with `to_followers`, those who follow or unfollow an account; if it
        `hides`, those from whom an author is hidden, or not any more.
        """

    def added(event):
        """(owner, id, id of the tweet) if the event adds an entry to the timeline of one owner; else None."""

    def lasting(session, ids):
        """Those ids of added entries that still exist; read after they were added, because events may be repeated."""

    def author_changed(event):
        """(owner, author, added) if the event only adds or removes the tweets of one author; else None.

        A page that must contain this event merges or hides them until the relay has applied it. Without this method
        SQL serves such a page.
        """

    def among(session, owner, tweets):
        """The ids of those tweets ({id: author}) that the owner's timeline contains; at most one statement."""

    def read_ids(session, owner, limit):
        """The newest `limit` ids, newest first, by the definition."""

    def read_page(session, owner, cursor, viewer=NOBODY):
        """The Entries of a page and one more if there is one, newest first, by the definition in one statement."""

    def read_page_quickly(session, owner, cursor, viewer=NOBODY):
        """The same as `read_page`, by faster statements if there are any. SQL serves fallbacks in this way."""

    def reposted_below(session, owner, ids, floor, viewer=NOBODY):
        """How many of the timeline's authors whom the viewer sees reposted each of these tweets below a floor:
        {id: count}.
        """

    def backfill(session, owner, capacity):
        """A Slice of at most `capacity` newest ids to backfill a cold timeline with; it may be partial."""


class ITimelineKinds(Interface):
    """The timeline kinds of a site: a mapping of ITimelineKind by name."""

    def timelines(users, sessions=None):
        """All timelines of the site, and those of these users; with sessions, also those that belong to the users in
        another way: see `owners_of`.
        """


class IMaterializedTimelines(ITimelines):
    """Timelines materialized in a store."""

    store = Attribute("The ITimelineStore.")
    projector = Attribute("Applies events to the store: see tweeter.timelines.projector.")
    circuit = Attribute("Whether pages read the store: see tweeter.timelines.circuit.")

    def live():
        """Whether pages are read from the store now: it is reachable, and not behind the commits."""

    def set_site(site_id):
        """See ITimelineStore; for the store and its cache."""

    def drop(timeline):
        """Makes one Timeline cold, and invalidates its cached tweets."""

    def peek(timeline):
        """A Slice of all materialized ids of a Timeline; None if it is cold."""

    def clear():
        """Makes everything cold."""


class IDelivery(Interface):
    """How committed events reach the materialized timelines."""

    def start():
        """Starts the threads of this process, unless they are running."""

    def stop():
        """Ends the threads, and releases their leases."""

    def restart():
        """Called in a forked process, which has none of its parent's threads: starts its own.

        The parent's leases stay the parent's.
        """

    def wake():
        """Called after a commit that recorded events: wakes the relays. Returns at once and never raises."""

    def drain(seconds):
        """Waits until all committed events are delivered and pages read the stores; False if that takes longer."""

    def observe():
        """Updates the metrics of the outbox."""
