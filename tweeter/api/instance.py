"""What the site is: the instance in two versions, and NodeInfo."""

import threading
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, NamedTuple

from pyramid.request import Request
from sqlalchemy import func, select

from tweeter import ids
from tweeter.api.endpoints import endpoint, iso
from tweeter.api.entities import Entity, Nothing
from tweeter.db.sessions import SessionFactory
from tweeter.models import Tweet, User
from tweeter.streaming import STREAMS

# Clients read the version of Mastodon whose API this is from the beginning.
COMPATIBLE = "4.2.1"
COUNTED_EVERY = 600.0  # seconds
SAMPLE = 50_000  # tweets whose authors count as active
TITLE, DESCRIPTION = "Tweeter", "A small place for short messages."


class Counts(NamedTuple):
    """How much there is."""

    users: int
    tweets: int
    active: int  # authors of the newest SAMPLE tweets of the last month


class Counter:
    """Counts now and then: it reads all accounts."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions
        self._lock = threading.Lock()
        self._until, self._counts = 0.0, Counts(0, 0, 0)

    def counts(self) -> Counts:
        with self._lock:
            if time.monotonic() >= self._until:
                self._counts, self._until = self._count(), time.monotonic() + COUNTED_EVERY
            return self._counts

    def _count(self) -> Counts:
        month = ids.first_id(datetime.now(UTC) - timedelta(days=30))
        newest = select(Tweet.user_id).where(Tweet.id >= month).order_by(Tweet.id.desc()).limit(SAMPLE).subquery()
        with self._sessions() as session:
            users, tweets = session.execute(
                select(func.count(), func.coalesce(func.sum(User.tweets_count), 0)).where(~User.closed)
            ).one()
            active = session.scalar(select(func.count(newest.c.user_id.distinct())))
        return Counts(users, int(tweets), active or 0)


class InstanceV1(Entity, frozen=True, kw_only=True):
    """The site, in the older form."""

    uri: str
    title: str = TITLE
    short_description: str = DESCRIPTION
    description: str = DESCRIPTION
    email: str = ""
    version: str
    urls: dict[str, str]
    stats: dict[str, int]
    thumbnail: str | None
    languages: tuple[str, ...] = ("en",)
    registrations: bool = True
    approval_required: bool = False
    invites_enabled: bool = False
    configuration: dict[str, Any]
    contact_account: None = None
    rules: Nothing = []


class Instance(Entity, frozen=True, kw_only=True):
    """The site."""

    domain: str
    title: str = TITLE
    version: str
    source_url: str = ""
    description: str = DESCRIPTION
    usage: dict[str, dict[str, int]]
    thumbnail: dict[str, str]
    icon: Nothing = []
    languages: tuple[str, ...] = ("en",)
    configuration: dict[str, Any]
    registrations: dict[str, Any]
    api_versions: dict[str, int] = {}
    contact: dict[str, Any]
    rules: Nothing = []


def _version() -> str:
    return f"{COMPATIBLE} (compatible; tweeter {version('tweeter')})"


def _configuration(request: Request) -> dict[str, Any]:
    return {
        "accounts": {"max_featured_tags": 0, "max_pinned_statuses": 0},
        "statuses": {
            "max_characters": request.registry.settings["tweeter.message_limit"],
            "max_media_attachments": 0,
            "characters_reserved_per_url": 23,  # what clients assume; here all of an address counts
        },
        "media_attachments": {
            "supported_mime_types": [],
            "image_size_limit": 0,
            "image_matrix_limit": 0,
            "video_size_limit": 0,
            "video_frame_rate_limit": 0,
            "video_matrix_limit": 0,
        },
        "polls": {"max_options": 0, "max_characters_per_option": 0, "min_expiration": 0, "max_expiration": 0},
    }


def _streaming(request: Request) -> str:
    """Where WebSockets go; empty without streams. Applications in typed languages need a text."""
    return "" if request.registry[STREAMS] is None else request.application_url.replace("http", "ws", 1)


@endpoint("GET", "/api/v1/instance", returns=InstanceV1)
def instance_v1(request: Request) -> InstanceV1:
    """The site, in the older form."""
    counts = request.registry["counter"].counts()
    return InstanceV1(
        uri=request.host,
        version=_version(),
        urls={"streaming_api": _streaming(request)},
        stats={"user_count": counts.users, "status_count": counts.tweets, "domain_count": 0},
        thumbnail=f"{request.application_url}/static/robin.svg",
        configuration=_configuration(request),
    )


@endpoint("GET", "/api/v2/instance", returns=Instance)
def instance(request: Request) -> Instance:
    """The site."""
    return Instance(
        domain=request.host,
        version=_version(),
        usage={"users": {"active_month": request.registry["counter"].counts().active}},
        thumbnail={"url": f"{request.application_url}/static/robin.svg"},
        configuration={
            "urls": {"streaming": _streaming(request)}, "vapid": {"public_key": ""}, "translation": {"enabled": False},
            **_configuration(request),
        },
        registrations={"enabled": True, "approval_required": False, "message": None, "url": None},
        contact={"email": "", "account": None},
    )  # fmt: skip


@endpoint("GET", "/api/v1/instance/extended_description", returns=dict[str, str])
def extended_description(request: Request) -> dict[str, str]:
    """The description again: there is no longer one."""
    return {"updated_at": iso(ids.EPOCH), "content": DESCRIPTION}


@endpoint("GET", "/.well-known/nodeinfo", returns=dict[str, Any])
def nodeinfo_links(request: Request) -> dict[str, Any]:
    """The address of the NodeInfo document."""
    rel = "http://nodeinfo.diaspora.software/ns/schema/2.0"
    return {"links": [{"rel": rel, "href": f"{request.application_url}/nodeinfo/2.0"}]}


@endpoint("GET", "/nodeinfo/2.0", returns=dict[str, Any])
def nodeinfo(request: Request) -> dict[str, Any]:
    """The site as crawlers read it."""
    counts = request.registry["counter"].counts()
    return {
        "version": "2.0",
        "software": {"name": "tweeter", "version": version("tweeter")},
        "protocols": [],
        "services": {"inbound": [], "outbound": []},
        "openRegistrations": True,
        "usage": {"users": {"total": counts.users, "activeMonth": counts.active}, "localPosts": counts.tweets},
        # Some applications (all that use megalodon) read here which API a site with an unknown name speaks.
        "metadata": {"upstream": {"name": "mastodon"}},
    }
