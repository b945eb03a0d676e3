"""The audience of events: which of the connected viewers see an entry, by the timeline kinds and the table `hidden`.

All rows are read after the commit of the event. So who unfollowed, muted or blocked the author before gets no event.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from tweeter import text
from tweeter.db.among import Among
from tweeter.models import Hidden, Relationship, Tag
from tweeter.streaming.channels import Channel
from tweeter.timelines.kinds import Kinds
from tweeter.values import TweetCreated, TweetsDeleted

_Owners = Mapping[int, list[Channel]]


def seeing(
    session: Session, kinds: Kinds, channels: Iterable[Channel], created: Sequence[TweetCreated], of: Mapping[int, int]
) -> Iterator[tuple[int, Channel]]:
    """(id of the entry, channel) for each channel whose viewer sees it.

    `of` has the author of each reposted tweet.
    """
    found: list[tuple[TweetCreated, Channel]] = []
    for name, owners in _by_kind(session, channels).items():
        kind = kinds[name]
        events = [event for event in created if kind.reposts or not event.of]
        audience = _of_author(session, kind, owners, {event.user_id for event in events})
        related = kind.related_owners(session, events) if kind.related and events else {}
        readable: dict[tuple[int, int], bool] = {}
        for event in events:
            for owner in audience[event.user_id] | (owners.keys() & set(related.get(event.tweet_id, ()))):
                found += [
                    (event, channel)
                    for channel in owners[owner]
                    if kind.of_users or _may_read(session, kind, owner, channel.viewer, readable)
                ]
    concerned = {event.tweet_id: {event.user_id, of.get(event.of, event.user_id)} for event, _ in found}
    hidden = _hidden(session, {channel.viewer for _, channel in found}, set[int]().union(*concerned.values()))
    for event, channel in found:
        if not any((channel.viewer, author) in hidden for author in concerned[event.tweet_id]):
            yield event.tweet_id, channel


def having_seen(
    session: Session, kinds: Kinds, channels: Iterable[Channel], deleted: Sequence[TweetsDeleted]
) -> Iterator[tuple[int, Channel]]:
    """(id, channel) for each deleted entry and each channel whose viewer may have seen it.

    The rows of a deleted tweet's mentions and hashtags are deleted with it, and those of its reposts soon after. So all
    viewers of such timelines get the id.
    """
    found: list[tuple[TweetsDeleted, Channel]] = []
    for name, owners in _by_kind(session, channels).items():
        kind = kinds[name]
        events = [event for event in deleted if kind.reposts or not event.of]
        audience = _of_author(session, kind, owners, {event.user_id for event in events})
        for event in events:
            anyone = kind.related or (kind.reposts and event.reposted)
            for owner in owners if anyone else audience[event.user_id]:
                found += [(event, channel) for channel in owners[owner]]
    hidden = _hidden(session, {channel.viewer for _, channel in found}, {event.user_id for event, _ in found})
    for event, channel in found:
        if (channel.viewer, event.user_id) not in hidden:
            for id_ in event.tweet_ids:
                yield id_, channel


def _by_kind(session: Session, channels: Iterable[Channel]) -> dict[str, dict[int, list[Channel]]]:
    """{kind: {owner: channels}}. A hashtag without an id when the stream began may have one now."""
    found: dict[str, dict[int, list[Channel]]] = {}
    unknown: dict[str, list[Channel]] = {}
    for channel in channels:
        if channel.label and not channel.owner:
            unknown.setdefault(text.written_hashtag(channel.label), []).append(channel)
        elif channel.kind:
            found.setdefault(channel.kind, {}).setdefault(channel.owner, []).append(channel)
    for name, id_ in session.execute(_TAGS, {"names": list(unknown)}) if unknown else ():
        for channel in unknown[name]:
            found.setdefault(channel.kind, {}).setdefault(id_, []).append(channel)
    return found


def _of_author(session: Session, kind: Any, owners: _Owners, authors: set[int]) -> dict[int, set[int]]:
    """{author: owners among these whose timelines contain all tweets of the author}."""
    audience = {author: owners.keys() & set(kind.owners(author)) for author in authors}
    if kind.to_followers:
        for author, follower in _pairs(session, _FOLLOWING, authors, owners.keys()):
            audience[author].add(follower)
    return audience


def _may_read(session: Session, kind: Any, owner: int, viewer: int, known: dict[tuple[int, int], bool]) -> bool:
    """Whether the viewer may read a timeline: mostly everyone may, which is asked first."""
    for who in (0, viewer):
        if (owner, who) not in known:
            known[owner, who] = kind.may_read(session, owner, who)
        if known[owner, who]:
            return True
    return False


def _hidden(session: Session, viewers: set[int], authors: set[int]) -> set[tuple[int, int]]:
    """The (viewer, author) among these where the author is hidden from the viewer."""
    return {(viewer, author) for author, viewer in _pairs(session, _HIDDEN, authors, viewers - {0})}


def _pairs(session: Session, statement: Any, authors: Collection[int], others: Collection[int]) -> Sequence[Any]:
    values = {"authors": list(authors), "others": list(others)}
    return session.execute(statement, values).all() if authors and others else ()


_FOLLOWING = select(Relationship.to_user_id, Relationship.from_user_id).where(
    Among(Relationship.to_user_id, "authors"), Among(Relationship.from_user_id, "others", many=True)
)
_HIDDEN = select(Hidden.author_id, Hidden.viewer_id).where(
    Among(Hidden.author_id, "authors"), Among(Hidden.viewer_id, "others", many=True)
)
_TAGS = select(Tag.tag, Tag.id).where(Tag.tag.in_(bindparam("names", expanding=True)))
