"""The tables, one module each."""

from sqlalchemy.orm import configure_mappers

from tweeter.models.api import AccessToken, Application, AuthorizationCode, Marker, PostedKey
from tweeter.models.base import Base
from tweeter.models.imported import Imported, Unlinked
from tweeter.models.lists import List, ListMember
from tweeter.models.notification import Notification, Notifies
from tweeter.models.outbox import Consumer, FanOutChunk, OutboxEvent
from tweeter.models.session import LoginSession
from tweeter.models.site import Site
from tweeter.models.timelines import StoredTimeline, TimelineEntry, TimelineRun
from tweeter.models.tweet import CounterChange, DeletedTweet, Hashtag, Like, Mention, Tag, Tweet
from tweeter.models.user import (
    Block,
    Celebrity,
    Hidden,
    Mute,
    Recount,
    Relationship,
    User,
    closed_users,
    hidden_from,
    removed_users,
)

__all__ = [
    "AccessToken",
    "Application",
    "AuthorizationCode",
    "Base",
    "Block",
    "Celebrity",
    "Consumer",
    "CounterChange",
    "DeletedTweet",
    "FanOutChunk",
    "Hashtag",
    "Hidden",
    "Imported",
    "Like",
    "List",
    "ListMember",
    "LoginSession",
    "Marker",
    "Mention",
    "Mute",
    "Notification",
    "Notifies",
    "OutboxEvent",
    "PostedKey",
    "Recount",
    "Relationship",
    "Site",
    "StoredTimeline",
    "Tag",
    "TimelineEntry",
    "TimelineRun",
    "Tweet",
    "Unlinked",
    "User",
    "closed_users",
    "hidden_from",
    "removed_users",
]

configure_mappers()
