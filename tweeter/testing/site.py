"""A site of several processes on one database, and a model in plain Python of its expected pages."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select

from tweeter import ids, outbox
from tweeter.db.sessions import begin_immediate
from tweeter.models import (
    Block,
    CounterChange,
    DeletedTweet,
    Hashtag,
    Hidden,
    Like,
    List,
    ListMember,
    Mention,
    Mute,
    Notification,
    OutboxEvent,
    Relationship,
    Tag,
    Tweet,
    User,
)
from tweeter.testing.process import Process
from tweeter.timelines.kinds import Kinds
from tweeter.values import NOBODY, Entry, Reloaded, Repost, Timeline, TweetView, Viewer


@dataclass
class Model:
    """The expected contents of the site, in plain Python."""

    kinds: Kinds
    names: dict[int, str] = field(default_factory=dict)
    usernames: dict[int, str] = field(default_factory=dict)
    follows: set[tuple[int, int]] = field(default_factory=set)
    mutes: set[tuple[int, int]] = field(default_factory=set)
    blocks: set[tuple[int, int]] = field(default_factory=set)
    tweets: dict[int, tuple[int, str, int | None]] = field(default_factory=dict)  # id: author, message, parent
    mentions: dict[int, set[int]] = field(default_factory=dict)  # tweet id: users
    reposts: dict[int, tuple[int, int]] = field(default_factory=dict)  # id: user, tweet
    likes: dict[int, tuple[int, int]] = field(default_factory=dict)  # id: user, tweet
    tags: dict[int, set[int]] = field(default_factory=dict)  # tweet id: hashtags
    lists: dict[int, tuple[int, set[int]]] = field(default_factory=dict)  # id: user, members
    suspended: dict[int, Any] = field(default_factory=dict)  # what these users had: see `leaving.Left`
    returning: set[int] = field(default_factory=set)  # those of the suspended that return when their rows are counted
    # Rows of users who left that are still counted, or counted again.
    follows_remain: set[tuple[int, int]] = field(default_factory=set)
    remains: dict[int, int | None] = field(default_factory=dict)  # tweets; id: parent
    reposts_remain: dict[int, int] = field(default_factory=dict)  # id: tweet
    likes_remain: dict[int, int] = field(default_factory=dict)  # id: tweet

    def entries(self, timeline: Timeline, viewer: Viewer = NOBODY) -> list[Entry]:
        """The expected entries of a timeline for a viewer, newest first, by the kind's definition in Python."""
        kind = self.kinds[timeline.kind]
        owner = timeline.owner if kind.of_users else 0
        hidden = viewer.hidden - {owner}
        seen = {id_ for id_ in self.tweets if self.author(id_) not in hidden}
        if kind.refers:
            likes = sorted((id_ for id_ in self.likes if kind.contains(self, timeline.owner, id_)), reverse=True)
            tweets = [(id_, self.likes[id_][1]) for id_ in likes if self.likes[id_][1] in seen]
            return [Entry(self.view(tweet), id_) for id_, tweet in tweets]
        reposts = {id_: tweet for id_, (_, tweet) in self.reposts.items() if tweet in seen and kind.reposts}
        reasons: dict[int, list[int]] = {}
        for id_ in sorted([*seen, *reposts], reverse=True):
            if self.author(id_) not in hidden and kind.contains(self, timeline.owner, id_):
                reasons.setdefault(reposts.get(id_, id_), []).append(id_)
        return [self._entry(owner, tweet, ids) for tweet, ids in reasons.items()]

    def _entry(self, owner: int, tweet: int, reasons: list[int]) -> Entry:
        newest, *older = reasons
        if newest == tweet:
            return Entry(self.view(tweet), tweet)
        user = self.author(newest)
        others = sum(id_ != tweet and self.author(id_) != owner for id_ in older)
        return Entry(self.view(tweet), newest, Repost(newest, user, self.usernames[user], self.names[user], others))

    def counters(self) -> dict[int, tuple[int, int]]:
        """The expected numbers of followees and of followers, by user."""
        pairs = [*self.follows, *self.follows_remain]
        return {
            id_: (sum(one == id_ for one, _ in pairs), sum(other == id_ for _, other in pairs)) for id_ in self.names
        }

    def shown_lists(self) -> list[int]:
        """The ids of the lists whose owners have not left."""
        return [id_ for id_, (owner, _) in self.lists.items() if owner in self.names]

    def living_reposts(self) -> list[int]:
        """The ids of the reposts whose tweets exist."""
        return [id_ for id_, (_, tweet) in self.reposts.items() if tweet in self.tweets]

    def blocked(self, one: int, other: int) -> bool:
        """Whether one of the two blocks the other."""
        return not self.blocks.isdisjoint({(one, other), (other, one)})

    def hides(self, viewer: int, author: int) -> bool:
        """Whether the author is hidden from the viewer."""
        return (viewer, author) in self.mutes or self.blocked(viewer, author)

    def viewer(self, user: int) -> Viewer:
        """A user as the viewer of a page."""
        return Viewer(user, hidden=frozenset(author for author in self.names if self.hides(user, author)))

    def read(self) -> Iterator[tuple[Timeline, Viewer]]:
        """The timelines, and for whom each is read: private ones for their owner, others for nobody.

        Those who do not see all also read the timelines of the whole site, and those of the authors hidden from them.
        """
        for timeline in self.timelines():
            kind = self.kinds[timeline.kind]
            yield timeline, self.viewer(timeline.owner) if kind.private else NOBODY
            for viewer in () if kind.private else map(self.viewer, self.names):
                if viewer.hidden and (not (kind.owned and kind.of_users) or timeline.owner in viewer.hidden):
                    yield timeline, viewer

    def author(self, id_: int) -> int:
        """The author's id of a tweet or a repost."""
        return self.tweets[id_][0] if id_ in self.tweets else self.reposts[id_][0]

    def view(self, id_: int) -> TweetView:
        """The expected tweet."""
        author, message, parent = self.tweets[id_]
        answered = self.tweets.get(parent or 0)
        return TweetView(
            id_,
            author,
            self.usernames[author],
            self.names[author],
            message,
            round(ids.date_of(id_).timestamp() * 1000),
            parent,
            self.usernames[answered[0]] if answered else None,
            [*(row[2] for row in self.tweets.values()), *self.remains.values()].count(id_),
            [*(tweet for _, tweet in self.reposts.values()), *self.reposts_remain.values()].count(id_),
            [*(tweet for _, tweet in self.likes.values()), *self.likes_remain.values()].count(id_),
        )

    def timelines(self) -> list[Timeline]:
        tags = {tag for id_ in self.tweets for tag in self.tags.get(id_, ())}
        owners: dict[str, Iterable[int]] = {"tag": tags, "list": self.shown_lists()}
        return [
            Timeline(name, owner)
            for name, kind in self.kinds.items()
            for owner in sorted(owners.get(name, self.names if kind.owned else [0]))
        ]


