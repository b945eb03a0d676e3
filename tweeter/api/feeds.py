"""Atom feeds of profiles and hashtags. Feed readers poll, so most answers are 304."""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from xml.etree import ElementTree as xml

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

from tweeter import ids, text
from tweeter.api.endpoints import iso
from tweeter.api.writing import html, tag_url
from tweeter.db.sessions import time_limit
from tweeter.values import Cursor, Timeline, TweetView
from tweeter.web.views.people import find
from tweeter.web.views.search import SECONDS, find_tweets

ATOM = "http://www.w3.org/2005/Atom"
LISTED = 20


def of_profile(request: Request) -> Response:
    """The newest tweets of a user."""
    user = find(request)
    page = request.timelines.page(Timeline("profile", user.id), Cursor(limit=LISTED, backfill=False))
    title = f"{user.display_name} (@{user.username})"
    return _feed(request, title, f"{request.application_url}/@{user.username}", page.tweets, user.date)


def of_tag(request: Request) -> Response:
    """The newest tweets with a hashtag."""
    name = text.fold(text.clean_line(request.matchdict["hashtag"]))
    if not text.entities(f"#{name}").hashtags:
        raise HTTPNotFound("This is not a hashtag.")
    with request.registry.database.sessions() as session, time_limit(session, SECONDS):
        page = find_tweets(session, f"#{name}", Cursor(limit=LISTED)).page
    return _feed(request, f"#{name}", tag_url(request.application_url, name), page.tweets, ids.EPOCH)


def _feed(request: Request, title: str, url: str, tweets: Any, begun: datetime) -> Response:
    base = request.application_url
    feed = xml.Element("feed", {"xmlns": ATOM})
    _add(feed, "id", url)
    _add(feed, "title", title)
    updated = tweets[0].date if tweets else begun.astimezone(UTC)
    _add(feed, "updated", iso(updated))
    _add(feed, "link", rel="self", type="application/atom+xml", href=request.path_url)
    _add(feed, "link", rel="alternate", type="text/html", href=url)
    for tweet in tweets:
        _entry(feed, tweet, base)
    body = xml.tostring(feed, encoding="utf-8", xml_declaration=True)
    response = Response(body, content_type="application/atom+xml", charset="UTF-8")
    response.etag = blake2b(body, digest_size=12).hexdigest(), False  # weak: it may be compressed
    response.last_modified = updated
    response.headers["Cache-Control"] = "public, max-age=60"
    response.conditional_response = True
    return response


def _entry(feed: xml.Element, tweet: TweetView, base: str) -> None:
    url = f"{base}/tweets/{tweet.id}"
    entry = xml.SubElement(feed, "entry")
    _add(entry, "id", url)
    _add(entry, "title", tweet.message.partition("\n")[0][:80])
    _add(entry, "published", iso(tweet.date))
    _add(entry, "updated", iso(tweet.date))
    author = xml.SubElement(entry, "author")
    _add(author, "name", tweet.display_name)
    _add(author, "uri", f"{base}/@{tweet.username}")
    _add(entry, "link", rel="alternate", type="text/html", href=url)
    _add(entry, "content", html(tweet.message, base), type="html")


def _add(parent: xml.Element, name: str, content: str | None = None, **attributes: str) -> None:
    xml.SubElement(parent, name, attributes).text = content


def includeme(config: Configurator) -> None:
    config.add_route("profile feed", "/@{username}/feed.atom")
    config.add_route("tag feed", "/tags/{hashtag}/feed.atom")
    config.add_view(of_profile, route_name="profile feed", request_method="GET")
    config.add_view(of_tag, route_name="tag feed", request_method="GET", limit="search")
