"""The base class of timeline kinds: from one SQL definition it makes the statements of pages and backfills."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    SQLColumnExpression,
    and_,
    bindparam,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased
from zope.interface import implementer

from tweeter.db.among import Among
from tweeter.errors import Missing
from tweeter.interfaces import ITimelineKind
from tweeter.models import Tweet, User, hidden_from
from tweeter.timelines.queries import view_of, with_views
from tweeter.values import (
    NOBODY,
    NOTHING,
    AccountClosed,
    AuthorHidden,
    AuthorShown,
    Cursor,
    Entry,
    Event,
    Followed,
    Slice,
    TweetCreated,
    Unfollowed,
    Viewer,
)

LIKED, REPOSTED = "liked", "reposted"  # fields of Page
OWNER = bindparam("owner", type_=BigInteger)
VIEWER = bindparam("viewer", type_=BigInteger)
# A literal in the statement's text: the planner must see the limit, even if the driver prepares the statement.
LIMIT = bindparam("limit", type_=Integer, literal_execute=True)

Statements = tuple[Select[Any], Select[Any]]  # for most viewers, and for one who does not see all


def within(id_: SQLColumnExpression[int]) -> ColumnElement[bool]:
    """The condition that a tweet is in the part of a timeline that a Cursor describes."""
    return and_(id_ < bindparam("before"), id_ > bindparam("after"))


def author_of(id_: SQLColumnExpression[int]) -> ScalarSelect[int]:
    """The author of a tweet, to compare with `hidden_from`.

    A scalar subquery on the id by which a page is read: PostgreSQL then reads the page as if nobody was hidden, and
    checks each tweet. With a condition on a joined author it may scan all tweets instead.
    """
    tweet = aliased(Tweet, name="shown")
    return select(tweet.user_id).where(tweet.id == id_).scalar_subquery()


def not_hidden(id_: SQLColumnExpression[int], viewer: Viewer) -> list[ColumnElement[bool]]:
    """The condition that a tweet's author is not hidden from the viewer; none if nobody is."""
    return [author_of(id_).not_in(hidden_from(literal(viewer.id)))] if viewer.hidden else []


@implementer(ITimelineKind)
class TimelineKind:
    """A kind defines `name` and `tweets`, and overrides what differs from a timeline that only its owner changes.

    Building a statement takes longer than running most of them. So a kind builds each once, when it is first needed,
    and all sites of a process share the kinds of this package.
    """

    name = ""
    owned = True
    of_users = True
    private = False
    to_followers = False
    reposts = False
    marks = ""

    @cached_property
    def related(self) -> bool:
        return type(self).related_owners is not TimelineKind.related_owners

    @cached_property
    def refers(self) -> bool:
        return len(self._ids.selected_columns) > 1

    @cached_property
    def _ids(self) -> Select[Any]:
        definition = self.tweets(OWNER)
        id_ = definition.selected_columns[0]
        return definition.where(within(id_)).order_by(id_.desc()).limit(LIMIT)

    @cached_property
    def _among(self) -> Select[Any]:
        definition = self.tweets(OWNER)
        return definition.where(Among(definition.selected_columns[0]))

    @cached_property
    def _page(self) -> Statements:
        tweet_id = list(self._ids.selected_columns)[-1]
        return _entries(self._ids), _entries(self._ids.where(self.seen(author_of(tweet_id))))

    def tweets(self, owner: ColumnElement[int]) -> Select[Any]:
        raise NotImplementedError

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        raise NotImplementedError

    @property
    def hides(self) -> bool:
        return self.private or self.to_followers

    def filters(self, viewer: Viewer) -> bool:
        return bool(viewer.hidden) and not (self.private and self.hides)

    def check_owner(self, session: Session, owner: int) -> None:
        if owner and session.scalar(_OWNER, {"owner": owner}) is None:
            raise Missing("There is no such user.")

    def owners_of(self, session: Session, user: int) -> Sequence[int]:
        return (user,)

    def may_read(self, session: Session, owner: int, viewer: int) -> bool:
        return True

    def owners(self, author: int) -> Iterable[int]:
        return ()

    def related_owners(self, session: Session, created: Iterable[TweetCreated]) -> Mapping[int, Iterable[int]]:
        return {}

    def made_cold(self, event: Event) -> Iterable[int]:
        if self.to_followers and isinstance(event, Followed | Unfollowed):
            return (event.follower_id,)  # merging tweets in or out would race with fan-out
        if self.hides and isinstance(event, AuthorHidden | AuthorShown):
            return (event.viewer_id,)
        return (event.user_id,) if self.owned and self.of_users and isinstance(event, AccountClosed) else ()

    def added(self, event: Event) -> tuple[int, int, int] | None:
        return None

    def lasting(self, session: Session, ids: Collection[int]) -> set[int]:
        return set(ids)

    def author_changed(self, event: Event) -> tuple[int, int, bool] | None:
        if self.hides and isinstance(event, AuthorHidden):
            return event.viewer_id, event.author_id, False
        return None

    def among(self, session: Session, owner: int, tweets: Mapping[int, int]) -> set[int]:
        return set(session.scalars(self._among, {"owner": owner, "ids": list(tweets)}))

    def read_ids(self, session: Session, owner: int, limit: int) -> list[int]:
        return list(session.scalars(self._ids, {"owner": owner, **Cursor()._asdict(), "limit": limit}).all())

    def read_page(self, session: Session, owner: int, cursor: Cursor, viewer: Viewer = NOBODY) -> list[Entry]:
        values = {"owner": owner, **cursor._asdict(), "limit": cursor.limit + 1}
        return self._entries(self._rows(session, self._page, values, viewer))

    def read_page_quickly(self, session: Session, owner: int, cursor: Cursor, viewer: Viewer = NOBODY) -> list[Entry]:
        return self.read_page(session, owner, cursor, viewer)

    def reposted_below(
        self, session: Session, owner: int, ids: Collection[int], floor: int, viewer: Viewer = NOBODY
    ) -> Mapping[int, int]:
        return {}

    def backfill(self, session: Session, owner: int, capacity: int) -> Slice:
        values = {"owner": owner, **Cursor()._asdict(), "limit": capacity + 1}
        rows = session.execute(self._ids, values).all()
        ids = [row[0] for row in rows[:capacity]]
        of = {id_: tweet_id for id_, tweet_id in rows[:capacity]} if self.refers else NOTHING  # noqa: C416 (of rows)
        return Slice(ids, ids[-1] if len(rows) > capacity else 0, of=of)

    def seen(self, author: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that an author is not hidden from VIEWER, or is the timeline's owner."""
        visible = author.not_in(hidden_from(VIEWER))
        return or_(visible, author == OWNER) if self.of_users else visible

    def user(self, owner: int) -> int:
        """The user who is the owner; 0 if it is none."""
        return owner if self.of_users else 0

    def _rows(self, session: Session, statements: Statements, values: dict[str, Any], viewer: Viewer) -> Sequence[Any]:
        every, visible = statements
        if self.filters(viewer):
            return session.execute(visible, values | {"viewer": viewer.id}).all()
        return session.execute(every, values).all()

    def _entries(self, rows: Iterable[Any]) -> list[Entry]:
        return [Entry(view_of(row), id_) for *row, id_ in rows]


_OWNER = select(User.id).where(User.id == bindparam("owner"), ~User.closed)


def _entries(ids: Select[Any]) -> Select[Any]:
    """The columns of the tweets of these ids, and last the id of the entry; newest first."""
    page = ids.subquery("page")
    return with_views(page, list(page.c)[-1]).add_columns(page.c[0]).order_by(page.c[0].desc())