class Site:
    """Processes with different backends on one database. Each can be restarted with another backend."""

    def __init__(self, url: str, backends: Iterable[str], **settings: str) -> None:
        self._url = url
        self._settings = settings
        self._ill = False
        self.processes = [self._start(backend) for backend in backends]
        self.model = Model(self.processes[0].kinds)

    def _start(self, backend: str) -> Process:
        process = Process(self._url, backend, **self._settings)
        process.ill = self._ill
        return process

    @property
    def ill(self) -> bool:
        """Whether a fault may be active. If so, SQL may serve pages; otherwise the stores must."""
        return self._ill

    @ill.setter
    def ill(self, ill: bool) -> None:
        self._ill = ill
        for process in self.processes:
            process.ill = ill

    def restart(self, number: int, backend: str) -> None:
        """Stops a process and starts another in its place."""
        self.processes[number].close()
        self.processes[number] = self._start(backend)

    def empty(self) -> None:
        """Removes all users and tweets without restarting the processes, as a bulk load does."""
        with self.processes[0].sessions() as session:
            begin_immediate(session)
            tables = (ListMember, List, Hidden, Mute, Block, Notification, Mention, Hashtag, Tag, Relationship)
            for table in (*tables, CounterChange, DeletedTweet, Like, Tweet, User, OutboxEvent):
                session.execute(delete(table))
            outbox.record(session, Reloaded())
            session.commit()
        self.model = Model(self.processes[0].kinds)

    def close(self) -> None:
        for process in self.processes:
            process.close()

    def differences(self, limit: int = 20) -> list[str]:
        """The differences between the pages of all processes and the model; none if invariant 1 holds."""
        found = []
        with self.processes[0].sessions() as session:
            users = session.execute(select(User.id, User.following_count, User.followers_count).where(~User.closed))
            counters = {id_: (following, followers) for id_, following, followers in users}
        if counters != (expected := self.model.counters()):
            found.append(f"counters {counters} instead of {expected}")
        for number, process in enumerate(self.processes):
            process.settle()
            for timeline, viewer in self.model.read():
                for difference in self._differences(process, timeline, viewer, limit):
                    found.append(f"{process.backend} #{number}: {timeline.key} for {viewer.id}: {difference}")
        return found

    def _differences(self, process: Process, timeline: Timeline, viewer: Viewer, limit: int) -> Iterator[str]:
        expected = self.model.entries(timeline, viewer)
        # A fault that is active may have any effect between two pages: each waits.
        pages = process.walk(timeline, limit, settled=not process.ill, viewer=viewer)
        shown = [Entry(tweet, page.place(tweet), page.reposts.get(tweet.id)) for page in pages for tweet in page.tweets]
        if [entry.id for entry in shown] != [entry.id for entry in expected]:
            yield f"{[entry.id for entry in shown]} instead of {[entry.id for entry in expected]}"
            return
        for page in pages[:-1]:
            if len(page.tweets) != limit:
                yield f"a page of {len(page.tweets)} before the end"
        if pages[-1].older is not None or (len(pages) > 1 and not pages[-1].tweets):
            yield "the last page does not know that it is the last"
        liked, reposted = (
            {tweet for user, tweet in rows.values() if user == viewer.id}
            for rows in (self.model.likes, self.model.reposts)
        )
        for page in pages:
            ids = {tweet.id for tweet in page.tweets}
            if (page.liked, page.reposted) != (ids & liked, ids & reposted):
                yield f"marks {page.liked}, {page.reposted} instead of {ids & liked}, {ids & reposted}"
        for entry, wanted in zip(shown, expected, strict=True):
            if entry != wanted:
                yield f"{entry} instead of {wanted}"
