"""The tables, one module each."""

from sqlalchemy.orm import configure_mappers

from tweeter.models.api import AccessToken, Application, AuthorizationCode, Marker, PostedKey
from tweeter.models.base import Base
from tweeter.models.imported import Imported, Unlinked
from tweeter.models.outbox import Consumer, FanOutChunk, OutboxEvent
from tweeter.models.session import LoginSession
from tweeter.models.site import Site
from tweeter.models.timelines import StoredTimeline, TimelineEntry, TimelineRun
from tweeter.models.tweet import Hashtag, Mention, Tweet
from tweeter.models.user import Celebrity, Relationship, User, closed_users

__all__ = [
    "AccessToken",
    "Application",
    "AuthorizationCode",
    "Base",
    "Celebrity",
    "Consumer",
    "FanOutChunk",
    "Hashtag",
    "Imported",
    "LoginSession",
    "Marker",
    "Mention",
    "OutboxEvent",
    "PostedKey",
    "Relationship",
    "Site",
    "StoredTimeline",
    "TimelineEntry",
    "TimelineRun",
    "Tweet",
    "Unlinked",
    "User",
    "closed_users",
]

configure_mappers()
