"""Sends the events of a batch of the outbox to the channels that have listeners."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from tweeter.services.notifications import Notice
from tweeter.streaming.audience import having_seen, seeing
from tweeter.streaming.channels import Channel
from tweeter.streaming.notices import new_notices
from tweeter.streaming.outlet import Outlet
from tweeter.timelines.kinds import Kinds
from tweeter.timelines.queries import load_tweets
from tweeter.values import Event, TweetCreated, TweetsDeleted

UPDATE, DELETE, NOTIFICATION = "update", "delete", "notification"
NOTIFYING = ("user", "user:notification")  # streams


class Form(NamedTuple):
    """How events are written for clients of one sort: functions of the site's address."""

    # {id: text} for those of these entries that exist.
    entries: Callable[[str, Sequence[int]], Mapping[int, str]]
    # The texts of those of a user's notifications that exist; None if these clients get none.
    notices: Callable[[str, int, Sequence[Notice]], Sequence[str]] | None = None
    own: bool = True  # whether viewers get their own entries


def publish(session: Session, kinds: Kinds, forms: Mapping[str, Form], events: Sequence[Event], outlet: Outlet) -> None:
    """Sends what these committed events mean to those who listen. Nothing is rendered for anybody else.

    A tweet that was deleted since is left out, and its deletion follows.
    """
    channels = [each for each in outlet.channels.values() if each.form in forms]
    # First, because what a later event of this batch deletes is not there any more, and gets no update.
    if deleted := [event for event in events if isinstance(event, TweetsDeleted)]:
        for id_, channel in having_seen(session, kinds, channels, deleted):
            outlet.publish(channel, DELETE, str(id_))
    created = [event for event in events if isinstance(event, TweetCreated)]
    if created and channels:
        _publish_entries(session, kinds, forms, created, channels, outlet)
    listening: dict[int, list[Channel]] = {}
    for channel in channels:
        if channel.stream in NOTIFYING and forms[channel.form].notices:
            listening.setdefault(channel.viewer, []).append(channel)
    for user, notice in new_notices(session, events, listening.keys()):
        for channel in listening[user]:
            if write := forms[channel.form].notices:
                for text in write(channel.base, user, [notice]):
                    outlet.publish(channel, NOTIFICATION, text)


def _publish_entries(
    session: Session,
    kinds: Kinds,
    forms: Mapping[str, Form],
    created: Sequence[TweetCreated],
    channels: Sequence[Channel],
    outlet: Outlet,
) -> None:
    tweets = load_tweets(session, {id_ for event in created for id_ in (event.tweet_id, event.of) if id_})
    there = [event for event in created if event.tweet_id in tweets and (event.of or event.tweet_id) in tweets]
    authors = {event.of: tweets[event.of].user_id for event in there if event.of}
    by = {event.tweet_id: event.user_id for event in there}
    found = sorted(  # in the order of ids
        (id_, channel)
        for id_, channel in seeing(session, kinds, channels, there, authors)
        if forms[channel.form].own or channel.viewer != by[id_]
    )
    wanted: dict[tuple[str, str], dict[int, None]] = {}
    for id_, channel in found:
        wanted.setdefault((channel.form, channel.base), {})[id_] = None
    written = {key: forms[key[0]].entries(key[1], list(ids)) for key, ids in wanted.items()}
    for id_, channel in found:
        if text := written[channel.form, channel.base].get(id_):
            outlet.publish(channel, UPDATE, text)
