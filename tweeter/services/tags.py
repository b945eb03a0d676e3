"""Hashtags get ids, which own their timelines."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.db.sessions import insert_new
from tweeter.models import Tag

AT_ONCE = 1000


def name_tags(session: Session, tags: Iterable[str]) -> None:
    """Gives ids to those of these folded hashtags that have none.

    In one order: of two transactions that add the same tags, one waits for the other, and they cannot deadlock.
    """
    wanted = sorted(set(tags))
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        known = set(session.scalars(select(Tag.tag).where(Tag.tag.in_(some))))
        for tag in some:
            if tag not in known:
                insert_new(session, Tag, tag=tag)
