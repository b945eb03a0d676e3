"""Timelines with the reposts of their authors: each tweet once, at its newest reason.

A reason is an entry: the tweet itself, if its author is one of the timeline's authors, or a repost by one of them. SQL
shows an entry unless the tweet has a newer one. Stores keep all entries, and pages leave out the older ones
(`tweeter.timelines.entries`), so an undone repost brings back the next newest without a backfill.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, bindparam, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from tweeter.db.among import Among
from tweeter.models import Tweet, User, closed_users, hidden_from
from tweeter.timelines.kind import LIMIT, OWNER, Statements, TimelineKind, author_of, within
from tweeter.timelines.queries import references, view_of, with_views
from tweeter.values import NOBODY, Entry, Repost, Slice, Viewer

Authors = Callable[[str], Any]  # makes a subquery of this name: the ids of users


class RepostingKind(TimelineKind):
    """A kind defines `authors`: a Select of the ids of the users whose tweets and reposts its timelines contain."""

    reposts = True

    @cached_property
    def _page(self) -> Statements:
        return self._statements(lambda shown, id_: shown.where(within(id_)).order_by(id_.desc()).limit(LIMIT))

    @cached_property
    def _among_shown(self) -> Statements:
        return self._statements(lambda shown, id_: shown.where(Among(id_)))

    @cached_property
    def _below(self) -> Statements:
        return self._reposted_below(self._every), self._reposted_below(self._visible)

    def authors(self, owner: ColumnElement[int]) -> Any:
        raise NotImplementedError

    def tweets(self, owner: ColumnElement[int]) -> Select[Any]:
        authors = self.authors(owner).subquery("authors")
        return select(Tweet.id).join(authors, authors.c[0] == Tweet.user_id)

    def shown_among(self, session: Session, owner: int, ids: Collection[int], viewer: Viewer = NOBODY) -> list[Entry]:
        """Those of these entries that SQL shows to the viewer, newest first."""
        return self._entries(self._rows(session, self._among_shown, {"owner": owner, "ids": list(ids)}, viewer))

    def backfill(self, session: Session, owner: int, capacity: int) -> Slice:
        filled = super().backfill(session, owner, capacity)
        return filled._replace(of=references(session, filled.ids))

    def reposted_below(
        self, session: Session, owner: int, ids: Collection[int], floor: int, viewer: Viewer = NOBODY
    ) -> Mapping[int, int]:
        rows = self._rows(session, self._below, {"owner": owner, "ids": list(ids), "floor": floor}, viewer)
        return {tweet_id: count for tweet_id, count in rows if tweet_id is not None}

    def _statements(self, part: Callable[[Select[Any], Any], Select[Any]]) -> Statements:
        """The statements of a part of what is shown."""
        entry = aliased(Tweet, name="entry")
        every, visible = (part(self._shown(entry, authors), entry.id) for authors in (self._every, self._visible))
        visible = visible.where(self.seen(author_of(visible.selected_columns.tweet_id)))
        return self._with_reposts(every, self._every), self._with_reposts(visible, self._visible)

    def _every(self, name: str) -> Any:
        """The authors of OWNER's timeline."""
        return self.authors(OWNER).subquery(name)

    def _visible(self, name: str) -> Any:
        """Those whom VIEWER sees."""
        authors = self.authors(OWNER).subquery()
        return select(authors.c[0]).where(self.seen(authors.c[0])).subquery(name)

    def _entries(self, rows: Iterable[Any]) -> list[Entry]:
        entries = []
        for id_, user_id, username, name, others, *row in rows:
            repost = None if user_id is None else Repost(id_, user_id, username, name, others)
            entries.append(Entry(view_of(row), id_, repost))
        return entries

    def _shown(self, entry: Any, authors_of: Authors) -> Select[Any]:
        """The id of each entry that is shown, and the id of its tweet."""
        authors = authors_of("authors")
        tweet_id = func.coalesce(entry.repost_of_id, entry.id)
        newer, newer_authors = aliased(Tweet, name="newer"), authors_of("newer_authors")
        newer_repost = exists().where(
            newer.repost_of_id == tweet_id, newer.id > entry.id, newer_authors.c[0] == newer.user_id
        )
        # The tweet itself is newer than its repost only if its clock was ahead.
        target, target_authors = aliased(Tweet, name="target"), authors_of("target_authors")
        newer_tweet = exists().where(
            target.id == entry.repost_of_id, target.id > entry.id, target_authors.c[0] == target.user_id
        )
        reposted = aliased(Tweet, name="reposted")
        there = exists().where(reposted.id == entry.repost_of_id, reposted.user_id.not_in(closed_users))
        if self.private:
            there = there.where(reposted.user_id.not_in(hidden_from(OWNER)))
        alive = or_(entry.repost_of_id.is_(None), and_(there, ~newer_tweet))
        return (
            select(entry.id.label("id"), tweet_id.label("tweet_id"))
            .join(authors, authors.c[0] == entry.user_id)
            .where(alive, ~newer_repost)
        )

    def _with_reposts(self, shown: Select[Any], authors_of: Authors) -> Select[Any]:
        """The columns of Entries, newest first: of their reposts, and of their tweets."""
        page = shown.subquery("page")
        repost, reposter = aliased(Tweet, name="repost"), aliased(User, name="reposter")
        other, other_authors = aliased(Tweet, name="other"), authors_of("other_authors")
        others = (
            select(func.count())
            .select_from(other)
            .join(other_authors, other_authors.c[0] == other.user_id)
            .where(other.repost_of_id == page.c.tweet_id, other.id != page.c.id, *self._not_owner(other))
            .correlate(page)
            .scalar_subquery()
        )
        columns = (
            page.c.id,
            reposter.id.label("reposter_id"),
            reposter.username.label("reposter_username"),
            reposter.display_name.label("reposter_name"),
            case((reposter.id.is_(None), 0), else_=others).label("others"),
        )
        views = with_views(page, page.c.tweet_id)
        return (
            views.with_only_columns(*columns, *views.selected_columns, maintain_column_froms=True)
            .outerjoin(repost, and_(repost.id == page.c.id, repost.id != page.c.tweet_id))
            .outerjoin(reposter, reposter.id == repost.user_id)
            .order_by(page.c.id.desc())
        )

    def _not_owner(self, repost: Any) -> list[ColumnElement[bool]]:
        """The condition that a repost is not the owner's, if that is a user."""
        return [repost.user_id != OWNER] if self.of_users else []

    def _reposted_below(self, authors_of: Authors) -> Any:
        """How many of the authors reposted each tweet below a floor, without the owner."""
        authors = authors_of("authors")
        return (
            select(Tweet.repost_of_id, func.count())
            .join(authors, authors.c[0] == Tweet.user_id)
            .where(
                Among(Tweet.repost_of_id),
                Tweet.id < bindparam("floor", type_=BigInteger),
                *self._not_owner(Tweet),
            )
            .group_by(Tweet.repost_of_id)
        )
